//! Who is served by which threads: writers by those of writers, wherever they connect.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use logq_live::TokenSource;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::server::{Client, PATIENCE, TestServer};

const PATH: &str = "/v1/streams/thread";

/// The name of the threads of the runtime that runs this test, which are the writers'.
async fn writers() -> String {
    let name = || std::thread::current().name().unwrap().to_owned();
    tokio::spawn(async move { name() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_has_the_threads_of_writers_where_readers_connect() {
    let server = TestServer::start(|options| options.write_tokens = Some(token()));
    let line = |head: &str| {
        format!("{head} {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer w\r\n")
    };
    for (address, reads) in [(server.get, "readers".to_owned()), (server.put, writers().await)] {
        let mut client = Client::connect(address).await;
        for _ in 0..2 {
            client.send(line("PUT")).await;
            client.send("Content-Length: 8\r\nExpect: 100-continue\r\n\r\n").await;
            // Who is asked to go on is being served.
            client.until("100 Continue\r\n\r\n").await;
            client.send("12345678").await;
            let head = client.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 201"), "{head}");
            assert_eq!(client.until("\n").await, format!("{}\n", writers().await));
            // After the answer the connection is again what its address says.
            client.send(line("GET") + "\r\n").await;
            client.until("\r\n\r\n").await;
            assert_eq!(client.until("\n").await, format!("{reads}\n"));
        }
    }
}

fn token() -> TokenSource {
    TokenSource::variable("LOGQ_WRITE_TOKEN", "w")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_has_them_over_http2() {
    let server = TestServer::start(|options| options.write_tokens = Some(token()));
    let connection = TcpStream::connect(server.get).await.unwrap();
    let (mut client, running) =
        handshake(TokioExecutor::new(), TokioIo::new(connection)).await.unwrap();
    tokio::spawn(running);
    let begun = Instant::now();
    // A request whose body is there before anybody looked at it need not go anywhere.
    while begun.elapsed() < PATIENCE {
        let (bytes, receiver) = mpsc::channel(1);
        let answer = client.send_request(ask("PUT", Some(receiver)));
        let other = client.clone().send_request(ask("GET", None)).await.unwrap();
        assert_eq!(other.status(), 200);
        bytes.send(Bytes::from_static(b"12345678")).await.unwrap();
        drop(bytes);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 201);
        let told = answer.into_body().collect().await.unwrap().to_bytes();
        if told == format!("{}\n", writers().await) {
            return;
        }
    }
    panic!("readers' threads serve it");
}

type Sent = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

/// A request whose body comes out of a channel.
fn ask(method: &str, bytes: Option<mpsc::Receiver<Bytes>>) -> Request<Sent> {
    let body = StreamBody::new(unfold(bytes, |bytes| async {
        let mut bytes = bytes?;
        let piece = bytes.recv().await?;
        Some((Ok(Frame::data(piece)), Some(bytes)))
    }));
    let request = Request::builder().method(method).uri(format!("http://localhost{PATH}"));
    let request = request.header("authorization", "Bearer w");
    request.body(Box::pin(body) as Sent).unwrap()
}
