//! Finding blocks in a segment, damaged or not: hop from header to header, and where the chain
//! breaks, search for the marker and report what was skipped.
//!
//! The rules are normative, see `format/FORMAT.md`, "Reading a segment". This file does no I/O: a
//! [`Scan`] is given a window of the file and answers what it found or which bytes it needs next,
//! so that maps, positioned reads and memory all drive the same code.

use std::ops::Range;

use memchr::memmem;

use crate::block::StoredBlock;
use crate::error::DecodeError;
use crate::header::{BLOCK_HEADER_LEN, BlockHeader, SyncMarker};

/// Some consecutive bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Where in the file the bytes start.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Window<'a> {
    /// The bytes of the file from `range`, if the window has all of them.
    pub fn get(&self, range: Range<u64>) -> Option<&'a [u8]> {
        let start = usize::try_from(range.start.checked_sub(self.offset)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.offset)?).ok()?;
        self.bytes.get(start..end)
    }

    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// What a [`Scan`] answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A block starts at `offset`. Its header is right; its sections are not checked yet, unless
    /// the block is the last one before damage.
    Block {
        /// Where in the file the block starts.
        offset: u64,
        /// Its header.
        header: BlockHeader,
    },
    /// A range of the file holds no block.
    Gap(Gap),
    /// Call again with a window that has at least these bytes, which all lie below the end.
    Need(Range<u64>),
    /// The end is reached.
    End,
}

/// A range of a file that holds no intact block.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// The bytes skipped, as offsets into the file.
    pub range: Range<u64>,
    /// Why.
    pub cause: GapCause,
    /// The header at the start of the gap, if that is intact: whose block was torn, and of when.
    pub header: Option<Box<BlockHeader>>,
}

/// Why a range of a file holds no intact block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GapCause {
    /// The file ends within a block: it is being written right now, or its writer was killed.
    #[error("the last block is unfinished")]
    Unfinished,
    /// A block was cut short and others were appended behind it.
    #[error("a block was cut short")]
    Torn,
    /// There is no block header where one should be.
    #[error("{0}")]
    Header(DecodeError),
    /// A section's checksum or content is wrong.
    #[error("{0}")]
    Content(DecodeError),
    /// All bytes are zero, as after a power failure.
    #[error("the bytes are zero, as after a power failure")]
    Zeros,
}

/// Walks the blocks of one segment.
///
/// # Examples
///
/// Driving a scan over bytes that are all in memory:
///
/// ```
/// use logq_format::{BlockFlags, Scan, Step, SyncMarker, Timestamp, Window, WriterId};
/// use logq_format::{Origin, encode_sign_of_life};
///
/// let marker = SyncMarker::from_random([9; 8]);
/// let origin = Origin { writer: WriterId(1), worker: None };
/// let mut bytes = Vec::new();
/// for second in 0..3 {
///     let time = Timestamp::from_micros(second * 1_000_000);
///     encode_sign_of_life(origin, time, 0, BlockFlags::NONE, marker, &mut bytes);
/// }
/// bytes[80] ^= 1; // the second block's header
///
/// let mut scan = Scan::new(marker, 0..bytes.len() as u64);
/// let window = Window { offset: 0, bytes: &bytes };
/// let steps: Vec<Step> =
///     std::iter::from_fn(|| Some(scan.step(window))).take_while(|s| *s != Step::End).collect();
/// assert!(matches!(&steps[..], [Step::Block { .. }, Step::Gap(gap), Step::Block { .. }]
///     if gap.range == (72..144)));
/// ```
#[derive(Clone, Debug)]
pub struct Scan {
    marker: SyncMarker,
    /// Where the next block should start, or, within a gap, where the search goes on.
    offset: u64,
    end: u64,
    gap: Option<OpenGap>,
    /// A block that was found behind a gap and is answered after it.
    ready: Option<(u64, BlockHeader)>,
}

#[derive(Clone, Debug)]
struct OpenGap {
    start: u64,
    cause: GapCause,
    header: Option<Box<BlockHeader>>,
    zeros: bool,
}

/// What is at one offset.
enum Candidate {
    Block(BlockHeader),
    Bad(GapCause, Option<Box<BlockHeader>>),
    Need(Range<u64>),
}

impl Scan {
    /// A scan of `range` of a file with this marker.
    ///
    /// The range starts where a block should start: behind the file header, or at an offset that
    /// [`find_block`] gave.
    pub fn new(marker: SyncMarker, range: Range<u64>) -> Self {
        Self { marker, offset: range.start, end: range.end, gap: None, ready: None }
    }

    /// Where the scan has come to: everything before has been answered.
    pub fn offset(&self) -> u64 {
        self.gap.as_ref().map_or(self.offset, |gap| gap.start)
    }

    /// The next block or gap, as far as `window` tells.
    pub fn step(&mut self, window: Window<'_>) -> Step {
        if let Some((offset, header)) = self.ready.take() {
            return self.pass(offset, header);
        }
        loop {
            if self.offset >= self.end {
                return self.close_gap(self.end).map_or(Step::End, Step::Gap);
            }
            match self.candidate(window) {
                Candidate::Need(range) => return Step::Need(range),
                Candidate::Block(header) => {
                    let offset = self.offset;
                    let Some(gap) = self.close_gap(offset) else {
                        return self.pass(offset, header);
                    };
                    self.ready = Some((offset, header));
                    return Step::Gap(gap);
                }
                Candidate::Bad(cause, header) => {
                    let start = self.offset;
                    self.gap.get_or_insert(OpenGap { start, cause, header, zeros: true });
                    if let Some(need) = self.search(window) {
                        return Step::Need(need);
                    }
                }
            }
        }
    }

