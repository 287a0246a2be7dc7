//! The file operations by which segments come to be, are looked at and go, behind a trait: tests
//! make each of them fail, or be the last one before a crash.
//!
//! Locks are not among them: the kernel gives them back whatever happens, so a crash between a lock
//! and the next operation leaves what a crash before the lock leaves.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Where a store lies: the operating system's files, or a test's idea of them.
///
/// Paths are those of the store's own files. Each method is one system call, or a few that change
/// nothing on the disk until the last one.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Creates the directory and those above it, for the user alone (mode 0700). One that exists
    /// is fine.
    ///
    /// # Errors
    ///
    /// Those of mkdir(2).
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in any order.
    ///
    /// # Errors
    ///
    /// Those of readdir(3).
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// What kind of file this is, how long, how old; of a symbolic link, of the link itself.
    ///
    /// # Errors
    ///
    /// Those of lstat(2).
    fn examine(&self, path: &Path) -> io::Result<Metadata>;

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    fn open(&self, path: &Path) -> io::Result<File>;

    /// Creates a file that did not exist, for the user alone (mode 0600), to read and write.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Reads some bytes at `offset`, none at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at the file's position.
    ///
    /// # Errors
    ///
    /// Those of write(2); a part may have been written.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2); a part may have been written.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the content of a file, or of a directory, survive a power failure.
    ///
    /// # Errors
    ///
    /// Those of fsync(2).
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Gives a file one more name, which must not exist.
    ///
    /// # Errors
    ///
    /// Those of link(2).
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name away from a file, which is gone with its last name.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The room on the file system that a directory is on.
    ///
    /// # Errors
    ///
    /// Those of statvfs(3).
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write.
    pub available: u64,
    /// All of it.
    pub total: u64,
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn examine(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        Ok(Space { available: bytes(found.blocks_available()), total: bytes(found.blocks()) })
    }
}
