//! The on-disk format of logq: bytes to records and back.
//!
//! `format/FORMAT.md` is the specification; this crate is its implementation and nothing else. It
//! never opens a file, starts a thread, reads a clock or touches a socket, and no input can make it
//! panic, loop or allocate beyond the limits in [`limits`].
//!
//! | from the outside in | |
//! |---|---|
//! | a segment's first 256 bytes | [`FileHeader`] |
//! | finding blocks, damage as values | [`Scan`], [`Step`], [`Gap`], [`find_block`] |
//! | a block's first 72 bytes | [`BlockHeader`] |
//! | a block as stored, checked, decoded | [`StoredBlock`] → [`Spine`] → [`Block`] |
//! | a block being made | [`BlockBuilder`]; [`StagedRecords`], which many threads fill |
//! | compression | [`Compressor`], [`Decompressor`], [`Dictionary`] |
//! | what writers say of themselves and the file | [`Member`], [`Claims`] |
//! | what stands around segments on their way through a pipe | [`StreamMark`] |
//! | one record | [`Record`], [`Event`] |
//! | a record as a line of JSON | [`json`] |
//!
//! # Example
//!
//! A record goes into a block and comes back out of it:
//!
//! ```
//! use logq_format::*;
//!
//! let marker = SyncMarker::from_random([7; 8]);
//! let record = Record {
//!     time: "2026-02-03T14:05:06.789Z".parse()?,
//!     event: Event::Log {
//!         source: LogSource::Worker,
//!         level: Level::Warn,
//!         data: Json::new(r#"{"message":"slow disk"}"#).ok_or("a control character")?,
//!     },
//! };
//!
//! let mut builder = BlockBuilder::new();
//! builder.push(&record)?;
//! let origin = Origin { writer: WriterId(42), worker: WorkerId::new(1) };
//! let context =
//!     BlockContext { marker, origin, sequence: 0, flags: BlockFlags::NONE, lost: 0 };
//! let mut bytes = Vec::new();
//! builder.finish(&context, &mut Compressor::new(1, None)?, &mut bytes);
//!
//! let stored = StoredBlock::new(BlockHeader::decode(&bytes, marker)?, &bytes)?;
//! let mut decompressor = Decompressor::new()?;
//! let spine = stored.spine(&mut decompressor)?;
//! let spine = Spine::parse(stored.header(), stored.request_ids().collect(), &spine)?;
//! assert_eq!(spine.times(), [record.time]);
//! let body = stored.body(&mut decompressor)?;
//! assert_eq!(Block::new(spine, &body)?.record(0)?, record);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod codec;
mod column;
mod cursor;
mod error;
mod file_header;
mod header;
pub mod json;
mod level;
pub mod limits;
mod member;
mod name;
mod record;
mod scan;
mod shape;
mod stream;
mod texts;
mod timestamp;
mod url_section;

pub use block::builder::{BlockBuilder, BlockContext};
pub use block::heads::Heads;
pub use block::row::SpineRow;
pub use block::spine::Spine;
pub use block::staged::StagedRecords;
pub use block::steps::{RequestStep, RequestSteps};
pub use block::url_sections::UrlSections;
pub use block::{Block, StoredBlock};
pub use codec::{Codec, Compressor, Decompressor, Dictionary, LEVEL_DEFAULT};
pub use error::{DecodeError, PushError};
pub use file_header::{
    FILE_HEADER_LEN, FileHeader, FormatVersion, Id, MAGIC, Predecessor, VERSION,
};
pub use header::{
    BLOCK_HEADER_LEN, BlockFlags, BlockHeader, BlockKind, Origin, Section, SyncMarker, WriterId,
};
pub use level::{Level, LevelSet, UnknownLevel};
pub use member::{Claims, Member, decode_dictionary, encode_dictionary, encode_sign_of_life};
pub use name::{SEGMENT_EXTENSION, segment_name, segment_number};
pub use record::{
    ClockStep, DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Lifecycle,
    LogSource, Lost, Method, Process, Record, Request, RequestId, Response, ResponseFinished,
    WorkerExited, WorkerId,
};
pub use scan::{Gap, GapCause, Scan, Step, Window, find_block, find_last_block, recover_marker};
pub use shape::{RecordType, TypeSet};
pub use stream::{
    STREAM_MAGIC, STREAM_MARK_LEN, STREAM_WORKERS_MAX, StreamEnd, StreamMark, StreamSelection,
};
pub use timestamp::{RFC3339_LEN, Timestamp, TimestampError};
pub use url_section::{Asked, url_section};

/// Property tests take the same cases in every run; a failure names the seed of its case.
#[cfg(test)]
fn seeded() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(0x106), failure_persistence: None, ..Config::default() }
}
