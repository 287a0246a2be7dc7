//! A process of the storm: threads that log, flush now and then, and say what they flushed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use logq_writer::{FlushError, LoggerOptions, MasterLogger, WorkerId, WorkerLogger};

use crate::record::{Author, data};

const STORE: &str = "LOGQ_TEST_STORM_STORE";
const PROCESS: &str = "LOGQ_TEST_STORM_PROCESS";
const THREADS: &str = "LOGQ_TEST_STORM_THREADS";
const SEED: &str = "LOGQ_TEST_STORM_CHILD_SEED";

/// Starts a process that logs until its standard input ends.
pub(crate) fn spawn(store: &Path, process: u64, threads: usize, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::storm_child", "--nocapture"])
        .env(STORE, store)
        .env(PROCESS, process.to_string())
        .env(THREADS, threads.to_string())
        .env(SEED, seed.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// One in four is a master, whose pings state claims.
#[derive(Clone)]
enum Log {
    Master(MasterLogger),
    Worker(WorkerLogger),
}

impl Log {
    fn open(store: &str, process: u64, random: &mut Rng) -> Self {
        let options = LoggerOptions {
            high_water_mark: random.usize(512..8192),
            output_delay: Duration::from_millis(random.u64(1..20)),
            ping_delay: Duration::from_millis(random.u64(5..60)),
            ..LoggerOptions::default()
        };
        if process.is_multiple_of(4) {
            return Self::Master(MasterLogger::open(store, options).unwrap());
        }
        let worker = WorkerId::new(u32::try_from(process).unwrap()).unwrap();
        Self::Worker(WorkerLogger::open(store, worker, options).unwrap())
    }

    fn info(&self, author: Author, n: u64) {
        match self {
            Self::Master(log) => log.info(data(author, n)),
            Self::Worker(log) => log.info(data(author, n)),
        }
    }

    fn flush(&self) -> Result<(), FlushError> {
        match self {
            Self::Master(log) => log.flush(),
            Self::Worker(log) => log.flush(),
        }
    }

    fn close(&self) -> Result<(), FlushError> {
        match self {
            Self::Master(log) => log.close(),
            Self::Worker(log) => log.close(),
        }
    }
}

/// The child's part; without the variables, as an ordinary test, there is nothing to do.
#[test]
fn storm_child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let number = |variable| std::env::var(variable).unwrap().parse::<u64>().unwrap();
    let (process, threads, seed) = (number(PROCESS), number(THREADS), number(SEED));
    let mut random = Rng::with_seed(seed);
    let log = Log::open(&store, process, &mut random);
    say("\n");
    let over = AtomicBool::new(false);
    let logged = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (log, mut random, over) = (log.clone(), random.fork(), &over);
                scope.spawn(move || run(&log, (process, thread), &mut random, over))
            })
            .collect();
        // Until the parent closes it.
        let _ = std::io::stdin().read(&mut [0]);
        over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    log.close().unwrap();
    for (thread, n) in logged.into_iter().enumerate() {
        say(&format!("ack {thread} {n}\nend {thread} {n}\n"));
    }
}

/// Logs until it is over; answers how many records.
fn run(log: &Log, author: Author, random: &mut Rng, over: &AtomicBool) -> u64 {
    let (_, thread) = author;
    let mut n = 0;
    while !over.load(Ordering::SeqCst) {
        for _ in 0..random.u64(1..12) {
            log.info(author, n);
            n += 1;
        }
        if random.u8(..3) == 0 {
            log.flush().unwrap();
            say(&format!("ack {thread} {n}\n"));
        }
        std::thread::sleep(Duration::from_micros(random.u64(..6_000)));
    }
    n
}

/// Writes to the parent at once, so that nothing of it dies with this process.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap();
}
