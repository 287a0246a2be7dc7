//! What loggers write is what was logged: every method, in order, with levels, times and DEBUG
//! entries.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::time::{Duration, Instant};

use common::{ManualClock, lines, options, read};
use logq_format::{BlockFlags, BlockKind, Codec, Level};
use logq_writer::{
    Failure, LoggerOptions, MasterLogger, RequestHead, ResponseEnd, ResponseHead, WorkerId,
    WorkerLogger,
};
use serde_json::json;

fn worker(number: u32) -> WorkerId {
    WorkerId::new(number).unwrap()
}

#[test]
fn every_method_of_the_master_writes_its_record() {
    let store = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-02-03T14:05:06Z");
    let log = MasterLogger::open(store.path(), options(&clock)).unwrap();
    log.starting_up();
    log.worker_spawned(worker(1));
    log.starting_up_completed();
    log.critical("c");
    log.error(json!({ "n": 1 }));
    log.warn([1, 2]);
    log.info(());
    log.worker_exited(worker(1), Some(0), None);
    log.worker_exited(worker(2), None, Some("SIGKILL"));
    log.shutting_down();
    log.shutting_down_completed();
    log.close().unwrap();

    let prefix = r#"{"timestamp":"2026-02-03T14:05:06.000000Z","#;
    let expected = [
        r#""level":"INFO","type":"LIFECYCLE","workerId":null,"seq":0,"event":"STARTING_UP"}"#,
        r#""level":"INFO","type":"LIFECYCLE","workerId":1,"seq":1,"event":"WORKER_SPAWNED"}"#,
        r#""level":"INFO","type":"LIFECYCLE","workerId":null,"seq":2,"event":"STARTING_UP_COMPLETED"}"#,
        r#""level":"CRITICAL","type":"LOG","workerId":null,"seq":3,"data":"c"}"#,
        r#""level":"ERROR","type":"LOG","workerId":null,"seq":4,"data":{"n":1}}"#,
        r#""level":"WARN","type":"LOG","workerId":null,"seq":5,"data":[1,2]}"#,
        r#""level":"INFO","type":"LOG","workerId":null,"seq":6,"data":null}"#,
        r#""level":"INFO","type":"LIFECYCLE","workerId":1,"seq":7,"event":"WORKER_EXITED","exitCode":0}"#,
        r#""level":"WARN","type":"LIFECYCLE","workerId":2,"seq":8,"event":"WORKER_EXITED","signal":"SIGKILL"}"#,
        r#""level":"INFO","type":"LIFECYCLE","workerId":null,"seq":9,"event":"SHUTTING_DOWN"}"#,
        r#""level":"INFO","type":"LIFECYCLE","workerId":null,"seq":10,"event":"SHUTTING_DOWN_COMPLETED"}"#,
    ];
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let found: Vec<_> = lines(store.path()).iter().map(|line| parse(line)).collect();
    let expected: Vec<_> = expected.iter().map(|rest| parse(&format!("{prefix}{rest}"))).collect();
    assert_eq!(found, expected);
}

#[test]
fn debug_entries_come_with_the_next_error_of_their_request_only() {
    let store = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-02-03T14:05:06Z");
    let log = WorkerLogger::open(
        store.path(),
        worker(3),
        LoggerOptions { debug_log_limit: 2, ..options(&clock) },
    )
    .unwrap();
    let (failing, fine) = (log.new_request(), log.new_request());
    for n in 0..3 {
        failing.debug(json!({ "step": n }));
        clock.advance_us(1_000);
    }
    fine.debug("never written");
    log.debug("of the process");
    failing.request(&RequestHead { method: "BREW", url: "/pot", ..RequestHead::default() });
    fine.request_meta(json!({ "user": 7 }));
    failing.response(ResponseHead::status(404).failure(Failure::from_message("gone").expected()));
    failing.response_finished(
        ResponseEnd::default()
            .bytes(12)
            .duration(Duration::from_micros(1_500))
            .failure(Failure::from_stack("reset\n  at socket").with_properties(&json!({ "n": 1 }))),
    );
    fine.response(200);
    fine.response_finished(());
    log.uncaught_exception(&Failure::from_value(&42));
    log.close().unwrap();

    let found: Vec<serde_json::Value> =
        lines(store.path()).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error_of = |n: usize| found[n]["error"].clone();
    assert_eq!(found[0]["method"], "BREW");
    assert_eq!(found[1]["data"], json!({ "user": 7 }));
    assert_eq!((&found[2]["level"], &found[2]["statusCode"]), (&json!("INFO"), &json!(404)));
    assert_eq!(
        error_of(2),
        json!({ "value": "gone", "expected": true, "debug": [
            { "timestamp": "2026-02-03T14:05:06.001000Z", "data": { "step": 1 } },
            { "timestamp": "2026-02-03T14:05:06.002000Z", "data": { "step": 2 } },
        ] })
    );
    assert_eq!(found[3]["level"], "ERROR");
    assert_eq!(error_of(3), json!({ "stack": "reset\n  at socket", "properties": { "n": 1 } }));
    assert_eq!((&found[3]["bytes"], &found[3]["durationMs"]), (&json!(12), &json!(1.5)));
    assert_eq!(found[4].get("error"), None);
    assert_eq!(found[6]["level"], "CRITICAL");
    assert_eq!(error_of(6)["debug"][0]["data"], "of the process");
    let request_ids = read(store.path());
    let ids: Vec<_> = request_ids.records.iter().filter_map(|record| record.request).collect();
    assert_eq!(ids[0], failing.request_id());
    assert_eq!(ids[1], fine.request_id());
}

