//! The part of the block in the making that some threads fill: their own lock, their own memory.

use std::time::Instant;

use logq_format::limits::BLOCK_SPAN_US_MAX;
use logq_format::{Level, PushError, Record, StagedRecords, Timestamp};

use super::lost::LostTally;
use super::order::Order;
use crate::clock::Clock;
use crate::queue::Queue;

/// Records of some threads.
#[derive(Debug)]
pub(super) struct Stripe {
    pub(super) records: StagedRecords,
    /// When the first of them was staged.
    opened: Option<Instant>,
    /// Dropped records that no block has reported yet.
    pub(super) lost: LostTally,
    /// Whether a record may go in without a look at the whole: nobody has been told that nothing is
    /// held back, and the logger is not closed.
    pub(super) is_open: bool,
    /// No record of the block is earlier.
    span_from: Timestamp,
}

/// What came of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    /// It is the first one of the block in this stripe.
    pub(super) is_first: bool,
    /// The block is to be sealed.
    pub(super) is_full: bool,
}

impl Stripe {
    pub(super) fn new(floor: Timestamp) -> Self {
        Self {
            records: StagedRecords::new(),
            opened: None,
            lost: LostTally::default(),
            is_open: true,
            span_from: floor,
        }
    }

    /// Adds a record of the present, or counts it as lost. `None` where that takes a look at the
    /// whole; nothing has happened then that does harm.
    pub(super) fn add(
        &mut self,
        record: &mut Record<'_>,
        level: Level,
        order: &Order,
        clock: &dyn Clock,
        queue: &Queue,
    ) -> Option<Added> {
        if !self.is_open {
            return None;
        }
        let now = clock.now();
        if order.is_step_back(now) {
            return None;
        }
        record.time = now.max(order.latest());
        if !queue.accepts(level) {
            self.lost.add(level, record.time);
            return Some(Added::default());
        }
        let len = StagedRecords::raw_len_of(&record.event).ok()?;
        if self.is_too_late(record.time) {
            return None;
        }
        let place = order.take(len, record.time);
        if !place.fits() {
            return None;
        }
        let is_first = self.records.is_empty();
        self.put(place.rank, record, queue).ok()?;
        Some(Added { is_first, is_full: place.fills(queue.high_water_mark()) })
    }

    /// Adds a record in its place.
    pub(super) fn put(
        &mut self,
        rank: u32,
        record: &Record<'_>,
        queue: &Queue,
    ) -> Result<(), PushError> {
        self.records.push_ranked(rank, record)?;
        if self.opened.is_none() {
            self.opened = Some(queue.instant());
        }
        Ok(())
    }

    /// Whether a block with the present ones would span too long a time.
    pub(super) fn is_too_late(&self, time: Timestamp) -> bool {
        time.micros_since(self.span_from) > BLOCK_SPAN_US_MAX
    }

    /// Begins another block, of which no record is before `floor`.
    pub(super) fn restart(&mut self, floor: Timestamp) {
        self.opened = None;
        self.span_from = floor;
    }

    /// When the first record was staged.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }
}
