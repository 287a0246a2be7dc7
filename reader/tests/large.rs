//! Stores of several megabytes, read with the sizes that are meant for them.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;

use fastrand::Rng;
use logq_format::{Timestamp, segment_name};
use logq_reader::{Order, Query, Report, Snapshot};
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;

type Outcome = Result<(), Box<dyn Error>>;

const HOUR_US: i64 = 3_600_000_000;

/// A store of consecutive segments, each an hour of traffic.
fn store(segments: u64, records: u64) -> Result<tempfile::TempDir, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    for number in 1..=segments {
        let start = TrafficOptions::default().start;
        let start = start.saturating_add_micros(HOUR_US * i64::try_from(number)?);
        let span_us = HOUR_US.unsigned_abs();
        let options = SegmentOptions {
            traffic: TrafficOptions { seed: number, records, start, span_us },
            number,
            block_bytes: 4 << 10,
            ping_bytes: 128 << 10,
            ..SegmentOptions::default()
        };
        fs::write(scratch.path().join(segment_name(number, start)), encode(&options)?.bytes)?;
    }
    Ok(scratch)
}

/// The times of the records of a query.
fn times(
    snapshot: &Snapshot,
    query: &Query<'_>,
) -> Result<(Vec<Timestamp>, Report), Box<dyn Error>> {
    let mut times = Vec::new();
    let report = snapshot.scan(
        query,
        |rows| rows.iter().map(|row| row.time()).collect::<Vec<_>>(),
        |found| {
            times.extend(found);
            ControlFlow::Continue(())
        },
    )?;
    Ok((times, report))
}

#[test]
fn ranges_are_exact_and_cost_little() -> Outcome {
    let scratch = store(3, 60_000)?;
    let snapshot = Snapshot::open(&[scratch.path()])?;
    let (all, whole) = times(&snapshot, &Query::default())?;
    assert_eq!(all.len(), 180_000);
    assert!(all.is_sorted() && whole.is_complete());

    let mut rng = Rng::with_seed(3);
    for round in 0..40 {
        let pick = |rng: &mut Rng| all.get(rng.usize(0..all.len())).copied();
        let since = pick(&mut rng).ok_or("no records")?;
        let until = since.saturating_add_micros(rng.i64(0..120_000_000));
        let order = if rng.bool() { Order::Ascending } else { Order::Descending };
        let query = Query { since: Some(since), until: Some(until), order, ..Query::default() };
        let (mut found, report) = times(&snapshot, &query)?;
        if order == Order::Descending {
            found.reverse();
        }
        let inside = |time: &&Timestamp| since <= **time && **time < until;
        let expected: Vec<_> = all.iter().filter(inside).copied().collect();
        assert_eq!(found, expected, "round {round}: {query:?}");
        assert_eq!(snapshot.count(&query)?.0, expected.len() as u64);
        let (part, blocks) = (report.statistics.blocks, whole.statistics.blocks);
        assert!(part * 2 < blocks, "round {round}: {part} of {blocks} blocks were looked at");
    }
    Ok(())
}

#[test]
fn the_ends_are_found_without_reading_what_lies_between() -> Outcome {
    let scratch = store(4, 60_000)?;
    let snapshot = Snapshot::open(&[scratch.path()])?;
    let (all, whole) = times(&snapshot, &Query::default())?;
    for order in [Order::Ascending, Order::Descending] {
        let (found, report) =
            times(&snapshot, &Query { order, limit: Some(10), ..Query::default() })?;
        let expected: Vec<_> = match order {
            Order::Ascending => all.iter().take(10).copied().collect(),
            Order::Descending => all.iter().rev().take(10).copied().collect(),
        };
        assert_eq!(found, expected, "{order:?}");
        assert_eq!(report.statistics.records, 10);
        assert!(report.statistics.bodies_decoded < 12, "{order:?}: {:?}", report.statistics);
        let (part, total) = (report.statistics.bytes_read, whole.statistics.bytes_read);
        assert!(part * 2 < total, "{order:?}: {part} of {total} bytes");
    }
    Ok(())
}

#[test]
fn the_coverage_is_what_the_last_roster_tells() -> Outcome {
    let scratch = store(2, 20_000)?;
    let snapshot = Snapshot::open(&[scratch.path()])?;
    let (all, report) = times(&snapshot, &Query::default())?;
    let coverage = snapshot.coverage();
    assert_eq!(coverage.first.as_ref(), all.first());
    assert_eq!(coverage.last.as_ref(), all.last());
    assert_eq!(coverage, &report.coverage);
    let watermark = coverage.watermark.ok_or("the segments have pings")?;
    assert!(coverage.covers(coverage.first, Some(watermark)));
    let before = coverage.first.map(|first| first.saturating_add_micros(-1));
    assert!(!coverage.covers(before, Some(watermark)));
    assert!(!coverage.covers(None, Some(watermark.saturating_add_micros(1))));
    Ok(())
}
