//! What must be true: of the whole history in the end, and of every answer in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logq_format::{Timestamp, WriterId, json};
use logq_reader::{Cause, Gap, Query, Report, Rows, Snapshot};
use logq_testkit::claims;
use logq_testkit::naive::NaiveStore;

use crate::Tally;
use crate::archive::Archive;
use crate::herd::Herd;
use crate::record::{Author, parse};

/// A record as the real reader returns it.
struct Seen {
    time: Timestamp,
    writer: WriterId,
    sequence: u64,
    line: String,
}

/// The numbers of the records of one writer.
type Numbers = BTreeSet<(WriterId, u64)>;

fn read(snapshot: &Snapshot) -> (Vec<Seen>, Report) {
    let mut records = Vec::new();
    let render = |rows: &Rows<'_>| {
        let seen = |row: logq_reader::Row<'_>| {
            let mut line = Vec::new();
            json::write_line(&mut line, &row.record().unwrap(), row.origin(), row.sequence());
            let (time, writer, sequence) = (row.time(), row.origin().writer, row.sequence());
            Seen { time, writer, sequence, line: String::from_utf8(line).unwrap() }
        };
        rows.iter().map(seen).collect::<Vec<_>>()
    };
    let fold = |slice| {
        records.extend(slice);
        ControlFlow::Continue(())
    };
    let report = snapshot.scan(&Query::default(), render, fold).unwrap();
    (records, report)
}

fn missing(report: &Report) -> Numbers {
    let numbers = report.missing.iter().flat_map(|missing| {
        let numbers = missing.sequence..missing.sequence + missing.records;
        numbers.map(|number| (missing.origin.writer, number))
    });
    numbers.collect()
}

/// The numbers of each author's records: once each, in order, without a hole.
fn runs(records: &[Seen]) -> BTreeMap<Author, (u64, u64)> {
    let mut runs: BTreeMap<Author, (u64, u64)> = BTreeMap::new();
    for (author, n) in records.iter().filter_map(|record| parse(&record.line)) {
        let (_, next) = runs.entry(author).or_insert((n, n));
        assert_eq!(*next, n, "of {author:?}");
        *next += 1;
    }
    runs
}

/// A reader while the storm rages.
#[derive(Default)]
pub(crate) struct Onlooker {
    pub(crate) looks: usize,
    checks_watermark: bool,
    /// What it was told to be missing.
    missing: Numbers,
    /// How far each author had come.
    known: BTreeMap<Author, u64>,
    /// How far each writer had come, and the watermark stated then.
    writers: BTreeMap<WriterId, u64>,
    watermark: Option<Timestamp>,
}

impl Onlooker {
    pub(crate) fn new(checks_watermark: bool) -> Self {
        Self { checks_watermark, ..Self::default() }
    }

