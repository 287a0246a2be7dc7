//! `logq monitor` and stores: as sources, and as the place where the series is kept; the reports of
//! it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Scratch, wait_until};
use logq_testkit::access_log::{AccessForm, AccessLog};
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;
use logq_writer::{LoggerOptions, RequestHead, ResponseHead, WorkerId, WorkerLogger};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A line of an access log, so many seconds behind 2026-02-03 14:00:00 UTC.
fn line(second: i64, path: &str, status: u16) -> String {
    let (hour, minute, second) = (14 + second / 3_600, second / 60 % 60, second % 60);
    format!(
        "192.0.2.7 - - [03/Feb/2026:{hour:02}:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" {status} 100\n"
    )
}

/// A quarter of an hour: a request a second, and twenty of them for two minutes, some failing.
fn sample() -> String {
    let mut text = String::new();
    for second in 0..900 {
        let count = if (300..420).contains(&second) { 20 } else { 1 };
        for number in 0..count {
            let path = if number % 2 == 0 { "/api/<user>" } else { "/report" };
            text += &line(second, path, if number == 7 { 500 } else { 200 });
        }
    }
    text
}

/// The objects of JSON lines with a member of this value.
fn objects(text: &str, name: &str, value: &str) -> Vec<Value> {
    let objects = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|object| object[name] == value).collect()
}

/// The lines of a file that are written to their ends.
fn whole_lines(scratch: &Scratch, name: &str) -> String {
    let text = fs::read_to_string(scratch.path(name)).unwrap();
    text.rfind('\n').map_or("", |end| &text[..end]).to_owned()
}

/// The requests of all summaries that a monitor has printed so far.
fn summed_up(scratch: &Scratch) -> u64 {
    let summaries = objects(&whole_lines(scratch, "out"), "type", "summary");
    summaries.iter().map(|summary| summary["requests"].as_u64().unwrap()).sum()
}

/// The seconds of a series with their requests, added up.
fn seconds(scratch: &Scratch, store: &str) -> Vec<(String, u64)> {
    let run = scratch.run(&["-o", "json", store]);
    let mut seconds: Vec<(String, u64)> = Vec::new();
    for record in run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if record["data"]["monitor"] == "second" {
            let time = record["timestamp"].as_str().unwrap().to_owned();
            let requests = record["data"]["requests"].as_u64().unwrap();
            match seconds.last_mut() {
                Some((last, sum)) if *last == time => *sum += requests,
                _ => seconds.push((time, requests)),
            }
        }
    }
    seconds
}

