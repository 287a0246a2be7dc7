//! What a store holds, for `logq stats`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use logq_format::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, FILE_HEADER_LEN, FormatVersion, Level, Origin,
    RecordType, Timestamp, WriterId,
};

use crate::continuity::Continuity;
use crate::counts::Counts;
use crate::gain;
use crate::ledger::Ledger;
use crate::report::{Coverage, Report};
use crate::segment::Segment;

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
    /// Its dictionary, if it has one.
    pub dictionary: Option<DictionarySummary>,
    /// The number of records in its blocks, those written twice counted twice.
    pub records: u64,
    /// The times of its earliest and its latest record.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// The dictionary of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DictionarySummary {
    /// Its id.
    pub id: u32,
    /// How many times larger spines and bodies would be without it, judged by a sample of up to 64
    /// blocks. `None` where no block of the sample uses it.
    pub gain: Option<f64>,
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

type Span = Option<(Timestamp, Timestamp)>;

/// What headers tell about a store, collected block by block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    segments: Vec<(u64, Span)>,
    blocks: BlockCounts,
    bytes: ByteCounts,
    span: Span,
    writers: BTreeMap<(usize, WriterId), (WriterSummary, Continuity)>,
}

impl Survey {
    pub(crate) fn new(segments: usize) -> Self {
        Self { segments: vec![(0, None); segments], ..Self::default() }
    }

    /// Adds a block.
    pub(crate) fn block(&mut self, segment: usize, store: usize, header: &BlockHeader) {
        self.bytes.add(header);
        *match header.kind {
            BlockKind::Data => &mut self.blocks.data,
            BlockKind::Ping => &mut self.blocks.ping,
            BlockKind::Join => &mut self.blocks.join,
            BlockKind::Dictionary => &mut self.blocks.dictionary,
            _ => &mut self.blocks.other,
        } += 1;
        if header.kind == BlockKind::Dictionary {
            return;
        }
        let span = (header.records > 0).then_some((header.min, header.max));
        if let Some((records, times)) = self.segments.get_mut(segment) {
            *records += u64::from(header.records);
            *times = union(*times, span);
        }
        self.span = union(self.span, span);
        let origin = header.origin;
        let unknown = || (WriterSummary::of(origin), Continuity::default());
        let (writer, seen) = self.writers.entry((store, origin.writer)).or_insert_with(unknown);
        let new = seen.insert(header);
        writer.span = union(writer.span, span);
        writer.records += new;
        // A block that was written twice says twice what was lost before it.
        if new > 0 || header.records == 0 {
            writer.lost += u64::from(header.lost);
        }
    }
}

impl WriterSummary {
    fn of(origin: Origin) -> Self {
        Self { origin, records: 0, span: None, lost: 0, missing: 0 }
    }
}

impl ByteCounts {
    fn add(&mut self, header: &BlockHeader) {
        self.headers += BLOCK_HEADER_LEN as u64;
        if header.kind != BlockKind::Data {
            self.other += header.block_len().saturating_sub(BLOCK_HEADER_LEN) as u64;
            return;
        }
        let ids = header.front_len().saturating_sub(header.spine.stored_len as usize);
        self.request_ids += ids as u64;
        self.spine_stored += u64::from(header.spine.stored_len);
        self.spine_raw += u64::from(header.spine.raw_len);
        self.body_stored += u64::from(header.body.stored_len);
        self.body_raw += u64::from(header.body.raw_len);
    }
}

fn union(one: Span, other: Span) -> Span {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        _ => one.or(other),
    }
}

/// Puts together what was counted, surveyed and reported.
pub(crate) fn summary(
    segments: &[Segment],
    mut ledger: Ledger<'_>,
    counts: Counts,
    coverage: Coverage,
) -> Summary {
    let survey = ledger.take_survey().unwrap_or_default();
    let report = ledger.finish(coverage);
    let mut bytes = survey.bytes;
    for segment in segments {
        bytes.total += segment.len();
        bytes.headers += segment.len().min(FILE_HEADER_LEN as u64);
    }
    let mut writers: Vec<_> = survey.writers.into_values().map(|(writer, _)| writer).collect();
    for writer in &mut writers {
        let own = report.missing.iter().filter(|missing| missing.origin == writer.origin);
        writer.missing = own.map(|missing| missing.records).sum();
    }
    writers.sort_by_key(|writer| (writer.span, writer.origin));
    let surveyed = segments.iter().zip(survey.segments);
    let samples = gain::samples(segments.len());
    Summary {
        segments: surveyed.map(|(segment, found)| summarize(segment, found, samples)).collect(),
        blocks: survey.blocks,
        records: counts.records(),
        levels: counts.levels(),
        types: counts.types(),
        writers,
        span: survey.span,
        bytes,
        report,
    }
}

fn summarize(segment: &Segment, (records, span): (u64, Span), samples: usize) -> SegmentSummary {
    let header = segment.head().ok().and_then(|head| head.header.as_ref().ok());
    SegmentSummary {
        number: header.map(|header| header.segment),
        path: segment.path().to_owned(),
        bytes: segment.len(),
        version: header.map(|header| header.version),
        dictionary: header
            .and_then(|header| header.dictionary)
            .map(|id| DictionarySummary { id, gain: gain::gain(segment, samples) }),
        records,
        span,
    }
}
