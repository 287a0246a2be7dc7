//! Random clusters, random queries: the reader and the model give the same answers.

use std::ops::ControlFlow;
use std::sync::Arc;

use fastrand::Rng;
use logq_format::{Level, LevelSet, RecordType, TypeSet, WorkerId, json};

use super::cluster::{Troubles, cluster, request};
use super::model::{self, Known};
use crate::{Field, Filter, Order, Query, Report, Row, Snapshot};

/// The lines a scan prints, and its report.
pub(super) fn lines(snapshot: &Snapshot, query: &Query<'_>) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let render = |rows: &crate::Rows<'_>| {
        assert!(!rows.is_empty());
        let mut out = Vec::new();
        for row in rows.iter() {
            json::write_line(&mut out, &row.record().unwrap(), row.origin(), row.sequence());
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

fn query<'q>(rng: &mut Rng, records: &[Known]) -> Query<'q> {
    let instant = |rng: &mut Rng| {
        let known = rng.choice(records)?;
        rng.bool().then(|| known.time.saturating_add_micros(rng.i64(-1..=1)))
    };
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
        filter.requests = Some((0..rng.usize(0..4)).map(|_| request(rng.u64(0..14))).collect());
    }
    Query {
        since: instant(rng),
        until: instant(rng),
        filter,
        order: if rng.bool() { Order::Ascending } else { Order::Descending },
        limit: rng.bool().then(|| rng.u64(0..20)),
    }
}

/// Compares the reader with the model for some queries about one cluster.
fn check(seed: u64, segments: &[Arc<[u8]>], snapshot: &Snapshot) {
    let (records, _) = model::records(segments);
    let mut rng = Rng::with_seed(seed ^ 0xABCD);
    for round in 0..8 {
        let mut query = query(&mut rng, &records);
        let context = format!("seed {seed}, round {round}, {query:?}");
        let expected = model::answer(&records, &query);
        let (found, _) = lines(snapshot, &query);
        assert_eq!(
            found,
            expected.iter().map(|k| k.line.as_str()).collect::<Vec<_>>(),
            "{context}"
        );

        let is_third = |row: &Row<'_>| row.sequence() % 3 == 0;
        query.filter.predicate = Some(&is_third);
        let expected: Vec<_> = {
            let unlimited = Query { limit: None, ..query.clone() };
            let all = model::answer(&records, &unlimited).into_iter();
            let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
            all.filter(|known| known.sequence % 3 == 0).take(limit).collect()
        };
        let (found, _) = lines(snapshot, &query);
        assert_eq!(
            found,
            expected.iter().map(|k| k.line.as_str()).collect::<Vec<_>>(),
            "{context}"
        );

        (query.limit, query.filter.predicate) = (None, None);
        let expected = model::answer(&records, &query);
        let (count, _) = snapshot.count(&query).unwrap();
        assert_eq!(count, expected.len() as u64, "count, {context}");
        for by in [Field::Level, Field::Type, Field::StatusCode, Field::WorkerId] {
            let (tally, _) = snapshot.tally(&query, by).unwrap();
            assert_eq!(tally.counts, model::tally(&expected, by), "{by:?}, {context}");
            assert_eq!(tally.records, expected.len() as u64, "{by:?}, {context}");
        }
    }
}

fn check_all(seeds: std::ops::Range<u64>, troubles: Troubles) {
    for seed in seeds {
        let segments = cluster(seed, troubles);
        check(seed, &segments, &Snapshot::of_memory(segments.iter().cloned()));
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
    check_all(2000..2200, Troubles { torn: true, missing: true, ..Troubles::default() });
}

#[test]
fn answers_are_those_of_the_model_with_sparse_sequences() {
    let troubles = Troubles { sparse: true, twice: true, ..Troubles::default() };
    check_all(3000..3100, troubles);
}
