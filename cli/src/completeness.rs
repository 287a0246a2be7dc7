//! What an answer leaves out: told on standard error, and in the exit status.

use std::path::Path;

use logq_reader::Report;

use crate::exit::Exit;
use crate::question::Range;

/// The exit status of an answer.
pub(crate) fn exit(found: bool, report: &Report, range: &Range) -> Exit {
    match (found, report.is_complete()) {
        (_, false) => Exit::Incomplete,
        (true, true) => Exit::Success,
        (false, true) if range.is_covered(report) => Exit::NoMatch,
        (false, true) => Exit::NotCovered,
    }
}

/// Tells one line for each thing that the answer leaves out.
pub(crate) fn tell(report: &Report) {
    const LISTED_MAX: usize = 5;
    for gap in report.gaps.iter().take(LISTED_MAX) {
        let path: &Path = &gap.path;
        eprintln!(
            "logq: {}: bytes {} to {} skipped: {}",
            path.display(),
            gap.range.start,
            gap.range.end,
            gap.cause
        );
    }
    let more = report.gaps.len().saturating_sub(LISTED_MAX) as u64 + report.gaps_omitted;
    if more > 0 {
        eprintln!("logq: {more} more damaged places; `logq stats` lists them");
    }
    let missing = report.missing_records();
    if missing > 0 {
        eprintln!("logq: {missing} records are missing: their blocks were lost or damaged");
    }
    if report.lost_records > 0 {
        eprintln!(
            "logq: {} records were dropped when they were logged: the disk was full or slow",
            report.lost_records
        );
    }
    if report.unknown_records + report.unknown_blocks > 0 {
        eprintln!(
            "logq: {} records and {} blocks are of a newer version; a newer logq shows them",
            report.unknown_records, report.unknown_blocks
        );
    }
}
