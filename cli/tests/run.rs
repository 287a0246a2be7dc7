//! `logq run --to STORE -- CMD ARGS...` with real programs: it is recorded, and otherwise as if it
//! had been started without.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::{Run, Scratch, end, wait_until};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Runs a shell script, records into `store`.
fn run(scratch: &Scratch, script: &str) -> Run {
    scratch.run(&["run", "--to", "store", "--", "sh", "-c", script])
}

fn records(scratch: &Scratch) -> Vec<Value> {
    let run = scratch.run(&["-q", "-o", "json", "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the store says happened, one line a record: lifecycle events with their facts, log records
/// with level and message.
fn story(scratch: &Scratch) -> Vec<String> {
    let tell = |record: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let worker = record["workerId"].as_u64().map_or("master".into(), |n| format!("w{n}"));
        let level = text(&record["level"]);
        if record["type"] == "LIFECYCLE" {
            let facts = ["exitCode", "signal"].iter().filter_map(|name| record.get(*name));
            let facts: String = facts.map(|fact| format!(" {fact}")).collect();
            return format!("{level} {worker} {}{facts}", text(&record["event"]));
        }
        let data = &record["data"];
        format!("{level} {worker} {} {}", text(&data["stream"]), text(&data["message"]))
    };
    records(scratch).iter().map(tell).collect()
}

/// The messages of the program.
fn messages(scratch: &Scratch) -> Vec<String> {
    let records = records(scratch);
    let of_program = records.iter().filter(|record| record["data"].get("stream").is_some());
    of_program.map(|record| record["data"]["message"].as_str().unwrap().to_owned()).collect()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap())
}

#[test]
fn a_run_is_a_story_with_beginning_and_end() {
    let scratch = Scratch::new();
    let script = "echo listening; sleep 0.3; echo 'no config' >&2; sleep 0.3; \
                  echo '{\"level\":\"debug\",\"message\":\"x\"}'; exit 7";
    let run = scratch.run(&["run", "--worker", "3", "--to", "store", "--", "sh", "-c", script]);
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (7, "", ""));
    assert_eq!(
        story(&scratch),
        [
            "INFO master STARTING_UP",
            "INFO w3 WORKER_SPAWNED",
            "INFO master  program started",
            "INFO w3 stdout listening",
            "WARN w3 stderr no config",
            "DEBUG w3 stdout x",
            "WARN w3 WORKER_EXITED 7",
            "INFO master SHUTTING_DOWN_COMPLETED",
        ]
    );
    assert_eq!(records(&scratch)[2]["data"]["program"], "sh");
}

/// The signals that this process was told to ignore, the lowest one in the lowest bit; those above 31
/// are the C library's business.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7FFF_FFFF
}

#[test]
fn the_program_gets_its_arguments_input_and_signals_as_they_are() {
    let scratch = Scratch::new();
    let script = "printf '%s,' \"$@\"; echo; cat";
    let arguments =
        ["run", "--to", "store", "--", "sh", "-c", script, "-", "--to", "", "a b", "--"];
    let run = scratch.run_with_input(&arguments, b"typed");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(messages(&scratch), ["--to,,a b,--,", "typed"]);
    // Without the two dashes, too.
    let run = scratch.run(&["run", "--to", "store", "sh", "-c", "exit 4", "--tee"]);
    assert_eq!(run.code, 4, "{run:?}");
}

#[test]
fn no_signal_is_blocked_or_ignored_that_was_not_before() {
    let scratch = Scratch::new();
    // Not by a shell, which would change it.
    let run = scratch.run(&["run", "--to", "store", "--", "grep", "Sig", "/proc/self/status"]);
    assert_eq!(run.code, 0, "{run:?}");
    let told = messages(&scratch);
    let mask = |name: &str| {
        let mask = told.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7FFF_FFFF
    };
    assert_eq!(mask("SigBlk:"), 0);
    // The runtime of this test ignores SIGPIPE, and the one of the command resets it.
    assert_eq!(mask("SigIgn:"), ignored_signals() & !(1 << 12));
}

#[test]
fn signals_reach_the_program() {
    let ignored = ignored_signals();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        if ignored >> (signal as i32 - 1) & 1 == 1 {
            // Shells cannot trap what was ignored when they were started.
            continue;
        }
        let scratch = Scratch::new();
        let name = &signal.as_str()[3..];
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.02; done"
        );
        let mut command =
            scratch.command(&["run", "--tee", "--to", "store", "--", "sh", "-c", &script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill(pid(child.id()), signal).unwrap();
        assert_eq!(end(&mut child).code(), Some(9), "{signal}");
        assert_eq!(messages(&scratch), ["ready".to_owned(), format!("got {name}")]);
        let is_shutdown = matches!(signal, Signal::SIGTERM | Signal::SIGINT);
        let told = story(&scratch).contains(&"INFO master SHUTTING_DOWN".to_owned());
        assert_eq!(told, is_shutdown, "{signal}");
    }
}

#[test]
fn a_program_that_a_signal_ends_is_told_as_shells_do() {
    let scratch = Scratch::new();
    let run = run(&scratch, "echo before; kill -9 $$");
    assert_eq!(run.code, 137, "{run:?}");
    let story = story(&scratch);
    assert!(story.contains(&"WARN w1 WORKER_EXITED \"SIGKILL\"".to_owned()), "{story:?}");
    assert_eq!(messages(&scratch), ["before"]);
}

