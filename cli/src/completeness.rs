//! What an answer leaves out: told on standard error, in the trailer of JSON, and in the exit status.

use logq_format::{Timestamp, WorkerId};
use logq_reader::{Cause, Gap, Holder, Report, WriterLife};
use serde_json::{Value, json};

use crate::damage;
use crate::exit::Exit;
use crate::liveness::Finality;
use crate::output::escape;
use crate::question::Range;

/// How complete an answer is.
pub(crate) struct Completeness<'a> {
    report: &'a Report,
    range: Range,
    finality: &'a Finality,
    /// Up to where it should be final.
    horizon: Option<Timestamp>,
    /// Where it begins not to be.
    open_from: Option<Timestamp>,
}

impl<'a> Completeness<'a> {
    /// Judges an answer about `range` by its report and what was known of the writers before it.
    pub(crate) fn new(report: &'a Report, range: Range, finality: &'a Finality) -> Self {
        // Up to where it should be final: the end of its range, unless that is still to come; without
        // one, the last record there is, before which others might still be put.
        let horizon = range.until.map(|until| until.min(finality.now)).or(report.coverage.last);
        let is_open = |mark: &Timestamp| horizon.is_some_and(|horizon| *mark < horizon);
        let open_from = finality.watermark.filter(is_open);
        Self { report, range, finality, horizon, open_from }
    }

    /// The exit status of an answer with or without records.
    pub(crate) fn exit(&self, found: bool) -> Exit {
        match (found, self.report.is_complete()) {
            (_, false) => Exit::Incomplete,
            (true, true) => Exit::Success,
            (false, true) if self.is_covered() => Exit::NoMatch,
            (false, true) => Exit::NotCovered,
        }
    }

    fn is_covered(&self) -> bool {
        self.range.is_covered(&self.report.coverage, self.finality)
    }

    /// The writers that the part which is not final waits for, the slowest first.
    fn holding(&self) -> Vec<&WriterLife> {
        let horizon = self.horizon.filter(|_| self.open_from.is_some());
        horizon.map_or(Vec::new(), |horizon| self.finality.holding(horizon))
    }

    /// Tells one line for each thing that the answer leaves out, and of an answer without records
    /// whether there may be some elsewhere.
    pub(crate) fn tell(&self, found: bool) {
        let elsewhere = (self.exit(found) == Exit::NotCovered).then(|| self.covered());
        for line in self.lines().into_iter().chain(elsewhere) {
            tell!("logq: {}", escape::for_terminal_lines(&line));
        }
    }

    /// What the store covers, for those who have asked beyond that.
    fn covered(&self) -> String {
        let coverage = &self.report.coverage;
        let Some(first) = coverage.first else {
            return "nothing matches; the store has no records yet".to_owned();
        };
        // Who follows learns of the latest record only when it is one of those asked for.
        let last = coverage.last.map_or_else(|| "on".to_owned(), |last| format!("to {last}"));
        let end = self.finality.end(coverage).map_or_else(
            || "nobody knows up to when it is complete".to_owned(),
            |end| format!("it is complete up to {end}"),
        );
        format!(
            "nothing matches, but the store does not cover all of the interval: its records are from \
             {first} {last}, and {end}"
        )
    }

    fn lines(&self) -> Vec<String> {
        const LISTED_MAX: usize = 5;
        let report = self.report;
        let places: Vec<_> = report.gaps.chunk_by(is_one_place).collect();
        let mut lines: Vec<String> =
            places.iter().take(LISTED_MAX).filter_map(|gaps| skipped(gaps)).collect();
        let more = places.len().saturating_sub(LISTED_MAX) as u64 + report.gaps_omitted;
        let missing = report.missing_records();
        if more > 0 {
            lines.push(format!("{more} more damaged places; `logq stats` lists them"));
        }
        lines.extend(held(report));
        if missing > 0 {
            lines.push(format!("{missing} records are missing: their blocks were lost or damaged"));
        }
        if report.lost_records > 0 {
            lines.push(format!(
                "{} records were dropped when they were logged: the disk was full or slow",
                report.lost_records
            ));
        }
        if report.unknown_records + report.unknown_blocks > 0 {
            lines.push(format!(
                "{} records and {} blocks are of a newer version; a newer logq shows them",
                report.unknown_records, report.unknown_blocks
            ));
        }
        if let Some(from) = self.open_from {
            let holding = self.holding();
            let who = match holding.first() {
                Some(slowest) => writer(&slowest.holder),
                None => "a writer".to_owned(),
            };
            let more = match holding.len().saturating_sub(1) {
                0 => String::new(),
                1 => ", and one other".to_owned(),
                more => format!(", and {more} others"),
            };
            lines.push(format!("not final from {from} on: {who} may hold back records{more}"));
        }
        lines
    }

