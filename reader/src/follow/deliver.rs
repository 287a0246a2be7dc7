//! Handing records out, and knowing what has been handed out whenever the caller stops.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use logq_format::BlockKind;

use super::account::Account;
use crate::cursor::{Cursors, Stretch};
use crate::decoder::{Decoder, Depth, Findings};
use crate::error::ReadError;
use crate::hop::{Hop, Hopped, Until};
use crate::plan::{Pace, Slice};
use crate::rows::{Blocks, Key, Rank, Rows};
use crate::run::{Sink, Slices, run};
use crate::scale::{BATCH_BLOCKS_MAX, SCAN_PACE};
use crate::segment::Segment;
use crate::select::{Receiver, Selection};
use crate::shadow::{Repeat, is_again, shadows};
use crate::timeline::{BlockRef, Span, Timeline};
use crate::wanted::Wanted;

/// What was handed out.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) records: u64,
    /// Of these, those that came behind later ones.
    pub(super) late: u64,
    /// The highest rank.
    pub(super) highest: Option<Rank>,
    /// Where the caller has stopped it.
    pub(super) stopped: Option<Place>,
}

/// The end of a piece that was handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The rank of its last record.
    pub(super) rank: Rank,
    /// The segment of its first block, and where that ends.
    pub(super) segment: usize,
    pub(super) end: u64,
}

/// A piece with what the caller made of it.
struct Piece<T> {
    value: T,
    place: Place,
    records: u64,
    late: u64,
}

/// Hands out the records of all slices. `before` is the highest rank that has been handed out.
pub(super) fn hand_out<T: Send>(
    slices: &mut impl Slices,
    decoder: &Decoder<'_, '_>,
    before: Option<Rank>,
    cursors: impl Fn(&Slice) -> Cursors + Sync,
    map: impl Fn(&Rows<'_>, &Cursors) -> T + Sync,
    mut fold: impl FnMut(T) -> ControlFlow<()>,
) -> Result<Outcome, ReadError> {
    let mut outcome = Outcome::default();
    let work = |slice: &Slice, limit: usize, sink: Sink<'_, Piece<T>>| {
        let mut findings = Findings::default();
        let chosen: Vec<_> = (0..slice.blocks.len()).collect();
        let selection = Selection { chosen: &chosen, depth: Depth::Record, limit };
        let cursors = cursors(slice);
        let mut mapped = Mapped { map: &map, cursors: &cursors, slice, before, sink };
        decoder.select(slice, selection, &mut findings, &mut mapped)?;
        Ok(findings)
    };
    run(slices, SCAN_PACE, None, work, |piece| {
        outcome.records += piece.records;
        outcome.late += piece.late;
        outcome.highest = outcome.highest.max(Some(piece.place.rank));
        let go_on = fold(piece.value);
        if go_on.is_break() {
            outcome.stopped = Some(piece.place);
        }
        go_on
    })?;
    Ok(outcome)
}

/// Applies the caller's `map` to the rows of a slice.
struct Mapped<'m, 'k, T, F> {
    map: &'m F,
    cursors: &'m Cursors,
    slice: &'m Slice,
    before: Option<Rank>,
    sink: Sink<'k, Piece<T>>,
}

impl<T, F: Fn(&Rows<'_>, &Cursors) -> T> Receiver for Mapped<'_, '_, T, F> {
    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        let Some(last) = keys.last() else { return ControlFlow::Continue(()) };
        let rows = Rows::new(keys, blocks);
        let late = keys.iter().take_while(|key| Some(key.rank()) < self.before).count();
        let first = self.slice.blocks.first();
        let (segment, end) = first
            .map_or((0, 0), |block| (block.segment as usize, block.offset + u64::from(block.len)));
        let piece = Piece {
            value: (self.map)(&rows, self.cursors),
            place: Place { rank: last.rank(), segment, end },
            records: keys.len() as u64,
            late: late as u64,
        };
        (self.sink)(piece, keys.len())
    }
}

/// Blocks in the order in which they were appended, each a slice of its own.
pub(super) struct Arrivals<'s, 'q> {
    segments: &'s [Segment],
    wanted: &'s Wanted<'q>,
    /// What is new, by segment.
    ranges: VecDeque<(usize, Range<u64>)>,
    /// What has been handed out before, by segment.
    known: &'s [u64],
    walk: Option<(Hop<'s>, usize, u64)>,
    batch: VecDeque<(usize, Hopped)>,
    account: &'s mut Account,
}

impl<'s, 'q> Arrivals<'s, 'q> {
    pub(super) fn new(
        segments: &'s [Segment],
        wanted: &'s Wanted<'q>,
        ranges: VecDeque<(usize, Range<u64>)>,
        known: &'s [u64],
        account: &'s mut Account,
    ) -> Self {
        Self { segments, wanted, ranges, known, walk: None, batch: VecDeque::new(), account }
    }

    fn next_block(&mut self) -> Option<(usize, Hopped)> {
        loop {
            if let Some(block) = self.batch.pop_front() {
                return Some(block);
            }
            let (mut hop, segment, end) = match self.walk.take() {
                Some(walk) => walk,
                None => {
                    let (index, range) = self.ranges.pop_front()?;
                    let segment = self.segments.get(index)?;
                    let Ok(head) = segment.head() else { continue };
                    (Hop::new(segment, head, range.start.max(head.start)), index, range.end)
                }
            };
            let until = Until { offset: end, claims: false, blocks: BATCH_BLOCKS_MAX };
            let batch = hop.batch(until);
            if batch.blocks.len() == BATCH_BLOCKS_MAX {
                self.walk = Some((hop, segment, end));
            }
            self.batch.extend(batch.blocks.into_iter().map(|block| (segment, block)));
        }
    }

    /// The slice of a block, with the copies of it that have been handed out.
    fn slice(&self, index: usize, block: &Hopped) -> Slice {
        let timeline = Timeline::new(crate::Order::Ascending);
        let mut blocks = vec![BlockRef::new(index, block, timeline)];
        if is_again(&block.header) {
            let all = |(segment, known): (usize, &u64)| {
                let end = match segment.cmp(&index) {
                    std::cmp::Ordering::Less => u64::MAX,
                    std::cmp::Ordering::Equal => block.offset,
                    std::cmp::Ordering::Greater => *known,
                };
                Stretch { segment, range: 0..end, bound: 1 }
            };
            let known = self.known.iter().enumerate().map(all).collect();
            let repeats: Vec<_> = Repeat::within(&block.header, known).into_iter().collect();
            let shadow = |(index, block, bound): (usize, Hopped, u8)| BlockRef {
                bound,
                is_shadow: true,
                ..BlockRef::new(index, &block, timeline)
            };
            blocks.extend(shadows(self.segments, &repeats).into_iter().map(shadow));
        }
        Slice { span: Span { from: i64::MIN, until: i64::MAX }, blocks }
    }
}

impl Slices for Arrivals<'_, '_> {
    fn next_slice(&mut self, _pace: Pace) -> Option<Slice> {
        loop {
            let (index, block) = self.next_block()?;
            let header = &block.header;
            let is_data = header.kind == BlockKind::Data && header.records > 0;
            let statistics = self.account.statistics();
            if is_data && self.wanted.admits(header, statistics) {
                return Some(self.slice(index, &block));
            }
        }
    }

    fn findings(&mut self, findings: Findings) {
        self.account.findings(findings);
    }
}
