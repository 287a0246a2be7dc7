//! Logs of `super-server-logs` through the import: every record, every kind of damage.

use std::path::Path;

use logq_testkit::node_logs::{Row, block};

use crate::import::testing::{Rendered, options};
use crate::import::{Format, Input, Summary, run};

const T: u64 = 1_770_127_506_789;
const ID: [u8; 16] = *b"0123456789abcdef";

/// The start and the end of what every record has, without writer and number.
const HEAD: &str = r#"{"timestamp":"2026-02-03T14:05:06.789000Z","#;

/// A directory with these files.
fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

fn import(path: &Path, format: Format) -> (Vec<String>, Summary) {
    let mut sink = Rendered::default();
    let summary = run(vec![Input::new(path)], &options(format), &mut sink, |_| {}).unwrap();
    assert_eq!(summary.records, sink.lines.len() as u64);
    (sink.lines, summary)
}

/// Imports a directory of one file.
fn import_file(bytes: &[u8]) -> (Vec<String>, Summary) {
    let directory = directory(&[("01770127506789.log", bytes)]);
    import(directory.path(), Format::SuperServerLogs)
}

/// A line from its level on, without writer and sequence number.
fn brief(line: &str) -> String {
    let line = line.trim_end().strip_prefix(HEAD).unwrap();
    let (start, rest) = line.split_once(",\"writer\":").unwrap();
    let (_, rest) = rest.split_once(",\"seq\":").unwrap();
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{start}{}", rest.strip_suffix('}').unwrap())
}

/// What the entry becomes, or why it does not.
fn check(row: Row, expected: &str) {
    for is_deflated in [false, true] {
        let (lines, summary) = import_file(&block(std::slice::from_ref(&row), is_deflated));
        let found = match lines.first() {
            Some(line) => brief(line),
            None => summary.node_logs.damage().last().cloned().unwrap_or_default(),
        };
        let found = found.rsplit_once(", entry 1: ").map_or(&*found, |(_, why)| why);
        assert_eq!(found, expected);
        assert_eq!(lines.len() + summary.node_logs.damage().len().min(1), 1);
        assert_eq!(summary.is_whole(), !lines.is_empty());
    }
}

fn request(kind: u8) -> Row {
    Row::new(kind, T, 7).int(3).raw(&ID)
}

const START: &str = r#""level":"INFO","type":"#;
const REQUEST: &str = r#""workerId":3,"requestId":"30313233-3435-3637-3839-616263646566""#;

