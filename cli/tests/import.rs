//! Imports through the real binary: what comes out is what went in.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod common;

use std::io::Write;

use common::{CLUSTER, Scratch};

const ACCESS: &str = r#"192.0.2.7 - - [03/Feb/2026:14:02:11 +0100] "GET /cart?item=7 HTTP/1.1" 200 5120 "https://shop.example/" "curl/8.5"
2001:db8::1 - ann [03/Feb/2026:14:02:10 +0100] "POST /orders HTTP/2.0" 500 - "-" "a \"quoted\" agent"
"#;

#[test]
fn an_access_log_becomes_the_records_of_its_requests() {
    let scratch = Scratch::new();
    scratch.write("access.log", ACCESS);
    let run = scratch.run(&["import", "--to", "store", "access.log"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("read as combined"), "{}", run.stderr);
    let run = scratch.run(&["-o", "json", "store"]);
    let found: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = found.iter().map(|record| record["type"].as_str().unwrap()).collect();
    let lifecycle = ["REQUEST", "REQUEST_META", "RESPONSE", "RESPONSE_FINISHED"];
    assert_eq!(types, [lifecycle, lifecycle].concat(), "the earlier line comes first");
    assert_eq!(found[0]["timestamp"], "2026-02-03T13:02:10.000000Z");
    assert_eq!(found[0]["ipAddress"], "2001:db8::1");
    assert_eq!((&found[0]["method"], &found[0]["httpVersion"]), (&"POST".into(), &"2.0".into()));
    assert_eq!(found[1]["data"]["userAgent"], "a \"quoted\" agent");
    assert_eq!(found[2]["statusCode"], 500);
    assert_eq!((&found[4]["url"], &found[7]["bytes"]), (&"/cart?item=7".into(), &5120.into()));
    let id = found[4]["requestId"].as_str().unwrap();
    let run = scratch.run(&["--request", id, "-c", "store"]);
    assert_eq!(run.stdout, "4\n");
}

#[test]
fn a_csv_access_log_is_read_by_the_names_of_its_columns() {
    let scratch = Scratch::new();
    let csv = "\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\n\
               \"10.0.0.2\",\"-\",\"apache\",1549573860,\"GET /api/user HTTP/1.0\",200,1234\n";
    scratch.write("access.csv", csv);
    let run = scratch.run(&["import", "--to", "store", "access.csv"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = scratch.run(&["-o", "json", "-t", "REQUEST,RESPONSE", "store"]);
    assert!(run.stdout.contains(r#""timestamp":"2019-02-07T21:11:00.000000Z""#), "{}", run.stdout);
    assert!(run.stdout.contains(r#""url":"/api/user""#) && run.stdout.contains(r#""bytes":1234"#));
}

#[test]
fn foreign_json_logfmt_and_text_keep_their_times_levels_and_content() {
    let scratch = Scratch::new();
    scratch.write(
        "app.jsonl",
        "{\"time\":1770127332125,\"level\":50,\"msg\":\"refused\",\"order\":1e2,\"nested\":{\"a\": [1, 2]}}\n",
    );
    scratch
        .write("app.logfmt", "ts=2026-02-03T14:02:13.5Z level=warn msg=\"slow disk\" took=250ms\n");
    scratch.write(
        "app.txt",
        "2026-02-03 14:02:14,001 ERROR [main] c.e.Shop - cannot order\n\
         java.lang.IllegalStateException: no stock\n\
         \tat c.e.Shop.order(Shop.java:7)\n\
         2026-02-03 14:02:15,002 INFO  [main] c.e.Shop - next\n",
    );
    let files = ["import", "--to", "store", "app.jsonl", "app.logfmt", "app.txt"];
    let run = scratch.run(&files);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = scratch.run(&["-o", "json", "store"]);
    let found: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |field: &str| -> Vec<_> {
        found.iter().map(|record| record[field].as_str().unwrap_or_default()).collect()
    };
    assert_eq!(of("level"), ["ERROR", "WARN", "ERROR", "INFO"]);
    assert_eq!(
        of("timestamp"),
        [
            "2026-02-03T14:02:12.125000Z",
            "2026-02-03T14:02:13.500000Z",
            "2026-02-03T14:02:14.001000Z",
            "2026-02-03T14:02:15.002000Z",
        ]
    );
    assert!(
        run.stdout.contains(r#""msg":"refused","order":1e2,"nested":{"a":[1,2]}}"#),
        "{}",
        run.stdout
    );
    assert_eq!(found[1]["data"]["msg"], "slow disk");
    let stack = found[2]["data"]["message"].as_str().unwrap();
    assert!(stack.contains("no stock\n\tat c.e.Shop.order"), "{stack}");
}

#[test]
fn compressed_input_is_recognised_by_its_first_bytes() {
    let scratch = Scratch::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(CLUSTER.as_bytes()).unwrap();
    scratch.write("a.log", gzip.finish().unwrap());
    scratch.write("b.log", zstd::encode_all(CLUSTER.as_bytes(), 1).unwrap());
    for (store, file) in [("gzip", "a.log"), ("zstd", "b.log")] {
        let run = scratch.run(&["import", "--to", store, file]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(scratch.run(&["-o", "json", store]).stdout, CLUSTER);
    }
}

#[test]
fn what_logq_prints_can_be_imported_and_prints_the_same() {
    let scratch = Scratch::new();
    scratch.store("first", CLUSTER);
    let check = |options: &[&str]| {
        let mut arguments = vec!["-o", "json", "first"];
        arguments.extend(options);
        let printed = scratch.run(&arguments).stdout;
        let name = format!("copy{}", options.concat());
        scratch.store(&name, &printed);
        let again = scratch.run(&["-o", "json", &name]);
        assert_eq!((again.stdout, again.code, again.stderr), (printed, 0, String::new()));
    };
    check(&[]);
    // A filtered store has holes in the sequences of its writers, and they are no damage.
    check(&["-l", "warn"]);
    // The same records twice are one.
    scratch.store("first", CLUSTER);
    assert_eq!(scratch.run(&["-o", "json", "first"]).stdout, CLUSTER);
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_shown() {
    let scratch = Scratch::new();
    let mut lines = String::from("{\"ts\":1770127332,\"msg\":\"good\"}\n");
    (0..7).for_each(|n| lines.push_str(&format!("{{\"ts\":1770127332,\"msg\":\"bad{n}\n")));
    lines.push_str("{\"ts\":1770127333,\"msg\":\"\u{1b}[31mgood again\"}");
    scratch.write("mixed.jsonl", lines);
    let run = scratch.run(&["import", "--to", "store", "--format", "jsonl", "mixed.jsonl"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("7 lines could not be imported"), "{}", run.stderr);
    let shown = run.stderr.lines().filter(|line| line.contains("mixed.jsonl, line ")).count();
    assert_eq!(shown, 5);
    assert!(!run.stderr.contains('\u{1b}'), "nothing active reaches the terminal");
    assert_eq!(scratch.run(&["-c", "store"]).stdout, "2\n");
    let run = scratch.run(&["-o", "json", "store"]);
    assert!(run.stdout.contains(r"\u001b[31mgood again"), "{}", run.stdout);
}

#[test]
fn a_quiet_import_says_nothing_but_failures() {
    let scratch = Scratch::new();
    let run = scratch.run_with_input(&["import", "-q", "--to", "store", "-"], CLUSTER.as_bytes());
    assert_eq!((run.stderr.as_str(), run.code), ("", 0));
}

#[test]
fn out_of_order_lines_keep_their_times() {
    let scratch = Scratch::new();
    let mut lines = String::new();
    for n in 0..2_000_i64 {
        let micros = 1_770_000_000_000_000 + n * 7_919 % 2_000 * 1_000_001;
        lines.push_str(&format!("{{\"ts\":{micros},\"n\":{n}}}\n"));
    }
    scratch.store("store", &lines);
    let run = scratch.run(&["-o", "json", "store"]);
    let times: Vec<_> = run.stdout.lines().map(|line| line[14..41].to_owned()).collect();
    assert_eq!(times.len(), 2_000);
    assert!(times.is_sorted());
    let run = scratch.run(&["-S", "@1770000005.000005", "-U", "since+1us", "-o", "json", "store"]);
    assert_eq!(run.stdout.lines().count(), 1, "to the microsecond: {}", run.stdout);
}
