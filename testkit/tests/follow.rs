//! Following real writers: a storm of rotations, writers that are killed or stopped, stores that come
//! late or go; each record once, in order.
//!
//! Lasts seconds. `LOGQ_FOLLOW_SECONDS=60` makes the storm last a minute. Children are this test
//! binary again, told by environment variables what to do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and measurements are told"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use logq_directory::{Directory, NewSegment};
use logq_format::{Event, Timestamp};
use logq_reader::{
    Cursor, Delivery, Follow, FollowOptions, Notification, Progress, Snapshot, Start,
};
use logq_rotation::{Event as RotationEvent, LogManager, ManagerOptions};
use logq_writer::{Io, LoggerOptions, MasterLogger, SystemIo, WorkerId, WorkerLogger};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tells a child where to log.
const STORE: &str = "LOGQ_FOLLOW_STORE";

/// A record as it was handed out: its rank, and the number that its writer has given it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    rank: (Timestamp, u32, u64),
    worker: u32,
    number: u64,
}

fn seen(row: &logq_reader::Row<'_>) -> Option<Seen> {
    let record = row.record().unwrap();
    let Event::Log { data, .. } = record.event else { return None };
    let origin = row.origin();
    let rank = (row.time(), origin.writer.0, row.sequence());
    let worker = origin.worker.map_or(0, WorkerId::get);
    Some(Seen { rank, worker, number: data.as_str().parse().ok()? })
}

/// Hands out what there is within `timeout`, behind what has been found.
fn next(follow: &mut Follow<'_>, timeout: Duration, found: &mut Vec<Seen>) -> Progress {
    let map = |rows: &logq_reader::Rows<'_>, _: &logq_reader::Cursors| {
        rows.iter().filter_map(|row| seen(&row)).collect::<Vec<_>>()
    };
    let progress = follow.next(timeout, map, |rows| {
        found.extend(rows);
        ControlFlow::Continue(())
    });
    progress.unwrap()
}

/// Hands out until there are so many records.
fn take(follow: &mut Follow<'_>, count: usize) -> Vec<Seen> {
    let mut found = Vec::new();
    let begin = Instant::now();
    while found.len() < count {
        next(follow, Duration::from_millis(100), &mut found);
        let waiting = follow.waiting_for();
        assert!(begin.elapsed() < PATIENCE, "{} of {count}: {waiting:?}", found.len());
    }
    found
}

fn worker(number: u32) -> WorkerId {
    WorkerId::new(number).unwrap()
}

fn quick() -> LoggerOptions {
    let output_delay = Duration::from_millis(20);
    LoggerOptions { output_delay, high_water_mark: 8 << 10, ..LoggerOptions::default() }
}

fn from_start(delivery: Delivery) -> FollowOptions<'static> {
    let start = Start::Since(Timestamp::MIN);
    FollowOptions { start, delivery, ..FollowOptions::default() }
}

/// Each worker's numbers are all those from 0 on, once.
fn assert_all_once(name: &str, found: &[Seen], written: &BTreeMap<u32, u64>) {
    let mut numbers: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for seen in found {
        numbers.entry(seen.worker).or_default().push(seen.number);
    }
    for (worker, count) in written {
        let mut numbers = numbers.remove(worker).unwrap_or_default();
        numbers.sort_unstable();
        let first = (0..*count).zip(&numbers).find(|(expected, number)| expected != *number);
        assert_eq!((first, numbers.len() as u64), (None, *count), "{name}: worker {worker}");
    }
    assert!(numbers.is_empty());
}

fn assert_in_order(found: &[Seen]) {
    let at = found.windows(2).position(|pair| pair[0].rank >= pair[1].rank);
    assert_eq!(at.map(|at| (at, found[at], found[at + 1])), None);
}

