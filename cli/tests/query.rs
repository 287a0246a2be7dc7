//! Questions: what is printed, in which order, with which exit status.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use common::{CLUSTER, Scratch};

fn cluster() -> Scratch {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    scratch
}

/// The lines of the cluster with these numbers, from 0.
fn lines(numbers: &[usize]) -> String {
    let all: Vec<_> = CLUSTER.lines().collect();
    numbers.iter().map(|n| format!("{}\n", all[*n])).collect()
}

#[test]
fn json_output_gives_every_record_back_as_it_was() {
    let run = cluster().run(&["-o", "json", "store"]);
    assert_eq!(run.stdout, CLUSTER);
    assert_eq!((run.stderr.as_str(), run.code), ("", 0));
}

#[test]
fn options_select_records() {
    let scratch = cluster();
    let check = |options: &[&str], expected: &[usize]| {
        let mut arguments = vec!["-o", "json"];
        arguments.extend(options);
        arguments.push("store");
        let run = scratch.run(&arguments);
        assert_eq!(run.stdout, lines(expected), "{options:?} {}", run.stderr);
        assert_eq!(run.code, i32::from(expected.is_empty()), "{options:?}");
    };
    check(&["-S", "2026-02-03T14:00:30Z"], &[7, 8]);
    check(&["-U", "2026-02-03 14:00:01"], &[0]);
    check(&["--since", "2026-02-03 14:00:02.1", "--until", "2026-02-03 14:00:02.3"], &[3, 4]);
    check(&["-S", "2026-02-03 14:00:02.1", "-U", "since+150ms"], &[3, 4]);
    check(&["--in", "2026-02-03 14:00:02"], &[2, 3, 4, 5, 6]);
    check(&["--around", "2026-02-03 14:00:30", "--window", "1s"], &[7]);
    check(&["-S", "start", "-U", "start+1500ms"], &[0, 1]);
    check(&["-S", "crash"], &[7, 8]);
    check(&["-l", "error"], &[5]);
    check(&["-l", "w"], &[4, 5, 7]);
    check(&["-l", "warn..warn"], &[4, 7]);
    check(&["-t", "REQUEST"], &[2]);
    check(&["-t", "request_meta,response"], &[3, 5]);
    check(&["-t", "log", "-t", "WORKER_EXITED"], &[4, 7, 8]);
    check(&["-t", "LIFECYCLE"], &[0, 1, 7]);
    check(&["-W", "3"], &[1, 2, 3, 4, 5, 6, 7]);
    check(&["-W", "master"], &[0, 8]);
    check(&["-W", "9"], &[]);
    check(&["--request", "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e", "-l", "w"], &[4, 5]);
    check(&["--request", "00000000-0000-4000-8000-000000000000"], &[]);
    check(&["-g", "SELECT"], &[5]);
    check(&["-g", "no STOCK"], &[]);
    check(&["-g", "no stock|/cart"], &[2, 5]);
    check(&["-g", "sigkill"], &[7]);
    check(&["-n", "2"], &[7, 8]);
    check(&["-n", "+2"], &[0, 1]);
    check(&["-n", "2", "-r"], &[8, 7]);
    check(&["-n", "+2", "-r"], &[1, 0]);
    check(&["-r", "-l", "w"], &[7, 5, 4]);
    check(&["-n", "all", "-l", "w"], &[4, 5, 7]);
    check(&["-n", "1", "-l", "w", "-U", "2026-02-03 14:00:02.3"], &[4]);
}

