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
#[path = "tower/support.rs"]
mod support;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body as _;
use logq_writer::integrations::tower::RequestLogLayer;
use logq_writer::{Failure, RequestLogger};
use serde_json::{Value, json};
use support::{Script, Step, Store, ask, connect, plain, serve};
use tower::{Layer, Service, ServiceExt, service_fn};

type BoxError = Box<dyn Error + Send + Sync>;

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

/// Polls a future that needs nobody to wake it.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The frames of a body as text.
fn frames<B>(body: B) -> Vec<String>
where
    B: http_body::Body<Data = axum::body::Bytes, Error = BoxError>,
{
    let mut body = pin!(body);
    let mut frames = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        frames.push(match frame.unwrap().into_data() {
            Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
            Err(trailers) => format!("{:?}", trailers.into_trailers().unwrap()),
        });
    }
    frames
}

#[test]
fn bodies_pass_unaltered_with_trailers_and_length() {
    let store = Store::new();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let expected = format!("{trailers:?}");
    let inner = service_fn(move |_: Request<()>| {
        let steps = [Step::Data("ab"), Step::Data("c"), Step::Trailers(trailers.clone())];
        let mut response = Response::new(Script::new(steps).exactly(3));
        response.extensions_mut().insert("kept");
        async move { Ok::<_, Infallible>(response) }
    });
    let response = now(store.layer().layer(inner).oneshot(Request::new(()))).unwrap();
    assert_eq!(response.extensions().get(), Some(&"kept"));
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    assert_eq!(frames(body), ["ab", "c", &expected]);
    let found = after_request(store.records_of(1));
    assert_eq!(found[1], info("RESPONSE_FINISHED", json!({ "bytes": 3 })));
}

#[test]
fn a_service_that_fails_is_a_response_of_500() {
    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct Outer(#[source] std::num::ParseIntError);
    let store = Store::new();
    let failing = service_fn(|request: Request<&'static str>| async move {
        let error: BoxError = match *request.body() {
            "chain" => Outer("x".parse::<u8>().unwrap_err()).into(),
            text => text.into(),
        };
        Err::<Response<Body>, BoxError>(error)
    });
    let mut service = store.layer().layer(failing);
    let error = now(service.ready()).map(|service| now(service.call(Request::new("chain"))));
    assert!(error.unwrap().err().unwrap().is::<Outer>(), "the error passes unaltered");
    let found = after_request(store.records_of(1));
    let stack = "no answer\n  caused by: invalid digit found in string";
    let response = json!({ "statusCode": 500, "error": { "stack": stack } });
    assert_eq!(
        found,
        [self::error("RESPONSE", response), info("RESPONSE_FINISHED", json!({ "bytes": 0 })),]
    );

    // An error of a type that shows only its text.
    let store = Store::new();
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Body>, _>("refused") });
    assert_eq!(now(store.layer().layer(failing).oneshot(Request::new(()))).err(), Some("refused"));
    assert_eq!(store.records_of(1)[1]["error"]["stack"], "refused");
}

#[test]
fn a_response_that_nobody_waits_for_is_logged_when_it_is_dropped() {
    let store = Store::new();
    let never =
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let mut response = Box::pin(store.layer().layer(never).oneshot(Request::new(())));
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut response).poll(&mut context).is_pending());
    assert_eq!(store.records().len(), 1);
    drop(response);
    let found = after_request(store.records_of(1));
    let text = "dropped before a response: the client disconnected or a time limit ran out";
    let finished = json!({ "bytes": 0, "error": { "value": text } });
    assert_eq!(found, [error("RESPONSE_FINISHED", finished)]);
}

