//! What is told of a store as a whole: coverage, summary, costs.

use std::collections::BTreeMap;

use logq_format::{
    BlockFlags, Event, Json, Level, LevelSet, LogSource, Origin, Record, RecordType, Timestamp,
    TypeSet, WorkerId, WriterId,
};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::{NaiveQuery, NaiveRecord, NaiveStore};

use super::cluster::{SegmentBuilder, Writer, time};
use super::equivalence::{in_memory, lines};
use crate::{Coverage, Filter, Query, Snapshot};

fn writer(id: u32, worker: Option<u32>) -> Writer {
    let worker = worker.and_then(WorkerId::new);
    Writer { origin: Origin { writer: WriterId(id), worker }, sequence: 0, time: 0 }
}

fn log(micros: i64, level: Level) -> Record<'static> {
    let data = Json::new("1").unwrap();
    Record { time: time(micros), event: Event::Log { source: LogSource::Worker, level, data } }
}

fn coverage(segments: Vec<Vec<u8>>) -> Coverage {
    let segments: Vec<_> = segments.into_iter().map(|bytes| (1, bytes)).collect();
    in_memory(&segments).coverage().clone()
}

/// Who holds the watermark back, with the floors in microseconds.
fn holding(coverage: &Coverage) -> Vec<(u32, i64)> {
    let zero = time(0).as_micros();
    let holder = |h: &crate::Holder| (h.origin.writer.0, h.floor.as_micros() - zero);
    coverage.holding.iter().map(holder).collect()
}

#[test]
fn without_a_roster_nothing_is_final() {
    assert_eq!(coverage(Vec::new()), Coverage::default());
    let mut segment = SegmentBuilder::new(1, 1, None);
    let mut worker = writer(1, Some(1));
    segment.block(&mut worker, BlockFlags::NONE, &[log(10, Level::Info), log(20, Level::Info)]);
    let found = coverage(vec![segment.finish()]);
    assert_eq!((found.first, found.last, found.watermark), (Some(time(10)), Some(time(20)), None));
    assert!(!found.covers(None, Some(time(5))));
}

#[test]
fn the_slowest_writer_of_the_roster_holds_the_watermark_back_until_it_leaves() {
    let mut segment = SegmentBuilder::new(1, 1, None);
    let (mut master, mut worker) = (writer(9, None), writer(1, Some(1)));
    segment.block(&mut worker, BlockFlags::NONE, &[log(10, Level::Info)]);
    master.time = 50;
    // The roster of this ping has the master only, at 50.
    segment.ping(&master, 0);
    worker.time = 30;
    segment.join(&worker);
    let end = segment.bytes.len();
    master.time = 90;
    segment.sign_of_life(&master, BlockFlags::NONE);
    segment.block(&mut worker, BlockFlags::NONE, &[log(40, Level::Info), log(60, Level::Info)]);
    segment.sign_of_life(&worker, BlockFlags::LEAVING);
    segment.sign_of_life(&master, BlockFlags::LEAVING);
    let bytes = segment.finish();

    let joined = coverage(vec![bytes[..end].to_vec()]);
    assert_eq!(holding(&joined), [(1, 30), (9, 50)]);
    assert_eq!(joined.watermark, Some(time(30)));
    let flushed = coverage(vec![bytes[..bytes.len() - 144].to_vec()]);
    assert_eq!(holding(&flushed), [(1, 60), (9, 90)]);
    assert_eq!(flushed.watermark, Some(time(60)));
    assert!(flushed.covers(Some(time(10)), Some(time(60))));
    assert!(!flushed.covers(Some(time(9)), Some(time(60))));
    let alone = coverage(vec![bytes[..bytes.len() - 72].to_vec()]);
    assert_eq!((holding(&alone), alone.watermark), (vec![(9, 90)], Some(time(90))));
    let closed = coverage(vec![bytes]);
    assert_eq!((holding(&closed), closed.watermark), (Vec::new(), Some(Timestamp::MAX)));
}

#[test]
fn the_newest_segment_with_a_roster_decides() {
    let mut master = writer(9, None);
    let segments: Vec<_> = (1..=3)
        .map(|number| {
            let mut segment = SegmentBuilder::new(number, number, None);
            master.time += 100;
            let record = log(master.time, Level::Info);
            segment.block(&mut master, BlockFlags::NONE, &[record]);
            if number < 3 {
                segment.ping(&master, 0);
            }
            segment.finish()
        })
        .collect();
    let found = coverage(segments);
    assert_eq!((found.first, found.last), (Some(time(100)), Some(time(300))));
    assert_eq!(holding(&found), [(9, 200)]);
}

