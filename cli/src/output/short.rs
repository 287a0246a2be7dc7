//! One line a record, for people: time, level, process, request, and what happened.
//!
//! ```text
//! 2026-02-03T14:05:06.789+01:00 ERROR w3     6f1c2f6e 500 in 12.5 ms: no database (+3 lines, 2 debug)
//! ```

use std::io::Write as _;

use jiff::tz::TimeZone;
use logq_format::{ErrorInfo, Event, Json, Level, Origin, Record, Timestamp, json};

use super::escape;
use super::style::Style;

/// How a line looks.
pub(crate) struct Line<'a> {
    pub(crate) style: &'a Style,
    pub(crate) zone: &'a TimeZone,
}

impl Line<'_> {
    /// Appends the record as one line; with `verbose`, stacks and DEBUG entries on further lines.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        origin: Origin,
        verbose: bool,
    ) {
        self.style.dim(out, |out| write_time(out, record.time, self.zone));
        out.push(b' ');
        self.style.level(record.level(), out, |out| {
            let name =
                if record.level() == Level::Critical { "CRIT" } else { record.level().as_str() };
            push(out, format_args!("{name:<5}"));
        });
        match record.subject(origin) {
            Some(worker) => push(out, format_args!(" w{worker:<5}")),
            None => push(out, format_args!(" master")),
        }
        match record.request_id() {
            Some(request) => {
                let text = request.to_string();
                let start = text.get(..8).unwrap_or_default();
                self.style.dim(out, |out| push(out, format_args!(" {start}")));
            }
            None => out.extend_from_slice(b"         "),
        }
        out.push(b' ');
        write_what(out, record, verbose);
        out.push(b'\n');
        if verbose && let Some(error) = error_of(record) {
            write_error_details(out, error, self.zone);
        }
    }
}

/// Appends what happened, without when and to whom.
pub(crate) fn write_message_line(out: &mut Vec<u8>, record: &Record<'_>, verbose: bool) {
    write_what(out, record, verbose);
    out.push(b'\n');
    if verbose && let Some(error) = error_of(record) {
        write_error_details(out, error, &TimeZone::UTC);
    }
}

