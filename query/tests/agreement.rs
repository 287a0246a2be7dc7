//! Random questions about random records: expressions answer what a naive evaluation of the lines of
//! JSON answers, at every stage.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

use std::net::IpAddr;

use fastrand::Rng;
use jiff::tz::TimeZone;
use logq_format::{
    Block, BlockBuilder, BlockContext, BlockFlags, BlockHeader, ClockStep, Compressor, DebugEntry,
    Decompressor, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Level, Lifecycle,
    LogSource, Lost, Method, Origin, Process, Record, Request, RequestId, Response,
    ResponseFinished, Spine, StoredBlock, SyncMarker, Timestamp, TypeSet, WorkerExited, WorkerId,
    WriterId, json,
};
use logq_query::{BlockFacts, Expression, Verdict, when};
use logq_testkit::question::Question;

fn context() -> when::Context<'static> {
    let now = Timestamp::from_micros(1_770_127_506_789_000);
    when::Context { now, zone: TimeZone::UTC, since: None, marks: None }
}

/// Random JSON, with what makes scanning it hard: white space, escapes, keys that come twice.
fn json_text(rng: &mut Rng, depth: u8) -> String {
    let space = |rng: &mut Rng| if rng.u8(..6) == 0 { " " } else { "" };
    match rng.u8(..if depth < 3 { 12 } else { 7 }) {
        0 => "null".to_owned(),
        1 => rng.bool().to_string(),
        2 => rng.i64(-20..20).to_string(),
        3 => [u64::MAX, u64::MAX - 1, 1 << 53, (1 << 53) + 1][rng.usize(..4)].to_string(),
        4 => (f64::from(rng.i8(..)) / 4.0).to_string(),
        5 | 6 => string(rng).to_owned(),
        7 | 8 => {
            let element = |rng: &mut Rng| format!("{}{}", space(rng), json_text(rng, depth + 1));
            let elements: Vec<_> = (0..rng.usize(..4)).map(|_| element(rng)).collect();
            format!("[{}{}]", elements.join(","), space(rng))
        }
        _ => {
            let member = |rng: &mut Rng| {
                let (before, after) = (space(rng), space(rng));
                format!("{before}{}{after}:{after}{}", key(rng), json_text(rng, depth + 1))
            };
            let members: Vec<_> = (0..rng.usize(..5)).map(|_| member(rng)).collect();
            format!("{{{}{}}}", members.join(","), space(rng))
        }
    }
}

fn string(rng: &mut Rng) -> &'static str {
    const STRINGS: [&str; 12] = [
        r#""""#,
        r#""12""#,
        r#""abc def""#,
        r#""true""#,
        r#""a\"b\\""#,
        r#""\u00e9\n\t\/""#,
        r#""é""#,
        r#""\ud83d\ude00 {[""#,
        r#""it's""#,
        r#""192.0.2.7""#,
        r#""2001:db8::1""#,
        r#""::ffff:192.0.2.9""#,
    ];
    STRINGS[rng.usize(..STRINGS.len())]
}

fn key(rng: &mut Rng) -> &'static str {
    const KEYS: [&str; 9] = [
        r#""a""#,
        r#""b""#,
        r#""user""#,
        r#""id""#,
        r#""\u0061""#,
        r#""odd key""#,
        r#""""#,
        r#""x.y[0]""#,
        r#""é\"""#,
    ];
    KEYS[rng.usize(..KEYS.len())]
}

/// Texts that records borrow.
struct Texts {
    data: [String; 2],
    properties: String,
    debug: Vec<String>,
}

