//! What the tests of the parsers share: text in, rendered records out.

use std::path::Path;

use jiff::tz::TimeZone;
use logq_format::{Origin, Record, WorkerId, WriterId, json};

use super::{Format, Input, Options, RecordSink, Summary, run};

/// A sink that renders records as JSON lines.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) lines: Vec<String>,
}

impl RecordSink for Rendered {
    type Error = std::convert::Infallible;

    fn push(&mut self, worker: Option<WorkerId>, record: &Record<'_>) -> Result<(), Self::Error> {
        self.push_as(Origin { writer: WriterId(0), worker }, 0, record)
    }

    fn push_as(
        &mut self,
        origin: Origin,
        sequence: u64,
        record: &Record<'_>,
    ) -> Result<(), Self::Error> {
        let mut line = Vec::new();
        json::write_line(&mut line, record, origin, sequence);
        self.lines.push(String::from_utf8(line).unwrap());
        Ok(())
    }
}

/// UTC, two threads, and the first of June 2026 as the present.
pub(super) fn options(format: Format) -> Options {
    Options {
        format,
        zone: TimeZone::UTC,
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
        worker: WorkerId::new(1),
        seed: 42,
        threads: 2,
    }
}

/// Imports one file with these bytes: the JSON lines of the records, and the summary.
pub(super) fn import(bytes: &[u8], options: &Options) -> (Vec<String>, Summary) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    import_files(&[file.path()], options)
}

/// Imports files one after the other.
pub(super) fn import_files(paths: &[&Path], options: &Options) -> (Vec<String>, Summary) {
    let mut sink = Rendered::default();
    let inputs = paths.iter().map(|path| Input::new(path)).collect();
    let summary = run(inputs, options, &mut sink, |_| {}).unwrap();
    assert_eq!(summary.records, sink.lines.len() as u64);
    (sink.lines, summary)
}

/// Checks what a text becomes, each record in one line: time, level, type, worker and the other
/// members without the names `data` and `requestId`; then each failure.
pub(super) fn check_lines(format: Format, text: &str, expected: &[&str]) {
    check_bytes(format, text.as_bytes(), expected);
}

/// Checks what bytes become.
pub(super) fn check_bytes(format: Format, bytes: &[u8], expected: &[&str]) {
    let (lines, summary) = import(bytes, &options(format));
    let mut found: Vec<_> = lines.iter().map(|line| brief(line)).collect();
    for failure in summary.failures.first() {
        let (reason, line) = (failure.reason, failure.line);
        found.push(format!("failed {reason:?} line {line}: {}", failure.excerpt));
    }
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(found, expected, "{text}");
}

/// The line without what all records have in common.
fn brief(line: &str) -> String {
    let line = line.trim_end().strip_prefix("{\"timestamp\":\"").unwrap();
    let (time, line) = line.split_once("\",\"level\":\"").unwrap();
    let (level, line) = line.split_once("\",\"type\":\"").unwrap();
    let (kind, line) = line.split_once("\",\"workerId\":").unwrap();
    let (worker, line) = line.split_once(",\"writer\":0,\"seq\":0").unwrap();
    let rest = line.strip_prefix(',').unwrap_or(line).strip_suffix('}').unwrap();
    let rest = match rest.split_once("\"requestId\":\"") {
        Some(("", request)) => {
            let (id, rest) = request.split_once('"').unwrap();
            // Ids of version 8 are made up here.
            let id = if id.as_bytes()[14] == b'8' { "-" } else { id };
            format!("{id} {}", rest.trim_start_matches(','))
        }
        _ => rest.to_owned(),
    };
    format!("{time} {level} {kind} {worker} {}", rest.replacen("\"data\":", "", 1))
        .trim()
        .to_owned()
}
