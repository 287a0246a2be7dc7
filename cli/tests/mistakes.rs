//! What people get wrong, and what files can have wrong: each answer says the way out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{CLUSTER, Scratch};

fn check(scratch: &Scratch, arguments: &[&str], code: i32, parts: &[&str]) {
    let run = scratch.run(arguments);
    assert_eq!(run.code, code, "{arguments:?} {run:?}");
    for part in parts {
        assert!(run.stderr.contains(part), "{arguments:?}: {part:?} is not in\n{}", run.stderr);
    }
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    check(
        &scratch,
        &["-l", "eror", "store"],
        2,
        &["unknown level \"eror\"", "did you mean \"ERROR\"?"],
    );
    check(&scratch, &["-t", "REQEST", "store"], 2, &["did you mean \"REQUEST\"?"]);
    check(&scratch, &["-W", "one", "store"], 2, &["unknown worker \"one\"", "master"]);
    check(&scratch, &["--request", "abc", "store"], 2, &["not a request id", "UUID"]);
    check(&scratch, &["-g", "(", "store"], 2, &["--grep", "unclosed group"]);
    check(&scratch, &["-n", "few", "store"], 2, &["\"few\"", "+number"]);
    check(&scratch, &["--by", "colour", "store"], 2, &["statusCode"]);
    check(&scratch, &["--colour", "store"], 2, &["--color"]);
    check(&scratch, &["-Z", "Europe/Berln", "store"], 2, &["Europe/Berlin"]);
    check(
        &scratch,
        &["-S", "2026-13-01", "store"],
        2,
        &["month", "\n  2026-13-01\n       ^", "accepted"],
    );
    check(&scratch, &["-S", "yestreday", "store"], 2, &["yesterday"]);
    check(&scratch, &["-S", "15:00", "-U", "14:00", "store"], 2, &["the interval is empty"]);
    check(&scratch, &["-S", "run-7", "store"], 2, &["run"]);
    check(&scratch, &["-o", "xml", "store"], 2, &["short", "json", "cat"]);
    check(&scratch, &["verfy", "store"], 2, &["no such store", "did you mean `logq verify`?"]);
    let run = scratch.run(&["-c", "verfy"]);
    assert!(!run.stderr.contains("did you mean"), "a store can have any name: {run:?}");
    // The caret stood under another place behind wide letters, and the reason behind it once more.
    let lines = ["\n  data.日本 = 1 or level = loud\n", "\n                           ^\n"];
    check(&scratch, &["-w", "data.日本 = 1 or level = loud", "store"], 2, &lines);
    let run = scratch.command(&["-c", "store"]).env("LOGQ_TZ", "Mars/Base").output().unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.starts_with("logq: LOGQ_TZ: cannot read the time zone"), "{told}");
}

/// Help that nobody could write down was told as a success.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_whatever_is_printed() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    for arguments in [&["--help"][..], &["--version"], &["help", "errors"], &["store"], &["man"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = scratch.command(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("cannot write to standard output"), "{arguments:?}: {told}");
    }
}

/// Opening a pipe that somebody had put among the segments waited for its other end for ever.
#[test]
fn a_pipe_among_the_segments_is_told_and_not_waited_for() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let pipe = scratch.path("store/0000000009-20260203T140000Z.logq");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for arguments in [&["-c", "store"][..], &["verify", "store"], &["stats", "store"]] {
        let mut child = scratch.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(
            told.contains(
                "0000000009-20260203T140000Z.logq: cannot be read: it is no regular file"
            ),
            "{told}"
        );
    }
}

