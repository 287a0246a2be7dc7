//! Reads logq stores: the records of a time range in exact order, and beside them what is missing.

mod error;
mod query;
mod report;
mod rows;
mod snapshot;
mod summary;
mod tally;

pub use error::{OpenError, ReadError};
pub use query::{Filter, Order, Query};
pub use report::{Cause, Coverage, GAPS_MAX, Gap, Holder, Missing, Report, Statistics};
pub use rows::{Row, Rows};
pub use snapshot::Snapshot;
pub use summary::{BlockCounts, ByteCounts, SegmentSummary, Summary, WriterSummary};
pub use tally::{Field, Tally, Value};
