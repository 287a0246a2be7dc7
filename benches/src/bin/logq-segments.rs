//! Measures what segments outside of the range of a question cost: the same questions about the same
//! records in a store of few segments and in one of many. Both are asked in turns, in one run.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use logq_format::{Timestamp, json};
use logq_reader::{Query, Rows, Snapshot};
use logq_testkit::traffic::{TrafficOptions, generate};
use logq_writer::{BulkOptions, BulkWriter, Clock as _, SystemClock};

/// Compare questions about one segment of a store with few segments and one with many
#[derive(Debug, Parser)]
struct Arguments {
    /// The segments of the smaller store
    #[arg(long, default_value_t = 10)]
    few: u64,
    /// The segments of the larger store
    #[arg(long, default_value_t = 1000)]
    many: u64,
    /// The records of each segment, which are those of an hour
    #[arg(short = 'n', long, default_value_t = 5_000)]
    records: u64,
    /// The records of the segment that is asked about
    #[arg(long, default_value_t = 200_000)]
    inside: u64,
    /// How often each question is asked
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// Where the stores are made; a temporary directory if not given
    #[arg(long)]
    directory: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let directory = arguments.directory.as_deref().unwrap_or(temporary.path());
    let (few, many) = (directory.join("few"), directory.join("many"));
    make(&few, arguments.few, &arguments)?;
    make(&many, arguments.many, &arguments)?;
    let start = hour(arguments.few / 2);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| question | {} segments, ms | {} segments, ms | ratio |\n|---|---|---|---|",
        arguments.few, arguments.many
    )?;
    for (name, length) in [("one minute as JSON", MINUTE_US), ("one hour as JSON", HOUR_US)] {
        let since = start.saturating_add_micros((HOUR_US - length) / 2);
        let query = Query {
            since: Some(since),
            until: Some(since.saturating_add_micros(length)),
            ..Query::default()
        };
        let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            of_few.push(ask(&few, &query)?);
            of_many.push(ask(&many, &query)?);
        }
        let (of_few, of_many) = (median(of_few), median(of_many));
        writeln!(
            out,
            "| {name} | {:.2} | {:.2} | {:.2} |",
            millis(of_few),
            millis(of_many),
            of_few.as_secs_f64() / of_many.as_secs_f64()
        )?;
    }
    Ok(())
}

/// When an hour begins.
fn hour(number: u64) -> Timestamp {
    let hours = i64::try_from(number).unwrap_or(i64::MAX);
    TrafficOptions::default().start.saturating_add_micros(hours.saturating_mul(HOUR_US))
}

/// Makes a store with a segment for each hour, unless it is there.
fn make(directory: &Path, segments: u64, arguments: &Arguments) -> Result<(), Failure> {
    if directory.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    for number in 0..segments {
        let is_asked = number == arguments.few / 2;
        let traffic = TrafficOptions {
            // The segment that is asked about is the same one in both.
            seed: number,
            records: if is_asked { arguments.inside } else { arguments.records },
            start: hour(number),
            span_us: HOUR_US.unsigned_abs(),
        };
        append(directory, &traffic)?;
    }
    Ok(())
}

/// Adds a segment with these records.
fn append(directory: &Path, traffic: &TrafficOptions) -> Result<(), Failure> {
    let mut store = BulkWriter::create(directory, BulkOptions::at(SystemClock.now()))?;
    let mut failure = None;
    generate(traffic, |worker, record| {
        if let Err(error) = store.push(worker, record) {
            failure.get_or_insert(error);
        }
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    store.finish()?;
    Ok(())
}

/// Asks a store that is opened for it, and answers how long that took.
fn ask(store: &Path, query: &Query<'_>) -> Result<Duration, Failure> {
    let start = Instant::now();
    let snapshot = Snapshot::open(&[store])?;
    let render = |rows: &Rows<'_>| {
        let mut text = Vec::new();
        for row in rows.iter() {
            if let Ok(record) = row.record() {
                json::write_line(&mut text, &record, row.origin(), row.sequence());
            }
        }
        text
    };
    let mut bytes = 0;
    let report = snapshot.scan(query, render, |text| {
        bytes += text.len();
        ControlFlow::Continue(())
    })?;
    let took = start.elapsed();
    if bytes == 0 || !report.is_complete() {
        return Err(format!("{} gives {bytes} bytes, {:?}", store.display(), report.gaps).into());
    }
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
