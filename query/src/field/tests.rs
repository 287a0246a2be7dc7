//! The names of fields, paths, and the values of records.

use logq_format::{
    DebugEntry, HttpVersion, Json, Level, LogSource, Lost, Method, Request, RequestId, Response,
    Timestamp, WorkerExited, WorkerId, WriterId,
};
use proptest::prelude::*;

use super::*;
use crate::seeded;

const ORIGIN: Origin = Origin { writer: WriterId(9), worker: WorkerId::new(3) };

fn value(path: &str, event: Event<'_>) -> Option<String> {
    let record = Record { time: Timestamp::from_micros(1_500_000), event };
    let path = FieldPath::parse(path).unwrap();
    path.value(&record, ORIGIN, 17).map(|value| value.to_string())
}

#[track_caller]
fn check<'a>(event: &Event<'a>, path: &str, expected: Option<&str>) {
    assert_eq!(value(path, event.clone()).as_deref(), expected, "{path}");
}

fn error() -> ErrorInfo<'static> {
    ErrorInfo {
        kind: ErrorKind::Stack,
        text: "Error: \"no\"\n  at main",
        properties: Json::new(r#"{"code":"EIO","text":1,"properties":{"x":2}}"#),
        debug: vec![DebugEntry { time: Timestamp::from_micros(1), data: Json::NULL }].into(),
    }
}

fn response() -> Event<'static> {
    Event::Response(Response {
        request: RequestId::from_bytes([1; 16]),
        status: 503,
        error: Some(error()),
        expected: true,
        bytes: Some(0),
        duration_us: Some(12_500),
    })
}

#[test]
fn typed_fields_are_printed_as_in_json() {
    let request = Event::Request(Request {
        request: RequestId::from_bytes([1; 16]),
        ip: "2001:db8::1".parse().ok(),
        http_version: HttpVersion::HTTP_11,
        method: Method::Other("PURGE"),
        url: "/a?b",
    });
    check(&request, "timestamp", Some("1970-01-01T00:00:01.500000Z"));
    check(&request, "LEVEL", Some("INFO"));
    check(&request, "type", Some("REQUEST"));
    check(&request, "worker", Some("3"));
    check(&request, "writer", Some("9"));
    check(&request, "seq", Some("17"));
    check(&request, "request", Some("01010101-0101-0101-0101-010101010101"));
    check(&request, "Section", Some("/a"));
    check(&response(), "section", None);
    check(&request, "ip", Some("2001:db8::1"));
    check(&request, "http", Some("1.1"));
    check(&request, " method ", Some("PURGE"));
    check(&request, "url", Some("/a?b"));
    for absent in ["status", "bytes", "ms", "error", "data", "event", "exit", "signal"] {
        check(&request, absent, None);
    }
    check(&response(), "statusCode", Some("503"));
    check(&response(), "bytes", Some("0"));
    check(&response(), "durationMs", Some("12.5"));
    let exited = Event::WorkerExited(WorkerExited {
        worker: WorkerId::new(5).unwrap(),
        exit_code: Some(-1),
        signal: Some("SIGKILL"),
    });
    check(&exited, "worker", Some("5"));
    check(&exited, "exit", Some("-1"));
    check(&exited, "signal", Some("SIGKILL"));
    check(&exited, "event", Some("WORKER_EXITED"));
}

