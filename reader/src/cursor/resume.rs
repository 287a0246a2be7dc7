//! Where an answer goes on: which stretches of which segments are still to come, and of which of
//! them only a part.

use std::ops::Range;
use std::path::Path;

use logq_format::{BlockHeader, Id, Timestamp};

use super::CursorError;
use super::position::{Extent, HIGHEST, Position, Stores, file_of, is_same};
use crate::coverage::first_time;
use crate::hop::{Hop, Until};
use crate::query::{Order, Query};
use crate::report::{Cause, Gap};
use crate::rows::Rank;
use crate::scale::{STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::seek::Seek;
use crate::segment::Segment;
use crate::shadow::is_again;
use crate::timeline::Timeline;

/// A writer looks for a newer segment at least so often, so it does not write to a segment later
/// than so long after the next one was begun.
const OVERLAP_US: i64 = 60_000_000;

/// A part of a segment, from block to block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The segment's index.
    pub(crate) segment: usize,
    pub(crate) range: Range<u64>,
    /// Only what lies behind the bound with this number, counted from 1, is to come; 0: all of it.
    pub(crate) bound: u8,
}

/// What is still to come of an answer.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    /// The stretches to walk through, those of one segment in their order.
    pub(crate) stretches: Vec<Stretch>,
    /// What the bounds of stretches refer to: with ascending order descending ranks.
    pub(crate) bounds: Vec<Rank>,
    /// Of which stretches something has been handed out.
    pub(crate) known: Vec<Stretch>,
    /// Only what is ranked below it is to come; with ascending order only.
    pub(crate) ceiling: Option<Rank>,
    /// What is no longer there.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) order: Order,
}

impl Resume {
    /// All of so many segments.
    pub(crate) fn all(segments: usize, order: Order) -> Self {
        let whole = |segment| Stretch { segment, range: 0..u64::MAX, bound: 0 };
        Self { stretches: (0..segments).map(whole).collect(), order, ..Self::default() }
    }

    /// What is to come of these segments of so many stores after the query's cursor.
    ///
    /// # Errors
    ///
    /// Fails where the cursor is of other stores or of an answer in another order.
    pub(crate) fn of(
        segments: &[Segment],
        stores: usize,
        query: &Query<'_>,
    ) -> Result<Self, CursorError> {
        let Some(cursor) = query.after else { return Ok(Self::all(segments.len(), query.order)) };
        let position = &cursor.position;
        if position.order != query.order {
            return Err(CursorError::OtherOrder { cursor: position.order });
        }
        let known = Stores::of(segments, stores);
        check_stores(position, &known, segments)?;
        let bounds = position.levels.iter().map(|level| level.rank).collect();
        let mut resume = Self { bounds, order: query.order, ..Self::default() };
        if position.order == Order::Descending {
            let whole = |segment| Stretch { segment, range: 0..u64::MAX, bound: 1 };
            resume.stretches = (0..segments.len()).map(whole).collect();
            return Ok(resume);
        }
        for (index, (segment, (store, number))) in segments.iter().zip(&known.segments).enumerate()
        {
            resume.cut(index, segment, *store, *number, position);
        }
        resume.gaps.extend(deleted(position, &known, segments));
        Ok(resume)
    }

    /// Cuts a segment where the levels of a place end.
    fn cut(&mut self, index: usize, segment: &Segment, store: Id, number: u64, place: &Position) {
        let mut start = 0;
        for (bound, level) in (1..).zip(&place.levels) {
            let extent = level.extents.iter().find(|extent| extent.store == store);
            let Some(extent) = extent else { continue };
            let is_listed = extent.ends.iter().any(|end| end.number == number);
            let file = if is_listed { file_of(segment) } else { 0 };
            let known = extent.known(number, file);
            if known != u64::MAX && known > segment.len() {
                self.gaps.push(truncated(segment, known));
            }
            let end = if known == u64::MAX { known } else { boundary(segment, known) };
            if end > start {
                let stretch = Stretch { segment: index, range: start..end, bound };
                self.known.push(stretch.clone());
                self.stretches.extend((level.rank < HIGHEST).then_some(stretch));
                start = end;
            }
        }
        if start < segment.len() {
            self.stretches.push(Stretch { segment: index, range: start..u64::MAX, bound: 0 });
        }
    }

    /// The times that are to come of a stretch.
    pub(crate) fn times(
        &self,
        stretch: &Stretch,
        query: &Query<'_>,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some((time, ..)) = self.bound(stretch.bound) else { return (query.since, query.until) };
        match self.order {
            Order::Ascending => (query.since.max(Some(time)), query.until),
            Order::Descending => {
                let behind = (time < Timestamp::MAX).then(|| time.saturating_add_micros(1));
                (query.since, query.until.into_iter().chain(behind).min())
            }
        }
    }

    /// Whether all records of a block lie behind a bound, and whether none does, as far as its
    /// header tells.
    pub(crate) fn sides(
        &self,
        bound: u8,
        header: &BlockHeader,
        timeline: Timeline,
    ) -> (bool, bool) {
        let Some(rank) = self.bound(bound) else { return (true, false) };
        let writer = header.origin.writer.0;
        let first = (header.min, writer, header.sequence);
        let is_below = (header.max, writer) < (rank.0, rank.1);
        if timeline.is_descending() { (is_below, first >= rank) } else { (first > rank, is_below) }
    }

