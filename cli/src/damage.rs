//! What is damaged or missing in stores, told in full: for `logq verify` and `logq repair`.

use std::fmt::Write as _;

use logq_format::{GapCause, Origin, Timestamp, WorkerId};
use logq_reader::{Cause, Gap, Missing, Report};
use serde_json::{Value, json};

use crate::output::escape;

/// A page for people; empty if nothing is wrong.
pub(crate) fn page(report: &Report) -> String {
    let mut page = String::new();
    for gap in &report.gaps {
        line(&mut page, "damaged", &describe(gap));
    }
    if report.gaps_omitted > 0 {
        line(&mut page, "damaged", &format!("{} more places", report.gaps_omitted));
    }
    for missing in &report.missing {
        line(&mut page, "missing", &describe_missing(missing));
    }
    for gap in &report.unfinished {
        let (path, range) = (gap.path.display(), &gap.range);
        let again = match gap.cause {
            Cause::Damaged(GapCause::Torn) => " and was written again",
            _ => "",
        };
        let text = format!("{path}: bytes {} to {}: {}{again}", range.start, range.end, gap.cause);
        line(&mut page, "unfinished", &text);
    }
    if report.lost_records > 0 {
        let text =
            format!("{} records, by their writers, when they were logged", report.lost_records);
        line(&mut page, "dropped", &text);
    }
    if report.unknown_records + report.unknown_blocks > 0 {
        let (records, blocks) = (report.unknown_records, report.unknown_blocks);
        line(&mut page, "newer", &format!("{records} records and {blocks} blocks"));
    }
    page
}

fn line(page: &mut String, what: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{what:<11}{}", escape::for_terminal_lines(text));
}

fn describe(gap: &Gap) -> String {
    let (path, range) = (gap.path.display(), &gap.range);
    let mut text = format!("{path}: bytes {} to {}: {}", range.start, range.end, gap.cause);
    if let Some(origin) = gap.origin {
        let _ = write!(text, "; a block of {}", writer(origin));
    }
    if let Some(records) = records(gap) {
        let _ = write!(text, ", {records} records or more");
    }
    if let Some((from, to)) = gap.span {
        let _ = write!(text, ", between {from} and {to}");
    }
    text
}

fn describe_missing(missing: &Missing) -> String {
    let Missing { origin, records, sequence, from, to, .. } = missing;
    format!(
        "{records} records of {}, from number {sequence} on, between {from} and {to}",
        writer(*origin)
    )
}

fn writer(origin: Origin) -> String {
    let process = match origin.worker {
        Some(worker) => format!("worker {worker}"),
        None => "the master".to_owned(),
    };
    format!("{process} (writer {})", origin.writer)
}

/// The records that a gap is known to have held.
pub(crate) fn records(gap: &Gap) -> Option<u64> {
    gap.sequences.as_ref().map(|numbers| numbers.end.saturating_sub(numbers.start))
}

/// An estimate of the records lost: those that jumps in sequences and headers of damaged blocks
/// tell of. Where a header itself is damaged and its writer never wrote again, nothing tells.
pub(crate) fn lost(report: &Report) -> u64 {
    records_in_gaps(report).saturating_add(report.missing_records())
}

/// The records that the damaged places have held, as far as headers of blocks tell.
pub(crate) fn records_in_gaps(report: &Report) -> u64 {
    report.gaps.iter().filter_map(records).fold(0, u64::saturating_add)
}

/// The bytes that were skipped.
pub(crate) fn bytes(report: &Report) -> u64 {
    let lengths = report.gaps.iter().map(|gap| gap.range.end.saturating_sub(gap.range.start));
    lengths.fold(0, u64::saturating_add)
}

/// The same for programs.
pub(crate) fn object(report: &Report) -> Value {
    let missing = |missing: &Missing| {
        json!({
            "writer": missing.origin.writer.0,
            "workerId": missing.origin.worker.map(WorkerId::get),
            "records": missing.records,
            "seq": missing.sequence,
            "span": span(Some((missing.from, missing.to))),
        })
    };
    json!({
        "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "gapsOmitted": report.gaps_omitted,
        "bytesSkipped": bytes(report),
        "missing": report.missing.iter().map(missing).collect::<Vec<_>>(),
        "recordsLost": lost(report),
        "unfinished": report.unfinished.iter().map(gap).collect::<Vec<_>>(),
        "dropped": report.lost_records,
        "unknownRecords": report.unknown_records,
        "unknownBlocks": report.unknown_blocks,
    })
}

/// A place that cannot be read, for programs.
pub(crate) fn gap(gap: &Gap) -> Value {
    json!({
        "path": gap.path.to_string_lossy(),
        "start": gap.range.start,
        "end": gap.range.end,
        "cause": gap.cause.to_string(),
        "writer": gap.origin.map(|origin| origin.writer.0),
        "workerId": gap.origin.and_then(|origin| origin.worker).map(WorkerId::get),
        "records": records(gap),
        "span": span(gap.span),
    })
}

/// The times of the first and of the last record.
pub(crate) fn span(span: Option<(Timestamp, Timestamp)>) -> Value {
    let object = |(first, last): (Timestamp, Timestamp)| json!({ "first": first.to_string(), "last": last.to_string() });
    span.map_or(Value::Null, object)
}
