//! The store directory: which segments there are, how a new one comes to be, and the locks that
//! processes sharing a store hold.
//!
//! Writers, rotation and readers agree on these things and on nothing else, so they live below all
//! three. What is *in* a segment is the business of `logq-format`.
//!
//! | | |
//! |---|---|
//! | the directory and its segments | [`Directory`], [`SegmentFile`] |
//! | a new segment, visible only once complete | [`NewSegment`], [`Draft`] |
//! | joining, pinging and creating take turns | [`DirectoryLock`] |
//! | a writer is alive | [`Slot`] |
//!
//! # Example
//!
//! ```
//! use logq_directory::{Directory, NewSegment};
//! use logq_format::Timestamp;
//!
//! let scratch = tempfile::tempdir()?;
//! let directory = Directory::create(&scratch.path().join("logs"))?;
//! assert!(directory.segments()?.is_empty());
//!
//! let lock = directory.lock()?;
//! let now: Timestamp = "2026-02-03T14:05:06Z".parse()?;
//! let segment = directory.create_segment(&lock, &NewSegment::at(now))?;
//! assert!(segment.path.ends_with("0000000001-20260203T140506Z.logq"));
//! assert_eq!(directory.segments()?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod lock;
mod segment;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use error::DirectoryError;
pub use lock::{DirectoryLock, Slot};
pub use segment::{Draft, NewSegment};

use error::Context;
use logq_format::{FILE_HEADER_LEN, FileHeader, segment_number};

/// A store: a directory of segments.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// One segment of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its number, which orders the segments.
    pub number: u64,
    /// Its path.
    pub path: PathBuf,
}

impl Directory {
    /// The store at `path`; creates the directory, and those above it, where there is none.
    ///
    /// New directories belong to the user alone (mode 0700): logs tell secrets.
    ///
    /// # Errors
    ///
    /// Fails where the path is not a directory or cannot become one, and on network file systems,
    /// whose appends overwrite each other.
    pub fn create(path: &Path) -> Result<Self, DirectoryError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).context("create", path)?;
        Self::open(path)
    }

    /// The store at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// Fails where the path is not a directory, and on network file systems.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let directory = File::open(path).context("open", path)?;
        if !directory.metadata().context("open", path)?.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(source).context("open", path);
        }
        segment::refuse_network(&directory, path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segments, in the order of their numbers. Other files are passed over.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be read.
    pub fn segments(&self) -> Result<Vec<SegmentFile>, DirectoryError> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path).context("list", &self.path)? {
            let entry = entry.context("list", &self.path)?;
            if let Some(number) = number_of(&entry.file_name()) {
                segments.push(SegmentFile { number, path: entry.path() });
            }
        }
        segments.sort_by(|a, b| (a.number, &a.path).cmp(&(b.number, &b.path)));
        Ok(segments)
    }

    /// The segment with the largest number, which writers append to.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be read.
    pub fn newest(&self) -> Result<Option<SegmentFile>, DirectoryError> {
        Ok(self.segments()?.pop())
    }
}

fn number_of(name: &OsStr) -> Option<u64> {
    name.to_str().and_then(segment_number)
}

/// Reads and decodes the file header of the segment at `path`.
///
/// # Errors
///
/// Fails where the file cannot be read or does not start with an intact header of this version.
pub fn read_header(file: &File, path: &Path) -> Result<FileHeader, DirectoryError> {
    use std::os::unix::fs::FileExt;

    let mut bytes = [0; FILE_HEADER_LEN];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, filled as u64).context("read", path)? {
            0 => break,
            read => filled += read,
        }
    }
    let bytes = bytes.get(..filled).unwrap_or_default();
    FileHeader::decode(bytes)
        .map_err(|source| DirectoryError::Header { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
