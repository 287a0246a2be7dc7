//! Summaries: what is counted of an interval of log time until its last second is closed.

use std::collections::{BTreeMap, VecDeque};

use crate::bucket::Counts;
use crate::hit::Hit;
use crate::options::{Align, Lists, Options};
use crate::saved::{SavedCounts, SavedInterval, SavedIntervals, SavedSketch};
use crate::sketch::Sketch;
use crate::statuses::Statuses;
use crate::tally::{Names, Part, entry};
use crate::top::{SLOTS, Top, TopList};
use crate::track::Place;

/// What an interval of log time held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The first second, since the epoch.
    pub start: i64,
    /// Seconds it covers: the interval, or less at the end of the input.
    pub seconds: u32,
    /// Whether the input ended before the interval did.
    pub is_partial: bool,
    /// The second of the latest hit; the last of the interval if there was none.
    pub last: i64,
    /// Hits, bytes and status classes.
    pub counts: Counts,
    /// Latencies, where the log tells them.
    pub latencies: Sketch,
    /// Lines that came after their second was closed; they may belong to earlier intervals.
    pub late: u64,
    /// Lines that were no requests.
    pub bad: u64,
    /// The section with the most hits; of several, the one seen first.
    pub section: Option<Box<[u8]>>,
    /// The lists that were asked for.
    pub lists: TopLists,
}

/// Lists of most frequent keys, empty unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopLists {
    /// Sections.
    pub sections: TopList,
    /// Urls.
    pub urls: TopList,
    /// Clients.
    pub clients: TopList,
    /// Statuses.
    pub statuses: TopList,
}

impl TopLists {
    /// The same lists with at most `count` keys each.
    pub fn first(&self, count: usize) -> Self {
        Self {
            sections: self.sections.first(count),
            urls: self.urls.first(count),
            clients: self.clients.first(count),
            statuses: self.statuses.first(count),
        }
    }
}

impl Summary {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.counts.hits as f64 / f64::from(self.seconds.max(1))
    }
}

/// The intervals that are open, and what is remembered of closed ones.
#[derive(Clone, Debug)]
pub(crate) struct Intervals {
    interval_s: i64,
    names: Names,
    /// Where one of them begins.
    origin: Option<i64>,
    /// By their starts, ascending.
    open: VecDeque<(i64, Interval)>,
    /// Closed ones, for their memory.
    spare: Vec<Interval>,
    /// Of the whole run.
    pub(crate) run: Tops,
}

#[derive(Clone, Debug)]
struct Interval {
    counts: Counts,
    latencies: Sketch,
    late: u64,
    bad: u64,
    last: Option<i64>,
    tops: Tops,
}

/// Frequent keys of hits.
#[derive(Clone, Debug)]
pub(crate) struct Tops {
    sections: Top,
    urls: Top,
    clients: Top,
    statuses: Statuses,
}

/// No more closed intervals are kept than can be open at a time in a usual run.
const SPARE_MAX: usize = 8;

