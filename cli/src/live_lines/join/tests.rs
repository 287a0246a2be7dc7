//! Lines and moments in, records out.

use super::*;

const OUT: usize = 0;
const ERR: usize = 1;

/// A joiner with a clock of its own and the records so far, each as `LEVEL data`.
struct Bench {
    joiner: Joiner,
    now: Instant,
    records: Vec<String>,
}

impl Bench {
    fn new(format: LineFormat) -> Self {
        let streams = [
            Stream { name: Some("stdout"), level: Level::Info },
            Stream { name: Some("stderr"), level: Level::Warn },
        ];
        let parser = LineParser::new("2026-06-01T00:00:00Z".parse().unwrap());
        let joiner = Joiner::new(format, parser, &streams);
        Self { joiner, now: Instant::now(), records: Vec::new() }
    }

    fn line(&mut self, stream: usize, line: impl AsRef<[u8]>) -> &mut Self {
        self.piece(stream, line.as_ref(), true)
    }

    fn piece(&mut self, stream: usize, bytes: &[u8], ends: bool) -> &mut Self {
        self.joiner.take(stream, Piece { bytes, ends }, self.now);
        self.drain()
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.joiner.tick(self.now);
        self.drain()
    }

    fn drain(&mut self) -> &mut Self {
        while let Some(record) = self.joiner.next() {
            self.records.push(format!("{} {}", record.level, record.data));
        }
        self
    }

    /// The records, those that were open included.
    fn finish(&mut self) -> Vec<String> {
        self.joiner.close(OUT);
        self.joiner.close(ERR);
        self.drain();
        assert_eq!(self.joiner.waiting, 0);
        assert_eq!(self.joiner.deadline(), None);
        std::mem::take(&mut self.records)
    }
}

/// Checks what lines of standard output become; of the data only what comes before the stream.
fn check(format: LineFormat, lines: &[&str], expected: &[&str]) {
    let mut bench = Bench::new(format);
    for line in lines {
        bench.line(OUT, line);
    }
    let found = bench.finish();
    let brief: Vec<_> = found
        .iter()
        .map(|record| record.replace(",\"stream\":\"stdout\"}", "}").replace("{\"message\":", "{"))
        .collect();
    assert_eq!(brief, expected, "{lines:?}");
}