    fn pass(&mut self, offset: u64, header: BlockHeader) -> Step {
        self.offset = offset + header.block_len() as u64;
        Step::Block { offset, header }
    }

    /// Decides whether a block starts at the current offset.
    fn candidate(&self, window: Window<'_>) -> Candidate {
        let offset = self.offset;
        let header_end = offset + BLOCK_HEADER_LEN as u64;
        if header_end > self.end {
            return match window.get(offset..self.end) {
                Some(tail) => Candidate::Bad(self.tail_cause(tail), None),
                None => Candidate::Need(offset..self.end),
            };
        }
        let Some(bytes) = window.get(offset..header_end) else {
            return Candidate::Need(offset..header_end);
        };
        let header = match BlockHeader::decode(bytes, self.marker) {
            Ok(header) => header,
            Err(error) => return Candidate::Bad(GapCause::Header(error), None),
        };
        let block_end = offset + header.block_len() as u64;
        if block_end > self.end {
            return Candidate::Bad(GapCause::Unfinished, Some(Box::new(header)));
        }
        if block_end == self.end {
            return Candidate::Block(header);
        }
        self.confirm(window, offset, block_end, header)
    }

    /// Accepts a block if another header follows it or else if its checksums are right: a length
    /// that nothing proves is never hopped by.
    fn confirm(
        &self,
        window: Window<'_>,
        offset: u64,
        block_end: u64,
        header: BlockHeader,
    ) -> Candidate {
        let next_end = block_end + BLOCK_HEADER_LEN as u64;
        if next_end <= self.end {
            match window.get(block_end..next_end) {
                None => return Candidate::Need(offset..next_end),
                Some(next) if BlockHeader::decode(next, self.marker).is_ok() => {
                    return Candidate::Block(header);
                }
                Some(_) => {}
            }
        }
        let Some(bytes) = window.get(offset..block_end) else {
            return Candidate::Need(offset..block_end);
        };
        let checked = StoredBlock::new(header.clone(), bytes)
            .and_then(|block| block.check_front().and_then(|()| block.check_body()));
        match checked {
            Ok(()) => Candidate::Block(header),
            Err(_) => Candidate::Bad(GapCause::Torn, Some(Box::new(header))),
        }
    }

    /// Fewer bytes than a header are left: a header being written, if they start like one.
    fn tail_cause(&self, tail: &[u8]) -> GapCause {
        let marker = self.marker.as_bytes();
        let common = tail.len().min(marker.len());
        if tail.get(..common) == marker.get(..common) {
            GapCause::Unfinished
        } else {
            GapCause::Header(DecodeError::Truncated {
                what: "block header",
                expected: BLOCK_HEADER_LEN,
                found: tail.len(),
            })
        }
    }

    /// Moves to the next marker behind the current offset, or to the end of the window, or answers
    /// which bytes are needed to go on.
    fn search(&mut self, window: Window<'_>) -> Option<Range<u64>> {
        let from = self.offset + 1;
        let to = window.end().min(self.end);
        let marker_len = self.marker.as_bytes().len() as u64;
        if from + marker_len > self.end {
            self.note_bytes(window, self.offset..self.end);
            self.offset = self.end;
            return None;
        }
        let Some(bytes) = window.get(from..to).filter(|bytes| bytes.len() as u64 >= marker_len)
        else {
            return Some(self.offset..from + marker_len);
        };
        let next = match memmem::find(bytes, self.marker.as_bytes()) {
            Some(found) => from + found as u64,
            // The last seven bytes may be the start of a marker.
            None if to == self.end => self.end,
            None => to - marker_len,
        };
        self.note_bytes(window, self.offset..next);
        self.offset = next;
        None
    }

    /// Keeps track of whether the gap is all zeros.
    fn note_bytes(&mut self, window: Window<'_>, range: Range<u64>) {
        let zeros = window.get(range).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
        if let Some(gap) = &mut self.gap {
            gap.zeros &= zeros;
        }
    }

    fn close_gap(&mut self, end: u64) -> Option<Gap> {
        let gap = self.gap.take()?;
        let cause = match gap.cause {
            _ if gap.zeros => GapCause::Zeros,
            GapCause::Unfinished if end < self.end => GapCause::Torn,
            cause => cause,
        };
        Some(Gap { range: gap.start..end, cause, header: gap.header })
    }
}

/// The offset in `bytes` of the first block header at or after `from`, for readers that jump into
/// the middle of a file.
///
/// A header found this way is right for all but one in 2^96 positions of a payload; the scan that
/// starts there still proves each block by what follows it.
pub fn find_block(bytes: &[u8], from: usize, marker: SyncMarker) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memmem::find_iter(rest, marker.as_bytes()).map(|found| from + found).find(|offset| {
        BlockHeader::decode(bytes.get(*offset..).unwrap_or_default(), marker).is_ok()
    })
}

/// The offset in `bytes` of the last block header, for writers that join a file.
pub fn find_last_block(bytes: &[u8], marker: SyncMarker) -> Option<usize> {
    memmem::rfind_iter(bytes, marker.as_bytes()).find(|offset| {
        BlockHeader::decode(bytes.get(*offset..).unwrap_or_default(), marker).is_ok()
    })
}

/// The marker of a segment whose file header is damaged, learned from its blocks.
///
/// Tries each offset as the start of a block header: the header's checksum covers the marker. Costs
/// a checksum over 68 bytes for each byte of the first part of the file, so callers bound `bytes`.
pub fn recover_marker(bytes: &[u8]) -> Option<SyncMarker> {
    bytes.windows(BLOCK_HEADER_LEN).find_map(|window| {
        let marker = SyncMarker::from_stored(*window.first_chunk::<8>()?)?;
        BlockHeader::decode(window, marker).ok().map(|_| marker)
    })
}

#[cfg(test)]
mod tests;
