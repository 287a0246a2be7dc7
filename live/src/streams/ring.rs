//! The newest bytes of a stream, as chunks that all readers share. It never holds a reader or the writer
//! up: what falls out is in the file.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes that are kept. A reader that is further behind reads the file, which costs it a copy and no more.
const RING_LEN_MAX: u64 = 1 << 20;

/// Chunks that are kept: a writer of single bytes must not make the list longer than the content.
const CHUNK_COUNT_MAX: usize = 2_048;

/// Chunks from this size on are kept as they came. Smaller ones are copied together, since a few bytes
/// may hold a whole receive buffer of the connection in memory.
const SHARED_LEN_MIN: usize = 8 << 10;

/// Where small chunks are copied to.
const ARENA_LEN: usize = 64 << 10;

/// What a reader gets at once where chunks are small.
const GATHERED_LEN_MAX: usize = 64 << 10;

/// The recent bytes.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Chunks without gaps, each with its offset.
    chunks: VecDeque<(u64, Bytes)>,
    arena: BytesMut,
}

impl Ring {
    /// Adds the bytes at `offset`, which follow those that are here.
    pub(super) fn push(&mut self, offset: u64, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        let chunk = if bytes.len() >= SHARED_LEN_MIN { bytes.clone() } else { self.copied(bytes) };
        self.chunks.push_back((offset, chunk));
        let end = offset.saturating_add(len(bytes));
        while self.chunks.len() > CHUNK_COUNT_MAX
            || self.start().is_some_and(|start| end.saturating_sub(start) > RING_LEN_MAX)
        {
            self.chunks.pop_front();
        }
    }

    fn copied(&mut self, bytes: &[u8]) -> Bytes {
        if self.arena.capacity() - self.arena.len() < bytes.len() {
            self.arena = BytesMut::with_capacity(ARENA_LEN);
        }
        self.arena.extend_from_slice(bytes);
        self.arena.split().freeze()
    }

    fn start(&self) -> Option<u64> {
        self.chunks.front().map(|(start, _)| *start)
    }

    /// Bytes from `offset` on and below `end`: what one chunk has, or several small ones together. `None`
    /// if the byte at `offset` is not here.
    pub(super) fn get(&self, offset: u64, end: u64) -> Option<Bytes> {
        let index = self.chunks.partition_point(|(start, _)| *start <= offset).checked_sub(1)?;
        let (start, chunk) = self.chunks.get(index)?;
        let skipped = usize::try_from(offset - start).ok()?;
        let wanted = usize::try_from(end.checked_sub(offset)?).unwrap_or(usize::MAX);
        if skipped >= chunk.len() || wanted == 0 {
            return None;
        }
        let first = chunk.slice(skipped..chunk.len().min(skipped.saturating_add(wanted)));
        if first.len() >= SHARED_LEN_MIN || first.len() == wanted || index + 1 == self.chunks.len()
        {
            return Some(first);
        }
        let mut gathered = BytesMut::with_capacity(wanted.min(GATHERED_LEN_MAX));
        gathered.extend_from_slice(&first);
        for (_, chunk) in self.chunks.range(index + 1..) {
            let room = wanted.min(GATHERED_LEN_MAX) - gathered.len();
            gathered.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        }
        Some(gathered.freeze())
    }

    /// Forgets everything: the stream has ended, and its readers find all in the file.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte at each offset, so that a wrong place shows.
    fn byte(offset: u64) -> u8 {
        u8::try_from(offset * 31 % 251).unwrap()
    }

    fn content(start: u64, len: usize) -> Bytes {
        (start..).take(len).map(byte).collect()
    }

    /// Pushes chunks of random sizes, and looks everywhere after each.
    #[test]
    fn what_is_kept_is_right_and_bounded() {
        for (seed, size_max) in [(1, 3), (2, 300), (3, 20_000), (4, 400_000)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut ring = Ring::default();
            let mut end = 0;
            for _ in 0..5_000_usize.min(8_000_000 / size_max) {
                let chunk = content(end, random.usize(0..size_max));
                ring.push(end, &chunk);
                end += len(&chunk);
                let offset = random.u64(0..=end);
                let upto = random.u64(offset..=end);
                if let Some(got) = ring.get(offset, upto) {
                    assert!(!got.is_empty() && len(&got) <= upto - offset, "seed {seed}");
                    assert_eq!(got, content(offset, got.len()), "seed {seed}");
                }
                let held: usize = ring.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
                assert!(held <= 1 << 20 && ring.chunks.len() <= CHUNK_COUNT_MAX);
                if let Some(start) = ring.start() {
                    assert!(ring.get(start, end).is_some(), "the oldest is found");
                    assert_eq!(ring.get(end - 1, end), Some(content(end - 1, 1)));
                }
                assert_eq!(ring.get(end, end + 1), None);
            }
        }
    }

    #[test]
    fn small_chunks_are_read_together() {
        let mut ring = Ring::default();
        for offset in 0..1_000 {
            ring.push(offset, &content(offset, 1));
        }
        assert_eq!(ring.get(10, 1_000), Some(content(10, 990)));
        assert_eq!(ring.get(10, 15), Some(content(10, 5)));
    }

    #[test]
    fn large_chunks_are_shared_not_copied() {
        let mut ring = Ring::default();
        let chunk = content(0, 100_000);
        ring.push(0, &chunk);
        assert_eq!(ring.get(0, 100_000).unwrap().as_ptr(), chunk.as_ptr());
        ring.clear();
        assert_eq!(ring.get(0, 100_000), None);
    }
}
