//! The seam through which blocks reach the disk.

use std::fs::File;
use std::io::{self, Write};

/// What a logger asks of the operating system while it runs. Tests pass one that fails.
pub trait Io: Send + Sync {
    /// Appends bytes with one system call and answers how many were taken.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was appended survive a power failure.
    ///
    /// # Errors
    ///
    /// The operating system's. After a failure nothing is known about what was appended since the
    /// last success (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC
    /// 2020), so it is not tried again on the same file.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The operating system itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIo;

impl Io for SystemIo {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
