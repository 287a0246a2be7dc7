//! What is learned about a store on the way, beside its records: damage, missing records, costs.

use std::collections::BTreeMap;

use logq_format::{BlockHeader, BlockKind, DecodeError, GapCause, Origin, WriterId};

use crate::continuity::Continuity;
use crate::decoder::Findings;
use crate::hop::{Batch, Hopped, sequences};
use crate::report::{Cause, Coverage, GAPS_MAX, Gap, Missing, Report, Statistics};
use crate::segment::Segment;
use crate::strand::Advance;
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
    /// The intact headers of torn blocks, with their segments.
    torn: Vec<(usize, BlockHeader)>,
    /// Which parts of each segment have been seen.
    seen: Vec<Seen>,
    unknown_blocks: u64,
    unknown_records: u64,
    lost_records: u64,
    survey: Option<Survey>,
    pub(crate) statistics: Statistics,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Its first block, its last block, any block.
    first: bool,
    last: bool,
    any: bool,
    /// There are blocks between those seen that have not been.
    in_pieces: bool,
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
            torn: Vec::new(),
            seen: vec![Seen::default(); segments.len()],
            unknown_blocks: 0,
            unknown_records: 0,
            lost_records: 0,
            survey: None,
            statistics,
        }
    }

    /// Notes a segment of which nothing can be read: what writers had in it is missing.
    pub(crate) fn unreadable(&mut self, segment: usize, cause: Cause) {
        if let Some(seen) = self.seen.get_mut(segment) {
            (seen.first, seen.last) = (true, true);
        }
        if let Some(segment) = self.segments.get(segment) {
            let (path, range) = (segment.path().to_owned(), 0..segment.len());
            self.gap(Gap { path, range, cause, origin: None, sequences: None, span: None });
        }
    }

    /// Notes which part of a segment has been seen.
    pub(crate) fn note_part(&mut self, segment: usize, advance: &Advance) {
        if let Some(seen) = self.seen.get_mut(segment) {
            seen.first |= advance.has_first;
            seen.last |= advance.has_last;
            seen.any |= !advance.batch.blocks.is_empty();
            seen.in_pieces = advance.is_apart;
        }
    }

    /// Notes that there are blocks between those seen of a segment that have not been.
    pub(crate) fn in_pieces(&mut self, segment: usize) {
        if let Some(seen) = self.seen.get_mut(segment) {
            seen.in_pieces = true;
        }
    }

    pub(crate) fn batch(&mut self, segment: usize, batch: &mut Batch) {
        self.statistics.bytes_read += batch.bytes_read;
        for gap in batch.gaps.drain(..) {
            self.gap(gap);
        }
        self.torn.extend(batch.torn.drain(..).map(|block| (segment, block.header)));
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
            survey.block(segment, store, header);
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
    pub(crate) fn with_survey(self) -> Self {
        Self { survey: Some(Survey::new(self.segments.len())), ..self }
    }

    pub(crate) fn take_survey(&mut self) -> Option<Survey> {
        self.survey.take()
    }

    /// The report.
    pub(crate) fn finish(mut self, coverage: Coverage) -> Report {
        self.sort_gaps();
        // The same place as the hop and as the decoder see it, or as two slices see it.
        self.gaps.dedup_by(|later, first| {
            later.path == first.path && later.range.end <= first.range.end
        });
        let (unfinished, mut gaps): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.gaps).into_iter().partition(|gap| match gap.cause {
                Cause::Damaged(GapCause::Unfinished) => true,
                Cause::Damaged(GapCause::Torn) => self.is_written_again(gap),
                _ => false,
            });
        self.gaps_omitted += gaps.len().saturating_sub(GAPS_MAX) as u64;
        gaps.truncate(GAPS_MAX);
        self.statistics.segments_read = self.seen.iter().filter(|seen| seen.any).count() as u64;
        Report {
            gaps,
            gaps_omitted: self.gaps_omitted,
            unfinished,
            missing: self.missing(),
            unknown_records: self.unknown_records,
            unknown_blocks: self.unknown_blocks,
            lost_records: self.lost_records,
            late_records: 0,
            coverage,
            statistics: self.statistics,
        }
    }

    /// Sorts the gaps by their places.
    fn sort_gaps(&mut self) {
        // Most answers have none, and there may be thousands of segments.
        if self.gaps.is_empty() {
            return;
        }
        let segments = self.segments.iter().enumerate();
        let order: BTreeMap<_, _> = segments.map(|(index, s)| (s.path(), index)).collect();
        self.gaps.sort_by_key(|gap| {
            (order.get(gap.path.as_path()).copied(), gap.range.start, gap.range.end)
        });
    }

    /// Whether the records of a torn block have been seen elsewhere: a writer whose disk took a part of
    /// it has written it again.
    fn is_written_again(&self, gap: &Gap) -> bool {
        let (Some(origin), Some(numbers)) = (gap.origin, &gap.sequences) else { return false };
        let store = self.segments.iter().find(|segment| segment.path() == gap.path);
        let store = store.map(Segment::store);
        self.writers.iter().any(|((segment, writer), (_, seen))| {
            *writer == origin.writer
                && self.segments.get(*segment).map(Segment::store) == store
                && seen.has(numbers)
        })
    }

    /// The holes in the sequences of all writers that concern the times asked for.
    fn missing(&mut self) -> Vec<Missing> {
        // What a gap with a header says to be lost is not missing besides. Not before the end,
        // because a torn block is written again later, and then is nothing new.
        for (segment, header) in std::mem::take(&mut self.torn) {
            self.writer(segment, header.origin).insert(&header);
        }
        let mut chains: BTreeMap<(usize, WriterId), Chain> = BTreeMap::new();
        let mut missing = Vec::new();
        for ((segment, writer), (origin, continuity)) in std::mem::take(&mut self.writers) {
            let Some(store) = self.segments.get(segment).map(Segment::store) else { continue };
            let is_selection = self.segments.get(segment).is_some_and(Segment::is_selection);
            if is_selection || self.seen.get(segment).is_some_and(|seen| seen.in_pieces) {
                continue;
            }
            let chain = chains.entry((store, writer)).or_insert_with(|| Chain::new(origin));
            if self.is_joined(chain.last_segment, segment) {
                chain.continuity.append(continuity);
            } else {
                missing.extend(chain.holes(self.times));
                chain.continuity = continuity;
                chain.all_before = self.is_all_before(store, segment);
            }
            chain.last_segment = Some(segment);
        }
        missing.extend(chains.into_values().flat_map(|chain| chain.holes(self.times)));
        missing.sort_by_key(|missing| (missing.from, missing.origin, missing.sequence));
        missing
    }

    /// Whether everything between the end of one segment and the start of another has been seen.
    fn is_joined(&self, earlier: Option<usize>, later: usize) -> bool {
        earlier
            .is_some_and(|earlier| self.seen(earlier).last && self.is_seen_from(earlier + 1, later))
    }

    /// Whether everything of a store before one of its segments has been seen.
    fn is_all_before(&self, store: usize, segment: usize) -> bool {
        let first = self.segments.iter().position(|segment| segment.store() == store);
        first.is_some_and(|first| self.begins_store(first) && self.is_seen_from(first, segment))
    }

    /// Whether no segment was before this one, which retention would have deleted.
    fn begins_store(&self, segment: usize) -> bool {
        let head = self.segments.get(segment).and_then(|segment| segment.head().ok());
        let header = head.and_then(|head| head.header.as_ref().ok());
        header.is_some_and(|header| header.predecessor.is_none())
    }

    /// Whether everything from the start of one segment to the start of another has been seen.
    fn is_seen_from(&self, earlier: usize, later: usize) -> bool {
        let is_whole = |segment| {
            let seen = self.seen(segment);
            seen.first && seen.last && !seen.in_pieces
        };
        self.seen(later).first && (earlier..later).all(is_whole)
    }

    fn seen(&self, segment: usize) -> Seen {
        self.seen.get(segment).copied().unwrap_or_default()
    }
}

/// What one writer wrote to consecutive segments.
#[derive(Debug)]
struct Chain {
    origin: Origin,
    continuity: Continuity,
    last_segment: Option<usize>,
    /// Whether everything in the store before its first segment has been seen.
    all_before: bool,
}

impl Chain {
    fn new(origin: Origin) -> Self {
        Self { origin, continuity: Continuity::default(), last_segment: None, all_before: false }
    }

    fn holes(&self, times: Span) -> Vec<Missing> {
        let origin = self.origin;
        self.continuity
            .holes(self.all_before)
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
