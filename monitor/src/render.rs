//! Outputs as lines of text, worded as in the seed and safe for a terminal.
//!
//! | when | line |
//! |---|---|
//! | start | `INFO Start monitoring <path>` |
//! | interval | `INFO <time of last line>` TAB `<mean bytes>` TAB `<most hit section>` TAB `<more>` |
//! | alert | `ERROR High traffic generated an alert - hits = <rate> requests per second, triggered at <time>` |
//! | recovery | `SUCCESS Traffic has stabilized - hits = <rate> requests per second, recovered at <time>` |
//! | end | `WARNING End of file has been reached.` |
//!
//! [`Style::SEED`] prints just that, with times in seconds since the epoch. [`Style::FULL`] prints
//! times as `--since` takes them, and more: behind the third TAB of a summary
//! `n= rps= 2xx= 3xx= 4xx= 5xx= p50= p99= late= bad=` and `partial` where the input ended first, and
//! behind a TAB of an alert the hits in its window.

use std::fmt::{self, Write as _};

use logq_format::Timestamp;

use crate::alert::Change;
use crate::escape;
use crate::interval::Summary;
use crate::output::{Output, Transition};
use crate::report::Report;
use crate::rule::{Measure, Rule, Side};
use crate::top::TopList;

/// How much is said, and how times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether there is more than the seed said.
    pub is_extended: bool,
    /// Whether times are seconds since the epoch.
    pub is_epoch: bool,
}

impl Style {
    /// Everything, with times in RFC 3339, UTC.
    pub const FULL: Self = Self { is_extended: true, is_epoch: false };
    /// Exactly the seed's columns.
    pub const SEED: Self = Self { is_extended: false, is_epoch: true };
}

/// What a line begins with. The seed colours the background of it: blue, green, bright yellow, red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Blue.
    Info,
    /// Green.
    Success,
    /// Bright yellow.
    Warning,
    /// Red.
    Error,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Success => "SUCCESS",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        })
    }
}

/// A line of text without its line feed; its `Display` is label, space, text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it begins with.
    pub label: Label,
    /// What it says, safe for a terminal.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.label, self.text)
    }
}

/// The first line.
pub fn started(path: &str) -> Line {
    let text = format!("Start monitoring {}", escape::text(path.as_bytes()));
    Line { label: Label::Info, text }
}

/// The last line.
pub fn ended() -> Line {
    Line { label: Label::Warning, text: "End of file has been reached.".to_owned() }
}

/// The line of an output, if it has one; `rules` are those of the monitor's options.
pub fn output(output: &Output, rules: &[Rule], style: Style) -> Option<Line> {
    let time = |second| time(second, style);
    Some(match output {
        Output::Point(_) | Output::Late { .. } => return None,
        Output::Summary(summary) => self::summary(summary, style),
        Output::Alert(transition) => alert(transition, rules.get(transition.rule)?, style),
        Output::JumpedBack { from, to, is_followed } => {
            let then = if *is_followed { "counting anew" } else { "lines are too late" };
            let text = format!("Time jumped back from {} to {}: {then}", time(*from), time(*to));
            Line { label: Label::Warning, text }
        }
        Output::Quiet { from, to } => {
            let text = format!("No requests from {} to {}", time(*from), time(*to));
            Line { label: Label::Info, text }
        }
    })
}

/// Text from a log, safe for a terminal: whatever is not plainly printable is shown as an escape
/// sequence, `\u{1b}`, and bytes that are no UTF-8 as `\xff`.
pub fn text(bytes: &[u8]) -> String {
    escape::text(bytes)
}

/// A second as text.
pub fn time(second: i64, style: Style) -> String {
    if style.is_epoch {
        return second.to_string();
    }
    let text = Timestamp::from_micros(second.saturating_mul(1_000_000)).to_string();
    text.replace(".000000Z", "Z")
}

fn summary(summary: &Summary, style: Style) -> Line {
    let section = summary.section.as_deref().unwrap_or(b"-");
    let mean = summary.counts.mean_bytes();
    let time = time(summary.last, style);
    let mut text = format!("{time}\t{mean:.2}\t{}", escape::text(section));
    if style.is_extended {
        let [_, _, c2, c3, c4, c5] = summary.counts.classes;
        let (n, rps) = (summary.counts.hits, summary.rate());
        let quantile = |permille| latency(summary.latencies.quantile_us(permille));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\tn={n} rps={rps:.2} 2xx={c2} 3xx={c3} 4xx={c4} 5xx={c5} p50={} p99={} late={} bad={}",
            quantile(500),
            quantile(990),
            summary.late,
            summary.bad,
        );
        for (name, count) in
            [("unanswered", summary.counts.unanswered), ("orphans", summary.counts.orphans)]
        {
            if count > 0 {
                let _ = write!(text, " {name}={count}");
            }
        }
        text.push_str(if summary.is_partial { " partial" } else { "" });
    }
    Line { label: Label::Info, text }
}

