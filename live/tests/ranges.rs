//! Ranges of a growing stream over real sockets: the table of `range::decide`, as clients see it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use common::client::{Answer, Ended, Writing, ask, get, send};
use common::{Server, options};

const TEXT: &str = "0123456789";
const PATH: &str = "/v1/streams/s";

/// The largest position: where a body ends that has no known end.
const V: u64 = (1 << 53) - 1;

/// A stream of ten bytes that has ended.
fn ended() -> Server {
    let server = Server::start(options());
    assert_eq!(send(server.put, "PUT", PATH, &[], TEXT.as_bytes()).status, 201);
    server
}

/// A stream of ten bytes whose writer goes on, and the writer.
fn open() -> (Server, Writing) {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(TEXT.as_bytes());
    server.wait_for_len("s", 10);
    (server, writer)
}

/// Status, Content-Range and body in one line.
fn told(mut answer: Answer) -> String {
    let range = answer.header("content-range").unwrap_or("-").to_owned();
    match answer.status {
        status @ (200 | 206) => format!("{status} {range} {}", answer.text()),
        status => format!("{status} {range}"),
    }
}

fn told_of(server: &Server, path: &str, range: &str) -> String {
    let headers: &[(&str, &str)] = if range.is_empty() { &[] } else { &[("Range", range)] };
    told(get(server.get, path, headers))
}

#[test]
fn a_stream_that_has_ended() {
    let server = ended();
    for (range, expected) in [
        ("", "200 - 0123456789"),
        ("bytes=2-5", "206 bytes 2-5/10 2345"),
        ("bytes=9-9", "206 bytes 9-9/10 9"),
        ("bytes=2-10", "206 bytes 2-9/10 23456789"),
        ("bytes=2-9007199254740991", "206 bytes 2-9/10 23456789"),
        ("bytes=2-99999999999999999999999", "206 bytes 2-9/10 23456789"),
        ("bytes=2-", "206 bytes 2-9/10 23456789"),
        ("bytes=10-", "416 bytes */10"),
        ("bytes=11-12", "416 bytes */10"),
        ("bytes=-3", "206 bytes 7-9/10 789"),
        ("bytes=-99", "206 bytes 0-9/10 0123456789"),
        ("bytes=-0", "416 bytes */10"),
        ("bytes=0-1,3-4", "416 bytes */10"),
        ("lines=0-1", "200 - 0123456789"),
        ("bytes=5-2", "416 bytes */10"),
        ("bytes=x", "416 bytes */10"),
        ("bytes=99999999999999999999999-", "416 bytes */10"),
    ] {
        for path in [PATH, "/v1/streams/s?follow=0"] {
            assert_eq!(told_of(&server, path, range), expected, "{range} of {path}");
        }
    }
}

#[test]
fn a_look_at_a_stream_that_grows() {
    let (server, writer) = open();
    for (range, expected) in [
        ("", "200 - 0123456789"),
        ("bytes=2-5", "206 bytes 2-5/* 2345"),
        ("bytes=2-10", "206 bytes 2-9/* 23456789"),
        ("bytes=2-9007199254740991", "206 bytes 2-9/* 23456789"),
        ("bytes=2-", "206 bytes 2-9/* 23456789"),
        ("bytes=10-", "416 bytes */10"),
        ("bytes=11-", "416 bytes */10"),
        ("bytes=-3", "206 bytes 7-9/* 789"),
        ("bytes=-0", "416 bytes */10"),
        ("bytes=0-1,3-4", "416 bytes */10"),
    ] {
        assert_eq!(told_of(&server, "/v1/streams/s?follow=0", range), expected, "{range}");
    }
    assert_eq!(writer.finish().status, 201);
}

#[test]
fn following_a_stream_that_grows() {
    let (server, mut writer) = open();
    let cases = [
        ("", "200 - 0123456789abcdefghij".to_owned()),
        ("bytes=2-5", "206 bytes 2-5/* 2345".to_owned()),
        ("bytes=8-12", "206 bytes 8-12/* 89abc".to_owned()),
        ("bytes=10-12", "206 bytes 10-12/* abc".to_owned()),
        ("bytes=8-99", "206 bytes 8-99/* 89abcdefghij".to_owned()),
        ("bytes=8-9007199254740991", format!("206 bytes 8-{V}/* 89abcdefghij")),
        ("bytes=8-9999999999999999", "206 bytes 8-9999999999999999/* 89abcdefghij".to_owned()),
        ("bytes=8-", format!("206 bytes 8-{V}/* 89abcdefghij")),
        ("bytes=10-", format!("206 bytes 10-{V}/* abcdefghij")),
        ("bytes=-3", format!("206 bytes 7-{V}/* 789abcdefghij")),
        ("bytes=-0", "416 bytes */10".to_owned()),
        ("bytes=5-2", "416 bytes */10".to_owned()),
    ];
    // All heads are here before the writer goes on: none waits for bytes that are still to come.
    let answers: Vec<Answer> = cases
        .iter()
        .map(|(range, _)| match *range {
            "" => get(server.get, PATH, &[]),
            range => get(server.get, PATH, &[("Range", range)]),
        })
        .collect();
    writer.write(b"abcde");
    writer.write(b"fghij");
    assert_eq!(writer.finish().status, 201);
    for ((range, expected), answer) in cases.into_iter().zip(answers) {
        assert_eq!(told(answer), expected, "{range}");
    }
}

