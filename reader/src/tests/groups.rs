//! Groups of random records by random fields: the reader counts what a look at every line of JSON
//! counts.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use fastrand::Rng;
use logq_format::{Level, RecordType, Timestamp, TypeSet};
use logq_query::{Expression, FieldPath, FieldValue};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::{NaiveRecord, NaiveStore};
use logq_testkit::question::Question;
use serde_json::Value;

use super::cluster::{Troubles, cluster};
use super::equivalence::{in_memory, query, select};
use crate::tally::{Joined, Limits};
use crate::{Filter, Group, Grouping, Groups, Query, Row, Snapshot};

const FIELDS: [&str; 18] = [
    "level",
    "type",
    "statusCode",
    "workerId",
    "writer",
    "event",
    "method",
    "ipAddress",
    "url",
    "requestId",
    "durationMs",
    "bytes",
    "timestamp",
    "exitCode",
    "data",
    "data.n",
    "data.message",
    "error.value",
];

const NUMBERS: [&str; 6] = ["durationMs", "bytes", "statusCode", "data.n", "seq", "level"];

/// What the groups of an answer are known by, and what is in them.
type Counted = BTreeMap<(Option<i64>, Vec<Option<String>>), (u64, Vec<f64>)>;

/// A random grouping, with what it borrows.
struct Asked {
    by: Vec<FieldPath>,
    edges: Option<Vec<Timestamp>>,
    measure: Option<FieldPath>,
    exact: bool,
}

impl Asked {
    fn random(rng: &mut Rng, records: &[NaiveRecord]) -> Self {
        let path = |name: &str| FieldPath::parse(name).unwrap();
        let by: Vec<_> = (0..rng.usize(..4)).map(|_| path(rng.choice(FIELDS).unwrap())).collect();
        let edges = rng.bool().then(|| {
            let first = records.iter().map(|record| record.time).min().unwrap_or_default();
            let last = records.iter().map(|record| record.time).max().unwrap_or_default();
            let span = last.as_micros() - first.as_micros();
            let width = [1, 7, 40, 1000][rng.usize(..4)].max(span / 200);
            let mut edges = vec![first.saturating_add_micros(-rng.i64(0..3))];
            while edges.last().is_none_or(|edge| *edge <= last) {
                edges.push(edges.last().unwrap().saturating_add_micros(width));
            }
            edges
        });
        let measure = (rng.u8(..3) == 0).then(|| path(rng.choice(NUMBERS).unwrap()));
        let exact = rng.bool();
        Self { by, edges, measure, exact }
    }

