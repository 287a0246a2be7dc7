//! The flags of `logq serve`, each by what it changes for those who write and read.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Answer, Writing, ask, connect, get, send};
use crate::common::Scratch;
use crate::served::Served;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Writes a stream at once.
fn put(served: &Served, path: &str, body: &[u8]) -> Answer {
    send(served.put, "PUT", path, &[], body)
}

/// The header of a token.
fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn readers_need_a_token_of_the_file() {
    let scratch = Scratch::new();
    scratch.write("readers", "# of the CI\nfirst\nsecond\n");
    let line = ["serve", "--listen", "127.0.0.1", "--token-file", "readers"];
    // The file is meant, not the variable.
    let served = Served::run(&scratch, &line, &[("ACCESS_TOKEN", "third")]);
    assert_eq!(put(&served, "/log", b"text").status, 201, "writers are on this machine");
    for (path, token, status) in [
        ("/v1/streams/log", None, 401),
        ("/v1/streams/log", Some("third"), 401),
        ("/v1/streams/log", Some("first"), 200),
        ("/log/", None, 401),
        ("/log/third", None, 401),
        ("/log/second", None, 200),
    ] {
        let token = token.map(bearer);
        let headers: Vec<_> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
        let mut answer = get(served.get, path, &headers);
        assert_eq!(answer.status, status, "{path} {token:?}");
        assert_eq!(answer.text() == "text", status == 200, "{path} {token:?}");
    }
}

#[test]
fn who_may_read_may_not_write() {
    let scratch = Scratch::new();
    scratch.write("readers", "reader\n");
    scratch.write("writers", "writer\n");
    let line =
        ["serve", "--listen=127.0.0.1", "--token-file=readers", "--write-token-file=writers"];
    let served = Served::run(&scratch, &line, &[]);
    assert_eq!(put(&served, "/v1/streams/a", b"text").status, 401);
    for (token, written) in [("reader", 403), ("nobody", 401), ("writer", 201)] {
        let headers = [("Authorization", &*bearer(token))];
        let answer = send(served.put, "PUT", "/v1/streams/a", &headers, b"text");
        assert_eq!(answer.status, written, "{token}");
    }
    for (token, read) in [("reader", 200), ("writer", 200), ("nobody", 401)] {
        let answer = get(served.get, "/v1/streams/a", &[("Authorization", &bearer(token))]);
        assert_eq!(answer.status, read, "{token}");
    }
}

#[test]
fn pages_of_listed_origins_may_read() {
    let scratch = Scratch::new();
    let line = ["serve", "--cors-origin", "https://ci.example", "--cors-origin=https://b.example"];
    let served = Served::run(&scratch, &line, &[]);
    assert_eq!(put(&served, "/v1/streams/build", b"text").status, 201);
    for (origin, may) in
        [("https://ci.example", true), ("https://b.example", true), ("https://evil.example", false)]
    {
        let answer = get(served.get, "/v1/streams/build", &[("Origin", origin)]);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, may.then_some(origin));
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        let of_ours = ["Repr-Digest", "Logq-State", "ETag"];
        assert!(of_ours.iter().all(|name| exposed.contains(name) == may), "{origin}: {exposed}");
    }
}

/// The status of a request that names the server so.
fn status_as(host: &str, address: SocketAddr) -> u16 {
    let mut connection = connect(address);
    write!(connection, "GET /v1/streams HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    Answer::read(connection, false).status
}

#[test]
fn only_names_that_are_allowed_are_answered() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--allow-host", "logs.example"], &[]);
    assert_eq!(status_as("localhost", served.get), 200);
    assert_eq!(status_as("logs.example", served.get), 200);
    assert_eq!(status_as("evil.example", served.get), 421);
    let plain = Served::run(&scratch, &["serve"], &[]);
    assert_eq!(status_as("logs.example", plain.get), 421, "not without the flag");
}

