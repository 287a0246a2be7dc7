//! Groups by fields that are told in another record of the same request: latencies by url, of which
//! RESPONSE tells the one and REQUEST the other.
//!
//! ```text
//!  records in exact order ─> events of a slice (on any thread) ─> Join ─> Groups
//!                            told, counted, over                  open requests
//! ```
//!
//! What is counted are records that match the query. What they borrow is the value in the last
//! REQUEST of their request before them, whether that matches or not, as far as it is not more than
//! ten minutes older. A value that is nowhere is missing, and the record counts all the same. Memory
//! is bounded by the requests that are open.

use std::collections::{HashMap, VecDeque};

use logq_format::{Level, LevelSet, Origin, RecordType, RequestId, Timestamp, TypeSet, WriterId};
use logq_query::{BlockFacts, FieldPath, Verdict};

use super::grouping::{Dimension, Facts as _, Grouping, RecordFacts, stretch_of};
use super::groups::Groups;
use super::key::encode;
use crate::query::{Filter, Order, Query};
use crate::rows::{Row, Rows};

/// How long after its REQUEST a record still borrows from it.
const OPEN_US: i64 = 10 * 60 * 1_000_000;

/// So many requests are open at a time; of more, the oldest are given up. Some 20 MB.
const OPEN_MAX: usize = 100_000;

const LENDER: TypeSet = TypeSet::EMPTY.with(RecordType::Request);

/// A count in groups for which records of a request are joined.
#[derive(Clone, Debug)]
pub(crate) struct Joined<'g> {
    grouping: &'g Grouping<'g>,
    /// The types of the records that are counted.
    counted: TypeSet,
    /// Behind a record of this type nothing more of a request is counted.
    last: RecordType,
}

impl<'g> Joined<'g> {
    /// How records are joined for this question; `None` where some record can have all the fields
    /// itself, or no record can borrow what it does not have.
    pub(crate) fn of(query: &Query<'_>, grouping: &'g Grouping<'g>) -> Option<Self> {
        let measured = grouping.measure.map_or(TypeSet::ALL, FieldPath::types);
        let candidates = both(possible(&query.filter), measured);
        let having = |dimensions: &mut dyn Iterator<Item = &Dimension>| {
            dimensions.map(|dimension| dimension.field.types()).fold(candidates, both)
        };
        let (all, mut own) = (grouping.by.iter(), grouping.by.iter().filter(|d| !is_borrowed(d)));
        if having(&mut all.clone()) != TypeSet::EMPTY || !all.clone().any(is_borrowed) {
            return None;
        }
        let of_requests = FieldPath::parse("requestId").map_or(TypeSet::EMPTY, |id| id.types());
        let others = TypeSet::from_bits(of_requests.bits() & !LENDER.bits());
        let counted = both(having(&mut own), others);
        let last = match counted == TypeSet::EMPTY.with(RecordType::Response) {
            true => RecordType::Response,
            false => RecordType::ResponseFinished,
        };
        (counted != TypeSet::EMPTY).then_some(Self { grouping, counted, last })
    }

    /// The type of record behind which nothing more of a request is counted.
    #[cfg(test)]
    pub(crate) fn last(&self) -> RecordType {
        self.last
    }

