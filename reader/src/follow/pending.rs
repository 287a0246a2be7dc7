//! Which blocks of a segment hold records that are still to be handed out.

use std::ops::Range;

use logq_format::{BlockFlags, BlockHeader};

use crate::hop::Hopped;
use crate::rows::Rank;

/// The most pieces that are told apart; beyond, neighbours are taken together. What waits for a
/// stopped writer may be gigabytes, and must not take memory.
const CHUNKS_MAX: usize = if cfg!(test) { 8 } else { 4096 };

/// The blocks, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Pending {
    chunks: Vec<Chunk>,
}

/// One block, or several.
#[derive(Clone, Debug)]
struct Chunk {
    range: Range<u64>,
    /// The lowest and the highest rank that a record in it may have.
    first: Rank,
    last: Rank,
    records: u64,
}

impl Chunk {
    fn of(block: &Hopped) -> Self {
        let header = &block.header;
        let writer = header.origin.writer.0;
        Self {
            range: block.offset..block.end(),
            first: (header.min, writer, header.sequence),
            last: (header.max, writer, last_number(header)),
            records: header.records.into(),
        }
    }

    fn with(first: Option<Self>, next: &Self) -> Option<Self> {
        first.map(|first| Self {
            range: first.range.start..next.range.end,
            first: first.first.min(next.first),
            last: first.last.max(next.last),
            records: first.records.saturating_add(next.records),
        })
    }
}

/// A bound of the sequence numbers in a block.
fn last_number(header: &BlockHeader) -> u64 {
    if header.flags.contains(BlockFlags::SPARSE) {
        return u64::MAX;
    }
    header.sequence.saturating_add(u64::from(header.records)).saturating_sub(1)
}

impl Pending {
    /// Adds a block of records behind all others.
    pub(super) fn push(&mut self, block: &Hopped) {
        self.chunks.push(Chunk::of(block));
        if self.chunks.len() > CHUNKS_MAX {
            let united =
                |pair: &[Chunk]| pair.iter().skip(1).fold(pair.first().cloned(), Chunk::with);
            self.chunks = self.chunks.chunks(2).filter_map(united).collect();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// At most how many records there are.
    pub(super) fn records(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.records).sum()
    }

    /// The parts of the segment that may hold records ranked below `ceiling`.
    pub(super) fn below(&self, ceiling: Rank) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for chunk in self.chunks.iter().filter(|chunk| chunk.first < ceiling) {
            match ranges.last_mut() {
                Some(last) if last.end == chunk.range.start => last.end = chunk.range.end,
                _ => ranges.push(chunk.range.clone()),
            }
        }
        ranges
    }

    /// Forgets blocks of which all records are ranked below `ceiling`.
    pub(super) fn drop_below(&mut self, ceiling: Rank) {
        self.chunks.retain(|chunk| chunk.last >= ceiling);
    }

    /// Forgets what lies behind `len`, where the segment ends now.
    pub(super) fn truncate(&mut self, len: u64) {
        self.chunks.retain(|chunk| chunk.range.end <= len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_format::{BlockKind, Origin, Timestamp, WriterId};

    fn block(offset: u64, from: i64, to: i64) -> Hopped {
        let origin = Origin { writer: WriterId(3), worker: None };
        let mut header =
            BlockHeader::empty(BlockKind::Data, origin, Timestamp::from_micros(from), 0);
        header.max = Timestamp::from_micros(to);
        header.records = 2;
        Hopped { offset, header }
    }

    fn rank(time: i64) -> Rank {
        (Timestamp::from_micros(time), 0, 0)
    }

    #[test]
    fn only_blocks_below_the_ceiling_are_looked_at_and_forgotten_when_done() {
        let mut pending = Pending::default();
        for (index, (from, to)) in [(10, 20), (90, 95), (15, 30)].into_iter().enumerate() {
            pending.push(&block(index as u64 * 72, from, to));
        }
        assert_eq!(pending.below(rank(10)), []);
        assert_eq!(pending.below(rank(16)), [0..72, 144..216]);
        assert_eq!(pending.below(rank(100)), std::slice::from_ref(&(0..216)));
        pending.drop_below(rank(21));
        assert_eq!(pending.below(rank(100)), std::slice::from_ref(&(72..216)));
        assert_eq!(pending.records(), 4);
        pending.truncate(200);
        assert_eq!(pending.below(rank(100)), std::slice::from_ref(&(72..144)));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_forgotten() {
        let mut pending = Pending::default();
        for index in 0..1000 {
            let time = i64::try_from(index).unwrap();
            pending.push(&block(index * 72, 1000 - time, 1000 - time));
        }
        assert!(pending.chunks.len() <= CHUNKS_MAX);
        assert_eq!(pending.records(), 2000);
        assert_eq!(pending.below(rank(5000)), std::slice::from_ref(&(0..72_000)));
        pending.drop_below(rank(5000));
        assert!(pending.is_empty());
    }
}
