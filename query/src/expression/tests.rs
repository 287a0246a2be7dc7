//! What expressions mean, as tables; what is refused, with the whole message; what holds for all.

use jiff::tz::TimeZone;
use logq_format::{
    ErrorInfo, ErrorKind, Event, HttpVersion, Json, LogSource, Method, Request, Response,
    WorkerExited, WorkerId, WriterId,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::field::FieldPath;
use crate::seeded;

mod refused;

const ORIGIN: Origin = Origin { writer: WriterId(9), worker: WorkerId::new(3) };

fn context() -> Context<'static> {
    let now = "2026-02-03T15:00:00Z".parse().unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    Context { now, zone, since: None, marks: None }
}

fn parse(text: &str) -> Expression {
    Expression::parse(text, &context()).unwrap_or_else(|error| panic!("{error}"))
}

fn record(event: Event<'_>) -> Record<'_> {
    Record { time: "2026-02-03T13:05:06.789Z".parse().unwrap(), event }
}

fn log(data: &str, level: Level) -> Record<'_> {
    let data = Json::new(data).unwrap();
    record(Event::Log { source: LogSource::Worker, level, data })
}

fn response() -> Record<'static> {
    record(Event::Response(Response {
        request: RequestId::from_bytes([1; 16]),
        status: 503,
        error: Some(ErrorInfo {
            kind: ErrorKind::Value,
            text: "timeout",
            properties: Json::new(r#"{"code":"ETIMEDOUT","errno":-110}"#),
            debug: Vec::new().into(),
        }),
        expected: false,
        bytes: Some(1 << 20),
        duration_us: Some(250_000),
    }))
}

fn request(ip: &str) -> Record<'static> {
    record(Event::Request(Request {
        request: RequestId::from_bytes([1; 16]),
        ip: ip.parse().ok(),
        http_version: HttpVersion::HTTP_11,
        method: Method::Get,
        url: "/api/users?id=7",
    }))
}

#[track_caller]
fn check(record: &Record<'_>, yes: &[&str], no: &[&str]) {
    for (texts, expected) in [(yes, true), (no, false)] {
        for text in texts {
            assert_eq!(parse(text).matches(record, ORIGIN, 17), expected, "{text}");
        }
    }
}

