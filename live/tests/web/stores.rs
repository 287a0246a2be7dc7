//! Questions about stores: formats, words, places, refusals, and who pays for a slow client.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logq_reader::{Query, Snapshot};
use logq_writer::{LoggerOptions, MasterLogger};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::client::{Answer, Ended, ask, connect, get};
use crate::support::{Server, Serving, shop, wait_until};

const RECORDS: &str = "/v1/stores/shop/records";

/// The ids and data of server-sent events of records.
fn events(text: &str) -> Vec<(String, Value)> {
    let (mut found, mut id) = (Vec::new(), String::new());
    let mut kind = "";
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("id: ") {
            value.clone_into(&mut id);
        } else if let Some(value) = line.strip_prefix("event: ") {
            kind = value;
        } else if let Some(value) = line.strip_prefix("data: ") {
            if kind.is_empty() {
                found.push((id.clone(), serde_json::from_str(value).unwrap()));
            }
        } else if line.is_empty() {
            kind = "";
        }
    }
    found
}

#[test]
fn records_come_in_the_format_that_the_client_accepts() {
    let store = shop(3_000);
    let server = Serving::store("shop", store.path()).start();
    let ask = |accept| get(server.address, RECORDS, &[("Accept", accept), ("TE", "trailers")]);

    let mut text = ask("text/plain");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    // What a browser opens by itself cannot run.
    assert_eq!(text.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(text.header("content-security-policy"), Some("sandbox"));
    let lines = text.text();
    assert_eq!(lines.lines().count(), 3_000);
    assert_eq!(text.trailer("logq-complete"), Some("true"));
    assert_eq!(text.trailer("logq-records"), Some("3000"));

    let mut json = ask("application/json");
    assert_eq!(json.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(json.text(), lines, "these tests print JSON as text");
    assert_eq!(json.header("logq-first"), Some("2026-02-03T00:00:00.000000Z"));

    let mut sse = ask("text/event-stream");
    assert_eq!(sse.header("content-type"), Some("text/event-stream"));
    let found = events(&sse.text());
    let data: Vec<_> = found.iter().map(|(_, data)| data.clone()).collect();
    let expected: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(data == expected);

    let mut blocks = ask("application/vnd.logq.blocks");
    let (bytes, ended) = blocks.rest();
    assert_eq!(ended, Ended::Complete);
    let received = Snapshot::of_stream("the answer", bytes.as_slice()).unwrap();
    assert_eq!(received.count(&Query::default()).unwrap().0, 3_000);
}

#[test]
fn words_mean_what_they_mean_to_the_command() {
    let store = shop(5_000);
    let server = Serving::store("shop", store.path()).start();
    let all: Vec<Value> = server
        .lines(&format!("{RECORDS}?format=json"))
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let check = |query: &str, wanted: &dyn Fn(&Value) -> bool| {
        let lines = server.lines(&format!("{RECORDS}?format=json&{query}"));
        let found: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected: Vec<Value> = all.iter().filter(|record| wanted(record)).cloned().collect();
        assert!(!expected.is_empty(), "{query} finds something");
        assert!(found == expected, "{query}: {} and {}", found.len(), expected.len());
    };
    let time = |record: &Value| record["timestamp"].as_str().unwrap().to_owned();
    check("since=2026-02-03T06:00:00Z&until=2026-02-03T12:00:00Z", &|record| {
        ("2026-02-03T06".."2026-02-03T12").contains(&time(record).as_str())
    });
    check("in=2026-02-03T14", &|record| time(record).starts_with("2026-02-03T14"));
    // The same hour on the clocks of Berlin.
    check("in=2026-02-03T15&tz=Europe/Berlin", &|r| time(r).starts_with("2026-02-03T14"));
    check("level=error", &|r| r["level"] == "ERROR" || r["level"] == "CRITICAL");
    check("type=REQUEST,RESPONSE", &|r| r["type"] == "REQUEST" || r["type"] == "RESPONSE");
    check("worker=2", &|record| record["workerId"] == 2);
    check("where=status+%3E%3D+200&where=ms+%3E+5", &|record| {
        record["statusCode"].as_u64() >= Some(200) && record["durationMs"].as_f64() > Some(5.0)
    });
    check("grep=CART&fixed=1&ignore_case=1&type=REQUEST", &|record| {
        record["url"].as_str().is_some_and(|url| url.contains("cart"))
    });
    let request = all.iter().find_map(|record| record["requestId"].as_str()).unwrap();
    check(&format!("request={request}"), &|record| record["requestId"] == request);

    let part = |query: &str| server.lines(&format!("{RECORDS}?format=json&{query}"));
    let whole = part("");
    assert_eq!(part("limit=7"), whole[..7]);
    assert_eq!(part("lines=7"), whole[whole.len() - 7..]);
    let backwards: Vec<_> = whole.iter().rev().take(7).cloned().collect();
    assert_eq!(part("order=desc&limit=7"), backwards);
    assert_eq!(part("limit=0"), [""; 0]);
}

#[test]
fn an_answer_goes_on_behind_its_cursors() {
    let store = shop(2_000);
    let server = Serving::store("shop", store.path()).start();
    let page = |query: &str, id: Option<&str>| {
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(id.map(|id| ("Last-Event-ID", id)));
        let mut answer = get(server.address, &format!("{RECORDS}?{query}"), &headers);
        (answer.status, events(&answer.text()))
    };
    let whole = page("", None).1;
    for order in ["asc", "desc"] {
        let (mut joined, mut after) = (Vec::new(), None::<String>);
        loop {
            // Both ways to name the place mean the same.
            let query = format!("order={order}&limit=300");
            let (status, found) = match (&after, joined.len() % 600) {
                (Some(id), 0) => page(&query, Some(id)),
                (Some(id), _) => page(&format!("{query}&after={id}"), None),
                (None, _) => page(&query, None),
            };
            if found.is_empty() {
                break assert!(status == 204 || joined.len() % 600 != 0, "{status}");
            }
            after = found.last().map(|(id, _)| id.clone());
            joined.extend(found.into_iter().map(|(_, data)| data));
        }
        // Only this answer stops an event stream from asking again.
        assert_eq!(page(&format!("order={order}"), after.as_deref()).0, 204);
        if order == "desc" {
            joined.reverse();
        }
        let expected: Vec<_> = whole.iter().map(|(_, data)| data.clone()).collect();
        assert!(joined == expected, "{order}: every record once");
    }
    // The cursor of the trailer is the place behind everything.
    let lines = server.lines(&format!("{RECORDS}?format=json&limit=5&trailer=1"));
    let trailer: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let cursor = trailer["trailer"]["cursor"].as_str().unwrap();
    let next = server.lines(&format!("{RECORDS}?format=json&limit=1&after={cursor}"));
    let next: Value = serde_json::from_str(&next[0]).unwrap();
    assert_eq!(next, whole[5].1);
    // Of another store it is of no use, ever.
    let other = tempfile::tempdir().unwrap();
    MasterLogger::open(other.path(), LoggerOptions::default()).unwrap().close().unwrap();
    let server = Serving::store("shop", other.path()).start();
    assert_eq!(get(server.address, &format!("{RECORDS}?after={cursor}"), &[]).status, 410);
}

#[test]
fn numbers_agree_with_the_records() {
    let store = shop(4_000);
    let server = Serving::store("shop", store.path()).start();
    let records: Vec<Value> = server
        .lines(&format!("{RECORDS}?format=json"))
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count =
        |wanted: &dyn Fn(&Value) -> bool| records.iter().filter(|r| wanted(r)).count() as u64;

    let stats = server.json("/v1/stores/shop/stats");
    assert_eq!(stats["records"], 4_000);
    assert_eq!(stats["levels"]["INFO"], count(&|record| record["level"] == "INFO"));
    assert_eq!(stats["types"]["LOG"], count(&|record| record["type"] == "LOG"));

    let groups = server.json("/v1/stores/shop/aggregate?by=statusCode&quantile=0,100&top=2");
    let ok = &groups["groups"][0];
    assert_eq!(ok["values"]["statusCode"], 200, "most answers are");
    let is_ok = |record: &Value| record["statusCode"] == ok["values"]["statusCode"];
    assert_eq!(ok["count"], count(&is_ok));
    let times = records.iter().filter(|r| is_ok(r)).filter_map(|r| r["durationMs"].as_f64());
    let slowest = times.fold(0.0, f64::max);
    let told = ok["p100"].as_f64().unwrap();
    assert!((told - slowest).abs() <= 0.011 * slowest, "{told} {slowest}");
    let listed: u64 =
        groups["groups"].as_array().unwrap().iter().map(|g| g["count"].as_u64().unwrap()).sum();
    let all = groups["trailer"]["records"].as_u64().unwrap();
    assert_eq!(listed + groups["other"].as_u64().unwrap(), all);

    let histogram = server.json("/v1/stores/shop/histogram?step=1h&by=level");
    let buckets = histogram["buckets"].as_array().unwrap();
    let sum: u64 = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
    assert_eq!((histogram["step"].as_str(), sum), (Some("1h"), 4_000));
    let noon = buckets.iter().find(|b| b["time"] == "2026-02-03T12:00:00.000000Z").unwrap();
    let at_noon =
        |record: &Value| record["timestamp"].as_str().unwrap().starts_with("2026-02-03T12");
    assert_eq!(noon["count"], count(&at_noon));
    assert_eq!(noon["counts"]["INFO"], count(&|r| at_noon(r) && r["level"] == "INFO"));
    let before = server.json("/v1/stores/shop/histogram?step=1h&since=2026-02-02T22:00:00Z");
    assert_eq!(before["buckets"][0]["count"], Value::Null, "nothing is known of that time");
}

#[test]
fn a_request_is_told_as_a_timeline() {
    let store = shop(4_000);
    let server = Serving::store("shop", store.path()).start();
    let failed =
        server.lines(&format!("{RECORDS}?format=json&level=error&where=exists(requestId)&limit=1"));
    let failed: Value = serde_json::from_str(&failed[0]).unwrap();
    let id = failed["requestId"].as_str().unwrap();
    let told = server.json(&format!("/v1/stores/shop/requests/{id}"));
    let steps = told["steps"].as_array().unwrap();
    let of_records = server.lines(&format!("{RECORDS}?format=json&request={id}")).len();
    let is_debug = |step: &&Value| step["type"] == "DEBUG";
    let debug = failed["error"]["debug"].as_array().map_or(0, Vec::len);
    assert_eq!(steps.iter().filter(is_debug).count(), debug);
    assert_eq!(steps.len(), of_records + debug);
    let offsets: Vec<f64> = steps.iter().map(|step| step["offsetMs"].as_f64().unwrap()).collect();
    assert!(offsets.is_sorted() && offsets[0] == 0.0, "{offsets:?}");
    assert_eq!(told["durationMs"].as_f64(), offsets.last().copied());
    assert!(told["trailer"]["complete"].as_bool().unwrap());
    let unknown = "/v1/stores/shop/requests/00000000-0000-4000-8000-000000000000";
    assert_eq!(server.get(unknown).status, 404);
}

#[test]
fn mistakes_are_told_and_nothing_is_repeated() {
    let store = shop(100);
    let server = Serving::store("shop", store.path()).start();
    // Every question has this in it, and no answer may.
    const MARK: &str = "qqxyzzy";
    for (query, status, expected) in [
        ("records?qqxyzzy=1", 400, "unknown parameter"),
        ("records?level=qqxyzzy", 400, "level: unknown level"),
        ("records?level=erorr&qqx=qqxyzzy", 400, "unknown parameter"),
        ("records?type=qqxyzzy", 400, "type: unknown type"),
        ("records?worker=qqxyzzy", 400, "worker: expected the number"),
        ("records?request=qqxyzzy", 400, "request: expected the id"),
        ("records?since=qqxyzzy", 400, "since, column 1: unknown word"),
        ("records?since=14:02:qqxyzzy", 400, "since, column"),
        ("records?until=99qqxyzzy", 400, "until, column 3: unknown unit"),
        ("records?tz=Europe/qqxyzzy", 400, "tz, column 1: unknown time zone"),
        ("records?where=qqxyzzy+%3D+1", 400, "where, column 1: unknown field"),
        ("records?where=level+%3D+qqxyzzy", 400, "where, column 9: unknown level"),
        ("records?where=url+%7E+%22qqxyzzy%28%22", 400, "no regular expression"),
        ("records?where=status+%3E+qqxyzzy", 400, "where, column 10"),
        ("records?grep=qqxyzzy%28", 400, "grep: it is no regular expression"),
        ("records?limit=qqxyzzy", 400, "limit: expected a number from 0"),
        ("records?follow=qqxyzzy", 400, "follow: expected 1 or 0"),
        ("records?after=qqxyzzy", 400, "after: this is no cursor"),
        ("records?format=qqxyzzy", 400, "format: there are text, json, sse and blocks"),
        ("records?order=qqxyzzy", 400, "order: it is asc or desc"),
        ("records?follow=1&limit=5", 400, "limit: following has no end"),
        ("records?follow=1&format=blocks", 400, "format: blocks"),
        ("records?in=yesterday&since=1h", 400, "exclude each other"),
        ("records?since=2h&until=3h", 400, "the interval is empty"),
        ("histogram?step=qqxyzzy", 400, "step, column 1"),
        ("histogram?step=1us", 400, "step: makes"),
        ("histogram?by=level,type", 400, "by: a histogram tells one field apart"),
        ("aggregate?by=qqxyzzy", 400, "by, column 1: unknown field"),
        ("aggregate?quantile=qqxyzzy", 400, "quantile: up to 20 percents"),
        ("requests/qqxyzzy", 400, "request: expected the id"),
        ("qqxyzzy", 404, "there is nothing here"),
    ] {
        let path = format!("/v1/stores/shop/{query}");
        let mut answer = get(server.address, &path, &[("Accept", "application/json")]);
        let text = answer.text();
        assert_eq!(answer.status, status, "{query}: {text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert!(told["error"].as_str().unwrap().contains(expected), "{query}: {text}");
        assert!(!text.contains(MARK), "{query}: {text}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn names_are_looked_up_and_never_paths() {
    let store = shop(10);
    let server = Serving::store("shop", store.path()).start();
    for name in ["..", "%2e%2e", "shop%2f..", "shop%00", "..%5cshop", ".shop", "SHOP", "", "shop "]
    {
        let path = format!("/v1/stores/{}/records", name.replace(' ', "%20"));
        assert_eq!(server.get(&path).status, 404, "{name}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = ask(server.address, method, RECORDS, &[]);
        assert!([405, 403, 204].contains(&answer.status), "{method}: {}", answer.status);
        assert!(answer.header("content-type") != Some("application/x-ndjson"), "{method}");
    }
    let head = ask(server.address, "HEAD", RECORDS, &[]);
    assert_eq!((head.status, head.header("logq-last").is_some()), (200, true));
    let absent = Serving::store("shop", store.path().join("nowhere")).start();
    let answer = absent.get(RECORDS);
    assert_eq!((answer.status, answer.header("retry-after")), (404, Some("2")));
    assert_eq!(absent.json("/v1/stores")["stores"][0]["isThere"], false);
}

#[test]
fn work_ends_when_the_client_leaves() {
    // More than fits the socket's buffers, so that the answer cannot be finished unread.
    let store = shop(120_000);
    let serving = Serving { questions_max: Some(1), ..Serving::store("shop", store.path()) };
    let server = serving.start();
    let mut slow = server.get(&format!("{RECORDS}?format=json"));
    assert_eq!(slow.exactly(1_000).len(), 1_000);
    drop(slow);
    // The only place is free again, although nobody has read the answer. This one finds nothing, so
    // it would never notice by sending that its client has left.
    let mut idle = connect(server.address);
    let request =
        format!("GET {RECORDS}?grep=nowhere-to-be-found HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::io::Write::write_all(&mut idle, request.as_bytes()).unwrap();
    drop(idle);
    assert_eq!(server.lines(&format!("{RECORDS}?format=json&limit=3")).len(), 3);
}

/// Somebody may ask as much as they like and take nothing of any answer. Others are answered.
#[test]
fn who_takes_nothing_leaves_places_for_others() {
    let store = shop(120_000);
    let server = Serving::store("shop", store.path()).start();
    let ask = |mut connection: TcpStream, query: &str| {
        let request = format!("GET {RECORDS}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
        connection
    };
    let stalled: Vec<_> = (0..12).map(|_| ask(connect(server.address), "format=json")).collect();
    wait_until("all have asked", || server.metrics().contains("logq_questions_total 12\n"));
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    other.connect(&server.address.into()).unwrap();
    let mut answer = Answer::read(ask(other.into(), "format=json&limit=3"), false);
    let text = answer.text();
    assert_eq!((answer.status, text.lines().count()), (200, 3), "{text}");
    drop(stalled);
}

/// A client may ask several questions over one connection and take nothing of any answer. What is kept for
/// it is little, whatever the format.
#[test]
fn answers_that_nobody_takes_hold_little() {
    const QUESTIONS: u64 = 6;
    let store = shop(60_000);
    let server = Serving::store("shop", store.path()).start();
    for question in [
        "records?format=json",
        "records?format=sse",
        "records?format=blocks",
        "histogram?step=10s",
        "aggregate?by=requestId",
    ] {
        let before = sent_bytes(&server);
        let held = block_on(async {
            let mut client = h2_client(server.address).await;
            let mut stalled = Vec::new();
            for _ in 0..QUESTIONS {
                let path = format!("http://localhost/v1/stores/shop/{question}");
                let request = hyper::Request::get(path).body(Empty::<Bytes>::new()).unwrap();
                let response = client.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                stalled.push(response);
            }
            let mut last = 0;
            loop {
                let sent = sent_bytes(&server) - before;
                if sent == last && sent >= QUESTIONS {
                    return sent;
                }
                last = sent;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        let each = held / QUESTIONS;
        assert!((1..=96 << 10).contains(&each), "{question}: {each} bytes each");
        let whole = server.get(&format!("/v1/stores/shop/{question}")).rest().0.len();
        assert!(whole > 500_000, "{question} is a large one: {whole} bytes");
    }
}

/// A connection whose streams have room for one byte each.
async fn h2_client(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut narrow = Builder::new(TokioExecutor::new());
    narrow.initial_stream_window_size(1);
    let (client, running) = narrow.handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(running);
    client
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), work).await };
    runtime.block_on(bounded).expect("in time")
}

/// Bytes that left the bodies of answers for connections, whether or not a client has taken them.
fn sent_bytes(server: &Server) -> u64 {
    let metrics = server.metrics();
    let mut lines = metrics.lines();
    let sent = lines.find_map(|line| line.strip_prefix("logq_sent_bytes_total "));
    // It is counted from the moment on at which the server runs.
    sent.map_or(0, |sent| sent.parse().unwrap())
}

#[test]
fn damage_is_told_and_the_rest_is_answered() {
    let store = shop(3_000);
    let segment = std::fs::read_dir(store.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x5A);
    std::fs::write(&segment, bytes).unwrap();
    let server = Serving::store("shop", store.path()).start();
    let mut answer =
        get(server.address, &format!("{RECORDS}?format=json&trailer=1"), &[("TE", "trailers")]);
    let text = answer.text();
    let (records, trailer) = text.trim_end().rsplit_once('\n').unwrap();
    let trailer: Value = serde_json::from_str(trailer).unwrap();
    let trailer = &trailer["trailer"];
    let found = records.lines().count() as u64;
    assert!(found > 1_000 && found < 3_000, "{found}");
    assert_eq!(
        (trailer["complete"].as_bool(), trailer["records"].as_u64()),
        (Some(false), Some(found))
    );
    let gap = &trailer["gaps"][0];
    assert!(
        gap["start"].as_u64().unwrap() <= middle as u64
            && gap["end"].as_u64().unwrap() > middle as u64
    );
    // Where the store lies on this machine is not the client's business.
    assert_eq!(gap["segment"], "0000000001-20260203T000000Z.logq");
    assert!(!text.contains(store.path().to_str().unwrap()));
    assert_eq!(answer.trailer("logq-complete"), Some("false"));
    let stats = server.json("/v1/stores/shop/stats");
    assert_eq!(stats["trailer"]["complete"], false);
}
