//! Readers that are cut off at any point and go on where they were get every byte once: by ranges, by
//! events, by polls.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::net::SocketAddr;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::{Ended, Writing, get};
use common::{Server, content, options};

const PATH: &str = "/v1/streams/s";

/// Readers at once; each is cut off some twenty times.
const READER_COUNT: u64 = 50;

/// How much is written.
const LEN: usize = 1_500_000;

/// Writes the content in pieces of all sizes, while readers read.
fn write_all(writer: &mut Writing, bytes: &[u8]) {
    let mut random = fastrand::Rng::with_seed(3);
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece;
        (piece, rest) = rest.split_at(random.usize(1..60_000).min(rest.len()));
        writer.write(piece);
    }
}

/// Lets `read` read a stream that is being written, with many seeds at once.
fn check(read: fn(SocketAddr, u64) -> Vec<u8>, bytes: &[u8]) {
    let server = Server::start(options());
    let address = server.get;
    let mut writer = Writing::put(server.put, PATH);
    writer.write(&bytes[..1]);
    server.wait_for_len("s", 1);
    let readers: Vec<_> =
        (0..READER_COUNT).map(|seed| thread::spawn(move || read(address, seed))).collect();
    write_all(&mut writer, &bytes[1..]);
    assert_eq!(writer.finish().status, 201);
    for (seed, reader) in readers.into_iter().enumerate() {
        let got = reader.join().unwrap();
        assert_eq!(got.len(), bytes.len(), "seed {seed}");
        assert!(got == bytes, "seed {seed}: other bytes");
    }
}

#[test]
fn cut_at_random_points_and_resumed_by_range() {
    check(read_by_ranges, &content(LEN));
}

fn read_by_ranges(address: SocketAddr, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut got, mut tag) = (Vec::new(), String::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let range = format!("bytes={}-", got.len());
        let headers = [("Range", range.as_str()), ("If-Range", tag.as_str())];
        let mut answer = get(address, PATH, if tag.is_empty() { &[] } else { &headers });
        if answer.status == 416 {
            assert_eq!(answer.header("logq-state"), Some("complete"), "there is no more");
            return got;
        }
        assert_eq!(answer.status, if tag.is_empty() { 200 } else { 206 });
        assert_eq!(answer.header("logq-offset"), Some(&*got.len().to_string()));
        tag = answer.header("etag").unwrap().to_owned();
        // Where this connection breaks; the rest of what was sent is lost on the way.
        let until = got.len() + random.usize(1..150_000);
        while got.len() < until {
            let room = buffer.len().min(until - got.len());
            match answer.some(&mut buffer[..room]) {
                0 => {
                    assert_eq!(answer.rest().1, Ended::Complete);
                    return got;
                }
                count => got.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// Events of a response as far as they came: name, id, data.
fn events(text: &str) -> Vec<(String, String, serde_json::Value)> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end + 1]);
    let field = |event: &str, name: &str| {
        let mut lines = event.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map_or(String::new(), |(_, value)| value.to_owned())
    };
    whole
        .split("\n\n")
        .map(|event| {
            let data = field(event, "data");
            let data =
                if data.is_empty() { serde_json::Value::Null } else { data.parse().unwrap() };
            (field(event, "event"), field(event, "id"), data)
        })
        .filter(|(_, id, _)| !id.is_empty())
        .collect()
}

/// E.3.4
#[test]
fn cut_at_random_points_and_resumed_by_events() {
    // Lines with everything that events are made of, characters of all lengths, and some bytes that are
    // none.
    let mut bytes = Vec::new();
    let mut random = fastrand::Rng::with_seed(9);
    while bytes.len() < LEN / 20 {
        let lines: [&[u8]; 6] = [
            "grün 日本 🦀\n".as_bytes(),
            b"data: x\r\n\r\n",
            b"event: end\nid: 7\n\n",
            b"\0\x1b[2J\r",
            b"\xFF\xFE binary \xC3\n",
            b"plain text of some length, as most lines are\n",
        ];
        bytes.extend_from_slice(lines[random.usize(..lines.len())]);
    }
    check(read_by_events, &bytes);
}

fn read_by_events(address: SocketAddr, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut got, mut last_id) = (Vec::new(), String::new());
    let mut buffer = vec![0; 16 << 10];
    loop {
        let headers = [("Last-Event-ID", last_id.as_str())];
        let path = "/v1/streams/s/events";
        let mut answer = get(address, path, if last_id.is_empty() { &[] } else { &headers });
        if answer.status == 204 {
            return got;
        }
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let until = random.usize(1..20_000);
        let mut text = Vec::new();
        while text.len() < until {
            match answer.some(&mut buffer) {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        // The connection may break inside of a character.
        let text = String::from_utf8_lossy(&text);
        for (name, id, data) in events(&text) {
            match name.as_str() {
                "" => {
                    match data["b64"].as_str() {
                        Some(base64) => got.extend(STANDARD.decode(base64).unwrap()),
                        None => got.extend(data["t"].as_str().unwrap().bytes()),
                    }
                    assert_eq!(data["o"].as_u64().unwrap(), u64::try_from(got.len()).unwrap());
                }
                "end" => {
                    assert_eq!(data["state"], "complete");
                    return got;
                }
                other => panic!("{other}"),
            }
            last_id = id;
        }
    }
}

#[test]
fn a_place_in_another_content_begins_anew() {
    let server = Server::start(options());
    assert_eq!(common::client::send(server.put, "PUT", PATH, &[], b"hello\n").status, 201);
    let path = "/v1/streams/s/events";
    for place in ["0000000000000000000000.3", "nonsense", ""] {
        let text = get(server.get, path, &[("Last-Event-ID", place)]).text();
        let events = events(&text);
        let names: Vec<_> =
            events.iter().map(|(name, _, data)| (name.as_str(), &data["t"])).collect();
        let (null, hello) = (serde_json::Value::Null, serde_json::json!("hello\n"));
        assert_eq!(names, [("reset", &null), ("", &hello), ("end", &null)], "{place}");
    }
    let accepted = get(server.get, PATH, &[("Accept", "text/event-stream")]).text();
    assert!(accepted.contains("\"t\":\"hello\\n\""));
}

#[test]
fn polled_in_pieces() {
    check(read_by_polls, &content(LEN));
}

fn read_by_polls(address: SocketAddr, _seed: u64) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let path = format!("{PATH}?offset={}&wait=30", got.len());
        let mut answer = get(address, &path, &[]);
        if answer.status == 204 && answer.header("logq-state") == Some("complete") {
            return got;
        }
        let (body, ended) = answer.rest();
        assert_eq!(ended, Ended::Complete);
        got.extend(body);
    }
}
