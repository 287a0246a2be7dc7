//! Counting records by a field.

use logq_format::{Level, RecordType, WorkerId};

/// A field whose values can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The level.
    Level,
    /// The type.
    Type,
    /// The status code of responses.
    StatusCode,
    /// The process a record is about; see [`Record::subject`](logq_format::Record::subject).
    WorkerId,
}

/// A value of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Value {
    /// A level.
    Level(Level),
    /// A type.
    Type(RecordType),
    /// A status code.
    StatusCode(u16),
    /// A worker, or the master.
    WorkerId(Option<WorkerId>),
}

/// How many records have which value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// The values that occur, ascending, each with the number of records that have it.
    pub counts: Vec<(Value, u64)>,
    /// All records that match; those that do not have the field are counted here only.
    pub records: u64,
}
