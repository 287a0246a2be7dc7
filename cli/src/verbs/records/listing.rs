//! `--list-runs`: the runs of the cluster as a table.

use std::io::Write as _;

use logq_format::Timestamp;
use logq_query::when::MarkError;
use logq_reader::Report;
use serde_json::json;

use super::Answer;
use crate::completeness::absorb;
use crate::output::{Format, Output, zoned_time};
use crate::question::Question;
use crate::runs::{Run, RunSummary};

/// Prints the runs that have a part in the range of the question, oldest first.
pub(super) fn print(
    question: &Question,
    format: Format,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let marks = question.marks();
    let runs = match Run::all(&marks) {
        Ok(runs) => runs,
        Err(MarkError::Absent) => Vec::new(),
        Err(MarkError::Unreadable(error)) => return Err(anyhow::anyhow!(error)),
    };
    let mut answer = Answer { found: 0, report: Report::default() };
    let latest = runs.len().saturating_sub(1);
    if !format.is_json() && !runs.is_empty() {
        // A failure is told by `finish`.
        let _ = out.write(
            format!(
                "{:>4}  {:32}  {:32}  {:7}  {:>7}  {:>12}\n",
                "run", "start", "end", "ended", "workers", "records"
            )
            .as_bytes(),
        );
    }
    for (place, run) in runs.into_iter().enumerate().filter(|(_, run)| is_asked(question, run)) {
        let summary = RunSummary::new(run, &question.snapshot, &question.finality)?;
        let back = latest - place;
        let line = match format.is_json() {
            true => object(back, &summary),
            false => row(back, &summary, question),
        };
        answer.found += 1;
        absorb(&mut answer.report, summary.report);
        if out.write(&line).is_break() {
            break;
        }
    }
    Ok(answer)
}

fn is_asked(question: &Question, run: &Run) -> bool {
    let interval = run.interval();
    question.range.since.is_none_or(|since| since < interval.end)
        && question.range.until.is_none_or(|until| interval.start < until)
}

fn row(back: usize, summary: &RunSummary, question: &Question) -> Vec<u8> {
    let time = |time: Timestamp| zoned_time(time, &question.zone);
    let end = summary.end.map_or(String::new(), time);
    let number = if back == 0 { "0".to_owned() } else { format!("-{back}") };
    let (start, ending) = (time(summary.run.start), summary.ending.as_str());
    let mut row = Vec::new();
    // Writing to a vector cannot fail.
    let _ = writeln!(
        row,
        "{number:>4}  {start:32}  {end:32}  {ending:7}  {:>7}  {:>12}",
        summary.workers, summary.records
    );
    row
}

fn object(back: usize, summary: &RunSummary) -> Vec<u8> {
    let object = json!({
        "run": -i64::try_from(back).unwrap_or(i64::MAX),
        "start": summary.run.start.to_string(),
        "end": summary.end.map(|end| end.to_string()),
        "ending": summary.ending.as_str(),
        "workers": summary.workers,
        "records": summary.records,
    });
    format!("{object}\n").into_bytes()
}
