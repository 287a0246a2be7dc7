//! Which writer a record of the past belongs to.
//!
//! A writer's times never decrease. Where records come in any other order, several writers share
//! them: each record goes to the lane whose latest time is the closest one before it. This is
//! patience sorting (Mallows, "Problem 62-2, Patience Sorting", SIAM Review 1962) with a bounded
//! number of piles.

use std::collections::HashMap;

use logq_format::{BlockBuilder, Origin, PushError, Record, Timestamp, WorkerId};

use super::{Filled, Holes};
use crate::staging::new_writer_id;

/// The most lanes of one worker that are open at once.
const LANES_MAX: usize = 16;

/// The most writers with identities of their own that have a block in the making at once.
const NAMED_OPEN_MAX: usize = 1024;

/// The most writers with identities of their own that are remembered.
const NAMED_MAX: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Lanes {
    /// Lanes that were made here, by worker.
    anonymous: HashMap<Option<WorkerId>, Vec<Lane>>,
    /// Lanes that continue writers of another store.
    named: HashMap<Origin, Lane>,
    spare: Vec<BlockBuilder>,
}

/// The block in the making of one writer.
struct Lane {
    origin: Origin,
    builder: BlockBuilder,
    first_sequence: u64,
    next_sequence: u64,
    last: Timestamp,
    /// Whether numbers were left out on purpose right before the block in the making.
    is_behind_hole: bool,
    /// Whether the block in the making was one when stragglers were last asked for.
    has_waited: bool,
}

impl Lane {
    fn new(origin: Origin, builder: BlockBuilder) -> Self {
        let (first_sequence, next_sequence, last) = (0, 0, Timestamp::MIN);
        let (is_behind_hole, has_waited) = (false, false);
        Self { origin, builder, first_sequence, next_sequence, last, is_behind_hole, has_waited }
    }

    /// Adds a record with the next sequence number; blocks that are full come back.
    fn push(
        &mut self,
        record: &Record<'_>,
        is_behind_hole: bool,
        mark: usize,
        spare: &mut Vec<BlockBuilder>,
        full: &mut Vec<Filled>,
    ) -> Result<(), PushError> {
        if self.builder.is_empty() {
            (self.first_sequence, self.is_behind_hole) = (self.next_sequence, is_behind_hole);
        }
        match self.builder.push(record) {
            Err(PushError::Full) => {
                full.extend(self.seal(spare));
                (self.first_sequence, self.is_behind_hole) = (self.next_sequence, is_behind_hole);
                self.builder.push(record)?;
            }
            pushed => pushed?,
        }
        self.next_sequence += 1;
        self.last = record.time;
        if self.builder.raw_len() >= mark {
            full.extend(self.seal(spare));
        }
        Ok(())
    }

    fn seal(&mut self, spare: &mut Vec<BlockBuilder>) -> Option<Filled> {
        if self.builder.is_empty() {
            return None;
        }
        let builder = std::mem::replace(&mut self.builder, spare.pop().unwrap_or_default());
        let is_sparse = std::mem::take(&mut self.is_behind_hole);
        self.has_waited = false;
        let (origin, sequence) = (self.origin, self.first_sequence);
        Some(Filled { records: builder, origin, sequence, is_sparse })
    }
}

impl Lanes {
    /// Adds a record to whichever lane suits its time; full blocks go to `full`.
    pub(super) fn push(
        &mut self,
        worker: Option<WorkerId>,
        record: &Record<'_>,
        mark: usize,
        full: &mut Vec<Filled>,
    ) -> Result<(), PushError> {
        let lanes = self.anonymous.entry(worker).or_default();
        let place = suitable(lanes, record.time).unwrap_or_else(|| {
            full.extend(open_lane(lanes, worker, &mut self.spare));
            lanes.len() - 1
        });
        match lanes.get_mut(place) {
            Some(lane) => lane.push(record, false, mark, &mut self.spare, full),
            None => Ok(()),
        }
    }

    /// Adds a record to the lane of this writer, if its time and sequence number allow it.
    pub(super) fn push_as(
        &mut self,
        (origin, sequence): (Origin, u64),
        record: &Record<'_>,
        holes: Holes,
        mark: usize,
        full: &mut Vec<Filled>,
    ) -> Result<(), PushError> {
        if !self.named.contains_key(&origin) {
            if self.named.len() >= NAMED_MAX {
                return Err(PushError::Sequence);
            }
            if self.named.len() % NAMED_OPEN_MAX == NAMED_OPEN_MAX - 1 {
                full.extend(sealed(self.named.values_mut(), &mut self.spare));
            }
        }
        let lane = self
            .named
            .entry(origin)
            .or_insert_with(|| Lane::new(origin, self.spare.pop().unwrap_or_default()));
        if record.time < lane.last {
            return Err(PushError::OutOfOrder);
        }
        let skipped = sequence.checked_sub(lane.next_sequence).ok_or(PushError::Sequence)?;
        // What comes before a writer's first record is no hole.
        let is_behind_hole = skipped > 0 && lane.next_sequence > 0;
        if is_behind_hole && holes == Holes::Lost {
            full.extend(lane.seal(&mut self.spare));
        }
        lane.builder.skip_sequence(skipped);
        lane.next_sequence = sequence;
        let is_sparse = is_behind_hole && holes == Holes::LeftOut;
        lane.push(record, is_sparse, mark, &mut self.spare, full)
    }

    /// Takes all blocks in the making out.
    pub(super) fn drain(&mut self) -> Vec<Filled> {
        let Self { anonymous, named, spare } = self;
        sealed(anonymous.values_mut().flatten().chain(named.values_mut()), spare)
    }

