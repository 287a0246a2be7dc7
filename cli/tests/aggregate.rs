//! Numbers: `--by`, `--hist`, `--quantile`, `--top` against a naive count of the lines of `-o json`, and
//! live with `-f`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, Scratch, signal, wait_until};
use fastrand::Rng;
use logq_format::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// 2026-02-03T13:50:00Z
const START_US: i64 = 1_770_126_600_000_000;

fn line(rng: &mut Rng, seq: u64, micros: i64) -> String {
    let time = Timestamp::from_micros(START_US + micros);
    let id = format!("{:08x}-1111-4111-8111-111111111111", rng.u8(..));
    let worker = rng.u32(..3);
    let of = format!("\"timestamp\":\"{time}\",\"workerId\":{worker},\"writer\":2,\"seq\":{seq}");
    match rng.u8(..6) {
        0 => format!(
            "{{{of},\"level\":\"INFO\",\"type\":\"REQUEST\",\"requestId\":\"{id}\",\"httpVersion\":\"1.1\",\
             \"method\":\"{}\",\"url\":\"/{}/{}?q=1\"}}",
            rng.choice(["GET", "POST", "PURGE"]).unwrap(),
            rng.choice(["cart", "api", "img"]).unwrap(),
            rng.u8(..4)
        ),
        1 | 2 => {
            let status = *rng.choice(&[200, 200, 200, 404, 500]).unwrap();
            let level = if status == 500 { "ERROR" } else { "INFO" };
            let bits = rng.u32(1..12);
            format!(
                "{{{of},\"level\":\"{level}\",\"type\":\"RESPONSE\",\"requestId\":\"{id}\",\
                 \"statusCode\":{status},\"bytes\":{},\"durationMs\":{}.{:03}}}",
                rng.u16(..),
                rng.u32(..1 << bits),
                rng.u16(1..1000)
            )
        }
        _ => {
            let level = rng.choice(["WARN", "INFO"]).unwrap();
            let user = match rng.u8(..4) {
                0 => String::new(),
                1 => format!(",\"user\":{{\"id\":\"{}\"}}", rng.u8(..4)),
                _ => format!(",\"user\":{{\"id\":{}}}", rng.u8(..9)),
            };
            format!(
                "{{{of},\"level\":\"{level}\",\"type\":\"LOG\",\"data\":{{\"n\":{}{user}}}}}",
                rng.i8(..)
            )
        }
    }
}

/// A store of random records of two hours, with its lines.
fn store(seed: u64, records: u64) -> (Scratch, Vec<Value>) {
    let mut rng = Rng::with_seed(seed);
    let mut text = String::new();
    let mut micros = 0;
    for seq in 0..records {
        micros += rng.i64(0..2 * 7_200_000_000 / i64::try_from(records).unwrap());
        writeln!(text, "{}", line(&mut rng, seq, micros)).unwrap();
    }
    let scratch = Scratch::new();
    scratch.store("store", &text);
    let lines = json_lines(&scratch.run(&["-o", "json", "store"]).stdout);
    assert_eq!(lines.len() as u64, records);
    (scratch, lines)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn field<'v>(record: &'v Value, name: &str) -> Option<&'v Value> {
    name.split('.').try_fold(record, |value, key| value.get(key))
}

/// A value as a group has it.
fn value(record: &Value, name: &str) -> Option<Value> {
    if name != "section" {
        return field(record, name).cloned();
    }
    let url = field(record, "url")?.as_str()?;
    let end = url[1..].find(['/', '?']).map_or(url.len(), |at| at + 1);
    Some(url[..end].into())
}

/// What is asked for.
struct Asked {
    by: Vec<&'static str>,
    minutes: Option<i64>,
    measure: Option<&'static str>,
    top: Option<usize>,
    filter: Filter,
}

/// Kinds of records, as bits.
const RESPONSE: u8 = 2;
const FINISHED: u8 = 4;
const LOG: u8 = 8;
const OF_REQUEST: u8 = 16;

/// Flags, and which records they leave.
type Filter = (&'static [&'static str], fn(&Value) -> bool);

