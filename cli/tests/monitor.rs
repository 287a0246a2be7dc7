//! `logq monitor` with real files: summaries, alerts, formats, mistakes, exit codes, and sources that
//! grow. What rotation does to files is in `monitor_rotation.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Run, Scratch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Far more than anything here takes: a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(60);

const HEADER: &str = r#""remotehost","rfc931","authuser","date","request","status","bytes""#;
const START: u64 = 1_549_573_860;

/// A line as the seed's sample has them.
fn line(second: u64, path: &str, status: u16, bytes: u64) -> String {
    let time = START + second;
    format!("\"10.0.0.2\",\"-\",\"apache\",{time},\"GET {path} HTTP/1.0\",{status},{bytes}\n")
}

/// Forty seconds with a request each, and ten of them with eight.
fn sample() -> String {
    let mut text = format!("{HEADER}\n");
    for second in 0..40 {
        let count = if (12..22).contains(&second) { 8 } else { 1 };
        for number in 0..count {
            let path = if number % 2 == 0 { "/api/user" } else { "/report?x=1" };
            text += &line(second, path, if number == 7 { 500 } else { 200 }, 1_000 + number);
        }
    }
    text
}

/// Replays a log `a.csv` to its end.
fn replay(log: &str, flags: &[&str]) -> Run {
    let scratch = Scratch::new();
    scratch.write("a.csv", log);
    scratch.run(&[&["monitor", "--no-follow", "a.csv"], flags].concat())
}

/// A monitor that runs, with its output in files.
struct Watch {
    child: Child,
    scratch: Scratch,
}

impl Watch {
    /// Starts it and waits until it has begun.
    fn start(scratch: Scratch, arguments: &[&str]) -> Self {
        let mut command = scratch.command(&[&["monitor"], arguments].concat());
        command.stdin(Stdio::null());
        command.stdout(File::create(scratch.path("out")).unwrap());
        command.stderr(File::create(scratch.path("err")).unwrap());
        let child = command.spawn().unwrap();
        Self { child, scratch }
    }

    fn out(&self) -> String {
        fs::read_to_string(self.scratch.path("out")).unwrap()
    }

