//! Streams over HTTP/2: ends are told apart there, too, and one slow reader does not hold the others up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::client::{Writing, send};
use common::{Server, content, options};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logq_live::streams::StreamsOptions;
use logq_live::{ServerOptions, TokenSource};
use tokio::task::JoinSet;

async fn connected(server: &Server) -> SendRequest<Empty<Bytes>> {
    connected_with(server, &Builder::new(TokioExecutor::new())).await
}

async fn connected_with(
    server: &Server,
    builder: &Builder<TokioExecutor>,
) -> SendRequest<Empty<Bytes>> {
    connected_to(server.get, builder).await
}

async fn connected_to(
    address: SocketAddr,
    builder: &Builder<TokioExecutor>,
) -> SendRequest<Empty<Bytes>> {
    let connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, running) = builder.handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(running);
    sender
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>) -> hyper::Response<Incoming> {
    let request = Request::get("http://localhost/v1/streams/s").header("te", "trailers");
    sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    runtime.block_on(bounded).expect("in time");
}

#[test]
fn complete_streams_end_with_trailers() {
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, "/v1/streams/s");
    writer.write(b"hello ");
    server.wait_for_len("s", 6);
    run(async {
        let mut sender = connected(&server).await;
        let response = get(&mut sender).await;
        assert_eq!(response.status(), 200);
        writer.write(b"world");
        assert_eq!(writer.finish().status, 201);
        let body = response.into_body().collect().await.unwrap();
        let trailers = body.trailers().unwrap().clone();
        assert_eq!(trailers["logq-state"], "complete");
        assert_eq!(trailers["logq-length"], "11");
        assert_eq!(body.to_bytes(), "hello world");
    });
}

#[test]
fn aborted_streams_are_reset() {
    let writer_grace = Duration::from_millis(20);
    let server = Server::start(StreamsOptions { writer_grace, ..options() });
    let mut writer = Writing::put(server.put, "/v1/streams/s");
    writer.write(b"half");
    server.wait_for_len("s", 4);
    run(async {
        let mut sender = connected(&server).await;
        let mut body = get(&mut sender).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        writer.break_off();
        assert!(body.frame().await.unwrap().is_err(), "a reset, not an end");
    });
}

#[test]
fn a_reader_that_stands_still_does_not_stop_others_on_its_connection() {
    let server = Server::start(options());
    let bytes = content(2_000_000);
    assert_eq!(send(server.put, "PUT", "/v1/streams/s", &[], &bytes).status, 201);
    run(async {
        let mut sender = connected(&server).await;
        let still = get(&mut sender).await;
        for _ in 0..20 {
            let body = get(&mut sender).await.into_body().collect().await.unwrap();
            assert!(body.to_bytes() == bytes);
        }
        assert!(still.into_body().collect().await.unwrap().to_bytes() == bytes, "nothing is lost");
    });
}

/// Bytes that left streams for connections, whether or not a client has taken them.
fn handed_out(server: &Server) -> u64 {
    let metrics = common::client::get(server.get, "/metrics", &[]).text();
    let name = "logq_stream_bytes_total{direction=\"out\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

/// A client may read a hundred streams over one connection and take nothing of any. What is kept for it
/// is little, whether the bytes come from the file or, while a writer is there, from memory.
#[test]
fn streams_that_nobody_takes_hold_little() {
    const STREAMS: u64 = 100;
    let server = Server::start(options());
    let mut writer = Writing::put(server.put, "/v1/streams/s");
    writer.write(&content(4 << 20));
    server.wait_for_len("s", 4 << 20);
    run(async {
        let mut narrow = Builder::new(TokioExecutor::new());
        narrow.initial_stream_window_size(1);
        let mut sender = connected_with(&server, &narrow).await;
        let mut stalled = Vec::new();
        for _ in 0..STREAMS {
            stalled.push(get(&mut sender).await);
        }
        let mut before = 0;
        let out = loop {
            let out = handed_out(&server);
            if out == before && out >= STREAMS {
                break out;
            }
            before = out;
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert!(out <= STREAMS * (128 << 10), "{} bytes for each", out / STREAMS);
    });
}

/// Makes so many streams with the token for writers, and tells how many there were room for.
async fn make_streams(server: &Server, count: usize) -> usize {
    let mut sender = connected_to(server.put, &Builder::new(TokioExecutor::new())).await;
    let (mut asked, mut made) = (JoinSet::new(), 0);
    for n in 0..count {
        if asked.len() == 100 {
            made += usize::from(asked.join_next().await.unwrap().unwrap());
        }
        let path = format!("http://localhost/v1/streams/s{n}");
        let request = Request::put(path).header("authorization", "Bearer write-token");
        let answer = sender.send_request(request.body(Empty::new()).unwrap());
        asked.spawn(async {
            let status = answer.await.unwrap().status().as_u16();
            assert!([201, 507].contains(&status), "{status}");
            status == 201
        });
    }
    made + asked.join_all().await.into_iter().filter(|is_made| *is_made).count()
}

/// How many streams somebody wants. `LOGQ_TEST_STREAMS=100000` shows that more change nothing.
fn streams_wanted() -> usize {
    let set = std::env::var("LOGQ_TEST_STREAMS").ok();
    set.map_or(20_000, |text| text.parse().expect("a number of streams"))
}

/// E.4.4
#[test]
fn streams_without_end_are_a_thousand_and_the_oldest_go() {
    const MOST: usize = 1_000;
    let scratch = tempfile::tempdir().unwrap();
    let start = |keep: Duration, stream_count_max: usize| {
        let temporary_in = scratch.path().to_owned();
        let write_tokens = Some(TokenSource::variable("LOGQ_WRITE_TOKEN", "write-token"));
        let server = ServerOptions { write_tokens, ..ServerOptions::default() };
        Server::start_with(
            server,
            StreamsOptions { keep, stream_count_max, temporary_in, ..options() },
        )
    };
    let files = || {
        let directory = std::fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap();
        std::fs::read_dir(directory.path()).unwrap().count()
    };
    let usual = StreamsOptions::default();
    assert_eq!(usual.stream_count_max, MOST);
    let server = start(usual.keep, usual.stream_count_max);
    run(async { assert_eq!(make_streams(&server, streams_wanted()).await, MOST) });
    assert_eq!((server.list().len(), files()), (MOST, 2 * MOST + 1));
    drop(server);
    // Where none is kept, there is always room.
    let few = MOST / 10;
    let server = start(Duration::ZERO, few);
    run(async { assert_eq!(make_streams(&server, 3 * few).await, 3 * few) });
    assert!(server.list().len() <= few && files() <= 2 * few + 1);
}
