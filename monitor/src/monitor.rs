//! The fold: hits and bad lines go in, outputs come out.
//!
//! ```text
//!   hit ─> standing ─┬─> parked: far ahead or far back, until others confirm it or not
//!                    └─> clock ─> place ─┬─> tracks: the seconds of all traffic and of sections
//!                                        └─> intervals
//!   watermark passes a second ─> close it: point, alerts, summary
//! ```

mod jump;
mod resume;
mod take_over;

use std::collections::{BTreeMap, VecDeque};

use logq_format::Timestamp;

use crate::alert::Change;
use crate::bucket::Counts;
use crate::clock::{Clock, SourceId, Standing};
use crate::hit::Hit;
use crate::interval::{Intervals, TopLists};
use crate::options::{Limits, Options};
use crate::output::{Output, Point, Transition};
use crate::report::{BadLine, Report};
use crate::rule::{Rule, Side};
use crate::tally::Scheme;
use crate::track::{Place, Shape, Track};

pub use self::resume::Saved;
pub(crate) use self::resume::SavedSource;

/// Watches the traffic of one or several sources.
///
/// It knows no clock and reads nothing: lines come as [`Hit`]s and [`BadLine`]s, mostly through an
/// [`Input`](crate::Input), and what became certain is taken with [`drain`](Self::drain). Memory is
/// bounded: by the longest window and interval, the sections with alerts, the slots of lists and
/// [`Limits::open_seconds_max`].
#[derive(Debug)]
pub struct Monitor {
    options: Options,
    scheme: Scheme,
    reach_s: i64,
    clock: Clock,
    /// The first second that is not closed.
    next: Option<i64>,
    /// The second of the first line.
    first: Option<i64>,
    all: Watched,
    by_section: Watched,
    traffic: Track,
    sections: BTreeMap<Box<[u8]>, Track>,
    intervals: Intervals,
    report: Report,
    fired: u64,
    outputs: VecDeque<Output>,
}

/// The rules that look at tracks of one kind.
#[derive(Debug)]
struct Watched {
    shape: Shape,
    /// For each of its rules the index in the options.
    indices: Vec<usize>,
}

/// The section of all sections beyond the limit.
const OTHER: &[u8] = b"(other)";

impl Monitor {
    /// A monitor that has seen nothing.
    pub fn new(options: Options) -> Self {
        let reach_s = options.reach_s();
        let least_back_s = reach_s + i64::from(options.lateness_s);
        let back_s = options.limits.back_s.max(u32::try_from(least_back_s).unwrap_or(u32::MAX));
        let limits = Limits { back_s, ..options.limits };
        let all = Watched::new(&options.rules, false);
        Self {
            scheme: Scheme::of(&options),
            reach_s,
            clock: Clock::new(options.lateness_s, limits),
            next: None,
            first: None,
            traffic: Track::new(&all.shape),
            all,
            by_section: Watched::new(&options.rules, true),
            sections: BTreeMap::new(),
            intervals: Intervals::new(&options),
            report: Report::default(),
            fired: 0,
            outputs: VecDeque::new(),
            options,
        }
    }

    /// What it was asked to do.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Opens a source; its name is for reports.
    ///
    /// Seconds are closed when all sources have passed them, so a source that was opened is either
    /// read, or [`caught_up`](Self::caught_up), or [`finish`](Self::finish)ed.
    pub fn open(&mut self, name: &str) -> SourceId {
        self.clock.open(name)
    }

    /// The source to read next: the one that holds the others back. `None` when all are caught up
    /// or finished. Reading in this order keeps few seconds open.
    pub fn behind(&self) -> Option<SourceId> {
        self.clock.behind()
    }

    /// Counts a hit of a source, which the line with this number told of.
    pub fn hit(&mut self, source: SourceId, line: u64, hit: &Hit<'_>) {
        self.report.lines += 1;
        self.sort_in(source, line, hit);
    }

    /// Counts a line of a source that is no hit, in the interval of the newest line before it.
    pub fn bad(&mut self, source: SourceId, line: &BadLine<'_>) {
        let next = self.next;
        let Some(source) = self.clock.source_mut(source) else { return };
        self.report.add_bad(&source.name, line);
        match source.newest.map(|newest| next.map_or(newest, |next| newest.max(next))) {
            Some(second) => self.intervals.add_bad(second, 1),
            None => source.bad_before += 1,
        }
    }

    /// The source has nothing more to read for now. With [`tick`](Self::tick) its time then goes on
    /// without lines, and after the lateness it no longer holds back the others.
    pub fn caught_up(&mut self, source: SourceId) {
        self.clock.catch_up(source);
    }

    /// Tells how late it is: for following only, several times a second, never in a replay.
    ///
    /// The time may be the wall clock's at the start plus what a monotonic clock says since then. It
    /// is used for sources that are caught up, and to tell lines of the future.
    pub fn tick(&mut self, now: Timestamp) {
        self.clock.tick(now.as_micros().div_euclid(1_000_000));
        self.take_confirmed_by_clock();
        self.close_due();
    }

