//! Grouping the records of slices: by headers, where a whole block belongs to one group; by spines,
//! where these tell the groups; record by record for the rest.

use std::ops::ControlFlow;

use logq_format::{
    DecodeError, Level, Origin, RecordType, Spine, SpineRow, Timestamp, TypeSet, WriterId,
};
use logq_query::{FieldPath, Known};

use super::grouping::{Classifier, Facts as _, Grouping, KindFacts, RowFacts};
use super::groups::Groups;
use super::in_portions;
use crate::decoder::{Decoder, Depth, Findings};
use crate::error::ReadError;
use crate::keys::Admitted;
use crate::loading::Part;
use crate::plan::{Plan, Slice};
use crate::rows::{Blocks, Key, Row};
use crate::run::{Sink, run};
use crate::scale::{GROUP_PACE, GROUPS_AT_ONCE};
use crate::select::{Receiver, Selection};
use crate::timeline::{BlockRef, Span};
use crate::twins::twins;

/// Groups the wanted records of all slices of a plan.
pub(crate) fn group(
    plan: &mut Plan<'_, '_>,
    decoder: &Decoder<'_, '_>,
    grouping: &Grouping<'_>,
) -> Result<Groups, ReadError> {
    let mut total = Groups::new(grouping);
    let work = |slice: &Slice, _limit: usize, sink: Sink<'_, Groups>| {
        let mut work = Work { decoder, slice, grouping, classifier: Classifier::new(grouping) };
        let findings = work.group(sink)?;
        match sink(work.classifier.finish(), 0) {
            // Nothing stops a count.
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(findings),
        }
    };
    run(plan, GROUP_PACE, None, work, |groups| {
        total.absorb(groups);
        ControlFlow::Continue(())
    })?;
    Ok(total)
}

/// The work on one slice.
struct Work<'w, 's, 'q> {
    decoder: &'w Decoder<'s, 'q>,
    slice: &'w Slice,
    grouping: &'w Grouping<'w>,
    classifier: Classifier<'w>,
}

