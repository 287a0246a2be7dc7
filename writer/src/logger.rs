//! What all loggers of one process share: staging, queue and the background thread.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use logq_format::{
    Event, Level, LogSource, Origin, Process, Record, RequestId, Timestamp, WorkerId,
};
use serde::Serialize;

use crate::data::{to_json_text, with_json};
use crate::endings;
use crate::error::{FlushError, OpenError};
use crate::failure::{DebugLog, Failure, debug_entries};
use crate::flusher::Flusher;
use crate::options::LoggerOptions;
use crate::queue::{Item, Queue, Reply};
use crate::segment::{Joining, Segment, Target};
use crate::staging::{Next, Staging, Whole, new_writer_id};

/// What callers and the background thread share.
pub(crate) struct Shared {
    pub(crate) options: LoggerOptions,
    pub(crate) queue: Queue,
    pub(crate) is_master: bool,
    staging: Staging,
}

impl Shared {
    /// The block in the making, with everyone else kept out.
    pub(crate) fn staging(&self) -> Whole<'_> {
        self.staging.whole()
    }

    /// Logs an event of the logger itself.
    pub(crate) fn log_own(&self, event: Event<'_>, level: Level) {
        let clock = self.options.clock.as_ref();
        self.staging().log(&mut undated(event), level, clock, &self.queue);
    }

    /// A time before which this writer will append nothing more: the present if nothing is on its
    /// way to the disk, unless the clock gave the writer a new identity just now.
    pub(crate) fn promise(&self, origin: Origin) -> Option<Timestamp> {
        let mut staging = self.staging();
        let idle = staging.is_empty() && self.queue.is_empty() && staging.origin() == origin;
        if !idle {
            return None;
        }
        let time = staging.tick(self.options.clock.as_ref(), &self.queue);
        (staging.origin() == origin).then_some(time)
    }

    /// What readers may be told, at a moment when the background thread has nothing in hand. Lets
    /// them know that nothing is held back, if that is so and `may_rest`.
    pub(crate) fn activity(&self, segment: &Segment, may_rest: bool) -> Activity {
        let mut staging = self.staging();
        if staging.is_resting() || !self.queue.is_empty() || staging.origin() != segment.origin() {
            return Activity::AsBefore;
        }
        if let Some(oldest) = staging.first_time() {
            return Activity::Pending(oldest);
        }
        if !may_rest {
            return Activity::AsBefore;
        }
        let rested = staging.rest(segment.presence(), self.options.clock.as_ref());
        rested.map_or(Activity::AsBefore, Activity::Rests)
    }

    /// Takes back what readers were told: the segment is about to be left.
    pub(crate) fn rouse(&self) {
        self.staging().rouse(self.options.clock.as_ref());
    }

    /// Everything staged so far goes to the old segment, everything from `floor` on to the new.
    pub(crate) fn submit_switch(&self, floor: Timestamp, ticket: u64, reply: Option<Reply>) {
        let mut staging = self.staging();
        staging.seal(&self.queue);
        staging.raise_floor(floor);
        self.queue.submit_item(Item::Switch(ticket, reply));
    }
}

/// A record whose time is set when it has its place.
fn undated(event: Event<'_>) -> Record<'_> {
    Record { time: Timestamp::MIN, event }
}

/// What a logger is doing, as far as readers care.
pub(crate) enum Activity {
    /// From now on nothing is held back; no record follows before this time.
    Rests(Timestamp),
    /// Records wait, the oldest of which has this time.
    Pending(Timestamp),
    /// There is nothing to add to what they were told.
    AsBefore,
}

/// A handle on the one logger of a process; clones share it, and the last one closes it.
#[derive(Clone)]
pub(crate) struct Logger {
    shared: Arc<Shared>,
    pub(crate) debug: Arc<Mutex<DebugLog>>,
    thread: Arc<Thread>,
}

/// Lets nobody wait for the background thread once that has ended, however it did.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.end();
    }
}

/// Ends the background thread when the last handle is dropped.
pub(crate) struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
    /// A forked child has neither the thread nor the right to write what the parent staged.
    home: endings::Home,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // There is nobody left to tell; `close` is for those who want to know.
        let _ = self.close();
    }
}

impl Thread {
    pub(crate) fn close(&self) -> Result<(), FlushError> {
        if !self.home.is_here() {
            // The thread's handle must not be joined either: the thread is the parent's.
            std::mem::forget(self.handle.try_lock().ok().and_then(|mut handle| handle.take()));
            return Ok(());
        }
        {
            let mut staging = self.shared.staging();
            staging.close();
            staging.seal(&self.shared.queue);
        }
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(handle) = handle else { return Ok(()) };
        self.shared.queue.stop();
        // The thread does not panic; if it did, what it left tells so.
        let _ = handle.join();
        self.shared.queue.outcome()
    }
}

