//! Places in a source to go on from after a crash: not behind what was read, but behind what has
//! been counted in seconds that are closed.
//!
//! ```text
//!   place:   p0 ....... p1 ....... p2 ....... p3      read so far
//!   newest:      ..10       ..14       ..15           second of the newest line before the place
//!   open:                          15                 the first second that is not closed
//!                       ^ go on from here: what comes again and is of seconds before 15 was counted
//! ```

use std::collections::VecDeque;

/// More are not kept: the oldest of them do.
const PLACES_MAX: usize = 10_000;

/// The places of one source.
#[derive(Clone, Debug)]
pub(super) struct Places<P> {
    /// The last one whose lines are all of closed seconds, as far as is known.
    settled: Option<P>,
    /// Later ones, each with the second of the newest line before it.
    later: VecDeque<(P, i64)>,
}

impl<P: Clone> Places<P> {
    pub(super) fn new(start: Option<P>) -> Self {
        Self { settled: start, later: VecDeque::new() }
    }

    /// All will be read to this place, or the source is as if it had not been.
    pub(super) fn end_with(&mut self, place: P) {
        self.later.push_back((place, i64::MAX));
    }

    /// Everything before `place` was read; the newest line so far is of second `newest`, and seconds
    /// from `open` on are not closed.
    pub(super) fn pass(&mut self, place: P, newest: Option<i64>, open: Option<i64>) {
        let Some(newest) = newest else {
            // No line so far: nothing is lost behind here.
            self.settled = Some(place);
            return;
        };
        while self.later.front().is_some_and(|(_, second)| is_closed(*second, open)) {
            self.settled = self.later.pop_front().map(|(place, _)| place);
        }
        // Of two places with the same newest second, the later one is the better one.
        if self.later.back().is_some_and(|(_, second)| *second == newest)
            || self.later.len() >= PLACES_MAX
        {
            self.later.pop_back();
        }
        self.later.push_back((place, newest));
    }

    /// The last place before which all lines are of seconds before `open`.
    pub(super) fn before(&self, open: Option<i64>) -> Option<&P> {
        let closed = self.later.iter().take_while(|(_, second)| is_closed(*second, open));
        closed.last().map(|(place, _)| place).or(self.settled.as_ref())
    }

    /// The last place, whatever is closed.
    pub(super) fn last(&self) -> Option<&P> {
        self.later.back().map(|(place, _)| place).or(self.settled.as_ref())
    }
}

fn is_closed(second: i64, open: Option<i64>) -> bool {
    open.is_some_and(|open| second < open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_behind_the_last_place_whose_lines_are_closed() {
        let mut places = Places::new(Some(0));
        places.pass(5, None, None);
        assert_eq!(places.before(Some(0)), Some(&5), "there was no line");
        for (place, newest) in [(10, 10), (20, 14), (25, 14), (30, 15)] {
            places.pass(place, Some(newest), Some(newest - 5));
        }
        assert_eq!(places.before(Some(10)), Some(&5));
        assert_eq!(places.before(Some(11)), Some(&10));
        assert_eq!(places.before(Some(15)), Some(&25));
        places.pass(40, Some(20), Some(15));
        assert_eq!(places.before(Some(10)), Some(&25), "what is settled stays so");
        assert_eq!(places.before(None), Some(&25));
        assert_eq!(places.last(), Some(&40));
    }
}
