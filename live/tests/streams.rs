//! The life of a stream over real sockets: how it ends for readers and writers, who may write, what is
//! refused before a byte of it is sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::{Answer, Ended, Writing, ask, connect, get, send};
use common::{Server, content, options};
use logq_live::streams::StreamsOptions;
use sha2::{Digest as _, Sha256};

const PATH: &str = "/v1/streams/s";

fn brief_grace() -> StreamsOptions {
    StreamsOptions { writer_grace: Duration::from_millis(50), ..options() }
}

#[test]
fn a_complete_stream_ends_with_trailers_for_those_who_take_them() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"hello ");
    server.wait_for_len("s", 6);
    let mut plain = get(server.get, PATH, &[]);
    let mut with_trailers = get(server.get, PATH, &[("TE", "gzip;q=0, trailers")]);
    writer.write(b"world");
    let written = writer.finish();
    assert_eq!((written.status, written.header("logq-length")), (201, Some("11")));
    assert_eq!(plain.text(), "hello world");
    assert_eq!(plain.trailers, []);
    assert_eq!(with_trailers.text(), "hello world");
    let digest = "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";
    for (name, expected) in
        [("logq-state", "complete"), ("logq-length", "11"), ("repr-digest", digest)]
    {
        assert_eq!(with_trailers.trailer(name), Some(expected), "{name}");
    }
    assert_eq!(written.header("repr-digest"), Some(digest));
}

/// The digest of a long stream is reckoned when it has ended. Who asks for it waits.
#[test]
fn the_digest_of_a_long_stream_is_there_for_those_who_ask() {
    let scratch = tempfile::tempdir().unwrap();
    let kept = || StreamsOptions { directory: Some(scratch.path().join("streams")), ..options() };
    let server = Server::start(kept());
    let bytes = content(5 << 20);
    let sha256 = Sha256::digest(&bytes);
    let digest = format!("sha-256=:{}:", STANDARD.encode(sha256));
    let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let wanted = [("Want-Repr-Digest", "sha-512=3, sha-256=10")];
    let mut writer = Writing::begin(server.put, "PUT", PATH, &wanted);
    let mut reader = get(server.get, "/v1/streams/s?wait=5", &[("TE", "trailers")]);
    let mut events = get(server.get, "/v1/streams/s/events?wait=5", &[]);
    writer.write(&bytes);
    assert_eq!(writer.finish().header("repr-digest"), Some(&*digest));
    assert!(reader.rest() == (bytes.clone(), Ended::Complete));
    assert_eq!(reader.trailer("repr-digest"), Some(&*digest));
    assert!(events.text().contains(&format!("\"sha256\":\"{hex}\"")));
    assert_eq!(ask(server.get, "HEAD", PATH, &[]).header("repr-digest"), Some(&*digest));

    // Who does not ask gets an answer at once, and it comes nevertheless, also over a restart.
    let answer =
        send(server.put, "PUT", "/v1/streams/t", &[("Want-Repr-Digest", "sha-256=0")], &bytes);
    assert_eq!(answer.status, 201);
    server.wait_for_digest("t", &hex);
    drop(server);
    assert_eq!(Server::start(kept()).list()[1]["sha256"], *hex);
}

#[test]
fn an_aborted_stream_does_not_end_as_if_it_were_complete() {
    let server = Server::start(brief_grace());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"half");
    server.wait_for_len("s", 4);
    let mut reader = get(server.get, PATH, &[("TE", "trailers")]);
    let mut bounded = get(server.get, PATH, &[("Range", "bytes=2-3")]);
    let mut longer = get(server.get, PATH, &[("Range", "bytes=2-7")]);
    writer.break_off();
    assert_eq!(reader.rest(), (b"half".to_vec(), Ended::Cut));
    assert_eq!(bounded.rest(), (b"lf".to_vec(), Ended::Complete), "it has all it asked for");
    assert_eq!(longer.rest(), (b"lf".to_vec(), Ended::Cut));
    let mut late = get(server.get, PATH, &[]);
    assert_eq!(late.header("logq-state"), Some("aborted"));
    assert_eq!(late.text(), "half");
}

