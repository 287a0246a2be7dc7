//! The logger of a cluster's master process.

use std::path::Path;

use logq_format::{Event, Level, Lifecycle, LogSource, Process, WorkerExited, WorkerId};
use serde::Serialize;

use crate::endings;
use crate::error::{FlushError, OpenError};
use crate::failure::Failure;
use crate::logger::Logger;
use crate::options::LoggerOptions;

/// The logger of the process that spawns workers; also the one for a service of one process.
///
/// One instance serves the process for its whole life. It is cheap to clone, and clones can be used
/// from any thread. Log calls never fail, never wait for the disk and never panic.
///
/// # Examples
///
/// ```
/// use logq_writer::{LoggerOptions, MasterLogger};
///
/// # let scratch = tempfile::tempdir()?;
/// # let directory = scratch.path().join("logs");
/// let log = MasterLogger::open(&directory, LoggerOptions::default())?;
/// log.starting_up();
/// log.info(serde_json::json!({ "message": "listening", "port": 8080 }));
/// log.starting_up_completed();
/// log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MasterLogger {
    pub(crate) logger: Logger,
}

impl MasterLogger {
    /// Opens a logger on a store or on one of its segments, which are created if they do not exist.
    ///
    /// On a directory the newest segment is written to.
    ///
    /// # Errors
    ///
    /// Fails where the segment cannot be created, opened or joined.
    pub fn open(path: impl AsRef<Path>, options: LoggerOptions) -> Result<Self, OpenError> {
        Ok(Self { logger: Logger::open(path.as_ref(), None, options)? })
    }

    /// Logs STARTING_UP: the first thing a master logs.
    pub fn starting_up(&self) {
        self.step(Lifecycle::StartingUp);
    }

    /// Logs STARTING_UP_COMPLETED: all workers run and serve.
    pub fn starting_up_completed(&self) {
        self.step(Lifecycle::StartingUpCompleted);
    }

    /// Logs SHUTTING_DOWN: a graceful shutdown begins, no worker has been told yet.
    pub fn shutting_down(&self) {
        self.step(Lifecycle::ShuttingDown);
    }

    /// Logs SHUTTING_DOWN_COMPLETED: all workers have exited, gracefully or not.
    pub fn shutting_down_completed(&self) {
        self.step(Lifecycle::ShuttingDownCompleted);
    }

    /// Logs WORKER_SPAWNED: to be called whenever a worker is spawned.
    pub fn worker_spawned(&self, worker: WorkerId) {
        self.logger.log_now(Event::WorkerSpawned { worker }, Level::Info);
    }

    /// Logs WORKER_EXITED with the exit code or the name of the signal, such as `SIGKILL`.
    ///
    /// INFO for code 0, SIGTERM and SIGINT, else WARN.
    pub fn worker_exited(&self, worker: WorkerId, exit_code: Option<i32>, signal: Option<&str>) {
        let exited = WorkerExited { worker, exit_code, signal };
        let level = if exited.is_orderly() { Level::Info } else { Level::Warn };
        self.logger.log_now(Event::WorkerExited(exited), level);
    }

    /// Logs UNCAUGHT_EXCEPTION together with the DEBUG entries kept so far.
    pub fn uncaught_exception(&self, failure: &Failure) {
        self.logger.uncaught_exception(Process::Master, failure);
    }

    /// Logs data at CRITICAL.
    pub fn critical(&self, data: impl Serialize) {
        self.logger.message(LogSource::Master, Level::Critical, &data);
    }

    /// Logs data at ERROR.
    pub fn error(&self, data: impl Serialize) {
        self.logger.message(LogSource::Master, Level::Error, &data);
    }

    /// Logs data at WARN.
    pub fn warn(&self, data: impl Serialize) {
        self.logger.message(LogSource::Master, Level::Warn, &data);
    }

    /// Logs data at INFO.
    pub fn info(&self, data: impl Serialize) {
        self.logger.message(LogSource::Master, Level::Info, &data);
    }

    /// Logs data at any level and writes it in any case, DEBUG and TRACE included: for messages that
    /// come from elsewhere. The service's own debug messages are better kept back by [`Self::debug`].
    pub fn log(&self, level: Level, data: impl Serialize) {
        self.logger.message(LogSource::Master, level, &data);
    }

    /// Keeps data back in memory; the next [`Self::uncaught_exception`] writes it.
    pub fn debug(&self, data: impl Serialize) {
        self.logger.debug(&data);
    }

    /// From now on logs every panic of the process as UNCAUGHT_EXCEPTION, with its backtrace and the
    /// DEBUG entries kept so far, and has it written before the panic goes on. The panic hook that
    /// was there before runs afterwards.
    pub fn log_panics(&self) {
        endings::log_panics(self.logger.clone(), Process::Master);
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

    /// Writes what is buffered and closes this logger and all its clones. Later calls do nothing.
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
