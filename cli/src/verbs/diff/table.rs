//! Two profiles side by side.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use logq_format::{Level, Timestamp};
use serde_json::{Value, json};

use super::profile::{Profile, Trouble};
use crate::output::{escape, zoned_time};

/// The quantiles that are compared, of a thousand.
const QUANTILES: [(&str, u16); 4] = [("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990)];

/// What is different between two ranges.
pub(super) struct Difference<'p> {
    pub(super) a: &'p Profile,
    pub(super) b: &'p Profile,
    /// The most errors listed.
    pub(super) lines: usize,
}

/// A line of the table.
struct Line {
    name: String,
    a: Option<f64>,
    b: Option<f64>,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    PerSecond,
    Share,
    Millis,
}

impl Difference<'_> {
    /// A table for people.
    pub(super) fn page(&self, zone: &TimeZone) -> String {
        let mut page = String::new();
        for (name, profile) in [("a", self.a), ("b", self.b)] {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{name}  {}", interval(profile, zone));
        }
        let _ = writeln!(page, "\n{:<16}{:>14}{:>14}  change", "", "a", "b");
        for line in self.table() {
            line.write(&mut page);
        }
        self.write_errors(&mut page, "new errors", self.b.without(self.a), self.b.others);
        self.write_errors(&mut page, "errors gone", self.a.without(self.b), self.a.others);
        page
    }

    fn table(&self) -> Vec<Line> {
        let (a, b) = (self.a, self.b);
        let mut lines = Vec::new();
        let mut line = |name: &str, unit, value: &dyn Fn(&Profile) -> Option<f64>| {
            lines.push(Line { name: name.to_owned(), a: value(a), b: value(b), unit });
        };
        line("records", Unit::Count, &|p| Some(p.records as f64));
        line("records/s", Unit::PerSecond, &|p| p.rate(p.records));
        line("requests/s", Unit::PerSecond, &|p| p.rate(p.requests));
        line("errors/s", Unit::PerSecond, &|p| p.rate(p.at_least(Level::Error)));
        line("warnings/s", Unit::PerSecond, &|p| {
            p.rate(p.levels.get(&Level::Warn).copied().unwrap_or(0))
        });
        for hundred in 1..=5 {
            let is_there = |p: &Profile| p.share(hundred).is_some_and(|share| share > 0.0);
            if is_there(a) || is_there(b) {
                line(&format!("status {hundred}xx"), Unit::Share, &|p| p.share(hundred));
            }
        }
        for (name, permille) in QUANTILES {
            line(&format!("latency {name}"), Unit::Millis, &|p| p.quantile_ms(permille));
        }
        lines
    }

    fn write_errors(
        &self,
        page: &mut String,
        title: &str,
        errors: Vec<(&(Level, String), Trouble)>,
        others: u64,
    ) {
        let _ = writeln!(page, "\n{title}: {}", errors.len());
        for ((level, print), trouble) in errors.iter().take(self.lines) {
            let print = escape::for_terminal_lines(print).replace('\n', " ");
            let _ = writeln!(page, "{:>12} {:<8} {print}", trouble.count, level.as_str());
        }
        let more = errors.len().saturating_sub(self.lines);
        if more > 0 {
            let _ = writeln!(page, "{more:>12} more; -n {} lists them", errors.len());
        }
        if others > 0 {
            let _ = writeln!(page, "{others:>12} records with messages of their own, not compared");
        }
    }

    /// The same for programs.
    pub(super) fn object(&self) -> String {
        let errors = |errors: Vec<(&(Level, String), Trouble)>| {
            let error = |((level, print), trouble): &(&(Level, String), Trouble)| {
                json!({
                    "fingerprint": print,
                    "level": level.as_str(),
                    "count": trouble.count,
                    "first": trouble.first.to_string(),
                })
            };
            errors.iter().take(self.lines).map(error).collect::<Vec<_>>()
        };
        let object = json!({
            "a": side(self.a),
            "b": side(self.b),
            "newErrors": errors(self.b.without(self.a)),
            "goneErrors": errors(self.a.without(self.b)),
        });
        format!("{object}\n")
    }
}

fn interval(profile: &Profile, zone: &TimeZone) -> String {
    let Some((from, to)) = profile.span.or(profile.asked) else { return String::new() };
    let note = match (profile.span, profile.asked) {
        (None, _) => "; the store has nothing of it".to_owned(),
        (span, asked) if span != asked => "; the rest is not in the store".to_owned(),
        _ => String::new(),
    };
    let (from, to) = (zoned_time(from, zone), zoned_time(to, zone));
    format!("{from} to {to}, {} s{note}", profile.seconds())
}

fn side(profile: &Profile) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let levels = profile.levels.iter().map(|(level, n)| (level.as_str().to_owned(), json!(n)));
    let statuses = profile.statuses.iter().map(|(status, n)| (status.to_string(), json!(n)));
    let quantiles =
        QUANTILES.map(|(name, permille)| (name.to_owned(), profile.quantile_ms(permille)));
    let quantiles = quantiles.into_iter().map(|(name, value)| (name, json!(value)));
    json!({
        "since": time(profile.asked.map(|(since, _)| since)),
        "until": time(profile.asked.map(|(_, until)| until)),
        "from": time(profile.span.map(|(from, _)| from)),
        "to": time(profile.span.map(|(_, to)| to)),
        "seconds": profile.seconds(),
        "records": profile.records,
        "requests": profile.requests,
        "recordsPerSecond": profile.rate(profile.records),
        "requestsPerSecond": profile.rate(profile.requests),
        "errorsPerSecond": profile.rate(profile.at_least(Level::Error)),
        "levels": levels.collect::<Value>(),
        "statusCodes": statuses.collect::<Value>(),
        "durationMs": quantiles.collect::<Value>(),
    })
}

impl Line {
    fn write(&self, page: &mut String) {
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| self.unit.text(value));
        let (a, b) = (cell(self.a), cell(self.b));
        let line = format!("{:<16}{a:>14}{b:>14}  {}", self.name, self.change());
        let _ = writeln!(page, "{}", line.trim_end());
    }

    /// How much more or less it is: of shares in percentage points, of the rest in percent.
    fn change(&self) -> String {
        let Some((a, b)) = self.a.zip(self.b) else { return String::new() };
        let (difference, unit) = match self.unit {
            Unit::Share => ((b - a) * 100.0, " points"),
            _ if a == 0.0 && b == 0.0 => (0.0, " %"),
            _ if a == 0.0 => return "\u{2191} from nothing".to_owned(),
            _ => ((b / a - 1.0) * 100.0, " %"),
        };
        match difference {
            _ if difference.abs() < 0.05 => "=".to_owned(),
            _ if difference > 0.0 => format!("\u{2191} {difference:.1}{unit}"),
            _ => format!("\u{2193} {:.1}{unit}", -difference),
        }
    }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.3}"),
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Millis => format!("{value:.3} ms"),
        }
    }
}
