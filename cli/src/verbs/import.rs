//! `logq import`: other logs become a store. The reading and parsing is in `import`, the writing in
//! `logq-writer`; this file connects them and tells how it went.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use logq_format::{Origin, PushError, Record, Timestamp, WorkerId};
use logq_writer::{BulkError, BulkOptions, BulkSummary, BulkWriter, Clock, SystemClock};

use crate::args::Choice;
use crate::exit::Exit;
use crate::import::{self, Input, Progress, RecordSink, Summary};
use crate::output::escape;
use crate::progress::ProgressLine;
use crate::question;

#[derive(Args, Clone, Debug)]
pub(crate) struct ImportArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(long, value_name = "STORE")]
    pub(crate) to: PathBuf,

    /// The format of the input; `auto` looks at the start of each file
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = import_format())]
    pub(crate) format: crate::import::Format,

    /// The time zone of times that name none
    #[arg(short = 'Z', long = "tz", value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,

    /// When to show on standard error how far it has come
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: Choice,

    /// Do not show progress and the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Files, plain or compressed with gzip or zstd; directories of super-server-logs; - for
    /// standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// The formats that can be imported, by name.
fn import_format() -> impl TypedValueParser<Value = crate::import::Format> {
    let names = crate::import::Format::ALL.map(crate::import::Format::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

/// Imports all files and tells what became of them.
pub(crate) fn run(arguments: &ImportArguments) -> anyhow::Result<Exit> {
    let now = SystemClock.now();
    let options = import::Options {
        format: arguments.format,
        zone: question::named_zone(arguments.zone.as_deref())?,
        now,
        // One process stands for all foreign ones.
        worker: WorkerId::new(1),
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
        threads: 0,
    };
    let inputs = arguments.files.iter().map(|path| Input::new(path)).collect();
    let start = Instant::now();
    let mut sink = Sink { store: None, path: &arguments.to, now, refused: 0, first_refusal: None };
    let mut line = ProgressLine::new(arguments.progress, arguments.quiet);
    let summary =
        import::run(inputs, &options, &mut sink, |progress| line.show(|| told(&progress)))?;
    line.clear();
    let (refused, first_refusal) = (sink.refused, sink.first_refusal);
    let written = match sink.store {
        Some(store) => {
            store.finish().with_context(|| format!("cannot complete {}", arguments.to.display()))?
        }
        None => BulkSummary::default(),
    };
    if !arguments.quiet {
        tell(&summary, &written, start.elapsed());
    }
    tell_failures(&summary);
    if let Some(error) = first_refusal {
        tell!("logq: {refused} records are too large for a store; the first: {error}");
    }
    let whole = summary.is_whole() && refused == 0;
    Ok(if whole { Exit::Success } else { Exit::Incomplete })
}

/// The store being written; made when the first record comes, so that a mistyped input leaves no
/// empty directory.
struct Sink<'a> {
    store: Option<BulkWriter>,
    path: &'a std::path::Path,
    now: Timestamp,
    refused: u64,
    first_refusal: Option<PushError>,
}

impl Sink<'_> {
    fn store(&mut self) -> Result<&mut BulkWriter, BulkError> {
        match self.store {
            Some(ref mut store) => Ok(store),
            None => {
                let store = BulkWriter::create(self.path, BulkOptions::at(self.now))?;
                Ok(self.store.insert(store))
            }
        }
    }

    /// A record that no block can hold is counted; everything else ends the import.
    fn count_refusal(&mut self, result: Result<(), BulkError>) -> Result<(), BulkError> {
        match result {
            Err(BulkError::Record(error)) => {
                self.refused += 1;
                self.first_refusal.get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }
}

impl RecordSink for Sink<'_> {
    type Error = BulkError;

    fn push(&mut self, worker: Option<WorkerId>, record: &Record<'_>) -> Result<(), BulkError> {
        let result = self.store()?.push(worker, record);
        self.count_refusal(result)
    }

    fn push_as(
        &mut self,
        origin: Origin,
        sequence: u64,
        record: &Record<'_>,
    ) -> Result<(), BulkError> {
        let result = self.store()?.push_as(origin, sequence, record);
        self.count_refusal(result)
    }
}

/// How far an import has come.
fn told(progress: &Progress) -> String {
    let part = match progress.bytes_total {
        Some(total) if total > 0 => format!("{}%", progress.bytes.min(total) * 100 / total),
        _ => format!("{} MB", progress.bytes / 1_000_000),
    };
    format!("importing: {part}, {} records", progress.records)
}

fn tell(summary: &Summary, written: &BulkSummary, elapsed: Duration) {
    for input in &summary.inputs {
        tell!("logq: {}: read as {}", escape::for_terminal_lines(&input.name), input.format);
    }
    let seconds = elapsed.as_secs_f64().max(1e-9);
    tell!(
        "logq: {} records from {}, {} bytes in, {} bytes stored, {:.1} s ({:.0} MB/s)",
        summary.records,
        summary.parts(),
        summary.bytes,
        written.bytes,
        seconds,
        // Sizes are far below 2^52, where floating point becomes inexact.
        summary.bytes as f64 / seconds / 1e6
    );
    for note in summary.node_logs.notes() {
        tell!("logq: {note}");
    }
    if summary.untimed > 0 {
        tell!("logq: {} lines without a time got that of the line before", summary.untimed);
    }
    if written.renamed > 0 {
        tell!(
            "logq: {} records were out of order for their writer and got another writer id",
            written.renamed
        );
    }
}

fn tell_failures(summary: &Summary) {
    for line in summary.node_logs.damage() {
        tell!("logq: {}", escape::for_terminal_lines(&line));
    }
    let failures = &summary.failures;
    if failures.total() == 0 {
        return;
    }
    tell!("logq: {} lines could not be imported", failures.total());
    for (reason, count) in failures.counts() {
        tell!("logq: {count:>8} {reason}");
    }
    for failure in failures.first() {
        tell!("{}", escape::for_terminal_lines(&format!("logq: {failure}")));
    }
}
