//! Requests that are too long, ambiguous, or not meant for this server (E.1.6, E.1.7, E.1.9, E.1.12
//! to E.1.14).

use super::server::{Client, TestServer, parse, request, status};

/// E.1.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_have_limits() {
    let server = TestServer::start(|_| {});
    let many = |count: usize| "a: b\r\n".repeat(count);
    let long = |bytes: usize| format!("a: {}\r\n", "x".repeat(bytes));
    let target = |bytes: usize| format!("/v1/streams/{}", "x".repeat(bytes));
    for (expected, path, headers) in [
        (200, "/v1/streams/hello".to_owned(), many(90)),
        (431, "/v1/streams/hello".to_owned(), many(101)),
        (431, "/v1/streams/hello".to_owned(), many(10_000)),
        (200, "/v1/streams/hello".to_owned(), long(15_000)),
        (431, "/v1/streams/hello".to_owned(), long(17_000)),
        (431, "/v1/streams/hello".to_owned(), long(50_000)),
        (431, "/v1/streams/hello".to_owned(), long(1 << 20)),
        (431, "/v1/streams/hello".to_owned(), long(4_000).repeat(5)),
        (200, target(8_000), String::new()),
        (414, target(8_200), String::new()),
        (414, target(14_000), String::new()),
    ] {
        let answer = server.get(&path, &headers).await;
        let what = format!("{} bytes of target, {} of headers", path.len(), headers.len());
        assert_eq!(status(&answer), expected, "{what}");
    }
    assert!(server.is_well().await);
}

/// E.1.6: what comes after a head that was too long is not another request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_head_ends_the_connection() {
    let server = TestServer::start(|_| {});
    let get = "GET /v1/streams/hello HTTP/1.1\r\nHost: localhost\r\n";
    for headers in ["a: b\r\n".repeat(101), format!("a: {}\r\n", "x".repeat(20_000))] {
        let answer = server.ask(format!("{get}{headers}\r\n{get}\r\n")).await;
        assert_eq!(status(&answer), 431);
        assert!(!answer.contains("hello"), "{answer}");
    }
}

/// E.1.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_two_servers_could_take_differently_are_refused() {
    let server = TestServer::start(|_| {});
    let smuggled = "GET /v1/streams/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let put =
        |headers: &str| format!("PUT /log HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{smuggled}");
    for bytes in [
        put("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        put("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        put("Content-Length: 5\r\nContent-Length: 6\r\n"),
        put("Content-Length: 5, 5\r\n"),
        put("Content-Length: +5\r\n"),
        put("Transfer-Encoding: chunked, chunked\r\n"),
        put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        put("Transfer-Encoding: identity, chunked\r\n"),
        put("Transfer-Encoding: xchunked\r\n"),
        put("Transfer-Encoding:\u{b}chunked\r\n"),
        put("Transfer-Encoding : chunked\r\n"),
        put("Content-Length : 0\r\n"),
        put("A: b\r\n Content-Length: 0\r\n"),
        put(" Content-Length: 0\r\n"),
        put("A: b\nContent-Length: 0\r\n"),
        put("A: b\rContent-Length: 0\r\n"),
        put("A: b\0c\r\n"),
        put("A b\r\n"),
        put("Host: other\r\n"),
        "PUT /log HTTP/1.1\nHost: localhost\n\n".to_owned() + smuggled,
        "PUT /log\r\n\r\n".to_owned() + smuggled,
        "PUT /log HTTP/1.2\r\n\r\n".to_owned() + smuggled,
        "PUT  /log HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned() + smuggled,
        "PUT /a b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned() + smuggled,
        "PUT /log HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + smuggled,
        "\x16\x03\x01\x02\x00\r\n\r\n".to_owned() + smuggled,
    ] {
        let mut client = Client::connect(server.put).await;
        client.send(&bytes).await;
        let answer = client.rest().await;
        assert_eq!(status(&answer), 400, "{bytes:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{bytes:?} answered {answer:?}");
    }
    assert!(server.is_well().await);
}

