//! Lines that arrive right now become records of the present: what `logq ingest` and `logq run`
//! share.
//!
//! ```text
//! pipes --pump--> bytes --pieces--> lines --join, trace--> records --Recorder--> logger
//!           ^                                                          every 16 MiB: flush
//!           +-- Stopper, from the thread that waits for signals and the child
//! ```
//!
//! A structured line (a JSON object, logfmt) is a record of its own. A line of text begins a record
//! that further lines may continue, such as those of a stack trace; it is complete with the next
//! line that does not, or after a tenth of a second of silence. Records keep the order in which
//! their first lines arrived, across streams.
//!
//! A record gets its time when it is complete: that of its arrival, give or take that silence. The
//! time that a line tells itself stays in the data, since a writer's times never decrease and readers
//! rely on it.
//!
//! How lines are parsed is `import`'s business; what a logger does with a record, `logq-writer`'s.

mod join;
mod pieces;
mod pump;
mod signals;
mod tee;
mod trace;

use clap::ValueEnum;
use logq_format::{Level, RequestId};
use logq_writer::{FlushError, WorkerLogger};
use serde_json::value::RawValue;

pub(crate) use self::pump::{Pump, Pumped, Source, Stopper};
pub(crate) use self::signals::{Received, Signals, end_by};
pub(crate) use self::tee::Tee;

/// What form lines have that arrive now. Lines that do not have it are kept as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineFormat {
    /// Each line is what it looks like: a JSON object, logfmt or text
    Auto,
    /// JSON values
    Jsonl,
    /// Pairs: name=value
    Logfmt,
    /// Text, whatever it looks like
    Text,
}

/// A stream of lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// The name that records get in their data; none where there is only one stream.
    pub(crate) name: Option<&'static str>,
    /// The level of lines that tell none.
    pub(crate) level: Level,
}

/// What lines became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineRecord {
    pub(crate) level: Level,
    pub(crate) request: Option<RequestId>,
    /// JSON on one line.
    pub(crate) data: String,
}

/// Bytes of records after which everything so far has to be in the operating system's hands.
///
/// A logger drops records when the disk is slow and its queue is full. Here there is someone who can
/// wait: with this, a program that prints faster than the disk writes finds its pipe full instead.
const FLUSH_BYTES: usize = 16 << 20;

/// Says that a logger could not write its last records when it was closed.
#[derive(Debug, thiserror::Error)]
#[error("the last records are lost: cannot write to {}: {}", _0.path.display(), _0.message)]
pub(crate) struct LastRecordsLost(pub(crate) FlushError);

/// Hands records to a logger.
pub(crate) struct Recorder {
    log: WorkerLogger,
    /// Bytes of records since the last flush.
    unflushed: usize,
    /// Whether the last flush failed; it is told once.
    is_failing: bool,
    /// Records so far.
    pub(crate) records: u64,
}

impl Recorder {
    pub(crate) fn new(log: WorkerLogger) -> Self {
        Self { log, unflushed: 0, is_failing: false, records: 0 }
    }

    /// Logs the record at once.
    pub(crate) fn record(&mut self, record: &LineRecord) {
        self.records += 1;
        // What the parsers write is JSON; were it not, the text itself would be kept.
        match serde_json::from_str::<&RawValue>(&record.data) {
            Ok(data) => self.log(record, data),
            Err(_) => self.log(record, &record.data),
        }
        self.unflushed += record.data.len();
        if self.unflushed >= FLUSH_BYTES {
            self.flush();
        }
    }

    fn log(&self, record: &LineRecord, data: impl serde::Serialize) {
        match record.request {
            Some(request) => self.log.log_for(request, record.level, data),
            None => self.log.log(record.level, data),
        }
    }

    fn flush(&mut self) {
        self.unflushed = 0;
        let flushed = self.log.flush();
        if let Err(error) = &flushed
            && !self.is_failing
        {
            tell!("logq: {error}");
        }
        self.is_failing = flushed.is_err();
    }
}
