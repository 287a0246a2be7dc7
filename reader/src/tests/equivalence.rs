//! Random clusters, random queries: the reader answers what the model answers, which decodes
//! everything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use fastrand::Rng;
use logq_format::{
    FileHeader, Level, LevelSet, RecordType, Timestamp, TypeSet, WorkerId, WriterId, json,
};
use logq_query::Expression;
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::{NaiveQuery, NaiveRecord, NaiveStore};
use logq_testkit::question::Question;

use super::cluster::{Troubles, cluster};
use crate::{Field, Filter, Gap, Missing, Order, Query, Report, Row, Rows, Snapshot, Value};

/// The lines a scan prints, and its report.
pub(super) fn lines(snapshot: &Snapshot, query: &Query<'_>) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let render = |rows: &Rows<'_>| {
        assert!(!rows.is_empty());
        let mut out = Vec::new();
        for row in rows.iter() {
            let record = row.record().unwrap();
            assert_eq!((row.time(), row.level()), (record.time, record.level()));
            assert_eq!(row.record_type(), record.record_type());
            json::write_line(&mut out, &record, row.origin(), row.sequence());
        }
        String::from_utf8(out).unwrap()
    };
    let report = snapshot
        .scan(query, render, |text| {
            lines.extend(text.split_inclusive('\n').map(str::to_owned));
            ControlFlow::Continue(())
        })
        .unwrap();
    (lines, report)
}

/// A query that has something to do with these records.
pub(super) fn query<'q>(rng: &mut Rng, records: &[NaiveRecord]) -> Query<'q> {
    let mut filter = Filter::default();
    if rng.u8(0..3) == 0 {
        filter.levels = LevelSet::at_least(rng.choice(Level::ALL).unwrap());
    }
    if rng.u8(0..3) == 0 {
        let picked = (0..rng.usize(0..4)).map(|_| rng.choice(RecordType::ALL).unwrap());
        filter.types = picked.fold(TypeSet::EMPTY, TypeSet::with);
    }
    if rng.u8(0..4) == 0 {
        let worker = |rng: &mut Rng| rng.u32(0..6).checked_sub(1).and_then(WorkerId::new);
        filter.workers = Some((0..rng.usize(0..3)).map(|_| worker(rng)).collect());
    }
    if rng.u8(0..4) == 0 {
        let picked = (0..rng.usize(0..4)).filter_map(|_| rng.choice(records)?.request);
        filter.requests = Some(picked.collect());
    }
    let (since, until) = range(rng, records);
    Query {
        since,
        until,
        filter,
        after: None,
        order: if rng.bool() { Order::Ascending } else { Order::Descending },
        limit: rng.bool().then(|| rng.u64(0..20)),
        thorough: false,
        stop: None,
    }
}

/// Bounds at, just before or just behind the times of records; often close together.
fn range(rng: &mut Rng, records: &[NaiveRecord]) -> (Option<Timestamp>, Option<Timestamp>) {
    let at = rng.usize(0..records.len().max(1));
    let instant = |rng: &mut Rng, index: usize| {
        let shift = rng.i64(-1..=1);
        records.get(index).map(|record| record.time.saturating_add_micros(shift))
    };
    let since = rng.bool().then(|| instant(rng, at)).flatten();
    let to = if rng.bool() { at + rng.usize(0..20) } else { rng.usize(0..records.len().max(1)) };
    let until = rng.bool().then(|| instant(rng, to)).flatten();
    (since, until)
}

/// What the model answers to a query, its predicate and limit left out.
pub(super) fn select<'k>(store: &'k NaiveStore, query: &Query<'_>) -> Vec<&'k NaiveRecord> {
    let mut found = store.select(&NaiveQuery {
        since: query.since.unwrap_or(Timestamp::MIN),
        until: query.until,
        levels: query.filter.levels,
        types: query.filter.types,
        workers: query.filter.workers.clone(),
        requests: query.filter.requests.clone(),
    });
    if query.order == Order::Descending {
        found.reverse();
    }
    found
}