fn alert(transition: &Transition, rule: &Rule, style: Style) -> Line {
    let label = match transition.change {
        Change::Fired => Label::Error,
        Change::Recovered => Label::Success,
    };
    let mut text = alert_words(transition, rule, style);
    if style.is_extended {
        // Writing to a String cannot fail.
        let _ = write!(text, "\tn={} window={}s", transition.counts.hits, rule.window_s);
    }
    Line { label, text }
}

/// What an alert's line says, without the label: safe for a terminal.
pub fn alert_text(transition: &Transition, rule: &Rule) -> String {
    alert_words(transition, rule, Style::FULL)
}

fn alert_words(transition: &Transition, rule: &Rule, style: Style) -> String {
    let verb = match transition.change {
        Change::Fired => "triggered",
        Change::Recovered => "recovered",
    };
    let value = value(rule.measure, transition.value);
    let time = time(transition.second, style);
    let is_seeds = rule.measure == Measure::Rate && rule.side == Side::Above && !rule.by_section;
    let mut text = match (is_seeds, transition.change) {
        (true, Change::Fired) => {
            format!("High traffic generated an alert - hits = {value} requests per second")
        }
        (true, Change::Recovered) => {
            format!("Traffic has stabilized - hits = {value} requests per second")
        }
        (false, change) => {
            let what = if change == Change::Fired { "Alert" } else { "Recovered" };
            let rule_text = escape::text(rule.text.as_bytes());
            let section = transition.section.as_deref().map(escape::text);
            let section = section.map_or(String::new(), |section| format!(" in {section}"));
            format!("{what}: {rule_text}{section} - {} = {value}", rule.measure)
        }
    };
    // Writing to a String cannot fail.
    let _ = write!(text, ", {verb} at {time}");
    text
}

/// A value in the unit of its measure, `-` if there was nothing to measure.
pub fn value(measure: Measure, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match measure {
        Measure::Rate | Measure::ErrorRate | Measure::UnansweredRate | Measure::OrphanRate => {
            format!("{value:.2}")
        }
        Measure::ErrorRatio | Measure::ClientErrorRatio => format!("{:.2}%", value * 100.0),
        Measure::ByteRate => format!("{value:.0} bytes per second"),
        Measure::Latency { .. } => milliseconds(value),
    }
}

/// A latency as text, `-` if there is none.
pub fn latency(latency_us: Option<u64>) -> String {
    latency_us.map_or("-".to_owned(), |us| milliseconds(us as f64))
}

fn milliseconds(latency_us: f64) -> String {
    if latency_us >= 1e6 {
        format!("{:.2}s", latency_us / 1e6)
    } else {
        format!("{:.1}ms", latency_us / 1e3)
    }
}

/// The lines of a list: count, share, key; a count that may be too high says by how much.
pub fn list(name: &str, list: &TopList) -> Vec<String> {
    let share = |count: u64| count as f64 * 100.0 / list.total.max(1) as f64;
    let line = |count: u64, error: u64, key: &str| {
        let error = if error > 0 { format!(" (-{error})") } else { String::new() };
        format!("  {name}\t{count}{error}\t{:.1}%\t{key}", share(count))
    };
    let entries = list.entries.iter().map(|e| line(e.count, e.error, &escape::text(&e.key)));
    let other = (list.other > 0).then(|| line(list.other, 0, "(other)"));
    entries.chain(other).collect()
}

