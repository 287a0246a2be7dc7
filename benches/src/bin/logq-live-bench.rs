//! Measures `logq serve` from outside, as a client, and any other server of the same bytes in the same
//! way: bytes a second with one writer and many readers, memory of idle readers, time from byte to byte.
//!
//! `benches/live.sh` starts the servers and puts the figures side by side.

#![expect(clippy::cast_possible_truncation, reason = "figures for people, from sizes that fit")]

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

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
        #[arg(long, default_value_t = 256)]
        mebibytes: usize,
        #[arg(long, default_value_t = 1)]
        readers: usize,
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
        put: SocketAddr,
        get: SocketAddr,
        #[arg(long, default_value = "/v1/streams/bench")]
        path: String,
        #[arg(long)]
        get_path: Option<String>,
        #[arg(long, default_value_t = 1)]
        readers: usize,
        #[arg(long, default_value_t = 5_000)]
        lines: usize,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    match Arguments::parse().work {
        Work::Get { address, path, readers, rounds } => get(address, &path, readers, rounds).await,
        Work::Put { put, get, path, get_path, mebibytes, readers, pid } => {
            let get_path = get_path.unwrap_or_else(|| path.clone());
            write(put, get, &path, &get_path, mebibytes << 20, readers, pid).await
        }
        Work::Idle { get, path, readers, pid } => idle(get, &path, readers, pid).await,
        Work::Latency { put, get, path, get_path, readers, lines } => {
            let get_path = get_path.unwrap_or_else(|| path.clone());
            latency(put, get, &path, &get_path, readers, lines).await
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
                async move { Reader::open(address, &path).await?.rest(buffer(readers)).await },
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

async fn write(
    put: SocketAddr,
    get: SocketAddr,
    path: &str,
    get_path: &str,
    bytes: usize,
    readers: usize,
    pid: Option<u32>,
) -> Result<()> {
    let before = pid.map(process).transpose()?.unwrap_or_default();
    let mut writer = TcpStream::connect(put).await?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
        Content-Length: {bytes}\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).await?;
    let piece: Arc<[u8]> = content(256 << 10).into();
    // The first byte makes the stream, so that readers find it.
    writer.write_all(piece.get(..1).unwrap_or_default()).await?;
    await_stream(get, get_path).await?;
    let ready = Arc::new(Barrier::new(readers + 1));
    let mut all = JoinSet::new();
    for _ in 0..readers {
        let (get_path, ready) = (get_path.to_owned(), ready.clone());
        all.spawn(async move {
            let reader = Reader::open(get, &get_path).await;
            ready.wait().await;
            reader?.rest(buffer(readers)).await
        });
    }
    ready.wait().await;
    let start = Instant::now();
    let mut sent = 1;
    while sent < bytes {
        let from = sent % piece.len();
        let rest = piece.get(from..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(bytes - sent)).unwrap_or_default();
        writer.write_all(rest).await?;
        sent += rest.len();
    }
    let mut answer = Vec::new();
    writer.read_to_end(&mut answer).await?;
    let put_seconds = start.elapsed().as_secs_f64();
    let sums: Vec<_> = all.join_all().await;
    let seconds = start.elapsed().as_secs_f64();
    let expected = Sum::of(&piece, bytes);
    if let Some(Err(error)) = sums.iter().find(|sum| sum.is_err()) {
        eprintln!("a reader failed: {error}");
    }
    let complete = sums.iter().filter(|sum| sum.as_ref().is_ok_and(|sum| *sum == expected)).count();
    let after = pid.map(process).transpose()?.unwrap_or_default();
    let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
    let megabytes = bytes as f64 / 1e6;
    say(&format!(
        "put readers={readers} status={status} complete={complete} put_MB/s={:.0} all_MB/s={:.0} \
        cpu_s={:.2} rss_MiB={:.1} peak_MiB={:.1}",
        megabytes / put_seconds,
        megabytes * readers as f64 / seconds,
        after.cpu_seconds - before.cpu_seconds,
        after.rss as f64 / 1_048_576.0,
        after.peak as f64 / 1_048_576.0,
    ))
}

/// Waits until the server has seen the writer.
async fn await_stream(get: SocketAddr, path: &str) -> Result<()> {
    let mut last = Ok(());
    for _ in 0..500 {
        match Reader::open(get, path).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Err(error),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last
}

async fn idle(get: SocketAddr, path: &str, readers: usize, pid: u32) -> Result<()> {
    // What the first connections allocate for all is not theirs.
    let mut held = vec![Reader::open(get, path).await?];
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = process(pid)?;
    for _ in 0..readers {
        held.push(Reader::open(get, path).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let opened = process(pid)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = process(pid)?;
    let each = after.rss.saturating_sub(before.rss) as f64 / readers as f64 / 1_024.0;
    let cpu = (after.cpu_seconds - opened.cpu_seconds) / 5.0 * 100.0;
    say(&format!("idle readers={readers} KiB_each={each:.1} cpu_percent={cpu:.2}"))
}

async fn latency(
    put: SocketAddr,
    get: SocketAddr,
    path: &str,
    get_path: &str,
    readers: usize,
    lines: usize,
) -> Result<()> {
    const LINE: usize = 1_024;
    let mut writer = TcpStream::connect(put).await?;
    writer.set_nodelay(true)?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
        Content-Length: {}\r\n\r\n",
        lines * LINE
    );
    writer.write_all(head.as_bytes()).await?;
    let start = Instant::now();
    let ready = Arc::new(Barrier::new(readers + 1));
    let line = |sent: Duration| {
        let mut line = vec![b'x'; LINE];
        let stamp = format!("{:020}", sent.as_nanos());
        line.splice(..stamp.len(), stamp.into_bytes());
        line
    };
    writer.write_all(&line(start.elapsed())).await?;
    await_stream(get, get_path).await?;
    let mut all = JoinSet::new();
    for _ in 0..readers {
        let (get_path, ready) = (get_path.to_owned(), ready.clone());
        all.spawn(async move {
            let reader = Reader::open(get, &get_path).await;
            ready.wait().await;
            reader?.stamps(start, LINE).await
        });
    }
    ready.wait().await;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 1..lines {
        ticks.tick().await;
        writer.write_all(&line(start.elapsed())).await?;
    }
    let mut times = Vec::new();
    for reader in all.join_all().await {
        // The first lines come with the past; they were sent before the reader was there.
        times.extend(reader?.into_iter().skip(10));
    }
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(share).as_secs_f64() * 1e6);
    say(&format!(
        "latency readers={readers} lines={} p50_us={p50:.0} p99_us={p99:.0} p99.9_us={p999:.0}",
        times.len()
    ))
}

/// One response, read and checked.
struct Reader {
    stream: TcpStream,
    head: Vec<u8>,
    body: Framing,
}

/// How the body ends, and how much of it is left.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(u64),
    /// In a chunk's size line: what of the size was read, and whether it has begun.
    Size {
        size: u64,
        digits: bool,
    },
    /// In a chunk: bytes left.
    Chunk(u64),
    /// After the last chunk, or the last byte.
    Over,
}

/// What was read: how much, and a checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    crc: u32,
    complete: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }

    /// Of `len` bytes that repeat `piece`.
    fn of(piece: &[u8], len: usize) -> Self {
        let mut sum = Self { complete: true, ..Self::default() };
        let mut left = len;
        while left > 0 {
            let part = piece.get(..left.min(piece.len())).unwrap_or_default();
            sum.add(part);
            left -= part.len();
        }
        sum
    }
}