const FILTERS: [Filter; 5] = [
    (&[], |_| true),
    (&["-l", "warn"], |record| record["level"] != "INFO"),
    (&["-w", "status >= 400"], |record| record["statusCode"].as_u64() >= Some(400)),
    (&["-w", "data.n > 0 or method = GET"], |record| {
        record["data"]["n"].as_i64() > Some(0) || record["method"] == "GET"
    }),
    (&["-W", "1", "-g", "\"id\""], |record| {
        record["workerId"] == 1 && record["data"].to_string().contains("\"id\"")
    }),
];

impl Asked {
    fn random(rng: &mut Rng) -> Self {
        const FIELDS: [&str; 9] = [
            "level",
            "type",
            "statusCode",
            "workerId",
            "method",
            "section",
            "data.user.id",
            "data",
            "requestId",
        ];
        let mut by: Vec<_> = (0..rng.usize(..3)).map(|_| *rng.choice(&FIELDS).unwrap()).collect();
        by.dedup();
        let minutes = rng.bool().then(|| *rng.choice(&[1, 15, 60]).unwrap());
        let measure = rng.bool().then(|| *rng.choice(&["durationMs", "bytes", "data.n"]).unwrap());
        let measure = measure.or_else(|| (by.is_empty() && minutes.is_none()).then_some("bytes"));
        let top = (!by.is_empty() && rng.bool()).then(|| rng.usize(1..5));
        Self { by, minutes, measure, top, filter: *rng.choice(&FILTERS).unwrap() }
    }

    fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = self.filter.0.iter().map(|word| (*word).to_owned()).collect();
        if !self.by.is_empty() {
            words.extend(["--by".to_owned(), self.by.join(",")]);
        }
        words.extend(self.minutes.map(|minutes| format!("--hist={minutes}m")));
        if let Some(measure) = self.measure {
            words.extend(["--quantile", "0,50,95,100", "--of", measure].map(str::to_owned));
        }
        words.extend(self.top.map(|top| format!("--top={top}")));
        words.extend(["-o", "json", "store"].map(str::to_owned));
        words
    }

    /// The kinds of records that are counted with what their requests tell, if no kind that the
    /// filter leaves has all the fields itself.
    fn joined(&self) -> Option<u8> {
        const REQUEST: u8 = 1;
        const ANY: u8 = 31;
        const FILTERED: [u8; 5] = [ANY, ANY & !REQUEST, RESPONSE, REQUEST | LOG | OF_REQUEST, ANY];
        let kinds = |name: &str| match name {
            "statusCode" => RESPONSE,
            "durationMs" | "bytes" => RESPONSE | FINISHED,
            "method" | "section" => REQUEST,
            "requestId" => REQUEST | RESPONSE | FINISHED | OF_REQUEST,
            name if name.starts_with("data") => LOG | OF_REQUEST,
            _ => ANY,
        };
        let filter = FILTERS.iter().position(|filter| filter.0 == self.filter.0).unwrap();
        let left = FILTERED[filter] & self.measure.map_or(ANY, kinds);
        let all = self.by.iter().fold(left, |all, name| all & kinds(name));
        let lent = |name: &&&str| kinds(name) == REQUEST;
        let own = self.by.iter().filter(|name| !lent(name));
        let own = own.fold(left, |own, name| own & kinds(name)) & kinds("requestId") & !REQUEST;
        (all == 0 && own != 0 && self.by.iter().any(|name| lent(&name))).then_some(own)
    }

    /// The records that belong to groups, each with what it is grouped by.
    fn grouped<'v>(&self, records: &'v [Value]) -> Vec<(&'v Value, Value)> {
        let of = |record: &Value, request: Option<&Value>| {
            let mut group = json!({});
            for name in &self.by {
                let lent = request.and_then(|request| value(request, name));
                if let Some(value) = value(record, name).or(lent) {
                    group[*name] = value;
                }
            }
            group
        };
        let Some(kinds) = self.joined() else {
            let wanted = records.iter().filter(|record| (self.filter.1)(record));
            let grouped = wanted.map(|record| (record, of(record, None)));
            return grouped.filter(|(_, g)| self.by.is_empty() || *g != json!({})).collect();
        };
        let time = |record: &Value| -> Timestamp {
            record["timestamp"].as_str().unwrap().parse().unwrap()
        };
        let (mut open, mut grouped) = (BTreeMap::new(), Vec::new());
        for record in records {
            let Some(id) = record["requestId"].as_str() else { continue };
            if record["type"] == "REQUEST" {
                open.insert(id, record);
                continue;
            }
            let request = open.get(id).copied();
            let request = request.filter(|r| time(record).micros_since(time(r)) <= 600_000_000);
            // There are no other records of requests here; errors without a text come in as LOG.
            let kind = if record["type"] == "RESPONSE" { RESPONSE } else { OF_REQUEST };
            if kinds & kind != 0 && (self.filter.1)(record) {
                grouped.push((record, of(record, request)));
            }
            if (kinds, kind) == (RESPONSE, RESPONSE) {
                open.remove(id);
            }
        }
        grouped
    }

    /// The records of each group, of those that are printed.
    fn groups<'v>(&self, records: &'v [Value]) -> BTreeMap<(String, String), Vec<&'v Value>> {
        let mut groups: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
        let mut totals: BTreeMap<String, usize> = BTreeMap::new();
        for (record, group) in self.grouped(records) {
            let is_measured = |name: &str| field(record, name).is_some_and(Value::is_number);
            if !self.measure.is_none_or(is_measured) {
                continue;
            }
            let bar = self.minutes.map_or(String::new(), |minutes| bar(record, minutes));
            groups.entry((bar, group.to_string())).or_default().push(record);
            *totals.entry(group.to_string()).or_default() += 1;
        }
        if let Some(top) = self.top {
            // With which of equally frequent ones it ends is another test's business.
            let mut counts: Vec<_> = totals.values().copied().collect();
            counts.sort_unstable_by(|one, other| other.cmp(one));
            let least = counts.get(top).map_or(0, |next| next + 1);
            groups.retain(|(_, group), _| totals[group] >= least);
        }
        groups
    }
}

