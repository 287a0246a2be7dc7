//! What happened, in one line: of every record the part that is neither when nor who.

use logq_format::{ErrorInfo, Event, Json, Record, json};
use logq_query::object_members;

use super::members::text_of;
use super::{escape, push};

/// How text from a log gets into the output: [`escape::push`] or [`escape::push_raw`].
pub(crate) type Put = fn(&mut Vec<u8>, &str);

/// How a message is written.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    pub(crate) put: Put,
    /// Whether the other fields of data follow its message.
    pub(crate) with_fields: bool,
    /// Whether the number of further lines and DEBUG entries follows the first line of an error.
    pub(crate) with_counts: bool,
}

impl Message {
    /// What happened and nothing else.
    pub(crate) fn alone(put: Put) -> Self {
        Self { put, with_fields: false, with_counts: false }
    }

    /// Appends what happened.
    pub(crate) fn write(self, out: &mut Vec<u8>, record: &Record<'_>) {
        match &record.event {
            Event::Request(request) => {
                (self.put)(out, request.method.as_str());
                out.push(b' ');
                (self.put)(out, request.url);
                push(out, format_args!(" HTTP/{}", request.http_version));
                if let Some(ip) = request.ip {
                    push(out, format_args!(" from {ip}"));
                }
            }
            Event::RequestMeta { data, .. } => {
                out.extend_from_slice(b"meta ");
                self.write_data(out, *data);
            }
            Event::Response(response) => {
                push(out, format_args!("{}", response.status));
                write_measures(out, response.bytes, response.duration_us);
                self.write_error(out, response.error.as_ref());
            }
            Event::ResponseFinished(finished) => {
                out.extend_from_slice(b"finished");
                write_measures(out, finished.bytes, finished.duration_us);
                self.write_error(out, finished.error.as_ref());
            }
            Event::Log { data, .. } => self.write_data(out, *data),
            Event::UncaughtException { error, .. } => {
                out.extend_from_slice(b"UNCAUGHT_EXCEPTION");
                self.write_error(out, Some(error));
            }
            event => self.write_rare(out, event, record.event_name()),
        }
    }

    fn write_rare(self, out: &mut Vec<u8>, event: &Event<'_>, name: Option<&str>) {
        match event {
            Event::WorkerExited(exited) => {
                out.extend_from_slice(b"WORKER_EXITED");
                if let Some(code) = exited.exit_code {
                    push(out, format_args!(" with code {code}"));
                }
                if let Some(signal) = exited.signal {
                    out.extend_from_slice(b" by ");
                    (self.put)(out, signal);
                }
            }
            Event::Lost(lost) => {
                let (total, first, last) = (lost.total(), lost.first, lost.last);
                push(out, format_args!("LOST {total} records from {first} to {last}: "));
                (self.put)(out, lost.reason);
            }
            Event::ClockStep(step) => {
                push(out, format_args!("CLOCK_STEP from {} to {}", step.expected, step.found));
            }
            Event::IoError(error) => {
                out.extend_from_slice(b"IO_ERROR ");
                (self.put)(out, error.operation);
                out.push(b' ');
                (self.put)(out, error.path);
                out.extend_from_slice(b": ");
                (self.put)(out, error.message);
            }
            Event::Unknown { kind, payload } => {
                push(out, format_args!("UNKNOWN kind {kind}, {} bytes", payload.len()));
            }
            _ => out.extend_from_slice(name.unwrap_or_default().as_bytes()),
        }
    }

    /// Appends the first line of an error and how much more there is.
    fn write_error(self, out: &mut Vec<u8>, error: Option<&ErrorInfo<'_>>) {
        let Some(error) = error else { return };
        let mut lines = error.text.lines();
        out.extend_from_slice(b": ");
        (self.put)(out, lines.next().unwrap_or_default());
        let (more, debug) = (lines.count(), error.debug.len());
        if !self.with_counts || (more == 0 && debug == 0) {
            return;
        }
        let lines = (more > 0).then(|| format!("+{more} lines"));
        let debug = (debug > 0).then(|| format!("{debug} debug"));
        let parts: Vec<_> = lines.into_iter().chain(debug).collect();
        push(out, format_args!(" ({})", parts.join(", ")));
    }

    /// Appends JSON data: of an object its message first, then the other fields as they are; of a
    /// string its text.
    pub(crate) fn write_data(self, out: &mut Vec<u8>, data: Json<'_>) {
        let members = object_members(data.as_str()).unwrap_or_default();
        let named = members.iter().filter(|(name, _)| matches!(&**name, "message" | "msg"));
        let message = named.filter_map(|(name, value)| Some((name, text_of(value)?))).next();
        let Some((message_name, message)) = message else {
            // Text alone is the message.
            let text = text_of(data.as_str());
            return (self.put)(out, text.as_deref().unwrap_or(data.as_str()));
        };
        (self.put)(out, &message);
        if !self.with_fields {
            return;
        }
        for (name, value) in members.iter().filter(|(name, _)| name != message_name) {
            out.push(b' ');
            (self.put)(out, name);
            out.push(b'=');
            (self.put)(out, value);
        }
    }
}

/// The error that a record tells of, if any.
pub(crate) fn error_of<'a, 'r>(record: &'r Record<'a>) -> Option<&'r ErrorInfo<'a>> {
    match &record.event {
        Event::Response(response) => response.error.as_ref(),
        Event::ResponseFinished(finished) => finished.error.as_ref(),
        Event::UncaughtException { error, .. } => Some(error),
        _ => None,
    }
}

/// Appends what an error has beyond its first line, each line indented by `indent`.
pub(crate) fn write_error_details(
    out: &mut Vec<u8>,
    error: &ErrorInfo<'_>,
    indent: &str,
    write_time: impl Fn(&mut Vec<u8>, logq_format::Timestamp),
) {
    write_stack(out, error, indent);
    let message = Message { put: escape::push, with_fields: true, with_counts: false };
    for entry in error.debug.iter() {
        out.extend_from_slice(indent.as_bytes());
        write_time(out, entry.time);
        out.extend_from_slice(b" DEBUG ");
        message.write_data(out, entry.data);
        out.push(b'\n');
    }
}

/// Appends the further lines of an error's text and its properties, each line indented.
pub(crate) fn write_stack(out: &mut Vec<u8>, error: &ErrorInfo<'_>, indent: &str) {
    for line in error.text.lines().skip(1) {
        out.extend_from_slice(indent.as_bytes());
        escape::push(out, line);
        out.push(b'\n');
    }
    if let Some(properties) = error.properties {
        out.extend_from_slice(indent.as_bytes());
        out.extend_from_slice(b"properties ");
        escape::push(out, properties.as_str());
        out.push(b'\n');
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
