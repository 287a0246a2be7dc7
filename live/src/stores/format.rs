//! How records look, and which of the ways a client wants.

use http::HeaderMap;
use http::header::ACCEPT;
use jiff::tz::TimeZone;
use logq_format::{RecordType, json};
use logq_reader::{Cursors, Row};
use serde_json::Value;

use super::parameters::Parameters;
use super::refusal::Refusal;

/// Appends a record as a line of text, for people; times are those of the zone. What could act on a
/// terminal must be escaped.
pub type TextLine = fn(&Row<'_>, &TimeZone, &mut Vec<u8>);

/// Ways to send records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One line a record.
    Text,
    /// One JSON object a line.
    Json,
    /// Server-sent events; the id is the cursor.
    Sse,
    /// Blocks as they are stored.
    Blocks,
}

impl Format {
    const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Sse, Self::Blocks];

    /// What the client wants: the parameter `format`, else the first that it accepts, else text.
    pub(super) fn wanted(parameters: &Parameters, headers: &HeaderMap) -> Result<Self, Refusal> {
        match parameters.one("format")? {
            None => Ok(Self::accepted(headers).unwrap_or(Self::Text)),
            Some("text") => Ok(Self::Text),
            Some("json" | "ndjson") => Ok(Self::Json),
            Some("sse") => Ok(Self::Sse),
            Some("blocks") => Ok(Self::Blocks),
            Some(_) => Err(Refusal::bad("format: there are text, json, sse and blocks")),
        }
    }

    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best: Option<(f32, Self)> = None;
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality = quality.unwrap_or(1.0_f32);
            let found = Self::ALL.into_iter().find(|format| format.is_named(&name));
            if let Some(format) = found
                && quality > best.map_or(0.0, |(quality, _)| quality)
            {
                best = Some((quality, format));
            }
        }
        best.map(|(_, format)| format)
    }

    fn is_named(self, name: &str) -> bool {
        match self {
            Self::Text => matches!(name, "text/plain" | "text/*" | "*/*"),
            Self::Json => matches!(
                name,
                "application/x-ndjson"
                    | "application/ndjson"
                    | "application/jsonl"
                    | "application/json"
                    | "application/*"
            ),
            Self::Sse => name == "text/event-stream",
            Self::Blocks => {
                matches!(name, "application/vnd.logq.blocks" | "application/octet-stream")
            }
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/x-ndjson",
            Self::Sse => "text/event-stream",
            Self::Blocks => "application/vnd.logq.blocks",
        }
    }
}

/// Everything about rendering that the question decides.
#[derive(Clone)]
pub(super) struct Printer {
    pub(super) format: Format,
    pub(super) zone: TimeZone,
    pub(super) text: TextLine,
    /// Whether an object about the answer is the last line of JSON.
    pub(super) trailer: bool,
}

impl Printer {
    /// Appends a record; as an event it has its cursor as the id.
    pub(super) fn print(&self, row: &Row<'_>, cursors: &Cursors, out: &mut Vec<u8>) {
        match self.format {
            Format::Text => (self.text)(row, &self.zone, out),
            Format::Json => object(row, out),
            Format::Sse => {
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(cursors.after(row).to_string().as_bytes());
                out.extend_from_slice(b"\ndata: ");
                object(row, out);
                out.push(b'\n');
            }
            Format::Blocks => {}
        }
    }

    /// What comes behind the last record.
    pub(super) fn last(&self, trailer: &Value, is_end: bool) -> Vec<u8> {
        match self.format {
            Format::Json if self.trailer => format!("{{\"trailer\":{trailer}}}\n"),
            Format::Sse if is_end => {
                format!("event: trailer\ndata: {{\"trailer\":{trailer}}}\n\n{END}")
            }
            Format::Sse => format!("event: trailer\ndata: {{\"trailer\":{trailer}}}\n\n"),
            _ => String::new(),
        }
        .into_bytes()
    }
}

/// Tells that nothing more can come.
const END: &str = "event: end\ndata: {\"state\":\"complete\"}\n\n";

/// Appends a record as a JSON object and a line feed. Line ends within it would be taken for the end of
/// the record, whoever put them there; JSON means the same without.
fn object(row: &Row<'_>, out: &mut Vec<u8>) {
    let Ok(record) = row.record() else { return };
    let start = out.len();
    json::write_line(out, &record, row.origin(), row.sequence());
    let is_raw = matches!(
        row.record_type(),
        RecordType::RequestLog
            | RecordType::WorkerLog
            | RecordType::MasterLog
            | RecordType::RequestMeta
            | RecordType::Response
            | RecordType::ResponseFinished
            | RecordType::UncaughtException
    );
    if is_raw {
        let end = out.len().saturating_sub(1);
        let line = out.get_mut(start..end).unwrap_or_default();
        line.iter_mut()
            .filter(|byte| matches!(**byte, b'\n' | b'\r'))
            .for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        let check = |accept: &'static str, expected| {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            let format = Format::wanted(&Parameters::default(), &headers).unwrap();
            assert_eq!(format, expected, "{accept}");
        };
        check("*/*", Format::Text);
        check("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", Format::Text);
        check("text/event-stream", Format::Sse);
        check("application/x-ndjson", Format::Json);
        check("text/plain;q=0.5, application/json", Format::Json);
        check("application/vnd.logq.blocks", Format::Blocks);
        check("image/png", Format::Text);
        check("application/json;q=0", Format::Text);
        let parameters = Parameters::parse("format=sse", &["format"]).unwrap();
        let format = Format::wanted(&parameters, &HeaderMap::new());
        assert_eq!(format.unwrap(), Format::Sse);
    }
}