/// Where the bar of a record begins.
fn bar(record: &Value, minutes: i64) -> String {
    let time: Timestamp = record["timestamp"].as_str().unwrap().parse().unwrap();
    let width = minutes * 60_000_000;
    Timestamp::from_micros(time.as_micros() / width * width).to_string()
}

/// The numbers of a group, sorted.
fn numbers(records: &[&Value], name: &str) -> Vec<f64> {
    let number = |record: &&Value| field(record, name).and_then(Value::as_f64).unwrap();
    let mut numbers: Vec<_> = records.iter().map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn check_quantiles(line: &Value, numbers: &[f64], context: &str) {
    let distinct = numbers.iter().map(|number| number.to_bits()).collect::<BTreeSet<_>>().len();
    for (name, percent) in [("p0", 0), ("p50", 50), ("p95", 95), ("p100", 100)] {
        let right = numbers[(numbers.len() * percent).div_ceil(100).max(1) - 1];
        let found = line[name].as_f64().unwrap();
        let tolerance = if distinct <= 256 { 1e-12 } else { 0.01 };
        assert!(
            (found - right).abs() <= right.abs() * tolerance,
            "{name} {right} {line} {context}"
        );
    }
}

fn check(scratch: &Scratch, records: &[Value], asked: &Asked) {
    let words = asked.arguments();
    let context = words.join(" ");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let run = scratch.run(&words);
    let expected = asked.groups(records);
    let mut seen = BTreeSet::new();
    let mut last_count = u64::MAX;
    for line in json_lines(&run.stdout) {
        let start = line["time"].as_str().unwrap_or_default().to_owned();
        let mut group = line.clone();
        for name in ["time", "count", "p0", "p50", "p95", "p100"] {
            group.as_object_mut().unwrap().remove(name);
        }
        let count = line["count"].as_u64().unwrap();
        let key = (start.clone(), group.to_string());
        if count == 0 {
            assert!(!expected.keys().any(|(bar, _)| *bar == start), "{line} {context}");
            continue;
        }
        if asked.minutes.is_none() && asked.top.is_some() {
            assert!(count <= last_count, "{line} {context}");
            last_count = count;
        }
        match expected.get(&key) {
            Some(records) => {
                assert_eq!(count, records.len() as u64, "{line} {context}");
                if let Some(measure) = asked.measure {
                    check_quantiles(&line, &numbers(records, measure), &context);
                }
            }
            None => assert!(asked.top.is_some(), "{line} {context}"),
        }
        assert!(seen.insert(key), "{line} {context}");
    }
    for key in expected.keys() {
        assert!(seen.contains(key), "{key:?} is missing, {context}\n{}", run.stdout);
    }
    if let Some(minutes) = asked.minutes {
        let bars = json_lines(&run.stdout).into_iter().map(|line| line["time"].to_string());
        let bars: BTreeSet<_> = bars.collect();
        let all: BTreeSet<_> = records.iter().map(|record| bar(record, minutes)).collect();
        assert!(bars.len() >= all.len() || asked.top.is_some(), "{context}");
    }
    assert_eq!(run.code, i32::from(expected.is_empty() && seen.is_empty()), "{context}");
}

#[test]
fn numbers_are_those_of_a_naive_count() {
    let (scratch, records) = store(7, 3_000);
    let mut rng = Rng::with_seed(8);
    for _ in 0..60 {
        check(&scratch, &records, &Asked::random(&mut rng));
    }
}

#[test]
fn labels_of_bars_are_read_back_as_their_beginnings() {
    let (scratch, records) = store(9, 400);
    for zone in ["UTC", "Asia/Kolkata", "America/New_York"] {
        for width in ["1h", "7m", "1d"] {
            let width = format!("--hist={width}");
            let run = scratch.run(&["-Z", zone, &width, "store"]);
            let rows: Vec<Vec<&str>> =
                run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
            let counted: usize = rows.iter().map(|row| row[1].parse::<usize>().unwrap()).sum();
            assert_eq!(counted, records.len());
            for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
                let run = scratch.run(&["-Z", zone, "-S", row[0], "-U", next[0], "-c", "store"]);
                assert_eq!(run.stdout.trim(), row[1], "{zone} {width} {row:?}");
            }
        }
    }
}

