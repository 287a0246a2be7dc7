//! `logq serve` and the disk: one that is full, one that may not be written, files of others, stores that
//! explode.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::{Answer, Ended, Writing, ask, connect, get, send};
use crate::common::Scratch;
use crate::served::{Served, environment, wait_for_header};
use nix::sys::signal::Signal;

const PATH: &str = "/v1/streams/build";

/// A small disk that only processes in its namespace see; it goes when this is dropped.
struct Disk {
    /// Holds the namespace.
    holder: Child,
    path: PathBuf,
}

impl Disk {
    /// A disk of so many bytes; `None` where the system does not let this user make one.
    fn new(scratch: &Scratch, size: &str) -> Option<Self> {
        let path = scratch.path("disk");
        std::fs::create_dir(&path).unwrap();
        let line = format!(
            "mount -t tmpfs -o mode=700,size={size} disk {} && echo there && cat",
            path.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut told).unwrap();
        if told != "there\n" {
            holder.wait().unwrap();
            eprintln!("NOT TESTED ON A DISK OF ITS OWN: no namespaces of users here");
            return None;
        }
        Some(Self { holder, path })
    }

    /// A program that sees it.
    fn command(&self, scratch: &Scratch, line: &[&str]) -> Command {
        let mut command =
            scratch.shell("exec nsenter --preserve-credentials --user --mount --target \"$@\"");
        command.arg("sh").arg(self.holder.id().to_string()).args(line);
        command
    }

    /// Mounts or unmounts something.
    fn change(&self, scratch: &Scratch, line: &[&str]) {
        let output = self.command(scratch, line).output().unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
    }

