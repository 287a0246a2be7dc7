//! What can be wrong with bytes, as values: which structure, at which offset in it, what was
//! expected and what was found.

use std::fmt;

/// Says why bytes are not what they should be.
///
/// Offsets count from the start of the structure named; whoever read it from a file adds the
/// file's offset and path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within the structure.
    #[error("{what} is cut off: {expected} bytes expected, {found} found")]
    Truncated {
        /// The structure or field.
        what: &'static str,
        /// Bytes it needs.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The magic number or marker is another one.
    #[error("{what} does not start with its marker")]
    Marker {
        /// The structure.
        what: &'static str,
    },
    /// The checksum does not match the bytes.
    #[error("{what} checksum is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The structure.
        what: &'static str,
        /// The stored CRC-32C.
        expected: u32,
        /// The CRC-32C of the bytes.
        found: u32,
    },
    /// A number is above its limit.
    #[error("{what} is {found}, the limit is {limit}")]
    Limit {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest value allowed.
        limit: u64,
    },
    /// A field has a value that the format does not define.
    #[error("{what} has the invalid value {found}")]
    Invalid {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// What a block tells twice is not the same.
    #[error("{what}, number {head} of the block, is not what its url tells")]
    Contradiction {
        /// The field.
        what: &'static str,
        /// The number of the REQUEST among those of the block.
        head: u32,
    },
    /// A text is not UTF-8.
    #[error("{what} is not UTF-8")]
    Utf8 {
        /// The field.
        what: &'static str,
    },
    /// A compressed section does not decompress to what its header says.
    #[error("{what} does not decompress: {reason}")]
    Decompress {
        /// The section.
        what: &'static str,
        /// The decompressor's words.
        reason: String,
    },
    /// The block needs a dictionary that its segment does not have.
    #[error("{what} needs the dictionary of its segment, which is missing")]
    NoDictionary {
        /// The section.
        what: &'static str,
    },
    /// The record is of a type that the caller has said not to want.
    #[error("the record is of a type that was not asked for")]
    Unparsed,
    /// A newer version of the format wrote this; a newer logq reads it.
    #[error("{what} {found} is of a newer version of the format; a newer logq reads it")]
    Newer {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
}

/// Says why a record cannot be added to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The block is full, or cannot hold a record of this time: finish it and push again.
    #[error("the block is full")]
    Full,
    /// No block can hold this record: a text of it is too long.
    #[error("a {what} of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// The field.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The record is older than the one before it; a writer's times never decrease.
    #[error("the record is older than the one before it")]
    OutOfOrder,
    /// The sequence number does not follow the one before it, or is over the limit.
    #[error("the sequence number does not follow the one before it")]
    Sequence,
    /// Records of this kind are read but never written.
    #[error("records of kind {kind} cannot be written by this version")]
    Kind {
        /// The kind.
        kind: u8,
    },
}

/// Prints bytes as lower-case hexadecimal.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
