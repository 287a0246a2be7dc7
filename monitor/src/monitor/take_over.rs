//! Hits whose place in time is known from records of a store, which come in the order of their
//! times: no line of these is far ahead or far back, and many can be taken over at once.

use super::Monitor;
use crate::bucket::Counts;
use crate::clock::SourceId;
use crate::hit::Hit;
use crate::tally::{Scheme, Tally};
use crate::track::Place;

impl Monitor {
    /// What of hits is counted.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The records of a source have come to this second: seconds that all have passed are closed.
    pub(crate) fn advance(&mut self, source: SourceId, at: i64) {
        if self.clock.advance(source, at) {
            self.close_due();
        }
    }

    /// Counts a hit that a record of second `at` tells of.
    pub(crate) fn exchange(&mut self, at: i64, hit: &Hit<'_>, is_orphan: bool) {
        self.report.lines += 1;
        let Some(place) = self.place(at, hit.second()) else {
            self.report.too_late += 1;
            return;
        };
        self.count(place, hit);
        if is_orphan {
            self.amend(place, &Counts { orphans: 1, ..Counts::default() });
        }
    }

    /// Counts bytes of a hit of `second` that a record of second `at` tells of.
    pub(crate) fn add_bytes(&mut self, at: i64, second: i64, bytes: u64) {
        if let Some(place) = self.place(at, second).filter(|_| bytes > 0) {
            self.amend(place, &Counts { bytes: bytes.into(), ..Counts::default() });
        }
    }

    /// Counts a request that was given up in a second.
    pub(crate) fn unanswered(&mut self, at: i64) {
        let unanswered = Counts { unanswered: 1, ..Counts::default() };
        if let Some(place) = self.place(at, at) {
            self.amend(place, &unanswered);
        }
    }

    /// Counts hits that were counted elsewhere, all of which came in time as far as their own source
    /// goes; where the others are ahead by more than it may lag behind, they are late all the same.
    pub(crate) fn absorb(&mut self, tally: Tally) {
        for (second, bucket) in tally.seconds {
            let open = self.next.map_or(second, |next| next.max(second));
            let place = Place { second, open };
            self.report.lines += bucket.counts.hits;
            self.report.late += if place.is_late() { bucket.counts.hits } else { 0 };
            self.report.counts.add(&bucket.counts);
            self.traffic.add_bucket(place, &bucket);
            self.intervals.amend(place, &bucket.counts);
        }
        for (start, part) in tally.intervals {
            self.report.latencies.merge(&part.latencies);
            self.intervals.absorb(start, part, self.next);
        }
    }

    /// Where something of `second` counts that a record of second `at` tells of; `None` if that is
    /// older than all that is remembered.
    fn place(&self, at: i64, second: i64) -> Option<Place> {
        let watermark = at - self.scheme.lateness_s;
        let open = self.next.map_or(watermark, |next| next.max(watermark));
        (second > open - self.reach_s).then_some(Place { second, open })
    }

    /// Counts what is no hit of its own.
    fn amend(&mut self, place: Place, counts: &Counts) {
        self.report.counts.add(counts);
        self.traffic.amend(place, counts);
        self.intervals.amend(place, counts);
    }
}
