//! Which sequence numbers of a writer have been seen, in whatever order its blocks come.

use std::ops::Range;

use logq_format::{BlockFlags, BlockHeader, BlockKind, Timestamp};

use crate::hop::sequences;

/// The sequence numbers seen of one writer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Continuity {
    /// Apart from each other, ascending.
    runs: Vec<Run>,
    /// The writer leaves out numbers: a jump means nothing.
    is_sparse: bool,
}

/// Consecutive sequence numbers, `start..end`.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
    /// The earliest and the latest time of its records.
    min: Timestamp,
    max: Timestamp,
    /// Whether a block of the writer itself tells that what follows is in this segment or later.
    /// Rosters lag behind, and what a writer had in memory when it joined may still have gone into
    /// the segment before.
    is_sure: bool,
}

/// Sequence numbers between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) sequence: u64,
    pub(crate) records: u64,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Continuity {
    /// Adds the numbers of a block, and answers how many of them are new. A block without records
    /// tells which number comes next.
    pub(crate) fn insert(&mut self, header: &BlockHeader) -> u64 {
        self.is_sparse |= header.flags.contains(BlockFlags::SPARSE);
        let Range { start, end } = sequences(header);
        let is_sure = header.kind != BlockKind::Join;
        self.add(Run { start, end, min: header.min, max: header.max, is_sure })
    }

    /// Begins behind a block, as if everything before it had been seen.
    pub(crate) fn begin(&mut self, header: &BlockHeader) {
        if self.runs.last().is_none_or(|run| run.end <= sequences(header).end) {
            self.runs.clear();
        }
        self.insert(header);
    }

    /// Notes that at the time `to` the next number was `next` or, as rosters may lag behind, a higher
    /// one; everything numbered so or higher has the time `floor` or a later one.
    pub(crate) fn expect(&mut self, next: u64, floor: Timestamp, to: Timestamp) {
        let run = Run { start: next, end: next, min: to.max(floor), max: floor, is_sure: false };
        self.add(run);
    }

    /// Whether all of these numbers have been seen.
    pub(crate) fn has(&self, numbers: &Range<u64>) -> bool {
        let holds = |run: &Run| run.start <= numbers.start && numbers.end <= run.end;
        !self.is_sparse && self.runs.iter().any(holds)
    }

    /// Adds what was seen of the same writer elsewhere.
    pub(crate) fn append(&mut self, other: Self) {
        self.is_sparse |= other.is_sparse;
        for run in other.runs {
            self.add(run);
        }
    }

    fn add(&mut self, new: Run) -> u64 {
        // The runs that touch or overlap the new one become one with it.
        let first = self.runs.partition_point(|run| run.end < new.start);
        let behind = self.runs.partition_point(|run| run.start <= new.end);
        let touched = self.runs.get(first..behind).unwrap_or_default();
        let known: u64 = touched.iter().map(Run::len).sum();
        let merged = touched.iter().fold(new, |merged, run| merged.and(run));
        match self.runs.get_mut(first) {
            // By far the most frequent: the block goes on where the one before ended.
            Some(run) if behind == first + 1 => *run = merged,
            _ => drop(self.runs.splice(first..behind.max(first), [merged])),
        }
        merged.len() - known
    }

    /// The numbers that have not been seen between those that have.
    ///
    /// With `all_before` everything that was written before has been seen too. Without, what follows
    /// the number in a roster may have been written before the roster.
    pub(crate) fn holes(&self, all_before: bool) -> impl Iterator<Item = Hole> {
        let runs: &[Run] = if self.is_sparse { &[] } else { &self.runs };
        runs.windows(2).filter_map(move |pair| {
            let [before, after] = pair else { return None };
            (all_before || before.is_sure).then(|| Hole {
                sequence: before.end,
                records: after.start.saturating_sub(before.end),
                from: before.max,
                to: after.min.max(before.max),
            })
        })
    }
}

impl Run {
    fn len(&self) -> u64 {
        self.end - self.start
    }