/// RFC 3339 with milliseconds and the offset of the zone; `--since` reads it back.
fn write_time(out: &mut Vec<u8>, time: Timestamp, zone: &TimeZone) {
    let instant = jiff::Timestamp::from_microsecond(time.as_micros());
    let Ok(instant) = instant else {
        // jiff's range ends a day before RFC 3339's.
        return time.write_rfc3339(out);
    };
    let offset = zone.to_offset(instant);
    let local = offset.to_datetime(instant);
    let (date, clock) = (local.date(), local.time());
    push(
        out,
        format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.subsec_nanosecond() / 1_000_000
        ),
    );
    match offset.seconds() {
        0 => out.push(b'Z'),
        seconds => {
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            push(out, format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
}

fn write_what(out: &mut Vec<u8>, record: &Record<'_>, verbose: bool) {
    match &record.event {
        Event::Request(request) => {
            escape::push(out, request.method.as_str());
            out.push(b' ');
            escape::push(out, request.url);
            push(out, format_args!(" HTTP/{}", request.http_version));
            if let Some(ip) = request.ip {
                push(out, format_args!(" from {ip}"));
            }
        }
        Event::RequestMeta { data, .. } => {
            out.extend_from_slice(b"meta ");
            write_data(out, *data);
        }
        Event::Response(response) => {
            push(out, format_args!("{}", response.status));
            write_measures(out, response.bytes, response.duration_us);
            write_error(out, response.error.as_ref(), verbose);
        }
        Event::ResponseFinished(finished) => {
            out.extend_from_slice(b"finished");
            write_measures(out, finished.bytes, finished.duration_us);
            write_error(out, finished.error.as_ref(), verbose);
        }
        Event::Log { data, .. } => write_data(out, *data),
        Event::WorkerExited(exited) => {
            out.extend_from_slice(b"WORKER_EXITED");
            if let Some(code) = exited.exit_code {
                push(out, format_args!(" with code {code}"));
            }
            if let Some(signal) = exited.signal {
                out.extend_from_slice(b" by ");
                escape::push(out, signal);
            }
        }
        Event::UncaughtException { error, .. } => {
            out.extend_from_slice(b"UNCAUGHT_EXCEPTION");
            write_error(out, Some(error), verbose);
        }
        Event::Lost(lost) => {
            push(
                out,
                format_args!(
                    "LOST {} records from {} to {}: ",
                    lost.total(),
                    lost.first,
                    lost.last
                ),
            );
            escape::push(out, lost.reason);
        }
        Event::ClockStep(step) => {
            push(out, format_args!("CLOCK_STEP from {} to {}", step.expected, step.found));
        }
        Event::IoError(error) => {
            push(out, format_args!("IO_ERROR {} ", error.operation.escape_debug()));
            escape::push(out, error.path);
            out.extend_from_slice(b": ");
            escape::push(out, error.message);
        }
        Event::Unknown { kind, payload } => {
            push(out, format_args!("UNKNOWN kind {kind}, {} bytes", payload.len()));
        }
        _ => out.extend_from_slice(record.event_name().unwrap_or_default().as_bytes()),
    }
}

fn write_measures(out: &mut Vec<u8>, bytes: Option<u64>, duration_us: Option<u64>) {
    if let Some(bytes) = bytes {
        push(out, format_args!(" {bytes} B"));
    }
    if let Some(duration_us) = duration_us {
        out.extend_from_slice(b" in ");
        json::write_millis(out, duration_us);
        out.extend_from_slice(b" ms");
    }
}

/// Appends the first line of an error and how much more there is.
fn write_error(out: &mut Vec<u8>, error: Option<&ErrorInfo<'_>>, verbose: bool) {
    let Some(error) = error else { return };
    let mut lines = error.text.lines();
    out.extend_from_slice(b": ");
    escape::push(out, lines.next().unwrap_or_default());
    let (more, debug) = (lines.count(), error.debug.len());
    if verbose || (more == 0 && debug == 0) {
        return;
    }
    let lines = (more > 0).then(|| format!("+{more} lines"));
    let debug = (debug > 0).then(|| format!("{debug} debug"));
    let parts: Vec<_> = lines.into_iter().chain(debug).collect();
    push(out, format_args!(" ({})", parts.join(", ")));
}

fn error_of<'a, 'r>(record: &'r Record<'a>) -> Option<&'r ErrorInfo<'a>> {
    match &record.event {
        Event::Response(response) => response.error.as_ref(),
        Event::ResponseFinished(finished) => finished.error.as_ref(),
        Event::UncaughtException { error, .. } => Some(error),
        _ => None,
    }
}

fn write_error_details(out: &mut Vec<u8>, error: &ErrorInfo<'_>, zone: &TimeZone) {
    for line in error.text.lines().skip(1) {
        out.extend_from_slice(b"    ");
        escape::push(out, line);
        out.push(b'\n');
    }
    if let Some(properties) = error.properties {
        out.extend_from_slice(b"    properties ");
        escape::push(out, properties.as_str());
        out.push(b'\n');
    }
    for entry in error.debug.iter() {
        out.extend_from_slice(b"    ");
        write_time(out, entry.time, zone);
        out.extend_from_slice(b" DEBUG ");
        write_data(out, entry.data);
        out.push(b'\n');
    }
}

/// Appends JSON data: of an object its message first, then the other fields as they are.
fn write_data(out: &mut Vec<u8>, data: Json<'_>) {
    let Some(fields) = Fields::parse(data.as_str()) else {
        return escape::push(out, data.as_str());
    };
    let message = fields
        .0
        .iter()
        .find(|(name, value)| matches!(&**name, "message" | "msg") && value.get().starts_with('"'));
    let Some((message_name, message)) = message else {
        return escape::push(out, data.as_str());
    };
    let text: String = serde_json::from_str(message.get()).unwrap_or_default();
    escape::push(out, &text);
    for (name, value) in fields.0.iter().filter(|(name, _)| name != message_name) {
        out.push(b' ');
        escape::push(out, name);
        out.push(b'=');
        escape::push(out, value.get());
    }
}

/// The fields of a JSON object in their order, values not parsed.
struct Fields<'a>(Vec<(std::borrow::Cow<'a, str>, &'a serde_json::value::RawValue)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A field's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Appends formatted text; a vector takes everything.
fn push(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}
