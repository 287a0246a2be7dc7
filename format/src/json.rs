//! A record as one line of JSON. The names of the fields are a contract: `format/FORMAT.md`, "JSON".
//!
//! Rendering appends to a byte buffer and never builds a tree: JSON data goes through as it is
//! stored. Absent fields are left out, except `workerId`, which is null for the master.

use std::net::IpAddr;

use crate::header::Origin;
use crate::level::Level;
use crate::record::{
    ErrorInfo, ErrorKind, Event, LogSource, Lost, Process, Record, Request, RequestId, WorkerId,
};
use crate::shape::RecordType;

/// Appends the record as a JSON object and a line feed.
///
/// # Examples
///
/// ```
/// use logq_format::{json, Event, Lifecycle, Origin, Record, Timestamp, WorkerId, WriterId};
///
/// let record = Record {
///     time: Timestamp::from_micros(0),
///     event: Event::Lifecycle(Lifecycle::WorkerStarted),
/// };
/// let origin = Origin { writer: WriterId(9), worker: WorkerId::new(2) };
/// let mut line = Vec::new();
/// json::write_line(&mut line, &record, origin, 17);
/// assert_eq!(
///     String::from_utf8(line)?,
///     concat!(
///         r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"INFO","type":"LIFECYCLE","#,
///         r#""workerId":2,"writer":9,"seq":17,"event":"WORKER_STARTED"}"#,
///         "\n",
///     ),
/// );
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
pub fn write_line(out: &mut Vec<u8>, record: &Record<'_>, origin: Origin, sequence: u64) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    record.time.write_rfc3339(out);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(record.level().as_str().as_bytes());
    out.extend_from_slice(b"\",\"type\":\"");
    out.extend_from_slice(record.record_type().as_str().as_bytes());
    out.extend_from_slice(b"\",\"workerId\":");
    match record.subject(origin) {
        Some(worker) => number(out, worker.get()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"writer\":");
    number(out, origin.writer.0);
    out.extend_from_slice(b",\"seq\":");
    number(out, sequence);
    event_fields(out, &record.event);
    out.extend_from_slice(b"}\n");
}

impl Record<'_> {
    /// How severe the record is; follows from the event.
    ///
    /// An uncaught exception is CRITICAL; a response with an unexpected error and a response that
    /// failed to finish are ERROR; a worker that ended badly is WARN; the rest is INFO.
    pub fn level(&self) -> Level {
        match &self.event {
            Event::Log { level, .. } => *level,
            Event::UncaughtException { .. } => Level::Critical,
            Event::Response(response) if response.error.is_some() && !response.expected => {
                Level::Error
            }
            Event::ResponseFinished(finished) if finished.error.is_some() => Level::Error,
            Event::IoError(_) => Level::Error,
            Event::WorkerExited(exited) if !exited.is_orderly() => Level::Warn,
            Event::Lost(_) | Event::ClockStep(_) => Level::Warn,
            _ => Level::Info,
        }
    }

    /// The type of the record; follows from the event.
    pub fn record_type(&self) -> RecordType {
        match &self.event {
            Event::Request(_) => RecordType::Request,
            Event::RequestMeta { .. } => RecordType::RequestMeta,
            Event::Response(_) => RecordType::Response,
            Event::ResponseFinished(_) => RecordType::ResponseFinished,
            Event::Log { source, .. } => match source {
                LogSource::Request(_) => RecordType::RequestLog,
                LogSource::Worker => RecordType::WorkerLog,
                LogSource::Master => RecordType::MasterLog,
            },
            Event::Lifecycle(step) => match step.process() {
                Process::Worker => RecordType::WorkerLifecycle,
                Process::Master => RecordType::MasterLifecycle,
            },
            Event::UncaughtException { .. } => RecordType::UncaughtException,
            Event::WorkerSpawned { .. } => RecordType::WorkerSpawned,
            Event::WorkerExited(_) => RecordType::WorkerExited,
            Event::Lost(_) => RecordType::Lost,
            Event::ClockStep(_) => RecordType::ClockStep,
            Event::IoError(_) => RecordType::IoError,
            Event::Unknown { .. } => RecordType::Unknown,
        }
    }

    /// The request the record belongs to, if any.
    pub fn request_id(&self) -> Option<RequestId> {
        match &self.event {
            Event::Request(request) => Some(request.request),
            Event::RequestMeta { request, .. } => Some(*request),
            Event::Response(response) => Some(response.request),
            Event::ResponseFinished(finished) => Some(finished.request),
            Event::Log { source: LogSource::Request(request), .. } => Some(*request),
            _ => None,
        }
    }

    /// The worker the record is about: for WORKER_SPAWNED and WORKER_EXITED the worker that was
    /// spawned or exited, else the one that wrote it; `None` for the master.
    pub fn subject(&self, origin: Origin) -> Option<WorkerId> {
        match &self.event {
            Event::WorkerSpawned { worker } => Some(*worker),
            Event::WorkerExited(exited) => Some(exited.worker),
            _ => origin.worker,
        }
    }

    /// The name of the lifecycle event, such as `WORKER_STARTED`, if it is one.
    pub fn event_name(&self) -> Option<&'static str> {
        match &self.event {
            Event::Lifecycle(step) => Some(step.as_str()),
            Event::WorkerSpawned { .. } => Some("WORKER_SPAWNED"),
            Event::WorkerExited(_) => Some("WORKER_EXITED"),
            Event::UncaughtException { .. } => Some("UNCAUGHT_EXCEPTION"),
            _ => None,
        }
    }
}

