//! File operations inside asynchronous code. None of them hops to another thread when the answer is in
//! the page cache, which it nearly always is; none of them holds up other connections when it is not.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;
use rustix::io::ReadWriteFlags;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs what may wait for the disk. The other tasks of this thread go on in another one meanwhile; a
/// runtime that has no other thread, and code outside of one, just wait.
pub(super) fn blocking<T>(operation: impl FnOnce() -> T) -> T {
    let has_threads = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_threads { tokio::task::block_in_place(operation) } else { operation() }
}

/// Bytes of a buffer that is used again and again.
pub(super) const BUFFER_LEN: usize = 64 << 10;

/// Buffers that nobody uses, at most so many: to get memory of this size from the system and have it
/// cleared costs as much as to fill it.
const BUFFERS_MAX: usize = 16;

static BUFFERS: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// Memory of a buffer.
enum Memory {
    /// Of the system. A thousand readers hold as many buffers, and threads of all ranks give back what others
    /// took: an allocator with a heap for each thread keeps twice the memory for that.
    Pages(MmapMut),
    /// For few bytes.
    Heap(Box<[u8]>),
}

impl Memory {
    fn new(len: usize) -> Self {
        let unused = || BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pages = || unused().or_else(|| MmapMut::map_anon(BUFFER_LEN).ok());
        let pages = if len == BUFFER_LEN { pages() } else { None };
        pages.map_or_else(|| Self::Heap(vec![0; len].into()), Self::Pages)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(bytes) => bytes,
        }
    }
}

/// A buffer that was read into, up to `len`.
struct Buffer {
    memory: Memory,
    len: usize,
}

impl Buffer {
    /// One for `len` bytes.
    fn new(len: usize) -> Self {
        Self { memory: Memory::new(len), len: 0 }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.bytes().get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::replace(&mut self.memory, Memory::Heap(Box::default()));
        if let Memory::Pages(pages) = memory {
            let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
            if buffers.len() < BUFFERS_MAX {
                buffers.push(pages);
            }
        }
    }
}

/// Reads up to `len` bytes, at least one.
///
/// # Errors
///
/// The system's, and [`io::ErrorKind::UnexpectedEof`] if the file has no byte at `offset`: somebody cut
/// it underneath.
pub(super) fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut buffer = Buffer::new(len);
    let cached = rustix::io::preadv2(
        file,
        &mut [IoSliceMut::new(buffer.memory.bytes_mut())],
        offset,
        ReadWriteFlags::NOWAIT,
    );
    buffer.len = match cached {
        Ok(count) if count > 0 => count,
        // Not in the cache, at the end, or a file system that cannot tell: whatever it is, a plain
        // read says it.
        _ => blocking(|| file.read_at(buffer.memory.bytes_mut(), offset))?,
    };
    if buffer.len == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("offset {offset}: the file is shorter than what was stored"),
        ));
    }
    Ok(Bytes::from_owner(buffer))
}

/// Writes all bytes at `offset`, and tells how many came to the file before an error.
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        match file.write_at(rest, at) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_where_they_were_written() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(write_at(&file, 0, b"hello ").0, 6);
        assert_eq!(write_at(&file, 6, b"world").0, 5);
        assert_eq!(read_at(&file, 4, 100).unwrap(), "o world");
        assert_eq!(read_at(&file, 4, 3).unwrap(), "o w");
        let error = read_at(&file, 11, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn buffers_that_are_used_again_show_nothing_of_before() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(write_at(&file, 0, &[b'a'; BUFFER_LEN]).0, BUFFER_LEN);
        assert_eq!(read_at(&file, 0, BUFFER_LEN).unwrap(), [b'a'; BUFFER_LEN].as_slice());
        let held = read_at(&file, 0, BUFFER_LEN).unwrap();
        assert_eq!(write_at(&file, 0, b"bcd").0, 3);
        file.set_len(3).unwrap();
        assert_eq!(read_at(&file, 0, BUFFER_LEN).unwrap(), "bcd");
        assert_eq!(held.first(), Some(&b'a'), "a piece that is held is nobody else's");
    }

    #[test]
    fn every_kind_of_runtime_can_wait() {
        let waits = || async { blocking(|| 7) };
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(one.block_on(waits()), 7);
        let many = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        assert_eq!(many.block_on(waits()), 7);
        assert_eq!(blocking(|| 7), 7);
    }
}
