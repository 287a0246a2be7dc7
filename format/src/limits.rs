//! Every limit of the format, each with its reason.
//!
//! Decoders check a length against its limit before they allocate; encoders refuse to produce
//! what a decoder would refuse.

/// The most bytes a section of a block may have, raw or stored: the largest 24-bit number.
///
/// Ordinary sections have tens of kilobytes. The limit leaves room for one very large record and
/// for compacted segments, and keeps the bytes of one block below 34 MiB.
pub const SECTION_BYTES_MAX: usize = (1 << 24) - 1;

/// The most bytes one text (a url, a JSON value, a stack trace) may have: 4 MiB.
///
/// A quarter of a section: with [`RECORD_TEXT_BYTES_MAX`] it makes sure that a block can hold any
/// record that an encoder accepts.
pub const TEXT_BYTES_MAX: usize = 1 << 22;

/// The most bytes all texts of one record may have together, with a terminator for each, the age
/// of each DEBUG entry (8 bytes) and a record's few fixed fields: 8 MiB, half a section.
pub const RECORD_TEXT_BYTES_MAX: usize = 1 << 23;

/// The most records one block may have.
///
/// With every integer column at its widest, the spine of so many records still fits its section.
pub const BLOCK_RECORDS_MAX: usize = 1 << 18;

/// The most distinct request ids one block may have: what a 16-bit count can tell.
pub const BLOCK_REQUESTS_MAX: usize = (1 << 16) - 1;

/// The most DEBUG entries one block may have.
///
/// Bounds what a hostile block makes a reader hold beside its bytes: 8 MiB of places.
pub const BLOCK_DEBUG_MAX: usize = 1 << 20;

/// The longest time one block may span, in microseconds: the largest 40-bit number, 12.7 days.
pub const BLOCK_SPAN_US_MAX: u64 = (1 << 40) - 1;

/// The largest sequence number of a record: the largest 48-bit number.
///
/// At a million records a second one writer reaches it after nine years.
pub const SEQUENCE_MAX: u64 = (1 << 48) - 1;

/// The most bytes a dictionary may have: 64 KiB. Larger ones gain nothing on blocks of 32 KiB.
pub const DICTIONARY_BYTES_MAX: usize = 1 << 16;

/// The most writers the roster of one ping may list.
///
/// A cluster has tens of processes; the limit bounds what a hostile ping can make a reader hold.
pub const ROSTER_WRITERS_MAX: usize = 1 << 16;

/// The most sections of requests that a block names: one byte counts them.
pub const SECTION_NAMES_MAX: usize = u8::MAX as usize;

/// The longest section of a request that a block names, in bytes. Longer ones are mistakes or attacks.
pub const SECTION_NAME_BYTES_MAX: usize = 48;
