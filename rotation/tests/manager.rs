//! Managers as a service uses them: threads, callbacks, processes, loggers that write meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use logq_directory::{Directory, DirectoryError};
use logq_rotation::{Event, LogManager, ManagerOptions, OpenError};
use logq_testkit::naive::NaiveStore;
use logq_writer::{LoggerOptions, MasterLogger, WorkerId, WorkerLogger};
use serde_json::json;

/// Nothing here takes that long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store of 128 KiB in four segments, looked at when poked.
fn options() -> ManagerOptions {
    ManagerOptions {
        poll_interval: Duration::from_secs(3600),
        log_size_limit: 128 << 10,
        granularity: 4,
        dictionary_bytes: 0,
        free_bytes_min: Some(0),
        ..ManagerOptions::default()
    }
}

fn raw() -> LoggerOptions {
    LoggerOptions { compression: false, high_water_mark: 1024, ..LoggerOptions::default() }
}

fn read(store: &Path) -> NaiveStore {
    let segments = Directory::open(store).unwrap().segments().unwrap();
    let segments: Vec<_> =
        segments.iter().map(|s| (s.number, fs::read(&s.path).unwrap())).collect();
    NaiveStore::read(&segments)
}

fn log_kib(logger: &MasterLogger, kib: usize) {
    for _ in 0..kib {
        logger.info("x".repeat(1024));
    }
    logger.flush().unwrap();
}

/// Waits for the next rotation.
fn rotated(events: &Receiver<Event>) -> PathBuf {
    loop {
        match events.recv_timeout(PATIENCE).expect("a rotation") {
            Event::Rotate(path) => return path,
            Event::Error(error) => panic!("{error}"),
            _ => {}
        }
    }
}

/// Writers that fill the whole store between two looks would have it deleted as a whole.
#[test]
fn a_full_segment_does_not_wait_for_the_next_look() {
    let scratch = tempfile::tempdir().unwrap();
    // Nobody waits here for as long as it is between two looks.
    let options = ManagerOptions { poll_interval: PATIENCE * 10, ..options() };
    let manager = LogManager::open(scratch.path(), options).unwrap();
    let events = manager.events();
    let master = MasterLogger::open(scratch.path(), raw()).unwrap();
    for _ in 0..2 {
        // Some of it may still go into the segment before.
        let filled = (0..100).any(|_| {
            log_kib(&master, 40);
            let event = events.recv_timeout(PATIENCE / 20);
            assert!(!matches!(event, Ok(Event::Error(_))), "{event:?}");
            matches!(event, Ok(Event::Rotate(_)))
        });
        assert!(filled, "a rotation");
    }
    master.close().unwrap();
    manager.close();
}

#[test]
fn rotation_is_told_to_callbacks_and_receivers_until_the_manager_is_closed() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("a/store");
    let (sender, called) = channel();
    let sender = Mutex::new(sender);
    let on_rotate = move |path: &Path| sender.lock().unwrap().send(path.to_owned()).unwrap();
    let options = ManagerOptions { on_rotate: Some(Arc::new(on_rotate)), ..options() };
    let manager = LogManager::open(&store, options).unwrap();
    let (events, others) = (manager.events(), manager.events());
    assert_eq!(manager.dirname(), store);
    let first = manager.filename();
    assert!(first.exists());

    let logger = MasterLogger::open(&store, raw()).unwrap();
    log_kib(&logger, 33);
    manager.poke();
    let second = rotated(&events);
    assert_eq!(called.recv_timeout(PATIENCE).unwrap(), second);
    assert_eq!(rotated(&others), second);
    assert_eq!(manager.filename(), second);
    assert_ne!(first, second);

    manager.close();
    assert!(manager.closed());
    manager.poke();
    manager.close();
    let end = events.recv_timeout(PATIENCE).unwrap_err();
    assert_eq!(end, RecvTimeoutError::Disconnected, "no more events");
    assert_eq!(manager.filename(), second);
    // The next manager can be opened at once, and finds what is due by itself.
    logger.close().unwrap();
    let logger = MasterLogger::open(&store, raw()).unwrap();
    log_kib(&logger, 33);
    let next = LogManager::open(&store, self::options()).unwrap();
    assert_ne!(rotated(&next.events()), second);
    logger.close().unwrap();
}

