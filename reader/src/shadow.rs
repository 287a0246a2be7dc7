//! Blocks that were appended again after their records had been handed out.
//!
//! A writer that does not know whether a block was written appends it once more. If an answer went
//! on between the two, the second copy must not be handed out, but only as far as the first one was.
//! So the first copy takes part in the answer as a *shadow*, which hides what it has in common with
//! the second.

use logq_format::{BlockFlags, BlockHeader, BlockKind};

use crate::cursor::{Resume, Stretch};
use crate::hop::{Hopped, sequences};
use crate::query::Order;
use crate::segment::Segment;
use crate::strand::Strand;
use crate::timeline::Timeline;

/// A block that says that it was perhaps written before.
#[derive(Debug)]
pub(crate) struct Repeat {
    header: BlockHeader,
    /// Where the other copy may be.
    known: Vec<Stretch>,
}

impl Repeat {
    /// The block, if parts of it may have been handed out before the stretch that it is in.
    pub(crate) fn of(header: &BlockHeader, stretch: usize, resume: &Resume) -> Option<Self> {
        let bound = resume.stretches.get(stretch)?.bound;
        let known: Vec<_> = resume.before_repeat(bound, header)?.cloned().collect();
        (!known.is_empty()).then(|| Self { header: header.clone(), known })
    }

    /// The block, if it says that it may be a copy of one in `known`, all of which has been handed
    /// out.
    pub(crate) fn within(header: &BlockHeader, known: Vec<Stretch>) -> Option<Self> {
        is_again(header).then(|| Self { header: header.clone(), known })
    }

    /// Whether another block may hold the same records.
    fn may_repeat(&self, other: &BlockHeader) -> bool {
        let (one, two) = (sequences(&self.header), sequences(other));
        let overlap = one.start < two.end && two.start < one.end;
        let is_sparse = [&self.header, other].iter().any(|h| h.flags.contains(BlockFlags::SPARSE));
        other.kind == BlockKind::Data
            && other.records > 0
            && other.origin.writer == self.header.origin.writer
            && other.min <= self.header.max
            && other.max >= self.header.min
            && (overlap || is_sparse)
    }
}

/// Whether a block says that it was perhaps written before.
pub(crate) fn is_again(header: &BlockHeader) -> bool {
    let again = [BlockFlags::RETRIED, BlockFlags::RECOVERED];
    again.into_iter().any(|flag| header.flags.contains(flag))
}

/// The first copies of these blocks, with their segments and the bounds up to which they have been
/// handed out. Walks through all that was known about the same times.
pub(crate) fn shadows(segments: &[Segment], repeats: &[Repeat]) -> Vec<(usize, Hopped, u8)> {
    let mut found = Vec::new();
    let mut known: Vec<&Stretch> = Vec::new();
    for stretch in repeats.iter().flat_map(|repeat| &repeat.known) {
        if !known.contains(&stretch) {
            known.push(stretch);
        }
    }
    let from = repeats.iter().map(|repeat| repeat.header.min).min();
    let to = repeats.iter().map(|repeat| repeat.header.max.saturating_add_micros(1)).max();
    for stretch in known {
        let concerned = || repeats.iter().filter(|repeat| repeat.known.contains(stretch));
        let Some(segment) = segments.get(stretch.segment) else { continue };
        let timeline = Timeline::new(Order::Ascending);
        let strand = Strand::new(segment, timeline, from, to);
        let mut strand = strand.within(stretch.range.clone());
        while strand.bound().is_some() {
            for block in strand.advance().batch.blocks {
                if concerned().any(|repeat| repeat.may_repeat(&block.header)) {
                    found.push((stretch.segment, block, stretch.bound));
                }
            }
        }
    }
    found
}
