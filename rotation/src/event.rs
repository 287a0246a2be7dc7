//! What a manager tells: rotations, deletions, errors, and to whom.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use logq_directory::DirectoryError;

use crate::options::{ManagerOptions, OnError, OnRotate, OptionsError};
use crate::retention::Reason;

/// Something a manager did, or could not do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Everyone should write to the segment at this path from now on.
    Rotate(PathBuf),
    /// A segment was deleted.
    Delete {
        /// Where it was.
        path: PathBuf,
        /// How many bytes it had.
        bytes: u64,
        /// Why.
        reason: Reason,
    },
    /// A file-system operation failed. The manager tries again with the next poll.
    Error(Arc<ManagerError>),
}

impl Event {
    pub(crate) fn error(error: impl Into<ManagerError>) -> Self {
        Self::Error(Arc::new(error.into()))
    }
}

/// Says what a manager could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The store's directory, one of its segments or the manager's lock failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Somebody has held the directory lock for a second, which is meant for milliseconds.
    #[error(
        "cannot rotate {}: another process holds its lock; is one of its writers stopped?",
        path.display()
    )]
    Locked {
        /// The store.
        path: PathBuf,
    },
}

/// Says why a manager cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is beyond its bound.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The directory cannot be created or used, or another process manages it: see
    /// [`DirectoryError::Managed`].
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no segment to write to, and none can be created.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The thread that polls cannot be started.
    #[error("the manager's thread cannot be started: {source}")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
}

/// Events that a receiver may leave unread; more are dropped until it reads.
const UNREAD_MAX: usize = 1024;

/// Everyone who is told of events.
pub(crate) struct Audience {
    on_rotate: Option<OnRotate>,
    on_error: Option<OnError>,
    receivers: Mutex<Vec<SyncSender<Event>>>,
}

impl Audience {
    pub(crate) fn new(options: &ManagerOptions) -> Self {
        let (on_rotate, on_error) = (options.on_rotate.clone(), options.on_error.clone());
        Self { on_rotate, on_error, receivers: Mutex::default() }
    }

    /// One more receiver of all events from now on.
    pub(crate) fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = sync_channel(UNREAD_MAX);
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Ends all receivers.
    pub(crate) fn dismiss(&self) {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn tell(&self, event: &Event) {
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.retain(|receiver| {
            !matches!(receiver.try_send(event.clone()), Err(TrySendError::Disconnected(_)))
        });
        drop(receivers);
        // The panic hook has shown a callback's panic; it must not end the manager.
        let _ = catch_unwind(AssertUnwindSafe(|| self.call(event)));
    }

    fn call(&self, event: &Event) {
        match (event, &self.on_rotate, &self.on_error) {
            (Event::Rotate(path), Some(on_rotate), _) => on_rotate(Path::new(path)),
            (Event::Error(error), _, Some(on_error)) => on_error(error),
            _ => {}
        }
    }
}
