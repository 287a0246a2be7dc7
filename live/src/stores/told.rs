//! What an answer tells of itself: how far it is final, what is damaged or missing, where to go on.

use http::{HeaderMap, HeaderName, HeaderValue};
use logq_format::{Timestamp, WorkerId};
use logq_reader::{Gap, LifeState, Report, WriterLife};
use serde_json::{Value, json};

use super::question::{Finality, Range};

/// The time of the earliest record of the store.
pub(super) const FIRST: HeaderName = HeaderName::from_static("logq-first");
/// The time of the latest record of the store.
pub(super) const LAST: HeaderName = HeaderName::from_static("logq-last");
/// Everything before this is final.
pub(super) const FINAL_UNTIL: HeaderName = HeaderName::from_static("logq-final-until");
/// Whether nothing is known to be damaged or missing, a trailer field.
pub(super) const COMPLETE: HeaderName = HeaderName::from_static("logq-complete");
/// How many records an answer had, a trailer field.
pub(super) const RECORDS: HeaderName = HeaderName::from_static("logq-records");

/// The most gaps that a trailer lists.
const GAPS_MAX: usize = 100;

/// How complete an answer is.
pub(super) struct Told<'a> {
    pub(super) report: &'a Report,
    pub(super) range: Range,
    pub(super) finality: &'a Finality,
}

impl Told<'_> {
    /// The same object as `--trailer` prints, with the cursor behind the answer if there is one.
    pub(super) fn trailer(&self, records: u64, cursor: Option<String>) -> Value {
        let (report, coverage) = (self.report, &self.report.coverage);
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let omitted = report.gaps.len().saturating_sub(GAPS_MAX) as u64 + report.gaps_omitted;
        json!({
            "records": records,
            "complete": report.is_complete(),
            "covered": self.finality.covers(self.range, coverage),
            "since": time(self.range.since),
            "until": time(self.range.until),
            "first": time(coverage.first),
            "last": time(coverage.last),
            "finalUntil": time(self.finality.end(coverage)),
            "notFinal": self.holding().into_iter().map(holder).collect::<Vec<_>>(),
            "gaps": report.gaps.iter().take(GAPS_MAX).map(gap).collect::<Vec<_>>(),
            "gapsOmitted": omitted,
            "missing": report.missing_records(),
            "dropped": report.lost_records,
            "late": report.late_records,
            "unknownRecords": report.unknown_records,
            "unknownBlocks": report.unknown_blocks,
            "cursor": cursor,
        })
    }

    /// The trailer fields.
    pub(super) fn fields(&self, records: Option<u64>) -> HeaderMap {
        let complete = if self.report.is_complete() { "true" } else { "false" };
        let complete = (COMPLETE, HeaderValue::from_static(complete));
        let records = records.map(|records| (RECORDS, HeaderValue::from(records)));
        records.into_iter().chain([complete]).collect()
    }

    /// The writers that the part which is not final waits for, the slowest first.
    fn holding(&self) -> Vec<&WriterLife> {
        let until = self.range.until.map(|until| until.min(self.finality.now));
        let Some(horizon) = until.or(self.report.coverage.last) else { return Vec::new() };
        if self.finality.watermark.is_none_or(|mark| mark >= horizon) {
            return Vec::new();
        }
        let holds =
            |life: &&WriterLife| life.state != LifeState::Idle && life.holder.floor < horizon;
        self.finality.living.iter().filter(holds).collect()
    }
}

fn holder(life: &WriterLife) -> Value {
    let holder = &life.holder;
    json!({
        "writer": holder.origin.writer.0,
        "workerId": holder.origin.worker.map(WorkerId::get),
        "since": holder.floor.to_string(),
    })
}

/// A damaged place. Of its path only the name of the segment is the client's business.
fn gap(gap: &Gap) -> Value {
    json!({
        "segment": gap.path.file_name().map(|name| name.to_string_lossy()),
        "start": gap.range.start,
        "end": gap.range.end,
        "cause": gap.cause.to_string(),
        "first": gap.span.map(|(from, _)| from.to_string()),
        "last": gap.span.map(|(_, to)| to.to_string()),
    })
}
