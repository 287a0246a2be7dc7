//! From segments to slices: consecutive pieces of the query's time, each with the blocks that may
//! hold records of it.
//!
//! Slices are planned while the ones before are being decoded, so a limit that is reached early
//! saves the hops as well, and the plan never holds more than the blocks between the times that
//! claims prove.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use logq_format::BlockKind;
use rayon::prelude::*;

use crate::cursor::{Resume, Stretch};
use crate::decoder::Findings;
use crate::hop::Hopped;
use crate::ledger::Ledger;
use crate::query::Query;
use crate::run::{Slices, micros_since};
use crate::scale::{AHEAD_ADVANCES, LARGE_RAW_BYTES, LARGE_RECORDS, PRIME_SEGMENTS};
use crate::segment::Segment;
use crate::shadow::{Repeat, shadows};
use crate::strand::{Advance, Strand};
use crate::timeline::{BlockRef, Span, Timeline};
use crate::wanted::Wanted;

/// A piece of the query's time.
#[derive(Debug)]
pub(crate) struct Slice {
    /// On the timeline.
    pub(crate) span: Span,
    /// The blocks that have a part in it.
    pub(crate) blocks: Vec<BlockRef>,
}

/// How large slices are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Where no more blocks are left than this, the calling thread works on them as one slice: others
    /// would take longer to start.
    pub(crate) alone: usize,
    /// Where no more than this are left, they are dealt evenly to all threads.
    pub(crate) dealt: usize,
    /// The blocks of the first slice; later ones have more, but at most `most`.
    pub(crate) first: usize,
    pub(crate) most: usize,
    /// A slice also ends when its blocks have so many bytes once decompressed, or so many records.
    pub(crate) raw_bytes: u64,
    pub(crate) records: u64,
}

impl Pace {
    /// The pace of the slices behind one of this pace.
    pub(crate) fn grown(self) -> Self {
        Self { first: self.first.saturating_mul(4).min(self.most), ..self }
    }
}

impl Slice {
    /// Whether its blocks are too much to be decoded at once.
    pub(crate) fn is_large(&self) -> bool {
        is_large(&self.blocks)
    }

    /// The bytes of its blocks once they are decompressed.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.raw_len)).sum()
    }
}

/// Whether blocks are too much to be decoded at once.
pub(crate) fn is_large<'b>(blocks: impl IntoIterator<Item = &'b BlockRef>) -> bool {
    let (bytes, records) = blocks.into_iter().fold((0, 0), |(bytes, records), block| {
        (bytes + u64::from(block.raw_len), records + u64::from(block.records))
    });
    bytes > LARGE_RAW_BYTES || records > LARGE_RECORDS
}

/// Makes slices, in order.
pub(crate) struct Plan<'s, 'q> {
    segments: &'s [Segment],
    resume: &'s Resume,
    /// One for each stretch, unless nothing is to be met in it: most segments of a large store have no
    /// part in an answer.
    strands: Vec<Option<Box<Strand<'s>>>>,
    /// Those that have not ended.
    walking: Vec<usize>,
    wanted: &'s Wanted<'q>,
    timeline: Timeline,
    span: Span,
    /// Blocks that begin later than any slice so far ends.
    upcoming: BinaryHeap<Reverse<ByPlace>>,
    /// Blocks that reach beyond the last slice.
    open: Vec<BlockRef>,
    /// Where the next slice begins.
    at: i64,
    ledger: Ledger<'s>,
    stop: Option<&'q AtomicBool>,
}