    /// The source has ended.
    pub fn finish(&mut self, source: SourceId) {
        self.give_up_parked(source);
        self.clock.end(source);
        self.close_due();
    }

    /// All input has ended: closes every second up to the newest line, and no more, since nothing is
    /// known of the time after it. The last interval is summed up as far as it goes.
    pub fn end(&mut self) {
        for index in 0..self.clock.sources.len() {
            self.give_up_parked(SourceId(index));
            self.clock.end(SourceId(index));
        }
        self.sum_up();
    }

    /// Takes what became certain, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }

    /// The numbers of the run so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The lists of the run, of all intervals that ended.
    pub fn lists(&self) -> TopLists {
        self.intervals.run.lists(self.options.lists)
    }

    /// How many times an alert fired.
    pub fn fired(&self) -> u64 {
        self.fired
    }

    /// The alerts that fire now, as indices of their rules and their sections.
    pub fn firing(&self) -> Vec<(usize, Option<&[u8]>)> {
        let of = |watched: &Watched, track: &Track| -> Vec<usize> {
            let machines = watched.indices.iter().zip(&track.machines);
            machines.filter(|(_, machine)| machine.is_firing()).map(|(index, _)| *index).collect()
        };
        let all = of(&self.all, &self.traffic).into_iter().map(|index| (index, None));
        let sections = self.sections.iter().flat_map(|(section, track)| {
            of(&self.by_section, track).into_iter().map(|index| (index, Some(&**section)))
        });
        all.chain(sections).collect()
    }

    /// The second of the newest line, and the first second that is not closed.
    pub fn progress(&self) -> (Option<i64>, Option<i64>) {
        (self.clock.newest(), self.next)
    }

    fn sort_in(&mut self, source: SourceId, line: u64, hit: &Hit<'_>) {
        let Some(state) = self.clock.source(source) else { return };
        let standing = self.clock.standing(state, hit.second());
        let has_parked = state.standing.is_some() || state.has_told_jump;
        if standing != Standing::InRange {
            return self.park(source, standing, line, hit);
        }
        if has_parked {
            self.give_up_parked(source);
        }
        self.take(source, line, hit);
    }

    /// Counts a hit whose time is taken.
    fn take(&mut self, source: SourceId, line: u64, hit: &Hit<'_>) {
        let second = hit.second();
        let has_moved = self.clock.advance(source, second);
        let Some(state) = self.clock.source_mut(source) else { return };
        let bad_before = std::mem::take(&mut state.bad_before);
        if bad_before > 0 {
            self.intervals.add_bad(second.max(self.next.unwrap_or(second)), bad_before);
        }
        // The line is of a second that this does not close, and finds room where others have left.
        if has_moved {
            self.close_due();
        }
        let watermark = self.clock.watermark_of(source);
        let Some(open) = watermark.max(self.next) else { return };
        if second <= open - self.reach_s {
            if let Some(source) = self.clock.source(source) {
                self.report.add_stray(Standing::Past, &source.name, line, second);
            }
        } else {
            self.count(Place { second, open }, hit);
        }
    }

    fn count(&mut self, place: Place, hit: &Hit<'_>) {
        self.report.counts.add_hit(&hit.ending());
        self.report.late += u64::from(place.is_late());
        if let Some(latency_us) = hit.latency_us {
            self.report.latencies.add(latency_us);
        }
        self.traffic.add(&self.all.shape, place, hit);
        self.intervals.add(place, hit);
        if !self.by_section.indices.is_empty() {
            self.count_section(place, hit);
        }
    }

    fn count_section(&mut self, place: Place, hit: &Hit<'_>) {
        let mut section = hit.target.section(self.options.queries);
        let is_full = self.sections.len() >= self.options.sections_max;
        if is_full && !self.sections.contains_key(section) {
            section = OTHER;
        }
        if !self.sections.contains_key(section) {
            self.sections.insert(section.into(), Track::new(&self.by_section.shape));
        }
        if let Some(track) = self.sections.get_mut(section) {
            track.add(&self.by_section.shape, place, hit);
        }
    }

    /// Closes the seconds that all sources have passed, and more if too many are open.
    fn close_due(&mut self) {
        if let Some(watermark) = self.clock.watermark() {
            self.close_to(watermark);
        }
        let most = self.traffic.nth_last(self.options.limits.open_seconds_max.max(1));
        if let Some(second) = most
            && self.next.is_none_or(|next| second > next)
        {
            self.report.left_behind += 1;
            self.close_to(second);
        }
    }

    /// Closes all seconds before `end`, one by one where anything happens.
    fn close_to(&mut self, end: i64) {
        let Some(mut next) = self.next.or_else(|| self.begin()) else { return };
        while next < end {
            next = match self.next_event(next, end) {
                Some(event) => {
                    self.pass_quiet(next, event);
                    event
                }
                None => {
                    self.close(next);
                    next + 1
                }
            };
        }
        self.next = Some(next);
    }

