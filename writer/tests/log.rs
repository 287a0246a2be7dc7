//! The `log` facade on a logger: what becomes of messages, key-values and levels.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on shall stop"
)]

mod common;
#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/log_facade.rs"]
mod log_facade;

use std::fmt;

use common::{ManualClock, options, read};
use log::kv::{ToKey, Value};
use log::{Level, LevelFilter, Log, Metadata, Record};
use logq_writer::integrations::log::{LogOptions, LogqLog};
use logq_writer::{Failure, LoggerOptions, MasterLogger, WorkerId, WorkerLogger};
use serde_json::{Value as Json, json};

const NOON: &str = "2026-02-03T12:00:00.000000Z";

/// The data of all LOG records with their levels, and all error objects.
fn found(store: &std::path::Path) -> Vec<(String, Json)> {
    let records = read(store).records;
    let parse = |line: &str| serde_json::from_str::<Json>(line).unwrap();
    records
        .iter()
        .map(|record| (record.level.to_string(), parse(&record.line)))
        .map(|(level, line)| {
            (level, line.get("data").or_else(|| line.get("error")).cloned().unwrap_or_default())
        })
        .collect()
}

/// Opens a store, lets `run` log to it and returns what it then holds.
fn logged(
    options_of_log: LogOptions,
    run: impl FnOnce(&LogqLog, &MasterLogger),
) -> Vec<(String, Json)> {
    let store = tempfile::tempdir().unwrap();
    let master = MasterLogger::open(store.path(), options(&ManualClock::at(NOON))).unwrap();
    run(&LogqLog::new(&master, options_of_log), &master);
    master.close().unwrap();
    found(store.path())
}

fn say(log: &LogqLog, level: Level, text: &str) {
    log.log(&Record::builder().level(level).target("t").args(format_args!("{text}")).build());
}

#[test]
fn key_values_keep_their_types_and_win_over_all_but_the_message() {
    struct Refusing;
    impl fmt::Display for Refusing {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let error = "x".parse::<u8>().unwrap_err();
    let pairs = [
        ("n".to_key(), Value::from(-7)),
        ("big".to_key(), Value::from(u64::MAX)),
        ("f".to_key(), Value::from(0.25)),
        ("nan".to_key(), Value::from(f64::NAN)),
        ("yes".to_key(), Value::from(true)),
        ("text".to_key(), Value::from("a\n\"b\"")),
        ("c".to_key(), Value::from('c')),
        ("nothing".to_key(), Value::null()),
        ("debug".to_key(), Value::from_debug(&Some(1))),
        ("error".to_key(), Value::from_display(&error)),
        ("refusing".to_key(), Value::from_display(&Refusing)),
        ("target".to_key(), Value::from("mine")),
        ("n".to_key(), Value::from("again")),
        ("message".to_key(), Value::from("other")),
    ];
    let options = LogOptions { location: true, ..LogOptions::default() };
    let found = logged(options, |log, _| {
        log.log(
            &Record::builder()
                .level(Level::Warn)
                .target("shop")
                .module_path(Some("shop::cart"))
                .file(Some("cart.rs"))
                .line(Some(7))
                .key_values(&pairs)
                .args(format_args!("{} items", 3))
                .build(),
        );
    });
    let expected = json!({
        "message": "3 items", "n": -7, "big": u64::MAX, "f": 0.25, "nan": "NaN", "yes": true,
        "text": "a\n\"b\"", "c": "c", "nothing": null, "debug": "Some(1)",
        "error": "invalid digit found in string", "refusing": "[refuses to be formatted]",
        "target": "mine", "module": "shop::cart", "file": "cart.rs", "line": 7,
    });
    assert_eq!(found, [("WARN".to_owned(), expected)]);
}

#[test]
fn debug_and_trace_come_with_the_next_error_and_only_once() {
    let all = LogOptions { level: LevelFilter::Trace, ..LogOptions::default() };
    let found = logged(all, |log, master| {
        say(log, Level::Debug, "1");
        master.debug("2, of the logger itself");
        say(log, Level::Info, "3");
        say(log, Level::Trace, "4");
        say(log, Level::Error, "5");
        say(log, Level::Error, "6");
        say(log, Level::Debug, "7");
        master.uncaught_exception(&Failure::from_message("8"));
        say(log, Level::Debug, "9, never written");
    });
    let message = |text: &str| json!({ "message": text, "target": "t" });
    let entry = |data: Json| json!({ "timestamp": NOON, "data": data });
    let trace = json!({ "message": "4", "target": "t", "level": "TRACE" });
    let kept = [entry(message("1")), entry(json!("2, of the logger itself")), entry(trace)];
    let expected = [
        ("INFO", message("3")),
        ("ERROR", json!({ "message": "5", "target": "t", "debug": kept })),
        ("ERROR", message("6")),
        ("CRITICAL", json!({ "value": "8", "debug": [entry(message("7"))] })),
    ];
    assert_eq!(found, expected.map(|(level, data)| (level.to_owned(), data)));
}

#[test]
fn debug_and_trace_are_written_if_told_so_and_filtered_by_level() {
    let written =
        LogOptions { write_debug: true, level: LevelFilter::Trace, ..LogOptions::default() };
    let levels = |options| {
        let found = logged(options, |log, _| {
            for level in Level::iter() {
                say(log, level, "x");
            }
        });
        found.into_iter().map(|(level, _)| level).collect::<Vec<_>>()
    };
    assert_eq!(levels(written), ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]);
    assert_eq!(levels(LogOptions { level: LevelFilter::Warn, ..written }), ["ERROR", "WARN"]);
    assert_eq!(levels(LogOptions { level: LevelFilter::Debug, ..written }).len(), 4);
    let log = |level| {
        let store = tempfile::tempdir().unwrap();
        let master = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
        let log = LogqLog::new(master, LogOptions { level, ..LogOptions::default() });
        log.enabled(&Metadata::builder().level(Level::Info).build())
    };
    assert!(log(LevelFilter::Info) && !log(LevelFilter::Warn));
}

