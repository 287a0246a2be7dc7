//! Blocks on their way from the callers to the disk, in order, with a bound on their bytes.
//!
//! A caller hands a full buffer over and goes on with an empty one. The background thread encodes
//! and writes. Where callers are faster than that thread, they encode blocks themselves: this slows
//! them by a block's compression now and then, never by the disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Compressor, Dictionary, Level, Origin, StagedRecords,
    SyncMarker, Timestamp,
};

use crate::clock::Clock;
use crate::error::{FlushError, OpenError};
use crate::options::LoggerOptions;

/// Buffers of a block in the making, each for some of the threads that log. With more, putting a block
/// together costs more locks, with fewer, more threads share one.
pub(crate) const STRIPES: usize = 16;

/// The records of a block that is not encoded yet, from all stripes.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) parts: Box<[StagedRecords]>,
    /// No record is before this time.
    pub(crate) floor: Timestamp,
}

impl Staged {
    fn new() -> Self {
        let parts = (0..STRIPES).map(|_| StagedRecords::new()).collect();
        Self { parts, floor: Timestamp::MIN }
    }

    /// The size of the block before compression, in bytes, roughly.
    pub(crate) fn raw_len(&self) -> usize {
        self.parts.iter().map(StagedRecords::raw_len).sum()
    }

    /// No record is earlier, and one of them has this time.
    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        self.parts.iter().filter_map(StagedRecords::first_time).min().map(|t| t.max(self.floor))
    }

    fn capacity(&self) -> usize {
        self.parts.iter().map(StagedRecords::capacity).sum()
    }
}

/// A block's records and what its header needs beside them.
pub(crate) struct Pending<R = Staged> {
    pub(crate) records: R,
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
    pub(crate) lost: u64,
}

/// What the background thread does, in order.
pub(crate) enum Item {
    /// Encode and append.
    Block(Box<Pending>),
    /// A caller is encoding this block right now.
    Busy,
    /// Append; it was encoded for this segment.
    Encoded(Vec<u8>, Arc<Encoding>),
    /// Join another segment.
    Rotate(PathBuf, Reply),
    /// Everything that must still go into the segment before has gone; go on in the new one, if this
    /// is the switch that leads there, and answer, if anyone asked for it.
    Switch(u64, Option<Reply>),
}

/// Where the caller of `rotate` waits.
pub(crate) type Reply = SyncSender<Result<(), OpenError>>;

/// How blocks are encoded for the segment in use.
#[derive(Clone)]
pub(crate) struct Encoding {
    pub(crate) marker: SyncMarker,
    pub(crate) origin: Origin,
    pub(crate) dictionary: Option<Dictionary>,
    pub(crate) compression: bool,
}

impl Encoding {
    /// A compressor for this segment; where there can be none, blocks are stored raw.
    pub(crate) fn compressor(&self) -> Compressor {
        if !self.compression {
            return Compressor::raw();
        }
        Compressor::new(logq_format::LEVEL_DEFAULT, self.dictionary.clone())
            .unwrap_or_else(|_| Compressor::raw())
    }

    /// What the header of a block needs beside its records.
    pub(crate) fn context<R>(&self, pending: &Pending<R>) -> BlockContext {
        BlockContext {
            marker: self.marker,
            origin: pending.origin,
            sequence: pending.sequence,
            flags: BlockFlags::NONE,
            lost: pending.lost,
        }
    }
}

/// Makes blocks of staged records. Whoever encodes has one for the segment in use.
pub(crate) struct Encoder {
    builder: BlockBuilder,
    compressor: Compressor,
}

impl Encoder {
    pub(crate) fn new(encoding: &Encoding) -> Self {
        Self { builder: BlockBuilder::new(), compressor: encoding.compressor() }
    }

    /// Appends the block to `out` and leaves `pending` without records.
    pub(crate) fn encode(&mut self, encoding: &Encoding, pending: &mut Pending, out: &mut Vec<u8>) {
        let Staged { parts, floor } = &mut pending.records;
        // None is, since each was found to fit; were it not so, the header would tell of it.
        let refused = StagedRecords::pour_together(parts, *floor, &mut self.builder);
        pending.lost += refused as u64;
        self.builder.finish(&encoding.context(pending), &mut self.compressor, out);
    }
}

/// The queue itself, shared by callers and the background thread.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The background thread waits here for work.
    wake: Condvar,
    /// Callers of `flush` and `settle` wait here, and the background thread for a block that is
    /// being encoded.
    progress: Condvar,
    /// Bytes of all blocks in the queue: raw ones by their raw size.
    bytes: AtomicUsize,
    high_water_mark: usize,
    bytes_max: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) items: VecDeque<Item>,
    spares: Vec<Staged>,
    spare_bytes: usize,
    assistants: Vec<Encoder>,
    encoding: Option<Arc<Encoding>>,
    /// Items submitted and items done with, since the start.
    submitted: u64,
    completed: u64,
    /// Attempts to write that failed, since the start, and how the last one did.
    failures: u64,
    failure: Option<FlushError>,
    woken: bool,
    /// Whether the background thread waits, and how often it has found that it must.
    resting: bool,
    rests: u64,
    /// Whether it has ended.
    ended: bool,
    pub(crate) stop: bool,
}