/// E.1.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_lie_break_the_body_off() {
    let server = TestServer::start(|_| {});
    let put = request("PUT", "/log", "Transfer-Encoding: chunked\r\n");
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n".to_owned(),
        "-1\r\nabc\r\n0\r\n\r\n".to_owned(),
        "0x3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\nabc\r\n0\r\n\r\n".to_owned(),
        "3\r\nabcd\r\n0\r\n\r\n".to_owned(),
        format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 20)),
        format!("3\r\nabc\r\n0\r\n{}\r\n", "a: b\r\n".repeat(10_000)),
    ] {
        let mut client = Client::connect(server.put).await;
        client.send(format!("{put}{chunks}")).await;
        let answer = client.rest().await;
        let what = chunks.get(..20).unwrap_or(&chunks);
        assert!(answer.is_empty() || status(&answer) == 400, "{what:?} answered {answer:?}");
    }
    let mut client = Client::connect(server.put).await;
    client.send(format!("{put}3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n")).await;
    assert_eq!(parse(&client.rest().await).2, "3 bytes\n");
}

/// E.1.7: nothing after chunks is taken for a request, since nobody looked at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_the_last_of_a_connection() {
    let server = TestServer::start(|_| {});
    let mut client = Client::connect(server.put).await;
    let put = "PUT /log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    client.send(format!("{put}GET /healthz HTTP/1.1\nHost: localhost\n\n")).await;
    let answer = client.rest().await;
    assert_eq!(parse(&answer).2, "0 bytes\n");
}

/// E.1.9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_limited_by_address_and_all_together() {
    let server = TestServer::start(|options| {
        options.limits.connections_per_address_max = 2;
        options.limits.connections_max = 3;
        options.limits.refusals_max = 1;
        options.timers.linger = super::server::SHORT;
    });
    let live = || request("GET", "/v1/streams/live", "");
    let mut readers = Vec::new();
    for host in [1, 1, 2] {
        let mut reader = Client::connect_from(host, server.get).await;
        reader.send(live()).await;
        reader.until("line\n\r\n").await;
        readers.push(reader);
    }
    // The place for refusals is free again when the one before has been told.
    for (host, headers) in [(1, ""), (3, "")] {
        let mut more = Client::connect_from(host, server.get).await;
        more.send(request("GET", "/v1/streams/hello", headers)).await;
        let answer = more.rest().await;
        let (status, headers, body) = parse(&answer);
        assert_eq!((status, body), (503, "too many connections; try again soon\n"));
        assert!(headers.contains(&"retry-after: 5".to_owned()), "{headers:?}");
        super::server::eventually("the place is free", || {
            server.metrics.render().contains("logq_connections 3\n")
        })
        .await;
    }
    let mut waits = Client::connect_from(3, server.get).await;
    let mut unheard = Client::connect_from(3, server.get).await;
    assert_eq!(unheard.rest().await, "");
    // An EventSource gives up after any status but 200.
    waits.send(request("GET", "/v1/streams/hello", "Accept: text/event-stream\r\n")).await;
    let answer = waits.rest().await;
    assert_eq!((status(&answer), parse(&answer).2), (200, "retry: 5000\n\n"));
    drop(readers);
    super::server::eventually("places are free", || {
        server.metrics.render().contains("logq_connections 0\n")
    })
    .await;
    assert!(server.is_well().await);
}

/// E.1.12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_known_methods_reach_anything() {
    let server = TestServer::start(|_| {});
    let [all, put, get] =
        ["get, head, put, patch, delete, options", "get, head, put, options", "get, head, options"];
    for (method, path, expected, allow) in [
        ("OPTIONS", "/v1/streams/hello", 204, all),
        ("OPTIONS", "/log/", 204, put),
        ("OPTIONS", "/v1/stores", 204, get),
        ("OPTIONS", "*", 204, all),
        ("TRACE", "/v1/streams/hello", 405, all),
        ("POST", "/v1/streams/hello", 405, all),
        ("CONNECT", "localhost:80", 405, get),
        ("BREW", "/log/", 405, put),
        ("get", "/log/", 405, put),
    ] {
        let allow = format!("allow: {allow}");
        let answer = server.ask(request(method, path, "")).await;
        let (status, headers, body) = parse(&answer);
        assert_eq!(status, expected, "{method} {path}");
        assert!(headers.contains(&allow), "{method} {path}: {headers:?}");
        assert!(!body.contains("hello"), "{method} {path}");
    }
    let answer = server.ask(request("HEAD", "/v1/streams/hello", "")).await;
    let (status, headers, body) = parse(&answer);
    assert_eq!((status, body), (200, ""));
    assert!(headers.contains(&"content-length: 6".to_owned()), "{headers:?}");
}

