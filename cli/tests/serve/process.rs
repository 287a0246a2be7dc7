//! `logq serve` as a process of its own: exit codes, kills, restarts, full disks, curl.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::client::{Ended, Writing, ask, get, send};
use crate::common::Scratch;
use crate::served::{Served, environment, wait_for_header};
use nix::sys::signal::Signal;

#[test]
fn livelogs_mistakes_have_livelogs_exit_codes() {
    let scratch = Scratch::new();
    let key = scratch.write("key.pem", "");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().port().to_string();
    let key = key.to_str().unwrap();
    for (arguments, variables, code, text) in [
        (
            &[][..],
            &[("LIVELOG_PUT_PORT", "abc")][..],
            64,
            "env var LIVELOG_PUT_PORT is not a number (abc)",
        ),
        (
            &[],
            &[("LIVELOG_PUT_PORT", "70000")],
            65,
            "env var LIVELOG_PUT_PORT is not between [0, 65535] (70000)",
        ),
        (&[], &[("LIVELOG_GET_PORT", "abc")], 66, "env var LIVELOG_GET_PORT is not a number (abc)"),
        (
            &[],
            &[("LIVELOG_GET_PORT", "-1")],
            67,
            "env var LIVELOG_GET_PORT is not between [0, 65535] (-1)",
        ),
        (&[], &[("SERVER_KEY_FILE", key)], 68, "SERVER_CRT_FILE is not"),
        (&[], &[("SERVER_KEY_FILE", key), ("SERVER_CRT_FILE", key)], 68, "key.pem"),
        (&["--listen", "0.0.0.0"], &[], 69, "--insecure-no-auth"),
        (&["--put-listen", "0.0.0.0"], &[], 69, "--insecure-no-auth"),
        (&[], &[("LIVELOG_GET_PORT", busy.as_str())], 1, "cannot listen on"),
        (&["--dir", "missing/parent"], &[], 1, "missing/parent"),
        (&["--keep", "soon"], &[], 2, "--keep"),
    ] {
        let mut command = scratch.command(&[&["serve"], arguments].concat());
        let command = environment(&mut command, &scratch).envs(variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {variables:?}: {told}");
        assert!(told.contains(text), "{arguments:?} {variables:?}: {told}");
    }
}

#[test]
fn a_signal_ends_it_in_order_and_leaves_nothing() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &[], &[]);
    let mut writer = Writing::put(served.put, "/log");
    writer.write(b"half");
    let mut reader = get(served.get, "/log/", &[]);
    assert_eq!(reader.exactly(4), b"half");
    assert!(served.directory.exists());
    served.signal(Signal::SIGTERM);
    assert_eq!(reader.rest(), (Vec::new(), Ended::Cut), "there is more, elsewhere or later");
    assert_eq!(writer.answer().status, 503);
    let directory = served.directory.clone();
    let (status, said) = served.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!directory.exists(), "temporary streams go with the server");
}

/// Signals were waited for only after the server had said where it is: one that came in between ended it
/// without an answer to its clients, and left its directory behind.
#[test]
fn a_signal_is_obeyed_as_soon_as_the_server_says_that_it_is_there() {
    for _ in 0..20 {
        let scratch = Scratch::new();
        let served = Served::start(&scratch, &[], &[]);
        served.signal(Signal::SIGTERM);
        let directory = served.directory.clone();
        let (status, said) = served.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!directory.exists());
    }
}

#[test]
fn what_readers_saw_outlives_a_killed_server() {
    let scratch = Scratch::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.to_le_bytes()).take(3_000_000).collect();
    let path = "/v1/streams/build";
    let served = Served::start(&scratch, &["--dir", "streams"], &[]);
    assert_eq!(send(served.put, "PUT", "/v1/streams/done", &[], b"done").status, 201);
    let mut writer = Writing::put(served.put, path);
    writer.write(&bytes[..1_000_000]);
    wait_for_header(served.get, path, "logq-state", "open");
    let mut reader = get(served.get, path, &[]);
    let mut got = reader.exactly(700_000);
    let tag = reader.header("etag").unwrap().to_owned();
    served.signal(Signal::SIGKILL);
    served.ended();
    got.extend(reader.rest().0);
    drop(writer);

    let served = Served::start(&scratch, &["--dir", "streams"], &[]);
    let head = ask(served.get, "HEAD", path, &[]);
    assert_eq!(head.header("logq-state"), Some("interrupted"));
    assert_eq!(head.header("etag"), Some(tag.as_str()), "the same content");
    let stored: usize = head.header("logq-length").unwrap().parse().unwrap();
    assert!(got.len() <= stored && stored <= 1_000_000, "{} {stored}", got.len());
    let range = format!("bytes={}-", got.len());
    let mut again = get(served.get, path, &[("Range", &range), ("If-Range", &tag)]);
    assert_eq!(again.status, 206);
    let mut writer = Writing::patch(served.put, path, stored);
    writer.write(&bytes[stored..]);
    assert_eq!(writer.finish().status, 204);
    let (rest, ended) = again.rest();
    got.extend(rest);
    assert!(got == bytes && ended == Ended::Complete, "every byte once");
    let done = get(served.get, "/v1/streams/done", &[]);
    assert_eq!(done.header("logq-state"), Some("complete"));
    assert!(done.header("repr-digest").is_some());
    let second = Served::start(&scratch, &["--dir", "other"], &[]);
    drop(second);
    let output = environment(&mut scratch.command(&["serve", "--dir", "streams"]), &scratch)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "one server a directory");
}

