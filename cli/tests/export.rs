//! `logq export` and what reads it: files, streams of blocks, standard input as a store.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::Stdio;

use common::{CLUSTER, Scratch};

/// Three days of two workers, in a store of several segments.
fn lines() -> String {
    let mut text = String::new();
    for n in 0..3000_u64 {
        let (worker, seq) = (n % 2 + 1, n / 2);
        let (day, second) = (n / 1000 + 3, n % 1000 * 86);
        let time = format!(
            "2026-02-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            n
        );
        let level = if n % 97 == 0 { "ERROR" } else { "INFO" };
        writeln!(
            text,
            r#"{{"timestamp":"{time}","level":"{level}","type":"LOG","workerId":{worker},"writer":{worker},"seq":{seq},"data":{{"message":"line {n}","n":{n}}}}}"#
        )
        .unwrap();
    }
    text
}

fn scratch() -> Scratch {
    let (scratch, lines) = (Scratch::new(), lines());
    let cut = lines.find("\"line 1400\"").and_then(|place| lines[..place].rfind('\n')).unwrap() + 1;
    scratch.store("store", &lines[..cut]);
    scratch.store("store", &lines[cut..]);
    scratch
}

/// What the command writes to standard output, which need not be text.
fn bytes(scratch: &Scratch, arguments: &[&str]) -> Vec<u8> {
    let output = scratch.command(arguments).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_stream_answers_as_the_store_it_was_made_of() {
    let scratch = scratch();
    let ranges: [&[&str]; 6] = [
        &[],
        &["-S", "2026-02-03T12:00", "-U", "2026-02-04T03:00"],
        &["--in", "2026-02-04"],
        &["-l", "error"],
        &["-W", "2", "-U", "2026-02-03T01:00"],
        &["-l", "error", "-t", "LOG", "-W", "1", "-S", "2026-02-05"],
    ];
    for range in ranges {
        for reverse in [&[][..], &["--reverse"], &["-r"]] {
            let stream =
                bytes(&scratch, &[&["export", "-o", "blocks", "store"], range, reverse].concat());
            let here = scratch.run(&[&["-o", "json", "store"], range].concat());
            let there = scratch.run_with_input(&[&["-o", "json", "-"], range].concat(), &stream);
            assert_eq!((there.code, &there.stdout), (here.code, &here.stdout), "{range:?}");
            assert_eq!(there.stderr, here.stderr, "{range:?}");
            // Nobody has to ask the same again.
            let all = scratch.run_with_input(&["-o", "json", "-"], &stream);
            assert_eq!(all.stdout, here.stdout, "{range:?}");
        }
    }
}

#[test]
fn plain_segments_on_standard_input_are_a_store() {
    let scratch = scratch();
    let all = scratch.run(&["-o", "json", "store"]).stdout;
    let mut joined = Vec::new();
    for path in scratch.segments("store") {
        std::fs::File::open(path).unwrap().read_to_end(&mut joined).unwrap();
    }
    let run = scratch.run_with_input(&["-o", "json", "-"], &joined);
    assert_eq!((run.code, &run.stdout), (0, &all));
    let run = scratch.run_with_input(&["verify", "-"], &joined);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(scratch.run_with_input(&["stats", "-"], &joined).stdout.contains("records   3000"));
    let run = scratch.run_with_input(&["-c", "-", "store"], &joined);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("only be asked alone"), "{}", run.stderr);
    let run = scratch.run_with_input(&["-"], b"some text\n");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("standard input: not a store but a text file"), "{}", run.stderr);
}

#[test]
fn a_stream_that_is_cut_or_asked_for_more_tells_so() {
    let scratch = scratch();
    let range = ["-S", "2026-02-04", "-U", "2026-02-05"];
    let stream = bytes(&scratch, &[&["export", "-o", "blocks", "store"], &range[..]].concat());
    let cut = &stream[..stream.len() - 200];
    let run = scratch.run_with_input(&["-c", "-"], cut);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("the stream ended early"), "{}", run.stderr);
    let before = ["-c", "-", "-S", "2026-02-03", "-U", "2026-02-04"];
    let run = scratch.run_with_input(&before, &stream);
    assert_eq!((run.code, run.stdout.as_str()), (4, "0\n"), "{run:?}");
    let inside = ["-c", "-", "-g", "nowhere", "-S", "2026-02-04T01:00", "-U", "2026-02-04T02:00"];
    assert_eq!(scratch.run_with_input(&inside, &stream).code, 1);
}