#[test]
fn many_large_debug_messages_do_not_cost_the_error_that_brings_them() {
    let found = logged(LogOptions::default(), |log, _| {
        let large = "x".repeat(200_000);
        (0..100).for_each(|_| say(log, Level::Debug, &large));
        say(log, Level::Error, "told");
    });
    assert_eq!(found[0].1["message"], "told");
    assert_eq!(found[0].1["debug"].as_array().unwrap().len(), 5, "a mebibyte of them");
}

#[test]
fn a_worker_speaks_for_itself_and_flush_writes() {
    let store = tempfile::tempdir().unwrap();
    let worker =
        WorkerLogger::open(store.path(), WorkerId::new(5).unwrap(), LoggerOptions::default());
    let log = LogqLog::new(worker.unwrap(), LogOptions::default());
    say(&log, Level::Info, "here");
    log.flush();
    let records = read(store.path()).records;
    assert_eq!(records[0].record_type, logq_format::RecordType::WorkerLog);
    assert_eq!(records[0].worker, WorkerId::new(5));
}

#[test]
fn messages_of_messages_are_logged_too() {
    struct Chatty<'a>(&'a LogqLog);
    impl fmt::Display for Chatty<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            say(self.0, Level::Error, "while formatting");
            f.write_str("formatted")
        }
    }
    let found = logged(LogOptions::default(), |log, _| {
        let record = Record::builder().level(Level::Error).target("t").build();
        say(log, Level::Debug, "before");
        log.log(&record.to_builder().args(format_args!("{}", Chatty(log))).build());
    });
    let messages: Vec<_> = found.iter().map(|(_, data)| data["message"].clone()).collect();
    assert_eq!(messages, ["while formatting", "formatted"]);
}

/// The only test that installs the logger of the process.
#[test]
fn the_example_runs() {
    let store = tempfile::tempdir().unwrap();
    log_facade::run(store.path().to_str().unwrap()).unwrap();
    let found = found(store.path());
    let levels: Vec<_> = found.iter().map(|(level, _)| level.as_str()).collect();
    assert_eq!(levels, ["INFO", "INFO", "INFO", "WARN", "ERROR"]);
    assert_eq!(found[1].1["items"], 3);
    assert_eq!(found[4].1["error"], "invalid digit found in string");
    assert_eq!(found[4].1["debug"].as_array().unwrap().len(), 3);
    assert_eq!(log::max_level(), LevelFilter::Debug);
    let second = log_facade::run(store.path().to_str().unwrap()).unwrap_err();
    assert!(second.to_string().contains("already"), "{second}");
}