#[test]
fn a_store_says_what_the_access_log_of_the_same_traffic_says() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("shop")).unwrap();
    let traffic = TrafficOptions { records: 30_000, span_us: 1_200_000_000, ..Default::default() };
    let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() }).unwrap();
    scratch.write("shop/0000000001-20260203T000000Z.logq", segment.bytes);
    let mut log = AccessLog::new(AccessForm::Combined);
    let mut text = String::new();
    logq_testkit::traffic::generate(&traffic, |_, record| text.extend(log.line(record)));
    scratch.write("access.log", &text);

    let flags = ["--no-follow", "-o", "json", "--top", "5", "--lateness", "60", "-q"];
    let end = |source: &str| {
        let run = scratch.run(&[&["monitor", source], &flags[..]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        (objects(&run.stdout, "type", "end").remove(0), run.stdout)
    };
    let ((store, said), (file, said_of_file)) = (end("shop"), end("access.log"));
    assert!(file["requests"].as_u64().unwrap() > 5_000, "{file}");
    for name in ["section", "url", "client", "status"] {
        assert_eq!(store["top"][name], file["top"][name], "{name}");
    }
    // A request without an end is no line of an access log; few of these are open at the end.
    let close = |name: &str| {
        let (a, b) = (store[name].as_u64().unwrap(), file[name].as_u64().unwrap());
        assert!(a.abs_diff(b) <= b / 100, "{name}: {a} {b}");
    };
    close("requests");
    close("bytes");
    assert!(store["p50_ms"].is_number(), "a store tells latencies: {store}");
    let summaries = |said: &str| objects(said, "type", "summary").len();
    assert_eq!(summaries(&said), summaries(&said_of_file));

    let fast =
        scratch.run(&["monitor", "shop", "--no-follow", "--no-sections", "-o", "json", "-q"]);
    let fast = objects(&fast.stdout, "type", "end").remove(0);
    assert_eq!(fast["requests"], store["requests"]);
    assert_eq!((&fast["status"], &fast["p99_ms"]), (&store["status"], &store["p99_ms"]));
}

#[test]
fn stores_and_files_can_be_watched_together() {
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    scratch.run(&["import", "--to", "shop", "a.log"]);
    let alone = scratch.run(&["monitor", "--no-follow", "-o", "json", "shop"]);
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    let of_file = scratch.run(&["monitor", "--no-follow", "-o", "json", "a.log"]);
    let alerts = |text: &str| {
        let times = objects(text, "type", "alert");
        times.iter().map(|alert| alert["time"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(alerts(&alone.stdout).len(), 2, "{}", alone.stdout);
    assert_eq!(alerts(&alone.stdout), alerts(&of_file.stdout));
    let both = scratch.run(&["monitor", "--no-follow", "-o", "json", "-t", "20", "shop", "a.log"]);
    assert_eq!(alerts(&both.stdout).len(), 2, "{}", both.stdout);
    let requests = |text: &str| objects(text, "type", "end")[0]["requests"].as_u64().unwrap();
    assert_eq!(requests(&both.stdout), 2 * requests(&of_file.stdout));
    fs::create_dir(scratch.path("folder")).unwrap();
    scratch.write("folder/readme", "no store");
    let folder = scratch.run(&["monitor", "--no-follow", "folder"]);
    assert_eq!(folder.code, 2);
    assert!(folder.stderr.contains("a directory that is no store"), "{}", folder.stderr);
}

#[test]
fn stores_begin_where_from_says_as_files_do() {
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    scratch.run(&["import", "--to", "shop", "a.log"]);
    for (from, expected) in [("start", 900 + 19 * 120), ("-1m", 61), ("-8m", 480 + 20), ("end", 0)]
    {
        for source in ["shop", "a.log"] {
            let flags = ["--no-follow", "-o", "json", "--from", from, source];
            let run = scratch.run(&[&["monitor"], &flags[..]].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            let end = objects(&run.stdout, "type", "end").remove(0);
            let found = (end["requests"].as_u64(), end["orphans"].as_u64().unwrap_or_default());
            assert_eq!(found, (Some(expected), 0), "{source} {from}: {end}");
        }
    }
    // What the state knows goes on where it ended.
    let flags = ["--no-follow", "-o", "json", "-q", "--state", "state", "shop", "--from"];
    for (from, expected) in [("-1m", 61), ("start", 0)] {
        let run = scratch.run(&[&["monitor"], &flags[..], &[from]].concat());
        let end = objects(&run.stdout, "type", "end").remove(0);
        assert_eq!(end["requests"].as_u64(), Some(expected), "{from}: {end}");
    }
}

#[test]
fn a_store_that_is_followed_begins_where_from_says() {
    let end = |scratch: &Scratch, watch: Watch| {
        watch.end(Signal::SIGTERM);
        let end = objects(&whole_lines(scratch, "out"), "type", "end").remove(0);
        (end["requests"].as_u64().unwrap(), end["orphans"].as_u64().unwrap())
    };
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    scratch.run(&["import", "--to", "shop", "a.log"]);
    let flags = ["-o", "json", "-i", "1", "--lateness", "1", "shop", "--from"];
    let watch = Watch::start(&scratch, &[&flags[..], &["-1m"]].concat());
    wait_until("the last minute is read", || summed_up(&scratch) >= 50);
    assert_eq!(end(&scratch, watch), (61, 0));
    for (from, expected) in [("end", 5), ("-1h", 15)] {
        let scratch = Scratch::new();
        let log = worker(&scratch);
        serve(&log, 10);
        let watch = Watch::start(&scratch, &[&flags[..], &[from]].concat());
        wait_until("it begins", || whole_lines(&scratch, "out").contains("started"));
        serve(&log, 5);
        wait_until("all is counted", || summed_up(&scratch) >= expected);
        assert_eq!(end(&scratch, watch), (expected, 0), "{from}");
    }
}

#[test]
fn the_series_is_kept_within_the_size_that_is_said() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("traffic")).unwrap();
    let segment = encode(&SegmentOptions::default()).unwrap();
    let old = scratch.write("traffic/0000000001-20260203T000000Z.logq", segment.bytes);
    scratch.write("a.log", sample());
    let flags = ["monitor", "--no-follow", "--store", "traffic", "a.log", "--size-limit"];
    let refused = scratch.run(&[&flags[..], &["1"]].concat());
    assert!(refused.code == 2 && refused.stderr.contains("at least"), "{refused:?}");
    let unlimited = scratch.run(&[&flags[..], &["none"]].concat());
    assert_eq!((unlimited.code, old.exists()), (0, true), "{}", unlimited.stderr);
    let watch = Watch::start(&scratch, &["--store", "traffic", "--size-limit", "80k", "a.log"]);
    wait_until("what is too much is deleted", || !old.exists());
    watch.end(Signal::SIGTERM);
}

#[test]
fn the_series_answers_what_the_rate_was() {
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    let run = scratch.run(&["monitor", "--no-follow", "--store", "traffic", "a.log"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let all = seconds(&scratch, "traffic");
    assert_eq!(all.len(), 900, "every second, the last ones included");
    assert_eq!(all.iter().map(|(_, requests)| requests).sum::<u64>(), 900 + 19 * 120);

    let minute =
        scratch.run(&["-S", "2026-02-03 14:05:10", "-U", "2026-02-03 14:05:12", "traffic"]);
    assert_eq!(minute.stdout.lines().count(), 2, "{}", minute.stdout);
    assert!(minute.stdout.contains(r#""requests":20"#), "{}", minute.stdout);
    let errors = scratch.run(&["-l", "error", "-o", "cat", "traffic"]);
    assert!(errors.stdout.starts_with("High traffic generated an alert"), "{}", errors.stdout);
    assert_eq!(errors.stdout.lines().count(), 1);
    let busy =
        scratch.run(&["-c", "-w", "data.status['5xx'] > 0 and data.monitor = 'second'", "traffic"]);
    assert_eq!(busy.stdout.trim(), "120", "{}", busy.stderr);
}

#[test]
fn reports_show_rates_gaps_and_alerts() {
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    // Nobody watched from 14:15 to 14:20.
    scratch
        .write("b.log", (1_200..1_260).map(|second| line(second, "/x", 200)).collect::<String>());
    for log in ["a.log", "b.log"] {
        let run = scratch.run(&["monitor", "--no-follow", "--store", "traffic", log]);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    let report = |flags: &[&str]| {
        scratch.run(&[&["monitor", "report", "--store", "traffic"], flags].concat())
    };
    let run = report(&["--interval", "1m", "--html", "page.html"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let row = |time: &str| -> Vec<String> {
        let row = run.stdout.lines().skip(1).find(|line| line.starts_with(time)).unwrap();
        row.split_whitespace()
            .skip(if time == "total" { 1 } else { 2 })
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(row("2026-02-03 14:00:00")[..4], ["60", "1.00", "1", "100"]);
    assert_eq!(row("2026-02-03 14:05:00")[..3], ["1200", "20.00", "20"]);
    assert_eq!(row("2026-02-03 14:05:00")[7], "60", "5xx");
    assert_eq!(row("2026-02-03 14:17:00")[0], "-", "a gap is no zero");
    assert_eq!(row("total")[0], (900 + 19 * 120 + 60).to_string());
    let alert = run.stdout.lines().last().unwrap();
    assert!(alert.starts_with("alert 2026-02-03 14:05:"), "{alert}");
    assert!(alert.contains("rate > 10"), "{alert}");

    let page = fs::read_to_string(scratch.path("page.html")).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    assert!(page.matches("class=\"bar\"").count() > 100);
    assert!(page.contains("class=\"errors\"") && page.contains("url(#gap)"));
    assert!(page.contains("class=\"threshold\"") && page.contains("rate &gt; 10"));
    assert!(!page.contains("<script") && !page.contains("http://"), "it needs nothing else");

    let part = report(&["--since", "2026-02-03 14:05", "--until", "2026-02-03 14:06"]);
    assert_eq!(
        part.stdout
            .lines()
            .find(|line| line.starts_with("total"))
            .map(|line| { line.split_whitespace().nth(1).unwrap().to_owned() }),
        Some("1200".to_owned()),
        "{}",
        part.stdout
    );
    let empty = report(&["--since", "2026-02-04", "--html", "empty.html"]);
    assert_eq!(empty.stdout, "Nothing was watched in this time.\n");
    assert!(empty.code == 1 || empty.code == 4, "{}", empty.code);
    assert!(
        fs::read_to_string(scratch.path("empty.html")).unwrap().contains("Nothing was watched")
    );
    let dash = report(&["--html", "-"]);
    assert_eq!((dash.code, dash.stdout.as_str()), (2, ""));
    assert!(dash.stderr.contains("name a file") && !scratch.path("-").exists(), "{}", dash.stderr);
    let none = scratch.run(&["monitor", "report", "--store", "nowhere"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("there is no store nowhere"), "{}", none.stderr);
}

#[test]
fn reports_for_programs_have_the_same_numbers() {
    let scratch = Scratch::new();
    scratch.write("a.log", sample());
    // Nobody watched from 14:15 to 14:20.
    let late = (1_200..1_260).map(|second| line(second, "/x", 200)).collect::<String>();
    scratch.write("b.log", late);
    let flags =
        ["monitor", "--no-follow", "-q", "--alert", "error_ratio > 5%", "--store", "traffic"];
    for log in ["a.log", "b.log"] {
        let run = scratch.run(&[&flags[..], &[log]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    let report = |flags: &[&str]| -> (i32, Value) {
        let first = ["monitor", "report", "--store", "traffic", "-o", "json"];
        let run = scratch.run(&[&first[..], flags].concat());
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
        (run.code, serde_json::from_str(&run.stdout).unwrap())
    };
    let (code, found) = report(&["--interval", "1m"]);
    assert_eq!(code, 0);
    let at = |pointer: &str| found.pointer(pointer).cloned().unwrap_or(Value::Null);
    assert_eq!(at("/first"), "2026-02-03T14:00:00Z");
    assert_eq!(at("/last"), "2026-02-03T14:20:59Z");
    assert_eq!((at("/row_s"), found["rows"].as_array().unwrap().len()), (60.into(), 21));
    let row = |index: usize, member: &str| at(&format!("/rows/{index}/{member}"));
    assert_eq!((row(0, "requests"), row(0, "rate")), (60.into(), 1.0.into()));
    assert_eq!(
        (row(5, "start"), row(5, "requests")),
        ("2026-02-03T14:05:00Z".into(), 1_200.into())
    );
    assert_eq!((row(5, "peak"), row(5, "status/5xx")), (20.into(), 60.into()));
    assert_eq!((row(17, "watched_s"), row(17, "requests")), (0.into(), Value::Null), "a gap");
    assert_eq!(at("/total/requests"), 900 + 19 * 120 + 60);
    assert_eq!(at("/watched/1/first"), "2026-02-03T14:20:00Z");
    assert_eq!((at("/rules/0/rule"), at("/rules/0/window_s")), ("rate > 10".into(), 120.into()));
    assert_eq!(
        (at("/alerts/0/rule"), at("/alerts/0/state")),
        ("rate > 10".into(), "recovered".into())
    );
    let from = at("/alerts/0/from");
    assert!(from.as_str().is_some_and(|from| from.starts_with("2026-02-03T14:05:")), "{from}");

    let (code, empty) = report(&["--since", "2026-02-04"]);
    assert!(code == 1 || code == 4, "{code}");
    assert_eq!((&empty["first"], empty["rows"].as_array().unwrap().len()), (&Value::Null, 0));
}

#[test]
fn names_from_logs_cannot_leave_their_places_in_the_page() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for second in 0..60 {
        for _ in 0..3 {
            text += &line(second, "/<script>alert(1)</script>\u{202e}\x1b[2J", 500);
        }
    }
    scratch.write("a.log", text);
    let rule = "rate > 1 over 5s by section";
    let flags = ["--no-follow", "-q", "--alert", rule, "--store", "traffic", "a.log"];
    assert_eq!(scratch.run(&[&["monitor"], &flags[..]].concat()).code, 0);
    let run =
        scratch.run(&["monitor", "report", "--store", "traffic", "--html", "page.html", "-q"]);
    let page = fs::read_to_string(scratch.path("page.html")).unwrap();
    assert!(page.contains("&lt;script&gt;"), "{page}");
    for shown in [&page, &run.stdout] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
    assert!(!page.contains("<script"));
}

/// A monitor that follows.
struct Watch {
    child: Child,
}

impl Watch {
    fn start(scratch: &Scratch, arguments: &[&str]) -> Self {
        let mut command = scratch.command(&[&["monitor"], arguments].concat());
        command.stdin(Stdio::null());
        command.stdout(File::create(scratch.path("out")).unwrap());
        command.stderr(File::create(scratch.path("err")).unwrap());
        Self { child: command.spawn().unwrap() }
    }

    fn end(mut self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, signal).unwrap();
        self.child.wait().unwrap();
    }
}

/// The store `shop`, written to by this process.
fn worker(scratch: &Scratch) -> WorkerLogger {
    let worker = WorkerId::new(1).unwrap();
    WorkerLogger::open(scratch.path("shop"), worker, LoggerOptions::default()).unwrap()
}

/// Logs so many requests and their responses.
fn serve(log: &WorkerLogger, count: u64) {
    for _ in 0..count {
        let request = log.new_request();
        request.request(&RequestHead { method: "GET", url: "/cart", ..RequestHead::default() });
        let head = ResponseHead::status(200).bytes(5);
        request.response(head.duration(Duration::from_millis(3)));
    }
    log.flush().unwrap();
}

fn append(scratch: &Scratch, text: &str) {
    let mut file = OpenOptions::new().append(true).open(scratch.path("a.log")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A run that is killed again and again, and goes on by its state file, tells every second once.
#[test]
fn no_second_is_lost_or_told_twice_however_runs_end() {
    let scratch = Scratch::new();
    let mut random = fastrand::Rng::with_seed(4);
    scratch.write("a.log", "");
    let (mut second, mut expected, mut last) = (0, Vec::new(), Instant::now());
    for round in 0..8 {
        let arguments = ["-q", "--store", "traffic", "--state", "state", "a.log"];
        let watch = Watch::start(&scratch, &arguments);
        let has_state = |least: usize| {
            let text = fs::read_to_string(scratch.path("state")).unwrap_or_default();
            text.len() > least
        };
        for _ in 0..random.usize(2..5) {
            let mut text = String::new();
            // As in a log that is written now: no line is late, however slow this is.
            second += i64::try_from(last.elapsed().as_secs()).unwrap() + 1;
            for _ in 0..random.usize(5..40) {
                let count = random.u64(1..4);
                (0..count).for_each(|_| text += &line(second, "/x", 200));
                expected.push(count);
                second += 1;
            }
            // Sometimes in the middle of a line.
            let (head, tail) = text.split_at(random.usize(..text.len()));
            append(&scratch, head);
            append(&scratch, tail);
            last = Instant::now();
            wait_until("the state is written", || has_state(30));
            std::thread::sleep(Duration::from_millis(random.u64(..1_500)));
        }
        watch.end(if round % 3 == 2 { Signal::SIGTERM } else { Signal::SIGKILL });
    }
    let arguments = ["monitor", "--no-follow", "-q", "--store", "traffic", "--state", "state"];
    let last = scratch.run(&[&arguments[..], &["a.log"]].concat());
    assert_eq!(last.code, 0, "{}", last.stderr);
    let found: Vec<u64> = seconds(&scratch, "traffic").iter().map(|(_, count)| *count).collect();
    assert_eq!(found, expected);
    let report = scratch.run(&["monitor", "report", "--store", "traffic"]);
    assert!(!report.stdout.contains(" -\n"), "what was resumed has no gaps: {}", report.stdout);
}

#[test]
fn a_store_is_followed_while_it_is_written_and_rotated() {
    let scratch = Scratch::new();
    let log = worker(&scratch);
    serve(&log, 10);
    let watch = Watch::start(&scratch, &["-o", "json", "--store", "traffic", "-i", "1", "shop"]);
    let requests = || -> u64 {
        let run = scratch.run(&["-o", "json", "traffic"]);
        let records = run.stdout.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        records
            .filter(|record| record["data"]["monitor"] == "second")
            .map(|record| record["data"]["requests"].as_u64().unwrap())
            .sum()
    };
    wait_until("the series begins", || scratch.path("traffic").exists() && requests() >= 10);
    let directory = logq_directory::Directory::open(&scratch.path("shop")).unwrap();
    for _ in 0..3 {
        let new =
            logq_directory::NewSegment::at(logq_writer::Clock::now(&logq_writer::SystemClock));
        let lock = directory.lock().unwrap();
        directory.create_segment(&lock, &new).unwrap();
        drop(lock);
        serve(&log, 10);
    }
    assert_eq!(directory.segments().unwrap().len(), 4);
    wait_until("all is counted, without a further record", || requests() == 40);
    watch.end(Signal::SIGTERM);
    let out = fs::read_to_string(scratch.path("out")).unwrap();
    let end = objects(&out, "type", "end").remove(0);
    assert_eq!((end["requests"].as_u64(), end["orphans"].as_u64()), (Some(40), Some(0)), "{end}");
    assert_eq!(fs::read_to_string(scratch.path("err")).unwrap(), "");
}
