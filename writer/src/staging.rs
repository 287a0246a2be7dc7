//! The front of a logger: where a caller's record gets its time and goes into the block in the
//! making, under a lock that is held for no longer than a copy.
//!
//! ```text
//! thread 1, 17, ... -> stripe 0: lock, buffer  \
//! thread 2, 18, ... -> stripe 1: lock, buffer   > one block, by the ranks of its records
//! ...                                          /
//!                      order: one counter for all
//! ```
//!
//! Each thread uses one of several *stripes*, so that those which log at once seldom wait for each
//! other. The block is put together by the ranks that one counter gives, so its order is that of the
//! calls. Whatever is about more than one record needs the *whole*, the locks of all stripes: handing
//! the block over, a step of the clock, what readers are told.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use logq_directory::{Idle, Presence};
use logq_format::{
    ClockStep, Event, Json, Level, Origin, PushError, Record, StagedRecords, Timestamp, WriterId,
};

use crate::clock::Clock;
use crate::queue::{Pending, Queue, STRIPES};

mod lost;
mod order;
mod stripe;

use lost::LostTally;
use order::Order;
use stripe::Stripe;

/// The block in the making and the writer's place in time and sequence.
#[derive(Debug)]
pub(crate) struct Staging {
    order: Order,
    stripes: [Padded; STRIPES],
    core: Mutex<Core>,
    /// The thread that writes sleeps without a timer: the next record must wake it. Set only while
    /// nothing is staged.
    is_dormant: AtomicBool,
}

/// A stripe in lines of the cache that no other one is in.
#[derive(Debug)]
#[repr(align(128))]
struct Padded(Mutex<Stripe>);

/// What only holders of the whole look at.
#[derive(Debug)]
struct Core {
    origin: Origin,
    /// The sequence number of the first record staged.
    first_sequence: u64,
    /// No record of the block in the making is before this time.
    floor: Timestamp,
    /// Readers know that nothing is held back.
    rest: Option<Rest>,
    is_closed: bool,
}

/// All of it, while nobody logs.
pub(crate) struct Whole<'s> {
    order: &'s Order,
    is_dormant: &'s AtomicBool,
    core: MutexGuard<'s, Core>,
    stripes: [MutexGuard<'s, Stripe>; STRIPES],
}

/// What a caller must do once it has given the lock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// A block is full or urgent, or the sleeper must start its timer.
    Wake,
}

/// The kernel's sign that nothing is held back, and what the clocks showed when it was given.
#[derive(Debug)]
struct Rest {
    idle: Idle,
    present: Timestamp,
    instant: Instant,
}

/// What the header of a block can tell of dropped records.
const HEADER_LOST_MAX: u64 = u16::MAX as u64;

/// Two readings of clocks that are further apart do not belong together.
const READING_MAX: Duration = Duration::from_millis(1);

impl Staging {
    pub(crate) fn new(origin: Origin, floor: Timestamp) -> Self {
        let core = Core { origin, first_sequence: 0, floor, rest: None, is_closed: false };
        Self {
            order: Order::new(floor),
            stripes: std::array::from_fn(|_| Padded(Mutex::new(Stripe::new(floor)))),
            core: Mutex::new(core),
            is_dormant: AtomicBool::new(false),
        }
    }

    /// Adds a record of the present; its time is set here. Nothing is added to a closed logger.
    pub(crate) fn log(
        &self,
        record: &mut Record<'_>,
        level: Level,
        clock: &dyn Clock,
        queue: &Queue,
    ) -> Next {
        let own = own_stripe();
        let added = match self.stripes.get(own) {
            Some(stripe) => lock(&stripe.0).add(record, level, &self.order, clock, queue),
            None => None,
        };
        let Some(added) = added else {
            let mut whole = self.whole();
            return if whole.is_closed() {
                Next::Nothing
            } else {
                whole.log(record, level, clock, queue)
            };
        };
        if added.is_full {
            self.whole().seal_if_full(queue);
        }
        let is_awaited = added.is_first && self.is_dormant.load(Ordering::Relaxed);
        if added.is_full || (is_awaited && self.is_dormant.swap(false, Ordering::Relaxed)) {
            return Next::Wake;
        }
        Next::Nothing
    }

