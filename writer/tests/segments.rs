//! How loggers get along with segments: joining, rotating, claims, several processes' worth of
//! writers, disks that refuse, foreign files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::fs;
use std::time::Duration;

use common::{ManualClock, options, read};
use logq_format::{BlockFlags, BlockKind};
use logq_writer::{LoggerOptions, MasterLogger, OpenError, WorkerId, WorkerLogger};
use serde_json::json;

fn worker(number: u32) -> WorkerId {
    WorkerId::new(number).unwrap()
}

#[test]
fn loggers_of_a_store_share_its_newest_segment() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("new/store");
    let master = MasterLogger::open(&store, LoggerOptions::default()).unwrap();
    let one = WorkerLogger::open(&store, worker(1), LoggerOptions::default()).unwrap();
    master.info("m");
    one.info("w");
    master.close().unwrap();
    one.close().unwrap();
    assert_eq!(common::segments(&store).len(), 1);
    let found = read(&store);
    assert_eq!(found.records.len(), 2);
    assert_ne!(found.records[0].origin, found.records[1].origin);
}

#[test]
fn a_segment_can_be_named_and_is_created() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store/0000000005-mine.logq");
    let log = MasterLogger::open(&path, LoggerOptions::default()).unwrap();
    log.info(1);
    log.close().unwrap();
    let segments = common::segments(path.parent().unwrap());
    assert_eq!(segments.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5]);
    assert!(path.exists());
}

#[test]
fn other_files_are_refused_and_a_damaged_newest_segment_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("app.log");
    fs::write(&file, b"text").unwrap();
    let refused = MasterLogger::open(&file, LoggerOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), b"text");

    let damaged = scratch.path().join("0000000001-x.logq");
    fs::write(&damaged, b"not a segment").unwrap();
    let log = MasterLogger::open(scratch.path(), LoggerOptions::default()).unwrap();
    log.info(1);
    log.close().unwrap();
    assert_eq!(fs::read(&damaged).unwrap(), b"not a segment");
    assert_eq!(common::segments(scratch.path()).len(), 2);
}

