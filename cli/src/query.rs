//! `logq [OPTIONS] [STORE...]`: records, or counts of them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use logq_format::{LevelSet, Timestamp, TypeSet};
use logq_reader::{Field, Filter, Order, Query, Report, Row, Snapshot, Tally, Value};
use logq_writer::{Clock, SystemClock};

use crate::args::{ByField, Format, QueryArguments};
use crate::exit::Exit;
use crate::marks::StoreMarks;
use crate::output::Printer;
use crate::selection::{self, Grep, Lines, Types};
use crate::when;

/// Answers the question on the command line.
pub(crate) fn run(arguments: &QueryArguments) -> anyhow::Result<Exit> {
    let stores = stores(&arguments.stores);
    // What can be wrong with the words is said before any file is touched.
    let zone = zone(arguments.zone.as_deref(), arguments.utc)?;
    let selection = Selection::new(arguments)?;
    let snapshot = Snapshot::open(&stores)?;
    let range = Range::new(arguments, &zone, &snapshot)?;

    let predicate = |row: &Row<'_>| selection.matches(row);
    let filter = selection.filter(&predicate);
    let query = Query { since: range.since, until: range.until, filter, ..Query::default() };
    let (found, report) = match (arguments.count, arguments.by) {
        (true, _) => count(&snapshot, &query, arguments.output)?,
        (false, Some(by)) => tally(&snapshot, &query, by, arguments.output)?,
        (false, None) => {
            let format = arguments.output;
            let printer = Printer::new(format, arguments.color, zone, arguments.verbose);
            let lines = arguments.lines.as_deref().map_or(Ok(Lines::All), Lines::new)?;
            print(&snapshot, query, &printer, lines, arguments.reverse)?
        }
    };
    if !arguments.quiet {
        tell_what_is_incomplete(&report);
    }
    Ok(exit(found, &report, &range))
}

/// The stores to ask: those named, else `LOGQ_DIR`, else the current directory.
pub(crate) fn stores(named: &[PathBuf]) -> Cow<'_, [PathBuf]> {
    if !named.is_empty() {
        return Cow::Borrowed(named);
    }
    let default = std::env::var_os("LOGQ_DIR").filter(|path| !path.is_empty());
    Cow::Owned(vec![default.map_or_else(|| PathBuf::from("."), PathBuf::from)])
}

/// The zone of `--tz` or `--utc`, else of `LOGQ_TZ`, else the system's, which follows `TZ`.
pub(crate) fn zone(flag: Option<&str>, utc: bool) -> anyhow::Result<TimeZone> {
    if utc {
        return Ok(TimeZone::UTC);
    }
    let environment = std::env::var("LOGQ_TZ").ok().filter(|zone| !zone.is_empty());
    let system = TimeZone::system();
    match flag.or(environment.as_deref()) {
        Some(text) => Ok(when::parse_zone(text, &system)?),
        None => Ok(system),
    }
}

/// The half-open interval that `--since` and `--until`, `--in` or `--around` name.
struct Range {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Range {
    fn new(
        arguments: &QueryArguments,
        zone: &TimeZone,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Self> {
        let marks = StoreMarks::new(snapshot);
        let now = SystemClock.now();
        let context = |since| when::Context { now, zone: zone.clone(), since, marks: Some(&marks) };
        if let Some(text) = &arguments.within {
            let interval = when::parse_interval(text, &context(None))?;
            return Ok(Self { since: Some(interval.start), until: Some(interval.end) });
        }
        if let Some(text) = &arguments.around {
            let middle = when::parse_instant(text, &context(None))?;
            let window = when::parse_duration(&arguments.window)?;
            let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            let since = Some(middle.saturating_add_micros(-micros));
            return Ok(Self { since, until: Some(middle.saturating_add_micros(micros)) });
        }
        let instant = |text: &Option<String>, since| {
            text.as_deref().map(|text| when::parse_instant(text, &context(since))).transpose()
        };
        let since = instant(&arguments.since, None)?;
        let until = instant(&arguments.until, since)?;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            anyhow::bail!("--since {since} is after --until {until}: the interval is empty");
        }
        Ok(Self { since, until })
    }

