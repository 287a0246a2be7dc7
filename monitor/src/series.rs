//! What a monitor says as data of log records, and back: the series of seconds, intervals and alerts
//! that a store keeps.
//!
//! A sink writes each [`Entry`] as a LOG record, its JSON as the record's data, its second as the
//! record's time. Whoever shows the past reads the records, parses their data and adds them to a
//! [`History`]. The member `monitor` tells what an entry is:
//!
//! | `monitor` | time of the record | members |
//! |---|---|---|
//! | `started` | the first second of the run | `sources`, `interval_s`, `rules`, `resumed` if it goes on where another run ended |
//! | `second` | a second that has hits | `requests`, `bytes`, `status`, `unanswered`, `orphans` |
//! | `late` | the second at which they were counted | `of`: the second they belong to; as `second` |
//! | `interval` | its last second | `start`, `seconds`, as `second`, `section`, `late`, `bad`, `p50_ms`, `p90_ms`, `p99_ms`, `latency` |
//! | `alert` | the second of the transition | `change`, `message`, `rule`, `measure`, `section`, `value`, `threshold`, `window_s`, and as `second` what the window held |
//! | `jumped_back` | the second before | `from`, `to`, `followed` |
//! | `quiet` | its last second | `from`, `to` |
//! | `ended` | the last second | `reason`, `lines`, `late`, `too_late`, `bad` |
//!
//! Members that are zero, empty or unknown are left out. `status` has the members `1xx` to `5xx` and
//! `other`; times within data are as `--since` takes them; `latency` is the histogram of a [`Sketch`],
//! bins and counts in turn. Levels: ERROR for an alert that fires, WARN for a jump, else INFO.
//!
//! # Adding up
//!
//! What several records say of one second adds up: a second that a run ended in and the next one went
//! on with has two, and so has a second that lines came late for. A `late` record is the only
//! correction there is; nothing is rewritten. `interval` and `alert` records stay what was known when
//! they were written.
//!
//! Seconds without a record had no hits, if a run covered them: from its `started` to its last
//! record. Outside of runs nothing is known.

use std::borrow::Cow;

use logq_format::Level;
use serde::{Deserialize, Serialize};

use crate::alert::Change;
use crate::bucket::Counts;
use crate::interval::Summary;
use crate::options::Options;
use crate::output::{Output, Transition};
use crate::render;
use crate::report::Report;
use crate::rule::Rule;
use crate::sketch::Sketch;

mod history;
mod numbers;
mod texts;

pub use self::history::{AlertSpan, Bar, History};
pub use self::numbers::{Classes, Numbers};
use self::texts::{change, second};

/// One record of a series. Its second is the record's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "monitor", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// A run begins.
    Started(Started),
    /// Hits that came in time.
    Second(Numbers),
    /// Hits of an earlier second.
    Late(Late),
    /// A summary.
    Interval(Box<Interval>),
    /// An alert fired or recovered.
    Alert(Box<Alert>),
    /// Time jumped back.
    JumpedBack(Jump),
    /// Intervals without a line were passed over.
    Quiet(Quiet),
    /// A run ends.
    Ended(Ended),
    /// An entry that a newer version writes.
    #[serde(other)]
    Unknown,
}

/// Says that a text is no entry.
#[derive(Debug, thiserror::Error)]
#[error("no entry of a monitor's series: {0}")]
pub struct EntryError(#[from] serde_json::Error);

/// How a run was asked to watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The names of its sources.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Seconds that an interval covers.
    #[serde(default)]
    pub interval_s: u32,
    /// When alerts fire.
    #[serde(default)]
    pub rules: Vec<RuleNumbers>,
    /// Whether it goes on where the last run ended, so that nothing is missing in between.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resumed: bool,
}

/// What a graph shows of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleNumbers {
    /// The rule as written.
    pub rule: String,
    /// What it measures, such as `rate`.
    pub measure: String,
    /// In the unit of the measure: per second, a share, or microseconds.
    pub threshold: f64,
    /// The window in seconds.
    pub window_s: u32,
}