    /// The command line of a server whose streams are on it.
    fn serve(&self, scratch: &Scratch) -> Command {
        let logq = env!("CARGO_BIN_EXE_logq");
        let dir = self.path.join("streams");
        let line = [logq, "serve", "--min-free=0", "--writer-grace=1h", "--dir"];
        let mut command = self.command(scratch, &[&line[..], &[dir.to_str().unwrap()]].concat());
        environment(&mut command, scratch);
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// E.4.1
#[test]
fn on_a_full_disk_streams_end_and_what_came_before_is_kept() {
    let scratch = Scratch::new();
    let Some(disk) = Disk::new(&scratch, "1m") else { return };
    let served = Served::spawn(&mut disk.serve(&scratch));
    assert_eq!(send(served.put, "PUT", "/v1/streams/done", &[], b"done").status, 201);
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let mut writer = Writing::put(served.put, PATH);
    writer.write(&bytes[..1_000]);
    wait_for_header(served.get, PATH, "logq-state", "open");
    let mut reader = get(served.get, PATH, &[("TE", "trailers")]);
    for piece in bytes[1_000..].chunks(50_000) {
        if writer.try_write(piece).is_err() {
            break;
        }
    }
    let (got, ended) = reader.rest();
    assert_eq!((ended, reader.trailer("logq-state")), (Ended::Complete, Some("truncated")));
    assert!(got.len() > 500_000 && bytes.starts_with(&got), "{}", got.len());
    assert_eq!(writer.answer().status, 507);
    assert_eq!(send(served.put, "PUT", "/v1/streams/more", &[], &bytes).status, 507);
    assert_eq!(get(served.get, "/v1/streams/done", &[]).text(), "done");

    // The state is on the disk although there was no room for it.
    served.signal(Signal::SIGKILL);
    served.ended();
    let served = Served::spawn(&mut disk.serve(&scratch));
    let mut again = get(served.get, PATH, &[]);
    assert_eq!(again.header("logq-state"), Some("truncated"));
    assert!(again.rest() == (got, Ended::Complete));
    assert_eq!(get(served.get, "/v1/streams/done", &[]).text(), "done");

    // Who makes room can write again.
    assert_eq!(ask(served.put, "DELETE", PATH, &[]).status, 204);
    assert_eq!(send(served.put, "PUT", "/v1/streams/fits", &[], &bytes[..500_000]).status, 201);
}

/// E.4.1
#[test]
fn where_a_disk_may_only_be_read_streams_are_read() {
    let scratch = Scratch::new();
    let Some(disk) = Disk::new(&scratch, "8m") else { return };
    let served = Served::spawn(&mut disk.serve(&scratch));
    let streams = disk.path.join("streams");
    let streams = streams.to_str().unwrap();
    assert_eq!(send(served.put, "PUT", "/v1/streams/done", &[], b"done").status, 201);
    let mut writer = Writing::put(served.put, PATH);
    writer.write(b"before ");
    wait_for_header(served.get, PATH, "logq-state", "open");
    let mut reader = get(served.get, PATH, &[]);

    // A mount cannot be taken from whoever writes into it, but what is opened from now on is read only.
    disk.change(&scratch, &["mount", "--bind", streams, streams]);
    disk.change(&scratch, &["mount", "-o", "remount,bind,ro", streams]);
    let mut refused = send(served.put, "PUT", "/v1/streams/new", &[], b"x");
    let text = refused.text();
    assert_eq!((refused.status, text.as_str()), (500, "the stream cannot be written\n"));
    assert_eq!(get(served.get, "/v1/streams/new", &[]).status, 404);
    assert_eq!(get(served.get, "/v1/streams/done", &[]).text(), "done");
    writer.write(b"after");
    assert_eq!(writer.finish().status, 201);
    assert_eq!(reader.text(), "before after");
    served.signal(Signal::SIGTERM);
    let (status, said) = served.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    let told = "stream build: cannot record that it is complete: Read-only file system";
    assert!(said.contains(told), "{said}");

    // A server that could not write anything does not start.
    disk.change(&scratch, &["umount", streams]);
    disk.change(&scratch, &["mount", "-o", "remount,ro", disk.path.to_str().unwrap()]);
    let output = disk.serve(&scratch).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("streams/lock") && said.contains("Read-only file system"), "{said}");

    // What could not be recorded is not made up: every byte is there, and it may be that more was to come.
    disk.change(&scratch, &["mount", "-o", "remount,rw", disk.path.to_str().unwrap()]);
    let served = Served::spawn(&mut disk.serve(&scratch));
    let head = ask(served.get, "HEAD", PATH, &[]);
    let told = (head.header("logq-state"), head.header("logq-length"));
    assert_eq!(told, (Some("interrupted"), Some("12")));
    assert_eq!(get(served.get, "/v1/streams/done", &[]).text(), "done");
}

fn modes(directory: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let mut found = vec![(".".to_owned(), mode(directory))];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap_or(path.file_name().unwrap());
        found.push((ending.to_str().unwrap().to_owned(), mode(&path)));
    }
    found.sort();
    found
}

/// E.4.2
#[test]
fn files_are_private_whatever_the_mask() {
    let expected = [
        (".", 0o700),
        ("json", 0o600),
        ("json", 0o600),
        ("lock", 0o600),
        ("log", 0o600),
        ("log", 0o600),
    ];
    let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
    for arguments in ["", "--dir streams"] {
        let scratch = Scratch::new();
        let logq = env!("CARGO_BIN_EXE_logq");
        let mut command = scratch.shell(&format!("umask 0; exec {logq} serve {arguments}"));
        let served = Served::spawn(environment(&mut command, &scratch));
        assert_eq!(send(served.put, "PUT", "/v1/streams/done", &[], b"done").status, 201);
        let mut writer = Writing::put(served.put, PATH);
        writer.write(b"x");
        wait_for_header(served.get, PATH, "logq-state", "open");
        assert_eq!(modes(&served.directory), expected, "{arguments}");
    }
}

