//! Groups by fields that are told in another record of the same request: latencies by url, of which
//! RESPONSE tells the one and REQUEST the other; bytes by status, where only RESPONSE_FINISHED tells
//! the bytes.
//!
//! ```text
//!  records in exact order ─> events of a slice (on any thread) ─> Join ─> Groups
//!                            told, counted, late, over            open requests, waiting responses
//! ```
//!
//! What is counted are records that match the query. What they borrow is the value in the last
//! REQUEST of their request before them, whether that matches or not, as far as it is not more than
//! ten minutes older. A value that is nowhere is missing, and the record counts all the same.
//!
//! Where a RESPONSE is counted and its RESPONSE_FINISHED is not, one that has not the number that is
//! measured takes that of the next RESPONSE_FINISHED of its request, which may come up to ten minutes
//! later, whether that matches or not, unless there is another RESPONSE in between. It counts at its
//! own time, and not at all without a number.
//!
//! Memory is bounded by the requests that are open and by the responses that wait.

use std::collections::{HashMap, VecDeque};

use logq_format::{Level, LevelSet, Origin, RecordType, RequestId, Timestamp, TypeSet, WriterId};
use logq_query::{BlockFacts, FieldPath, Verdict};

use super::grouping::{Facts, Grouping, RecordFacts, stretch_of};
use super::groups::Groups;
use super::key::encode;
use crate::query::{Filter, Order, Query};
use crate::rows::{Row, Rows};

/// How long after its REQUEST a record still borrows from it.
const OPEN_US: i64 = 10 * 60 * 1_000_000;

/// So many requests are open and so many responses wait at a time; of more, the oldest are given up.
/// Some 20 MB each.
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
    /// Whether a RESPONSE takes the number of its RESPONSE_FINISHED if it has none.
    awaits: bool,
}

impl<'g> Joined<'g> {
    /// How records are joined for this question; `None` where some record can have all the fields
    /// itself, or no record can borrow what it does not have.
    pub(crate) fn of(query: &Query<'_>, grouping: &'g Grouping<'g>) -> Option<Self> {
        let measured = grouping.measure.map_or(TypeSet::ALL, FieldPath::types);
        let candidates = both(possible(&query.filter), measured);
        let having = |fields: &mut dyn Iterator<Item = &FieldPath>| {
            fields.map(FieldPath::types).fold(candidates, both)
        };
        let (all, mut own) = (grouping.by.iter(), grouping.by.iter().filter(|f| !is_borrowed(f)));
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
        let awaits = can_await(grouping, counted);
        (counted != TypeSet::EMPTY).then_some(Self { grouping, counted, last, awaits })
    }

    /// How a RESPONSE gets the number that only its RESPONSE_FINISHED tells, where nothing else is
    /// borrowed; `None` where nothing but its own number can count.
    pub(crate) fn late(query: &Query<'_>, grouping: &'g Grouping<'g>) -> Option<Self> {
        let counted = both(possible(&query.filter), grouping.types());
        let last = RecordType::Response;
        let late = Self { grouping, counted, last, awaits: true };
        (can_await(grouping, counted) && !late.borrows()).then_some(late)
    }

    /// Whether a RESPONSE takes the number of its RESPONSE_FINISHED.
    #[cfg(test)]
    pub(crate) fn awaits(&self) -> bool {
        self.awaits
    }

    /// The type of record behind which nothing more of a request is counted.
    #[cfg(test)]
    pub(crate) fn last(&self) -> RecordType {
        self.last
    }