    fn grouping(&self) -> Grouping<'_> {
        let (by, edges) = (self.by.as_slice(), self.edges.as_deref());
        Grouping { by, edges, measure: self.measure.as_ref(), exact: self.exact }
    }

    /// What the model counts.
    fn count<'k>(&self, records: impl IntoIterator<Item = &'k NaiveRecord>) -> Counted {
        self.count_lines_of(records.into_iter().map(|known| (known, line(known))), false)
    }

    /// What the model counts where nothing is borrowed but the number of a response that has none.
    fn count_late<'k>(&self, all: &[&NaiveRecord], wanted: &[&'k NaiveRecord]) -> Counted {
        let with_number = |known: &&'k NaiveRecord| {
            let mut line = line(known);
            self.borrow_number(all, known, &mut line);
            (*known, line)
        };
        self.count_lines_of(wanted.iter().map(with_number), false)
    }

    /// Gives a response the number of its end, if it has none itself.
    fn borrow_number(&self, all: &[&NaiveRecord], known: &NaiveRecord, own: &mut Value) {
        let Some(measure) = self.measure.as_ref().map(ToString::to_string) else { return };
        if own["type"] != "RESPONSE" || own.get(&measure).is_some() {
            return;
        }
        let place = all.iter().position(|other| std::ptr::eq(*other, known)).unwrap();
        for next in &all[place + 1..] {
            let line = line(next);
            if next.time.micros_since(known.time) > 600_000_000 {
                return;
            }
            if line["requestId"] != own["requestId"] {
                continue;
            }
            match line["type"].as_str().unwrap() {
                "RESPONSE" => return,
                "RESPONSE_FINISHED" => {
                    if let Some(number) = line.get(&measure) {
                        own[&measure] = number.clone();
                    }
                    return;
                }
                _ => {}
            }
        }
    }

    /// What the model counts of the `wanted` among all records, in their order, where the fields that
    /// only a REQUEST has are those of the last one of the request, and the number of a response is
    /// that of its end where it has none and ends are not counted.
    fn count_joined(
        &self,
        all: &[&NaiveRecord],
        wanted: &[&NaiveRecord],
        last: &str,
        awaits: bool,
    ) -> Counted {
        const LENT: [&str; 4] = ["url", "method", "ipAddress", "httpVersion"];
        let mut open: BTreeMap<String, (Timestamp, Value)> = BTreeMap::new();
        let mut joined = Vec::new();
        for known in all {
            let mut line = line(known);
            let Some(id) = line["requestId"].as_str().map(str::to_owned) else { continue };
            let record_type = line["type"].as_str().unwrap().to_owned();
            if record_type == "REQUEST" {
                open.insert(id, (known.time, line));
                continue;
            }
            let has = |field: &FieldPath| field.types().contains(known.record_type);
            let mut own = self.by.iter().chain(&self.measure);
            let counts = own.all(|field| LENT.contains(&field.to_string().as_str()) || has(field));
            if counts && wanted.iter().any(|other| std::ptr::eq(*other, *known)) {
                let is_young =
                    |(time, _): &&(Timestamp, Value)| known.time.micros_since(*time) <= 600_000_000;
                let lender = open.get(&id).filter(is_young);
                for field in LENT {
                    if let Some(value) = lender.and_then(|(_, request)| request.get(field)) {
                        line[field] = value.clone();
                    }
                }
                if awaits {
                    self.borrow_number(all, known, &mut line);
                }
                // One that has nothing of all counts as well.
                joined.push((*known, line));
            }
            if record_type == last {
                open.remove(&id);
            }
        }
        self.count_lines_of(joined, true)
    }

    fn count_lines_of<'k>(
        &self,
        lines: impl IntoIterator<Item = (&'k NaiveRecord, Value)>,
        all_count: bool,
    ) -> Counted {
        let mut counted = Counted::new();
        for (known, line) in lines {
            let found = |field: &FieldPath| {
                field.to_string().split('.').try_fold(&line, |value, key| value.get(key)).cloned()
            };
            let number = self.measure.as_ref().map(|field| found(field)?.as_f64());
            let values = self.by.iter().map(|field| Some(found(field)?.to_string()));
            let values: Vec<_> = values.collect();
            let is_in_a_group =
                all_count || values.is_empty() || values.iter().any(Option::is_some);
            if !is_in_a_group || number == Some(None) {
                continue;
            }
            let micros = known.time.as_micros();
            let start = self.edges.as_ref().map(|edges| {
                edges.iter().map(|edge| edge.as_micros()).rfind(|edge| *edge <= micros).unwrap()
            });
            let (count, numbers) = counted.entry((start, values)).or_default();
            *count += 1;
            numbers.extend(number.flatten().map(shortened));
        }
        counted.values_mut().for_each(|(_, numbers)| numbers.sort_by(f64::total_cmp));
        counted
    }
}

fn line(known: &NaiveRecord) -> Value {
    serde_json::from_str(&known.line).unwrap()
}

/// Without the last digits: of milliseconds they depend on how one gets to them.
fn shortened(number: f64) -> f64 {
    format!("{number:.10e}").parse().unwrap()
}

fn counted(groups: &Groups) -> Counted {
    let key = |group: &Group| {
        let json = |value: &FieldValue<'_>| {
            let mut out = Vec::new();
            value.write_json(&mut out);
            serde_json::from_slice::<Value>(&out).unwrap().to_string()
        };
        let values = group.values.iter().map(|value| value.as_ref().map(json)).collect();
        (group.start.map(Timestamp::as_micros), values)
    };
    let numbers = |group: &Group| {
        let sketch = group.sketch.clone().unwrap_or_default();
        let total = usize::try_from(sketch.total()).unwrap();
        // Few enough values, so that quantiles are exact.
        let middle = |index: usize| (index as f64 + 0.5) * 100.0 / total as f64;
        let at = |index: usize| sketch.quantile(middle(index)).unwrap();
        (0..total).map(at).map(shortened).collect()
    };
    groups.iter().map(|group| (key(&group), (group.count, numbers(&group)))).collect()
}