/// E.4.2
#[test]
fn links_are_not_followed_and_directories_of_others_not_used() {
    let scratch = Scratch::new();
    let secret = scratch.write("secret", "secret");
    let start = || Served::start(&scratch, &["--dir", "streams"], &[]);
    let served = start();
    assert_eq!(send(served.put, "PUT", PATH, &[], b"hello").status, 201);
    assert_eq!(send(served.put, "PUT", "/v1/streams/other", &[], b"other").status, 201);
    served.signal(Signal::SIGTERM);
    served.ended();
    let streams = scratch.path("streams");
    let file = |name: &str, ending: &str| -> PathBuf {
        let paths = std::fs::read_dir(&streams).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.starts_with(name) && file.ends_with(ending)
        };
        paths.into_iter().find(is_it).unwrap()
    };
    for path in [file("build", ".log"), file("other", ".json")] {
        std::fs::remove_file(&path).unwrap();
        symlink(&secret, &path).unwrap();
    }
    let served = start();
    assert_eq!(get(served.get, PATH, &[]).status, 404);
    assert_eq!(get(served.get, "/v1/streams/other?follow=0", &[]).text(), "other");
    assert_eq!(send(served.put, "PUT", PATH, &[], b"new").status, 201);
    assert_eq!(get(served.get, PATH, &[]).text(), "new");
    served.signal(Signal::SIGTERM);
    let (_, said) = served.ended();
    assert!(said.contains("stream build: left out, its file cannot be opened"), "{said}");
    assert!(said.contains("stream other: its record is damaged"), "{said}");

    let refused = |told: &str| {
        let mut command = scratch.command(&["serve", "--dir", "streams"]);
        let output = environment(&mut command, &scratch).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(told), "{said}");
    };
    std::fs::remove_file(streams.join("lock")).unwrap();
    symlink(&secret, streams.join("lock")).unwrap();
    refused("streams/lock");
    std::fs::remove_file(streams.join("lock")).unwrap();
    std::fs::set_permissions(&streams, std::fs::Permissions::from_mode(0o777)).unwrap();
    refused("chmod 700");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
}

/// The most memory a process has had so far, in MiB.
fn peak_mib(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// E.4.3: a few kilobytes of a segment that are millions of records.
#[test]
fn a_store_that_explodes_takes_little_memory() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("shop")).unwrap();
    let segment = logq_testkit::bomb::bomb(8).unwrap();
    assert!(segment.len() < 64 << 10, "{}", segment.len());
    scratch.write("shop/0000000001-20260203T000000Z.logq", segment);
    let served = Served::start(&scratch, &["shop"], &[]);
    let before = peak_mib(&served);
    let ask = |question: &str| get(served.get, &format!("/v1/stores/shop/{question}"), &[]);
    let stats: serde_json::Value = serde_json::from_str(&ask("stats").text()).unwrap();
    assert_eq!(stats["records"], 8 << 18);
    for question in [
        "records?format=json&limit=1000",
        "records?order=desc&limit=1000",
        "histogram",
        "aggregate?by=type",
    ] {
        let mut answer = ask(question);
        assert_eq!(answer.status, 200, "{question}");
        assert_eq!(answer.rest().1, Ended::Complete, "{question}");
    }
    // All of them would be hundreds of megabytes of text: taken as far as the client goes.
    let mut all = ask("records?format=json");
    assert_eq!(all.exactly(4 << 20).len(), 4 << 20);
    drop(all);
    let grown = peak_mib(&served) - before;
    assert!(grown < 160, "{grown} MiB more than before");
}

/// E.4.3
#[test]
fn bodies_that_would_have_to_be_unpacked_are_refused_before_they_come() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &[], &[]);
    for coding in ["gzip", "zstd", "br", "deflate", "x-gzip", "identity, gzip"] {
        for method in ["PUT", "PATCH"] {
            let mut connection = connect(served.put);
            let head = format!(
                "{method} {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {coding}\r\n\
                Logq-Offset: 0\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
            );
            connection.write_all(head.as_bytes()).unwrap();
            let answer = Answer::read(connection, false);
            assert_eq!(answer.status, 415, "{method} {coding}");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
    // Said in the other place, where it would be undone by the protocol.
    let mut connection = connect(served.put);
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(get(served.get, PATH, &[]).status, 404, "nothing was stored");
}
