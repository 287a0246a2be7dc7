//! What the entries of a series add up to: bars of a graph, the time that was watched, spans of
//! alerts. Reading the records is the caller's business.

use std::collections::BTreeMap;

use super::{Alert, Entry, Interval, RuleNumbers, Started};
use crate::alert::Change;
use crate::bucket::Counts;
use crate::sketch::Sketch;

/// Adds up the entries of a series, in the order of their records' times.
///
/// Memory is bounded by the number of bars: when the time from the first to the last entry needs
/// more of them, they become longer.
///
/// # Examples
///
/// ```
/// use logq_monitor::series::{Entry, History};
///
/// let mut history = History::new(1, 1_000);
/// for (second, data) in [
///     (1_770_127_331, r#"{"monitor":"started","sources":["access.log"]}"#),
///     (1_770_127_331, r#"{"monitor":"second","requests":12,"bytes":3400,"status":{"2xx":12}}"#),
///     (1_770_127_333, r#"{"monitor":"second","requests":7,"bytes":900,"status":{"5xx":7}}"#),
/// ] {
///     if let Some(entry) = Entry::parse(data)? {
///         history.add(second, &entry);
///     }
/// }
/// let requests: Vec<u64> = history.bars().iter().map(|bar| bar.counts.hits).collect();
/// assert_eq!(requests, [12, 0, 7]);
/// # Ok::<(), logq_monitor::series::EntryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    step_s: i64,
    bars_max: i64,
    /// By their starts; bars without an entry are not here.
    bars: BTreeMap<i64, Bar>,
    /// First and last seconds of what runs have covered, in order, apart from one another.
    covered: Vec<(i64, i64)>,
    rules: Vec<RuleNumbers>,
    spans: Vec<AlertSpan>,
}

/// A bar of a graph: some seconds, as many as [`History::step_s`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// The first second, since the epoch.
    pub start: i64,
    /// How many of its seconds were watched; 0 is a gap, of which nothing is known.
    pub covered_s: u32,
    /// Hits, bytes, classes; late ones included.
    pub counts: Counts,
    /// The hits of the busiest second, of those that came in time.
    pub peak: u64,
    /// Latencies of the intervals that begin in it.
    pub latencies: Sketch,
    /// Lines that were no requests, of those intervals.
    pub bad: u64,
    /// The second that was counted last, and its hits.
    newest: (i64, u64),
}

/// The time in which an alert fired.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSpan {
    /// The rule as written.
    pub rule: String,
    /// The section, for rules by section.
    pub section: Option<String>,
    /// The second in which it fired; `None` if that was before the first entry.
    pub from: Option<i64>,
    /// The second in which it recovered, or the last one that was watched by its run; `None` while
    /// it fires.
    pub to: Option<i64>,
    /// How it fired, if that is among the entries.
    pub fired: Option<Alert>,
    /// How it recovered, if it did.
    pub recovered: Option<Alert>,
}

/// Lengths of bars in seconds; each divides the next.
const STEPS: [i64; 13] = [1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

impl Bar {
    /// Requests per second, on average over the seconds that were watched.
    pub fn rate(&self) -> f64 {
        self.counts.hits as f64 / f64::from(self.covered_s.max(1))
    }

    fn add(&mut self, second: i64, counts: &Counts) {
        self.counts.add(counts);
        let before = if self.newest.0 == second { self.newest.1 } else { 0 };
        self.newest = (second, before.saturating_add(counts.hits));
        self.peak = self.peak.max(self.newest.1);
    }

    fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.latencies.merge(&other.latencies);
        self.bad += other.bad;
        self.peak = self.peak.max(other.peak);
        self.newest = self.newest.max(other.newest);
    }
}