    /// Whether the store's records cover the interval: none of it lies before the first record or
    /// after what is final. An end that is not named is the end of what there is.
    fn is_covered(&self, report: &Report) -> bool {
        let coverage = &report.coverage;
        let begins = match (self.since, coverage.first) {
            (Some(since), Some(first)) => since >= first,
            (Some(_), None) => false,
            (None, _) => true,
        };
        // Where no writer is left, the store tells nothing about what came after its last record.
        let end = match coverage.watermark {
            Some(Timestamp::MAX) => coverage.last.map(|last| last.saturating_add_micros(1)),
            watermark => watermark,
        };
        let ends = self.until.is_none_or(|until| end.is_some_and(|end| until <= end));
        begins && ends
    }
}

/// Which records are wanted, apart from time.
struct Selection {
    levels: LevelSet,
    types: Option<Types>,
    workers: Option<Vec<Option<logq_format::WorkerId>>>,
    requests: Option<Vec<logq_format::RequestId>>,
    grep: Option<Grep>,
}

impl Selection {
    fn new(arguments: &QueryArguments) -> anyhow::Result<Self> {
        let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        Ok(Self {
            levels: arguments.level.as_deref().map_or(Ok(LevelSet::ALL), selection::levels)?,
            types: some(&arguments.types).map(|names| Types::new(&names)).transpose()?,
            workers: some(&arguments.workers)
                .map(|names| selection::workers(&names))
                .transpose()?,
            requests: some(&arguments.requests).map(|ids| selection::requests(&ids)).transpose()?,
            grep: arguments.grep.as_deref().map(Grep::new).transpose()?,
        })
    }

    fn filter<'q>(&self, predicate: &'q (dyn Fn(&Row<'_>) -> bool + Sync)) -> Filter<'q> {
        let partial = self.types.as_ref().is_some_and(Types::is_partial);
        Filter {
            levels: self.levels,
            types: self.types.as_ref().map_or(TypeSet::ALL, |types| types.set),
            workers: self.workers.clone(),
            requests: self.requests.clone(),
            predicate: (partial || self.grep.is_some()).then_some(predicate),
        }
    }

    /// The part of the question that needs the whole record.
    fn matches(&self, row: &Row<'_>) -> bool {
        let Ok(record) = row.record() else { return false };
        let wanted = |types: &Types| types.matches(row.record_type(), record.event_name());
        self.types.as_ref().is_none_or(wanted)
            && self.grep.as_ref().is_none_or(|grep| grep.matches(&record))
    }
}

/// Prints records and answers whether there were any.
fn print(
    snapshot: &Snapshot,
    mut query: Query<'_>,
    printer: &Printer,
    lines: Lines,
    reverse: bool,
) -> anyhow::Result<(bool, Report)> {
    // The newest N are found from the end, the oldest N from the beginning; where that is not the
    // order they are to be printed in, the N lines are kept and turned around.
    let (order, limit) = match lines {
        Lines::All if reverse => (Order::Descending, None),
        Lines::All => (Order::Ascending, None),
        Lines::Newest(limit) => (Order::Descending, Some(limit)),
        Lines::Oldest(limit) => (Order::Ascending, Some(limit)),
    };
    (query.order, query.limit) = (order, limit);
    let turn = limit.is_some() && (order == Order::Descending) != reverse;

    let mut out = Output::new();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let render = |rows: &logq_reader::Rows<'_>| {
        let mut text = Vec::with_capacity(rows.len() * 256);
        if turn {
            rows.iter().rev().for_each(|row| printer.print(&row, &mut text));
        } else {
            rows.iter().for_each(|row| printer.print(&row, &mut text));
        }
        text
    };
    let report = snapshot.scan(&query, render, |text| {
        if turn {
            kept.push(text);
            return ControlFlow::Continue(());
        }
        out.write(&text)
    })?;
    for text in kept.into_iter().rev() {
        if out.write(&text).is_break() {
            break;
        }
    }
    let found = out.finish()?;
    Ok((found, report))
}

/// Standard output, remembering the first failure and whether anything was written.
struct Output {
    stdout: io::StdoutLock<'static>,
    failure: Option<io::Error>,
    written: bool,
}

impl Output {
    fn new() -> Self {
        Self { stdout: io::stdout().lock(), failure: None, written: false }
    }

