//! Reading and parsing for `logq import`: real logs become records.
//!
//! ```text
//! files, stdin --input--> bytes --chunk, detect--> chunks of whole lines   one at a time, in order
//! Chunk --own, jsonl, logfmt, access, csv, text--> Batch                   each thread its own
//! Batch --order--> RecordSink                                              one at a time, in order
//! ```
//!
//! Every thread takes the next chunk, parses it, waits for its turn and hands the records to the
//! sink. So reading, parsing and pushing overlap while records arrive in the order of the lines, and
//! records borrow from the thread's chunk and arena without being copied. Memory is bounded by the
//! number of threads.
//!
//! Files of `super-server-logs` have blocks instead of lines and go their own way, through
//! [`super_server_logs`], to the same sink.
//!
//! What cannot be read becomes a count with examples in the [`Summary`], never a lost line. Where
//! records go is the [`RecordSink`]'s business.

mod access;
mod batch;
mod chunk;
mod csv;
mod detect;
mod fields;
mod input;
mod jsonl;
mod level;
mod line;
mod logfmt;
mod members;
mod order;
mod own;
mod parse;
mod scan;
mod summary;
mod super_server_logs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod time;

use std::fmt;
use std::io;
use std::str::FromStr;

use jiff::tz::TimeZone;
use logq_format::{Origin, Record, Timestamp, WorkerId};

pub(crate) use self::input::Input;
pub(crate) use self::line::{
    Arrived, LineParser, Part, json_bytes_max, level_of_text, text_data, to_text,
};
pub(crate) use self::summary::{Progress, Summary};

/// Takes records in the order of the lines they are from. Times may go back and forth.
pub(crate) trait RecordSink {
    /// Why a record was not taken.
    type Error;

    /// Takes a record of a foreign line; the sink chooses the writer and the sequence number.
    ///
    /// # Errors
    ///
    /// The sink's own; the import ends with it.
    fn push(&mut self, worker: Option<WorkerId>, record: &Record<'_>) -> Result<(), Self::Error>;

    /// Takes a record of logq's own output, which keeps its identity.
    ///
    /// # Errors
    ///
    /// The sink's own; the import ends with it.
    fn push_as(
        &mut self,
        origin: Origin,
        sequence: u64,
        record: &Record<'_>,
    ) -> Result<(), Self::Error>;
}

/// What form the lines have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Each input's is told from its first lines.
    #[default]
    Auto,
    /// JSON objects, logq's own or anyone's, one a line.
    Jsonl,
    /// `name=value` pairs.
    Logfmt,
    /// Access log, Common Log Format. Read exactly like [`Self::Combined`].
    Common,
    /// Access log, Combined Log Format, with further fields.
    Combined,
    /// A table with a header.
    Csv,
    /// Anything else.
    Text,
    /// The files of the Node package of this name.
    SuperServerLogs,
}

impl Format {
    /// All formats.
    pub(crate) const ALL: [Self; 8] = [
        Self::Auto,
        Self::Jsonl,
        Self::Logfmt,
        Self::Common,
        Self::Combined,
        Self::Csv,
        Self::Text,
        Self::SuperServerLogs,
    ];

    /// The name on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Jsonl => "jsonl",
            Self::Logfmt => "logfmt",
            Self::Common => "common",
            Self::Combined => "combined",
            Self::Csv => "csv",
            Self::Text => "text",
            Self::SuperServerLogs => "super-server-logs",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownFormat { text: text.to_owned() })
    }
}

/// Says that a text names no format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown format {text:?}, expected auto, jsonl, logfmt, common, combined, csv, text or \
     super-server-logs"
)]
pub(crate) struct UnknownFormat {
    /// The text as given.
    pub(crate) text: String,
}

/// How to import.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The format of all inputs.
    pub(crate) format: Format,
    /// The zone of times that name none.
    pub(crate) zone: TimeZone,
    /// The present: times without a year are the latest before it.
    pub(crate) now: Timestamp,
    /// Who foreign records are said to come from; `None` is the master.
    pub(crate) worker: Option<WorkerId>,
    /// A random number, new for each import: request ids are made of it and the place of the line.
    pub(crate) seed: u64,
    /// How many processors to use; 0 stands for all.
    pub(crate) threads: usize,
}

/// Why an import ended early. What the sink took before stays taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ImportError<E> {
    /// An input cannot be opened.
    #[error("cannot open {input}")]
    Open {
        /// The input.
        input: String,
        /// Why.
        source: io::Error,
    },
    /// A directory is not one that can be imported.
    #[error(transparent)]
    Directory(#[from] super_server_logs::DirectoryError),
    /// An input given as a table does not start with a header.
    #[error(
        "{input} has no header that names a column for the time, such as: \
         remotehost,rfc931,authuser,date,request,status,bytes; try --format auto"
    )]
    Header {
        /// The input.
        input: String,
    },
    /// The sink did not take a record.
    #[error("cannot write the imported records")]
    Sink(#[source] E),
}

/// Imports all inputs, one after the other. `report` is called after each few hundred kilobytes.
///
/// # Errors
///
/// An input is not there or cannot be opened (all are looked at before anything is imported), or
/// has no header though it is given as a table, or the sink fails. Lines that cannot be read, and
/// inputs that cannot be read to their end, are no errors but failures in the summary.
pub(crate) fn run<S>(
    mut inputs: Vec<Input>,
    options: &Options,
    sink: &mut S,
    mut report: impl FnMut(Progress) + Send,
) -> Result<Summary, ImportError<S::Error>>
where
    S: RecordSink<Error: std::error::Error + Send + 'static> + Send,
{
    let logs = super_server_logs::take_logs(&mut inputs, options)?;
    let mut bytes_total = Some(0);
    for input in logs.iter().flat_map(|log| &log.files).chain(&inputs) {
        let len = input
            .check()
            .map_err(|source| ImportError::Open { input: input.to_string(), source })?;
        bytes_total = bytes_total.zip(len).map(|(total, len)| total + len);
    }
    let mut summary = Summary::default();
    if !logs.is_empty() {
        let node_logs = super_server_logs::run(&logs, bytes_total, sink, &mut report);
        summary.add_logs(&logs, node_logs.map_err(ImportError::Sink)?);
    }
    if inputs.is_empty() {
        return Ok(summary);
    }
    let chunks = chunk::Chunks::new(inputs, options);
    let order = order::Order::new(sink, report, bytes_total, options.worker);
    Ok(summary.and(threads::run(chunks, order, options)?))
}