    /// This run and another one that touches or overlaps it.
    fn and(self, other: &Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            is_sure: self.is_sure || other.is_sure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_format::{Origin, WriterId};
    use proptest::prelude::*;

    fn block(sequence: u64, records: u32, flags: BlockFlags) -> BlockHeader {
        let origin = Origin { writer: WriterId(1), worker: None };
        let time = |n: u64| Timestamp::from_micros(i64::try_from(n).unwrap() * 10);
        let mut header = BlockHeader::empty(BlockKind::Data, origin, time(sequence), sequence);
        header.records = records;
        header.max = time(sequence + u64::from(records));
        header.flags = flags;
        header
    }

    #[test]
    fn a_jump_is_a_hole_bounded_by_the_times_around() {
        let mut seen = Continuity::default();
        assert_eq!(seen.insert(&block(5, 5, BlockFlags::NONE)), 5);
        assert_eq!(seen.insert(&block(13, 2, BlockFlags::NONE)), 2);
        let hole = Hole {
            sequence: 10,
            records: 3,
            from: Timestamp::from_micros(100),
            to: Timestamp::from_micros(130),
        };
        assert_eq!(seen.holes(false).collect::<Vec<_>>(), [hole]);
    }

    #[test]
    fn a_block_without_records_tells_what_was_lost_before_it() {
        let mut seen = Continuity::default();
        seen.insert(&block(0, 5, BlockFlags::NONE));
        assert_eq!(seen.insert(&block(5, 0, BlockFlags::NONE)), 0);
        assert_eq!(seen.holes(false).count(), 0, "a ping in its place");
        seen.insert(&block(7, 0, BlockFlags::NONE));
        assert_eq!(seen.holes(false).map(|hole| hole.records).sum::<u64>(), 2);
    }

    #[test]
    fn what_a_writer_had_in_memory_when_it_joined_may_be_in_the_segment_before() {
        let mut seen = Continuity::default();
        let mut join = block(5, 0, BlockFlags::NONE);
        join.kind = BlockKind::Join;
        seen.insert(&join);
        seen.insert(&block(8, 2, BlockFlags::NONE));
        assert_eq!(seen.holes(false).count(), 0, "the segment before was deleted");
        assert_eq!(seen.holes(true).map(|hole| hole.records).sum::<u64>(), 3, "it has been seen");
    }

    #[test]
    fn blocks_written_twice_bring_nothing_new() {
        let mut seen = Continuity::default();
        assert_eq!(seen.insert(&block(0, 5, BlockFlags::NONE)), 5);
        assert_eq!(seen.insert(&block(0, 5, BlockFlags::RETRIED)), 0);
        assert_eq!(seen.insert(&block(3, 5, BlockFlags::NONE)), 3);
    }

    #[test]
    fn jumps_of_sparse_writers_mean_nothing() {
        let mut seen = Continuity::default();
        seen.insert(&block(0, 5, BlockFlags::NONE));
        seen.insert(&block(9, 5, BlockFlags::SPARSE));
        seen.insert(&block(20, 5, BlockFlags::NONE));
        assert_eq!(seen.holes(false).count(), 0);
    }

    #[test]
    fn a_roster_tells_what_was_lost_at_the_end() {
        let mut seen = Continuity::default();
        seen.insert(&block(0, 5, BlockFlags::NONE));
        seen.expect(5, Timestamp::from_micros(50), Timestamp::from_micros(60));
        assert_eq!(seen.holes(false).count(), 0);
        seen.expect(8, Timestamp::from_micros(70), Timestamp::from_micros(90));
        let (from, to) = (Timestamp::from_micros(50), Timestamp::from_micros(90));
        assert_eq!(
            seen.holes(false).collect::<Vec<_>>(),
            [Hole { sequence: 5, records: 3, from, to }]
        );
        seen.insert(&block(12, 1, BlockFlags::NONE));
        assert_eq!(seen.holes(false).count(), 1, "8 to 11 may have been written before the roster");
        assert_eq!(seen.holes(true).count(), 2, "unless that has been seen");
    }

    proptest! {
        #[test]
        fn the_order_of_blocks_does_not_matter(
            blocks in proptest::collection::vec((0_u64..60, 0_u32..6), 0..30),
            seed in any::<u64>(),
        ) {
            let mut numbers = std::collections::BTreeSet::new();
            let mut seen = Continuity::default();
            for (start, records) in &blocks {
                let new = (*start..start + u64::from(*records)).filter(|n| numbers.insert(*n)).count();
                prop_assert_eq!(seen.insert(&block(*start, *records, BlockFlags::NONE)), new as u64);
            }
            let mut shuffled = blocks.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            let mut again = Continuity::default();
            for (start, records) in shuffled {
                again.insert(&block(start, records, BlockFlags::NONE));
            }
            let holes: Vec<_> = seen.holes(false).collect();
            prop_assert_eq!(&holes, &again.holes(false).collect::<Vec<_>>());
            for hole in holes {
                let range = hole.sequence..hole.sequence + hole.records;
                prop_assert!(!range.is_empty() && range.clone().all(|n| !numbers.contains(&n)));
            }
        }
    }
}
