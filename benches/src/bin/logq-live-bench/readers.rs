//! Readers in a process of their own, so that the writer's process does nothing but write, and the
//! system can be told which of the two waits for the other.
//!
//! The process says `ready` once all readers are connected, and what they got when the last has ended.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use crate::response::{Response, Sum, buffer};
use crate::{Result, content, say};

/// Bytes of a line that says when it was sent.
pub(crate) const LINE: usize = 1_024;

/// Digits of the time in it: nanoseconds since the epoch.
const STAMP: usize = 20;

/// What readers look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Look {
    /// Whether all bytes came.
    Sums,
    /// How long each line was on its way.
    Times,
}

/// Reads a stream with many readers, and says what they got.
pub(crate) async fn read(
    get: SocketAddr,
    path: &str,
    readers: usize,
    look: Look,
    bytes: usize,
) -> Result<()> {
    // The server may not have seen the writer yet.
    let mut opened = vec![Response::open_within(get, path, Duration::from_secs(5)).await?];
    for _ in 1..readers {
        opened.push(Response::open(get, path).await?);
    }
    say("ready")?;
    match look {
        Look::Sums => say(&format!("complete={}", complete(opened, bytes).await)),
        Look::Times => say(&percentiles(times(opened).await?)),
    }
}

/// How many readers got everything.
async fn complete(readers: Vec<Response>, bytes: usize) -> usize {
    let expected = Sum::of(&content(), bytes);
    let buffer = buffer(readers.len());
    let mut all: JoinSet<_> = readers.into_iter().map(|reader| reader.sum(buffer)).collect();
    let mut complete = 0;
    while let Some(sum) = all.join_next().await {
        match sum {
            Ok(Ok(sum)) => complete += usize::from(sum == expected),
            Ok(Err(error)) => eprintln!("a reader failed: {error}"),
            Err(error) => eprintln!("a reader failed: {error}"),
        }
    }
    complete
}

/// How long lines were on their way to each reader.
async fn times(readers: Vec<Response>) -> Result<Vec<Duration>> {
    let mut all: JoinSet<_> = readers
        .into_iter()
        .map(|reader| async move {
            let mut lines = Stamps::default();
            reader.each(64 << 10, |bytes| lines.take(bytes)).await.map(|_| lines.times)
        })
        .collect();
    let mut times = Vec::new();
    while let Some(reader) = all.join_next().await {
        // The first lines come with the past; they were sent before the reader was there.
        times.extend(reader??.into_iter().skip(10));
    }
    Ok(times)
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(share).as_secs_f64() * 1e6);
    format!("lines={} p50_us={p50:.0} p99_us={p99:.0} p99.9_us={p999:.0}", times.len())
}

/// Lines of which each begins with the time at which it was sent.
#[derive(Default)]
struct Stamps {
    /// Bytes of the present line that have come.
    come: usize,
    stamp: [u8; STAMP],
    times: Vec<Duration>,
}

impl Stamps {
    fn take(&mut self, mut bytes: &[u8]) {
        let now = now();
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(LINE - self.come));
            for (to, from) in self.stamp.iter_mut().skip(self.come).zip(part) {
                *to = *from;
            }
            self.come += part.len();
            if self.come == LINE {
                let sent = str::from_utf8(&self.stamp).ok().and_then(|text| text.parse().ok());
                self.times.push(now.saturating_sub(Duration::from_nanos(sent.unwrap_or(0))));
                self.come = 0;
            }
            bytes = rest;
        }
    }
}

/// A line that says that it is sent now.
pub(crate) fn line() -> Vec<u8> {
    let mut line = format!("{:0STAMP$}", now().as_nanos()).into_bytes();
    line.resize(LINE, b'x');
    line
}

/// The time, by the clock that processes share.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A process of readers that are connected.
pub(crate) struct Readers {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Readers {
    /// Starts the process with the command line `arguments` of this program, so much nicer, and waits
    /// until it is ready.
    pub(crate) fn start(niceness: u8, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new("nice")
            .arg(format!("-n{niceness}"))
            .arg(std::env::current_exe()?)
            .arg("read")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        let mut readers = Self { child, lines: BufReader::new(out).lines() };
        match readers.line()?.as_str() {
            "ready" => Ok(readers),
            other => Err(format!("readers are not ready: {other:?}").into()),
        }
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().transpose()?.unwrap_or_default())
    }

    /// What they got, once the last has ended.
    pub(crate) fn result(mut self) -> Result<String> {
        let line = self.line()?;
        self.child.wait()?;
        Ok(line)
    }
}