/// Hits that came when their second was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// The second they belong to, since the epoch.
    #[serde(with = "second")]
    pub of: i64,
    /// What they were.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// A summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The first second, since the epoch.
    #[serde(with = "second")]
    pub start: i64,
    /// Seconds it covers.
    pub seconds: u32,
    /// What it held.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// The section with the most hits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Lines that came late in it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late: u64,
    /// Lines that were no requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bad: u64,
    /// The median of latencies in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// So long took nine of ten at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    /// So long took 99 of a hundred at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Bins of latencies and their counts in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    latency: Vec<u64>,
}

/// A transition of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Fired or recovered.
    #[serde(with = "change")]
    pub change: Change,
    /// The line that people read.
    #[serde(default)]
    pub message: String,
    /// The rule as written.
    pub rule: String,
    /// What it measures.
    #[serde(default)]
    pub measure: String,
    /// The section, for rules by section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// What was measured, in the unit of the threshold; `None` if there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The level: per second, a share, or microseconds.
    #[serde(default)]
    pub threshold: f64,
    /// The window in seconds.
    #[serde(default)]
    pub window_s: u32,
    /// What the window held.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// A jump of the log's time into the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The latest second before.
    #[serde(with = "second")]
    pub from: i64,
    /// The first second after.
    #[serde(with = "second")]
    pub to: i64,
    /// Whether the lines after it are counted.
    #[serde(default)]
    pub followed: bool,
}

/// A time without lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Its first second.
    #[serde(with = "second")]
    pub from: i64,
    /// Its last second.
    #[serde(with = "second")]
    pub to: i64,
}

/// The numbers of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `end_of_input` or `signal`.
    #[serde(default)]
    pub reason: String,
    /// Hits and bad lines.
    #[serde(default)]
    pub lines: u64,
    /// Hits that came late.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late: u64,
    /// Hits that were too late to be counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub too_late: u64,
    /// Lines that were no requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bad: u64,
}

impl Entry {
    /// The entry of an output and its second; `rules` are those of the monitor's options.
    pub fn of(output: &Output, rules: &[Rule]) -> Option<(i64, Self)> {
        Some(match output {
            Output::Point(point) if point.counts == Counts::default() => return None,
            Output::Point(point) => (point.second, Self::Second(Numbers::of(&point.counts))),
            Output::Late { second, of, counts } => {
                (*second, Self::Late(Late { of: *of, numbers: Numbers::of(counts) }))
            }
            Output::Summary(summary) => {
                let last = summary.start + i64::from(summary.seconds) - 1;
                (last, Self::Interval(Box::new(Interval::of(summary))))
            }
            Output::Alert(transition) => {
                let alert = Alert::of(transition, rules.get(transition.rule)?);
                (transition.second, Self::Alert(Box::new(alert)))
            }
            Output::JumpedBack { from, to, is_followed } => {
                (*from, Self::JumpedBack(Jump { from: *from, to: *to, followed: *is_followed }))
            }
            Output::Quiet { from, to } => (*to, Self::Quiet(Quiet { from: *from, to: *to })),
        })
    }

    /// The level of its record.
    pub fn level(&self) -> Level {
        match self {
            Self::Alert(alert) if alert.change == Change::Fired => Level::Error,
            Self::JumpedBack(_) => Level::Warn,
            _ => Level::Info,
        }
    }

    /// The entry that the data of a record holds; `None` if it is data of something else.
    ///
    /// # Errors
    ///
    /// [`EntryError`] if the data says that it is an entry and is not.
    pub fn parse(data: &str) -> Result<Option<Self>, EntryError> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow)]
            monitor: Option<Cow<'a, str>>,
        }
        // Most data of other records has no such member; what is no object has none either.
        if !data.contains("\"monitor\"") {
            return Ok(None);
        }
        match serde_json::from_str::<Tag<'_>>(data) {
            Ok(Tag { monitor: Some(_) }) => Ok(Some(serde_json::from_str(data)?)),
            _ => Ok(None),
        }
    }
}