#[test]
fn a_lost_writer_comes_back_and_readers_see_one_stream() {
    let server = Server::start(options());
    let bytes = content(200_000);
    let mut writer = Writing::put(server.put, PATH);
    writer.write(&bytes[..20_000]);
    server.wait_for_len("s", 20_000);
    let mut reader = get(server.get, PATH, &[("TE", "trailers")]);
    writer.break_off();
    for part in 1..10 {
        server.wait_for_state("s", "interrupted");
        let from = part * 20_000;
        let wrong = Writing::patch(server.put, PATH, from + 1).answer();
        assert_eq!((wrong.status, wrong.header("logq-length")), (416, Some(&*from.to_string())));
        let mut writer = Writing::patch(server.put, PATH, from);
        writer.write(&bytes[from..from + 20_000]);
        server.wait_for_len("s", u64::try_from(from + 20_000).unwrap());
        if part < 9 {
            writer.break_off();
        } else {
            assert_eq!(writer.finish().status, 204);
        }
    }
    assert_eq!(reader.rest(), (bytes, Ended::Complete));
    assert_eq!(reader.trailer("logq-state"), Some("complete"));
    let whole = get(server.get, PATH, &[]);
    assert_eq!(reader.trailer("repr-digest"), whole.header("repr-digest"));
}

#[test]
fn a_writer_may_come_in_many_requests() {
    let server = Server::start(options());
    let more = [("Logq-Offset", "2"), ("Logq-More", "1")];
    assert_eq!(send(server.put, "PATCH", PATH, &more, b"cd").status, 404);
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"ab");
    server.wait_for_len("s", 2);
    let mut reader = get(server.get, PATH, &[]);
    writer.break_off();
    server.wait_for_state("s", "interrupted");
    let answer = send(server.put, "PATCH", PATH, &more, b"cd");
    assert_eq!((answer.status, answer.header("logq-length")), (204, Some("4")));
    assert_eq!(answer.header("logq-state"), Some("interrupted"));
    let last = send(server.put, "PATCH", PATH, &[("Logq-Offset", "4")], b"");
    assert_eq!((last.status, last.header("logq-state")), (204, Some("complete")));
    assert_eq!(reader.text(), "abcd");
    let after = send(server.put, "PATCH", PATH, &[("Logq-Offset", "4")], b"x");
    assert_eq!(after.status, 409);
    assert_eq!(send(server.put, "PATCH", PATH, &[], b"x").status, 400);
}

#[test]
fn a_second_writer_is_refused_before_its_body() {
    let server = Server::start(options());
    let mut first = Writing::put(server.put, PATH);
    first.write(b"a");
    server.wait_for_len("s", 1);
    for method in ["PUT", "PATCH"] {
        let mut second = connect(server.put);
        write!(
            second,
            "{method} {PATH} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
             Content-Length: 9\r\nLogq-Offset: 1\r\n\r\n"
        )
        .unwrap();
        // The first thing that comes is the refusal, not 100 Continue.
        let answer = Answer::read(second, false);
        assert_eq!((answer.status, answer.header("connection")), (409, Some("close")), "{method}");
        let told = (answer.header("logq-state"), answer.header("logq-length"));
        assert_eq!(told, (Some("open"), Some("1")), "{method}");
    }
    assert_eq!(ask(server.put, "DELETE", PATH, &[]).status, 409);
    assert_eq!(first.finish().status, 201);
    assert_eq!(get(server.get, PATH, &[]).text(), "a");
    for method in ["PUT", "PATCH"] {
        let answer = send(server.put, method, PATH, &[("Logq-Offset", "1")], b"again");
        let told = (answer.header("logq-state"), answer.header("logq-length"));
        assert_eq!((answer.status, told), (409, (Some("complete"), Some("1"))), "{method}");
    }
}

#[test]
fn a_writer_that_waits_for_100_is_told_to_go_on() {
    let server = Server::start(options());
    let mut connection = connect(server.put);
    write!(
        connection,
        "PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    .unwrap();
    let mut told = [0; 25];
    connection.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"ok").unwrap();
    assert_eq!(Answer::read(connection, false).status, 201);
}