    /// The question by which the records are read.
    pub(crate) fn reading<'q>(&self, query: &Query<'q>) -> Query<'q> {
        let asked = &query.filter;
        let filter = Filter {
            types: self.counted.with(self.last).union(LENDER),
            requests: asked.requests.clone().or_else(|| asked.expression?.requests()),
            workers: asked.workers.clone(),
            ..Filter::default()
        };
        let since = query.since.map(|since| since.saturating_add_micros(-OPEN_US));
        Query { since, filter, limit: None, order: Order::Ascending, ..query.clone() }
    }

    /// What the records of a slice say to a question.
    pub(crate) fn events(&self, rows: &Rows<'_>, asked: &Query<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        for row in rows.iter() {
            // What cannot be decoded is told as a gap.
            let Ok(record) = row.record() else { continue };
            let Some(request) = record.request_id() else { continue };
            let mut push = |what| events.push(Event { request, time: row.time(), what });
            let facts = RecordFacts { record, origin: row.origin(), sequence: row.sequence() };
            if row.record_type() == RecordType::Request {
                push(What::Told(self.values(&facts, true)));
            } else if self.counted.contains(row.record_type()) && is_wanted(&row, &facts, asked) {
                let number = |field: &FieldPath| facts.value(field)?.as_f64();
                match self.grouping.measure.map(number) {
                    None => push(What::Counted(self.values(&facts, false), None)),
                    Some(Some(number)) if number.is_finite() => {
                        push(What::Counted(self.values(&facts, false), Some(number)));
                    }
                    Some(_) => {}
                }
            }
            if row.record_type() == self.last {
                push(What::Over);
            }
        }
        events
    }

    /// The values that a REQUEST lends, or those of a record's own.
    fn values(&self, facts: &RecordFacts<'_>, are_borrowed: bool) -> Values {
        let fields = self.grouping.by.iter().filter(|d| is_borrowed(d) == are_borrowed);
        let encoded = fields.map(|dimension| {
            let mut bytes = Vec::new();
            encode(dimension.value(facts).as_ref(), &mut bytes);
            bytes.into()
        });
        encoded.collect()
    }
}

/// Whether only a REQUEST has the field.
fn is_borrowed(dimension: &Dimension) -> bool {
    dimension.field.types() == LENDER
}

fn both(one: TypeSet, other: TypeSet) -> TypeSet {
    TypeSet::from_bits(one.bits() & other.bits())
}

/// The types of which there can be records that match.
fn possible(filter: &Filter<'_>) -> TypeSet {
    let can_match = |record_type: &RecordType| {
        // A request comes without saying how severe that is.
        let levels = match record_type {
            RecordType::Request => LevelSet::EMPTY.with(Level::Info),
            _ => LevelSet::ALL,
        };
        let facts = BlockFacts {
            levels: LevelSet::from_bits(levels.bits() & filter.levels.bits()),
            types: TypeSet::EMPTY.with(*record_type),
            origin: Origin { writer: WriterId(0), worker: None },
            times: (Timestamp::MIN, Timestamp::MAX),
            sequences: (0, logq_format::limits::SEQUENCE_MAX),
        };
        facts.levels != LevelSet::EMPTY
            && filter.expression.is_none_or(|e| e.judge_block(&facts) != Verdict::Never)
    };
    let types = RecordType::ALL.into_iter().filter(|t| filter.types.contains(*t));
    types.filter(can_match).fold(TypeSet::EMPTY, TypeSet::with)
}

/// Whether a record is one that was asked for.
fn is_wanted(row: &Row<'_>, facts: &RecordFacts<'_>, asked: &Query<'_>) -> bool {
    let Filter { levels, expression, predicate, .. } = &asked.filter;
    asked.since.is_none_or(|since| row.time() >= since)
        && levels.contains(row.level())
        && expression.is_none_or(|e| e.matches(&facts.record, facts.origin, facts.sequence))
        && predicate.is_none_or(|predicate| predicate(row))
}

/// Encoded values, in the order of their fields.
type Values = Box<[Box<[u8]>]>;

/// What a record means for the count.
#[derive(Debug)]
pub(crate) struct Event {
    request: RequestId,
    time: Timestamp,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It lends these values.
    Told(Values),
    /// It counts, with these values of its own and its number.
    Counted(Values, Option<f64>),
    /// Nothing more comes of the request.
    Over,
}

/// Requests that are open, and what was counted so far.
pub(crate) struct Join<'j> {
    joined: &'j Joined<'j>,
    open: HashMap<RequestId, (Timestamp, Values)>,
    /// Requests in the order in which they came, with the time that tells whether they are still open.
    queue: VecDeque<(Timestamp, RequestId)>,
    open_max: usize,
    key: Vec<u8>,
    groups: Groups,
}

impl<'j> Join<'j> {
    pub(crate) fn new(joined: &'j Joined<'j>) -> Self {
        let (open, queue, key) = (HashMap::new(), VecDeque::new(), Vec::new());
        let groups = Groups::new(joined.grouping);
        Self { joined, open, queue, open_max: OPEN_MAX, key, groups }
    }

