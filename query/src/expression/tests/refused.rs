//! What is refused, and the message that says so.

use std::error::Error;

use super::*;
use crate::refusal::check_refusal;

/// Compares the message for a text that is refused, and reason and column where that shows only a
/// part of the text.
#[track_caller]
fn check(text: &str, column: usize, reason: &str) {
    let error = Expression::parse(text, &context()).unwrap_err();
    assert_eq!((error.column, error.reason.to_string().as_str()), (column, reason), "{text}");
    if text.len() <= 72 && column <= 36 {
        let rest = check_refusal(&error.to_string(), "expression", text, column, reason).to_owned();
        assert!(rest.is_empty() || rest.starts_with("\n  examples: "), "{rest}");
    }
}

#[test]
fn the_whole_message_shows_the_place() {
    let shown = |text| Expression::parse(text, &context()).unwrap_err().to_string();
    assert_eq!(
        shown("level >= eror and status = 500"),
        "cannot read the expression \"level >= eror and status = 500\": unknown level \"eror\", did \
         you mean \"ERROR\"?; the levels are critical, error, warn, info, debug, trace, or their \
         first letters\n  level >= eror and status = 500\n           ^",
    );
    assert_eq!(
        shown("status => 500"),
        "cannot read the expression \"status => 500\": expected a value; text is written in quotes, \
         found \">\"\n  status => 500\n          ^\n  examples: status >= 500, level >= error and ms > \
         250ms, url ~ '^/api/', worker in (1, 2),\n            ip in 192.0.2.0/24, bytes > 1MiB, \
         timestamp >= '14:05', data.user.id = 7, exists(error)",
    );
    assert!(shown("\"caf\u{e9}\" = 1").contains("\n  \"café\" = 1\n  ^\n"));
}

#[test]
fn unfinished_texts_say_what_is_missing() {
    check("", 0, "nothing is written here");
    check(" \t", 2, "nothing is written here");
    check("status", 6, "expected one of = != < <= > >= ~ !~ in, not in, exists, found the end");
    check("status =", 8, "expected a value; text is written in quotes, found the end");
    check("status = 500 and", 16, "expected a field, found the end");
    check("not", 3, "expected a field, found the end");
    check("(status = 500", 13, "expected `and`, `or` or `)`, found the end");
    check("status in (500", 14, "expected `,` or `)`, found the end");
    check("status in (", 11, "expected a value; text is written in quotes, found the end");
    check("exists(error", 12, "expected `)`, found the end");
    check("url ~", 5, "expected a pattern in quotes, found the end");
    check("url = 'abc", 6, "the text that begins here has no closing '");
    check(
        r"url = 'abc\",
        10,
        "unknown escape; known are \\\\ \\' \\\" \\/ \\b \\f \\n \\r \\t \\uXXXX, and a backslash itself is written \\\\",
    );
}

#[test]
fn what_does_not_belong_is_pointed_at() {
    let more = "expected `and`, `or` or the end; text with spaces or signs is written in quotes";
    check("status = 500 ms > 3", 13, &format!("{more}, found \"ms\""));
    check("url = /a?b=c", 10, &format!("{more}, found \"=c\""));
    check("time > 3h ago", 10, &format!("{more}, found \"ago\""));
    check("status = 500)", 12, "expected `and`, `or` or the end, as no `(` is open, found \")\"");
    check(
        "status contains 5",
        7,
        "expected one of = != < <= > >= ~ !~ in, not in, exists, found \"contains\"",
    );
    check(
        "status not 5",
        7,
        "expected one of = != < <= > >= ~ !~ in, not in, exists, found \"not\"",
    );
    check("500 <= status", 0, "expected a field, found \"500\"");
    check(
        "status in 500",
        10,
        "expected a list as (500, 502), or a network as 192.0.2.0/24, found \"500\"",
    );
    check("status = and", 9, "expected a value; text is written in quotes, found \"and\"");
    check("status = (500)", 9, "expected a value; text is written in quotes, found \"(\"");
}