    /// The same as a line of JSON, for programs.
    pub(crate) fn trailer(&self, records: u64) -> String {
        let report = self.report;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let final_until = self.finality.end(&report.coverage);
        let holding = self.holding().into_iter().map(|life| {
            let holder = &life.holder;
            json!({
                "writer": holder.origin.writer.0,
                "workerId": holder.origin.worker.map(WorkerId::get),
                "pid": (holder.pid > 0).then_some(holder.pid),
                "since": holder.floor.to_string(),
            })
        });
        let trailer = json!({
            "records": records,
            "complete": report.is_complete(),
            "covered": self.is_covered(),
            "since": time(self.range.since),
            "until": time(self.range.until),
            "first": time(report.coverage.first),
            "last": time(report.coverage.last),
            "finalUntil": time(final_until),
            "notFinal": holding.collect::<Vec<_>>(),
            "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
            "gapsOmitted": report.gaps_omitted,
            "missing": report.missing_records(),
            "dropped": report.lost_records,
            "late": report.late_records,
            "unknownRecords": report.unknown_records,
            "unknownBlocks": report.unknown_blocks,
        });
        format!("{}\n", json!({ "trailer": trailer }))
    }
}

/// Adds what another scan of the same snapshot has found to a report.
///
/// Both may have come by the same damage; what is merely counted cannot be told apart, so that the
/// larger count is taken.
pub(crate) fn absorb(report: &mut Report, other: Report) {
    for gap in other.gaps {
        if !report.gaps.contains(&gap) {
            report.gaps.push(gap);
        }
    }
    for missing in other.missing {
        if !report.missing.contains(&missing) {
            report.missing.push(missing);
        }
    }
    report.gaps_omitted = report.gaps_omitted.max(other.gaps_omitted);
    report.unknown_records = report.unknown_records.max(other.unknown_records);
    report.unknown_blocks = report.unknown_blocks.max(other.unknown_blocks);
    report.lost_records = report.lost_records.max(other.lost_records);
    let earlier = std::mem::replace(&mut report.coverage, other.coverage);
    // Who follows does not look for where the store begins.
    report.coverage.first = report.coverage.first.or(earlier.first);
    report.statistics.add_pass(&other.statistics);
}

/// Whether two gaps, one behind the other, are for readers the same place: a file that was truncated
/// while it was read lacks each block behind its new end.
fn is_one_place(gap: &Gap, next: &Gap) -> bool {
    let are_cut_off = gap.cause == Cause::Truncated && next.cause == Cause::Truncated;
    are_cut_off && gap.path == next.path
}

fn skipped(gaps: &[Gap]) -> Option<String> {
    let (first, last) = (gaps.first()?, gaps.last()?);
    let (path, start, end) = (first.path.display(), first.range.start, last.range.end);
    Some(format!("{path}: bytes {start} to {end} skipped: {}", first.cause))
}

/// What the damaged places have held, as far as headers of blocks tell.
fn held(report: &Report) -> Option<String> {
    let records = damage::records_in_gaps(report);
    let spans = || report.gaps.iter().filter(|gap| damage::records(gap) > Some(0));
    let from = spans().filter_map(|gap| gap.span).map(|(from, _)| from).min()?;
    let to = spans().filter_map(|gap| gap.span).map(|(_, to)| to).max()?;
    // Of what is not there any more no header tells how much it was, or of when.
    let is_cut_off = |gap: &Gap| gap.cause == Cause::Truncated && damage::records(gap).is_none();
    let is_open = report.gaps.iter().any(is_cut_off);
    let or_more = if is_open || report.gaps_omitted > 0 { " or more" } else { "" };
    let when = if is_open { format!("from {from} on") } else { format!("between {from} and {to}") };
    Some(format!(
        "{records} records{or_more} {when} cannot be read there; which of them match is not known"
    ))
}

/// Who a writer is, in words.
pub(crate) fn writer(holder: &Holder) -> String {
    let name = match holder.origin.worker {
        Some(worker) => format!("worker {worker}"),
        None => "the master".to_owned(),
    };
    match holder.pid {
        0 => name,
        pid => format!("{name} (process {pid})"),
    }
}

fn gap(gap: &Gap) -> Value {
    json!({
        "path": gap.path.to_string_lossy(),
        "start": gap.range.start,
        "end": gap.range.end,
        "cause": gap.cause.to_string(),
        "first": gap.span.map(|(from, _)| from.to_string()),
        "last": gap.span.map(|(_, to)| to.to_string()),
    })
}
