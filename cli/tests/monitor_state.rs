//! `logq monitor --state`: runs that end anyhow and go on where others were say what one run says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Scratch, wait_until};
use fastrand::Rng;
use logq_testkit::access_log::{AccessForm, AccessLog};
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::{TrafficOptions, generate};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const HEADER: &str = "date,request,status,bytes\n";
/// What is watched: averages over a minute and longer, which a run that forgets cannot know.
const FLAGS: [&str; 9] = [
    "-q",
    "--lateness=10m",
    "-t2",
    "-w60",
    "--keep-firing=20",
    "--alert=error_ratio > 20% over 90s for 10s",
    "--alert=rate > 1 over 30s by section",
    "--store",
    "traffic",
];

fn line(second: u64, section: u8, status: u16) -> String {
    format!("{},GET /{section}/x HTTP/1.1,{status},10\n", 1_770_127_200 + second)
}

/// Twenty minutes with bursts and failures that begin and end in different windows; the lines of each
/// second.
fn sample(random: &mut Rng) -> Vec<String> {
    let lines = |second: u64| {
        let count = if second % 300 < 100 { random.u64(2..7) } else { random.u64(..2) };
        let is_bad = second % 400 > 250;
        (0..count)
            .map(|number| {
                let section = if second % 500 < 200 { 0 } else { (number % 3) as u8 };
                line(second, section, if is_bad && number % 2 == 0 { 500 } else { 200 })
            })
            .collect::<String>()
    };
    (0..1_200).map(lines).collect()
}

