//! Whole imports: several inputs, compression, damage, summaries, errors.

use std::io::Write;
use std::path::PathBuf;

use logq_format::{Origin, Record, WorkerId};
use proptest::prelude::*;

use super::summary::Reason;
use super::testing::{Rendered, import, import_files, options};
use super::{Format, ImportError, Input, Progress, RecordSink, run};

fn json_line(second: u64) -> String {
    format!("{{\"ts\":{},\"n\":{second}}}\n", 1_770_127_506 + second)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Files with these contents in a fresh directory.
fn files(contents: &[&[u8]]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let paths = contents.iter().enumerate().map(|(index, content)| {
        let path = directory.path().join(format!("{index}.log"));
        std::fs::write(&path, content).unwrap();
        path
    });
    let paths = paths.collect();
    (directory, paths)
}

#[test]
fn records_arrive_in_the_order_of_lines_and_inputs() {
    let text: String = (0..60_000).map(json_line).collect();
    let (head, tail) = text.split_at(text.len() / 2);
    let cut = head.rfind('\n').unwrap() + 1;
    let (head, tail) = (&text[..cut], [&head[cut..], tail].concat());
    let expected = import(text.as_bytes(), &options(Format::Auto)).0;
    assert_eq!(expected.len(), 60_000);

    let zstd = zstd::encode_all(tail.as_bytes(), 1).unwrap();
    let (_directory, paths) = files(&[&gzip(head.as_bytes()), b"", &zstd]);
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    for threads in [1, 2, 7] {
        let mut options = options(Format::Auto);
        options.threads = threads;
        let (lines, summary) = import_files(&paths, &options);
        assert!(lines == expected, "{threads} threads");
        assert_eq!((summary.lines, summary.bytes), (60_000, text.len() as u64));
        let formats: Vec<_> = summary.inputs.iter().map(|input| input.format).collect();
        assert_eq!(formats, [Format::Jsonl, Format::Text, Format::Jsonl]);
    }
}

#[test]
fn a_torn_input_gives_what_it_has_and_is_reported() {
    let mut random = fastrand::Rng::with_seed(3);
    let text: String = (0..20_000).map(|_| json_line(random.u64(..1 << 40))).collect();
    let whole = gzip(text.as_bytes());
    let (_directory, paths) = files(&[&whole[..whole.len() / 2], json_line(1).as_bytes()]);
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    let (lines, summary) = import_files(&paths, &options(Format::Auto));
    assert!(lines.len() > 5_000 && lines.len() < 15_000, "{}", lines.len());
    assert!(lines.last().unwrap().contains("{\"n\":1}"));
    let reasons: Vec<_> = summary.failures.counts().map(|(reason, _)| reason).collect();
    assert!(reasons.contains(&Reason::Unreadable), "{reasons:?}");
    let failure = summary.failures.first().last().unwrap();
    assert!(failure.input.ends_with("0.log"), "{failure}");
    assert_eq!(failure.line, lines.len() as u64 + summary.failures.total() - 1);
}

#[test]
fn inputs_that_are_no_logs_are_reported_with_a_way_out() {
    let (_directory, paths) = files(&[b"\xFD7zXZ\0rest", json_line(1).as_bytes()]);
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    let (lines, summary) = import_files(&paths, &options(Format::Auto));
    assert_eq!(lines.len(), 1);
    assert_eq!(summary.failures.total(), 1);
    let message = summary.failures.first()[0].to_string();
    assert!(message.contains("0.log, line 1: ") && message.contains("xz -dc FILE |"), "{message}");
}

#[test]
fn long_lines_are_counted_and_the_next_ones_numbered_right() {
    let text = format!("{}{}\nno json\n{}", json_line(1), "y".repeat(5 << 20), json_line(2));
    let (lines, summary) = import(text.as_bytes(), &options(Format::Jsonl));
    assert_eq!((lines.len(), summary.lines, summary.bytes), (2, 4, text.len() as u64 - 1));
    let failures: Vec<_> =
        summary.failures.first().iter().map(|failure| (failure.line, failure.reason)).collect();
    assert_eq!(failures, [(2, Reason::LineTooLong), (3, Reason::NotJson)]);
    assert_eq!(summary.failures.first()[0].excerpt.chars().count(), 81);
}

#[test]
fn a_text_too_large_for_a_record_is_counted() {
    // Each NUL takes six bytes in JSON.
    let text = format!("2026-02-03 14:05:06 {}\n", "\0".repeat(1 << 20));
    let (lines, summary) = import(text.as_bytes(), &options(Format::Text));
    assert_eq!(lines.len(), 0);
    assert_eq!(summary.failures.counts().collect::<Vec<_>>(), [(Reason::TooLarge, 1)]);
    assert_eq!(summary.failures.first()[0].line, 1);
}

#[test]
fn empty_inputs_are_no_failure() {
    for text in ["", "\n", "\u{feff}", "\r\n\r\n"] {
        for format in Format::ALL {
            let (lines, summary) = import(text.as_bytes(), &options(format));
            assert_eq!((lines.len(), summary.failures.total()), (0, 0), "{text:?} {format}");
        }
    }
}

#[test]
fn progress_is_told_until_the_end() {
    let text: String = (0..60_000).map(json_line).collect();
    let (_directory, paths) = files(&[text.as_bytes()]);
    let mut all = Vec::new();
    let inputs = vec![Input::new(&paths[0])];
    run(inputs, &options(Format::Auto), &mut Rendered::default(), |progress| all.push(progress))
        .unwrap();
    let len = text.len() as u64;
    let end = Progress { bytes: len, bytes_total: Some(len), records: 60_000 };
    assert_eq!(all.last(), Some(&end));
    assert!(all.len() > 2 && all.is_sorted_by_key(|progress| progress.records));
}

#[test]
fn missing_inputs_are_found_before_anything_is_imported() {
    let (_directory, paths) = files(&[json_line(1).as_bytes()]);
    let inputs = vec![Input::new(&paths[0]), Input::new("/no/such/file".as_ref())];
    let mut sink = Rendered::default();
    let error = run(inputs, &options(Format::Auto), &mut sink, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot open /no/such/file");
    assert_eq!(sink.lines, [""; 0]);
}

#[test]
fn a_table_without_a_header_is_an_error() {
    let (_directory, paths) = files(&[b"1.2.3.4,GET,200\n"]);
    let inputs = vec![Input::new(&paths[0])];
    let result = run(inputs, &options(Format::Csv), &mut Rendered::default(), |_| {});
    assert!(matches!(result, Err(ImportError::Header { .. })), "{result:?}");
}

/// A sink that is full after some records.
struct Full {
    room: u64,
}

impl RecordSink for Full {
    type Error = std::io::Error;

    fn push(&mut self, _: Option<WorkerId>, _: &Record<'_>) -> Result<(), Self::Error> {
        self.room = self.room.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn push_as(&mut self, _: Origin, _: u64, record: &Record<'_>) -> Result<(), Self::Error> {
        self.push(None, record)
    }
}

#[test]
fn an_error_of_the_sink_ends_the_import() {
    let text: String = (0..200_000).map(json_line).collect();
    let (_directory, paths) = files(&[text.as_bytes()]);
    for room in [0, 1, 50_000] {
        let inputs = vec![Input::new(&paths[0])];
        let mut sink = Full { room };
        let error = run(inputs, &options(Format::Auto), &mut sink, |_| {}).unwrap_err();
        assert!(matches!(error, ImportError::Sink(_)), "{error:?}");
        assert_eq!(sink.room, 0);
    }
}

/// A sink with a bug.
struct Buggy;

impl RecordSink for Buggy {
    type Error = std::convert::Infallible;

    fn push(&mut self, _: Option<WorkerId>, _: &Record<'_>) -> Result<(), Self::Error> {
        panic!("a bug of the sink, on purpose")
    }

    fn push_as(&mut self, _: Origin, _: u64, record: &Record<'_>) -> Result<(), Self::Error> {
        self.push(None, record)
    }
}

#[test]
fn a_panic_of_one_thread_does_not_hang_the_others() {
    let text: String = (0..200_000).map(json_line).collect();
    let result = std::panic::catch_unwind(|| {
        let (_directory, paths) = files(&[text.as_bytes()]);
        run(vec![Input::new(&paths[0])], &options(Format::Auto), &mut Buggy, |_| {})
    });
    assert!(result.is_err());
}

#[test]
fn formats_are_known_by_their_names() {
    for format in Format::ALL {
        assert_eq!(format.to_string().to_uppercase().parse(), Ok(format));
    }
    let error = "xml".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("\"xml\", expected auto, jsonl"), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in Format::ALL {
            if format != Format::Csv {
                import(&bytes, &options(format));
            }
        }
    }

    #[test]
    fn arbitrary_rows_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        import(&[b"time,request,status\n", &*bytes].concat(), &options(Format::Csv));
        import(&[b"time,level,x\n", &*bytes].concat(), &options(Format::Csv));
    }

    #[test]
    fn lines_of_likely_pieces_never_panic(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..30),
    ) {
        let text = pieces.concat();
        for format in Format::ALL {
            if format != Format::Csv {
                let (lines, _) = import(text.as_bytes(), &options(format));
                for line in lines {
                    serde_json::from_str::<serde::de::IgnoredAny>(&line).unwrap();
                }
            }
        }
    }
}

/// What parsers stumble over.
const PIECES: [&str; 26] = [
    "\n",
    "\r\n",
    "\n",
    " ",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    "-",
    "é",
    "{\"timestamp\":\"",
    "2026-02-03T14:05:06.789000Z",
    "1770127506.5",
    "\",\"level\":\"INFO\"",
    "\"ts\":1770127506",
    "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1",
    "Feb  3 14:05:06 ",
    "ERROR",
    "level=warn msg=\"a",
    "\u{feff}",
    "\0",
];
