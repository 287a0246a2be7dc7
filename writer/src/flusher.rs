//! The background thread of a logger: encodes, appends, pings, and never sleeps on a lock that a
//! caller of a log method waits for.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use logq_format::{BlockFlags, Event, IoError, Level, Timestamp};

use crate::control::Control;
use crate::error::{FlushError, OpenError};
use crate::logger::{Activity, Shared};
use crate::options::SyncPolicy;
use crate::queue::{Encoder, Encoding, Item, Pending};
use crate::segment::{Joining, Segment, Target};
use crate::transcode::transcode;

/// Idle rounds of `output_delay` after which the thread sleeps without a timer.
const IDLE_ROUNDS_MAX: u32 = 25;

/// The pause after a failed write, doubled with each failure up to the second value.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often an idle logger looks for a newer segment: while it is in one, that cannot be deleted.
const IDLE_LOOK: Duration = Duration::from_secs(5);

/// How long closing tries to get the last blocks onto a disk that refuses them.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

mod following;
mod pace;

use following::Next;
use pace::Pace;

pub(crate) struct Flusher {
    shared: Arc<Shared>,
    target: Target,
    segment: Segment,
    /// The segment to go on in, joined already, while the one before still takes blocks.
    next: Option<Next>,
    /// How often such a segment was joined.
    tickets: u64,
    encoder: Encoder,
    /// How blocks are encoded for the segment in use.
    encoding: Arc<Encoding>,
    /// An encoded block that the disk did not take, and blocks must stay in order.
    stuck: Option<(Vec<u8>, Arc<Encoding>)>,
    /// A block whose writer could not join a segment yet.
    waiting: Option<Box<Pending>>,
    control: Control,
    /// Whether the control page says that nothing waits to be written.
    is_told_idle: bool,
    pause: Duration,
    pace: Pace,
    idle_rounds: u32,
    /// What spoke of a newer segment at the last look: the control page's number, the store's time
    /// of change. And when that was.
    signs: (Option<u64>, Option<SystemTime>),
    last_look: Instant,
    last_append: Instant,
    last_ping: Instant,
    last_sync: Instant,
    /// When closing began.
    closing: Option<Instant>,
}

impl Flusher {
    pub(crate) fn new(shared: Arc<Shared>, target: Target, segment: Segment) -> Self {
        let now = shared.queue.instant();
        let encoding = segment.encoding(shared.options.compression);
        let pace = Pace::new(now, shared.queue.high_water_mark());
        let mut flusher = Self {
            shared,
            target,
            segment,
            next: None,
            tickets: 0,
            encoder: Encoder::new(&encoding),
            encoding: Arc::new(encoding),
            stuck: None,
            waiting: None,
            control: Control::default(),
            is_told_idle: true,
            pause: RETRY_PAUSE,
            pace,
            idle_rounds: 0,
            signs: (None, None),
            last_look: now,
            last_append: now,
            last_ping: now,
            last_sync: now,
            closing: None,
        };
        flusher.use_segment();
        flusher
    }

    /// What it shares with the callers of log methods.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs until the logger is closed.
    pub(crate) fn run(mut self) {
        if self.shared.is_master {
            self.ping();
        }
        loop {
            let drained = self.drain();
            if !drained && !self.give_up_soon() {
                continue;
            }
            self.report_lost();
            if self.shared.queue.is_stopped() && (!drained || self.is_done()) {
                break;
            }
            self.tell();
            let deadline = self.next_deadline();
            self.shared.queue.wait(deadline);
            self.seal_if_due();
            if self.since(self.last_ping) >= self.shared.options.ping_delay {
                self.ping();
            }
        }
        self.leave();
    }

    /// After the logger was closed: whether really everything is written, also what was logged about
    /// the logger itself while the last blocks were.
    fn is_done(&self) -> bool {
        self.shared.staging().seal(&self.shared.queue);
        self.shared.queue.is_empty()
    }

    /// Handles everything in the queue; `false` if the disk did not take a block.
    fn drain(&mut self) -> bool {
        loop {
            self.follow();
            if let Some((block, encoding)) = self.stuck.take()
                && !self.append(block, encoding)
            {
                return false;
            }
            if let Some(pending) = self.waiting.take()
                && !self.write(pending)
            {
                return false;
            }
            match self.shared.queue.take() {
                None => return true,
                Some(Item::Block(pending)) => {
                    if !self.write(pending) {
                        return false;
                    }
                }
                Some(Item::Encoded(block, encoding)) => {
                    if !self.append(block, encoding) {
                        return false;
                    }
                }
                Some(Item::Rotate(path, reply)) => {
                    self.rotate(&path, reply);
                    self.shared.queue.complete(0);
                }
                Some(Item::Switch(ticket, reply)) => {
                    self.switch(ticket);
                    if let Some(reply) = reply {
                        // The caller may have stopped waiting.
                        let _ = reply.send(Ok(()));
                    }
                    self.shared.queue.complete(0);
                }
                // `take` waits while the first item is being encoded.
                Some(Item::Busy) => {}
            }
        }
    }