/// Whether the reader and the model count the same.
fn check(seed: u64, segments: &[(u64, Vec<u8>)]) {
    let (store, snapshot) = (NaiveStore::read(segments), in_memory(segments));
    let mut rng = Rng::with_seed(seed ^ 0x6B0B);
    for round in 0..6 {
        let mut query = query(&mut rng, &store.records);
        query.limit = None;
        let mut all = select(&store, &query);
        let question = rng.bool().then(|| {
            let samples: Vec<_> = (0..6).filter_map(|_| rng.choice(&store.records)).collect();
            let samples: Vec<&str> = samples.iter().map(|known| known.line.as_str()).collect();
            Question::random(&mut rng, &samples)
        });
        let expression = question.as_ref().map(|question| parsed(&question.to_string()));
        if let Some(question) = &question {
            all.retain(|known| question.matches(&known.line));
        }
        let is_third = |row: &Row<'_>| row.sequence().is_multiple_of(3);
        query.filter.expression = expression.as_ref();
        if rng.u8(..4) == 0 {
            query.filter.predicate = Some(&is_third);
            all.retain(|known| known.sequence.is_multiple_of(3));
        }
        let asked = Asked::random(&mut rng, &store.records);
        let grouping = asked.grouping();
        let joined = Joined::of(&query, &grouping);
        let late = Joined::late(&query, &grouping);
        let expected = match &joined {
            Some(joined) => {
                let every = select(&store, &Query::default());
                asked.count_joined(&every, &all, joined.last().as_str(), joined.awaits())
            }
            None if late.is_some() => asked.count_late(&select(&store, &Query::default()), &all),
            None => asked.count(all.iter().copied()),
        };
        let (groups, _) = snapshot.group(&query, &asked.grouping()).unwrap();
        let by: Vec<_> = asked.by.iter().map(ToString::to_string).collect();
        let context = format!(
            "seed {seed}, round {round}, by {by:?}, edges {:?}, of {:?}, {query:?}",
            asked.edges.as_ref().map(Vec::len),
            asked.measure.as_ref().map(ToString::to_string)
        );
        assert_eq!(counted(&groups), expected, "{context}");
        let sum: u64 = expected.values().map(|(count, _)| count).sum();
        assert_eq!(groups.records(), sum, "{context}");
        if joined.is_none() && late.is_none() {
            let rows = of_rows(&snapshot, &query, &asked);
            assert_eq!(counted(&rows), expected, "rows, {context}");
        }
    }
}

fn parsed(text: &str) -> Expression {
    let context = logq_query::when::Context {
        now: Timestamp::from_micros(1_770_000_000_000_000),
        zone: jiff::tz::TimeZone::UTC,
        since: None,
        marks: None,
    };
    Expression::parse(text, &context).unwrap()
}

/// The groups of records that were handed out.
fn of_rows(snapshot: &Snapshot, query: &Query<'_>, asked: &Asked) -> Groups {
    let mut total = Groups::new(&asked.grouping());
    let group = |rows: &crate::Rows<'_>| Groups::of_rows(&asked.grouping(), rows.iter());
    snapshot
        .scan(query, group, |groups| {
            total.absorb(groups);
            ControlFlow::Continue(())
        })
        .unwrap();
    total
}

fn check_all(seeds: Range<u64>, troubles: Troubles) {
    for seed in seeds {
        check(seed, &cluster(seed, troubles));
    }
}

#[test]
fn groups_are_those_of_the_model() {
    check_all(0..120, Troubles::default());
}

#[test]
fn groups_are_those_of_the_model_with_blocks_torn_and_written_twice() {
    let troubles = Troubles { twice: true, torn: true, missing: true, sparse: true };
    check_all(1000..1100, troubles);
}

#[test]
fn groups_of_whole_histories_are_those_of_the_model() {
    for seed in 0..20 {
        let options = ClusterOptions { seed, actions: 150, ..ClusterOptions::default() };
        check(seed, &Cluster::generate(&options).segments);
    }
}

