//! What is told beside the records: what is missing, how far the answer is final, what it cost.

use std::ops::Range;
use std::path::PathBuf;

use logq_format::{GapCause, Origin, Timestamp};

/// Everything about an answer that is not a record.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Damaged places that may have held records of the range, in the order of the store.
    pub gaps: Vec<Gap>,
    /// Damaged places beyond the [`GAPS_MAX`] that are listed.
    pub gaps_omitted: u64,
    /// Blocks that were not written to their end. Not damage: the end of the file cuts them off, which
    /// is normal where a writer is just writing, and the last trace of one that was killed; or the
    /// disk took a part of them only, and they were written again.
    pub unfinished: Vec<Gap>,
    /// Records that jumps in the sequences of writers show to be missing.
    pub missing: Vec<Missing>,
    /// Records of types that only a newer version knows, among those that match.
    pub unknown_records: u64,
    /// Blocks of optional kinds that only a newer version knows.
    pub unknown_blocks: u64,
    /// Records that writers say to have dropped.
    pub lost_records: u64,
    /// Records that were handed out behind later ones, because they were appended after the time had
    /// come when nothing so early should have been. Only a [`Follow`](crate::Follow) has any.
    pub late_records: u64,
    /// How far the answer is final.
    pub coverage: Coverage,
    /// What it cost.
    pub statistics: Statistics,
}

/// The most damaged places that a report lists; the rest is counted.
pub const GAPS_MAX: usize = 10_000;

impl Report {
    /// Whether nothing is known to be damaged or missing.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty() && self.missing.is_empty()
    }

    /// How many records are known to be missing.
    pub fn missing_records(&self) -> u64 {
        self.missing.iter().fold(0, |sum, missing| sum.saturating_add(missing.records))
    }
}

/// A range of a segment that could not be read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// The segment.
    pub path: PathBuf,
    /// The bytes skipped, as offsets into the segment.
    pub range: Range<u64>,
    /// Why.
    pub cause: Cause,
    /// Who wrote the block at the start of the gap, if its header is intact.
    pub origin: Option<Origin>,
    /// The sequence numbers of that block's records; a block with gaps in its sequence has more.
    pub sequences: Option<Range<u64>>,
    /// The times of the blocks around: what was lost happened about then. `None` if unknown.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Why a range of a segment could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The bytes are not what they should be.
    #[error("{0}")]
    Damaged(#[from] GapCause),
    /// The file has become shorter while it was read.
    #[error("the file was truncated while it was read")]
    Truncated,
    /// The file has been deleted, or another one has taken its name, before it was read.
    #[error("the file was deleted before it was read")]
    Vanished,
    /// A block stream ended before its end: the rest of it is missing.
    #[error("the stream ended early; the rest is missing")]
    CutShort,
    /// Where a block stream was made, some of what was selected could not be read.
    #[error("where the stream was made, {gaps} places were damaged and {records} records missing")]
    Sender {
        /// Damaged places.
        gaps: u64,
        /// Records that were missing besides.
        records: u64,
    },
    /// Block streams were joined that leave a time between them.
    #[error("the streams have nothing of the time between them")]
    NotSelected,
    /// The operating system failed to read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// Records of one writer that are missing between two of its blocks, or before a roster that knows
/// of them. Those of blocks that left a gap with intact headers are not told again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The writer.
    pub origin: Origin,
    /// Their number.
    pub records: u64,
    /// The sequence number of the first of them.
    pub sequence: u64,
    /// None of them is earlier than this.
    pub from: Timestamp,
    /// None of them is later than this.
    pub to: Timestamp,
}

/// How far the snapshot's answers are final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// The time of the earliest record, if there is any.
    pub first: Option<Timestamp>,
    /// The time of the latest record, if there is any; of a stream that was selected up to a time, no
    /// later than that. Of a segment that is still written it is that among its last blocks, back to
    /// those behind the last claims: where a writer lags, a later record may be in front of them.
    pub last: Option<Timestamp>,
    /// No record earlier than this can be appended any more, as far as the segments tell. `None` if
    /// they do not tell; [`Timestamp::MAX`] if every writer has left.
    pub watermark: Option<Timestamp>,
    /// The writers that hold the watermark back, the slowest first.
    pub holding: Vec<Holder>,
}

impl Coverage {
    /// Whether the segments prove that an answer about [since, until) is final: nothing was there
    /// before it began, and nothing can come any more.
    pub fn covers(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        let begins = since.is_none_or(|since| self.first.is_some_and(|first| first <= since));
        let until = until.unwrap_or(Timestamp::MAX);
        begins && self.watermark.is_some_and(|watermark| until <= watermark)
    }
}