#[test]
fn every_flag_of_numbers_goes_with_several_threads_and_stores() {
    let (scratch, records) = store(11, 2_000);
    let words = ["--hist=1m", "--by", "level,section", "--quantile", "50", "--of", "bytes"];
    let text = |more: &[&str]| {
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        scratch.run(&words).stdout
    };
    let one = text(&["-j", "1", "store"]);
    assert_eq!(text(&["-j", "4", "store"]), one);
    assert!(one.lines().count() > 100);
    let exact = ["--quantile", "37,50,99", "--of", "bytes", "--exact", "-o", "json", "store"];
    let exact = json_lines(&scratch.run(&exact).stdout).remove(0);
    let sizes = records.iter().filter_map(|record| record["bytes"].as_u64());
    let mut sizes: Vec<_> = sizes.collect();
    sizes.sort_unstable();
    let mut different = sizes.clone();
    different.dedup();
    assert!(different.len() > 300, "{} sizes", different.len());
    for percent in [37, 50, 99] {
        let size = sizes[(sizes.len() * percent).div_ceil(100) - 1];
        assert_eq!(exact[format!("p{percent}")], json!(size), "p{percent}: {exact}");
    }
    let twice = scratch.run(&["--by", "level", "-o", "json", "store", "store"]).stdout;
    let once = scratch.run(&["--by", "level", "-o", "json", "store"]).stdout;
    let sum =
        |text: &str| json_lines(text).iter().map(|l| l["count"].as_u64().unwrap()).sum::<u64>();
    assert!(sum(&twice) >= sum(&once));
}

