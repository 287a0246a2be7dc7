//! Several processes append to one segment, and some of them are killed.
//!
//! Children are this test binary again, told by environment variables what to do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::read;
use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};
use serde_json::json;

const STORE: &str = "LOGQ_TEST_STORE";
const WORKER: &str = "LOGQ_TEST_WORKER";
const RECORDS: &str = "LOGQ_TEST_RECORDS";

/// Records after which a child flushes and says so.
const ACKNOWLEDGED: u64 = 50;

/// The child's part; without the variables, as an ordinary test, there is nothing to do.
#[test]
fn writing_child() {
    let variable = |name| std::env::var(name).ok();
    let (Some(store), Some(worker), Some(records)) =
        (variable(STORE), variable(WORKER), variable(RECORDS))
    else {
        return;
    };
    let worker = WorkerId::new(worker.parse().unwrap()).unwrap();
    let options = LoggerOptions {
        high_water_mark: 2048,
        output_delay: Duration::from_millis(2),
        ping_delay: Duration::from_millis(20),
        ..LoggerOptions::default()
    };
    let log = WorkerLogger::open(store, worker, options).unwrap();
    for n in 0..records.parse().unwrap() {
        log.info(json!({ "pid": std::process::id(), "n": n, "hash": hash(n) }));
        if n % ACKNOWLEDGED == ACKNOWLEDGED - 1 {
            log.flush().unwrap();
            println!("flushed {}", n + 1);
        }
    }
    log.close().unwrap();
}

/// Anything that shows whether a record is whole.
fn hash(n: u64) -> String {
    format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .repeat(usize::try_from(n % 7).unwrap())
}

fn spawn(store: &Path, worker: u32, records: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing_child", "--nocapture"])
        .env(STORE, store)
        .env(WORKER, worker.to_string())
        .env(RECORDS, records.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the child says to have flushed, up to a line that is enough.
fn acknowledged(child: &mut Child, enough: u64) -> u64 {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let counts = lines.map_while(Result::ok).filter_map(|line| {
        line.rsplit_once("flushed ").and_then(|(_, count)| count.parse::<u64>().ok())
    });
    let mut last = 0;
    for count in counts {
        last = count;
        if count >= enough {
            break;
        }
    }
    last
}

/// The numbers of the records of each process, in the order of the store; each record is whole.
fn numbers(store: &Path) -> HashMap<u64, Vec<u64>> {
    let mut numbers: HashMap<u64, Vec<u64>> = HashMap::new();
    for record in read(store).records {
        let line: serde_json::Value = serde_json::from_str(&record.line).unwrap();
        let n = line["data"]["n"].as_u64().unwrap();
        assert_eq!(line["data"]["hash"], hash(n));
        numbers.entry(line["data"]["pid"].as_u64().unwrap()).or_default().push(n);
    }
    numbers
}

#[test]
fn four_processes_share_a_segment_without_losing_or_mixing_anything() {
    const COUNT: u64 = 5_000;
    let store = tempfile::tempdir().unwrap();
    let children: Vec<_> = (1..5).map(|worker| spawn(store.path(), worker, COUNT)).collect();
    for mut child in children {
        acknowledged(&mut child, u64::MAX);
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(read(store.path()).gaps, []);
    let numbers = numbers(store.path());
    assert_eq!(numbers.len(), 4);
    for of_process in numbers.values() {
        assert_eq!(*of_process, (0..COUNT).collect::<Vec<_>>());
    }
    let segments = common::segments(store.path());
    assert_eq!(segments.len(), 1);
    common::assert_claims_hold(&segments[0].1);
}

#[test]
fn killing_writers_again_and_again_never_harms_what_was_flushed() {
    const ROUNDS: u32 = 12;
    let store = tempfile::tempdir().unwrap();
    let mut promised = HashMap::new();
    let mut bystander = spawn(store.path(), 1, 20_000);
    for round in 0..ROUNDS {
        let mut victim = spawn(store.path(), 2, u64::MAX);
        let flushed = acknowledged(&mut victim, u64::from(round) * 3 * ACKNOWLEDGED + 1);
        // SIGKILL: nothing of the process runs any more.
        victim.kill().unwrap();
        victim.wait().unwrap();
        promised.insert(u64::from(victim.id()), flushed);
        let numbers = numbers(store.path());
        for (pid, flushed) in &promised {
            let found = &numbers[pid];
            assert!(found.len() as u64 >= *flushed, "{flushed} promised, {} there", found.len());
            assert_eq!(*found, (0..found.len() as u64).collect::<Vec<_>>(), "no hole, no double");
        }
        for (_, segment) in common::segments(store.path()) {
            common::assert_claims_hold(&segment);
        }
    }
    let flushed = acknowledged(&mut bystander, u64::MAX);
    assert!(bystander.wait().unwrap().success(), "the bystander is not disturbed");
    let of_bystander = &numbers(store.path())[&u64::from(bystander.id())];
    assert_eq!(of_bystander.len() as u64, 20_000.max(flushed));
}
