//! Whatever `logq_format::json` writes is read back as the record it was.

use std::borrow::Cow;
use std::net::IpAddr;

use logq_format::{ClockStep, DebugEntry, ErrorInfo, ErrorKind, IoError, Lost, json};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::import::Format;
use crate::import::testing::{check_lines, import, options};

const ID: &str = "0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3";

/// The owned parts of which a record of any kind is made.
#[derive(Clone, Debug)]
struct Parts {
    kind: usize,
    time: Timestamp,
    times: (Timestamp, Timestamp),
    level: Level,
    worker: Option<WorkerId>,
    writer: u32,
    sequence: u64,
    request: [u8; 16],
    ip: Option<IpAddr>,
    version: (u8, u8),
    texts: [String; 3],
    json: [String; 3],
    status: u16,
    numbers: (Option<u64>, Option<u64>),
    code: Option<i32>,
    counts: [u64; 6],
    flags: (bool, bool, bool),
    debug: Vec<(Timestamp, String)>,
}

fn timestamps() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()).prop_map(Timestamp::from_micros)
}

fn json_texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        (any::<String>(), "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
            .prop_map(|(text, number)| format!(
                r#"{{"a": [{number} ,{{}}],{}:1}}"#,
                serde_json::Value::from(text)
            )),
    ]
}

fn parts() -> impl Strategy<Value = Parts> {
    let who = (
        0..13_usize,
        timestamps(),
        (timestamps(), timestamps()),
        prop::sample::select(Level::ALL.to_vec()),
        option::of((0..=WorkerId::MAX.get()).prop_map(|number| WorkerId::new(number).unwrap())),
        any::<u32>(),
        0..SEQUENCE_MAX,
        any::<[u8; 16]>(),
    );
    let what = (
        option::of(any::<IpAddr>()),
        (0..8_u8, 0..8_u8),
        any::<[String; 3]>(),
        [json_texts(), json_texts(), json_texts()],
        any::<u16>(),
        (option::of(any::<u64>()), option::of(0..u64::MAX / 1000)),
        option::of(any::<i32>()),
        any::<[u64; 6]>(),
        any::<(bool, bool, bool)>(),
        prop::collection::vec((timestamps(), json_texts()), 0..3),
    );
    (who, what).prop_map(|(who, what)| Parts {
        kind: who.0,
        time: who.1,
        times: who.2,
        level: who.3,
        worker: who.4,
        writer: who.5,
        sequence: who.6,
        request: who.7,
        ip: what.0,
        version: what.1,
        texts: what.2,
        json: what.3,
        status: what.4,
        numbers: what.5,
        code: what.6,
        counts: what.7,
        flags: what.8,
        debug: what.9,
    })
}

impl Parts {
    fn line(&self) -> String {
        let debug = self
            .debug
            .iter()
            .map(|(time, data)| DebugEntry { time: *time, data: Json::new(data).unwrap() });
        let debug = debug.collect();
        let mut line = Vec::new();
        json::write_line(&mut line, &self.record(debug), self.origin(), self.sequence);
        String::from_utf8(line).unwrap()
    }

    fn origin(&self) -> Origin {
        Origin { writer: WriterId(self.writer), worker: self.worker }
    }

