//! The front of a logger: where a caller's record gets its time and goes into the block in the
//! making, under a lock that is held for no longer than a copy.

use std::time::{Duration, Instant};

use logq_directory::{Idle, Presence};
use logq_format::{
    ClockStep, Event, Json, Level, Lost, Origin, PushError, Record, StagedRecords, Timestamp,
    WriterId,
};

use crate::clock::Clock;
use crate::queue::{Pending, Queue};
use crate::segment::CLAMP_MAX_US;

/// The block in the making and the writer's place in time and sequence.
pub(crate) struct Staging {
    records: StagedRecords,
    origin: Origin,
    /// The sequence number of the first record staged.
    first_sequence: u64,
    next_sequence: u64,
    /// The time of the latest record, below which no later one may be.
    last: Timestamp,
    /// When the first record was staged.
    opened: Option<Instant>,
    /// Readers know that nothing is held back.
    rest: Option<Rest>,
    /// Dropped records that no block has reported yet.
    lost: LostTally,
    /// The thread that writes sleeps without a timer: the next record must wake it.
    pub(crate) dormant: bool,
    pub(crate) closed: bool,
}

/// What a caller must do once it has given the lock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// A block is full or urgent, or the sleeper must start its timer.
    Wake,
}

/// The kernel's sign that nothing is held back, and what the clocks showed when it was given.
struct Rest {
    idle: Idle,
    present: Timestamp,
    instant: Instant,
}

/// Two readings of clocks that are further apart do not belong together.
const READING_MAX: Duration = Duration::from_millis(1);

/// Counts of dropped records.
#[derive(Clone, Copy, Debug, Default)]
struct LostTally {
    counts: [u64; 6],
    span: Option<(Timestamp, Timestamp)>,
    /// Those that a block header has not told of yet.
    unreported: u64,
}

impl Staging {
    pub(crate) fn new(origin: Origin, floor: Timestamp) -> Self {
        Self {
            records: StagedRecords::new(),
            origin,
            first_sequence: 0,
            next_sequence: 0,
            last: floor,
            opened: None,
            rest: None,
            lost: LostTally::default(),
            dormant: false,
            closed: false,
        }
    }

    /// The present as this writer may record it: never before the last record.
    ///
    /// A clock that was stepped back by more than [`CLAMP_MAX_US`] starts a new epoch: what is
    /// staged goes out under the old identity, and a new writer tells of the step.
    pub(crate) fn tick(&mut self, clock: &dyn Clock, queue: &Queue) -> Timestamp {
        if self.rest.is_some() {
            self.rouse(clock);
        }
        let now = clock.now();
        if now < self.last.saturating_add_micros(-CLAMP_MAX_US) {
            let step = ClockStep { expected: self.last, found: now };
            self.seal(queue);
            self.origin.writer = new_writer_id();
            (self.first_sequence, self.next_sequence, self.last) = (0, 0, now);
            self.push(Event::ClockStep(step), now, queue);
        }
        self.last = self.last.max(now);
        self.last
    }

    /// Adds a record of the present.
    pub(crate) fn log(
        &mut self,
        event: Event<'_>,
        level: Level,
        clock: &dyn Clock,
        queue: &Queue,
    ) -> Next {
        let time = self.tick(clock, queue);
        if !queue.accepts(level) {
            self.lost.add(level, time);
            return Next::Nothing;
        }
        let was_empty = self.records.is_empty();
        self.push(event, time, queue);
        if self.records.raw_len() >= queue.high_water_mark() {
            self.seal(queue);
            return Next::Wake;
        }
        if was_empty && self.dormant {
            self.dormant = false;
            return Next::Wake;
        }
        Next::Nothing
    }

    fn push(&mut self, event: Event<'_>, time: Timestamp, queue: &Queue) {
        let record = Record { time, event };
        match self.records.push(&record) {
            Ok(()) => self.count_record(queue),
            Err(PushError::Full) => {
                self.seal(queue);
                match self.records.push(&record) {
                    Ok(()) => self.count_record(queue),
                    Err(error) => self.push_substitute(&record, error, queue),
                }
            }
            Err(error) => self.push_substitute(&record, error, queue),
        }
    }

    fn count_record(&mut self, queue: &Queue) {
        if self.opened.is_none() {
            self.opened = Some(queue.instant());
        }
        self.next_sequence += 1;
    }

