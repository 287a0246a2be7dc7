//! From the criteria that users name to a filter, with what they hold kept for as long as it is used.

use logq_format::{Event, LevelSet, Record, RecordType, RequestId, TypeSet, WorkerId};
use logq_query::words::Types;
use logq_query::{Expression, Grep, Network};

use crate::query::Filter;
use crate::rows::Row;

/// Which records are wanted, apart from time, as users name it: within one criterion any value is
/// enough, and all criteria must hold. Those that are empty let all records pass.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// The levels.
    pub levels: LevelSet,
    /// The types and events.
    pub types: Option<Types>,
    /// The processes the records are about, `None` standing for the master.
    pub workers: Vec<Option<WorkerId>>,
    /// The requests the records belong to.
    pub requests: Vec<RequestId>,
    /// Where requests come from. No other records have an address.
    pub networks: Vec<Network>,
    /// Text that is searched for.
    pub grep: Option<Grep>,
}

impl Default for Criteria {
    fn default() -> Self {
        Self {
            levels: LevelSet::ALL,
            types: None,
            workers: Vec::new(),
            requests: Vec::new(),
            networks: Vec::new(),
            grep: None,
        }
    }
}

/// Criteria, prepared to be asked of many records.
///
/// ```
/// use logq_query::words;
/// use logq_reader::{Criteria, Query, OwnedFilter};
///
/// let levels = words::levels("warn")?;
/// let selection = OwnedFilter::from(Criteria { levels, ..Criteria::default() });
/// let query = Query { filter: selection.filter(), ..Query::default() };
/// assert_eq!(query.filter.levels, levels);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OwnedFilter {
    levels: LevelSet,
    types: TypeSet,
    workers: Option<Vec<Option<WorkerId>>>,
    requests: Option<Vec<RequestId>>,
    expression: Option<Expression>,
    body: Option<Box<BodyPredicate>>,
    predicate: Option<Box<Predicate>>,
}

/// The part of a question that needs the whole record.
type Predicate = dyn Fn(&Row<'_>) -> bool + Send + Sync;

/// What the bytes of a block's body tell of it.
type BodyPredicate = dyn Fn(&[u8]) -> bool + Send + Sync;

impl From<Criteria> for OwnedFilter {
    fn from(criteria: Criteria) -> Self {
        let Criteria { levels, types, workers, requests, networks, grep } = criteria;
        let mut wanted_types = types.as_ref().map_or(TypeSet::ALL, Types::set);
        if !networks.is_empty() {
            let requests = TypeSet::EMPTY.with(RecordType::Request);
            wanted_types = TypeSet::from_bits(wanted_types.bits() & requests.bits());
        }
        let body = grep.as_ref().and_then(body_predicate);
        let late = Late { types: types.filter(Types::is_partial), networks, grep };
        Self {
            levels,
            types: wanted_types,
            workers: (!workers.is_empty()).then_some(workers),
            requests: (!requests.is_empty()).then_some(requests),
            expression: None,
            body,
            predicate: late.into_predicate(),
        }
    }
}

impl OwnedFilter {
    /// Adds an expression that must hold, too.
    pub fn add(&mut self, expression: Expression) {
        self.expression = Some(match self.expression.take() {
            Some(other) => other.and(expression),
            None => expression,
        });
    }

    /// The filter of a query.
    pub fn filter(&self) -> Filter<'_> {
        Filter {
            levels: self.levels,
            types: self.types,
            workers: self.workers.clone(),
            requests: self.requests.clone(),
            expression: self.expression.as_ref(),
            body: self.body.as_ref().map(|body| {
                let body: &(dyn Fn(&[u8]) -> bool + Sync) = &**body;
                body
            }),
            predicate: self.predicate.as_ref().map(|predicate| {
                let predicate: &(dyn Fn(&Row<'_>) -> bool + Sync) = &**predicate;
                predicate
            }),
        }
    }

    /// Whether a record is wanted; what queries find out by themselves when they are given the
    /// filter.
    pub fn matches(&self, row: &Row<'_>) -> bool {
        if !self.levels.contains(row.level()) || !self.types.contains(row.record_type()) {
            return false;
        }
        let Ok(record) = row.record() else { return false };
        let is_wanted_worker = |workers: &Vec<_>| workers.contains(&record.subject(row.origin()));
        let is_wanted_request =
            |requests: &Vec<_>| record.request_id().is_some_and(|id| requests.contains(&id));
        let holds =
            |expression: &Expression| expression.matches(&record, row.origin(), row.sequence());
        self.workers.as_ref().is_none_or(is_wanted_worker)
            && self.requests.as_ref().is_none_or(is_wanted_request)
            && self.expression.as_ref().is_none_or(holds)
            && self.predicate.as_ref().is_none_or(|predicate| predicate(row))
    }
}

/// What only the decoded record tells.
struct Late {
    types: Option<Types>,
    networks: Vec<Network>,
    grep: Option<Grep>,
}

impl Late {
    fn into_predicate(self) -> Option<Box<Predicate>> {
        if self.types.is_none() && self.networks.is_empty() && self.grep.is_none() {
            return None;
        }
        Some(Box::new(move |row| row.record().is_ok_and(|record| self.matches(row, &record))))
    }

    fn matches(&self, row: &Row<'_>, record: &Record<'_>) -> bool {
        let is_wanted_type = |types: &Types| types.matches(row.record_type(), record.event_name());
        self.types.as_ref().is_none_or(is_wanted_type)
            && (self.networks.is_empty() || self.is_wanted_address(record))
            && self.grep.as_ref().is_none_or(|grep| grep.matches(record))
    }

    fn is_wanted_address(&self, record: &Record<'_>) -> bool {
        let Event::Request(request) = &record.event else { return false };
        request.ip.is_some_and(|ip| self.networks.iter().any(|network| network.contains(ip)))
    }
}

/// Whether a record of a block with this body may match, if that can be told.
fn body_predicate(grep: &Grep) -> Option<Box<BodyPredicate>> {
    let grep = grep.searches_bodies().then(|| grep.clone())?;
    Some(Box::new(move |body| grep.may_match_in(body)))
}
