//! Whether a directory is still as it was: its time of change, where that can tell.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

/// A state of a directory: as long as it has the same stamp, no name has come or gone.
///
/// It is the time of the last change of the inode, which nobody can set, unlike that of its content.
/// The kernel stamps with a clock that stands still for some milliseconds at a time. So there is a
/// stamp only once this clock has gone on since the change: every later change then has another one,
/// unless the wall clock is set back to the very nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Stamp {
    /// The stamp of the directory at `path`; `None` if it was changed a moment ago, or lies on a file
    /// system that keeps whole seconds only.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be examined.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let found = std::fs::metadata(path)?;
        let stamp = Self {
            device: found.dev(),
            inode: found.ino(),
            seconds: found.ctime(),
            nanoseconds: u32::try_from(found.ctime_nsec()).unwrap_or(0),
        };
        // Looked at behind the directory: what changes from here on has at least this time.
        let clock = clock_gettime(ClockId::CLOCK_REALTIME_COARSE)?;
        let now = (clock.tv_sec(), clock.tv_nsec());
        let is_past = (stamp.seconds, i64::from(stamp.nanoseconds)) < now;
        Ok(Some(stamp).filter(|stamp| is_past && stamp.nanoseconds > 0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Waits for a stamp, which the next tick of the kernel's clock brings.
    fn stamp(path: &Path) -> Stamp {
        let start = Instant::now();
        loop {
            match Stamp::of(path).unwrap() {
                Some(stamp) => return stamp,
                None => assert!(start.elapsed() < Duration::from_secs(10), "no stamp comes"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn names_that_come_and_go_change_it_and_content_does_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        let first = stamp(path);
        assert_eq!(first, stamp(path));
        std::fs::write(path.join("a"), "").unwrap();
        let second = stamp(path);
        assert_ne!(first, second);
        std::fs::write(path.join("a"), "longer").unwrap();
        assert_eq!(second, stamp(path));
        std::fs::remove_file(path.join("a")).unwrap();
        assert_ne!(second, stamp(path));
        assert!(Stamp::of(&path.join("a")).is_err());
    }

    /// A stamp that two states share would hide a segment for good.
    #[test]
    fn changes_right_after_each_other_never_share_a_stamp() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        let mut seen = Vec::new();
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < Duration::from_millis(300) {
            std::fs::write(path.join(format!("{count}")), "").unwrap();
            count += 1;
            if let Some(stamp) = Stamp::of(path).unwrap() {
                assert!(!seen.contains(&stamp), "after {count} files");
                seen.push(stamp);
            }
        }
    }

    /// Tools that copy directories set the time of their content back.
    #[test]
    fn setting_the_time_of_the_content_does_not_bring_a_stamp_back() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        let first = stamp(path);
        let modified = std::fs::metadata(path).unwrap().modified().unwrap();
        std::fs::write(path.join("a"), "").unwrap();
        std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().modified().unwrap(), modified);
        assert_ne!(first, stamp(path));
    }
}
