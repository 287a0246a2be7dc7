//! Lines of access logs and what they become.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::import::Format;
use crate::import::testing::{check_bytes, check_lines, import, options};
use crate::import::time::Times;

const TIME: &str = "2026-02-03T14:05:06.000000Z";

/// Checks the records of one line, without their time, level and worker.
fn check(line: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|record| {
            let (kind, rest) = record.split_once(' ').unwrap();
            format!("{TIME} INFO {kind} 1 - {rest}").trim_end().to_owned()
        })
        .collect();
    check_lines(Format::Combined, line, &expected.iter().map(|e| &**e).collect::<Vec<_>>());
}

#[test]
fn a_common_line_is_a_request_and_its_response() {
    check(
        r#"127.0.0.1 - - [03/Feb/2026:15:05:06 +0100] "GET /a?b=c HTTP/1.1" 200 512"#,
        &[
            r#"REQUEST "ipAddress":"127.0.0.1","httpVersion":"1.1","method":"GET","url":"/a?b=c""#,
            r#"RESPONSE "statusCode":200,"bytes":512"#,
            r#"RESPONSE_FINISHED "bytes":512"#,
        ],
    );
}

#[test]
fn combined_fields_and_more_are_kept() {
    check(
        r#"::1 id al ice [03/Feb/2026:14:05:06 +0000] "POST / HTTP/2.0" 304 - "https://a/" "x \"y\" \x22\\" 12 "-" 0.125"#,
        &[
            r#"REQUEST "ipAddress":"::1","httpVersion":"2.0","method":"POST","url":"/""#,
            r#"REQUEST_META {"ident":"id","user":"al ice","referer":"https://a/","userAgent":"x \"y\" \\x22\\\\","extra":["12","-"]}"#,
            r#"RESPONSE "statusCode":304"#,
            r#"RESPONSE_FINISHED "durationMs":125"#,
        ],
    );
}

#[test]
fn a_line_cut_short_keeps_what_is_left() {
    check(
        r#"1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] "GET / HTTP/1.1" 200 1 "-" "Mozilla (a  b"#,
        &[
            r#"REQUEST "ipAddress":"1.2.3.4","httpVersion":"1.1","method":"GET","url":"/""#,
            r#"REQUEST_META {"extra":["\"Mozilla (a  b"]}"#,
            r#"RESPONSE "statusCode":200,"bytes":1"#,
            r#"RESPONSE_FINISHED "bytes":1"#,
        ],
    );
}

