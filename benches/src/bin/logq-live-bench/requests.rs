//! Many small requests: parts of a file over connections that stay, and readers that come and go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::{Process, Result, process, say};

/// Bytes of a part.
const PART: u64 = 4 << 10;

/// No request takes longer; one that does has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 16) % end.max(1)
    }
}

/// Reads a head, and what came of the body with it.
async fn head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<usize> {
    bytes.clear();
    loop {
        if stream.read_buf(bytes).await? == 0 {
            return Err("no response".into());
        }
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(at + 4);
        }
    }
}

/// Asks for random parts of a file of `len` bytes over one connection until `end`. Returns the time of each.
async fn parts(
    address: SocketAddr,
    path: String,
    len: u64,
    seed: u64,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut random, mut times, mut bytes) = (Random(seed), Vec::new(), Vec::new());
    while Instant::now() < end {
        let from = random.below(len - PART);
        let range = format!("bytes={from}-{}", from + PART - 1);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nRange: {range}\r\n\r\n");
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let body = head(&mut stream, &mut bytes).await?;
        if !bytes.starts_with(b"HTTP/1.1 206") {
            return Err("a part was refused".into());
        }
        let whole = body + usize::try_from(PART)?;
        while bytes.len() < whole {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err("half a part".into());
            }
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// Parts of a file over connections that stay.
pub(crate) async fn ranges(
    address: SocketAddr,
    path: &str,
    len: u64,
    connections: u64,
    seconds: u64,
) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let asking = (0..connections).map(|seed| parts(address, path.to_owned(), len, seed + 1, end));
    let all: JoinSet<_> = asking.collect();
    let times: Vec<Vec<Duration>> = all.join_all().await.into_iter().collect::<Result<_>>()?;
    let times = times.concat();
    let rate = times.len() as f64 / seconds as f64;
    say(&format!("ranges connections={connections} requests/s={rate:.0} {}", percentiles(times)))
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1))).copied();
        time.unwrap_or_default().as_secs_f64() * 1e3
    };
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(at);
    format!("p50_ms={p50:.2} p99_ms={p99:.2} most_ms={most:.1}")
}

/// Connects, goes on at the first byte of an open stream, and leaves once something has come. Returns how long
/// that took.
async fn reconnect(address: SocketAddr, path: String) -> Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(1 << 10);
    head(&mut stream, &mut bytes).await?;
    match bytes.starts_with(b"HTTP/1.1 206") {
        true => Ok(begun.elapsed()),
        false => Err("refused".into()),
    }
}

/// So many readers a second that come, go on, and leave.
pub(crate) async fn reconnects(
    address: SocketAddr,
    path: &str,
    rate: u32,
    seconds: u64,
    pid: u32,
) -> Result<()> {
    // What the first storm allocates is there for the next ones.
    storm(address, path, rate, 2).await;
    sleep(Duration::from_secs(3)).await;
    let before = process(pid)?;
    let (times, failures) = storm(address, path, rate, seconds).await;
    let during = process(pid)?;
    sleep(Duration::from_secs(8)).await;
    let after = process(pid)?;
    let mib = |process: Process| process.rss as f64 / 1_048_576.0;
    say(&format!(
        "reconnects per_s={rate} made={} failed={failures} {} rss_MiB={:.1} during={:.1} after={:.1}",
        times.len(),
        percentiles(times),
        mib(before),
        mib(during),
        mib(after),
    ))
}

async fn storm(address: SocketAddr, path: &str, rate: u32, seconds: u64) -> (Vec<Duration>, usize) {
    let mut all = JoinSet::new();
    let mut due = tokio::time::Instant::now();
    for _ in 0..u64::from(rate) * seconds {
        due += Duration::from_secs(1) / rate;
        sleep_until(due).await;
        let path = path.to_owned();
        all.spawn(async move { timeout(PATIENCE, reconnect(address, path)).await });
    }
    let made: Vec<_> = all.join_all().await;
    let count = made.len();
    let times: Vec<_> = made.into_iter().filter_map(|made| made.ok()?.ok()).collect();
    let failures = count - times.len();
    (times, failures)
}
