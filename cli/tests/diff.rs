//! `logq diff`: two ranges of time side by side.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;

use common::Scratch;
use serde_json::{Value, json};

/// A quiet minute and one that is twice as busy, slower, and fails now and then.
fn scratch() -> Scratch {
    let mut text = String::new();
    let mut seq = 0;
    let mut line = |minute: u32, millis: u32, rest: Value| {
        let (second, millis) = (millis / 1000, millis % 1000);
        let mut object = json!({
            "timestamp": format!("2026-02-03T14:{minute:02}:{second:02}.{millis:03}000Z"),
            "workerId": 1, "writer": 7, "seq": seq,
        });
        seq += 1;
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        writeln!(text, "{object}").unwrap();
    };
    let id = "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e";
    let answer = |status: u32, ms: u32| json!({"level": "INFO", "type": "RESPONSE", "requestId": id, "statusCode": status, "durationMs": ms});
    let error = |text: &str| json!({"level": "ERROR", "type": "LOG", "data": {"message": text}});
    for n in 0..60 {
        line(0, n * 1000, answer(200, 10));
    }
    line(0, 59_500, error("disk 7 is full"));
    line(0, 59_600, error("old trouble"));
    for n in 0..120 {
        line(1, n * 500, answer(if n % 4 == 0 { 500 } else { 200 }, 20));
    }
    line(1, 59_700, error("disk 8 is full"));
    line(1, 59_800, error("no stock for 4711"));
    line(1, 59_900, error("no stock for 4712"));
    line(2, 0, json!({"level": "INFO", "type": "LOG", "data": "the end"}));
    let scratch = Scratch::new();
    scratch.store("store", &text);
    scratch
}

const RANGES: [&str; 4] = ["--a", "2026-02-03T14:00", "--b", "2026-02-03T14:01..2026-02-03T14:02"];

#[test]
fn a_table_shows_what_has_changed() {
    let scratch = scratch();
    let run = scratch.run(&[&["diff", "store", "--utc"], &RANGES[..]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let expected = [
        "a  2026-02-03T14:00:00.000000Z to 2026-02-03T14:01:00.000000Z, 60 s",
        "records                     62           123  ↑ 98.4 %",
        "requests/s               1.000         2.000  ↑ 100.0 %",
        "status 2xx             100.0 %        75.0 %  ↓ 25.0 points",
        "status 5xx               0.0 %        25.0 %  ↑ 25.0 points",
        "new errors: 1\n           2 ERROR    no stock for <n>\n",
        "errors gone: 1\n           1 ERROR    old trouble\n",
    ];
    for part in expected {
        assert!(run.stdout.contains(part), "{part:?} is not in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("disk"), "what is in both is not new:\n{}", run.stdout);
    let few = scratch.run(&[&["diff", "store", "-n", "0"], &RANGES[..]].concat()).stdout;
    assert!(few.contains("1 more; -n 1 lists them"), "{few}");
}

#[test]
fn the_object_has_the_numbers() {
    let scratch = scratch();
    let run = scratch.run(&[&["diff", "store", "-o", "json", "-q"], &RANGES[..]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let object: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(object["a"]["statusCodes"], json!({"200": 60}));
    assert_eq!(object["b"]["statusCodes"], json!({"200": 90, "500": 30}));
    assert_eq!((&object["a"]["requests"], &object["b"]["records"]), (&json!(60), &json!(123)));
    for (side, expected) in [("a", 10.0), ("b", 20.0)] {
        for quantile in ["p50", "p90", "p95", "p99"] {
            let found = object[side]["durationMs"][quantile].as_f64().unwrap();
            assert!((found / expected - 1.0_f64).abs() < 0.01, "{side} {quantile}: {found}");
        }
    }
    assert_eq!(object["newErrors"][0]["fingerprint"], "no stock for <n>");
    assert_eq!(object["newErrors"][0]["first"], "2026-02-03T14:01:59.800000Z");
    let filtered = ["diff", "store", "-o", "json", "-t", "RESPONSE", "--tz", "UTC"];
    let run = scratch.run(&[&filtered, &RANGES[..]].concat());
    let object: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&object["a"]["records"], &object["newErrors"]), (&json!(60), &json!([])));
}

#[test]
fn a_range_that_is_not_all_there_is_compared_by_what_there_is() {
    let scratch = scratch();
    let run = scratch.run(&["diff", "--a", "2026-02-02", "--b", "2026-02-03", "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("the store has nothing of it"), "{}", run.stdout);
    assert!(run.stdout.contains("the rest is not in the store"), "{}", run.stdout);
    assert!(run.stdout.contains("↑ from nothing"), "{}", run.stdout);
    let run = scratch.run(&["diff", "--a", "2020", "--b", "2021", "store"]);
    assert_eq!(run.code, 4, "{run:?}");
    let run = scratch.run(&["diff", "--a", "2026-02-03", "--b", "14:02..14:01", "store"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("not behind its start"), "{}", run.stderr);
}