impl Started {
    /// What a run was asked to do.
    pub fn of(sources: Vec<String>, options: &Options, resumed: bool) -> Self {
        let rule = |rule: &Rule| RuleNumbers {
            rule: rule.text.clone(),
            measure: rule.measure.to_string(),
            threshold: rule.threshold,
            window_s: rule.window_s,
        };
        let rules = options.rules.iter().map(rule).collect();
        Self { sources, interval_s: options.interval_s, rules, resumed }
    }
}

impl Ended {
    /// How a run ended.
    pub fn of(report: &Report, at_end_of_input: bool) -> Self {
        Self {
            reason: if at_end_of_input { "end_of_input" } else { "signal" }.to_owned(),
            lines: report.lines,
            late: report.late,
            too_late: report.too_late,
            bad: report.bad_count(),
        }
    }
}

impl Interval {
    fn of(summary: &Summary) -> Self {
        let quantile = |permille| summary.latencies.quantile_us(permille).map(milliseconds);
        Self {
            start: summary.start,
            seconds: summary.seconds,
            numbers: Numbers::of(&summary.counts),
            section: summary.section.as_deref().map(text),
            late: summary.late,
            bad: summary.bad,
            p50_ms: quantile(500),
            p90_ms: quantile(900),
            p99_ms: quantile(990),
            latency: summary
                .latencies
                .bins()
                .flat_map(|(bin, count)| [u64::from(bin), count])
                .collect(),
        }
    }

    /// The last second.
    pub fn last(&self) -> i64 {
        self.start.saturating_add(i64::from(self.seconds.max(1)) - 1)
    }

    /// The latencies, as far as the data holds them rightly.
    pub fn latencies(&self) -> Sketch {
        let mut sketch = Sketch::default();
        for pair in self.latency.chunks_exact(2) {
            if let [bin, count] = *pair {
                sketch.add_stored(bin, count);
            }
        }
        sketch
    }
}

