//! Bulk writing: any order of times, identities kept where possible, claims exact both ways.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use common::read;
use logq_format::{Event, Json, Level, LogSource, Origin, Record, Timestamp, WorkerId, WriterId};
use logq_testkit::traffic::{TrafficOptions, generate};
use logq_writer::{BulkOptions, BulkWriter, Holes};
use proptest::prelude::*;

fn record<'a>(micros: i64, data: &'a str) -> Record<'a> {
    let event = Event::Log {
        source: LogSource::Worker,
        level: Level::Info,
        data: Json::new(data).unwrap(),
    };
    Record { time: Timestamp::from_micros(micros), event }
}

fn options() -> BulkOptions {
    BulkOptions { high_water_mark: 200, ..BulkOptions::at(Timestamp::from_micros(0)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_times_comes_back_complete_with_its_own_times(
        times in proptest::collection::vec(0_i64..1_000, 0..300),
        segment_bytes_max in prop_oneof![Just(1_u64), Just(2_000), Just(u64::MAX)],
    ) {
        let store = tempfile::tempdir().unwrap();
        let mut bulk =
            BulkWriter::create(store.path(), BulkOptions { segment_bytes_max, ..options() }).unwrap();
        let texts: Vec<_> = (0..times.len()).map(|n| n.to_string()).collect();
        for (micros, text) in times.iter().zip(&texts) {
            bulk.push(WorkerId::new(1), &record(*micros, text)).unwrap();
        }
        let summary = bulk.finish().unwrap();
        prop_assert_eq!(summary.records, times.len() as u64);

        let found = read(store.path());
        prop_assert_eq!(found.gaps, []);
        let mut pairs: Vec<_> = found.records.iter().map(|record| {
            let line: serde_json::Value = serde_json::from_str(&record.line).unwrap();
            (line["data"].as_u64().unwrap(), record.time.as_micros())
        }).collect();
        pairs.sort_unstable();
        let expected: Vec<_> = times.iter().enumerate().map(|(n, t)| (n as u64, *t)).collect();
        prop_assert_eq!(pairs, expected);
        for (_, segment) in common::segments(store.path()) {
            prop_assert!(common::assert_claims_hold(&segment) >= 2);
        }
    }
}

#[test]
fn identities_are_kept_across_gaps_in_the_sequence() {
    let store = tempfile::tempdir().unwrap();
    let mut bulk = BulkWriter::create(store.path(), options()).unwrap();
    let origin = Origin { writer: WriterId(7), worker: WorkerId::new(2) };
    for (sequence, micros) in [(5, 10), (6, 10), (9, 11), (400, 12)] {
        bulk.push_as(origin, sequence, &record(micros, "1")).unwrap();
    }
    // Neither an earlier time nor an earlier number can follow under the same name.
    bulk.push_as(origin, 401, &record(3, "2")).unwrap();
    bulk.push_as(origin, 2, &record(13, "2")).unwrap();
    let summary = bulk.finish().unwrap();
    assert_eq!((summary.records, summary.renamed), (6, 2));

    let found = read(store.path());
    let own: Vec<_> = found.records.iter().filter(|r| r.origin == origin).collect();
    assert_eq!(own.iter().map(|r| r.sequence).collect::<Vec<_>>(), [5, 6, 9, 400]);
    assert!(found.missing.is_empty(), "a sparse sequence is no loss");
    assert!(found.records.iter().all(|r| r.origin.worker == origin.worker));
}

/// The mark that a sequence skips was set by holes within a block only: a hole that happened to fall
/// between two blocks was told as a loss.
#[test]
fn holes_are_left_out_on_purpose_or_lost_wherever_blocks_end() {
    let origin = Origin { writer: WriterId(7), worker: WorkerId::new(2) };
    let missing = |holes: Holes, high_water_mark: usize| {
        let store = tempfile::tempdir().unwrap();
        let options = BulkOptions { high_water_mark, holes, ..options() };
        let mut bulk = BulkWriter::create(store.path(), options).unwrap();
        // A writer's first number is no hole, whatever it is.
        for n in 1..=60_u64 {
            let sequence = 100 + n + n / 10;
            bulk.push_as(origin, sequence, &record(n as i64, "1")).unwrap();
        }
        assert_eq!(bulk.finish().unwrap().renamed, 0);
        let found = read(store.path());
        assert_eq!(found.records.len(), 60);
        found.missing.into_iter().map(|(_, number)| number).collect::<Vec<_>>()
    };
    // Blocks of one record, of some, of all.
    for mark in [1, 20, 50, 100, 200, 1 << 20] {
        assert!(missing(Holes::LeftOut, mark).is_empty(), "{mark}");
        assert_eq!(missing(Holes::Lost, mark), [110, 121, 132, 143, 154, 165], "{mark}");
    }
}

#[test]
fn a_large_import_gets_a_dictionary_and_shrinks() {
    let size = |dictionary_bytes| {
        let store = tempfile::tempdir().unwrap();
        let options = BulkOptions { dictionary_bytes, ..BulkOptions::at(Timestamp::default()) };
        let mut bulk = BulkWriter::create(store.path(), options).unwrap();
        let traffic = TrafficOptions { records: 120_000, ..TrafficOptions::default() };
        generate(&traffic, |worker, record| bulk.push(worker, record).unwrap());
        let summary = bulk.finish().unwrap();
        assert_eq!(read(store.path()).records.len(), 120_000);
        summary.bytes
    };
    let (without, with) = (size(0), size(64 * 1024));
    assert!(with < without, "{with} bytes with a dictionary, {without} without");
}

/// A question about an hour reads the pings around it, and nothing else of the other hours.
#[test]
fn a_writer_that_seldom_logs_holds_no_claim_back() {
    let store = tempfile::tempdir().unwrap();
    let options = BulkOptions { compression: false, ..BulkOptions::at(Timestamp::from_micros(0)) };
    let mut bulk = BulkWriter::create(store.path(), options).unwrap();
    let text = format!("\"{}\"", "x".repeat(1_000));
    for micros in 0..20_000 {
        bulk.push(WorkerId::new(1), &record(micros, &text)).unwrap();
        if micros % 1_000 == 0 {
            bulk.push(None, &record(micros, "1")).unwrap();
        }
    }
    bulk.finish().unwrap();
    let (_, segment) = common::segments(store.path()).remove(0);
    assert!(common::assert_claims_hold(&segment) > 4);
    let claims: Vec<_> = common::blocks(&segment).into_iter().filter_map(|(.., c)| c).collect();
    for pair in claims.windows(2).skip(1) {
        let (before, after) = (pair[0].now, pair[1].watermark);
        assert!(after >= before, "{before:?} was passed, then {after:?} was claimed");
    }
}

#[test]
fn nothing_is_visible_before_it_is_complete() {
    let store = tempfile::tempdir().unwrap();
    let mut bulk = BulkWriter::create(store.path(), options()).unwrap();
    for n in 0..10_000 {
        bulk.push(None, &record(n, "\"some text of some length, so that blocks fill\"")).unwrap();
    }
    assert!(common::segments(store.path()).is_empty());
    drop(bulk);
    assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 0, "nothing is left behind");
}