fn tally(records: &[&NaiveRecord], by: Field) -> Vec<(Value, u64)> {
    let mut counts = BTreeMap::new();
    for record in records {
        let value = match by {
            Field::Level => Some(Value::Level(record.level)),
            Field::Type => Some(Value::Type(record.record_type)),
            Field::StatusCode => record.status.map(Value::StatusCode),
            Field::WorkerId => Some(Value::WorkerId(record.worker)),
        };
        if let Some(value) = value {
            *counts.entry(value).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}

/// Compares the reader with the model for some queries about one store.
pub(super) fn check(seed: u64, segments: &[(u64, Vec<u8>)], snapshot: &Snapshot, counts: bool) {
    let store = NaiveStore::read(segments);
    let mut rng = Rng::with_seed(seed ^ 0xABCD);
    for round in 0..8 {
        let mut query = query(&mut rng, &store.records);
        let context = format!("seed {seed}, round {round}, {query:?}");
        let all = select(&store, &query);
        let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
        let expected: Vec<_> = all.iter().take(limit).map(|known| known.line.as_str()).collect();
        let (found, report) = lines(snapshot, &query);
        same(&found, &expected, &context);
        assert_eq!(not_missing(&report, &store), None, "{context}");

        let is_third = |row: &Row<'_>| row.sequence().is_multiple_of(3);
        query.filter.predicate = Some(&is_third);
        let thirds = all.iter().filter(|known| known.sequence.is_multiple_of(3)).take(limit);
        let expected: Vec<_> = thirds.map(|known| known.line.as_str()).collect();
        same(&lines(snapshot, &query).0, &expected, &format!("predicate, {context}"));

        query.filter.predicate = None;
        if round % 2 == 0 {
            check_expression(&mut rng, &store, snapshot, &query, &context, counts);
        }
        if counts {
            query.limit = None;
            check_counts(snapshot, &query, &all, &context);
        }
    }
}

/// Asks the same with an expression besides.
fn check_expression(
    rng: &mut Rng,
    store: &NaiveStore,
    snapshot: &Snapshot,
    query: &Query<'_>,
    context: &str,
    counts: bool,
) {
    let samples: Vec<_> = (0..6).filter_map(|_| rng.choice(&store.records)).collect();
    let samples: Vec<&str> = samples.iter().map(|known| known.line.as_str()).collect();
    let question = Question::random(rng, &samples);
    let now = logq_query::when::Context {
        now: Timestamp::from_micros(1_770_000_000_000_000),
        zone: jiff::tz::TimeZone::UTC,
        since: None,
        marks: None,
    };
    let expression = Expression::parse(&question.to_string(), &now).unwrap();
    let context = format!("{question}, {context}");
    let mut all = select(store, query);
    all.retain(|known| question.matches(&known.line));
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    let expected: Vec<_> = all.iter().take(limit).map(|known| known.line.as_str()).collect();
    let filter = Filter { expression: Some(&expression), ..query.filter.clone() };
    let mut query = Query { filter, ..query.clone() };
    same(&lines(snapshot, &query).0, &expected, &context);
    if counts {
        query.limit = None;
        check_counts(snapshot, &query, &all, &context);
    }
}

/// Shows no more than the first difference.
pub(super) fn same(found: &[String], expected: &[&str], context: &str) {
    let first = found.iter().zip(expected).position(|(a, b)| a != b);
    let at = first.unwrap_or(found.len().min(expected.len()));
    let (lengths, found) = ((found.len(), expected.len()), found.get(at).map(String::as_str));
    assert_eq!(found, expected.get(at).copied(), "line {at} of {lengths:?}, {context}");
}

fn check_counts(snapshot: &Snapshot, query: &Query<'_>, all: &[&NaiveRecord], context: &str) {
    assert_eq!(snapshot.count(query).unwrap().0, all.len() as u64, "count, {context}");
    for by in [Field::Level, Field::Type, Field::StatusCode, Field::WorkerId] {
        let (found, _) = snapshot.tally(query, by).unwrap();
        assert_eq!(found.counts, tally(all, by), "{by:?}, {context}");
        assert_eq!(found.records, all.len() as u64, "{by:?}, {context}");
    }
}

fn numbers(missing: &Missing) -> impl Iterator<Item = (WriterId, u64)> {
    let writer = missing.origin.writer;
    (missing.sequence..missing.sequence + missing.records).map(move |number| (writer, number))
}

/// A record that is there although the report says that it is missing.
fn not_missing(report: &Report, store: &NaiveStore) -> Option<(WriterId, u64)> {
    let missing: BTreeSet<_> = report.missing.iter().flat_map(numbers).collect();
    let number = |known: &NaiveRecord| (known.origin.writer, known.sequence);
    store.records.iter().map(number).find(|number| missing.contains(number))
}

/// Compares what is told beside all records.
fn check_report(seed: u64, segments: &[(u64, Vec<u8>)], order: Order) {
    let store = NaiveStore::read(segments);
    let query = Query { order, ..Query::default() };
    let (found, report) = lines(&in_memory(segments), &query);
    let context = format!("seed {seed}, {order:?}");
    assert_eq!(report.statistics.records, found.len() as u64, "{context}");
    let missing: BTreeSet<_> = report.missing.iter().flat_map(numbers).collect();
    let mut expected = store.missing.clone();
    // Retention may have deleted what was in front of the oldest segment; that it did not, the header of that
    // one tells. Without it, nobody knows since when records of a writer should be there.
    if segments.first().is_some_and(|(_, bytes)| FileHeader::decode(bytes).is_err()) {
        let is_behind = |(writer, number): &(WriterId, u64)| {
            let mut of_writer = store.records.iter().filter(|one| one.origin.writer == *writer);
            of_writer.any(|one| one.sequence < *number)
        };
        expected.retain(is_behind);
    }
    for gap in report.gaps.iter().chain(&report.unfinished) {
        if let (Some(origin), Some(sequences)) = (gap.origin, &gap.sequences) {
            expected.retain(|(w, number)| *w != origin.writer || !sequences.contains(number));
        }
    }
    let untold: Vec<_> = expected.difference(&missing).collect();
    assert!(untold.is_empty(), "{context}: {untold:?}");
    // The headers of torn blocks prove more to be missing than the model knows.
    assert_eq!(not_missing(&report, &store), None, "{context}");
    let place = |gap: &Gap| {
        let index = gap.path.to_str().unwrap().strip_prefix("segment ").unwrap();
        (segments[index.parse::<usize>().unwrap()].0, gap.range.clone())
    };
    let mut places: Vec<_> = report.gaps.iter().chain(&report.unfinished).map(place).collect();
    places.sort_by_key(|(number, range)| (*number, range.start));
    let mut gaps: Vec<(u64, Range<u64>)> = Vec::new();
    for (number, range) in places {
        match gaps.last_mut() {
            Some(last) if last.0 == number && last.1.end == range.start => last.1.end = range.end,
            _ => gaps.push((number, range)),
        }
    }
    let untold = store.gaps.iter().filter(|gap| !gaps.contains(gap));
    let untold: Vec<_> = untold.filter(|gap| !is_spare(gap, segments, &store)).collect();
    assert!(untold.is_empty(), "{context}: {untold:?}, {gaps:?}");
    let untrue: Vec<_> = gaps.iter().filter(|gap| !is_within(gap, &store.gaps)).collect();
    assert!(untrue.is_empty(), "{context}: {untrue:?}");
}

fn is_within(gap: &(u64, Range<u64>), gaps: &[(u64, Range<u64>)]) -> bool {
    let is_around = |other: &Range<u64>| other.start <= gap.1.start && gap.1.end <= other.end;
    gaps.iter().any(|(number, other)| *number == gap.0 && is_around(other))
}

/// Whether a gap is known to hold nothing but records of which another copy is intact: then the
/// reader does not come across it.
fn is_spare(gap: &(u64, Range<u64>), segments: &[(u64, Vec<u8>)], store: &NaiveStore) -> bool {
    let (_, bytes) = segments.iter().find(|(number, _)| *number == gap.0).unwrap();
    let blocks = logq_testkit::naive::blocks(bytes);
    let mut inside = blocks.iter().filter(|(offset, _)| gap.1.contains(offset));
    inside.any(|(_, header)| {
        let numbers = header.sequence..header.sequence + u64::from(header.records);
        header.records > 0
            && numbers.into_iter().all(|number| {
                let is_it =
                    |known: &NaiveRecord| known.origin == header.origin && known.sequence == number;
                store.records.iter().any(is_it)
            })
    })
}

pub(super) fn in_memory(segments: &[(u64, Vec<u8>)]) -> Snapshot {
    Snapshot::of_memory(segments.iter().map(|(_, bytes)| Arc::from(bytes.as_slice())))
}

/// As many seeds, or `LOGQ_TEST_HISTORIES` times as many.
pub(super) fn longer(seeds: Range<u64>) -> Range<u64> {
    let times = std::env::var("LOGQ_TEST_HISTORIES").map_or(1, |text| text.parse().unwrap());
    seeds.start..seeds.start + (seeds.end - seeds.start) * times
}

fn check_all(seeds: Range<u64>, troubles: Troubles) {
    for seed in longer(seeds) {
        let segments = cluster(seed, troubles);
        check(seed, &segments, &in_memory(&segments), true);
    }
}

#[test]
fn answers_are_those_of_the_model() {
    check_all(0..150, Troubles::default());
}

#[test]
fn answers_are_those_of_the_model_with_blocks_written_twice() {
    check_all(1000..1150, Troubles { twice: true, ..Troubles::default() });
}

#[test]
fn answers_are_those_of_the_model_with_torn_blocks() {
    check_all(2000..2150, Troubles { torn: true, missing: true, ..Troubles::default() });
}

#[test]
fn answers_are_those_of_the_model_with_sparse_sequences() {
    check_all(3000..3100, Troubles { sparse: true, twice: true, ..Troubles::default() });
}

#[test]
fn answers_about_whole_histories_are_those_of_the_model() {
    for seed in longer(0..60) {
        let actions = 40 + u32::try_from(seed % 60).unwrap() * 5;
        let options = ClusterOptions { seed, actions, ..ClusterOptions::default() };
        let segments = Cluster::generate(&options).segments;
        check(seed, &segments, &in_memory(&segments), true);
    }
}

/// Counts trust headers and spines, so they may count records of blocks whose bodies are damaged.
#[test]
fn answers_about_damaged_histories_are_those_of_the_model() {
    // In 1866 a limit ends a descending scan behind rosters that lag behind their writers: what had
    // been written before was told to be missing.
    for seed in longer(0..100).chain([1866]) {
        let options = ClusterOptions { seed, damages: 3, ..ClusterOptions::default() };
        let segments = Cluster::generate(&options).segments;
        check(seed, &segments, &in_memory(&segments), false);
        check_report(seed, &segments, Order::Ascending);
        check_report(seed, &segments, Order::Descending);
    }
}