#[test]
fn a_second_writer_replaces_only_what_has_ended_and_only_where_it_may() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--replace"], &[]);
    let plain = Served::run(&scratch, &["serve"], &[]);
    for server in [&served, &plain] {
        assert_eq!(put(server, "/log", b"first").status, 201);
    }
    let tag = |server: &Served| get(server.get, "/log/", &[]).header("etag").unwrap().to_owned();
    let before = tag(&served);
    assert_eq!(put(&served, "/log", b"second").status, 201);
    assert_eq!(get(served.get, "/log/", &[]).text(), "second");
    assert_ne!(tag(&served), before, "another generation");
    assert_eq!(put(&plain, "/log", b"second").status, 409);
    assert_eq!(get(plain.get, "/log/", &[]).text(), "first");
    let mut writer = Writing::put(served.put, "/v1/streams/open");
    writer.write(b"x");
    assert_eq!(get(served.get, "/v1/streams/open", &[]).exactly(1), b"x");
    assert_eq!(put(&served, "/v1/streams/open", b"y").status, 409, "somebody writes it");
}

#[test]
fn streams_are_cut_off_at_their_limit() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--max-bytes", "1K"], &[]);
    let path = "/v1/streams/announced";
    assert_eq!(put(&served, path, &[b'x'; 1_025]).status, 413);
    assert_eq!(get(served.get, path, &[]).status, 404, "refused before anything is stored");
    assert_eq!(put(&served, path, &[b'x'; 1_024]).status, 201);

    let path = "/v1/streams/flowing";
    let mut writer = Writing::put(served.put, path);
    writer.write(&[b'a'; 1_000]);
    let mut reader = get(served.get, path, &[("TE", "trailers")]);
    assert_eq!(reader.exactly(1_000), [b'a'; 1_000]);
    writer.write(&[b'b'; 1_000]);
    let answer = writer.answer();
    assert_eq!((answer.status, answer.header("logq-length")), (413, Some("1024")));
    assert_eq!(reader.text(), "b".repeat(24), "what fits is kept");
    assert_eq!(reader.trailer("logq-state"), Some("truncated"));
}

#[test]
fn nothing_is_written_where_too_little_is_free() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--min-free", "1000000T"], &[]);
    assert_eq!(put(&served, "/log", b"text").status, 507);
    assert_eq!(get(served.get, "/v1/streams/log", &[]).status, 404);
    let served = Served::run(&scratch, &["serve", "--min-free", "0"], &[]);
    assert_eq!(put(&served, "/log", b"text").status, 201);
}

#[test]
fn there_are_as_many_streams_as_there_may_be() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--max-streams", "2"], &[]);
    for (name, status) in [("a", 201), ("b", 201), ("c", 507)] {
        assert_eq!(put(&served, &format!("/v1/streams/{name}"), b"x").status, status, "{name}");
    }
    assert_eq!(ask(served.put, "DELETE", "/v1/streams/a", &[]).status, 204);
    assert_eq!(put(&served, "/v1/streams/c", b"x").status, 201, "there is room again");
}

#[test]
fn a_silent_writer_is_given_up_and_may_come_back() {
    let scratch = Scratch::new();
    let line = ["serve", "--writer-idle", "200ms", "--writer-grace", "1h"];
    let served = Served::run(&scratch, &line, &[]);
    let mut writer = Writing::put(served.put, "/v1/streams/log");
    writer.write(b"half");
    assert_eq!(writer.answer().status, 408, "it sends nothing more");
    let head = ask(served.get, "HEAD", "/v1/streams/log", &[]);
    let told = (head.header("logq-state"), head.header("logq-length"));
    assert_eq!(told, (Some("interrupted"), Some("4")));
    let mut writer = Writing::patch(served.put, "/v1/streams/log", 4);
    writer.write(b" and half");
    assert_eq!(writer.finish().status, 204);
    assert_eq!(get(served.get, "/v1/streams/log", &[]).text(), "half and half");
}

