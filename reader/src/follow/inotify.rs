//! Changes of files as Linux tells of them; see inotify(7).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::wake::Changes;

/// The paths that are watched.
#[derive(Debug)]
pub(super) struct Watches {
    inotify: Inotify,
    paths: BTreeMap<PathBuf, WatchDescriptor>,
}

/// Which files there are in a directory, or whether the path leads to the same file.
const NAMES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);

/// The watch ends.
const GONE: AddWatchFlags = AddWatchFlags::IN_IGNORED
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_UNMOUNT);

impl Watches {
    /// # Errors
    ///
    /// The number of the system's error.
    pub(super) fn new() -> Result<Self, i32> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).map_err(|error| error as i32)?;
        Ok(Self { inotify, paths: BTreeMap::new() })
    }

    /// Watches a path, unless that is being done; of a directory perhaps only which files there are.
    /// What has just vanished is not watched. Answers whether it is watched from now on.
    pub(super) fn add(&mut self, path: &Path, only_names: bool) -> Result<bool, i32> {
        if self.paths.contains_key(path) {
            return Ok(false);
        }
        // The count of links tells of a file that it was deleted while somebody has it open.
        let all = NAMES | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ATTRIB;
        match self.inotify.add_watch(path, if only_names { NAMES } else { all }) {
            Ok(watch) => {
                self.paths.insert(path.to_owned(), watch);
                Ok(true)
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(error) => Err(error as i32),
        }
    }

    /// Has something to read when there is a change.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Waits for a change, at most so long.
    pub(super) fn wait(&mut self, timeout: Duration) -> Changes {
        let end = Instant::now() + timeout;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            // Rounded up, so that the last millisecond is not spun through.
            let rest = rest.checked_add(Duration::from_micros(999)).unwrap_or(rest);
            let rest = PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, rest) {
                Ok(0) => return Changes::default(),
                Ok(_) => return self.take(),
                Err(Errno::EINTR) if Instant::now() < end => {}
                Err(_) => {
                    std::thread::sleep(end.saturating_duration_since(Instant::now()));
                    return Changes::default();
                }
            }
        }
    }

    fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        // A burst fills several buffers; what comes later still is the next wait's.
        for _ in 0..16 {
            let Ok(events) = self.inotify.read_events() else { break };
            changes.any = true;
            for event in events {
                // After an overflow nobody knows what there was.
                let names = NAMES | AddWatchFlags::IN_Q_OVERFLOW;
                changes.names |= event.mask.intersects(names);
                if event.mask.intersects(GONE) {
                    self.forget(event.wd);
                }
            }
        }
        changes
    }

    fn forget(&mut self, watch: WatchDescriptor) {
        self.paths.retain(|_, other| *other != watch);
        // After a move the watch would go on with a file of another name.
        let _ = self.inotify.rm_watch(watch);
    }
}
