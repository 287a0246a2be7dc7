//! Locks of the kernel on bytes of the file `writers.lock`: they are gone when their holder is,
//! however it ended.
//!
//! Byte 0 is the directory lock: whoever joins a segment, creates one or states claims about one
//! holds it for that moment. Never on the way of a log call. Byte n is slot n: a living writer
//! holds it, anyone may ask. The locks belong to the open file description (`F_OFD_SETLK` of
//! fcntl(2)), not to the process, so that several loggers of one process are told apart. A child of
//! fork shares the descriptions of its parent until it runs another program, so a lock that is given
//! back is unlocked and not only closed.
//!
//! The one manager of a store holds byte 0 of a file of its own, `manager.lock`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::Directory;
use crate::error::{Context, DirectoryError};

/// The largest slot number.
pub(crate) const SLOTS_MAX: u16 = u16::MAX;

/// The file whose bytes are locked; its content never matters and it stays empty.
const LOCK_FILE: &str = "writers.lock";

/// The file that a store's manager holds locked; its content, the manager's process id in decimal,
/// is for error messages.
const MANAGER_FILE: &str = "manager.lock";

/// The right to join, create and state claims; given up when dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _held: Held,
}

/// A sign of life that ends with the process: a locked byte.
#[derive(Debug)]
pub struct Slot {
    _held: Held,
    number: u32,
}

/// The right to rotate and delete; given up when dropped, or when the process ends.
#[derive(Debug)]
pub struct ManagerLock {
    held: Held,
    path: PathBuf,
}

/// A byte that this process has locked.
#[derive(Debug)]
pub(crate) struct Held {
    file: Arc<File>,
    offset: i64,
    process: u32,
}

impl Held {
    /// The lock on the byte at `offset`, which has just been taken.
    pub(crate) fn new(file: impl Into<Arc<File>>, offset: i64) -> Self {
        Self { file: file.into(), offset, process: std::process::id() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A child of fork that drops its copy must not unlock what its parent holds.
        if self.process != std::process::id() {
            return;
        }
        let free = libc::flock { l_type: UNLOCK, ..exclusive(self.offset) };
        // Closing the file does the same, unless a child of fork has it open too.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&free));
    }
}

impl ManagerLock {
    /// Whether this is still the lock that another manager would ask for: the file was not deleted
    /// or replaced meanwhile.
    pub fn is_current(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.held.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(found)) => identity(ours) == identity(found),
            _ => false,
        }
    }
}

impl Slot {
    /// The slot's number, from 1, as joins and rosters list it.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Directory {
    /// Waits for the directory lock.
    ///
    /// Holders keep it for milliseconds, so this returns soon unless one of them is stopped.
    ///
    /// # Errors
    ///
    /// Fails where the lock file cannot be opened or the file system has no locks.
    pub fn lock(&self) -> Result<DirectoryLock, DirectoryError> {
        let (file, path) = self.lock_file()?;
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&exclusive(0))) {
                Err(Errno::EINTR) => {}
                other => {
                    other.context("lock", &path)?;
                    return Ok(DirectoryLock { _held: Held::new(file, 0) });
                }
            }
        }
    }

    /// Takes the directory lock if nobody holds it.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`].
    pub fn try_lock(&self) -> Result<Option<DirectoryLock>, DirectoryError> {
        let (file, path) = self.lock_file()?;
        let taken = try_exclusive(&file, 0).context("lock", &path)?;
        Ok(taken.then(|| DirectoryLock { _held: Held::new(file, 0) }))
    }

    /// Takes the right to manage the store.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Managed`] names the process that has it; otherwise as [`Self::lock`].
    pub fn lock_manager(&self) -> Result<ManagerLock, DirectoryError> {
        const ATTEMPTS: usize = 8;
        let path = self.path().join(MANAGER_FILE);
        for _ in 0..ATTEMPTS {
            let file = open_lock_file(&path)?;
            if !try_exclusive(&file, 0).context("lock", &path)? {
                return Err(DirectoryError::Managed { path: self.path().into(), pid: pid(file) });
            }
            let lock = ManagerLock { held: Held::new(file, 0), path: path.clone() };
            // Between opening and locking somebody may have put another file there.
            if lock.is_current() {
                sign(&lock.held.file).context("write", &path)?;
                return Ok(lock);
            }
        }
        Err(DirectoryError::Managed { path: self.path().into(), pid: None })
    }

    /// Takes the first free slot. The directory lock keeps two writers from racing for it.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`], and where all slots are taken.
    pub fn take_slot(&self, lock: &DirectoryLock) -> Result<Slot, DirectoryError> {
        self.take_slot_from(lock, 1)
    }

    /// Takes the first free slot whose number is at least `first`.
    pub(crate) fn take_slot_from(
        &self,
        _lock: &DirectoryLock,
        first: u16,
    ) -> Result<Slot, DirectoryError> {
        let (file, path) = self.lock_file()?;
        for number in first..=SLOTS_MAX {
            let offset = number.into();
            if try_exclusive(&file, offset).context("lock", &path)? {
                return Ok(Slot { _held: Held::new(file, offset), number: number.into() });
            }
        }
        Err(DirectoryError::NoSlot { path })
    }

    /// Whether somebody holds the slot with this number. Number 0 stands for no slot at all.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`].
    pub fn is_slot_held(&self, number: u32) -> Result<bool, DirectoryError> {
        let (file, path) = self.lock_file()?;
        let held = is_held(&file, number.into()).context("ask for a lock on", &path)?;
        Ok(number > 0 && held)
    }

    fn lock_file(&self) -> Result<(File, PathBuf), DirectoryError> {
        let path = self.lock_path();
        Ok((open_lock_file(&path)?, path))
    }

    /// Where the lock file is, if there is one.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path().join(LOCK_FILE)
    }
}