    /// The question by which the records are read.
    pub(crate) fn reading<'q>(&self, query: &Query<'q>) -> Query<'q> {
        let asked = &query.filter;
        let own = self.counted.with(self.last);
        let lent = if self.borrows() { own.union(LENDER) } else { own };
        let filter = Filter {
            types: if self.awaits { lent.with(RecordType::ResponseFinished) } else { lent },
            requests: asked.requests.clone().or_else(|| asked.expression?.requests()),
            workers: asked.workers.clone(),
            ..Filter::default()
        };
        let since = query.since.map(|since| since.saturating_add_micros(-OPEN_US));
        let late = |until: Timestamp| until.saturating_add_micros(OPEN_US);
        let until = if self.awaits { query.until.map(late) } else { query.until };
        Query { since, until, filter, limit: None, order: Order::Ascending, ..query.clone() }
    }

    pub(super) fn grouping(&self) -> &Grouping<'g> {
        self.grouping
    }

    /// Whether nothing but RESPONSEs and their ends is needed.
    pub(super) fn is_of_responses(&self) -> bool {
        self.awaits && !self.borrows()
    }

    /// Whether a REQUEST lends anything.
    fn borrows(&self) -> bool {
        self.grouping.by.iter().any(is_borrowed)
    }

    /// Whether a record with these values of its own belongs to a group: where nothing is borrowed
    /// it takes a value, as with records that are counted one by one.
    fn belongs(&self, own: &Values) -> bool {
        let mut missing = Vec::new();
        encode(None, &mut missing);
        own.is_empty() || self.borrows() || own.iter().any(|value| **value != *missing)
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
            let record_type = row.record_type();
            if record_type == RecordType::Request {
                push(What::Told(self.values(&facts, true)));
            } else {
                let is_counted =
                    self.counted.contains(record_type) && is_wanted(&row, &facts, asked);
                self.step(record_type, &facts, is_counted).into_iter().for_each(&mut push);
            }
            if record_type == self.last {
                push(What::Over);
            }
        }
        events
    }

    /// What a record behind the REQUEST says.
    pub(super) fn step(
        &self,
        record_type: RecordType,
        facts: &impl Facts,
        is_counted: bool,
    ) -> Option<What> {
        let number = |field: &FieldPath| number(facts, field);
        if self.awaits && record_type == RecordType::ResponseFinished {
            return Some(What::Late(self.grouping.measure.and_then(number)));
        }
        let own = Some(()).filter(|()| is_counted).map(|()| self.values(facts, false));
        match (own.filter(|own| self.belongs(own)), self.grouping.measure.map(number)) {
            (Some(own), None) => Some(What::Counted(own, None)),
            (Some(own), Some(Some(number))) => Some(What::Counted(own, Some(number))),
            (Some(own), Some(None)) if self.awaits => Some(What::Awaiting(own)),
            // What comes is not about the response before.
            (None, _) if self.awaits => Some(What::Late(None)),
            _ => None,
        }
    }

    /// The values that a REQUEST lends, or those of a record's own.
    fn values(&self, facts: &impl Facts, are_borrowed: bool) -> Values {
        let fields = self.grouping.by.iter().filter(|field| is_borrowed(field) == are_borrowed);
        let encoded = fields.map(|field| {
            let mut bytes = Vec::new();
            encode(facts.value(field).as_ref(), &mut bytes);
            bytes.into()
        });
        encoded.collect()
    }
}

/// Whether records of these types, counted in groups, are responses the number of which may be told
/// by the end of the response alone.
fn can_await(grouping: &Grouping<'_>, counted: TypeSet) -> bool {
    let finished = RecordType::ResponseFinished;
    counted.contains(RecordType::Response)
        && !counted.contains(finished)
        && grouping.measure.is_some_and(|field| {
            field.types() == TypeSet::EMPTY.with(RecordType::Response).with(finished)
        })
}

/// The number that a record has, if it can be measured.
fn number(facts: &impl Facts, field: &FieldPath) -> Option<f64> {
    facts.value(field)?.as_f64().filter(|number| number.is_finite())
}

/// Whether only a REQUEST has the field.
fn is_borrowed(field: &FieldPath) -> bool {
    field.types() == LENDER
}

fn both(one: TypeSet, other: TypeSet) -> TypeSet {
    TypeSet::from_bits(one.bits() & other.bits())
}

/// The types of which there can be records that match.
pub(super) fn possible(filter: &Filter<'_>) -> TypeSet {
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
        && asked.until.is_none_or(|until| row.time() < until)
        && levels.contains(row.level())
        && expression.is_none_or(|e| e.matches(&facts.record, facts.origin, facts.sequence))
        && predicate.is_none_or(|predicate| predicate(row))
}