#[test]
fn virtual_hosts_may_come_first() {
    let rest = r#"[03/Feb/2026:14:05:06 +0000] "GET / HTTP/1.0" 200 1 "-" "-""#;
    let check = |before: &str, ip: &str, meta: &str| {
        let request = format!(r#"REQUEST {ip}"httpVersion":"1.0","method":"GET","url":"/""#);
        let meta = format!("REQUEST_META {meta}");
        let response = [r#"RESPONSE "statusCode":200,"bytes":1"#, r#"RESPONSE_FINISHED "bytes":1"#];
        check(&format!("{before} {rest}"), &[&request, &meta, response[0], response[1]]);
    };
    let ip = r#""ipAddress":"1.2.3.4","#;
    check("a.org:443 1.2.3.4 - -", ip, r#"{"host":"a.org:443"}"#);
    check("10.0.0.1 1.2.3.4 - bob", ip, r#"{"host":"10.0.0.1","user":"bob"}"#);
    check("a.org 1.2.3.4 - bob b", ip, r#"{"host":"a.org","user":"bob b"}"#);
    check("1.2.3.4 - bob b", ip, r#"{"user":"bob b"}"#);
    check("client.example - -", "", r#"{"client":"client.example"}"#);
    check("1.2.3.4:5678 - -", ip, r#"{"client":"1.2.3.4:5678"}"#);
    check("[1::2] - x", r#""ipAddress":"1::2","#, r#"{"user":"x"}"#);
}

#[test]
fn malformed_requests_keep_their_text() {
    let check = |request: &str, method: &str, url: &str, version: &str| {
        check(
            &format!(r#"- - - [03/Feb/2026:14:05:06 +0000] "{request}" 400 -"#),
            &[
                &format!(r#"REQUEST "httpVersion":"{version}","method":"{method}","url":"{url}""#),
                r#"RESPONSE "statusCode":400"#,
                "RESPONSE_FINISHED ",
            ],
        );
    };
    check("-", "", "-", "0.0");
    check("", "", "", "0.0");
    check(r"\x16\x03\x01", "", r"\\x16\\x03\\x01", "0.0");
    check("GET /a", "GET", "/a", "0.0");
    check("GET /a b HTTP/1.1", "GET", "/a b", "1.1");
    check("GET /a HTTP/9.9", "GET", "/a HTTP/9.9", "0.0");
    check("GET /a HTTP/0.0", "GET", "/a HTTP/0.0", "0.0");
    check("PROPFIND /a HTTP/1.1", "PROPFIND", "/a", "1.1");
    check("é / HTTP/1.1", "", "é / HTTP/1.1", "0.0");
    check("GET", "", "GET", "0.0");
    check(r#"GET /"a" HTTP/1.0"#, "GET", r#"/\"a\""#, "1.0");
}

#[test]
fn requests_without_a_response_have_none() {
    check(
        r#"1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] "GET / HTTP/1.1" - -"#,
        &[r#"REQUEST "ipAddress":"1.2.3.4","httpVersion":"1.1","method":"GET","url":"/""#],
    );
    check(
        r#"1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] "GET / HTTP/1.1" - - "-" "-" 1.500"#,
        &[
            r#"REQUEST "ipAddress":"1.2.3.4","httpVersion":"1.1","method":"GET","url":"/""#,
            r#"RESPONSE_FINISHED "durationMs":1500"#,
        ],
    );
}

#[test]
fn other_lines_are_reported() {
    check_bytes(
        Format::Common,
        concat!(
            "\n",
            "not a line\n",
            "1.2.3.4 - - [03/Feb/2026] \"GET / HTTP/1.1\" 200 1\n",
            "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1 200 1\n",
            "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" ok 1\n",
            "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1x\n",
        )
        .as_bytes(),
        &[
            "failed NotAccess line 2: not a line",
            "failed NotAccess line 3: 1.2.3.4 - - [03/Feb/2026] \"GET / HTTP/1.1\" 200 1",
            "failed NotAccess line 4: 1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1 200 1",
            "failed NotAccess line 5: 1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" ok 1",
            "failed NotAccess line 6: 1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1x",
        ],
    );
}

#[test]
fn durations_are_seconds_or_have_a_unit() {
    for (text, expected) in [
        ("0.125", Some(125_000)),
        ("12.000001", Some(12_000_001)),
        ("12ms", Some(12_000)),
        ("1.5s", Some(1_500_000)),
        ("350us", Some(350)),
        ("12", None),
        ("0.1234567", None),
        ("-0.5", None),
        ("1.2.3", None),
        ("", None),
        (".5", None),
        ("s", None),
        ("99999999999999999999.5", None),
    ] {
        assert_eq!(duration_us(text), expected, "{text}");
    }
}

#[test]
fn each_line_has_its_own_request() {
    let line = "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1\n";
    let (lines, _) = import(line.repeat(10_000).as_bytes(), &options(Format::Auto));
    let id = |line: &String| line.split("requestId\":\"").nth(1).unwrap()[..36].to_owned();
    let ids: Vec<_> = lines.iter().map(id).collect();
    assert_eq!(ids.len(), 30_000);
    assert!(ids.chunks(3).all(|ids| ids[0] == ids[1] && ids[1] == ids[2]));
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 10_000);
    assert_eq!(import(line.repeat(10_000).as_bytes(), &options(Format::Auto)).0, lines);
}

proptest! {
    #[test]
    fn damaged_lines_never_panic(cut in 0_usize..90, bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        let mut line = br#"a.org 1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] "GET / HTTP/1.1" 200 1 "-" "a\"b" 0.1"#.to_vec();
        let cut = cut.min(line.len());
        line.splice(cut..(cut + bytes.len()).min(line.len()), bytes);
        import(&line, &options(Format::Combined));
        fits(&String::from_utf8_lossy(&line), &mut Times::new(TimeZone::UTC, Timestamp::default()));
    }
}