#[test]
fn replaced_streams_have_another_generation_and_old_readers_finish() {
    let server = Server::start(StreamsOptions { replace: true, ..options() });
    let old = content(3_000_000);
    assert_eq!(send(server.put, "PUT", PATH, &[], &old).status, 201);
    let mut reader = get(server.get, PATH, &[]);
    let tag = reader.header("etag").unwrap().to_owned();
    let begun = reader.exactly(10);
    assert_eq!(send(server.put, "PUT", PATH, &[], b"new").status, 201);
    let (rest, ended) = reader.rest();
    assert_eq!(([begun, rest].concat(), ended), (old, Ended::Complete));
    let mut answer = get(server.get, PATH, &[("Range", "bytes=1-"), ("If-Range", &tag)]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "new"), "no mixture of the two");
    assert_eq!(server.list().len(), 1);
}

#[test]
fn deleted_streams_are_gone_and_their_readers_told() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"abc");
    server.wait_for_len("s", 3);
    let mut reader = get(server.get, PATH, &[]);
    writer.break_off();
    server.wait_for_state("s", "interrupted");
    assert_eq!(ask(server.put, "DELETE", PATH, &[]).status, 204);
    assert_eq!(reader.rest(), (b"abc".to_vec(), Ended::Cut));
    let gone = get(server.get, PATH, &[]);
    assert_eq!((gone.status, gone.header("retry-after")), (404, Some("5")));
    assert_eq!(ask(server.put, "DELETE", PATH, &[]).status, 404);
    assert_eq!(send(server.put, "PUT", PATH, &[], b"anew").status, 201);
}

#[test]
fn limits_cut_streams_off_and_what_came_before_is_kept() {
    let server = Server::start(StreamsOptions { stream_bytes_max: 10, ..options() });
    assert_eq!(send(server.put, "PUT", PATH, &[], &[b'x'; 11]).status, 413, "at once");
    assert_eq!(get(server.get, PATH, &[]).status, 404);
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"12345");
    server.wait_for_len("s", 5);
    let mut reader = get(server.get, PATH, &[("TE", "trailers")]);
    // The connection may be closed before all of it is taken.
    let _ = writer.try_write(b"67890abc");
    let answer = writer.finish();
    assert_eq!((answer.status, answer.header("logq-state")), (413, Some("truncated")));
    assert_eq!(reader.text(), "1234567890");
    assert_eq!(reader.trailer("logq-state"), Some("truncated"));
    let mut exact = Writing::put(server.put, "/v1/streams/t");
    exact.write(b"1234567890");
    assert_eq!(exact.finish().status, 201);
}

/// E.4.4
#[test]
fn there_are_so_many_streams_and_the_old_ones_go() {
    let keep = Duration::ZERO;
    let few = StreamsOptions { stream_count_max: 2, ..options() };
    let server = Server::start(few.clone());
    for name in ["a", "b"] {
        assert_eq!(send(server.put, "PUT", &format!("/v1/streams/{name}"), &[], b"x").status, 201);
    }
    assert_eq!(send(server.put, "PUT", "/v1/streams/c", &[], b"x").status, 507);
    assert_eq!(ask(server.put, "DELETE", "/v1/streams/a", &[]).status, 204);
    assert_eq!(send(server.put, "PUT", "/v1/streams/c", &[], b"x").status, 201);
    let server = Server::start(StreamsOptions { keep, ..few });
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(send(server.put, "PUT", &format!("/v1/streams/{name}"), &[], b"x").status, 201);
    }
    assert!(server.list().len() <= 2);
}

