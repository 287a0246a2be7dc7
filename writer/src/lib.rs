//! Logs written by the service itself: structured, compressed, shared by all processes of a cluster.
//!
//! A service opens a logger on a directory and logs. The caller's part is to serialize the data and
//! copy it into a buffer; a background thread compresses and writes. Log calls never fail, never
//! wait for the disk and never panic.
//!
//! | | |
//! |---|---|
//! | the master process, or the only one | [`MasterLogger`] |
//! | a process that serves requests | [`WorkerLogger`] |
//! | one request | [`RequestLogger`], [`RequestHead`], [`ResponseHead`], [`ResponseEnd`] |
//! | something went wrong | [`Failure`] |
//! | batching, compression, limits | [`LoggerOptions`] |
//! | time from elsewhere | [`Clock`] |
//! | records of the past, in bulk | [`BulkWriter`] |
//!
//! # Example
//!
//! ```
//! use logq_writer::{Failure, LoggerOptions, MasterLogger, RequestHead, ResponseHead, WorkerId, WorkerLogger};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let store = scratch.path().join("logs");
//! // In the master process:
//! let master = MasterLogger::open(&store, LoggerOptions::default())?;
//! master.starting_up();
//! let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
//! master.worker_spawned(one);
//!
//! // In the worker process; both append to the same segment:
//! let worker = WorkerLogger::open(&store, one, LoggerOptions::default())?;
//! worker.worker_online();
//! let request = worker.new_request();
//! request.request(&RequestHead { method: "POST", url: "/orders", ..RequestHead::default() });
//! request.info(serde_json::json!({ "message": "order placed", "items": 3 }));
//! request.debug(serde_json::json!({ "sql": "INSERT ..." })); // kept back ...
//! let failure = Failure::from_message("no stock");
//! request.response(ResponseHead::status(500).failure(failure)); // ... and written with this
//! request.response_finished(());
//!
//! worker.close()?;
//! master.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is kept when something happens
//!
//! * `close()` and dropping the last handle: everything.
//! * The process is killed: all but the last `output_delay` or `high_water_mark` of this process; no
//!   other process is disturbed, and at most one torn block remains, which readers skip.
//! * The disk is full: log calls go on. Blocks wait in memory up to `queue_bytes_max`; beyond that
//!   records are dropped, the least severe first, and counted. Writing resumes by itself, with a
//!   LOST record that tells how many were dropped and when.
//! * The wall clock is stepped back: by up to two seconds, times stand still until it has caught up;
//!   by more, a CLOCK_STEP record starts a new writer.

mod bulk;
mod clock;
mod data;
mod endings;
mod error;
mod failure;
mod flusher;
mod io;
mod logger;
mod master;
mod observer;
mod options;
mod queue;
mod request;
mod segment;
mod staging;
mod transcode;
mod worker;

pub use bulk::{BulkError, BulkOptions, BulkSummary, BulkWriter};
pub use clock::{Clock, SystemClock};
pub use error::{FlushError, OpenError};
pub use failure::Failure;
pub use io::{Io, SystemIo};
pub use logq_format::{HttpVersion, Level, RequestId, Timestamp, WorkerId};
pub use master::MasterLogger;
pub use options::{LoggerOptions, SyncPolicy};
pub use request::{RequestHead, RequestLogger, ResponseEnd, ResponseHead};
pub use worker::WorkerLogger;
