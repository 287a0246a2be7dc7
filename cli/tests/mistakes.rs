//! What people get wrong, and what files can have wrong: each answer says the way out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

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