/// Where only the end of a response tells how much it was, as with a logger that writes the length
/// when the body is through: each of these found nothing, and did not say why.
#[test]
fn what_only_the_end_of_a_response_tells_is_joined_to_the_response() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for (n, status, bytes) in [(1, 200, 10), (2, 200, 30), (3, 500, 70)] {
        let id = format!("0000000{n}-1111-4111-8111-111111111111");
        let mut line = |seq: u32, second: u32, level: &str, rest: &str| {
            writeln!(
                text,
                "{{\"timestamp\":\"2026-02-03T14:00:{second:02}Z\",\"level\":\"{level}\",{rest},\
                 \"workerId\":1,\"writer\":2,\"seq\":{},\"requestId\":\"{id}\"}}",
                n * 10 + seq
            )
            .unwrap();
        };
        let request =
            "\"type\":\"REQUEST\",\"httpVersion\":\"1.1\",\"method\":\"GET\",\"url\":\"/a\"";
        line(1, n, "INFO", request);
        let level = if status == 500 { "ERROR" } else { "INFO" };
        let error = if status == 500 { ",\"error\":{\"value\":\"no\"}" } else { "" };
        line(2, n, level, &format!("\"type\":\"RESPONSE\",\"statusCode\":{status}{error}"));
        line(3, 30, "INFO", &format!("\"type\":\"RESPONSE_FINISHED\",\"bytes\":{bytes}"));
    }
    scratch.store("store", &text);
    let check = |words: &[&str], expected: &[Value]| {
        let run = scratch.run(&[words, &["-o", "json", "store"]].concat());
        assert_eq!(json_lines(&run.stdout), expected, "{words:?} {}", run.stderr);
        assert_eq!(run.stderr, "", "{words:?}");
    };
    let of_bytes = ["--quantile", "0,100", "--of", "bytes"];
    let by = |words: &[&'static str]| [words, &of_bytes].concat();
    check(
        &by(&["--by", "status"]),
        &[
            json!({"statusCode": 200, "count": 2, "p0": 10, "p100": 30}),
            json!({"statusCode": 500, "count": 1, "p0": 70, "p100": 70}),
        ],
    );
    check(
        &by(&["--by", "url,status"]),
        &[
            json!({"url": "/a", "statusCode": 200, "count": 2, "p0": 10, "p100": 30}),
            json!({"url": "/a", "statusCode": 500, "count": 1, "p0": 70, "p100": 70}),
        ],
    );
    // What is counted is the response: it is what the filter is about, and the time is its own.
    let failed = [json!({"count": 1, "p0": 70, "p100": 70})];
    check(&by(&["-w", "status >= 500"]), &failed);
    check(&by(&["-w", "status >= 500", "-U", "2026-02-03T14:00:10Z"]), &failed);
    let url = [json!({"url": "/a", "count": 1, "p0": 70, "p100": 70})];
    check(&by(&["--by", "url", "-w", "status >= 500"]), &url);

    let told = |words: &[&str], expected: &str| {
        let run = scratch.run(&[words, &["store"]].concat());
        assert_eq!((run.stdout.as_str(), run.code), ("", 1), "{words:?}");
        assert!(run.stderr.contains(expected), "{words:?} {}", run.stderr);
    };
    told(
        &["--by", "status", "--quantile", "50"],
        "none of 3 matching records has durationMs; --of names another number",
    );
    told(
        &by(&["--by", "status", "-t", "RESPONSE_FINISHED"]),
        "no kind of record asked for has statusCode and bytes at once",
    );
}

/// Quantiles that were to be exact are so, or it is told that memory did not suffice; with `-f` at the end.
#[test]
fn what_exact_quantiles_are_given_up_for_is_told() {
    const GROUPS: u64 = 20_000;
    let scratch = Scratch::new();
    for (each, is_told) in [(4, false), (8, true)] {
        let mut text = String::new();
        for n in 0..GROUPS * each {
            let time = Timestamp::from_micros(START_US + i64::try_from(n).unwrap());
            let group = n % GROUPS;
            writeln!(text, "{{\"timestamp\":\"{time}\",\"g\":{group},\"n\":{n}}}").unwrap();
        }
        let store = each.to_string();
        scratch.store(&store, &text);
        let words = "--utc --hist=1h --by data.g --quantile 0 --of data.n --exact -o json";
        let until = ["-U", "2026-02-03T14:00:00Z"];
        for follow in [None, Some("-f")] {
            let words = words.split(' ').chain(follow).chain(until).chain([store.as_str()]);
            let run = scratch.run(&words.collect::<Vec<_>>());
            let what = format!("{follow:?} {each} values each: {}", run.stderr);
            assert_eq!(run.code, 0, "{what}");
            assert_eq!(run.stderr.contains("quantiles are within 1 %"), is_told, "{what}");
            let lines = json_lines(&run.stdout);
            assert_eq!(lines.len() as u64, GROUPS, "{what}");
            let is_exact = |line: &Value| line["p0"] == line["data.g"];
            let is_near = |line: &Value| {
                let [least, group] = ["p0", "data.g"].map(|name| line[name].as_f64().unwrap());
                (least - group).abs() <= 0.01 * group
            };
            assert!(lines.iter().all(is_near), "{what}");
            assert_eq!(lines.iter().all(is_exact), !is_told, "{what}");
        }
    }
}

