//! What is learned on the way, beside the records: bounded, however long it takes.

use std::collections::BTreeMap;

use logq_format::{BlockHeader, BlockKind, Origin, Timestamp, WriterId};

use crate::continuity::Continuity;
use crate::decoder::Findings;
use crate::report::{Coverage, GAPS_MAX, Gap, Missing, Report, Statistics};

/// Collects a [`Report`].
#[derive(Debug, Default)]
pub(super) struct Account {
    report: Report,
    /// By store and writer.
    writers: BTreeMap<(usize, WriterId), (Origin, Continuity)>,
}

impl Account {
    /// Notes a damaged or vanished place; some are found twice.
    pub(super) fn gap(&mut self, gap: Gap) {
        let report = &mut self.report;
        if report.gaps.iter().rev().take(100).any(|other| *other == gap) {
            return;
        }
        if report.gaps.len() < GAPS_MAX {
            report.gaps.push(gap);
        } else {
            report.gaps_omitted = report.gaps_omitted.saturating_add(1);
        }
    }

    /// Notes bytes that were read.
    pub(super) fn bytes(&mut self, bytes: u64) {
        self.report.statistics.bytes_read += bytes;
    }

    pub(super) fn statistics(&mut self) -> &mut Statistics {
        &mut self.report.statistics
    }

    /// Notes the last block of a writer in a segment before the first that is counted. Of several
    /// segments the last one counts: between them nobody has looked.
    pub(super) fn begin(&mut self, store: usize, header: &BlockHeader) {
        self.writer(store, header.origin).begin(header);
    }

    /// Notes a block.
    pub(super) fn block(&mut self, store: usize, header: &BlockHeader) {
        if matches!(header.kind, BlockKind::Other(_)) && header.kind.is_skippable() {
            self.report.unknown_blocks += 1;
        }
        let new = self.writer(store, header.origin).insert(header);
        // A block that was written twice says twice what was lost before it.
        if header.records == 0 || new > 0 {
            self.report.lost_records += u64::from(header.lost);
        }
    }

    fn writer(&mut self, store: usize, origin: Origin) -> &mut Continuity {
        let fresh = || (origin, Continuity::default());
        &mut self.writers.entry((store, origin.writer)).or_insert_with(fresh).1
    }

    /// Forgets writers that append nothing any more, but not what is missing of them.
    pub(super) fn forget(&mut self, is_left: impl Fn(usize, WriterId) -> bool) {
        let gone: Vec<_> = self.writers.keys().copied().filter(|(s, w)| is_left(*s, *w)).collect();
        for key in gone {
            if let Some((origin, continuity)) = self.writers.remove(&key) {
                self.report.missing.extend(missing(origin, &continuity));
            }
        }
    }

    /// Notes what decoding brought.
    pub(super) fn findings(&mut self, findings: Findings) {
        findings.gaps.into_iter().for_each(|gap| self.gap(gap));
        self.report.unknown_records += findings.unknown_records;
        self.report.statistics.add(&findings.statistics);
    }

    /// Takes over what was told of an answer that began the whole.
    pub(super) fn absorb(&mut self, report: Report) {
        report.gaps.into_iter().for_each(|gap| self.gap(gap));
        let own = &mut self.report;
        own.gaps_omitted += report.gaps_omitted;
        own.missing.extend(report.missing);
        own.unknown_records += report.unknown_records;
        own.unknown_blocks += report.unknown_blocks;
        own.lost_records += report.lost_records;
        own.statistics.add(&report.statistics);
    }

    /// Takes over what decoding brought, of an answer about blocks that have been observed.
    pub(super) fn absorb_decoding(&mut self, report: Report) {
        for gap in report.gaps {
            self.gap(gap);
        }
        self.report.unknown_records += report.unknown_records;
        let statistics = Statistics { segments: 0, segments_read: 0, ..report.statistics };
        self.report.statistics.add(&statistics);
    }

    /// Notes records that were handed out behind later ones.
    pub(super) fn late(&mut self, records: u64) {
        self.report.late_records += records;
    }

    /// The report so far. What seems to be missing behind `frontier` may still come.
    pub(super) fn report(&self, coverage: Coverage, frontier: Timestamp) -> Report {
        let mut report = Report { coverage, ..self.report.clone() };
        let of_writers = self.writers.values();
        let holes = of_writers.flat_map(|(origin, continuity)| missing(*origin, continuity));
        report.missing.extend(holes.filter(|hole| hole.to < frontier));
        report.missing.sort_by_key(|missing| (missing.from, missing.origin, missing.sequence));
        report
    }
}

fn missing(origin: Origin, continuity: &Continuity) -> impl Iterator<Item = Missing> {
    let missing = move |hole: crate::continuity::Hole| Missing {
        origin,
        records: hole.records,
        sequence: hole.sequence,
        from: hole.from,
        to: hole.to,
    };
    continuity.holes(false).map(missing)
}