/// Emptied buffers kept for reuse, and the bytes of memory that they may have.
const SPARES_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 4 << 20;

/// Raw bytes in the queue from which on callers help with encoding.
const ASSIST_BYTES: usize = 1 << 20;

impl Queue {
    pub(crate) fn new(options: &LoggerOptions) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Condvar::new(),
            bytes: AtomicUsize::new(0),
            high_water_mark: if options.batches() { options.high_water_mark } else { 0 },
            bytes_max: options.queue_bytes_max,
            clock: Arc::clone(&options.clock),
        }
    }

    /// The present by a clock that nobody sets.
    pub(crate) fn instant(&self) -> Instant {
        self.clock.instant()
    }

    /// The raw size from which on a block is full.
    pub(crate) fn high_water_mark(&self) -> usize {
        self.high_water_mark
    }

    /// Whether a record of this level still gets a place. The less severe ones stop first.
    pub(crate) fn accepts(&self, level: Level) -> bool {
        let eighth = self.bytes_max / 8;
        let extra = match level {
            Level::Critical => 3,
            Level::Error => 2,
            Level::Warn => 1,
            Level::Info | Level::Debug | Level::Trace => 0,
        };
        self.bytes.load(Ordering::Relaxed) <= self.bytes_max + extra * eighth
    }

    /// Whether so much of the queue is free again that a LOST record can tell the story.
    pub(crate) fn has_recovered(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.bytes_max / 2
    }

    /// Empty buffers to put in the place of full ones.
    pub(crate) fn spare(&self) -> Staged {
        let mut state = self.lock();
        let Some(spare) = state.spares.pop() else { return Staged::new() };
        state.spare_bytes = state.spare_bytes.saturating_sub(spare.capacity());
        spare
    }

    pub(crate) fn submit(&self, pending: Pending) {
        self.bytes.fetch_add(pending.records.raw_len(), Ordering::Relaxed);
        let mut state = self.lock();
        state.items.push_back(Item::Block(Box::new(pending)));
        state.submitted += 1;
    }

    /// Adds a rotation or a switch.
    pub(crate) fn submit_item(&self, item: Item) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.items.push_back(item);
        state.submitted += 1;
        self.notify(&mut state);
    }

    /// Wakes the background thread.
    pub(crate) fn wake(&self) {
        self.notify(&mut self.lock());
    }

    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        self.notify(&mut state);
    }

    fn notify(&self, state: &mut State) {
        state.woken = true;
        // Otherwise it looks before it waits.
        if state.resting {
            self.wake.notify_one();
        }
    }

    /// Waits until there is something to do or `deadline` has passed.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        self.wait_for(deadline, |state| !state.items.is_empty());
    }

    /// Waits for `deadline` or an explicit wake-up, whatever the queue holds: after a failure.
    pub(crate) fn wait_to_retry(&self, deadline: Instant) {
        self.wait_for(Some(deadline), |_| false);
    }

    fn wait_for(&self, deadline: Option<Instant>, ready: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while !state.woken && !state.stop && !ready(&state) {
            let left = deadline.map(|at| at.saturating_duration_since(self.clock.instant()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            state.resting = true;
            state.rests += 1;
            self.progress.notify_all();
            state = match left {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.wake.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (state.resting, state.woken) = (false, false);
    }

    /// The background thread has ended: what is still there is not written.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        // Whoever waits for a rotation learns of it this way.
        state.items.retain(|item| !matches!(item, Item::Rotate(..) | Item::Switch(..)));
        self.progress.notify_all();
    }

    /// Waits until the background thread has done all that is due by the clock, and rests.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        let rests = state.rests;
        self.wake.notify_one();
        let is_settled = |state: &State| state.resting && state.rests > rests;
        while !(state.stop || state.ended || is_settled(&state)) {
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Once the background thread has ended: whether everything was written, else why not.
    pub(crate) fn outcome(&self) -> Result<(), FlushError> {
        let mut state = self.lock();
        match state.failure.take() {
            Some(failure) if state.completed < state.submitted => Err(failure),
            None if state.completed < state.submitted => Err(FlushError::ended()),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Takes the next item out, waiting for a caller that is encoding it.
    pub(crate) fn take(&self) -> Option<Item> {
        let mut state = self.lock();
        while let Some(Item::Busy) = state.items.front() {
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.items.pop_front()
    }

    /// Gives an encoded block's buffers back and corrects the count of bytes.
    pub(crate) fn recycle(&self, raw_len: usize, encoded_len: usize, spare: Staged) {
        self.bytes.fetch_add(encoded_len, Ordering::Relaxed);
        self.bytes.fetch_sub(raw_len, Ordering::Relaxed);
        let capacity = spare.capacity();
        let mut state = self.lock();
        let bytes = state.spare_bytes.saturating_add(capacity);
        if state.spares.len() < SPARES_MAX && bytes <= SPARE_BYTES_MAX {
            state.spare_bytes = bytes;
            state.spares.push(spare);
        }
    }

    /// A block in the queue has another length now.
    pub(crate) fn resize(&self, before: usize, now: usize) {
        self.bytes.fetch_add(now, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// An item is done: `bytes` of it leave the queue.
    pub(crate) fn complete(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.lock();
        state.completed += 1;
        state.failure = None;
        self.progress.notify_all();
    }

    pub(crate) fn fail(&self, failure: FlushError) {
        let mut state = self.lock();
        state.failures += 1;
        state.failure = Some(failure);
        self.progress.notify_all();
    }

    /// Waits until everything submitted so far is written, or an attempt made after this call
    /// fails.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let mut state = self.lock();
        let (goal, failures) = (state.submitted, state.failures);
        self.notify(&mut state);
        loop {
            if let Some(outcome) = state.flushed(goal, failures) {
                return outcome;
            }
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Self::flush`], but for no longer than `patience`: for a process that is about to end.
    pub(crate) fn flush_within(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        let (goal, failures) = (state.submitted, state.failures);
        self.notify(&mut state);
        while state.flushed(goal, failures).is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A block was written, but cannot be made to survive a power failure.
    pub(crate) fn complete_unsynced(&self, bytes: usize, failure: FlushError) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.lock();
        state.completed += 1;
        state.failures += 1;
        state.failure = Some(failure);
        self.progress.notify_all();
    }

    /// From now on blocks of this origin can be encoded by anyone.
    pub(crate) fn set_encoding(&self, encoding: Arc<Encoding>) {
        let mut state = self.lock();
        // Those were made for the segment before, and its dictionary.
        state.assistants.clear();
        state.encoding = Some(encoding);
    }

    /// Encodes a block if too many are waiting; called by those who make them.
    pub(crate) fn assist(&self) {
        while self.bytes.load(Ordering::Relaxed) > ASSIST_BYTES {
            let mut state = self.lock();
            let Some((place, mut pending, encoding)) = state.take_assistable() else { return };
            let spare = state.assistants.pop();
            let ticket = state.ticket_of(place);
            drop(state);

            let raw_len = pending.records.raw_len();
            let mut encoder = spare.unwrap_or_else(|| Encoder::new(&encoding));
            let mut block = Vec::with_capacity(raw_len / 2);
            encoder.encode(&encoding, &mut pending, &mut block);
            self.recycle(raw_len, block.len(), pending.records);

            let mut state = self.lock();
            state.assistants.push(encoder);
            state.put_encoded(ticket, Item::Encoded(block, encoding));
            self.progress.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held would be a bug; the state is consistent between calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether everything up to `goal` is done or an attempt since `failures` has failed.
    fn flushed(&self, goal: u64, failures: u64) -> Option<Result<(), FlushError>> {
        match &self.failure {
            Some(failure) if self.failures > failures => Some(Err(failure.clone())),
            _ if self.completed >= goal => Some(Ok(())),
            _ => self.ended.then(|| Err(FlushError::ended())),
        }
    }

    /// The first block that a caller may encode: none behind a rotation or of another identity,
    /// for which the segment is not known yet.
    fn take_assistable(&mut self) -> Option<(usize, Box<Pending>, Arc<Encoding>)> {
        let encoding = self.encoding.clone()?;
        for (place, item) in self.items.iter_mut().enumerate() {
            match item {
                Item::Block(pending) if pending.origin == encoding.origin => {
                    let Item::Block(pending) = std::mem::replace(item, Item::Busy) else { break };
                    return Some((place, pending, encoding));
                }
                Item::Block(_) | Item::Rotate(..) | Item::Switch(..) => return None,
                Item::Busy | Item::Encoded(..) => {}
            }
        }
        None
    }

    /// A number that stays the same for the item at `place` while items before it are taken out.
    fn ticket_of(&self, place: usize) -> u64 {
        self.submitted - self.items.len() as u64 + place as u64
    }

    fn put_encoded(&mut self, ticket: u64, encoded: Item) {
        let taken_out = self.submitted - self.items.len() as u64;
        let place = usize::try_from(ticket - taken_out).unwrap_or(usize::MAX);
        if let Some(item) = self.items.get_mut(place) {
            *item = encoded;
        }
    }
}
