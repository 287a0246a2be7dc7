//! Hits counted away from the monitor, on another thread: what many of them add up to, for the
//! monitor to take over at once.
//!
//! Only hits that came in time are counted here. Where a hit counts does not depend on those before
//! it, so adding up parts in any order gives what one hit after the other gives.

use std::collections::VecDeque;

use crate::bucket::Bucket;
use crate::hit::Hit;
use crate::interval::Tops;
use crate::options::{Align, Options};
use crate::sketch::Sketch;

/// What is counted, and how: a part of a monitor's options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheme {
    pub(crate) interval_s: i64,
    pub(crate) lateness_s: i64,
    pub(crate) with_latency: bool,
    pub(crate) names: Names,
    /// Whether hits can be added up before the monitor has seen them.
    pub(crate) adds_up: bool,
}

/// Which names of hits are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) sections: bool,
    pub(crate) queries: bool,
    pub(crate) lists: crate::options::Lists,
}

impl Names {
    pub(crate) fn of(options: &Options) -> Self {
        Self { sections: options.sections, queries: options.queries, lists: options.lists }
    }

    /// Whether anything is counted that only the target tells.
    pub(crate) fn need_target(self) -> bool {
        self.sections || self.lists.urls
    }

    /// Whether the section of a target does not tell all of that.
    pub(crate) fn need_url(self) -> bool {
        self.queries || self.lists.urls
    }
}

impl Scheme {
    pub(crate) fn of(options: &Options) -> Self {
        let by_section = options.rules.iter().any(|rule| rule.by_section);
        let is_latency =
            |rule: &crate::rule::Rule| matches!(rule.measure, crate::rule::Measure::Latency { .. });
        let mut names = Names::of(options);
        names.sections |= by_section;
        Self {
            interval_s: i64::from(options.interval_s.max(1)),
            lateness_s: i64::from(options.lateness_s),
            with_latency: options.rules.iter().any(is_latency),
            names,
            adds_up: !by_section && options.align == Align::Epoch,
        }
    }
}

/// Hits in seconds and intervals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// By second, ascending.
    pub(crate) seconds: VecDeque<(i64, Bucket)>,
    /// By the start of the interval, ascending.
    pub(crate) intervals: VecDeque<(i64, Part)>,
}

/// What seconds do not tell of an interval.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) latencies: Sketch,
    pub(crate) tops: Tops,
    pub(crate) last: Option<i64>,
}

impl Tally {
    /// Counts a hit that came in time.
    pub(crate) fn add(&mut self, scheme: &Scheme, hit: &Hit<'_>) {
        let (second, ending) = (hit.second(), hit.ending());
        self.second(second).add_hit(&ending, scheme.with_latency);
        let part = self.part(scheme.interval_s, second);
        if let Some(latency_us) = ending.latency_us {
            part.latencies.add(latency_us);
        }
        part.last = part.last.max(Some(second));
        part.tops.add(hit, second, scheme.names);
    }

    /// Counts hits of one second that came in time, but for what only their interval tells of them.
    pub(crate) fn add_bucket(&mut self, scheme: &Scheme, second: i64, bucket: &Bucket) {
        self.second(second).add(bucket);
        let part = self.part(scheme.interval_s, second);
        part.last = part.last.max(Some(second));
    }

    /// Counts bytes of a response whose hit is counted already.
    pub(crate) fn add_bytes(&mut self, second: i64, bytes: u64) {
        self.second(second).counts.bytes += u128::from(bytes);
    }

    /// The interval of a second. Mostly it is the last one, which is told without a division.
    #[inline]
    pub(crate) fn part(&mut self, interval_s: i64, second: i64) -> &mut Part {
        let start = match self.intervals.back() {
            Some((start, _)) if (*start..*start + interval_s).contains(&second) => *start,
            _ => second.div_euclid(interval_s) * interval_s,
        };
        entry(&mut self.intervals, start, Part::new)
    }

    #[inline]
    fn second(&mut self, second: i64) -> &mut Bucket {
        entry(&mut self.seconds, second, Bucket::default)
    }
}

impl Part {
    fn new() -> Self {
        Self { latencies: Sketch::default(), tops: Tops::new(), last: None }
    }
}

/// The entry with a key, made if there is none. Cheap at the end, where nearly all hits go.
#[inline]
pub(crate) fn entry<T>(
    entries: &mut VecDeque<(i64, T)>,
    key: i64,
    new: impl FnOnce() -> T,
) -> &mut T {
    let index = match entries.back() {
        Some((last, _)) if *last == key => Ok(entries.len() - 1),
        Some((last, _)) if *last < key => Err(entries.len()),
        _ => entries.binary_search_by_key(&key, |(key, _)| *key),
    };
    let index = index.unwrap_or_else(|index| {
        entries.insert(index, (key, new()));
        index
    });
    // Found or inserted just now.
    &mut entries[index].1
}
