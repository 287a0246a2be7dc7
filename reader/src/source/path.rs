//! The paths of segments, of which a large store has thousands.

use std::ffi::OsStr;
use std::ops::{Deref, Range};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the name of a segment whose number has ten digits.
const NAME_LEN: usize = 32;

/// A path that is cheap to copy and shares its memory with those of the same listing.
#[derive(Clone, Debug)]
pub(crate) struct SharedPath {
    /// Paths, one after the other.
    all: Arc<Vec<u8>>,
    place: Range<usize>,
}

impl SharedPath {
    /// The paths of files in a directory, which must be the same names each time they are gone through.
    pub(crate) fn all_in<'n>(
        directory: &Path,
        names: impl ExactSizeIterator<Item = &'n str> + Clone,
    ) -> impl Iterator<Item = Self> {
        let prefix = directory.join("").into_os_string().into_vec();
        let mut all = Vec::with_capacity(names.len() * (prefix.len() + NAME_LEN));
        for name in names.clone() {
            all.extend_from_slice(&prefix);
            all.extend_from_slice(name.as_bytes());
        }
        let (all, mut end) = (Arc::new(all), 0);
        names.map(move |name| {
            let start = end;
            end += prefix.len() + name.len();
            Self { all: Arc::clone(&all), place: start..end }
        })
    }
}

impl Deref for SharedPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.all.get(self.place.clone()).unwrap_or_default()))
    }
}

impl AsRef<Path> for SharedPath {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl From<&Path> for SharedPath {
    fn from(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        Self { all: Arc::new(bytes.to_vec()), place: 0..bytes.len() }
    }
}

impl From<PathBuf> for SharedPath {
    fn from(path: PathBuf) -> Self {
        Self::from(&*path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_files_of_a_directory() {
        let names = ["0000000001-a.logq", "0000000002-b.logq", ""];
        for directory in ["", "/", "a/b", "a/b/"] {
            let directory = Path::new(directory);
            let shared: Vec<_> = SharedPath::all_in(directory, names.into_iter()).collect();
            assert_eq!(shared.len(), names.len());
            for (path, name) in shared.iter().zip(names) {
                assert_eq!(**path, directory.join(name));
            }
        }
        assert_eq!(*SharedPath::from(Path::new("a")), *Path::new("a"));
    }
}
