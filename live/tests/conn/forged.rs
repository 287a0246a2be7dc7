//! Requests that a page of somebody else makes a browser send (E.3.5).

use std::collections::BTreeMap;
use std::path::Path;

use logq_live::TokenSource;

use super::names::{put, start};
use super::server::{Client, TestServer, parse, request, status};

/// All files below a folder with what is in them.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |path| std::fs::read(path).unwrap();
    entries.map(|at| (at.file_name().into_string().unwrap(), read(at.path()))).collect()
}

async fn send(server: &TestServer, side: Side, method: &str, path: &str, headers: &str) -> String {
    let mut client = Client::connect(if side == Side::Put { server.put } else { server.get }).await;
    let origin = "Origin: https://evil.example\r\nCookie: token=write-token; session=1\r\n";
    let body = "Content-Length: 1\r\n";
    client.send(request(method, path, &format!("{origin}{headers}{body}")) + "x").await;
    client.rest().await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Put,
    Get,
}

/// E.3.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_others_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let token = |value| Some(TokenSource::variable("TOKEN", value));
    let server = start(folder.path(), |options| {
        options.write_tokens = token("write-token");
        options.cors_origins = vec!["*".to_owned()];
        options.limits.auth_failures_max = 1_000;
    });
    for path in ["/log", "/v1/streams/build"] {
        assert_eq!(put(&server, path, "Authorization: Bearer write-token\r\n").await, 201);
    }
    let before = content(folder.path());
    for side in [Side::Put, Side::Get] {
        for path in ["/log", "/log/", "/v1/streams", "/v1/streams/build", "/v1/streams/new", "/"] {
            // What a page may send without asking: these methods, these headers.
            for method in ["GET", "HEAD", "POST"] {
                for query in ["", "?_method=DELETE", "?method=PUT", "?follow=0&delete=1"] {
                    let kind = "Content-Type: text/plain\r\n";
                    let path = format!("{path}{query}");
                    let answer = send(&server, side, method, &path, kind).await;
                    let (status, headers, _) = parse(&answer);
                    let cookie = headers.iter().find(|line| line.starts_with("set-cookie"));
                    assert_eq!(cookie, None, "{method} {path}");
                    if method == "POST" {
                        assert!([401, 405].contains(&status), "{side:?} {method} {path}: {status}");
                    }
                }
            }
            // What it would have to ask for, and does not get by what the browser adds.
            for method in ["PUT", "PATCH", "DELETE"] {
                for header in [
                    "",
                    "Logq-Offset: 5\r\n",
                    "X-HTTP-Method-Override: PUT\r\n",
                    "Token: write-token\r\n",
                ] {
                    let answer = send(&server, side, method, path, header).await;
                    let told = status(&answer);
                    assert!([401, 404, 405].contains(&told), "{side:?} {method} {path}: {told}");
                }
                let asks = format!("Access-Control-Request-Method: {method}\r\n");
                let answer = send(&server, side, "OPTIONS", path, &asks).await;
                let allowed = parse(&answer).1;
                let allowed = allowed.iter().find(|line| line.contains("allow-methods"));
                assert!(
                    allowed.is_none_or(|line| line == "access-control-allow-methods: get, head"),
                    "{side:?} {path}: {allowed:?}"
                );
            }
        }
    }
    assert!(content(folder.path()) == before, "{:?}", content(folder.path()).keys());
}

/// E.3.5: where no token is needed, browsers ask before they write, and are told no.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_others_may_not_write_where_everybody_may() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |options| options.cors_origins = vec!["*".to_owned()]);
    for path in ["/log", "/v1/streams/new"] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = send(&server, Side::Put, method, path, "").await;
            assert!([400, 404, 405].contains(&status(&answer)), "{method} {path}: {answer}");
        }
        let asks = "Access-Control-Request-Method: PUT\r\n";
        let answer = send(&server, Side::Put, "OPTIONS", path, asks).await;
        let headers = parse(&answer).1;
        let allowed = headers.iter().find(|line| line.starts_with("access-control-allow-methods"));
        assert!(allowed.is_none_or(|line| !line.contains("put")), "{headers:?}");
    }
    assert_eq!(content(folder.path()).keys().collect::<Vec<_>>(), ["lock"]);
}
