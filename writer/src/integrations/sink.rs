//! Where a message goes: to which logger, on whose behalf, and with which DEBUG entries.

use std::sync::{Mutex, PoisonError};

use logq_format::{Level, LogSource, Timestamp};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::fields::{Fields, Text};
use crate::failure::DebugLog;
use crate::logger::Logger;
use crate::{MasterLogger, WorkerLogger};

/// The logger of a process, be it the master or a worker.
///
/// ```
/// # use logq_writer::integrations::ProcessLogger;
/// # use logq_writer::{LoggerOptions, MasterLogger};
/// # let store = tempfile::tempdir()?;
/// let master = MasterLogger::open(store.path(), LoggerOptions::default())?;
/// let logger = ProcessLogger::from(&master);
/// # let _ = logger;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ProcessLogger {
    logger: Logger,
    source: LogSource,
}

impl From<MasterLogger> for ProcessLogger {
    fn from(master: MasterLogger) -> Self {
        Self { logger: master.logger, source: LogSource::Master }
    }
}

impl From<&MasterLogger> for ProcessLogger {
    fn from(master: &MasterLogger) -> Self {
        master.clone().into()
    }
}

impl From<WorkerLogger> for ProcessLogger {
    fn from(worker: WorkerLogger) -> Self {
        Self { logger: worker.logger, source: LogSource::Worker }
    }
}

impl From<&WorkerLogger> for ProcessLogger {
    fn from(worker: &WorkerLogger) -> Self {
        worker.clone().into()
    }
}

impl ProcessLogger {
    /// What is logged on behalf of the process; DEBUG entries are kept in its own memory.
    pub(super) fn sink(&self) -> Sink<'_> {
        self.sink_keeping(&self.logger.debug)
    }

    /// What is logged on behalf of the process, with a memory for DEBUG entries of its own.
    pub(super) fn sink_keeping<'a>(&'a self, debug: &'a Mutex<DebugLog>) -> Sink<'a> {
        Sink { logger: &self.logger, source: self.source, debug }
    }

    #[cfg(feature = "log")]
    pub(super) fn flush(&self) -> Result<(), crate::FlushError> {
        self.logger.flush()
    }
}

/// Where messages of one kind go.
#[derive(Clone, Copy)]
pub(super) struct Sink<'a> {
    pub(super) logger: &'a Logger,
    pub(super) source: LogSource,
    pub(super) debug: &'a Mutex<DebugLog>,
}

impl Sink<'_> {
    /// Writes a message, or keeps it back if it is DEBUG or TRACE and these are not to be written.
    ///
    /// An ERROR takes the entries kept so far along. `data` makes the message, given what the sink
    /// adds to it. No lock is held while it is serialized.
    pub(super) fn log<D: Serialize>(
        self,
        level: Level,
        write_debug: bool,
        data: impl FnOnce(Extras) -> D,
    ) {
        if level >= Level::Debug && !write_debug {
            let extras = Extras { kept: Vec::new(), is_trace: level == Level::Trace };
            self.logger.debug_into(self.debug, &data(extras));
            return;
        }
        let kept = if level <= Level::Error { self.take_kept() } else { Vec::new() };
        let data = data(Extras { kept, is_trace: false });
        self.logger.message(self.source, level, &data);
    }

    fn take_kept(self) -> Vec<(Timestamp, Box<str>)> {
        self.debug.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the sink adds to a message.
pub(super) struct Extras {
    /// The DEBUG entries that go with it.
    kept: Vec<(Timestamp, Box<str>)>,
    /// Whether it is a TRACE that is kept back: records have no place for the level of an entry.
    is_trace: bool,
}

impl Extras {
    /// Adds them to the message, which must not have the names yet to get them.
    pub(super) fn put_into<M: SerializeMap>(
        &self,
        fields: &mut Fields<'_, M>,
    ) -> Result<(), M::Error> {
        if self.is_trace {
            fields.put("level", Level::Trace.as_str())?;
        }
        if !self.kept.is_empty() {
            // Entries are never lost for a name that the message uses itself.
            let name = if fields.has("debug") { "debug_entries" } else { "debug" };
            fields.put(name, &Entries(&self.kept))?;
        }
        Ok(())
    }
}

/// DEBUG entries in the shape that records of errors have in JSON.
struct Entries<'a>(&'a [(Timestamp, Box<str>)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(time, data)| Entry { time: *time, data }))
    }
}

struct Entry<'a> {
    time: Timestamp,
    data: &'a str,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("timestamp", &Text(self.time))?;
        // The logger serialized the text itself; were it no JSON, it would come as a string.
        match serde_json::from_str::<&RawValue>(self.data) {
            Ok(data) => map.serialize_entry("data", data)?,
            Err(_) => map.serialize_entry("data", self.data)?,
        }
        map.end()
    }
}