/// Logs numbers until it is told to stop, about so many a second; answers how many.
fn log_numbers(log: &WorkerLogger, stop: &AtomicBool, rate: u64) -> u64 {
    let begin = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(begin.elapsed().as_micros()).unwrap() * rate / 1_000_000;
        while number < due {
            log.info(number);
            number += 1;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    number
}

/// Workers log as fast as asked for while the manager rotates and deletes all the time; one reader
/// follows in order, one as records arrive, and one ends and goes on from its cursor again and again.
#[test]
fn a_storm_of_rotations_loses_nothing_doubles_nothing_and_keeps_the_order() {
    let seconds = std::env::var("LOGQ_FOLLOW_SECONDS").ok().and_then(|text| text.parse().ok());
    let (seconds, rate, segment) =
        seconds.map_or((2, 10_000, 4 << 10), |seconds: u64| (seconds, 25_000, 16 << 10));
    const WORKERS: u32 = 4;
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let stop = AtomicBool::new(false);
    let total = AtomicU64::new(u64::MAX);
    let (written, rotations, ordered, arrived, resumed) = std::thread::scope(|scope| {
        let follow = |delivery| {
            let (store, total) = (&store, &total);
            scope.spawn(move || {
                let mut follow = Follow::new(&[store], from_start(delivery)).unwrap();
                let (mut found, mut begin) = (Vec::new(), None);
                while (found.len() as u64) < total.load(Ordering::SeqCst) {
                    next(&mut follow, Duration::from_millis(100), &mut found);
                    if total.load(Ordering::SeqCst) < u64::MAX {
                        let begin = begin.get_or_insert_with(Instant::now);
                        let waiting = follow.waiting_for();
                        let (found, report) = (found.len(), follow.report());
                        let told = (report.gaps, report.missing, report.lost_records);
                        let is_late = begin.elapsed() > PATIENCE;
                        assert!(!is_late, "{delivery:?}: {found} found, {waiting:?}, {told:?}");
                    }
                }
                (found, follow.report())
            })
        };
        let ordered = follow(Delivery::Ordered);
        let arrived = follow(Delivery::Arrival);
        let resumed = {
            let (store, total) = (&store, &total);
            scope.spawn(move || {
                let mut found = Vec::new();
                let mut cursor: Option<String> = None;
                let mut begin = None;
                while (found.len() as u64) < total.load(Ordering::SeqCst) {
                    let start = match &cursor {
                        Some(text) => Start::After(text.parse::<Cursor>().unwrap()),
                        None => Start::Since(Timestamp::MIN),
                    };
                    let options = FollowOptions { start, ..FollowOptions::default() };
                    let mut follow = Follow::new(&[store], options).unwrap();
                    for _ in 0..5 {
                        next(&mut follow, Duration::from_millis(30), &mut found);
                    }
                    cursor = Some(follow.cursor().to_string());
                    if total.load(Ordering::SeqCst) < u64::MAX {
                        let begin = begin.get_or_insert_with(Instant::now);
                        assert!(begin.elapsed() < PATIENCE, "{} found", found.len());
                    }
                }
                (found, cursor.unwrap_or_default())
            })
        };
        let options = ManagerOptions {
            poll_interval: Duration::from_millis(5),
            log_size_limit: 10_000 * segment,
            granularity: 10_000,
            // Where the disk is nearly full, segments would go before anyone has read them.
            free_bytes_min: Some(0),
            ..ManagerOptions::default()
        };
        let manager = LogManager::open(&store, options).unwrap();
        let events = manager.events();
        let master = MasterLogger::open(&store, quick()).unwrap();
        let loggers: Vec<_> = (1..=WORKERS)
            .map(|number| {
                let log = WorkerLogger::open(&store, worker(number), quick()).unwrap();
                let stop = &stop;
                (
                    number,
                    scope.spawn(move || {
                        let written = log_numbers(&log, stop, rate);
                        log.close().unwrap();
                        written
                    }),
                )
            })
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::SeqCst);
        let written: BTreeMap<u32, u64> =
            loggers.into_iter().map(|(number, thread)| (number, thread.join().unwrap())).collect();
        total.store(written.values().sum(), Ordering::SeqCst);
        let readers = (ordered.join().unwrap(), arrived.join().unwrap(), resumed.join().unwrap());
        master.close().unwrap();
        let events: Vec<_> = events.try_iter().collect();
        let is_harm = |e: &&RotationEvent| !matches!(e, RotationEvent::Rotate(_));
        let harm: Vec<_> = events.iter().filter(is_harm).collect();
        assert!(harm.is_empty(), "nothing is deleted, nothing fails: {harm:?}");
        let rotations = events.len();
        (written, rotations, readers.0, readers.1, readers.2)
    });
    assert!(rotations > 10, "{rotations} rotations");
    for (name, (found, report)) in [("ordered", &ordered), ("arrived", &arrived)] {
        assert_all_once(name, found, &written);
        assert_eq!(report.gaps, []);
        assert_eq!((report.missing.as_slice(), report.late_records), ([].as_slice(), 0));
    }
    assert_in_order(&ordered.0);
    assert_all_once("resumed", &resumed.0, &written);
    assert_in_order(&resumed.0);
    assert!(resumed.1.len() < 250, "{} characters: {}", resumed.1.len(), resumed.1);
    println!("{} records, {rotations} rotations", ordered.0.len());
}

