//! What there is in the store: its segments with their sizes and headers, foreign files left out.

use std::io;

use logq_directory::{Directory, DirectoryError, SegmentFile};
use logq_format::{DecodeError, FileHeader, VERSION, recover_marker};

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
    /// `None` if it is damaged or of a later version.
    pub(crate) header: Option<FileHeader>,
}

impl Found {
    /// Whether writers of this version append to it.
    pub(crate) fn is_writable(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.version == VERSION)
    }
}

/// The segments in the order of their numbers; those that cannot be read are told and left out.
///
/// A file counts only if it is a regular file with the name and the content of a segment: the right
/// header, one of a later version, or blocks behind a damaged one.
pub(crate) fn survey(
    directory: &Directory,
    tell: &mut dyn FnMut(DirectoryError),
) -> Result<Vec<Found>, DirectoryError> {
    let mut found = Vec::new();
    for file in directory.segments()? {
        match look(directory, &file) {
            Ok(Some(segment)) => found.push(segment),
            Ok(None) => {}
            Err(error) => tell(error),
        }
    }
    Ok(found)
}

/// The ages and sizes that retention decides by.
pub(crate) fn sizes(found: &[Found], now: &Moment) -> Vec<Extent> {
    let births: Vec<_> =
        found.iter().map(|segment| segment.header.as_ref().map(Birth::of)).collect();
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
    let header = match directory.header(file) {
        Ok(header) => Some(header),
        Err(DirectoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(DirectoryError::Header { source, .. }) => {
            if !is_segment(directory, file, &source)? {
                return Ok(None);
            }
            None
        }
        Err(error) => return Err(error),
    };
    Ok(Some(Found { file: file.clone(), bytes, header }))
}

/// Whether a file whose header was refused is a segment all the same.
fn is_segment(
    directory: &Directory,
    file: &SegmentFile,
    refusal: &DecodeError,
) -> Result<bool, DirectoryError> {
    if matches!(refusal, DecodeError::Newer { .. }) {
        return Ok(true);
    }
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