    fn err(&self) -> String {
        fs::read_to_string(self.scratch.path("err")).unwrap()
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.scratch.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.out().contains(text) && !self.err().contains(text) {
            let (out, err) = (self.out(), self.err());
            assert!(start.elapsed() < PATIENCE, "no {text:?} in\n{out}\n{err}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it by a signal; answers its exit code and output.
    fn end(mut self, signal: Signal) -> (i32, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, self.out())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_seeds_sample_gives_the_seeds_lines_and_more() {
    let run = replay(&sample(), &["-t", "2", "-w", "10"]);
    let expected = "\
INFO Start monitoring a.csv
INFO 2019-02-07T21:11:09Z\t1000.00\t/api\tn=10 rps=1.00 2xx=10 3xx=0 4xx=0 5xx=0 p50=- p99=- late=0 bad=0
ERROR High traffic generated an alert - hits = 2.40 requests per second, triggered at 2019-02-07T21:11:13Z\tn=24 window=10s
INFO 2019-02-07T21:11:19Z\t1003.39\t/api\tn=66 rps=6.60 2xx=58 3xx=0 4xx=0 5xx=8 p50=- p99=- late=0 bad=0
INFO 2019-02-07T21:11:29Z\t1002.33\t/api\tn=24 rps=2.40 2xx=22 3xx=0 4xx=0 5xx=2 p50=- p99=- late=0 bad=0
SUCCESS Traffic has stabilized - hits = 1.70 requests per second, recovered at 2019-02-07T21:11:30Z\tn=17 window=10s
INFO 2019-02-07T21:11:39Z\t1000.00\t/api\tn=10 rps=1.00 2xx=10 3xx=0 4xx=0 5xx=0 p50=- p99=- late=0 bad=0
WARNING End of file has been reached.
";
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (0, expected, ""));
}

#[test]
fn compat_prints_exactly_three_columns() {
    let run = replay(&sample(), &["-t", "2", "--log_window", "10", "--compat", "httpmonitor"]);
    let expected = "\
INFO Start monitoring a.csv
INFO 1549573869\t1000.00\t/api
ERROR High traffic generated an alert - hits = 2.40 requests per second, triggered at 1549573873
INFO 1549573879\t1003.39\t/api
INFO 1549573889\t1002.33\t/api
SUCCESS Traffic has stabilized - hits = 1.70 requests per second, recovered at 1549573890
INFO 1549573899\t1000.00\t/api
WARNING End of file has been reached.
";
    assert_eq!((run.code, &*run.stdout), (0, expected));
}

#[test]
fn the_last_interval_is_printed_although_the_log_ends_in_it() {
    let log = format!("{HEADER}\n{}{}", line(0, "/a", 200, 1), line(13, "/b", 200, 3));
    let run = replay(log.trim_end(), &["-i", "5m"]);
    assert!(run.stdout.contains("2.00\t/a\tn=2 "), "{}", run.stdout);
    assert!(run.stdout.contains(" bad=0 partial\nWARNING End"), "{}", run.stdout);
    let run = replay(&format!("{HEADER}\n"), &[]);
    let expected = "INFO Start monitoring a.csv\nWARNING End of file has been reached.\n";
    assert_eq!((run.code, &*run.stdout), (0, expected));
}

/// The seconds of transitions of all alerts.
fn transitions(flags: &[&str]) -> String {
    let run = replay(&sample(), &[&["-o", "json", "--log_interval", "10"], flags].concat());
    let objects = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let alerts = objects.filter(|object| object["type"] == "alert");
    let short = |alert: Value| {
        let (change, time) = (alert["change"].as_str().unwrap(), alert["time"].as_str().unwrap());
        format!("{} {} {}", alert["measure"].as_str().unwrap(), change, &time[17..19])
    };
    alerts.map(short).collect::<Vec<_>>().join(", ")
}

#[test]
fn flags_shift_when_alerts_fire_and_recover() {
    let check = |threshold: &str, flags: &[&str], expected: &str| {
        let flags = [&["--threshold", threshold, "-w", "10"], flags].concat();
        assert_eq!(transitions(&flags), expected, "{flags:?}");
    };
    check("2", &[], "rate fired 13, rate recovered 30");
    check("2", &["--recover", "1.5"], "rate fired 13, rate recovered 31");
    check("2", &["--for", "3"], "rate fired 15, rate recovered 30");
    check("2", &["--keep-firing", "3s"], "rate fired 13, rate recovered 32");
    check(
        "100",
        &["--alert", "error_ratio > 5% over 5s", "--alert", "rate > 7 over 5s"],
        "error_ratio fired 12, rate fired 16, rate recovered 22, error_ratio recovered 26",
    );
}

#[test]
fn the_exit_code_tells_of_alerts_if_asked() {
    assert_eq!(replay(&sample(), &["-t", "2", "-w", "10", "--fail-on-alert"]).code, 3);
    assert_eq!(replay(&sample(), &["-t", "20", "-w", "10", "--fail-on-alert"]).code, 0);
}

#[test]
fn lists_show_what_is_most_frequent() {
    let run = replay(&sample(), &["--top", "1", "--log-interval", "60", "--log-window", "60"]);
    assert!(run.stdout.contains("\n  section\t70\t63.6%\t/api\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\n  status\t100\t90.9%\t200\n"), "{}", run.stdout);
    assert!(run.stdout.contains("\nINFO In all 110 requests\n  section\t70"), "{}", run.stdout);
}

#[test]
fn lines_late_by_more_than_the_lateness_are_told() {
    let log: String = [0, 30, 20, 31].map(|second| line(second, "/a", 200, 1)).concat();
    let run = replay(&format!("{HEADER}\n{log}"), &[]);
    assert!(run.stderr.contains("1 line came after its second was closed"), "{run:?}");
    let run = replay(&format!("{HEADER}\n{log}"), &["--lateness", "20"]);
    assert_eq!(run.stderr, "");
}

/// Lines of other decades were counted, but nobody could tell which ones.
#[test]
fn lines_whose_time_cannot_be_are_counted_and_shown() {
    let mut log = sample();
    let lines = log.lines().count();
    for time in [0, 3_029_279_460_u64, 3_029_279_560] {
        log += &format!("\"10.0.0.2\",\"-\",\"-\",{time},\"GET /a HTTP/1.0\",200,1\n");
    }
    log += &line(40, "/a", 200, 1);
    let run = replay(&log, &[]);
    assert!(run.stdout.contains("n=1 "), "{run:?}");
    let expected = format!(
        "logq: 1 line was older than anything that is remembered, and not counted\n\
         logq:   a.csv, line {}: 1970-01-01T00:00:00Z\n\
         logq: 2 lines had a time far ahead of all others, and were not counted\n\
         logq:   a.csv, line {}: 2065-12-29T02:31:00Z\n\
         logq:   a.csv, line {}: 2065-12-29T02:32:40Z\n",
        lines + 1,
        lines + 2,
        lines + 3
    );
    assert_eq!(run.stderr, expected);
}

#[test]
fn empty_intervals_are_summed_up_if_asked() {
    let log = format!("{HEADER}\n{}{}", line(0, "/a", 200, 1), line(45, "/a", 200, 1));
    assert_eq!(replay(&log, &[]).stdout.matches("INFO 2019").count(), 2);
    assert_eq!(replay(&log, &["--empty"]).stdout.matches("INFO 2019").count(), 5);
}

#[test]
fn formats_are_seen_or_named() {
    let scratch = Scratch::new();
    let check = |format: &str, log: &str| {
        let arguments = ["monitor", "--no-follow", "-q", "--format", format, "-"];
        let run = scratch.run_with_input(&arguments, log.as_bytes());
        assert!(run.code == 0 && run.stdout.contains("\t/a\tn=1 "), "{format}: {run:?}");
    };
    let common = "192.0.2.1 - - [03/Feb/2026:14:05:06 +0000] \"GET /a HTTP/1.1\" 200 12\n";
    check("auto", common);
    check("common", common);
    check("auto", "{\"ts\":1770127506.5,\"request\":{\"uri\":\"/a\"},\"status\":200}\n");
    check("auto", "#Fields: date time cs-uri-stem sc-status\n2026-02-03 14:05:06 /a 200\n");
    check("$remote_addr $msec \"$request\" $status", "h 1770127506.5 \"GET /a HTTP/1.1\" 200\n");
    check("%h %t \"%r\" %>s", "h [03/Feb/2026:14:05:06 +0000] \"GET /a HTTP/1.1\" 200\n");
    let arguments = ["monitor", "--format", "combind", "-"];
    assert_eq!(scratch.run_with_input(&arguments, b"").code, 2);
}

#[test]
fn what_is_no_access_log_is_explained() {
    let run = replay("started\nlistening on 80\n", &[]);
    assert_eq!(run.code, 2);
    for expected in
        ["a.csv: no known format: 2 of", "nearest is", "line 1, column", "name the format"]
    {
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = replay("started\nlistening on 80\n", &["--force"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("2 lines skipped: "), "{}", run.stderr);
}

#[test]
fn bad_lines_are_counted_shown_and_harmless() {
    let log = format!("{HEADER}\n{}evil\u{1b}[2J,x\n", line(0, "/\u{1b}]0;x\u{7}", 200, 1));
    let run = replay(&log, &[]);
    assert!(run.stdout.contains("\t/\\u{1b}]0;x\\u{7}\t"), "{}", run.stdout);
    assert!(run.stderr.contains("a.csv, line 3, column"), "{}", run.stderr);
    assert!(!(run.stdout + &run.stderr).contains(['\u{1b}', '\u{7}']));
    assert_eq!(replay(&log, &["--quiet"]).stderr, "");
}

#[test]
fn labels_are_coloured_if_asked() {
    let run = replay(&sample(), &["--color", "always", "-t", "2", "-w", "10"]);
    assert!(run.stdout.contains("\u{1b}[1;97;41mERROR\u{1b}[0m High"), "{}", run.stdout);
    assert!(!replay(&sample(), &[]).stdout.contains('\u{1b}'));
}

#[test]
fn sources_that_are_none_are_told_and_the_others_go_on() {
    let scratch = Scratch::new();
    scratch.write("a.csv", sample());
    fs::create_dir(scratch.path("folder")).unwrap();
    nix::unistd::mkfifo(&scratch.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (source, expected) in [
        ("missing", "missing: No such file"),
        ("folder", "folder: a directory that is no store; a source is"),
        ("pipe", "pipe: a named pipe; let it in"),
        ("/dev/null", "/dev/null: neither a file nor a pipe"),
        ("*.none", "*.none: no file matches"),
    ] {
        let run = scratch.run(&["monitor", "--no-follow", source]);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{run:?}");
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        let run = scratch.run(&["monitor", "--no-follow", source, "a.csv"]);
        assert!(
            run.code == 2 && run.stdout.ends_with("End of file has been reached.\n"),
            "{run:?}"
        );
    }
    assert_eq!(scratch.run(&["monitor", "folder"]).code, 2, "there is nothing to follow");
    // Nothing is forbidden to root.
    if !nix::unistd::geteuid().is_root() {
        let secret = scratch.write("secret.csv", sample());
        fs::set_permissions(secret, fs::Permissions::from_mode(0o000)).unwrap();
        let run = scratch.run(&["monitor", "--no-follow", "secret.csv", "a.csv"]);
        assert!(run.stderr.contains("secret.csv: Permission denied"), "{run:?}");
        assert!(run.code == 2 && run.stdout.ends_with("reached.\n"), "{run:?}");
    }
}

#[test]
fn wrong_usage_is_told() {
    let scratch = Scratch::new();
    for (arguments, expected) in [
        (&[][..], "SOURCE"),
        (&["-t", "-1", "a"], "expected requests per second"),
        (&["-i", "-1", "a"], "expected a time"),
        (&["--log_window", "-5", "a"], "expected a time"),
        (&["--recover", "-1", "a"], "expected requests per second"),
        (&["-t", "x", "a"], "expected requests per second"),
        (&["-i", "0", "a"], "expected at least a second"),
        (&["-w", "25h", "a"], "at most a day"),
        (&["--recover", "11", "a"], "--recover 11 is above --threshold 10"),
        (&["--alert", "rat > 1", "a"], "expected rate, error_rate"),
        (&["a[", "--no-follow"], "is no pattern"),
        (&["--compat", "other", "a"], "httpmonitor"),
        (&["-o", "xml", "a"], "json"),
    ] {
        let run = scratch.run(&[&["monitor"], arguments].concat());
        assert!(run.code == 2 && run.stderr.contains(expected), "{arguments:?}: {run:?}");
    }
}

#[test]
fn archives_patterns_and_standard_input_are_read_together() {
    let scratch = Scratch::new();
    let mut log = format!("{HEADER}\n");
    (0..1_000).for_each(|n| log += &line(n / 10, "/a", 200, n));
    scratch.write("a-1.csv", &log);
    fs::hard_link(scratch.path("a-1.csv"), scratch.path("a-2.csv")).unwrap();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(log.as_bytes()).unwrap();
    scratch.write("b.csv.gz", zipped.finish().unwrap());
    scratch.write("c.csv.zst", zstd::encode_all(log.as_bytes(), 1).unwrap());
    scratch.write("d.csv.xz", b"\xFD7zXZ\0rest");
    let arguments =
        ["monitor", "--no-follow", "-o", "json", "a-*.csv", "b.csv.gz", "c.csv.zst", "-"];
    let run = scratch.run_with_input(&arguments, log.as_bytes());
    let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((run.code, &end["requests"]), (0, &4_000.into()), "a link is read once: {run:?}");
    let run = scratch.run(&["monitor", "--no-follow", "d.csv.xz"]);
    assert!(run.code == 2 && run.stderr.contains("try: xz -dc FILE"), "{run:?}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let scratch = Scratch::new();
    scratch.write("a.csv", sample());
    let mut command = scratch.command(&["monitor", "a.csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(141), Vec::new()));
}

#[test]
fn a_growing_log_is_followed_until_a_signal_which_prints_what_is_left() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = Scratch::new();
        scratch.write("a.csv", format!("{HEADER}\n"));
        let watch = Watch::start(scratch, &["-t", "2", "-w", "3", "a.csv", "later.csv"]);
        watch.wait_for("later.csv: there is no such file now; waiting");
        watch.append("a.csv", &(line(1, "/a", 200, 1).repeat(9)));
        watch.append("later.csv", &format!("{HEADER}\n{}", line(9, "/b", 200, 1)));
        watch.wait_for("later.csv: it is there again");
        watch.append("a.csv", &line(9, "/a", 200, 1));
        watch.wait_for("triggered at 2019-02-07T21:11:01Z\tn=9 window=3s");
        // Nobody has finished this line.
        watch.append("a.csv", "\"10.0.0.2\",\"-\",\"apa");
        watch.append("a.csv", "");
        let (code, out) = watch.end(signal);
        assert_eq!(code, 0);
        assert!(out.contains("n=11 "), "{out}");
        assert!(!out.contains("End of file"), "{out}");
    }
}

#[test]
fn an_idle_source_does_not_hold_back_the_others_and_alerts_recover_in_silence() {
    let scratch = Scratch::new();
    scratch.write("idle.csv", format!("{HEADER}\n{}", line(0, "/idle", 200, 1)));
    scratch.write("busy.csv", format!("{HEADER}\n{}", line(2, "/a", 200, 1).repeat(9)));
    let arguments = ["-t", "2", "-w", "2", "--lateness", "1", "idle.csv", "busy.csv"];
    let watch = Watch::start(scratch, &arguments);
    watch.wait_for("triggered at 2019-02-07T21:11:02Z");
    watch.wait_for("recovered at 2019-02-07T21:11:04Z");
}

#[test]
fn a_pattern_finds_files_that_come_later() {
    let scratch = Scratch::new();
    let watch = Watch::start(scratch, &["-o", "json", "--lateness", "0", "*.csv"]);
    watch.wait_for("*.csv: no file matches yet");
    watch.append("new.csv", &format!("{HEADER}\n{}", line(0, "/a", 200, 1)));
    watch.wait_for(r#""source":"new.csv""#);
    let start = Instant::now();
    let (code, out) = loop {
        std::thread::sleep(Duration::from_millis(50));
        watch.append("new.csv", &line(60, "/a", 200, 1));
        if watch.out().contains("summary") || start.elapsed() > PATIENCE {
            break watch.end(Signal::SIGTERM);
        }
    };
    assert!(code == 0 && out.contains(r#""section":"/a""#), "{out}");
}

#[test]
fn a_later_run_goes_on_where_the_state_file_says() {
    let scratch = Scratch::new();
    let requests = |scratch: &Scratch| {
        let run =
            scratch.run(&["monitor", "--no-follow", "-o", "json", "--state", "state", "a.csv"]);
        let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
        assert_eq!((run.code, &*run.stderr), (0, ""), "{run:?}");
        (end["requests"].as_u64().unwrap(), end["bytes"].as_u64().unwrap())
    };
    scratch.write("a.csv", format!("{HEADER}\n{}", line(0, "/a", 200, 1)));
    assert_eq!(requests(&scratch), (1, 1));
    assert_eq!(requests(&scratch), (0, 0));
    let append = |name: &str, text: &str| {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(scratch.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("a.csv", &line(1, "/a", 200, 10));
    assert_eq!(requests(&scratch), (1, 10), "the header is known from the file");
    append("a.csv", &line(2, "/a", 200, 100));
    fs::rename(scratch.path("a.csv"), scratch.path("a.csv.1")).unwrap();
    append("a.csv", &format!("{HEADER}\n{}", line(3, "/a", 200, 1_000)));
    assert_eq!(requests(&scratch), (2, 1_100), "what was rotated meanwhile comes first");
    scratch.write("state", "{}");
    assert_eq!(scratch.run(&["monitor", "--state", "state", "a.csv"]).code, 2);
}

#[test]
fn reading_begins_where_it_is_told_and_alerts_are_right_from_there() {
    let scratch = Scratch::new();
    scratch.write("a.csv", sample());
    let run = |from: &str| {
        let flags =
            ["monitor", "--no-follow", "-o", "json", "-t2", "-w10", "--from", from, "a.csv"];
        let run = scratch.run(&flags);
        assert_eq!((run.code, &*run.stderr), (0, ""), "{from}: {run:?}");
        let objects: Vec<Value> =
            run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let alerts = objects.iter().filter(|object| object["type"] == "alert").count();
        (objects.last().unwrap()["requests"].as_u64().unwrap(), alerts)
    };
    assert_eq!(run("start"), (110, 2));
    // From second 19 on; the window is full of the burst, which has a recovery still to come.
    assert_eq!(run("-20s"), (24 + 18, 2));
    assert_eq!(run("-5"), (6, 0));
    assert_eq!(run("-24h"), (110, 2));
    assert_eq!(run("end"), (0, 0));
    for wrong in ["middle", "-", "-25h", "2m", "--2m"] {
        let run = scratch.run(&["monitor", &format!("--from={wrong}"), "a.csv"]);
        assert!(run.code == 2 && run.stderr.contains("expected start, end, or"), "{run:?}");
    }
}

#[test]
fn a_log_that_is_followed_from_its_end_tells_what_comes() {
    let scratch = Scratch::new();
    scratch.write("a.csv", sample());
    let watch =
        Watch::start(scratch, &["--from", "end", "-o", "json", "-i1", "--lateness=0", "a.csv"]);
    watch.wait_for("started");
    watch.append("a.csv", &line(100, "/new", 200, 7));
    watch.wait_for("/new");
    let (code, out) = watch.end(Signal::SIGTERM);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, &end["requests"], &end["bytes"]), (0, &1.into(), &7.into()), "{out}");
}

#[test]
fn progress_is_shown_on_a_terminal_and_taken_away() {
    let scratch = Scratch::new();
    scratch.write("a.csv", sample());
    // NUL bytes that take no room on the disk.
    let file = OpenOptions::new().write(true).open(scratch.path("a.csv")).unwrap();
    file.set_len(65 << 20).unwrap();
    let told = |flags: &[&str]| {
        let pty = nix::pty::openpty(None, None).unwrap();
        let flags = [&["monitor", "--no-follow", "a.csv"], flags].concat();
        let mut command = scratch.command(&flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::from(pty.slave));
        assert!(command.spawn().unwrap().wait().unwrap().success());
        drop(command);
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
        // Where nobody has the other end any more, Linux answers with an error.
        while let Ok(count @ 1..) =
            File::read(&mut File::from(pty.master.try_clone().unwrap()), &mut chunk)
        {
            bytes.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(bytes).unwrap()
    };
    let text = told(&[]);
    let shown = text.find("reading: ").unwrap_or_else(|| panic!("{text:?}"));
    assert!(text.rfind("\r\u{1b}[K").unwrap() > shown, "{text:?}");
    assert!(text.ends_with("NUL bytes skipped\r\n"), "{text:?}");
    assert_eq!(told(&["-q"]), "");
}

#[test]
fn the_seeds_way_of_intervals_and_sections_can_be_had_alone() {
    let log = format!("{HEADER}\n{}{}", line(3, "/a?x", 200, 1), line(12, "/a?x", 200, 1));
    assert_eq!(replay(&log, &[]).stdout.matches("\t/a\tn=1 ").count(), 2);
    let run = replay(&log, &["--align", "first", "--section-query"]);
    assert_eq!(run.stdout.matches("\t/a?x\tn=2 ").count(), 1, "{run:?}");
}

#[test]
fn lines_longer_than_the_limit_are_skipped_and_counted() {
    let long = line(1, &format!("/{}", "x".repeat(2_000)), 200, 1);
    let log = format!("{HEADER}\n{}{long}{}", line(0, "/a", 200, 1), line(2, "/b", 200, 1));
    assert_eq!(replay(&log, &[]).stderr, "");
    let run = replay(&log, &["--line-limit", "1024"]);
    assert!(run.stderr.contains("1 line skipped: longer than the limit"), "{}", run.stderr);
    assert!(run.stderr.contains("a.csv, line 3, column 1025: \"10.0.0.2\""), "{}", run.stderr);
    assert!(run.stdout.contains("n=2 "), "{run:?}");
}

#[test]
fn a_large_log_gives_the_same_in_pieces_and_from_a_pipe() {
    let scratch = Scratch::new();
    let mut log = String::new();
    for n in 0..60_000_u64 {
        let (second, path) = (n / 100, n % 37);
        let time = format!("03/Feb/2026:14:{:02}:{:02} +0000", second / 60, second % 60);
        writeln!(log, "192.0.2.{} - - [{time}] \"GET /{path}/x HTTP/1.1\" 200 {n}", n % 200)
            .unwrap();
    }
    scratch.write("a.log", &log);
    let flags = ["monitor", "--no-follow", "-t", "90", "--top", "3"];
    let file = scratch.run(&[&flags[..], &["a.log"]].concat());
    let pipe = scratch.run_with_input(&[&flags[..], &["-"]].concat(), log.as_bytes());
    assert!(file.code == 0 && file.stdout.contains("INFO In all 60000 requests"), "{file:?}");
    assert_eq!(file.stdout.replace("a.log", "standard input"), pipe.stdout);
}