/// A disk that takes nothing before it is told to.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    fn await_somebody(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |(_, somebody)| !*somebody).unwrap());
    }
}

impl Io for Gate {
    fn append(&self, file: &File, bytes: &[u8]) -> std::io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.1 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(is_open, _)| !*is_open).unwrap());
        SystemIo.append(file, bytes)
    }

    fn sync(&self, file: &File) -> std::io::Result<()> {
        SystemIo.sync(file)
    }
}

/// A writer that lagged behind by so many rotations was forgotten: what it appended then was never
/// handed out, or behind later records.
#[test]
fn a_writer_that_lives_is_waited_for_however_many_rotations_it_lags_behind() {
    const SEGMENTS: u64 = 40;
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let directory = Directory::create(&store).unwrap();
    let gate = Arc::new(Gate::default());
    let options = LoggerOptions { io: Arc::<Gate>::clone(&gate), ..quick() };
    let slow = WorkerLogger::open(&store, worker(1), options).unwrap();
    let fast = WorkerLogger::open(&store, worker(2), quick()).unwrap();
    let follow = |options| Follow::new(&[&store], options).unwrap();
    let mut ordered = follow(from_start(Delivery::Ordered));
    let mut arrived = follow(from_start(Delivery::Arrival));
    let (mut in_order, mut as_arrived) = (Vec::new(), Vec::new());
    (0..10_u64).for_each(|number| slow.info(number));
    gate.await_somebody();
    for number in 0..SEGMENTS {
        fast.info(number);
        fast.flush().unwrap();
        next(&mut ordered, Duration::ZERO, &mut in_order);
        next(&mut arrived, Duration::ZERO, &mut as_arrived);
        let lock = directory.lock().unwrap();
        directory.create_segment(&lock, &NewSegment::at(Timestamp::MIN)).unwrap();
    }
    assert!(in_order.is_empty(), "all of it is later than what the slow one holds back");
    let after = |follow: &Follow<'_>, delivery| {
        let start = Start::After(follow.cursor().to_string().parse().unwrap());
        FollowOptions { start, delivery, ..FollowOptions::default() }
    };
    let mut resumed = follow(after(&ordered, Delivery::Ordered));
    let mut resumed_arrival = follow(after(&arrived, Delivery::Arrival));
    gate.open();
    slow.flush().unwrap();
    let (all, of_fast) = (10 + SEGMENTS, as_arrived.len() as u64);
    let written = BTreeMap::from([(1, 10), (2, SEGMENTS)]);
    let count = |records| usize::try_from(records).unwrap();
    for (name, follow) in [("ordered", &mut ordered), ("resumed", &mut resumed)] {
        let found = take(follow, count(all));
        assert_all_once(name, &found, &written);
        assert_in_order(&found);
        assert_eq!(follow.report().late_records, 0, "{name}");
    }
    for (name, follow) in [("arrived", &mut arrived), ("resumed", &mut resumed_arrival)] {
        let mut found = take(follow, count(all - of_fast));
        found.extend(&as_arrived);
        assert_all_once(name, &found, &written);
    }
    slow.close().unwrap();
    fast.close().unwrap();
}