#[test]
fn rotation_loses_nothing_doubles_nothing_and_keeps_the_order() {
    const RECORDS: usize = 3_000;
    let scratch = tempfile::tempdir().unwrap();
    let small = LoggerOptions { high_water_mark: 512, ..LoggerOptions::default() };
    let path = |number| scratch.path().join(format!("{number:010}-x.logq"));
    let master = MasterLogger::open(path(1), small.clone()).unwrap();
    let log = WorkerLogger::open(path(1), worker(1), small).unwrap();
    std::thread::scope(|scope| {
        let writer = log.clone();
        let thread = scope.spawn(move || {
            for n in 0..RECORDS {
                writer.info(json!({ "n": n }));
                if n % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        for number in 2..6 {
            master.rotate(path(number)).unwrap();
            log.rotate(path(number)).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        thread.join().unwrap();
    });
    log.close().unwrap();
    master.close().unwrap();

    let found = read(scratch.path());
    assert_eq!(found.gaps, []);
    let sequences: Vec<_> = found.records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (0..RECORDS as u64).collect::<Vec<_>>());
    let segments = common::segments(scratch.path());
    assert_eq!(segments.len(), 5);
    for (number, segment) in segments {
        assert!(common::assert_claims_hold(&segment) > 0, "segment {number} has pings");
        let leaving = common::blocks(&segment)
            .into_iter()
            .filter(|(_, header, _)| header.flags.contains(BlockFlags::LEAVING))
            .count();
        assert_eq!(leaving, 2, "both writers say that they leave segment {number}");
    }
}

#[test]
fn a_rotation_that_fails_leaves_the_logger_where_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let file = scratch.path().join("file");
    fs::write(&file, b"").unwrap();
    let log = MasterLogger::open(&store, LoggerOptions::default()).unwrap();
    log.info(1);
    assert!(log.rotate(&file).is_err());
    assert!(log.rotate(file.join("below")).is_err());
    log.info(2);
    log.close().unwrap();
    assert_eq!(read(&store).records.len(), 2);
}

#[test]
fn claims_are_true_with_skewed_idle_and_late_writers() {
    let store = tempfile::tempdir().unwrap();
    let clocks = ["14:05:06", "14:05:05", "14:05:07"]
        .map(|time| ManualClock::at(&format!("2026-02-03T{time}Z")));
    // Pings at every opportunity: the delay is over as soon as it begins.
    let eager = |clock| LoggerOptions {
        high_water_mark: 256,
        ping_delay: Duration::from_millis(1),
        ..options(clock)
    };
    let master = MasterLogger::open(store.path(), eager(&clocks[0])).unwrap();
    let early = WorkerLogger::open(store.path(), worker(1), eager(&clocks[1])).unwrap();
    let ahead = WorkerLogger::open(store.path(), worker(2), eager(&clocks[2])).unwrap();
    for n in 0..200 {
        clocks.iter().for_each(|clock| clock.advance_us(1_000));
        early.info(n);
        if n % 3 == 0 {
            ahead.info(n);
        }
        if n % 50 == 0 {
            let late = WorkerLogger::open(store.path(), worker(3), eager(&clocks[1])).unwrap();
            late.info("joins, logs and leaves");
            late.close().unwrap();
        }
        if n % 20 == 0 {
            early.flush().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    for log in [&early, &ahead] {
        log.close().unwrap();
    }
    master.close().unwrap();
    let segments = common::segments(store.path());
    let claims: usize = segments.iter().map(|(_, s)| common::assert_claims_hold(s)).sum();
    assert!(claims > 3, "{claims} pings with claims");
    assert_eq!(read(store.path()).records.len(), 200 + 67 + 4);
}

#[test]
fn an_idle_worker_shows_that_it_lives_and_the_master_states_claims() {
    let store = tempfile::tempdir().unwrap();
    let lively =
        LoggerOptions { ping_delay: Duration::from_millis(20), ..LoggerOptions::default() };
    let master = MasterLogger::open(store.path(), lively.clone()).unwrap();
    let idle = WorkerLogger::open(store.path(), worker(1), lively).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    idle.close().unwrap();
    master.close().unwrap();
    let segment = common::segments(store.path()).remove(0).1;
    let blocks = common::blocks(&segment);
    let signs = blocks.iter().filter(|(_, header, claims)| {
        header.kind == BlockKind::Ping && header.origin.worker.is_some() && claims.is_none()
    });
    assert!(signs.count() > 2, "the worker pings");
    let claims: Vec<_> = blocks.iter().filter_map(|(_, _, claims)| claims.clone()).collect();
    let (first, last) = (&claims[0], &claims[claims.len() - 1]);
    assert!(last.watermark > first.watermark, "an idle worker does not hold the watermark back");
    assert!(last.roster.len() == 2, "{last:?}");
}

#[test]
fn a_ping_with_claims_follows_every_few_megabytes() {
    let store = tempfile::tempdir().unwrap();
    let raw = LoggerOptions { compression: false, ..LoggerOptions::default() };
    let log = WorkerLogger::open(store.path(), worker(1), raw).unwrap();
    let text = "x".repeat(1 << 16);
    for _ in 0..300 {
        log.info(&text);
    }
    log.close().unwrap();
    let segment = common::segments(store.path()).remove(0).1;
    assert!(common::assert_claims_hold(&segment) >= 4, "19 MiB, a ping each 4 MiB");
}

#[test]
fn a_disk_that_refuses_costs_records_only_beyond_the_queue_and_says_how_many() {
    // A limit on the size of files stands for the full disk. It holds for the whole process, so
    // the scenario runs in a child.
    if std::env::var_os("LOGQ_TEST_FULL_DISK").is_none() {
        let test = "a_disk_that_refuses_costs_records_only_beyond_the_queue_and_says_how_many";
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("LOGQ_TEST_FULL_DISK", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let store = tempfile::tempdir().unwrap();
    let log = MasterLogger::open(
        store.path(),
        LoggerOptions { queue_bytes_max: 1 << 20, high_water_mark: 4096, ..Default::default() },
    )
    .unwrap();
    log.info("before");
    log.flush().unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 4096, hard).unwrap();
    ignore_file_size_signal();

    // One before and one after.
    let mut logged = 2;
    let mut random: u64 = 1;
    for n in 0..60_000 {
        // Data that does not compress, so that the queue fills.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        log.info(json!({ "n": n, "random": format!("{random:x}{:x}", random.rotate_left(17)) }));
        logged += 1;
    }
    log.critical("in the middle of it");
    let refused = log.flush().unwrap_err();
    assert!(refused.to_string().contains("stay in memory"), "{refused}");
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    log.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    log.info("after");
    log.close().unwrap();

    let found = read(store.path());
    let lines: Vec<_> = found.records.iter().map(|record| record.line.as_str()).collect();
    assert!(lines.iter().any(|line| line.contains("in the middle of it")), "severe ones stay");
    assert!(lines.last().unwrap().contains("after"));
    let lost: serde_json::Value = lines
        .iter()
        .find(|line| line.contains("\"LOST\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .expect("a LOST record");
    let dropped = lost["data"]["counts"]["INFO"].as_u64().unwrap();
    let kept = lines.iter().filter(|line| line.contains("\"INFO\"")).count() as u64 - 1;
    assert_eq!(kept + dropped, logged, "every record is there or counted");
    let headers: u64 = common::segments(store.path())
        .iter()
        .flat_map(|(_, segment)| common::blocks(segment))
        .map(|(_, header, _)| u64::from(header.lost))
        .sum();
    assert_eq!(headers, dropped, "block headers count the same");
}

/// Beyond the limit the kernel also sends SIGXFSZ, which would end the process.
#[expect(unsafe_code, reason = "ignoring a signal is an unsafe call")]
fn ignore_file_size_signal() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
}

#[test]
fn loggers_of_a_store_follow_rotation_by_themselves() {
    use logq_directory::{Directory, NewSegment};
    let store = tempfile::tempdir().unwrap();
    let quick = LoggerOptions { output_delay: Duration::from_millis(1), ..Default::default() };
    let log = WorkerLogger::open(store.path(), worker(1), quick).unwrap();
    let directory = Directory::open(store.path()).unwrap();
    let mut logged = 0;
    for round in 0..4 {
        // What was on its way when the logger noticed still goes into the segment before.
        for _ in 0..5 {
            log.info(logged);
            logged += 1;
            log.flush().unwrap();
        }
        if round < 3 {
            let lock = directory.lock().unwrap();
            let now = logq_writer::Clock::now(&logq_writer::SystemClock);
            directory.create_segment(&lock, &NewSegment::at(now)).unwrap();
        }
    }
    log.close().unwrap();
    let found = read(store.path());
    assert_eq!(found.records.len(), logged);
    let segments = common::segments(store.path());
    assert_eq!(segments.len(), 4);
    for (number, segment) in &segments {
        let records: u32 =
            common::blocks(segment).iter().map(|(_, header, _)| header.records).sum();
        assert!(records > 0, "segment {number} was written to");
    }
    assert!(found.missing.is_empty());
}

#[test]
fn a_segment_that_is_deleted_under_a_writer_is_replaced() {
    let store = tempfile::tempdir().unwrap();
    let log = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    log.info("goes with the file");
    log.flush().unwrap();
    let segment = logq_directory::Directory::open(store.path()).unwrap().newest().unwrap().unwrap();
    fs::remove_file(&segment.path).unwrap();
    log.info("stays");
    log.flush().unwrap();
    log.close().unwrap();
    let found = read(store.path());
    assert_eq!(found.records.len(), 1);
    assert!(found.records[0].line.contains("stays"));
}
