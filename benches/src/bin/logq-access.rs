//! Access logs of any size with millions of distinct urls, as input for measurements of the monitor;
//! and the truth about them, to hold against what it says.
//!
//! A day at a hundred requests a second or more, 16 sections, 10,000 clients. Ten urls are frequent,
//! with shares from 3 % down to a little above 1 %; nearly every other request has an url of its own,
//! which is the worst case for whatever counts urls.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Write access logs, or compare what was found in one with the truth
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an access log to standard output
    Write {
        /// How lines look
        #[arg(value_enum)]
        form: Form,
        /// How many bytes, at least
        #[arg(long)]
        bytes: u64,
        /// Where to write the truth
        #[arg(long)]
        truth: Option<PathBuf>,
    },
    /// Compare the last line of `logq monitor -o json --top 10` with the truth
    Check {
        /// What was written beside the log
        truth: PathBuf,
        /// What the monitor printed
        found: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The combined log format
    Combined,
    /// The same with the time that a request took, in seconds: $request_time behind the rest
    Timed,
    /// Comma-separated values as HttpMonitor's sample
    Csv,
}

/// What is known of a log.
#[derive(Debug, Serialize, Deserialize)]
struct Truth {
    requests: u64,
    distinct_urls: u64,
    /// The frequent urls, most frequent first.
    top: Vec<(String, u64)>,
    /// Exact quantiles of durations in microseconds: 50, 90, 95 and 99 of a hundred.
    quantiles_us: [u64; 4],
}

/// The shares of frequent urls, in thousandths.
const SHARES: [u64; 10] = [30, 27, 24, 21, 19, 17, 15, 13, 12, 11];
const SECTIONS: [&str; 16] = [
    "api", "cart", "static", "search", "items", "users", "orders", "img", "help", "blog", "admin",
    "login", "feed", "assets", "health", "reports",
];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "curl/8.7.1",
];
/// 2026-02-03 00:00:00 UTC.
const START_S: u64 = 1_770_076_800;

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Write { form, bytes, truth } => write(form, bytes, truth),
        Command::Check { truth, found } => check(&truth, &found),
    }
}

fn write(form: Form, bytes: u64, path: Option<PathBuf>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut random = Random(1);
    let mut counts = [0_u64; 10];
    let mut durations = Vec::new();
    let (mut written, mut requests, mut distinct) = (0_u64, 0_u64, 0_u64);
    let mut line = Vec::new();
    if form == Form::Csv {
        let header =
            b"\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\n";
        out.write_all(header)?;
        written += header.len() as u64;
    }
    while written < bytes {
        // 128 requests a second: ten million of them are a day.
        let second = START_S + requests / 128;
        let url = match frequent(random.below(1_000)) {
            Some(index) => {
                if let Some(count) = counts.get_mut(index) {
                    *count += 1;
                }
                hot(index)
            }
            None => {
                distinct += 1;
                let section = random.below(16).min(random.below(16));
                let section = SECTIONS.get(usize::try_from(section).unwrap_or(0)).unwrap_or(&"x");
                format!("/{section}/{:016x}", random.next())
            }
        };
        let duration_us = 200 + (random.below(1 << 12) * random.below(1 << 12)) / 64;
        durations.push(u32::try_from(duration_us).unwrap_or(u32::MAX));
        line.clear();
        render(form, &mut line, second, &url, duration_us, &mut random)?;
        out.write_all(&line)?;
        written += line.len() as u64;
        requests += 1;
    }
    out.flush()?;
    let Some(path) = path else { return Ok(()) };
    durations.sort_unstable();
    let quantile = |percent: usize| {
        let rank = (durations.len() * percent).div_ceil(100).max(1);
        durations.get(rank - 1).map_or(0, |us| u64::from(*us))
    };
    let top = counts.iter().enumerate().map(|(index, count)| (hot(index), *count)).collect();
    let quantiles_us = [quantile(50), quantile(90), quantile(95), quantile(99)];
    let distinct_urls = distinct + counts.iter().filter(|count| **count > 0).count() as u64;
    fs::write(path, serde_json::to_string(&Truth { requests, distinct_urls, top, quantiles_us })?)
}

