//! Answers beside writers that live: what is not final yet is told, and by whom it is held back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::time::Duration;

use common::{Run, Scratch};
use logq_writer::{LoggerOptions, MasterLogger, WorkerId, WorkerLogger};
use serde_json::{Value, json};

/// A worker whose records stay in memory until they are flushed.
fn worker(scratch: &Scratch, number: u32) -> WorkerLogger {
    let output_delay = Duration::from_secs(600);
    let options = LoggerOptions { output_delay, ..LoggerOptions::default() };
    WorkerLogger::open(scratch.path("store"), WorkerId::new(number).unwrap(), options).unwrap()
}

fn trailer(run: &Run) -> Value {
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    last["trailer"].clone()
}

#[test]
fn a_writer_with_records_in_memory_is_named() {
    let scratch = Scratch::new();
    let (slow, quick) = (worker(&scratch, 1), worker(&scratch, 2));
    slow.info(json!("first"));
    slow.flush().unwrap();
    slow.info(json!("in memory"));
    std::thread::sleep(Duration::from_millis(5));
    quick.info(json!("written"));
    quick.flush().unwrap();

    let run = scratch.run(&["-o", "cat", "store"]);
    assert_eq!((run.stdout.as_str(), run.code), ("first\nwritten\n", 0), "{run:?}");
    let told = format!("worker 1 (process {}) may hold back records\n", std::process::id());
    assert!(run.stderr.starts_with("logq: not final from 2"), "{}", run.stderr);
    assert!(run.stderr.ends_with(&told), "{}", run.stderr);
    assert_eq!(scratch.run(&["-q", "-o", "cat", "store"]).stderr, "");
    let last = trailer(&scratch.run(&["-q", "-o", "json", "--trailer", "store"]));
    assert_eq!(last["notFinal"][0]["workerId"], 1, "{last}");
    assert_eq!(last["notFinal"].as_array().unwrap().len(), 1, "{last}");
    // Nothing matches, but something might yet come.
    let run = scratch.run(&["-q", "-g", "memory", "-U", "now", "store"]);
    assert_eq!(run.code, 4, "{run:?}");
    // What is long past is final, but nobody knows what was before the first record.
    let run = scratch.run(&["-U", "2020-01-01", "store"]);
    assert!(run.stderr.contains("the store does not cover all of the interval"), "{run:?}");
    assert_eq!(run.code, 4, "{run:?}");

    slow.close().unwrap();
    quick.close().unwrap();
    let run = scratch.run(&["-o", "cat", "store"]);
    assert_eq!(run.stdout, "first\nin memory\nwritten\n");
    assert_eq!((run.stderr.as_str(), run.code), ("", 0));
}

#[test]
fn a_run_goes_on_as_long_as_one_of_its_writers_lives() {
    let scratch = Scratch::new();
    let master = MasterLogger::open(scratch.path("store"), LoggerOptions::default()).unwrap();
    master.starting_up();
    master.flush().unwrap();
    let ending = || {
        let run = scratch.run(&["--list-runs", "-o", "json", "store"]);
        let line: Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
        (line["ending"].as_str().unwrap().to_owned(), line["end"].is_null())
    };
    assert_eq!(ending(), ("running".to_owned(), true));
    master.close().unwrap();
    assert_eq!(ending(), ("crash".to_owned(), false), "nobody said that it is over");
}
