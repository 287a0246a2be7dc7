//! Reads logq stores: the records of a time range in exact order, and beside them what is missing.

mod continuity;
mod counts;
mod coverage;
mod decoder;
mod error;
mod hop;
mod keys;
mod ledger;
mod listing;
mod loading;
mod plan;
mod query;
mod report;
mod rows;
mod run;
mod scale;
mod seek;
mod segment;
mod select;
mod shelf;
mod snapshot;
mod source;
mod strand;
mod summary;
mod tally;
mod timeline;
mod twins;
mod view;
mod wanted;
mod workspace;

pub use error::{OpenError, ReadError};
pub use query::{Filter, Order, Query};
pub use report::{Cause, Coverage, GAPS_MAX, Gap, Holder, Missing, Report, Statistics};
pub use rows::{Row, Rows};
pub use snapshot::Snapshot;
pub use summary::{BlockCounts, ByteCounts, SegmentSummary, Summary, WriterSummary};
pub use tally::{Field, Tally, Value};

#[cfg(test)]
mod tests;
