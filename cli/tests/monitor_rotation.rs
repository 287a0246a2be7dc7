//! A writer of numbered lines rotates its log in every known way while `logq monitor` follows it:
//! nothing is lost or doubled where the way permits it, and loss is told where it does not.
//!
//! `LOGQ_ROTATIONS=1000` for longer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Far more than anything here takes: a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(120);
const START: u64 = 1_549_573_800;
/// Lines of a second of log time.
const LINES: u64 = 10;
/// Lines of a file.
const LINES_OF_FILE: u64 = 7;
const FLAGS: [&str; 8] = ["monitor", "log", "-o", "json", "-i", "1", "--lateness", "60"];

fn rotations() -> u64 {
    let wanted = std::env::var("LOGQ_ROTATIONS").ok().and_then(|count| count.parse().ok());
    wanted.unwrap_or(150)
}

/// A log that is written, and the monitor that follows it.
struct Torture {
    scratch: Scratch,
    child: Child,
    log: File,
    written: u64,
}

impl Torture {
    /// `first` is the file that `log` is or leads to.
    fn start(first: &str) -> Self {
        Self::start_with(first, "5")
    }

    /// As [`Self::start`]; what was moved away is kept open for `rotate_wait`.
    fn start_with(first: &str, rotate_wait: &str) -> Self {
        let flags = ["--rotate-wait", rotate_wait];
        Self::start_by(first, |scratch| scratch.command(&[&FLAGS[..], &flags].concat()))
    }

    fn start_by(first: &str, command: impl Fn(&Scratch) -> Command) -> Self {
        let scratch = Scratch::new();
        let log = create(&scratch.path(first));
        if first != "log" {
            symlink(first, scratch.path("log")).unwrap();
        }
        let mut command = command(&scratch);
        command.stdout(File::create(scratch.path("out")).unwrap());
        command.stderr(File::create(scratch.path("err")).unwrap());
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let torture = Self { scratch, child, log, written: 0 };
        torture.wait_until("it begins", || torture.text("out").contains("started"));
        torture
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path(name)).unwrap()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "{what}: {}", self.text("err"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn line(&mut self, second: u64, number: u64) {
        let time = START + second;
        let line = format!("\"h\",\"-\",\"-\",{time},\"GET /{number} HTTP/1.0\",200,{number}\n");
        self.log.write_all(line.as_bytes()).unwrap();
    }

    /// Writes the lines of one file.
    fn write(&mut self) {
        for _ in 0..LINES_OF_FILE {
            self.line(self.written / LINES, self.written);
            self.written += 1;
        }
        std::thread::sleep(Duration::from_millis(8));
    }

    /// Whether the monitor has a descriptor of the file that this path leads to.
    fn is_opened(&self, name: &str) -> bool {
        let path = self.scratch.path(name);
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == path))
    }

    /// The bytes of all requests in summaries so far.
    fn summed_up(&self) -> u64 {
        let text = self.text("out");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let objects = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let summaries = objects.filter(|object| object["type"] == "summary");
        summaries.map(|summary| summary["bytes"].as_u64().unwrap()).sum()
    }

    /// Lets all that was written be printed, and ends the monitor; answers for each second how many
    /// lines it had and the sum of their numbers.
    fn end(mut self) -> (BTreeMap<u64, (u64, u64)>, u64, String) {
        // A day later, so that every second of the numbered lines is over.
        self.log.write_all(b"\n").unwrap();
        for _ in 0..4 {
            self.line(86_400, 0);
        }
        self.wait_until("the end", || self.text("out").contains("\"quiet\""));
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut seconds = BTreeMap::new();
        for line in self.text("out").lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            if object["type"] == "summary" {
                let time = object["start"].as_str().unwrap();
                let time = time.parse::<jiff::Timestamp>().unwrap().as_second();
                let second = u64::try_from(time).unwrap() - START;
                let found =
                    (object["requests"].as_u64().unwrap(), object["bytes"].as_u64().unwrap());
                assert_eq!((&object["late"], &object["bad"]), (&0.into(), &0.into()), "{line}");
                seconds.insert(second, found);
            }
        }
        (seconds, self.written, self.text("err"))
    }

    /// As [`Self::end`], where nothing may be lost.
    fn end_complete(self) {
        let (seconds, written, told) = self.end();
        for (second, expected) in expected(written) {
            assert_eq!(seconds.get(&second), Some(&expected), "second {second}: {told}");
        }
        assert!(!told.contains("may be lost"), "{told}");
    }
}

impl Drop for Torture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn create(path: &Path) -> File {
    OpenOptions::new().create_new(true).append(true).open(path).unwrap()
}

/// For each second how many lines were written and the sum of their numbers.
fn expected(written: u64) -> BTreeMap<u64, (u64, u64)> {
    let mut seconds = BTreeMap::new();
    for number in 0..written {
        let (count, sum) = seconds.entry(number / LINES).or_insert((0, 0));
        *count += 1;
        *sum += number;
    }
    seconds
}

#[test]
fn renamed() {
    let mut torture = Torture::start("log");
    for number in 1..=rotations() {
        torture.write();
        fs::rename(torture.scratch.path("log"), torture.scratch.path(&format!("log.{number}")))
            .unwrap();
        if number % 3 == 0 {
            // A writer that has not noticed yet.
            torture.write();
        }
        torture.log = create(&torture.scratch.path("log"));
    }
    torture.write();
    torture.end_complete();
}

