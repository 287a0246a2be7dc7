//! `logq monitor --tui` on a terminal: what it shows, how it ends, and that the terminal is as it was.

#![cfg(feature = "tui")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::Scratch;
use nix::pty::Winsize;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;

/// Far more than anything here takes: a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn lines(from: u32, to: u32, count: u32) -> String {
    let line = |second: u32| {
        let (minute, second) = (second / 60, second % 60);
        format!(
            "192.0.2.1 - - [07/Feb/2019:21:{minute:02}:{second:02} +0000] \
             \"GET /\\x1b]0;evil/x HTTP/1.1\" 200 100\n"
        )
        .repeat(usize::try_from(count).unwrap())
    };
    (from..to).map(line).collect()
}

/// A monitor on a terminal of 80 columns and 24 rows.
struct Stage {
    child: Child,
    scratch: Scratch,
    master: File,
    slave: File,
    before: Termios,
    /// All that it wrote, and what the terminal shows after it.
    seen: Arc<Mutex<(Vec<u8>, vt100::Parser)>>,
}

impl Stage {
    fn start(scratch: Scratch, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        let before = tcgetattr(&slave).unwrap();
        let mut command = scratch.command(&[&["monitor", "--tui"], flags].concat());
        command.envs(environment.iter().copied()).env("TERM", "xterm-256color");
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
        let child = command.stderr(slave.try_clone().unwrap()).spawn().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let seen = Arc::new(Mutex::new((Vec::new(), vt100::Parser::new(24, 80, 0))));
        let (mut reader, sight) = (master.try_clone().unwrap(), Arc::clone(&seen));
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            // Where nobody has the other end any more, Linux answers with an error.
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                let mut seen = sight.lock().unwrap();
                seen.0.extend_from_slice(&chunk[..count]);
                seen.1.process(&chunk[..count]);
            }
        });
        Self { child, scratch, master, slave, before, seen }
    }

    fn contents(&self) -> String {
        self.seen.lock().unwrap().1.screen().contents()
    }

    fn row(&self, row: u16) -> String {
        let seen = self.seen.lock().unwrap();
        let (_, columns) = seen.1.screen().size();
        seen.1.screen().rows(0, columns).nth(row.into()).unwrap_or_default()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.contents().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?} in\n{}", self.contents());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    /// Waits for its end; answers its exit code and all that it wrote.
    fn end(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(after.local_flags, self.before.local_flags, "keys are lines again");
        assert!(after.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
        // What was written before the end is read before the end of this line.
        self.slave.write_all(b"<end>").unwrap();
        self.wait_for("<end>");
        let seen = self.seen.lock().unwrap();
        assert!(!seen.1.screen().alternate_screen(), "what was there before is shown again");
        assert!(!seen.1.screen().hide_cursor());
        (code, String::from_utf8(seen.0.clone()).unwrap())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(scratch: &Scratch, text: &str) {
    let mut file = OpenOptions::new().append(true).open(scratch.path("a.log")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_log_is_shown_as_it_grows_until_a_key_ends_it() {
    let scratch = Scratch::new();
    scratch.write("a.log", lines(0, 30, 1));
    let mut stage = Stage::start(scratch, &["-t2", "-w10", "a.log", "later.log"], &[]);
    stage.wait_for("30 requests");
    // Nothing from a log acts, and what is told does not tear the screen.
    stage.wait_for("later.log: there is no such file now");
    append(&stage.scratch, &(lines(30, 40, 8) + "nonsense\n" + &lines(40, 60, 1)));
    stage.wait_for("2019-02-07 21:00:31Z to 21:00:48");
    stage.wait_for("bad 1");
    stage.wait_for("100.0% /\\x1b]0;evil");
    stage.press(b"p");
    stage.wait_for("PAUSED");
    append(&stage.scratch, &lines(60, 62, 1));
    stage.press(b"?");
    stage.wait_for("pause the screen");
    stage.press(b"x");
    stage.press(b"p");
    stage.wait_for("132 requests");
    stage.press(b"q");
    let (code, text) = stage.end();
    assert_eq!(code, 0);
    let (_, after) = text.rsplit_once("\u{1b}[?1049l").unwrap();
    assert!(after.contains("1 line skipped"), "the report is told afterwards: {after:?}");
    assert!(after.contains("later.log: there is no such file"), "and what waited: {after:?}");
    assert!(!text.contains("\u{1b}]0;evil"));
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let scratch = Scratch::new();
    scratch.write("a.log", lines(0, 30, 1));
    let mut stage = Stage::start(scratch, &["a.log"], &[("NO_COLOR", "1")]);
    stage.wait_for("30 requests");
    let (rows, columns) = (10, 30);
    stage.seen.lock().unwrap().1.screen_mut().set_size(rows, columns);
    let mut stty = Command::new("stty");
    stty.args(["rows", &rows.to_string(), "cols", &columns.to_string()]);
    assert!(stty.stdin(stage.slave.try_clone().unwrap()).status().unwrap().success());
    // It may be asked by a signal that a terminal sends to its own processes only.
    kill(Pid::from_raw(stage.child.id().try_into().unwrap()), Signal::SIGWINCH).unwrap();
    let start = Instant::now();
    // The last row is the last one again, not the tenth of what was drawn before.
    while !stage.row(rows - 1).starts_with("q quit  p pause") {
        assert!(start.elapsed() < PATIENCE, "{}", stage.contents());
        thread::sleep(Duration::from_millis(10));
    }
    stage.press(&[3]);
    let (code, text) = stage.end();
    assert_eq!(code, 0, "Ctrl-C ends it, too");
    let colours = text.split("\u{1b}[").skip(1).filter_map(|part| part.split_once('m'));
    let colours: Vec<&str> = colours.map(|(numbers, _)| numbers).collect();
    let is_colour = |numbers: &&str| {
        let mut numbers = numbers.split(';').filter_map(|number| number.parse::<u32>().ok());
        numbers.any(|number| {
            (30..=38).contains(&number) || (40..=48).contains(&number) || number >= 90
        })
    };
    assert!(!colours.iter().any(is_colour), "{colours:?}");
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let scratch = Scratch::new();
        scratch.write("a.log", lines(0, 30, 1));
        let stage = Stage::start(scratch, &["a.log"], &[]);
        stage.wait_for("30 requests");
        kill(Pid::from_raw(stage.child.id().try_into().unwrap()), signal).unwrap();
        let (code, _) = stage.end();
        assert_eq!(code, 0, "{signal}");
    }
}

#[test]
fn what_a_whole_log_came_to_is_shown_until_somebody_has_seen_it() {
    let scratch = Scratch::new();
    scratch.write("a.log", lines(0, 30, 4));
    let flags = ["-t2", "-w10", "--no-follow", "--fail-on-alert", "a.log"];
    let mut stage = Stage::start(scratch, &flags, &[]);
    stage.wait_for("The input has ended");
    stage.wait_for("1 ALERT");
    assert!(stage.child.try_wait().unwrap().is_none());
    stage.press(b"q");
    assert_eq!(stage.end().0, 3);
}

#[test]
fn without_a_terminal_it_is_refused_and_mistakes_leave_the_terminal_alone() {
    let scratch = Scratch::new();
    scratch.write("a.log", lines(0, 3, 1));
    let run = scratch.run(&["monitor", "--tui", "a.log"]);
    assert!(run.code == 2 && run.stderr.contains("--tui needs a terminal"), "{run:?}");
    assert_eq!(scratch.run(&["monitor", "--tui", "-o", "json", "a.log"]).code, 2);
    let stage = Stage::start(scratch, &["none.log", "--no-follow"], &[]);
    let (code, text) = stage.end();
    assert_eq!(code, 2);
    let (_, after) = text.rsplit_once("\u{1b}[?1049l").unwrap_or(("", &text));
    assert!(after.contains("none.log: No such file"), "{text:?}");
}
