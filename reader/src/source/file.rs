//! Segments in files, read by positioned reads or mapped in windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Ahead, Bytes, Fetch, map};
use crate::report::Cause;

/// How the bytes of a file are got at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// By positioned reads: right for files that are being written, and for unknown ones.
    Read,
    /// By mapping windows: right for files that nobody writes to any more.
    Map,
}

/// So few bytes are read more quickly than a window is mapped, and unmapped on all processors.
const SMALL_BYTES: u64 = 16 << 10;

/// Opens a file that should be a segment. Of a pipe, which somebody may have put in its place, it does
/// not wait for the other end.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// A segment in a file.
#[derive(Debug)]
pub(crate) struct FileSource {
    path: Arc<Path>,
    len: u64,
    /// Device and inode: what the path must still lead to when the file is opened again.
    identity: Identity,
    /// The open file, once there is one, unless there are too many of them.
    file: OnceLock<Arc<File>>,
    /// Whether a file that is opened stays open.
    keep: bool,
    access: Access,
}

impl FileSource {
    /// The file at `path` with its present length.
    ///
    /// With `keep` it stays open, so that it can be read even after it was deleted; without, it is
    /// opened again whenever it is read.
    pub(crate) fn open(path: &Arc<Path>, access: Access, keep: bool) -> io::Result<Self> {
        let (file, metadata) = open(path)?;
        let (len, identity) = (metadata.len(), Identity::of(&metadata));
        let path = Arc::clone(path);
        let file = keep.then(|| Arc::new(file)).map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { path, len, identity, file, keep, access })
    }

    /// A file that nobody writes to any more, of which inode and length are known: it is opened when
    /// it is read first, and with `keep` stays open from then on.
    pub(crate) fn later(path: &Arc<Path>, inode: u64, len: u64, keep: bool) -> Self {
        let (path, file, access) = (Arc::clone(path), OnceLock::new(), Access::Map);
        let identity = Identity { device: None, inode };
        Self { path, len, identity, file, keep, access }
    }

    /// A file that was open already and of which `len` bytes are to be seen, by positioned reads.
    pub(crate) fn of(
        path: &Arc<Path>,
        file: Option<Arc<File>>,
        identity: (u64, u64),
        len: u64,
    ) -> Self {
        let (path, access) = (Arc::clone(path), Access::Read);
        let identity = Identity { device: Some(identity.0), inode: identity.1 };
        let file = file.map_or_else(OnceLock::new, OnceLock::from);
        Self { path, len, identity, file, keep: false, access }
    }

    fn reopen(&self) -> Result<File, Cause> {
        let (file, metadata) = open(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Cause::Vanished,
            _ => unreadable(&error),
        })?;
        if self.identity.is_of(&metadata) { Ok(file) } else { Err(Cause::Vanished) }
    }

    fn read_from(
        &self,
        file: &File,
        range: Range<u64>,
        mut buffer: Vec<u8>,
    ) -> io::Result<Bytes<'static>> {
        if self.access == Access::Map && range.end.saturating_sub(range.start) > SMALL_BYTES {
            let end = range.end.min(file.metadata()?.len());
            if range.start >= end {
                return Ok(Bytes::default());
            }
            return map::map(file, range.start..end).map(Bytes::Mapped);
        }
        let len = usize::try_from(range.end.saturating_sub(range.start))
            .map_err(|_| io::ErrorKind::FileTooLarge)?;
        buffer.resize(len, 0);
        let read = fill(&mut buffer, range.start, |room, offset| file.read_at(room, offset))?;
        buffer.truncate(read);
        Ok(Bytes::Owned(buffer))
    }
}

/// What tells a file from another one of the same name, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Identity {
    /// On some file systems of several layers, files and their directory are on different devices.
    device: Option<u64>,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: Some(metadata.dev()), inode: metadata.ino() }
    }

    fn is_of(self, metadata: &Metadata) -> bool {
        let is_there = self.device.is_none_or(|device| device == metadata.dev());
        is_there && self.inode == metadata.ino()
    }
}

