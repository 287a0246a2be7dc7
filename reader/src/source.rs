//! Where the bytes of a segment come from.
//!
//! Everything above asks a [`Fetch`] for ranges and does not know whether they are borrowed from
//! memory, read, or mapped. What the bytes mean is not known here.

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::report::Cause;

mod file;
mod given;
mod map;

pub(crate) use file::{Access, FileSource, fill, identity, open, unreadable};
pub(crate) use given::Given;
pub use given::Source;

/// The bytes of one segment, as long as it was when the snapshot was taken.
pub(crate) trait Fetch: Debug + Send + Sync {
    /// The number of bytes.
    fn len(&self) -> u64;

    /// The bytes of `range`, which lies below [`Self::len`]; fewer, if the segment has been
    /// truncated since. `buffer` may be used for them.
    ///
    /// # Errors
    ///
    /// Says why there are none.
    fn read(&self, range: Range<u64>, buffer: Vec<u8>) -> Result<Bytes<'_>, Cause>;

    /// How reading ahead pays.
    fn ahead(&self) -> Ahead;
}

/// How reading ahead pays when only a few bytes of each block are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// Every byte read costs.
    Costly,
    /// Only the bytes looked at cost.
    Free,
}

/// Some bytes of a segment.
#[derive(Debug)]
pub(crate) enum Bytes<'a> {
    /// Bytes that were in memory already.
    Borrowed(&'a [u8]),
    /// Bytes that were read.
    Owned(Vec<u8>),
    /// Bytes that are mapped.
    Mapped(memmap2::Mmap),
}

impl Bytes<'_> {
    /// The buffer, if there is one, to be used again.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        match self {
            Self::Owned(buffer) => buffer,
            Self::Borrowed(_) | Self::Mapped(_) => Vec::new(),
        }
    }
}

impl Default for Bytes<'_> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

/// A segment in memory.
impl Fetch for Arc<[u8]> {
    fn len(&self) -> u64 {
        self.as_ref().len() as u64
    }

    fn read(&self, range: Range<u64>, _buffer: Vec<u8>) -> Result<Bytes<'_>, Cause> {
        Ok(Bytes::Borrowed(part(self, range)))
    }

    fn ahead(&self) -> Ahead {
        Ahead::Free
    }
}

/// The part of `bytes` within `range`, as far as there is one.
fn part(bytes: &[u8], range: Range<u64>) -> &[u8] {
    let bound = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(bound(range.start)..bound(range.end)).unwrap_or_default()
}
