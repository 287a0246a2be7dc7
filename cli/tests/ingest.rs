//! `CMD | logq ingest STORE` with real pipes and signals: every line is there, whatever ends it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};

use common::{Scratch, end, signal, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The records of a store.
fn records(scratch: &Scratch, store: &str) -> Vec<Value> {
    let run = scratch.run(&["-q", "-o", "json", store]);
    assert!(matches!(run.code, 0 | 1), "{run:?}");
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ingests `input`; each record in one line: its level and its data.
fn ingest(options: &[&str], input: &[u8]) -> Vec<String> {
    let scratch = Scratch::new();
    let run = scratch.run_with_input(&[&["ingest", "store"], options].concat(), input);
    assert_eq!(run.code, 0, "{run:?}");
    brief(&records(&scratch, "store"))
}

fn brief(records: &[Value]) -> Vec<String> {
    let brief = |record: &Value| {
        assert_eq!((&record["type"], &record["workerId"]), (&"LOG".into(), &1.into()));
        format!("{} {}", record["level"].as_str().unwrap(), record["data"])
    };
    records.iter().map(brief).collect()
}

/// A running ingest with an open pipe.
struct Open {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Open {
    /// Starts it and waits until its first line is in the store.
    fn new(scratch: &Scratch) -> Self {
        let mut command = scratch.command(&["ingest", "-q", "store"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdin.take();
        let mut open = Self { child, pipe };
        open.write("first\n");
        open.wait_for(scratch, 1);
        open
    }

    fn write(&mut self, text: impl AsRef<[u8]>) {
        self.pipe.as_mut().unwrap().write_all(text.as_ref()).unwrap();
    }

    /// Waits until that many records can be read, while the pipe is open.
    fn wait_for(&mut self, scratch: &Scratch, count: usize) {
        wait_until(format_args!("{count} records"), || {
            scratch.path("store").exists() && records(scratch, "store").len() >= count
        });
    }

    fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    fn end(&mut self) -> ExitStatus {
        end(&mut self.child)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_line_becomes_what_it_looks_like() {
    let input = "listening on 8080\n\
        {\"ts\":\"2020-02-03T14:05:06.5Z\",\"level\":\"trace\",\"n\":1.50,\"a\":{\"b\": [1, 2]}}\n\
        time=2020-02-03T14:05:06Z level=error msg=\"no stock\" order=007\n\
        \n\
        2020-02-03 14:05:06 WARN slow disk\n\
        {\"level\":\"debug\"}\n\
        {\"unclosed\n";
    let expected = [
        r#"INFO {"message":"listening on 8080"}"#,
        r#"TRACE {"ts":"2020-02-03T14:05:06.5Z","n":1.50,"a":{"b":[1,2]}}"#,
        r#"ERROR {"time":"2020-02-03T14:05:06Z","msg":"no stock","order":"007"}"#,
        r#"WARN {"message":"2020-02-03 14:05:06 WARN slow disk"}"#,
        "DEBUG {}",
        r#"INFO {"message":"{\"unclosed"}"#,
    ];
    let normal = |line: &str| {
        let (level, data) = line.split_once(' ').unwrap();
        format!("{level} {}", serde_json::from_str::<Value>(data).unwrap())
    };
    assert_eq!(ingest(&[], input.as_bytes()), expected.map(normal));
    assert_eq!(ingest(&["--format", "text"], b"{\"a\":1}\n"), [r#"INFO {"message":"{\"a\":1}"}"#]);
    assert_eq!(
        ingest(&["--format", "jsonl"], b"[1]\nx\n"),
        ["INFO [1]", r#"INFO {"message":"x"}"#]
    );
    assert_eq!(ingest(&["--format", "logfmt"], b"a=1\n"), [r#"INFO {"a":1}"#]);
}

#[test]
fn the_digits_and_the_request_of_a_line_are_kept() {
    let scratch = Scratch::new();
    let id = "0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3";
    let line = format!("{{\"requestId\":\"{id}\",\"price\":1.10,\"msg\":\"a\\u00e9\"}}\n");
    let run = scratch.run_with_input(&["ingest", "store"], line.as_bytes());
    assert_eq!((run.code, &*run.stderr), (0, "logq: 1 lines became 1 records\n"));
    let run = scratch.run(&["-o", "json", "--request", id, "store"]);
    assert!(run.stdout.contains(r#""data":{"price":1.10,"msg":"a\u00e9"}"#), "{run:?}");
}

#[test]
fn records_have_the_time_of_arrival_and_it_never_decreases() {
    let scratch = Scratch::new();
    let now = |scratch: &Scratch| {
        let run = scratch.run_with_input(&["ingest", "-q", "clock"], b"now\n");
        assert_eq!(run.code, 0);
        let last = records(scratch, "clock").pop().unwrap();
        last["timestamp"].as_str().unwrap().to_owned()
    };
    let before = now(&scratch);
    let input =
        b"2020-01-01 00:00:00 a\n2019-01-01 00:00:00 b\n{\"time\":\"2030-01-01T00:00:00Z\"}\n";
    assert_eq!(scratch.run_with_input(&["ingest", "-q", "store"], input).code, 0);
    let after = now(&scratch);
    let found = records(&scratch, "store");
    let mut times = vec![&*before];
    times.extend(found.iter().map(|record| record["timestamp"].as_str().unwrap()));
    times.push(&after);
    assert_eq!(times.len(), 5);
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn lines_are_there_while_the_pipe_is_open() {
    let scratch = Scratch::new();
    let mut open = Open::new(&scratch);
    for n in 2..5 {
        open.write(format!("{{\"n\":{n}}}\n"));
        open.wait_for(&scratch, n);
    }
    open.pipe = None;
    assert!(open.end().success());
}

#[test]
fn stack_traces_are_one_record_and_a_silence_ends_it() {
    let scratch = Scratch::new();
    let mut open = Open::new(&scratch);
    open.write("ERROR cannot order\njava.lang.X.Exception: no stock\n\tat a.B.c(B.java:7)\n");
    open.wait_for(&scratch, 2);
    open.write("\tat late.D.e(D.java:8)\n");
    open.wait_for(&scratch, 3);
    open.pipe = None;
    assert!(open.end().success());
    let found = brief(&records(&scratch, "store"));
    assert_eq!(
        found[1..],
        [
            r#"ERROR {"message":"ERROR cannot order\njava.lang.X.Exception: no stock\n\tat a.B.c(B.java:7)"}"#,
            r#"INFO {"message":"\tat late.D.e(D.java:8)"}"#,
        ]
    );
}

#[test]
fn broken_bytes_long_lines_and_unended_ones_are_kept() {
    let mut input = b"a\xFFb\r\n".to_vec();
    let long = "0123456789".repeat(250_000);
    input.extend_from_slice(long.as_bytes());
    input.extend_from_slice(b"\nlast");
    let found: Vec<Value> = ingest(&[], &input)
        .iter()
        .map(|record| serde_json::from_str(record.split_once(' ').unwrap().1).unwrap())
        .collect();
    assert_eq!(found[0]["message"], "a\\xffb");
    let parts = &found[1..found.len() - 1];
    let text: String = parts.iter().map(|part| part["message"].as_str().unwrap()).collect();
    assert_eq!(text, long);
    let marks: Vec<_> = parts.iter().map(|part| (&part["part"], &part["more"])).collect();
    let yes = Value::from(true);
    assert_eq!(marks, [(&1.into(), &yes), (&2.into(), &yes), (&3.into(), &Value::Null)]);
    assert_eq!(found.last().unwrap()["message"], "last");
    assert_eq!(ingest(&[], b""), [""; 0]);
}

#[test]
fn a_signal_loses_nothing_that_is_in_the_pipe() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let scratch = Scratch::new();
        let mut open = Open::new(&scratch);
        let mut burst = String::new();
        for n in 0..2000 {
            writeln!(burst, "{{\"n\":{n}}}").unwrap();
        }
        open.write(burst + "unended");
        open.signal(signal);
        let status = open.end();
        assert_eq!(status.signal(), Some(signal as i32), "{status:?}");
        let found = brief(&records(&scratch, "store"));
        assert_eq!(found.len(), 2002, "{signal}");
        assert_eq!(found.last().unwrap(), r#"INFO {"message":"unended"}"#);
    }
}

#[test]
fn last_words_after_a_signal_are_heard_and_the_end_is_an_orderly_one() {
    let scratch = Scratch::new();
    let mut open = Open::new(&scratch);
    open.signal(Signal::SIGTERM);
    open.write("shutting down\nbye\n");
    open.pipe = None;
    assert_eq!(open.end().code(), Some(0));
    assert_eq!(records(&scratch, "store").len(), 3);
}

#[test]
fn many_lines_arrive_in_order() {
    let scratch = Scratch::new();
    let mut input = String::new();
    for n in 0..100_000 {
        writeln!(input, "{{\"level\":\"warn\",\"n\":{n},\"text\":\"some more text\"}}").unwrap();
    }
    let run = scratch.run_with_input(&["ingest", "store"], input.as_bytes());
    assert_eq!(run.code, 0, "{run:?}");
    let found = records(&scratch, "store");
    let numbers = found.iter().map(|record| record["data"]["n"].as_u64().unwrap());
    assert!(numbers.eq(0..100_000));
}

#[test]
fn several_pipelines_share_a_store() {
    let scratch = Scratch::new();
    let mut pipelines: Vec<_> = (0..3).map(|_| Open::new(&scratch)).collect();
    for n in 0..500 {
        for open in &mut pipelines {
            open.write(format!("{{\"n\":{n}}}\n"));
        }
    }
    for open in &mut pipelines {
        open.pipe = None;
        assert!(open.end().success());
    }
    assert_eq!(records(&scratch, "store").len(), 3 * 501);
}

#[test]
fn a_store_is_kept_within_its_limit() {
    let scratch = Scratch::new();
    // Digits without pattern, which compress to half.
    let mut random = fastrand::Rng::with_seed(7);
    let line = |_| format!("{{\"a\":\"{:016x}{:016x}\"}}\n", random.u64(..), random.u64(..));
    let input: String = (0..20_000).map(line).collect();
    let arguments = ["ingest", "-q", "--size-limit", "none", "store"];
    assert_eq!(scratch.run_with_input(&arguments, input.as_bytes()).code, 0);
    let first = scratch.segments("store");
    assert_eq!((first.len(), records(&scratch, "store").len()), (1, 20_000));

    let mut command = scratch.command(&["ingest", "-q", "--size-limit", "100KiB", "store"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdin.take();
    let mut open = Open { child, pipe };
    open.write("{\"a\":1}\n");
    wait_until("the segment beyond the limit is deleted", || !first[0].exists());
    open.write("{\"a\":2}\n");
    open.pipe = None;
    assert!(open.end().success());
    assert_eq!(brief(&records(&scratch, "store")).last().unwrap(), r#"INFO {"a":2}"#);
}

#[test]
fn mistakes_are_answered_with_the_way_out() {
    let scratch = Scratch::new();
    scratch.write("notes.txt", "text");
    let check = |arguments: &[&str], part: &str| {
        let run = scratch.run_with_input(arguments, b"x\n");
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(part), "{arguments:?}: {part:?} is not in\n{}", run.stderr);
    };
    check(&["ingest"], "<STORE>");
    check(&["ingest", "notes.txt"], "not a store: name a directory");
    check(&["ingest", "--format", "csv", "store"], "auto, jsonl, logfmt, text");
    check(&["ingest", "--size-limit", "2GB", "store"], "expected a size such as 500MiB");
    check(&["ingest", "--size-limit", "1KiB", "store"], "must be at least 81920 bytes");
    let folder = std::fs::File::open(scratch.path(".")).unwrap();
    let output = scratch.command(&["ingest", "store"]).stdin(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot read standard input"), "{stderr}");
}

#[test]
fn a_disk_that_takes_no_more_is_told_and_what_it_took_is_there() {
    let scratch = Scratch::new();
    // A file-size limit refuses writes as a full disk does. Lines that do not compress.
    let line = "ulimit -f 16; for n in $(seq 1 3000); do echo \"$n $RANDOM $RANDOM $RANDOM $RANDOM $RANDOM $RANDOM\"; done \
                | \"$LOGQ\" ingest --size-limit none store";
    let output = scratch.shell(line).env("LOGQ", env!("CARGO_BIN_EXE_logq")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("3000 lines became 3000 records\n"), "{stderr}");
    assert!(stderr.contains("the last records are lost: cannot write to store/"), "{stderr}");
    let texts = scratch.run(&["-q", "-o", "cat", "store"]).stdout;
    assert!((1..3000).contains(&texts.lines().count()), "{texts}");
    for (place, text) in texts.lines().enumerate() {
        assert_eq!(text.split(' ').next(), Some((place + 1).to_string().as_str()));
    }
    assert_eq!(scratch.run(&["verify", "store"]).code, 0);
}