    fn write(&mut self, text: &[u8]) -> ControlFlow<()> {
        self.written |= !text.is_empty();
        match self.stdout.write_all(text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(mut self) -> anyhow::Result<bool> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.stdout.flush(),
        }
        .context("cannot write to standard output")?;
        Ok(self.written)
    }
}

fn count(snapshot: &Snapshot, query: &Query<'_>, format: Format) -> anyhow::Result<(bool, Report)> {
    let (count, report) = snapshot.count(query)?;
    let text = match format {
        Format::Json => format!("{{\"count\":{count}}}\n"),
        Format::Short | Format::Cat => format!("{count}\n"),
    };
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    out.finish()?;
    Ok((count > 0, report))
}

fn tally(
    snapshot: &Snapshot,
    query: &Query<'_>,
    by: ByField,
    format: Format,
) -> anyhow::Result<(bool, Report)> {
    let field = match by {
        ByField::Level => Field::Level,
        ByField::Type => Field::Type,
        ByField::StatusCode => Field::StatusCode,
        ByField::WorkerId => Field::WorkerId,
    };
    let (tally, report) = snapshot.tally(query, field)?;
    let mut text = Vec::new();
    for (value, count) in merged(&tally) {
        match format {
            Format::Json => {
                let object = match by {
                    ByField::Level => serde_json::json!({ "level": value, "count": count }),
                    ByField::Type => serde_json::json!({ "type": value, "count": count }),
                    ByField::StatusCode => {
                        serde_json::json!({ "statusCode": value, "count": count })
                    }
                    ByField::WorkerId => serde_json::json!({ "workerId": value, "count": count }),
                };
                text.extend_from_slice(object.to_string().as_bytes());
                text.push(b'\n');
            }
            Format::Short | Format::Cat => {
                let name = match value {
                    serde_json::Value::String(name) => name,
                    serde_json::Value::Null => "master".to_owned(),
                    other => other.to_string(),
                };
                // Writing to a vector cannot fail.
                let _ = writeln!(text, "{count:>12} {name}");
            }
        }
    }
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(&text);
    out.finish()?;
    Ok((tally.records > 0, report))
}

/// The counts by what is printed: types that share a name are added up.
fn merged(tally: &Tally) -> Vec<(serde_json::Value, u64)> {
    let mut merged: Vec<(serde_json::Value, u64)> = Vec::new();
    for (value, count) in &tally.counts {
        let name = match value {
            Value::Level(level) => level.as_str().into(),
            Value::Type(record_type) => record_type.as_str().into(),
            Value::StatusCode(status) => (*status).into(),
            Value::WorkerId(worker) => worker.map(logq_format::WorkerId::get).into(),
            _ => continue,
        };
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => merged.push((name, *count)),
        }
    }
    merged
}

fn exit(found: bool, report: &Report, range: &Range) -> Exit {
    match (found, report.is_complete()) {
        (_, false) => Exit::Incomplete,
        (true, true) => Exit::Success,
        (false, true) if range.is_covered(report) => Exit::NoMatch,
        (false, true) => Exit::NotCovered,
    }
}

/// One line on standard error for each thing that the answer leaves out.
fn tell_what_is_incomplete(report: &Report) {
    const LISTED_MAX: usize = 5;
    for gap in report.gaps.iter().take(LISTED_MAX) {
        let path: &Path = &gap.path;
        eprintln!(
            "logq: {}: bytes {} to {} skipped: {}",
            path.display(),
            gap.range.start,
            gap.range.end,
            gap.cause
        );
    }
    let more = report.gaps.len().saturating_sub(LISTED_MAX) as u64 + report.gaps_omitted;
    if more > 0 {
        eprintln!("logq: {more} more damaged places; `logq stats` lists them");
    }
    let missing = report.missing_records();
    if missing > 0 {
        eprintln!("logq: {missing} records are missing: their blocks were lost or damaged");
    }
    if report.lost_records > 0 {
        eprintln!(
            "logq: {} records were dropped when they were logged: the disk was full or slow",
            report.lost_records
        );
    }
    if report.unknown_records + report.unknown_blocks > 0 {
        eprintln!(
            "logq: {} records and {} blocks are of a newer version; a newer logq shows them",
            report.unknown_records, report.unknown_blocks
        );
    }
}