impl History {
    /// A history without entries, in bars of at least `step_s` seconds, at most `bars_max` of them.
    /// Bars of other lengths than 1, 5, 10 and 30 seconds, 1, 5, 15 and 30 minutes, 1, 2, 6 and 12
    /// hours and a day become the next longer of these.
    pub fn new(step_s: u32, bars_max: usize) -> Self {
        let step_s = STEPS.into_iter().find(|step| *step >= i64::from(step_s));
        Self {
            step_s: step_s.unwrap_or(86_400),
            bars_max: i64::try_from(bars_max).unwrap_or(i64::MAX).max(1),
            bars: BTreeMap::new(),
            covered: Vec::new(),
            rules: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Adds the entry of a record with this second.
    pub fn add(&mut self, second: i64, entry: &Entry) {
        match entry {
            Entry::Started(started) => self.start(second, started),
            Entry::Second(numbers) => {
                self.cover(second, second);
                self.bar(second).add(second, &numbers.counts());
            }
            Entry::Late(late) => {
                self.cover(second, second);
                self.bar(late.of).counts.add(&late.numbers.counts());
            }
            Entry::Interval(interval) => self.interval(interval),
            Entry::Alert(alert) => {
                self.cover(second, second);
                self.alert(second, alert);
            }
            Entry::Quiet(quiet) => self.cover(quiet.from, quiet.to),
            Entry::Ended(_) => self.cover(second, second),
            Entry::JumpedBack(_) | Entry::Unknown => {}
        }
    }

    /// The length of a bar in seconds.
    pub fn step_s(&self) -> u32 {
        u32::try_from(self.step_s).unwrap_or(u32::MAX)
    }

    /// All bars from the first to the last second that was watched, gaps included.
    pub fn bars(&self) -> Vec<Bar> {
        let Some((first, last)) = self.range() else { return Vec::new() };
        let mut bars = Vec::new();
        let (mut start, mut ranges) = (self.start_of(first), self.covered.iter().peekable());
        while start <= last {
            let end = start + self.step_s - 1;
            let mut covered_s = 0;
            while let Some((from, to)) = ranges.peek() {
                covered_s += ((*to).min(end) - (*from).max(start) + 1).max(0);
                if *to > end {
                    break;
                }
                ranges.next();
            }
            let covered_s = u32::try_from(covered_s).unwrap_or(u32::MAX);
            let bar = self.bars.get(&start).cloned().unwrap_or_default();
            bars.push(Bar { start, covered_s, ..bar });
            start += self.step_s;
        }
        bars
    }

    /// The first and the last second of all that was watched.
    pub fn range(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.covered.first()?, self.covered.last()?);
        Some((first.0, last.1))
    }

    /// First and last seconds of the times that were watched, in order.
    pub fn covered(&self) -> &[(i64, i64)] {
        &self.covered
    }

    /// The sum of all bars.
    pub fn total(&self) -> Bar {
        let mut total = Bar::default();
        self.bars.values().for_each(|bar| total.merge(bar));
        let seconds: i64 = self.covered.iter().map(|(from, to)| to - from + 1).sum();
        let start = self.range().map_or(0, |(first, _)| first);
        Bar { start, covered_s: u32::try_from(seconds).unwrap_or(u32::MAX), ..total }
    }

    /// The rules of the runs, each once.
    pub fn rules(&self) -> &[RuleNumbers] {
        &self.rules
    }

    /// When alerts fired, in the order in which they did.
    pub fn alerts(&self) -> &[AlertSpan] {
        &self.spans
    }

    fn start(&mut self, second: i64, started: &Started) {
        for rule in &started.rules {
            if !self.rules.contains(rule) {
                self.rules.push(rule.clone());
            }
        }
        if started.resumed && !self.covered.is_empty() {
            return self.cover(second, second);
        }
        // What fired when the run before ended: nobody has seen it recover.
        let last = self.covered.last().map(|(_, last)| *last);
        for span in self.spans.iter_mut().filter(|span| span.to.is_none()) {
            span.to = last.or(span.from);
        }
        match last {
            Some(last) if second <= last + 1 => self.cover(second, second),
            _ => {
                self.covered.push((second, second));
                self.coarsen();
            }
        }
    }

    fn interval(&mut self, interval: &Interval) {
        self.cover(interval.start, interval.last());
        let bar = self.bar(interval.start);
        bar.latencies.merge(&interval.latencies());
        bar.bad += interval.bad;
    }

    fn alert(&mut self, second: i64, alert: &Alert) {
        let is_same = |span: &&mut AlertSpan| {
            span.to.is_none() && span.rule == alert.rule && span.section == alert.section
        };
        let open = self.spans.iter_mut().rev().find(is_same);
        let (rule, section) = (alert.rule.clone(), alert.section.clone());
        match (alert.change, open) {
            (Change::Recovered, Some(span)) => {
                (span.to, span.recovered) = (Some(second), Some(alert.clone()));
            }
            (Change::Recovered, None) => {
                let (from, to, fired) = (None, Some(second), None);
                let recovered = Some(alert.clone());
                self.spans.push(AlertSpan { rule, section, from, to, fired, recovered });
            }
            (Change::Fired, open) => {
                // A run that was killed while it fired.
                if let Some(span) = open {
                    span.to = Some(second);
                }
                let (from, to, recovered) = (Some(second), None, None);
                let fired = Some(alert.clone());
                self.spans.push(AlertSpan { rule, section, from, to, fired, recovered });
            }
        }
    }

    /// These seconds were watched, and all since the last ones of the run.
    fn cover(&mut self, from: i64, to: i64) {
        match self.covered.last_mut() {
            Some((_, last)) => *last = to.max(*last),
            None => self.covered.push((from, to)),
        }
        self.coarsen();
    }

    fn bar(&mut self, second: i64) -> &mut Bar {
        let start = self.start_of(second);
        self.bars.entry(start).or_insert_with(|| Bar { start, ..Bar::default() })
    }

    fn start_of(&self, second: i64) -> i64 {
        second.div_euclid(self.step_s) * self.step_s
    }

    /// Makes bars longer until they are few enough.
    fn coarsen(&mut self) {
        while let Some((first, last)) = self.range()
            && (last - self.start_of(first)) / self.step_s >= self.bars_max
            && let Some(step_s) = STEPS.into_iter().find(|step| *step > self.step_s)
        {
            self.step_s = step_s;
            for (_, bar) in std::mem::take(&mut self.bars) {
                let start = self.start_of(bar.start);
                let longer =
                    self.bars.entry(start).or_insert_with(|| Bar { start, ..Bar::default() });
                longer.merge(&bar);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Numbers;

    fn second(requests: u64) -> Entry {
        Entry::Second(Numbers { requests, ..Numbers::default() })
    }

    fn started(resumed: bool) -> Entry {
        Entry::Started(Started { resumed, ..Started::default() })
    }

    fn alert(change: &str, rule: &str) -> Entry {
        let data = format!(r#"{{"monitor":"alert","change":"{change}","rule":"{rule}"}}"#);
        Entry::parse(&data).unwrap().unwrap()
    }

    fn late(of: i64, requests: u64) -> Entry {
        Entry::Late(super::super::Late { of, numbers: Numbers { requests, ..Numbers::default() } })
    }

    fn history(bars_max: usize, entries: &[(i64, Entry)]) -> History {
        let mut history = History::new(1, bars_max);
        entries.iter().for_each(|(second, entry)| history.add(*second, entry));
        history
    }

    /// Bars as text: hits, `_` for gaps.
    fn shown(history: &History) -> String {
        let bar = |bar: &Bar| match bar.covered_s {
            0 => "_".to_owned(),
            _ => bar.counts.hits.to_string(),
        };
        history.bars().iter().map(bar).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn zero_is_zero_and_a_gap_is_a_gap() {
        let entries = [
            (10, started(false)),
            (10, second(3)),
            (12, second(1)),
            (16, started(false)),
            (18, second(2)),
        ];
        assert_eq!(shown(&history(100, &entries)), "3 0 1 _ _ _ 0 0 2");
        let resumed = [(10, started(false)), (10, second(3)), (13, started(true)), (14, second(1))];
        assert_eq!(shown(&history(100, &resumed)), "3 0 0 0 1");
        assert_eq!(shown(&history(100, &[])), "");
        let overlap =
            [(10, started(false)), (11, second(1)), (11, started(false)), (12, second(1))];
        assert_eq!(shown(&history(100, &overlap)), "0 1 1");
    }

    #[test]
    fn records_of_one_second_add_up_and_late_ones_go_where_they_belong() {
        let entries = [(10, second(3)), (11, second(2)), (11, second(5)), (14, late(10, 4))];
        let history = history(100, &entries);
        assert_eq!(shown(&history), "7 7 0 0 0");
        assert_eq!(history.bars()[1].peak, 7);
        assert_eq!(history.total().counts.hits, 14);
    }

    #[test]
    fn bars_become_longer_when_there_are_too_many() {
        let entries: Vec<_> = (1..=40).map(|at| (at, second(1))).collect();
        let history = history(10, &entries);
        assert_eq!(history.step_s(), 5);
        assert_eq!(shown(&history), "4 5 5 5 5 5 5 5 1");
        assert_eq!(history.bars()[0].covered_s, 4);
        assert_eq!(history.bars()[0].peak, 1);
        assert!((history.bars()[8].rate() - 1.0).abs() < 1e-9);
        let mut long = History::new(7, 10);
        assert_eq!(long.step_s(), 10);
        long.add(0, &second(1));
        long.add(i64::from(u32::MAX), &second(1));
        assert_eq!(long.step_s(), 86_400, "longer there are none");
    }

    #[test]
    fn alerts_have_a_beginning_and_an_end() {
        let entries = [
            (10, alert("recovered", "rate > 9")),
            (11, alert("fired", "rate > 1")),
            (12, alert("fired", "p99 > 1s")),
            (15, alert("recovered", "rate > 1")),
            (16, alert("fired", "rate > 1")),
            (18, second(1)),
            (30, started(false)),
            (31, alert("fired", "rate > 1")),
        ];
        let spans: Vec<_> = history(100, &entries)
            .alerts()
            .iter()
            .map(|span| (span.from, span.to, span.recovered.is_some()))
            .collect();
        assert_eq!(
            spans,
            [
                (None, Some(10), true),
                (Some(11), Some(15), true),
                (Some(12), Some(18), false),
                (Some(16), Some(18), false),
                (Some(31), None, false),
            ]
        );
    }
}