impl Intervals {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            interval_s: i64::from(options.interval_s.max(1)),
            names: Names::of(options),
            origin: (options.align == Align::Epoch).then_some(0),
            open: VecDeque::new(),
            spare: Vec::new(),
            run: Tops::new(),
        }
    }

    /// Counts a hit in its interval, unless that one is printed.
    pub(crate) fn add(&mut self, place: Place, hit: &Hit<'_>) {
        let start = self.start_of(place.second);
        let names = self.names;
        if place.open < start + self.interval_s {
            self.at(start).add(hit, place.second, names);
        } else {
            // Printed without it; the run still counts it.
            self.run.add(hit, place.second, names);
        }
        if place.is_late() {
            let start = self.start_of(place.open);
            self.at(start).late += 1;
        }
    }

    /// Counts what is no hit of its own, or hits of which the rest comes as a part.
    pub(crate) fn amend(&mut self, place: Place, counts: &Counts) {
        let start = self.start_of(place.second);
        if place.open < start + self.interval_s {
            self.at(start).counts.add(counts);
        }
        if place.is_late() {
            let start = self.start_of(place.open);
            self.at(start).late += counts.hits;
        }
    }

    /// Takes over what was counted elsewhere of an interval; `next` is the first second that is not
    /// closed.
    pub(crate) fn absorb(&mut self, start: i64, part: Part, next: Option<i64>) {
        if next.is_some_and(|next| next >= start + self.interval_s) {
            // Printed without it; the run still counts it.
            return self.run.merge(&part.tops);
        }
        let interval = self.at(start);
        interval.latencies.merge(&part.latencies);
        if interval.tops.is_empty() {
            interval.tops = part.tops;
        } else {
            interval.tops.merge(&part.tops);
        }
        interval.last = interval.last.max(part.last);
    }

    /// Counts bad lines in the interval of a second.
    pub(crate) fn add_bad(&mut self, second: i64, count: u64) {
        let start = self.start_of(second);
        self.at(start).bad += count;
    }

    /// The summary of the interval whose last second this is, if it has any lines.
    pub(crate) fn close(&mut self, second: i64) -> Option<Summary> {
        let start = second + 1 - self.interval_s;
        let index = self.open.binary_search_by_key(&start, |(start, _)| *start).ok()?;
        let (_, interval) = self.open.remove(index)?;
        Some(self.summary(start, self.interval_s, interval))
    }

    /// The summaries of what is left when `newest` is the last second of the input.
    pub(crate) fn finish(&mut self, newest: i64) -> Vec<Summary> {
        let mut summaries = Vec::new();
        while let Some((start, interval)) = self.open.pop_front() {
            let seconds = (newest + 1 - start).clamp(1, self.interval_s);
            let mut summary = self.summary(start, seconds, interval);
            summary.is_partial = seconds < self.interval_s;
            summaries.push(summary);
        }
        summaries
    }

    /// The summary of an interval without lines, if one ends with this second.
    pub(crate) fn empty(&self, second: i64) -> Option<Summary> {
        let start = self.start_of(second);
        (second == self.last_of(start)).then(|| Summary {
            start,
            seconds: u32::try_from(self.interval_s).unwrap_or(u32::MAX),
            last: second,
            ..Summary::default()
        })
    }

    /// The last second of the interval that this second is in.
    pub(crate) fn end_of(&self, second: i64) -> i64 {
        self.last_of(self.start_of(second))
    }

    /// The last second of the first interval that has lines.
    pub(crate) fn first_end(&self) -> Option<i64> {
        self.open.front().map(|(start, _)| self.last_of(*start))
    }

    /// The next intervals may begin elsewhere.
    pub(crate) fn restart(&mut self, align: Align) {
        self.origin = (align == Align::Epoch).then_some(0);
    }

    /// The open ones.
    pub(crate) fn save(&self) -> SavedIntervals {
        let open = self.open.iter().map(|(start, interval)| (*start, interval.save())).collect();
        SavedIntervals { interval_s: self.interval_s, origin: self.origin, open }
    }

    /// Goes on with those that were open, if they fit.
    pub(crate) fn restore(&mut self, saved: SavedIntervals) {
        let does_fit = saved.interval_s == self.interval_s
            && (self.origin.is_none() || self.origin == saved.origin);
        if does_fit {
            self.origin = saved.origin;
            // In order, whoever wrote the file.
            let open: BTreeMap<i64, SavedInterval> = saved.open.into_iter().collect();
            let open = open.into_iter();
            self.open = open.map(|(start, saved)| (start, Interval::of(saved))).collect();
        }
    }

    fn last_of(&self, start: i64) -> i64 {
        start + self.interval_s - 1
    }

    fn start_of(&self, second: i64) -> i64 {
        let origin = self.origin.unwrap_or(second);
        origin + (second - origin).div_euclid(self.interval_s) * self.interval_s
    }

    fn at(&mut self, start: i64) -> &mut Interval {
        self.origin.get_or_insert(start);
        let spare = &mut self.spare;
        entry(&mut self.open, start, || spare.pop().unwrap_or_else(Interval::new))
    }

    fn summary(&mut self, start: i64, seconds: i64, mut interval: Interval) -> Summary {
        let summary = Summary {
            start,
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            is_partial: false,
            last: interval.last.unwrap_or(start + seconds - 1),
            counts: interval.counts,
            latencies: interval.latencies.clone(),
            late: interval.late,
            bad: interval.bad,
            section: interval.tops.sections.most_frequent().map(Into::into),
            lists: interval.tops.lists(self.names.lists),
        };
        self.run.merge(&interval.tops);
        interval.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(interval);
        }
        summary
    }
}

