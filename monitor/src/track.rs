//! The last seconds of all traffic, or of one section: buckets by second, sums over windows, and the
//! alert machines that look at them.
//!
//! ```text
//!   closed                    open
//!   |<------ window ------>|
//!   [ ] [ ] [ ] [ ] ... [ ] | [ ] [ ] [ ]      a bucket for each second that has hits
//!                       ^ the last second that was closed
//! ```
//!
//! A late line, whose second is closed, waits until the first second it was in time for is closed
//! too; then it joins its own second, and the sums that second is still in. So decisions once made
//! stand, later ones are right, and neither depends on the order in which sources were read.

use std::collections::{BTreeMap, VecDeque};

use crate::alert::{Machine, value};
use crate::bucket::{Bucket, Counts, Sum};
use crate::hit::Hit;
use crate::rule::Rule;
use crate::saved::{SavedBucket, SavedTrack};
use crate::tally::entry;

/// The second of a line, and the first second that its source had not completed when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) second: i64,
    pub(crate) open: i64,
}

impl Place {
    pub(crate) fn is_late(self) -> bool {
        self.second < self.open
    }
}

/// The last seconds of some traffic.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// Buckets by second, closed and open ones.
    seconds: VecDeque<(i64, Bucket)>,
    /// Late hits by the second at whose closing they join, and their own second.
    late: BTreeMap<(i64, i64), Bucket>,
    /// By window, in the order of [`Shape::windows`].
    sums: Vec<Sum>,
    /// By rule, in the order of the shape's rules.
    pub(crate) machines: Vec<Machine>,
}

/// What tracks have in common: the rules that look at them.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) rules: Vec<Rule>,
    /// The different windows in seconds, longest first.
    windows: Vec<u32>,
    with_latency: bool,
}

/// What the closing of a second showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The hits that were in time.
    pub(crate) counts: Counts,
    /// Late hits that joined earlier seconds, by second.
    pub(crate) late: Vec<(i64, Counts)>,
}

impl Shape {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let mut windows: Vec<u32> = rules.iter().map(|rule| rule.window_s).collect();
        windows.sort_unstable_by(|a, b| b.cmp(a));
        windows.dedup();
        let with_latency =
            rules.iter().any(|rule| matches!(rule.measure, crate::rule::Measure::Latency { .. }));
        Self { rules, windows, with_latency }
    }

    /// Seconds that sums look back to.
    fn longest_s(&self) -> i64 {
        self.windows.first().map_or(1, |window| i64::from(*window))
    }
}

