//! Access logs through the monitor, on one thread: lines to hits alone, and all the way to summaries,
//! alerts and lists. Throughput is in bytes; the number of lines is printed.
//!
//! The simplest alternative counts sections and nothing else:
//!
//! ```text
//! mawk '{ split($7, p, "/"); n["/" p[2]]++ } END { for (s in n) print n[s], s }' access.log
//! ```

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logq_monitor::{
    Format, Input, InputOptions, LineParser, Lists, Monitor, Options, Parsed, Rule,
};
use logq_testkit::access_log::{AccessForm, AccessLog};
use logq_testkit::traffic::{DAY_US, TrafficOptions, generate};

const RECORDS: u64 = 1_000_000;
const PIECE_BYTES: usize = 256 << 10;

/// As many requests a second as a day's log of 1 GiB has: about a hundred.
const SPAN_US: u64 = DAY_US / 40;

/// The log of some minutes, as one text.
fn log(form: AccessForm) -> String {
    let mut log = AccessLog::new(form);
    let mut text = form.header().to_owned();
    generate(
        &TrafficOptions { records: RECORDS, span_us: SPAN_US, ..Default::default() },
        |_, record| {
            text.extend(log.line(record));
        },
    );
    text
}

fn lists() -> Options {
    let lists = Lists { count: 10, urls: true, clients: true, statuses: true };
    Options { lists, ..Options::default() }
}

fn by_section() -> Options {
    let rules = ["rate > 10 by section", "error_ratio > 5%", "p99 > 500ms by section"];
    let rules = rules.iter().map(|rule| Rule::parse(rule, 120).unwrap()).collect();
    Options { rules, ..Options::default() }
}

fn watch(text: &str, options: Options) -> u64 {
    let mut monitor = Monitor::new(options);
    let mut input = Input::new(monitor.open("log"), InputOptions::default());
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        input.push(piece, &mut monitor).unwrap();
        monitor.drain().for_each(|output| drop(black_box(output)));
    }
    input.finish(&mut monitor).unwrap();
    monitor.end();
    monitor.report().counts.hits
}

fn parse(text: &str, format: Format) -> u64 {
    let mut parser = LineParser::new(format);
    let mut hits = 0;
    for line in text.lines() {
        if let Ok(Parsed::Hit(hit)) = parser.parse(line.as_bytes()) {
            black_box(hit.target.section(false));
            hits += 1;
        }
    }
    hits
}

fn access_logs(criterion: &mut Criterion) {
    let forms =
        [("combined", AccessForm::Combined, Format::Clf), ("CSV", AccessForm::Csv, Format::Csv)];
    for (name, form, format) in forms {
        let text = log(form);
        let lines = text.lines().count();
        let (mib, a_line) = (text.len() >> 20, text.len() / lines);
        eprintln!("monitor/{name}: {lines} lines, {mib} MiB, {a_line} bytes a line");
        let mut group = criterion.benchmark_group(format!("monitor/{name}"));
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
        group.sample_size(10);
        group.bench_function("lines to hits", |bencher| {
            bencher.iter(|| parse(&text, format.clone()));
        });
        group.bench_function("summaries and alerts", |bencher| {
            bencher.iter(|| watch(&text, Options::default()));
        });
        group.bench_function("all lists", |bencher| {
            bencher.iter(|| watch(&text, lists()));
        });
        group.bench_function("alerts by section", |bencher| {
            bencher.iter(|| watch(&text, by_section()));
        });
        group.finish();
    }
}

criterion_group!(benches, access_logs);
criterion_main!(benches);
