//! What there is in the store: its segments with their sizes and headers, foreign files left out.

use std::io;

use logq_directory::{Directory, DirectoryError, SegmentFile};
use logq_format::{DecodeError, FileHeader, recover_marker};

use crate::age::{Birth, ages};
use crate::blocks::{open, read};
use crate::clock::Moment;
use crate::retention::Extent;

/// How much of a file without a right header is searched for blocks.
const SEARCH_LEN: u64 = 64 << 10;

/// A segment as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) file: SegmentFile,
    pub(crate) bytes: u64,
    pub(crate) head: Head,
}

/// How a file begins.
#[derive(Clone, Debug)]
pub(crate) enum Head {
    Intact(FileHeader),
    /// Of a later version.
    Newer,
    /// Damaged, but blocks follow.
    Damaged,
    /// It could not be read, so nobody knows whether it is a segment.
    Unread,
}

impl Found {
    pub(crate) fn header(&self) -> Option<&FileHeader> {
        match &self.head {
            Head::Intact(header) => Some(header),
            Head::Newer | Head::Damaged | Head::Unread => None,
        }
    }

    /// Whether there are writers that can append to it.
    pub(crate) fn is_writable(&self) -> bool {
        matches!(self.head, Head::Intact(_) | Head::Newer)
    }

    /// Whether it is known to be a segment.
    pub(crate) fn is_segment(&self) -> bool {
        !matches!(self.head, Head::Unread)
    }
}

/// The segments in the order of their numbers, and what may be some; errors are told.
///
/// A file counts only if it is a regular file with the name and the content of a segment: an intact
/// header, one of a later version, or blocks behind a damaged one.
pub(crate) fn survey(
    directory: &Directory,
    tell: &mut dyn FnMut(DirectoryError),
) -> Result<Vec<Found>, DirectoryError> {
    let mut all = Vec::new();
    for file in directory.segments()? {
        match look(directory, &file) {
            Ok(found) => all.extend(found),
            Err(error) => {
                tell(error);
                all.push(Found { file, bytes: 0, head: Head::Unread });
            }
        }
    }
    Ok(all)
}

/// The ages and sizes that retention decides by.
pub(crate) fn extents(found: &[Found], now: &Moment) -> Vec<Extent> {
    let births: Vec<_> = found.iter().map(|segment| segment.header().map(Birth::of)).collect();
    let ages = ages(&births, now);
    found.iter().zip(ages).map(|(segment, age)| Extent { bytes: segment.bytes, age }).collect()
}

/// One segment; `None` if it has vanished or is no segment.
pub(crate) fn look(
    directory: &Directory,
    file: &SegmentFile,
) -> Result<Option<Found>, DirectoryError> {
    let bytes = match directory.storage().examine(&file.path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("examine", file, error)),
    };
    let head = match directory.header(file) {
        Ok(header) => Head::Intact(header),
        Err(DirectoryError::Header { source: DecodeError::Newer { .. }, .. }) => Head::Newer,
        Err(DirectoryError::Header { .. }) if has_blocks(directory, file)? => Head::Damaged,
        Err(DirectoryError::Header { .. }) => return Ok(None),
        Err(DirectoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok(Some(Found { file: file.clone(), bytes, head }))
}

/// Whether there are blocks of some segment near the start of the file.
fn has_blocks(directory: &Directory, file: &SegmentFile) -> Result<bool, DirectoryError> {
    let opened = open(directory, file);
    match opened.and_then(|opened| read(directory, &opened, 0..SEARCH_LEN)) {
        Ok(bytes) => Ok(recover_marker(&bytes).is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("read", file, error)),
    }
}

/// An error with the segment that it is about.
pub(crate) fn io_error(
    operation: &'static str,
    file: &SegmentFile,
    source: io::Error,
) -> DirectoryError {
    DirectoryError::Io { operation, path: file.path.clone(), source }
}
