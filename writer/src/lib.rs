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
//! | batching, compression, limits, syncing | [`LoggerOptions`], [`SyncPolicy`] |
//! | time and disk from elsewhere | [`Clock`], [`Io`] |
//! | records of the past, in bulk | [`BulkWriter`] |
//! | a service that speaks `tracing`, `log` or `tower` | `integrations`, with the feature of that name |
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
//! # The durability contract
//!
//! Each sentence names the test in `writer/tests/` that fails if it is not true.
//!
//! | what happens | what is kept |
//! |---|---|
//! | `close()`, the last handle is dropped | Everything. (`loggers::dropping_the_last_handle_writes_everything`) |
//! | `main` returns, `exit` is called | Everything, also of loggers that are never dropped. (`endings::exit_writes_everything_even_of_a_logger_that_is_never_dropped`) |
//! | a panic, after `log_panics()` | The exception with its backtrace and the DEBUG entries, and everything before it, even if the process aborts. (`endings::a_panic_is_recorded_with_its_debug_entries_before_the_process_aborts`) |
//! | SIGTERM or SIGINT, after `close_on_signals()` | Everything. (`endings::signals_close_the_logger_and_then_end_the_process_as_ever`) |
//! | SIGKILL, the kernel's choice when memory runs out | All but the last `output_delay` or `high_water_mark` of this process; no other process is disturbed; what was flushed is never harmed. (`processes::killing_writers_again_and_again_never_harms_what_was_flushed`) |
//! | a write is cut short | The block is written again as a whole; readers skip the torn part. (`endings::whichever_append_fails_no_record_is_lost_or_doubled`) |
//! | the disk is full, or a file as large as it may be | Log calls go on. Blocks wait in memory up to `queue_bytes_max`; beyond that records are dropped, the least severe first, and counted exactly; writing resumes by itself, with a LOST record that tells how many and when. (`segments::a_disk_that_refuses_costs_records_only_beyond_the_queue_and_says_how_many`, `endings::a_limit_on_the_size_of_files_is_a_full_disk_and_ends_nothing`) |
//! | another error of a write | The segment is left for a new one, the block is written there, and an IO_ERROR record tells why. (`endings::whichever_append_fails_no_record_is_lost_or_doubled`) |
//! | power is lost | What was synced, by [`SyncPolicy`]. A sync that fails is told to whoever waits in `flush`, is not repeated on the same file, and the segment is left. (`endings::sync_policies_sync_when_they_say_and_failures_are_told`) |
//! | the process forks | The child's loggers are closed: it writes nothing twice and nothing of its own, and opens its own logger if it wants to log. (`endings::a_forked_child_writes_nothing_twice_and_nothing_of_its_own`) |
//! | the wall clock is stepped back | Up to two seconds, times stand still until it has caught up; beyond that, a CLOCK_STEP record starts a new writer. Queries stay exact. (`loggers::small_steps_back_of_the_clock_are_absorbed_and_large_ones_start_a_new_writer`) |
//! | the segment is deleted | Loggers go on in another one. (`segments::a_segment_that_is_deleted_under_a_writer_is_replaced`) |
//! | the store is rotated | Nothing is lost or doubled; loggers of a directory follow by themselves. (`segments::rotation_loses_nothing_doubles_nothing_and_keeps_the_order`, `segments::loggers_of_a_store_follow_rotation_by_themselves`) |
//!
//! `flush()` returns once everything logged before has been handed to the operating system, or says why
//! that is not possible. Order within a writer is the order of the calls; between writers, that of the
//! recorded times.

mod bulk;
mod clock;
mod control;
mod data;
mod endings;
mod error;
mod failure;
mod flusher;
#[cfg(any(feature = "log", feature = "tower", feature = "tracing"))]
pub mod integrations;
mod io;
mod logger;
mod master;
mod methods;
mod observer;
mod options;
mod queue;
mod request;
mod segment;
mod staging;
mod transcode;
mod worker;

pub use bulk::{BulkError, BulkOptions, BulkSummary, BulkWriter, Holes};
pub use clock::{Clock, SystemClock};
pub use error::{FlushError, OpenError};
pub use failure::Failure;
pub use io::{Io, SystemIo};
pub use logq_format::{HttpVersion, Level, RequestId, Timestamp, WorkerId};
pub use master::MasterLogger;
pub use options::{LoggerOptions, SyncPolicy};
pub use request::{RequestHead, RequestLogger, ResponseEnd, ResponseHead};
pub use worker::WorkerLogger;

/// The README's examples compile.
#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../../README.md")]
struct Readme;