    /// A record that no block can hold is replaced by one that says so, at the same level.
    fn push_substitute(&mut self, record: &Record<'_>, error: PushError, queue: &Queue) {
        let refusal = serde_json::json!({
            "unloggable": error.to_string(),
            "type": record.record_type().as_str(),
        });
        let text = refusal.to_string();
        let substitute = Event::Log {
            source: match (record.request_id(), self.origin.worker) {
                (Some(request), _) => logq_format::LogSource::Request(request),
                (None, Some(_)) => logq_format::LogSource::Worker,
                (None, None) => logq_format::LogSource::Master,
            },
            level: record.level(),
            data: Json::new(&text).unwrap_or(Json::NULL),
        };
        match self.records.push(&Record { time: record.time, event: substitute }) {
            Ok(()) => self.count_record(queue),
            Err(_) => self.lost.add(record.level(), record.time),
        }
    }

    /// Hands the block in the making over to be written, if it has records.
    pub(crate) fn seal(&mut self, queue: &Queue) {
        if self.records.is_empty() {
            return;
        }
        let pending = Pending {
            records: queue.swap(&mut self.records),
            origin: self.origin,
            sequence: self.first_sequence,
            lost: std::mem::take(&mut self.lost.unreported),
        };
        self.opened = None;
        self.first_sequence = self.next_sequence;
        queue.submit(pending);
    }

    /// Adds the LOST record for what was dropped, once there is room again.
    pub(crate) fn report_lost(&mut self, clock: &dyn Clock, queue: &Queue, reason: &str) {
        if let Some((first, last)) = self.lost.span.take() {
            let counts = std::mem::take(&mut self.lost.counts);
            let time = self.tick(clock, queue);
            self.push(Event::Lost(Lost { counts, first, last, reason }), time, queue);
        }
    }

    /// Lets readers know that nothing is held back, if nothing is staged; to be called when nothing
    /// is on its way to the disk either. Answers the time before which no record follows.
    pub(crate) fn rest(&mut self, presence: &Presence, clock: &dyn Clock) -> Option<Timestamp> {
        if self.is_resting() || !self.is_empty() || !clock.is_wall_clock() {
            return None;
        }
        // In this order: the instant must not be later than the present.
        let instant = clock.instant();
        let present = clock.now();
        if clock.instant().saturating_duration_since(instant) > READING_MAX {
            return None;
        }
        // Without the sign readers wait for a flush, as without the page.
        let idle = presence.rest().ok()??;
        self.rest = Some(Rest { idle, present, instant });
        Some(self.last.max(present))
    }

    /// Takes the sign back, before the time of the next record is read.
    ///
    /// A reader that saw the sign has taken the present for final. Were the wall clock stepped back
    /// meanwhile, the next record would come too late, so it gets the time that the clock would show
    /// without the step; a large step starts a new epoch, as ever.
    pub(crate) fn rouse(&mut self, clock: &dyn Clock) {
        let Some(Rest { idle, present, instant }) = self.rest.take() else { return };
        drop(idle);
        let elapsed = clock.instant().saturating_duration_since(instant).as_micros();
        let elapsed_us = i64::try_from(elapsed).unwrap_or(i64::MAX);
        self.last = self.last.max(present.saturating_add_micros(elapsed_us));
    }

    /// Whether readers know that nothing is held back.
    pub(crate) fn is_resting(&self) -> bool {
        self.rest.is_some()
    }

    /// The time of the first record staged.
    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        self.records.first_time()
    }

    /// Whether nothing is staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When the first record came into the block in the making.
    pub(crate) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Raises the earliest time the next record can have: a new segment asked for it.
    pub(crate) fn raise_floor(&mut self, floor: Timestamp) {
        self.last = self.last.max(floor);
    }
}

impl LostTally {
    fn add(&mut self, level: Level, time: Timestamp) {
        if let Some(count) = self.counts.get_mut(level as usize) {
            *count += 1;
        }
        self.unreported += 1;
        let (first, _) = self.span.unwrap_or((time, time));
        self.span = Some((first, time));
    }
}

/// A random identity for a writer; 0 is nobody's.
pub(crate) fn new_writer_id() -> WriterId {
    let (random, ..) = uuid::Uuid::new_v4().as_fields();
    WriterId(random.max(1))
}
