//! `logq errors`: what goes wrong, each trouble once: how often, since when, and an example.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use logq_format::{Level, Origin, Record, Timestamp, json};
use logq_reader::{Row, Rows};
use serde_json::value::RawValue;

use crate::args::{FilterArguments, RangeArguments, StoreArguments};
use crate::completeness::Completeness;
use crate::exit::Exit;
use crate::fingerprint;
use crate::output::escape;
use crate::output::message::Message;
use crate::output::time::{Precision, write_time};
use crate::output::{Output, push};
use crate::question::Question;

/// Which errors, and how to print them.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ErrorsArguments {
    #[command(flatten)]
    stores: StoreArguments,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    /// Only the N most frequent ones
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,

    /// Those first that were seen first most recently, instead of the most frequent ones
    #[arg(long)]
    new: bool,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: ErrorsFormat,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Numbers, ids and addresses are left out of messages, so that the same trouble is one line. Without
--level, records of level error and worse are looked at.

Examples:
  logq errors -S today /var/log/shop
  logq errors --new -n 5 /var/log/shop         what is new
  logq errors -l warn -o json /var/log/shop";

/// Ways to print errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ErrorsFormat {
    /// Three lines an error, for people
    Text,
    /// One JSON object a line
    Json,
}

/// Prints the errors.
pub(crate) fn run(arguments: &ErrorsArguments) -> anyhow::Result<Exit> {
    let mut filter = arguments.filter.clone();
    filter.level.get_or_insert_with(|| "error".to_owned());
    let question = Question::new(&arguments.stores, &arguments.range, &filter)?;
    let mut troubles = Troubles::default();
    let report = question.snapshot.scan(&question.query(), Troubles::of, |found| {
        troubles.add(found);
        ControlFlow::Continue(())
    })?;

    let others = troubles.others;
    let mut sorted: Vec<_> = troubles.by_fingerprint.into_iter().collect();
    match arguments.new {
        true => sorted.sort_by_key(|(_, trouble)| Reverse(trouble.first)),
        false => sorted.sort_by(|(name, one), (other_name, other)| {
            other.count.cmp(&one.count).then_with(|| name.cmp(other_name))
        }),
    }
    sorted.truncate(arguments.lines.unwrap_or(usize::MAX));
    let mut text = Vec::new();
    for ((level, print), trouble) in &sorted {
        match arguments.output {
            ErrorsFormat::Text => trouble.write_text(*level, print, &question.zone, &mut text),
            ErrorsFormat::Json => trouble.write_json(*level, print, &mut text),
        }
    }
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(&text);
    let printed = out.finish()?;
    let completeness = Completeness::new(&report, question.range, &question.finality);
    if !arguments.quiet {
        if others > 0 {
            tell!("logq: {others} more records, each with a message of its own, are not listed");
        }
        completeness.tell(printed.any);
    }
    Ok(completeness.exit(printed.any))
}

/// The most troubles told apart; a log in which no two messages are alike must not fill memory.
const TROUBLES_MAX: usize = 10_000;

/// What went wrong, by level and fingerprint.
#[derive(Default)]
struct Troubles {
    by_fingerprint: HashMap<(Level, String), Trouble>,
    /// Records that found no place any more.
    others: u64,
}

/// One trouble.
struct Trouble {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// The latest record of it, as a line of JSON and as a line for people.
    json: Vec<u8>,
    message: Vec<u8>,
}

impl Troubles {
    /// The troubles of some records, which are in the order of time.
    fn of(rows: &Rows<'_>) -> Self {
        let mut seen: HashMap<(Level, String), (u64, Timestamp, Row<'_>)> = HashMap::new();
        for row in rows.iter() {
            let Ok(record) = row.record() else { continue };
            let key = (record.level(), fingerprint::of_record(&record));
            let (count, _, latest) = seen.entry(key).or_insert((0, row.time(), row));
            (*count, *latest) = (*count + 1, row);
        }
        let trouble = |(key, (count, first, latest))| (key, Trouble::new(count, first, &latest));
        Self { by_fingerprint: seen.into_iter().map(trouble).collect(), others: 0 }
    }

    fn add(&mut self, found: Self) {
        for (key, trouble) in found.by_fingerprint {
            if let Some(known) = self.by_fingerprint.get_mut(&key) {
                known.merge(trouble);
            } else if self.by_fingerprint.len() < TROUBLES_MAX {
                self.by_fingerprint.insert(key, trouble);
            } else {
                self.others += trouble.count;
            }
        }
    }
}

impl Trouble {
    fn new(count: u64, first: Timestamp, latest: &Row<'_>) -> Self {
        let last = latest.time();
        let mut trouble = Self { count, first, last, json: Vec::new(), message: Vec::new() };
        if let Ok(record) = latest.record() {
            json::write_line(&mut trouble.json, &record, latest.origin(), latest.sequence());
            trouble.write_message(&record, latest.origin());
        }
        trouble
    }

    /// Who and what.
    fn write_message(&mut self, record: &Record<'_>, origin: Origin) {
        let out = &mut self.message;
        match record.subject(origin) {
            Some(worker) => push(out, format_args!("worker {worker}: ")),
            None => out.extend_from_slice(b"master: "),
        }
        if let Some(request) = record.request_id() {
            push(out, format_args!("request {request}: "));
        }
        let message = Message { put: escape::push, with_fields: true, with_counts: true };
        message.write(out, record);
    }

    /// Adds what was found in a later part of the answer.
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        if other.last >= self.last {
            (self.last, self.json, self.message) = (other.last, other.json, other.message);
        }
    }

    fn write_text(&self, level: Level, print: &str, zone: &TimeZone, out: &mut Vec<u8>) {
        push(out, format_args!("{:>12} {:<8} ", self.count, level.as_str()));
        escape::push(out, print);
        out.extend_from_slice(b"\n                      from ");
        write_time(out, self.first, zone, Precision::Millis);
        out.extend_from_slice(b" to ");
        write_time(out, self.last, zone, Precision::Millis);
        out.extend_from_slice(b"\n                      ");
        out.extend_from_slice(&self.message);
        out.push(b'\n');
    }

    fn write_json(&self, level: Level, print: &str, out: &mut Vec<u8>) {
        let example = String::from_utf8_lossy(&self.json).trim_end().to_owned();
        let object = serde_json::json!({
            "fingerprint": print,
            "level": level.as_str(),
            "count": self.count,
            "first": self.first.to_string(),
            "last": self.last.to_string(),
            "example": RawValue::from_string(example).ok(),
        });
        out.extend_from_slice(object.to_string().as_bytes());
        out.push(b'\n');
    }
}
