//! The hits of a block, added up before they reach the tables of seconds and intervals.

use std::ops::Range;

use logq_format::{Timestamp, UrlSections};

use super::second;
use crate::bucket::Bucket;
use crate::hit::Ending;
use crate::tally::{Scheme, Tally};

/// What the hits of a block have in common that can be counted without their names at hand.
#[derive(Debug)]
pub(super) struct Batch<'h> {
    /// Whether that is all that is counted of them.
    pub(super) suffices: bool,
    /// The second of the hits that came last, and what they add up to.
    second: i64,
    bucket: Bucket,
    sections: Option<UrlSections<'h>>,
    /// How often each section occurred in an interval, and in which second first.
    counts: Vec<(u64, i64)>,
    /// The seconds of that interval.
    interval: Range<i64>,
    /// Of requests, and of their answers.
    pub(super) seconds: [Seconds; 2],
}

impl<'h> Batch<'h> {
    pub(super) fn new(scheme: &Scheme, sections: Option<UrlSections<'h>>) -> Self {
        let names = scheme.names;
        let knows_sections = !names.sections || sections.is_some();
        let suffices = knows_sections && !names.lists.urls && !names.lists.clients;
        let sections = sections.filter(|_| names.sections);
        let counts = sections.map_or(Vec::new(), |all| vec![(0, i64::MAX); all.names().len()]);
        Self {
            suffices,
            second: i64::MIN,
            bucket: Bucket::default(),
            sections,
            counts,
            interval: 0..0,
            seconds: [Seconds::default(); 2],
        }
    }

    /// Counts a hit; `tally` gets those of the second and of the interval before.
    #[inline]
    pub(super) fn add(
        &mut self,
        head: u32,
        second: i64,
        ending: &Ending,
        scheme: &Scheme,
        tally: &mut Tally,
    ) {
        if second != self.second {
            self.turn_to(second, scheme, tally);
        }
        self.bucket.add_hit(ending, scheme.with_latency);
        if ending.latency_us.is_some() || scheme.names.lists.statuses {
            let part = tally.part(scheme.interval_s, second);
            ending.latency_us.into_iter().for_each(|latency_us| part.latencies.add(latency_us));
            part.tops.add_status(ending.status, second, scheme.names);
        }
        let place = self.sections.and_then(|sections| sections.place(head));
        if let Some((count, first)) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
            *first = second.min(*first);
        }
    }

    /// Hands over what was counted.
    pub(super) fn pour(&mut self, scheme: &Scheme, tally: &mut Tally) {
        self.pour_second(scheme, tally);
        self.pour_sections(scheme, tally);
    }

    fn turn_to(&mut self, second: i64, scheme: &Scheme, tally: &mut Tally) {
        self.pour_second(scheme, tally);
        self.second = second;
        if !self.interval.contains(&second) {
            self.pour_sections(scheme, tally);
            let start = second.div_euclid(scheme.interval_s) * scheme.interval_s;
            self.interval = start..start.saturating_add(scheme.interval_s);
        }
    }

    fn pour_second(&mut self, scheme: &Scheme, tally: &mut Tally) {
        let bucket = std::mem::take(&mut self.bucket);
        if bucket.counts.hits > 0 {
            tally.add_bucket(scheme, self.second, &bucket);
        }
    }

    fn pour_sections(&mut self, scheme: &Scheme, tally: &mut Tally) {
        let Some(sections) = self.sections.filter(|_| !self.interval.is_empty()) else { return };
        let tops = &mut tally.part(scheme.interval_s, self.interval.start).tops;
        for (name, count) in sections.names().zip(&mut self.counts) {
            if let (times @ 1.., first) = std::mem::replace(count, (0, i64::MAX)) {
                tops.add_section(name.as_bytes(), times, first);
            }
        }
    }
}
/// The seconds of times, most of which are that of the time before, which takes no division.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seconds {
    second: i64,
    start_us: i64,
}

impl Seconds {
    #[inline]
    pub(super) fn of(&mut self, time: Timestamp) -> i64 {
        let since_us = time.as_micros().wrapping_sub(self.start_us);
        if !(0..1_000_000).contains(&since_us) {
            self.second = second(time);
            self.start_us = self.second.saturating_mul(1_000_000);
        }
        self.second
    }
}