/// The seed's way: loggers of segments, told by the manager, master first; beside them a logger
/// of the directory, told by nobody. The store is small, so old records go, but only from the front.
#[test]
fn no_record_is_lost_or_doubled_while_segments_come_and_go() {
    const RECORDS_MIN: u64 = 2_000;
    const RECORDS_MAX: u64 = 200_000;
    let scratch = tempfile::tempdir().unwrap();
    let loggers: Arc<OnceLock<(MasterLogger, WorkerLogger)>> = Arc::default();
    let told = Arc::clone(&loggers);
    let rotations = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&rotations);
    let on_rotate = move |path: &Path| {
        if let Some((master, worker)) = told.get() {
            master.rotate(path).unwrap();
            worker.rotate(path).unwrap();
        }
        // A panic above is caught, but not counted.
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let manager = LogManager::open(
        scratch.path(),
        ManagerOptions {
            poll_interval: Duration::from_millis(1),
            on_rotate: Some(Arc::new(on_rotate)),
            ..options()
        },
    )
    .unwrap();
    let events = manager.events();
    let one = WorkerId::new(1).unwrap();
    let master = MasterLogger::open(manager.filename(), raw()).unwrap();
    let worker = WorkerLogger::open(manager.filename(), one, raw()).unwrap();
    loggers.set((master.clone(), worker.clone())).ok().unwrap();
    let follower = WorkerLogger::open(scratch.path(), WorkerId::new(2).unwrap(), raw()).unwrap();
    let mut records = 0;
    while records < RECORDS_MIN || rotations.load(Ordering::SeqCst) < 4 {
        assert!(records < RECORDS_MAX, "nothing is rotated");
        let n = records;
        records += 1;
        master.info(json!({ "n": n, "padding": "x".repeat(100) }));
        worker.info(json!({ "n": n, "padding": "x".repeat(100) }));
        follower.info(json!({ "n": n, "padding": "x".repeat(100) }));
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    manager.close();
    master.close().unwrap();
    worker.close().unwrap();
    follower.close().unwrap();

    let told: Vec<_> = events.iter().collect();
    let is_rotation = |event: &&Event| matches!(event, Event::Rotate(_));
    assert_eq!(rotations.load(Ordering::SeqCst), told.iter().filter(is_rotation).count());
    assert!(!told.iter().any(|event| matches!(event, Event::Error(_))), "{told:?}");
    let read = read(scratch.path());
    assert_eq!(read.gaps, []);
    let mut writers: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for record in &read.records {
        writers.entry(record.origin).or_default().push(record.sequence);
    }
    assert_eq!(writers.len(), 3);
    for (origin, sequences) in writers {
        let first = sequences[0];
        let expected: Vec<_> = (first..records).collect();
        assert_eq!(sequences, expected, "{origin:?}");
    }
}

#[test]
fn a_manager_goes_on_after_errors_and_panics_of_its_callbacks() {
    let scratch = tempfile::tempdir().unwrap();
    let (store, aside) = (scratch.path().join("store"), scratch.path().join("aside"));
    let options = ManagerOptions {
        on_rotate: Some(Arc::new(|_| panic!("a callback's own mistake"))),
        on_error: Some(Arc::new(|_| panic!("another one"))),
        ..options()
    };
    let manager = LogManager::open(&store, options).unwrap();
    let events = manager.events();
    fs::rename(&store, &aside).unwrap();
    manager.poke();
    let Event::Error(error) = events.recv_timeout(PATIENCE).unwrap() else { panic!("an error") };
    assert!(error.to_string().contains(store.to_str().unwrap()), "{error}");
    fs::rename(&aside, &store).unwrap();
    for _ in 0..2 {
        let logger = MasterLogger::open(&store, raw()).unwrap();
        log_kib(&logger, 33);
        logger.close().unwrap();
        manager.poke();
        rotated(&events);
    }
    assert!(!manager.closed());
}

#[test]
fn a_callback_may_close_the_manager() {
    let scratch = tempfile::tempdir().unwrap();
    let slot: Arc<Mutex<Option<LogManager>>> = Arc::default();
    let (sender, dropped) = channel();
    let (taken, sender) = (Arc::clone(&slot), Mutex::new(sender));
    let on_rotate = move |_: &Path| {
        drop(taken.lock().unwrap().take());
        sender.lock().unwrap().send(()).unwrap();
    };
    let options = ManagerOptions { on_rotate: Some(Arc::new(on_rotate)), ..options() };
    let manager = LogManager::open(scratch.path(), options).unwrap();
    let logger = MasterLogger::open(scratch.path(), raw()).unwrap();
    log_kib(&logger, 33);
    let mut held = slot.lock().unwrap();
    manager.poke();
    *held = Some(manager);
    drop(held);
    dropped.recv_timeout(PATIENCE).expect("closing does not wait for itself");
    logger.close().unwrap();
}

#[test]
fn options_are_checked_before_anything_is_created() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let wrong = ManagerOptions { granularity: 0, ..ManagerOptions::default() };
    let refused = LogManager::open(&store, wrong).unwrap_err();
    assert!(matches!(refused, OpenError::Options(_)), "{refused}");
    assert!(!store.exists());
    let file = scratch.path().join("file");
    fs::write(&file, b"").unwrap();
    let refused = LogManager::open(&file, ManagerOptions::default()).unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot create {}", file.display())));
}

/// Runs as a child of the test below: manages the store until it is killed.
#[test]
fn child_that_manages_until_it_is_killed() {
    let Some(store) = std::env::var_os("LOGQ_TEST_MANAGED_STORE") else { return };
    let manager = LogManager::open(&store, options()).unwrap();
    println!("\nmanaging");
    std::thread::sleep(PATIENCE);
    drop(manager);
}

#[test]
fn a_second_manager_learns_who_the_first_one_is_and_takes_over_when_that_is_killed() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_manages_until_it_is_killed", "--nocapture"])
        .env("LOGQ_TEST_MANAGED_STORE", scratch.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "managing"));

    let refused = LogManager::open(scratch.path(), options()).unwrap_err();
    let OpenError::Directory(DirectoryError::Managed { pid, .. }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(*pid, Some(child.id()));
    assert!(refused.to_string().contains(&format!("process {}", child.id())), "{refused}");

    child.kill().unwrap();
    child.wait().unwrap();
    let manager = LogManager::open(scratch.path(), options()).unwrap();
    assert!(manager.filename().to_str().unwrap().contains("0000000001-"));
}