impl Texts {
    fn new(rng: &mut Rng) -> Self {
        let properties = format!(r#"{{"code":{},"text":1}}"#, json_text(rng, 2));
        let debug = (0..rng.usize(..3)).map(|_| json_text(rng, 2)).collect();
        Self { data: [json_text(rng, 0), json_text(rng, 1)], properties, debug }
    }
}

fn event<'t>(rng: &mut Rng, texts: &'t Texts, time: Timestamp, is_master: bool) -> Event<'t> {
    let data = Json::new(&texts.data[rng.usize(..2)]).unwrap();
    let request = RequestId::from_bytes([rng.u8(..4); 16]);
    let level = Level::ALL[rng.usize(..6)];
    let entry = |text: &'t String| DebugEntry { time, data: Json::new(text).unwrap() };
    let error = ErrorInfo {
        kind: if rng.bool() { ErrorKind::Stack } else { ErrorKind::Value },
        text: ["Error: no\n  at x", "", "12"][rng.usize(..3)],
        properties: rng.bool().then(|| Json::new(&texts.properties).unwrap()),
        debug: texts.debug.iter().map(entry).collect::<Vec<_>>().into(),
    };
    let some_error = rng.bool().then(|| error.clone());
    let bytes = rng.bool().then(|| rng.u64(..1 << 20));
    let duration_us = rng.bool().then(|| rng.u64(..3_000_000));
    let worker = WorkerId::new(rng.u32(..4)).unwrap();
    match (is_master, rng.u8(..9)) {
        (true, 0) => Event::Lifecycle(Lifecycle::StartingUp),
        (true, 1) => Event::WorkerSpawned { worker },
        (true, 2 | 3) => Event::WorkerExited(WorkerExited {
            worker,
            exit_code: rng.bool().then(|| rng.i32(-1..3)),
            signal: rng.bool().then_some("SIGKILL"),
        }),
        (true, 4) => Event::UncaughtException { process: Process::Master, error },
        (true, _) => Event::Log { source: LogSource::Master, level, data },
        (false, 0) => rare(rng, time),
        (false, 1) => Event::Request(Request {
            request,
            ip: address(rng),
            http_version: HttpVersion::new(rng.u8(1..4), rng.u8(..2)).unwrap(),
            method: Method::new(["GET", "POST", "PURGE", "get"][rng.usize(..4)]),
            url: ["/", "/api/users?id=1", "*", "/é\"\\"][rng.usize(..4)],
        }),
        (false, 2) => Event::RequestMeta { request, data },
        (false, 3 | 4) => Event::Response(Response {
            request,
            status: [200, 204, 404, 500][rng.usize(..4)],
            error: some_error,
            expected: rng.bool(),
            bytes,
            duration_us,
        }),
        (false, 5) => Event::ResponseFinished(ResponseFinished {
            request,
            error: some_error,
            bytes,
            duration_us,
        }),
        (false, 6) => Event::Log { source: LogSource::Request(request), level, data },
        (false, 7) => Event::Lifecycle(Lifecycle::WorkerStarted),
        (false, _) => Event::Log { source: LogSource::Worker, level, data },
    }
}

fn rare<'t>(rng: &mut Rng, time: Timestamp) -> Event<'t> {
    match rng.u8(..4) {
        0 => Event::Lost(Lost {
            counts: [0, 1, 0, 0, 2, 0],
            first: time,
            last: time,
            reason: "full",
        }),
        1 => Event::ClockStep(ClockStep { expected: time, found: Timestamp::from_micros(0) }),
        2 => Event::IoError(IoError {
            operation: "write",
            code: 28,
            path: "/var/log",
            message: "no",
        }),
        _ => Event::Lifecycle(Lifecycle::WorkerDone),
    }
}

fn address(rng: &mut Rng) -> Option<IpAddr> {
    let texts = ["192.0.2.7", "192.0.2.200", "10.1.2.3", "2001:db8::1", "::ffff:192.0.2.7"];
    rng.bool().then(|| texts[rng.usize(..5)].parse().unwrap())
}

/// A block of random records, encoded.
fn block(rng: &mut Rng, texts: &[Texts]) -> (Vec<u8>, BlockHeader) {
    let worker = rng.u32(..4).checked_sub(1).and_then(WorkerId::new);
    let origin = Origin { writer: WriterId(rng.u32(..5)), worker };
    let mut builder = BlockBuilder::new();
    let mut micros = 1_770_000_000_000_000 + rng.i64(0..1000);
    let is_sparse = rng.u8(..4) == 0;
    for (index, texts) in texts.iter().enumerate() {
        micros += rng.i64(0..500);
        if is_sparse && index > 0 {
            builder.skip_sequence(rng.u64(..3));
        }
        let time = Timestamp::from_micros(micros);
        builder.push(&Record { time, event: event(rng, texts, time, worker.is_none()) }).unwrap();
    }
    let context = BlockContext {
        marker: SyncMarker::from_random([7; 8]),
        origin,
        sequence: rng.u64(..600),
        flags: if is_sparse { BlockFlags::SPARSE } else { BlockFlags::NONE },
        lost: 0,
    };
    let mut bytes = Vec::new();
    let header = builder.finish(&context, &mut Compressor::raw(), &mut bytes);
    (bytes, header)
}

