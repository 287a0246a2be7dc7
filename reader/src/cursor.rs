//! Cursors: places in answers, as short texts that outlive the process.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use logq_format::{Id, Timestamp};

use crate::query::Order;
use crate::rows::{Rank, Row};

pub(crate) mod position;
mod resume;
mod token;

use position::{Extent, HIGHEST, LOWEST, Position, through};
pub(crate) use resume::{Resume, Stretch, boundary};

/// A place in an answer, from which a later one goes on: with every record that has not been handed
/// out, and with none that has.
///
/// That holds across rotation, across deletion as far as the records are still there, with whatever
/// filter, and also for answers that were cut by a limit or not final: what was written late comes
/// when it is there, before the rest. Of a query in descending order the rest are the earlier
/// records; what was appended meanwhile and is later than the cursor belongs to another answer.
///
/// As text it is a word of letters, digits, `-` and `_`, safe in shells and URLs: up to some 200
/// characters for one store, most often 150. It names the store, so another one is refused. Texts of
/// this version stay readable.
///
/// # Examples
///
/// ```
/// # use std::ops::ControlFlow;
/// # use logq_testkit::{segment::{SegmentOptions, encode}, traffic::TrafficOptions};
/// # let directory = tempfile::tempdir()?;
/// # let traffic = TrafficOptions { records: 1_000, ..TrafficOptions::default() };
/// # let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() })?;
/// # std::fs::write(directory.path().join("0000000001-20260203T000000Z.logq"), segment.bytes)?;
/// use logq_reader::{Cursor, Query, Snapshot};
///
/// let snapshot = Snapshot::open(&[directory.path()])?;
/// let first = Query { limit: Some(10), ..Query::default() };
/// let cursors = snapshot.cursors(&first)?;
/// let mut text = String::new();
/// snapshot.scan(
///     &first,
///     |rows| rows.iter().last().map(|row| cursors.after(&row).to_string()),
///     |last| {
///         text = last.unwrap_or_default();
///         ControlFlow::Continue(())
///     },
/// )?;
///
/// // Later, in another process:
/// let cursor: Cursor = text.parse()?;
/// let rest = Query { after: Some(&cursor), ..Query::default() };
/// assert_eq!(snapshot.count(&rest)?.0, 990);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) position: Position,
}

impl Cursor {
    /// The time of the record that it stands behind; `None` at the start or the end of an answer.
    pub fn time(&self) -> Option<Timestamp> {
        let (time, ..) = self.position.levels.last()?.rank;
        (Timestamp::MIN < time && time < Timestamp::MAX).then_some(time)
    }

    /// The order of the answers it belongs to.
    pub fn order(&self) -> Order {
        self.position.order
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&token::encode(&self.position))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        token::decode(text).map(|position| Self { position })
    }
}

/// Says why a cursor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The text is no cursor, or has lost some of its characters.
    #[error("not a cursor: {reason}; a cursor is a word such as `--show-cursor` prints")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A newer version made it.
    #[error("the cursor is of version {found}, this program knows version 1; use a newer program")]
    Newer {
        /// Its version.
        found: u8,
    },
    /// A store was given that the cursor knows nothing about.
    #[error(
        "{}: the cursor belongs to another store; start without it, or give the store it was made with (this one is {found})",
        path.display()
    )]
    OtherStore {
        /// The store.
        path: PathBuf,
        /// What identifies it.
        found: Id,
    },
    /// A store that the cursor was made with is not among those that were given.
    #[error("the cursor was made with another store too, {store}; give all of its stores")]
    MissingStore {
        /// What identifies it.
        store: Id,
    },
    /// The cursor is of an answer in the opposite order.
    #[error("the cursor is of an answer in {} order; ask for that order", name(*cursor))]
    OtherOrder {
        /// The cursor's order.
        cursor: Order,
    },
}

fn name(order: Order) -> &'static str {
    match order {
        Order::Ascending => "ascending",
        Order::Descending => "descending",
    }
}

/// Makes the cursors of one answer; to be shared by the threads that render it.
#[derive(Clone, Debug)]
pub struct Cursors {
    /// Where the answer began.
    start: Position,
    /// The bytes it considered.
    extents: Vec<Extent>,
    unborn: u8,
    end: Rank,
}

impl Cursors {
    pub(crate) fn new(start: Position, unborn: u8, extents: Vec<Extent>, end: Rank) -> Self {
        Self { start, extents, unborn, end }
    }

    /// The place before the first record.
    pub fn start(&self) -> Cursor {
        Cursor { position: self.start.clone() }
    }

    /// The place behind a record of the answer.
    pub fn after(&self, row: &Row<'_>) -> Cursor {
        self.after_rank(row.rank())
    }

    /// The place behind the last record of an answer that no limit has cut.
    pub fn end(&self) -> Cursor {
        self.after_rank(self.end)
    }

    /// The place behind the last record before a time, of an answer in ascending order.
    pub fn before(&self, time: Timestamp) -> Cursor {
        self.after_rank(through(time.saturating_add_micros(-1)))
    }

    pub(crate) fn after_rank(&self, rank: Rank) -> Cursor {
        Cursor { position: self.start.advanced(rank, self.unborn, self.extents.clone()) }
    }
}

/// The rank of the last record that a query may answer.
pub(crate) fn end_of(order: Order, since: Option<Timestamp>, until: Option<Timestamp>) -> Rank {
    match order {
        Order::Ascending => until.map_or(HIGHEST, |until| through(until.saturating_add_micros(-1))),
        Order::Descending => since.map_or(LOWEST, |since| (since, 0, 0)),
    }
}
