//! What can keep a store from being opened or read at all.
//!
//! Damage is not among it: what cannot be read of an open store is a [`Gap`](crate::Gap) in the
//! [`Report`](crate::Report).

use std::io;
use std::path::PathBuf;

use crate::cursor::CursorError;

/// Says why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing at this path.
    #[error("{}: no such store; a store is a directory of *.logq files", path.display())]
    NoSuchPath {
        /// The path as given.
        path: PathBuf,
    },
    /// There is something else at this path.
    #[error(
        "{}: not a store but {holds}; a store is a directory of *.logq files, and `logq import` makes one from other logs",
        path.display()
    )]
    NotAStore {
        /// The path as given.
        path: PathBuf,
        /// What is there instead, such as `a directory of 3 other files`.
        holds: String,
    },
    /// What comes through a pipe cannot be kept until it is read.
    #[error(
        "{name}: cannot be kept in a temporary file in {}: {source}; TMPDIR names another place",
        directory.display()
    )]
    Spool {
        /// The name of the pipe.
        name: String,
        /// Where the file was to be.
        directory: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Block streams were joined that no question can be put to.
    #[error(
        "{name}: joins streams of different levels, types or workers; read them one after the other"
    )]
    MixedStreams {
        /// The name of the pipe.
        name: String,
    },
    /// The operating system refuses.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The path concerned.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Says why reading stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no memory for decompression.
    #[error("cannot set up decompression: {source}")]
    Decompressor {
        /// The decompressor's answer.
        source: io::Error,
    },
    /// The query's cursor does not fit the stores or the query.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}