/// The table of the module's documentation.
#[test]
fn fields_that_are_not_there_are_treated_as_documented() {
    let table: &str = include_str!("../expression.rs");
    let rows = table.lines().skip_while(|line| !line.starts_with("//! data.x is ")).skip(1);
    let rows: Vec<_> = rows.take_while(|line| !line.contains("```")).collect();
    assert_eq!(rows.len(), 13);
    for row in rows {
        let (text, answers) = row.trim_start_matches("//! ").split_at_checked(23).unwrap();
        let answers = answers.split_whitespace().map(|word| word == "true");
        let data = [r#"{"x":12}"#, r#"{"x":"12"}"#, r#"{"x":null}"#, "{}"];
        for (data, expected) in data.into_iter().zip(answers) {
            let found = parse(text.trim()).matches(&log(data, Level::Info), ORIGIN, 17);
            assert_eq!(found, expected, "{text} of {data}");
        }
    }
}

#[test]
fn numbers_sizes_and_durations_are_compared_by_value() {
    check(
        &response(),
        &[
            "status >= 500",
            "status = 503.0",
            "statusCode in (500, 503)",
            "status not in (500)",
            "bytes = 1MiB",
            "bytes = 1024kib",
            "size > 1MB",
            "bytes < 1.1MB",
            "bytes >= 1048576B",
            "ms = 250",
            "ms >= 250ms",
            "duration < 0.3s",
            "durationMs in (1s, 250000us)",
            "ms > 249.999",
            "ms < 250.000001",
            "ms < 1h30m",
            "ms < '1 day 2 hours'",
            "ms != 251",
            "seq = 17",
            "writer = 9",
            "worker = 3",
            "worker < 4",
            "worker != master",
            "worker in (master, 3)",
        ],
        &[
            "status = 503.5",
            "status < 503",
            "bytes > 1MiB",
            "bytes = 1MB",
            "ms > 250",
            "ms < 250ms",
            "worker = null",
            "exists(exit)",
            "exit = 0",
            "exit != 0",
        ],
    );
    let data =
        r#"{"a":9007199254740993,"b":18446744073709551615,"c":1e3,"d":-0.5,"e":1.0,"f":1e999}"#;
    check(
        &log(data, Level::Info),
        &[
            "data.a = 9007199254740993",
            "data.a != 9007199254740992",
            "data.a > 9007199254740992",
            "data.b = 18446744073709551615",
            "data.b > 18446744073709551614",
            "data.c = 1000",
            "data.c < 1KiB",
            "data.d = -.5e0 or data.d = -5e-1",
            "data.d > -1",
            "data.e = 1",
            "data.f > 18446744073709551615",
            "data.c = +1000",
        ],
        &["data.a = 9007199254740992", "data.b = 18446744073709551614", "data.c = '1000'"],
    );
}

#[test]
fn levels_are_ordered_by_severity() {
    let warn = log("{}", Level::Warn);
    check(
        &warn,
        &[
            "level = warn",
            "level >= info",
            "level <= error",
            "level > DEBUG",
            "level in (e, w)",
            "level != critical",
            "level ~ '^WA'",
            "LEVEL >= WARN",
        ],
        &["level > warn", "level >= error", "level < info", "level not in (warn, error)"],
    );
}

#[test]
fn names_are_compared_in_either_case_and_text_exactly() {
    check(
        &request("192.0.2.7"),
        &[
            "method = get",
            "method = GET",
            "method in ('post', Get)",
            "type = request",
            "url = '/api/users?id=7'",
            "url ~ ^/api/",
            "url !~ /API/",
            "url =~ '(?i)/API/'",
            "url ~ 'id=\\d+$'",
            "url >= '/api'",
            "http = 1.1",
            "http >= 1",
            "http < HTTP/2",
            "httpVersion = '1.1'",
        ],
        &[
            "url = /api/users",
            "url ~ '^api'",
            "method = post",
            "type != REQUEST",
            "http = 1.0",
            "event = WORKER_EXITED",
            "event != WORKER_EXITED",
        ],
    );
    let exited = record(Event::WorkerExited(WorkerExited {
        worker: WorkerId::new(5).unwrap(),
        exit_code: None,
        signal: Some("SIGKILL"),
    }));
    check(
        &exited,
        &[
            "signal = sigkill",
            "event = worker_exited",
            "worker = 5",
            "type = lifecycle",
            "not exists(exitCode)",
            "level = warn",
        ],
        &["worker = 3", "exit != 0", "event in (WORKER_DONE)"],
    );
}

#[test]
fn addresses_are_looked_for_in_networks() {
    check(
        &request("192.0.2.7"),
        &[
            "ip = 192.0.2.7",
            "ip in 192.0.2.0/24",
            "ip in (10.0.0.0/8, 192.0.2.7)",
            "ip not in 10.0.0.0/8",
            "ip = '::ffff:192.0.2.7'",
            "ip ~ '^192'",
            "ip != ::1",
        ],
        &["ip = 192.0.2.8", "ip in 2001:db8::/32", "ip in ::/0 and ip not in 0.0.0.0/0"],
    );
    check(&request("2001:db8::7"), &["ip in 2001:db8::/32", "ip = 2001:DB8:0::7"], &["ip = ::7"]);
    check(&request("none"), &["not ip in 0.0.0.0/0"], &["ip in 0.0.0.0/0", "ip not in ::/0"]);
    check(
        &log(r#"{"client":"10.1.2.3","n":10}"#, Level::Info),
        &["data.client in 10.0.0.0/8", "data.client in (::1, 10.1.2.3)", "data.client = 10.1.2.3"],
        &["data.client in 11.0.0.0/8", "data.n in 10.0.0.0/8", "data.x in 0.0.0.0/0"],
    );
}

#[test]
fn times_are_those_of_the_grammar_of_times() {
    // The record is at 14:05:06.789 in the zone of the context.
    check(
        &response(),
        &[
            "time >= 14:05",
            "timestamp >= '2026-02-03 14:05:06.789'",
            "ts < '14:05:06.790'",
            "time in '2026-02-03'",
            "time in today",
            "time = 14:05",
            "time = '2026-02-03T14'",
            "time != 14:06",
            "time not in yesterday",
            "time > -3h",
            "time > '3h ago'",
            "time = '2026-02-03T13:05:06.789000Z'",
            "time in (yesterday, today)",
            "time in 2h",
            "time <= now",
            "time >= '2026-02-03T13:05:06.789Z'",
        ],
        &[
            "time > 14:05:06.789",
            "time = 14:06",
            "time in yesterday",
            "time not in today",
            "time != 14:05",
            "time = now",
            "time not in (yesterday, today)",
        ],
    );
}

#[test]
fn data_and_errors_are_asked_by_path() {
    let data =
        r#"{"user":{"id":7,"name":"O'Hara"},"items":[{"unit price":1.5}],"on":true,"v":"1.2.3"}"#;
    check(
        &log(data, Level::Info),
        &[
            "data.user.id = 7",
            "data.user.id exists",
            "exists data.user",
            "data['user'].id in (7)",
            "data.items[0].'unit price' < 2",
            "data.on = true",
            "data.on != false",
            "data.v = 1.2.3",
            r#"data.user.name = "O'Hara""#,
            r"data.user.name = 'O\'Hara'",
            "data ~ Hara",
            "data.user ~ '\"id\":7'",
            "data.user.id ~ 7",
            "not exists(data.user.mail)",
            "data.user != 7",
            "data.on ~ ^true$",
        ],
        &[
            "data.user = 7",
            "data.items[1] exists",
            "data.on = 'true'",
            "data.user.id = '7'",
            "data.USER.id = 7",
            "exists(error)",
            "data.user < 7",
        ],
    );
    check(
        &response(),
        &[
            "exists(error)",
            "error.text = timeout",
            "error.value ~ time",
            "error.code = ETIMEDOUT",
            "error.errno < 0",
            "error.properties.errno = -110",
            "error ~ '\"value\":\"timeout\"'",
        ],
        &["exists(error.stack)", "error.expected = true", "exists(data)", "data != 1"],
    );
}

#[test]
fn operators_bind_as_in_other_languages() {
    check(
        &response(),
        &[
            "status = 503 or status = 1 and status = 2",
            "not status = 1 and status = 503",
            "not (status = 1 or status = 2)",
            "! status = 1 && (status == 2 || status = 503)",
            "NOT status=1 AND status=503",
            "((status=503))",
            "not not status = 503",
            "not(status=1)and(status=503)",
            "status=1 or(status=503)",
        ],
        &["(status = 503 or status = 1) and status = 2", "not (status = 503)"],
    );
}

#[test]
fn expressions_are_printed_in_a_canonical_form() {
    let check = |text: &str, expected: &str| {
        let expression = parse(text);
        assert_eq!(expression.to_string(), expected);
        assert_eq!(parse(expected), expression, "{expected}");
    };
    check("status=503", "statusCode = 503");
    check("STATUS in(1,2.0)", "statusCode in (1, 2.0)");
    check(
        "(a_or)".replace("a_or", "ms>1 or ms<2 or (ms=3 or ms=4)").as_str(),
        "durationMs > 1ms or durationMs < 2ms or durationMs = 3ms or durationMs = 4ms",
    );
    check("seq=1 and (seq=2 or seq=3)", "seq = 1 and (seq = 2 or seq = 3)");
    check(
        "seq=1 or seq=2 and not(seq=3 and seq=4)",
        "seq = 1 or seq = 2 and not (seq = 3 and seq = 4)",
    );
    check("not !exists data.x", "exists(data.x)");
    check("not data.x exists", "not exists(data.x)");
    check(
        "ms > 90s or ms >= 1.5ms or ms < 7ns or ms = 0",
        "durationMs > 90s or durationMs >= 1500us or durationMs < 7ns or durationMs = 0ms",
    );
    check("bytes > 1.5KiB or bytes < 0.1B", "bytes > 1536 or bytes < 0.1");
    check("level >= e", "level >= ERROR");
    check("type=log and method != patch", "type = LOG and method != PATCH");
    check("method = 'a b' or signal = 'null'", r#"method = "A B" or signal = "NULL""#);
    check("worker = master", "workerId = null");
    check("worker = 3", "workerId = 3");
    check(
        "time = 14:05",
        "timestamp >= '2026-02-03T13:05:00.000000Z' and timestamp < '2026-02-03T13:06:00.000000Z'",
    );
    check(
        "time != 14:05",
        "timestamp < '2026-02-03T13:05:00.000000Z' or timestamp >= '2026-02-03T13:06:00.000000Z'",
    );
    check("ip in (192.0.2.9/24, ::1, 10.0.0.1/32)", "ipAddress in (192.0.2.0/24, ::1, 10.0.0.1)");
    check("data.a in (10.0.0.1/32, x)", r#"data.a in (10.0.0.1, "x")"#);
    check("data.'a b'.c[0] = word", r#"data."a b".c[0] = "word""#);
    check(r"data.a = 'it\'s \n \u00e9 \ud83d\ude00 \u0001'", "data.a = \"it's \\n é 😀 \\u0001\"");
    check(r"url ~ 'a\'b'", r#"url ~ 'a\'b'"#);
    check(r#"url ~ "it's""#, r#"url ~ "it's""#);
    check("url ~ abc", "url ~ 'abc'");
    check("error.code = 1", "error.properties.code = 1");
    check(
        "requestId = '01010101010101010101010101010101'",
        "requestId = 01010101-0101-0101-0101-010101010101",
    );
    check("http >= 2", "httpVersion >= 2.0");
    check("data.x = 1e3 or data.x = -0", "data.x = 1000.0 or data.x = 0");
}

#[test]
fn what_an_expression_implies_is_told() {
    let id = |byte: u8| RequestId::from_bytes([byte; 16]);
    let text = |byte: u8| id(byte).to_string();
    let check = |expression: &str, expected: Option<&[u8]>| {
        let expected = expected.map(|ids| ids.iter().map(|byte| id(*byte)).collect::<Vec<_>>());
        assert_eq!(parse(expression).requests(), expected, "{expression}");
    };
    let (one, two) = (text(1), text(2));
    check("seq = 1", None);
    check(&format!("request = {one} and seq = 1"), Some(&[1]));
    check(&format!("request in ({two}, {one})"), Some(&[1, 2]));
    check(&format!("request = {one} or request = {two}"), Some(&[1, 2]));
    check(&format!("request = {one} or seq = 1"), None);
    check(&format!("not request = {one}"), None);
    check(&format!("request != {one}"), None);
    check(&format!("request in ({one}, {two}) and request = {one}"), Some(&[1]));
    check(&format!("request = {one} and request = {two}"), Some(&[]));

    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let (noon, after) = (at("2026-02-03T12:00:00Z"), at("2026-02-03T12:00:00.000001Z"));
    let check = |expression: &str, expected| {
        let expression = expression.replace("NOON", "'2026-02-03T12:00:00Z'");
        assert_eq!(parse(&expression).times(), expected, "{expression}");
    };
    check("seq = 1", (None, None));
    check("time >= NOON", (noon, None));
    check("time > NOON", (after, None));
    check("time < NOON and seq = 1", (None, noon));
    check("time <= NOON", (None, after));
    check("time in '2026-02-03T12:00:00.000000Z'", (noon, after));
    check("time >= NOON or time >= '2026-02-03T11:00:00Z'", (at("2026-02-03T11:00:00Z"), None));
    check("time >= NOON or seq = 1", (None, None));
    check("time >= NOON and time >= '2026-02-03T11:00:00Z'", (noon, None));
    check("not time >= NOON", (None, None));
}

#[test]
fn the_record_is_needed_only_for_what_the_spine_does_not_hold() {
    let check = |text: &str, expected: &[RecordType]| {
        let expression = parse(text);
        let needs = |each: &RecordType| expression.needs_record(TypeSet::EMPTY.with(*each));
        let found: Vec<_> = RecordType::ALL.into_iter().filter(needs).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("status >= 500 and ms > 1s or level = error", &[]);
    check("exists(error) and exists(url) and exists(data)", &[]);
    check("url ~ x", &[RecordType::Request]);
    check("url ~ x and status = 200", &[]);
    check("url ~ x and level = info", &[RecordType::Request]);
    check("worker = 3", &[RecordType::WorkerSpawned, RecordType::WorkerExited]);
    check("method = GET and type != request", &[RecordType::Request]);
    check(
        "error.code = 1 and type = RESPONSE",
        &[RecordType::Response, RecordType::ResponseFinished, RecordType::UncaughtException],
    );
}

/// Pieces that the language knows, so that random texts come close to it.
const PIECES: [&str; 58] = [
    "status",
    "data",
    "error",
    "level",
    "timestamp",
    "ip",
    "ms",
    "bytes",
    "url",
    "worker",
    "method",
    "request",
    "http",
    "event",
    ".",
    "[",
    "]",
    "0",
    "'a b'",
    "\"q\"",
    "'",
    "\"",
    "\\",
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "~",
    "!~",
    "in",
    "not",
    "exists",
    "(",
    ")",
    ",",
    "and",
    "or",
    "&&",
    "||",
    "!",
    " ",
    " ",
    " ",
    " ",
    "500",
    "250ms",
    "1MiB",
    "1e3",
    "192.0.2.0/24",
    "14:05",
    "null",
    "true",
    "error",
    "é",
    "GET",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..seeded() })]

    #[test]
    fn any_text_is_read_or_refused_with_its_column(
        pieces in proptest::collection::vec(select(PIECES.to_vec()), 0..14),
    ) {
        let text = pieces.concat();
        match Expression::parse(&text, &context()) {
            Ok(expression) => {
                let canonical = expression.to_string();
                let again = Expression::parse(&canonical, &context());
                prop_assert_eq!(again.ok(), Some(expression), "{}", canonical);
            }
            Err(error) => {
                prop_assert!(error.column <= text.chars().count());
                prop_assert!(error.to_string().lines().count() >= 3);
            }
        }
    }

    #[test]
    fn any_characters_are_read_or_refused(text: String) {
        if let Err(error) = Expression::parse(&text, &context()) {
            prop_assert!(error.column <= text.chars().count());
        }
    }

    #[test]
    fn any_text_in_quotes_is_compared_as_it_is(text: String) {
        let field = FieldPath::parse("data.x").unwrap();
        let quoted = crate::field::quote(&text);
        let expression = Expression::parse(&format!("{field} = {quoted}"), &context()).unwrap();
        let data = serde_json::json!({ "x": text }).to_string();
        prop_assert!(expression.matches(&log(&data, Level::Info), ORIGIN, 1));
        let other = log(r#"{"x":0}"#, Level::Info);
        prop_assert!(!expression.matches(&other, ORIGIN, 1));
    }
}