impl Alert {
    fn of(transition: &Transition, rule: &Rule) -> Self {
        Self {
            change: transition.change,
            message: render::alert_text(transition, rule),
            rule: rule.text.clone(),
            measure: rule.measure.to_string(),
            section: transition.section.as_deref().map(text),
            value: transition.value,
            threshold: rule.threshold,
            window_s: rule.window_s,
            numbers: Numbers::of(&transition.counts),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn milliseconds(latency_us: u64) -> f64 {
    latency_us as f64 / 1_000.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Point;

    fn counts() -> Counts {
        Counts { hits: 3, bytes: 4_000, classes: [0, 0, 2, 0, 0, 1], ..Counts::default() }
    }

    /// Writes an output as data, compares it, and reads it back.
    fn check(output: &Output, second: i64, data: &str) {
        let rules = [Rule::high_traffic(10.0, 120)];
        let (at, entry) = Entry::of(output, &rules).unwrap();
        assert_eq!(at, second);
        assert_eq!(serde_json::to_string(&entry).unwrap(), data);
        assert_eq!(Entry::parse(data).unwrap(), Some(entry));
    }

    #[test]
    fn outputs_become_data_and_come_back() {
        let point = Point { second: 1_549_573_863, counts: counts(), late: 0 };
        check(
            &Output::Point(point),
            1_549_573_863,
            r#"{"monitor":"second","requests":3,"bytes":4000,"status":{"2xx":2,"5xx":1}}"#,
        );
        check(
            &Output::Late { second: 1_549_573_870, of: 1_549_573_863, counts: counts() },
            1_549_573_870,
            r#"{"monitor":"late","of":"2019-02-07T21:11:03Z","requests":3,"bytes":4000,"status":{"2xx":2,"5xx":1}}"#,
        );
        check(
            &Output::Alert(Transition {
                change: Change::Fired,
                rule: 0,
                section: None,
                second: 1_549_573_863,
                counts: counts(),
                value: Some(10.5),
            }),
            1_549_573_863,
            r#"{"monitor":"alert","change":"fired","message":"High traffic generated an alert - hits = 10.50 requests per second, triggered at 2019-02-07T21:11:03Z","rule":"rate > 10","measure":"rate","value":10.5,"threshold":10.0,"window_s":120,"requests":3,"bytes":4000,"status":{"2xx":2,"5xx":1}}"#,
        );
        check(
            &Output::JumpedBack { from: 60, to: 0, is_followed: true },
            60,
            r#"{"monitor":"jumped_back","from":"1970-01-01T00:01:00Z","to":"1970-01-01T00:00:00Z","followed":true}"#,
        );
        check(
            &Output::Quiet { from: 0, to: 60 },
            60,
            r#"{"monitor":"quiet","from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:01:00Z"}"#,
        );
        let empty = Point { late: 2, ..Point::default() };
        assert_eq!(Entry::of(&Output::Point(empty), &[]), None, "the late ones have their own");
    }

    #[test]
    fn intervals_keep_their_latencies() {
        let mut summary = Summary {
            start: 1_549_573_860,
            seconds: 10,
            counts: counts(),
            bad: 2,
            section: Some(b"/caf\xe9"[..].into()),
            ..Summary::default()
        };
        for latency_us in [100, 12_345, 12_345, 7_000_000] {
            summary.latencies.add(latency_us);
        }
        let latencies = summary.latencies.clone();
        let output = Output::Summary(summary);
        check(
            &output,
            1_549_573_869,
            "{\"monitor\":\"interval\",\"start\":\"2019-02-07T21:11:00Z\",\"seconds\":10,\"requests\":3,\"bytes\":4000,\"status\":{\"2xx\":2,\"5xx\":1},\"section\":\"/caf\u{fffd}\",\"bad\":2,\"p50_ms\":12.352,\"p90_ms\":6979.584,\"p99_ms\":6979.584,\"latency\":[100,1,544,2,1130,1]}",
        );
        let (_, entry) = Entry::of(&output, &[]).unwrap();
        let Entry::Interval(interval) = entry else { panic!("{entry:?}") };
        for permille in [1, 500, 900, 990, 1_000] {
            let right = latencies.quantile_us(permille);
            assert_eq!(interval.latencies().quantile_us(permille), right);
        }
        assert_eq!(interval.last(), 1_549_573_869);
    }

    #[test]
    fn other_data_is_no_entry_and_wrong_data_is_told() {
        for data in [
            "{}",
            "[1]",
            "\"monitor\"",
            r#"{"message":"monitor"}"#,
            r#"{"monitor":7}"#,
            r#"{"monitor":null,"requests":1}"#,
            r#"{"a":{"monitor":"second"}}"#,
            "",
        ] {
            assert_eq!(Entry::parse(data).unwrap(), None, "{data}");
        }
        for data in [
            r#"{"monitor":"second","requests":-1}"#,
            r#"{"monitor":"second","requests":1e30}"#,
            r#"{"monitor":"late","requests":1}"#,
            r#"{"monitor":"late","of":"yesterday"}"#,
            r#"{"monitor":"alert","change":"exploded","rule":"rate > 1"}"#,
        ] {
            assert!(Entry::parse(data).is_err(), "{data}");
        }
        let newer = Entry::parse(r#"{"monitor":"weather","sun":1}"#).unwrap();
        assert_eq!(newer, Some(Entry::Unknown));
        let more = Entry::parse(r#"{"monitor":"second","requests":1,"moon":[1]}"#).unwrap();
        assert_eq!(more, Some(Entry::Second(Numbers { requests: 1, ..Numbers::default() })));
    }

    #[test]
    fn bins_beyond_all_latencies_are_passed_over() {
        let data = r#"{"monitor":"interval","start":"2019-02-07T21:11:00Z","seconds":10,"latency":[3776,1,18446744073709551615,1,100,18446744073709551615,100,18446744073709551615,7]}"#;
        let Some(Entry::Interval(interval)) = Entry::parse(data).unwrap() else { panic!() };
        assert_eq!(interval.latencies().quantile_us(500), Some(100));
    }
}