#[test]
fn deleted_and_created_anew() {
    let mut torture = Torture::start("log");
    for _ in 0..rotations().min(300) {
        torture.write();
        // A file that nobody has seen cannot be read once it is deleted.
        torture.wait_until("it is opened", || torture.is_opened("log"));
        fs::remove_file(torture.scratch.path("log")).unwrap();
        torture.log = create(&torture.scratch.path("log"));
    }
    torture.write();
    torture.end_complete();
}

#[test]
fn hard_linked() {
    let mut torture = Torture::start("log");
    for number in 1..=rotations() {
        torture.write();
        let [log, draft] = ["log", "draft"].map(|name| torture.scratch.path(name));
        fs::hard_link(&log, torture.scratch.path(&format!("log.{number}"))).unwrap();
        torture.log = create(&draft);
        fs::rename(draft, log).unwrap();
    }
    torture.write();
    torture.end_complete();
}

#[test]
fn symbolic_link_swapped() {
    let mut torture = Torture::start("log-0");
    for number in 1..=rotations() {
        torture.write();
        let target = format!("log-{number}");
        torture.log = create(&torture.scratch.path(&target));
        let [log, draft] = ["log", "draft"].map(|name| torture.scratch.path(name));
        symlink(target, &draft).unwrap();
        fs::rename(draft, log).unwrap();
    }
    torture.write();
    torture.end_complete();
}

#[test]
fn copied_and_truncated() {
    let mut torture = Torture::start("log");
    for number in 1..=rotations() {
        torture.write();
        let path = torture.scratch.path("log");
        fs::copy(&path, torture.scratch.path(&format!("log.{}", number % 5))).unwrap();
        torture.log.set_len(0).unwrap();
    }
    torture.write();
    let (seconds, written, told) = torture.end();
    let mut lost = 0;
    for (second, (count, sum)) in expected(written) {
        let (found, found_sum) = seconds.get(&second).copied().unwrap_or_default();
        assert!(found <= count && found_sum <= sum, "second {second} has lines twice: {told}");
        assert!(found < count || found_sum == sum, "second {second}: {told}");
        lost += count - found;
    }
    assert!(lost == 0 || told.contains("may be lost"), "{lost} lost: {told}");
    assert!(told.contains("was truncated"), "{told}");
    assert!(lost < written / 2, "{lost} of {written} lost: it is looked at in time");
}

/// A line that a writer adds to its old file long after the new one was begun.
#[test]
fn a_file_that_was_moved_away_is_kept_open_for_as_long_as_is_said() {
    const DAY_S: u64 = 86_400;
    for (rotate_wait, expected) in [("1h", 111), ("0", 1_011)] {
        let mut torture = Torture::start_with("log", rotate_wait);
        torture.line(0, 1);
        fs::rename(torture.scratch.path("log"), torture.scratch.path("log.1")).unwrap();
        let new = create(&torture.scratch.path("log"));
        let old = std::mem::replace(&mut torture.log, new);
        torture.line(DAY_S, 10);
        torture.wait_until("the new file is read", || torture.summed_up() == 1);
        if rotate_wait == "0" {
            torture.wait_until("the old file is left", || !torture.is_opened("log.1"));
        }
        let new = std::mem::replace(&mut torture.log, old);
        torture.line(2 * DAY_S, 100);
        if rotate_wait == "0" {
            torture.log = new;
            torture.line(3 * DAY_S, 1_000);
        }
        torture.wait_until("the second day is over", || torture.summed_up() == 11);
        kill(Pid::from_raw(torture.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(torture.child.wait().unwrap().code(), Some(0));
        let text = torture.text("out");
        let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((&end["type"], &end["bytes"]), (&"end".into(), &expected.into()), "{end}");
    }
}

/// In a namespace of its own in which nobody may ask the kernel to tell of changes, as where all
/// instances of inotify are in use.
#[test]
fn where_the_system_refuses_to_tell_of_changes_it_is_said_once_and_logs_are_looked_at() {
    let namespace = "unshare --user --map-root-user sh -c \
        'echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"' sh";
    let may = Scratch::new().shell(&format!("{namespace} true")).status().unwrap();
    if !may.success() {
        eprintln!("skipped: no namespaces of users here");
        return;
    }
    let logq = env!("CARGO_BIN_EXE_logq");
    let line = format!("exec {namespace} {logq} {}", FLAGS.join(" "));
    let mut torture = Torture::start_by("log", |scratch| scratch.shell(&line));
    for number in 1..=rotations().min(30) {
        torture.write();
        torture.wait_until("it is opened", || torture.is_opened("log"));
        fs::rename(torture.scratch.path("log"), torture.scratch.path(&format!("log.{number}")))
            .unwrap();
        torture.write();
        torture.log = create(&torture.scratch.path("log"));
    }
    torture.write();
    torture.wait_until("it is said", || torture.text("err").contains("again and again"));
    let told = torture.text("err");
    assert_eq!(told.matches("the system refuses").count(), 1, "{told}");
    assert!(told.contains("fs.inotify.max_user_watches"), "{told}");
    torture.end_complete();
}