/// What the store of a run says of alerts and of each minute.
fn report(scratch: &Scratch) -> Value {
    let run =
        scratch.run(&["monitor", "report", "--store", "traffic", "--interval=1m", "-o", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// What one run over the whole text says.
fn expected(text: &str) -> Value {
    let scratch = Scratch::new();
    scratch.write("a.csv", format!("{HEADER}{text}"));
    let run = scratch.run(&[&["monitor", "--no-follow"], &FLAGS[..], &["a.csv"]].concat());
    assert_eq!((run.code, &*run.stderr), (0, ""));
    let report = report(&scratch);
    assert!(report["alerts"].as_array().unwrap().len() > 10, "{report}");
    report
}

fn append(scratch: &Scratch, name: &str, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).open(scratch.path(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Bytes of whole lines that the state file says were read.
fn noted(scratch: &Scratch) -> u64 {
    let text = fs::read(scratch.path("state")).unwrap_or_default();
    let state: Value = serde_json::from_slice(&text).unwrap_or_default();
    let files = state["files"].as_array().cloned().unwrap_or_default();
    files.iter().map(|file| file["offset"].as_u64().unwrap()).sum()
}

/// A monitor that follows `a.csv` until it is killed.
struct Watch(Child);

impl Watch {
    fn start(scratch: &Scratch) -> Self {
        let arguments = [&["monitor", "--state", "state"], &FLAGS[..], &["a.csv"]].concat();
        let mut command = scratch.command(&arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(scratch.path("err")).unwrap());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Once windows were empty after each of them, so alerts came a window late, or never; and seconds
/// that were open in a file which had been rotated away were lost.
#[test]
fn runs_that_are_killed_anywhere_and_rotated_meanwhile_say_what_one_run_says() {
    let mut random = Rng::with_seed(11);
    let text = sample(&mut random).concat();
    let expected = expected(&text);
    let scratch = Scratch::new();
    append(&scratch, "a.csv", HEADER);
    let (mut rest, mut whole) = (&*text, HEADER.len() as u64);
    for round in 1..=6 {
        let watch = Watch::start(&scratch);
        // Anywhere, in the middle of a line, too.
        let (part, more) = rest.split_at(random.usize(..=rest.len() / (8 - round)));
        append(&scratch, "a.csv", part);
        rest = more;
        if round % 2 == 0 {
            // The rest of the line, and a new file that is just begun.
            let (part, more) = rest.split_at(rest.find('\n').unwrap() + 1);
            append(&scratch, "a.csv", part);
            whole += HEADER.len() as u64;
            fs::rename(scratch.path("a.csv"), scratch.path(&format!("a.csv.{round}"))).unwrap();
            let (begun, more) = more.split_at(more.find('\n').unwrap() + 1);
            append(&scratch, "a.csv", &format!("{HEADER}{begun}"));
            rest = more;
        }
        let written = text.len() - rest.len();
        let lines = text[..written].rfind('\n').map_or(0, |end| end as u64 + 1);
        wait_until("all is read", || noted(&scratch) == lines + whole);
        drop(watch);
    }
    append(&scratch, "a.csv", rest);
    let arguments = [&["monitor", "--no-follow", "--state", "state"], &FLAGS[..], &["a.csv"]];
    let run = scratch.run(&arguments.concat());
    assert_eq!((run.code, &*run.stderr), (0, ""));
    assert_eq!(report(&scratch), expected);
}

/// Between seconds of a log in order, what is closed at the end of a run is as it would be anyway.
#[test]
fn runs_that_end_between_seconds_say_what_one_run_says() {
    let mut random = Rng::with_seed(12);
    let seconds = sample(&mut random);
    let expected = expected(&seconds.concat());
    let scratch = Scratch::new();
    append(&scratch, "a.csv", HEADER);
    let mut rest = &seconds[..];
    while !rest.is_empty() {
        let (part, more) = rest.split_at(random.usize(1..=40.min(rest.len())));
        append(&scratch, "a.csv", &part.concat());
        rest = more;
        let arguments = [&["monitor", "--no-follow", "--state", "state"], &FLAGS[..], &["a.csv"]];
        let run = scratch.run(&arguments.concat());
        assert_eq!((run.code, &*run.stderr), (0, ""));
    }
    let found = report(&scratch);
    assert_eq!(found["alerts"], expected["alerts"]);
    let requests = |report: &Value, row: usize| report["rows"][row]["requests"].clone();
    for row in 0..20 {
        assert_eq!(requests(&found, row), requests(&expected, row), "minute {row}");
    }
}

/// It was counted as it stood, and once more when it was whole.
#[test]
fn half_a_line_waits_for_the_next_run() {
    let scratch = Scratch::new();
    let requests = || -> u64 {
        let arguments = ["monitor", "--no-follow", "-o", "json", "--state", "state", "a.csv"];
        let run = scratch.run(&arguments);
        assert_eq!((run.code, &*run.stderr), (0, ""));
        let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
        end["requests"].as_u64().unwrap()
    };
    let (whole, half) = (line(1, 0, 200), line(2, 0, 200));
    append(&scratch, "a.csv", &format!("{HEADER}{whole}{}", half.trim_end()));
    assert_eq!(requests(), 1);
    append(&scratch, "a.csv", "0\n");
    assert_eq!(requests(), 1);
    assert_eq!(requests(), 0);
}

/// A log of few lines an hour: at the end of each run nobody is there to confirm what is late.
#[test]
fn a_later_run_takes_lines_of_hours_later() {
    let scratch = Scratch::new();
    append(&scratch, "a.csv", HEADER);
    for hour in 0..4 {
        append(&scratch, "a.csv", &line(hour * 7_200, 0, 200));
        let arguments = ["monitor", "--no-follow", "-o", "json", "--state", "state", "a.csv"];
        let run = scratch.run(&arguments);
        let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
        assert_eq!((&end["requests"], &end["quarantined"]), (&1.into(), &0.into()), "{run:?}");
    }
}

/// Twenty minutes of traffic as a store of many small blocks, and of other traffic as an access log.
fn write_traffic(scratch: &Scratch) {
    let traffic = |seed| TrafficOptions {
        seed,
        records: 40_000,
        span_us: 1_200_000_000,
        ..TrafficOptions::default()
    };
    let options =
        SegmentOptions { traffic: traffic(1), block_bytes: 2 << 10, ..SegmentOptions::default() };
    fs::create_dir(scratch.path("shop")).unwrap();
    let segment = encode(&options).unwrap();
    scratch.write("shop/0000000001-20260203T000000Z.logq", segment.bytes);
    let (mut log, mut text) = (AccessLog::new(AccessForm::Combined), String::new());
    generate(&traffic(2), |_, record| text.extend(log.line(record)));
    scratch.write("access.log", text);
}

/// A replay prints more than a pipe holds, so it is in the middle when little of that was read. It is
/// ended there, and again and again behind what was noted, until one comes to the end.
fn replay_in_parts(scratch: &Scratch, sources: &[&str], signal: Signal, random: &mut Rng) {
    const FLAGS: [&str; 6] =
        ["monitor", "--no-follow", "-q", "--state=state", "--store=traffic", "-i1"];
    let alerts = ["-t", "8", "-w", "20", "--alert=error_ratio > 2% over 20s", "-o", "json"];
    let arguments = [&FLAGS[..], &alerts, sources].concat();
    for round in 0..8 {
        let mut command = scratch.command(&arguments);
        let mut run = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = run.stdout.take().unwrap();
        let mut part = vec![0; random.usize(1..100_000)];
        let is_part = out.read_exact(&mut part).is_ok();
        if round % 3 == 2 {
            // So long that a state is due, and there is some more to note it behind.
            std::thread::sleep(Duration::from_millis(1_100));
            let _ = out.read_exact(&mut part);
        }
        let pid = Pid::from_raw(i32::try_from(run.id()).unwrap());
        kill(pid, signal).unwrap();
        std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        let status = run.wait().unwrap();
        assert!(status.success() || signal == Signal::SIGKILL, "{sources:?} {signal} {status}");
        if !is_part {
            break;
        }
    }
    let run = scratch.run(&arguments);
    assert_eq!((run.code, &*run.stderr), (0, ""));
}

/// A replay of a store that was ended left no state behind, so all of it was counted, and written to
/// the series, once more; at the end by a signal, seconds were decided of which half was read.
#[test]
fn replays_that_are_ended_anywhere_say_what_one_run_says() {
    let mut random = Rng::with_seed(13);
    for sources in [&["shop"][..], &["access.log"], &["shop", "access.log"]] {
        let whole = Scratch::new();
        write_traffic(&whole);
        let arguments = ["monitor", "--no-follow", "-q", "--store=traffic", "-i1", "-t8", "-w20"];
        let alerts = ["--alert=error_ratio > 2% over 20s"];
        let run = whole.run(&[&arguments[..], &alerts, sources].concat());
        assert_eq!((run.code, &*run.stderr), (0, ""));
        let expected = report(&whole);
        let alerts = expected["alerts"].as_array().unwrap().len();
        assert!(alerts > 4, "{alerts} alerts of {sources:?}");
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
            let scratch = Scratch::new();
            write_traffic(&scratch);
            replay_in_parts(&scratch, sources, signal, &mut random);
            assert_eq!(report(&scratch), expected, "{sources:?} {signal}");
        }
    }
}

/// An archive was read by every run, also if its lines had been read before they were compressed.
#[test]
fn archives_are_read_once_whoever_compressed_them_when() {
    let scratch = Scratch::new();
    let requests = || -> u64 {
        let arguments = ["monitor", "--no-follow", "-o", "json", "--state", "state", "a.csv*"];
        let run = scratch.run(&arguments);
        assert_eq!((run.code, &*run.stderr), (0, ""));
        let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
        end["requests"].as_u64().unwrap()
    };
    let lines = |seconds: std::ops::Range<u64>| -> String {
        seconds.map(|second| line(second, 0, 200)).collect()
    };
    append(&scratch, "a.csv", &format!("{HEADER}{}", lines(0..100)));
    assert_eq!(requests(), 100);
    // Nobody watches while it is written on, rotated and compressed.
    append(&scratch, "a.csv", &lines(100..120));
    let text = fs::read(scratch.path("a.csv")).unwrap();
    let archive = File::create(scratch.path("a.csv.1.gz")).unwrap();
    let mut archive = flate2::write::GzEncoder::new(archive, flate2::Compression::fast());
    archive.write_all(&text).unwrap();
    archive.finish().unwrap();
    fs::remove_file(scratch.path("a.csv")).unwrap();
    append(&scratch, "a.csv", &format!("{HEADER}{}", lines(120..150)));
    assert_eq!(requests(), 50);
    assert_eq!(requests(), 0);
    // A short one, which begins as the log does.
    let archive = zstd::encode_all(format!("{HEADER}{}", line(200, 0, 200)).as_bytes(), 1).unwrap();
    scratch.write("a.csv.2.zst", archive);
    assert_eq!((requests(), requests()), (1, 0));
}
