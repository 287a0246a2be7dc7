//! Directories of the Node package `super-server-logs` through the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{Run, Scratch};
use serde_json::{Map, Value, json};

/// A directory and the events in it, both written by a program for Node; `write.mjs` beside them tells
/// how. It is another implementation of the format, of zlib and of JSON.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/super-server-logs").join(name)
}

/// JSON of JavaScript, where a string may hold half a surrogate pair. logq keeps such a half in data,
/// and its escape in texts; `serde_json` refuses both.
fn parse(lines: &str) -> Vec<Map<String, Value>> {
    let lines = lines.replace(r"\\ud83d", "half").replace(r"\ud83d", "half");
    lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// One of logq's records as the Node package prints it, and its writer.
fn as_node_prints(mut record: Map<String, Value>) -> (Map<String, Value>, u64) {
    let writer = record.remove("writer").unwrap().as_u64().unwrap();
    let sequence = record.remove("seq").unwrap().as_u64().unwrap();
    record.insert("nonce".to_owned(), json!(sequence % 65_536));
    let millis = |time: &Value| {
        let time: logq_format::Timestamp = time.as_str().unwrap().parse().unwrap();
        assert_eq!(time.as_micros() % 1_000, 0);
        json!(time.as_micros() / 1_000)
    };
    record["timestamp"] = millis(&record["timestamp"]);
    if let Some(error) = record.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("expected");
        let debug = error.entry("debug").or_insert_with(|| json!([]));
        for entry in debug.as_array_mut().unwrap() {
            entry["timestamp"] = millis(&entry["timestamp"]);
        }
    }
    if record.get("event") == Some(&json!("UNCAUGHT_EXCEPTION")) {
        record.remove("event");
        record["type"] = json!("UNCAUGHT_EXCEPTION");
    }
    // logq leaves out what is null there, and its exit codes have a sign.
    let event = record.get("event").cloned();
    let absent: &[&str] = match record["type"].as_str().unwrap() {
        "LOG" => &["requestId"],
        "RESPONSE" | "RESPONSE_FINISHED" => &["error"],
        _ if event == Some(json!("WORKER_EXITED")) => &["exitCode", "signal"],
        _ => &[],
    };
    for name in absent {
        record.entry(*name).or_insert(Value::Null);
    }
    if let Some(code) = record.get("exitCode").and_then(Value::as_i64) {
        record["exitCode"] = json!(code.rem_euclid(1 << 32));
    }
    (record, writer)
}

fn import(scratch: &Scratch, arguments: &[&str], directory: &Path) -> Run {
    let directory = directory.to_str().unwrap();
    scratch.run(&[&["import", "--to", "store"], arguments, &[directory]].concat())
}

#[test]
fn every_event_that_node_wrote_is_there_with_every_field() {
    let scratch = Scratch::new();
    let run = import(&scratch, &["--format", "super-server-logs"], &golden("logs"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("a clock went back 1 times"), "{}", run.stderr);
    let printed = scratch.run(&["-o", "json", "store"]);
    assert_eq!((printed.code, &*printed.stderr), (0, ""), "nothing is missing");

    let mut expected = parse(&std::fs::read_to_string(golden("expected.jsonl")).unwrap());
    let mut found: Vec<_> = parse(&printed.stdout).into_iter().map(as_node_prints).collect();
    let key = |event: &Map<String, Value>| {
        (event["timestamp"].as_u64(), event["nonce"].as_u64(), event["workerId"].as_u64())
    };
    expected.sort_by_key(key);
    found.sort_by_key(|(event, _)| key(event));
    let mut writers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    assert_eq!(found.len(), expected.len());
    for ((found, writer), mut expected) in found.into_iter().zip(expected) {
        let process = expected.remove("process").unwrap().as_u64().unwrap();
        assert_eq!(found, expected);
        writers.entry(writer).or_default().push(process);
    }
    // A writer is one process. One of them is two writers, since its clock went back.
    for processes in writers.values() {
        assert!(processes.iter().all(|process| *process == processes[0]), "{writers:?}");
    }
    let processes: Vec<_> = writers.values().map(|processes| processes[0]).collect();
    let count = |process| processes.iter().filter(|other| **other == process).count();
    assert_eq!([0, 1, 2, 3].map(count), [1, 2, 1, 1]);
}

#[test]
fn a_directory_is_recognised_and_can_be_imported_again_when_it_has_grown() {
    let scratch = Scratch::new();
    let logs = scratch.path("logs");
    std::fs::create_dir(&logs).unwrap();
    let names = ["01697612631374.log", "01697612691375.log"];
    std::fs::copy(golden("logs").join(names[0]), logs.join(names[0])).unwrap();
    let run = import(&scratch, &[], &logs);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("logs: read as super-server-logs"), "{}", run.stderr);
    let first = scratch.run(&["-c", "store"]).stdout;
    std::fs::copy(golden("logs").join(names[1]), logs.join(names[1])).unwrap();
    assert_eq!(import(&scratch, &[], &logs).code, 0);
    let events = std::fs::read_to_string(golden("expected.jsonl")).unwrap().lines().count();
    let count = scratch.run(&["-c", "store"]);
    assert_eq!((&*count.stdout, &*count.stderr), (&*format!("{events}\n"), ""));
    assert_ne!(first, count.stdout);
}

