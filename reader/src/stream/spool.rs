//! Where what comes through a pipe waits to be read: one temporary file without a name.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::report::Cause;
use crate::source::{Ahead, Bytes, Fetch, fill, unreadable};

/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;

/// The file while it is written.
pub(super) struct Spool {
    file: BufWriter<File>,
    len: u64,
}

impl Spool {
    /// An empty file in the directory for temporary files, gone when the last part of it is dropped.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(WRITE_BYTES, tempfile::tempfile()?), len: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The file, complete.
    pub(super) fn finish(self) -> io::Result<Arc<File>> {
        Ok(Arc::new(self.file.into_inner().map_err(io::IntoInnerError::into_error)?))
    }
}

/// A segment in a part of the file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) range: Range<u64>,
}

impl Fetch for Part {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read(&self, range: Range<u64>, mut buffer: Vec<u8>) -> Result<Bytes<'_>, Cause> {
        let end = range.end.min(self.len());
        let len = usize::try_from(end.saturating_sub(range.start))
            .map_err(|_| unreadable(&io::ErrorKind::FileTooLarge.into()))?;
        buffer.resize(len, 0);
        let start = self.range.start.saturating_add(range.start);
        let read = fill(&mut buffer, start, |room, offset| self.file.read_at(room, offset))
            .map_err(|error| unreadable(&error))?;
        buffer.truncate(read);
        Ok(Bytes::Owned(buffer))
    }

    fn ahead(&self) -> Ahead {
        Ahead::Costly
    }
}