/// What was wrong in a run, one line each; none if nothing was.
pub fn report(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for bad in report.bad() {
        let noun = if bad.count == 1 { "line" } else { "lines" };
        lines.push(format!("{} {noun} skipped: {}", bad.count, bad.reason));
        for example in &bad.examples {
            let source = escape::text(example.source.as_bytes());
            let (line, column) = (example.line, example.at + 1);
            let excerpt = escape::text(&example.excerpt);
            lines.push(format!("  {source}, line {line}, column {column}: {excerpt}"));
        }
    }
    let counts = &report.counts;
    for (count, one, many, strays) in [
        (
            counts.unanswered,
            "request was given up without a response",
            "requests were given up without a response",
            &[][..],
        ),
        (
            counts.orphans,
            "response came without its request",
            "responses came without their requests",
            &[],
        ),
        (
            report.late,
            "line came after its second was closed",
            "lines came after their second was closed",
            &[],
        ),
        (
            report.too_late,
            "line was older than anything that is remembered, and not counted",
            "lines were older than anything that is remembered, and not counted",
            report.first_too_late(),
        ),
        (
            report.quarantined,
            "line had a time far ahead of all others, and was not counted",
            "lines had a time far ahead of all others, and were not counted",
            report.first_quarantined(),
        ),
        (
            report.left_behind,
            "time a source was left behind by the others",
            "times a source was left behind by the others",
            &[],
        ),
    ] {
        match count {
            0 => continue,
            1 => lines.push(format!("1 {one}")),
            _ => lines.push(format!("{count} {many}")),
        }
        let shown = strays.iter().filter(|stray| stray.line > 0);
        lines.extend(shown.map(|stray| {
            let (source, line) = (escape::text(stray.source.as_bytes()), stray.line);
            format!("  {source}, line {line}: {}", time(stray.second, Style::FULL))
        }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Counts;
    use crate::report::BadLine;
    use crate::top::TopEntry;

    fn counts() -> Counts {
        Counts { hits: 3, bytes: 4_000, classes: [0, 0, 2, 0, 0, 1], ..Counts::default() }
    }

    fn summary() -> Output {
        let mut summary = Summary {
            start: 1_549_573_860,
            seconds: 4,
            is_partial: true,
            last: 1_549_573_863,
            counts: counts(),
            late: 1,
            bad: 2,
            section: Some(b"/api\x1b[2J"[..].into()),
            ..Summary::default()
        };
        summary.latencies.add(12_345);
        Output::Summary(summary)
    }

    fn transition(change: Change, section: Option<&[u8]>, value: f64) -> Output {
        Output::Alert(Transition {
            change,
            rule: 0,
            section: section.map(Into::into),
            second: 1_549_573_863,
            counts: counts(),
            value: Some(value),
        })
    }

    fn check(shown: &Output, rule: &str, style: Style, expected: &str) {
        let rules = [Rule::parse(rule, 120).unwrap()];
        assert_eq!(output(shown, &rules, style).unwrap().to_string(), expected);
    }

    #[test]
    fn lines_are_worded_as_in_the_seed() {
        assert_eq!(started("a\u{7}.csv").to_string(), "INFO Start monitoring a\\u{7}.csv");
        assert_eq!(ended().to_string(), "WARNING End of file has been reached.");
        check(&summary(), "rate > 10", Style::SEED, "INFO 1549573863\t1333.33\t/api\\u{1b}[2J");
        check(
            &transition(Change::Fired, None, 10.0 + 1.0 / 120.0),
            "rate > 10",
            Style::SEED,
            "ERROR High traffic generated an alert - hits = 10.01 requests per second, triggered at 1549573863",
        );
        check(
            &transition(Change::Recovered, None, 9.5),
            "rate > 10",
            Style::SEED,
            "SUCCESS Traffic has stabilized - hits = 9.50 requests per second, recovered at 1549573863",
        );
    }

    #[test]
    fn more_is_said_behind_what_the_seed_says() {
        check(
            &summary(),
            "rate > 10",
            Style::FULL,
            "INFO 2019-02-07T21:11:03Z\t1333.33\t/api\\u{1b}[2J\tn=3 rps=0.75 2xx=2 3xx=0 4xx=0 5xx=1 p50=12.4ms p99=12.4ms late=1 bad=2 partial",
        );
        check(
            &transition(Change::Fired, Some(b"/a\n"), 0.0612),
            "error_ratio > 5% by section",
            Style::FULL,
            "ERROR Alert: error_ratio > 5% by section in /a\\n - error_ratio = 6.12%, triggered at 2019-02-07T21:11:03Z\tn=3 window=120s",
        );
        check(
            &transition(Change::Recovered, None, 1_500_000.0),
            "p99 > 2s",
            Style::SEED,
            "SUCCESS Recovered: p99 > 2s - p99 = 1.50s, recovered at 1549573863",
        );
        check(
            &Output::JumpedBack { from: 10, to: 5, is_followed: true },
            "rate > 1",
            Style::SEED,
            "WARNING Time jumped back from 10 to 5: counting anew",
        );
        check(
            &Output::Quiet { from: 0, to: 59 },
            "rate > 1",
            Style::FULL,
            "INFO No requests from 1970-01-01T00:00:00Z to 1970-01-01T00:00:59Z",
        );
    }

    #[test]
    fn lists_show_what_they_do_not_list() {
        let entry = |key: &[u8], count, error| TopEntry { key: key.into(), count, error };
        let entries = vec![entry(b"/a", 60, 0), entry(b"\x9b1m", 30, 5)];
        let shown = list("section", &TopList { entries, total: 100, other: 10 });
        assert_eq!(
            shown,
            [
                "  section\t60\t60.0%\t/a",
                "  section\t30 (-5)\t30.0%\t\\x9b1m",
                "  section\t10\t10.0%\t(other)"
            ]
        );
    }

    #[test]
    fn the_report_shows_the_first_bad_lines_of_each_reason() {
        let mut numbers = Report::default();
        numbers.late = 7;
        for line in 1..=9 {
            let reason = if line == 4 { crate::Reason::TooLong } else { crate::Reason::BadTime };
            numbers.add_bad("a.log", &BadLine { line, reason, at: 3, excerpt: b"x\x1by" });
        }
        let shown = report(&numbers);
        assert_eq!(shown.len(), 2 + 1 + 5 + 1);
        assert_eq!(shown[0], "1 line skipped: longer than the limit for lines");
        assert_eq!(shown[1], "  a.log, line 4, column 4: x\\u{1b}y");
        assert!(shown[2].starts_with("8 lines skipped: not a time"));
        assert_eq!(shown[8], "7 lines came after their second was closed");
    }
}
