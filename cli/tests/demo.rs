//! `logq demo` as a stranger runs it: what it promises is in the store, what it shows can be typed,
//! and nothing is left running, however it ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use common::{Run, Scratch, end, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn records(scratch: &Scratch, store: &str) -> Vec<Value> {
    let run = scratch.run(&["-q", "-o", "json", store]);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of the cluster, each with its worker and its end: `WORKER_EXITED 2 SIGKILL`.
fn events(records: &[Value]) -> Vec<String> {
    let tell = |record: &Value| {
        let worker = record["workerId"].as_u64().map_or_else(String::new, |id| format!(" {id}"));
        let code = record["exitCode"].as_i64().map_or_else(String::new, |code| format!(" {code}"));
        let signal = record["signal"].as_str().map_or_else(String::new, |name| format!(" {name}"));
        Some(format!("{}{worker}{code}{signal}", record["event"].as_str()?))
    };
    records.iter().filter_map(tell).collect()
}

fn count(events: &[String], event: &str) -> usize {
    events.iter().filter(|found| *found == event).count()
}

/// The process ids that workers have told.
fn pids(records: &[Value]) -> Vec<u64> {
    let serving = records.iter().filter(|record| record["data"]["message"] == "serving");
    serving.map(|record| record["data"]["pid"].as_u64().unwrap()).collect()
}

/// Whether a worker runs under this process id, and not another program since.
fn is_running(pid: u64) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.starts_with(b"logq-demo-worker")
}

/// Starts a demo that would last long, waits until all workers serve and some requests are
/// recorded, ends it with a signal, and tells how it ended.
fn interrupted(scratch: &Scratch, signal: Signal) -> (ExitStatus, Vec<u64>) {
    let mut child = scratch
        .command(&["demo", "--seconds", "300", "--workers", "2"])
        .env("TMPDIR", scratch.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_busy = |records: &[Value]| {
        pids(records).len() == 2 && records.iter().any(|record| record["type"] == "RESPONSE")
    };
    let mut found = Vec::new();
    wait_until("the cluster serves", || {
        found = records(scratch, "logq-demo");
        is_busy(&found)
    });
    let workers = pids(&found);
    assert!(workers.iter().all(|pid| is_running(*pid)), "{workers:?}");
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    (end(&mut child), workers)
}

/// Types a command line that the demo has shown.
fn typed(scratch: &Scratch, line: &str) -> Run {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(scratch.path(".")).env("LOGQ_TZ", "UTC");
    Run::from(shell.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_demo_shows_a_kill_a_rotation_errors_and_five_answers_and_leaves_the_store() {
    let scratch = Scratch::new();
    let demo = ["demo", "--seconds", "2", "--workers", "2", "--dir", "a store"];
    let run = scratch.run(&demo);
    assert_eq!(run.code, 0, "{run:?}");

    let records = records(&scratch, "a store");
    let events = events(&records);
    assert_eq!(events.first().unwrap(), "STARTING_UP", "{events:?}");
    assert_eq!(events.last().unwrap(), "SHUTTING_DOWN_COMPLETED", "{events:?}");
    for (event, times) in [
        ("WORKER_SPAWNED 1", 1),
        ("WORKER_SPAWNED 2", 2),
        ("WORKER_EXITED 2 SIGKILL", 1),
        ("WORKER_EXITED 1 0", 1),
        ("WORKER_EXITED 2 0", 1),
        ("WORKER_ONLINE 2", 2),
        ("WORKER_DONE 1", 1),
    ] {
        assert_eq!(count(&events, event), times, "{event} in {events:?}");
    }
    assert!(scratch.segments("a store").len() >= 2, "the store was rotated");
    let errors: Vec<_> = records.iter().filter(|record| record["level"] == "ERROR").collect();
    assert!(!errors.is_empty());
    for error in errors {
        assert_eq!(error["statusCode"], 500, "{error}");
        assert_eq!(error["error"]["debug"].as_array().unwrap().len(), 5, "{error}");
        assert!(error["error"]["stack"].as_str().unwrap().contains("connection reset"), "{error}");
    }
    let pids = pids(&records);
    assert_eq!(pids.len(), 3, "two workers and the one that replaced the second");
    assert!(!pids.iter().any(|pid| is_running(*pid)), "{pids:?}");

    let questions: Vec<_> = run.stdout.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(questions.len(), 5, "{}", run.stdout);
    assert_eq!(run.stdout.matches(" ms)\n").count(), 5, "{}", run.stdout);
    for question in questions {
        let again = typed(&scratch, question);
        assert_eq!(again.code, 0, "{question}: {again:?}");
        assert!(!again.stdout.is_empty(), "{question}");
        let shown: String = again.stdout.split_inclusive('\n').take(12).collect();
        assert!(run.stdout.contains(&shown), "{question} answers\n{shown}");
    }
    let next = run.stdout.split("Try next:").nth(1).unwrap();
    let next: Vec<_> = next.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(next.len(), 3, "{next:?}");
    for line in next {
        let answer = typed(&scratch, line);
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        assert!(!answer.stdout.is_empty(), "{line}");
    }

    let before = scratch.segments("a store");
    let refused = scratch.run(&demo);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("is not empty"), "{refused:?}");
    assert_eq!(scratch.segments("a store"), before);
}

#[test]
fn a_signal_ends_the_demo_in_order() {
    let scratch = Scratch::new();
    let (status, workers) = interrupted(&scratch, Signal::SIGTERM);
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}");
    assert!(!workers.iter().any(|pid| is_running(*pid)), "{workers:?}");
    let events = events(&records(&scratch, "logq-demo"));
    assert_eq!(count(&events, "WORKER_EXITED 1 0"), 1, "{events:?}");
    assert_eq!(count(&events, "WORKER_EXITED 2 0"), 1, "{events:?}");
    assert_eq!(events.last().unwrap(), "SHUTTING_DOWN_COMPLETED", "{events:?}");
}

#[test]
fn workers_end_in_order_when_the_demo_is_killed() {
    let scratch = Scratch::new();
    let (status, workers) = interrupted(&scratch, Signal::SIGKILL);
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status}");
    wait_until("the workers end", || !workers.iter().any(|pid| is_running(*pid)));
    let events = events(&records(&scratch, "logq-demo"));
    assert_eq!(count(&events, "WORKER_DONE 1"), 1, "{events:?}");
    assert_eq!(count(&events, "WORKER_DONE 2"), 1, "{events:?}");
}

#[test]
fn mistakes_are_told_and_nothing_is_started() {
    let scratch = Scratch::new();
    scratch.write("file", "mine");
    let check = |arguments: &[&str], part: &str| {
        let run = scratch.run(&[&["demo"], arguments].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(part), "{part:?} is not in\n{}", run.stderr);
        assert_eq!(run.stdout, "");
    };
    check(&["--seconds", "0"], "1..=3600");
    check(&["--seconds", "3601"], "1..=3600");
    check(&["--workers", "0"], "1..=64");
    check(&["--workers", "65"], "1..=64");
    check(&["--dir", "file"], "cannot use file: name a directory of yours");
    check(&["--dir", "file/x"], "cannot use file/x");
    check(&["--dir", "/proc/logq-demo"], "cannot create /proc/logq-demo");
    check(&["--dir", "."], "is not empty");
    let names: Vec<_> = std::fs::read_dir(scratch.path(".")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}
