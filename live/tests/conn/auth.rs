//! Tokens (E.2).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use logq_live::{Listen, Metrics, ServeError, Server, ServerOptions, Side, TokenSource};

use super::server::{Client, SHORT, TestServer, options, parse, request, status};

fn token(value: &str) -> Option<TokenSource> {
    Some(TokenSource::variable("TOKEN", value))
}

/// A server with one token for each kind.
fn protected(options: &mut ServerOptions) {
    options.read_tokens = token("read-token");
    options.write_tokens = token("write-token");
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// E.2.1
#[tokio::test]
async fn nothing_is_open_to_others_unless_told_so() {
    let bind = |set: &dyn Fn(&mut ServerOptions)| {
        let mut options = options();
        // An address that no machine has: what may be listened on fails when it is.
        options.listen = [Side::Put, Side::Get]
            .map(|side| Listen { address: ([192, 0, 2, 1], 0).into(), side, tls: false })
            .to_vec();
        set(&mut options);
        Server::bind(options, Metrics::new()).map(drop)
    };
    let missing = |result: Result<(), ServeError>| {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().contains("--insecure-no-auth"), "{error}");
        match error {
            ServeError::OpenBind { missing, .. } => missing,
            error => panic!("{error:?}"),
        }
    };
    assert_eq!(missing(bind(&|_| {})), "write");
    assert_eq!(missing(bind(&|options| options.write_tokens = token("w"))), "read");
    assert_eq!(missing(bind(&|options| options.read_tokens = token("r"))), "write");
    let set = |options: &mut ServerOptions| options.insecure_no_auth = true;
    for allowed in [bind(&protected), bind(&set)] {
        assert!(matches!(allowed, Err(ServeError::Bind { .. })), "{allowed:?}");
    }
    let loopback: [&str; 2] = ["127.0.0.1:0", "127.8.9.10:0"];
    for address in loopback {
        let set = |options: &mut ServerOptions| {
            options.listen.iter_mut().for_each(|listen| listen.address = address.parse().unwrap());
        };
        bind(&set).unwrap();
    }
}

/// E.2.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_token_gets_the_same_answer() {
    let server = TestServer::start(|options| {
        protected(options);
        options.limits.auth_failures_max = 1_000;
        options.cors_origins = vec!["https://ci.example".to_owned()];
    });
    let mut answers = BTreeSet::new();
    for (path, headers) in [
        ("/v1/streams/hello", String::new()),
        ("/v1/streams/hello", bearer("wrong")),
        ("/v1/streams/hello", bearer("")),
        ("/v1/streams/hello", bearer("read-toke")),
        ("/v1/streams/hello", bearer("read-token-")),
        ("/v1/streams/hello", bearer("read-token/")),
        ("/v1/streams/hello", bearer(" read-token")),
        ("/v1/streams/hello", bearer("READ-TOKEN")),
        ("/v1/streams/hello", "Authorization: BEARER read-token\r\n".to_owned()),
        ("/v1/streams/hello", "Authorization: Basic read-token\r\n".to_owned()),
        ("/v1/streams/hello", "Authorization: read-token\r\n".to_owned()),
        ("/v1/streams/hello", bearer("read-token").repeat(2)),
        ("/v1/streams/hello?token=read-token", String::new()),
        ("/v1/streams/read-token", String::new()),
        ("/v1/stores/hello", String::new()),
        ("/v1/monitor/series", String::new()),
        ("/metrics", String::new()),
        ("/log", String::new()),
        ("/log/", String::new()),
        ("/log/wrong", String::new()),
        ("/log/read-toke", String::new()),
        ("/log/read-token/", String::new()),
        ("/log//read-token", String::new()),
        ("/log/read-token?x", String::new()),
        ("/log/?read-token", String::new()),
        ("/log/read%2dtoken", String::new()),
        ("/log/read-token", bearer("wrong")),
    ] {
        let headers = format!("{headers}Origin: https://ci.example\r\n");
        let answer = server.get(path, &headers).await;
        let (status, mut headers, body) = parse(&answer);
        assert_eq!(status, 401, "{path} {headers:?}");
        headers.retain(|line| !line.starts_with("date: "));
        let origin =
            headers.iter().position(|line| line.starts_with("access-control-allow-origin"));
        headers.remove(origin.expect("a page can read why"));
        headers.sort();
        answers.insert((headers, body.to_owned()));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    for (path, headers) in [
        ("/v1/streams/hello", bearer("read-token")),
        ("/v1/streams/hello", bearer("write-token")),
        ("/v1/streams/hello?x", bearer("read-token")),
        ("/log/read-token", String::new()),
        ("/log/read-token?follow=0", String::new()),
        ("/log/", bearer("read-token")),
        ("/healthz", String::new()),
        ("/", String::new()),
    ] {
        assert_eq!(status(&server.get(path, &headers).await), 200, "{path} {headers}");
    }
}