#[test]
fn what_headers_and_spines_tell_is_not_decoded() {
    let options = ClusterOptions { seed: 5, actions: 400, ..ClusterOptions::default() };
    let snapshot = in_memory(&Cluster::generate(&options).segments);
    let path = |name: &str| FieldPath::parse(name).unwrap();
    let cost = |filter: Filter<'_>, by: &[&str], measure: Option<&str>| {
        let by: Vec<_> = by.iter().map(|name| path(name)).collect();
        let measure = measure.map(path);
        let grouping = Grouping { by: &by, measure: measure.as_ref(), ..Grouping::default() };
        let query = Query { filter, ..Query::default() };
        let (groups, report) = snapshot.group(&query, &grouping).unwrap();
        assert!(!groups.is_empty(), "{by:?}");
        report.statistics
    };
    let plain = snapshot.count(&Query::default()).unwrap().1.statistics;
    let (none, writer) = (cost(Filter::default(), &[], None), Filter::default());
    assert_eq!(none.spines_decoded, plain.spines_decoded, "one group of all is a count");
    assert_eq!(cost(writer, &["writer"], None).spines_decoded, plain.spines_decoded);
    let types = TypeSet::EMPTY.with(RecordType::Response);
    let spines = [
        (vec!["level", "type", "writer"], None),
        (vec!["statusCode", "level"], Some("durationMs")),
        (vec!["event"], None),
        (vec!["requestId"], Some("bytes")),
    ];
    for (by, measure) in spines {
        let filter = match measure {
            Some(_) => Filter { types, ..Filter::default() },
            None => Filter::default(),
        };
        let cost = cost(filter, &by, measure);
        // Repeated blocks are compared record by record.
        assert!(cost.bodies_decoded * 10 <= cost.blocks, "{by:?} {cost:?}");
    }
    let urls = cost(Filter::default(), &["url"], None);
    assert!(urls.bodies_decoded > 0 && urls.pruned_by_type > 0, "{urls:?}");
}

#[test]
fn groups_beyond_the_limits_are_counted_together_and_the_others_exactly() {
    let segments = cluster(3, Troubles::default());
    let snapshot = in_memory(&segments);
    let by = [FieldPath::parse("seq").unwrap()];
    for edges in [None, Some([0, 10, i64::MAX / 2].map(super::cluster::time))] {
        let edges = edges.as_ref().map(<[Timestamp; 3]>::as_slice);
        let grouping = Grouping { by: &by, edges, ..Grouping::default() };
        let (all, _) = snapshot.group(&Query::default(), &grouping).unwrap();
        assert!(all.len() > 20 && all.other().next().is_none());
        let exact = counted(&all);
        for (groups, bytes) in [(7, usize::MAX), (usize::MAX, 1000), (0, 0)] {
            let limits = Limits { groups, bytes };
            let mut few = Groups::limited(&grouping, limits);
            few.absorb(all.clone());
            assert!(few.len() <= groups && few.len() < all.len(), "{}", few.len());
            assert_eq!(few.records(), all.records());
            for (key, cell) in counted(&few) {
                assert_eq!(exact.get(&key), Some(&cell));
            }
            let kept: u64 = few.iter().map(|group| group.count).sum();
            let rest: u64 = few.other().map(|group| group.count).sum();
            assert_eq!(kept + rest, all.records());
        }
    }
}

#[test]
fn a_group_beyond_the_limits_stays_beyond_them() {
    // A group that came late must not begin when there is room for its shorter key only: then its
    // count would be of a part of its records.
    let by = [FieldPath::parse("level").unwrap()];
    let grouping = Grouping { by: &by, ..Grouping::default() };
    let snapshot = in_memory(&cluster(11, Troubles::default()));
    let mut few = Groups::limited(&grouping, Limits { groups: 2, bytes: usize::MAX });
    let mut exact = BTreeMap::new();
    for level in Level::ALL.into_iter().chain(Level::ALL) {
        let levels = logq_format::LevelSet::EMPTY.with(level);
        let query = Query { filter: Filter { levels, ..Filter::default() }, ..Query::default() };
        let (groups, _) = snapshot.group(&query, &grouping).unwrap();
        groups.iter().for_each(|group| *exact.entry(level).or_insert(0) += group.count);
        few.absorb(groups);
    }
    assert_eq!(few.len(), 2);
    for group in few.iter() {
        let Some(FieldValue::Level(level)) = group.values[0] else { panic!("{group:?}") };
        assert_eq!(group.count, exact[&level]);
    }
}

