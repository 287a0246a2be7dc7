//! The logger of a worker process.

use std::path::Path;

use logq_format::{Event, Level, Lifecycle, LogSource, Process, RequestId, WorkerId};
use serde::Serialize;

use crate::endings;
use crate::error::{FlushError, OpenError};
use crate::failure::Failure;
use crate::logger::Logger;
use crate::options::LoggerOptions;
use crate::request::RequestLogger;

/// The logger of a process that serves requests.
///
/// Each worker process has one. It is cheap to clone, and clones can be used from any thread. Log
/// calls never fail, never wait for the disk and never panic.
///
/// # Examples
///
/// ```
/// use logq_writer::{LoggerOptions, RequestHead, WorkerId, WorkerLogger};
///
/// # let scratch = tempfile::tempdir()?;
/// # let directory = scratch.path().join("logs");
/// let worker = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
/// let log = WorkerLogger::open(&directory, worker, LoggerOptions::default())?;
/// log.worker_started();
///
/// let request = log.new_request();
/// request.request(&RequestHead { url: "/cart?item=7", ..RequestHead::default() });
/// request.debug(serde_json::json!({ "cache": "miss" }));
/// request.response(200);
/// request.response_finished(());
/// log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WorkerLogger {
    pub(crate) logger: Logger,
}

impl WorkerLogger {
    /// Opens the logger of this worker on a store or on one of its segments, which are created if
    /// they do not exist.
    ///
    /// On a directory the newest segment is written to.
    ///
    /// # Errors
    ///
    /// Fails where the segment cannot be created, opened or joined.
    pub fn open(
        path: impl AsRef<Path>,
        worker: WorkerId,
        options: LoggerOptions,
    ) -> Result<Self, OpenError> {
        Ok(Self { logger: Logger::open(path.as_ref(), Some(worker), options)? })
    }

    /// Logs WORKER_STARTED: the process runs, its set-up has not begun.
    pub fn worker_started(&self) {
        self.step(Lifecycle::WorkerStarted);
    }

    /// Logs WORKER_GOING_ONLINE: set up, not serving yet.
    pub fn worker_going_online(&self) {
        self.step(Lifecycle::WorkerGoingOnline);
    }

    /// Logs WORKER_ONLINE: serving.
    pub fn worker_online(&self) {
        self.step(Lifecycle::WorkerOnline);
    }

    /// Logs WORKER_GOING_OFFLINE: a graceful shutdown begins.
    pub fn worker_going_offline(&self) {
        self.step(Lifecycle::WorkerGoingOffline);
    }

    /// Logs WORKER_OFFLINE: no longer serving, all requests have ended, teardown has not begun.
    pub fn worker_offline(&self) {
        self.step(Lifecycle::WorkerOffline);
    }

    /// Logs WORKER_DONE: teardown is complete.
    pub fn worker_done(&self) {
        self.step(Lifecycle::WorkerDone);
    }

    /// Logs UNCAUGHT_EXCEPTION together with the DEBUG entries kept so far.
    pub fn uncaught_exception(&self, failure: &Failure) {
        self.logger.uncaught_exception(Process::Worker, failure);
    }

    /// Logs data at CRITICAL.
    pub fn critical(&self, data: impl Serialize) {
        self.logger.message(LogSource::Worker, Level::Critical, &data);
    }

    /// Logs data at ERROR.
    pub fn error(&self, data: impl Serialize) {
        self.logger.message(LogSource::Worker, Level::Error, &data);
    }

    /// Logs data at WARN.
    pub fn warn(&self, data: impl Serialize) {
        self.logger.message(LogSource::Worker, Level::Warn, &data);
    }

    /// Logs data at INFO.
    pub fn info(&self, data: impl Serialize) {
        self.logger.message(LogSource::Worker, Level::Info, &data);
    }

    /// Logs data at any level and writes it in any case, DEBUG and TRACE included: for messages that
    /// come from elsewhere. The service's own debug messages are better kept back by [`Self::debug`].
    pub fn log(&self, level: Level, data: impl Serialize) {
        self.logger.message(LogSource::Worker, level, &data);
    }

    /// As [`Self::log`], on behalf of a request that another program serves under this id.
    pub fn log_for(&self, request: RequestId, level: Level, data: impl Serialize) {
        self.logger.message(LogSource::Request(request), level, &data);
    }

    /// Keeps data back in memory; the next [`Self::uncaught_exception`] writes it.
    pub fn debug(&self, data: impl Serialize) {
        self.logger.debug(&data);
    }

    /// A logger for one request, with a new id.
    pub fn new_request(&self) -> RequestLogger {
        RequestLogger::new(self.logger.clone())
    }

    /// From now on logs every panic of the process as UNCAUGHT_EXCEPTION, with its backtrace and the
    /// DEBUG entries kept so far, and has it written before the panic goes on. The panic hook that
    /// was there before runs afterwards.
    pub fn log_panics(&self) {
        endings::log_panics(self.logger.clone(), Process::Worker);
    }

    /// From now on closes the logger when the process gets SIGTERM or SIGINT; then the signal ends
    /// the process as it would have done without this.
    ///
    /// For services that do not handle these signals themselves; those that do call
    /// [`Self::close`] in the end.
    ///
    /// # Errors
    ///
    /// Fails where the handler or its thread cannot be installed.
    pub fn close_on_signals(&self) -> std::io::Result<()> {
        endings::close_on_signals(self.logger.clone())
    }

    /// Waits until everything logged so far has been handed to the operating system.
    ///
    /// # Errors
    ///
    /// Says why the segment did not take it. The records stay in memory and are tried again.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.logger.flush()
    }

    /// Waits until the background thread has done everything that is due by
    /// [`Clock::instant`](crate::Clock::instant), and rests. For simulations, whose clocks move only
    /// when they are told to; services have no use for it.
    pub fn settle(&self) {
        self.logger.settle();
    }

    /// Goes on in another segment, or in the newest segment of another store.
    ///
    /// What was logged before goes into the segment before. No record is lost or written twice.
    ///
    /// # Errors
    ///
    /// Fails where that segment cannot be joined; the logger then stays with the one it has.
    pub fn rotate(&self, path: impl AsRef<Path>) -> Result<(), OpenError> {
        self.logger.rotate(path.as_ref())
    }

    /// Writes what is buffered and closes this logger, its clones and its requests' loggers. Later
    /// calls do nothing.
    ///
    /// # Errors
    ///
    /// Says why the last records could not be written; they are lost then. A disk that refuses them
    /// is tried for two seconds.
    pub fn close(&self) -> Result<(), FlushError> {
        self.logger.close()
    }

    /// Whether the logger is closed.
    pub fn closed(&self) -> bool {
        self.logger.closed()
    }

    fn step(&self, step: Lifecycle) {
        self.logger.log_now(Event::Lifecycle(step), Level::Info);
    }
}
