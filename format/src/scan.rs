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
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

/// What a [`Scan`] answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A block starts at `offset`. Its header is right; its sections are not checked yet, unless
    /// the block is the last one before damage. Who finds a checksum wrong goes on with
    /// [`Scan::inside`].
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
    start: u64,
    /// Where the next block should start, or, within a gap, where the search goes on.
    offset: u64,
    end: u64,
    here: Here,
    gap: Option<OpenGap>,
    /// Whether the range is one block that is known to be damaged.
    inside: bool,
    /// Bytes whose checksums were computed and found wrong.
    vain: u64,
}

/// What is known about the current offset.
#[derive(Clone, Debug)]
enum Here {
    Unread,
    /// A right header, but its lengths are not proven yet.
    Header(BlockHeader),
    /// A right header that no other header confirms: its checksums decide.
    Unconfirmed(BlockHeader),
    /// A block, and the header behind it if that is what proves it.
    Proven(BlockHeader, Option<BlockHeader>),
    /// No block starts here.
    Nothing,
}

#[derive(Clone, Debug)]
struct OpenGap {
    start: u64,
    cause: GapCause,
    header: Option<Box<BlockHeader>>,
    zeros: bool,
}

/// How many bytes a search asks for when it has used up its window.
const SEARCH_BYTES: u64 = 4096;

/// Bytes that may be checksummed in vain before any byte is passed, so that even the longest block
/// at the start is checked. See [`Scan::may_check`].
const VAIN_BYTES_FREE: u64 = 1 << 26;

/// Bytes that may be checksummed in vain for each byte passed.
const VAIN_BYTES_PER_BYTE: u64 = 4;

impl Scan {
    /// A scan of `range` of a file with this marker.
    ///
    /// The range starts where a block should start: behind the file header, or at an offset that
    /// [`find_block`] gave.
    pub fn new(marker: SyncMarker, range: Range<u64>) -> Self {
        Self {
            marker,
            start: range.start,
            offset: range.start,
            end: range.end,
            here: Here::Unread,
            gap: None,
            inside: false,
            vain: 0,
        }
    }

    /// A scan for blocks hidden in the block at `offset`, whose content `error` was found in.
    ///
    /// A torn block may by chance end where another one starts, which hides that it is torn and
    /// what was appended behind it. The first answer is a gap with this header and error, up to
    /// the first block found or else to the block's end. Blocks found here have been checked.
    pub fn inside(
        marker: SyncMarker,
        offset: u64,
        header: BlockHeader,
        error: DecodeError,
    ) -> Self {
        let end = offset.saturating_add(header.block_len() as u64);
        let mut scan = Self { inside: true, ..Self::new(marker, offset..end) };
        scan.open_gap(GapCause::Content(error), Some(header));
        scan
    }

    /// Where the scan has come to: everything before has been answered.
    pub fn offset(&self) -> u64 {
        self.gap.as_ref().map_or(self.offset, |gap| gap.start)
    }

    /// The next block or gap, as far as `window` tells.
    ///
    /// The answers do not depend on the windows: a scan that is given no more than it needs and
    /// one that is given the whole file say the same. All steps of a scan together take time in
    /// proportion to its range.
    pub fn step(&mut self, window: Window<'_>) -> Step {
        loop {
            if self.offset >= self.end {
                return self.close_gap().map_or(Step::End, Step::Gap);
            }
            let answer = match std::mem::replace(&mut self.here, Here::Unread) {
                Here::Unread => self.read_header(window),
                Here::Header(header) => self.prove(window, header),
                Here::Unconfirmed(header) => self.check(window, header),
                Here::Proven(header, next) => Some(self.pass(header, next)),
                Here::Nothing => self.search(window),
            };
            if let Some(step) = answer {
                return step;
            }
        }
    }

