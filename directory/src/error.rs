//! What can go wrong with a store directory.

use std::io;
use std::path::{Path, PathBuf};

use logq_format::DecodeError;

/// Says which operation on which path failed and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The operating system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried: `create`, `open`, `list`, `read`, `write`, `lock`, `delete`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A segment does not start with an intact file header.
    #[error("{}: {source}", path.display())]
    Header {
        /// The segment.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The path lies on a network file system.
    #[error(
        "{} is on {file_system}, where appends of several processes overwrite each other; \
         keep the store on a local disk",
        path.display()
    )]
    Network {
        /// The directory.
        path: PathBuf,
        /// The kind of file system.
        file_system: &'static str,
    },
    /// Another manager rotates and deletes in this store.
    #[error("{} is managed by {} already; a store has one manager", path.display(), holder(*pid))]
    Managed {
        /// The directory.
        path: PathBuf,
        /// Its process id, if it has told it yet.
        pid: Option<u32>,
    },
    /// All 65,535 places for living writers are taken.
    #[error("{}: all places for writers are taken", path.display())]
    NoSlot {
        /// The lock file.
        path: PathBuf,
    },
}

impl DirectoryError {
    /// The operating system's error number, if there is one.
    pub fn os_code(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Adds operation and path to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, DirectoryError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, DirectoryError> {
        self.map_err(|source| DirectoryError::Io { operation, path: path.to_owned(), source })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, DirectoryError> {
        self.map_err(io::Error::from).context(operation, path)
    }
}
