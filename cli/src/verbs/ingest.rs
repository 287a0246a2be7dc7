//! `CMD | logq ingest STORE`: lines of standard input become records of the present. What lines
//! become is `live_lines`' business; this file connects it with a store and with signals.

use crate::limit::LimitArguments;
use crate::live_lines::LineFormat;
use clap::Args;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use anyhow::Context as _;
use logq_format::{Level, WorkerId};
use logq_writer::{Clock, LoggerOptions, SystemClock, WorkerLogger};
use nix::sys::signal::Signal;

use crate::exit::Exit;
use crate::import::LineParser;
use crate::limit;
use crate::live_lines::{
    LastRecordsLost, Pump, Pumped, Recorder, Signals, Source, Stopper, Stream, end_by,
};

#[derive(Args, Clone, Debug)]
pub(crate) struct IngestArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,

    /// The format of the lines
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) format: LineFormat,

    #[command(flatten)]
    pub(crate) limit: LimitArguments,

    /// Do not tell in the end how many lines there were
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Signals that ask for the end.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Records standard input until it ends, or until a signal asks for the end.
///
/// Whatever ends it, what was in the pipe is recorded. After a signal the rest of the pipeline has
/// a second to say its last words; after the interrupt key, which reaches all of it, as long as it
/// takes. A second signal ends it with what is there.
pub(crate) fn run(arguments: &IngestArguments) -> anyhow::Result<Exit> {
    let signals = Signals::catch(&ENDING).context("cannot wait for signals")?;
    let store = &arguments.store;
    // As with imports, one worker stands for all foreign processes.
    let worker = WorkerId::new(1).context("worker numbers begin below 1")?;
    let log = WorkerLogger::open(store, worker, LoggerOptions::default())
        .with_context(|| format!("cannot write to the store {}", store.display()))?;
    let _manager = limit::manage(store, arguments.limit.size)?;

    let stdin = io::stdin();
    let pipe = stdin.as_fd().try_clone_to_owned().context("cannot read standard input")?;
    let stream = Stream { name: None, level: Level::Info };
    let source = Source { stream, pipe: pipe.into(), tee: None };
    let parser = LineParser::new(SystemClock.now());
    let recorder = Recorder::new(log.clone());
    let (pump, stopper) = Pump::new(vec![source], arguments.format, parser, recorder)?;
    let last_signal = Arc::new(AtomicI32::new(0));
    let watch = Watch {
        signals,
        stopper,
        last_signal: Arc::clone(&last_signal),
        is_interactive: stdin.is_terminal(),
    };
    thread::Builder::new().name("signals".to_owned()).spawn(|| watch.run())?;

    let pumped = pump.run();
    let closed = log.close();
    if !arguments.quiet {
        tell!("logq: {} lines became {} records", pumped.lines, pumped.records);
    }
    closed.map_err(LastRecordsLost)?;
    exit(pumped, last_signal.load(Ordering::Relaxed))
}

fn exit(pumped: Pumped, last_signal: i32) -> anyhow::Result<Exit> {
    if let Some(failure) = pumped.failure {
        return Err(failure).context("cannot read standard input to its end");
    }
    Ok(match Signal::try_from(last_signal) {
        Ok(signal) if !pumped.is_complete => end_by(signal),
        _ => Exit::Success,
    })
}

/// Turns signals into the end of the pump.
struct Watch {
    signals: Signals,
    stopper: Stopper,
    last_signal: Arc<AtomicI32>,
    /// Whether the lines are typed: then nobody else is there to say last words.
    is_interactive: bool,
}

impl Watch {
    fn run(mut self) {
        let mut was_asked = false;
        while let Some(received) = self.signals.next() {
            self.last_signal.store(received.signal as i32, Ordering::Relaxed);
            if was_asked || self.is_interactive {
                self.stopper.stop_now();
            } else if !received.by_terminal {
                self.stopper.stop_soon();
            }
            was_asked = true;
        }
    }
}