    /// Looks at the store again and again.
    pub(crate) fn watch(mut self, store: &Path, over: &AtomicBool) -> Self {
        while !over.load(Ordering::SeqCst) {
            self.look(store);
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    fn look(&mut self, store: &Path) {
        let snapshot = Snapshot::open(&[store]).unwrap();
        let (records, report) = read(&snapshot);
        self.looks += 1;
        let told = missing(&report);
        // Segments that are deleted before it comes to read them are told of as well.
        let is_told = |gap: &Gap| gap.cause == Cause::Vanished;
        if told.is_empty() && !report.gaps.iter().any(is_told) {
            for (author, (_, next)) in runs(&records) {
                let known = self.known.insert(author, next).unwrap_or_default();
                assert!(known <= next, "{author:?} had come to {known}, then to {next}");
            }
        }
        self.check_watermark(&records);
        self.missing.extend(told);
        self.watermark = report.coverage.watermark;
    }

    /// No record is earlier than a watermark that was stated before it came.
    fn check_watermark(&mut self, records: &[Seen]) {
        // The last time of all is stated where no writer was left. Others have come since.
        let is_checked =
            |watermark: &Timestamp| self.checks_watermark && *watermark < Timestamp::MAX;
        let watermark = self.watermark.filter(is_checked);
        for record in records {
            let next = self.writers.entry(record.writer).or_default();
            if record.sequence >= *next {
                let is_late = watermark.is_some_and(|watermark| record.time < watermark);
                assert!(!is_late, "before {watermark:?}: {}", record.line);
                *next = record.sequence + 1;
            }
        }
    }
}

/// Checks the whole history.
pub(crate) fn referee(
    store: &Path,
    archive: &Archive,
    herd: &Herd,
    tally: &Tally,
    onlookers: &[Onlooker],
) {
    let segments = archive.segments();
    let bytes = segments.iter().map(|(_, bytes, _)| Arc::from(bytes.as_slice()));
    let (records, report) = read(&Snapshot::of_memory(bytes));
    assert_eq!(missing(&report), Numbers::new(), "of all that was ever in the store");
    assert_eq!((report.lost_records, report.gaps_omitted), (0, 0), "no writer dropped any");
    // A process that is killed may leave a part of a block.
    let torn = report.gaps.len() + report.unfinished.len();
    assert!(torn <= tally.kills, "{:?} {:?}", report.gaps, report.unfinished);
    for window in records.windows(2) {
        let [a, b] = window else { continue };
        assert!((a.time, a.writer, a.sequence) < (b.time, b.writer, b.sequence));
    }

    let runs = runs(&records);
    let acknowledged = herd.acknowledged.lock().unwrap();
    for (author, flushed) in &acknowledged.flushed {
        let (first, next) = runs.get(author).copied().unwrap_or_default();
        assert_eq!(first, 0, "{author:?} lacks the first {first}");
        assert!(next >= *flushed, "{author:?} was promised {flushed} and has {next}");
    }
    for (author, ended) in &acknowledged.ended {
        assert_eq!(runs.get(author).map_or(0, |(_, next)| *next), *ended, "{author:?} closed");
    }
    assert!(acknowledged.flushed.len() >= tally.kills, "most processes got to flush");

    check_segments(&segments, &report);
    check_rest(store, &segments, onlookers);
}

/// Checks that the claims of all pings were true to the end.
fn check_segments(segments: &[(u64, Vec<u8>, bool)], report: &Report) {
    let mut pings = 0;
    for (index, (number, bytes, _)) in segments.iter().enumerate() {
        let path = format!("segment {index}");
        let is_here = |gap: &Gap| gap.path == Path::new(&path);
        if !report.gaps.iter().chain(&report.unfinished).any(is_here) {
            let verified = claims::verify(bytes);
            pings += verified.unwrap_or_else(|error| panic!("segment {number}: {error}")).len();
        }
    }
    assert!(pings > 10, "{pings} pings with claims");
}

/// Checks what retention has left, and that nothing was told to be missing but what it deleted.
fn check_rest(store: &Path, segments: &[(u64, Vec<u8>, bool)], onlookers: &[Onlooker]) {
    let part = |deleted: bool| {
        let part = segments.iter().filter(|segment| segment.2 == deleted);
        let part: Vec<_> = part.map(|(number, bytes, _)| (*number, bytes)).collect();
        NaiveStore::read(&part)
    };
    let (gone, left) = (part(true), part(false));
    let (records, report) = read(&Snapshot::open(&[store]).unwrap());
    let lines = |store: &NaiveStore| -> Vec<String> {
        store.select(&Default::default()).iter().map(|record| record.line.clone()).collect()
    };
    assert!(records.iter().map(|record| &record.line).eq(&lines(&left)), "what is left");
    let numbers = gone.records.iter().map(|record| (record.origin.writer, record.sequence));
    let gone: Numbers = numbers.collect();
    let mut told = missing(&report);
    onlookers.iter().for_each(|onlooker| told.extend(&onlooker.missing));
    let untrue: Vec<_> = told.difference(&gone).collect();
    assert!(untrue.is_empty(), "told to be missing, but never deleted: {untrue:?}");
}