/// The part of a child: logs numbers until it is killed.
#[test]
fn child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let log = WorkerLogger::open(&store, worker(9), quick()).unwrap();
    for number in 0_u64.. {
        log.info(number);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A child that is killed in any case.
struct Worker(Child);

impl Worker {
    fn start(store: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["child", "--exact", "--nocapture"])
            .env(STORE, store)
            .stdout(std::process::Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a worker's records come.
fn await_worker(follow: &mut Follow<'_>, number: u32, found: &mut Vec<Seen>) {
    let begin = Instant::now();
    let before = found.len();
    while !found[before..].iter().any(|seen| seen.worker == number) {
        next(follow, Duration::from_millis(50), found);
        assert!(begin.elapsed() < PATIENCE, "{:?}", follow.waiting_for());
    }
}

#[test]
fn a_killed_writer_holds_nothing_back_and_a_stopped_one_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let master = MasterLogger::open(&store, quick()).unwrap();
    let log = WorkerLogger::open(&store, worker(1), quick()).unwrap();
    let mut follow = Follow::new(&[&store], from_start(Delivery::Ordered)).unwrap();
    let mut found = Vec::new();

    let killed = Worker::start(&store);
    await_worker(&mut follow, 9, &mut found);
    drop(killed);
    log.info(0);
    await_worker(&mut follow, 1, &mut found);

    let stopped = Worker::start(&store);
    await_worker(&mut follow, 9, &mut found);
    stopped.signal(Signal::SIGSTOP);
    let begin = Instant::now();
    let waiting = loop {
        log.info(1);
        next(&mut follow, Duration::from_millis(50), &mut found);
        let waiting = follow.waiting_for();
        let is_named = |w: &logq_reader::Waiting| w.holding.iter().any(|h| h.pid == stopped.0.id());
        match waiting.filter(is_named) {
            // It takes a while until nothing else holds anything back.
            Some(waiting) if begin.elapsed() > Duration::from_millis(500) => break waiting,
            _ => assert!(begin.elapsed() < PATIENCE, "the stopped writer is named"),
        }
    };
    assert!(waiting.records > 0);
    assert_eq!(waiting.holding[0].pid, stopped.0.id(), "the slowest first: {waiting:?}");
    let held = found.len();
    next(&mut follow, Duration::from_millis(100), &mut found);
    assert_eq!(found.len(), held, "nothing is handed out behind it");

    stopped.signal(Signal::SIGCONT);
    await_worker(&mut follow, 1, &mut found);
    assert_in_order(&found);
    assert_eq!(follow.report().late_records, 0);
    drop(stopped);
    log.close().unwrap();
    master.close().unwrap();
}

#[test]
fn a_store_may_come_late_and_go() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("some/where/store");
    let mut follow = Follow::new(&[&store], FollowOptions::default()).unwrap();
    let mut found = Vec::new();
    assert_eq!(next(&mut follow, Duration::from_millis(60), &mut found), Progress::Quiet);
    let log = WorkerLogger::open(&store, worker(1), quick()).unwrap();
    (0..100).for_each(|number: u64| log.info(number));
    log.flush().unwrap();
    found.extend(take(&mut follow, 100));
    let cursor = follow.cursor();

    // All segments are deleted under the writer, which goes on in a new one.
    for entry in std::fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "logq") {
            std::fs::remove_file(path).unwrap();
        }
    }
    (100..200).for_each(|number: u64| log.info(number));
    log.flush().unwrap();
    found.extend(take(&mut follow, 100));
    assert_all_once("all", &found, &BTreeMap::from([(1, 200)]));
    // If both were created in the same second, the new segment has the name of the old one.
    let gaps = follow.report().gaps;
    assert!(gaps.iter().all(|gap| gap.range.is_empty()) && gaps.len() <= 1, "{gaps:?}");
    log.close().unwrap();
    let renewed = follow.cursor();

    // Nobody knows of the new segments that they are of the same store.
    let options = FollowOptions { start: Start::After(cursor), ..FollowOptions::default() };
    let refused = Follow::new(&[&store], options).unwrap_err().to_string();
    assert!(refused.contains("another store"), "{refused}");
    let start = Start::After(renewed);
    let mut follow =
        Follow::new(&[&store], FollowOptions { start, ..FollowOptions::default() }).unwrap();
    assert_eq!(next(&mut follow, Duration::from_millis(60), &mut found), Progress::Quiet);
}

