//! What a target may be made of, against the real routes of streams (E.1.10, E.1.11).

use std::path::Path;

use logq_live::streams::{LegacyRoutes, StreamRoutes, Streams, StreamsOptions};
use logq_live::{Journal, Metrics, ServerOptions};

use super::server::{Client, TestServer, parse, request, status};

/// A server whose streams are in `folder`.
pub(crate) fn start(folder: &Path, set: impl FnOnce(&mut ServerOptions)) -> TestServer {
    let options = StreamsOptions { directory: Some(folder.to_owned()), ..Default::default() };
    let streams = Streams::open(options, &Metrics::new(), Journal::none()).unwrap();
    TestServer::start_with(set, |router| {
        router.legacy(LegacyRoutes::new(streams.clone())).streams(StreamRoutes::new(streams))
    })
}

/// Writes `hello` into a new stream.
pub(crate) async fn put(server: &TestServer, path: &str, headers: &str) -> u16 {
    let mut client = Client::connect(server.put).await;
    let head = request("PUT", path, &format!("{headers}Content-Length: 5\r\n"));
    client.send(head + "hello").await;
    status(&client.rest().await)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// E.1.11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_leads_out_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let server = start(&data, |_| {});
    assert_eq!(put(&server, "/v1/streams/build", "").await, 201);
    let before = names_in(&data);
    std::os::unix::fs::symlink(folder.path().join("secret"), data.join("planted")).unwrap();
    std::fs::write(data.join("beside"), "secret").unwrap();
    let long = "x".repeat(129);
    let files = before.iter().map(String::as_str);
    for name in [
        "..",
        ".",
        ".hidden",
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "..%252fsecret",
        "%2e%2e",
        "..\\secret",
        "build%00",
        "build/",
        "build/../build",
        "./build",
        "//build",
        "planted",
        "beside",
        "build%2f..%2f..%2fsecret",
        long.as_str(),
        "b u",
        "b\u{e9}",
        "*",
        "~",
        "build;x",
        "con:",
    ]
    .into_iter()
    .chain(files)
    {
        let path = format!("/v1/streams/{name}");
        let answer = server.get(&path, "").await;
        let (status, _, body) = parse(&answer);
        assert!((400..500).contains(&status), "GET {path:?}: {status}");
        assert!(!body.contains("secret") && !body.contains("hello"), "GET {path:?}: {body}");
        if !matches!(name, "planted" | "beside") && !before.iter().any(|file| file == name) {
            let status = put(&server, &path, "").await;
            assert!((400..500).contains(&status), "PUT {path:?}: {status}");
        }
    }
    let mut after = names_in(&data);
    after.retain(|name| !matches!(name.as_str(), "planted" | "beside"));
    assert_eq!(after, before, "nothing was created");
    assert_eq!(names_in(folder.path()), ["data", "secret"]);
    assert_eq!(parse(&server.get("/v1/streams/build?follow=0", "").await).2, "hello");
}

/// E.1.10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_that_ask_for_work_get_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {});
    assert_eq!(put(&server, "/v1/streams/build", "").await, 201);
    let many = |count| (0..count).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    let digits = "9".repeat(100);
    for (range, expected) in [
        ("0-1".to_owned(), 206),
        (many(1_000), 416),
        // So many do not fit in a head.
        (many(10_000), 431),
        ("0-,0-,0-,0-".to_owned(), 416),
        ("0-3,2-4,1-1".to_owned(), 416),
        ("3-1".to_owned(), 416),
        (format!("{digits}-"), 416),
        (format!("0-{digits}"), 206),
        (format!("-{digits}"), 206),
        ("-0".to_owned(), 416),
        ("--1".to_owned(), 416),
        ("0x1-2".to_owned(), 416),
    ] {
        let header = format!("Range: bytes={range}\r\n");
        let answer = server.get("/v1/streams/build?follow=0", &header).await;
        let what = range.get(..20).unwrap_or(&range);
        let (status, headers, body) = parse(&answer);
        assert_eq!(status, expected, "{what}");
        assert!(body.len() < 100, "{what}");
        if expected == 416 {
            assert!(headers.contains(&"content-range: bytes */5".to_owned()), "{headers:?}");
        }
    }
}
