//! Looking at the steps of requests for the few fields that questions about traffic need: by spines
//! where these suffice, with the heads of requests where these are wanted, without sorting records
//! that nobody wants in order.

use std::ops::ControlFlow;

use logq_format::{
    Heads, Record, RecordType, RequestId, RequestStep, RequestSteps, StoredBlock, Timestamp,
    TypeSet, UrlSections,
};

use crate::decoder::{Decoder, Depth, Failure, Findings, Front};
use crate::error::ReadError;
use crate::keys::Admitted;
use crate::loading::Part;
use crate::plan::{Plan, Slice};
use crate::rows::{Blocks, Key, Row};
use crate::run::{Sink, run};
use crate::scale::VISIT_PACE;
use crate::segment::Segment;
use crate::select::{Receiver, Selection};
use crate::source::Bytes;
use crate::tally::in_portions;
use crate::timeline::BlockRef;
use crate::twins::twins;
use crate::workspace::Workspace;

/// The types of records that are visited.
pub(crate) const VISITED: TypeSet = TypeSet::EMPTY
    .with(RecordType::Request)
    .with(RecordType::Response)
    .with(RecordType::ResponseFinished);

/// How much of requests a visit shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitDepth {
    /// What spines tell.
    Steps,
    /// Also the sections of requests: of blocks that do not store them, their heads instead, without
    /// addresses.
    Sections,
    /// Also the heads of requests, without addresses.
    Targets,
    /// Also the heads of requests.
    Heads,
}

/// What a visit shows at a time.
#[derive(Clone, Copy, Debug)]
pub enum Glimpse<'r> {
    /// Steps of one block, in their order.
    Steps(Steps<'r>),
    /// One record, where blocks had to be compared record by record.
    Record(&'r Record<'r>),
}

/// Steps of the requests of one block.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'r> {
    steps: &'r RequestSteps<'r>,
    /// Which of them are seen, unless all are.
    admitted: Option<&'r Admitted<'r, 'r>>,
    ids: &'r [RequestId],
    sections: Option<UrlSections<'r>>,
    heads: Option<&'r Heads<'r>>,
}

impl<'r> Steps<'r> {
    /// Calls `see` with the steps, in their order.
    #[inline]
    pub fn for_each(&self, mut see: impl FnMut(&RequestStep)) {
        // One loop for both cases, so that what `see` does becomes a part of it.
        self.steps.for_each(|step| {
            if self.admitted.is_none_or(|admitted| admitted.has(step)) {
                see(step);
            }
        });
    }

    /// How many there are, and how many of them are REQUESTs.
    fn count(&self) -> (usize, usize) {
        if self.admitted.is_none() {
            return (self.steps.len(), self.steps.requests());
        }
        let (mut all, mut requests) = (0, 0);
        self.for_each(|step| {
            all += 1;
            requests += usize::from(step.record_type == RecordType::Request);
        });
        (all, requests)
    }

    /// The ids that [`RequestStep::request`] refers to.
    pub fn ids(&self) -> &'r [RequestId] {
        self.ids
    }

    /// The sections of its REQUESTs, if these are visited and the block stores them.
    pub fn sections(&self) -> Option<UrlSections<'r>> {
        self.sections
    }

    /// The heads of its REQUESTs, if these are visited and there are any.
    pub fn heads(&self) -> Option<&'r Heads<'r>> {
        self.heads
    }
}

impl Row<'_> {
    /// Calls `see` with what a visit would show of this record, if it can be decoded.
    pub fn glimpse(&self, see: impl FnOnce(&Glimpse<'_>)) {
        if let Ok(record) = self.record() {
            see(&Glimpse::Record(&record));
        }
    }
}

/// What a visit calls for each slice, and for what it sees of it.
pub(crate) struct Visitor<O, S> {
    /// Begins a slice.
    pub(crate) open: O,
    /// Sees a part of it.
    pub(crate) see: S,
    pub(crate) depth: VisitDepth,
}

/// Visits the wanted records of all slices of a plan.
pub(crate) fn visit<T: Send>(
    plan: &mut Plan<'_, '_>,
    decoder: &Decoder<'_, '_>,
    visitor: &Visitor<impl Fn() -> T + Sync, impl Fn(&mut T, &Glimpse<'_>) + Sync>,
    mut fold: impl FnMut(T, Timestamp) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let work = |slice: &Slice, _limit: usize, sink: Sink<'_, (T, Timestamp)>| {
        let mut findings = Findings::default();
        let mut state = (visitor.open)();
        let mut see = |glimpse: &Glimpse<'_>| (visitor.see)(&mut state, glimpse);
        let mut work = Work { decoder, slice, depth: visitor.depth };
        work.visit(&mut see, &mut findings)?;
        // Visits are in ascending order; the last slice reaches beyond all times.
        let until = Timestamp::from_micros(slice.span.until.min(Timestamp::MAX.as_micros()));
        match sink((state, until), 0) {
            // Whether to go on is asked when the results are folded.
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(findings),
        }
    };
    run(plan, VISIT_PACE, None, work, |(state, until)| fold(state, until))
}