#[test]
fn saved_streams_are_stores_and_may_be_compressed_and_joined() {
    let scratch = scratch();
    let all = scratch.run(&["-o", "json", "store"]).stdout;
    for name in ["shop.blocks", "shop.blocks.zst", "shop.blocks.gz"] {
        let run = scratch.run(&["export", "-o", "blocks", "--to", name, "store"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stderr.contains(&format!("blocks to {name}, ")), "{}", run.stderr);
        assert_eq!(scratch.run(&["-o", "json", name]).stdout, all, "{name}");
    }
    let split = ["export", "-q", "-o", "blocks", "--split", "day", "--to", "day.blocks", "store"];
    assert_eq!(scratch.run(&split).code, 0);
    let days = ["day-2026-02-03.blocks", "day-2026-02-04.blocks", "day-2026-02-05.blocks"];
    let joined: Vec<u8> =
        days.iter().flat_map(|day| std::fs::read(scratch.path(day)).unwrap()).collect();
    let run = scratch.run_with_input(&["-o", "json", "-"], &joined);
    assert_eq!((run.code, run.stdout), (0, all), "{}", run.stderr);
    let one = scratch.run(&["-o", "json", days[1]]).stdout;
    assert_eq!(one, scratch.run(&["-o", "json", "--in", "2026-02-04", "store"]).stdout);
}

#[test]
fn records_are_exported_as_they_are_printed() {
    let scratch = scratch();
    scratch.store("cluster", CLUSTER);
    for store in ["store", "cluster"] {
        for format in ["json", "csv"] {
            let printed = scratch.run(&["-o", format, "-l", "info", store]).stdout;
            let piped = scratch.run(&["export", "-o", format, "-l", "info", store]);
            assert_eq!((piped.code, &piped.stdout, piped.stderr.as_str()), (0, &printed, ""));
            let dash = scratch.run(&["export", "-o", format, "-l", "info", "--to", "-", store]);
            assert_eq!(dash.stdout, printed);
            let name = format!("{store}.{format}");
            let run = scratch.run(&["export", "-o", format, "-l", "info", "--to", &name, store]);
            assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
            assert_eq!(std::fs::read_to_string(scratch.path(&name)).unwrap(), printed);
            let again = scratch.run(&["export", "-o", format, "--to", &name, store]);
            assert_eq!(again.code, 2);
            assert!(again.stderr.contains("exists already"), "{}", again.stderr);
        }
    }
    let fields = ["--fields", "timestamp,level", "-n", "0"];
    let narrow = scratch.run(&["export", "-o", "csv", "--fields", fields[1], "cluster"]).stdout;
    assert!(narrow.starts_with("timestamp,level\r\n"), "{narrow}");
    let newest = scratch.run(&["export", "--reverse", "store"]).stdout;
    assert_eq!(newest, scratch.run(&["-r", "-o", "json", "store"]).stdout);
    assert_eq!(scratch.run(&["export", "-g", "nowhere", "store"]).code, 1);
}

#[test]
fn files_are_split_by_day_and_by_size_and_hold_everything_once() {
    let scratch = scratch();
    let all = scratch.run(&["-o", "json", "store"]).stdout;
    let run = scratch.run(&["export", "--split", "day", "--to", "d.jsonl.zst", "store"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("3000 records to 3 files"), "{}", run.stderr);
    let mut joined = String::new();
    for day in 3..6 {
        let file =
            std::fs::File::open(scratch.path(&format!("d-2026-02-0{day}.jsonl.zst"))).unwrap();
        let mut text = String::new();
        zstd_read(file, &mut text);
        assert!(text.lines().all(|line| line.contains(&format!("2026-02-0{day}T"))));
        joined += &text;
    }
    assert_eq!(joined, all);

    let run = scratch.run(&["export", "--split", "64KiB", "--to", "s.jsonl", "-q", "store"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let mut joined = String::new();
    for number in 1.. {
        let Ok(text) = std::fs::read_to_string(scratch.path(&format!("s-{number:04}.jsonl")))
        else {
            break;
        };
        assert!(text.len() <= 64 << 10 && text.ends_with('\n'));
        joined += &text;
    }
    assert_eq!(joined, all);

    // Each file of CSV has its line of names; a day is one of the zone.
    let csv = ["export", "-o", "csv", "--split", "day", "--tz", "+12:00", "--to", "z.csv", "store"];
    assert_eq!(scratch.run(&csv).code, 0);
    let rows: usize = ["03", "04", "05", "06"]
        .map(|day| std::fs::read_to_string(scratch.path(&format!("z-2026-02-{day}.csv"))).unwrap())
        .iter()
        .map(|text| {
            assert!(text.starts_with("timestamp,"));
            text.lines().count() - 1
        })
        .sum();
    assert_eq!(rows, 3000);
    let left: Vec<_> = std::fs::read_dir(scratch.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn zstd_read(file: std::fs::File, text: &mut String) {
    zstd::Decoder::new(file).unwrap().read_to_string(text).unwrap();
}

#[test]
fn mistakes_are_answered_with_the_way_out() {
    let scratch = scratch();
    let check = |arguments: &[&str], part: &str| {
        let run = scratch.run(&[&["export", "store"], arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    };
    check(&["--split", "day"], "--to");
    check(&["--split", "week", "--to", "x"], "expected `day` or a size such as 64MiB");
    check(&["--split", "0", "--to", "x"], "expected `day` or a size");
    check(&["-o", "blocks", "--split", "1MiB", "--to", "x"], "use --split day");
    check(&["-o", "blocks", "-g", "x"], "where the stream is read");
    check(&["-o", "blocks", "-w", "data.n = 1"], "where the stream is read");
    check(&["-o", "blocks", "--fields", "level"], "blocks have all fields");
    check(&["--to", "store"], "is a directory; name a file in it");
    check(&["--to", "nowhere/x.jsonl"], "cannot create");
}

/// A filter leaves out numbers; where that fell between two blocks of the import, it was told as a
/// loss.
#[test]
fn what_a_filter_leaves_out_is_not_missing_after_an_import() {
    let scratch = scratch();
    for level in ["error", "info"] {
        let filtered = scratch.run(&["-l", level, "-o", "json", "-W", "1", "store"]).stdout;
        let thinned: String = filtered.lines().enumerate().filter(|(n, _)| n % 3 < 2).fold(
            String::new(),
            |mut text, (_, line)| {
                writeln!(text, "{line}").unwrap();
                text
            },
        );
        scratch.store(level, &thinned);
        let run = scratch.run(&["-o", "json", level]);
        assert_eq!((run.code, run.stderr.as_str(), run.stdout), (0, "", thinned));
    }
}
