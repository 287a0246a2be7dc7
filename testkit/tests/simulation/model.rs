//! The naive model: a list of what each process logged and what it was told of it, and what must
//! then be true of everything that can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use logq_directory::Directory;
use logq_format::{Level, LevelSet, Timestamp, WriterId, json};
use logq_reader::{Filter, Gap, Order, Query, Report, Rows, Snapshot};
use logq_testkit::claims;
use logq_testkit::naive::{NaiveQuery, NaiveRecord, NaiveStore};
use serde_json::{Value, json};

use crate::disk::ModelDisk;

/// Which record: the number of its process, and its number among that process's records.
pub(crate) type Key = (u64, u64);

/// How far times may be ahead of the clock, because that was stepped back.
const CLAMP_MAX_US: i64 = 2_000_000;

/// What the record with this key says.
pub(crate) fn data(key: Key) -> Value {
    let mut random = Rng::with_seed(key.0 << 32 ^ key.1);
    let text: String = (0..random.usize(..120)).map(|_| random.alphabetic()).collect();
    json!({ "process": key.0, "n": key.1, "text": text })
}

/// What one process logged, and what it was told.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    /// The level of each record, and the time by the wall clock.
    pub(crate) logged: Vec<(Level, i64)>,
    /// So many of them were flushed.
    pub(crate) flushed: u64,
    /// So many of them were synced.
    pub(crate) synced: u64,
    /// Records may have been dropped: its queue is small.
    pub(crate) may_drop: bool,
    /// A sync has failed: from then on nobody knows what is synced.
    pub(crate) is_unsure: bool,
}

/// Everything that is known to be true.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) diaries: BTreeMap<u64, Diary>,
    /// Records that were seen at any time, with the line as it was seen.
    seen: BTreeMap<Key, String>,
    /// Records that were deleted, or lost with the power.
    gone: BTreeSet<Key>,
    /// The records of loggers that tell of dropped ones: process and counts.
    lost: BTreeMap<(WriterId, u64), (u64, Value)>,
    /// Sequence numbers that a power failure or a deletion may have taken.
    taken: BTreeSet<(WriterId, u64)>,
    /// The watermark that was stated last, and how far each writer was then.
    watermark: Option<Timestamp>,
    known: BTreeMap<WriterId, u64>,
}

/// A store as it can be read.
pub(crate) struct Content {
    paths: Vec<(u64, PathBuf)>,
    segments: Vec<(u64, Vec<u8>)>,
    naive: NaiveStore,
}

impl Content {
    pub(crate) fn of(store: &Path) -> Self {
        let found = Directory::open(store).unwrap().segments().unwrap();
        let paths: Vec<_> = found.into_iter().map(|one| (one.number, one.path)).collect();
        Self::of_parts(paths, |bytes, _| bytes)
    }

    /// What of the store survives a power failure for certain.
    pub(crate) fn synced(store: &Path, disk: &ModelDisk) -> Self {
        let paths = Self::of(store).paths;
        Self::of_parts(paths, |mut bytes, path| {
            bytes.truncate(usize::try_from(disk.synced(path)).unwrap());
            bytes
        })
    }

    fn of_parts(paths: Vec<(u64, PathBuf)>, part: impl Fn(Vec<u8>, &Path) -> Vec<u8>) -> Self {
        let read = |path: &Path| part(fs::read(path).unwrap(), path);
        let segments: Vec<_> = paths.iter().map(|(n, path)| (*n, read(path))).collect();
        let naive = NaiveStore::read(&segments);
        Self { paths, segments, naive }
    }

    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.naive.records.iter().filter_map(|record| key_of(&record.line)).collect()
    }

    fn numbers(&self) -> BTreeSet<(WriterId, u64)> {
        let number = |record: &NaiveRecord| (record.origin.writer, record.sequence);
        self.naive.records.iter().map(number).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.naive.records.len()
    }
}

/// The key of a record, whose content is checked; `None` for what loggers tell of themselves.
fn key_of(line: &str) -> Option<Key> {
    let line: Value = serde_json::from_str(line).unwrap();
    let found = match &line["error"] {
        Value::Null => line["data"].clone(),
        error => serde_json::from_str(error["value"].as_str().unwrap()).unwrap(),
    };
    let key = (found["process"].as_u64()?, found["n"].as_u64()?);
    assert_eq!(found, data(key), "altered: {line}");
    Some(key)
}

impl Model {
    /// Segments may have been deleted: what only they held is gone. Answers whether any were.
    pub(crate) fn note_deleted(&mut self, before: &Content, after: &Content) -> bool {
        self.note(before);
        self.gone.extend(before.keys().difference(&after.keys()));
        self.taken.extend(before.numbers().difference(&after.numbers()));
        before.paths.iter().any(|path| !after.paths.contains(path))
    }

