//! Which records of a block lie behind the place where an answer goes on.

use std::ops::Range;

use logq_format::{DecodeError, Spine, Timestamp};

use crate::decoder::Decoder;
use crate::keys::Admitted;
use crate::rows::Rank;
use crate::timeline::{BlockRef, Span};

impl<'s, 'q> Decoder<'s, 'q> {
    /// The records of a block that the `times`, the query and the block's bound do not rule out; of
    /// a shadow, those that its bound does rule out.
    ///
    /// # Errors
    ///
    /// As [`Admitted::new`].
    pub(crate) fn admitted<'a>(
        &'a self,
        block: &'a BlockRef,
        spine: &Spine<'_>,
        times: Span,
    ) -> Result<Admitted<'a, 'q>, DecodeError> {
        let mut admitted = Admitted::new(self.wanted, block, spine, times)?;
        if let Some(bound) = usize::from(block.bound).checked_sub(1)
            && let Some(rank) = self.bounds.get(bound)
        {
            admitted.confine(self.behind(*rank, block, spine));
        }
        if let Some(ceiling) = self.ceiling.filter(|ceiling| ceiling.0 <= block_end(block)) {
            admitted.confine(0..around(ceiling, block, spine).0);
        }
        Ok(admitted)
    }

    fn behind(&self, rank: Rank, block: &BlockRef, spine: &Spine<'_>) -> Range<usize> {
        let (before, behind) = around(rank, block, spine);
        match (self.timeline.is_descending(), block.is_shadow) {
            (false, false) => behind..usize::MAX,
            (false, true) => 0..behind,
            (true, false) => 0..before,
            (true, true) => before..usize::MAX,
        }
    }
}

/// The time of the last record of a block, with ascending order.
fn block_end(block: &BlockRef) -> Timestamp {
    Timestamp::from_micros(block.high)
}

/// The number of records of a block that are ranked below `rank`, and of those that are not ranked
/// above it. Within a block, times and numbers ascend.
fn around(rank: Rank, block: &BlockRef, spine: &Spine<'_>) -> (usize, usize) {
    let (time, writer, sequence) = rank;
    let earlier = spine.times().partition_point(|other| *other < time);
    let no_later = spine.times().partition_point(|other| *other <= time);
    let same = || spine.sequences().take(no_later).skip(earlier);
    let place = |number: u64| (block.writer, number).cmp(&(writer, sequence));
    let below = same().take_while(|number| place(*number).is_lt()).count();
    let is_there = same().nth(below).is_some_and(|number| place(number).is_eq());
    (earlier + below, earlier + below + usize::from(is_there))
}
