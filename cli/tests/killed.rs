//! A writing process is killed again and again, and the command never fails, never returns a wrong
//! record, and never misses one that was flushed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::Scratch;
use logq_writer::{LoggerOptions, RequestHead, WorkerId, WorkerLogger};
use serde_json::json;

const STORE: &str = "LOGQ_TEST_STORE";

/// The child's part; without the variable, as an ordinary test, there is nothing to do.
#[test]
fn writing_child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let options = LoggerOptions {
        high_water_mark: 4096,
        output_delay: Duration::from_millis(1),
        ..LoggerOptions::default()
    };
    let log = WorkerLogger::open(store, WorkerId::new(1).unwrap(), options).unwrap();
    for n in 0_u64.. {
        log.info(json!({ "pid": std::process::id(), "n": n, "text": text(n) }));
        if n % 100 == 99 {
            log.flush().unwrap();
            println!("flushed {}", n + 1);
        }
    }
}

/// Runs one of the tests as a process of its own that writes to the store.
fn spawn(test: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(STORE, store)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(n: u64) -> String {
    format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).repeat(3)
}

#[test]
fn kill_after_kill_the_command_answers_and_tells_the_truth() {
    let scratch = Scratch::new();
    let store = scratch.path("store");
    let mut promised = Vec::new();
    for round in 0..8 {
        let mut child = spawn("writing_child", &store);
        // Kept open: a child whose pipe is closed would end by itself.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let flushed = lines
            .by_ref()
            .filter_map(|line| line.rsplit_once("flushed ")?.1.parse::<u64>().ok())
            .find(|count| *count >= 200 * (round + 1));
        // One answer while it still writes, then SIGKILL.
        let living = scratch.run(&["-q", "-c", "store"]);
        assert_eq!(living.code, 0, "{living:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        promised.push((u64::from(child.id()), flushed.unwrap()));

        let run = scratch.run(&["-q", "-o", "json", "store"]);
        assert!(run.code == 0 || run.code == 3, "{run:?}");
        let mut next = std::collections::HashMap::new();
        for line in run.stdout.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let data = &record["data"];
            let n = data["n"].as_u64().unwrap();
            assert_eq!(data["text"], text(n), "a record is as it was logged");
            let expected = next.entry(data["pid"].as_u64().unwrap()).or_insert(0);
            assert_eq!(n, *expected, "in order, none missing, none twice");
            *expected += 1;
        }
        for (pid, flushed) in &promised {
            assert!(next.get(pid) >= Some(flushed), "{flushed} of {pid} promised, {next:?} found");
        }
        let stats = scratch.run(&["stats", "store"]);
        assert!(stats.code == 0 || stats.code == 3, "{stats:?}");
    }
}

/// A worker with a request in its hands, until it is killed.
#[test]
fn serving_child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let log =
        WorkerLogger::open(store, WorkerId::new(3).unwrap(), LoggerOptions::default()).unwrap();
    for url in ["/done", "/open"] {
        let request = log.new_request();
        request.request(&RequestHead { method: "GET", url, ..RequestHead::default() });
        if url == "/done" {
            request.response_finished(());
        }
    }
    log.flush().unwrap();
    println!("flushed");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_crash_that_nobody_lived_to_record_is_one() {
    let scratch = Scratch::new();
    let store = scratch.path("store");
    let mut child = spawn("serving_child", &store);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.ends_with("flushed")));
    let urls = |arguments: &[&str]| {
        let run = scratch.run(&[&["inflight", "-q", "-o", "json", "store"], arguments].concat());
        let objects = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let urls =
            objects.map(|object: serde_json::Value| object["url"].as_str().unwrap().to_owned());
        urls.collect::<Vec<_>>()
    };
    assert_eq!(urls(&[]), ["/open"]);
    let before = scratch.run(&["inflight", "--at", "crash", "store"]);
    assert!(before.stderr.contains("crash"), "it lives: {before:?}");

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(urls(&["--at", "crash"]), ["/open"]);
    assert_eq!(urls(&["--at", "crash", "-W", "3"]), ["/open"]);
    assert_eq!(urls(&[]), [""; 0], "its requests ended with it");
    let state = || {
        let run = scratch.run(&["workers", "-o", "json", "store"]);
        let lane: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        lane["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "gone");
    let around = scratch.run(&["-q", "-c", "--around", "crash", "--window", "10s", "store"]);
    assert_eq!(around.stdout.trim(), "3", "{around:?}");

    let next =
        WorkerLogger::open(&store, WorkerId::new(3).unwrap(), LoggerOptions::default()).unwrap();
    next.info("here");
    next.close().unwrap();
    assert_eq!(state(), "left", "the one before is past");
}