/// Encoded values, in the order of their fields.
type Values = Box<[Box<[u8]>]>;

/// What a record means for the count.
#[derive(Debug)]
pub(crate) struct Event {
    pub(super) request: RequestId,
    pub(super) time: Timestamp,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// It lends these values.
    Told(Values),
    /// It counts, with these values of its own and its number.
    Counted(Values, Option<f64>),
    /// It counts, with these values of its own, as soon as its number is known.
    Awaiting(Values),
    /// What waits is over, with this number if there is one.
    Late(Option<f64>),
    /// Nothing more comes of the request.
    Over,
}

/// Requests that are open, responses that wait, and what was counted so far.
pub(crate) struct Join<'j> {
    joined: &'j Joined<'j>,
    /// What is lent.
    open: Young<Values>,
    /// The keys of responses without a number.
    waiting: Young<Box<[u8]>>,
    /// How many responses have got no number so far.
    numberless: u64,
    groups: Groups,
}

impl<'j> Join<'j> {
    pub(crate) fn new(joined: &'j Joined<'j>) -> Self {
        let groups = Groups::new(joined.grouping);
        let (open, waiting) = (Young::new(OPEN_MAX), Young::new(OPEN_MAX));
        Self { joined, open, waiting, numberless: 0, groups }
    }

    /// Takes the events of a slice; slices come in their order.
    pub(crate) fn fold(&mut self, events: Vec<Event>) {
        for Event { request, time, what } in events {
            self.open.give_up(time);
            self.waiting.give_up(time);
            match what {
                What::Told(values) => self.open.insert(request, time, values),
                What::Counted(values, number) => {
                    self.waiting.remove(request);
                    let key = self.key(request, time, &values);
                    self.groups.add_limited(&key, number);
                }
                What::Awaiting(values) => {
                    let key = self.key(request, time, &values).into();
                    self.waiting.insert(request, time, key);
                    self.numberless += 1;
                }
                What::Late(number) => {
                    let waiting = self.waiting.remove(request);
                    if let (Some(key), Some(number)) = (waiting, number) {
                        self.groups.add_limited(&key, Some(number));
                        self.numberless -= 1;
                    }
                }
                What::Over => drop(self.open.remove(request)),
            }
        }
    }

    pub(crate) fn finish(mut self) -> Groups {
        self.groups.pass_over(self.numberless);
        self.groups
    }

    /// The key of the group of a record with these values of its own.
    fn key(&self, request: RequestId, time: Timestamp, own: &Values) -> Vec<u8> {
        let mut key = Vec::new();
        let lent = self.open.get(request);
        let (mut lent, mut own) = (lent.map(|values| values.iter()), own.iter());
        if let Some(edges) = self.joined.grouping.edges {
            key.extend_from_slice(&stretch_of(edges, time).start.to_le_bytes());
        }
        for dimension in self.joined.grouping.by {
            let value = match (is_borrowed(dimension), &mut lent) {
                (true, Some(lent)) => lent.next(),
                (true, None) => None,
                (false, _) => own.next(),
            };
            match value {
                Some(value) => key.extend_from_slice(value),
                None => encode(None, &mut key),
            }
        }
        key
    }
}

/// Something about requests that is kept for ten minutes, and of no more than so many of them.
struct Young<T> {
    of: HashMap<RequestId, (Timestamp, T)>,
    /// Requests in the order in which they came, with the time that tells whether they are still kept.
    queue: VecDeque<(Timestamp, RequestId)>,
    max: usize,
}

impl<T> Young<T> {
    fn new(max: usize) -> Self {
        Self { of: HashMap::new(), queue: VecDeque::new(), max }
    }

    fn insert(&mut self, request: RequestId, time: Timestamp, what: T) {
        self.of.insert(request, (time, what));
        self.queue.push_back((time, request));
    }

