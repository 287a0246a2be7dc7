//! One process of the simulated cluster: its clock, what it holds in memory, what it promises.

use fastrand::Rng;
use logq_format::{
    BlockBuilder, ClockStep, Event, Member, Origin, Record, SyncMarker, Timestamp, WorkerId,
    WriterId,
};

use super::records;
use super::segment::EncodedBlock;
use crate::naive::NaiveRecord;

/// A master or worker.
pub(super) struct Process {
    pub(super) origin: Origin,
    /// The index of the segment it has joined last.
    pub(super) segment: usize,
    /// The epoch of the clock that it knows of.
    pub(super) epoch: u32,
    /// How far its clock is ahead of the machine's.
    skew_us: i64,
    /// It writes nothing earlier than this.
    pub(super) last: Timestamp,
    /// The records it holds, for a first write and for a repeated one.
    pub(super) builders: [BlockBuilder; 2],
    /// The same records.
    pub(super) pending: Vec<NaiveRecord>,
    /// The number of its next record.
    pub(super) sequence: u64,
    /// Records dropped and not yet told of.
    pub(super) dropped: u64,
    /// A block whose write failed: nothing else is written before it.
    pub(super) unfinished: Option<EncodedBlock>,
    pub(super) stalled_until_us: i64,
    pub(super) killed: bool,
}

impl Process {
    pub(super) fn new(
        writer: WriterId,
        worker: Option<WorkerId>,
        skew_us: i64,
        epoch: u32,
    ) -> Self {
        Self {
            origin: Origin { writer, worker },
            segment: 0,
            epoch,
            skew_us,
            last: Timestamp::MIN,
            builders: Default::default(),
            pending: Vec::new(),
            sequence: 0,
            dropped: 0,
            unfinished: None,
            stalled_until_us: 0,
            killed: false,
        }
    }

    /// Goes on as another writer, because the clock went back by more than can be clamped.
    pub(super) fn start_epoch(&mut self, writer: WriterId, epoch: u32) {
        let origin = Origin { writer, ..self.origin };
        let (last, sequence) = (Timestamp::MIN, 0);
        let dropped = std::mem::take(&mut self.dropped);
        *self = Self {
            origin,
            last,
            sequence,
            dropped,
            stalled_until_us: self.stalled_until_us,
            ..Self::new(writer, origin.worker, self.skew_us, epoch)
        };
    }

    /// Looks at the clock: from now on it writes nothing earlier than what that shows.
    pub(super) fn sees(&mut self, wall: Timestamp) {
        self.last = self.last.max(wall.saturating_add_micros(self.skew_us));
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.pending.is_empty() && self.unfinished.is_none()
    }

    /// Everything that it appends from now on has this time or a later one.
    pub(super) fn floor(&self) -> Timestamp {
        let pending = self.pending.first().map(|record| record.time);
        let unfinished = self.unfinished.as_ref().map(|block| block.min);
        unfinished.or(pending).unwrap_or(self.last)
    }

    pub(super) fn member(&self) -> Member {
        let first = self.unfinished.as_ref().map(|block| block.sequence);
        let pending = self.pending.first().map(|record| record.sequence);
        Member {
            origin: self.origin,
            floor: self.floor(),
            sequence: first.or(pending).unwrap_or(self.sequence),
            pid: self.origin.writer.0 % 30_000 + 300,
            slot: self.origin.worker.map_or(1, |worker| worker.get() + 1),
        }
    }

    /// Logs something, now and then with the marker of the segment in it.
    pub(super) fn log(&mut self, random: &mut Rng, marker: SyncMarker) {
        let (origin, sequence, time) = (self.origin, self.sequence, self.last);
        records::with_random_event(random, origin, sequence, time, marker, |event| {
            self.push(event);
        });
    }

    pub(super) fn log_clock_step(&mut self) {
        let expected = self.last.saturating_add_micros(3_600_000_000);
        self.push(Event::ClockStep(ClockStep { expected, found: self.last }));
    }

    fn push(&mut self, event: Event<'_>) {
        let record = Record { time: self.last, event };
        // Blocks of the simulation are far from their limits, and `last` never decreases.
        if self.builders.iter_mut().all(|builder| builder.push(&record).is_ok()) {
            self.pending.push(NaiveRecord::new(&record, self.origin, self.sequence));
            self.sequence += 1;
        }
    }
}