    /// Reads the header that should be at the current offset.
    fn read_header(&mut self, window: Window<'_>) -> Option<Step> {
        let header_end = self.offset.saturating_add(BLOCK_HEADER_LEN as u64);
        let range = self.offset..header_end.min(self.end);
        let Some(bytes) = window.get(range.clone()) else {
            return Some(Step::Need(range));
        };
        if header_end > self.end {
            let cause = self.tail_cause(bytes);
            return self.open_gap(cause, None);
        }
        match BlockHeader::decode(bytes, self.marker) {
            Ok(header) => {
                self.here = Here::Header(header);
                None
            }
            Err(error) => self.open_gap(GapCause::Header(error), None),
        }
    }

    /// Accepts a block that ends where the range ends or where another header starts, else one
    /// whose checksums are right: a length that nothing proves is never hopped by.
    ///
    /// Inside a damaged block only checksums count: a hostile one could hold half a million headers
    /// that all end where it ends, each to be found damaged and searched again.
    fn prove(&mut self, window: Window<'_>, header: BlockHeader) -> Option<Step> {
        let block_end = self.offset.saturating_add(header.block_len() as u64);
        if block_end > self.end {
            return self.open_gap(self.overrun(), Some(header));
        }
        if self.inside {
            self.here = Here::Unconfirmed(header);
            return None;
        }
        if block_end == self.end {
            return self.accept(header, None);
        }
        let next = block_end..block_end.saturating_add(BLOCK_HEADER_LEN as u64);
        if next.end <= self.end {
            let Some(bytes) = window.get(next.clone()) else {
                self.here = Here::Header(header);
                return Some(Step::Need(next));
            };
            if let Ok(next) = BlockHeader::decode(bytes, self.marker) {
                return self.accept(header, Some(next));
            }
        }
        self.here = Here::Unconfirmed(header);
        None
    }

    /// Accepts a block if its checksums are right.
    fn check(&mut self, window: Window<'_>, header: BlockHeader) -> Option<Step> {
        let block_end = self.offset.saturating_add(header.block_len() as u64);
        if !self.may_check(&header) {
            return self.open_gap(GapCause::Torn, Some(header));
        }
        let Some(bytes) = window.get(self.offset..block_end) else {
            self.here = Here::Unconfirmed(header);
            return Some(Step::Need(self.offset..block_end));
        };
        let checked = StoredBlock::new(header.clone(), bytes)
            .and_then(|block| block.check_front().and_then(|()| block.check_body()));
        if checked.is_ok() {
            return self.accept(header, None);
        }
        self.vain = self.vain.saturating_add(header.block_len() as u64);
        self.open_gap(GapCause::Torn, Some(header))
    }

    /// Whether another checksum keeps the work of the scan in proportion to its range.
    ///
    /// Blocks torn by chance are few or short. A hostile file is full of headers that each claim
    /// megabytes; checking all of them would take days.
    fn may_check(&self, header: &BlockHeader) -> bool {
        let (passed, free) = if self.inside {
            (self.end.saturating_sub(self.start), 0)
        } else {
            (self.offset.saturating_sub(self.start), VAIN_BYTES_FREE)
        };
        let allowed = passed.saturating_mul(VAIN_BYTES_PER_BYTE).saturating_add(free);
        self.vain.saturating_add(header.block_len() as u64) <= allowed
    }

    /// What it means when a block reaches beyond the end.
    fn overrun(&self) -> GapCause {
        if self.inside { GapCause::Torn } else { GapCause::Unfinished }
    }

    /// Answers the block at the current offset, behind the gap that it ends, if any.
    fn accept(&mut self, header: BlockHeader, next: Option<BlockHeader>) -> Option<Step> {
        match self.close_gap() {
            None => Some(self.pass(header, next)),
            Some(gap) => {
                self.here = Here::Proven(header, next);
                Some(Step::Gap(gap))
            }
        }
    }

    fn pass(&mut self, header: BlockHeader, next: Option<BlockHeader>) -> Step {
        let offset = self.offset;
        self.offset = offset.saturating_add(header.block_len() as u64);
        self.here = next.map_or(Here::Unread, Here::Header);
        Step::Block { offset, header }
    }

