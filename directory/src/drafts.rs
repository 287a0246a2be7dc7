//! What is left of segments whose creator was killed before anyone could see them.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use logq_format::Id;

use crate::error::{Context, DirectoryError};
use crate::{Directory, lock};

/// A draft that was changed within this time is left alone: between creating and locking it, its
/// creator looks dead.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// The name of a segment in the making.
pub(crate) fn draft_name(id: Id) -> String {
    format!(".{id}.new")
}

/// Whether this is a name that [`draft_name`] gives: nobody else's file is touched.
fn is_draft_name(name: &OsStr) -> bool {
    let hex = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".new"));
    id.is_some_and(hex)
}

impl Directory {
    /// Removes the drafts of processes that are gone, and answers which they were.
    ///
    /// A draft is abandoned if nobody holds it locked and it either is a published segment's second
    /// name, or was last changed more than an hour before `now`. One that a process is filling is
    /// never touched, however long that takes.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be read or a draft not be removed; the others are removed
    /// all the same.
    pub fn remove_abandoned_drafts(&self, now: SystemTime) -> Result<Vec<PathBuf>, DirectoryError> {
        let names = self.storage().list(self.path()).context("list", self.path())?;
        let mut removed = Vec::new();
        let mut failure = Ok(());
        for name in names.into_iter().filter(|name| is_draft_name(name)) {
            let path = self.path().join(name);
            match self.remove_if_abandoned(&path, now) {
                Ok(false) => {}
                Ok(true) => removed.push(path),
                // Its creator was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failure = failure.and(Err(error).context("delete", &path)),
            }
        }
        failure.map(|()| removed)
    }

    fn remove_if_abandoned(&self, path: &Path, now: SystemTime) -> io::Result<bool> {
        let found = self.storage().examine(path)?;
        let may_be = found.is_file() && (found.nlink() > 1 || is_stale(&found, now));
        if !may_be || lock::is_held(&self.storage().open(path)?, 0)? {
            return Ok(false);
        }
        self.storage().remove(path)?;
        Ok(true)
    }
}

/// Whether the file was last changed long ago. A time in the future is not.
fn is_stale(found: &Metadata, now: SystemTime) -> bool {
    let age = found.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age > FRESH)
}