#[test]
fn a_summary_counts_what_the_model_counts() {
    for seed in 0..25 {
        let options = ClusterOptions { seed, ..ClusterOptions::default() };
        let cluster = Cluster::generate(&options);
        let store = NaiveStore::read(&cluster.segments);
        let records = store.select(&NaiveQuery::default());
        let summary = in_memory(&cluster.segments).summary().unwrap();
        assert_eq!(summary.records, records.len() as u64, "seed {seed}");
        assert_eq!(summary.levels, counted(&records, |known| known.level), "seed {seed}");
        assert_eq!(summary.types, counted(&records, |known| known.record_type), "seed {seed}");
        let times = records.first().zip(records.last());
        assert_eq!(summary.span, times.map(|(a, b)| (a.time, b.time)), "seed {seed}");
        assert_eq!(summary.report.lost_records, cluster.lost, "seed {seed}");

        let by_writer = counted(&records, |known| known.origin.writer);
        let mut writers: Vec<_> =
            summary.writers.iter().map(|w| (w.origin.writer, w.records)).collect();
        writers.retain(|(_, records)| *records > 0);
        writers.sort();
        assert_eq!(writers, by_writer, "seed {seed}");

        let bytes = summary.bytes;
        let sum = bytes.headers + bytes.request_ids + bytes.spine_stored + bytes.body_stored;
        let skipped: u64 = summary
            .report
            .gaps
            .iter()
            .chain(&summary.report.unfinished)
            .filter(|gap| matches!(gap.cause, crate::Cause::Damaged(_)))
            .map(|gap| gap.range.end - gap.range.start)
            .sum();
        assert_eq!(sum + bytes.other + skipped, bytes.total, "seed {seed}: each byte is somewhere");
        let blocks = summary.blocks;
        assert_eq!(summary.segments.len(), cluster.segments.len());
        assert!(blocks.data > 0 && blocks.join > 0, "seed {seed}");
    }
}

fn counted<K: Ord>(records: &[&NaiveRecord], key: impl Fn(&NaiveRecord) -> K) -> Vec<(K, u64)> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(key(record)).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// One block for each of three levels, each of another worker, and the store of them.
fn three_blocks() -> Snapshot {
    let mut segment = SegmentBuilder::new(1, 1, None);
    for (n, level) in [Level::Info, Level::Warn, Level::Error].into_iter().enumerate() {
        let n = u32::try_from(n).unwrap();
        let mut worker = writer(n, Some(n));
        let at = i64::from(n) * 100;
        segment.block(&mut worker, BlockFlags::NONE, &[log(at, level), log(at + 10, level)]);
    }
    in_memory(&[(1, segment.finish())])
}

#[test]
fn statistics_tell_what_ruled_blocks_out_and_what_was_decoded() {
    let snapshot = three_blocks();
    let explain = |query: Query<'_>| {
        let s = lines(&snapshot, &query).1.statistics;
        let pruned = [s.pruned_by_time, s.pruned_by_level, s.pruned_by_type, s.pruned_by_worker];
        (s.blocks, pruned, s.pruned_by_request, s.bodies_decoded, s.records)
    };
    let of = |filter| Query { filter, ..Query::default() };
    assert_eq!(explain(Query::default()), (3, [0; 4], 0, 3, 6));
    let since = Query { since: Some(time(205)), ..Query::default() };
    assert_eq!(explain(since), (3, [2, 0, 0, 0], 0, 1, 1));
    let levels = LevelSet::EMPTY.with(Level::Warn);
    assert_eq!(explain(of(Filter { levels, ..Filter::default() })), (3, [0, 2, 0, 0], 0, 1, 2));
    let types = TypeSet::EMPTY.with(RecordType::Request);
    assert_eq!(explain(of(Filter { types, ..Filter::default() })), (3, [0, 0, 3, 0], 0, 0, 0));
    let workers = Some(vec![WorkerId::new(2)]);
    assert_eq!(explain(of(Filter { workers, ..Filter::default() })), (3, [0, 0, 0, 2], 0, 1, 2));
    let requests = Some(vec![super::cluster::request(1)]);
    assert_eq!(explain(of(Filter { requests, ..Filter::default() })), (3, [0; 4], 3, 0, 0));
}

#[test]
fn counting_decodes_no_more_than_it_must() {
    let snapshot = three_blocks();
    let decoded = |report: crate::Report| {
        (report.statistics.spines_decoded, report.statistics.bodies_decoded)
    };
    let (count, report) = snapshot.count(&Query::default()).unwrap();
    assert_eq!((count, decoded(report)), (6, (0, 0)), "headers tell");
    let (tally, report) = snapshot.tally(&Query::default(), crate::Field::Level).unwrap();
    assert_eq!((tally.counts.len(), decoded(report)), (3, (0, 0)), "one level in each block");
    let query = Query { since: Some(time(105)), ..Query::default() };
    let (count, report) = snapshot.count(&query).unwrap();
    assert_eq!((count, decoded(report)), (3, (1, 0)), "one block is cut");
}
