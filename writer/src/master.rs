//! The logger of a cluster's master process.

use std::path::Path;

use logq_format::{Event, Level, Lifecycle, LogSource, Process, WorkerExited, WorkerId};
use serde::Serialize;

use crate::endings;
use crate::error::{FlushError, OpenError};
use crate::failure::Failure;
use crate::logger::Logger;
use crate::methods::process_methods;
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

    process_methods!();

    fn source(&self) -> LogSource {
        LogSource::Master
    }

    fn process(&self) -> Process {
        Process::Master
    }
}