impl<'s, 'q> Plan<'s, 'q> {
    /// A plan for the stretches of `resume`.
    pub(crate) fn new(
        segments: &'s [Segment],
        query: &Query<'q>,
        wanted: &'s Wanted<'q>,
        resume: &'s Resume,
        ledger: Ledger<'s>,
    ) -> Self {
        let timeline = Timeline::new(query.order);
        let span = timeline.span(query);
        let strand = |stretch: &Stretch| {
            let (since, until) = resume.times(stretch, query);
            let segment = segments.get(stretch.segment)?;
            let strand = || Strand::new(segment, timeline, since, until);
            let meets = !segment.is_outside(since, until);
            meets.then(|| Box::new(strand().within(stretch.range.clone())))
        };
        let asked = if span.is_empty() { &[] } else { resume.stretches.as_slice() };
        let strands: Vec<_> = asked.iter().map(strand).collect();
        let walking =
            (0..strands.len()).filter(|i| matches!(strands.get(*i), Some(Some(_)))).collect();
        let (upcoming, open, at) = (BinaryHeap::new(), Vec::new(), span.from);
        let stop = query.stop;
        let mut plan = Self {
            segments,
            resume,
            strands,
            walking,
            wanted,
            timeline,
            span,
            upcoming,
            open,
            at,
            ledger,
            stop,
        };
        let start = Instant::now();
        plan.prime();
        plan.ledger.statistics.plan_us += micros_since(start);
        plan
    }

    pub(crate) fn into_ledger(mut self) -> Ledger<'s> {
        // Where a stretch of a segment was left early, nothing is known of what lies between it and
        // the next one.
        for (index, pair) in self.resume.stretches.windows(2).enumerate() {
            let [stretch, next] = pair else { continue };
            let strand = self.strands.get(index).and_then(Option::as_deref);
            let is_left = strand.is_some_and(Strand::is_left_early);
            if stretch.segment == next.segment && is_left {
                self.ledger.in_pieces(stretch.segment);
            }
        }
        self.ledger
    }

    /// The segment that a strand walks through.
    fn segment_of(&self, strand: usize) -> usize {
        self.resume.stretches.get(strand).map_or(usize::MAX, |stretch| stretch.segment)
    }

    fn next(&mut self, pace: Pace) -> Option<Slice> {
        if self.at >= self.span.until || self.stop.is_some_and(|stop| stop.load(Relaxed)) {
            return None;
        }
        let mut taken = Taken::new(std::mem::take(&mut self.open));
        let mut lowest = self.lowest();
        let until = loop {
            let bound = lowest.map_or(i64::MAX, |(bound, _)| bound);
            match (self.upcoming.peek(), lowest) {
                (Some(Reverse(ByPlace(next))), _) if next.low < bound => {
                    if next.low > self.at && taken.is_enough(pace) {
                        break next.low;
                    }
                    taken.extend(self.upcoming.pop().map(|Reverse(ByPlace(block))| block));
                }
                (_, Some((_, index))) => {
                    self.advance(index);
                    lowest = self.lowest();
                }
                (_, None) => break self.span.until,
            }
        };
        let taken = taken.blocks;
        let span = Span { from: self.at, until: until.min(self.span.until) };
        self.at = until;
        self.open = taken.iter().filter(|block| block.high >= until).cloned().collect();
        (!taken.is_empty()).then_some(Slice { span, blocks: taken })
    }

    /// How many blocks are left, if they are no more than `most` and a short look ahead tells.
    fn count_few(&mut self, most: usize) -> Option<usize> {
        for _ in 0..AHEAD_ADVANCES {
            let Some((_, index)) = self.lowest().filter(|_| self.upcoming.len() <= most) else {
                break;
            };
            self.advance(index);
        }
        let left = self.open.len() + self.upcoming.len();
        (self.walking.is_empty() && left <= most).then_some(left)
    }

    /// The strand that is furthest behind, with its bound.
    fn lowest(&self) -> Option<(i64, usize)> {
        let bound = |index: &usize| Some((self.strands.get(*index)?.as_ref()?.bound()?, *index));
        self.walking.iter().filter_map(bound).min()
    }

    fn advance(&mut self, index: usize) {
        if let Some(Some(strand)) = self.strands.get_mut(index) {
            let advance = strand.advance();
            if strand.bound().is_none() {
                self.walking.retain(|walking| *walking != index);
            }
            self.note(index, advance);
        }
    }

    /// Takes the first step of every strand: no slice can be made before.
    fn prime(&mut self) {
        let mut strands = std::mem::take(&mut self.strands);
        let new = strands.iter_mut().enumerate();
        let mut new: Vec<_> =
            new.filter_map(|(index, strand)| Some((index, strand.as_deref_mut()?))).collect();
        for chunk in new.chunks_mut(PRIME_SEGMENTS) {
            let advances: Vec<_> = if let [(_, strand)] = chunk {
                vec![strand.advance()]
            } else {
                chunk.par_iter_mut().map(|(_, strand)| strand.advance()).collect()
            };
            for ((index, _), advance) in chunk.iter().zip(advances) {
                self.note(*index, advance);
            }
        }
        self.strands = strands;
        let strands = &self.strands;
        let goes_on =
            |index: &usize| matches!(strands.get(*index), Some(Some(s)) if s.bound().is_some());
        self.walking.retain(goes_on);
    }

    fn note(&mut self, strand: usize, mut advance: Advance) {
        let index = self.segment_of(strand);
        if let Some(cause) = advance.unreadable {
            self.ledger.unreadable(index, cause);
            return;
        }
        self.ledger.note_part(index, &advance);
        self.ledger.batch(index, &mut advance.batch);
        let bound = self.resume.stretches.get(strand).map_or(0, |stretch| stretch.bound);
        let mut repeats = Vec::new();
        for block in &advance.batch.blocks {
            let is_data = block.header.kind == BlockKind::Data && block.header.records > 0;
            if is_data && self.wanted.admits(&block.header, &mut self.ledger.statistics) {
                repeats.extend(Repeat::of(&block.header, strand, self.resume));
                self.push(index, block, bound);
            }
        }
        for (index, block, bound) in shadows(self.segments, &repeats) {
            let block = BlockRef::new(index, &block, self.timeline);
            let shadow = BlockRef { bound, is_shadow: true, ..block };
            self.upcoming.push(Reverse(ByPlace(shadow)));
        }
    }

    /// Adds a block, unless its bound excludes all of it.
    fn push(&mut self, index: usize, block: &Hopped, bound: u8) {
        let (is_behind, is_before) = self.resume.sides(bound, &block.header, self.timeline);
        if is_before {
            self.ledger.statistics.pruned_by_time += 1;
            return;
        }
        let bound = if is_behind { 0 } else { bound };
        let block = BlockRef { bound, ..BlockRef::new(index, block, self.timeline) };
        self.upcoming.push(Reverse(ByPlace(block)));
    }
}