#[test]
fn what_is_no_plain_log_is_refused_or_served_as_bytes() {
    let server = Server::start(options());
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(send(server.put, "PUT", PATH, &gzip, b"x").status, 415);
    let identity = [("Content-Encoding", "identity"), ("Content-Type", "text/html")];
    assert_eq!(send(server.put, "PUT", PATH, &identity, b"<script>").status, 201);
    let answer = get(server.get, PATH, &[]);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    for name in ["..", "%2e%2e", "a%2Fb", "a/b", ".hidden", "", &"x".repeat(129), "s%00", "a\\b"] {
        let path = format!("/v1/streams/{name}");
        let status = send(server.put, "PUT", &path, &[], b"x").status;
        assert!(matches!(status, 400 | 404), "{name}: {status}");
    }
    assert!(server.list().len() == 1);
    for method in ["POST", "TRACE", "BREW"] {
        let answer = ask(server.get, method, PATH, &[]);
        assert_eq!((answer.status, answer.header("allow").is_some()), (405, true), "{method}");
    }
}

#[test]
fn polls_wait_for_bytes_and_tell_where_to_go_on() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"abc");
    server.wait_for_len("s", 3);
    let mut answer = get(server.get, "/v1/streams/s?offset=1&wait=25", &[]);
    assert_eq!((answer.status, answer.header("logq-next")), (200, Some("3")));
    assert_eq!(answer.text(), "bc");
    let answer = get(server.get, "/v1/streams/s?offset=3&wait=0", &[]);
    assert_eq!((answer.status, answer.header("logq-next")), (204, Some("3")));
    assert_eq!(answer.header("logq-state"), Some("open"));
    let address = server.get;
    let waiting =
        std::thread::spawn(move || get(address, "/v1/streams/s?offset=3&wait=60", &[]).text());
    server.wait_for_readers("s", 1);
    writer.write(b"de");
    assert_eq!(waiting.join().unwrap(), "de");
    assert_eq!(get(server.get, "/v1/streams/s?offset=9", &[]).status, 416);
    assert_eq!(get(server.get, "/v1/streams/s?offset=x", &[]).status, 400);
    assert_eq!(writer.finish().status, 201);
    let answer = get(server.get, "/v1/streams/s?offset=5", &[]);
    assert_eq!((answer.status, answer.header("logq-state")), (204, Some("complete")), "at once");
}

#[test]
fn readers_may_come_before_the_writer() {
    let server = Server::start(options());
    assert_eq!(get(server.get, PATH, &[]).status, 404);
    let address = server.get;
    let early: Vec<_> = ["/v1/streams/s?wait=60", "/log/"]
        .into_iter()
        .map(|path| std::thread::spawn(move || get(address, path, &[]).text()))
        .collect();
    for path in [PATH, "/log"] {
        assert_eq!(send(server.put, "PUT", path, &[], b"here").status, 201);
    }
    for reader in early {
        assert_eq!(reader.join().unwrap(), "here");
    }
}

#[test]
fn an_empty_stream_ends_for_those_who_wait() {
    let server = Server::start(options());
    let writer = Writing::put(server.put, "/log");
    server.wait_for_state("log", "open");
    let mut reader = get(server.get, "/log/", &[]);
    assert_eq!(writer.finish().status, 201);
    assert_eq!(reader.text(), "");
    let answer = get(server.get, "/log/", &[]);
    assert_eq!(answer.header("content-length"), Some("0"));
}

#[test]
fn a_server_that_ends_lets_nobody_wait() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"abc");
    server.wait_for_len("s", 3);
    let address = server.get;
    let held = std::thread::spawn(move || get(address, PATH, &[("Range", "bytes=99-")]).status);
    server.wait_for_readers("s", 1);
    server.ask_to_end();
    assert_eq!(held.join().unwrap(), 503);
}

#[test]
fn a_server_that_ends_tells_readers_that_there_is_more() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"abc");
    server.wait_for_len("s", 3);
    let mut reader = get(server.get, PATH, &[("TE", "trailers")]);
    let mut events = get(server.get, "/v1/streams/s/events", &[]);
    assert_eq!(reader.exactly(3), b"abc");
    server.ask_to_end();
    assert_eq!(reader.rest(), (Vec::new(), Ended::Cut));
    let (text, ended) = events.rest();
    assert_eq!(ended, Ended::Complete);
    assert!(String::from_utf8(text).unwrap().ends_with("retry: 1000\n\n"), "it comes back");
    let answer = writer.answer();
    assert_eq!((answer.status, answer.header("logq-length")), (503, Some("3")));
}