/// E.1.13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_others_are_not_served() {
    let server = TestServer::start(|options| options.allow_hosts = vec!["logs.example".to_owned()]);
    for (target, host, expected) in [
        ("/v1/streams/hello", "localhost", 200),
        ("/v1/streams/hello", "127.0.0.1:60023", 200),
        ("/v1/streams/hello", "[::1]", 200),
        ("/v1/streams/hello", "logs.example", 200),
        ("/v1/streams/hello", "evil.example", 421),
        ("/v1/streams/hello", "", 421),
        ("/healthz", "evil.example", 421),
        ("/", "evil.example", 421),
        ("/log/", "evil.example", 421),
        ("http://evil.example/log/", "localhost", 421),
        ("http://localhost/v1/streams/hello", "localhost", 200),
    ] {
        for method in ["GET", "OPTIONS", "TRACE"] {
            let head =
                format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = server.ask(head).await;
            let expected = match (expected, method) {
                (200, "OPTIONS") => 204,
                (200, "TRACE") => 405,
                (expected, _) => expected,
            };
            assert_eq!(status(&answer), expected, "{method} {target} of {host:?}");
            assert!(!answer.contains("evil"), "{answer}");
        }
    }
    let nameless = "GET /v1/streams/hello HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&server.ask(nameless).await), 400);
    let old = "GET /v1/streams/hello HTTP/1.0\r\n\r\n";
    assert_eq!(status(&server.ask(old).await), 200, "HTTP/1.0 knows no host");
}

/// E.1.14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_nothing_of_the_request() {
    let server = TestServer::start(|options| {
        options.limits.target_bytes_max = 100;
        options.read_tokens = Some(logq_live::TokenSource::variable("T", "token"));
    });
    let long = format!("/marker{}", "x".repeat(100));
    let bearer = "Authorization: Bearer token\r\n";
    for (method, path, headers) in [
        ("GET", "/v1/streams/marker", "A: marker\r\n".to_owned()),
        ("GET", "/v1/streams/marker", "Authorization: Bearer marker\r\n".to_owned()),
        ("MARKER", "/v1/streams/marker", bearer.to_owned()),
        ("GET", long.as_str(), "Accept: application/json, text/marker\r\n".to_owned()),
        ("GET", "/v1/streams/fail", format!("{bearer}A: marker\r\n")),
        ("PUT", "/v1/streams/marker", format!("{bearer}A: marker\r\n")),
        ("GET", "http://marker.example/", bearer.to_owned()),
        ("GET", "/\u{7f}marker", String::new()),
        ("GET", "/marker", "marker\r\n".to_owned()),
    ] {
        let answer = server.ask(request(method, path, &headers)).await;
        let (status, headers, body) = parse(&answer);
        assert!((400..500).contains(&status), "{method} {path}: {status}");
        assert!(!answer.to_lowercase().contains("marker"), "{answer}");
        if !body.is_empty() {
            assert!(headers.iter().any(|line| line.starts_with("content-type: ")), "{headers:?}");
            assert!(headers.contains(&"x-content-type-options: nosniff".to_owned()), "{headers:?}");
        }
    }
}

/// An answer arrives although the request goes on and on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_survives_what_is_still_being_sent() {
    let server = TestServer::start(|_| {});
    for _ in 0..20 {
        let put = request("PUT", "/v1/streams/x", "Content-Length: 2000000\r\n");
        let answer = server.ask([put.as_bytes(), &[b'x'; 2_000_000]].concat()).await;
        assert_eq!(status(&answer), 403);
    }
}
