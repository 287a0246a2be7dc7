//! One block: what was torn before it, its records, and what of it cannot be read.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

use crate::entry::{Entry, EntryError};
use crate::inflate::{Inflater, escaped_len, last_slice_marker, next_stream, unescape};
use crate::{INFLATED_BYTES_MAX, SEPARATOR, STORED_BYTES_MAX};

/// What a block holds, in the order in which it is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// A record.
    Entry(Entry<'a>),
    /// Bytes that are no record.
    Gap(Gap),
}

/// Bytes that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they start in the block as it is stored.
    pub offset: usize,
    /// How many they are: as stored, or within an inflated block, whose offset is then told, as
    /// inflated.
    pub bytes: usize,
    /// Why.
    pub cause: Cause,
}

/// Why bytes of a block are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A slice marker says so: the process died while it wrote them, and the next one took note.
    Torn,
    /// The file ends before the block does.
    Unfinished,
    /// The block is larger than [`STORED_BYTES_MAX`], or inflates to more than
    /// [`INFLATED_BYTES_MAX`].
    Oversize {
        /// The limit.
        limit: usize,
    },
    /// An escape that does not exist.
    Escape {
        /// The byte after `F8`.
        code: u8,
    },
    /// The zlib stream is damaged or cut off.
    Inflate {
        /// The inflater's words.
        reason: String,
    },
    /// They follow the zlib stream, which should be all there is.
    Behind,
    /// A record cannot be read, and what follows has no known start.
    Entry(EntryError),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("torn by the end of the process that wrote it"),
            Self::Unfinished => f.write_str("the file ends within a block"),
            Self::Oversize { limit } => write!(f, "the block has more than {limit} bytes"),
            Self::Escape { code } => write!(f, "the escape F8 {code:02X} does not exist"),
            Self::Inflate { reason } => write!(f, "the block does not inflate: {reason}"),
            Self::Behind => f.write_str("bytes follow the compressed block"),
            Self::Entry(error) => error.fmt(f),
        }
    }
}

/// What looking for a stream in vain costs at least, as much as inflating so many bytes. Bytes by
/// chance look like a header once in a thousand places, for which there is room.
const ATTEMPT_BYTES: usize = 1024;

/// Decodes blocks, one after the other; reuses its memory, at most
/// [`INFLATED_BYTES_MAX`] and what `flate2` takes.
#[derive(Debug)]
pub struct Decoder {
    inflater: Inflater,
    plain: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder.
    pub fn new() -> Self {
        Self { inflater: Inflater::new(), plain: Vec::new() }
    }

    /// Shows `visit` the records and gaps of a block, given without its separator. `is_finished` says
    /// that it had one.
    ///
    /// Costs time in proportion to what the block inflates to, damaged or not.
    ///
    /// # Errors
    ///
    /// Only those of `visit`, which end the work.
    pub fn decode<E>(
        &mut self,
        stored: &[u8],
        is_finished: bool,
        mut visit: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let piece = Piece { bytes: stored, offset: 0 };
        if stored.len() > STORED_BYTES_MAX {
            return gap(piece, Cause::Oversize { limit: STORED_BYTES_MAX }, &mut visit);
        }
        let mut block = piece;
        if let Some((marker, behind)) = last_slice_marker(stored) {
            self.rescue(piece.until(marker), Cause::Torn, &mut visit)?;
            block = piece.from(behind);
        }
        let Some(first) = block.bytes.first() else { return Ok(()) };
        if !is_finished {
            return self.rescue(block, Cause::Unfinished, &mut visit);
        }
        if first & 0x80 > 0 {
            self.deflated(block, &mut visit)
        } else {
            self.raw(block, &mut visit)
        }
    }

    fn deflated<E>(
        &mut self,
        block: Piece<'_>,
        visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.inflater.inflate(block.bytes, INFLATED_BYTES_MAX, &mut self.plain) {
            Ok(used) => {
                inflated(&self.plain, block.offset, visit)?;
                self.rescue(block.from(used), Cause::Behind, visit)
            }
            Err(cause) => self.rescue(block, cause, visit),
        }
    }

    fn raw<E>(
        &mut self,
        block: Piece<'_>,
        visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.plain.clear();
        let unescaped = unescape(block.bytes, usize::MAX, &mut self.plain);
        let mut rest = &*self.plain;
        let whole = entries(&mut rest, &mut |_| Ok::<_, Infallible>(()));
        let cause = match (block.bytes.get(unescaped..), whole) {
            (Some([_, code, ..]), _) => Cause::Escape { code: *code },
            (Some([_]), _) => Cause::Unfinished,
            (_, Ok(Err(error))) => Cause::Entry(error),
            (_, Ok(Ok(()))) => return entries(&mut &*self.plain, visit).map(drop),
        };
        let mut rest = &*self.plain;
        while let Some(entry) = likely_entry(&mut rest) {
            visit(Item::Entry(entry))?;
        }
        let read = escaped_len(block.bytes, self.plain.len() - rest.len());
        self.rescue(block.from(read), cause, visit)
    }