#[test]
fn grpc_statuses_that_are_the_servers_fault_are_failures() {
    fn status(code: &'static str, message: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static(code));
        if let Some(message) = message {
            headers.insert("grpc-message", HeaderValue::from_static(message));
        }
        headers
    }
    let check = |headers: HeaderMap, in_trailers: bool, failures: bool| {
        let store = Store::new();
        let answer = service_fn(move |_: Request<()>| {
            let headers = headers.clone();
            async move {
                let mut response = Response::new(Body::empty());
                if in_trailers {
                    *response.body_mut() = scripted([Step::Data("x"), Step::Trailers(headers)]);
                } else {
                    *response.headers_mut() = headers;
                }
                Ok::<_, Infallible>(response)
            }
        });
        let layer = store.layer().server_errors_are_failures(failures);
        frames(now(layer.layer(answer).oneshot(Request::new(()))).unwrap().into_body());
        let found = after_request(store.records_of(1));
        [0, 1].map(|n| found[n]["error"]["value"].as_str().map(str::to_owned))
    };
    let internal = || status("13", Some("oops"));
    let told = Some("gRPC status 13 INTERNAL: oops".to_owned());
    assert_eq!(check(internal(), true, true), [None, told.clone()]);
    assert_eq!(check(internal(), false, true), [told, None]);
    assert_eq!(check(internal(), true, false), [None, None]);
    assert_eq!(check(status("0", None), true, true), [None, None]);
    assert_eq!(check(status("5", Some("not found")), false, true), [None, None]);
    let unavailable = Some("gRPC status 14 UNAVAILABLE".to_owned());
    assert_eq!(check(status("14", None), true, true), [None, unavailable]);
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
fn heads_of_requests_are_logged_as_they_came() {
    let check = |layer: fn(RequestLogLayer) -> RequestLogLayer, request: Request<()>| {
        let store = Store::new();
        let layer = layer(RequestLogLayer::new(&store.worker));
        let answer = |_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::empty())) };
        now(layer.layer(service_fn(answer)).oneshot(request)).unwrap();
        let record = store.records_of(1).swap_remove(0);
        ["ipAddress", "httpVersion", "method", "url"]
            .map(|name| record[name].as_str().unwrap_or("-").to_owned())
    };
    let request = |method: &str, uri: &str, version| {
        Request::builder().method(method).uri(uri).version(version).body(()).unwrap()
    };
    let plain = |layer| layer;
    assert_eq!(
        check(plain, request("BREW", "http://example.org/pot?x", Version::HTTP_2)),
        ["-", "2.0", "BREW", "/pot?x"]
    );
    assert_eq!(
        check(plain, request("CONNECT", "example.org:443", Version::HTTP_3)),
        ["-", "3.0", "CONNECT", "example.org:443"]
    );
    assert_eq!(
        check(plain, request("OPTIONS", "*", Version::HTTP_10)),
        ["-", "1.0", "OPTIONS", "*"]
    );
    let mut known = request("GET", "/", Version::HTTP_11);
    known.extensions_mut().insert(SocketAddr::from(([192, 0, 2, 7], 80)));
    assert_eq!(check(plain, known), ["192.0.2.7", "1.1", "GET", "/"]);
    let mut known = request("GET", "/", Version::HTTP_11);
    known.extensions_mut().insert(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(check(plain, known)[0], "::1");
    let mut forwarded = request("GET", "/", Version::HTTP_11);
    forwarded.headers_mut().insert("x-real-ip", HeaderValue::from_static("192.0.2.9"));
    let behind_proxy = |layer: RequestLogLayer| {
        layer.client_ip(|headers, _| headers.get("x-real-ip")?.to_str().ok()?.parse().ok())
    };
    assert_eq!(check(behind_proxy, forwarded)[0], "192.0.2.9");
}

#[cfg(feature = "tracing")]
#[test]
fn events_in_handlers_and_bodies_belong_to_their_request_if_asked_for() {
    use logq_writer::integrations::tracing::{LayerOptions, LogqLayer};
    use tracing_subscriber::prelude::*;

    let store = Store::new();
    let answer = |_: Request<()>| async {
        tracing::debug!(target: "t", "kept");
        tracing::info!(target: "t", "in the handler");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok::<_, Infallible>(response)
    };
    let layer = LogqLayer::new(&store.worker, LayerOptions::default());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let plain = store.layer().layer(service_fn(answer));
        let spanned = store.layer().in_spans().layer(service_fn(answer));
        now(plain.oneshot(Request::new(()))).unwrap();
        now(spanned.oneshot(Request::new(()))).unwrap();
    });
    let records = store.records_of(2);
    let logs: Vec<_> = records.iter().filter(|record| record["type"] == "LOG").collect();
    assert_eq!(logs[0].get("requestId"), None);
    assert_eq!(logs[1]["requestId"], records[4]["requestId"]);
    let data = json!({ "message": "in the handler", "target": "t", "span": "request" });
    assert_eq!(logs[1]["data"], data);
    assert_eq!(records[2]["error"].get("debug"), None);
    assert_eq!(records[6]["error"]["debug"][0]["data"]["message"], "kept");
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
