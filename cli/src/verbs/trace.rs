//! `logq trace ID`: one request from its first record to its last, with the DEBUG entries that an
//! error brought along where they happened.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::bail;
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use logq_format::{DebugEntry, Level, Record, RequestId, Timestamp};
use logq_query::words;
use logq_reader::{Filter, Query, Row, Snapshot};
use serde_json::value::RawValue;

use crate::args::{ColorChoice, StoreArguments, ZoneArguments};
use crate::completeness::Completeness;
use crate::exit::Exit;
use crate::liveness;
use crate::output::message::{Message, error_of, write_stack};
use crate::output::time::{Precision, write_time};
use crate::output::{Output, Part, Style, escape, push};
use crate::question::{self, Range};

/// Which request, and how to print it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TraceArguments {
    /// The request's id, or the first digits of it, as every other output shows them
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    stores: StoreArguments,

    #[command(flatten)]
    zone: ZoneArguments,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: TraceFormat,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  logq trace 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e /var/log/shop
  logq trace 6f1c2f6e /var/log/shop            the first digits will do";

/// Ways to print a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TraceFormat {
    /// A timeline, for people
    Text,
    /// One JSON object a line: records, and DEBUG entries of type DEBUG
    Json,
}

/// The fewest digits that may stand for an id.
const DIGITS_MIN: usize = 4;

/// The most requests listed where the digits fit several.
const LISTED_MAX: usize = 10;

/// Prints the request.
pub(crate) fn run(arguments: &TraceArguments) -> anyhow::Result<Exit> {
    let zone = question::zone(&arguments.zone)?;
    let wanted = Wanted::new(&arguments.id)?;
    let stores = question::stores(&arguments.stores).into_owned();
    let (snapshot, finality) = liveness::open(&stores)?;
    let requests = wanted.find(&snapshot)?;
    let filter = Filter { requests: Some(requests), ..Filter::default() };
    let query = Query { filter, ..Query::default() };

    let view = View { zone: &zone, style: Style::new(arguments.color), format: arguments.output };
    let mut steps = Vec::new();
    let report = snapshot.scan(
        &query,
        |rows| rows.iter().flat_map(|row| view.steps(&row)).collect::<Vec<_>>(),
        |found| {
            steps.extend(found);
            ControlFlow::Continue(())
        },
    )?;
    // Stable: what happened in the same microsecond stays in the order of the records.
    steps.sort_by_key(|step| step.time);
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(&view.page(&steps));
    let printed = out.finish()?;
    let everything = Range { since: None, until: None };
    let completeness = Completeness::new(&report, everything, &finality);
    if !arguments.quiet {
        completeness.tell(printed.any);
    }
    Ok(completeness.exit(printed.any))
}

/// What the command line says of the id.
enum Wanted {
    Whole(RequestId),
    /// The first hexadecimal digits, in lower case and without hyphens.
    Digits(String),
}

impl Wanted {
    fn new(id: &str) -> anyhow::Result<Self> {
        if let Ok(request) = words::request(id) {
            return Ok(Self::Whole(request));
        }
        let digits: String =
            id.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let is_start = digits.len() >= DIGITS_MIN && digits.chars().all(|c| c.is_ascii_hexdigit());
        if !is_start || digits.len() >= 32 {
            bail!(
                "{id:?} is not a request id: expected a UUID or its first {DIGITS_MIN} or more \
                 hexadecimal digits"
            );
        }
        Ok(Self::Digits(digits))
    }

    /// The ids of the request: none or one.
    fn find(&self, snapshot: &Snapshot) -> anyhow::Result<Vec<RequestId>> {
        let digits = match self {
            Self::Whole(request) => return Ok(vec![*request]),
            Self::Digits(digits) => digits,
        };
        let starts = |request: &RequestId| hex(*request).starts_with(digits);
        let mut found = BTreeSet::new();
        snapshot.scan(
            &Query::default(),
            |rows| {
                let ids = rows.iter().filter_map(|row| row.record().ok()?.request_id());
                ids.filter(starts).collect::<BTreeSet<_>>()
            },
            |ids| {
                found.extend(ids);
                match found.len() > LISTED_MAX {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        )?;
        if found.len() > 1 {
            let list: Vec<_> = found.iter().take(LISTED_MAX).map(RequestId::to_string).collect();
            bail!("several requests start with {digits}: {}", list.join(", "));
        }
        Ok(found.into_iter().collect())
    }
}

fn hex(request: RequestId) -> String {
    request.to_string().replace('-', "")
}

/// How messages are written.
const MESSAGE: Message = Message { put: escape::push, with_fields: true, with_counts: false };

/// One line of the timeline.
struct Step {
    time: Timestamp,
    text: Vec<u8>,
}

/// How steps look.
struct View<'z> {
    zone: &'z TimeZone,
    style: Style,
    format: TraceFormat,
}

impl View<'_> {
    /// The steps that one record tells of: itself, and the DEBUG entries it brings along.
    fn steps(&self, row: &Row<'_>) -> Vec<Step> {
        let Ok(record) = row.record() else { return Vec::new() };
        let entries = error_of(&record).map_or(&[][..], |error| &error.debug);
        let mut steps: Vec<_> = entries.iter().map(|entry| self.entry(entry)).collect();
        let text = match self.format {
            TraceFormat::Text => self.record(&record),
            TraceFormat::Json => {
                let mut line = Vec::new();
                logq_format::json::write_line(&mut line, &record, row.origin(), row.sequence());
                line
            }
        };
        steps.push(Step { time: record.time, text });
        steps
    }

    fn record(&self, record: &Record<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        self.level(record.level(), &mut text);
        MESSAGE.write(&mut text, record);
        text.push(b'\n');
        if let Some(error) = error_of(record) {
            write_stack(&mut text, error, "                        ");
        }
        text
    }

    /// A DEBUG entry; as JSON, with the names that records have.
    fn entry(&self, entry: &DebugEntry<'_>) -> Step {
        let mut text = Vec::new();
        match self.format {
            TraceFormat::Text => {
                self.level(Level::Debug, &mut text);
                MESSAGE.write_data(&mut text, entry.data);
            }
            TraceFormat::Json => {
                let data = RawValue::from_string(entry.data.as_str().to_owned()).ok();
                let time = entry.time.to_string();
                let line = serde_json::json!({
                    "timestamp": time, "level": "DEBUG", "type": "DEBUG", "data": data,
                });
                text.extend_from_slice(line.to_string().as_bytes());
            }
        }
        text.push(b'\n');
        Step { time: entry.time, text }
    }

    fn level(&self, level: Level, out: &mut Vec<u8>) {
        self.style.level(level, out, |out| push(out, format_args!("{:<8}", level.as_str())));
        out.push(b' ');
    }

    /// All steps. In text each has the time since the first.
    fn page(&self, steps: &[Step]) -> Vec<u8> {
        let mut page = Vec::new();
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return page };
        if self.format == TraceFormat::Json {
            steps.iter().for_each(|step| page.extend_from_slice(&step.text));
            return page;
        }
        self.style.part(Part::Time, &mut page, |out| {
            write_time(out, first.time, self.zone, Precision::Micros);
        });
        let took = last.time.micros_since(first.time);
        push(&mut page, format_args!(": {} steps in {} ms\n", steps.len(), millis(took)));
        for step in steps {
            let since = format!("+{}", millis(step.time.micros_since(first.time)));
            push(&mut page, format_args!("{since:>14} "));
            page.extend_from_slice(&step.text);
        }
        page
    }
}

/// Microseconds as milliseconds with three digits behind the point.
fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}