    fn write(&mut self, mut pending: Box<Pending>) -> bool {
        if pending.origin != self.segment.origin()
            && let Err(error) = self.join_as(&pending)
        {
            self.note_failure(error.to_string(), 0);
            self.waiting = Some(pending);
            return false;
        }
        let raw_len = pending.records.raw_len();
        self.pace.add(raw_len);
        let mut block = Vec::with_capacity(raw_len / 2);
        let encoding = Arc::clone(&self.encoding);
        self.encoder.encode(&encoding, &mut pending, &mut block);
        self.shared.queue.recycle(raw_len, block.len(), pending.records);
        self.append(block, encoding)
    }

    /// The writer has a new identity since a step of the clock: it leaves and joins anew.
    fn join_as(&mut self, pending: &Pending) -> Result<(), OpenError> {
        let now = pending.records.first_time().unwrap_or(self.segment.last());
        let (origin, sequence) = (pending.origin, pending.sequence);
        let joining = Joining { origin, sequence, now, clock: None };
        let store = self.target.store();
        let joined = Segment::join(&store, &joining)?;
        // The old identity is gone either way once its lock is; leaving only tells it sooner.
        let _ = self.show_life(self.segment.last(), BlockFlags::LEAVING);
        self.go_on_in(joined);
        Ok(())
    }

    fn append(&mut self, block: Vec<u8>, encoding: Arc<Encoding>) -> bool {
        let queued = block.len();
        let mut block = self.fit(block, &encoding);
        if let Err(error) = self.segment.append(self.shared.options.io.as_ref(), &mut block) {
            self.note_failure(error.to_string(), error.raw_os_error().unwrap_or(0));
            self.shared.queue.resize(queued, block.len());
            self.stuck = Some((block, Arc::clone(&self.encoding)));
            if is_about_the_file(&error) {
                self.abandon("write", &error);
            }
            return false;
        }
        self.pause = RETRY_PAUSE;
        self.last_append = self.instant();
        self.idle_rounds = 0;
        let synced = self.sync_if_due(&block);
        match synced {
            Ok(()) => self.shared.queue.complete(queued),
            Err(error) => {
                let failure = self.failure(error.to_string(), error.raw_os_error().unwrap_or(0));
                self.shared.queue.complete_unsynced(queued, failure);
                self.abandon("sync", &error);
            }
        }
        if self.segment.owes_claims() {
            // A ping that fails costs readers time, not truth: the next one is tried as usual.
            let _ = self.state_claims(None, false);
        }
        true
    }

    /// The block as the present segment stores it: the one it was encoded for may be gone.
    fn fit(&self, block: Vec<u8>, encoding: &Encoding) -> Vec<u8> {
        if encoding.marker == self.encoding.marker {
            return block;
        }
        // A block that this process has just encoded decodes; were it not so, no reader could.
        transcode(&block, encoding, &self.encoding).unwrap_or(block)
    }

    fn sync_if_due(&mut self, block: &[u8]) -> std::io::Result<()> {
        let due = match self.shared.options.sync {
            SyncPolicy::None => false,
            SyncPolicy::Interval(interval) => self.since(self.last_sync) >= interval,
            SyncPolicy::OnCritical => self.segment.is_critical(block),
            SyncPolicy::EveryBlock => true,
        };
        if !due {
            return Ok(());
        }
        self.last_sync = self.instant();
        self.segment.sync(self.shared.options.io.as_ref())
    }

    /// The present segment failed in a way that trying again does not mend: a record tells so, and
    /// the store gets a new segment.
    fn abandon(&mut self, operation: &str, error: &std::io::Error) {
        let path = self.segment.path().to_string_lossy().into_owned();
        let code = error.raw_os_error().unwrap_or(0);
        let message = error.to_string();
        let failed = IoError { operation, code, path: &path, message: &message };
        self.shared.log_own(Event::IoError(failed), Level::Error);
        let joining = Joining {
            origin: self.segment.origin(),
            sequence: self.segment.next_sequence(),
            now: self.segment.last(),
            clock: None,
        };
        if let Ok(joined) = Segment::join_new(&self.target.store(), &joining) {
            self.go_on_in(joined);
        }
    }

    fn state_claims(&mut self, promise: Option<Timestamp>, always: bool) -> Result<(), OpenError> {
        let io = self.shared.options.io.as_ref();
        self.segment.state_claims(io, promise, always)
    }

    fn show_life(&mut self, time: Timestamp, flags: BlockFlags) -> std::io::Result<()> {
        self.segment.show_life(self.shared.options.io.as_ref(), time, flags)
    }

    fn note_failure(&mut self, message: String, code: i32) {
        self.shared.queue.fail(self.failure(message, code));
    }

    fn failure(&self, message: String, code: i32) -> FlushError {
        FlushError { path: self.segment.path().to_owned(), message, code }
    }

    /// After a failure: waits a while, or says that closing has waited long enough.
    fn give_up_soon(&mut self) -> bool {
        if self.shared.queue.is_stopped() {
            let began = *self.closing.get_or_insert_with(Instant::now);
            if began.elapsed() >= CLOSE_DEADLINE {
                return true;
            }
            std::thread::sleep(RETRY_PAUSE);
            return false;
        }
        self.shared.queue.wait_to_retry(self.instant() + self.pause);
        self.pause = (self.pause * 2).min(RETRY_PAUSE_MAX);
        false
    }