/// E.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_counts_as_bearer_and_in_livelogs_address_alone() {
    let server = TestServer::start(|options| {
        protected(options);
        options.limits.auth_failures_max = 1_000;
    });
    let right = || bearer("read-token");
    for (path, headers, expected) in [
        ("/v1/streams/hello", right(), 200),
        ("/log/read-token", String::new(), 200),
        // Where both are there, the header counts.
        ("/log/wrong", right(), 200),
        ("/log/read-token", bearer("wrong"), 401),
        ("/v1/streams/hello/read-token", String::new(), 401),
        ("/v1/streams/hello?access_token=read-token", String::new(), 401),
        ("/v1/stores/log/read-token", String::new(), 401),
        ("/metrics?token=read-token", String::new(), 401),
        ("http://read-token@localhost/v1/streams/hello", String::new(), 421),
        ("/v1/streams/hello", "Authorization: Basic OnJlYWQtdG9rZW4=\r\n".to_owned(), 401),
        ("/v1/streams/hello", "Cookie: token=read-token\r\n".to_owned(), 401),
        ("/v1/streams/hello", "X-Access-Token: read-token\r\n".to_owned(), 401),
        ("/v1/streams/hello", "Proxy-Authorization: Bearer read-token\r\n".to_owned(), 401),
    ] {
        assert_eq!(status(&server.get(path, &headers).await), expected, "{path} {headers}");
    }
}

/// E.2.2: how long a refusal takes, by how much of the token is right. Figures for people, who run this where
/// nothing else runs: `cargo test --release -p logq-live --test conn refusal -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn the_time_of_a_refusal_says_nothing_of_how_much_is_right() {
    let right = "0123456789abcdef".repeat(4);
    let server = TestServer::start(|options| {
        options.read_tokens = token(&right);
        options.limits.auth_failures_max = u32::MAX;
    });
    let mut client = Client::connect(server.get).await;
    let mut guesses = [0, 1, 16, 32, 48, 63].map(|len| {
        let guess = bearer(&format!("{:x<64}", &right[..len]));
        (len, format!("GET /v1/streams/x HTTP/1.1\r\nHost: localhost\r\n{guess}\r\n"), Vec::new())
    });
    for _ in 0..5_000 {
        for (_, request, times) in &mut guesses {
            let begun = Instant::now();
            client.send(request).await;
            assert!(client.until("Access denied\n").await.starts_with("HTTP/1.1 401"));
            times.push(begun.elapsed());
        }
    }
    for (len, _, mut times) in guesses {
        times.sort_unstable();
        let [tenth, median] = [times[times.len() / 10], times[times.len() / 2]];
        eprintln!("{len} of 64 characters right: a tenth in {tenth:?}, half in {median:?}");
    }
}

