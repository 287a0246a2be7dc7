//! Selecting the wanted records of a slice: all at once, or bit by bit where they are too many.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::ops::ControlFlow;

use logq_format::{RecordType, Spine};

use crate::decoder::{Decoder, Depth, Findings};
use crate::error::ReadError;
use crate::keys::done_first;
use crate::loading::{Loaded, Part};
use crate::plan::{Slice, is_large};
use crate::rows::{Blocks, Key};
use crate::scale::{GROUP_RAW_BYTES, PASS_RECORDS};
use crate::shelf::Shelf;
use crate::timeline::BlockRef;
use crate::workspace::Workspace;

/// What a selection hands to its caller.
pub(crate) trait Receiver {
    /// A block of the slice, with its index, whose spine has been decoded. May come repeatedly.
    fn spine(&mut self, _index: usize, _spine: &Spine<'_>) {}

    /// Records in their order, and the blocks decoded as far as the depth asked for it. Comes once
    /// for a slice of ordinary size that has any records; the answer tells whether to go on.
    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()>;
}

/// What to select.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'c> {
    /// The indices of the blocks.
    pub(crate) chosen: &'c [usize],
    /// What is to be known of each record.
    pub(crate) depth: Depth,
    /// The most records.
    pub(crate) limit: usize,
}

/// The bytes of the chosen blocks, and the keys if they are known already.
struct Loading<'w, 's> {
    loaded: &'w Loaded<'s>,
    part: Part,
    keys: Option<Vec<Key>>,
}

impl Decoder<'_, '_> {
    /// Selects wanted records of a slice.
    pub(crate) fn select(
        &self,
        slice: &Slice,
        selection: Selection<'_>,
        findings: &mut Findings,
        receiver: &mut impl Receiver,
    ) -> Result<(), ReadError> {
        let mut workspace = self.workspaces.take()?;
        let blocks = selection.chosen.iter().filter_map(|index| slice.blocks.get(*index));
        if is_large(blocks) {
            self.select_large(slice, selection, &mut workspace, findings, receiver)?;
        } else {
            self.deliver(slice, selection, None, &mut workspace, findings, receiver).map(|_| ())?;
        }
        self.workspaces.give_back(workspace);
        Ok(())
    }

    /// Decodes all chosen blocks at once and hands out their records, or those with these `keys`.
    /// Answers how many they are and whether to go on.
    fn deliver(
        &self,
        slice: &Slice,
        selection: Selection<'_>,
        keys: Option<Vec<Key>>,
        workspace: &mut Workspace,
        findings: &mut Findings,
        receiver: &mut impl Receiver,
    ) -> Result<(usize, ControlFlow<()>), ReadError> {
        let is_body_needed = selection.depth == Depth::Record || self.wanted.searches_bodies();
        let is_front_enough = !is_body_needed || self.wanted.requests().is_some();
        let part = if is_front_enough { Part::Front } else { Part::Whole };
        let loaded = self.load(slice, selection.chosen, part, workspace, findings);
        let loading = Loading { loaded: &loaded, part, keys };
        let delivered =
            self.deliver_loaded(slice, selection, loading, workspace, findings, receiver);
        loaded.release(workspace);
        delivered
    }

    fn deliver_loaded(
        &self,
        slice: &Slice,
        selection: Selection<'_>,
        loading: Loading<'_, '_>,
        workspace: &mut Workspace,
        findings: &mut Findings,
        receiver: &mut impl Receiver,
    ) -> Result<(usize, ControlFlow<()>), ReadError> {
        let Loading { loaded, part, keys } = loading;
        let bodies: Vec<_> = slice.blocks.iter().map(|_| OnceCell::new()).collect();
        let ruled_out = match part {
            Part::Whole => self.search(slice, loaded, &bodies, workspace, findings)?,
            Part::Front => Vec::new(),
        };
        let fronts = self.fronts(slice, loaded, part, &ruled_out, workspace, findings)?;
        let spines = self.spines(slice, &fronts, findings);
        for (index, spine) in spines.iter().enumerate() {
            if let Some(spine) = spine {
                receiver.spine(index, spine);
            }
        }
        let keys = keys.unwrap_or_else(|| self.keys(slice, &spines, findings));

        let spines: Vec<_> = spines.into_iter().map(Cell::new).collect();
        let wholes: Vec<_> = fronts.iter().map(|_| OnceCell::new()).collect();
        let blocks: Vec<_> = fronts.iter().map(|_| OnceCell::new()).collect();
        let shelf = Shelf {
            decoder: self,
            slice,
            fronts: &fronts,
            spines: &spines,
            wholes: &wholes,
            bodies: &bodies,
            blocks: &blocks,
        };
        let rows = shelf.choose(keys, selection, workspace, findings)?;
        findings.statistics.records += rows.len() as u64;
        findings.unknown_records += count_unknown(&rows);
        let go_on = match rows.is_empty() {
            true => ControlFlow::Continue(()),
            false => receiver.rows(&rows, &blocks),
        };
        Ok((rows.len(), go_on))
    }

