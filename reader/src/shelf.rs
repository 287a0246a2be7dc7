//! The blocks of a slice whose bodies are needed, decoded when the first of their records comes up.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use logq_format::{Block, RecordType, Spine, StoredBlock, TypeSet};

use crate::decoder::{Decoder, Depth, Failure, Findings, Front};
use crate::error::ReadError;
use crate::plan::Slice;
use crate::rows::{Blocks, Decoded, Key, Row};
use crate::select::Selection;
use crate::source::Bytes;
use crate::workspace::Workspace;

/// The types whose records may turn out not to be decodable although their block is.
const MAY_FAIL: TypeSet = TypeSet::EMPTY
    .with(RecordType::WorkerSpawned)
    .with(RecordType::WorkerExited)
    .with(RecordType::Lost)
    .with(RecordType::ClockStep)
    .with(RecordType::IoError);

/// The blocks of a slice whose bodies are needed, and room for what they borrow from: one place for
/// each block of the slice.
pub(crate) struct Shelf<'d, 's, 'q> {
    pub(crate) decoder: &'d Decoder<'s, 'q>,
    pub(crate) slice: &'d Slice,
    pub(crate) fronts: &'d [Option<Front<'d>>],
    pub(crate) spines: &'d [Cell<Option<Spine<'d>>>],
    /// The bytes of blocks of which only the front had been read.
    pub(crate) wholes: &'d [OnceCell<Bytes<'s>>],
    /// Decompressed bodies, some of them since before their spines were.
    pub(crate) bodies: &'d [OnceCell<Cow<'d, [u8]>>],
    pub(crate) blocks: &'d Blocks<'d>,
}

impl<'d> Shelf<'d, '_, '_> {
    /// The first keys whose records are wanted, each record once, after decoding what that takes.
    pub(crate) fn choose(
        &self,
        keys: Vec<Key>,
        selection: Selection<'_>,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Vec<Key>, ReadError> {
        let wanted = self.decoder.wanted;
        let Selection { depth, limit, .. } = selection;
        let mut chosen = Vec::with_capacity(keys.len().min(limit));
        let is_late =
            |key: &Key| key.is_open || wanted.is_late(TypeSet::EMPTY.with(key.record_type));
        let needs_body = |key: &&Key| is_late(key) || depth.needs_body(key.record_type);
        let candidates = candidates(keys.iter().filter(needs_body), self.blocks.len());
        let mut judged = None;
        for key in keys {
            if chosen.len() >= limit {
                break;
            }
            // A record that was written twice; of the first copy the body may be damaged.
            if judged == Some(key.rank()) {
                continue;
            }
            if key.is_done {
                if self.is_readable(&key, depth, &candidates, workspace, findings)? {
                    judged = Some(key.rank());
                }
                continue;
            }
            if needs_body(&&key) {
                self.fill(key.block as usize, &candidates, workspace, findings)?;
                let Some(row) = Row::new(key, self.blocks) else { continue };
                judged = Some(key.rank());
                if !self.accepts(&key, &row, is_late(&key), findings) {
                    continue;
                }
            }
            judged = Some(key.rank());
            chosen.push(key);
        }
        Ok(chosen)
    }

    /// Whether a record that should have been handed out before can have been: of damaged copies of
    /// a record another one was not.
    fn is_readable(
        &self,
        key: &Key,
        depth: Depth,
        candidates: &[TypeSet],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<bool, ReadError> {
        if !depth.needs_body(key.record_type) {
            return Ok(true);
        }
        self.fill(key.block as usize, candidates, workspace, findings)?;
        Ok(Row::new(*key, self.blocks).is_some())
    }

    /// Whether a record can be decoded and, if only that tells, is wanted.
    fn accepts(&self, key: &Key, row: &Row<'_>, is_late: bool, findings: &mut Findings) -> bool {
        let accepted = match is_late {
            true => self.decoder.wanted.accepts(row),
            false => Ok(true),
        };
        // Only records of rare types are decoded one by one; the others cannot fail any more.
        let checked = match MAY_FAIL.contains(key.record_type) {
            true => row.record().and(accepted),
            false => accepted,
        };
        checked.unwrap_or_else(|error| {
            let block = self.slice.blocks.get(key.block as usize);
            findings.gaps.extend(block.and_then(|block| self.decoder.content_gap(block, error)));
            false
        })
    }

    /// Decodes a block, unless that has been done.
    fn fill(
        &self,
        index: usize,
        candidates: &[TypeSet],
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let (Some(block), Some(slot)) = (self.slice.blocks.get(index), self.blocks.get(index))
        else {
            return Ok(());
        };
        if slot.get().is_some() {
            return Ok(());
        }
        let types = candidates.get(index).copied().unwrap_or(TypeSet::ALL);
        let decoded = match self.decode(index, types, workspace, findings) {
            Ok(decoded) => decoded,
            Err(failure) => {
                self.decoder.fail(block, failure, findings)?;
                None
            }
        };
        slot.get_or_init(|| decoded);
        Ok(())
    }

    fn decode(
        &self,
        index: usize,
        types: TypeSet,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Option<Decoded<'d>>, Failure> {
        let Self { fronts, spines, wholes, bodies, .. } = *self;
        let (Some(Some(front)), Some(Some(spine)), Some((whole, block)), Some(body)) = (
            fronts.get(index),
            spines.get(index).map(Cell::take),
            wholes.get(index).zip(self.slice.blocks.get(index)),
            bodies.get(index),
        ) else {
            return Ok(None);
        };
        let bytes = if front.bytes.len() >= block.len as usize {
            front.bytes
        } else {
            let bytes = self.decoder.whole(block, findings)?;
            whole.get_or_init(|| bytes)
        };
        let raw = match body.get() {
            Some(raw) => raw,
            None => {
                let stored = StoredBlock::new(front.header.clone(), bytes)?;
                let found = self.decoder.body(block, &stored, workspace, findings)?;
                let Some(raw) = found else { return Ok(None) };
                body.get_or_init(|| raw)
            }
        };
        let block = Block::of_types(spine, raw, types)?;
        if self.decoder.wanted.is_thorough() && types.contains(RecordType::Request) {
            block.check_url_sections()?;
        }
        Ok(Some(Decoded { origin: front.header.origin, block }))
    }
}

/// The types of each block's candidates, of which the records are needed: the texts of others need
/// not be parsed.
fn candidates<'k>(keys: impl Iterator<Item = &'k Key>, blocks: usize) -> Vec<TypeSet> {
    let mut candidates = vec![TypeSet::EMPTY; blocks];
    for key in keys {
        if let Some(types) = candidates.get_mut(key.block as usize) {
            *types = types.with(key.record_type);
        }
    }
    candidates
}