impl Reader {
    async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut head).await? == 0 {
                return Err("no response".into());
            }
        };
        let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).to_lowercase();
        if !text.starts_with("http/1.1 200") {
            return Err(text.lines().next().unwrap_or_default().into());
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => Framing::Length(length.trim().parse()?),
            None => Framing::Size { size: 0, digits: false },
        };
        head.drain(..end);
        Ok(Self { stream, head, body })
    }

    /// Reads to the end of the body.
    async fn rest(mut self, buffer: usize) -> Result<Sum> {
        let mut sum = Sum::default();
        let head = std::mem::take(&mut self.head);
        self.take(&head, |bytes| sum.add(bytes))?;
        let mut buffer = vec![0; buffer];
        while !self.is_over() {
            let len = self.stream.read(&mut buffer).await?;
            if len == 0 {
                return Ok(sum);
            }
            self.take(buffer.get(..len).unwrap_or_default(), |bytes| sum.add(bytes))?;
        }
        sum.complete = true;
        Ok(sum)
    }

    /// How long ago each line was sent when it came.
    async fn stamps(mut self, start: Instant, line_len: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        let mut line = Vec::new();
        let mut bytes = std::mem::take(&mut self.head);
        loop {
            let now = start.elapsed();
            let mut came = Vec::new();
            self.take(&bytes, |bytes| came.extend_from_slice(bytes))?;
            for byte in came {
                line.push(byte);
                if line.len() == line_len {
                    let stamp = str::from_utf8(line.get(..20).unwrap_or_default())?.parse()?;
                    times.push(now.saturating_sub(Duration::from_nanos(stamp)));
                    line.clear();
                }
            }
            bytes.resize(64 << 10, 0);
            let len = if self.is_over() { 0 } else { self.stream.read(&mut bytes).await? };
            if len == 0 {
                return Ok(times);
            }
            bytes.truncate(len);
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.body, Framing::Over | Framing::Length(0))
    }

    /// Takes the framing off and gives what is content.
    fn take(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<()> {
        while let Some((first, after)) = bytes.split_first() {
            match self.body {
                Framing::Over | Framing::Length(0) => return Ok(()),
                Framing::Size { size, digits } => {
                    self.body = after_byte(size, digits, *first);
                    bytes = after;
                }
                Framing::Length(left) | Framing::Chunk(left) => {
                    let (part, rest) = bytes.split_at(bytes.len().min(usize::try_from(left)?));
                    content(part);
                    let left = left - part.len() as u64;
                    self.body = match self.body {
                        Framing::Length(_) => Framing::Length(left),
                        _ if left == 0 => Framing::Size { size: 0, digits: false },
                        _ => Framing::Chunk(left),
                    };
                    bytes = rest;
                }
            }
        }
        Ok(())
    }
}

/// Where a chunk's size line, or the line end before it, is after one more byte.
fn after_byte(size: u64, digits: bool, byte: u8) -> Framing {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) => {
            Framing::Size { size: size.wrapping_mul(16) + u64::from(digit), digits: true }
        }
        (None, b'\n') if digits && size == 0 => Framing::Over,
        (None, b'\n') if digits => Framing::Chunk(size),
        _ => Framing::Size { size, digits },
    }
}

/// What readers read into: less each where there are many, so that this process stays small.
fn buffer(readers: usize) -> usize {
    ((32 << 20) / readers.max(1)).clamp(16 << 10, 256 << 10)
}

/// Bytes that a shifted copy would not equal.
fn content(len: usize) -> Vec<u8> {
    let mut random = 1_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b' ' + ((random >> 24) % 94) as u8
    };
    (0..len).map(|_| next()).collect()
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