/// What the stages say of one record. Each may be less certain than the next, never different.
fn stages(expected: bool, verdicts: &[Verdict], context: &str) {
    for (stage, verdict) in verdicts.iter().enumerate() {
        let certain = match verdict {
            Verdict::Always => true,
            Verdict::Never => false,
            Verdict::Unknown => continue,
        };
        assert_eq!(certain, expected, "stage {stage}, {context}");
    }
}

/// Puts questions to the records of one block; answers how often each stage decided.
fn check(seed: u64, decided: &mut [u64; 4]) {
    let mut rng = Rng::with_seed(seed);
    let texts: Vec<_> = (0..rng.usize(1..8)).map(|_| Texts::new(&mut rng)).collect();
    let (bytes, header) = block(&mut rng, &texts);
    let stored = StoredBlock::new(header.clone(), &bytes).unwrap();
    let mut decompressor = Decompressor::new().unwrap();
    let (front, body) =
        (stored.spine(&mut decompressor).unwrap(), stored.body(&mut decompressor).unwrap());
    let spine = || Spine::parse(&header, stored.request_ids().collect(), &front).unwrap();
    let (rows, block) = (spine(), Block::new(spine(), &body).unwrap());
    let rows: Vec<_> = rows.rows().unwrap().collect();
    let records: Vec<_> = block.records().map(Result::unwrap).collect();
    let lines: Vec<String> = records
        .iter()
        .zip(&rows)
        .map(|(record, row)| {
            let mut line = Vec::new();
            json::write_line(&mut line, record, header.origin, row.sequence());
            String::from_utf8(line).unwrap()
        })
        .collect();
    let shown: Vec<&str> = lines.iter().map(String::as_str).collect();
    let facts = BlockFacts::from(&header);
    for _ in 0..12 {
        let question = Question::random(&mut rng, &shown);
        let text = question.to_string();
        let expression = Expression::parse(&text, &context())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let canonical = expression.to_string();
        let again = Expression::parse(&canonical, &context());
        assert_eq!(again.as_ref().ok(), Some(&expression), "seed {seed}, {canonical}, {again:?}");
        let of_block = expression.judge_block(&facts);
        let (since, until) = expression.times();
        let requests = expression.requests();
        for ((record, row), line) in records.iter().zip(&rows).zip(&lines) {
            let context = format!("seed {seed}, {text}\n{canonical}\n{line}");
            let expected = question.matches(line);
            assert_eq!(
                expression.matches(record, header.origin, row.sequence()),
                expected,
                "{context}"
            );
            let of_kind = expression.judge_kind(row.level(), row.record_type(), &facts);
            let of_status = row
                .status()
                .map_or(of_kind, |status| expression.judge_status(row.level(), status, &facts));
            let of_row = expression.judge_row(row, header.origin);
            stages(expected, &[of_block, of_kind, of_status, of_row], &context);
            if !expression.needs_record(TypeSet::EMPTY.with(row.record_type())) {
                assert_ne!(of_row, Verdict::Unknown, "{context}");
            }
            let stage = [of_block, of_kind, of_row].iter().position(|v| *v != Verdict::Unknown);
            decided[stage.unwrap_or(3)] += 1;
            if expected {
                assert!(since.is_none_or(|since| since <= record.time), "{context}");
                assert!(until.is_none_or(|until| record.time < until), "{context}");
                let request = record.request_id();
                let is_listed = |all: &Vec<RequestId>| request.is_some_and(|id| all.contains(&id));
                assert!(requests.as_ref().is_none_or(is_listed), "{context}");
            }
        }
    }
}

#[test]
fn expressions_agree_with_a_naive_evaluation_at_every_stage() {
    let mut decided = [0; 4];
    for seed in 0..3000 {
        check(seed, &mut decided);
    }
    // Every stage has something to decide, so none is tested in vain.
    assert!(decided.iter().all(|count| *count > 5_000), "{decided:?}");
}