/// Which of the frequent urls a number below 1,000 stands for.
fn frequent(number: u64) -> Option<usize> {
    let mut end = 0;
    SHARES.iter().position(|share| {
        end += share;
        number < end
    })
}

fn hot(index: usize) -> String {
    format!("/{}/popular/{index}", SECTIONS.get(index).unwrap_or(&"x"))
}

fn render(
    form: Form,
    line: &mut Vec<u8>,
    second: u64,
    url: &str,
    duration_us: u64,
    random: &mut Random,
) -> io::Result<()> {
    let client = random.below(10_000);
    let (ip3, ip4) = (client / 250, client % 250 + 1);
    let status = match random.below(100) {
        0 => 500,
        1..3 => 404,
        3..6 => 304,
        _ => 200,
    };
    let bytes = random.below(20_000);
    if form == Form::Csv {
        return writeln!(
            line,
            "\"10.0.{ip3}.{ip4}\",\"-\",\"apache\",{second},\"GET {url} HTTP/1.1\",{status},{bytes}"
        );
    }
    let of_day = second - START_S;
    let (day, hour, minute, second) =
        (3 + of_day / 86_400, of_day / 3_600 % 24, of_day / 60 % 60, of_day % 60);
    let agent = AGENTS.get(usize::try_from(client % 3).unwrap_or(0)).unwrap_or(&"-");
    write!(
        line,
        "10.0.{ip3}.{ip4} - - [{day:02}/Feb/2026:{hour:02}:{minute:02}:{second:02} +0000] \
         \"GET {url} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\""
    )?;
    match form {
        Form::Timed => {
            writeln!(line, " {}.{:06}", duration_us / 1_000_000, duration_us % 1_000_000)
        }
        _ => writeln!(line),
    }
}

/// Tells whether every frequent url was found with its exact place, and how far quantiles are off.
fn check(truth: &PathBuf, found: &PathBuf) -> io::Result<()> {
    let truth: Truth = serde_json::from_str(&fs::read_to_string(truth)?)?;
    let text = fs::read_to_string(found)?;
    let end: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    let wrong = |what: String| io::Error::other(what);
    let number = |place: &str| end.pointer(place).and_then(serde_json::Value::as_f64);
    let requests = end.get("requests").and_then(serde_json::Value::as_u64);
    if requests != Some(truth.requests) {
        return Err(wrong(format!("requests: {requests:?} found, {} there", truth.requests)));
    }
    let mut out = io::stdout().lock();
    let mut worst = 0.0_f64;
    for (index, (url, count)) in truth.top.iter().enumerate() {
        let key = end.pointer(&format!("/top/url/{index}/key")).and_then(serde_json::Value::as_str);
        if key != Some(url) {
            return Err(wrong(format!("place {}: {key:?} found, {url} there", index + 1)));
        }
        let found = number(&format!("/top/url/{index}/count")).unwrap_or_default();
        worst = worst.max((found - *count as f64).abs() / *count as f64);
    }
    writeln!(
        out,
        "top 10 right of {} distinct urls in {} requests; counts within {:.2} %",
        truth.distinct_urls,
        truth.requests,
        worst * 100.0
    )?;
    for (name, right) in ["p50_ms", "p90_ms", "p95_ms", "p99_ms"].iter().zip(truth.quantiles_us) {
        if let Some(found) = number(&format!("/{name}")) {
            let off = (found * 1_000.0 - right as f64).abs() / right as f64;
            let right_ms = right as f64 / 1_000.0;
            writeln!(out, "{name}: {found} found, {right_ms} exact, {:.2} % off", off * 100.0)?;
            if off > 0.01 {
                return Err(wrong(format!("{name} is off by more than 1 %")));
            }
        }
    }
    Ok(())
}
