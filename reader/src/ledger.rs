//! What is learned about a store on the way, beside its records: damage, missing records, costs.

use std::collections::BTreeMap;

use logq_format::{BlockHeader, BlockKind, DecodeError, GapCause, Origin, WriterId};

use crate::continuity::Continuity;
use crate::decoder::Findings;
use crate::hop::{Batch, Hopped, sequences};
use crate::report::{Cause, Coverage, GAPS_MAX, Gap, Missing, Report, Statistics};
use crate::segment::Segment;
use crate::summary::Survey;
use crate::timeline::Span;

/// Collects a [`Report`].
#[derive(Debug)]
pub(crate) struct Ledger<'s> {
    segments: &'s [Segment],
    /// The times asked for, in microseconds.
    times: Span,
    gaps: Vec<Gap>,
    gaps_omitted: u64,
    /// For each segment and each writer that has blocks in it, the sequence numbers seen.
    writers: BTreeMap<(usize, WriterId), (Origin, Continuity)>,
    /// For each segment whether its first and its last block have been seen.
    edges: Vec<Edges>,
    unknown_blocks: u64,
    unknown_records: u64,
    lost_records: u64,
    survey: Option<Survey>,
    pub(crate) statistics: Statistics,
}

#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    start: bool,
    end: bool,
    /// Whether any block has been seen.
    any: bool,
}

impl<'s> Ledger<'s> {
    pub(crate) fn new(segments: &'s [Segment], times: Span) -> Self {
        let statistics = Statistics { segments: segments.len() as u64, ..Statistics::default() };
        Self {
            segments,
            times,
            gaps: Vec::new(),
            gaps_omitted: 0,
            writers: BTreeMap::new(),
            edges: vec![Edges::default(); segments.len()],
            unknown_blocks: 0,
            unknown_records: 0,
            lost_records: 0,
            survey: None,
            statistics,
        }
    }

    /// Notes a segment of which nothing can be read: what writers had in it is missing.
    pub(crate) fn unreadable(&mut self, segment: usize, cause: Cause) {
        self.edge(segment, true, true);
        if let Some(segment) = self.segments.get(segment) {
            let (path, range) = (segment.path().to_owned(), 0..segment.len());
            self.gap(Gap { path, range, cause, origin: None, sequences: None, span: None });
        }
    }

    /// Notes that the first, or the last, block of a segment has been seen.
    pub(crate) fn edge(&mut self, segment: usize, start: bool, end: bool) {
        if let Some(edges) = self.edges.get_mut(segment) {
            edges.start |= start;
            edges.end |= end;
        }
    }

    pub(crate) fn batch(&mut self, segment: usize, batch: &mut Batch) {
        self.statistics.bytes_read += batch.bytes_read;
        if let Some(edges) = self.edges.get_mut(segment) {
            edges.any |= !batch.blocks.is_empty();
        }
        for gap in batch.gaps.drain(..) {
            self.gap(gap);
        }
        // What a gap with a header says to be lost is not missing besides.
        for torn in &batch.torn {
            self.writer(segment, torn.header.origin).insert(&torn.header);
        }
        for ping in &batch.pings {
            for member in &ping.claims.roster {
                let to = ping.claims.now;
                self.writer(segment, member.origin).expect(member.sequence, member.floor, to);
            }
        }
        for block in &batch.blocks {
            self.block(segment, block);
        }
    }

    fn block(&mut self, segment: usize, block: &Hopped) {
        let header = &block.header;
        if let BlockKind::Other(byte) = header.kind {
            self.unknown_kind(segment, block, byte);
        }
        let new = self.writer(segment, header.origin).insert(header);
        // A block that was written twice says twice what was lost before it.
        let is_repeated = header.records > 0 && new == 0;
        let lost = if is_repeated { 0 } else { u64::from(header.lost) };
        if let Some(survey) = &mut self.survey {
            let store = self.segments.get(segment).map_or(0, Segment::store);
            survey.block(segment, store, header, new, lost);
        }
        let (min, max) = (header.min.as_micros(), header.max.as_micros());
        if self.times.meets(min, max) {
            self.lost_records += lost;
        }
    }

    fn writer(&mut self, segment: usize, origin: Origin) -> &mut Continuity {
        let key = (segment, origin.writer);
        let (_, continuity) =
            self.writers.entry(key).or_insert_with(|| (origin, Continuity::default()));
        continuity
    }

    /// A block of a kind that this version does not know is passed over; if it may hold records,
    /// that leaves a gap.
    fn unknown_kind(&mut self, segment: usize, block: &Hopped, byte: u8) {
        if block.header.kind.is_skippable() {
            self.unknown_blocks += 1;
            return;
        }
        let error = DecodeError::Newer { what: "block kind", found: u64::from(byte) };
        if let Some(gap) = content_gap(self.segments, segment, block, error) {
            self.gap(gap);
        }
    }