/// The work on one slice.
struct Work<'w, 's, 'q> {
    decoder: &'w Decoder<'s, 'q>,
    slice: &'w Slice,
    depth: VisitDepth,
}

impl Work<'_, '_, '_> {
    fn visit(
        &mut self,
        see: &mut dyn FnMut(&Glimpse<'_>),
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let (decoder, slice) = (self.decoder, self.slice);
        let mut chosen: Vec<usize> = (0..slice.blocks.len()).collect();
        let needs_rows = |block: &BlockRef| block.is_shadow || decoder.wanted.needs_records(block);
        if twins(&slice.blocks).contains(&true) || slice.blocks.iter().any(needs_rows) {
            let depth = Depth::Record;
            let selection = Selection { chosen: &chosen, depth, limit: usize::MAX };
            return decoder.select(slice, selection, findings, &mut ByRows { see });
        }
        // The blocks of each writer in their order, whoever's come between them.
        chosen.sort_by_key(|index| slice.blocks.get(*index).map(|b| (b.low, b.writer, b.sequence)));
        for portion in in_portions(slice, &chosen) {
            let mut workspace = decoder.workspaces.take()?;
            self.visit_blocks(portion, see, &mut workspace, findings)?;
            decoder.workspaces.give_back(workspace);
        }
        Ok(())
    }

    fn visit_blocks(
        &mut self,
        portion: &[usize],
        see: &mut dyn FnMut(&Glimpse<'_>),
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let (decoder, slice) = (self.decoder, self.slice);
        let part = self.part(portion);
        let loaded = decoder.load(slice, portion, part, workspace, findings);
        {
            let fronts = decoder.fronts(slice, &loaded, part, &[], workspace, findings)?;
            for index in portion {
                let (Some(block), Some(Some(front))) =
                    (slice.blocks.get(*index), fronts.get(*index))
                else {
                    continue;
                };
                if let Err(failure) = self.visit_block(block, front, see, workspace, findings) {
                    decoder.fail(block, failure, findings)?;
                }
            }
        }
        loaded.release(workspace);
        Ok(())
    }

    fn visit_block(
        &self,
        block: &BlockRef,
        front: &Front<'_>,
        see: &mut dyn FnMut(&Glimpse<'_>),
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let decoder = self.decoder;
        let spine = front.spine()?;
        let admitted = decoder.admitted(block, &spine, decoder.timeline.times(self.slice.span))?;
        let steps = &spine.request_steps()?;
        let admitted = (!admitted.is_all_of(&spine, VISITED)).then_some(&admitted);
        let ids = spine.request_ids();
        let steps = Steps { steps, admitted, ids, sections: None, heads: None };
        let (count, requests) = steps.count();
        findings.statistics.records += count as u64;
        let has_heads = requests > 0;
        let sections = match self.depth {
            VisitDepth::Sections if has_heads => spine.url_sections()?,
            _ => None,
        };
        let steps = Steps { sections, ..steps };
        if self.depth == VisitDepth::Steps || !has_heads || sections.is_some() {
            see(&Glimpse::Steps(steps));
            return Ok(());
        }
        workspace.turn_to(block.segment, decoder.segments, decoder.workspaces)?;
        let whole = self.whole(block, front, findings)?;
        let stored =
            StoredBlock::new(front.header.clone(), whole.as_deref().unwrap_or(front.bytes))?;
        let raw = stored.body(&mut workspace.decompressor)?;
        findings.statistics.bodies_decoded += 1;
        findings.statistics.bytes_decoded += raw.len() as u64;
        let heads = Heads::new(&spine, &raw, self.depth == VisitDepth::Heads)?;
        see(&Glimpse::Steps(Steps { heads: Some(&heads), ..steps }));
        Ok(())
    }

    /// The part of blocks that is read at once: of those that should store sections, the front.
    fn part(&self, portion: &[usize]) -> Part {
        let stores_sections = |index: &usize| {
            let block = self.slice.blocks.get(*index);
            let segment = block.and_then(|b| self.decoder.segments.get(b.segment as usize));
            segment.is_some_and(Segment::stores_sections)
        };
        match self.depth {
            VisitDepth::Steps => Part::Front,
            VisitDepth::Sections if portion.iter().all(stores_sections) => Part::Front,
            VisitDepth::Sections | VisitDepth::Targets | VisitDepth::Heads => Part::Whole,
        }
    }

    /// The whole block, unless it was read with its front.
    fn whole(
        &self,
        block: &BlockRef,
        front: &Front<'_>,
        findings: &mut Findings,
    ) -> Result<Option<Bytes<'_>>, Failure> {
        let is_read = front.bytes.len() >= block.len as usize;
        let whole = || self.decoder.whole(block, findings);
        Ok((!is_read).then(whole).transpose()?)
    }
}

/// Visits records one by one, in exact order, each once.
struct ByRows<'b> {
    see: &'b mut dyn FnMut(&Glimpse<'_>),
}

impl Receiver for ByRows<'_> {
    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        for key in keys {
            if let Some(row) = Row::new(*key, blocks) {
                row.glimpse(&mut *self.see);
            }
        }
        ControlFlow::Continue(())
    }
}