impl Fetch for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>, buffer: Vec<u8>) -> Result<Bytes<'_>, Cause> {
        let range = range.start..range.end.min(self.len);
        let bytes = match self.file.get() {
            Some(file) => self.read_from(file, range, buffer),
            None if self.keep => {
                let opened = Arc::new(self.reopen()?);
                self.read_from(self.file.get_or_init(|| opened), range, buffer)
            }
            None => self.read_from(&self.reopen()?, range, buffer),
        };
        bytes.map_err(|error| unreadable(&error))
    }

    fn ahead(&self) -> Ahead {
        match self.access {
            Access::Read => Ahead::Costly,
            Access::Map => Ahead::Free,
        }
    }
}

/// Reads until `buffer` is full or the file ends; says how much there is.
pub(crate) fn fill(
    buffer: &mut [u8],
    offset: u64,
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match read_at(room, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What tells a file from another one of the same name.
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

pub(crate) fn unreadable(error: &io::Error) -> Cause {
    Cause::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_interrupted_reads_are_completed() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut calls = 0;
        let mut trickle = |room: &mut [u8], offset: u64| {
            calls += 1;
            if calls % 3 == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let rest = &bytes[usize::try_from(offset).unwrap().min(bytes.len())..];
            let len = room.len().min(rest.len()).min(1);
            room[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        };
        let mut buffer = vec![0; 50];
        assert_eq!(fill(&mut buffer, 20, &mut trickle).unwrap(), 50);
        assert_eq!(buffer, bytes[20..70]);
        assert_eq!(fill(&mut buffer, 80, &mut trickle).unwrap(), 20, "the file ends");
    }

    #[test]
    fn both_ways_of_access_see_the_same_and_notice_truncation() {
        let scratch = tempfile::tempdir().unwrap();
        let path: Arc<Path> = scratch.path().join("segment").into();
        let bytes: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        for (access, keep) in
            [(Access::Read, true), (Access::Read, false), (Access::Map, true), (Access::Map, false)]
        {
            std::fs::write(&path, &bytes).unwrap();
            let source = FileSource::open(&path, access, keep).unwrap();
            assert_eq!(&source.read(5_000..9_000, Vec::new()).unwrap()[..], &bytes[5_000..9_000]);
            assert_eq!(source.read(0..90_000, Vec::new()).unwrap().len(), 20_000);
            File::options().write(true).open(&path).unwrap().set_len(6_000).unwrap();
            assert_eq!(&source.read(5_000..9_000, Vec::new()).unwrap()[..], &bytes[5_000..6_000]);
            assert_eq!(source.read(7_000..9_000, Vec::new()).unwrap().len(), 0);
        }
    }

    #[test]
    fn an_open_file_outlives_its_name_and_a_closed_one_is_recognized() {
        let scratch = tempfile::tempdir().unwrap();
        let path: Arc<Path> = scratch.path().join("segment").into();
        std::fs::write(&path, "old").unwrap();
        let kept = FileSource::open(&path, Access::Read, true).unwrap();
        let closed = FileSource::open(&path, Access::Read, false).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        let [later, too_late] = [(); 2].map(|()| FileSource::later(&path, inode, 3, true));
        assert_eq!(&later.read(0..1, Vec::new()).unwrap()[..], b"o");
        std::fs::write(scratch.path().join("other"), "new").unwrap();
        std::fs::rename(scratch.path().join("other"), &path).unwrap();
        assert_eq!(&kept.read(0..3, Vec::new()).unwrap()[..], b"old");
        assert_eq!(&later.read(0..3, Vec::new()).unwrap()[..], b"old", "it was opened before");
        assert_eq!(too_late.read(0..3, Vec::new()).unwrap_err(), Cause::Vanished);
        assert_eq!(closed.read(0..3, Vec::new()).unwrap_err(), Cause::Vanished);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(closed.read(0..3, Vec::new()).unwrap_err(), Cause::Vanished);
    }
}
