//! Questions to a store of a million records over 24 hours, page cache warm.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logq_benches::write_store;
use logq_format::{Event, Level, LevelSet, Timestamp, json};
use logq_reader::{Field, Filter, Order, Query, Rows, Snapshot};
use logq_testkit::segment::SegmentOptions;
use logq_testkit::traffic::{TrafficOptions, generate};

const RECORDS: u64 = 1_000_000;
const MINUTE_US: i64 = 60_000_000;

fn traffic() -> TrafficOptions {
    TrafficOptions { records: RECORDS, ..Default::default() }
}

/// Renders what the query finds, as `logq -o json` does, and counts the bytes.
fn render(snapshot: &Snapshot, query: &Query<'_>) -> usize {
    let to_json = |rows: &Rows<'_>| {
        let mut out = Vec::new();
        for row in rows.iter() {
            if let Ok(record) = row.record() {
                json::write_line(&mut out, &record, row.origin(), row.sequence());
            }
        }
        out
    };
    let mut bytes = 0;
    let count = |text: Vec<u8>| {
        bytes += text.len();
        ControlFlow::Continue(())
    };
    snapshot.scan(query, to_json, count).unwrap();
    bytes
}

/// The request in the middle of the day.
fn some_request() -> logq_format::RequestId {
    let (mut left, mut found) = (RECORDS / 2, None);
    generate(&traffic(), |_, record| {
        left = left.saturating_sub(1);
        if let (0, None, Event::Request(request)) = (left, found, &record.event) {
            found = Some(request.request);
        }
    });
    found.unwrap()
}

fn questions(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let options = SegmentOptions { traffic: traffic(), ..Default::default() };
    write_store(directory.path(), &options).unwrap();
    let path = directory.path();
    let all = Query::default;
    let noon = options.traffic.start.saturating_add_micros(12 * 60 * MINUTE_US);
    let minute = |since: Timestamp| Query {
        since: Some(since),
        until: Some(since.saturating_add_micros(MINUTE_US)),
        ..all()
    };
    let filtered = |filter| Query { filter, ..all() };
    let errors = Filter { levels: LevelSet::at_least(Level::Error), ..Filter::default() };
    let request = Filter { requests: Some(vec![some_request()]), ..Filter::default() };

    let mut group = criterion.benchmark_group("seek");
    group.sample_size(10);
    group.bench_function("one minute at noon as JSON, opened anew", |bencher| {
        bencher.iter(|| render(&Snapshot::open(&[path]).unwrap(), &minute(noon)));
    });
    let snapshot = Snapshot::open(&[path]).unwrap();
    group.bench_function("newest ten records", |bencher| {
        let query = Query { order: Order::Descending, limit: Some(10), ..all() };
        bencher.iter(|| render(&snapshot, &query));
    });
    group.bench_function("one request id", |bencher| {
        let query = filtered(request.clone());
        bencher.iter(|| render(&snapshot, &query));
    });
    group.finish();

    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10).throughput(Throughput::Elements(RECORDS));
    group.bench_function("level error as JSON", |bencher| {
        let query = filtered(errors.clone());
        bencher.iter(|| render(&snapshot, &query));
    });
    group.bench_function("count", |bencher| {
        bencher.iter(|| black_box(snapshot.count(&all()).unwrap().0));
    });
    group.bench_function("count by status", |bencher| {
        bencher.iter(|| black_box(snapshot.tally(&all(), Field::StatusCode).unwrap().0));
    });
    group.bench_function("everything as JSON", |bencher| {
        bencher.iter(|| render(&snapshot, &all()));
    });
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