/// A writer that may still append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The writer.
    pub origin: Origin,
    /// Everything it appends has this time or a later one.
    pub floor: Timestamp,
    /// Its process id, 0 if unknown.
    pub pid: u32,
    /// The byte of the store's lock file that it holds locked while it lives, counted from 1; 0
    /// for none.
    pub slot: u32,
    /// The number in the name of the segment that it appends to, 0 if unknown.
    pub segment: u64,
}

/// What an answer cost: the numbers behind `--explain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Segments of the snapshot.
    pub segments: u64,
    /// Segments of which blocks were considered.
    pub segments_read: u64,
    /// Blocks of records whose headers were read.
    pub blocks: u64,
    /// Of these, those outside the range of time.
    pub pruned_by_time: u64,
    /// Of the rest, those without a wanted level.
    pub pruned_by_level: u64,
    /// Of the rest, those without a wanted type.
    pub pruned_by_type: u64,
    /// Of the rest, those of other workers.
    pub pruned_by_worker: u64,
    /// Of the rest, those that the expression rules out.
    pub pruned_by_expression: u64,
    /// Of the rest, those without a wanted request.
    pub pruned_by_request: u64,
    /// Of the rest, those whose text rules them out.
    pub pruned_by_text: u64,
    /// Of the rest, those of which the header told everything.
    pub told_by_header: u64,
    /// Of the rest, those of which nothing could be used; see the gaps.
    pub blocks_damaged: u64,
    /// Those that were decoded, each once, and of these those that their text ruled out then.
    pub(crate) begun: u64,
    pub(crate) ruled_out_late: u64,
    /// Spines decompressed; a block at the border of two slices counts for both.
    pub spines_decoded: u64,
    /// Bodies decompressed; a block at the border of two slices counts for both.
    pub bodies_decoded: u64,
    /// Bytes read from segments, or mapped.
    pub bytes_read: u64,
    /// Bytes of spines and bodies once decompressed.
    pub bytes_decoded: u64,
    /// Microseconds spent on finding blocks by pings and headers, on the calling thread.
    pub plan_us: u64,
    /// Microseconds spent on decoding blocks and on what the caller makes of their records, summed
    /// over all threads.
    pub decode_us: u64,
    /// Records that matched.
    pub records: u64,
}

impl Statistics {
    /// The blocks that were ruled out, for whatever reason.
    pub fn blocks_pruned(&self) -> u64 {
        self.pruned_by_time
            + self.pruned_by_level
            + self.pruned_by_type
            + self.pruned_by_worker
            + self.pruned_by_expression
            + self.pruned_by_request
            + self.pruned_by_text
    }

    /// The blocks that were decoded and not ruled out by their text then, each counted once.
    ///
    /// An answer that is not cut short by a limit has [`blocks`](Self::blocks) = `blocks_pruned` +
    /// [`told_by_header`](Self::told_by_header) + `blocks_decoded` +
    /// [`blocks_damaged`](Self::blocks_damaged).
    pub fn blocks_decoded(&self) -> u64 {
        self.begun.saturating_sub(self.ruled_out_late)
    }

    /// Adds what another pass over the same segments has cost, which looks at blocks anew.
    pub fn add_pass(&mut self, other: &Self) {
        let segments = self.segments.max(other.segments);
        let segments_read = self.segments_read.max(other.segments_read);
        self.add(other);
        (self.segments, self.segments_read) = (segments, segments_read);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.segments_read += other.segments_read;
        self.blocks += other.blocks;
        self.pruned_by_time += other.pruned_by_time;
        self.pruned_by_level += other.pruned_by_level;
        self.pruned_by_type += other.pruned_by_type;
        self.pruned_by_worker += other.pruned_by_worker;
        self.pruned_by_expression += other.pruned_by_expression;
        self.pruned_by_request += other.pruned_by_request;
        self.pruned_by_text += other.pruned_by_text;
        self.told_by_header += other.told_by_header;
        self.blocks_damaged += other.blocks_damaged;
        self.begun += other.begun;
        self.ruled_out_late += other.ruled_out_late;
        self.spines_decoded += other.spines_decoded;
        self.bodies_decoded += other.bodies_decoded;
        self.bytes_read += other.bytes_read;
        self.bytes_decoded += other.bytes_decoded;
        self.plan_us += other.plan_us;
        self.decode_us += other.decode_us;
        self.records += other.records;
    }
}
