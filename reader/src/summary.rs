//! What a store holds, for `logq stats`.

use std::path::PathBuf;

use logq_format::{FormatVersion, Level, Origin, RecordType, Timestamp};

use crate::report::Report;

/// What a store holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// The segments, in their order.
    pub segments: Vec<SegmentSummary>,
    /// How many blocks of which kind there are.
    pub blocks: BlockCounts,
    /// The number of records, each counted once.
    pub records: u64,
    /// How many records there are of each level that occurs.
    pub levels: Vec<(Level, u64)>,
    /// How many records there are of each type that occurs.
    pub types: Vec<(RecordType, u64)>,
    /// The writers, in the order of their first records.
    pub writers: Vec<WriterSummary>,
    /// The times of the earliest and the latest record.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Where the bytes are.
    pub bytes: ByteCounts,
    /// Gaps, missing records, unfinished tails.
    pub report: Report,
}

/// One segment of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// Its number; `None` if its header is damaged.
    pub number: Option<u64>,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The version of the format that wrote it; `None` if its header is damaged.
    pub version: Option<FormatVersion>,
    /// The id of its dictionary, if it has one.
    pub dictionary: Option<u32>,
    /// The number of records in its blocks, those written twice counted twice.
    pub records: u64,
    /// The times of its earliest and its latest record.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Blocks by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the kinds")]
#[non_exhaustive]
pub struct BlockCounts {
    pub data: u64,
    pub ping: u64,
    pub join: u64,
    pub dictionary: u64,
    pub other: u64,
}

/// Bytes by what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ByteCounts {
    /// All segments together.
    pub total: u64,
    /// Headers of files and blocks.
    pub headers: u64,
    /// Request ids.
    pub request_ids: u64,
    /// Spines as stored.
    pub spine_stored: u64,
    /// Spines decompressed.
    pub spine_raw: u64,
    /// Bodies as stored.
    pub body_stored: u64,
    /// Bodies decompressed.
    pub body_raw: u64,
    /// Pings, joins, dictionaries and blocks of unknown kinds, without their headers.
    pub other: u64,
}

/// One writer of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterSummary {
    /// Who it is.
    pub origin: Origin,
    /// The number of its records, each counted once.
    pub records: u64,
    /// The times of its first and its last record.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Records it says to have dropped.
    pub lost: u64,
    /// Records that jumps in its sequence show to be missing.
    pub missing: u64,
}
