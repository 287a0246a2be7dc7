//! Lines of foreign JSON and what they become.

use crate::import::Format;
use crate::import::testing::{check_bytes, check_lines};

const TIME: &str = "2026-02-03T14:05:06.789000Z";
const ID: &str = "0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3";

fn check(line: &str, level: &str, data: &str) {
    check_lines(Format::Jsonl, line, &[&format!("{TIME} {level} LOG 1 {data}")]);
}

#[test]
fn the_usual_loggers_are_understood() {
    // bunyan and pino
    check(
        r#"{"level":30,"time":1770127506789,"pid":42,"hostname":"h","msg":"listening"}"#,
        "INFO",
        r#"{"level":30,"pid":42,"hostname":"h","msg":"listening"}"#,
    );
    // winston
    check(
        r#"{"level":"error","message":"failed","timestamp":"2026-02-03T14:05:06.789Z"}"#,
        "ERROR",
        r#"{"message":"failed"}"#,
    );
    // zap
    check(
        r#"{"level":"debug","ts":1770127506.789,"caller":"a/b.go:1","msg":"x"}"#,
        "DEBUG",
        r#"{"caller":"a/b.go:1","msg":"x"}"#,
    );
    // slog
    check(
        r#"{"time":"2026-02-03T14:05:06.789000000Z","level":"WARN","msg":"x"}"#,
        "WARN",
        r#"{"msg":"x"}"#,
    );
    // python-json-logger
    check(
        r#"{"asctime": "2026-02-03 14:05:06,789", "levelname": "CRITICAL", "message": "a  b"}"#,
        "CRITICAL",
        r#"{"message":"a  b"}"#,
    );
    // Serilog
    check(
        r#"{"@t":"2026-02-03T14:05:06.7890000Z","@mt":"{x}","@l":"Verbose","x":1}"#,
        "TRACE",
        r#"{"@mt":"{x}","@l":"Verbose","x":1}"#,
    );
    // Elastic Common Schema
    check(
        r#"{"@timestamp":"2026-02-03T14:05:06.789Z","log.level":"info","message":"x"}"#,
        "INFO",
        r#"{"message":"x"}"#,
    );
    // journald's severity, Google's
    check(
        r#"{"severity":"NOTICE","timestamp":"2026-02-03T15:05:06.789+01:00"}"#,
        "INFO",
        r#"{"severity":"NOTICE"}"#,
    );
}

#[test]
fn nothing_but_space_is_lost() {
    check(
        r#"{ "t" : 1770127506.7890 , "n" : 1.10e+5, "z":[ 1 , {"b":null} ], "z": "\u00e9\/" , "é":-0 }"#,
        "INFO",
        r#"{"n":1.10e+5,"z":[1,{"b":null}],"z":"\u00e9\/","é":-0}"#,
    );
    // What the record cannot say exactly stays in the data.
    check(
        r#"{"ts":"2026-02-03T14:05:06.789000001Z","level":"fatal","requestId":"r-1"}"#,
        "CRITICAL",
        r#"{"ts":"2026-02-03T14:05:06.789000001Z","level":"fatal","requestId":"r-1"}"#,
    );
    check(
        r#"{"ts":1770127506789,"level":{"a":1},"date":null}"#,
        "INFO",
        r#"{"level":{"a":1},"date":null}"#,
    );
    check(r#"{"ts":1770127506789}"#, "INFO", "{}");
    check("{\"ts\":\"2026-02-03T14:05:06.789\\u002B00:00\"}", "INFO", "{}");
}

#[test]
fn records_with_a_request_id_belong_to_the_request() {
    check_lines(
        Format::Jsonl,
        &format!(r#"{{"ts":1770127506789,"request_id":"{ID}","trace_id":"{ID}","msg":"x"}}"#),
        &[&format!(r#"{TIME} INFO LOG 1 {ID} {{"trace_id":"{ID}","msg":"x"}}"#)],
    );
    check_lines(
        Format::Jsonl,
        &format!(r#"{{"ts":1770127506789,"traceId":"{}"}}"#, ID.replace('-', "")),
        &[&format!(r#"{TIME} INFO LOG 1 {ID} {{"traceId":"{}"}}"#, ID.replace('-', ""))],
    );
}

#[test]
fn lines_without_a_time_take_the_time_before() {
    check_lines(
        Format::Jsonl,
        concat!(
            "{\"msg\":\"early\"}\n",
            "{\"ts\":1770127506789,\"msg\":\"a\"}\r\n",
            "\n",
            "{\"msg\":\"b\"}\n",
            " [1, 2] \n",
            "\u{1e}\"text\"\n",
            "\u{feff}7",
        ),
        &[
            &format!(r#"{TIME} INFO LOG 1 {{"msg":"a"}}"#),
            &format!(r#"{TIME} INFO LOG 1 {{"msg":"b"}}"#),
            &format!("{TIME} INFO LOG 1 [1,2]"),
            &format!("{TIME} INFO LOG 1 \"text\""),
            &format!("{TIME} INFO LOG 1 7"),
            r#"failed NoTime line 1: {"msg":"early"}"#,
        ],
    );
}

#[test]
fn what_is_not_json_is_reported() {
    check_lines(
        Format::Jsonl,
        concat!(
            "npm start\n",
            "{\"ts\":1770127506789,\n",
            "{\"ts\":1770127506789} x\n",
            "{\"ts\":1770127506789}\n",
            "{'ts':1}\n",
        ),
        &[
            &format!("{TIME} INFO LOG 1 {{}}"),
            "failed NotJson line 1: npm start",
            r#"failed NotJson line 2: {"ts":1770127506789,"#,
            r#"failed NotJson line 3: {"ts":1770127506789} x"#,
            "failed NotJson line 5: {'ts':1}",
        ],
    );
}

#[test]
fn raw_control_characters_and_invalid_bytes_are_kept_as_escapes() {
    check_bytes(
        Format::Jsonl,
        b"{\"ts\":1770127506789,\t\"a\":\"x\ty\x00\",\"b\":\"\xFF\xC3\xA9\"}",
        &[&format!(r#"{TIME} INFO LOG 1 {{"a":"x\u0009y\u0000","b":"\\xffé"}}"#)],
    );
}

#[test]
fn depth_does_not_matter() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    check(&format!(r#"{{"ts":1770127506789,"a":{deep}}}"#), "INFO", &format!(r#"{{"a":{deep}}}"#));
}
