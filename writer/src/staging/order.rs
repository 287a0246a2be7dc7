//! The order of the records of one writer, whichever threads log them: the only thing that all of
//! these share with every call.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use logq_format::{StagedRecords, Timestamp};

use crate::segment::CLAMP_MAX_US;

/// Ranks of the records of the block in the making, and the latest time.
///
/// Both are changed by holders of a stripe's lock, so that whoever holds all of them finds every
/// record that has a rank. What happens before a call has a lower rank than what it logs: an atomic
/// counter has one order for all, and needs no other guarantee.
#[derive(Debug)]
// A line of the cache for itself, and for the neighbour that processors fetch along with it.
#[repr(align(128))]
pub(super) struct Order {
    /// The records of the block so far, in the upper bits, and their bytes.
    taken: AtomicU64,
    /// The time of the latest record of the writer, below which no later one may be.
    latest: AtomicI64,
}

/// The place of a record in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How many records come before it.
    pub(super) rank: u32,
    /// The bytes of these, and its own.
    before: usize,
    len: usize,
}

/// The lowest bit of the count. The bytes below it are those of at most some thousand records of
/// 8 MiB: whoever finds the block full has it sealed.
const ONE: u64 = 1 << COUNT_SHIFT;
const COUNT_SHIFT: u32 = 40;

impl Order {
    pub(super) fn new(latest: Timestamp) -> Self {
        Self { taken: AtomicU64::new(0), latest: AtomicI64::new(latest.as_micros()) }
    }

    /// Gives the next record its place. It is not to be used unless it [fits](Place::fits).
    pub(super) fn take(&self, len: usize, time: Timestamp) -> Place {
        self.raise(time);
        let taken = self.taken.fetch_add(ONE | len as u64, Ordering::Relaxed);
        Place {
            rank: u32::try_from(taken >> COUNT_SHIFT).unwrap_or(u32::MAX),
            before: usize::try_from(taken & (ONE - 1)).unwrap_or(usize::MAX),
            len,
        }
    }

    /// Begins another block. To be called with the locks of all stripes.
    pub(super) fn restart(&self) {
        self.taken.store(0, Ordering::Relaxed);
    }

    pub(super) fn latest(&self) -> Timestamp {
        Timestamp::from_micros(self.latest.load(Ordering::Relaxed))
    }

    /// No later record is before this time.
    pub(super) fn raise(&self, time: Timestamp) {
        let time = time.as_micros();
        // Most often another thread has read the clock in the same microsecond.
        if self.latest.load(Ordering::Relaxed) < time {
            self.latest.fetch_max(time, Ordering::Relaxed);
        }
    }

    /// Another writer goes on from here. To be called with the locks of all stripes.
    pub(super) fn set_back(&self, time: Timestamp) {
        self.latest.store(time.as_micros(), Ordering::Relaxed);
    }

    /// Whether the clock was set back so far that this writer's times cannot wait for it.
    pub(super) fn is_step_back(&self, now: Timestamp) -> bool {
        now < self.latest().saturating_add_micros(-CLAMP_MAX_US)
    }
}

impl Place {
    /// Whether the block has room for the record.
    pub(super) fn fits(&self) -> bool {
        StagedRecords::fits_beside(self.rank, self.before, self.len)
    }

    /// Whether the block has reached the high-water mark with this record; of all its records this is
    /// true for one. A mark of 0 is reached by each first record.
    pub(super) fn fills(&self, high_water_mark: usize) -> bool {
        let mark = high_water_mark.max(1);
        (self.before..self.before + self.len).contains(&(mark - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn records_get_ranks_and_one_of_them_fills_the_block() {
        let order = Order::new(time(5));
        let places = [10, 20, 30, 40].map(|len| order.take(len, time(0)));
        assert_eq!(
            places.map(|place| (place.rank, place.before)),
            [(0, 0), (1, 10), (2, 30), (3, 60)]
        );
        for (mark, fills) in [(0, 0), (1, 0), (10, 0), (11, 1), (30, 1), (60, 2), (61, 3), (100, 3)]
        {
            assert_eq!(places.iter().position(|place| place.fills(mark)), Some(fills), "{mark}");
            assert_eq!(places.iter().filter(|place| place.fills(mark)).count(), 1);
        }
        assert!(places.iter().all(|place| !place.fills(101)));
        order.restart();
        assert_eq!(order.take(7, time(0)), Place { rank: 0, before: 0, len: 7 });
    }

    #[test]
    fn a_block_takes_any_first_record_and_no_more_than_fits() {
        let order = Order::new(time(0));
        let large = 8 << 20;
        assert!(order.take(large + 100, time(0)).fits());
        assert!(!order.take(1, time(0)).fits());
        order.restart();
        assert!(order.take(100, time(0)).fits());
        assert!(order.take(large - 100, time(0)).fits());
        assert!(!order.take(1, time(0)).fits());
    }

    #[test]
    fn time_goes_forward_until_another_writer_begins() {
        let order = Order::new(time(10));
        order.take(1, time(9));
        assert_eq!(order.latest(), time(10));
        order.take(1, time(12));
        assert_eq!(order.latest(), time(12));
        assert!(!order.is_step_back(time(12 - CLAMP_MAX_US)));
        assert!(order.is_step_back(time(11 - CLAMP_MAX_US)));
        order.set_back(time(3));
        assert_eq!(order.latest(), time(3));
    }
}
