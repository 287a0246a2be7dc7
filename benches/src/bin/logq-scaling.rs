//! Measures whether writers stand in each other's way: processes that share a segment beside
//! processes with a segment each, and many threads of one logger beside one thread. Both sides
//! of a ratio are measured in turns, in one run.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use logq_benches::log_request;
use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};

/// Compare the rates at which several writers write, together and apart
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Processes on one segment, beside as many processes on a segment each
    Processes(Load),
    /// Threads on one logger, beside one thread that logs as much
    Threads(Load),
    /// One process of `processes`
    #[command(hide = true)]
    Child { store: PathBuf, worker: u32, requests: u64 },
}

#[derive(Args, Debug)]
struct Load {
    /// How many log at once
    #[arg(short = 'n', long, default_value_t = 4)]
    writers: u32,
    /// Requests of five records, altogether
    #[arg(long, default_value_t = 800_000)]
    requests: u64,
    /// How often each side is measured
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Where the stores are made; a temporary directory if not given
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Records of one request as [`log_request`] logs it.
const RECORDS_PER_REQUEST: u64 = 5;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    match Arguments::parse().what {
        What::Processes(load) => {
            compare(&load, ["one segment", "a segment each"], |side, stores| {
                processes(&load, side == 0, stores)
            })
        }
        What::Threads(load) => compare(&load, ["all threads", "one thread"], |side, stores| {
            threads(&load, if side == 0 { load.writers } else { 1 }, stores)
        }),
        What::Child { store, worker, requests } => child(&store, worker, requests),
    }
}

/// Runs both sides in turns and prints the median rate of each, and their ratio.
fn compare(
    load: &Load,
    names: [&str; 2],
    run: impl Fn(usize, &Path) -> Result<f64, Failure>,
) -> Result<(), Failure> {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..load.rounds {
        for (side, measured) in seconds.iter_mut().enumerate() {
            let scratch = match &load.directory {
                Some(directory) => tempfile::tempdir_in(directory)?,
                None => tempfile::tempdir()?,
            };
            measured.push(run(side, scratch.path())?);
        }
        writeln!(io::stderr(), "round {} of {}", round + 1, load.rounds)?;
    }
    let records = (load.requests * RECORDS_PER_REQUEST) as f64;
    let rates = seconds.map(|mut seconds| {
        seconds.sort_unstable_by(f64::total_cmp);
        records / seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN) / 1e6
    });
    let mut out = io::stdout().lock();
    for (name, rate) in names.iter().zip(rates) {
        writeln!(out, "{name:<16} {rate:.2} million records a second")?;
    }
    let [together, apart] = rates;
    writeln!(out, "ratio            {:.2}", together / apart)?;
    Ok(())
}

/// The seconds that processes need until all have closed their loggers.
fn processes(load: &Load, shared: bool, stores: &Path) -> Result<f64, Failure> {
    let each = load.requests / u64::from(load.writers.max(1));
    let spawn = |worker: u32| {
        let store = if shared { stores.join("all") } else { stores.join(worker.to_string()) };
        Command::new(std::env::current_exe()?)
            .arg("child")
            .arg(store)
            .args([worker.to_string(), each.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
    };
    let mut children = (1..=load.writers).map(spawn).collect::<io::Result<Vec<Child>>>()?;
    // Opening a store is not what is measured: all children open theirs, then all begin.
    for child in &mut children {
        let ready = child.stdout.as_mut().ok_or("the child's output is a pipe")?;
        ready.read_exact(&mut [0])?;
    }
    let start = Instant::now();
    for child in &mut children {
        drop(child.stdin.take());
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a child has failed".into());
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

fn child(store: &Path, worker: u32, requests: u64) -> Result<(), Failure> {
    let worker = WorkerId::new(worker).ok_or("a worker's number has 24 bits")?;
    let logger = WorkerLogger::open(store, worker, LoggerOptions::default())?;
    let mut out = io::stdout().lock();
    out.write_all(b".")?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    for number in 0..requests {
        log_request(&logger, number);
    }
    logger.close()?;
    Ok(())
}

/// The seconds that threads of one logger need until it is closed.
fn threads(load: &Load, threads: u32, stores: &Path) -> Result<f64, Failure> {
    let worker = WorkerId::new(1).ok_or("1 is a worker's number")?;
    let logger = WorkerLogger::open(stores.join("store"), worker, LoggerOptions::default())?;
    let each = load.requests / u64::from(threads.max(1));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..each).for_each(|number| log_request(&logger, number)));
        }
    });
    logger.close()?;
    Ok(start.elapsed().as_secs_f64())
}
