//! `logq -f`, `logq tail`, `logq wait`, and the flags about cursors, with real writers and readers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{CLUSTER, PATIENCE, Run, Scratch, end, signal, wait_until};
use logq_rotation::{LogManager, ManagerOptions};
use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// `logq ingest` with an open pipe.
struct Writer {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Writer {
    fn new(scratch: &Scratch, arguments: &[&str]) -> Self {
        let mut command = scratch.command(&["ingest", "-q"]);
        let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdin.take();
        Self { child, pipe }
    }

    fn write(&mut self, text: impl AsRef<[u8]>) {
        self.pipe.as_mut().unwrap().write_all(text.as_ref()).unwrap();
    }

    /// Writes records with the numbers of a range.
    fn count(&mut self, numbers: std::ops::Range<u64>) {
        let mut text = String::new();
        for n in numbers {
            writeln!(text, "{{\"n\":{n}}}").unwrap();
        }
        self.write(text);
    }

    fn close(mut self) {
        self.pipe = None;
        assert_eq!(end(&mut self.child).code(), Some(0));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that follows; what it prints is taken as it comes.
struct Follower {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<String>>,
    threads: Vec<JoinHandle<()>>,
}

impl Follower {
    fn new(scratch: &Scratch, arguments: &[&str]) -> Self {
        let mut command = scratch.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (lines, errors) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<String>>::default());
        let (of_stdout, of_stderr) = (Arc::clone(&lines), Arc::clone(&errors));
        let threads = vec![
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    of_stdout.lock().unwrap().push(line.unwrap());
                }
            }),
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines() {
                    writeln!(of_stderr.lock().unwrap(), "{}", line.unwrap()).unwrap();
                }
            }),
        ];
        Self { child, lines, errors, threads }
    }

    /// Waits until so many lines were printed.
    fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until(format_args!("{count} lines: {self:?}"), || {
            self.lines.lock().unwrap().len() >= count
        });
        self.lines.lock().unwrap().clone()
    }

    /// Waits until standard error has this text.
    fn wait_for_error(&self, part: &str) {
        wait_until(format_args!("{part}: {self:?}"), || self.errors.lock().unwrap().contains(part));
    }

    fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Waits for the end: all lines, what standard error has, the exit status.
    fn end(mut self) -> (Vec<String>, String, i32) {
        let code = end(&mut self.child).code().unwrap_or(-1);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        (self.lines.lock().unwrap().clone(), self.errors.lock().unwrap().clone(), code)
    }

    /// Interrupts it; all that it has printed.
    fn interrupt(self) -> Vec<String> {
        self.signal(Signal::SIGINT);
        let (lines, errors, code) = self.end();
        assert_eq!((errors.as_str(), code), ("", 130));
        lines
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines.lock().unwrap();
        let last: Vec<_> = lines.iter().rev().take(3).collect();
        write!(f, "{} lines, {last:?}, {}", lines.len(), self.errors.lock().unwrap())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The arguments that print the number of each record.
const NUMBERS: [&str; 2] = ["--template", "{data.n}"];

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// A worker that keeps its records in memory for so long, or until they are flushed.
fn worker(scratch: &Scratch, number: u32, output_delay: Duration) -> WorkerLogger {
    let options = LoggerOptions { output_delay, ..LoggerOptions::default() };
    WorkerLogger::open(scratch.path("store"), WorkerId::new(number).unwrap(), options).unwrap()
}

/// What was printed, and the cursor of the last line.
fn with_cursor(run: &Run) -> (Vec<&str>, &str) {
    let mut lines: Vec<_> = run.stdout.lines().collect();
    let cursor = lines.pop().unwrap().strip_prefix("-- cursor: ").unwrap();
    (lines, cursor)
}

#[test]
fn none_is_lost_doubled_or_out_of_order_across_rotation_of_a_store_that_comes_later() {
    let scratch = Scratch::new();
    let follower = Follower::new(&scratch, &["-f", "--no-tail", "-o", "json", "store"]);
    follower.wait_for_error("store: no such store yet; waiting for it");
    let mut random = fastrand::Rng::with_seed(3);
    // Nothing is deleted: what is written stays far below the limit, and segments have a twentieth.
    let options = ManagerOptions {
        log_size_limit: 8 << 20,
        poll_interval: Duration::from_millis(10),
        ..ManagerOptions::default()
    };
    let manager = LogManager::open(scratch.path("store"), options).unwrap();
    let mut writers = ["a", "b"].map(|name| (name, 0_u64, Writer::new(&scratch, &["store"])));
    let start = Instant::now();
    while scratch.segments("store").len() < 4 {
        assert!(start.elapsed() < PATIENCE, "the store is rotated");
        for (name, count, writer) in &mut writers {
            let mut text = String::new();
            for _ in 0..200 {
                let noise = format!("{:016x}{:016x}", random.u64(..), random.u64(..));
                writeln!(text, "{{\"of\":\"{name}\",\"n\":{count},\"noise\":\"{noise}\"}}")
                    .unwrap();
                *count += 1;
            }
            writer.write(text);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut all = 0;
    let counts = writers.map(|(name, count, writer)| {
        writer.close();
        all += count;
        (name, count)
    });
    drop(manager);
    let lines = follower.wait_for(usize::try_from(all).unwrap());
    let records: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.is_sorted_by_key(|record| record["timestamp"].as_str().unwrap().to_owned()));
    for (name, count) in counts {
        let of_writer = records.iter().filter(|record| record["data"]["of"] == name);
        let numbers = of_writer.map(|record| record["data"]["n"].as_u64().unwrap());
        assert!(numbers.eq(0..count), "{name}");
    }
    follower.wait_for_error("store: it is there now");
    follower.signal(Signal::SIGINT);
    let (lines, errors, code) = follower.end();
    assert_eq!((lines.len() as u64, code), (all, 130), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn a_follower_that_is_killed_goes_on_behind_the_cursor_in_its_file() {
    let scratch = Scratch::new();
    let arguments =
        [&["-f", "--no-tail", "--cursor-file", "place", "store"][..], &NUMBERS].concat();
    let mut writer = Writer::new(&scratch, &["store"]);
    writer.count(0..500);
    wait_until("the store is made", || scratch.path("store").exists());
    let first = Follower::new(&scratch, &arguments);
    first.wait_for(500);
    // The file is written each second while records come.
    let written = std::fs::read_to_string(scratch.path("place")).unwrap();
    let mut next = 500;
    wait_until("the file is kept", || {
        writer.count(next..next + 10);
        next += 10;
        std::fs::read_to_string(scratch.path("place")).unwrap() != written
    });
    first.signal(Signal::SIGKILL);
    let (before, _, code) = first.end();
    assert_eq!((before.clone(), code), (numbers(0..before.len() as u64), -1));
    writer.count(next..next + 300);
    next += 300;

    // What was printed before the file was written does not come again.
    let second = Follower::new(&scratch, &arguments);
    let begin = second.wait_for(1)[0].parse::<u64>().unwrap();
    assert!(0 < begin && begin <= before.len() as u64, "{begin}");
    second.wait_for(usize::try_from(next - begin).unwrap());
    assert_eq!(second.interrupt(), numbers(begin..next));

    // One that ends in good order has said exactly where.
    writer.count(next..next + 20);
    writer.close();
    let third = Follower::new(&scratch, &arguments);
    third.wait_for(20);
    assert_eq!(third.interrupt(), numbers(next..next + 20));
    let names = std::fs::read_dir(scratch.path(".")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no draft of the file is left: {names:?}");
}

#[test]
fn following_begins_where_it_is_told() {
    let scratch = Scratch::new();
    let mut writer = Writer::new(&scratch, &["store"]);
    writer.count(0..30);
    let ask = |arguments: &[&str]| scratch.run(&[arguments, &NUMBERS, &["-q", "store"]].concat());
    wait_until("30 records", || {
        scratch.path("store").exists() && ask(&[]).stdout.lines().count() == 30
    });
    let follow =
        |arguments: &[&str]| Follower::new(&scratch, &[arguments, &NUMBERS, &["store"]].concat());
    let check = |arguments: &[&str], expected: std::ops::Range<u64>| {
        let follower = follow(arguments);
        follower.wait_for(expected.clone().count());
        assert_eq!(follower.interrupt(), numbers(expected), "{arguments:?}");
    };
    check(&["-f"], 20..30);
    check(&["tail"], 20..30);
    check(&["tail", "-n", "3"], 27..30);
    check(&["-f", "-n", "all"], 0..30);
    check(&["-f", "--no-tail", "--order", "arrival"], 0..30);
    check(&["-f", "-S", "2020-01-01"], 0..30);
    check(&["-f", "-S", "2020-01-01", "-n", "4", "-w", "data.n < 10"], 6..10);
    check(&["-f", "--order", "time", "-w", "data.n < 5"], 0..5);
    let run = ask(&["-f", "-n", "all", "-m", "7"]);
    assert_eq!((run.stdout.lines().count(), run.code), (7, 0));

    let newest = follow(&["-f", "-n", "0"]);
    // It is begun when its file is there.
    let kept = follow(&["-f", "-n", "0", "--order", "arrival", "--cursor-file", "place"]);
    wait_until("the file is written at once", || scratch.path("place").exists());
    std::thread::sleep(Duration::from_millis(300));
    writer.count(30..35);
    newest.wait_for(5);
    kept.wait_for(5);
    assert_eq!(newest.interrupt(), numbers(30..35));
    assert_eq!(kept.interrupt(), numbers(30..35));
    writer.close();
}

#[test]
fn following_ends_at_the_end_of_its_range() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let run = scratch.run(&["-f", "-o", "json", "--trailer", "-U", "now", "store"]);
    let lines: Vec<Value> = run.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((lines.len(), run.code), (10, 0), "{run:?}");
    assert_eq!(lines[9]["trailer"]["records"], 9);
    let until = ["-f", "-U", "2026-02-03T14:00:10", "-g", "cart", "store"];
    let run = scratch.run(&until);
    assert_eq!((run.stdout.lines().count(), run.code), (1, 0), "{run:?}");
    let nothing = ["-f", "-U", "2026-02-03T14:00:10", "-g", "never", "store"];
    assert_eq!(scratch.run(&nothing).code, 1);
    let run = scratch.run(&[&nothing[..], &["--ok-if-empty", "--explain"]].concat());
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("logq: segments "), "{}", run.stderr);
    let wait = ["wait", "-S", "2026-02-03T14:00:10", "-U", "2026-02-03T14:00:20", "store"];
    assert_eq!(scratch.run(&wait).code, 1, "none can come any more");
}

/// Who followed did not know where the store begins, so that no answer without records was covered, and
/// was told that the store has none.
#[test]
fn following_in_vain_tells_whether_the_store_covers_the_interval() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let interval = ["-S", "2026-02-03T14:00:01Z", "-U", "2026-02-03T14:00:02Z", "store"];
    let before = ["-S", "2026-02-03T13:00:00Z", "-U", "2026-02-03T14:00:02Z", "store"];
    for flags in [&["-g", "nowhere"][..], &["-f", "-g", "nowhere"], &["-f", "-cg", "nowhere"]] {
        let run = scratch.run(&[flags, &interval].concat());
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{flags:?}");
        let run = scratch.run(&[flags, &before].concat());
        assert_eq!(run.code, 4, "{flags:?}: {run:?}");
        assert!(
            run.stderr.contains("its records are from 2026-02-03T14:00:00"),
            "{flags:?}: {run:?}"
        );
    }
    let run = scratch.run(&[&["-fq", "-o", "json", "--trailer"][..], &interval].concat());
    assert!(run.stdout.contains("\"first\":\"2026-02-03T14:00:00."), "{run:?}");
}

#[test]
fn several_stores_are_followed_as_one() {
    let scratch = Scratch::new();
    let mut writers = ["one", "two"].map(|store| Writer::new(&scratch, &[store]));
    // Else it is told that they are not there yet.
    wait_until("the stores are made", || ["one", "two"].iter().all(|s| scratch.path(s).exists()));
    let arguments = ["-f", "-n", "all", "-o", "sse", "one", "two"];
    let follower = Follower::new(&scratch, &arguments);
    for n in 0..10 {
        writers[n % 2].write(format!("{{\"n\":{n}}}\n"));
        // The order of arrival is the order of time.
        follower.wait_for(3 * (n + 1));
    }
    let lines = follower.interrupt();
    let mut ids = Vec::new();
    for (n, event) in lines.chunks(3).enumerate() {
        let [id, data, end] = event else { panic!("{event:?}") };
        let record: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((record["data"]["n"].as_u64(), end.as_str()), (Some(n as u64), ""));
        ids.push(id.strip_prefix("id: ").unwrap());
    }
    // An id is the place to go on from.
    let rest = [&["--after-cursor", ids[6], "-q", "one", "two"][..], &NUMBERS].concat();
    assert_eq!(scratch.run(&rest).stdout, "7\n8\n9\n");
    writers.into_iter().for_each(Writer::close);
}

#[test]
fn whom_records_wait_for_is_told_once() {
    let scratch = Scratch::new();
    let slow = worker(&scratch, 1, Duration::from_secs(600));
    let quick = worker(&scratch, 2, Duration::from_millis(10));
    slow.info(json!({"n": 0}));
    slow.flush().unwrap();
    let follow =
        |arguments: &[&str]| Follower::new(&scratch, &[arguments, &NUMBERS, &["store"]].concat());
    let at_once = follow(&["-f", "--order", "arrival"]);
    let (follower, quiet) = (follow(&["-f"]), follow(&["-f", "-q"]));
    assert_eq!(at_once.wait_for(1), ["0"]);
    slow.info(json!({"n": 1}));
    std::thread::sleep(Duration::from_millis(5));
    quick.info(json!({"n": 2}));
    quick.flush().unwrap();
    at_once.wait_for(2);
    follower.wait_for_error("--order arrival prints them at once\n");
    let early = follower.wait_for(0);
    assert!(numbers(0..1).starts_with(&early), "{early:?}");
    slow.close().unwrap();
    assert_eq!(follower.wait_for(3), ["0", "1", "2"]);
    quiet.wait_for(3);
    at_once.wait_for(3);
    follower.wait_for_error("logq: it goes on\n");
    follower.signal(Signal::SIGINT);
    let (_, errors, _) = follower.end();
    let told = format!("worker 1 (process {}) may hold back earlier ones", std::process::id());
    assert!(errors.contains(" since 2") && errors.contains(&told), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert_eq!(quiet.interrupt(), ["0", "1", "2"]);
    assert_eq!(at_once.interrupt(), ["0", "2", "1"]);
    quick.close().unwrap();
}

#[test]
fn a_pipe_that_is_closed_is_noticed_while_nothing_comes() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let mut command = scratch.command(&["-f", "-o", "cat", "store"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    assert_eq!(end(&mut child).code(), Some(141));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn an_interrupt_is_heard_while_nobody_takes_what_is_printed() {
    let scratch = Scratch::new();
    let mut writer = Writer::new(&scratch, &["store"]);
    // More than a pipe holds.
    writer.count(0..50_000);
    writer.close();
    let arguments =
        [&["-f", "--no-tail", "--cursor-file", "place", "store"][..], &NUMBERS].concat();
    let mut command = scratch.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    wait_until("the file is written", || scratch.path("place").exists());
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::SIGTERM);
    assert_eq!(end(&mut child).code(), Some(143));
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let written = text.lines().count() as u64 - u64::from(!text.ends_with('\n'));
    assert!(written < 50_000);
    // Nothing is claimed that was not written.
    let rest = Follower::new(&scratch, &[&arguments[..], &["-q"]].concat());
    let begin = rest.wait_for(1)[0].parse::<u64>().unwrap();
    assert!(begin <= written, "{begin} {written}");
    rest.wait_for(usize::try_from(50_000 - begin).unwrap());
    assert_eq!(rest.interrupt(), numbers(begin..50_000));
}

#[test]
fn cursors_are_pages_in_both_directions() {
    let scratch = Scratch::new();
    let lines: String = (0..20)
        .map(|n| format!("{{\"timestamp\":\"2026-02-03T14:00:{n:02}Z\",\"n\":{n}}}\n"))
        .collect();
    scratch.store("store", &lines);
    let ask = |arguments: &[&str]| {
        let run = scratch.run(&[arguments, &NUMBERS, &["store"]].concat());
        assert_eq!(run.stderr, "", "{arguments:?}");
        run
    };
    let check = |arguments: &[&str], expected: &[u64]| {
        let run = ask(&[arguments, &["--show-cursor"]].concat());
        let (lines, cursor) = with_cursor(&run);
        let expected: Vec<_> = expected.iter().map(u64::to_string).collect();
        assert_eq!(lines, expected, "{arguments:?}");
        assert_eq!(run.code, i32::from(expected.is_empty()), "{arguments:?}");
        cursor.to_owned()
    };
    let three = check(&["-m", "3"], &[0, 1, 2]);
    let six = check(&["-m", "3", "--after-cursor", &three], &[3, 4, 5]);
    let all = check(&["--cursor", &six, "-w", "data.n > 15"], &[16, 17, 18, 19]);
    check(&["--cursor", &all], &[]);
    check(&["-n", "2", "--cursor", &six], &[18, 19]);
    check(&["-n", "+2", "--cursor", &six], &[6, 7]);
    let middle = check(&["-n", "5", "-m", "2", "--cursor", &six], &[15, 16]);
    check(&["--cursor", &middle], &[17, 18, 19]);
    let middle = check(&["-n", "5", "-m", "2"], &[15, 16]);
    check(&["--cursor", &middle], &[17, 18, 19]);
    check(&["--cursor", &check(&["-n", "5"], &[15, 16, 17, 18, 19])], &[]);
    check(&["--cursor", &check(&["-m", "0"], &[]), "-m", "1"], &[0]);
    let back = check(&["-r", "-m", "3"], &[19, 18, 17]);
    check(&["-r", "-m", "2", "--cursor", &back], &[16, 15]);
    check(&["-r", "-n", "+2", "--cursor", &back], &[1, 0]);

    let follow =
        [&["-f", "-m", "4", "--show-cursor", "--cursor", &six, "store"][..], &NUMBERS].concat();
    let run = scratch.run(&follow);
    let (lines, cursor) = with_cursor(&run);
    assert_eq!(lines, ["6", "7", "8", "9"]);
    check(&["-m", "1", "--cursor", cursor], &[10]);

    let run = ask(&["-r", "--cursor-file", "place", "-m", "1"]);
    assert_eq!(run.stdout, "19\n");
    let wrong = scratch.run(&["--cursor-file", "place", "store"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("descending order; ask for that order"), "{}", wrong.stderr);
    std::fs::write(scratch.path("place"), "").unwrap();
    for n in 0..3 {
        assert_eq!(ask(&["--cursor-file", "place", "-m", "1"]).stdout, format!("{n}\n"));
    }
}

#[test]
fn a_cursor_is_a_line_of_the_format() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let last = |format: &str, most: &str| {
        let run = scratch.run(&["-o", format, "-m", most, "--show-cursor", "store"]);
        run.stdout
            .split_inclusive('\n')
            .rev()
            .take(4)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<String>()
    };
    let text = last("short", "9");
    let (_, cursor) = text.trim_end().rsplit_once("-- cursor: ").unwrap();
    // Times are of one zone, and so is the cursor behind the last record.
    assert!(last("csv", "9").ends_with(&format!("\r\n-- cursor: {cursor}\n")));
    let object = format!("{{\"cursor\":\"{cursor}\"}}\n");
    assert!(last("json", "9").ends_with(&format!("\n{object}")));
    assert!(last("json-seq", "9").ends_with(&format!("\n\x1e{object}")));
    assert!(last("sse", "9").ends_with(&format!("event: cursor\nid: {cursor}\ndata: {object}\n")));
}

#[test]
fn waiting_ends_with_the_records_or_with_the_time() {
    let scratch = Scratch::new();
    let wait = |arguments: &[&str]| {
        Follower::new(&scratch, &[&["wait"], arguments, &NUMBERS, &["store"]].concat())
    };
    let early = wait(&["--count", "3", "-w", "data.n >= 2", "--timeout", "1m"]);
    early.wait_for_error("no such store yet");
    let mut writer = Writer::new(&scratch, &["store"]);
    writer.count(0..4);
    early.wait_for(2);
    writer.count(4..9);
    let (lines, _, code) = early.end();
    assert_eq!((lines, code), (numbers(2..5), 0));
    writer.close();

    let there = wait(&["--count", "4", "-S", "2020-01-01"]);
    assert_eq!(there.end(), (numbers(0..4), String::new(), 0));
    let late =
        wait(&["--count", "2", "-S", "2020-01-01", "-w", "data.n = 8", "--timeout", "200ms"]);
    let told = "logq: 1 of 2 records came within 200ms\n".to_owned();
    assert_eq!(late.end(), (numbers(8..9), told, 124));
    let quiet = wait(&["-q", "--timeout", "0s"]);
    assert_eq!(quiet.end(), (vec![], String::new(), 124), "what was there before does not count");
    let forever = wait(&[]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(forever.interrupt().is_empty());
}

#[test]
fn mistakes_are_answered_with_the_way_out() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    scratch.store("other", CLUSTER);
    scratch.write("noise", "no cursor\n");
    let run = scratch.run(&["--show-cursor", "store"]);
    let (_, cursor) = with_cursor(&run);
    let check = |arguments: &[&str], part: &str| {
        let run = scratch.run(arguments);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(part), "{arguments:?}: {part:?} is not in\n{}", run.stderr);
    };
    check(&["--order", "arrival", "store"], "--order is about following; add -f");
    check(&["--no-tail", "store"], "--no-tail is about following; add -f");
    check(&["-f", "-"], "a stream of blocks ends and cannot be followed");
    check(&["-f", "-r", "store"], "cannot be used with");
    check(&["-f", "-n", "+3", "store"], "--no-tail -m N");
    check(&["-f", "notes", "-o", "cat", "noise"], "noise");
    check(&["--after-cursor", "x", "store"], "a cursor is a word such as `--show-cursor` prints");
    check(
        &["--cursor-file", "noise", "store"],
        "noise: delete the file to begin anew: not a cursor",
    );
    check(&["--cursor-file", "none/place", "store"], "cannot write the cursor file none/place");
    check(&["-f", "--cursor-file", "none/place", "store"], "cannot write the cursor file");
    for follow in [&[][..], &["-f"]] {
        let arguments = [follow, &["--cursor", cursor, "other"]].concat();
        check(&arguments, "other: the cursor belongs to another store; start without it");
    }
    check(&["--cursor", cursor, "-c", "store"], "cannot be used with");
    check(&["wait", "--count", "0", "store"], "--count");
    check(&["wait", "--timeout", "soon", "store"], "cannot understand --timeout");
}

#[test]
fn numbers_have_no_place_to_go_on_from() {
    let scratch = Scratch::new();
    for numbers in ["--count", "--by=level", "--hist", "--quantile=50"] {
        let run = scratch.run(&["--show-cursor", numbers, "store"]);
        assert_eq!(run.code, 2, "{numbers} {run:?}");
        assert!(run.stderr.contains("cannot be used with"), "{numbers} {run:?}");
    }
}
