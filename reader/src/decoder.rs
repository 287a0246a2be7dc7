//! From the blocks of a slice to their spines: read, check, prune, decompress, parse.
//!
//! What turns out to be damaged is left out and told.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use logq_format::{
    BlockHeader, DecodeError, GapCause, Origin, RecordType, RequestId, Section, Spine, StoredBlock,
    SyncMarker, Timestamp, WriterId,
};

use crate::error::ReadError;
use crate::loading::{Loaded, Part};
use crate::plan::Slice;
use crate::report::{Cause, Gap, Statistics};
use crate::rows::Rank;
use crate::segment::Segment;
use crate::source::Bytes;
use crate::timeline::{BlockRef, Span, Timeline};
use crate::wanted::{ABOUT_OTHERS, Wanted};
use crate::workspace::{Workspace, Workspaces};

/// Decodes slices, on any thread.
pub(crate) struct Decoder<'s, 'q> {
    pub(crate) segments: &'s [Segment],
    pub(crate) workspaces: &'s Workspaces,
    pub(crate) wanted: &'s Wanted<'q>,
    pub(crate) timeline: Timeline,
    /// What the bounds of blocks refer to.
    pub(crate) bounds: &'s [Rank],
    /// Only what lies before is wanted; with ascending order only.
    pub(crate) ceiling: Option<Rank>,
}

/// How much of a record its receiver needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What the spine tells.
    Spine,
    /// Also whom the record is about.
    Subject,
    /// Everything.
    Record,
}

impl Depth {
    /// Whether it takes the body to know so much of a record of this type.
    pub(crate) fn needs_body(self, record_type: RecordType) -> bool {
        match self {
            Self::Spine => false,
            Self::Subject => ABOUT_OTHERS.contains(record_type),
            Self::Record => true,
        }
    }
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
    ids: Cell<Vec<RequestId>>,
    raw: Cow<'w, [u8]>,
    /// The block as far as it was read.
    pub(crate) bytes: &'w [u8],
}

impl<'w> Front<'w> {
    /// The spine; once, because it takes the request ids with it.
    pub(crate) fn spine(&self) -> Result<Spine<'_>, DecodeError> {
        Spine::parse(&self.header, self.ids.take(), &self.raw)
    }
}

/// Why a block cannot be used.
pub(crate) enum Failure {
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

impl<'s> Decoder<'s, '_> {
    pub(crate) fn load(
        &self,
        slice: &Slice,
        chosen: &[usize],
        part: Part,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Loaded<'s> {
        let chosen = chosen.iter().copied();
        let loaded = Loaded::load(self.segments, &slice.blocks, chosen, part, workspace);
        findings.statistics.bytes_read += loaded.bytes_read();
        loaded
    }

    /// Looks at the bodies of those loaded blocks of which nothing else can rule records out. Keeps
    /// in `bodies` those that may hold a wanted record; answers which blocks do not.
    pub(crate) fn search<'w>(
        &self,
        slice: &Slice,
        loaded: &'w Loaded<'_>,
        bodies: &[OnceCell<Cow<'w, [u8]>>],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Vec<usize>, ReadError> {
        let mut ruled_out = Vec::new();
        for (index, bytes) in loaded.blocks(&slice.blocks, Part::Whole) {
            let (Some(block), Ok(bytes)) = (slice.blocks.get(index), bytes) else { continue };
            if !self.wanted.is_searched(block) {
                continue;
            }
            match self.searched(block, bytes, workspace, findings) {
                Ok(Some(body)) => drop(bodies.get(index).map(|slot| slot.set(body))),
                Ok(None) => ruled_out.push(index),
                Err(Failure::Read(error)) => return Err(error),
                // What is wrong with it is told when it is decoded.
                Err(Failure::Content(_) | Failure::Source(_)) => {}
            }
        }
        Ok(ruled_out)
    }

    fn searched<'w>(
        &self,
        block: &BlockRef,
        bytes: &'w [u8],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Option<Cow<'w, [u8]>>, Failure> {
        let header = BlockHeader::decode(bytes, self.marker(block)?)?;
        self.body(block, &StoredBlock::new(header, bytes)?, workspace, findings)
    }

    /// The decompressed body of a block; `None` if its text rules all records out.
    pub(crate) fn body<'w>(
        &self,
        block: &BlockRef,
        stored: &StoredBlock<'w>,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Option<Cow<'w, [u8]>>, Failure> {
        workspace.turn_to(block.segment, self.segments, self.workspaces)?;
        let raw = stored.body(&mut workspace.decompressor)?;
        findings.statistics.bodies_decoded += 1;
        findings.statistics.bytes_decoded += raw.len() as u64;
        if self.wanted.admits_body(&raw) {
            return Ok(Some(raw));
        }
        block.prune_by_text(&mut findings.statistics);
        Ok(None)
    }