#[test]
fn paths_lead_into_errors() {
    let response = response();
    check(&response, "error.text", Some("Error: \"no\"\n  at main"));
    check(&response, "error.stack", Some("Error: \"no\"\n  at main"));
    check(&response, "error.value", None);
    check(&response, "error.text.length", None);
    check(&response, "error.expected", Some("true"));
    check(&response, "error.code", Some("EIO"));
    check(&response, "error.properties.code", Some("EIO"));
    check(&response, "error.properties.text", Some("1"));
    check(&response, "error.properties.properties.x", Some("2"));
    check(&response, "error.debug[0].timestamp", Some("1970-01-01T00:00:00.000001Z"));
    check(&response, "error.debug[0].data", Some("null"));
    check(&response, "error.debug[1]", None);
    let whole = value("error", response).unwrap();
    assert!(whole.starts_with(r#"{"stack":"Error: \"no\"\n  at main","expected":true,"prop"#));
}

#[test]
fn paths_lead_into_data_of_any_kind() {
    let text = r#"{"a b":{"\u0063":[10,{"d":"\"x\""}]},"n":1.50,"t":true,"z":null,"":0}"#;
    let data = Json::new(text).unwrap();
    let log = Event::Log { source: LogSource::Worker, level: Level::Warn, data };
    check(&log, "data", Some(text));
    check(&log, r#"data."a b".c[0]"#, Some("10"));
    check(&log, "data['a b']['c'][1].d", Some("\"x\""));
    check(&log, "data.n", Some("1.50"));
    check(&log, "data.t", Some("true"));
    check(&log, "data.z", Some("null"));
    check(&log, r#"data."""#, Some("0"));
    check(&log, "data.N", None);
    check(&log, "data[0]", None);
    let lost = Event::Lost(Lost {
        counts: [0, 7, 0, 0, 0, 0],
        first: Timestamp::MIN,
        last: Timestamp::MIN,
        reason: "full",
    });
    check(&lost, "data.counts.ERROR", Some("7"));
    check(&lost, "data.reason", Some("full"));
    let broken = Event::Log {
        source: LogSource::Master,
        level: Level::Info,
        data: Json::new("no json").unwrap(),
    };
    check(&broken, "data", Some("no json"));
    check(&broken, "data.x", None);
}

#[test]
fn values_are_seen_as_numbers_texts_and_json() {
    let data = Json::new(r#"{"s":"a\"b","n":-2.5e1,"big":18446744073709551615,"o":{"x" :1}}"#);
    let log = Event::Log { source: LogSource::Worker, level: Level::Warn, data: data.unwrap() };
    let record = Record { time: Timestamp::from_micros(0), event: log };
    let view = |path: &str| {
        let value = FieldPath::parse(path).unwrap().value(&record, ORIGIN, 1).unwrap();
        let mut json = Vec::new();
        value.write_json(&mut json);
        let text = value.as_text().map(|text| text.into_owned());
        let mut raw = Vec::new();
        value.write_text(&mut raw);
        assert_eq!(raw, value.to_string().into_bytes(), "{path}");
        assert_eq!(value.clone().into_owned(), value);
        (String::from_utf8(json).unwrap(), text, value.as_f64())
    };
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(view("data.s"), (r#""a\"b""#.to_owned(), own("a\"b"), None));
    assert_eq!(view("data.n"), ("-2.5e1".to_owned(), None, Some(-25.0)));
    assert_eq!(view("data.big"), (u64::MAX.to_string(), None, Some(u64::MAX as f64)));
    assert_eq!(view("data.o"), (r#"{"x" :1}"#.to_owned(), None, None));
    assert_eq!(view("level"), ("\"WARN\"".to_owned(), own("WARN"), None));
    let time = "1970-01-01T00:00:00.000000Z";
    assert_eq!(view("timestamp"), (format!("\"{time}\""), own(time), None));
}

#[test]
fn what_the_spine_tells_is_known_by_type() {
    let all = TypeSet::ALL;
    let responses = TypeSet::EMPTY.with(RecordType::Response);
    let check = |path: &str, types, expected| {
        assert_eq!(FieldPath::parse(path).unwrap().is_in_spine(types), expected, "{path}");
    };
    for path in ["timestamp", "level", "type", "writer", "seq", "request", "status", "ms", "event"]
    {
        check(path, all, true);
    }
    for path in ["worker", "method", "url", "section", "ip", "error", "data.x", "exit"] {
        check(path, all, false);
        let may = FieldPath::parse(path).unwrap().may_be_in_spine(all);
        assert_eq!(may, ["method", "section"].contains(&path), "{path}");
    }
    for path in ["worker", "method", "url", "section", "data.x"] {
        check(path, responses, true);
    }
    check("error", responses, false);
}

#[test]
fn errors_show_the_place_and_what_was_meant() {
    let check = |text: &str, column: usize, reason: &str| {
        let error = FieldPath::parse(text).unwrap_err();
        assert_eq!((error.column, error.reason.to_string().as_str()), (column, reason), "{text}");
        let shown = error.to_string();
        let mut lines = shown.lines();
        let first = format!("cannot read the field {text:?}: {reason}");
        assert_eq!(lines.next(), Some(first.as_str()));
        assert_eq!(lines.nth(1), Some(format!("  {:column$}^", "").as_str()));
    };
    check("", 0, "nothing is written here");
    check("staus", 0, "unknown field \"staus\"; did you mean status?");
    check("msg", 0, "unknown field \"msg\"; what was logged as data is asked with data.msg");
    check("user.id", 0, "unknown field \"user\"; what was logged as data is asked with data.user");
    check("status.x", 6, "statusCode has no fields of its own; only data and error have");
    check("data.", 5, "expected a key, found the end");
    check("data..x", 5, "expected a key, found \".x\"");
    check("data[x]", 5, "expected a key in quotes, or an index from 0, found \"x]\"");
    check("data[1", 6, "expected `]`, found the end");
    check("data[99999999999999999999]", 5, "the number is too large");
    check("data.'x", 5, "the text that begins here has no closing '");
    check("data.a b", 7, "expected `.`, `[` or the end, found \"b\"");
    check("5", 0, "expected a field, found \"5\"");
    let long = format!("data.{}", "x".repeat(5000));
    let shown = FieldPath::parse(&long).unwrap_err().to_string();
    assert!(shown.contains("5005 bytes long") && shown.len() < 400, "{shown}");
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn printed_paths_are_read_back(
        root in prop::sample::select(vec!["data", "error"]),
        keys in proptest::collection::vec(any::<String>(), 0..4),
        index in any::<u32>(),
    ) {
        let mut steps: Vec<_> = keys.into_iter().map(Step::Key).collect();
        steps.push(Step::Index(index as usize));
        if root == "error" {
            steps.insert(0, Step::Key("properties".to_owned()));
        }
        let root = if root == "data" { Root::Data } else { Root::Error };
        let path = FieldPath { root, steps };
        prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        if let Ok(path) = FieldPath::parse(&text) {
            prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
        }
    }
}
