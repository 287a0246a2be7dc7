//! How the server ends.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::{Client, PATIENCE, SHORT, TestServer, parse, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_told_that_they_do_not_have_everything() {
    let server = TestServer::start(|_| {});
    let mut reader = Client::connect(server.get).await;
    reader.send(request("GET", "/v1/streams/live", "")).await;
    reader.until("line\n\r\n").await;
    // A connection without a request, and one that is uploading.
    let mut idle = Client::connect(server.get).await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    idle.until("ok\n").await;
    let mut writer = Client::connect(server.put).await;
    writer.send(request("PUT", "/log", "Content-Length: 2\r\nExpect: 100-continue\r\n")).await;
    writer.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    server.handle.shutdown();
    assert_eq!(reader.rest().await, "", "no final chunk");
    assert_eq!(idle.rest().await, "");
    server.line("cut: the server shuts down").await;
    writer.send("ab").await;
    assert_eq!(parse(&writer.rest().await).2, "2 bytes\n", "what runs may finish");
    timeout(PATIENCE, server.running).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.get).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_in_time_is_cut() {
    let server = TestServer::start(|options| options.timers.grace = SHORT);
    let mut hangs = Client::connect(server.get).await;
    hangs.send(request("GET", "/v1/streams/hang", "")).await;
    let mut takes_nothing = Client::connect_narrow(server.get).await;
    takes_nothing.send(request("GET", "/v1/streams/big", "")).await;
    takes_nothing.until("200 OK").await;
    let silent = Client::connect(server.get).await;
    super::server::eventually("all are connected", || {
        server.metrics.render().contains("logq_connections 3\n")
    })
    .await;
    server.handle.shutdown();
    server.handle.shutdown();
    timeout(PATIENCE, server.running).await.unwrap().unwrap();
    assert_eq!(hangs.rest().await, "");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_do_not_delay_the_end() {
    let server = TestServer::start(|options| options.timers.grace = Duration::from_secs(3_600));
    let mut readers = Vec::new();
    for _ in 0..200 {
        let mut reader = Client::connect(server.get).await;
        reader.send(request("GET", "/v1/streams/live", "")).await;
        reader.until("line\n\r\n").await;
        readers.push(reader);
    }
    server.handle.shutdown();
    timeout(PATIENCE, server.running).await.unwrap().unwrap();
    for mut reader in readers {
        assert_eq!(reader.rest().await, "");
    }
}
