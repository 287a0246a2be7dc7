//! Mapping a part of a file: the one place of this crate that needs `unsafe`.

#![expect(unsafe_code, reason = "memmap2 cannot know that nobody shortens the file")]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, MmapOptions};

/// Maps `range` of `file`.
///
/// The caller has just seen that the file is long enough. Who truncates it afterwards makes access
/// to the missing pages fail with SIGBUS, which ends the process unless it has a handler; segments
/// are never truncated by anything of logq.
pub(super) fn map(file: &File, range: Range<u64>) -> io::Result<Mmap> {
    let len = usize::try_from(range.end.saturating_sub(range.start))
        .map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut options = MmapOptions::new();
    options.offset(range.start).len(len);
    // SAFETY: the bytes of a mapping must not change while it is borrowed. Nothing of logq ever
    // writes to the part of a segment below the length seen when it was opened, which `range` lies
    // within (`FileSource::read`): writers only append (`O_APPEND`). If someone else changes a file
    // all the same, what is read of it is checked by checksums and decoded by code that is safe for
    // any bytes; only the checksum and the decoder may then have seen different ones, and the
    // decoder still checks every length.
    unsafe { options.map(file) }
}