    /// Notes a damaged place; some are found twice.
    pub(crate) fn gap(&mut self, gap: Gap) {
        if self.gaps.len() < 2 * GAPS_MAX {
            self.gaps.push(gap);
        } else {
            self.gaps_omitted += 1;
        }
    }

    /// Notes what decoding a slice brought.
    pub(crate) fn findings(&mut self, findings: Findings) {
        for gap in findings.gaps {
            self.gap(gap);
        }
        self.unknown_records += findings.unknown_records;
        self.statistics.add(&findings.statistics);
    }

    /// Keeps account of everything, for a [`Summary`](crate::Summary).
    pub(crate) fn survey(&mut self) {
        self.survey = Some(Survey::new(self.segments.len()));
    }

    pub(crate) fn take_survey(&mut self) -> Option<Survey> {
        self.survey.take()
    }

    /// The report.
    pub(crate) fn finish(mut self, coverage: Coverage) -> Report {
        let order: BTreeMap<_, _> =
            self.segments.iter().enumerate().map(|(index, s)| (s.path(), index)).collect();
        self.gaps.sort_by_key(|gap| {
            (order.get(gap.path.as_path()).copied(), gap.range.start, gap.range.end)
        });
        // The same place as the hop and as the decoder see it, or as two slices see it.
        self.gaps.dedup_by(|later, first| {
            later.path == first.path && later.range.end <= first.range.end
        });
        let (unfinished, mut gaps): (Vec<_>, Vec<_>) = std::mem::take(&mut self.gaps)
            .into_iter()
            .partition(|gap| gap.cause == Cause::Damaged(GapCause::Unfinished));
        self.gaps_omitted += gaps.len().saturating_sub(GAPS_MAX) as u64;
        gaps.truncate(GAPS_MAX);
        self.statistics.segments_read = self.edges.iter().filter(|edges| edges.any).count() as u64;
        Report {
            gaps,
            gaps_omitted: self.gaps_omitted,
            unfinished,
            missing: self.missing(),
            unknown_records: self.unknown_records,
            unknown_blocks: self.unknown_blocks,
            lost_records: self.lost_records,
            coverage,
            statistics: self.statistics,
        }
    }

    /// The holes in the sequences of all writers that concern the times asked for.
    fn missing(&mut self) -> Vec<Missing> {
        let mut chains: BTreeMap<(usize, WriterId), Chain> = BTreeMap::new();
        let mut missing = Vec::new();
        for ((segment, writer), (origin, continuity)) in std::mem::take(&mut self.writers) {
            let Some(store) = self.segments.get(segment).map(Segment::store) else { continue };
            let chain = chains.entry((store, writer)).or_insert_with(|| Chain::new(origin));
            if self.is_joined(chain.last_segment, segment) {
                chain.continuity.append(continuity);
            } else {
                missing.extend(chain.holes(self.times));
                chain.continuity = continuity;
            }
            chain.last_segment = Some(segment);
        }
        missing.extend(chains.into_values().flat_map(|chain| chain.holes(self.times)));
        missing.sort_by_key(|missing| (missing.from, missing.origin, missing.sequence));
        missing
    }

    /// Whether everything between the end of one segment and the start of another has been seen.
    fn is_joined(&self, earlier: Option<usize>, later: usize) -> bool {
        let Some(earlier) = earlier else { return false };
        (earlier..later).all(|segment| {
            let edges = |segment: usize| self.edges.get(segment).copied().unwrap_or_default();
            edges(segment).end && edges(segment + 1).start
        })
    }
}

/// What one writer wrote to consecutive segments.
#[derive(Debug)]
struct Chain {
    origin: Origin,
    continuity: Continuity,
    last_segment: Option<usize>,
}

impl Chain {
    fn new(origin: Origin) -> Self {
        Self { origin, continuity: Continuity::default(), last_segment: None }
    }

    fn holes(&self, times: Span) -> Vec<Missing> {
        let origin = self.origin;
        self.continuity
            .holes()
            .map(|hole| Missing {
                origin,
                records: hole.records,
                sequence: hole.sequence,
                from: hole.from,
                to: hole.to,
            })
            .filter(|missing| times.meets(missing.from.as_micros(), missing.to.as_micros()))
            .collect()
    }
}

/// The gap that a block leaves whose content cannot be used.
pub(crate) fn content_gap(
    segments: &[Segment],
    segment: usize,
    block: &Hopped,
    error: DecodeError,
) -> Option<Gap> {
    let header: &BlockHeader = &block.header;
    Some(Gap {
        path: segments.get(segment)?.path().to_owned(),
        range: block.offset..block.offset.saturating_add(header.block_len() as u64),
        cause: GapCause::Content(error).into(),
        origin: Some(header.origin),
        sequences: Some(sequences(header)),
        span: Some((header.min, header.max)),
    })
}