    fn go_on_in(&mut self, joined: Segment) {
        // The sign would outlive the place of which it is given.
        self.shared.rouse();
        self.segment = joined;
        self.use_segment();
    }

    /// Encodes for the present segment from now on.
    fn use_segment(&mut self) {
        self.encoding = Arc::new(self.segment.encoding(self.shared.options.compression));
        self.encoder = Encoder::new(&self.encoding);
        self.shared.queue.set_encoding(Arc::clone(&self.encoding));
        self.tell_of(self.segment.last(), false);
    }

    /// Tells readers that nothing is held back, once that has been so for a moment, or since when
    /// something is.
    fn tell(&mut self) {
        let options = &self.shared.options;
        let is_quiet = self.idle_rounds >= IDLE_ROUNDS_MAX
            || !options.batches()
            || self.since(self.last_append) >= options.output_delay;
        match self.shared.activity(&self.segment, is_quiet) {
            Activity::Rests(present) => self.tell_of(present, false),
            Activity::Pending(oldest) if self.is_told_idle => self.tell_of(oldest, true),
            Activity::Pending(_) | Activity::AsBefore => {
                self.control.renew(self.segment.directory(), self.instant());
            }
        }
    }

    fn tell_of(&mut self, floor: Timestamp, is_pending: bool) {
        self.is_told_idle = !is_pending;
        let entry = self.segment.entry(floor, is_pending);
        self.control.tell(self.segment.directory(), entry, self.instant());
    }

    /// The master states claims; a worker shows that it lives, if it was silent.
    fn ping(&mut self) {
        let was_silent = self.since(self.last_append) >= self.shared.options.ping_delay;
        self.last_ping = self.instant();
        let promise = self.shared.promise(self.segment.origin());
        // A ping that fails costs readers time, not truth: the next one is tried as usual.
        if self.shared.is_master {
            let _ = self.state_claims(promise, true);
        } else if let Some(promise) = promise.filter(|_| was_silent) {
            let _ = self.show_life(promise, BlockFlags::NONE);
        }
    }

    fn report_lost(&mut self) {
        if self.shared.queue.has_recovered() {
            let clock = self.shared.options.clock.as_ref();
            self.shared.staging().report_lost(
                clock,
                &self.shared.queue,
                "the disk was full or slow",
            );
        }
    }

    fn seal_if_due(&mut self) {
        let delay = self.shared.options.output_delay;
        let now = self.instant();
        let mut staging = self.shared.staging();
        match staging.opened() {
            Some(opened) => {
                self.idle_rounds = 0;
                let is_old = now.saturating_duration_since(opened) >= delay;
                if is_old || self.pace.is_worth_a_block(now, staging.raw_len()) {
                    staging.seal(&self.shared.queue);
                }
            }
            None => self.idle_rounds = self.idle_rounds.saturating_add(1),
        }
    }

    /// When to look again. A busy logger is looked at every `output_delay`, or when a block is about
    /// to be full, so that callers seldom have to wake anyone; an idle one sleeps until it is woken, or
    /// for some seconds if there may be a newer segment then.
    fn next_deadline(&mut self) -> Option<Instant> {
        let (options, now) = (&self.shared.options, self.instant());
        let ping = self.last_ping + options.ping_delay;
        let mut staging = self.shared.staging();
        let look = match staging.opened() {
            Some(opened) => {
                let full = self.pace.look(now, staging.raw_len());
                let old = opened + options.output_delay;
                Some(full.map_or(old, |full| full.min(old)))
            }
            None if self.idle_rounds < IDLE_ROUNDS_MAX && options.batches() => {
                Some(now + options.output_delay)
            }
            None => {
                staging.set_dormant();
                self.target.is_store().then(|| now + IDLE_LOOK)
            }
        };
        Some(look.map_or(ping, |look| look.min(ping)))
    }

    /// The present by a clock that nobody sets.
    fn instant(&self) -> Instant {
        self.shared.queue.instant()
    }

    fn since(&self, before: Instant) -> Duration {
        self.instant().saturating_duration_since(before)
    }

    fn leave(&mut self) {
        self.shared.rouse();
        if self.stuck.is_none() && self.waiting.is_none() {
            if !matches!(self.shared.options.sync, SyncPolicy::None) {
                // Closing has told already what could not be written.
                let _ = self.segment.sync(self.shared.options.io.as_ref());
            }
            // The lock is given back in any case, which says the same.
            let _ = self.show_life(self.segment.last(), BlockFlags::LEAVING);
        }
    }
}

/// Whether an error of a write says that the file itself is broken, not that room or memory is short
/// for the moment.
fn is_about_the_file(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    !matches!(
        error.kind(),
        Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::FileTooLarge
            | Kind::OutOfMemory
            | Kind::WouldBlock
            | Kind::Interrupted
            | Kind::WriteZero
    )
}

#[cfg(test)]
mod tests;
