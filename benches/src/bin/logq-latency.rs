//! Measures what one log call costs its caller, call by call: percentiles, which criterion's means
//! hide; and what is in the store afterwards.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use logq_benches::{FiveFields, log_request};
use logq_reader::{Query, Snapshot};
use logq_rotation::{LogManager, ManagerOptions};
use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};

/// Log the same thing again and again; print percentiles of the time that a call takes
#[derive(Debug, Parser)]
struct Arguments {
    /// Calls of each thread
    #[arg(short = 'n', long, default_value_t = 2_000_000)]
    calls: u32,
    /// Calls a second of each thread, 0 for as many as possible
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Threads that share the logger
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Log whole requests of five records each, instead of one message of five fields
    #[arg(long)]
    requests: bool,
    /// Let a manager rotate and delete, so that the store has about so many MiB
    #[arg(long, value_name = "MIB")]
    rotate: Option<u64>,
    /// The directory of the store; a temporary one if not given
    #[arg(long)]
    store: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let scratch = tempfile::tempdir()?;
    let store = arguments.store.clone().unwrap_or_else(|| scratch.path().join("store"));
    let manager = arguments.rotate.map(|mebibytes| manage(&store, mebibytes)).transpose()?;
    let worker = WorkerId::new(1).ok_or("1 is a worker's number")?;
    let logger = WorkerLogger::open(&store, worker, LoggerOptions::default())?;

    let start = Instant::now();
    let mut nanoseconds = log_from_all_threads(&arguments, &logger);
    let calling = start.elapsed();
    logger.close()?;
    let closed = start.elapsed();
    let cpu_seconds = cpu_seconds();
    drop(manager);

    nanoseconds.sort_unstable();
    let mut out = io::stdout().lock();
    let seconds = calling.as_secs_f64();
    let rate = nanoseconds.len() as f64 / seconds / 1e6;
    writeln!(out, "{} calls in {seconds:.3} s, {rate:.2} million a second", nanoseconds.len())?;
    writeln!(out, "closed after {:.3} s", closed.as_secs_f64())?;
    let (stored, report) = Snapshot::open(&[&store])?.count(&Query::default())?;
    writeln!(out, "{stored} records in the store, {} dropped", report.lost_records)?;
    if let Some(seconds) = cpu_seconds {
        let rate = stored as f64 / seconds / 1e6;
        writeln!(out, "{seconds:.2} s of CPU time, {rate:.2} million records each")?;
    }
    writeln!(out, "one reading of the clock: {} ns, included below", clock_ns())?;
    for per_mille in [0, 500, 900, 990, 999, 1000] {
        let index = (nanoseconds.len().saturating_sub(1)) * per_mille / 1000;
        let value = nanoseconds.get(index).copied().unwrap_or(0);
        writeln!(out, "p{:<5} {value:>9} ns", per_mille as f64 / 10.0)?;
    }
    Ok(())
}

/// Rotates and trains dictionaries while calls are measured.
fn manage(store: &Path, mebibytes: u64) -> Result<LogManager, Box<dyn std::error::Error>> {
    let options = ManagerOptions {
        poll_interval: Duration::from_millis(100),
        log_size_limit: mebibytes << 20,
        ..ManagerOptions::default()
    };
    Ok(LogManager::open(store, options)?)
}

/// The duration of every call in nanoseconds, in no particular order.
fn log_from_all_threads(arguments: &Arguments, logger: &WorkerLogger) -> Vec<u32> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads)
            .map(|_| scope.spawn(|| log_from_one_thread(arguments, logger)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn log_from_one_thread(arguments: &Arguments, logger: &WorkerLogger) -> Vec<u32> {
    let gap = match arguments.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs(1) / rate,
    };
    let mut nanoseconds = Vec::with_capacity(arguments.calls as usize);
    let mut due = Instant::now();
    for number in 0..arguments.calls {
        // Spinning, not sleeping: a sleeping caller would measure how it is woken.
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due += gap;
        let start = Instant::now();
        if arguments.requests {
            log_request(logger, u64::from(number));
        } else {
            logger.info(FiveFields::numbered(u64::from(number)));
        }
        nanoseconds.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    nanoseconds
}

/// What two readings of the clock in a row are apart, in nanoseconds: the median.
fn clock_ns() -> u128 {
    let mut gaps: Vec<u128> = (0..1001).map(|_| Instant::now().elapsed().as_nanos()).collect();
    gaps.sort_unstable();
    gaps.get(500).copied().unwrap_or(0)
}

/// The CPU time of this process so far, of all its threads, where the system tells (Linux).
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may contain spaces; see proc_pid_stat(5).
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = |index| fields.split_whitespace().nth(index)?.parse::<f64>().ok();
    // Fields 14 and 15 are ticks in user and kernel mode, a hundred a second.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