#[test]
fn misspelt_names_are_told_the_nearest() {
    check("staus = 500", 0, "unknown field \"staus\"; did you mean status?");
    check("seq = 1 or dta.x = 5", 11, "unknown field \"dta\"; did you mean data?");
    check(
        "message ~ x",
        0,
        "unknown field \"message\"; what was logged as data is asked with data.message",
    );
    check("status.x = 1", 6, "statusCode has no fields of its own; only data and error have");
    check(
        "type = REQEST",
        7,
        "unknown type \"REQEST\", did you mean \"REQUEST\"?; the types are REQUEST, REQUEST_META, RESPONSE, RESPONSE_FINISHED, LOG, LIFECYCLE, LOST, CLOCK_STEP, IO_ERROR and the events of LIFECYCLE, such as WORKER_EXITED",
    );
    check("type = worker_exited", 7, "WORKER_EXITED is an event: write event = WORKER_EXITED");
    check("event = WORKER_EXITD", 8, "unknown event \"WORKER_EXITD\"; did you mean WORKER_EXITED?");
    check("worker = x", 9, "unknown worker \"x\"; expected a number up to 16777214 or master");
    check(
        "request = 12",
        10,
        "\"12\" is not a request id; it is a UUID such as 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e, as -o json prints it",
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    check("status = ok", 9, "statusCode is compared with a number, such as 500 or 1MiB");
    check("status = '500'", 9, "statusCode is compared with a number, such as 500 or 1MiB");
    check("status = null", 9, "statusCode is compared with a number, such as 500 or 1MiB");
    check("bytes > 250ms", 8, "bytes is compared with a number, such as 500 or 1MiB");
    check(
        "bytes > 5M",
        8,
        "the meaning of 5M is unclear: write KB for 1000 bytes or KiB for 1024, and likewise MB, MiB, GB, GiB",
    );
    check("bytes > 1e999", 8, "the number is too large");
    check("bytes > 99999999999TB", 8, "the number is too large");
    check("ms > -5", 5, "durationMs is compared with a duration of 0 or more");
    check("ms > 5parsecs", 6, "unknown unit \"parsecs\"");
    check("ms > 300y", 5, "a year has no fixed length: write days");
    check("ms > 200000d", 5, "the number is too large");
    check(
        "ip = 192.0.2.0/24",
        5,
        "ipAddress is compared with an address, such as 192.0.2.7; of a network: ip in 192.0.2.0/24",
    );
    check("ip in 192.0.2.0/33", 6, "the prefix of such a network has 0 to 32 bits");
    check(
        "ip = localhost",
        5,
        "\"localhost\" is no address such as 192.0.2.7 or 2001:db8::1, and no network such as 192.0.2.0/24",
    );
    check("http = 1.10", 7, "httpVersion is compared with a version, such as 1.1");
    check("time > '25:00'", 8, "hour 25 is out of range 0 to 23");
    check("time > 14:05:66", 13, "second 66 is out of range 0 to 59");
    check("method > GET", 7, "method is asked with = != in ~ exists");
    check("data.x < null", 9, "null is neither less nor greater than anything: use = or !=");
    check("worker > master", 9, "null is neither less nor greater than anything: use = or !=");
    check(
        "data.x > 250ms",
        9,
        "the meaning of 250ms is unclear: numbers in data have no unit; write the number alone, or text in quotes",
    );
    check(
        "data.x = 5xx",
        9,
        "the meaning of 5xx is unclear: it begins like a number; put it in quotes if text is meant",
    );
    check(
        "data.x = data.y",
        9,
        "data.y stands where a value belongs: fields are compared with values only; put it in quotes if this text is meant",
    );
    check("url ~ 'a('", 6, "the pattern is no regular expression: unclosed group");
    check(
        "url ~ '(a{1000}){1000}'",
        6,
        "the pattern is no regular expression: Compiled regex exceeds size limit of 2097152 bytes.",
    );
}

#[test]
fn errors_of_other_grammars_are_kept_as_sources() {
    let error = Expression::parse("time > yestreday", &context()).unwrap_err();
    assert_eq!(error.column, 7);
    assert!(error.source().is_some());
    assert!(error.to_string().contains("did you mean yesterday?"));
}

#[test]
fn nothing_is_too_long_or_too_deep_for_a_message() {
    let deep = "the limit: parentheses and `not` can be nested 64 deep"
        .strip_prefix("the limit: ")
        .unwrap();
    check(&"(".repeat(30_000), 64, deep);
    check(&"not ".repeat(10_000), 256, deep);
    check(&"!".repeat(30_000), 64, deep);
    let error = Expression::parse(&"(".repeat(100_000), &context()).unwrap_err();
    assert_eq!(error.reason.to_string(), "it is 100000 bytes long, and at most 65536 are read");
    assert!(error.to_string().len() < 1_000);
    let within = format!("{}seq = 1{}", "(".repeat(64), ")".repeat(64));
    assert_eq!(parse(&within), parse("seq = 1"));
    let patterns = vec!["url ~ x"; 65].join(" or ");
    check(
        &patterns,
        64 * 11 + 6,
        "an expression can have 64 patterns: join some, as in 'this|that'",
    );
    // Long, but neither deep nor costly.
    let long = vec!["seq = 1"; 5_000].join(" or ");
    assert!(parse(&long).matches(&response(), ORIGIN, 1));
}