    fn record<'a>(&'a self, debug: Vec<DebugEntry<'a>>) -> Record<'a> {
        let request = RequestId::from_bytes(self.request);
        let [text, other, third] = &self.texts;
        let data = Json::new(&self.json[0]).unwrap();
        let worker = self.worker.unwrap_or(WorkerId::MAX);
        let (bytes, duration_us) = self.numbers;
        let error = ErrorInfo {
            kind: if self.flags.0 { ErrorKind::Stack } else { ErrorKind::Value },
            text,
            properties: self.flags.1.then(|| Json::new(&self.json[1]).unwrap()),
            debug: Cow::Owned(debug),
        };
        let some_error = self.flags.2.then(|| error.clone());
        let event = match self.kind {
            0 => Event::Request(Request {
                request,
                ip: self.ip,
                http_version: HttpVersion::new(self.version.0, self.version.1).unwrap(),
                method: Method::new(other),
                url: text,
            }),
            1 => Event::RequestMeta { request, data },
            2 => Event::Response(Response {
                request,
                status: self.status,
                expected: self.flags.0 && self.flags.2,
                error: some_error,
                bytes,
                duration_us,
            }),
            3 => Event::ResponseFinished(ResponseFinished {
                request,
                error: some_error,
                bytes,
                duration_us,
            }),
            4 => Event::Log { source: LogSource::Request(request), level: self.level, data },
            5 => Event::Log { source: self.source(), level: self.level, data },
            6 => Event::Lifecycle(Lifecycle::ALL[usize::from(self.status) % Lifecycle::ALL.len()]),
            7 => Event::WorkerSpawned { worker },
            8 => Event::WorkerExited(WorkerExited {
                worker,
                exit_code: self.code,
                signal: self.flags.0.then_some(other),
            }),
            9 => Event::UncaughtException {
                process: if self.worker.is_some() { Process::Worker } else { Process::Master },
                error,
            },
            10 => Event::Lost(Lost {
                counts: self.counts,
                first: self.times.0,
                last: self.times.1,
                reason: text,
            }),
            11 => Event::ClockStep(ClockStep { expected: self.times.0, found: self.times.1 }),
            _ => Event::IoError(IoError {
                operation: text,
                code: self.code.unwrap_or(0),
                path: other,
                message: third,
            }),
        };
        Record { time: self.time, event }
    }

    fn source(&self) -> LogSource {
        if self.worker.is_some() { LogSource::Worker } else { LogSource::Master }
    }
}

/// Imports and renders again, in the notation of [`check_lines`].
fn again(lines: &str) -> Vec<String> {
    let (lines, summary) = import(lines.as_bytes(), &options(Format::Auto));
    assert_eq!(summary.failures.total(), 0, "{:?}", summary.failures.first());
    lines
}

proptest! {
    #[test]
    fn every_record_prints_the_same_after_an_import(parts in prop::collection::vec(parts(), 1..8)) {
        let lines: Vec<_> = parts.iter().map(Parts::line).collect();
        prop_assert_eq!(again(&lines.concat()), lines);
    }

    #[test]
    fn other_tools_may_reorder_and_space_out_the_members(parts in parts()) {
        let line = parts.line();
        let mut members = Vec::new();
        crate::import::members::split(&line, &mut members).unwrap();
        members.reverse();
        let spacious: Vec<_> =
            members.iter().map(|member| format!("{} :\t{}", member.name, member.value)).collect();
        prop_assert_eq!(again(&format!("{{ {} }}\n", spacious.join(" , "))), [line]);
    }

    #[test]
    fn the_fast_path_reads_what_the_general_one_reads(parts in parts()) {
        let line = parts.line();
        let arena = bumpalo::Bump::new();
        let batch = Batch::new(&arena, None, 0);
        let mut members = Vec::new();
        crate::import::members::split(&line, &mut members).unwrap();
        let Own::Record(identity, record) = read(&members, &batch) else {
            return Err(TestCaseError::fail("not ours"));
        };
        if let Some(fast) = read_canonical(line.trim_end()) {
            prop_assert_eq!(fast, (identity, record));
        } else {
            let is_plain = |text: &String| text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\');
            let plain = parts.texts.iter().all(is_plain);
            // Numbers of twenty digits are left to the general path.
            let huge = parts.numbers.0.is_some_and(|bytes| bytes >= 10_u64.pow(19));
            prop_assert!(parts.kind >= 6 || parts.flags.2 || !plain || huge, "{}", line);
        }
    }
}

