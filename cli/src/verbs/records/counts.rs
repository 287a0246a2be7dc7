//! Numbers instead of records: `--count`, `--by`.

use std::io::Write as _;

use clap::ValueEnum;
use logq_reader::{Field, Tally, Value};

use super::Answer;
use crate::output::{Format, Output};
use crate::question::Question;

/// Fields that `--by` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ByField {
    #[value(name = "level")]
    Level,
    #[value(name = "type")]
    Type,
    #[value(name = "statusCode", alias = "status", alias = "statuscode")]
    StatusCode,
    #[value(name = "workerId", alias = "worker", alias = "workerid")]
    WorkerId,
}

/// Prints how many records there are.
pub(super) fn count(
    question: &Question,
    format: Format,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let (count, report) = question.snapshot.count(&question.query())?;
    let text = match format.is_json() {
        true => format!("{{\"count\":{count}}}\n"),
        false => format!("{count}\n"),
    };
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    Ok(Answer { found: count, report })
}

/// Prints how many records have which value.
pub(super) fn tally(
    question: &Question,
    by: ByField,
    format: Format,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let field = match by {
        ByField::Level => Field::Level,
        ByField::Type => Field::Type,
        ByField::StatusCode => Field::StatusCode,
        ByField::WorkerId => Field::WorkerId,
    };
    let (tally, report) = question.snapshot.tally(&question.query(), field)?;
    let mut text = Vec::new();
    for (value, count) in merged(&tally) {
        if format.is_json() {
            let object = match by {
                ByField::Level => serde_json::json!({ "level": value, "count": count }),
                ByField::Type => serde_json::json!({ "type": value, "count": count }),
                ByField::StatusCode => serde_json::json!({ "statusCode": value, "count": count }),
                ByField::WorkerId => serde_json::json!({ "workerId": value, "count": count }),
            };
            text.extend_from_slice(object.to_string().as_bytes());
            text.push(b'\n');
            continue;
        }
        let name = match value {
            serde_json::Value::String(name) => name,
            serde_json::Value::Null => "master".to_owned(),
            other => other.to_string(),
        };
        // Writing to a vector cannot fail.
        let _ = writeln!(text, "{count:>12} {name}");
    }
    // A failure is told by `finish`.
    let _ = out.write(&text);
    Ok(Answer { found: tally.records, report })
}

/// The counts by what is printed: types that share a name are added up.
fn merged(tally: &Tally) -> Vec<(serde_json::Value, u64)> {
    let mut merged: Vec<(serde_json::Value, u64)> = Vec::new();
    for (value, count) in &tally.counts {
        let name = match value {
            Value::Level(level) => level.as_str().into(),
            Value::Type(record_type) => record_type.as_str().into(),
            Value::StatusCode(status) => (*status).into(),
            Value::WorkerId(worker) => worker.map(logq_format::WorkerId::get).into(),
            _ => continue,
        };
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => merged.push((name, *count)),
        }
    }
    merged
}
