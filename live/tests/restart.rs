//! What a server finds when it starts again, and what it says when files change underneath.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::{Ended, Writing, ask, get, send};
use common::{Server, content, options};
use logq_live::streams::StreamsOptions;
use sha2::{Digest as _, Sha256};

const PATH: &str = "/v1/streams/s";

fn kept_in(directory: &Path) -> StreamsOptions {
    StreamsOptions { directory: Some(directory.to_owned()), ..options() }
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

#[test]
fn streams_outlive_the_server_with_state_and_digest() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("streams");
    let bytes = content(700_000);
    let server = Server::start(kept_in(&directory));
    let ndjson = [("Content-Type", "application/x-ndjson")];
    assert_eq!(send(server.put, "PUT", "/v1/streams/done", &ndjson, b"{}\n").status, 201);
    let mut writer = Writing::put(server.put, PATH);
    writer.write(&bytes[..300_000]);
    server.wait_for_len("s", 300_000);
    let tag = ask(server.get, "HEAD", PATH, &[]).header("etag").unwrap().to_owned();
    drop(server);
    drop(writer);

    let server = Server::start(kept_in(&directory));
    let done = ask(server.get, "HEAD", "/v1/streams/done", &[]);
    assert_eq!(done.header("logq-state"), Some("complete"));
    assert_eq!(done.header("content-type"), Some("application/x-ndjson"));
    let head = ask(server.get, "HEAD", PATH, &[]);
    assert_eq!(
        (head.header("logq-state"), head.header("etag")),
        (Some("interrupted"), Some(&*tag))
    );
    let mut reader = get(server.get, PATH, &[("TE", "trailers")]);
    let mut writer = Writing::patch(server.put, PATH, 300_000);
    writer.write(&bytes[300_000..]);
    assert_eq!(writer.finish().status, 204);
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&bytes)));
    assert_eq!(reader.rest(), (bytes, Ended::Complete));
    assert_eq!(reader.trailer("repr-digest"), Some(&*digest));
    for path in [files(&directory, ".log"), files(&directory, ".json")].concat() {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(ask(server.put, "DELETE", PATH, &[]).status, 204);
    assert_eq!((files(&directory, ".log").len(), files(&directory, ".json").len()), (1, 1));
}

#[test]
fn a_writer_that_does_not_come_back_after_a_restart_is_given_up() {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::start(kept_in(scratch.path()));
    let mut writer = Writing::put(server.put, PATH);
    writer.write(b"half");
    server.wait_for_len("s", 4);
    drop(server);
    let writer_grace = Duration::from_millis(20);
    let server = Server::start(StreamsOptions { writer_grace, ..kept_in(scratch.path()) });
    server.wait_for_state("s", "aborted");
    assert_eq!(get(server.get, PATH, &[]).text(), "half");
    assert_eq!(Writing::patch(server.put, PATH, 4).answer().status, 409);
}

#[test]
fn of_two_generations_the_newer_one_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::start(kept_in(scratch.path()));
    assert_eq!(send(server.put, "PUT", PATH, &[], b"old").status, 201);
    let old = [files(scratch.path(), ".log"), files(scratch.path(), ".json")].concat();
    let saved: Vec<(PathBuf, Vec<u8>)> =
        old.iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    drop(server);
    // The clock of creation counts milliseconds.
    std::thread::sleep(Duration::from_millis(5));
    let server = Server::start(StreamsOptions { replace: true, ..kept_in(scratch.path()) });
    assert_eq!(send(server.put, "PUT", PATH, &[], b"new").status, 201);
    drop(server);
    // As if the server had been killed before it removed what was replaced.
    for (path, bytes) in saved {
        fs::write(path, bytes).unwrap();
    }
    let server = Server::start(kept_in(scratch.path()));
    assert_eq!(get(server.get, PATH, &[]).text(), "new");
    assert_eq!(files(scratch.path(), ".log").len(), 1);
}

/// E.4.1
#[test]
fn a_file_cut_underneath_breaks_readers_off_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::start(kept_in(scratch.path()));
    let bytes = content(5_000_000);
    assert_eq!(send(server.put, "PUT", PATH, &[], &bytes).status, 201);
    assert_eq!(send(server.put, "PUT", "/v1/streams/t", &[], b"whole").status, 201);
    let data = files(scratch.path(), ".log")
        .into_iter()
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("s."));
    fs::OpenOptions::new().write(true).open(data.unwrap()).unwrap().set_len(1_000_000).unwrap();
    let (got, ended) = get(server.get, PATH, &[]).rest();
    assert!(ended == Ended::Cut && bytes.starts_with(&got), "{} {ended:?}", got.len());
    assert_eq!(get(server.get, "/v1/streams/t", &[]).text(), "whole");
}

/// E.4.1
#[test]
fn a_file_deleted_underneath_is_read_to_its_end() {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::start(kept_in(scratch.path()));
    let bytes = content(3_000_000);
    let mut writer = Writing::put(server.put, PATH);
    writer.write(&bytes[..2_500_000]);
    server.wait_for_len("s", 2_500_000);
    files(scratch.path(), ".log").iter().for_each(|path| fs::remove_file(path).unwrap());
    writer.write(&bytes[2_500_000..]);
    assert_eq!(writer.finish().status, 201);
    assert!(get(server.get, PATH, &[]).rest() == (bytes, Ended::Complete));
}
