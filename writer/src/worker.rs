//! The logger of a worker process.

use std::path::Path;

use logq_format::{Event, Level, Lifecycle, LogSource, Process, RequestId, WorkerId};
use serde::Serialize;

use crate::endings;
use crate::error::{FlushError, OpenError};
use crate::failure::Failure;
use crate::logger::Logger;
use crate::methods::process_methods;
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

    /// As [`Self::log`], on behalf of a request that another program serves under this id.
    pub fn log_for(&self, request: RequestId, level: Level, data: impl Serialize) {
        self.logger.message(LogSource::Request(request), level, &data);
    }

    /// A logger for one request, with a new id.
    pub fn new_request(&self) -> RequestLogger {
        RequestLogger::new(self.logger.clone())
    }

    process_methods!();

    fn source(&self) -> LogSource {
        LogSource::Worker
    }

    fn process(&self) -> Process {
        Process::Worker
    }
}