/// A reader that takes nothing could hold the server for its default of ten seconds, and longer.
#[test]
fn the_end_waits_for_readers_no_longer_than_the_grace() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--grace", "100ms"], &[]);
    assert_eq!(put(&served, "/log", &vec![b'x'; 32 << 20]).status, 201);
    let mut reader = get(served.get, "/log/", &[]);
    assert_eq!(reader.exactly(1), b"x");
    let asked = Instant::now();
    served.signal(Signal::SIGTERM);
    let (status, said) = served.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(9), "as long as the default: {said}");
    assert!(reader.rest().0.len() < 32 << 20, "what remained was cut");
}

#[test]
fn the_original_is_imitated_where_it_is_asked_for() {
    let scratch = Scratch::new();
    let served = Served::run(&scratch, &["serve", "--compat", "livelog"], &[]);
    let plain = Served::run(&scratch, &["serve"], &[]);
    let text = "This endpoint can only process one http PUT at a time\n";
    for (server, status, range) in [(&served, 400, 200), (&plain, 409, 206)] {
        assert_eq!(put(server, "/log", b"0123456789").status, 201);
        let mut second = put(server, "/log", b"x");
        assert_eq!(second.status, status);
        assert_eq!(second.text() == text, status == 400);
        let mut part = get(server.get, "/log/", &[("Range", "bytes=2-4")]);
        assert_eq!((part.status, part.text().as_str()), (range, "234"));
    }
}

#[test]
fn the_series_of_a_monitor_is_served() {
    let scratch = Scratch::new();
    let line = |second: u32| {
        format!("192.0.2.7 - - [03/Feb/2026:14:00:{second:02} +0000] \"GET /a HTTP/1.1\" 200 100\n")
    };
    scratch.write("a.log", [5, 5, 7].map(line).concat());
    let run = scratch.run(&["monitor", "--no-follow", "--store", "traffic", "a.log"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let served = Served::run(&scratch, &["serve", "--monitor", "traffic"], &[]);
    let asked = "since=2026-02-03T14:00:05Z&until=2026-02-03T14:00:08Z";
    let mut answer = get(served.get, &format!("/v1/monitor/series?{asked}"), &[]);
    assert_eq!(answer.status, 200);
    let series: Value = serde_json::from_str(&answer.text()).unwrap();
    let points = series["points"].as_array().unwrap();
    let requests: Vec<_> = points.iter().map(|point| point["requests"].as_u64()).collect();
    assert_eq!(requests, [Some(2), Some(0), Some(1)], "{series}");
    let plain = Served::run(&scratch, &["serve"], &[]);
    assert_eq!(get(plain.get, "/v1/monitor/series", &[]).status, 404, "not without the flag");
}

/// Times that name no zone are of the one that the server was given.
#[test]
fn times_in_questions_are_of_the_zone_that_was_named() {
    let scratch = Scratch::new();
    scratch.store("shop", crate::common::CLUSTER);
    let check = |flags: &[&str], variables: &[(&str, &str)], since: &str| {
        let served = Served::run(&scratch, &[&["serve"], flags, &["shop"]].concat(), variables);
        let path = format!("/v1/stores/shop/records?format=json&since=2026-02-03T{since}");
        let mut answer = get(served.get, &path, &[]);
        assert_eq!(answer.status, 200, "{flags:?}");
        let text = answer.text();
        // The last two of the store, from half past 14:00:00 UTC on.
        assert_eq!(text.lines().count(), 2, "{flags:?}: {text}");
    };
    check(&["--tz", "Asia/Kolkata"], &[], "19:30:30");
    check(&["--utc"], &[("LOGQ_TZ", "Asia/Kolkata")], "14:00:30");
    check(&["--local"], &[("TZ", "Asia/Kolkata")], "19:30:30");
}

#[test]
fn a_quiet_server_tells_nothing_of_requests() {
    let said = |flags: &[&str]| {
        let scratch = Scratch::new();
        let served = Served::start(&scratch, flags, &[]);
        assert_eq!(get(served.get, "/v1/streams", &[]).status, 200);
        served.signal(Signal::SIGTERM);
        served.ended().1
    };
    let told = said(&[]);
    assert!(told.contains("/v1/streams"), "{told}");
    let quiet = said(&["--quiet"]);
    assert!(quiet.contains("reading:") && !quiet.contains("/v1/streams"), "{quiet}");
}
