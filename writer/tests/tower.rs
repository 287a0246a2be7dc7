//! The layer for `tower`: every request is logged from its head to its end, whichever that is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on shall stop"
)]

#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/axum_service.rs"]
mod axum_service;
mod common;
#[path = "tower/direct.rs"]
mod direct;
#[path = "tower/support.rs"]
mod support;

use std::io::{Read, Write};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use http::Response;
use logq_writer::{Failure, RequestLogger};
use serde_json::{Value, json};
use support::{Script, Step, Store, ask, connect, plain, serve};

fn scripted(steps: impl IntoIterator<Item = Step>) -> Body {
    Body::new(Script::new(steps))
}

fn info(kind: &str, fields: Value) -> Value {
    line("INFO", kind, fields)
}

fn error(kind: &str, fields: Value) -> Value {
    line("ERROR", kind, fields)
}

fn line(level: &str, kind: &str, fields: Value) -> Value {
    let mut line = json!({ "level": level, "type": kind });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

/// The records of the only request without REQUEST, comparable.
fn after_request(records: Vec<Value>) -> Vec<Value> {
    assert_eq!(records[0]["type"], "REQUEST");
    assert!(records.iter().all(|record| record["requestId"] == records[0]["requestId"]));
    records.into_iter().skip(1).map(plain).collect()
}

#[test]
fn a_request_is_logged_from_its_head_to_its_end() {
    async fn cart(Extension(log): Extension<RequestLogger>) -> impl IntoResponse {
        log.debug("never written");
        log.info(json!({ "id": log.request_id().to_string() }));
        ([("x-kept", "yes")], "3 items")
    }
    let store = Store::new();
    let address = serve(Router::new().route("/cart", get(cart)).layer(store.layer()));
    let response = ask(address, "GET /cart?item=7&x=%20");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("\r\nx-kept: yes\r\n") && response.contains("content-length: 7"));
    assert!(response.ends_with("\r\n\r\n3 items"));

    let records = store.records_of(1);
    assert_eq!(records[1]["data"]["id"], records[0]["requestId"], "the handler's is the same");
    let found: Vec<_> = records.into_iter().map(plain).collect();
    let request = json!({
        "ipAddress": "127.0.0.1", "httpVersion": "1.1", "method": "GET",
        "url": "/cart?item=7&x=%20",
    });
    assert_eq!(found[0], info("REQUEST", request));
    assert_eq!(found[2], info("RESPONSE", json!({ "statusCode": 200 })));
    assert_eq!(found[3], info("RESPONSE_FINISHED", json!({ "bytes": 7 })));
    assert_eq!(found.len(), 4);
}