    fn get(&self, request: RequestId) -> Option<&T> {
        self.of.get(&request).map(|(_, what)| what)
    }

    fn remove(&mut self, request: RequestId) -> Option<T> {
        self.of.remove(&request).map(|(_, what)| what)
    }

    /// Gives up what is too old, and the oldest of too many.
    fn give_up(&mut self, now: Timestamp) {
        let oldest = now.saturating_add_micros(-OPEN_US);
        while let Some((since, request)) = self.queue.front().copied() {
            let is_kept = self.of.get(&request).is_some_and(|(time, _)| *time == since);
            if is_kept && since >= oldest && self.of.len() <= self.max {
                break;
            }
            self.queue.pop_front();
            if is_kept {
                self.of.remove(&request);
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

    fn event(request: u8, at: i64, what: What) -> Event {
        Event { request: RequestId::from_bytes([request; 16]), time: time(at), what }
    }

    /// What is kept is bounded by age and by number, and what was given up lends nothing.
    #[test]
    fn requests_that_are_open_for_too_long_or_too_many_are_given_up() {
        let by = [FieldPath::parse("url").unwrap()];
        let duration = FieldPath::parse("durationMs").unwrap();
        let grouping = Grouping { by: &by, measure: Some(&duration), ..Grouping::default() };
        let joined = Joined::of(&Query::default(), &grouping).unwrap();
        let told = |request, at| event(request, at, What::Told([[request].into()].into()));
        let counted = |request, at| event(request, at, What::Counted([].into(), Some(1.0)));
        let check = |events: Vec<Event>, open_max: usize, expected: &[(Option<u8>, u64)]| {
            let mut join = Join { open: Young::new(open_max), ..Join::new(&joined) };
            events.into_iter().for_each(|event| join.fold(vec![event]));
            let Young { of, queue, .. } = &join.open;
            assert!(of.len() <= open_max && queue.len() <= 2 * open_max + 1);
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
    /// A response counts once, with its own number or with the one that comes next and in time.
    #[test]
    fn responses_wait_for_their_numbers() {
        let by = [FieldPath::parse("statusCode").unwrap()];
        let bytes = FieldPath::parse("bytes").unwrap();
        let grouping = Grouping { by: &by, measure: Some(&bytes), ..Grouping::default() };
        let joined = Joined::late(&Query::default(), &grouping).unwrap();
        let waits = |request, at| event(request, at, What::Awaiting([[request].into()].into()));
        let late = |request, at, number| event(request, at, What::Late(number));
        let check = |events: Vec<Event>, waiting_max: usize, expected: &[(u8, u64)]| {
            let waiting = events.iter().filter(|event| matches!(event.what, What::Awaiting(_)));
            let waiting = waiting.count() as u64;
            let mut join = Join { waiting: Young::new(waiting_max), ..Join::new(&joined) };
            events.into_iter().for_each(|event| join.fold(vec![event]));
            assert!(join.waiting.of.len() <= waiting_max);
            let groups = join.finish();
            assert_eq!(groups.numberless() + groups.records(), waiting);
            let mut found: Vec<_> = groups.keys().collect();
            found.sort_unstable();
            let expected: Vec<_> = expected.iter().map(|(key, n)| (vec![*key], *n)).collect();
            assert_eq!(found, expected);
        };
        check(vec![waits(7, 0), late(7, OPEN_US, Some(1.0))], 9, &[(7, 1)]);
        check(vec![waits(7, 0), late(7, OPEN_US + 1, Some(1.0))], 9, &[]);
        check(
            vec![waits(7, 0), late(8, 1, Some(1.0)), late(7, 2, None), late(7, 3, Some(1.0))],
            9,
            &[],
        );
        check(vec![waits(7, 0), late(7, 1, Some(1.0)), late(7, 2, Some(1.0))], 9, &[(7, 1)]);
        let many = (1..6).map(|n| waits(n, i64::from(n)));
        let many = many.chain((1..6).map(|n| late(n, 10, Some(2.0))));
        check(many.collect(), 2, &[(4, 1), (5, 1)]);
    }
}