impl Interval {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            latencies: Sketch::default(),
            late: 0,
            bad: 0,
            last: None,
            tops: Tops::new(),
        }
    }

    fn save(&self) -> SavedInterval {
        SavedInterval {
            counts: SavedCounts::of(&self.counts),
            latencies: SavedSketch::of(&self.latencies),
            late: self.late,
            bad: self.bad,
            last: self.last,
            sections: self.tops.sections.save(),
            urls: self.tops.urls.save(),
            clients: self.tops.clients.save(),
            statuses: self.tops.statuses.clone(),
        }
    }

    fn of(saved: SavedInterval) -> Self {
        let top = |saved| Top::restore(SLOTS, saved);
        Self {
            counts: saved.counts.counts(),
            latencies: saved.latencies.sketch(),
            late: saved.late,
            bad: saved.bad,
            last: saved.last,
            tops: Tops {
                sections: top(saved.sections),
                urls: top(saved.urls),
                clients: top(saved.clients),
                statuses: saved.statuses,
            },
        }
    }

    fn add(&mut self, hit: &Hit<'_>, second: i64, names: Names) {
        self.counts.add_hit(&hit.ending());
        self.last = self.last.max(Some(second));
        if let Some(latency_us) = hit.latency_us {
            self.latencies.add(latency_us);
        }
        self.tops.add(hit, second, names);
    }

    fn clear(&mut self) {
        self.counts = Counts::default();
        self.latencies.clear();
        (self.late, self.bad, self.last) = (0, 0, None);
        self.tops.clear();
    }
}

impl Tops {
    pub(crate) fn new() -> Self {
        let top = || Top::new(SLOTS);
        Self { sections: top(), urls: top(), clients: top(), statuses: Statuses::default() }
    }

    pub(crate) fn add(&mut self, hit: &Hit<'_>, second: i64, names: Names) {
        let Names { sections, queries, lists } = names;
        if sections {
            self.sections.add_one_of_few(hit.target.section(queries), second);
        }
        if lists.urls {
            self.urls.add(hit.target.url(queries), second);
        }
        if lists.clients {
            let client = if hit.client.is_empty() { b"-" } else { &*hit.client };
            self.clients.add(client, second);
        }
        self.add_status(hit.status, second, names);
    }

    /// Counts so many hits of a section, of which the first was in this second.
    pub(crate) fn add_section(&mut self, section: &[u8], count: u64, first: i64) {
        self.sections.add_many(section, count, first);
    }

    /// Counts a status, where they are listed.
    #[inline]
    pub(crate) fn add_status(&mut self, status: u16, second: i64, names: Names) {
        if names.lists.statuses {
            self.statuses.add(status, second);
        }
    }

    fn is_empty(&self) -> bool {
        let all = [&self.sections, &self.urls, &self.clients];
        all.iter().all(|top| top.is_empty()) && self.statuses.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        self.sections.merge(&other.sections);
        self.urls.merge(&other.urls);
        self.clients.merge(&other.clients);
        self.statuses.merge(&other.statuses);
    }

    fn clear(&mut self) {
        self.sections.clear();
        self.urls.clear();
        self.clients.clear();
        self.statuses.clear();
    }

    pub(crate) fn lists(&self, lists: Lists) -> TopLists {
        TopLists {
            sections: self.sections.list(lists.count),
            urls: self.urls.list(lists.count),
            clients: self.clients.list(lists.count),
            statuses: self.statuses.list(lists.count),
        }
    }
}
