//! The blocks of a slice whose bodies are needed, decoded when the first of their records comes up.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use logq_format::{Block, Spine, StoredBlock, TypeSet};

use crate::decoder::{Decoder, Failure, Findings, Front};
use crate::error::ReadError;
use crate::plan::Slice;
use crate::rows::{Decoded, Key, Row};
use crate::select::Selection;
use crate::source::Bytes;
use crate::timeline::BlockRef;
use crate::workspace::Workspace;

/// Room for what decoded blocks borrow from, one place for each block of the slice.
#[derive(Clone, Copy)]
pub(crate) struct Space<'d, 's> {
    pub(crate) fronts: &'d [Option<Front<'d>>],
    pub(crate) spines: &'d [Cell<Option<Spine<'d>>>],
    /// The bytes of blocks of which only the front had been read.
    pub(crate) wholes: &'d [OnceCell<Bytes<'s>>],
    /// Decompressed bodies.
    pub(crate) bodies: &'d [OnceCell<Cow<'d, [u8]>>],
}

/// The blocks of a slice whose bodies are needed.
pub(crate) struct Shelf<'d, 's, 'q> {
    decoder: &'d Decoder<'s, 'q>,
    slice: &'d Slice,
    space: Space<'d, 's>,
    blocks: Vec<Option<Decoded<'d>>>,
    /// Whether a block has been decoded, or tried to be.
    is_done: Vec<bool>,
}

impl<'d, 's, 'q> Shelf<'d, 's, 'q> {
    pub(crate) fn new(
        decoder: &'d Decoder<'s, 'q>,
        slice: &'d Slice,
        space: Space<'d, 's>,
    ) -> Self {
        let blocks = slice.blocks.iter().map(|_| None).collect();
        let is_done = vec![false; slice.blocks.len()];
        Self { decoder, slice, space, blocks, is_done }
    }

    /// The blocks decoded so far, each at its index among the slice's blocks.
    pub(crate) fn blocks(&self) -> &[Option<Decoded<'d>>] {
        &self.blocks
    }

    /// The first keys whose records are wanted, each record once, after decoding what that takes.
    pub(crate) fn choose(
        &mut self,
        keys: Vec<Key>,
        selection: Selection<'_>,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Vec<Key>, ReadError> {
        let wanted = self.decoder.wanted;
        let Selection { depth, limit, .. } = selection;
        let mut chosen = Vec::with_capacity(keys.len().min(limit));
        let mut judged = None;
        for key in keys {
            if chosen.len() >= limit {
                break;
            }
            // A record that was written twice; of the first copy the body may be damaged.
            if judged == Some(key.rank()) {
                continue;
            }
            let is_late = wanted.is_late(TypeSet::EMPTY.with(key.record_type));
            if is_late || depth.needs_body(key.record_type) {
                let index = key.block as usize;
                self.fill(index, workspace, findings)?;
                let Some(Some(decoded)) = self.blocks.get(index) else { continue };
                judged = Some(key.rank());
                if is_late && !self.accepts(&key, decoded, findings) {
                    continue;
                }
            }
            judged = Some(key.rank());
            chosen.push(key);
        }
        Ok(chosen)
    }

    fn accepts(&self, key: &Key, decoded: &Decoded<'_>, findings: &mut Findings) -> bool {
        self.decoder.wanted.accepts(&Row::new(key, decoded)).unwrap_or_else(|error| {
            let block = self.slice.blocks.get(key.block as usize);
            findings.gaps.extend(block.and_then(|block| self.decoder.content_gap(block, error)));
            false
        })
    }

    /// Decodes a block, unless that has been done.
    fn fill(
        &mut self,
        index: usize,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<(), ReadError> {
        let (Some(block), Some(is_done)) =
            (self.slice.blocks.get(index), self.is_done.get_mut(index))
        else {
            return Ok(());
        };
        if std::mem::replace(is_done, true) {
            return Ok(());
        }
        match self.decode(index, block, workspace, findings) {
            Ok(decoded) => {
                if let Some(slot) = self.blocks.get_mut(index) {
                    *slot = decoded;
                }
                Ok(())
            }
            Err(failure) => self.decoder.fail(block, failure, findings),
        }
    }

    fn decode(
        &self,
        index: usize,
        block: &BlockRef,
        workspace: &mut Workspace,
        findings: &mut Findings,
    ) -> Result<Option<Decoded<'d>>, Failure> {
        let Space { fronts, spines, wholes, bodies } = self.space;
        let (Some(Some(front)), Some(Some(spine)), Some(whole), Some(body)) = (
            fronts.get(index),
            spines.get(index).map(Cell::take),
            wholes.get(index),
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
        workspace.turn_to(block.segment, self.decoder.segments, self.decoder.workspaces)?;
        let stored = StoredBlock::new(front.header.clone(), bytes)?;
        let raw = stored.body(&mut workspace.decompressor)?;
        findings.statistics.bodies_decoded += 1;
        let block = Block::new(spine, body.get_or_init(|| raw))?;
        Ok(Some(Decoded { origin: front.header.origin, block }))
    }
}
