//! A movable window over one segment.

use std::ops::Range;

use logq_format::{BlockHeader, StoredBlock, Window};

use crate::report::Cause;
use crate::scale::{CHUNK_BYTES, MAP_BYTES, READ_COST_BYTES};
use crate::segment::Segment;
use crate::source::{Ahead, Bytes};

/// The bytes of a segment, some at a time.
#[derive(Debug)]
pub(crate) struct View<'s> {
    segment: &'s Segment,
    bytes: Bytes<'s>,
    start: u64,
    /// How often the window has served since it was filled.
    served: u64,
    bytes_read: u64,
}

impl<'s> View<'s> {
    pub(crate) fn new(segment: &'s Segment) -> Self {
        Self { segment, bytes: Bytes::default(), start: 0, served: 0, bytes_read: 0 }
    }

    pub(crate) fn segment(&self) -> &'s Segment {
        self.segment
    }

    /// The bytes at hand.
    pub(crate) fn window(&self) -> Window<'_> {
        Window { offset: self.start, bytes: &self.bytes }
    }

    /// The bytes of `range`, and whatever else is at hand then.
    ///
    /// # Errors
    ///
    /// Fails where the segment no longer has them.
    pub(crate) fn get(&mut self, range: Range<u64>) -> Result<&[u8], Cause> {
        self.fetch(range.clone())?;
        self.window().get(range).ok_or(Cause::Truncated)
    }

    /// Makes sure that the window has `range`.
    ///
    /// # Errors
    ///
    /// Fails where the segment no longer has it.
    pub(crate) fn fetch(&mut self, range: Range<u64>) -> Result<(), Cause> {
        if self.window().get(range.clone()).is_some() {
            self.served += 1;
            return Ok(());
        }
        let ahead = range.start.saturating_add(self.ahead(range.start)).min(self.segment.len());
        let buffer = std::mem::take(&mut self.bytes).into_buffer();
        self.start = range.start;
        self.served = 1;
        self.bytes = self.segment.source().read(range.start..ahead.max(range.end), buffer)?;
        self.bytes_read += self.bytes.len() as u64;
        match self.window().get(range) {
            Some(_) => Ok(()),
            None => Err(Cause::Truncated),
        }
    }

    /// How many bytes to get at once: ahead where headers lie close together.
    fn ahead(&self, start: u64) -> u64 {
        if self.segment.source().ahead() == Ahead::Free {
            return MAP_BYTES;
        }
        let passed = start.saturating_sub(self.start);
        let dense = passed < self.served.saturating_mul(READ_COST_BYTES);
        if dense && passed > 0 { CHUNK_BYTES } else { 0 }
    }

    /// The block at `offset`, with its bytes.
    ///
    /// # Errors
    ///
    /// Fails where the segment no longer has them.
    pub(crate) fn block(
        &mut self,
        offset: u64,
        header: &BlockHeader,
    ) -> Result<StoredBlock<'_>, Cause> {
        let bytes = self.get(offset..offset.saturating_add(header.block_len() as u64))?;
        StoredBlock::new(header.clone(), bytes).map_err(|_| Cause::Truncated)
    }

    /// Gives the bytes back; they are fetched again when they are needed.
    pub(crate) fn release(&mut self) {
        self.bytes = Bytes::default();
    }

    /// How many bytes were read or mapped since this was last asked.
    pub(crate) fn take_bytes_read(&mut self) -> u64 {
        std::mem::take(&mut self.bytes_read)
    }
}
