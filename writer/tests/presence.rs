//! What others on the machine see of a writer: that it lives, that it holds nothing back, what it
//! promises on the control page; and that none of this is ever told too early.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use common::read;
use logq_directory::{Directory, NewSegment, Present, WriterEntry, present_writers};
use logq_format::Timestamp;
use logq_writer::{Clock, LoggerOptions, SystemClock, WorkerId, WorkerLogger};

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's clock, as if somebody had set it.
#[derive(Debug, Default)]
struct SteppedClock {
    step_us: AtomicI64,
}

impl SteppedClock {
    fn step(&self, micros: i64) {
        self.step_us.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add_micros(self.step_us.load(Ordering::SeqCst))
    }

    fn is_wall_clock(&self) -> bool {
        true
    }
}

fn quick() -> LoggerOptions {
    LoggerOptions { output_delay: Duration::from_millis(20), ..LoggerOptions::default() }
}

fn open(store: &Path, options: LoggerOptions) -> WorkerLogger {
    WorkerLogger::open(store, WorkerId::new(7).unwrap(), options).unwrap()
}

/// The living writers of the newest segment.
fn present(store: &Path) -> Vec<Present> {
    let newest = Directory::open(store).unwrap().newest().unwrap().unwrap();
    present_writers(&File::open(newest.path).unwrap()).unwrap()
}

fn is_idle(store: &Path) -> bool {
    present(store).iter().all(|present| present.is_idle)
}

fn entry(store: &Path) -> Option<WriterEntry> {
    Directory::open(store).unwrap().writer_entries().pop()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_writer_shows_that_it_lives_and_when_it_holds_nothing_back() {
    let store = tempfile::tempdir().unwrap();
    let log = open(store.path(), quick());
    assert_eq!(present(store.path()).len(), 1);
    wait_until("it rests", || is_idle(store.path()));
    for n in 0..20 {
        let began = Instant::now();
        // On a machine that is busy elsewhere it may rest again before it is looked at.
        let in_time = || began.elapsed() < Duration::from_millis(20);
        log.info(n);
        assert!(!is_idle(store.path()) || !in_time(), "from when a record is accepted");
        log.flush().unwrap();
        assert!(!is_idle(store.path()) || !in_time(), "not at every flush: callers would pay");
    }
    wait_until("it rests again", || is_idle(store.path()));
    assert_eq!(read(store.path()).records.len(), 20, "everything is there by then");
    log.close().unwrap();
    assert_eq!(present(store.path()), []);
}

/// Long after it was last used, the background thread sleeps and is not woken in time.
#[test]
fn a_writer_that_batches_nothing_or_sleeps_deeply_is_idle_too() {
    let store = tempfile::tempdir().unwrap();
    for options in [
        LoggerOptions { output_delay: Duration::ZERO, ..LoggerOptions::default() },
        LoggerOptions { output_delay: Duration::from_millis(1), ..LoggerOptions::default() },
    ] {
        let log = open(store.path(), options);
        for _ in 0..3 {
            log.info("x");
            log.flush().unwrap();
            wait_until("it rests", || is_idle(store.path()));
            std::thread::sleep(Duration::from_millis(60));
            assert!(is_idle(store.path()));
        }
        log.close().unwrap();
    }
}

#[test]
fn the_page_tells_who_writes_where_and_since_when_records_wait() {
    let store = tempfile::tempdir().unwrap();
    let log = open(store.path(), LoggerOptions::default());
    let first = entry(store.path()).unwrap();
    assert_eq!((first.pid, first.slot), (std::process::id(), 1));
    assert_eq!(first.origin.worker, WorkerId::new(7));
    let directory = Directory::open(store.path()).unwrap();
    let newest = directory.newest().unwrap().unwrap();
    let place = directory.place_of(1, &File::open(newest.path).unwrap()).unwrap();
    assert_eq!(first.place, place);

    wait_until("it rests", || is_idle(store.path()));
    let before = SystemClock.now();
    wait_until("it promises", || entry(store.path()).unwrap().floor > first.floor);
    // The background thread looks every 200 milliseconds; what it finds then was logged since. Now
    // and then it is late and writes at once what it would have told of.
    let mut told = None;
    for _ in 0..50 {
        log.info("waits");
        std::thread::sleep(Duration::from_millis(73));
        told = entry(store.path()).filter(|entry| entry.is_pending);
        if told.is_some() {
            break;
        }
    }
    let told = told.unwrap();
    log.flush().unwrap();
    let times: Vec<_> = read(store.path()).records.iter().map(|record| record.time).collect();
    assert!(times.contains(&told.floor), "{told:?} is the time of one of {times:?}");
    assert!(told.floor >= before);
    wait_until("it rests again", || entry(store.path()).is_some_and(|entry| !entry.is_pending));
    assert!(entry(store.path()).unwrap().floor > told.floor);
    log.close().unwrap();
}

#[test]
fn a_page_that_is_lost_or_spoiled_is_mended_and_no_log_call_minds() {
    let store = tempfile::tempdir().unwrap();
    let page = store.path().join("control");
    let log = open(store.path(), quick());
    let known = || entry(store.path()).is_some_and(|entry| entry.pid == std::process::id());
    let spoil: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&page).unwrap(),
        &|| fs::write(&page, [0x5A; 1000]).unwrap(),
        &|| fs::write(&page, b"").unwrap(),
        &|| {
            fs::remove_file(&page).unwrap();
            fs::create_dir(&page).unwrap();
        },
    ];
    for (n, spoil) in spoil.into_iter().enumerate() {
        wait_until("the page tells of the writer", || {
            // The thread that mends it sleeps while nothing happens.
            log.info("something");
            known()
        });
        spoil();
        log.info(n);
        log.flush().unwrap();
    }
    assert!(!known());
    log.close().unwrap();
    assert_eq!(read(store.path()).gaps, []);
}

