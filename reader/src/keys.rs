//! The records of a slice in their order, as far as headers and spines tell whether they are wanted.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use logq_format::{DecodeError, Level, RecordType, RequestId, RequestStep, Spine, TypeSet};
use logq_query::{BlockFacts, Expression, Verdict};

use crate::decoder::{Decoder, Findings};
use crate::plan::Slice;
use crate::rows::Key;
use crate::timeline::{BlockRef, Span};
use crate::wanted::Wanted;

impl Decoder<'_, '_> {
    /// The keys of the records that the spines do not rule out, in the order of the query. Records
    /// that were written twice have two, one after the other.
    pub(crate) fn keys(
        &self,
        slice: &Slice,
        spines: &[Option<Spine<'_>>],
        findings: &mut Findings,
    ) -> Vec<Key> {
        // A writer's blocks one after the other make few long runs, which sorting merges quickly.
        let mut order: Vec<usize> = (0..slice.blocks.len()).collect();
        order.sort_by_key(|index| {
            slice.blocks.get(*index).map(|b| (b.writer, b.sequence, b.segment, b.offset))
        });
        let mut keys = Vec::new();
        for index in order {
            if let Some(Some(spine)) = spines.get(index) {
                self.keys_of(slice, index, spine, &mut keys, findings);
            }
        }
        keys.sort_by_key(Key::rank);
        if self.timeline.is_descending() {
            keys.reverse();
        }
        if slice.blocks.iter().any(|block| block.is_shadow) {
            done_first(&mut keys);
        }
        keys
    }

    /// Adds the keys of one block.
    pub(crate) fn keys_of(
        &self,
        slice: &Slice,
        index: usize,
        spine: &Spine<'_>,
        keys: &mut Vec<Key>,
        findings: &mut Findings,
    ) {
        let Some(block) = slice.blocks.get(index) else { return };
        match self.admitted(block, spine, self.timeline.times(slice.span)) {
            Ok(admitted) => keys.extend(admitted.keys(spine, narrow(index))),
            Err(error) => findings.gaps.extend(self.content_gap(block, error)),
        }
    }

    /// Which of two keys comes first in the order of the query.
    pub(crate) fn compare(&self, one: &Key, other: &Key) -> Ordering {
        let ascending = one.rank().cmp(&other.rank());
        if self.timeline.is_descending() { ascending.reverse() } else { ascending }
    }
}

/// Which records of a block its spine does not rule out.
pub(crate) struct Admitted<'a, 'q> {
    wanted: &'a Wanted<'q>,
    block: &'a BlockRef,
    /// The records in the range of time: `first..end`.
    first: usize,
    end: usize,
    takes_all_kinds: bool,
    /// For each record whether it belongs to a wanted request, unless all are wanted.
    requested: Option<Vec<bool>>,
    /// For each record what the expression says, unless it wants all.
    verdicts: Option<Vec<Verdict>>,
}

impl fmt::Debug for Admitted<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admitted").field(&(self.first..self.end)).finish_non_exhaustive()
    }
}

impl<'a, 'q> Admitted<'a, 'q> {
    /// The records of a block that the `times`, in microseconds, and the query do not rule out.
    ///
    /// # Errors
    ///
    /// Fails where the spine refers to requests that are not there.
    pub(crate) fn new(
        wanted: &'a Wanted<'q>,
        block: &'a BlockRef,
        spine: &Spine<'_>,
        times: Span,
    ) -> Result<Self, DecodeError> {
        let first = spine.times().partition_point(|time| time.as_micros() < times.from);
        let end = spine.times().partition_point(|time| time.as_micros() < times.until);
        let requested = match wanted.requests() {
            Some(requests) => Some(requested(spine, requests)?),
            None => None,
        };
        let verdicts = match wanted.open_question(block) {
            Some(expression) => Some(verdicts(wanted, expression, block, spine)?),
            None => None,
        };
        let takes_all_kinds = wanted.takes_all_kinds(block);
        // Many blocks turn out to have nothing that is wanted.
        let is_empty = |verdicts: &Vec<Verdict>| verdicts.iter().all(|v| *v == Verdict::Never);
        let end = if verdicts.as_ref().is_some_and(is_empty) { first } else { end };
        Ok(Self { wanted, block, first, end, takes_all_kinds, requested, verdicts })
    }

    /// Confines them to a range of the block's records.
    pub(crate) fn confine(&mut self, range: Range<usize>) {
        self.first = self.first.max(range.start);
        self.end = self.end.min(range.end);
    }

    /// Whether these are all records of the block.
    pub(crate) fn is_all(&self, spine: &Spine<'_>) -> bool {
        (self.first, self.end) == (0, spine.len())
            && self.takes_all_kinds
            && self.requested.is_none()
            && self.verdicts.is_none()
    }

    /// Whether these are all records of the block that have one of these types.
    pub(crate) fn is_all_of(&self, spine: &Spine<'_>, types: TypeSet) -> bool {
        (self.first, self.end) == (0, spine.len())
            && self.requested.is_none()
            && self.verdicts.is_none()
            && self.wanted.takes_all_of(self.block, types)
    }