impl Track {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            seconds: VecDeque::new(),
            late: BTreeMap::new(),
            sums: vec![Sum::default(); shape.windows.len()],
            machines: vec![Machine::default(); shape.rules.len()],
        }
    }

    /// Counts a hit.
    pub(crate) fn add(&mut self, shape: &Shape, place: Place, hit: &Hit<'_>) {
        self.at(place).add_hit(&hit.ending(), shape.with_latency);
    }

    /// Counts hits that were counted elsewhere.
    pub(crate) fn add_bucket(&mut self, place: Place, bucket: &Bucket) {
        self.at(place).add(bucket);
    }

    /// Counts what is no hit of its own.
    pub(crate) fn amend(&mut self, place: Place, counts: &Counts) {
        self.at(place).counts.add(counts);
    }

    fn at(&mut self, place: Place) -> &mut Bucket {
        match place.is_late() {
            true => self.late.entry((place.open, place.second)).or_default(),
            false => entry(&mut self.seconds, place.second, Bucket::default),
        }
    }

    /// Closes a second; they are closed in order, none left out but where nothing is.
    pub(crate) fn close(&mut self, shape: &Shape, second: i64) -> Closed {
        self.leave(shape, second);
        let late = self.join_late(shape, second);
        let mut counts = Counts::default();
        if let Some(bucket) = self.find(second) {
            counts = bucket.counts;
            let bucket = bucket.clone();
            self.sums.iter_mut().for_each(|sum| sum.add(&bucket));
        }
        Closed { counts, late }
    }

    /// The value of each rule after the last closing.
    pub(crate) fn value(&self, shape: &Shape, rule: &Rule) -> Option<f64> {
        value(rule, self.sum(shape, rule)?)
    }

    /// The sum over a rule's window.
    pub(crate) fn sum(&self, shape: &Shape, rule: &Rule) -> Option<&Sum> {
        let index = shape.windows.iter().position(|window| *window == rule.window_s)?;
        self.sums.get(index)
    }

    /// The first second that has anything to do with the closing of `next` or later ones.
    pub(crate) fn first(&self) -> Option<i64> {
        let second = self.seconds.front().map(|(second, _)| *second);
        let late = self.late.first_key_value().map(|((open, _), _)| *open);
        second.into_iter().chain(late).min()
    }

    /// How many seconds have a bucket, and the second of the one so many from the end.
    pub(crate) fn nth_last(&self, count: usize) -> Option<i64> {
        let index = self.seconds.len().checked_sub(count)?;
        self.seconds.get(index).map(|(second, _)| *second)
    }

    /// Whether nothing is left of any hit, and no machine remembers one.
    pub(crate) fn is_over(&self) -> bool {
        self.first().is_none() && self.machines.iter().all(|machine| machine.is_fresh())
    }

    /// Forgets all hits. Machines keep their state: an alert that fires has not recovered.
    pub(crate) fn clear(&mut self) {
        self.seconds.clear();
        self.late.clear();
        self.sums.iter_mut().for_each(|sum| *sum = Sum::default());
    }

    /// What it holds, with the machines of the rules of these indices.
    pub(crate) fn save(&self, rules: &[usize]) -> SavedTrack {
        let second = |(second, bucket): &(i64, Bucket)| (*second, SavedBucket::of(bucket));
        let late =
            |((open, own), bucket): (&(i64, i64), &Bucket)| (*open, *own, SavedBucket::of(bucket));
        let machines = rules.iter().zip(&self.machines).filter(|(_, machine)| !machine.is_fresh());
        SavedTrack {
            seconds: self.seconds.iter().map(second).collect(),
            late: self.late.iter().map(late).collect(),
            machines: machines.map(|(rule, m)| (*rule, m.is_firing(), m.run())).collect(),
        }
    }

    /// One that holds what was saved, with the machines by their places; seconds before `next` are
    /// closed.
    pub(crate) fn restore(shape: &Shape, saved: SavedTrack, next: Option<i64>) -> Self {
        let mut track = Self::new(shape);
        for (second, bucket) in saved.seconds {
            entry(&mut track.seconds, second, Bucket::default).add(&bucket.bucket());
        }
        for (open, own, bucket) in saved.late {
            track.late.entry((open, own)).or_default().add(&bucket.bucket());
        }
        for (place, is_firing, run) in saved.machines {
            if let Some(machine) = track.machines.get_mut(place) {
                *machine = Machine::new(is_firing, run);
            }
        }
        let Some(last) = next.map(|next| next - 1) else { return track };
        for (sum, window) in track.sums.iter_mut().zip(&shape.windows) {
            let since = last - i64::from(*window);
            let closed = track.seconds.iter().filter(|(s, _)| *s > since && *s <= last);
            closed.for_each(|(_, bucket)| sum.add(bucket));
        }
        track
    }

    /// Takes out of each sum the second that leaves its window, and forgets what left all.
    fn leave(&mut self, shape: &Shape, second: i64) {
        for (index, window) in shape.windows.iter().enumerate() {
            let Some(bucket) = self.find(second - i64::from(*window)).cloned() else { continue };
            if let Some(sum) = self.sums.get_mut(index) {
                sum.remove(&bucket);
            }
        }
        let last_gone = second - shape.longest_s();
        while self.seconds.front().is_some_and(|(second, _)| *second <= last_gone) {
            self.seconds.pop_front();
        }
    }

    fn join_late(&mut self, shape: &Shape, second: i64) -> Vec<(i64, Counts)> {
        let mut joined = Vec::new();
        while let Some(first) = self.late.first_entry()
            && first.key().0 <= second
        {
            let ((_, own), late) = first.remove_entry();
            joined.push((own, late.counts));
            if own <= second - shape.longest_s() {
                continue;
            }
            entry(&mut self.seconds, own, Bucket::default).add(&late);
            for (sum, window) in self.sums.iter_mut().zip(&shape.windows) {
                if own > second - i64::from(*window) {
                    sum.add(&late);
                }
            }
        }
        joined
    }

    fn find(&self, second: i64) -> Option<&Bucket> {
        let index = self.seconds.binary_search_by_key(&second, |(second, _)| *second).ok()?;
        self.seconds.get(index).map(|(_, bucket)| bucket)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use logq_format::Timestamp;

    use super::*;
    use crate::hit::Target;

    fn hit(second: i64) -> Hit<'static> {
        Hit {
            time: Timestamp::from_micros(second * 1_000_000),
            target: Target::Bad,
            client: Cow::Borrowed(b""),
            status: 200,
            bytes: 1,
            latency_us: Some(1_000),
        }
    }

    /// The sums of two windows at each closing, of hits given as (second, open).
    fn sums(hits: &[(i64, i64)], closings: i64) -> Vec<(u64, u64)> {
        let rules = ["rate > 1 over 3s", "p50 > 1s over 6s"];
        let shape = Shape::new(rules.iter().map(|rule| Rule::parse(rule, 1).unwrap()).collect());
        let mut track = Track::new(&shape);
        let mut seen = Vec::new();
        for second in 0..closings {
            for (own, open) in hits.iter().filter(|(own, open)| *own.max(open) == second) {
                track.add(&shape, Place { second: *own, open: *open }, &hit(*own));
            }
            track.close(&shape, second);
            let hits = |rule| track.sum(&shape, rule).unwrap().counts.hits;
            seen.push((hits(&shape.rules[0]), hits(&shape.rules[1])));
        }
        seen
    }

    #[test]
    fn sums_follow_their_windows() {
        let seen = sums(&[(0, 0), (2, 0), (2, 0), (4, 0)], 12);
        let short = [1, 1, 3, 2, 3, 1, 1, 0, 0, 0, 0, 0];
        let long = [1, 1, 3, 3, 4, 4, 3, 3, 1, 1, 0, 0];
        assert_eq!(seen, short.into_iter().zip(long).collect::<Vec<_>>());
    }

    #[test]
    fn a_late_hit_counts_from_the_closing_it_was_in_time_for() {
        // Of second 2, seen when 4 is the first open one; of second 1, seen at 7.
        let seen = sums(&[(2, 4), (1, 7)], 10);
        let short = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        let long = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0];
        assert_eq!(seen, short.into_iter().zip(long).collect::<Vec<_>>());
    }

    #[test]
    fn windows_are_right_for_any_order_of_hits() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..300 {
            let place = |_| {
                let own = random.i64(0..30);
                (own, own + random.i64(-5..9))
            };
            let hits: Vec<(i64, i64)> = (0..40).map(place).collect();
            let count = |second: i64, window: i64| {
                let is_in = |(own, open): &&(i64, i64)| {
                    *own > second - window && *own <= second && *open <= second
                };
                hits.iter().filter(is_in).count() as u64
            };
            let expected: Vec<(u64, u64)> =
                (0..40).map(|second| (count(second, 3), count(second, 6))).collect();
            assert_eq!(sums(&hits, 40), expected, "{hits:?}");
        }
    }
}