/// livelog compares all that follows `/log/` with the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_livelogs_way_a_query_is_part_of_the_token() {
    let server = TestServer::start(|options| {
        options.read_tokens = token("abc");
        options.compat_livelog = true;
    });
    assert_eq!(status(&server.get("/log/abc", "").await), 200);
    assert_eq!(status(&server.get("/log/abc?follow=0", "").await), 401);
    let absolute = format!("http://{}/log/abc", server.get);
    assert_eq!(status(&server.get(&absolute, "").await), 401);
    let open = TestServer::start(|_| {});
    assert_eq!(status(&open.get("/log/", "").await), 200);
    assert_eq!(status(&open.get("/log/abc", "").await), 401);
}

/// E.2.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_does_not_allow_to_write() {
    let server = TestServer::start(protected);
    for (address, path, headers, expected) in [
        (server.put, "/log", bearer("write-token"), 201),
        (server.put, "/log", bearer("read-token"), 403),
        (server.put, "/log", String::new(), 401),
        (server.put, "/log/read-token", String::new(), 401),
        (server.put, "/v1/streams/x", bearer("write-token"), 201),
        (server.put, "/v1/streams/x", bearer("read-token"), 403),
        (server.put, "/v1/stores/x", bearer("write-token"), 404),
        (server.put, "/metrics", bearer("write-token"), 404),
        (server.put, "/", String::new(), 404),
        (server.get, "/v1/streams/x", bearer("write-token"), 201),
        (server.get, "/v1/streams/x", bearer("read-token"), 403),
        (server.get, "/log/read-token", String::new(), 401),
    ] {
        let mut client = Client::connect(address).await;
        client.send(request("PUT", path, &format!("{headers}Content-Length: 0\r\n"))).await;
        assert_eq!(status(&client.rest().await), expected, "{path} {headers:?}");
    }
}

/// E.2.4: without a write token the port for reading does not write, the other does, as in livelog.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_write_token_only_the_port_for_writing_writes() {
    let server = TestServer::start(|options| options.read_tokens = token("read-token"));
    for (address, expected) in [(server.put, 201), (server.get, 403)] {
        let mut client = Client::connect(address).await;
        client.send(request("PUT", "/v1/streams/x", "Content-Length: 0\r\n")).await;
        assert_eq!(status(&client.rest().await), expected);
    }
}

/// A client that waits for permission to upload is answered before it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_uploads_in_vain() {
    let server = TestServer::start(protected);
    let expect = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    let mut client = Client::connect(server.put).await;
    client.send(request("PUT", "/log", &format!("{expect}{}", bearer("wrong")))).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 401 "));
    let mut client = Client::connect(server.put).await;
    client.send(request("PUT", "/log", &format!("{expect}{}", bearer("write-token")))).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc").await;
    assert_eq!(status(&client.rest().await), 201);
}

/// E.2.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_ends_what_revoked_tokens_started_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "old\nkept\n").unwrap();
    let server = TestServer::start(|options| {
        options.read_tokens = Some(TokenSource::file(&path));
    });
    server.line("readable by others").await;
    let mut readers = Vec::new();
    for token in ["old", "kept"] {
        for what in ["live", "hang"] {
            let mut client = Client::connect(server.get).await;
            let path = format!("/v1/streams/{what}");
            client.send(request("GET", &path, &bearer(token))).await;
            if what == "live" {
                client.until("line\n\r\n").await;
            }
            readers.push(client);
        }
    }
    super::server::eventually("all are being answered", || {
        server.metrics.render().contains("logq_connections 4\n")
    })
    .await;
    // A file that cannot be used changes nothing.
    for bad in ["", "two words\n"] {
        std::fs::write(&path, bad).unwrap();
        server.handle.reload();
        server.line("tokens: kept as they were").await;
        assert_eq!(status(&server.get("/v1/streams/hello", &bearer("old")).await), 200);
    }
    std::fs::write(&path, "new\nkept\n").unwrap();
    server.handle.reload();
    assert_eq!(readers[0].rest().await, "", "the answer ends without its final chunk");
    // In either order: threads of their own tell.
    let mut told = String::new();
    while !["tokens: read again, 1 revoked", "cut: the token was revoked"]
        .iter()
        .all(|part| told.contains(part))
    {
        told += &server.line("").await;
    }
    assert_eq!(status(&readers[1].rest().await), 401, "an answer that was not there yet");
    for (token, expected) in [("old", 401), ("new", 200), ("kept", 200)] {
        let answer = server.get("/v1/streams/hello", &bearer(token)).await;
        assert_eq!(status(&answer), expected, "{token}");
    }
    super::server::eventually("the other token's readers go on, alone", || {
        server.metrics.render().contains("logq_connections 2\n")
    })
    .await;
}