#[test]
fn a_record_is_on_disk_after_the_output_delay_and_a_lifecycle_event_at_once() {
    let store = tempfile::tempdir().unwrap();
    let delay = Duration::from_millis(400);
    let slow = LoggerOptions { output_delay: delay, ..LoggerOptions::default() };
    let log = MasterLogger::open(store.path(), slow).unwrap();
    let wait_for = |count: usize| {
        let start = Instant::now();
        while read(store.path()).records.len() < count {
            assert!(start.elapsed() < Duration::from_secs(20), "{count} records never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    log.starting_up();
    wait_for(1);
    log.info("waits for company");
    log.info("and gets it");
    wait_for(3);
    let segments = common::segments(store.path());
    let sizes: Vec<_> = common::blocks(&segments[0].1)
        .into_iter()
        .filter(|(_, header, _)| header.kind == BlockKind::Data)
        .map(|(_, header, _)| header.records)
        .collect();
    assert_eq!(sizes, [1, 2], "the lifecycle event alone, the others together");
}

#[test]
fn batching_can_be_turned_off_and_so_can_compression() {
    let store = tempfile::tempdir().unwrap();
    let single = LoggerOptions { output_delay: Duration::ZERO, ..LoggerOptions::default() };
    let log = MasterLogger::open(store.path(), single).unwrap();
    (0..3).for_each(|n| log.info(n));
    log.close().unwrap();
    let plain = LoggerOptions { compression: false, ..LoggerOptions::default() };
    let log = MasterLogger::open(store.path(), plain).unwrap();
    (0..100).for_each(|n| log.info(json!({ "message": "all alike", "n": n })));
    log.close().unwrap();

    let segment = common::segments(store.path()).remove(0).1;
    let data: Vec<_> = common::blocks(&segment)
        .into_iter()
        .map(|(_, header, _)| header)
        .filter(|header| header.kind == BlockKind::Data)
        .collect();
    let records: Vec<_> = data.iter().map(|header| header.records).collect();
    assert_eq!(records, [1, 1, 1, 100]);
    assert_eq!(data[3].body.codec, Codec::Raw);
}

#[test]
fn a_full_buffer_is_written_without_waiting_for_the_delay() {
    let store = tempfile::tempdir().unwrap();
    let patient = LoggerOptions { output_delay: Duration::from_secs(3600), ..Default::default() };
    let log = MasterLogger::open(store.path(), patient).unwrap();
    let start = Instant::now();
    while read(store.path()).records.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was written");
        log.info(json!({ "message": "x".repeat(1000) }));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn many_threads_share_a_logger_and_nothing_is_lost_or_mixed_up() {
    const THREADS: usize = 4;
    const RECORDS: usize = 20_000;
    let store = tempfile::tempdir().unwrap();
    let log = WorkerLogger::open(store.path(), worker(1), LoggerOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0..RECORDS {
                    log.info(json!({ "thread": thread, "n": n }));
                }
            });
        }
    });
    log.close().unwrap();
    let found = read(store.path());
    assert_eq!((found.records.len(), found.gaps.len()), (THREADS * RECORDS, 0));
    let mut next = [0; THREADS];
    let mut previous = None;
    for (index, record) in found.records.iter().enumerate() {
        assert_eq!(record.sequence, index as u64);
        assert!(Some(record.time) >= previous, "times never decrease");
        previous = Some(record.time);
        let line: serde_json::Value = serde_json::from_str(&record.line).unwrap();
        let thread = line["data"]["thread"].as_u64().unwrap() as usize;
        assert_eq!(line["data"]["n"].as_u64().unwrap(), next[thread]);
        next[thread] += 1;
    }
}

