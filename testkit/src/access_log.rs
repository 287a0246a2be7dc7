//! Traffic as other programs log it: access logs of web servers, and JSON lines of other loggers.
//! Input for imports.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use logq_format::{Event, HttpVersion, Json, Level, Record, RequestId, Timestamp, WorkerId, json};

/// How an access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessForm {
    /// The common log format of Apache and NCSA.
    Common,
    /// The common log format with referrer and user agent.
    Combined,
    /// Comma-separated values with a header: remotehost, rfc931, authuser, date in seconds since
    /// the epoch, request, status, bytes.
    Csv,
}

impl AccessForm {
    /// The line before all others, with its line feed; empty where there is none.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Common | Self::Combined => "",
            Self::Csv => {
                "\"remotehost\",\"rfc931\",\"authuser\",\"date\",\"request\",\"status\",\"bytes\"\n"
            }
        }
    }
}

/// Makes one line of an access log from the records of each request.
///
/// A line is due when the response is finished and has the time of the request, so the times of
/// lines are not in order, as in real access logs.
#[derive(Debug)]
pub struct AccessLog {
    form: AccessForm,
    open: HashMap<RequestId, OpenRequest>,
    line: String,
}

#[derive(Debug)]
struct OpenRequest {
    time: Timestamp,
    ip: Option<IpAddr>,
    version: HttpVersion,
    /// Method and url.
    target: String,
    status: u16,
}

/// A selection of user agents; each client has one of them.
const USER_AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "curl/8.7.1",
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl AccessLog {
    /// A log without open requests.
    pub fn new(form: AccessForm) -> Self {
        Self { form, open: HashMap::new(), line: String::new() }
    }

    /// Takes notice of the record; answers the line, with its line feed, if it ends a request.
    pub fn line(&mut self, record: &Record<'_>) -> Option<&str> {
        match &record.event {
            Event::Request(request) => {
                let target = format!("{} {}", request.method.as_str(), request.url);
                let (ip, version) = (request.ip, request.http_version);
                let open = OpenRequest { time: record.time, ip, version, target, status: 0 };
                self.open.insert(request.request, open);
                None
            }
            Event::Response(response) => {
                if let Some(open) = self.open.get_mut(&response.request) {
                    open.status = response.status;
                }
                None
            }
            Event::ResponseFinished(finished) => {
                let open = self.open.remove(&finished.request)?;
                self.line.clear();
                // Writing to a string cannot fail.
                let _ = match self.form {
                    AccessForm::Csv => write_csv(&mut self.line, &open, finished.bytes),
                    AccessForm::Common => write_common(&mut self.line, &open, finished.bytes),
                    AccessForm::Combined => write_common(&mut self.line, &open, finished.bytes)
                        .and_then(|()| write_agent(&mut self.line, &open)),
                };
                self.line.push('\n');
                Some(&self.line)
            }
            _ => None,
        }
    }
}

impl OpenRequest {
    fn host(&self) -> String {
        self.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string())
    }
}

fn write_common(out: &mut String, open: &OpenRequest, bytes: Option<u64>) -> std::fmt::Result {
    let (host, target, version, status) = (open.host(), &open.target, open.version, open.status);
    let time = apache_time(open.time);
    write!(out, "{host} - - [{time}] \"{target} HTTP/{version}\" {status} ")?;
    // "-" instead of 0, as the format wants it.
    match bytes.filter(|bytes| *bytes > 0) {
        Some(bytes) => write!(out, "{bytes}"),
        None => out.write_str("-"),
    }
}

fn write_agent(out: &mut String, open: &OpenRequest) -> std::fmt::Result {
    let client: usize = open.host().bytes().map(usize::from).sum();
    let agent = USER_AGENTS.get(client % USER_AGENTS.len()).copied().unwrap_or("-");
    let referrer = if client.is_multiple_of(3) { "-" } else { "https://shop.example/" };
    write!(out, " \"{referrer}\" \"{agent}\"")
}

fn write_csv(out: &mut String, open: &OpenRequest, bytes: Option<u64>) -> std::fmt::Result {
    let (host, target, version, status) = (open.host(), &open.target, open.version, open.status);
    let seconds = open.time.as_micros().div_euclid(1_000_000);
    let bytes = bytes.unwrap_or(0);
    write!(out, "\"{host}\",\"-\",\"-\",{seconds},\"{target} HTTP/{version}\",{status},{bytes}")
}

/// A time as access logs write it: `03/Feb/2026:14:05:06 +0000`.
fn apache_time(time: Timestamp) -> String {
    let text = time.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month: usize = part(5..7).parse().unwrap_or(1);
    let month = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or_default();
    format!("{}/{month}/{}:{} +0000", part(8..10), part(0..4), part(11..19))
}

