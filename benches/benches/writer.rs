//! What logging costs its caller, and how many records a second reach the disk.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logq_benches::{FiveFields, LOGGED_RECORDS, log_request};
use logq_format::Timestamp;
use logq_testkit::traffic::{TrafficOptions, generate};
use logq_writer::{BulkOptions, BulkWriter, LoggerOptions, MasterLogger, WorkerId, WorkerLogger};

/// A logger in a store of its own, and that store.
fn worker() -> (WorkerLogger, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let worker = WorkerId::new(1).unwrap();
    let logger = WorkerLogger::open(directory.path(), worker, LoggerOptions::default()).unwrap();
    (logger, directory)
}

/// `info` with five fields, beside what one would do without logq: the same data as JSON text.
fn info(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("info");
    group.throughput(Throughput::Elements(1));
    let (logger, _directory) = worker();
    let mut order = 0;
    group.bench_function("logq, saturated", |bencher| {
        bencher.iter(|| {
            order += 1;
            logger.info(FiveFields::numbered(order));
        });
    });
    logger.close().unwrap();
    let mut text = Vec::with_capacity(1 << 20);
    group.bench_function("serde_json into a buffer", |bencher| {
        bencher.iter(|| {
            order += 1;
            text.truncate(if text.len() > 1 << 19 { 0 } else { text.len() });
            serde_json::to_writer(&mut text, &FiveFields::numbered(order)).unwrap();
        });
    });
    group.finish();
}

/// Whole requests, including the time until all of them are on disk.
fn requests(criterion: &mut Criterion) {
    const REQUESTS: u64 = 20_000;
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(REQUESTS * LOGGED_RECORDS)).sample_size(10);
    group.bench_function("requests of five records, flushed", |bencher| {
        let (logger, _directory) = worker();
        bencher.iter_custom(|iterations| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..iterations {
                let start = Instant::now();
                (0..REQUESTS).for_each(|number| log_request(&logger, number));
                logger.flush().unwrap();
                elapsed += start.elapsed();
            }
            elapsed
        });
    });
    group.finish();
}

/// Records with given times, as imports write them; training a dictionary takes a fixed part of it.
fn bulk(criterion: &mut Criterion) {
    const RECORDS: u64 = 1_000_000;
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("bulk, traffic generated on the way", |bencher| {
        bencher.iter(|| {
            let directory = tempfile::tempdir().unwrap();
            let now = Timestamp::from_micros(1_770_200_000_000_000);
            let mut writer = BulkWriter::create(directory.path(), BulkOptions::at(now)).unwrap();
            let traffic = TrafficOptions { records: RECORDS, ..Default::default() };
            generate(&traffic, |worker, record| writer.push(worker, record).unwrap());
            writer.finish().unwrap().bytes
        });
    });
    group.finish();
}

/// What starting up costs: a logger that is opened and closed.
fn open(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    criterion.bench_function("open and close a master", |bencher| {
        bencher.iter(|| {
            let master = MasterLogger::open(directory.path(), LoggerOptions::default()).unwrap();
            master.close().unwrap();
        });
    });
}

criterion_group!(benches, info, requests, bulk, open);
criterion_main!(benches);