    /// Takes the events of a slice; slices come in their order.
    pub(crate) fn fold(&mut self, events: Vec<Event>) {
        for Event { request, time, what } in events {
            self.give_up(time);
            match what {
                What::Told(values) => {
                    self.open.insert(request, (time, values));
                    self.queue.push_back((time, request));
                }
                What::Counted(values, number) => self.count(request, time, &values, number),
                What::Over => drop(self.open.remove(&request)),
            }
        }
    }

    pub(crate) fn finish(self) -> Groups {
        self.groups
    }

    fn count(&mut self, request: RequestId, time: Timestamp, own: &Values, number: Option<f64>) {
        let lent = self.open.get(&request).map(|(_, values)| values);
        let (mut lent, mut own) = (lent.map(|values| values.iter()), own.iter());
        self.key.clear();
        if let Some(edges) = self.joined.grouping.edges {
            self.key.extend_from_slice(&stretch_of(edges, time).start.to_le_bytes());
        }
        for dimension in self.joined.grouping.by {
            let value = match (is_borrowed(dimension), &mut lent) {
                (true, Some(lent)) => lent.next(),
                (true, None) => None,
                (false, _) => own.next(),
            };
            match value {
                Some(value) => self.key.extend_from_slice(value),
                None => encode(None, &mut self.key),
            }
        }
        self.groups.add_limited(&self.key, number);
    }

    /// Gives up what is open for too long, and the oldest of too many.
    fn give_up(&mut self, now: Timestamp) {
        let oldest = now.saturating_add_micros(-OPEN_US);
        while let Some((since, request)) = self.queue.front().copied() {
            let is_open = self.open.get(&request).is_some_and(|(open, _)| *open == since);
            if is_open && since >= oldest && self.open.len() <= self.open_max {
                break;
            }
            self.queue.pop_front();
            if is_open {
                self.open.remove(&request);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    /// What is kept is bounded by age and by number, and what was given up lends nothing.
    #[test]
    fn requests_that_are_open_for_too_long_or_too_many_are_given_up() {
        let by = [Dimension::from(FieldPath::parse("url").unwrap())];
        let duration = FieldPath::parse("durationMs").unwrap();
        let grouping = Grouping { by: &by, edges: None, measure: Some(&duration) };
        let joined = Joined::of(&Query::default(), &grouping).unwrap();
        let event = |request: u8, at: i64, what: What| Event {
            request: RequestId::from_bytes([request; 16]),
            time: time(at),
            what,
        };
        let told = |request, at| event(request, at, What::Told([[request].into()].into()));
        let counted = |request, at| event(request, at, What::Counted([].into(), Some(1.0)));
        let check = |events: Vec<Event>, open_max: usize, expected: &[(Option<u8>, u64)]| {
            let mut join = Join { open_max, ..Join::new(&joined) };
            events.into_iter().for_each(|event| join.fold(vec![event]));
            assert!(join.open.len() <= open_max && join.queue.len() <= 2 * open_max + 1);
            let mut found: Vec<_> = join.groups.keys().collect();
            found.sort_unstable();
            let mut missing = Vec::new();
            encode(None, &mut missing);
            let key = |(request, count): &(Option<u8>, u64)| {
                (request.map_or(missing.clone(), |request| vec![request]), *count)
            };
            let mut expected: Vec<_> = expected.iter().map(key).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        };
        check(vec![told(7, 0), counted(7, OPEN_US)], 9, &[(Some(7), 1)]);
        check(vec![told(7, 0), counted(7, OPEN_US + 1)], 9, &[(None, 1)]);
        // One that has come again is as young as its last REQUEST.
        let again = vec![told(7, 0), told(7, 5), told(8, 6), counted(7, OPEN_US + 5)];
        check(again, 9, &[(Some(7), 1)]);
        let many = (1..6).map(|n| told(n, i64::from(n))).chain((1..6).map(|n| counted(n, 10)));
        check(many.collect(), 2, &[(None, 3), (Some(4), 1), (Some(5), 1)]);
        let over = vec![told(7, 0), event(7, 1, What::Over), counted(7, 2), counted(8, 3)];
        check(over, 9, &[(None, 2)]);
    }
}