#[test]
fn a_thousand_segments_are_followed_and_resumed_like_one() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let directory = Directory::create(&store).unwrap();
    let log = WorkerLogger::open(&store, worker(1), quick()).unwrap();
    for number in 0..1_000_u64 {
        if number % 10 == 0 {
            log.info(number / 10);
            log.flush().unwrap();
        }
        let lock = directory.lock().unwrap();
        directory.create_segment(&lock, &NewSegment::at(Timestamp::MIN)).unwrap();
    }
    let count = std::fs::read_dir(&store).unwrap().count();
    assert!(count >= 1_000, "{count} segments");
    let begin = Instant::now();
    let mut follow = Follow::new(&[&store], from_start(Delivery::Ordered)).unwrap();
    let mut found = take(&mut follow, 100);
    println!("{count} segments caught up in {:?}", begin.elapsed());
    let mut delays = Vec::new();
    for number in 100..110_u64 {
        log.info(number);
        log.flush().unwrap();
        let begin = Instant::now();
        found.extend(take(&mut follow, 1));
        delays.push(begin.elapsed());
    }
    println!("delays with {count} segments: {delays:?}");
    let start = Start::After(follow.cursor());
    let options = FollowOptions { start, ..FollowOptions::default() };
    let mut follow = Follow::new(&[&store], options).unwrap();
    (110..120_u64).for_each(|number| log.info(number));
    found.extend(take(&mut follow, 10));
    assert_all_once("all", &found, &BTreeMap::from([(1, 120)]));
    assert_in_order(&found);
    log.close().unwrap();
}

/// Measured and told, not asserted: the time from the end of a flush to the record.
#[test]
fn the_delay_after_a_flush_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let master = MasterLogger::open(&store, LoggerOptions::default()).unwrap();
    let idle = WorkerLogger::open(&store, worker(2), LoggerOptions::default()).unwrap();
    let log = WorkerLogger::open(&store, worker(1), LoggerOptions::default()).unwrap();
    idle.info(0);
    for delivery in [Delivery::Ordered, Delivery::Arrival] {
        for notify in [true, false] {
            let options = FollowOptions { delivery, notify, ..FollowOptions::default() };
            let mut follow = Follow::new(&[&store], options).unwrap();
            let mut delays: Vec<Duration> = (0..40)
                .map(|_| {
                    let (sender, receiver) = std::sync::mpsc::channel();
                    std::thread::scope(|scope| {
                        let log = &log;
                        scope.spawn(move || {
                            std::thread::sleep(Duration::from_millis(7));
                            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                            log.info(u64::try_from(now.as_micros()).unwrap());
                            log.flush().unwrap();
                            sender.send(Instant::now()).unwrap();
                        });
                        take(&mut follow, 1);
                        let arrived = Instant::now();
                        arrived.saturating_duration_since(receiver.recv().unwrap())
                    })
                })
                .collect();
            delays.sort();
            let (p50, max) = (delays[20], delays[39]);
            println!("{delivery:?}, {}: p50 {p50:?}, max {max:?}", follow.notification());
            assert_eq!(follow.notification() == Notification::Inotify, notify);
        }
    }
    for log in [&idle, &log] {
        log.close().unwrap();
    }
    master.close().unwrap();
    assert_eq!(
        Snapshot::open(&[&store]).unwrap().count(&logq_reader::Query::default()).unwrap().0,
        161
    );
}