#[test]
fn the_records_answer_questions() {
    let scratch = Scratch::new();
    assert_eq!(import(&scratch, &["-q"], &golden("logs")).code, 0);
    let count = |arguments: &[&str]| scratch.run(&[arguments, &["-c", "store"]].concat()).stdout;
    assert_eq!(count(&["-W", "300", "-t", "WORKER_STARTED"]), "2\n");
    assert_eq!(count(&["--request", "607ef6cc-e059-4dd3-995a-fb4b9db1273b"]), "9\n");
    assert_eq!(count(&["-l", "error", "-t", "RESPONSE"]), "1\n");
    assert_eq!(
        count(&["-S", "2023-10-18T07:03:51.477Z", "-U", "since+1ms", "-t", "REQUEST"]),
        "1\n"
    );
}

#[test]
fn damage_is_told_with_its_place_and_the_rest_is_imported() {
    let scratch = Scratch::new();
    let logs = scratch.path("logs");
    std::fs::create_dir(&logs).unwrap();
    let mut bytes = std::fs::read(golden("logs").join("01697612631374.log")).unwrap();
    // The last block is cut. Behind the first one comes a block of an unknown type, and one of a
    // record whose data is no JSON but would steer a terminal.
    bytes.truncate(bytes.len() - 3);
    let first = bytes.iter().position(|byte| *byte == 0xFA).unwrap() + 1;
    let data = b"\x38\x01\x8B\x3F\x00\x00\x00\xFF\xFF\x05\x1b[31m\xFA";
    bytes.splice(first..first, [b"\x07abc\xFA", &data[..]].concat());
    std::fs::write(logs.join("01697612631374.log"), bytes).unwrap();
    let run = import(&scratch, &["-q"], &logs);
    assert_eq!(run.code, 3, "{}", run.stderr);
    for part in [
        "2 parts of files cannot be read, 1 entries cannot become records",
        &format!("01697612631374.log, offset {first}: 4 bytes skipped: time is cut off"),
        &format!("block at {}, entry 1: its data cannot be read as JSON: ", first + 5),
        "bytes skipped: the file ends within a block",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(!run.stderr.contains('\u{1b}'), "nothing active reaches the terminal");
    let whole = import_count(&golden("logs/01697612631374.log"));
    assert_eq!(scratch.run(&["-c", "store"]).stdout, format!("{}\n", whole - 1));
}

/// How many records a file has.
fn import_count(file: &Path) -> usize {
    let scratch = Scratch::new();
    assert_eq!(import(&scratch, &[], file).code, 0);
    scratch.run(&["-c", "store"]).stdout.trim().parse().unwrap()
}

#[test]
fn standard_input_and_compressed_files_are_read() {
    let file = golden("logs/01697612631374.log");
    let bytes = std::fs::read(&file).unwrap();
    let scratch = Scratch::new();
    let format = ["import", "--to", "store", "--format", "super-server-logs"];
    let run = scratch.run_with_input(&[&format[..], &["-"]].concat(), &bytes);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let count = format!("{}\n", import_count(&file));
    assert_eq!(scratch.run(&["-c", "store"]).stdout, count);
    let scratch = Scratch::new();
    scratch.write("old.log.zst", zstd::encode_all(&*bytes, 1).unwrap());
    assert_eq!(scratch.run(&[&format[..], &["old.log.zst"]].concat()).code, 0);
    assert_eq!(scratch.run(&["-c", "store"]).stdout, count);
}

#[test]
fn another_directory_is_refused_and_leaves_no_store() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("logs")).unwrap();
    scratch.write("logs/app.log", "2026-02-03 14:05:06 INFO started\n");
    let run = import(&scratch, &[], Path::new("logs"));
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("name the files: logs/*"), "{}", run.stderr);
    assert!(!scratch.path("store").exists());
}
