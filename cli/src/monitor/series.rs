//! `--store DIR`: what the monitor says, second by second, as records of a store.
//!
//! What the records look like is `logq_monitor::series`' business. Their times are the seconds of the
//! log, so the logger's clock is the log's time; a background thread writes what has come in two
//! seconds as one block, and a transition of an alert at once.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use logq_directory::Directory;
use logq_format::{RecordType, Timestamp, TypeSet};
use logq_monitor::series::{Ended, Entry, Started};
use logq_monitor::{Monitor, Options, Output as Said, Saved};
use logq_reader::{Filter, Query, Snapshot};
use logq_rotation::LogManager;
use logq_writer::{Clock, LoggerOptions, MasterLogger};

use super::sink::Sink;
use crate::limit::{self, SizeLimit};

/// Records of so long are written together. A block costs 72 bytes beside its records.
const OUTPUT_DELAY: Duration = Duration::from_secs(2);

/// The records that the sink writes.
pub(crate) const TYPES: TypeSet = TypeSet::EMPTY.with(RecordType::MasterLog);

/// Where to keep the series, and how large it may get.
#[derive(Clone, Debug)]
pub(crate) struct StoreWish {
    pub(crate) path: PathBuf,
    pub(crate) limit: Option<SizeLimit>,
}

/// The store that the series goes to.
pub(super) struct SeriesSink {
    path: PathBuf,
    /// Opened with the first entry, whose second it begins with.
    logger: Option<MasterLogger>,
    clock: Arc<LogClock>,
    /// Why it could not be opened, or looked at.
    failure: Option<anyhow::Error>,
    /// Keeps the store within its limit.
    _manager: Option<LogManager>,
    options: Options,
    sources: Vec<String>,
    /// Whether the run goes on where another one ended.
    is_resumed: bool,
    /// What that one has written of what is told again.
    told: Option<Told>,
    /// Whether it ended before it noted any second: what it has written begins with the second that
    /// is told first.
    is_told_from_start: bool,
    has_alert: bool,
    last: i64,
}

/// What an earlier run has written after it last noted how far it was.
struct Told {
    /// The first second that was not closed when it noted that.
    from: i64,
    /// The second of the newest entry.
    to: i64,
    /// The entries of that second; perhaps not all that there were.
    last: Vec<Entry>,
}

impl Told {
    fn has(&self, second: i64, entry: &Entry) -> bool {
        (self.from..self.to).contains(&second) || (second == self.to && self.last.contains(entry))
    }
}

/// The second that is being told of, in microseconds.
struct LogClock(AtomicI64);

impl Clock for LogClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl SeriesSink {
    /// Opens the store, which is created if it does not exist. What the run that is `resumed` has
    /// written there is not written again.
    ///
    /// # Errors
    ///
    /// It cannot be written to or read, or the limit is too small.
    pub(super) fn open(
        wish: &StoreWish,
        options: &Options,
        resumed: Option<&Saved>,
    ) -> anyhow::Result<Self> {
        let path = wish.path.clone();
        let from = resumed.and_then(Saved::next);
        let told = from.map_or(Ok(None), |from| told(&path, from))?;
        Directory::create(&path)?;
        Ok(Self {
            logger: None,
            clock: Arc::new(LogClock(AtomicI64::new(0))),
            failure: None,
            _manager: limit::manage(&path, wish.limit)?,
            path,
            options: options.clone(),
            sources: Vec::new(),
            is_resumed: resumed.is_some(),
            is_told_from_start: resumed.is_some() && from.is_none(),
            told,
            has_alert: false,
            last: 0,
        })
    }

    fn is_told(&mut self, second: i64, entry: &Entry) -> anyhow::Result<bool> {
        if std::mem::take(&mut self.is_told_from_start) {
            self.told = told(&self.path, second)?;
        }
        Ok(self.told.as_ref().is_some_and(|told| told.has(second, entry)))
    }

    fn write(&mut self, second: i64, entry: &Entry) {
        self.last = second;
        self.clock.0.store(second.saturating_mul(1_000_000), Ordering::Relaxed);
        if self.logger.is_none() {
            let options = LoggerOptions {
                output_delay: OUTPUT_DELAY,
                clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
                ..LoggerOptions::default()
            };
            match MasterLogger::open(&self.path, options) {
                Ok(logger) => self.start(&logger),
                Err(error) => self.failure = Some(error.into()),
            }
        }
        if let Some(logger) = &self.logger {
            logger.log(entry.level(), entry);
        }
    }

    fn start(&mut self, logger: &MasterLogger) {
        let sources = std::mem::take(&mut self.sources);
        let started = Entry::Started(Started::of(sources, &self.options, self.is_resumed));
        logger.log(started.level(), &started);
        self.logger = Some(logger.clone());
    }
}

impl Sink for SeriesSink {
    fn name(&self) -> String {
        format!("--store {}", self.path.display())
    }

    fn started(&mut self, source: &str) {
        self.sources.push(source.to_owned());
    }

    fn said(&mut self, said: &Said) {
        let Some((second, entry)) = Entry::of(said, &self.options.rules) else { return };
        match self.is_told(second, &entry) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => self.failure = Some(error),
        }
        self.has_alert |= matches!(entry, Entry::Alert(_));
        self.write(second, &entry);
    }

    fn flush(&mut self, _monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
        if std::mem::take(&mut self.has_alert) || self.failure.is_some() {
            self.keep()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn keep(&mut self) -> anyhow::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure)
                .with_context(|| format!("cannot write to {}", self.path.display()));
        }
        Ok(self.logger.as_ref().map_or(Ok(()), MasterLogger::flush)?)
    }

    fn ended(&mut self, monitor: &Monitor, at_end_of_input: bool) {
        if self.logger.is_some() {
            let ended = Entry::Ended(Ended::of(monitor.report(), at_end_of_input));
            self.write(self.last, &ended);
        }
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.logger.as_ref().map_or(Ok(()), MasterLogger::close)?)
    }
}

/// What a series holds from a second on; `None` if there is no store, or nothing in it from there.
///
/// # Errors
///
/// The store cannot be read.
fn told(path: &Path, from: i64) -> anyhow::Result<Option<Told>> {
    if !path.exists() {
        return Ok(None);
    }
    let snapshot = Snapshot::open(&[path])?;
    let query = Query {
        since: Some(Timestamp::from_micros(from.saturating_mul(1_000_000))),
        filter: Filter { types: TYPES, ..Filter::default() },
        ..Query::default()
    };
    let mut told: Option<Told> = None;
    snapshot.scan(
        &query,
        |rows| rows.iter().filter_map(|row| entry_of(&row)).collect::<Vec<_>>(),
        |entries| {
            for (second, entry) in entries {
                match &mut told {
                    Some(told) if told.to == second => told.last.push(entry),
                    _ => told = Some(Told { from, to: second, last: vec![entry] }),
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    Ok(told)
}

fn entry_of(row: &logq_reader::Row<'_>) -> Option<(i64, Entry)> {
    let record = row.record().ok()?;
    entry(&record).map(|entry| (row.time().as_micros().div_euclid(1_000_000), entry))
}

/// The entry that a record holds, if it is one and whole.
pub(crate) fn entry(record: &logq_format::Record<'_>) -> Option<Entry> {
    match &record.event {
        logq_format::Event::Log { data, .. } => Entry::parse(data.as_str()).ok().flatten(),
        _ => None,
    }
}
