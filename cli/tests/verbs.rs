//! Verbs that ask about requests and errors.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use common::{CLUSTER, Scratch};
use serde_json::Value;

const REQUEST: &str = "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e";

fn cluster() -> Scratch {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    scratch
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_request_is_a_timeline_with_its_debug_entries_in_place() {
    let scratch = cluster();
    let run = scratch.run(&["trace", REQUEST, "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    let steps: Vec<_> = run.stdout.lines().map(|line| line.trim().to_owned()).collect();
    let at = |part: &str| {
        let place = steps.iter().position(|line| line.contains(part));
        place.unwrap_or_else(|| panic!("{part:?} is not in\n{}", run.stdout))
    };
    let order = [at("GET /cart"), at("DEBUG"), at("500")];
    assert!(order.is_sorted(), "{}", run.stdout);
    assert!(steps[order[0]].starts_with("+0.000 "), "{}", run.stdout);
    let same = scratch.run(&["trace", "6F1C2f6e", "store", "--utc"]);
    assert_eq!(same.stdout, run.stdout, "the first digits will do");

    let json = objects(&scratch.run(&["trace", REQUEST, "store", "-o", "json"]).stdout);
    let records = objects(&scratch.run(&["--request", REQUEST, "-o", "json", "store"]).stdout);
    let (entries, rest): (Vec<_>, Vec<_>) = json.into_iter().partition(|o| o["type"] == "DEBUG");
    assert_eq!(rest, records);
    assert!(!entries.is_empty());
}

#[test]
fn a_wrong_id_is_answered_with_what_an_id_is() {
    let scratch = cluster();
    let run = scratch.run(&["trace", "6f", "store"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("first 4 or more"), "{}", run.stderr);
    let run = scratch.run(&["trace", "00000000", "store"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
}

/// Records of request number `n`, at a second of the minute.
fn record(n: u32, second: u32, kind: &str, fields: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-02-03T14:00:{second:02}.000000Z\",\"level\":\"INFO\",\
         \"type\":\"{kind}\",\"workerId\":{},\"writer\":{},\"seq\":{second},\
         \"requestId\":\"00000000-0000-4000-8000-00000000000{n}\",{fields}}}\n",
        n % 2 + 1,
        n % 2 + 10,
    )
}

fn requests() -> Scratch {
    let request = "\"httpVersion\":\"1.1\",\"method\":\"GET\",\"url\":\"/slow\\u001b[31m\"";
    let lines = [
        record(0, 1, "REQUEST", request),
        record(1, 2, "REQUEST", request),
        record(2, 3, "REQUEST", request),
        record(0, 4, "RESPONSE", "\"statusCode\":200"),
        record(0, 5, "RESPONSE_FINISHED", "\"bytes\":10"),
        record(2, 6, "RESPONSE", "\"statusCode\":503"),
        "{\"timestamp\":\"2026-02-03T14:00:08.000000Z\",\"level\":\"WARN\",\"type\":\"LIFECYCLE\",\
         \"workerId\":2,\"writer\":1,\"seq\":0,\"event\":\"WORKER_EXITED\",\"signal\":\"SIGKILL\"}\n"
            .to_owned(),
        record(2, 9, "RESPONSE_FINISHED", "\"bytes\":10"),
    ];
    let scratch = Scratch::new();
    scratch.store("store", &lines.concat());
    scratch
}

#[test]
fn requests_in_flight_are_those_begun_and_not_ended() {
    let scratch = requests();
    let check = |arguments: &[&str], expected: &[(u64, Value)], code| {
        let mut all = vec!["inflight", "-o", "json", "store"];
        all.extend(arguments);
        let run = scratch.run(&all);
        let found: Vec<_> = objects(&run.stdout)
            .iter()
            .map(|o| {
                let id = o["requestId"].as_str().unwrap();
                (u64::from_str_radix(&id[35..], 16).unwrap(), o["statusCode"].clone())
            })
            .collect();
        assert_eq!(found, expected, "{arguments:?} {run:?}");
        assert_eq!(run.code, code, "{arguments:?}");
    };
    let none = Value::Null;
    check(
        &["--at", "2026-02-03 14:00:03.5"],
        &[(0, none.clone()), (1, none.clone()), (2, none.clone())],
        0,
    );
    check(&["--at", "2026-02-03 14:00:07"], &[(1, none.clone()), (2, 503.into())], 0);
    check(&["--at", "crash"], &[(1, none.clone()), (2, 503.into())], 0);
    check(&["--at", "crash", "-W", "2"], &[(1, none)], 0);
    check(&["--at", "2026-02-03 14:00:08.5"], &[(2, 503.into())], 0);
    check(&[], &[], 1);

    // What a process that was killed had not written is not among them, and that is told.
    let lost = |arguments: &[&str]| {
        let run = scratch.run(&[&["inflight", "store"], arguments].concat());
        run.stderr.contains("worker 2 ended badly, and its last record is of 2026-02-03T14:00:0")
    };
    assert!(lost(&["--at", "crash"]) && lost(&["--at", "crash", "-W", "2"]));
    assert!(!lost(&["--at", "crash", "-W", "1"]) && !lost(&["--at", "crash", "-q"]));
    assert!(!lost(&["--at", "2026-02-03 14:00:06.5"]) && !lost(&[]));

    let run = scratch.run(&["inflight", "--at", "2026-02-03 14:00:07", "store", "--utc"]);
    assert_eq!(
        run.stdout,
        "2026-02-03T14:00:02.000Z         5000 ms w2     00000000-0000-4000-8000-000000000001 GET /slow\\u{1b}[31m\n\
         2026-02-03T14:00:03.000Z         4000 ms w1     00000000-0000-4000-8000-000000000002 GET /slow\\u{1b}[31m, 503 sent\n"
    );
}

#[test]
fn the_same_trouble_is_listed_once() {
    let scratch = Scratch::new();
    let line = |second: u32, level: &str, message: &str| {
        format!(
            "{{\"timestamp\":\"2026-02-03T14:00:{second:02}Z\",\"level\":\"{level}\",\
             \"message\":\"{message}\"}}\n"
        )
    };
    let lines = [
        line(1, "error", "no stock for order 4711"),
        line(2, "warn", "slow: 812 ms"),
        line(3, "error", "cannot reach 192.0.2.9:5432"),
        line(4, "error", "no stock for order 4712"),
        line(5, "info", "order 4713 placed"),
    ];
    scratch.store("store", &lines.concat());
    let list = |arguments: &[&str]| {
        let mut all = vec!["errors", "-o", "json", "store"];
        all.extend(arguments);
        let run = scratch.run(&all);
        assert_eq!(run.code, 0, "{run:?}");
        let summary = |o: &Value| {
            let print = o["fingerprint"].as_str().unwrap().to_owned();
            (print, o["count"].as_u64().unwrap(), o["example"]["data"]["message"].clone())
        };
        objects(&run.stdout).iter().map(summary).collect::<Vec<_>>()
    };
    let stock = ("no stock for order <n>".to_owned(), 2, Value::from("no stock for order 4712"));
    let reach = ("cannot reach <ip>:<n>".to_owned(), 1, Value::from("cannot reach 192.0.2.9:5432"));
    let slow = ("slow: <n> ms".to_owned(), 1, Value::from("slow: 812 ms"));
    assert_eq!(list(&[]), [stock.clone(), reach.clone()]);
    assert_eq!(list(&["--new"]), [reach.clone(), stock.clone()]);
    assert_eq!(list(&["-n", "1"]), std::slice::from_ref(&stock));
    assert_eq!(list(&["-l", "warn"]), [stock, reach, slow]);

    let text = scratch.run(&["errors", "store", "-g", "stock", "--utc"]);
    assert!(text.stdout.contains("           2 ERROR    no stock for order <n>\n"), "{text:?}");
    assert!(
        text.stdout.contains("from 2026-02-03T14:00:01.000Z to 2026-02-03T14:00:04.000Z"),
        "{text:?}"
    );
    assert_eq!(scratch.run(&["errors", "store", "-g", "nothing"]).code, 1);
}

/// A store of one segment with a hundred blocks' worth of records, and the bytes of that segment.
fn long_store(scratch: &Scratch) -> (std::path::PathBuf, Vec<u8>) {
    let line = |n: u32| {
        format!("{{\"timestamp\":\"2026-02-03T14:00:00.{n:06}Z\",\"level\":\"INFO\",\"n\":{n}}}\n")
    };
    scratch.store("store", &(0..20_000).map(line).collect::<String>());
    let path = scratch.segments("store").remove(0);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn damage_is_found_told_and_left_out_of_the_copy() {
    let scratch = Scratch::new();
    let (path, mut bytes) = long_store(&scratch);
    let run = scratch.run(&["verify", "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("20000 records"), "{run:?}");
    assert!(run.stdout.ends_with("verdict    everything is intact\n"), "{run:?}");

    // One bit in the middle of the last section of a block.
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let run = scratch.run(&["verify", "store", "-o", "json"]);
    assert_eq!(run.code, 3, "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let lost = report["recordsLost"].as_u64().unwrap();
    assert!(lost > 0 && lost + report["records"].as_u64().unwrap() == 20_000, "{report}");
    let gap = &report["gaps"][0];
    let range = gap["start"].as_u64().unwrap()..gap["end"].as_u64().unwrap();
    assert!(range.contains(&(place as u64)), "{gap}");
    assert!(gap["span"]["first"].as_str().unwrap().starts_with("2026-02-03T14:00:00."), "{gap}");
    let text = scratch.run(&["verify", "store"]);
    assert!(text.stdout.contains(&format!("{lost} records lost")), "{text:?}");

    // A plain question tells as much: how many records, and from when to when.
    let (first, last) = (&gap["span"]["first"], &gap["span"]["last"]);
    let (first, last) = (first.as_str().unwrap(), last.as_str().unwrap());
    let told = format!("{lost} records between {first} and {last} cannot be read there");
    let run = scratch.run(&["-o", "cat", "store"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains(&told), "{told}: {}", run.stderr);

    let run = scratch.run(&["repair", "--to", "copy", "store"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains(&format!("{} records copied", 20_000 - lost)), "{run:?}");
    let [of_store, of_copy] =
        ["store", "copy"].map(|name| scratch.run(&["-o", "json", "-q", name]));
    assert_eq!(of_store.stdout, of_copy.stdout);
    let report = scratch.run(&["verify", "copy", "-o", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["gaps"], Value::Array(Vec::new()), "the copy is clean");
    assert_eq!(report["recordsLost"], lost, "but it does not hide what is missing");
    assert_eq!(scratch.run(&["repair", "-q", "--to", "copy", "store"]).code, 2, "not empty");
}

#[test]
fn an_intact_store_is_copied_whole() {
    let scratch = cluster();
    let run = scratch.run(&["repair", "--to", "copy", "store"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
    assert_eq!(scratch.run(&["-o", "json", "copy"]).stdout, CLUSTER);
    assert_eq!(scratch.run(&["repair", "--to", "other", "nowhere"]).code, 2);
    assert!(!scratch.path("other").exists(), "a wrong name makes no store");
}

#[test]
fn workers_tell_how_they_live_and_ended() {
    let scratch = cluster();
    let run = scratch.run(&["workers", "-o", "json", "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    let lanes = objects(&run.stdout);
    let [master, worker] = &lanes[..] else { panic!("{run:?}") };
    assert_eq!((&master["workerId"], &worker["workerId"]), (&Value::Null, &Value::from(3)));
    assert_eq!((&worker["state"], &worker["signal"]), (&"killed".into(), &"SIGKILL".into()));
    assert_eq!((&worker["records"], &worker["endedBadly"]), (&5.into(), &1.into()));
    let one = scratch.run(&["workers", "-W", "3", "store", "--utc"]).stdout;
    assert_eq!(
        one,
        "w3     killed by SIGKILL at 2026-02-03T14:00:30.000Z, started 2026-02-03T14:00:01.000Z, \
         last record 2026-02-03T14:00:02.300Z, 5 records, 1 ended badly\n"
    );
    assert_eq!(scratch.run(&["workers", "-W", "9", "store"]).code, 1);
}

#[test]
fn a_worker_that_lives_and_one_that_is_stopped_are_told_apart() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["ingest", "live"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"hello\n").unwrap();
    let state = || {
        let run = scratch.run(&["workers", "-o", "json", "live"]);
        let lanes = if run.code == 0 { objects(&run.stdout) } else { Vec::new() };
        let worker = lanes.iter().find(|lane| lane["workerId"] == 1);
        worker.map(|lane| (lane["state"].as_str().unwrap().to_owned(), lane["pid"].clone()))
    };
    let mut seen = None;
    for _ in 0..200 {
        seen = state();
        if seen.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(seen, Some(("alive".to_owned(), child.id().into())));
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(state().unwrap().0, "left");
}
