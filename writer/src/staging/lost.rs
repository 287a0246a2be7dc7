//! Records that got no place, counted until the log itself can tell.

use logq_format::{Level, Lost, Timestamp};

/// Counts of dropped records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LostTally {
    /// By level, and the times of the first and the last.
    counts: [u64; 6],
    span: Option<(Timestamp, Timestamp)>,
    /// Those that no block header has told of yet.
    unreported: u64,
}

impl LostTally {
    pub(super) fn add(&mut self, level: Level, time: Timestamp) {
        if let Some(count) = self.counts.get_mut(level as usize) {
            *count += 1;
        }
        self.unreported += 1;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }

    /// Those that a block header is to tell of.
    pub(super) fn take_unreported(&mut self) -> u64 {
        std::mem::take(&mut self.unreported)
    }

    /// Moves what a record is to tell of into another tally.
    pub(super) fn move_to(&mut self, other: &mut Self) {
        let Some((first, last)) = self.span.take() else { return };
        let (known_first, known_last) = other.span.unwrap_or((first, last));
        other.span = Some((first.min(known_first), last.max(known_last)));
        for (sum, count) in other.counts.iter_mut().zip(std::mem::take(&mut self.counts)) {
            *sum += count;
        }
    }

    /// The record that tells of them, if there are any.
    pub(super) fn record(self, reason: &str) -> Option<Lost<'_>> {
        self.span.map(|(first, last)| Lost { counts: self.counts, first, last, reason })
    }
}
