//! Waiting until something may have changed: told by the system, or else for a while.

use std::fmt;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::inotify::Watches;

/// How a [`Follow`](crate::Follow) learns that something was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notification {
    /// The system tells at once.
    Inotify,
    /// By looking again and again, for this reason.
    Polling(PollingReason),
}

/// Why the system does not tell of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PollingReason {
    /// It was asked not to.
    Asked,
    /// It has no means that are known here.
    Unsupported,
    /// It refuses, with this error number. Most often too many watches are in use; see
    /// `fs.inotify.max_user_watches` and `fs.inotify.max_user_instances`.
    Refused(i32),
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inotify => f.write_str("told by the system of every change"),
            Self::Polling(reason) => write!(f, "looking again and again, {reason}"),
        }
    }
}

impl fmt::Display for PollingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("as asked for"),
            Self::Unsupported => f.write_str("since this system tells of no changes"),
            Self::Refused(code) => {
                let error = std::io::Error::from_raw_os_error(*code);
                write!(f, "since the system refuses to tell of changes ({error}); ")?;
                f.write_str("see fs.inotify.max_user_watches and max_user_instances")
            }
        }
    }
}

/// What may have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Anything at all.
    pub(super) any: bool,
    /// Which files there are.
    pub(super) names: bool,
}

/// Waits.
#[derive(Debug)]
pub(super) struct Wake {
    #[cfg(target_os = "linux")]
    watches: Option<Watches>,
    notification: Notification,
}

impl Wake {
    /// `notify` is whether the system is to be asked at all.
    pub(super) fn new(notify: bool) -> Self {
        let mut wake = Self {
            #[cfg(target_os = "linux")]
            watches: None,
            notification: Notification::Polling(PollingReason::Asked),
        };
        if notify {
            wake.begin();
        }
        wake
    }

    #[cfg(target_os = "linux")]
    fn begin(&mut self) {
        match Watches::new() {
            Ok(watches) => {
                self.watches = Some(watches);
                self.notification = Notification::Inotify;
            }
            Err(code) => self.notification = Notification::Polling(PollingReason::Refused(code)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn begin(&mut self) {
        self.notification = Notification::Polling(PollingReason::Unsupported);
    }

    pub(super) fn notification(&self) -> Notification {
        self.notification
    }

    /// Asks to be told of changes of a directory, or of a file, that exists now. Cheap if that is so
    /// already. Where the system refuses, everything is polled from now on.
    #[cfg(target_os = "linux")]
    pub(super) fn watch(&mut self, path: &Path) {
        if let Some(watches) = &mut self.watches
            && let Err(code) = watches.add(path)
        {
            self.watches = None;
            self.notification = Notification::Polling(PollingReason::Refused(code));
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn watch(&mut self, _path: &Path) {}

    /// Waits for a change, at most so long.
    #[cfg(target_os = "linux")]
    pub(super) fn wait(&mut self, timeout: Duration) -> Changes {
        match &mut self.watches {
            Some(watches) => watches.wait(timeout),
            None => sleep(timeout),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn wait(&mut self, timeout: Duration) -> Changes {
        sleep(timeout)
    }
}

fn sleep(timeout: Duration) -> Changes {
    std::thread::sleep(timeout);
    Changes::default()
}