    /// Takes the blocks out that were in the making already when this was last called, unless they are
    /// more than `most`: many small blocks would cost too much.
    pub(super) fn drain_stragglers(&mut self, most: usize) -> Vec<Filled> {
        let Self { anonymous, named, spare } = self;
        let lanes = anonymous.values_mut().flatten().chain(named.values_mut());
        let (waited, begun): (Vec<_>, Vec<_>) = lanes.partition(|lane| lane.has_waited);
        begun.into_iter().for_each(|lane| lane.has_waited = !lane.builder.is_empty());
        if waited.len() <= most { sealed(waited.into_iter(), spare) } else { Vec::new() }
    }

    /// Takes the blocks in the making out of writers that have none among `full`, unless they are more
    /// than `most`. So they may be written before those.
    pub(super) fn drain_others(&mut self, full: &[Filled], most: usize) -> Vec<Filled> {
        let Self { anonymous, named, spare } = self;
        let is_other = |lane: &&mut Lane| {
            !lane.builder.is_empty() && full.iter().all(|filled| filled.origin != lane.origin)
        };
        let lanes = anonymous.values_mut().flatten().chain(named.values_mut());
        let others: Vec<_> = lanes.filter(is_other).collect();
        if others.len() <= most { sealed(others.into_iter(), spare) } else { Vec::new() }
    }

    /// Takes used builders back.
    pub(super) fn recycle(&mut self, builders: impl Iterator<Item = BlockBuilder>) {
        self.spare.extend(builders);
    }
}

/// The blocks in the making of these lanes, in an order that does not depend on hash maps: the same
/// records make the same file.
fn sealed<'a>(
    lanes: impl Iterator<Item = &'a mut Lane>,
    spare: &mut Vec<BlockBuilder>,
) -> Vec<Filled> {
    let mut sealed: Vec<_> = lanes.filter_map(|lane| lane.seal(spare)).collect();
    sealed.sort_by_key(|filled| (filled.records.first_time(), filled.origin));
    sealed
}

/// The lane with the latest time that is not after `time`.
fn suitable(lanes: &[Lane], time: Timestamp) -> Option<usize> {
    let candidates = lanes.iter().enumerate().filter(|(_, lane)| lane.last <= time);
    candidates.max_by_key(|(_, lane)| lane.last).map(|(place, _)| place)
}

/// Opens another lane behind the others; where there are too many, the one that is furthest ahead
/// ends, since it is the least likely to suit what comes next.
fn open_lane(
    lanes: &mut Vec<Lane>,
    worker: Option<WorkerId>,
    spare: &mut Vec<BlockBuilder>,
) -> Option<Filled> {
    let mut ended = None;
    if lanes.len() >= LANES_MAX
        && let Some((place, _)) = lanes.iter().enumerate().max_by_key(|(_, lane)| lane.last)
    {
        ended = lanes.remove(place).seal(spare);
    }
    let origin = Origin { writer: new_writer_id(), worker };
    lanes.push(Lane::new(origin, spare.pop().unwrap_or_default()));
    ended
}

#[cfg(test)]
mod tests {
    use logq_format::{Event, Json, Level, LogSource};

    use super::*;

    /// A record of each of these workers, none of which fills a block.
    fn log(lanes: &mut Lanes, workers: std::ops::Range<u32>) {
        for worker in workers {
            let event = Event::Log {
                source: LogSource::Worker,
                level: Level::Info,
                data: Json::new("1").unwrap(),
            };
            let record = Record { time: Timestamp::from_micros(0), event };
            let mut full = Vec::new();
            lanes.push(WorkerId::new(worker), &record, usize::MAX, &mut full).unwrap();
            assert!(full.is_empty());
        }
    }

    fn drained(lanes: &mut Lanes, most: usize) -> usize {
        lanes.drain_stragglers(most).len()
    }

    #[test]
    fn a_block_that_was_there_the_last_time_is_a_straggler() {
        let mut lanes = Lanes::default();
        log(&mut lanes, 1..3);
        assert_eq!(drained(&mut lanes, 8), 0, "all have just begun");
        log(&mut lanes, 3..4);
        assert_eq!(drained(&mut lanes, 8), 2);
        log(&mut lanes, 1..2);
        assert_eq!(drained(&mut lanes, 8), 1, "the third; the first has begun another one");
        assert_eq!(drained(&mut lanes, 8), 1);
        assert_eq!(drained(&mut lanes, 8), 0);
    }

    #[test]
    fn who_has_no_full_block_can_be_written_first_unless_there_are_many() {
        let mut lanes = Lanes::default();
        log(&mut lanes, 1..4);
        let full = lanes.drain().into_iter().take(1).collect::<Vec<_>>();
        log(&mut lanes, 1..4);
        assert_eq!(lanes.drain_others(&full, 1).len(), 0, "two are too many");
        let others = lanes.drain_others(&full, 2);
        assert_eq!(others.len(), 2);
        assert!(others.iter().all(|other| other.origin != full[0].origin));
        assert_eq!(lanes.drain().len(), 1, "who has a full block keeps the one in the making");
    }

    #[test]
    fn many_stragglers_stay_until_all_are_drained() {
        let mut lanes = Lanes::default();
        log(&mut lanes, 1..10);
        for _ in 0..3 {
            assert_eq!(drained(&mut lanes, 8), 0);
        }
        assert_eq!(lanes.drain().len(), 9);
    }
}
