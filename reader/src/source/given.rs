//! Segments whose bytes somebody else gets: from memory, from files, from wherever they are.

use std::fmt::Debug;
use std::io;
use std::ops::Range;

use super::file::{fill, unreadable};
use super::{Ahead, Bytes, Fetch};
use crate::report::Cause;

/// The bytes of one segment: what [`Snapshot::of_sources`](crate::Snapshot::of_sources) reads.
///
/// Called from several threads at once. What is read of a segment is checked by checksums, so a
/// source that answers nonsense makes gaps, not wrong records.
///
/// # Examples
///
/// Segments in an archive, each a part of one file:
///
/// ```
/// use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};
///
/// #[derive(Debug)]
/// struct Part {
///     archive: Arc<File>,
///     start: u64,
///     len: u64,
/// }
///
/// impl logq_reader::Source for Part {
///     fn len(&self) -> u64 {
///         self.len
///     }
///
///     fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
///         self.archive.read_at(buffer, self.start + offset)
///     }
/// }
/// ```
pub trait Source: Debug + Send + Sync {
    /// The number of bytes, the same whenever it is asked. What is appended later is not seen.
    fn len(&self) -> u64;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some bytes from `offset` on and answers how many: at least one, unless there are none
    /// there any more. The offset and the end of the buffer lie within [`Self::len`].
    ///
    /// # Errors
    ///
    /// Says why nothing can be read; the place is told as a [`Gap`](crate::Gap).
    /// [`io::ErrorKind::Interrupted`] asks for another attempt.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A source of somebody else's, as the reader asks it.
#[derive(Debug)]
pub(crate) struct Given(pub(crate) Box<dyn Source>);

impl Fetch for Given {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read(&self, range: Range<u64>, mut buffer: Vec<u8>) -> Result<Bytes<'_>, Cause> {
        let end = range.end.min(self.0.len());
        let len = usize::try_from(end.saturating_sub(range.start))
            .map_err(|_| unreadable(&io::ErrorKind::FileTooLarge.into()))?;
        buffer.resize(len, 0);
        let read = fill(&mut buffer, range.start, |room, offset| self.0.read_at(room, offset))
            .map_err(|error| unreadable(&error))?;
        buffer.truncate(read);
        Ok(Bytes::Owned(buffer))
    }

    fn ahead(&self) -> Ahead {
        Ahead::Costly
    }
}