    /// The power has failed: nothing that was synced is gone.
    pub(crate) fn note_power_failure(
        &mut self,
        before: &Content,
        synced: &Content,
        after: &Content,
    ) {
        self.note(before);
        let (synced, after_keys) = (synced.keys(), after.keys());
        let lost: Vec<_> = synced.difference(&after_keys).collect();
        assert!(lost.is_empty(), "synced, but lost with the power: {lost:?}");
        for (process, diary) in &mut self.diaries {
            for key in (0..diary.synced).map(|n| (*process, n)) {
                let kept = after_keys.contains(&key) || self.gone.contains(&key);
                assert!(kept, "{key:?} was told to be synced, but is lost with the power");
            }
        }
        self.gone.extend(before.keys().difference(&after_keys));
        self.taken.extend(before.numbers().difference(&after.numbers()));
    }

    /// Later records may be earlier than the watermark that was stated.
    pub(crate) fn forget_watermark(&mut self) {
        self.watermark = None;
    }

    pub(crate) fn watermark_us(&self) -> i64 {
        self.watermark.map_or(i64::MIN, |watermark| watermark.as_micros())
    }

    /// Takes note of all records, and checks that each was logged and is as it was.
    fn note(&mut self, content: &Content) {
        let mut keys = BTreeSet::new();
        for record in content.naive.select(&NaiveQuery::default()) {
            if let Some(key) = key_of(&record.line) {
                assert!(keys.insert(key), "{key:?} is there twice");
                self.check_record(key, record);
                let before = self.seen.entry(key).or_insert_with(|| record.line.clone());
                assert_eq!(*before, record.line, "a record has changed");
            } else if record.line.contains("\"LOST\"") {
                let process = u64::from(record.origin.worker.map_or(0, |worker| worker.get()));
                let line: Value = serde_json::from_str(&record.line).unwrap();
                let identity = (record.origin.writer, record.sequence);
                self.lost.insert(identity, (process, line["data"]["counts"].clone()));
            }
        }
        check_order(content);
    }

    fn check_record(&self, (process, n): Key, record: &NaiveRecord) {
        let logged = &self.diaries[&process].logged;
        let Some((level, wall)) = logged.get(usize::try_from(n).unwrap()) else {
            panic!("nobody logged {}", record.line)
        };
        assert_eq!(record.level, *level, "{}", record.line);
        let ahead = record.time.as_micros() - wall;
        assert!((0..=CLAMP_MAX_US).contains(&ahead), "{ahead} us ahead: {}", record.line);
    }

    /// Everything that must be true of the store at this moment; answers its content.
    pub(crate) fn check(&mut self, store: &Path, disk: &ModelDisk, random: &mut Rng) -> Content {
        let content = Content::of(store);
        self.note(&content);
        let (lines, report) = read(store, &Query::default());
        let everything = content.naive.select(&NaiveQuery::default());
        assert!(lines.iter().eq(everything.iter().map(|record| &record.line)), "reader and model");
        check_part(store, &content, random);
        self.check_complete(&content);
        self.check_report(&content, &report, disk);
        self.check_watermark(&everything, &report);
        check_claims(&content, disk);
        content
    }

    /// What was flushed is there.
    pub(crate) fn check_complete(&self, content: &Content) {
        let keys = content.keys();
        for (process, diary) in self.diaries.iter().filter(|(_, diary)| !diary.may_drop) {
            for key in (0..diary.flushed).map(|n| (*process, n)) {
                let kept = keys.contains(&key) || self.gone.contains(&key);
                assert!(kept, "{key:?} was flushed, but is not there");
            }
            // And what was not flushed is there up to some record.
            let mut there = (diary.flushed..diary.logged.len() as u64).map(|n| (*process, n));
            let is_there = |key: &Key| keys.contains(key) || self.gone.contains(key);
            let _ = there.find(|key| !is_there(key));
            assert_eq!(there.find(is_there), None, "without the one before");
        }
    }

    /// What is told to be damaged or missing is, and nothing else.
    fn check_report(&self, content: &Content, report: &Report, disk: &ModelDisk) {
        let numbers = |missing: &logq_reader::Missing| -> Vec<_> {
            let range = missing.sequence..missing.sequence + missing.records;
            range.map(|number| (missing.origin.writer, number)).collect()
        };
        let missing: Vec<_> = report.missing.iter().flat_map(numbers).collect();
        let untrue: Vec<_> = missing.iter().filter(|one| !self.taken.contains(one)).collect();
        assert!(untrue.is_empty(), "told to be missing, but on its way: {untrue:?}");
        let is_known =
            |path: &Path, range: &Range<u64>| disk.is_struck(path) || disk.is_torn(path, range);
        let gaps: Vec<&Gap> = report.gaps.iter().chain(&report.unfinished).collect();
        for gap in gaps {
            assert!(is_known(&gap.path, &gap.range), "nothing was damaged here: {gap:?}");
        }
        for (number, range) in &content.naive.gaps {
            let (_, path) = content.paths.iter().find(|(other, _)| other == number).unwrap();
            assert!(is_known(path, range), "nothing was damaged here: {number} {range:?}");
        }
    }