#[test]
fn a_byte_that_is_still_to_come_is_waited_for() {
    let (server, mut writer) = open();
    let address = server.get;
    let ask = |range: &'static str| {
        std::thread::spawn(move || told(get(address, PATH, &[("Range", range)])))
    };
    let (inside, beyond) = (ask("bytes=12-14"), ask("bytes=99-"));
    server.wait_for_readers("s", 2);
    writer.write(b"abcdefghij");
    assert_eq!(inside.join().unwrap(), "206 bytes 12-14/* cde");
    assert_eq!(writer.finish().status, 201);
    assert_eq!(beyond.join().unwrap(), "416 bytes */20", "the stream ended before");
}

#[test]
fn every_answer_tells_where_the_stream_is() {
    let (server, writer) = open();
    let answer = get(server.get, "/v1/streams/s?follow=0", &[("Range", "bytes=4-")]);
    for (name, expected) in [
        ("accept-ranges", "bytes"),
        ("cache-control", "no-store"),
        ("content-length", "6"),
        ("content-security-policy", "sandbox"),
        ("content-type", "text/plain; charset=utf-8"),
        ("logq-length", "10"),
        ("logq-offset", "4"),
        ("logq-state", "open"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{name}");
    }
    let open_tag = answer.header("etag").unwrap().to_owned();
    let live = get(server.get, PATH, &[]);
    assert_eq!(live.header("x-accel-buffering"), Some("no"));
    assert_eq!(live.header("content-length"), None);
    assert_eq!(writer.finish().status, 201);
    let answer = get(server.get, PATH, &[]);
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("logq-state"), Some("complete"));
    let tag = answer.header("etag").unwrap();
    assert_eq!(tag, format!("{}-10\"", open_tag.trim_end_matches('"')));
    let digest = "sha-256=:hNiYd/DUBBbaKtk1MJ3CWQBdrTuwgqQuY/E1mQFBaJk=:";
    assert_eq!(answer.header("repr-digest").map(str::len), Some(digest.len()));
}

#[test]
fn conditions_come_before_ranges() {
    let (server, writer) = open();
    let tag = |server: &Server| {
        get(server.get, "/v1/streams/s?follow=0", &[]).header("etag").unwrap().to_owned()
    };
    let open_tag = tag(&server);
    let snapshot = "/v1/streams/s?follow=0";
    let unchanged = get(server.get, snapshot, &[("If-None-Match", &open_tag)]);
    assert_eq!(unchanged.status, 200, "a stream that grows is never unchanged");
    assert_eq!(writer.finish().status, 201);
    let final_tag = tag(&server);
    let answer = get(server.get, PATH, &[("If-None-Match", &final_tag), ("Range", "bytes=2-")]);
    assert_eq!((answer.status, answer.header("etag")), (304, Some(final_tag.as_str())));
    assert_eq!(get(server.get, PATH, &[("If-None-Match", &open_tag)]).status, 200);
    for (condition, expected) in [
        (open_tag.as_str(), "206 bytes 2-3/10 23"),
        (final_tag.as_str(), "206 bytes 2-3/10 23"),
        ("\"another\"", "200 - 0123456789"),
        ("Mon, 30 Nov 2026 10:00:00 GMT", "200 - 0123456789"),
    ] {
        let headers = [("Range", "bytes=2-3"), ("If-Range", condition)];
        assert_eq!(told(get(server.get, PATH, &headers)), expected, "{condition}");
    }
    let weak = format!("W/{open_tag}");
    let headers = [("Range", "bytes=2-3"), ("If-Range", weak.as_str())];
    assert_eq!(told(get(server.get, PATH, &headers)), "200 - 0123456789");
    let twice = [("Range", "bytes=2-3"), ("Range", "bytes=4-5")];
    assert_eq!(get(server.get, PATH, &twice).status, 416);
}

#[test]
fn head_tells_length_and_state_and_knows_no_ranges() {
    let (server, writer) = open();
    let mut answer = ask(server.get, "HEAD", PATH, &[("Range", "bytes=2-3")]);
    assert_eq!((answer.status, answer.header("logq-length")), (200, Some("10")));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.rest(), (Vec::new(), Ended::Complete));
    assert_eq!(writer.finish().status, 201);
    let answer = ask(server.get, "HEAD", PATH, &[]);
    assert_eq!(answer.header("content-length"), Some("10"));
    assert_eq!(answer.header("logq-state"), Some("complete"));
}