/// E.2.4
#[test]
fn tokens_come_from_files_and_are_read_again_at_a_signal() {
    let scratch = Scratch::new();
    let file = scratch.write("readers", "old-token\nkept-token\n");
    let arguments = ["--listen=127.0.0.1", "--token-file=readers"];
    let served = Served::start(&scratch, &arguments, &[]);
    let mut writer = Writing::put(served.put, "/log");
    writer.write(b"begin");
    let mut readers = ["old-token", "kept-token"].map(|token| {
        let mut reader = get(served.get, &format!("/log/{token}"), &[]);
        assert_eq!(reader.exactly(5), b"begin");
        reader
    });
    std::fs::write(&file, "new-token\nkept-token\n").unwrap();
    served.signal(Signal::SIGHUP);
    assert_eq!(readers[0].rest(), (Vec::new(), Ended::Cut), "the token was revoked");
    for (token, status) in [("old-token", 401), ("new-token", 200), ("kept-token", 200)] {
        assert_eq!(
            ask(served.get, "HEAD", &format!("/log/{token}"), &[]).status,
            status,
            "{token}"
        );
    }
    writer.write(b"end");
    assert_eq!(readers[1].exactly(3), b"end", "others are not disturbed");
    drop(served);
    // The list of processes would show it to everybody.
    for flag in ["--token=secret", "--write-token=secret", "--access-token=secret"] {
        assert_eq!(scratch.run(&["serve", flag]).code, 2, "{flag}");
    }
}

/// E.4.5
#[test]
fn damaged_records_and_lost_bytes_are_told() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["--dir", "streams"], &[]);
    for name in ["cut", "damaged", "gone"] {
        let path = format!("/v1/streams/{name}");
        assert_eq!(send(served.put, "PUT", &path, &[], b"0123456789").status, 201);
    }
    let directory = served.directory.clone();
    served.signal(Signal::SIGTERM);
    served.ended();
    let file = |name: &str, ending: &str| -> PathBuf {
        let mut entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.starts_with(name) && file.ends_with(ending)
        };
        entries.find(is_it).unwrap()
    };
    std::fs::write(file("damaged", ".json"), b"{\"version\":1,").unwrap();
    std::fs::remove_file(file("gone", ".json")).unwrap();
    std::fs::OpenOptions::new().write(true).open(file("cut", ".log")).unwrap().set_len(4).unwrap();
    let served = Served::start(&scratch, &["--dir", "streams", "--writer-grace", "1h"], &[]);
    for (name, len) in [("cut", "4"), ("damaged", "10"), ("gone", "10")] {
        let head = ask(served.get, "HEAD", &format!("/v1/streams/{name}"), &[]);
        let told = (head.header("logq-state"), head.header("logq-length"));
        assert_eq!(told, (Some("interrupted"), Some(len)), "{name}");
    }
    served.signal(Signal::SIGTERM);
    let (_, said) = served.ended();
    for text in ["stream cut: 4 of 10 bytes are left", "stream damaged: its record is damaged"] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

/// E.4.1. The shell limits how long a file may get: to the server a disk that is full.
#[test]
fn a_full_disk_truncates_the_stream_and_keeps_what_came() {
    let scratch = Scratch::new();
    let mut command = Command::new("sh");
    let script = "ulimit -f 200; exec \"$0\" serve --dir streams";
    command.args(["-c", script, env!("CARGO_BIN_EXE_logq")]).current_dir(scratch.path(""));
    let served = Served::spawn(environment(&mut command, &scratch).env("LOGQ_CONFIG", "-"));
    let bytes = vec![b'x'; 100_000];
    let mut writer = Writing::put(served.put, "/log");
    writer.write(b"begin");
    let mut reader = get(served.get, "/log/", &[("TE", "trailers")]);
    let mut count = 0;
    while count < 10 && writer.try_write(&bytes).is_ok() {
        count += 1;
    }
    wait_for_header(served.get, "/log/", "logq-state", "truncated");
    let (got, ended) = reader.rest();
    assert_eq!((ended, reader.trailer("logq-state")), (Ended::Complete, Some("truncated")));
    assert!(got.len() >= 100_000 && got.starts_with(b"beginx"), "{}", got.len());
    assert_eq!(get(served.get, "/log/", &[]).rest().0, got, "what was stored stays readable");
    assert_eq!(writer.answer().status, 507);
    assert_eq!(send(served.put, "PUT", "/v1/streams/small", &[], b"fits").status, 201);
}

fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        eprintln!("curl is not installed: nothing was checked");
    }
    found
}

fn curl(scratch: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
    command.current_dir(scratch).stderr(Stdio::inherit());
    command
}

#[test]
fn curl_writes_reads_and_resumes() {
    if !has_curl() {
        return;
    }
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["--listen", "127.0.0.1"], &[("ACCESS_TOKEN", "secret")]);
    let here = scratch.path("");
    let put = format!("http://127.0.0.1:{}/log", served.put.port());
    let log = format!("http://127.0.0.1:{}/log/secret", served.get.port());
    let mut upload = curl(&here, &["-T", "-", &put]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = upload.stdin.take().unwrap();
    input.write_all(b"line 1\n").unwrap();
    let mut follow = curl(&here, &["-N", &log]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "line 1", "as it comes");
    input.write_all(b"line 2\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "line 2");
    drop(input);
    assert!(upload.wait().unwrap().success());
    assert!(follow.wait().unwrap().success(), "a complete stream ends well");

    scratch.write("part", "line 1\nli");
    assert!(curl(&here, &["-C", "-", "-o", "part", &log]).status().unwrap().success());
    assert_eq!(std::fs::read_to_string(scratch.path("part")).unwrap(), "line 1\nline 2\n");
    let tail = curl(&here, &["-r", "-7", &log]).output().unwrap();
    assert_eq!(tail.stdout, b"line 2\n");
    let refused = curl(&here, &["-f", &log.replace("secret", "Secret")]).status().unwrap();
    assert_eq!(refused.code(), Some(22), "a wrong token");
}

#[test]
fn curl_writes_and_reads_over_http2_without_tls() {
    if !has_curl() {
        return;
    }
    let version = Command::new("curl").arg("--version").output().unwrap();
    if !String::from_utf8_lossy(&version.stdout).contains("HTTP2") {
        eprintln!("curl knows no HTTP/2: nothing was checked");
        return;
    }
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &[], &[]);
    let here = scratch.path("");
    let [put, log] = [served.put, served.get].map(|at| format!("http://{at}/v1/streams/log"));
    let http2 = ["--http2-prior-knowledge", "-w", "HTTP/%{http_version} %{http_code}\n"];
    let talk = |arguments: &[&str]| curl(&here, &[&http2, arguments].concat());
    let mut upload =
        talk(&["-T", "-", &put]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = upload.stdin.take().unwrap();
    input.write_all(b"line 1\n").unwrap();
    wait_for_header(served.get, "/v1/streams/log", "logq-length", "7");
    let mut follow = talk(&["-N", &log]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "line 1", "as it comes");
    input.write_all(b"line 2\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "line 2");
    drop(input);
    let upload = upload.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(upload.stdout).unwrap(), "HTTP/2 201\n");
    assert_eq!(lines.next().unwrap().unwrap(), "HTTP/2 200");
    assert!(follow.wait().unwrap().success(), "a complete stream ends well");
    let tail = talk(&["-r", "-7", &log]).output().unwrap();
    assert_eq!(tail.stdout, b"line 2\nHTTP/2 206\n");
}

#[test]
fn curl_asks_a_store_for_json_lines() {
    if !has_curl() {
        return;
    }
    let scratch = Scratch::new();
    scratch.store("shop", crate::common::CLUSTER);
    let served = Served::start(&scratch, &["shop"], &[]);
    let port = served.get.port();
    let url = format!("http://127.0.0.1:{port}/v1/stores/shop/records?level=error");
    let asked = |accept: &str| {
        let header = format!("Accept: {accept}");
        let output = curl(&scratch.path(""), &["-f", "-H", &header, &url]).output().unwrap();
        assert!(output.status.success(), "{accept}: {:?}", output.status);
        String::from_utf8(output.stdout).unwrap()
    };
    let objects = |lines: &str| -> Vec<serde_json::Value> {
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let lines = objects(&asked("application/x-ndjson"));
    let printed = scratch.run(&["-l", "error", "-o", "json", "shop"]);
    assert!(!lines.is_empty() && lines == objects(&printed.stdout), "{lines:?} {printed:?}");
    let text = asked("*/*");
    assert!(text.contains("no stock") && !text.starts_with('{'), "{text}");
}