    /// Keeps all others out.
    pub(crate) fn whole(&self) -> Whole<'_> {
        let core = lock(&self.core);
        let stripes = self.stripes.each_ref().map(|stripe| lock(&stripe.0));
        Whole { order: &self.order, is_dormant: &self.is_dormant, core, stripes }
    }

    /// As [`Self::whole`], but gives up after a while: in a panic, a lock may be held by the very
    /// thread that panics.
    pub(crate) fn try_whole(&self, patience: Duration) -> Option<Whole<'_>> {
        let deadline = Instant::now() + patience;
        let core = lock_until(&self.core, deadline)?;
        let stripes = self.stripes.iter().map(|stripe| lock_until(&stripe.0, deadline));
        let stripes = stripes.collect::<Option<Vec<_>>>()?.try_into().ok()?;
        Some(Whole { order: &self.order, is_dormant: &self.is_dormant, core, stripes })
    }

    /// Whether the logger was closed.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.core).is_closed
    }
}

/// Locks what is consistent between any two calls; a panic while it is held would be a bug, and logging
/// goes on with what there is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_until<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The stripe that this thread uses. Threads get them in turn.
fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let own = OWN.get();
    if own < STRIPES {
        return own;
    }
    let own = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    OWN.set(own);
    own
}

impl Whole<'_> {
    /// The present as this writer may record it: never before the last record.
    ///
    /// A clock that was stepped back by more than [`CLAMP_MAX_US`](crate::segment::CLAMP_MAX_US)
    /// starts a new epoch: what is staged goes out under the old identity, and a new writer tells of
    /// the step.
    pub(crate) fn tick(&mut self, clock: &dyn Clock, queue: &Queue) -> Timestamp {
        self.rouse(clock);
        let now = clock.now();
        if self.order.is_step_back(now) {
            let step = ClockStep { expected: self.order.latest(), found: now };
            self.seal(queue);
            self.core.origin.writer = new_writer_id();
            self.core.first_sequence = 0;
            self.order.set_back(now);
            self.restart();
            self.push(&Record { time: now, event: Event::ClockStep(step) }, queue);
        }
        self.raise_floor(now);
        self.order.latest()
    }

    /// Adds a record of the present, also to a closed logger.
    pub(crate) fn log(
        &mut self,
        record: &mut Record<'_>,
        level: Level,
        clock: &dyn Clock,
        queue: &Queue,
    ) -> Next {
        record.time = self.tick(clock, queue);
        if !queue.accepts(level) {
            self.lost().add(level, record.time);
            return Next::Nothing;
        }
        let was_empty = self.is_empty();
        self.push(record, queue);
        if self.seal_if_full(queue) {
            return Next::Wake;
        }
        if was_empty && self.is_dormant.swap(false, Ordering::Relaxed) {
            return Next::Wake;
        }
        Next::Nothing
    }

    fn push(&mut self, record: &Record<'_>, queue: &Queue) {
        if let Err(error) = self.place(record, queue) {
            self.push_substitute(record, error, queue);
        }
    }

    /// Puts a record behind all others, into the next block if this one is full.
    fn place(&mut self, record: &Record<'_>, queue: &Queue) -> Result<(), PushError> {
        match self.try_place(record, queue) {
            Err(PushError::Full) => {
                self.seal(queue);
                self.try_place(record, queue)
            }
            placed => placed,
        }
    }

    fn try_place(&mut self, record: &Record<'_>, queue: &Queue) -> Result<(), PushError> {
        let len = StagedRecords::raw_len_of(&record.event)?;
        if self.is_empty() {
            // Ranks of records that did not fit are given anew, and the block's time begins here.
            self.order.restart();
            self.stripes.iter_mut().for_each(|stripe| stripe.restart(record.time));
        }
        let [first, ..] = &mut self.stripes;
        let place = self.order.take(len, record.time);
        if !place.fits() || first.is_too_late(record.time) {
            return Err(PushError::Full);
        }
        first.put(place.rank, record, queue)
    }

    /// A record that no block can hold is replaced by one that says so, at the same level.
    fn push_substitute(&mut self, record: &Record<'_>, error: PushError, queue: &Queue) {
        let refusal = serde_json::json!({
            "unloggable": error.to_string(),
            "type": record.record_type().as_str(),
        });
        let text = refusal.to_string();
        let substitute = Event::Log {
            source: match (record.request_id(), self.origin().worker) {
                (Some(request), _) => logq_format::LogSource::Request(request),
                (None, Some(_)) => logq_format::LogSource::Worker,
                (None, None) => logq_format::LogSource::Master,
            },
            level: record.level(),
            data: Json::new(&text).unwrap_or(Json::NULL),
        };
        if self.place(&Record { time: record.time, event: substitute }, queue).is_err() {
            self.lost().add(record.level(), record.time);
        }
    }

    /// Hands the block over if it has reached the high-water mark, unless somebody else has just done
    /// so; answers whether.
    fn seal_if_full(&mut self, queue: &Queue) -> bool {
        let is_full = self.raw_len() >= queue.high_water_mark();
        if is_full {
            self.seal(queue);
        }
        is_full
    }

    /// Hands the block in the making over to be written, if it has records.
    pub(crate) fn seal(&mut self, queue: &Queue) {
        if self.is_empty() {
            return;
        }
        let mut records = queue.spare();
        records.floor = self.core.floor;
        let (mut count, mut lost) = (0, 0);
        for (stripe, part) in self.stripes.iter_mut().zip(&mut records.parts) {
            std::mem::swap(&mut stripe.records, part);
            count += part.len() as u64;
            lost += stripe.lost.take_unreported(HEADER_LOST_MAX - lost);
        }
        let (origin, sequence) = (self.core.origin, self.core.first_sequence);
        self.core.first_sequence += count;
        self.restart();
        queue.submit(Pending { records, origin, sequence, lost });
    }

    /// Begins the next block, of which no record is before the latest so far.
    fn restart(&mut self) {
        let floor = self.order.latest();
        self.core.floor = floor;
        self.order.restart();
        self.stripes.iter_mut().for_each(|stripe| stripe.restart(floor));
    }

    /// Adds the LOST record for what was dropped, once there is room again.
    pub(crate) fn report_lost(&mut self, clock: &dyn Clock, queue: &Queue, reason: &str) {
        let mut all = LostTally::default();
        self.stripes.iter_mut().for_each(|stripe| stripe.lost.move_to(&mut all));
        if let Some(lost) = all.record(reason) {
            let time = self.tick(clock, queue);
            self.push(&Record { time, event: Event::Lost(lost) }, queue);
        }
    }

    fn lost(&mut self) -> &mut LostTally {
        let [first, ..] = &mut self.stripes;
        &mut first.lost
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
        self.core.rest = Some(Rest { idle, present, instant });
        self.open_stripes();
        Some(self.order.latest().max(present))
    }

    /// Takes the sign back, before the time of the next record is read.
    ///
    /// A reader that saw the sign has taken the present for final. Were the wall clock stepped back
    /// meanwhile, the next record would come too late, so it gets the time that the clock would show
    /// without the step; a large step starts a new epoch, as ever.
    pub(crate) fn rouse(&mut self, clock: &dyn Clock) {
        let Some(Rest { idle, present, instant }) = self.core.rest.take() else { return };
        drop(idle);
        let elapsed = clock.instant().saturating_duration_since(instant).as_micros();
        let elapsed_us = i64::try_from(elapsed).unwrap_or(i64::MAX);
        self.raise_floor(present.saturating_add_micros(elapsed_us));
        self.open_stripes();
    }

    /// Lets threads log by themselves, unless they must be seen.
    fn open_stripes(&mut self) {
        let is_open = !self.core.is_closed && self.core.rest.is_none();
        self.stripes.iter_mut().for_each(|stripe| stripe.is_open = is_open);
    }

    /// Nothing is logged any more, but by the logger itself.
    pub(crate) fn close(&mut self) {
        self.core.is_closed = true;
        self.open_stripes();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.core.is_closed
    }

    /// The thread that writes is about to sleep without a timer.
    pub(crate) fn set_dormant(&mut self) {
        self.is_dormant.store(true, Ordering::Relaxed);
    }

    /// Whether readers know that nothing is held back.
    pub(crate) fn is_resting(&self) -> bool {
        self.core.rest.is_some()
    }

    /// The time of the first record staged.
    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        let firsts = self.stripes.iter().filter_map(|stripe| stripe.records.first_time());
        firsts.min().map(|first| first.max(self.core.floor))
    }

    /// Whether nothing is staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.stripes.iter().all(|stripe| stripe.records.is_empty())
    }

    /// The bytes of what is staged, before compression.
    pub(crate) fn raw_len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.records.raw_len()).sum()
    }

    /// When the first record came into the block in the making.
    pub(crate) fn opened(&self) -> Option<Instant> {
        self.stripes.iter().filter_map(|stripe| stripe.opened()).min()
    }

    pub(crate) fn origin(&self) -> Origin {
        self.core.origin
    }

    /// Raises the earliest time the next record can have: a new segment asked for it, or readers know
    /// of it.
    pub(crate) fn raise_floor(&mut self, floor: Timestamp) {
        self.order.raise(floor);
        if self.is_empty() {
            self.core.floor = self.order.latest();
        }
    }
}

/// A random identity for a writer; 0 is nobody's.
pub(crate) fn new_writer_id() -> WriterId {
    let (random, ..) = uuid::Uuid::new_v4().as_fields();
    WriterId(random.max(1))
}
