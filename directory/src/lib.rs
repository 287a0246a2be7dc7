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
//! | a writer is alive, and holds nothing back | [`Slot`], [`Presence`], [`Idle`], [`present_writers`] |
//! | what writers tell each other and readers | [`ControlPage`], [`WriterEntry`], [`Place`] |
//! | which segments are finished, and between which times | [`Catalogue`], [`Finished`], [`Stamp`] |
//! | one process at a time rotates and deletes | [`ManagerLock`] |
//! | what happens on the disk, as a seam for tests | [`Storage`], [`Disk`], [`Space`] |
//! | clocks that nobody sets | [`boot_id`], [`monotonic_us`], [`suspended_us`] |
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

mod catalogue;
mod control;
mod drafts;
mod error;
mod fields;
mod lock;
mod machine;
mod presence;
mod segment;
mod stamp;
mod storage;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use catalogue::{Catalogue, Finished};
pub use control::{ControlPage, Place, WriterEntry};
pub use error::DirectoryError;
pub use lock::{DirectoryLock, ManagerLock, Slot};
pub use machine::{boot_id, monotonic_us, suspended_us};
pub use presence::{Idle, Presence, Present, present_writers};
pub use segment::{Draft, NewSegment, is_worth_a_copy};
pub use stamp::Stamp;
pub use storage::{Disk, Space, Storage};

use error::Context;
use logq_format::{FILE_HEADER_LEN, FileHeader, segment_number};

/// A store: a directory of segments.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
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
        Self::create_on(Arc::new(Disk), path)
    }

    /// As [`Self::create`], with file operations that a test can make fail.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn create_on(storage: Arc<dyn Storage>, path: &Path) -> Result<Self, DirectoryError> {
        storage.create_directory(path).context("create", path)?;
        Self::open_on(storage, path)
    }

    /// The store at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// Fails where the path is not a directory, and on network file systems.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        Self::open_on(Arc::new(Disk), path)
    }

    fn open_on(storage: Arc<dyn Storage>, path: &Path) -> Result<Self, DirectoryError> {
        let directory = File::open(path).context("open", path)?;
        if !directory.metadata().context("open", path)?.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(source).context("open", path);
        }
        segment::refuse_network(&directory, path)?;
        Ok(Self { path: path.to_owned(), storage })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file operations that this directory is worked on with.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// The segments, in the order of their numbers. Other files are passed over.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be read.
    pub fn segments(&self) -> Result<Vec<SegmentFile>, DirectoryError> {
        let mut segments = Vec::new();
        for name in self.storage.list(&self.path).context("list", &self.path)? {
            if let Some(number) = number_of(&name) {
                segments.push(SegmentFile { number, path: self.path.join(name) });
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

    /// Reads and decodes the file header of a segment.
    ///
    /// # Errors
    ///
    /// As [`read_header`], and where the file cannot be opened.
    pub fn header(&self, segment: &SegmentFile) -> Result<FileHeader, DirectoryError> {
        let file = self.storage.open(&segment.path).context("open", &segment.path)?;
        header_of(self.storage(), &file, &segment.path)
    }

    /// Deletes a segment. One that is gone already is fine.
    ///
    /// Space is free again once nobody has the file open and the directory is synced.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be deleted.
    pub fn delete(&self, segment: &SegmentFile) -> Result<(), DirectoryError> {
        match self.storage.remove(&segment.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.context("delete", &segment.path),
        }
    }

    /// The room on the file system that the store is on.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be examined.
    pub fn space(&self) -> Result<Space, DirectoryError> {
        self.storage.space(&self.path).context("examine", &self.path)
    }

    /// Makes new and deleted names survive a power failure.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be opened or synced.
    pub fn sync(&self) -> Result<(), DirectoryError> {
        let opened = self.storage.open(&self.path);
        opened.and_then(|directory| self.storage.sync(&directory)).context("sync", &self.path)
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
    header_of(&Disk, file, path)
}

fn header_of(
    storage: &dyn Storage,
    file: &File,
    path: &Path,
) -> Result<FileHeader, DirectoryError> {
    let mut bytes = [0; FILE_HEADER_LEN];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match storage.read_at(file, room, filled as u64).context("read", path)? {
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
