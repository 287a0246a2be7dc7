//! The records of a slice in their order, as far as headers and spines tell whether they are wanted.

use std::cmp::Ordering;

use logq_format::{DecodeError, RequestId, Spine};

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
        match Admitted::new(self.wanted, block, spine, self.timeline.times(slice.span)) {
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
        let takes_all_kinds = wanted.takes_all_kinds(block);
        Ok(Self { wanted, block, first, end, takes_all_kinds, requested })
    }

    /// Whether these are all records of the block.
    pub(crate) fn is_all(&self, spine: &Spine<'_>) -> bool {
        (self.first, self.end) == (0, spine.len())
            && self.takes_all_kinds
            && self.requested.is_none()
    }

    /// The keys, given the block's index in its slice.
    pub(crate) fn keys(&self, spine: &Spine<'_>, block: u32) -> impl Iterator<Item = Key> {
        let columns = spine.times().iter().zip(spine.kinds()).zip(spine.sequences()).enumerate();
        let columns = columns.take(self.end).skip(self.first);
        columns.filter_map(move |(row, ((time, (level, record_type)), sequence))| {
            let admitted = (self.takes_all_kinds
                || self.wanted.admits_kind(self.block.worker, level, record_type))
                && self.is_requested(row);
            admitted.then(|| Key {
                time: *time,
                writer: self.block.writer,
                sequence,
                block,
                index: narrow(row),
                level,
                record_type,
            })
        })
    }

    fn is_requested(&self, row: usize) -> bool {
        self.requested.as_ref().is_none_or(|rows| rows.get(row).copied().unwrap_or(false))
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
