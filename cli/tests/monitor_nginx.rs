//! nginx logs under load while its log is rotated as logrotate does it, by renaming and USR1, and
//! `logq monitor` sees the alert and the recovery at the right seconds: those that follow from the
//! lines which nginx wrote, all of them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Far more than anything here takes: a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests per second, far fewer than there are.
const THRESHOLD: u64 = 25;
const WINDOW_S: i64 = 2;
const ROTATIONS: u32 = 5;

/// A server and a monitor of its log.
struct Watched {
    nginx: Child,
    monitor: Child,
    scratch: Scratch,
    port: u16,
}

impl Watched {
    /// Nothing where there is no nginx.
    fn start() -> Option<Self> {
        let scratch = Scratch::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        scratch.write("nginx.conf", configuration(&scratch, port));
        scratch.write("access.log", "");
        let mut server = Command::new("nginx");
        server.arg("-p").arg(scratch.path("")).arg("-c").arg(scratch.path("nginx.conf"));
        server.arg("-e").arg(scratch.path("error.log"));
        server.stdout(Stdio::null()).stderr(Stdio::null());
        let nginx = server.spawn().ok()?;
        let (threshold, window) = (THRESHOLD.to_string(), WINDOW_S.to_string());
        let flags = ["-t", &threshold, "-w", &window, "-i", "1", "--lateness", "1"];
        let arguments = [&["monitor", "-o", "json", "access.log"], &flags[..]].concat();
        let mut command = scratch.command(&arguments);
        command.stdin(Stdio::null()).stdout(File::create(scratch.path("out")).unwrap());
        command.stderr(File::create(scratch.path("err")).unwrap());
        let monitor = command.spawn().unwrap();
        let watched = Self { nginx, monitor, scratch, port };
        watched.wait_until("nginx listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(watched)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path(name)).unwrap_or_default()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            let told = self.text("err") + &self.text("error.log");
            assert!(start.elapsed() < PATIENCE, "{what}: {told}\n{}", self.text("out"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// As logrotate: the log gets another name, then nginx is asked for a new one.
    fn rotate(&self, number: u32) {
        let [log, old] = ["access.log".to_owned(), format!("access.log.{number}")]
            .map(|name| self.scratch.path(&name));
        fs::rename(&log, old).unwrap();
        kill(Pid::from_raw(self.nginx.id().try_into().unwrap()), Signal::SIGUSR1).unwrap();
        self.wait_until("the log is opened anew", || log.exists());
    }

    /// The seconds at which the monitor says that the alert fired and recovered.
    fn changes(&self) -> Vec<(String, i64)> {
        let objects = self.objects().into_iter().filter(|object| object["type"] == "alert");
        let change = |object: Value| {
            let time = object["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            (object["change"].as_str().unwrap().to_owned(), time.as_second())
        };
        objects.map(change).collect()
    }

    fn objects(&self) -> Vec<Value> {
        let text = self.text("out");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many lines nginx wrote in each second.
    fn written(&self) -> BTreeMap<i64, u64> {
        let mut seconds = BTreeMap::new();
        let rotated = (1..=ROTATIONS).map(|number| format!("access.log.{number}"));
        for line in rotated.chain(["access.log".to_owned()]).map(|name| self.text(&name)) {
            for line in line.lines() {
                let time = line.split(['[', ']']).nth(1).unwrap();
                let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", time).unwrap();
                *seconds.entry(time.to_timestamp().unwrap().as_second()).or_default() += 1;
            }
        }
        seconds
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Its workers end with the master only if it is asked.
        let _ = kill(Pid::from_raw(self.nginx.id().try_into().unwrap()), Signal::SIGTERM);
        let _ = self.nginx.wait();
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

fn configuration(scratch: &Scratch, port: u16) -> String {
    let folder = scratch.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "{user}\ndaemon off;\nworker_processes 2;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 64; }}\nhttp {{\n{temporary}  access_log {folder}/access.log;\n\
         \x20 keepalive_requests 100000;\n\
         \x20 server {{ listen 127.0.0.1:{port}; return 200 ok; }}\n}}\n"
    )
}

/// Sends requests over one connection until it is told to stop; answers how many were answered.
fn load(port: u16, stop: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let request = format!("GET /shop/{count} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let (mut line, mut len) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "nginx has closed the connection");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                len = value.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; len]).unwrap();
        count += 1;
        // Rotation takes a moment; some thousand requests in it are enough.
        thread::sleep(Duration::from_micros(200));
    }
    count
}

/// When the alert fires and recovers by the definition: at the end of each second, the lines of the
/// window are more than the threshold, or fewer.
fn expected(written: &BTreeMap<i64, u64>) -> Vec<(String, i64)> {
    let (mut changes, mut is_firing) = (Vec::new(), false);
    let (first, last) = (*written.keys().next().unwrap(), *written.keys().last().unwrap());
    for second in first..=last + WINDOW_S {
        let window = written.range(second - WINDOW_S + 1..=second);
        let sum: u64 = window.map(|(_, count)| count).sum();
        let threshold = THRESHOLD * WINDOW_S.unsigned_abs();
        if !is_firing && sum > threshold || is_firing && sum < threshold {
            is_firing = !is_firing;
            let change = if is_firing { "fired" } else { "recovered" };
            changes.push((change.to_owned(), second));
        }
    }
    changes
}

#[test]
fn the_alert_and_the_recovery_are_at_the_right_seconds_across_rotations() {
    let Some(mut watched) = Watched::start() else {
        // Not captured, as what a test prints would be.
        let _ = writeln!(std::io::stderr(), "NOT TESTED WITH NGINX: not installed (nginx-light)");
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let port = watched.port;
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || load(port, &stop))
        })
        .collect();
    watched.wait_until("there are lines", || !watched.text("access.log").is_empty());
    for number in 1..=ROTATIONS {
        let before = watched.text("out").len();
        watched.rotate(number);
        // The load goes on for as long as it takes to see something of it.
        let lines = || watched.text("access.log").lines().count();
        watched.wait_until("nginx writes to the new log", || lines() > 300);
        if number == ROTATIONS {
            watched.wait_until("a summary", || watched.text("out").len() > before);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    watched.wait_until("the recovery", || {
        watched.changes().last().is_some_and(|(change, _)| change == "recovered")
    });
    let written = watched.written();
    assert_eq!(written.values().sum::<u64>(), sent, "nginx has written what it answered");
    assert_eq!(watched.changes(), expected(&written), "{written:?}");
    kill(Pid::from_raw(watched.monitor.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(watched.monitor.wait().unwrap().code(), Some(0));
    let objects = watched.objects();
    let end = objects.last().unwrap();
    assert_eq!((&end["type"], &end["requests"]), (&"end".into(), &sent.into()), "{end}");
    assert_eq!((&end["late"], &end["bad"]), (&0.into(), &serde_json::json!({})), "{end}");
    assert!(!watched.text("err").contains("lost"), "{}", watched.text("err"));
}
