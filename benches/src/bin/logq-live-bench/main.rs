//! Measures `logq serve` from outside, as a client, and any other server of the same bytes in the same
//! way: bytes a second with one writer and many readers, memory of idle readers, time from byte to byte.
//!
//! `benches/live.sh` starts the servers and puts the figures side by side.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, from sizes that fit"
)]

mod readers;
mod requests;
mod response;
mod soak;
mod writer;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use tokio::task::JoinSet;
use tokio::time::sleep;

use readers::{LINE, Look, Readers};
use response::{Response, buffer};
use writer::{Upload, copy};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Ask a server of logs for bytes, and time it
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Clone, Debug, Subcommand)]
enum Work {
    /// Read a finished file with many readers; MB/s of all together, the median of the rounds
    Get {
        /// Host and port
        address: SocketAddr,
        /// What to ask for
        path: String,
        #[arg(long, default_value_t = 1)]
        readers: usize,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Write a stream as fast as possible with readers connected before it
    Put {
        #[command(flatten)]
        stream: Stream,
        #[arg(long, default_value_t = 256)]
        mebibytes: usize,
        /// The server's process id, to tell its memory and processor time
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Hold many idle readers; bytes of the server's memory for each
    Idle {
        get: SocketAddr,
        path: String,
        #[arg(long, default_value_t = 1_000)]
        readers: usize,
        /// The server's process id
        #[arg(long)]
        pid: u32,
    },
    /// Write a line of 1 KiB each millisecond; percentiles of the time until readers have it
    Latency {
        #[command(flatten)]
        stream: Stream,
        #[arg(long, default_value_t = 5_000)]
        lines: usize,
    },
    /// Ask for random parts of 4 KiB over connections that stay; requests a second, and their times
    Ranges {
        /// Host and port
        address: SocketAddr,
        /// What to ask for
        path: String,
        /// How long the file is
        #[arg(long, default_value_t = 256)]
        mebibytes: u64,
        #[arg(long, default_value_t = 50)]
        connections: u64,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Let readers of an open stream come, go on, and leave; how long each took, and the server's memory
    Reconnects {
        address: SocketAddr,
        path: String,
        /// Readers a second
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// The server's process id
        #[arg(long)]
        pid: u32,
    },
    /// Let streams and readers come and go; fails if descriptors or files are left
    Soak {
        put: SocketAddr,
        get: SocketAddr,
        /// Where the server keeps its streams
        directory: PathBuf,
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The server's process id
        #[arg(long)]
        pid: u32,
    },
    /// Copy bytes from socket to socket, straight and through one more process, which is what a server
    /// of logs can at best do; MB/s
    Loopback {
        #[arg(long, default_value_t = 1_024)]
        mebibytes: usize,
    },
    /// What this program starts for the readers of `put` and `latency`
    #[command(hide = true)]
    Read { get: SocketAddr, path: String, readers: usize, look: Look, bytes: usize },
}

/// One who writes and many who read.
#[derive(Args, Clone, Debug)]
struct Stream {
    /// Where to write
    put: SocketAddr,
    /// Where to read
    get: SocketAddr,
    /// The path of the stream, the same for both
    #[arg(long, default_value = "/v1/streams/bench")]
    path: String,
    /// The path for readers, if it is another one
    #[arg(long)]
    get_path: Option<String>,
    #[arg(long, default_value_t = 1)]
    readers: usize,
    /// How much nicer the process of the readers is: on one machine they compete with the writer and with the
    /// server for processors, as readers elsewhere would not
    #[arg(long, default_value_t = 0)]
    niceness: u8,
}

impl Stream {
    /// Starts the readers of a stream that has begun, if there are any.
    fn read(&self, look: Look, bytes: usize) -> Result<Option<Readers>> {
        if self.readers == 0 {
            return Ok(None);
        }
        let (look, path) = match look {
            Look::Sums => ("sums", self.get_path.as_ref()),
            Look::Times => ("times", self.get_path.as_ref()),
        };
        let path = path.unwrap_or(&self.path);
        let (get, readers) = (self.get.to_string(), self.readers.to_string());
        Readers::start(self.niceness, &[&get, path, &readers, look, &bytes.to_string()]).map(Some)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    match Arguments::parse().work {
        Work::Get { address, path, readers, rounds } => get(address, &path, readers, rounds).await,
        Work::Put { stream, mebibytes, pid } => put(&stream, mebibytes << 20, pid),
        Work::Idle { get, path, readers, pid } => idle(get, &path, readers, pid).await,
        Work::Latency { stream, lines } => latency(&stream, lines),
        Work::Ranges { address, path, mebibytes, connections, seconds } => {
            requests::ranges(address, &path, mebibytes << 20, connections, seconds).await
        }
        Work::Reconnects { address, path, rate, seconds, pid } => {
            requests::reconnects(address, &path, rate, seconds, pid).await
        }
        Work::Soak { put, get, directory, seconds, pid } => {
            soak::soak(put, get, &directory, pid, seconds).await
        }
        Work::Loopback { mebibytes } => loopback(mebibytes << 20),
        Work::Read { get, path, readers, look, bytes } => {
            readers::read(get, &path, readers, look, bytes).await
        }
    }
}

async fn get(address: SocketAddr, path: &str, readers: usize, rounds: usize) -> Result<()> {
    let mut rates = Vec::new();
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..readers {
            let path = path.to_owned();
            all.spawn(
                async move { Response::open(address, &path).await?.sum(buffer(readers)).await },
            );
        }
        let sums = all.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        let seconds = start.elapsed().as_secs_f64();
        let Some(first) = sums.first() else { return Err("there must be readers".into()) };
        if sums.iter().any(|sum| sum != first || !sum.complete) {
            return Err("readers got different bytes".into());
        }
        let bytes: u64 = sums.iter().map(|sum| sum.bytes).sum();
        rates.push(bytes as f64 / seconds / 1e6);
    }
    rates.sort_by(f64::total_cmp);
    let (low, high) = (rates.first().unwrap_or(&0.0), rates.last().unwrap_or(&0.0));
    let median = rates.get(rates.len() / 2).unwrap_or(&0.0);
    say(&format!("get readers={readers} MB/s={median:.0} low={low:.0} high={high:.0}"))
}

fn put(stream: &Stream, bytes: usize, pid: Option<u32>) -> Result<()> {
    let before = pid.map(process).transpose()?.unwrap_or_default();
    let mut upload = Upload::begin(stream.put, &stream.path, bytes)?;
    upload.first_byte()?;
    let readers = stream.read(Look::Sums, bytes)?;
    let start = Instant::now();
    let put_seconds = upload.all()?.as_secs_f64();
    let complete = readers.map(Readers::result).transpose()?.unwrap_or("complete=0".to_owned());
    let seconds = start.elapsed().as_secs_f64();
    let after = pid.map(process).transpose()?.unwrap_or_default();
    let megabytes = bytes as f64 / 1e6;
    say(&format!(
        "put readers={} {complete} put_MB/s={:.0} all_MB/s={:.0} cpu_s={:.2} rss_MiB={:.1} \
        peak_MiB={:.1}",
        stream.readers,
        megabytes / put_seconds,
        megabytes * stream.readers as f64 / seconds,
        after.cpu_seconds - before.cpu_seconds,
        after.rss as f64 / 1_048_576.0,
        after.peak as f64 / 1_048_576.0,
    ))
}

async fn idle(get: SocketAddr, path: &str, readers: usize, pid: u32) -> Result<()> {
    // What the first connections allocate for all is not theirs.
    let mut held = vec![Response::open(get, path).await?];
    sleep(Duration::from_millis(200)).await;
    let before = process(pid)?;
    for _ in 0..readers {
        held.push(Response::open(get, path).await?);
    }
    sleep(Duration::from_secs(1)).await;
    let opened = process(pid)?;
    sleep(Duration::from_secs(5)).await;
    let after = process(pid)?;
    let each = after.rss.saturating_sub(before.rss) as f64 / readers as f64 / 1_024.0;
    let cpu = (after.cpu_seconds - opened.cpu_seconds) / 5.0 * 100.0;
    say(&format!("idle readers={readers} KiB_each={each:.1} cpu_percent={cpu:.2}"))
}

fn latency(stream: &Stream, lines: usize) -> Result<()> {
    let mut upload = Upload::begin(stream.put, &stream.path, lines * LINE)?;
    upload.line()?;
    let readers = stream.read(Look::Times, lines * LINE)?.ok_or("there must be readers")?;
    upload.lines()?;
    say(&format!("latency readers={} {}", stream.readers, readers.result()?))
}

fn loopback(bytes: usize) -> Result<()> {
    // The first run pays for what the others find in place.
    copy(bytes / 4, 0)?;
    let [straight, relayed] = [copy(bytes, 0)? / 1e6, copy(bytes, 1)? / 1e6];
    say(&format!("loopback straight_MB/s={straight:.0} relayed_MB/s={relayed:.0}"))
}

/// Bytes that a shifted copy would not equal; a stream repeats them.
fn content() -> Vec<u8> {
    let mut random = 1_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b' ' + ((random >> 24) % 94) as u8
    };
    (0..256 << 10).map(|_| next()).collect()
}

/// Memory in bytes and processor time of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    rss: u64,
    peak: u64,
    cpu_seconds: f64,
}

fn process(pid: u32) -> Result<Process> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or_default() << 10
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // The kernel counts hundredths of a second for processes, whatever its own clock does.
    let cpu_seconds = ticks / 100.0;
    Ok(Process { rss: kibibytes("VmRSS:"), peak: kibibytes("VmHWM:"), cpu_seconds })
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
