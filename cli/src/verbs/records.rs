//! `logq [OPTIONS] [STORE...]`: records, or counts of them.

use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use logq_reader::{Field, Order, Query, Report, Snapshot, Tally, Value};

use crate::args::{ColorChoice, FilterArguments, RangeArguments, StoreArguments};
use crate::completeness;
use crate::exit::Exit;
use crate::output::{Format, Output, Printer};
use crate::question::Question;

/// What to ask and how to print it.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordsArguments {
    #[command(flatten)]
    stores: StoreArguments,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    /// The newest N records; +N for the oldest; `all`
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<String>,

    /// Newest first
    #[arg(short, long)]
    reverse: bool,

    /// Print only the number of matching records
    #[arg(short, long, conflicts_with_all = ["lines", "reverse", "by"])]
    count: bool,

    /// Print how many matching records have which value
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["lines", "reverse"])]
    by: Option<ByField>,

    /// How to print records
    #[arg(short, long, value_name = "FORMAT", default_value = "short")]
    output: Format,

    /// Print stack traces and DEBUG entries in full
    #[arg(short, long)]
    verbose: bool,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

/// Fields that `--by` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ByField {
    #[value(name = "level")]
    Level,
    #[value(name = "type")]
    Type,
    #[value(name = "statusCode", alias = "status", alias = "statuscode")]
    StatusCode,
    #[value(name = "workerId", alias = "worker", alias = "workerid")]
    WorkerId,
}

/// Answers the question on the command line.
pub(crate) fn run(arguments: &RecordsArguments) -> anyhow::Result<Exit> {
    let lines = arguments.lines.as_deref().map_or(Ok(Lines::All), Lines::new)?;
    let question = Question::new(&arguments.stores, &arguments.range, &arguments.filter)?;
    let (snapshot, query) = (&question.snapshot, question.query());
    let format = arguments.output;
    let (found, report) = match (arguments.count, arguments.by) {
        (true, _) => count(snapshot, &query, format)?,
        (false, Some(by)) => tally(snapshot, &query, by, format)?,
        (false, None) => {
            let zone = question.zone.clone();
            let printer = Printer::new(format, arguments.color, zone, arguments.verbose);
            print(snapshot, query, &printer, lines, arguments.reverse)?
        }
    };
    if !arguments.quiet {
        completeness::tell(&report);
    }
    Ok(completeness::exit(found, &report, &question.range))
}

/// How many records `--lines` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    All,
    Newest(u64),
    Oldest(u64),
}

impl Lines {
    fn new(text: &str) -> anyhow::Result<Self> {
        if text == "all" {
            return Ok(Self::All);
        }
        let (oldest, digits) = match text.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let number = digits.parse().with_context(|| {
            format!("cannot read {text:?} of --lines; expected a number, +number or all")
        })?;
        Ok(if oldest { Self::Oldest(number) } else { Self::Newest(number) })
    }
}

/// Prints records and answers whether there were any.
fn print(
    snapshot: &Snapshot,
    mut query: Query<'_>,
    printer: &Printer,
    lines: Lines,
    reverse: bool,
) -> anyhow::Result<(bool, Report)> {
    // The newest N are found from the end, the oldest N from the beginning; where that is not the
    // order they are to be printed in, the N lines are kept and turned around.
    let (order, limit) = match lines {
        Lines::All if reverse => (Order::Descending, None),
        Lines::All => (Order::Ascending, None),
        Lines::Newest(limit) => (Order::Descending, Some(limit)),
        Lines::Oldest(limit) => (Order::Ascending, Some(limit)),
    };
    (query.order, query.limit) = (order, limit);
    let turn = limit.is_some() && (order == Order::Descending) != reverse;

    let mut out = Output::new();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let render = |rows: &logq_reader::Rows<'_>| {
        let mut text = Vec::with_capacity(rows.len() * 256);
        if turn {
            rows.iter().rev().for_each(|row| printer.print(&row, &mut text));
        } else {
            rows.iter().for_each(|row| printer.print(&row, &mut text));
        }
        text
    };
    let report = snapshot.scan(&query, render, |text| {
        if turn {
            kept.push(text);
            return ControlFlow::Continue(());
        }
        out.write(&text)
    })?;
    for text in kept.into_iter().rev() {
        if out.write(&text).is_break() {
            break;
        }
    }
    let found = out.finish()?;
    Ok((found, report))
}

fn count(snapshot: &Snapshot, query: &Query<'_>, format: Format) -> anyhow::Result<(bool, Report)> {
    let (count, report) = snapshot.count(query)?;
    let text = match format {
        Format::Json => format!("{{\"count\":{count}}}\n"),
        Format::Short | Format::Cat => format!("{count}\n"),
    };
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    out.finish()?;
    Ok((count > 0, report))
}

fn tally(
    snapshot: &Snapshot,
    query: &Query<'_>,
    by: ByField,
    format: Format,
) -> anyhow::Result<(bool, Report)> {
    let field = match by {
        ByField::Level => Field::Level,
        ByField::Type => Field::Type,
        ByField::StatusCode => Field::StatusCode,
        ByField::WorkerId => Field::WorkerId,
    };
    let (tally, report) = snapshot.tally(query, field)?;
    let mut text = Vec::new();
    for (value, count) in merged(&tally) {
        match format {
            Format::Json => {
                let object = match by {
                    ByField::Level => serde_json::json!({ "level": value, "count": count }),
                    ByField::Type => serde_json::json!({ "type": value, "count": count }),
                    ByField::StatusCode => {
                        serde_json::json!({ "statusCode": value, "count": count })
                    }
                    ByField::WorkerId => serde_json::json!({ "workerId": value, "count": count }),
                };
                text.extend_from_slice(object.to_string().as_bytes());
                text.push(b'\n');
            }
            Format::Short | Format::Cat => {
                let name = match value {
                    serde_json::Value::String(name) => name,
                    serde_json::Value::Null => "master".to_owned(),
                    other => other.to_string(),
                };
                // Writing to a vector cannot fail.
                let _ = writeln!(text, "{count:>12} {name}");
            }
        }
    }
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(&text);
    out.finish()?;
    Ok((tally.records > 0, report))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_counts_are_newest_oldest_or_all() {
        assert_eq!(Lines::new("5").unwrap(), Lines::Newest(5));
        assert_eq!(Lines::new("+5").unwrap(), Lines::Oldest(5));
        assert_eq!(Lines::new("all").unwrap(), Lines::All);
        assert!(Lines::new("-3").is_err());
    }
}
