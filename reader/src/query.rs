//! What is asked: a range of time, a filter, an order, a limit.
//!
//! Parsing any of it is the command's business.

use std::fmt;
use std::sync::atomic::AtomicBool;

use logq_format::{LevelSet, RequestId, Timestamp, TypeSet, WorkerId};
use logq_query::Expression;

use crate::cursor::Cursor;
use crate::rows::Row;

/// Which records are wanted, in which order, and how many. The default asks for all of them.
///
/// # Examples
///
/// ```
/// use logq_format::{Level, LevelSet};
/// use logq_reader::{Filter, Order, Query};
///
/// let newest_errors = Query {
///     since: Some("2026-02-03T14:00:00Z".parse()?),
///     filter: Filter { levels: LevelSet::at_least(Level::Error), ..Filter::default() },
///     order: Order::Descending,
///     limit: Some(10),
///     ..Query::default()
/// };
/// # Ok::<(), logq_format::TimestampError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query<'q> {
    /// The first instant wanted; `None` for the beginning of the store.
    pub since: Option<Timestamp>,
    /// The first instant no longer wanted; `None` for the end of the store.
    pub until: Option<Timestamp>,
    /// Which records of that range are wanted.
    pub filter: Filter<'q>,
    /// The place behind which records are wanted; `None` for all of them.
    pub after: Option<&'q Cursor>,
    /// In which order.
    pub order: Order,
    /// The most records wanted: the first ones in that order.
    pub limit: Option<u64>,
    /// Whether what blocks tell twice is compared, so that what contradicts itself is told as damage: for
    /// those who want to know whether all is well.
    pub thorough: bool,
    /// Ends the answer early where it has got to, once somebody sets it: nobody waits for it any more.
    pub stop: Option<&'q AtomicBool>,
}

impl Query<'_> {
    /// The same question, confined to the times that its expression allows: what lies outside is
    /// not even looked for.
    #[must_use]
    pub fn narrowed(&self) -> Self {
        let (from, to) = self.filter.expression.map(Expression::times).unwrap_or_default();
        let until = self.until.into_iter().chain(to).min();
        Self { since: self.since.max(from), until, ..self.clone() }
    }
}

/// The order of records: by time, then writer, then sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first: exactly the reverse.
    Descending,
}

/// Which records are wanted: those that pass every part. The default lets all records pass.
///
/// The parts are listed from cheap to dear, and each is asked only for what the ones before let
/// pass: levels, types and workers by a block's header, requests before anything is decompressed,
/// the expression by each of these and then by the spine as far as they tell, the bytes of whole
/// bodies, the predicate last.
#[derive(Clone)]
pub struct Filter<'q> {
    /// The levels.
    pub levels: LevelSet,
    /// The types.
    pub types: TypeSet,
    /// The processes the records are about, `None` standing for the master; see
    /// [`Record::subject`](logq_format::Record::subject).
    pub workers: Option<Vec<Option<WorkerId>>>,
    /// The requests the records belong to.
    pub requests: Option<Vec<RequestId>>,
    /// A question about the fields. What it says of times narrows the query, see
    /// [`Query::narrowed`].
    pub expression: Option<&'q Expression>,
    /// Whether records of a block can pass the predicate at all, given the bytes of its body: every
    /// text, JSON value and error of its records as one piece each, with other bytes before and
    /// after. Spares decoding blocks that do not have a text that is searched for.
    ///
    /// Known methods and the names of lifecycle events are not among these bytes.
    pub body: Option<&'q BodyPredicate<'q>>,
    /// Anything else. Called from several threads, and more than once for some records.
    pub predicate: Option<&'q (dyn Fn(&Row<'_>) -> bool + Sync)>,
}

/// What the bytes of a whole body tell of its records; see [`Filter::body`].
pub type BodyPredicate<'q> = dyn Fn(&[u8]) -> bool + Sync + 'q;

impl Default for Filter<'_> {
    fn default() -> Self {
        Self {
            levels: LevelSet::ALL,
            types: TypeSet::ALL,
            workers: None,
            requests: None,
            expression: None,
            body: None,
            predicate: None,
        }
    }
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("levels", &self.levels)
            .field("types", &self.types)
            .field("workers", &self.workers)
            .field("requests", &self.requests)
            .field("expression", &self.expression.map(ToString::to_string))
            .field("body", &self.body.map(|_| "..."))
            .field("predicate", &self.predicate.map(|_| "..."))
            .finish()
    }
}