    /// No record is earlier than a watermark that was stated before it came.
    fn check_watermark(&mut self, records: &[&NaiveRecord], report: &Report) {
        let watermark = self.watermark;
        for record in records {
            let next = self.known.entry(record.origin.writer).or_default();
            if record.sequence >= *next {
                let is_late = watermark.is_some_and(|watermark| record.time < watermark);
                assert!(!is_late, "before {watermark:?}: {}", record.line);
                *next = record.sequence + 1;
            }
        }
        // The last time of all is stated where no writer is left. Others will come.
        self.watermark = report.coverage.watermark.filter(|time| *time < Timestamp::MAX);
    }

    /// After a process has ended in peace: what it logged is there, or told to be lost.
    pub(crate) fn check_accounts(&mut self, process: u64, store: &Path) {
        self.note(&Content::of(store));
        let diary = &self.diaries[&process];
        let of_process = self.lost.values().filter(|(of, _)| *of == process);
        let told: Vec<&Value> = of_process.map(|(_, counts)| counts).collect();
        for level in Level::ALL {
            let counts = told.iter().filter_map(|counts| counts[level.as_str()].as_u64());
            let keys = (0_u64..).zip(&diary.logged).filter(|(_, logged)| logged.0 == level);
            let unseen = keys.filter(|(n, _)| !self.seen.contains_key(&(process, *n)));
            let unseen: Vec<_> = unseen.map(|(n, _)| n).collect();
            assert_eq!(
                unseen.len() as u64,
                counts.sum::<u64>(),
                "{level:?} of {process}: {unseen:?}"
            );
        }
    }
}

/// The blocks of all segments, for people.
pub(crate) fn describe(store: &Path) -> String {
    let content = Content::of(store);
    let mut text = String::new();
    for ((_, path), (_, bytes)) in content.paths.iter().zip(&content.segments) {
        text += &format!("{:?}, {} bytes\n", path.file_name(), bytes.len());
        for (offset, header) in logq_testkit::naive::blocks(bytes) {
            let (kind, origin, flags) = (header.kind, header.origin, header.flags);
            let (sequence, records) = (header.sequence, header.records);
            text += &format!("  {offset}: {kind:?} {flags:?} {sequence}+{records} {origin:?}");
            text += &format!(" {} to {}\n", header.min, header.max);
        }
    }
    text
}

/// The records of a writer are in the order of the calls, and so are those of its next identity.
fn check_order(content: &Content) {
    let mut last: BTreeMap<WriterId, (u64, u64)> = BTreeMap::new();
    let mut records: Vec<_> = content.naive.select(&NaiveQuery::default());
    records.sort_by_key(|record| (record.origin.writer, record.sequence));
    for record in records {
        let Some((process, n)) = key_of(&record.line) else { continue };
        let before = last.insert(record.origin.writer, (process, n));
        assert!(before.is_none_or(|before| before.0 == process && before.1 < n), "order");
    }
}

/// The lines that the real reader answers, and what it tells besides.
fn read(store: &Path, query: &Query<'_>) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let render = |rows: &Rows<'_>| {
        let line = |row: logq_reader::Row<'_>| {
            let mut line = Vec::new();
            json::write_line(&mut line, &row.record().unwrap(), row.origin(), row.sequence());
            String::from_utf8(line).unwrap()
        };
        rows.iter().map(line).collect::<Vec<_>>()
    };
    let fold = |slice| {
        lines.extend(slice);
        ControlFlow::Continue(())
    };
    let report = Snapshot::open(&[store]).unwrap().scan(query, render, fold).unwrap();
    (lines, report)
}

/// A part of the store is read as the model reads it.
fn check_part(store: &Path, content: &Content, random: &mut Rng) {
    let records = &content.naive.records;
    let time = |random: &mut Rng| random.choice(records).map(|record| record.time);
    let (since, until) = (time(random), time(random));
    let levels = LevelSet::at_least(random.choice(Level::ALL).unwrap());
    let order = random.choice([Order::Ascending, Order::Descending]).unwrap();
    let limit = random.bool().then(|| random.u64(..20));
    let filter = Filter { levels, ..Filter::default() };
    let (lines, _) = read(store, &Query { since, until, filter, order, limit, ..Query::default() });
    let since = since.unwrap_or(Timestamp::MIN);
    let naive = NaiveQuery { since, until, levels, ..NaiveQuery::default() };
    let mut expected = content.naive.select(&naive);
    if order == Order::Descending {
        expected.reverse();
    }
    expected.truncate(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
    assert!(lines.iter().eq(expected.iter().map(|record| &record.line)), "{naive:?} {order:?}");
}

/// What pings claim is true of their segments.
fn check_claims(content: &Content, disk: &ModelDisk) {
    for ((number, path), (_, bytes)) in content.paths.iter().zip(&content.segments) {
        if !disk.is_struck(path) {
            let verified = claims::verify(bytes);
            verified.unwrap_or_else(|error| panic!("segment {number}: {error}"));
        }
    }
}