fn event_fields(out: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::Request(request) => request_fields(out, request),
        Event::RequestMeta { request, data } => {
            request_id(out, *request);
            raw_field(out, "data", data.as_str());
        }
        Event::Response(response) => {
            request_id(out, response.request);
            out.extend_from_slice(b",\"statusCode\":");
            number(out, response.status);
            measures(out, response.bytes, response.duration_us);
            if let Some(error) = &response.error {
                error_field(out, error, response.expected);
            }
        }
        Event::ResponseFinished(finished) => {
            request_id(out, finished.request);
            measures(out, finished.bytes, finished.duration_us);
            if let Some(error) = &finished.error {
                error_field(out, error, false);
            }
        }
        Event::Log { source, data, .. } => {
            if let LogSource::Request(request) = source {
                request_id(out, *request);
            }
            raw_field(out, "data", data.as_str());
        }
        Event::Lifecycle(step) => text_field(out, "event", step.as_str()),
        Event::WorkerSpawned { .. } => text_field(out, "event", "WORKER_SPAWNED"),
        Event::WorkerExited(exited) => {
            text_field(out, "event", "WORKER_EXITED");
            if let Some(code) = exited.exit_code {
                out.extend_from_slice(b",\"exitCode\":");
                number(out, code);
            }
            if let Some(signal) = exited.signal {
                text_field(out, "signal", signal);
            }
        }
        Event::UncaughtException { error, .. } => {
            error_field(out, error, false);
            text_field(out, "event", "UNCAUGHT_EXCEPTION");
        }
        Event::Lost(_) | Event::ClockStep(_) | Event::IoError(_) | Event::Unknown { .. } => {
            logger_fields(out, event);
        }
    }
}

fn request_fields(out: &mut Vec<u8>, request: &Request<'_>) {
    request_id(out, request.request);
    match request.ip {
        // Spelt by hand, as half of all requests of a store may be printed.
        Some(IpAddr::V4(ip)) => {
            field_name(out, "ipAddress");
            for (index, octet) in ip.octets().into_iter().enumerate() {
                out.push(if index == 0 { b'"' } else { b'.' });
                number(out, octet);
            }
            out.push(b'"');
        }
        Some(ip @ IpAddr::V6(_)) => text_field(out, "ipAddress", &ip.to_string()),
        None => {}
    }
    out.extend_from_slice(b",\"httpVersion\":\"");
    number(out, request.http_version.major());
    out.push(b'.');
    number(out, request.http_version.minor());
    out.push(b'"');
    text_field(out, "method", request.method.as_str());
    text_field(out, "url", request.url);
}

/// What the logger says about itself goes into `data`.
fn logger_fields(out: &mut Vec<u8>, event: &Event<'_>) {
    object_field(out, "data", |out| match event {
        Event::Lost(lost) => {
            object_field(out, "counts", |out| lost_counts(out, lost));
            text_field(out, "first", &lost.first.to_string());
            text_field(out, "last", &lost.last.to_string());
            text_field(out, "reason", lost.reason);
        }
        Event::ClockStep(step) => {
            text_field(out, "expected", &step.expected.to_string());
            text_field(out, "found", &step.found.to_string());
        }
        Event::IoError(error) => {
            text_field(out, "operation", error.operation);
            field_name(out, "code");
            number(out, error.code);
            text_field(out, "path", error.path);
            text_field(out, "message", error.message);
        }
        Event::Unknown { kind, payload } => {
            field_name(out, "kind");
            number(out, *kind);
            text_field(out, "payload", &crate::error::Hex(payload).to_string());
        }
        _ => {}
    });
}

fn lost_counts(out: &mut Vec<u8>, lost: &Lost<'_>) {
    for (level, count) in Level::ALL.into_iter().zip(lost.counts).filter(|(_, count)| *count > 0) {
        field_name(out, level.as_str());
        number(out, count);
    }
}

fn error_field(out: &mut Vec<u8>, error: &ErrorInfo<'_>, expected: bool) {
    out.extend_from_slice(b",\"error\":{");
    out.extend_from_slice(match error.kind {
        ErrorKind::Stack => b"\"stack\":",
        ErrorKind::Value => b"\"value\":",
    });
    write_string(out, error.text);
    if expected {
        out.extend_from_slice(b",\"expected\":true");
    }
    if let Some(properties) = error.properties {
        raw_field(out, "properties", properties.as_str());
    }
    if !error.debug.is_empty() {
        out.extend_from_slice(b",\"debug\":[");
        for (index, entry) in error.debug.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            out.extend_from_slice(b"{\"timestamp\":\"");
            entry.time.write_rfc3339(out);
            out.push(b'"');
            raw_field(out, "data", entry.data.as_str());
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn request_id(out: &mut Vec<u8>, request: RequestId) {
    out.extend_from_slice(b",\"requestId\":\"");
    request.write_text(out);
    out.push(b'"');
}

fn measures(out: &mut Vec<u8>, bytes: Option<u64>, duration_us: Option<u64>) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(b",\"bytes\":");
        number(out, bytes);
    }
    if let Some(duration_us) = duration_us {
        out.extend_from_slice(b",\"durationMs\":");
        write_millis(out, duration_us);
    }
}

