//! `logq run --to STORE -- CMD ARGS...`: a program runs and what it prints becomes records.
//!
//! ```text
//!            signals --> keeper (thread) --forwards--> program
//!                           |  reaps, stops the pump      | stdout, stderr
//!                           v                             v
//!  master logger        exit status           pump (main thread) --> worker logger
//! ```
//!
//! The program keeps its standard input, its process group and its terminal. What lines become is
//! `live_lines`' business.

use crate::limit::LimitArguments;
use crate::live_lines::LineFormat;
use clap::Args;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::Context as _;
use logq_format::{Level, WorkerId};
use logq_writer::{Clock, LoggerOptions, MasterLogger, SystemClock, WorkerLogger};
use nix::sys::signal::Signal;

use crate::exit::Exit;
use crate::import::LineParser;
use crate::limit;
use crate::live_lines::{LastRecordsLost, Pump, Recorder, Signals, Source, Stopper, Stream, Tee};
use crate::output::escape;

mod keeper;

use keeper::Keeper;

#[derive(Args, Clone, Debug)]
#[command(after_help = RUN_NOTES)]
pub(crate) struct RunArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(long, value_name = "STORE")]
    pub(crate) to: PathBuf,

    /// The number of the worker that the program is recorded as
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(..=i64::from(WorkerId::MAX.get()))
    )]
    pub(crate) worker: u32,

    #[command(flatten)]
    pub(crate) limit: LimitArguments,

    /// Also print what the program prints
    #[arg(long)]
    pub(crate) tee: bool,

    /// The program and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

const RUN_NOTES: &str = "\
Exit status: the program's, 128 + N if signal N ended it; 125 if the store cannot be written to,
126 if the program cannot be executed, 127 if there is none of that name.";

/// Signals that are forwarded to the program.
const FORWARDED: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Runs the program to its end and answers as it does.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let waited: Vec<_> = FORWARDED.into_iter().chain([Signal::SIGCHLD]).collect();
    let signals = Signals::catch(&waited).context("cannot wait for signals")?;
    let logs = Logs::open(arguments)?;
    let _manager = limit::manage(&arguments.to, arguments.limit.size)?;
    logs.master.starting_up();
    let mut child = match spawn(arguments) {
        Ok(child) => child,
        Err(error) => return Ok(logs.not_started(arguments, &error)),
    };
    logs.started(arguments, &child);

    let sources = sources(&mut child, arguments.tee).context("cannot read what it prints")?;
    let parser = LineParser::new(SystemClock.now());
    let recorder = Recorder::new(logs.worker.clone());
    let (pump, stopper) = Pump::new(sources, LineFormat::Auto, parser, recorder)?;
    let status = keep(child, signals, stopper, logs.master.clone())?;
    let pumped = pump.run();
    // Its output may end long before the program does.
    let status = status.recv().context("the thread that waits for the program is gone")?;
    if !pumped.is_complete {
        logs.left_open(pumped.failure);
    }
    logs.ended(status);
    Ok(exit(status))
}

/// The loggers of the cluster that this is: a master, which is this process, and one worker, which
/// is the program.
struct Logs {
    master: MasterLogger,
    worker: WorkerLogger,
    number: WorkerId,
}

impl Logs {
    fn open(arguments: &RunArguments) -> anyhow::Result<Self> {
        let store = &arguments.to;
        let context = || format!("cannot write to the store {}", store.display());
        let number = WorkerId::new(arguments.worker).context("worker numbers have 24 bits")?;
        let options = LoggerOptions::default();
        let master = MasterLogger::open(store, options.clone()).with_context(context)?;
        let worker = WorkerLogger::open(store, number, options).with_context(context)?;
        Ok(Self { master, worker, number })
    }

    /// Arguments are not recorded, since they may hold secrets.
    fn started(&self, arguments: &RunArguments, child: &Child) {
        self.master.worker_spawned(self.number);
        self.master.info(serde_json::json!({
            "message": "program started",
            "program": program(arguments),
            "pid": child.id(),
        }));
    }

