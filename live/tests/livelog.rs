//! What the tests of the original livelog check, in both modes: its own suite is five files for Node,
//! `accesstoken`, `byte_range`, `https`, `sequence` and `simple_load`. Token and certificate are the
//! connections' matter and tested there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::net::SocketAddr;
use std::thread;

use common::client::{Writing, ask, get, send};
use common::{Server, content, options};
use logq_live::streams::StreamsOptions;

fn both(check: impl Fn(&Server)) {
    for livelog_compatible in [false, true] {
        check(&Server::start(StreamsOptions { livelog_compatible, ..options() }));
    }
}

fn compatible() -> Server {
    Server::start(StreamsOptions { livelog_compatible: true, ..options() })
}

/// Reads in a thread, as the original's tests do: the request is there before the bytes.
fn reader(address: SocketAddr, range: Option<&'static str>) -> thread::JoinHandle<(u16, String)> {
    thread::spawn(move || {
        let headers: Vec<_> = range.iter().map(|range| ("Range", *range)).collect();
        let mut answer = get(address, "/log/", &headers);
        (answer.status, answer.text())
    })
}

#[test]
fn simple_load() {
    both(|server| {
        let mut writer = Writing::put(server.put, "/log");
        let bytes = content(1_000_000);
        bytes.chunks(10_000).for_each(|chunk| writer.write(chunk));
        let written = writer.finish();
        assert_eq!(written.status, 201);
        let mut answer = get(server.get, "/log/", &[]);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let (read, _) = answer.rest();
        assert!(read == bytes);
    });
}

#[test]
fn sequence() {
    both(|server| {
        let early = reader(server.get, None);
        let mut writer = Writing::put(server.put, "/log");
        let lines: Vec<String> =
            (0..10_000).map(|n| format!("{n} {}\n", "x".repeat(860))).collect();
        let late = reader(server.get, None);
        lines.iter().for_each(|line| writer.write(line.as_bytes()));
        assert_eq!(writer.finish().status, 201);
        for reader in [early, late] {
            let (status, text) = reader.join().unwrap();
            assert_eq!(status, 200);
            let read = text.lines().map(|line| line.split(' ').next().unwrap().parse::<usize>());
            assert!(read.map(Result::unwrap).eq(0..10_000), "strict order");
        }
    });
}

/// The four cases of `byte_range`, of which three ask for bytes that have yet to come.
#[test]
fn byte_range() {
    both(|server| {
        let compatible = matches!(status_of_range(server), 200);
        let mut writer = Writing::put(server.put, "/log");
        writer.write(b"0");
        server.wait_for_len("log", 1);
        let expected_status = if compatible { 200 } else { 206 };
        let start = reader(server.get, Some("bytes=5-"));
        let both_ends = reader(server.get, Some("bytes=5-8"));
        let one_byte = reader(server.get, Some("bytes=5-5"));
        server.wait_for_readers("log", 3);
        writer.write(b"123456789");
        writer.write(b"abcdef");
        assert_eq!(writer.finish().status, 201);
        assert_eq!(start.join().unwrap(), (expected_status, "56789abcdef".to_owned()));
        assert_eq!(both_ends.join().unwrap(), (expected_status, "5678".to_owned()));
        assert_eq!(one_byte.join().unwrap(), (expected_status, "5".to_owned()));
        // "end only": the first bytes for the original, the last ones for everybody else.
        let end = reader(server.get, Some("bytes=-5")).join().unwrap();
        let expected = if compatible { (200, "012345") } else { (206, "bcdef") };
        assert_eq!((end.0, end.1.as_str()), expected);
    });
}

/// Which mode a server is in, by what it says of a range; the stream it takes for that is gone after.
fn status_of_range(server: &Server) -> u16 {
    assert_eq!(send(server.put, "PUT", "/log", &[], b"0123456789").status, 201);
    let status = get(server.get, "/log/", &[("Range", "bytes=0-1")]).status;
    assert_eq!(ask(server.put, "DELETE", "/v1/streams/log", &[]).status, 204);
    status
}

#[test]
fn what_the_original_refuses_in_its_words() {
    let server = compatible();
    assert_eq!(send(server.put, "PUT", "/log", &[], b"0123456789").status, 201);
    for (range, text) in [
        ("lines=0-1", "Other then byte prefix given\n"),
        ("bytes=0-1,2-3", "Cannot handle multiple range segments...\n"),
        ("bytes=--5", "Too many range segements\n"),
        ("bytes=5", "Unknown range segements...\n"),
    ] {
        let mut answer = get(server.get, "/log/", &[("Range", range)]);
        assert_eq!((answer.status, answer.text().as_str()), (416, text), "{range}");
    }
    let mut second = send(server.put, "PUT", "/log", &[], b"x");
    let text = "This endpoint can only process one http PUT at a time\n";
    assert_eq!((second.status, second.text().as_str()), (400, text));
    let mut other = ask(server.put, "DELETE", "/log", &[]);
    let text = "This endpoint can only handle PUT requests\n";
    assert_eq!((other.status, other.text().as_str()), (400, text));
    // A range that begins behind the end waited for ever; now it ends with the stream.
    let mut beyond = get(server.get, "/log/", &[("Range", "bytes=50-")]);
    assert_eq!((beyond.status, beyond.text().as_str()), (200, ""));
}

#[test]
fn paths_and_methods_besides() {
    both(|server| {
        assert_eq!(send(server.put, "PUT", "/log/", &[], b"x").status, 404);
        assert_eq!(send(server.put, "PUT", "/log", &[], b"x").status, 201);
        let moved = get(server.get, "/log", &[]);
        assert_eq!((moved.status, moved.header("location")), (301, Some("/log/")));
        // The original sends the whole log to whoever asks with OPTIONS.
        let mut options = ask(server.get, "OPTIONS", "/log/", &[]);
        assert_eq!((options.status, options.rest().0), (204, Vec::new()));
        assert_eq!(ask(server.get, "HEAD", "/log/", &[]).header("content-length"), Some("1"));
        assert_eq!(get(server.put, "/log/", &[]).status, 404);
    });
    let server = Server::start(options());
    assert_eq!(ask(server.put, "GET", "/log", &[]).status, 405);
}
