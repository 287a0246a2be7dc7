//! Locks of the kernel on bytes of the file `writers.lock`: they are gone when their holder is,
//! however it ended.
//!
//! Byte 0 is the directory lock: whoever joins a segment, creates one or states claims about one
//! holds it for that moment. Never on the way of a log call. Byte n is slot n: a living writer
//! holds it, anyone may ask. The locks belong to the open file description (`F_OFD_SETLK` of
//! fcntl(2)), not to the process, so that several loggers of one process are told apart.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::Directory;
use crate::error::{Context, DirectoryError};

/// The largest slot number.
const SLOTS_MAX: u16 = u16::MAX;

/// The file whose bytes are locked; its content never matters and it stays empty.
const LOCK_FILE: &str = "writers.lock";

/// The right to join, create and state claims; given up when dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// A sign of life that ends with the process: a locked byte.
#[derive(Debug)]
pub struct Slot {
    _file: File,
    number: u32,
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
                    return Ok(DirectoryLock { _file: file });
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
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&exclusive(0))) {
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            other => {
                other.context("lock", &path)?;
                Ok(Some(DirectoryLock { _file: file }))
            }
        }
    }

    /// Takes the first free slot. The directory lock keeps two writers from racing for it.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`], and where all slots are taken.
    pub fn take_slot(&self, _lock: &DirectoryLock) -> Result<Slot, DirectoryError> {
        let (file, path) = self.lock_file()?;
        for number in 1..=SLOTS_MAX {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&exclusive(number.into()))) {
                Err(Errno::EAGAIN | Errno::EACCES) => {}
                other => {
                    other.context("lock", &path)?;
                    return Ok(Slot { _file: file, number: number.into() });
                }
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
        let mut probe = exclusive(number.into());
        match fcntl(&file, FcntlArg::F_OFD_GETLK(&mut probe)) {
            Ok(_) => Ok(number > 0 && i32::from(probe.l_type) != libc::F_UNLCK),
            Err(error) => Err(error).context("ask for a lock on", &path),
        }
    }

    fn lock_file(&self) -> Result<(File, PathBuf), DirectoryError> {
        let path = self.path().join(LOCK_FILE);
        // Rust opens every file close-on-exec, so a spawned program does not keep the lock.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).context("open", &path)?;
        Ok((file, path))
    }
}

/// An exclusive lock on the byte at `offset`.
fn exclusive(offset: i64) -> libc::flock {
    #[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: 1,
        // Must be 0 for locks of open file descriptions.
        l_pid: 0,
    }
}