/// The keys and values of another logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignForm {
    /// pino: `{"level":30,"time":1770127506789,"pid":4001,"msg":"..."}`.
    Pino,
    /// zap: `{"level":"info","ts":1770127506.789123,"msg":"..."}`.
    Zap,
    /// Go's slog: `{"time":"2026-02-03T14:05:06.789123+00:00","level":"INFO","msg":"..."}`.
    Slog,
    /// Elastic: `{"@timestamp":"2026-02-03T14:05:06.789Z","log.level":"info","message":"..."}`.
    Elastic,
}

/// Appends a record as a line of another logger, with the fields that one would have.
pub fn write_foreign(
    out: &mut String,
    form: ForeignForm,
    worker: Option<WorkerId>,
    record: &Record<'_>,
) {
    let (time, level) = (record.time, record.level());
    let text = time.to_string();
    let micros = time.as_micros();
    let lower = level.as_str().to_ascii_lowercase();
    // Writing to a string cannot fail.
    let _ = match form {
        ForeignForm::Pino => {
            let pid = worker.map_or(4000, |worker| 4000 + worker.get());
            let (number, millis) = (pino_level(level), micros.div_euclid(1000));
            write!(out, "{{\"level\":{number},\"time\":{millis},\"pid\":{pid},\"msg\":")
        }
        ForeignForm::Zap => {
            let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
            write!(out, "{{\"level\":\"{lower}\",\"ts\":{seconds}.{rest:06},\"msg\":")
        }
        ForeignForm::Slog => {
            let local = text.trim_end_matches('Z');
            write!(out, "{{\"time\":\"{local}+00:00\",\"level\":\"{level}\",\"msg\":")
        }
        ForeignForm::Elastic => {
            let millis = text.get(..23).unwrap_or_default();
            write!(out, "{{\"@timestamp\":\"{millis}Z\",\"log.level\":\"{lower}\",\"message\":")
        }
    };
    push_text(out, record.event_name().unwrap_or(record.record_type().as_str()));
    if let Some(request) = record.request_id() {
        let _ = write!(out, ",\"reqId\":\"{request}\"");
    }
    push_fields(out, &record.event);
    out.push_str("}\n");
}

fn pino_level(level: Level) -> u8 {
    match level {
        Level::Critical => 60,
        Level::Error => 50,
        Level::Warn => 40,
        Level::Info => 30,
        Level::Debug => 20,
        Level::Trace => 10,
    }
}

fn push_fields(out: &mut String, event: &Event<'_>) {
    // Writing to a string cannot fail.
    let _ = match event {
        Event::Request(request) => {
            let method = request.method.as_str();
            let _ = write!(out, ",\"method\":\"{method}\",\"url\":");
            push_text(out, request.url);
            request.ip.map_or(Ok(()), |ip| write!(out, ",\"ip\":\"{ip}\""))
        }
        Event::Response(response) => write!(out, ",\"status\":{}", response.status),
        Event::ResponseFinished(finished) => {
            finished.bytes.map_or(Ok(()), |bytes| write!(out, ",\"bytes\":{bytes}"))
        }
        Event::RequestMeta { data, .. } | Event::Log { data, .. } => push_data(out, *data),
        _ => Ok(()),
    };
}

fn push_data(out: &mut String, data: Json<'_>) -> std::fmt::Result {
    write!(out, ",\"data\":{data}")
}

fn push_text(out: &mut String, text: &str) {
    let mut bytes = Vec::new();
    json::write_string(&mut bytes, text);
    out.push_str(&String::from_utf8_lossy(&bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{TrafficOptions, generate};

    fn first_lines(form: AccessForm, count: usize) -> Vec<String> {
        let mut log = AccessLog::new(form);
        let mut lines = Vec::new();
        generate(&TrafficOptions { records: 2_000, ..Default::default() }, |_, record| {
            lines.extend(log.line(record).map(str::to_owned));
        });
        assert!(log.open.is_empty(), "every request ends");
        lines.truncate(count);
        lines
    }

    #[test]
    fn access_logs_look_as_web_servers_write_them() {
        for (form, fields) in
            [(AccessForm::Common, 10), (AccessForm::Combined, 12), (AccessForm::Csv, 3)]
        {
            for line in first_lines(form, 300) {
                assert!(line.ends_with('\n') && line.matches('"').count() % 2 == 0, "{line}");
                let found = line.split(' ').count();
                assert!(found >= fields, "{form:?}: {line}");
                let dated = match form {
                    AccessForm::Csv => line.contains(",17700") || line.contains(",17701"),
                    _ => line.contains(" - - [03/Feb/2026:"),
                };
                assert!(dated, "{line}");
            }
        }
    }

    #[test]
    fn foreign_lines_are_json() {
        let mut text = String::new();
        generate(&TrafficOptions { records: 500, ..Default::default() }, |worker, record| {
            for form in
                [ForeignForm::Pino, ForeignForm::Zap, ForeignForm::Slog, ForeignForm::Elastic]
            {
                write_foreign(&mut text, form, worker, record);
            }
        });
        assert_eq!(text.lines().count(), 2_000);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value.get("msg").or(value.get("message")).is_some(), "{line}");
        }
    }
}