impl Work<'_, '_, '_> {
    fn group(&mut self, sink: Sink<'_, Groups>) -> Result<Findings, ReadError> {
        let (decoder, slice) = (self.decoder, self.slice);
        let mut findings = Findings::default();
        let (mut spines, mut rows) = (Vec::new(), Vec::new());
        let twins = twins(&slice.blocks);
        for (index, block) in slice.blocks.iter().enumerate() {
            let may_be_repeated = twins.get(index) != Some(&false) || block.is_shadow;
            if may_be_repeated
                || decoder.wanted.needs_records(block)
                || !self.grouping.may_be_in_spine(decoder.wanted.types_in(block))
            {
                rows.push(index);
            } else if !self.add_by_header(block, &mut findings) {
                spines.push(index);
            }
        }
        for portion in in_portions(slice, &spines) {
            self.add_by_spines(portion, &mut rows, &mut findings)?;
        }
        rows.sort_unstable();
        if !rows.is_empty() {
            let selection = Selection { chosen: &rows, depth: Depth::Record, limit: usize::MAX };
            let mut by_rows = ByRows { classifier: &mut self.classifier, sink };
            decoder.select(slice, selection, &mut findings, &mut by_rows)?;
        }
        Ok(findings)
    }

    /// Counts all records of a block if its header tells that they are of the same group.
    fn add_by_header(&mut self, block: &BlockRef, findings: &mut Findings) -> bool {
        let is_whole = self.slice.span.contains(block.low, block.high)
            && block.bound == 0
            && self.decoder.wanted.takes_all(block)
            // How many of these there are is for the report.
            && !block.types.contains(RecordType::Unknown);
        let Some(facts) = Some(block).filter(|_| is_whole).and_then(|block| self.facts(block))
        else {
            return false;
        };
        let times = self.decoder.timeline.times(Span { from: block.low, until: block.high + 1 });
        let first = Timestamp::from_micros(times.from);
        let stretch = self.classifier.stretch(first);
        if !stretch.contains(&times.from) || !stretch.contains(&(times.until - 1)) {
            return false;
        }
        self.classifier.add(first, &facts, block.records.into());
        findings.statistics.records += u64::from(block.records);
        block.tell_by_header(&mut findings.statistics);
        true
    }

    /// What is known of all records of a block, if that tells the group, which is the same for all.
    fn facts(&self, block: &BlockRef) -> Option<KindFacts> {
        if self.open_types(block) != TypeSet::EMPTY {
            return None;
        }
        let origin = origin(block);
        let levels = Level::ALL.into_iter().filter(|level| block.levels.contains(*level));
        let types = || RecordType::ALL.into_iter().filter(|each| block.types.contains(*each));
        let mut kinds = levels
            .flat_map(|level| types().map(move |record_type| (level, record_type)))
            .map(|(level, record_type)| KindFacts { level, record_type, origin });
        let first = kinds.next()?;
        let is_same =
            |facts: KindFacts| self.grouping.fields().all(|f| facts.value(f) == first.value(f));
        kinds.all(is_same).then_some(first)
    }

    /// The types of a block's records of which level and type do not tell the group.
    fn open_types(&self, block: &BlockRef) -> TypeSet {
        let is_open = |record_type: &RecordType| {
            let known =
                |field: &FieldPath| field.kind_value(Level::Info, *record_type, origin(block));
            self.grouping
                .fields()
                .any(|field| matches!(known(field), Known::Present | Known::Unknown))
        };
        let wanted = self.decoder.wanted.types_in(block);
        let types = RecordType::ALL.into_iter().filter(|each| wanted.contains(*each));
        types.filter(is_open).fold(TypeSet::EMPTY, TypeSet::with)
    }

    /// Counts the wanted records of these blocks by what their spines tell; adds those blocks to `rows` of
    /// which the spines do not tell enough.
    fn add_by_spines(
        &mut self,
        chosen: &[usize],
        rows: &mut Vec<usize>,
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let (decoder, slice) = (self.decoder, self.slice);
        let mut workspace = decoder.workspaces.take()?;
        let loaded = decoder.load(slice, chosen, Part::Front, &mut workspace, findings);
        {
            let fronts =
                decoder.fronts(slice, &loaded, Part::Front, &[], &mut workspace, findings)?;
            let spines = decoder.spines(slice, &fronts, findings);
            let times = decoder.timeline.times(slice.span);
            for (index, (block, spine)) in slice.blocks.iter().zip(&spines).enumerate() {
                let Some(spine) = spine else { continue };
                let types = decoder.wanted.types_in(block);
                let added = match self.grouping.is_in_this_spine(spine, types) {
                    Ok(true) => decoder
                        .admitted(block, spine, times)
                        .and_then(|admitted| self.add_by_spine(block, spine, &admitted, findings)),
                    Ok(false) => {
                        rows.push(index);
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = added {
                    findings.gaps.extend(decoder.content_gap(block, error));
                }
            }
        }
        loaded.release(&mut workspace);
        decoder.workspaces.give_back(workspace);
        Ok(())
    }

    fn add_by_spine(
        &mut self,
        block: &BlockRef,
        spine: &Spine<'_>,
        admitted: &Admitted<'_, '_>,
        findings: &mut Findings,
    ) -> Result<(), DecodeError> {
        let origin = origin(block);
        let open = self.open_types(block);
        let needs_rows = open != TypeSet::EMPTY;
        let mut rows = if needs_rows { Some(spine.rows()?) } else { None };
        if admitted.is_all(spine) && self.is_in_one_stretch(spine) {
            self.add_kinds(spine, origin, open, findings);
            for row in rows.into_iter().flatten().filter(|row| open.contains(row.record_type())) {
                self.add_row(&row, origin);
            }
            return Ok(());
        }
        for key in admitted.keys(spine, 0) {
            findings.statistics.records += 1;
            findings.unknown_records += u64::from(key.record_type == RecordType::Unknown);
            if !open.contains(key.record_type) {
                let facts = KindFacts { level: key.level, record_type: key.record_type, origin };
                self.classifier.add(key.time, &facts, 1);
                continue;
            }
            let is_it = |row: &SpineRow<'_, '_>| row.index() == key.index as usize;
            if let Some(row) = rows.as_mut().and_then(|rows| rows.find(is_it)) {
                self.add_row(&row, origin);
            }
        }
        Ok(())
    }

    /// Counts the records of which level and type tell the group, all being of one stretch of time.
    fn add_kinds(
        &mut self,
        spine: &Spine<'_>,
        origin: Origin,
        open: TypeSet,
        findings: &mut Findings,
    ) {
        findings.statistics.records += spine.len() as u64;
        for (level, record_type, count) in spine.tally() {
            if record_type == RecordType::Unknown {
                findings.unknown_records += count as u64;
            }
            if !open.contains(record_type) {
                let facts = KindFacts { level, record_type, origin };
                let first = spine.times().first().copied().unwrap_or_default();
                self.classifier.add(first, &facts, count as u64);
            }
        }
    }

    fn add_row(&mut self, row: &SpineRow<'_, '_>, origin: Origin) {
        self.classifier.add(row.time(), &RowFacts { row, origin }, 1);
    }

    fn is_in_one_stretch(&mut self, spine: &Spine<'_>) -> bool {
        let (Some(first), Some(last)) = (spine.times().first(), spine.times().last()) else {
            return true;
        };
        self.classifier.stretch(*first).contains(&last.as_micros())
    }
}

fn origin(block: &BlockRef) -> Origin {
    Origin { writer: WriterId(block.writer), worker: block.worker }
}

/// Groups records one by one.
struct ByRows<'b, 'g, 'k> {
    classifier: &'b mut Classifier<'g>,
    sink: Sink<'k, Groups>,
}

impl Receiver for ByRows<'_, '_, '_> {
    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        for key in keys {
            if let Some(row) = Row::new(*key, blocks) {
                self.classifier.add_row(&row);
            }
        }
        // A large slice comes in many parts.
        if self.classifier.groups().len() > GROUPS_AT_ONCE {
            let _ = (self.sink)(self.classifier.take(), 0);
        }
        ControlFlow::Continue(())
    }
}