    /// Fewer bytes than a header are left: a header being written, if they start like one.
    fn tail_cause(&self, tail: &[u8]) -> GapCause {
        let marker = self.marker.as_bytes();
        let common = tail.len().min(marker.len());
        if tail.get(..common) == marker.get(..common) {
            self.overrun()
        } else {
            GapCause::Header(DecodeError::Truncated {
                what: "block header",
                expected: BLOCK_HEADER_LEN,
                found: tail.len(),
            })
        }
    }

    /// Notes that no block starts at the current offset. Each torn block with a right header gets
    /// a gap of its own, so that nobody's loss hides behind another's.
    fn open_gap(&mut self, cause: GapCause, header: Option<BlockHeader>) -> Option<Step> {
        let before = if header.is_some() { self.close_gap() } else { None };
        let header = header.map(Box::new);
        self.gap.get_or_insert(OpenGap { start: self.offset, cause, header, zeros: true });
        self.here = Here::Nothing;
        before.map(Step::Gap)
    }

    /// Moves to the next marker behind the current offset, or to the end of the window, or answers
    /// which bytes are needed to go on.
    fn search(&mut self, window: Window<'_>) -> Option<Step> {
        let marker_len = self.marker.as_bytes().len() as u64;
        let from = self.offset.saturating_add(1);
        let to = window.end().min(self.end);
        let bytes = window.get(from..to).filter(|bytes| bytes.len() as u64 >= marker_len);
        let next = match bytes {
            None if to == self.end && window.get(self.offset..to).is_some() => self.end,
            None => {
                self.here = Here::Nothing;
                let to = self.offset.saturating_add(SEARCH_BYTES).min(self.end);
                return Some(Step::Need(self.offset..to));
            }
            Some(bytes) => match memmem::find(bytes, self.marker.as_bytes()) {
                Some(found) => from + found as u64,
                None if to == self.end => self.end,
                None => {
                    // The last seven bytes may be the start of a marker; at the eighth is none.
                    self.here = Here::Nothing;
                    to - marker_len
                }
            },
        };
        self.note_bytes(window, self.offset..next);
        self.offset = next;
        None
    }

    /// Keeps track of whether the gap is all zeros.
    fn note_bytes(&mut self, window: Window<'_>, range: Range<u64>) {
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.zeros) else { return };
        gap.zeros = window.get(range).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
    }

    /// The gap that ends at the current offset, if there is one.
    fn close_gap(&mut self) -> Option<Gap> {
        let gap = self.gap.take()?;
        let cause = match gap.cause {
            _ if gap.zeros => GapCause::Zeros,
            GapCause::Unfinished if self.offset < self.end => GapCause::Torn,
            cause => cause,
        };
        Some(Gap { range: gap.start..self.offset, cause, header: gap.header })
    }
}

/// The offset in `bytes` of the first block header at or after `from`, for readers that jump into
/// the middle of a file.
///
/// A header found this way is right for all but one in 2^96 positions of a payload; the scan that
/// starts there still proves each block by what follows it.
pub fn find_block(bytes: &[u8], from: usize, marker: SyncMarker) -> Option<usize> {
    let mut from = from;
    loop {
        let rest = bytes.get(from..)?;
        let offset = from + memmem::find(rest, marker.as_bytes())?;
        if is_header(bytes, offset, marker) {
            return Some(offset);
        }
        // By one byte, not by the marker's length: occurrences of some markers can overlap.
        from = offset + 1;
    }
}

/// The offset in `bytes` of the last block header, for writers that join a file.
pub fn find_last_block(bytes: &[u8], marker: SyncMarker) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let rest = bytes.get(..end)?;
        let offset = memmem::rfind(rest, marker.as_bytes())?;
        if is_header(bytes, offset, marker) {
            return Some(offset);
        }
        end = offset + marker.as_bytes().len() - 1;
    }
}

fn is_header(bytes: &[u8], offset: usize, marker: SyncMarker) -> bool {
    bytes.get(offset..).is_some_and(|bytes| BlockHeader::decode(bytes, marker).is_ok())
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
