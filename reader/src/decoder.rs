//! From a slice to its rows: read, prune, decompress, order.
//!
//! Works on one slice at a time and knows nothing of the others. What turns out to be damaged is
//! left out and told.

use std::borrow::Cow;
use std::cell::OnceCell;

use logq_format::{
    Block, BlockHeader, DecodeError, GapCause, RecordType, RequestId, Spine, StoredBlock,
};

use crate::error::ReadError;
use crate::loading::{Loaded, Part};
use crate::plan::Slice;
use crate::report::{Cause, Gap, Statistics};
use crate::rows::{Decoded, Key, Row, Rows};
use crate::segment::Segment;
use crate::source::Bytes;
use crate::timeline::{BlockRef, Span, Timeline};
use crate::wanted::Wanted;
use crate::workspace::{Workspace, Workspaces};

/// Decodes slices, on any thread.
pub(crate) struct Decoder<'s, 'q> {
    segments: &'s [Segment],
    workspaces: &'s Workspaces,
    wanted: &'s Wanted<'q>,
    timeline: Timeline,
}

/// What decoding a slice brought beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) gaps: Vec<Gap>,
    pub(crate) statistics: Statistics,
    pub(crate) unknown_records: u64,
}

/// The part of a block in front of its body, checked and decompressed.
pub(crate) struct Front<'w> {
    pub(crate) header: BlockHeader,
    ids: Vec<RequestId>,
    raw: Cow<'w, [u8]>,
    /// The block as far as it was read.
    bytes: &'w [u8],
}

/// Why a block cannot be used.
enum Failure {
    Content(DecodeError),
    Source(Cause),
    Read(ReadError),
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Content(error)
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Source(cause)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl<'s, 'q> Decoder<'s, 'q> {
    pub(crate) fn new(
        segments: &'s [Segment],
        workspaces: &'s Workspaces,
        wanted: &'s Wanted<'q>,
        timeline: Timeline,
    ) -> Self {
        Self { segments, workspaces, wanted, timeline }
    }

    /// Hands the first `limit` rows of a slice to `receive`, if there are any.
    pub(crate) fn rows(
        &self,
        slice: &Slice,
        limit: usize,
        receive: impl FnOnce(&Rows<'_>),
    ) -> Result<Findings, ReadError> {
        let mut findings = Findings::default();
        let mut workspace = self.workspaces.take()?;
        let part = if self.wanted.requests().is_some() { Part::Front } else { Part::Whole };
        let loaded = Loaded::load(self.segments, &slice.blocks, part, &mut workspace.buffers);
        findings.statistics.bytes_read += loaded.bytes_read();

        let fronts = self.fronts(slice, &loaded, &mut workspace, &mut findings)?;
        let spines = self.spines(slice, &fronts, &mut findings);
        let keys = self.keys(slice, &spines, &mut findings);
        let bodies = Bodies::new(self, slice, &fronts, spines);
        let rows = bodies.choose(keys, limit, &mut workspace, &mut findings)?;
        let blocks = bodies.into_blocks();
        if !rows.is_empty() {
            findings.statistics.records += rows.len() as u64;
            findings.unknown_records +=
                rows.iter().filter(|key| key.record_type == RecordType::Unknown).count() as u64;
            receive(&Rows::new(&rows, &blocks));
        }
        drop(blocks);
        drop(fronts);
        workspace.buffers.extend(loaded.into_buffers());
        self.workspaces.give_back(workspace);
        Ok(findings)
    }
}