#[test]
fn each_line_is_what_it_looks_like() {
    check(
        LineFormat::Auto,
        &["listening", r#"{"level":"debug","n":1}"#, "level=error msg=\"a b\"", "", "WARN low"],
        &[
            r#"INFO {"listening"}"#,
            r#"DEBUG {"n":1}"#,
            r#"ERROR {"msg":"a b"}"#,
            r#"WARN {"WARN low"}"#,
        ],
    );
    check(LineFormat::Auto, &["[1]", "a=1"], &[r#"INFO {"[1]"}"#, r#"INFO {"a=1"}"#]);
    check(LineFormat::Jsonl, &["{\"a\": 1}", "x"], &[r#"INFO {"a":1}"#, r#"INFO {"x"}"#]);
    check(LineFormat::Logfmt, &["a=1", "x"], &[r#"INFO {"a":1}"#, r#"INFO {"x"}"#]);
    check(LineFormat::Text, &["{\"a\":1}"], &[r#"INFO {"{\"a\":1}"}"#]);
}

#[test]
fn stack_traces_stay_with_their_line() {
    check(
        LineFormat::Auto,
        &["Error: x", "    at f (a.js:1:1)", "    level=info a=1", "}", "", "next"],
        &[r#"ERROR {"Error: x\n    at f (a.js:1:1)\n    level=info a=1\n}"}"#, r#"INFO {"next"}"#],
    );
    check(
        LineFormat::Auto,
        &["2026-02-03 14:05:06 INFO x", "more", "ERROR other", "{\"a\":1}", "more"],
        &[
            r#"INFO {"2026-02-03 14:05:06 INFO x\nmore"}"#,
            r#"ERROR {"ERROR other"}"#,
            r#"INFO {"a":1}"#,
            r#"INFO {"more"}"#,
        ],
    );
    check(
        LineFormat::Auto,
        &["Traceback (most recent call last):", "  File", "KeyError: 1"],
        &[r#"ERROR {"Traceback (most recent call last):\n  File\nKeyError: 1"}"#],
    );
}

#[test]
fn colours_hide_neither_time_nor_level() {
    check(
        LineFormat::Auto,
        &["\u{1b}[2m2026-02-03T14:05:06.1Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m slow", "and more"],
        &[concat!(
            r#"WARN {"\u001b[2m2026-02-03T14:05:06.1Z\u001b[0m "#,
            r#"\u001b[33m WARN\u001b[0m slow\nand more"}"#
        )],
    );
    assert_eq!(without_colours("a\u{1b}[1;31mb\u{1b}[mc\u{1b}[38:5:1mé\u{1b}["), "abcé");
}

#[test]
fn a_record_is_complete_after_a_silence_or_at_an_age() {
    let mut bench = Bench::new(LineFormat::Auto);
    bench.line(OUT, "a").wait(99).line(OUT, " b").wait(99);
    assert_eq!(bench.records, [""; 0]);
    bench.wait(1).line(OUT, " c");
    assert_eq!(bench.records, [r#"INFO {"message":"a\n b","stream":"stdout"}"#]);
    for _ in 0..20 {
        bench.wait(50).line(OUT, " d");
    }
    assert_eq!(bench.records.len(), 2, "at a second");
    assert_eq!(bench.finish().len(), 3);
}

#[test]
fn lines_without_a_level_have_that_of_their_stream() {
    let mut bench = Bench::new(LineFormat::Auto);
    bench.line(ERR, "x").line(ERR, r#"{"a":1}"#).line(ERR, "INFO y").line(ERR, "panic: z");
    let levels = bench.finish().join("\n");
    let levels: Vec<_> =
        levels.lines().map(|record| record.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(levels, ["WARN", "WARN", "INFO", "CRITICAL"]);
}

#[test]
fn records_keep_the_order_of_their_first_lines_across_streams() {
    let mut bench = Bench::new(LineFormat::Auto);
    bench.line(OUT, "a").wait(10).line(ERR, r#"{"b":1}"#).line(ERR, "c").wait(10).line(OUT, " a");
    assert_eq!(bench.records, [""; 0], "what comes behind an open record waits for it");
    let found = bench.wait(100).finish();
    assert_eq!(
        found,
        [
            r#"INFO {"message":"a\n a","stream":"stdout"}"#,
            r#"WARN {"b":1,"stream":"stderr"}"#,
            r#"WARN {"message":"c","stream":"stderr"}"#,
        ]
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = Bench::new(LineFormat::Auto);
    bench.line(OUT, "a");
    let big = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
    for _ in 0..4 {
        bench.line(ERR, &big);
    }
    assert_eq!(bench.records.len(), 5, "the open record did not wait for its silence");
}

#[test]
fn a_line_in_pieces_becomes_records_with_marks() {
    let mut bench = Bench::new(LineFormat::Auto);
    bench.line(OUT, "before").piece(OUT, b"ERROR a", false).piece(OUT, b"b", false);
    let found = bench.piece(OUT, b"", true).line(OUT, "after").finish();
    assert_eq!(
        found,
        [
            r#"INFO {"message":"before","stream":"stdout"}"#,
            r#"ERROR {"message":"ERROR a","part":1,"more":true,"stream":"stdout"}"#,
            r#"ERROR {"message":"b","part":2,"more":true,"stream":"stdout"}"#,
            r#"ERROR {"message":"","part":3,"stream":"stdout"}"#,
            r#"INFO {"message":"after","stream":"stdout"}"#,
        ]
    );
}

#[test]
fn no_record_is_larger_than_a_store_takes() {
    let worst = vec![0xFF; 1 << 20];
    let mut bench = Bench::new(LineFormat::Auto);
    let found = bench.line(OUT, worst).line(OUT, vec![1; 1 << 20]).finish();
    assert!(found.iter().all(|record| record.len() < TEXT_BYTES_MAX));
    let all = found.join("");
    assert_eq!(all.matches(r"\\xff").count(), 1 << 20, "no byte is lost");
    assert_eq!(all.matches(r"\u0001").count(), 1 << 20);
    let ends = found.iter().filter(|record| !record.contains("\"more\":true")).count();
    assert_eq!((found.len() - ends > 0, ends), (true, 2));
}

#[test]
fn joined_lines_are_bounded() {
    let mut bench = Bench::new(LineFormat::Auto);
    let line = format!(" {}", "x".repeat(1 << 18));
    bench.line(OUT, "a");
    for _ in 0..8 {
        bench.line(OUT, &line);
    }
    let found = bench.finish();
    assert!(found.len() >= 3);
    assert!(found.iter().all(|record| record.len() <= JOINED_BYTES_MAX + 64));
    assert_eq!(found.join("").matches('x').count(), 8 << 18);
}
