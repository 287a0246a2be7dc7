//! What can go wrong when opening, flushing and closing. Log calls themselves never fail.

use std::io;
use std::path::PathBuf;

use logq_directory::DirectoryError;

/// Says why a logger cannot be opened or moved to another segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store's directory, its locks or the new segment failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The segment cannot be opened, read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    Segment {
        /// What was tried.
        operation: &'static str,
        /// The segment.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The path names neither a directory nor a segment.
    #[error(
        "{} is not a store: name a directory, or a segment in one such as 0000000001-x.logq",
        path.display()
    )]
    NotAStore {
        /// The path as given.
        path: PathBuf,
    },
    /// The thread that writes blocks cannot be started, or ended already.
    #[error("the logger's background thread does not run: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// The logger was closed before.
    #[error("the logger is closed")]
    Closed,
}

/// Says that records could not be written to the segment yet; they stay queued.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot write to {}: {message}; the records stay in memory and are tried again", path.display())]
pub struct FlushError {
    /// The segment.
    pub path: PathBuf,
    /// The operating system's words.
    pub message: String,
    /// The operating system's error number, 0 if there is none.
    pub code: i32,
}

impl FlushError {
    /// There is nobody left who writes.
    pub(crate) fn ended() -> Self {
        let message = "the background thread has ended".to_owned();
        Self { path: PathBuf::from("the log"), message, code: 0 }
    }
}