    fn marker(&self, block: &BlockRef) -> Result<SyncMarker, Failure> {
        match self.segments.get(block.segment as usize).map(Segment::head) {
            Some(Ok(head)) => Ok(head.marker),
            _ => Err(Cause::Truncated.into()),
        }
    }

    /// The fronts of the loaded blocks that are not ruled out, each at its index among the slice's
    /// blocks.
    pub(crate) fn fronts<'w>(
        &self,
        slice: &Slice,
        loaded: &'w Loaded<'_>,
        part: Part,
        ruled_out: &[usize],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Vec<Option<Front<'w>>>, ReadError> {
        let mut fronts: Vec<_> = slice.blocks.iter().map(|_| None).collect();
        for (index, bytes) in loaded.blocks(&slice.blocks, part) {
            if ruled_out.contains(&index) {
                continue;
            }
            let (Some(block), Some(slot)) = (slice.blocks.get(index), fronts.get_mut(index)) else {
                continue;
            };
            let front = bytes
                .map_err(Failure::from)
                .and_then(|bytes| self.front(block, bytes, workspace, findings));
            match front {
                Ok(front) => *slot = front,
                Err(failure) => self.fail(block, failure, findings)?,
            }
        }
        Ok(fronts)
    }

    /// The front of a block; `None` if it has no wanted request.
    fn front<'w>(
        &self,
        block: &BlockRef,
        bytes: &'w [u8],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Option<Front<'w>>, Failure> {
        let header = BlockHeader::decode(bytes, self.marker(block)?)?;
        // A block of which only the front was read is one without a body.
        let without_body = BlockHeader { body: Section::EMPTY, ..header.clone() };
        let stored = StoredBlock::new(without_body, bytes)?;
        if let Some(requests) = self.wanted.requests() {
            stored.check_front()?;
            if !stored.request_ids().any(|id| requests.binary_search(&id).is_ok()) {
                block.prune_by_request(&mut findings.statistics);
                return Ok(None);
            }
        }
        workspace.turn_to(block.segment, self.segments, self.workspaces)?;
        let raw = stored.spine(&mut workspace.decompressor)?;
        findings.statistics.spines_decoded += 1;
        block.decode(&mut findings.statistics);
        findings.statistics.bytes_decoded += raw.len() as u64;
        let ids = Cell::new(stored.request_ids().collect());
        Ok(Some(Front { header, ids, raw, bytes }))
    }

    /// The spines of the fronts.
    pub(crate) fn spines<'f>(
        &self,
        slice: &Slice,
        fronts: &'f [Option<Front<'_>>],
        findings: &mut Findings,
    ) -> Vec<Option<Spine<'f>>> {
        let parse =
            |(front, block): (&'f Option<Front<'_>>, &BlockRef)| match front.as_ref()?.spine() {
                Ok(spine) => Some(spine),
                Err(error) => {
                    findings.gaps.extend(self.content_gap(block, error));
                    None
                }
            };
        fronts.iter().zip(&slice.blocks).map(parse).collect()
    }

    /// Notes that a block cannot be used, or passes on what is worse.
    pub(crate) fn fail(
        &self,
        block: &BlockRef,
        failure: Failure,
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let gap = match failure {
            Failure::Content(error) => self.content_gap(block, error),
            Failure::Source(cause) => self.gap(block, cause),
            Failure::Read(error) => return Err(error),
        };
        block.damage(&mut findings.statistics);
        findings.gaps.extend(gap);
        Ok(())
    }

    pub(crate) fn content_gap(&self, block: &BlockRef, error: DecodeError) -> Option<Gap> {
        self.gap(block, GapCause::Content(error).into())
    }

    /// The bytes of a whole block.
    pub(crate) fn whole(
        &self,
        block: &BlockRef,
        findings: &mut Findings,
    ) -> Result<Bytes<'s>, Cause> {
        let segment = self.segments.get(block.segment as usize).ok_or(Cause::Truncated)?;
        let range = block.offset..block.offset + u64::from(block.len);
        let bytes = segment.source().read(range, Vec::new())?;
        findings.statistics.bytes_read += bytes.len() as u64;
        Ok(bytes)
    }

    fn gap(&self, block: &BlockRef, cause: Cause) -> Option<Gap> {
        let times = self.timeline.times(Span { from: block.low, until: block.high + 1 });
        let (min, max) = (times.from, times.until - 1);
        Some(Gap {
            path: self.segments.get(block.segment as usize)?.path().to_owned(),
            range: block.offset..block.offset + u64::from(block.len),
            cause,
            origin: Some(Origin { writer: WriterId(block.writer), worker: block.worker }),
            sequences: Some(block.sequence..block.sequence + u64::from(block.records)),
            span: Some((Timestamp::from_micros(min), Timestamp::from_micros(max))),
        })
    }
}
