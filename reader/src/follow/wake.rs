//! Waiting until something may have changed: told by the system, or else for a while.

use std::fmt;
use std::os::fd::BorrowedFd;
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
#[non_exhaustive]
pub struct Changes {
    /// Anything at all.
    pub any: bool,
    /// Which files there are.
    pub names: bool,
}

/// Waits for changes of files and directories, as a [`Follow`](crate::Follow) does: for whoever follows
/// files of other kinds.
///
/// What the system tells is a hint. Look again now and then even if it tells nothing: not every file
/// system does.
#[derive(Debug)]
pub struct Wake {
    #[cfg(target_os = "linux")]
    watches: Option<Watches>,
    notification: Notification,
}

impl Wake {
    /// `notify` is whether the system is to be asked at all.
    pub fn new(notify: bool) -> Self {
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

    /// How changes are noticed.
    pub fn notification(&self) -> Notification {
        self.notification
    }

    /// Asks to be told of changes of a directory and of the files in it, or of a file, that exists now.
    /// Cheap if that is so already. Where the system refuses, everything is polled from now on. Answers
    /// whether it was not so before: what has changed until now is not told.
    pub fn watch(&mut self, path: &Path) -> bool {
        self.add(path, false)
    }

    /// The same for a directory of which it matters only which files there are.
    pub fn watch_names(&mut self, directory: &Path) -> bool {
        self.add(directory, true)
    }

    #[cfg(target_os = "linux")]
    fn add(&mut self, path: &Path, only_names: bool) -> bool {
        match self.watches.as_mut().map(|watches| watches.add(path, only_names)) {
            Some(Ok(is_new)) => is_new,
            Some(Err(code)) => {
                self.watches = None;
                self.notification = Notification::Polling(PollingReason::Refused(code));
                false
            }
            None => false,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn add(&mut self, _path: &Path, _only_names: bool) -> bool {
        false
    }

    /// A descriptor that has something to read when [`wait`](Self::wait) would not wait: for those who
    /// wait for other things as well. `None` where everything is polled.
    #[cfg(target_os = "linux")]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.watches.as_ref().map(Watches::descriptor)
    }

    /// A descriptor that has something to read when [`wait`](Self::wait) would not wait; there is none.
    #[cfg(not(target_os = "linux"))]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Waits for a change, at most so long.
    #[cfg(target_os = "linux")]
    pub fn wait(&mut self, timeout: Duration) -> Changes {
        match &mut self.watches {
            Some(watches) => watches.wait(timeout),
            None => sleep(timeout),
        }
    }

    /// Waits for so long.
    #[cfg(not(target_os = "linux"))]
    pub fn wait(&mut self, timeout: Duration) -> Changes {
        sleep(timeout)
    }
}

fn sleep(timeout: Duration) -> Changes {
    std::thread::sleep(timeout);
    Changes::default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_wake_tells_of_lines_and_of_new_files_but_not_of_other_files() {
        let directory = tempfile::tempdir().unwrap();
        let [path, other] = ["log", "other"].map(|name| directory.path().join(name));
        fs::write(&path, "").unwrap();
        fs::write(&other, "").unwrap();
        let mut wake = Wake::new(true);
        assert!(wake.watch(&path) && wake.watch_names(directory.path()));
        assert!(!wake.watch(&path), "it is watched");
        assert!(!wake.watch(&directory.path().join("none")), "there is none");
        assert!(wake.descriptor().is_some());
        let changes = |wake: &mut Wake| {
            let changes = wake.wait(Duration::ZERO);
            (changes.any, changes.names)
        };
        fs::write(&other, "line\n").unwrap();
        assert_eq!(changes(&mut wake), (false, false));
        fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(changes(&mut wake), (false, false));
        fs::write(&path, "line\n").unwrap();
        assert_eq!(changes(&mut wake), (true, false));
        fs::rename(&path, directory.path().join("log.1")).unwrap();
        assert_eq!(changes(&mut wake), (true, true));
        fs::write(&path, "").unwrap();
        assert_eq!(changes(&mut wake), (true, true));
        assert!(wake.watch(&path), "it is another file");
    }
}