/// Without the page, a rotation is noticed by the directory's time of change, which is coarse.
#[test]
fn rotation_is_followed_by_the_page_and_without_it() {
    let check = |spoil: &dyn Fn(&Path)| {
        let store = tempfile::tempdir().unwrap();
        let log = open(store.path(), quick());
        let directory = Directory::open(store.path()).unwrap();
        for number in 2..5 {
            let new = NewSegment::at(SystemClock.now());
            directory.create_segment(&directory.lock().unwrap(), &new).unwrap();
            spoil(store.path());
            wait_until("the writer follows", || {
                log.info(number);
                log.flush().unwrap();
                present(store.path()).len() == 1
            });
        }
        log.close().unwrap();
        let sequences: Vec<_> = read(store.path()).records.iter().map(|r| r.sequence).collect();
        assert_eq!(sequences, (0..sequences.len() as u64).collect::<Vec<_>>());
    };
    check(&|_| {});
    check(&|store| fs::remove_file(store.join("control")).unwrap());
    // One that names another segment for good.
    check(&|store| {
        Directory::open(store).unwrap().control_page().unwrap().publish_segment(1).unwrap();
    });
    check(&|store| {
        Directory::open(store).unwrap().control_page().unwrap().publish_segment(99).unwrap();
    });
}

/// A reader that saw the writer rest has taken the present for final; were the clock then stepped
/// back by a little, the next record would come too late.
#[test]
fn a_writer_that_rests_makes_up_for_a_small_step_back_of_the_clock() {
    let store = tempfile::tempdir().unwrap();
    let clock = Arc::new(SteppedClock::default());
    let options = LoggerOptions { clock: Arc::<SteppedClock>::clone(&clock), ..quick() };
    let log = open(store.path(), options);
    let mut stated = Vec::new();
    for _ in 0..3 {
        wait_until("it rests", || is_idle(store.path()));
        stated.push(clock.now());
        assert!(is_idle(store.path()), "it has not logged since");
        clock.step(-500_000);
        log.info("later, whatever the clock shows");
        log.flush().unwrap();
    }
    let times: Vec<_> = read(store.path()).records.iter().map(|record| record.time).collect();
    let pairs: Vec<_> = stated.iter().zip(&times).collect();
    assert!(pairs.iter().all(|(stated, time)| time >= stated), "{pairs:?}");
    assert_eq!(times.len(), 3);

    wait_until("it rests", || is_idle(store.path()));
    clock.step(-3_600_000_000);
    log.info("in another epoch");
    log.close().unwrap();
    let told = read(store.path()).records.iter().any(|record| record.line.contains("CLOCK_STEP"));
    assert!(told, "a large step is told");
}

#[test]
fn a_logger_with_a_clock_of_its_own_never_claims_to_hold_nothing_back() {
    let store = tempfile::tempdir().unwrap();
    let clock = common::ManualClock::at("2026-02-03T14:05:06Z");
    let options = LoggerOptions { clock, ..quick() };
    let log = open(store.path(), options);
    log.info("in the past");
    log.flush().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    assert!(!is_idle(store.path()));
    log.close().unwrap();
}

/// Who had its slot in a lock file that was deleted still lives, and claims must not forget it.
#[test]
fn claims_count_the_writers_whose_lock_file_was_deleted() {
    let store = tempfile::tempdir().unwrap();
    let slow = LoggerOptions { output_delay: Duration::from_secs(600), ..LoggerOptions::default() };
    let first = open(store.path(), slow);
    first.info("waits in memory");
    std::thread::sleep(Duration::from_millis(10));
    fs::remove_file(store.path().join("writers.lock")).unwrap();
    let often = LoggerOptions { ping_delay: Duration::from_millis(5), ..quick() };
    let master = logq_writer::MasterLogger::open(store.path(), often).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    first.flush().unwrap();
    master.close().unwrap();
    first.close().unwrap();
    let segment = common::segments(store.path()).remove(0).1;
    assert!(common::assert_claims_hold(&segment) > 2);
}