    fn bound(&self, bound: u8) -> Option<Rank> {
        self.bounds.get(usize::from(bound).checked_sub(1)?).copied()
    }

    /// The stretches before one with this bound that may hold another copy of a block, of which
    /// something has been handed out; `None` if the block says that there is none.
    pub(crate) fn before_repeat(
        &self,
        bound: u8,
        header: &BlockHeader,
    ) -> Option<impl Iterator<Item = &Stretch>> {
        let min = header.min;
        (is_again(header) && self.order == Order::Ascending).then(move || {
            let is_before = move |stretch: &&Stretch| bound == 0 || stretch.bound < bound;
            let reaches = move |stretch: &&Stretch| {
                self.bound(stretch.bound).is_some_and(|(time, ..)| time >= min)
            };
            self.known.iter().filter(is_before).filter(reaches)
        })
    }
}

/// Where the first block starts that ends behind `known`, the length of the segment at some time.
pub(crate) fn boundary(segment: &Segment, known: u64) -> u64 {
    let Ok(head) = segment.head() else { return known };
    if known >= segment.len() {
        return segment.len();
    }
    if known <= head.start {
        return 0;
    }
    let mut seek = Seek::new(segment, head);
    let mut stride = STRIDE_BYTES;
    let start = loop {
        let from = known.saturating_sub(stride).max(head.start);
        let found = seek.first_block(from, known);
        if from == head.start || stride >= STRIDE_BYTES_MAX {
            break found.unwrap_or(head.start);
        }
        if let Some(start) = found {
            break start;
        }
        stride *= 2;
    };
    let mut hop = Hop::new(segment, head, start);
    let until = Until { offset: known, claims: false, blocks: usize::MAX };
    let batch = hop.batch(until);
    batch.blocks.iter().find(|block| block.end() > known).map_or(known, |block| block.offset)
}

fn check_stores(
    position: &Position,
    known: &Stores,
    segments: &[Segment],
) -> Result<(), CursorError> {
    let of_cursor = || position.levels.iter().flat_map(|level| &level.extents);
    let mut strangers: Vec<Id> = Vec::new();
    for ((id, _), segment) in known.segments.iter().zip(segments) {
        if strangers.contains(id) || of_cursor().any(|extent| extent.store == *id) {
            continue;
        }
        strangers.push(*id);
        if strangers.len() > usize::from(position.unborn) {
            let path = store_path(segment).to_owned();
            return Err(CursorError::OtherStore { path, found: *id });
        }
    }
    let is_missing = |id: &Id| !known.segments.iter().any(|(other, _)| other == id);
    // A store whose segments were all deleted has begun anew with another identity, so only the
    // present one counts.
    let present = position.levels.last().into_iter().flat_map(|level| &level.extents);
    let mut missing: Vec<Id> = present.map(|extent| extent.store).filter(is_missing).collect();
    missing.sort_unstable_by_key(|id| id.0);
    missing.dedup();
    match missing.get(usize::from(known.unborn)) {
        Some(store) => Err(CursorError::MissingStore { store: *store }),
        None => Ok(()),
    }
}

fn store_path(segment: &Segment) -> &Path {
    segment.path().parent().unwrap_or(segment.path())
}

fn truncated(segment: &Segment, known: u64) -> Gap {
    Gap {
        path: segment.path().to_owned(),
        range: segment.len()..known,
        cause: Cause::Truncated,
        origin: None,
        sequences: None,
        span: None,
    }
}

/// The deleted segments that may have held something that was still to come, as one gap a store.
fn deleted(position: &Position, known: &Stores, segments: &[Segment]) -> Vec<Gap> {
    let Some(level) = position.levels.last() else { return Vec::new() };
    let gap = |extent: &Extent| {
        let of_store =
            known.segments.iter().zip(segments).filter(|((id, _), _)| *id == extent.store);
        let mut present: Vec<_> = of_store.map(|((_, number), s)| (*number, s)).collect();
        present.sort_by_key(|(number, _)| *number);
        let oldest = present.first().copied();
        let is_there = |number: u64, file: u32| {
            present.iter().any(|(n, s)| *n == number && is_same(file, file_of(s)))
        };
        let is_gone = |number: u64, file: u32| {
            oldest.is_none_or(|(oldest, _)| number >= oldest) && !is_there(number, file)
        };
        let first = oldest.and_then(|(_, segment)| first_time(segment));
        let overlap = level.rank.0.saturating_add_micros(-OVERLAP_US);
        let is_old_gone = oldest.is_some_and(|(oldest, _)| oldest > extent.oldest)
            && first.is_none_or(|first| first > overlap);
        let is_any = extent.ends.iter().any(|end| is_gone(end.number, end.file)) || is_old_gone;
        is_any.then(|| Gap {
            path: oldest.map(|(_, segment)| store_path(segment).to_owned()).unwrap_or_default(),
            range: 0..0,
            cause: Cause::Vanished,
            origin: None,
            sequences: None,
            span: first.map(|first| (level.rank.0.min(first), first)),
        })
    };
    level.extents.iter().filter_map(gap).collect()
}