fn open_lock_file(path: &Path) -> Result<File, DirectoryError> {
    // Rust opens every file close-on-exec, so a spawned program does not keep the lock.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).context("open", path)
}

/// Writes the id of this process as the file's content.
fn sign(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// The id of the process that signed the file; `None` in the moment before it does.
fn pid(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Takes the lock on the byte at `offset` unless somebody else holds it.
pub(crate) fn try_exclusive(file: &File, offset: i64) -> nix::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&exclusive(offset))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether somebody else holds a lock on the byte at `offset`.
pub(crate) fn is_held(file: &File, offset: i64) -> nix::Result<bool> {
    let mut probe = exclusive(offset);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe))?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}

/// Bytes that somebody else has locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) bytes: RangeInclusive<i64>,
    /// Whether it is a lock of the kind that is taken here: exclusive, of a description, and
    /// on nothing but these bytes.
    pub(crate) is_ours: bool,
}

/// The locks of others that touch `bytes`, in any order. Costs a system call for each, and one more
/// for each range between them.
pub(crate) fn locked(file: &File, bytes: RangeInclusive<i64>) -> nix::Result<Vec<Locked>> {
    let mut found = Vec::new();
    let mut open = vec![bytes];
    while let Some(bytes) = open.pop() {
        if bytes.is_empty() {
            continue;
        }
        let (first, last) = bytes.into_inner();
        let mut probe = libc::flock { l_len: last - first + 1, ..exclusive(first) };
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe))?;
        if i32::from(probe.l_type) == libc::F_UNLCK {
            continue;
        }
        // A length of 0 reaches to the end of all files.
        let end = if probe.l_len == 0 { i64::MAX } else { probe.l_start + (probe.l_len - 1) };
        let bytes = probe.l_start.max(first)..=end.min(last);
        let is_ours = probe.l_type == LOCK
            && probe.l_pid == OF_A_DESCRIPTION
            && (probe.l_start, end) == (*bytes.start(), *bytes.end());
        // The kernel answers any one of several locks.
        open.push(first..=*bytes.start() - 1);
        open.push(*bytes.end() + 1..=last);
        found.push(Locked { bytes, is_ours });
    }
    Ok(found)
}

/// What the kernel says instead of the process that holds a lock, where none does.
const OF_A_DESCRIPTION: libc::pid_t = -1;

/// An exclusive lock on the byte at `offset`.
fn exclusive(offset: i64) -> libc::flock {
    libc::flock {
        l_type: LOCK,
        l_whence: FROM_START,
        l_start: offset,
        l_len: 1,
        // Must be 0 for locks of open file descriptions.
        l_pid: 0,
    }
}

// The kernel's structure has narrower fields than the constants of the same header.
#[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
const LOCK: libc::c_short = libc::F_WRLCK as libc::c_short;
#[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
const UNLOCK: libc::c_short = libc::F_UNLCK as libc::c_short;
#[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
const FROM_START: libc::c_short = libc::SEEK_SET as libc::c_short;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_by_its_owner_and_not_by_the_copies_of_forked_children() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        let open = || open_lock_file(&path).unwrap();
        let file = open();
        let copies = [(); 2].map(|()| file.try_clone().unwrap());
        assert!(try_exclusive(&file, 3).unwrap());
        let held = Held::new(file, 3);
        let [dropped, kept] = copies;
        drop(Held { file: dropped.into(), offset: 3, process: std::process::id() + 1 });
        assert!(is_held(&open(), 3).unwrap());
        drop(held);
        assert!(!is_held(&open(), 3).unwrap(), "though a child has the file open: {kept:?}");
    }
}
