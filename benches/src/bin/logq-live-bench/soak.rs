//! Streams and readers that come and go for as long as somebody likes. What must be as before afterwards is
//! looked at: descriptors, memory, files.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{Result, content, process, say};

/// Streams at a time, and readers.
const STREAMS: u64 = 8;
const READERS: u64 = 60;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    files: usize,
    rss_kib: u64,
}

fn held(pid: u32, directory: &Path) -> Result<Held> {
    Ok(Held {
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        files: std::fs::read_dir(directory)?.count(),
        rss_kib: process(pid)?.rss >> 10,
    })
}

fn tell(what: &str, held: Held) -> Result<()> {
    let Held { descriptors, files, rss_kib } = held;
    let mib = rss_kib as f64 / 1_024.0;
    say(&format!("soak {what} descriptors={descriptors} files={files} rss_MiB={mib:.1}"))
}

/// Runs for so many seconds; fails if descriptors or files are left.
pub(crate) async fn soak(
    put: SocketAddr,
    get: SocketAddr,
    directory: &Path,
    pid: u32,
    seconds: u64,
) -> Result<()> {
    let before = held(pid, directory)?;
    tell("before", before)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut all = JoinSet::new();
    for number in 0..STREAMS {
        all.spawn(write_again_and_again(put, number, end));
    }
    for number in 0..READERS {
        all.spawn(read_again_and_again(get, number, end));
    }
    let pause = Duration::from_secs((seconds / 6).max(1));
    while Instant::now() + pause < end {
        sleep(pause).await;
        tell(&format!("second={}", begun.elapsed().as_secs()), held(pid, directory)?)?;
    }
    let steps: u64 = all.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.iter().sum();
    // The server looks every few seconds who has left.
    let waited = Instant::now();
    let after = loop {
        let now = held(pid, directory)?;
        let same = (now.descriptors, now.files) == (before.descriptors, before.files);
        if same || waited.elapsed() > PATIENCE {
            break now;
        }
        sleep(Duration::from_millis(100)).await;
    };
    tell(&format!("after steps={steps}"), after)?;
    match (after.descriptors, after.files) == (before.descriptors, before.files) {
        true => Ok(()),
        false => Err("something is left".into()),
    }
}

/// One request and whatever is sent after it; the status.
async fn ask(address: SocketAddr, head: &str, chunks: &[&[u8]], ends: bool) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{head}Host: localhost\r\nConnection: close\r\n").as_bytes()).await?;
    stream.write_all(b"Transfer-Encoding: chunked\r\n\r\n").await?;
    for chunk in chunks {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
        stream.write_all(chunk).await?;
        stream.write_all(b"\r\n").await?;
        sleep(Duration::from_millis(5)).await;
    }
    if !ends {
        return Ok(0);
    }
    stream.write_all(b"0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default())
}

/// Writes a stream, breaks off, goes on, ends it and removes it.
async fn write_again_and_again(put: SocketAddr, number: u64, end: Instant) -> Result<u64> {
    let path = format!("/v1/streams/soak-{number}");
    let piece = content();
    let mut steps = 0_u64;
    while Instant::now() < end {
        let chunks = vec![piece.as_slice(); usize::try_from(1 + (steps + number) % 8)?];
        let len = chunks.len() * piece.len();
        let is_broken = (steps + number).is_multiple_of(3);
        let head = format!("PUT {path} HTTP/1.1\r\n");
        timeout(PATIENCE, ask(put, &head, &chunks, !is_broken)).await??;
        if is_broken {
            timeout(PATIENCE, go_on(put, &path, len)).await??;
        }
        sleep(Duration::from_millis(20)).await;
        let status = ask(put, &format!("DELETE {path} HTTP/1.1\r\n"), &[], true).await?;
        if status != 204 {
            return Err(format!("a stream cannot be removed: {status}").into());
        }
        steps += 1;
    }
    Ok(steps)
}

/// Ends a stream whose writer is lost. Until the server has seen that, it refuses.
async fn go_on(put: SocketAddr, path: &str, len: usize) -> Result<()> {
    let head = format!("PATCH {path} HTTP/1.1\r\nLogq-Offset: {len}\r\n");
    while ask(put, &head, &[b"the end"], true).await? != 204 {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Joins a stream at some byte, and leaves at some other.
async fn read_again_and_again(get: SocketAddr, number: u64, end: Instant) -> Result<u64> {
    let mut steps = 0_u64;
    let mut buffer = vec![0; 64 << 10];
    while Instant::now() < end {
        let mut stream = TcpStream::connect(get).await?;
        let mix = steps.wrapping_mul(2_654_435_761).wrapping_add(number * 97);
        let (stream_number, from, most) = (mix % STREAMS, mix % 500_000, 1 + mix % 3_000_000);
        let events = if mix.is_multiple_of(5) { "/events" } else { "" };
        let request = format!(
            "GET /v1/streams/soak-{stream_number}{events} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nRange: bytes={from}-\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut taken = 0;
        while taken < most {
            match timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
                Ok(Ok(count @ 1..)) => taken += count as u64,
                _ => break,
            }
        }
        sleep(Duration::from_millis(5)).await;
        steps += 1;
    }
    Ok(steps)
}
