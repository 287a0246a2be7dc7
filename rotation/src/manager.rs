//! The manager: a thread that makes a pass now and then, and the handle on it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use logq_directory::{Disk, Storage};

use crate::event::{Audience, Event, OpenError};
use crate::keeper::{Host, Keeper};
use crate::options::ManagerOptions;

/// Rotates the segments of a store and deletes the oldest ones, until it is closed or dropped.
///
/// One process of a cluster has one, usually the master. Loggers that were opened on the store's
/// directory follow it by themselves; those that were opened on a segment are told with
/// `rotate(path)`, for which there is [`ManagerOptions::on_rotate`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use logq_rotation::{LogManager, ManagerOptions};
/// use logq_writer::{LoggerOptions, MasterLogger};
///
/// # let scratch = tempfile::tempdir()?;
/// # let store = scratch.path().join("logs");
/// let manager = LogManager::open(
///     &store,
///     ManagerOptions {
///         on_error: Some(Arc::new(|error| eprintln!("logs: {error}"))),
///         ..ManagerOptions::default()
///     },
/// )?;
/// let master = MasterLogger::open(manager.dirname(), LoggerOptions::default())?;
/// master.starting_up();
/// master.close()?;
/// manager.close();
/// assert!(manager.closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogManager {
    shared: Arc<Shared>,
    dirname: PathBuf,
    events: Mutex<Option<Receiver<Event>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the thread share.
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Callers of `look` wait here.
    passed: Condvar,
    audience: Audience,
}

struct State {
    filename: PathBuf,
    is_poked: bool,
    is_closed: bool,
    /// Passes begun, and passes done with.
    begun: u64,
    done: u64,
}

impl LogManager {
    /// Takes over the store at `dir`, which is created if it does not exist.
    ///
    /// When this returns there is a segment to write to. The first look at the limits is taken at
    /// once, but already on the manager's thread.
    ///
    /// # Errors
    ///
    /// Fails where an option is beyond its bound, where another process manages the store, where the
    /// directory cannot be used, and where there is no segment to write to and none can be created.
    pub fn open(dir: impl AsRef<Path>, options: ManagerOptions) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(Disk), dir, options)
    }

    /// As [`Self::open`], with file operations that a test can make fail.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        dir: impl AsRef<Path>,
        options: ManagerOptions,
    ) -> Result<Self, OpenError> {
        let dirname = dir.as_ref().to_owned();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                filename: PathBuf::new(),
                is_poked: false,
                is_closed: false,
                // The thread begins with one, without waiting for anything.
                begun: 1,
                done: 0,
            }),
            wake: Condvar::new(),
            passed: Condvar::new(),
            audience: Audience::new(&options),
        });
        let events = shared.audience.subscribe();
        let mut keeper = Keeper::open(storage, &dirname, &options, shared.as_ref())?;
        shared.state().filename = keeper.current().to_owned();
        let (pace, host) = (Pace::new(&options), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("logq-manager".to_owned())
            .spawn(move || {
                keeper.pass(host.as_ref());
                while host.wait(pace, || keeper.is_full()) {
                    keeper.pass(host.as_ref());
                }
            })
            .map_err(|source| OpenError::Thread { source })?;
        let (events, thread) = (Mutex::new(Some(events)), Mutex::new(Some(thread)));
        Ok(Self { shared, dirname, events, thread })
    }

    /// The directory of the store.
    pub fn dirname(&self) -> &Path {
        &self.dirname
    }

    /// The segment that all loggers should write to now.
    pub fn filename(&self) -> PathBuf {
        self.shared.state().filename.clone()
    }

    /// All events from now on; for the first caller, all since the manager was opened.
    ///
    /// The receiver ends when the manager is closed. One that leaves 1024 events unread misses those
    /// that follow until it reads.
    pub fn events(&self) -> Receiver<Event> {
        let first = self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.shared.audience.subscribe())
    }

    /// Has the store looked at now instead of with the next poll: after a full disk, for example.
    pub fn poke(&self) {
        self.shared.state().is_poked = true;
        self.shared.wake.notify_all();
    }

    /// Has the store looked at now and waits until that is done, or the manager closed. Must not be
    /// called from one of the manager's own callbacks.
    pub fn look(&self) {
        let mut state = self.shared.state();
        let goal = state.begun + 1;
        state.is_poked = true;
        self.shared.wake.notify_all();
        while state.done < goal && !state.is_closed {
            state = self.shared.passed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Stops. When this returns nothing is done or told any more, and another manager can be opened.
    ///
    /// A pass that has begun is waited for: milliseconds, or some tenths of a second while it trains
    /// a dictionary. Called from one of the manager's own callbacks, this returns at once and
    /// the pass ends soon after.
    pub fn close(&self) {
        self.shared.state().is_closed = true;
        self.shared.wake.notify_all();
        self.shared.passed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread catches what callbacks panic with and does not panic itself; if it did,
            // it would be over as well.
            let _ = thread.join();
        }
        self.shared.audience.dismiss();
    }

    /// Whether the manager is closed.
    pub fn closed(&self) -> bool {
        self.shared.is_closed()
    }
}

impl Drop for LogManager {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for LogManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogManager")
            .field("dirname", &self.dirname)
            .field("filename", &self.filename())
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}

/// How fast writers are taken to fill a segment, in bytes a second, when it is decided how often to
/// look whether they have.
const FILL_RATE: u64 = 200_000_000;

/// How long the manager sleeps.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between passes.
    poll: Duration,
    /// Between two looks at the size of the newest segment.
    glance: Duration,
}

impl Pace {
    /// A segment that is small beside what is written between two passes would hold much of the
    /// store, or all of it, before anybody looked; and be deleted as a whole.
    fn new(options: &ManagerOptions) -> Self {
        let poll = options.poll_interval;
        let fill_micros = options.limits().segment_bytes / (FILL_RATE / 1_000_000);
        let glance = Duration::from_micros(fill_micros).max(poll / 100);
        Self { poll, glance: glance.clamp(Duration::from_millis(1), poll) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held would be a bug; the state is consistent between calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a pass and sleeps until it is time for the next one, or the newest segment is full;
    /// `false` once the manager is closed.
    fn wait(&self, pace: Pace, is_full: impl Fn() -> bool) -> bool {
        let mut state = self.state();
        state.done = state.begun;
        self.passed.notify_all();
        let is_quiet = |state: &mut State| !state.is_poked && !state.is_closed;
        let mut left = pace.poll;
        while !left.is_zero() && is_quiet(&mut state) {
            let nap = pace.glance.min(left);
            let waited = self.wake.wait_timeout_while(state, nap, is_quiet);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            left -= nap;
            if is_quiet(&mut state) {
                drop(state);
                let is_full = is_full();
                state = self.state();
                if is_full {
                    break;
                }
            }
        }
        state.is_poked = false;
        state.begun += 1;
        !state.is_closed
    }
}

impl Host for Shared {
    fn tell(&self, event: Event) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        if let Event::Rotate(path) = &event {
            state.filename.clone_from(path);
        }
        drop(state);
        self.audience.tell(&event);
    }

    fn is_closed(&self) -> bool {
        self.state().is_closed
    }
}
