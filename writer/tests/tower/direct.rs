//! Services called directly, without a server: what the layer passes on, and ends that no server
//! brings about at will.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body as _;
use logq_writer::integrations::tower::RequestLogLayer;
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Script, Step, Store};
use crate::{after_request, error, info, scripted};

type BoxError = Box<dyn Error + Send + Sync>;

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
        [crate::error("RESPONSE", response), info("RESPONSE_FINISHED", json!({ "bytes": 0 })),]
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
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
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