    /// Reads in damaged bytes the streams that their checksums prove; the rest are gaps.
    ///
    /// A write that was cut short swallows the separator, and with it the next block, which is whole.
    fn rescue<E>(
        &mut self,
        damaged: Piece<'_>,
        cause: Cause,
        visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // No more work than a block of this size can ask for anyway: zlib shrinks by 1,032 at most.
        let mut budget = damaged.bytes.len().saturating_mul(1100).min(INFLATED_BYTES_MAX);
        let (mut from, mut at) = (0, 0);
        while let Some(start) = next_stream(damaged.bytes, at).filter(|_| budget > 0) {
            let stream = damaged.from(start);
            let found = self.inflater.inflate(stream.bytes, budget, &mut self.plain);
            budget = budget.saturating_sub(self.plain.len() + ATTEMPT_BYTES);
            at = start + 1;
            if let Ok(used) = found {
                gap(damaged.until(start).from(from), cause.clone(), visit)?;
                inflated(&self.plain, stream.offset, visit)?;
                (from, at) = (start + used, start + used);
            }
        }
        gap(damaged.from(from), cause, visit)
    }
}

/// A part of a block as it is stored.
#[derive(Clone, Copy)]
struct Piece<'a> {
    bytes: &'a [u8],
    /// Where it starts in the block.
    offset: usize,
}

impl Piece<'_> {
    fn from(self, start: usize) -> Self {
        let bytes = self.bytes.get(start..).unwrap_or_default();
        Self { bytes, offset: self.offset + start }
    }

    fn until(self, end: usize) -> Self {
        Self { bytes: self.bytes.get(..end).unwrap_or(self.bytes), offset: self.offset }
    }
}

/// Tells of a gap unless it is empty.
fn gap<E>(
    piece: Piece<'_>,
    cause: Cause,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match piece.bytes.len() {
        0 => Ok(()),
        bytes => visit(Item::Gap(Gap { offset: piece.offset, bytes, cause })),
    }
}

/// The records of an inflated block that starts at `offset`.
fn inflated<E>(
    mut plain: &[u8],
    offset: usize,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match entries(&mut plain, visit)? {
        Ok(()) => Ok(()),
        Err(error) => {
            visit(Item::Gap(Gap { offset, bytes: plain.len(), cause: Cause::Entry(error) }))
        }
    }
}

/// The records at the start of the bytes; what is left are no records.
fn entries<'a, E>(
    plain: &mut &'a [u8],
    visit: &mut impl FnMut(Item<'a>) -> Result<(), E>,
) -> Result<Result<(), EntryError>, E> {
    while !plain.is_empty() {
        match Entry::take(plain) {
            Ok(entry) => visit(Item::Entry(entry))?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// Takes a record off the start of a raw block that has damage somewhere.
///
/// Where damage makes a separator, anything may come to be the start of a block. Of random times one
/// in ninety is between these years.
fn likely_entry<'a>(plain: &mut &'a [u8]) -> Option<Entry<'a>> {
    const YEARS_2000_TO_2099_MS: Range<u64> = 946_684_800_000..4_102_444_800_000;
    let mut behind = *plain;
    let entry = Entry::take(&mut behind).ok()?;
    let is_likely = YEARS_2000_TO_2099_MS.contains(&entry.time_ms);
    is_likely.then(|| {
        *plain = behind;
        entry
    })
}

/// Whether a file of this name is one of a directory's logs: 14 digits and `.log`.
pub fn is_file_name(name: &str) -> bool {
    let digits = name.strip_suffix(".log").unwrap_or_default();
    digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether bytes are likely to be the start of a file: the first block has a record, or would have
/// one if there were more of it.
///
/// Text never is: a file name of 14 digits may be a date and a time.
pub fn is_likely(head: &[u8]) -> bool {
    let end = memchr::memchr(SEPARATOR, head);
    let (mut found, mut damaged) = (false, false);
    let first = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    let visited = Decoder::new().decode(first, end.is_some(), |item| {
        match item {
            Item::Entry(_) => found = true,
            Item::Gap(gap) => damaged = gap.cause != Cause::Torn,
        }
        Ok::<_, Infallible>(())
    });
    let is_stream = next_stream(first, 0) == Some(0);
    visited.is_ok() && (found || (damaged && is_stream))
}

#[cfg(test)]
mod tests;