#[test]
fn requests_of_one_connection_have_their_own_ids() {
    let store = Store::new();
    let address = serve(Router::new().route("/", get(|| async { "x" })).layer(store.layer()));
    let mut connection = connect(address);
    for _ in 0..3 {
        connection.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let mut response = [0; 512];
        assert!(connection.read(&mut response).unwrap() > 0);
    }
    let records = store.records_of(3);
    let mut ids: Vec<_> = records.iter().map(|record| record["requestId"].to_string()).collect();
    assert_eq!(ids.len(), 9);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

/// What a handler answers, and what is logged after REQUEST.
#[test]
fn responses_are_logged_with_their_cause_and_their_end() {
    let check = |method: &str, response: fn() -> Response<Body>, expected: [Value; 2]| {
        let store = Store::new();
        let handler = move |Extension(log): Extension<RequestLogger>| async move {
            log.debug("kept");
            response()
        };
        let app = Router::new().route("/", axum::routing::any(handler)).layer(store.layer());
        ask(serve(app), &format!("{method} /"));
        let mut found = after_request(store.records_of(1));
        for line in &mut found {
            let debug = line.get_mut("error").and_then(|error| error["debug"].as_array_mut());
            if let Some(debug) = debug {
                assert_eq!(debug.len(), 1);
                assert_eq!(debug[0]["data"], "kept");
                line["error"].as_object_mut().unwrap().remove("debug");
            }
        }
        assert_eq!(found, expected, "{method}");
    };
    let finished = |bytes: u64| info("RESPONSE_FINISHED", json!({ "bytes": bytes }));
    let failed = |bytes: u64, text: &str| {
        error("RESPONSE_FINISHED", json!({ "bytes": bytes, "error": { "value": text } }))
    };
    let status = |status: u16| info("RESPONSE", json!({ "statusCode": status }));
    let response = |status: u16, cause: Value| {
        let level = if cause.get("expected").is_some() { "INFO" } else { "ERROR" };
        line(level, "RESPONSE", json!({ "statusCode": status, "error": cause }))
    };

    check(
        "POST",
        || {
            let failure = Extension(Failure::from_message("no stock"));
            (StatusCode::INTERNAL_SERVER_ERROR, failure, "sorry").into_response()
        },
        [response(500, json!({ "value": "no stock" })), finished(5)],
    );
    check(
        "GET",
        || {
            let failure = Failure::from_message("no such item").expected();
            (StatusCode::NOT_FOUND, Extension(failure)).into_response()
        },
        [response(404, json!({ "value": "no such item", "expected": true })), finished(0)],
    );
    check("GET", || StatusCode::FORBIDDEN.into_response(), [status(403), finished(0)]);
    check(
        "GET",
        || (StatusCode::SERVICE_UNAVAILABLE, "later").into_response(),
        [response(503, json!({ "value": "503 Service Unavailable" })), finished(5)],
    );

    // Bodies that no server asks for, or not to the end.
    let hanging = || Response::new(scripted([Step::Data("never sent"), Step::Hang]));
    check("HEAD", hanging, [status(200), finished(0)]);
    check(
        "GET",
        || (StatusCode::NOT_MODIFIED, scripted([Step::Data("never sent")])).into_response(),
        [status(304), finished(0)],
    );
    check(
        "GET",
        || (StatusCode::NO_CONTENT, scripted([Step::Hang])).into_response(),
        [status(204), finished(0)],
    );
    check("GET", || Response::new(Body::empty()), [status(200), finished(0)]);
    check(
        "GET",
        || {
            let body = scripted([Step::Data("12345"), Step::Hang]);
            ([("content-length", "5")], body).into_response()
        },
        [status(200), finished(5)],
    );
    check(
        "GET",
        || Response::new(scripted([Step::Data("ab"), Step::Data("cde")])),
        [status(200), finished(5)],
    );
    check(
        "GET",
        || {
            let steps = [Step::Data("ab"), Step::Data("c")];
            Response::new(Body::new(Script::new(steps).telling_its_end()))
        },
        [status(200), finished(3)],
    );

    // Bodies that break off.
    check(
        "GET",
        || Response::new(scripted([Step::Data("ab"), Step::Fail("disk on fire")])),
        [
            status(200),
            error("RESPONSE_FINISHED", json!({ "bytes": 2, "error": { "stack": "disk on fire" } })),
        ],
    );
    check(
        "GET",
        || Response::new(scripted([Step::Data("abc"), Step::Panic])),
        [status(200), failed(3, "the response body panicked after 3 bytes")],
    );
}

#[test]
fn a_client_that_leaves_is_told_apart_from_an_end() {
    let check = |path: &str, failures: bool, sent: u64, text: &str| {
        let store = Store::new();
        let app = Router::new()
            .route(
                "/body",
                get(|| async { Response::new(scripted([Step::Data("01234"), Step::Hang])) }),
            )
            .route(
                "/long",
                get(|| async {
                    let body = scripted([Step::Data("01234"), Step::Hang]);
                    ([("content-length", "4096")], body)
                }),
            )
            .route("/never", get(std::future::pending::<&'static str>))
            .layer(store.layer().disconnects_are_failures(failures));
        let mut connection = connect(serve(app));
        connection
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())
            .unwrap();
        if path != "/never" {
            let mut seen = Vec::new();
            while !seen.ends_with(b"01234") && !seen.ends_with(b"01234\r\n") {
                let mut byte = [0];
                assert_eq!(connection.read(&mut byte).unwrap(), 1);
                seen.push(byte[0]);
            }
        } else {
            // The request must have arrived before the client leaves.
            while store.records().is_empty() {}
        }
        drop(connection);
        let found = after_request(store.records_of(1));
        let mut expected = Vec::new();
        if path != "/never" {
            expected.push(info("RESPONSE", json!({ "statusCode": 200 })));
        }
        if failures {
            let failed = json!({ "bytes": sent, "error": { "value": text } });
            expected.push(error("RESPONSE_FINISHED", failed));
        } else {
            expected.push(info("LOG", json!({ "data": { "message": text } })));
            expected.push(info("RESPONSE_FINISHED", json!({ "bytes": sent })));
        }
        assert_eq!(found, expected, "{path}");
    };
    for failures in [true, false] {
        check("/body", failures, 5, "the client disconnected after 5 bytes, before the end");
        check("/long", failures, 5, "the client disconnected after 5 of 4096 bytes");
        let text = "dropped before a response: the client disconnected or a time limit ran out";
        check("/never", failures, 0, text);
    }
}

#[test]
fn a_handler_that_panics_is_logged_with_its_debug_entries() {
    async fn handler(Extension(log): Extension<RequestLogger>) -> &'static str {
        log.debug("kept");
        panic!("by intent")
    }
    let store = Store::new();
    let app = Router::new().route("/", get(handler));
    let layer = store.layer().disconnects_are_failures(false);
    assert_eq!(ask(serve(app.layer(layer)), "GET /"), "", "the connection is closed");
    let found = after_request(store.records_of(1));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["level"], "ERROR");
    assert_eq!(found[0]["error"]["value"], "the service panicked before a response");
    assert_eq!(found[0]["error"]["debug"][0]["data"], "kept");
}

#[test]
fn server_errors_without_a_cause_need_not_be_failures() {
    let store = Store::new();
    let layer = store.layer().server_errors_are_failures(false);
    let app = Router::new().route("/", get(|| async { StatusCode::BAD_GATEWAY })).layer(layer);
    ask(serve(app), "GET /");
    let found = after_request(store.records_of(1));
    assert_eq!(found[0], info("RESPONSE", json!({ "statusCode": 502 })));
}

#[test]
fn the_example_runs() {
    let directory = tempfile::tempdir().unwrap();
    axum_service::run(directory.path().to_str().unwrap(), true).unwrap();
    let records = common::read(directory.path()).records;
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let lines: Vec<_> = records.iter().map(|record| parse(&record.line)).collect();
    let statuses: Vec<_> = lines.iter().filter_map(|line| line["statusCode"].as_u64()).collect();
    assert_eq!(statuses, [200, 201, 500]);
    let failed = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(failed["error"]["value"], "no stock");
    assert_eq!(failed["error"]["debug"][0]["data"]["item"], 13);
    assert_eq!(lines.last().unwrap()["event"], "WORKER_DONE");
}