    /// Selects from more blocks than should be in memory at once: in each pass the next keys in
    /// the order of the query, from one spine after the other; then their records, from as many
    /// bodies as are good for memory.
    ///
    /// Takes long, because blocks are decoded again and again. Only hostile files, or thousands of
    /// writers with very large blocks, make it necessary.
    fn select_large(
        &self,
        slice: &Slice,
        selection: Selection<'_>,
        workspace: &mut Workspace,
        findings: &mut Findings,
        receiver: &mut impl Receiver,
    ) -> Result<(), ReadError> {
        let mut remaining = selection.limit;
        let mut last = None;
        loop {
            let (keys, is_all) = self.next_keys(slice, selection, last, workspace, findings)?;
            last = keys.last().copied();
            for group in groups(&slice.blocks, keys) {
                if remaining == 0 {
                    return Ok(());
                }
                let mut chosen: Vec<_> = group.iter().map(|key| key.block as usize).collect();
                chosen.sort_unstable();
                chosen.dedup();
                let part = Selection { chosen: &chosen, limit: remaining, ..selection };
                let (rows, go_on) =
                    self.deliver(slice, part, Some(group), workspace, findings, receiver)?;
                remaining -= rows.min(remaining);
                if go_on.is_break() {
                    return Ok(());
                }
            }
            findings.gaps.sort_by_key(|gap| (gap.path.clone(), gap.range.start));
            findings.gaps.dedup();
            if is_all || last.is_none() {
                return Ok(());
            }
        }
    }

    /// The next keys behind `last`, and whether these are all that are left.
    fn next_keys(
        &self,
        slice: &Slice,
        selection: Selection<'_>,
        last: Option<Key>,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<(Vec<Key>, bool), ReadError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut is_all = true;
        for index in selection.chosen {
            let loaded = self.load(slice, &[*index], Part::Front, workspace, findings);
            let fronts = self.fronts(slice, &loaded, Part::Front, &[], workspace, findings)?;
            let before = keys.len();
            if let Some(Some(spine)) = self.spines(slice, &fronts, findings).get(*index) {
                self.keys_of(slice, *index, spine, &mut keys, findings);
            }
            let mut at = 0;
            keys.retain(|key| {
                at += 1;
                at <= before || last.is_none_or(|last| self.compare(&last, key).is_lt())
            });
            if keys.len() > 2 * PASS_RECORDS {
                is_all &= !self.cut(&mut keys);
            }
        }
        is_all &= !self.cut(&mut keys);
        Ok((keys, is_all))
    }

    /// Sorts the keys and drops those beyond what one pass takes; answers whether there were any.
    fn cut(&self, keys: &mut Vec<Key>) -> bool {
        keys.sort_by(|one, other| self.compare(one, other));
        done_first(keys);
        keys.dedup_by_key(|key| key.rank());
        let is_cut = keys.len() > PASS_RECORDS;
        keys.truncate(PASS_RECORDS);
        is_cut
    }
}

/// Consecutive keys whose blocks fit into memory together.
fn groups(blocks: &[BlockRef], keys: Vec<Key>) -> Vec<Vec<Key>> {
    let mut groups = vec![Vec::new()];
    let mut in_group = HashSet::new();
    let mut bytes = 0;
    for key in keys {
        if !in_group.contains(&key.block) {
            let block = blocks.get(key.block as usize);
            let raw_len = block.map_or(0, |block| u64::from(block.raw_len));
            if bytes + raw_len > GROUP_RAW_BYTES && !in_group.is_empty() {
                groups.push(Vec::new());
                in_group.clear();
                bytes = 0;
            }
            in_group.insert(key.block);
            bytes += raw_len;
        }
        if let Some(group) = groups.last_mut() {
            group.push(key);
        }
    }
    groups
}

fn count_unknown(keys: &[Key]) -> u64 {
    keys.iter().filter(|key| key.record_type == RecordType::Unknown).count() as u64
}
