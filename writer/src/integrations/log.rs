//! The `log` facade on a logger: its messages become LOG records.
//!
//! ```
//! use logq_writer::integrations::log::{LogOptions, init};
//! use logq_writer::{LoggerOptions, MasterLogger};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("logs");
//! let master = MasterLogger::open(&directory, LoggerOptions::default())?;
//! init(&master, LogOptions::default())?;
//!
//! log::info!(port = 8080; "listening"); // {"message":"listening","port":8080,"target":"shop"}
//! log::debug!("2 of 3 rows match"); // kept back ...
//! log::error!("no stock"); // ... and written with this
//! master.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Data
//!
//! The data of a record is an object: `message`; the key-values of the message, numbers and booleans
//! as such, infinities and NaN and everything else as text; `target`; `module`, where it is not the
//! target; `file` and `line`, if asked for. A name that is taken is left out later on, so key-values
//! win over all but the message.
//!
//! # Levels
//!
//! ERROR, WARN and INFO are written under these names; CRITICAL is left to the loggers' own methods.
//! DEBUG and TRACE are kept back in memory, in the entries that [`MasterLogger::debug`] and
//! [`WorkerLogger::debug`] also use, unless [`LogOptions::write_debug`] is set. The next ERROR message
//! takes them along under `debug`, or the next UNCAUGHT_EXCEPTION does, whichever comes first; the
//! oldest ones beyond [`debug_log_limit`](crate::LoggerOptions::debug_log_limit) entries or a
//! mebibyte are forgotten. Entries from TRACE have a field `level`.
//!
//! [`MasterLogger::debug`]: crate::MasterLogger::debug
//! [`WorkerLogger::debug`]: crate::WorkerLogger::debug

use std::borrow::Cow;
use std::fmt;

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use logq_format::Level;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::fields::{Fields, Float, Text};
use super::sink::{Extras, ProcessLogger};

/// A [`Log`] that writes to the logger of a master or a worker; see the [module](self).
pub struct LogqLog {
    logger: ProcessLogger,
    options: LogOptions,
}

/// Settings of a [`LogqLog`].
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// The least severe level that is taken at all: DEBUG by default.
    pub level: LevelFilter,
    /// Writes DEBUG and TRACE messages at once, as records of these levels, instead of keeping them
    /// back. Off by default.
    pub write_debug: bool,
    /// Adds `file` and `line` of each message. Off by default.
    pub location: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LevelFilter::Debug, write_debug: false, location: false }
    }
}

/// Makes a logger the one that the macros of `log` use, for the rest of the process's life.
///
/// # Errors
///
/// Fails if there is one already.
pub fn init(logger: impl Into<ProcessLogger>, options: LogOptions) -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(LogqLog::new(logger, options)))?;
    log::set_max_level(options.level);
    Ok(())
}

impl LogqLog {
    /// A [`Log`] to be combined with others; [`init`] is for those who have only this one.
    pub fn new(logger: impl Into<ProcessLogger>, options: LogOptions) -> Self {
        Self { logger: logger.into(), options }
    }
}

impl Log for LogqLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.options.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let data = |extras| RecordData { record, location: self.options.location, extras };
        self.logger.sink().log(level_of(record.level()), self.options.write_debug, data);
    }

    fn flush(&self) {
        // The facade has no way to tell; the records stay in memory and are tried again.
        let _ = self.logger.flush();
    }
}

impl fmt::Debug for LogqLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogqLog").field("options", &self.options).finish_non_exhaustive()
    }
}

fn level_of(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

/// A message with all that is known around it.
struct RecordData<'a> {
    record: &'a Record<'a>,
    location: bool,
    extras: Extras,
}

impl Serialize for RecordData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut fields = Fields::new(serializer.serialize_map(None)?);
        fields.put("message", &Text(record.args()))?;
        let mut pairs = Pairs { fields: &mut fields, outcome: Ok(()) };
        // The visitor itself never fails; what a foreign source refuses to tell is left out.
        let _ = record.key_values().visit(&mut pairs);
        pairs.outcome?;
        fields.put("target", record.target())?;
        if let Some(module) = record.module_path().filter(|module| *module != record.target()) {
            fields.put("module", module)?;
        }
        if self.location {
            if let Some(file) = record.file() {
                fields.put("file", file)?;
            }
            if let Some(line) = record.line() {
                fields.put("line", &line)?;
            }
        }
        self.extras.put_into(&mut fields)?;
        fields.end()
    }
}

/// Puts key-values into the object in the making, up to the first error.
struct Pairs<'a, 'kvs, M: SerializeMap> {
    fields: &'a mut Fields<'kvs, M>,
    outcome: Result<(), M::Error>,
}

impl<'kvs, M: SerializeMap> VisitSource<'kvs> for Pairs<'_, 'kvs, M> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let name = match key.to_borrowed_str() {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(key.as_str().to_owned()),
        };
        value.visit(Typed { name: Some(name), pairs: self })
    }
}

/// Gives a value the type it has in JSON.
struct Typed<'a, 'p, 'kvs, M: SerializeMap> {
    /// Until the value has been told.
    name: Option<Cow<'kvs, str>>,
    pairs: &'a mut Pairs<'p, 'kvs, M>,
}

impl<M: SerializeMap> Typed<'_, '_, '_, M> {
    fn put(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), kv::Error> {
        if let Some(name) = self.name.take()
            && self.pairs.outcome.is_ok()
        {
            self.pairs.outcome = self.pairs.fields.put(name, value);
        }
        Ok(())
    }
}

impl<'v, M: SerializeMap> VisitValue<'v> for Typed<'_, '_, '_, M> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.put(&Text(value))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.put(&())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.put(&Float(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.put(value)
    }
}