/// Appends microseconds as milliseconds: `12`, `12.5`, `0.001`.
pub fn write_millis(out: &mut Vec<u8>, micros: u64) {
    number(out, micros / 1000);
    let fraction = micros % 1000;
    if fraction > 0 {
        let digits = [fraction / 100, fraction / 10 % 10, fraction % 10];
        let text = digits.map(|digit| b'0' + (digit & 0x0F) as u8);
        let length = 3 - text.iter().rev().take_while(|digit| **digit == b'0').count();
        out.push(b'.');
        out.extend_from_slice(text.get(..length).unwrap_or_default());
    }
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a field whose value is an object of the fields that `fields` appends.
fn object_field(out: &mut Vec<u8>, name: &str, fields: impl FnOnce(&mut Vec<u8>)) {
    field_name(out, name);
    let start = out.len();
    fields(out);
    // Every field starts with a comma; the first one's gives way to the brace.
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

fn raw_field(out: &mut Vec<u8>, name: &str, json: &str) {
    field_name(out, name);
    out.extend_from_slice(json.as_bytes());
}

fn text_field(out: &mut Vec<u8>, name: &str, text: &str) {
    field_name(out, name);
    write_string(out, text);
}

fn field_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `text` as a JSON string, escaping what RFC 8259, section 7, requires and nothing else.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut clean = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(text.as_bytes().get(clean..index).unwrap_or_default());
        clean = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(crate::error::Hex(&[byte]).to_string().as_bytes());
            }
        }
    }
    out.extend_from_slice(text.as_bytes().get(clean..).unwrap_or_default());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{DebugEntry, Json};
    use crate::timestamp::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seeded())]

        #[test]
        fn strings_are_what_a_json_parser_reads_back(text: String) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn milliseconds_keep_every_microsecond(micros in 0_u64..1 << 50) {
            let mut out = Vec::new();
            write_millis(&mut out, micros);
            let text = String::from_utf8(out).unwrap();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert!(fraction.len() <= 3 && !fraction.ends_with('0'));
            let back = whole.parse::<u64>().unwrap() * 1000 + format!("{fraction:0<3}").parse::<u64>().unwrap();
            prop_assert_eq!(back, micros);
        }
    }

    fn line(event: Event<'_>) -> String {
        let origin = Origin { writer: crate::header::WriterId(1), worker: None };
        let mut out = Vec::new();
        write_line(&mut out, &Record { time: Timestamp::MAX, event }, origin, 2);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_that_are_absent_are_left_out() {
        let head = r#"{"timestamp":"9999-12-31T23:59:59.999999Z","level":"#;
        let check = |event, expected: &str| assert_eq!(line(event), format!("{head}{expected}\n"));
        let entry = DebugEntry { time: Timestamp::MIN, data: Json::NULL };
        let error = |properties, debug: &[DebugEntry<'static>]| {
            let debug = debug.to_vec().into();
            ErrorInfo { kind: ErrorKind::Value, text: "no", properties, debug }
        };
        let thrown = |error| Event::UncaughtException { process: Process::Master, error };
        check(
            thrown(error(None, &[])),
            r#""CRITICAL","type":"LIFECYCLE","workerId":null,"writer":1,"seq":2,"error":{"value":"no"},"event":"UNCAUGHT_EXCEPTION"}"#,
        );
        check(
            thrown(error(Some(Json::NULL), &[entry])),
            r#""CRITICAL","type":"LIFECYCLE","workerId":null,"writer":1,"seq":2,"error":{"value":"no","properties":null,"debug":[{"timestamp":"0000-01-01T00:00:00.000000Z","data":null}]},"event":"UNCAUGHT_EXCEPTION"}"#,
        );
        let (first, last) = (Timestamp::MIN, Timestamp::MIN);
        check(
            Event::Lost(Lost { counts: [0; 6], first, last, reason: "" }),
            r#""WARN","type":"LOST","workerId":null,"writer":1,"seq":2,"data":{"counts":{},"first":"0000-01-01T00:00:00.000000Z","last":"0000-01-01T00:00:00.000000Z","reason":""}}"#,
        );
        check(
            Event::Unknown { kind: 100, payload: &[1, 0xAB] },
            r#""INFO","type":"UNKNOWN","workerId":null,"writer":1,"seq":2,"data":{"kind":100,"payload":"01ab"}}"#,
        );
    }

    #[test]
    fn control_characters_never_reach_a_line() {
        let mut out = Vec::new();
        write_string(&mut out, "a\u{1b}[31m\n\"\\\u{0}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\u001b[31m\\n\\\"\\\\\\u0000é\"");
    }
}