impl Slices for Plan<'_, '_> {
    /// The next slice, with about `pace.first` blocks more than those that reach into it.
    fn next_slice(&mut self, pace: Pace) -> Option<Slice> {
        self.next(pace)
    }

    fn few(&mut self, most: usize) -> Option<usize> {
        self.count_few(most)
    }

    fn findings(&mut self, findings: Findings) {
        self.ledger.findings(findings);
    }
}

/// The blocks of a slice being cut.
struct Taken {
    blocks: Vec<BlockRef>,
    /// How many of them only reach into the slice.
    reaching: usize,
    raw_bytes: u64,
    records: u64,
}

impl Taken {
    fn new(reaching: Vec<BlockRef>) -> Self {
        let mut taken =
            Self { blocks: Vec::new(), reaching: reaching.len(), raw_bytes: 0, records: 0 };
        taken.extend(reaching);
        taken
    }

    fn extend(&mut self, blocks: impl IntoIterator<Item = BlockRef>) {
        for block in blocks {
            self.raw_bytes += u64::from(block.raw_len);
            self.records += u64::from(block.records);
            self.blocks.push(block);
        }
    }

    /// Whether these are as many new blocks as wanted, or as many as is good for memory.
    fn is_enough(&self, pace: Pace) -> bool {
        let new = self.blocks.len() - self.reaching;
        let are_large = self.raw_bytes >= pace.raw_bytes || self.records >= pace.records;
        new >= pace.first || (new > 0 && are_large)
    }
}

/// Blocks in the order of their first places.
struct ByPlace(BlockRef);

impl ByPlace {
    fn rank(&self) -> (i64, u32, u64) {
        (self.0.low, self.0.segment, self.0.offset)
    }
}

impl Ord for ByPlace {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for ByPlace {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for ByPlace {}
