//! Records as they come: over lost connections, beside a store that ends, with text that looks like the
//! protocol.

use std::collections::BTreeSet;
use std::path::Path;

use logq_writer::{LoggerOptions, MasterLogger};
use serde_json::{Value, json};

use crate::client::{Answer, Ended, get};
use crate::support::{Server, Serving, shop};

const RECORDS: &str = "/v1/stores/shop/records";

fn logger(store: &Path) -> MasterLogger {
    MasterLogger::open(store, LoggerOptions::default()).unwrap()
}

/// One event of a stream, or a comment.
#[derive(Debug)]
struct Said {
    id: String,
    data: Value,
    comment: String,
    event: String,
}

/// Reads events one after the other.
struct Listening {
    answer: Answer,
    text: String,
}

impl Listening {
    fn new(server: &Server, query: &str, id: Option<&str>) -> Self {
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(id.map(|id| ("Last-Event-ID", id)));
        let answer = get(server.address, &format!("{RECORDS}?follow=1&{query}"), &headers);
        assert_eq!(answer.status, 200);
        Self { answer, text: String::new() }
    }

    /// The next event; `None` at the end of the body.
    fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((one, rest)) = self.text.split_once("\n\n") {
                let said = said(one);
                self.text = rest.to_owned();
                return Some(said);
            }
            let mut buffer = [0; 4096];
            match self.answer.some(&mut buffer) {
                0 => return None,
                count => self.text.push_str(str::from_utf8(&buffer[..count]).unwrap()),
            }
        }
    }

    /// The next record.
    fn record(&mut self) -> Said {
        loop {
            let said = self.next().expect("the stream goes on");
            if said.data != Value::Null && said.event.is_empty() {
                return said;
            }
        }
    }
}

fn said(text: &str) -> Said {
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.next().unwrap_or_default().to_owned()
    };
    let data = field("data: ");
    let data = if data.is_empty() { Value::Null } else { serde_json::from_str(&data).unwrap() };
    Said { id: field("id: "), data, comment: field(": "), event: field("event: ") }
}

#[test]
fn a_lost_connection_loses_nothing_and_repeats_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    let number = |n: u64| log.info(json!({ "message": "numbered", "n": n }));
    number(0);
    let server = Serving::store("shop", scratch.path()).start();
    let mut seen = Vec::new();
    let mut id: Option<String> = None;
    for round in 0..10_u64 {
        (1..=20).for_each(|n| number(round * 20 + n));
        // Each connection is left in the middle of what was written.
        let query = if id.is_none() { "lines=1000" } else { "" };
        let mut listening = Listening::new(&server, query, id.as_deref());
        for _ in 0..(if round < 9 { 11 } else { 201 - seen.len() }) {
            let said = listening.record();
            seen.push(said.data["data"]["n"].as_u64().unwrap());
            id = Some(said.id);
        }
    }
    assert_eq!(seen, (0..=200).collect::<Vec<_>>());
    log.close().unwrap();
}

#[test]
fn followers_hear_how_far_the_answer_is_final() {
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    log.info(json!({ "message": "first" }));
    log.flush().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    let mut listening = Listening::new(&server, "lines=10&delivery=arrival", None);
    assert_eq!(listening.next().unwrap().comment, "connected");
    let first = listening.record();
    let watermark = loop {
        let said = listening.next().unwrap();
        if let Some(time) = said.comment.strip_prefix("watermark ") {
            break time.split(' ').next().unwrap().to_owned();
        }
    };
    assert!(watermark.as_str() >= first.data["timestamp"].as_str().unwrap(), "{watermark}");
    log.error(json!({ "message": "second" }));
    assert_eq!(listening.record().data["data"]["message"], "second");
    log.close().unwrap();
}

#[test]
fn following_ends_where_nothing_more_can_come() {
    let store = shop(500);
    let server = Serving::store("shop", store.path()).start();
    let query = "since=2026-02-03T00:00:00Z&until=2026-02-03T12:00:00Z&delivery=arrival";
    let mut listening = Listening::new(&server, query, None);
    let (mut records, mut events) = (BTreeSet::new(), Vec::new());
    while let Some(said) = listening.next() {
        if said.event.is_empty() && said.data != Value::Null {
            assert!(records.insert(said.id), "each record has a place of its own");
        } else if !said.event.is_empty() {
            events.push(said.event);
        }
    }
    assert_eq!(events, ["trailer", "end"]);
    let asked = "?format=json&until=2026-02-03T12:00:00Z";
    assert_eq!(records.len(), server.lines(&format!("{RECORDS}{asked}")).len());
}

#[test]
fn a_server_that_ends_breaks_off_what_has_no_end() {
    let store = shop(50);
    let server = Serving::store("shop", store.path()).start();
    let mut listening = Listening::new(&server, "lines=5&delivery=arrival", None);
    for _ in 0..5 {
        listening.record();
    }
    server.ask_to_end();
    while listening.next().is_some() {}
    assert_eq!(listening.answer.rest().1, Ended::Cut, "the client does not have everything");
}

/// E.3.4
#[test]
fn what_looks_like_the_protocol_arrives_as_data() {
    let scratch = tempfile::tempdir().unwrap();
    let log = logger(scratch.path());
    let texts = [
        "a\ndata: {\"forged\":true}",
        "a\r\ndata: b\r\n\r\n",
        "\r",
        "\0",
        "id: 1",
        "event: end",
        "data: x\n\nevent: end\ndata: {}\n\n",
        "\u{2028}\u{2029}\u{85}",
        "retry: 1",
        ": comment",
    ];
    texts.iter().for_each(|text| log.info(json!({ "message": text, *text: 1 })));
    log.close().unwrap();
    let server = Serving::store("shop", scratch.path()).start();
    let mut listening = Listening::new(&server, "lines=100", None);
    for text in texts {
        let said = listening.record();
        assert_eq!(said.data["data"]["message"], *text);
        assert_eq!(said.data["data"][text], 1, "names of fields, too");
    }
}
