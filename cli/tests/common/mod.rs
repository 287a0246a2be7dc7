//! What the command's tests share: running the real binary on stores in scratch directories.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on shall stop"
)]

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than anything takes: a test that waits so long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a user may have set, apart from what the tests set.
const SETTINGS: [&str; 9] = [
    "CLICOLOR_FORCE",
    "LESS",
    "LOGQ_COLORS",
    "LOGQ_DIR",
    "LOGQ_PAGER",
    "LOGQ_THREADS",
    "NO_COLOR",
    "PAGER",
    "XDG_CONFIG_HOME",
];

/// A scratch directory to run the command in.
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
}

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A command in the scratch directory, in UTC, without the user's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(env!("CARGO_BIN_EXE_logq"), arguments)
    }

    /// The same for a line of shell.
    pub(crate) fn shell(&self, line: &str) -> Command {
        self.prepared("bash", &["-c", line])
    }

    fn prepared(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("LOGQ_CONFIG", "-")
            .env("LOGQ_TZ", "UTC")
            .env("TERM", "xterm");
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::from(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        Run::from(output_with_input(self.command(arguments), input))
    }

    /// Makes the store `name` of JSON lines.
    pub(crate) fn store(&self, name: &str, lines: &str) -> Run {
        let run = self.run_with_input(&["import", "--to", name, "-"], lines.as_bytes());
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    /// The segments of a store.
    pub(crate) fn segments(&self, store: &str) -> Vec<PathBuf> {
        let mut paths: Vec<_> = std::fs::read_dir(self.path(store))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "logq"))
            .collect();
        paths.sort();
        paths
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

/// Runs a command to its end with this on standard input.
pub(crate) fn output_with_input(mut command: Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that fails early closes its input; that is not this side's failure.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Waits until something holds. What is waited for is printed if it never does, as it is then.
pub(crate) fn wait_until(what: impl Display, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a process, which must end.
pub(crate) fn end(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process that was started here.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// The store most tests ask: a small cluster for a minute.
pub(crate) const CLUSTER: &str = r#"{"timestamp":"2026-02-03T14:00:00.000000Z","level":"INFO","type":"LIFECYCLE","workerId":null,"writer":1,"seq":0,"event":"STARTING_UP"}
{"timestamp":"2026-02-03T14:00:01.000000Z","level":"INFO","type":"LIFECYCLE","workerId":3,"writer":1,"seq":1,"event":"WORKER_SPAWNED"}
{"timestamp":"2026-02-03T14:00:02.000001Z","level":"INFO","type":"REQUEST","workerId":3,"writer":2,"seq":0,"requestId":"6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e","ipAddress":"192.0.2.7","httpVersion":"1.1","method":"GET","url":"/cart?item=7"}
{"timestamp":"2026-02-03T14:00:02.100000Z","level":"INFO","type":"REQUEST_META","workerId":3,"writer":2,"seq":1,"requestId":"6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e","data":{"user":"ann"}}
{"timestamp":"2026-02-03T14:00:02.200000Z","level":"WARN","type":"LOG","workerId":3,"writer":2,"seq":2,"requestId":"6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e","data":{"message":"slow \u001b[31mdisk","ms":250}}
{"timestamp":"2026-02-03T14:00:02.300000Z","level":"ERROR","type":"RESPONSE","workerId":3,"writer":2,"seq":3,"requestId":"6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e","statusCode":500,"bytes":312,"durationMs":299.999,"error":{"stack":"Error: no stock\n  at order\n  at main","properties":{"sku":7},"debug":[{"timestamp":"2026-02-03T14:00:02.250000Z","data":{"sql":"SELECT 1"}}]}}
{"timestamp":"2026-02-03T14:00:02.300500Z","level":"INFO","type":"RESPONSE_FINISHED","workerId":3,"writer":2,"seq":4,"requestId":"6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e","bytes":312}
{"timestamp":"2026-02-03T14:00:30.000000Z","level":"WARN","type":"LIFECYCLE","workerId":3,"writer":1,"seq":2,"event":"WORKER_EXITED","signal":"SIGKILL"}
{"timestamp":"2026-02-03T14:00:59.999999Z","level":"INFO","type":"LOG","workerId":null,"writer":1,"seq":3,"data":["last",1.50]}
"#;