/// `logq ingest` with an open pipe.
struct Writer {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Writer {
    fn new(scratch: &Scratch) -> Self {
        let mut command = scratch.command(&["ingest", "-q", "live"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdin.take();
        Self { child, pipe }
    }

    fn write(&mut self, count: u64) {
        let text: String =
            (0..count).map(|n| format!("{{\"n\":{},\"ms\":{n}}}\n", n % 3)).collect();
        self.pipe.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// Waits until so many records are in the store.
fn until_stored(scratch: &Scratch, count: u64) {
    let stored = || scratch.run(&["-q", "-c", "-w", "exists(data.n)", "live"]).stdout;
    wait_until(format_args!("{count} records"), || stored().trim() == count.to_string());
}

#[test]
fn a_pipe_gets_the_numbers_of_what_was_there_and_what_came_when_it_ends() {
    let scratch = Scratch::new();
    let mut writer = Writer::new(&scratch);
    writer.write(30);
    until_stored(&scratch, 30);
    let follow = |words: &[&str]| {
        let mut command = scratch.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut children = [
        follow(&["-f", "--by", "data.n", "-o", "json", "live"]),
        follow(&["-f", "-c", "-w", "exists(data.n)", "live"]),
        follow(&["-f", "--quantile", "100", "--of", "data.ms", "--hist=1h", "-o", "json", "live"]),
    ];
    // They have begun when they see what comes; how much of it was there before is all the same.
    std::thread::sleep(Duration::from_millis(300));
    writer.write(60);
    until_stored(&scratch, 90);
    std::thread::sleep(Duration::from_millis(500));
    let outputs = children.each_mut().map(|child| {
        signal(child, Signal::SIGINT);
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        text
    });
    let counts: Vec<_> = json_lines(&outputs[0])
        .iter()
        .map(|line| (line["data.n"].clone(), line["count"].clone()))
        .collect();
    assert_eq!(counts, [(json!(0), json!(30)), (json!(1), json!(30)), (json!(2), json!(30))]);
    assert_eq!(outputs[1], "90\n");
    let bars = json_lines(&outputs[2]);
    let counted: u64 = bars.iter().map(|line| line["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 90, "{bars:?}");
    assert!(bars.iter().any(|line| line["p100"] == json!(59)), "{bars:?}");
}

#[test]
fn numbers_of_a_range_end_with_it_and_a_store_may_come_later() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["-f", "-U", "now+3s", "--by", "data.n", "live"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut writer = Writer::new(&scratch);
    writer.write(9);
    until_stored(&scratch, 9);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "           3 0\n           3 1\n           3 2\n");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("waiting for it"), "{errors}");
    assert_eq!(output.status.code(), Some(0), "{errors}");
}

#[test]
fn a_terminal_shows_the_same_lines_anew() {
    let scratch = Scratch::new();
    let mut writer = Writer::new(&scratch);
    writer.write(3);
    until_stored(&scratch, 3);
    let pty = nix::pty::openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    let mut command: Command = scratch.command(&["-f", "-q", "--by", "data.n", "live"]);
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(Stdio::null());
    command.env("COLUMNS", "40");
    let mut child = command.spawn().unwrap();
    command.stdout(Stdio::null());
    drop(slave);
    let mut master = File::from(pty.master);
    let mut text = String::new();
    let mut read_until = |wanted: &str| {
        let start = Instant::now();
        let mut chunk = [0; 4096];
        while !text.contains(wanted) {
            assert!(start.elapsed() < PATIENCE, "{text:?}");
            let count = master.read(&mut chunk).unwrap_or(0);
            text.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        text.clone()
    };
    read_until("1 0\r\n           1 1\r\n           1 2\r\n");
    writer.write(3);
    let text = read_until("           2 2\r\n");
    assert!(text.contains("\u{1b}[3A\u{1b}[J           2 0\r\n"), "{text:?}");
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