impl Logger {
    pub(crate) fn open(
        path: &Path,
        worker: Option<WorkerId>,
        options: LoggerOptions,
    ) -> Result<Self, OpenError> {
        endings::survive_file_size_limit();
        let target = Target::new(path)?;
        let origin = Origin { writer: new_writer_id(), worker };
        let clock = Some(options.clock.as_ref());
        let joining = Joining { origin, sequence: 0, now: Timestamp::MIN, clock };
        let segment = Segment::join(&target, &joining)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(&options),
            is_master: worker.is_none(),
            staging: Staging::new(origin, segment.last()),
            options,
        });
        let flusher = Flusher::new(Arc::clone(&shared), target, segment);
        let handle = std::thread::Builder::new()
            .name("logq-flusher".to_owned())
            .spawn(move || {
                let _end = End(Arc::clone(flusher.shared()));
                flusher.run();
            })
            .map_err(|source| OpenError::Thread { source })?;
        let thread = Arc::new(Thread {
            shared: Arc::clone(&shared),
            handle: Mutex::new(Some(handle)),
            home: endings::Home::new(),
        });
        endings::close_at_exit(&thread);
        Ok(Self { shared, debug: Arc::default(), thread })
    }

    /// What the background thread sees of it.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Logs an event of the present.
    pub(crate) fn log(&self, event: Event<'_>, level: Level) {
        self.log_with(event, level, false);
    }

    /// Logs an event and has it written at once.
    pub(crate) fn log_now(&self, event: Event<'_>, level: Level) {
        self.log_with(event, level, true);
    }

    fn log_with(&self, event: Event<'_>, level: Level, urgent: bool) {
        if !self.thread.home.is_here() {
            return;
        }
        let shared = &self.shared;
        let (clock, queue) = (shared.options.clock.as_ref(), &shared.queue);
        let next = shared.staging.log(&mut undated(event), level, clock, queue);
        if urgent {
            shared.staging().seal(queue);
        }
        if urgent || next == Next::Wake {
            shared.queue.wake();
            shared.queue.assist();
        }
    }

    /// Logs data at a level.
    pub(crate) fn message(&self, source: LogSource, level: Level, data: &impl Serialize) {
        with_json(data, |data| self.log(Event::Log { source, level, data }, level));
    }

    pub(crate) fn request_meta(&self, request: RequestId, data: &impl Serialize) {
        with_json(data, |data| self.log(Event::RequestMeta { request, data }, Level::Info));
    }

    /// Keeps a DEBUG entry back.
    pub(crate) fn debug(&self, data: &impl Serialize) {
        self.debug_into(&self.debug, data);
    }

    pub(crate) fn debug_into(&self, log: &Mutex<DebugLog>, data: &impl Serialize) {
        let limit = self.shared.options.debug_log_limit;
        if limit == 0 {
            return;
        }
        let text = to_json_text(data);
        let time = self.shared.options.clock.now();
        log.lock().unwrap_or_else(PoisonError::into_inner).push(limit, time, text);
    }

    /// Logs an exception with the DEBUG entries kept so far, and has it written at once.
    pub(crate) fn uncaught_exception(&self, process: Process, failure: &Failure) {
        let kept = self.debug.lock().unwrap_or_else(PoisonError::into_inner).take();
        let debug = debug_entries(&kept);
        let event = Event::UncaughtException { process, error: failure.info(&debug) };
        self.log_now(event, Level::Critical);
    }

    /// Logs a panic with the DEBUG entries kept so far and tries for a moment to get it written.
    ///
    /// Never waits for a lock for long: the panicking thread may hold it.
    pub(crate) fn panicked(&self, process: Process, failure: &Failure) {
        if !self.thread.home.is_here() {
            return;
        }
        let kept = self.debug.try_lock().map(|mut debug| debug.take()).unwrap_or_default();
        let debug = debug_entries(&kept);
        let event = Event::UncaughtException { process, error: failure.info(&debug) };
        let shared = &self.shared;
        let Some(mut staging) = shared.staging.try_whole(LOCK_PATIENCE) else { return };
        if staging.is_closed() {
            return;
        }
        let clock = shared.options.clock.as_ref();
        staging.log(&mut undated(event), Level::Critical, clock, &shared.queue);
        staging.seal(&shared.queue);
        drop(staging);
        shared.queue.flush_within(FLUSH_PATIENCE);
    }

    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        if self.closed() {
            return Ok(());
        }
        self.shared.staging().seal(&self.shared.queue);
        self.shared.queue.flush()
    }

    /// Waits until the background thread has done all that is due, and rests.
    pub(crate) fn settle(&self) {
        if !self.closed() {
            self.shared.queue.settle();
        }
    }

    pub(crate) fn rotate(&self, path: &Path) -> Result<(), OpenError> {
        if self.closed() {
            return Err(OpenError::Closed);
        }
        let (reply, answer) = sync_channel(1);
        self.shared.staging().seal(&self.shared.queue);
        self.shared.queue.submit_item(Item::Rotate(path.to_owned(), reply));
        answer.recv().unwrap_or(Err(OpenError::Closed))
    }

    pub(crate) fn close(&self) -> Result<(), FlushError> {
        self.thread.close()
    }

    pub(crate) fn closed(&self) -> bool {
        !self.thread.home.is_here() || self.shared.staging.is_closed()
    }
}

/// How long a panic waits for the staging lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// How long a panic waits for its record to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
