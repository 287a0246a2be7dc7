//! The past of the traffic as a store keeps it: a table for people, an object for programs, and a page
//! with the graph.

mod graph;
mod html;
mod json;

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use logq_monitor::render;
use logq_monitor::series::{AlertSpan, Bar, History};

pub(crate) use self::html::page;
pub(crate) use self::json::json;
use crate::output::escape;

/// What is shown.
pub(crate) struct Past<'a> {
    /// In many short bars.
    pub(crate) graph: &'a History,
    /// In few longer ones.
    pub(crate) table: &'a History,
    pub(crate) zone: &'a TimeZone,
}

impl Past<'_> {
    /// A second as it is printed, and as `--since` takes it.
    fn time(&self, second: i64) -> String {
        let time = jiff::Timestamp::from_second(second).ok();
        let time = time.map(|time| time.to_zoned(self.zone.clone()));
        let shown = time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
        shown.unwrap_or_else(|| format!("@{second}"))
    }

    /// How far the zone is ahead of UTC at a second.
    fn offset_s(&self, second: i64) -> i64 {
        let time = jiff::Timestamp::from_second(second).ok();
        time.map_or(0, |time| i64::from(self.zone.to_offset(time).seconds()))
    }

    /// A second for an axis: no more than tells neighbours apart.
    fn short_time(&self, second: i64, span_s: i64) -> String {
        let format = match span_s {
            ..=600 => "%H:%M:%S",
            601..=86_400 => "%H:%M",
            86_401..=604_800 => "%a %H:%M",
            _ => "%Y-%m-%d",
        };
        let time = jiff::Timestamp::from_second(second).ok();
        let time = time.map(|time| time.to_zoned(self.zone.clone()));
        time.map_or_else(|| format!("@{second}"), |time| time.strftime(format).to_string())
    }
}

/// The cells of a row beside its time, in the order of [`COLUMNS`].
fn cells(bar: &Bar) -> [String; 11] {
    if bar.covered_s == 0 && bar.counts.hits == 0 {
        return std::array::from_fn(|_| "-".to_owned());
    }
    let [_, _, c2, c3, c4, c5] = bar.counts.classes;
    let quantile = |permille| render::latency(bar.latencies.quantile_us(permille));
    [
        bar.counts.hits.to_string(),
        format!("{:.2}", bar.rate()),
        bar.peak.to_string(),
        format!("{:.0}", bar.counts.mean_bytes()),
        c2.to_string(),
        c3.to_string(),
        c4.to_string(),
        c5.to_string(),
        quantile(500),
        quantile(990),
        bar.bad.to_string(),
    ]
}

/// What the cells are.
const COLUMNS: [&str; 11] = [
    "requests",
    "per second",
    "peak",
    "mean bytes",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "p50",
    "p99",
    "bad",
];

/// The table: a row for each bar, the sum, and the alerts.
pub(crate) fn text(past: &Past<'_>) -> String {
    let Some((first, last)) = past.table.range() else {
        return "Nothing was watched in this time.\n".to_owned();
    };
    let bars = past.table.bars();
    let mut rows = vec![(String::from("time"), COLUMNS.map(str::to_owned))];
    rows.extend(bars.iter().map(|bar| (past.time(bar.start.max(first)), cells(bar))));
    rows.push(("total".to_owned(), cells(&past.table.total())));
    let widths: [usize; 11] = std::array::from_fn(|column| {
        let width = |(_, cells): &(String, [String; 11])| cells.get(column).map_or(0, String::len);
        rows.iter().map(width).max().unwrap_or(0)
    });
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} to {}, {} for a row",
        past.time(first),
        past.time(last),
        length(i64::from(past.table.step_s()))
    );
    for (time, cells) in &rows {
        let _ = write!(text, "{time:<19}");
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    for span in past.table.alerts() {
        let _ = writeln!(text, "{}", escape::for_terminal_lines(&alert(past, span)));
    }
    text
}

/// When an alert fired, how long, and what it was.
fn alert(past: &Past<'_>, span: &AlertSpan) -> String {
    let section = span.section.as_deref().map_or(String::new(), |section| format!(" in {section}"));
    let what = format!("{}{section}", span.rule);
    let value = span.fired.as_ref().and_then(|alert| Some((alert.measure.as_str(), alert.value?)));
    let value =
        value.map_or(String::new(), |(measure, value)| format!(" ({})", measured(measure, value)));
    match (span.from, span.to, &span.recovered) {
        (Some(from), Some(to), Some(_)) => {
            let (length, from, to) = (length(to - from), past.time(from), past.time(to));
            format!("alert {from} to {to}, {length}: {what}{value}")
        }
        (Some(from), Some(to), None) => {
            let (from, to) = (past.time(from), past.time(to));
            format!("alert {from}, watched until {to} without recovery: {what}{value}")
        }
        (Some(from), None, _) => format!("alert {}, still firing: {what}{value}", past.time(from)),
        (None, Some(to), _) => format!("alert before this time, until {}: {what}", past.time(to)),
        (None, None, _) => format!("alert: {what}"),
    }
}

/// A value of a measure.
fn measured(measure: &str, value: f64) -> String {
    if measure.ends_with("ratio") {
        format!("{:.2}%", value * 100.0)
    } else if measure.ends_with("rate") {
        format!("{value:.2} per second")
    } else {
        format!("{:.1} ms", value / 1_000.0)
    }
}

/// A length of time.
fn length(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 if seconds % 60 == 0 => format!("{}m", seconds / 60),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        _ => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}