#[test]
fn nothing_is_lost_when_the_program_dies() {
    let scratch = Scratch::new();
    let script = "i=0; while [ $i -lt 5000 ]; do echo \"{\\\"message\\\":\\\"$i\\\"}\"; \
                  i=$((i+1)); done; printf unended; kill -9 $$";
    assert_eq!(run(&scratch, script).code, 137);
    let mut expected: Vec<_> = (0..5000).map(|n| n.to_string()).collect();
    expected.push("unended".to_owned());
    assert_eq!(messages(&scratch), expected);
}

#[test]
fn processes_that_outlive_the_program_are_heard_for_a_while_and_not_waited_for() {
    let scratch = Scratch::new();
    let run = run(&scratch, "sleep 60 & echo $!; (sleep 0.2; echo late) &");
    assert_eq!(run.code, 0, "{run:?}");
    let messages = messages(&scratch);
    let sleeper = messages[0].parse().unwrap();
    assert_eq!(kill(Pid::from_raw(sleeper), Signal::SIGKILL), Ok(()), "it was not waited for");
    assert_eq!(messages[1..], ["late"]);
    let told = story(&scratch);
    let end: Vec<_> = told.iter().rev().take(3).rev().map(String::as_str).collect();
    assert!(end[0].starts_with("WARN master  the program's output did not end"), "{end:?}");
    assert_eq!(end[1..], ["INFO w1 WORKER_EXITED 0", "INFO master SHUTTING_DOWN_COMPLETED"]);
}

#[test]
fn a_program_may_close_its_output_and_go_on() {
    let scratch = Scratch::new();
    assert_eq!(run(&scratch, "echo a; exec >&- 2>&-; sleep 0.3; exit 5").code, 5);
    assert_eq!(messages(&scratch), ["a"]);
}

#[test]
fn with_tee_the_bytes_are_passed_through_as_they_are() {
    let scratch = Scratch::new();
    let script = "printf 'a\\n\\n\\377b\\r\\n c'; printf 'e\\376' >&2";
    let mut command = scratch.command(&["run", "--tee", "--to", "store", "--", "sh", "-c", script]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"a\n\n\xFFb\r\n c");
    assert_eq!(output.stderr, b"e\xFE");
    let mut found = messages(&scratch);
    found.sort();
    assert_eq!(found, ["\\xffb\n c", "a", "e\\xfe"]);
}

#[test]
fn a_reader_of_the_tee_that_goes_away_stops_nothing() {
    let scratch = Scratch::new();
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"{\\\"message\\\":\\\"$i\\\"}\"; \
                  i=$((i+1)); done; exit 3";
    let mut command = scratch.command(&["run", "--tee", "--to", "store", "--", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(end(&mut child).code(), Some(3));
    assert_eq!(messages(&scratch).len(), 3000);
}

#[test]
fn programs_that_cannot_be_run_are_told_and_recorded() {
    let scratch = Scratch::new();
    scratch.write("plain.txt", "text");
    let broken = scratch.write("broken", "#!/no/such/interpreter\n");
    std::fs::set_permissions(broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    let check = |program: &str, code, part: &str| {
        let run = scratch.run(&["run", "--to", "store", "--", program]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains(part), "{part:?} is not in\n{}", run.stderr);
        let story = story(&scratch);
        let last = &story[story.len() - 2..];
        assert!(last[0].starts_with(&format!("ERROR master  cannot run {program}")), "{last:?}");
        assert_eq!(last[1], "INFO master SHUTTING_DOWN_COMPLETED");
    };
    check("no-such-program", 127, "is it installed, and in a folder of PATH?");
    check("./no-such-program", 127, "does not exist");
    check("./broken", 127, "the interpreter in its first line");
    check("./plain.txt", 126, "chmod +x");
    let arguments: [(&[&str], i32, &str); 4] = [
        (&["--to", "plain.txt", "--", "true"], 125, "not a store: name a directory"),
        (&["--to", "store"], 2, "<CMD>"),
        (&["--", "true"], 2, "--to <STORE>"),
        (&["--worker", "16777215", "--to", "store", "--", "true"], 2, "0..=16777214"),
    ];
    for (arguments, code, part) in arguments {
        let run = scratch.run(&[&["run"], arguments].concat());
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains(part), "{part:?} is not in\n{}", run.stderr);
    }
}

/// Set for a process that becomes the reaper of its descendants and then the command.
const REAPER: &str = "LOGQ_TEST_REAPER";

/// That process; without the variable, as an ordinary test, there is nothing to do.
#[test]
fn reaper_child() {
    let Ok(store) = std::env::var(REAPER) else { return };
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    // An orphan that ends while the program still runs.
    let script = "sh -c 'sleep 0 & echo $!'; exec sleep 60";
    let error = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["run", "--tee", "--to", &store, "--", "sh", "-c", script])
        .exec();
    panic!("{error}");
}

#[test]
fn orphans_are_reaped_where_nobody_else_does() {
    let scratch = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reaper_child", "--nocapture"])
        .env(REAPER, scratch.path("store"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let orphan = lines.find_map(|line| line.parse().ok()).unwrap();
    // A process that has ended and is not reaped still has its number.
    let is_gone = || kill(Pid::from_raw(orphan), None) == Err(Errno::ESRCH);
    wait_until(format_args!("{orphan} is reaped"), is_gone);
    assert_eq!(child.try_wait().unwrap(), None, "the program still runs");
    kill(pid(child.id()), Signal::SIGTERM).unwrap();
    assert_eq!(end(&mut child).code(), Some(143));
    let story = story(&scratch);
    assert!(story.contains(&"INFO w1 WORKER_EXITED \"SIGTERM\"".to_owned()), "{story:?}");
}
