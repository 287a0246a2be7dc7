//! Clients that take their time (E.1.1 to E.1.5).

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::server::{
    Client, PATIENCE, SHORT, Shared, TestServer, parse, request, status, together,
};

/// E.1.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_never_end_are_cut_and_others_are_served_meanwhile() {
    let server = Shared::new(TestServer::start(|options| options.timers.head = SHORT));
    let clients = server.clone();
    // As many as the system lets this process have, which has both ends of each.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let count = if most >= 4_096 { 1_000 } else { 200 };
    let slow = tokio::spawn(together(count, move |_| {
        let get = clients.get;
        async move {
            let mut client = Client::connect(get).await;
            let head = request("GET", "/v1/streams/hello", "X: y\r\n");
            for byte in head.as_bytes().iter().cycle().filter(|byte| **byte != b'\n') {
                // A byte whenever there was time for some, until the server has had enough.
                let mut answer = [0; 64];
                let Err(_) = timeout(SHORT / 8, client.0.read(&mut answer)).await else { return };
                client.send([*byte]).await;
            }
        }
    }));
    while !slow.is_finished() {
        assert!(server.is_well().await);
    }
    slow.await.unwrap();
}

/// E.1.1, for a later request, and for a connection that asks for nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_between_requests_is_cut() {
    let server = TestServer::start(|options| options.timers.head = SHORT);
    let mut client = Client::connect(server.get).await;
    client.send("GET /v1/streams/hello HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/str").await;
    assert_eq!(parse(&client.rest().await).2, "hello\n");
    assert_eq!(Client::connect(server.get).await.rest().await, "");
    let mut preface = Client::connect(server.get).await;
    preface.send("PRI * HTTP/2.0\r\n\r\nSM").await;
    assert_eq!(preface.rest().await, "");
}

/// E.1.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_end_are_cut() {
    let files = super::tls::Files::new();
    let server = TestServer::start(|options| {
        files.set(options);
        options.timers.tls_handshake = SHORT;
    });
    assert_eq!(Client::connect(server.get).await.rest().await, "");
    let mut hello = Client::connect(server.get).await;
    // The beginning of a ClientHello that announces 512 bytes.
    hello.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    hello.rest().await;
    // A whole one, to which the server has answered.
    let mut hello = Client::connect(server.get).await;
    hello.send(files.client_hello()).await;
    assert!(!hello.rest().await.is_empty());
    let text = server.metrics.render();
    assert!(text.contains("logq_tls_failures_total 3\n"), "{text}");
}

/// E.1.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_may_be_slow() {
    let server = TestServer::start(|options| {
        options.timers.head = SHORT;
        options.timers.idle = SHORT;
        options.timers.stall = SHORT;
        options.timers.patrol = SHORT / 10;
    });
    let mut client = Client::connect(server.put).await;
    client.send(request("PUT", "/log", "Content-Length: 6\r\n")).await;
    for _ in 0..3 {
        // The pause is what is tested: it is longer than every timer.
        sleep(SHORT * 2).await;
        client.send("ab").await;
    }
    assert_eq!(parse(&client.rest().await).2, "6 bytes\n");
}

/// E.1.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_silent_is_ended_if_the_operator_wants_that() {
    let server = TestServer::start(|options| options.timers.writer_idle = Some(SHORT));
    let mut client = Client::connect(server.put).await;
    client.send(request("PUT", "/log", "Content-Length: 6\r\n")).await;
    client.send("abc").await;
    assert_eq!(status(&client.rest().await), 408);
}

/// E.1.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_cut() {
    let server = TestServer::start(|options| options.timers.stall = SHORT);
    let mut client = Client::connect_narrow(server.get).await;
    client.send(request("GET", "/v1/streams/big", "")).await;
    server.line("cut: ").await;
    assert!(server.is_well().await);
}

/// E.1.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_a_byte_now_and_then_is_cut_where_there_is_a_least_rate() {
    let server = TestServer::start(|options| {
        options.timers.stall = SHORT * 2;
        options.timers.stall_bytes_min = 16 << 20;
    });
    let mut client = Client::connect_narrow(server.get).await;
    client.send(request("GET", "/v1/streams/big", "")).await;
    let drip = async {
        let mut bytes = [0; 4_096];
        while client.0.read(&mut bytes).await.is_ok_and(|len| len > 0) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, drip).await.expect("the server ends it");
    server.line("cut: ").await;
}

/// E.1.4: a reader that waits for a line does not stall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_may_wait_for_ever() {
    let server = TestServer::start(|options| {
        options.timers.head = SHORT;
        options.timers.idle = SHORT;
        options.timers.stall = SHORT;
        options.timers.patrol = SHORT / 10;
    });
    let mut client = Client::connect(server.get).await;
    client.send(request("GET", "/v1/streams/live", "")).await;
    client.until("line\n\r\n").await;
    sleep(SHORT * 4).await;
    assert!(server.lines().await.is_empty(), "it is still being answered");
    server.handle.shutdown();
    assert_eq!(client.rest().await, "", "no final chunk");
}

/// E.1.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_hides_its_leave_is_noticed() {
    let server = TestServer::start(|options| {
        options.timers.head = SHORT;
        options.timers.idle = SHORT;
        options.timers.patrol = SHORT / 10;
    });
    let whole = request("GET", "/v1/streams/live", "");
    for hiding in ["", "X", "\r\n", whole.as_str()] {
        let mut client = Client::connect(server.get).await;
        client.send(request("GET", "/v1/streams/live", "")).await;
        client.until("line\n\r\n").await;
        client.send(hiding).await;
        client.0.shutdown().await.unwrap();
        server.line("/live 200").await;
    }
}