    fn not_started(&self, arguments: &RunArguments, error: &io::Error) -> Exit {
        let program = program(arguments);
        let (exit, advice) = match error.kind() {
            io::ErrorKind::NotFound if program.contains('/') => {
                (Exit::NotFound, "the file, or the interpreter in its first line, does not exist")
            }
            io::ErrorKind::NotFound => {
                (Exit::NotFound, "is it installed, and in a folder of PATH?")
            }
            io::ErrorKind::PermissionDenied => (Exit::NotExecutable, "try: chmod +x"),
            _ => (Exit::NotExecutable, "it is no program of this machine; scripts begin with #!"),
        };
        let message = format!("cannot run {program}: {error}; {advice}");
        tell!("logq: {}", escape::for_terminal_lines(&message));
        self.master.error(serde_json::json!({ "message": message }));
        self.close();
        exit
    }

    fn left_open(&self, failure: Option<io::Error>) {
        let message =
            "the program's output did not end with it; what is printed from now on is lost";
        let error = failure.map(|failure| failure.to_string());
        self.master.warn(serde_json::json!({ "message": message, "error": error }));
    }

    fn ended(&self, status: ExitStatus) {
        let signal = status.signal().map(signal_name);
        // What the program said is to be in the store before its end. Should it fail, closing says
        // so once more.
        let _ = self.worker.flush();
        self.master.worker_exited(self.number, status.code(), signal.as_deref());
        self.close();
    }

    fn close(&self) {
        self.master.shutting_down_completed();
        for closed in [self.worker.close(), self.master.close()] {
            if let Err(error) = closed {
                tell!("logq: {}", LastRecordsLost(error));
            }
        }
    }
}

fn program(arguments: &RunArguments) -> String {
    arguments.command.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn spawn(arguments: &RunArguments) -> io::Result<Child> {
    let mut words = arguments.command.iter();
    let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// The program's streams. Errors are rarely told on standard output without saying so, so lines
/// there are INFO if they tell no level, and WARN on standard error.
fn sources(child: &mut Child, tee: bool) -> io::Result<Vec<Source>> {
    let stdout = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
    let stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
    let mut sources = Vec::new();
    if let Some(pipe) = stdout {
        let stream = Stream { name: Some("stdout"), level: Level::Info };
        let tee = tee.then(|| Tee::new(io::stdout())).transpose()?;
        sources.push(Source { stream, pipe, tee });
    }
    if let Some(pipe) = stderr {
        let stream = Stream { name: Some("stderr"), level: Level::Warn };
        let tee = tee.then(|| Tee::new(io::stderr())).transpose()?;
        sources.push(Source { stream, pipe, tee });
    }
    Ok(sources)
}

/// Starts the thread that looks after the program; its exit status will come through the channel.
fn keep(
    child: Child,
    signals: Signals,
    stopper: Stopper,
    master: MasterLogger,
) -> io::Result<Receiver<ExitStatus>> {
    let (sender, status) = mpsc::channel();
    let keeper = Keeper::new(child, stopper, master, sender);
    thread::Builder::new().name("keeper".to_owned()).spawn(move || keeper.run(signals))?;
    Ok(status)
}

/// `SIGKILL`; real-time signals have only numbers.
fn signal_name(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("SIG{number}"), |signal| signal.as_str().to_owned())
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Program(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Exit::signal(signal),
        (None, None) => Exit::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_end_as_shells_tell_it() {
        let check = |raw, code, name: Option<&str>| {
            let status = ExitStatus::from_raw(raw);
            assert_eq!(exit(status).code(), code, "{raw}");
            assert_eq!(status.signal().map(signal_name).as_deref(), name, "{raw}");
        };
        check(0, 0, None);
        check(7 << 8, 7, None);
        check(255 << 8, 255, None);
        check(9, 137, Some("SIGKILL"));
        check(15, 143, Some("SIGTERM"));
        // A core was dumped.
        check(6 | 0x80, 134, Some("SIGABRT"));
        check(40, 168, Some("SIG40"));
    }
}