    /// Whether a step of a request is among them.
    pub(crate) fn has(&self, step: &RequestStep) -> bool {
        let index = step.index as usize;
        (self.first..self.end).contains(&index)
            && (self.takes_all_kinds
                || self.wanted.admits_kind(self.block.worker, step.level, step.record_type))
            && self.is_requested(index)
            && self.verdict(index) != Verdict::Never
    }

    /// The keys, given the block's index in its slice.
    pub(crate) fn keys(&self, spine: &Spine<'_>, block: u32) -> impl Iterator<Item = Key> {
        let columns = spine.times().iter().zip(spine.kinds()).zip(spine.sequences()).enumerate();
        let columns = columns.take(self.end).skip(self.first);
        columns.filter_map(move |(row, ((time, (level, record_type)), sequence))| {
            let verdict = self.verdict(row);
            let admitted = (self.takes_all_kinds
                || self.wanted.admits_kind(self.block.worker, level, record_type))
                && self.is_requested(row)
                && verdict != Verdict::Never;
            admitted.then(|| Key {
                time: *time,
                writer: self.block.writer,
                sequence,
                block,
                index: narrow(row),
                level,
                record_type,
                is_done: self.block.is_shadow,
                is_open: verdict == Verdict::Unknown,
            })
        })
    }

    fn is_requested(&self, row: usize) -> bool {
        self.requested.as_ref().is_none_or(|rows| rows.get(row).copied().unwrap_or(false))
    }

    fn verdict(&self, row: usize) -> Verdict {
        let verdicts = self.verdicts.as_ref();
        verdicts.map_or(Verdict::Always, |all| all.get(row).copied().unwrap_or(Verdict::Never))
    }
}

/// What an expression says of each record of a block, as far as the spine tells.
///
/// Most records are judged by level and type, once for each that occurs, or by their status, once for
/// each of these; only where that does not suffice the other columns are looked at.
fn verdicts(
    wanted: &Wanted<'_>,
    expression: &Expression,
    block: &BlockRef,
    spine: &Spine<'_>,
) -> Result<Vec<Verdict>, DecodeError> {
    let facts = wanted.facts(block);
    let mut kinds = [[None; 32]; 8];
    let verdicts = spine.kinds().map(|(level, record_type)| {
        let judge = || expression.judge_kind(level, record_type, &facts);
        // Types have 24 numbers and levels 6, so there is a place for each.
        match kinds.get_mut(level as usize).and_then(|row| row.get_mut(record_type as usize)) {
            Some(known) => *known.get_or_insert_with(judge),
            None => judge(),
        }
    });
    let mut verdicts: Vec<_> = verdicts.collect();
    if verdicts.contains(&Verdict::Unknown) {
        judge_statuses(&mut verdicts, expression, spine, &facts);
    }
    if verdicts.contains(&Verdict::Unknown) {
        for (verdict, row) in verdicts.iter_mut().zip(spine.rows()?) {
            if *verdict == Verdict::Unknown {
                *verdict = expression.judge_row(&row, facts.origin);
            }
        }
    }
    Ok(verdicts)
}

/// So many statuses are remembered with what was said of them. More occur in made-up blocks only.
const STATUSES_MAX: usize = 32;

/// Judges those responses of which level and type do not tell enough by their statuses.
fn judge_statuses(
    verdicts: &mut [Verdict],
    expression: &Expression,
    spine: &Spine<'_>,
    facts: &BlockFacts,
) {
    let mut known: Vec<((Level, u16), Verdict)> = Vec::new();
    let mut statuses = spine.statuses();
    for ((level, record_type), verdict) in spine.kinds().zip(verdicts) {
        if record_type != RecordType::Response {
            continue;
        }
        let Some(status) = statuses.next() else { return };
        if *verdict != Verdict::Unknown {
            continue;
        }
        let what = (level, status);
        *verdict = match known.iter().find(|(known, _)| *known == what) {
            Some((_, verdict)) => *verdict,
            None => {
                let verdict = expression.judge_status(level, status, facts);
                if known.len() < STATUSES_MAX {
                    known.push((what, verdict));
                }
                verdict
            }
        };
    }
}

/// Puts what has been handed out before in front of its repetitions.
pub(crate) fn done_first(keys: &mut [Key]) {
    for same in keys.chunk_by_mut(|one, other| one.rank() == other.rank()) {
        if same.len() > 1 {
            same.sort_by_key(|key| !key.is_done);
        }
    }
}

/// For each record of a block whether it belongs to a wanted request.
fn requested(spine: &Spine<'_>, wanted: &[RequestId]) -> Result<Vec<bool>, DecodeError> {
    let ids: Vec<bool> =
        spine.request_ids().iter().map(|id| wanted.binary_search(id).is_ok()).collect();
    let is_wanted = |index: Option<u32>| index.and_then(|index| ids.get(index as usize)).copied();
    Ok(spine.request_indices()?.into_iter().map(|index| is_wanted(index) == Some(true)).collect())
}

/// Indices of blocks in a slice and of records in a block fit 32 bits by far.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