#[test]
fn lines_without_writer_and_number_get_new_ones() {
    let start = r#"{"timestamp":"2026-02-03T15:05:06.789+01:00","level":"#;
    check_lines(
        Format::Jsonl,
        &[
            start,
            r#""WARN","type":"LOG","workerId":7,"data":{"a":1}}"#,
            "\n",
            start,
            r#""INFO","type":"RESPONSE","workerId":null,"requestId":""#,
            ID,
            r#"","statusCode":200,"durationMs":12.3000000001}"#,
        ]
        .concat(),
        &[
            r#"2026-02-03T14:05:06.789000Z WARN LOG 7 {"a":1}"#,
            &format!(
                r#"2026-02-03T14:05:06.789000Z INFO RESPONSE null {ID} "statusCode":200,"durationMs":12.3"#
            ),
        ],
    );
}

#[test]
fn lines_that_contradict_themselves_are_foreign() {
    let check = |level: &str, rest: &str| {
        let line =
            format!(r#"{{"timestamp":"2026-02-03T14:05:06.789000Z","level":"{level}",{rest}}}"#);
        let expected = format!(r#"2026-02-03T14:05:06.789000Z {level} LOG 1 {{{rest}}}"#);
        check_lines(Format::Jsonl, &line, &[&expected]);
    };
    // An unknown member, a missing one, a member of another type, one of the wrong value.
    check("INFO", r#""type":"LOG","workerId":1,"writer":1,"seq":1,"data":1,"more":2"#);
    check("INFO", r#""type":"LOG","workerId":1,"writer":1,"seq":1"#);
    check("INFO", r#""type":"LOG","workerId":1,"writer":1,"data":1"#);
    check("INFO", r#""type":"LOG","writer":1,"seq":1,"data":1"#);
    check("INFO", r#""type":"LOG","workerId":1,"writer":1,"seq":1,"data":1,"url":"/""#);
    check("INFO", r#""type":"LOG","workerId":16777215,"writer":1,"seq":1,"data":1"#);
    check("INFO", r#""type":"LOG","workerId":1,"writer":1,"seq":281474976710655,"data":1"#);
    check("WARN", r#""type":"CLOCK_STEP","workerId":1,"writer":1,"seq":1,"data":{"expected":"x"}"#);
    check(
        "ERROR",
        r#""type":"LIFECYCLE","workerId":1,"writer":1,"seq":1,"event":"WORKER_STARTED""#,
    );
    check("INFO", r#""type":"LIFECYCLE","workerId":1,"writer":1,"seq":1,"event":"WORKER_FLED""#);
    check("INFO", r#""type":"PAYMENT","workerId":1,"writer":1,"seq":1,"data":1"#);
}

#[test]
fn records_of_newer_kinds_are_reported() {
    let line = r#"{"timestamp":"2026-02-03T14:05:06.789000Z","level":"INFO","type":"UNKNOWN","workerId":1,"writer":2,"seq":3,"data":{"kind":100,"payload":"00"}}"#;
    let shown: String = line.chars().take(80).collect();
    check_lines(Format::Jsonl, line, &[&format!("failed NewerKind line 1: {shown}…")]);
}

#[test]
fn the_fast_path_refuses_what_is_not_canonical() {
    let line = r#"{"timestamp":"2026-02-03T14:05:06.789000Z","level":"INFO","type":"LOG","workerId":1,"writer":2,"seq":3,"data":{"a":1}}"#;
    assert!(read_canonical(line).is_some());
    for (part, other) in [
        ("Z\"", "+00:00\""),
        ("14:05", "24:05"),
        ("02-03", "02-30"),
        ("INFO", "info"),
        ("LOG", "LOST"),
        (":1,\"writer", ":01,\"writer"),
        ("\"seq\":3", "\"seq\": 3"),
        ("\"seq\":3", "\"seq\":99999999999999999999"),
        ("{\"a\":1}", "{\"a\":}"),
        ("{\"a\":1}", " {\"a\":1}"),
        ("{\"a\":1}", "{\"a\":\t1}"),
        ("{\"a\":1}", "{\"a\":1},\"b\":2"),
        ("}}", "}"),
    ] {
        assert!(line.contains(part));
        assert_eq!(read_canonical(&line.replacen(part, other, 1)), None, "{part} {other}");
    }
    for cut in 0..line.len() {
        assert_eq!(read_canonical(&line[..cut]), None, "{cut}");
    }
}