/// What was cut off was told block by block, of which the last one, with all the rest of the file, was
/// not among those listed; what the others had held was told as if it were all.
#[test]
fn a_file_truncated_while_it_is_read_is_told_as_one_place() {
    const RECORDS: usize = 24_000;
    let scratch = Scratch::new();
    // What does not compress makes a file that is hopped through in many steps.
    let mut rng = fastrand::Rng::with_seed(7);
    let mut line = |n: usize| {
        let (minute, micros) = (n / 1000, n % 1000);
        let text: String = std::iter::repeat_with(|| rng.alphanumeric()).take(1000).collect();
        format!(
            "{{\"timestamp\":\"2026-02-03T14:{minute:02}:00.{micros:06}Z\",\"level\":\"INFO\",\"n\":{n},\"message\":\"{text}\"}}\n"
        )
    };
    scratch.store("store", &(0..RECORDS).map(&mut line).collect::<String>());
    let segment = scratch.segments("store").remove(0);
    let mut command = scratch.command(&["-j", "1", "-o", "json", "store"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // As soon as something is printed, the pipe is full and little more is decoded.
    let mut text = vec![0; 1];
    out.read_exact(&mut text).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.set_len(file.metadata().unwrap().len() / 8).unwrap();
    out.read_to_end(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    let printed = text.iter().filter(|byte| **byte == b'\n').count();
    assert!(printed < RECORDS, "{told}");
    let places =
        told.lines().filter(|line| line.ends_with("the file was truncated while it was read"));
    assert_eq!(places.count(), 1, "{told}");
    assert!(!told.contains(" more damaged places"), "{told}");
    let held = told.lines().find(|line| line.contains("cannot be read there"));
    assert!(
        held.is_none_or(|line| line.contains(" records or more from 2026-02-03T14:")),
        "{told}"
    );
}

#[test]
fn wrong_paths_are_told_what_a_store_is() {
    let scratch = Scratch::new();
    scratch.write("notes.txt", "text");
    std::fs::create_dir(scratch.path("folder")).unwrap();
    scratch.write("folder/other.txt", "text");
    scratch.write("0000000001-x.logq", "text");
    check(&scratch, &["nowhere"], 2, &["nowhere", "no such store", "*.logq"]);
    check(&scratch, &["notes.txt"], 2, &["notes.txt", "not a store", "logq import"]);
    check(&scratch, &["folder"], 2, &["folder", "not a store"]);
    check(&scratch, &["0000000001-x.logq"], 3, &["0000000001-x.logq"]);
    check(&scratch, &["stats", "nowhere"], 2, &["no such store"]);
    check(&scratch, &["import", "--to", "new", "nowhere.log"], 2, &["cannot open", "nowhere.log"]);
    assert!(!scratch.path("new").exists(), "a mistake leaves nothing behind");
    check(&scratch, &["import", "--to", "notes.txt", "folder/other.txt"], 2, &["notes.txt"]);
    check(&scratch, &["import", "notes.txt"], 2, &["--to <STORE>"]);
}

#[test]
fn an_empty_store_is_no_error() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("empty")).unwrap();
    let run = scratch.run(&["empty"]);
    assert_eq!((run.stdout.as_str(), run.code), ("", 1), "{run:?}");
    let run = scratch.run(&["stats", "empty"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("records   0"), "{}", run.stdout);
}

#[test]
fn damage_is_skipped_told_and_in_the_exit_status() {
    let scratch = Scratch::new();
    let many: String = (0..3_000)
        .map(|n| {
            format!(
                "{{\"ts\":{}.5,\"msg\":\"record number {n}\",\"random\":\"{:x}\"}}\n",
                1_770_000_000 + n,
                n * 7_919_i64 % 104_729
            )
        })
        .collect();
    scratch.store("store", &many);
    let segment = scratch.segments("store").remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, &bytes).unwrap();

    let run = scratch.run(&["-o", "json", "store"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("skipped") || run.stderr.contains("missing"), "{}", run.stderr);
    let found = run.stdout.lines().count();
    assert!(found > 0 && found < 3_000, "{found} records are left");
    assert_eq!(scratch.run(&["-q", "-c", "store"]).stderr, "");
    // Statistics do not read texts; a damaged header is no text. The first block of records follows
    // the file header of 256 bytes and a ping of 100.
    bytes[256 + 100 + 20] ^= 0x40;
    std::fs::write(&segment, &bytes).unwrap();
    let stats = scratch.run(&["stats", "store"]);
    assert_eq!(stats.code, 3, "{}", stats.stdout);
    assert!(!stats.stdout.contains("gaps      0, 0 records missing"), "{}", stats.stdout);

    // Everything behind the header is gone.
    std::fs::write(&segment, &bytes[..300]).unwrap();
    let run = scratch.run(&["-c", "store"]);
    assert!(run.code == 1 || run.code == 3, "{run:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_that_may_not_be_read_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    if nix::unistd::geteuid().is_root() {
        // Root may read everything, so the same is tried with a loop of links.
        let scratch = Scratch::new();
        std::os::unix::fs::symlink("loop", scratch.path("loop")).unwrap();
        check(&scratch, &["loop"], 2, &["loop"]);
        return;
    }
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(scratch.path("store"), closed).unwrap();
    check(&scratch, &["store"], 2, &["store", "denied"]);
}

/// Whoever closes standard error, as `2>&1 | head -1` does, must not make the command panic: `logq run`
/// would leave its program alone.
#[test]
fn nobody_has_to_read_standard_error() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let cases: [(&[&str], i32); 4] = [
        (&["-w", "stauts = 3", "store"], 2),
        (&["-o", "json", "--explain", "store"], 0),
        (&["import", "--to", "other", "nowhere.log"], 2),
        (&["run", "--to", "other", "--", "nowhere-at-all"], 127),
    ];
    for (arguments, code) in cases {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = scratch.command(arguments);
        let status = command.stdout(std::process::Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
