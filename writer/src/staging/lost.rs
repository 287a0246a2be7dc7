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

    /// Those that a block header is to tell of, at most `max`; the next one tells of the rest.
    pub(super) fn take_unreported(&mut self, max: u64) -> u64 {
        let taken = self.unreported.min(max);
        self.unreported -= taken;
        taken
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

#[cfg(test)]
mod tests {
    use super::*;

    fn time(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn every_dropped_record_is_told_of_once_by_headers_and_once_by_a_record() {
        let mut tallies = [LostTally::default(), LostTally::default()];
        (0..7).for_each(|n| tallies[0].add(Level::Info, time(10 + n)));
        (0..3).for_each(|n| tallies[1].add(Level::Error, time(5 + n)));
        assert_eq!([4, 4, 4].map(|max| tallies[0].take_unreported(max)), [4, 3, 0]);
        let mut all = LostTally::default();
        tallies.iter_mut().for_each(|tally| tally.move_to(&mut all));
        let lost = all.record("slow").unwrap();
        assert_eq!((lost.total(), lost.first, lost.last), (10, time(5), time(16)));
        assert_eq!(lost.counts[Level::Error as usize], 3);
        assert_eq!(tallies[1].take_unreported(u64::MAX), 3, "the record leaves the headers theirs");
        let mut none = LostTally::default();
        tallies.iter_mut().for_each(|tally| tally.move_to(&mut none));
        assert_eq!(none.record("slow"), None);
    }
}