/// E.2.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_ever_told() {
    let server = TestServer::start(|options| {
        protected(options);
        options.limits.auth_failures_max = 1_000;
    });
    let panics = Arc::new(Mutex::new(String::new()));
    let (heard, usual) = (panics.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        *heard.lock().unwrap() += &panic.to_string();
        usual(panic);
    }));
    let mut answers = String::new();
    for token in ["read-token", "write-token"] {
        for (path, headers) in [
            ("/v1/streams/hello".to_owned(), bearer(token)),
            ("/v1/streams/fail".to_owned(), bearer(token)),
            ("/v1/streams/panic".to_owned(), bearer(token)),
            (format!("/v1/streams/{token}/panic"), bearer(token)),
            (format!("/log/{token}"), String::new()),
            (format!("/log/{token}/x"), String::new()),
            (format!("/log/{token}?x"), String::new()),
            (format!("/{token}"), String::new()),
            (format!("/v1/streams/{token}"), String::new()),
            (format!("/v1/streams/{token}/events?token={token}"), bearer("wrong")),
            ("/metrics".to_owned(), bearer(token)),
            ("/v1/streams/x".to_owned(), format!("X: {token}\r\nAuthorization: {token}\r\n")),
        ] {
            for method in ["GET", "PUT", "TRACE"] {
                let body = "Content-Length: 0\r\n";
                let head = request(method, &path, &format!("{body}{headers}"));
                answers += &server.ask(head).await;
            }
        }
    }
    let lines = server.next_lines(60).await.join("\n");
    let panics = panics.lock().unwrap().clone();
    assert_eq!(panics.matches("Request {").count(), 4, "{panics}");
    for text in [answers, lines.clone(), server.metrics.render(), panics] {
        assert!(!text.contains("read-token") && !text.contains("write-token"), "{text}");
    }
    assert!(lines.contains("/log/*** 200"), "{lines}");
    let id = lines.lines().find_map(|line| line.split_once(" token ")).unwrap().1;
    assert_eq!(id.split(' ').next().unwrap().len(), 8, "tokens are told apart by their ids");
}

/// E.2.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slow_and_locks_nobody_out() {
    let server = TestServer::start(|options| {
        protected(options);
        options.limits.auth_failures_max = 3;
        options.timers.auth_failure_delay = SHORT;
    });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(status(&server.get("/v1/streams/hello", &bearer("guess")).await));
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let right = request("GET", "/v1/streams/hello", &bearer("read-token"));
    assert_eq!(status(&server.ask(right).await), 200, "from the same address");
    let mut other = Client::connect_from(2, server.get).await;
    other.send(request("GET", "/v1/streams/hello", &bearer("guess"))).await;
    assert_eq!(status(&other.rest().await), 401, "from another address");
}

/// E.1.9, by token
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_limited_by_token() {
    let server = TestServer::start(|options| {
        protected(options);
        options.limits.requests_per_token_max = 1;
    });
    let mut reader = Client::connect(server.get).await;
    reader.send(request("GET", "/v1/streams/live", &bearer("read-token"))).await;
    reader.until("line\n\r\n").await;
    let answer = server.get("/v1/streams/hello", &bearer("read-token")).await;
    assert_eq!(status(&answer), 503);
    assert_eq!(status(&server.get("/v1/streams/hello", &bearer("write-token")).await), 200);
    drop(reader);
    server.line("/live 200").await;
    assert_eq!(status(&server.get("/v1/streams/hello", &bearer("read-token")).await), 200);
}