/// What people ask: each of these found nothing, as the fields are in different records.
#[test]
fn what_is_told_by_the_request_is_joined_to_what_is_told_later() {
    let options = ClusterOptions { seed: 9, actions: 600, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let (store, snapshot) = (NaiveStore::read(&segments), in_memory(&segments));
    let every = select(&store, &Query::default());
    let check = |by: &[&str], measure: Option<&str>, expression: &str, last: &str| {
        let awaits = measure.is_some() && last == "RESPONSE";
        let path = |name: &str| FieldPath::parse(name).unwrap();
        let fields = by.iter().map(|name| path(name)).collect();
        let asked = Asked { by: fields, edges: None, measure: measure.map(path), exact: false };
        let expression = parsed(expression);
        let filter = Filter { expression: Some(&expression), ..Filter::default() };
        let query = Query { filter, ..Query::default() };
        let wanted = |known: &&&NaiveRecord| {
            let value = line(known);
            let status = value["statusCode"].as_u64();
            match expression.to_string().as_str() {
                "seq >= 0" => true,
                "statusCode >= 400" => status.is_some_and(|status| status >= 400),
                _ => panic!("{expression}"),
            }
        };
        let all: Vec<_> = every.iter().filter(wanted).copied().collect();
        let expected = match Joined::of(&query, &asked.grouping()) {
            Some(_) => asked.count_joined(&every, &all, last, awaits),
            None => {
                let expected = asked.count_late(&every, &all);
                assert_ne!(expected, asked.count(all.iter().copied()), "{by:?}: nothing is late");
                expected
            }
        };
        let (groups, report) = snapshot.group(&query, &asked.grouping()).unwrap();
        assert!(counted(&groups) == expected, "{:?}, {measure:?}", asked.by);
        assert!(groups.len() > 1, "{:?}, {measure:?}", asked.by);
        assert_eq!(report.statistics.records, groups.records());
        assert!(groups.iter().any(|group| group.values[0].is_some()));
    };
    check(&["url"], Some("durationMs"), "seq >= 0", "RESPONSE_FINISHED");
    check(&["url"], Some("bytes"), "seq >= 0", "RESPONSE_FINISHED");
    check(&["url"], None, "status >= 400", "RESPONSE");
    check(&["method", "url"], None, "status >= 400", "RESPONSE");
    check(&["method", "status"], Some("durationMs"), "seq >= 0", "RESPONSE");
    check(&["ip", "status"], None, "seq >= 0", "RESPONSE");
    check(&["status"], Some("bytes"), "seq >= 0", "");
    check(&["status", "level"], Some("durationMs"), "status >= 400", "");
}

/// A range that begins between a REQUEST and its RESPONSE.
#[test]
fn a_request_before_the_range_lends_to_what_is_in_it() {
    let options = ClusterOptions { seed: 4, actions: 400, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let (store, snapshot) = (NaiveStore::read(&segments), in_memory(&segments));
    let every = select(&store, &Query::default());
    let path = |name: &str| FieldPath::parse(name).unwrap();
    let asked =
        Asked { by: vec![path("url"), path("status")], edges: None, measure: None, exact: false };
    let mut lent = 0;
    for since in every.iter().step_by(11).map(|known| known.time) {
        let query = Query { since: Some(since), ..Query::default() };
        let all = select(&store, &query);
        let expected = asked.count_joined(&every, &all, "RESPONSE", false);
        let (groups, _) = snapshot.group(&query, &asked.grouping()).unwrap();
        assert!(counted(&groups) == expected, "{since}");
        let (narrow, _) = (asked.count_joined(&all, &all, "RESPONSE", false), ());
        lent += usize::from(narrow != expected);
    }
    assert!(lent > 5, "{lent}");
}

/// Quantiles of any number of different values are exact if asked for, and within one percent once
/// these take more memory than there is.
#[test]
fn quantiles_are_exact_as_long_as_there_is_memory() {
    let options = ClusterOptions { seed: 12, actions: 900, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let (store, snapshot) = (NaiveStore::read(&segments), in_memory(&segments));
    let measure = FieldPath::parse("seq").unwrap();
    let grouping = Grouping { measure: Some(&measure), exact: true, ..Grouping::default() };
    let (groups, _) = snapshot.group(&Query::default(), &grouping).unwrap();
    assert!(groups.is_exact());
    let mut few = Groups::limited(&grouping, Limits { groups: usize::MAX, bytes: 4_000 });
    few.absorb(groups.clone());
    assert!(!few.is_exact());
    let all = select(&store, &Query::default());
    let mut numbers: Vec<u64> = all.iter().map(|known| known.sequence).collect();
    numbers.sort_unstable();
    let different: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert!(different.len() > 256, "{}", different.len());
    let only = |groups: &Groups| {
        let group = groups.iter().next().unwrap();
        assert_eq!((groups.len(), group.count), (1, numbers.len() as u64));
        group.sketch.unwrap()
    };
    let (exact, rough) = (only(&groups), only(&few));
    for percent in [0_u32, 12, 50, 99, 100] {
        let rank = (numbers.len() * percent as usize).div_ceil(100).max(1);
        let expected = numbers[rank - 1] as f64;
        assert_eq!(exact.quantile(percent.into()), Some(expected), "{percent} %");
        let rough = rough.quantile(percent.into()).unwrap();
        assert!((rough - expected).abs() <= 0.01 * expected, "{percent} %: {rough}, {expected}");
    }
}
