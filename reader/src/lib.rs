//! Reads logq stores: the records of a time range in exact order over all writers and segments, and
//! beside them what is missing.
//!
//! A reader takes no lock, disturbs no writer and sees a store as it was when it was opened. It
//! reads what a question takes and no more: pings lead to the range, headers rule blocks out,
//! request ids and the small typed columns rule records out, and only what is left is decoded.
//!
//! ```text
//!  paths ─> segments ─┬─> strand: seek by pings, hop headers ─┐
//!                     ├─> strand                              ├─> plan ─> slices of time
//!                     └─> strand                              ┘             │ in parallel
//!                                                                           v
//!  fold <─ in order, cut at the limit <─ map(rows) <─ bodies <─ keys <─ spines
//! ```
//!
//! | | |
//! |---|---|
//! | a store, opened | [`Snapshot`] |
//! | what is asked | [`Query`], [`Filter`], [`Order`]; [`Field`] to count by |
//! | a filter from the words of users | [`Criteria`], [`OwnedFilter`] |
//! | the records | [`Rows`], [`Row`] |
//! | the steps of many requests, fast | [`Snapshot::visit`], [`VisitDepth`], [`Glimpse`], [`Steps`] |
//! | the counts | [`Tally`], [`Value`] |
//! | counts in groups, over time, with quantiles | [`Grouping`], [`Groups`], [`Group`], [`Sketch`] |
//! | a place in an answer, to go on from | [`Cursor`], [`Cursors`] |
//! | records as they are appended | [`Follow`], [`FollowOptions`], [`Progress`], [`Waiting`] |
//! | what is told besides | [`Report`]: [`Gap`], [`Missing`], [`Coverage`], [`Statistics`] |
//! | all there is to know of a store | [`Summary`] |
//! | the runs and crashes that times are named by | [`StoreMarks`], [`Mark`] |
//! | who writes to it, and who lives | [`Liveness`], [`WriterLife`], [`LifeState`] |
//! | what can go wrong | [`OpenError`], [`ReadError`], [`FollowError`], [`CursorError`] |
//!
//! Damage is no error: what cannot be read is left out and told as a [`Gap`], and no bytes make a
//! reader panic or need unbounded memory.
//!
//! # Example
//!
//! The newest three errors as lines of JSON, newest first:
//!
//! ```
//! # use logq_testkit::{segment::{SegmentOptions, encode}, traffic::TrafficOptions};
//! # let directory = tempfile::tempdir()?;
//! # let traffic = TrafficOptions { records: 20_000, ..TrafficOptions::default() };
//! # let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() })?;
//! # std::fs::write(directory.path().join("0000000001-20260203T000000Z.logq"), segment.bytes)?;
//! use std::ops::ControlFlow;
//!
//! use logq_format::{Level, LevelSet, json};
//! use logq_reader::{Filter, Order, Query, Snapshot};
//!
//! let snapshot = Snapshot::open(&[directory.path()])?;
//! let query = Query {
//!     filter: Filter { levels: LevelSet::at_least(Level::Error), ..Filter::default() },
//!     order: Order::Descending,
//!     limit: Some(3),
//!     ..Query::default()
//! };
//! let mut lines = Vec::new();
//! let report = snapshot.scan(
//!     &query,
//!     // On several threads, a slice of the answer each:
//!     |rows| {
//!         let mut text = Vec::new();
//!         for row in rows.iter() {
//!             json::write_line(&mut text, &row.record()?, row.origin(), row.sequence());
//!         }
//!         Ok::<_, logq_format::DecodeError>(text)
//!     },
//!     // On this thread, in order:
//!     |text| {
//!         lines.push(text);
//!         ControlFlow::Continue(())
//!     },
//! )?;
//!
//! let text = String::from_utf8(lines.into_iter().collect::<Result<Vec<_>, _>>()?.concat())?;
//! assert_eq!(text.matches("\"level\":\"ERROR\"").count(), 3);
//! assert!(report.is_complete(), "nothing is damaged or missing");
//! assert!(report.statistics.bodies_decoded < report.statistics.blocks, "few blocks were needed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod bound;
mod continuity;
mod counts;
mod coverage;
mod criteria;
mod cursor;
mod decoder;
mod error;
mod finality;
mod follow;
mod gain;
mod hop;
mod keys;
mod ledger;
mod listing;
mod loading;
mod marks;
mod plan;
mod query;
mod report;
mod requests;
mod rows;
mod run;
mod scale;
mod seek;
mod segment;
mod select;
mod shadow;
mod shelf;
mod snapshot;
mod source;
mod strand;
mod stream;
mod summary;
mod tally;
mod timeline;
mod twins;
mod view;
mod visit;
mod wanted;
mod workspace;

pub use criteria::{Criteria, OwnedFilter};
pub use cursor::{Cursor, CursorError, Cursors};
pub use error::{OpenError, ReadError};
pub use finality::{LifeState, Liveness, WriterLife};
pub use follow::{
    Changes, Delivery, Follow, FollowError, FollowOptions, Notification, PollingReason, Progress,
    Start, Waiting, Wake,
};
pub use marks::{Mark, StoreMarks};
pub use query::{BodyPredicate, Filter, Order, Query};
pub use report::{Cause, Coverage, GAPS_MAX, Gap, Holder, Missing, Report, Statistics};
pub use requests::RequestRecord;
pub use rows::{Row, Rows};
pub use snapshot::Snapshot;
pub use source::Source;
pub use summary::{
    BlockCounts, ByteCounts, DictionarySummary, SegmentSummary, Summary, WriterSummary,
};
pub use tally::{Field, Group, Grouping, Groups, Sketch, Tally, Value};
pub use visit::{Glimpse, Steps, VisitDepth};

#[cfg(test)]
mod tests;