/// A record that a thread logs after it has heard of another one comes behind that one, whatever their
/// clocks showed, and whichever parts of the buffer they were in.
#[test]
fn what_was_caused_by_a_record_comes_behind_it_while_the_clock_wavers() {
    const THREADS: u64 = 7;
    const ROUNDS: u64 = 1_000;
    let store = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-02-03T14:05:06Z");
    // Blocks of a few records, so that many of them are put together in the middle of it.
    let options = LoggerOptions { high_water_mark: 300, ..options(&clock) };
    let log = WorkerLogger::open(store.path(), worker(1), options).unwrap();
    let turn = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        let noise = log.clone();
        let (turn, clock) = (&turn, &clock);
        scope.spawn(move || {
            while turn.load(std::sync::atomic::Ordering::SeqCst) < THREADS * ROUNDS {
                noise.info("noise");
                std::thread::yield_now();
            }
        });
        for thread in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let own = round * THREADS + thread;
                    while turn.load(std::sync::atomic::Ordering::SeqCst) != own {
                        std::thread::yield_now();
                    }
                    clock.advance_us(if own.is_multiple_of(2) { 30 } else { -20 });
                    log.info(own);
                    turn.store(own + 1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
    log.close().unwrap();
    let found = read(store.path());
    assert_eq!((found.gaps.len(), found.missing.len()), (0, 0));
    let by_sequence = found.records.windows(2).all(|pair| {
        (pair[0].sequence + 1, pair[0].time <= pair[1].time) == (pair[1].sequence, true)
    });
    assert!(by_sequence, "the order of times is that of the numbers");
    let number = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["data"].as_u64()
    };
    let numbers: Vec<_> = found.records.iter().filter_map(|r| number(&r.line)).collect();
    assert_eq!(numbers, (0..THREADS * ROUNDS).collect::<Vec<_>>());
    for (_, segment) in common::segments(store.path()) {
        common::assert_claims_hold(&segment);
    }
}

#[test]
fn closing_ends_all_clones_and_says_that_the_writer_leaves() {
    let store = tempfile::tempdir().unwrap();
    let log = WorkerLogger::open(store.path(), worker(1), LoggerOptions::default()).unwrap();
    let (clone, request) = (log.clone(), log.new_request());
    log.info("before");
    log.close().unwrap();
    assert!(clone.closed() && request.closed());
    clone.info("after");
    request.response(200);
    clone.flush().unwrap();
    clone.close().unwrap();
    assert!(clone.rotate(store.path()).is_err());
    assert_eq!(read(store.path()).records.len(), 1);
    let segment = common::segments(store.path()).remove(0).1;
    let (_, last, _) = common::blocks(&segment).pop().unwrap();
    assert!(last.flags.contains(BlockFlags::LEAVING));
}

#[test]
fn dropping_the_last_handle_writes_everything() {
    let store = tempfile::tempdir().unwrap();
    let log = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    let clone = log.clone();
    log.info(1);
    drop(log);
    clone.info(2);
    drop(clone);
    assert_eq!(read(store.path()).records.len(), 2);
}

#[test]
fn what_no_block_can_hold_is_replaced_by_a_record_that_says_so() {
    let store = tempfile::tempdir().unwrap();
    let log = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    log.warn("x".repeat(5 << 20));
    log.info("next");
    log.close().unwrap();
    let found = read(store.path());
    assert_eq!(found.records[0].level, Level::Warn);
    assert!(found.records[0].line.contains("unloggable"), "{}", found.records[0].line);
    assert!(found.records[1].line.contains("next"));
}

#[test]
fn small_steps_back_of_the_clock_are_absorbed_and_large_ones_start_a_new_writer() {
    let store = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-02-03T14:05:06Z");
    let log = MasterLogger::open(store.path(), options(&clock)).unwrap();
    log.info(1);
    clock.advance_us(-1_500_000);
    log.info(2);
    log.flush().unwrap();
    clock.advance_us(-3_600_000_000);
    log.info(3);
    log.close().unwrap();

    let found = read(store.path());
    let times: Vec<_> = found.records.iter().map(|r| r.time.to_string()).collect();
    assert_eq!(
        times,
        [
            "2026-02-03T14:05:06.000000Z",
            "2026-02-03T14:05:06.000000Z",
            "2026-02-03T13:05:04.500000Z",
            "2026-02-03T13:05:04.500000Z",
        ]
    );
    assert!(found.records[2].line.contains("CLOCK_STEP"), "{}", found.records[2].line);
    assert_ne!(found.records[1].origin.writer, found.records[3].origin.writer);
    assert_eq!((found.records[2].sequence, found.records[3].sequence), (0, 1));
    for (_, segment) in common::segments(store.path()) {
        common::assert_claims_hold(&segment);
    }
}