#[test]
fn the_short_form_is_readable_and_safe() {
    let run = cluster().run(&["store"]);
    let expected = "\
2026-02-03T14:00:00.000Z INFO  master          STARTING_UP
2026-02-03T14:00:01.000Z INFO  w3              WORKER_SPAWNED
2026-02-03T14:00:02.000Z INFO  w3     6f1c2f6e GET /cart?item=7 HTTP/1.1 from 192.0.2.7
2026-02-03T14:00:02.100Z INFO  w3     6f1c2f6e meta {\"user\":\"ann\"}
2026-02-03T14:00:02.200Z WARN  w3     6f1c2f6e slow \\u{1b}[31mdisk ms=250
2026-02-03T14:00:02.300Z ERROR w3     6f1c2f6e 500 312 B in 299.999 ms: Error: no stock (+2 lines, 1 debug)
2026-02-03T14:00:02.300Z INFO  w3     6f1c2f6e finished 312 B
2026-02-03T14:00:30.000Z WARN  w3              WORKER_EXITED by SIGKILL
2026-02-03T14:00:59.999Z INFO  master          [\"last\",1.50]
";
    assert_eq!(run.stdout, expected);
}

#[test]
fn the_verbose_form_shows_stacks_and_debug_entries() {
    let run = cluster().run(&["-v", "-l", "error", "store"]);
    let expected = "\
2026-02-03T14:00:02.300Z ERROR w3     6f1c2f6e 500 312 B in 299.999 ms: Error: no stock
      at order
      at main
    properties {\"sku\":7}
    2026-02-03T14:00:02.250Z DEBUG {\"sql\":\"SELECT 1\"}
";
    assert_eq!(run.stdout, expected);
}

#[test]
fn times_are_printed_in_the_zone_they_are_read_in_and_read_back() {
    let scratch = cluster();
    let first = |zone: &str| {
        let run = scratch.run(&["-Z", zone, "-n", "+1", "store"]);
        run.stdout.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(first("Asia/Kolkata"), "2026-02-03T19:30:00.000+05:30");
    assert_eq!(first("-03:00"), "2026-02-03T11:00:00.000-03:00");
    for zone in ["Asia/Kolkata", "-03:00", "UTC"] {
        let run = scratch.run(&["-Z", zone, "-S", &first(zone), "-U", "since+1us", "-c", "store"]);
        assert_eq!((run.stdout.as_str(), run.code), ("1\n", 0), "{zone}");
    }
    let run = scratch.run(&["-Z", "Asia/Kolkata", "-S", "2026-02-03 19:30:59", "-c", "store"]);
    assert_eq!(run.stdout, "1\n");
}

#[test]
fn counts_are_told_by_field() {
    let scratch = cluster();
    let check = |options: &[&str], expected: &str| {
        let mut arguments = options.to_vec();
        arguments.push("store");
        assert_eq!(scratch.run(&arguments).stdout, expected, "{options:?}");
    };
    check(&["-c"], "9\n");
    check(&["-c", "-l", "w"], "3\n");
    check(&["-c", "-g", "no stock", "-o", "json"], "{\"count\":1}\n");
    check(&["--by", "level"], "           1 ERROR\n           2 WARN\n           6 INFO\n");
    check(&["--by", "statusCode", "-o", "json"], "{\"count\":1,\"statusCode\":500}\n");
    check(&["--by", "workerId"], "           2 master\n           7 3\n");
    check(
        &["--by", "type", "-S", "2026-02-03 14:00:02", "-l", "w"],
        "           1 RESPONSE\n           1 LOG\n           1 LIFECYCLE\n",
    );
}

#[test]
fn colours_are_for_terminals_unless_forced() {
    let scratch = cluster();
    let coloured = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains("\u{1b}[")
    };
    assert!(!coloured(&mut scratch.command(&["store"])));
    assert!(coloured(&mut scratch.command(&["--color", "always", "store"])));
    assert!(coloured(scratch.command(&["store"]).env("CLICOLOR_FORCE", "1")));
    let both = &mut scratch.command(&["store"]);
    assert!(!coloured(both.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")));
}

#[test]
fn the_store_comes_from_the_environment_or_the_current_directory() {
    let scratch = cluster();
    let output = scratch.command(&["-c"]).env("LOGQ_DIR", "store").output().unwrap();
    assert_eq!(output.stdout, b"9\n");
    let here = scratch.path("store");
    let output = scratch.command(&["-c"]).current_dir(here).output().unwrap();
    assert_eq!(output.stdout, b"9\n");
}

#[test]
fn several_stores_and_segments_are_one_answer() {
    let scratch = cluster();
    scratch.store("other", &CLUSTER.lines().take(1).collect::<String>().replace(":00.0", ":10.0"));
    let segment = scratch.segments("store").remove(0);
    let run = scratch.run(&["-o", "json", segment.to_str().unwrap(), "other"]);
    assert_eq!(run.stdout.lines().count(), 10);
    let times: Vec<_> = run.stdout.lines().map(|line| &line[14..41]).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn no_match_is_told_apart_from_no_coverage() {
    let scratch = cluster();
    let code = |options: &[&str]| {
        let mut arguments = options.to_vec();
        arguments.push("store");
        scratch.run(&arguments).code
    };
    assert_eq!(code(&["-g", "nowhere"]), 1);
    assert_eq!(code(&["-l", "critical", "--in", "2026-02-03 14:00:30"]), 1);
    assert_eq!(code(&["--in", "2026-02-02"]), 4, "before the first record");
    assert_eq!(code(&["--in", "2030"]), 4, "after the last one");
    assert_eq!(code(&["-c", "-g", "nowhere"]), 1);
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let scratch = Scratch::new();
    let line = CLUSTER.lines().next().unwrap();
    let many: String = (0..20_000)
        .map(|n| format!("{}\n", line.replace("\"seq\":0", &format!("\"seq\":{n}"))))
        .collect();
    scratch.store("store", &many);
    let mut child = scratch
        .command(&["-o", "json", "store"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stderr.as_slice(), output.status.code()), (b"".as_slice(), Some(141)));
}

#[test]
fn a_full_disk_is_an_error() {
    let scratch = cluster();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = scratch.command(&["store"]).stdout(full).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("cannot write to standard output"), "{message}");
}