    /// The first second that can be closed.
    fn begin(&mut self) -> Option<i64> {
        let start = self.clock.start()?;
        self.first = Some(start + i64::from(self.options.lateness_s));
        Some(start)
    }

    /// Where nothing can change from `next` on, the first second in which something can.
    fn next_event(&self, next: i64, end: i64) -> Option<i64> {
        let first_hit = self.traffic.first();
        if first_hit.is_some_and(|first| first <= next) || !self.sections.is_empty() {
            return None;
        }
        let is_settled =
            self.all.shape.rules.iter().zip(&self.traffic.machines).all(|(rule, machine)| {
                machine.is_settled(rule, self.traffic.value(&self.all.shape, rule))
            });
        if !is_settled {
            return None;
        }
        let others = first_hit.into_iter().chain(self.intervals.first_end());
        Some(others.fold(end, i64::min)).filter(|event| *event > next)
    }

    /// Sums up the intervals that end from `from` on and before `to`, if that is wanted.
    fn pass_quiet(&mut self, from: i64, to: i64) {
        const TOLD_MAX: usize = 1_000;
        if !self.options.empty {
            return;
        }
        let mut end = self.intervals.end_of(from);
        for _ in 0..TOLD_MAX {
            if end >= to {
                return;
            }
            self.outputs.extend(self.intervals.empty(end).map(Output::Summary));
            end = self.intervals.end_of(end + 1);
        }
        let after = self.intervals.end_of(to) - i64::from(self.options.interval_s.max(1));
        if after >= end {
            let from = end + 1 - i64::from(self.options.interval_s.max(1));
            self.outputs.push_back(Output::Quiet { from, to: after });
        }
    }

    /// Closes one second: point, alerts, summary.
    fn close(&mut self, second: i64) {
        let closed = self.traffic.close(&self.all.shape, second);
        if closed.counts != Counts::default() || !closed.late.is_empty() {
            let late = closed.late.iter().map(|(_, counts)| counts.hits).sum();
            self.outputs.push_back(Output::Point(Point { second, counts: closed.counts, late }));
        }
        let late = closed.late.into_iter().map(|(of, counts)| Output::Late { second, of, counts });
        self.outputs.extend(late);
        let mut clocked = Evaluation { second, first: self.first, outputs: &mut self.outputs };
        let mut fired = clocked.evaluate(&self.all, &mut self.traffic, None);
        for (section, track) in &mut self.sections {
            track.close(&self.by_section.shape, second);
            fired += clocked.evaluate(&self.by_section, track, Some(section));
        }
        self.fired += fired;
        self.sections.retain(|_, track| !track.is_over());
        let summary = self.intervals.close(second);
        let or_empty = || self.intervals.empty(second).filter(|_| self.options.empty);
        self.outputs.extend(summary.or_else(or_empty).map(Output::Summary));
    }

    /// Closes and sums up everything up to the newest line.
    fn sum_up(&mut self) {
        let Some(newest) = self.clock.newest() else { return };
        self.close_to(newest + 1);
        let last = self.next.map_or(newest, |next| next - 1);
        self.outputs.extend(self.intervals.finish(last).into_iter().map(Output::Summary));
    }
}

impl Watched {
    fn new(rules: &[Rule], by_section: bool) -> Self {
        let chosen = || rules.iter().enumerate().filter(|(_, rule)| rule.by_section == by_section);
        Self {
            shape: Shape::new(chosen().map(|(_, rule)| rule.clone()).collect()),
            indices: chosen().map(|(index, _)| index).collect(),
        }
    }
}

/// Looks at tracks after the closing of a second.
struct Evaluation<'a> {
    second: i64,
    first: Option<i64>,
    outputs: &'a mut VecDeque<Output>,
}

impl Evaluation<'_> {
    /// Puts out the transitions of a track; answers how many alerts fired.
    fn evaluate(&mut self, watched: &Watched, track: &mut Track, section: Option<&[u8]>) -> u64 {
        let mut fired = 0;
        for (place, (rule, index)) in watched.shape.rules.iter().zip(&watched.indices).enumerate() {
            if rule.side == Side::Below && !self.has_seen_window(rule) {
                continue;
            }
            let value = track.value(&watched.shape, rule);
            let change = track.machines.get_mut(place).and_then(|m| m.step(rule, value));
            let Some(change) = change else { continue };
            fired += u64::from(change == Change::Fired);
            let counts = track.sum(&watched.shape, rule).map(|sum| sum.counts);
            self.outputs.push_back(Output::Alert(Transition {
                change,
                rule: *index,
                section: section.map(Into::into),
                second: self.second,
                counts: counts.unwrap_or_default(),
                value,
            }));
        }
        fired
    }

    /// Too little traffic can be told only after a whole window.
    fn has_seen_window(&self, rule: &Rule) -> bool {
        self.first.is_some_and(|first| self.second - first + 1 >= i64::from(rule.window_s))
    }
}
