//! Getting the bytes of a slice's blocks, with as few reads as pays.

use crate::report::Cause;
use crate::scale::{READ_COST_BYTES, WINDOW_BYTES};
use crate::segment::Segment;
use crate::source::{Ahead, Bytes};
use crate::timeline::BlockRef;
use crate::workspace::Workspace;

/// Which part of blocks is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Header, request ids and spine.
    Front,
    /// Everything.
    Whole,
}

impl Part {
    fn len(self, block: &BlockRef) -> u64 {
        u64::from(match self {
            Self::Front => block.front_len,
            Self::Whole => block.len,
        })
    }
}

/// The bytes of some blocks.
#[derive(Debug)]
pub(crate) struct Loaded<'s> {
    windows: Vec<Window<'s>>,
    /// The blocks, as indices, in the order of the store, each with its window's index.
    places: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct Window<'s> {
    segment: u32,
    start: u64,
    end: u64,
    bytes: Result<Bytes<'s>, Cause>,
}

impl<'s> Loaded<'s> {
    /// Gets the bytes of the `chosen` ones of `blocks`.
    pub(crate) fn load(
        segments: &'s [Segment],
        blocks: &[BlockRef],
        chosen: impl Iterator<Item = usize>,
        part: Part,
        workspace: &mut Workspace,
    ) -> Self {
        let mut order: Vec<_> = chosen
            .filter_map(|index| blocks.get(index).map(|block| (block.segment, block.offset, index)))
            .collect();
        order.sort_unstable();
        let mut loaded = Self { windows: Vec::new(), places: Vec::with_capacity(order.len()) };
        for (_, _, index) in order {
            if let Some(block) = blocks.get(index) {
                loaded.place(segments, block, index, part);
            }
        }
        for window in &mut loaded.windows {
            if let Some(segment) = segments.get(window.segment as usize) {
                let range = window.start..window.end;
                window.bytes = segment.source().read(range, workspace.buffer());
            }
        }
        loaded
    }

    /// Extends the last window to the block, or starts another one.
    fn place(&mut self, segments: &[Segment], block: &BlockRef, index: usize, part: Part) {
        let end = block.offset.saturating_add(part.len(block));
        let ahead = segments.get(block.segment as usize).map(|segment| segment.source().ahead());
        let skip = if ahead == Some(Ahead::Free) { WINDOW_BYTES } else { READ_COST_BYTES };
        match self.windows.last_mut() {
            Some(window)
                if window.segment == block.segment
                    && block.offset <= window.end.saturating_add(skip)
                    && end.saturating_sub(window.start) <= WINDOW_BYTES =>
            {
                window.end = window.end.max(end);
            }
            _ => self.windows.push(Window {
                segment: block.segment,
                start: block.offset,
                end,
                bytes: Ok(Bytes::default()),
            }),
        }
        self.places.push((index, self.windows.len().saturating_sub(1)));
    }

    /// Each block's index with its bytes: at least the wanted part, at most the block.
    pub(crate) fn blocks<'w>(
        &'w self,
        blocks: &[BlockRef],
        part: Part,
    ) -> impl Iterator<Item = (usize, Result<&'w [u8], Cause>)> {
        self.places.iter().filter_map(move |(index, window)| {
            let (block, window) = (blocks.get(*index)?, self.windows.get(*window)?);
            Some((*index, window.get(block, part)))
        })
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.windows.iter().flat_map(|window| &window.bytes).map(|bytes| bytes.len() as u64).sum()
    }

    /// Gives the buffers back.
    pub(crate) fn release(self, workspace: &mut Workspace) {
        for bytes in self.windows.into_iter().flat_map(|window| window.bytes) {
            workspace.keep(bytes.into_buffer());
        }
    }
}

impl Window<'_> {
    fn get(&self, block: &BlockRef, part: Part) -> Result<&[u8], Cause> {
        let bytes = self.bytes.as_ref().map_err(Clone::clone)?;
        let start = usize::try_from(block.offset.saturating_sub(self.start)).ok();
        let bytes = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
        let bytes = bytes.get(..block.len as usize).unwrap_or(bytes);
        if bytes.len() as u64 >= part.len(block) { Ok(bytes) } else { Err(Cause::Truncated) }
    }
}