#[test]
fn requests_and_responses() {
    check(
        request(1).raw(&[0x09, 192, 0, 2, 1, 1]).text("/a?b=\"c\""),
        &format!(
            r#"{START}"REQUEST",{REQUEST},"ipAddress":"192.0.2.1","httpVersion":"1.1","method":"GET","url":"/a?b=\"c\"""#
        ),
    );
    let ip = [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFA];
    check(
        request(1).raw(&[0xD0]).raw(&ip).text("PURGE").text(b"/caf\xC3\xA9\xFF"),
        &format!(
            r#"{START}"REQUEST",{REQUEST},"ipAddress":"2001:db8::fa","httpVersion":"2.0","method":"PURGE","url":"/café\\xff""#
        ),
    );
    check(
        request(2).text(r#"{"a":[1.50,"\ud83d"]}"#),
        &format!(r#"{START}"REQUEST_META",{REQUEST},"data":{{"a":[1.50,"\ud83d"]}}"#),
    );
    check(
        request(3).text("").raw(&[1]).int(404),
        &format!(r#"{START}"RESPONSE",{REQUEST},"statusCode":404"#),
    );
    let error =
        r#"[1,"Error: no\n  at x",{"code":7},[[1770127506000,{"sql":"x"}],[1770127506001,null]]]"#;
    let printed = r#""stack":"Error: no\n  at x","properties":{"code":7},"debug":[{"timestamp":"2026-02-03T14:05:06.000000Z","data":{"sql":"x"}},{"timestamp":"2026-02-03T14:05:06.001000Z","data":null}]}"#;
    check(
        request(3).text(error).raw(&[0]).int(500),
        &format!(
            r#""level":"ERROR","type":"RESPONSE",{REQUEST},"statusCode":500,"error":{{{printed}"#
        ),
    );
    check(
        request(3).text(r#"[0,"null",{},[]]"#).raw(&[1]).int(400),
        &format!(
            r#"{START}"RESPONSE",{REQUEST},"statusCode":400,"error":{{"value":"null","expected":true,"properties":{{}}}}"#
        ),
    );
    check(request(4).text(""), &format!(r#"{START}"RESPONSE_FINISHED",{REQUEST}"#));
    check(
        request(4).text(error),
        &format!(r#""level":"ERROR","type":"RESPONSE_FINISHED",{REQUEST},"error":{{{printed}"#),
    );
}

#[test]
fn logs_and_lifecycles() {
    for (number, level) in [(2, "CRITICAL"), (4, "ERROR"), (5, "WARN"), (6, "INFO")] {
        let log = format!(r#""level":"{level}","type":"LOG","#);
        check(request(10 + number).text("1"), &format!(r#"{log}{REQUEST},"data":1"#));
        let row = |base| Row::new(base + number, T, 7);
        check(row(30).int(3).text("[]"), &format!(r#"{log}"workerId":3,"data":[]"#));
        check(row(50).text("\"x\""), &format!(r#"{log}"workerId":null,"data":"x""#));
    }
    let step = |worker, name| format!(r#"{START}"LIFECYCLE","workerId":{worker},"event":"{name}""#);
    for (kind, name) in (20..).zip([
        "WORKER_STARTED",
        "WORKER_GOING_ONLINE",
        "WORKER_ONLINE",
        "WORKER_GOING_OFFLINE",
        "WORKER_OFFLINE",
        "WORKER_DONE",
    ]) {
        check(Row::new(kind, T, 7).int(3), &step("3", name));
    }
    for (kind, name) in (40..).zip([
        "STARTING_UP",
        "STARTING_UP_COMPLETED",
        "SHUTTING_DOWN",
        "SHUTTING_DOWN_COMPLETED",
    ]) {
        check(Row::new(kind, T, 7), &step("null", name));
    }
    check(Row::new(44, T, 7).int(3), &step("3", "WORKER_SPAWNED"));
    let exception = r#""error":{"value":"x","properties":{}},"event":"UNCAUGHT_EXCEPTION""#;
    for (row, worker) in [(Row::new(26, T, 7).int(3), "3"), (Row::new(46, T, 7), "null")] {
        let lifecycle = format!(r#""level":"CRITICAL","type":"LIFECYCLE","workerId":{worker}"#);
        check(row.text(r#"[0,"x",{},[]]"#), &format!("{lifecycle},{exception}"));
    }
}

#[test]
fn exits_have_a_code_or_a_signal_or_neither() {
    let exited = |code: Option<u32>, signal| {
        let row = Row::new(45, T, 7).int(3).raw(&[u8::from(code.is_some())]);
        code.map_or(row.clone(), |code| row.int(code)).text(signal)
    };
    let check = |code, signal, level, fields| {
        let start = format!(r#""level":"{level}","type":"LIFECYCLE","workerId":3"#);
        check(exited(code, signal), &format!(r#"{start},"event":"WORKER_EXITED"{fields}"#));
    };
    check(Some(0), "", "INFO", r#","exitCode":0"#);
    check(Some(137), "", "WARN", r#","exitCode":137"#);
    check(Some(u32::MAX), "", "WARN", r#","exitCode":-1"#);
    check(None, "SIGKILL", "WARN", r#","signal":"SIGKILL""#);
    check(None, "SIGTERM", "INFO", r#","signal":"SIGTERM""#);
    check(None, "SIGINT", "INFO", r#","signal":"SIGINT""#);
    check(None, "", "WARN", "");
}

#[test]
fn what_cannot_be_a_record_is_told() {
    let log = |text: &str| Row::new(56, T, 7).text(text);
    check(log(""), "its data cannot be read as JSON: ");
    check(log("{\"a\":}"), "its data cannot be read as JSON: {\"a\":}");
    check(request(4).text("[]"), "its error cannot be read as JSON: []");
    check(Row::new(46, T, 7).text(""), "its error cannot be read as JSON: ");
    let time = r#"[0,"x",{},[[9223372036854775807,1]]]"#;
    check(request(4).text(time), &format!("its error cannot be read as JSON: {time}"));
    check(
        Row::new(36, T, 7).int(16_777_215).text("1"),
        "its worker is 16777215, logq has room for 16777214",
    );
    check(Row::new(44, T, 7).int(u32::MAX), "its worker is 4294967295, logq has room for 16777214");
    check(
        request(3).text("").raw(&[0]).int(65_536),
        "its status code is 65536, logq has room for 65535",
    );
    check(
        Row::new(40, (1 << 48) - 1, 7),
        "its time in milliseconds is 281474976710655, logq has room for 253402300799999",
    );
    let large = format!("\"{}\"", "x".repeat(1 << 22));
    check(log(&large), "a text of it has 4194306 bytes, one may have 4194304");
}

#[test]
fn json_loses_its_space_and_nothing_else() {
    let row = Row::new(56, T, 7).text("{ \"a b\" :\t[ 1.0 ,\n\"x y\" ] }");
    check(row, r#""level":"INFO","type":"LOG","workerId":null,"data":{"a b":[1.0,"x y"]}"#);
}

#[test]
fn files_are_one_log_in_the_order_of_their_names() {
    let log = |nonce| block(&[Row::new(36, T, nonce).int(3).text(nonce.to_string())], false);
    let ping = |nonce| block(&[Row::new(27, T, nonce).int(3)], false);
    let directory = directory(&[
        ("01770127506790.log", &[ping(1), log(2)].concat()),
        ("01770127506789.log", &log(0)),
        ("01770127506791.log", b""),
        ("1770127506792.log", b"another name"),
        ("notes.txt", b"another name"),
    ]);
    let (lines, summary) = import(directory.path(), Format::Auto);
    let found: Vec<_> = lines.iter().map(|line| brief(line)).collect();
    assert!(found[0].ends_with("\"data\":0") && found[1].ends_with("\"data\":2"), "{found:?}");
    let origin = |line: &str| line.split("\"writer\":").nth(1).unwrap()[..8].to_owned();
    assert_eq!(origin(&lines[0]), origin(&lines[1]), "one process");
    assert!(lines[0].contains("\"seq\":0,") && lines[1].contains("\"seq\":2,"), "{lines:?}");
    assert!(summary.is_whole());
    assert_eq!((summary.node_logs.files, summary.node_logs.pings), (3, 1));
    assert_eq!(summary.inputs[0].format, Format::SuperServerLogs);
    // The files one by one are the same log.
    let names = ["01770127506789.log", "01770127506790.log"];
    let inputs = names.map(|name| Input::new(&directory.path().join(name))).to_vec();
    let mut sink = Rendered::default();
    run(inputs, &options(Format::Auto), &mut sink, |_| {}).unwrap();
    assert_eq!(sink.lines, lines);
}

#[test]
fn a_file_ends_the_block_in_it() {
    let rows = [Row::new(52, T, 0).text("0"), Row::new(52, T, 1).text("1")];
    let whole = block(&rows, true);
    let directory = directory(&[
        ("01770127506789.log", &[&*whole, &whole[..9]].concat()),
        ("01770127506790.log", &block(&[Row::new(52, T, 9).text("9")], false)),
    ]);
    let (lines, summary) = import(directory.path(), Format::Auto);
    assert_eq!(lines.len(), 3);
    let damage = summary.node_logs.damage();
    let name = directory.path().join("01770127506789.log").display().to_string();
    let gap =
        format!("{name}, offset {}: 9 bytes skipped: the file ends within a block", whole.len());
    let expected = [
        "1 parts of files cannot be read, 0 entries cannot become records",
        &gap,
        "7 entries are missing, by the numbers of those before and behind",
    ];
    assert_eq!(damage, expected);
}

#[test]
fn blocks_over_the_limit_are_skipped_and_the_next_one_is_read() {
    let large = vec![b'x'; logq_nodelogs::STORED_BYTES_MAX + 500_000];
    let next = block(&[Row::new(52, T, 0).text("0")], false);
    let (lines, summary) = import_file(&[&*large, b"\xFA", &next, b"\x07\xFA"].concat());
    assert_eq!(lines.len(), 1);
    let damage = summary.node_logs.damage().join("\n");
    assert!(damage.contains(&format!("offset 0: {} bytes skipped", large.len())), "{damage}");
    let behind = large.len() + 1 + next.len();
    assert!(damage.contains(&format!("offset {behind}: 1 bytes skipped")), "{damage}");
    let (lines, summary) = import_file(&large);
    assert_eq!((lines.len(), summary.node_logs.gaps), (0, 1));
}

/// Whatever byte of a file is changed, the blocks that are not hit come back, and unless the same
/// records come back something is told.
#[test]
fn every_changed_byte_leaves_the_other_blocks() {
    let rows = |start: u16| -> Vec<_> {
        (start..start + 3).map(|n| Row::new(52, T, n).text(format!("\"text {n}\""))).collect()
    };
    let blocks = [block(&rows(0), true), block(&rows(3), true), block(&rows(6), true)];
    let whole = blocks.concat();
    let (intact, _) = import_file(&whole);
    let data = |lines: &[String]| -> Vec<String> {
        let of = |line: &String| line.split("\"data\":").nth(1).unwrap().to_owned();
        lines.iter().map(of).collect()
    };
    let intact = data(&intact);
    assert_eq!(intact.len(), 9);
    let ends = [blocks[0].len(), blocks[0].len() + blocks[1].len(), whole.len()];
    for index in 0..whole.len() {
        for value in [whole[index] ^ 1, whole[index] ^ 0x80, 0, 0xF8, 0xFA] {
            let mut changed = whole.clone();
            changed[index] = value;
            let (lines, summary) = import_file(&changed);
            let found = data(&lines);
            assert!(found == intact || !summary.is_whole(), "byte {index} as {value:02x}");
            assert!(found.iter().all(|line| intact.contains(line)), "nothing is made up");
            // A separator that is gone makes one block of two, which are found again.
            let hit = ends.iter().position(|end| index < *end).unwrap();
            for other in (0..3).filter(|other| *other != hit) {
                let expected = &intact[other * 3..other * 3 + 3];
                let at = found.iter().position(|line| *line == expected[0]);
                let at = at.unwrap_or_else(|| panic!("byte {index} as {value:02x}: block {other}"));
                assert_eq!(&found[at..at + 3], expected, "byte {index} as {value:02x}");
            }
        }
    }
}

/// Raw blocks have no checksum: a changed byte may be a changed text, but the other blocks stay.
#[test]
fn every_changed_byte_of_raw_blocks_leaves_the_other_blocks() {
    let texts = ["\"one\"", "\"two\"", "\"three\""];
    let blocks = (0..).zip(texts).map(|(n, text)| block(&[Row::new(52, T, n).text(text)], false));
    let blocks: Vec<_> = blocks.collect();
    let len = blocks[0].len();
    for index in 0..len {
        for value in 0..=u8::MAX {
            let mut changed = blocks.concat();
            changed[index] = value;
            let (lines, summary) = import_file(&changed);
            // Without its separator a block takes the next one with it.
            let behind = if index == len - 1 && value != 0xFA { 1 } else { 2 };
            let found: Vec<_> = lines.iter().rev().take(behind).rev().collect();
            for (line, text) in found.iter().zip(&texts[3 - behind..]) {
                assert!(line.contains(text), "byte {index} as {value:02x}: {lines:?}");
            }
            assert!(found.len() == behind, "byte {index} as {value:02x}: {lines:?}");
            let read = lines.len() as u64 + summary.node_logs.pings;
            assert!(read == 3 || !summary.is_whole(), "byte {index} as {value:02x}");
        }
    }
}

#[test]
fn many_gaps_are_counted_and_the_first_are_shown() {
    let (_, summary) = import_file(&b"\x07\xFA".repeat(1000));
    assert_eq!(summary.node_logs.gaps, 1000);
    assert_eq!(summary.node_logs.damage().len(), 6);
}

#[test]
fn a_directory_of_anything_else_is_refused_with_the_way_out() {
    let refused = |files: &[(&str, &[u8])], format, part: &str| {
        let directory = directory(files);
        let mut sink = Rendered::default();
        let inputs = vec![Input::new(directory.path())];
        let error = run(inputs, &options(format), &mut sink, |_| {}).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let text: &[u8] = b"2026-02-03 14:05:06 INFO started\n";
    refused(&[], Format::Auto, "named like 01697612631377.log");
    refused(&[("app.log", text)], Format::Auto, "/*");
    refused(&[("app.log", text)], Format::SuperServerLogs, "named like 01697612631377.log");
    // The name may be a date and a time.
    refused(&[("20260203140506.log", text)], Format::Auto, "hold something else");
    refused(&[("0000000001-x.logq", text)], Format::Auto, "is a store already");
    refused(&[("01770127506789.log", text)], Format::Text, "cannot open");
}

#[test]
fn standard_formats_still_read_files_with_such_names() {
    let directory = directory(&[("20260203140506.log", b"2026-02-03 14:05:06 INFO started\n")]);
    let (lines, summary) = import(&directory.path().join("20260203140506.log"), Format::Auto);
    assert_eq!((lines.len(), summary.inputs[0].format), (1, Format::Text));
}
