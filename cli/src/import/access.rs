//! Access logs: one line tells of one exchange, a request and its response.
//!
//! [`clf`] reads the lines; tables of requests come from `csv`. Here an exchange becomes records:
//!
//! | record | what it has |
//! |---|---|
//! | REQUEST | address, HTTP version, method, url |
//! | REQUEST_META | a JSON object of what else is known, if anything is |
//! | RESPONSE | status and bytes, if there is a status |
//! | RESPONSE_FINISHED | bytes and duration, if there was a response |
//!
//! All of them have the time of the line: some servers log when the request began, some when it
//! ended, and the line does not tell. Texts are kept as logged: of the escapes that servers write
//! only `\"` is resolved, so that nothing becomes ambiguous.

mod clf;

use std::net::{IpAddr, SocketAddr};

use logq_format::{
    Event, HttpVersion, Json, Method, Request, RequestId, Response, ResponseFinished, Timestamp,
};

pub(super) use self::clf::{duration_us, fits, parse};
use crate::import::batch::Batch;
use crate::import::members::write_string;

/// One request and its response.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange<'a> {
    pub(super) time: Option<Timestamp>,
    /// The client as logged; empty or `-` if unknown.
    pub(super) client: &'a str,
    /// The request line as logged.
    pub(super) request: &'a str,
    /// Method, url and protocol, if the log has them in fields of their own.
    pub(super) parts: Option<[&'a str; 3]>,
    pub(super) status: Option<u16>,
    pub(super) bytes: Option<u64>,
    pub(super) duration_us: Option<u64>,
    /// What else is known, by name.
    pub(super) meta: Vec<(&'a str, &'a str)>,
    /// Fields without a name, in the order of the line.
    pub(super) extra: Vec<&'a str>,
}

/// The parts of a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestLine<'a> {
    method: Method<'a>,
    url: &'a str,
    http_version: HttpVersion,
}

/// The version of requests that do not tell theirs.
const NO_VERSION: HttpVersion = match HttpVersion::new(0, 0) {
    Some(version) => version,
    None => HttpVersion::HTTP_10,
};

impl<'a> Exchange<'a> {
    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        let (mut meta, mut extra) =
            (std::mem::take(&mut self.meta), std::mem::take(&mut self.extra));
        meta.clear();
        extra.clear();
        *self = Self { meta, extra, ..Self::default() };
    }

    /// Notes what is known by a name; `-` and nothing stand for unknown.
    pub(super) fn note(&mut self, name: &'a str, value: &'a str) {
        if !value.is_empty() && value != "-" {
            self.meta.push((name, value));
        }
    }

    /// Adds the records of this exchange.
    pub(super) fn push(&mut self, line: u64, request: RequestId, batch: &mut Batch<'a>) {
        let ip = self.address();
        let RequestLine { method, url, http_version } = self.request_line();
        let head = Request { request, ip, http_version, method, url };
        batch.push_foreign(line, self.time, Event::Request(head));
        if let Some(data) = self.meta(batch) {
            batch.push_foreign(line, self.time, Event::RequestMeta { request, data });
        }
        let (bytes, duration_us) = (self.bytes, self.duration_us);
        if let Some(status) = self.status {
            let (error, expected) = (None, false);
            let response = Response { request, status, error, expected, bytes, duration_us: None };
            batch.push_foreign(line, self.time, Event::Response(response));
        }
        if self.status.is_some() || bytes.is_some() || duration_us.is_some() {
            let finished = ResponseFinished { request, error: None, bytes, duration_us };
            batch.push_foreign(line, self.time, Event::ResponseFinished(finished));
        }
    }

    fn request_line(&mut self) -> RequestLine<'a> {
        let Some([method, url, protocol]) = self.parts else { return request_line(self.request) };
        let version = http_version(protocol);
        if version.is_none() {
            self.note("protocol", protocol);
        }
        let http_version = version.unwrap_or(NO_VERSION);
        RequestLine { method: Method::new(method), url, http_version }
    }

    /// The client's address. A client that is more or other than an address is noted, too.
    fn address(&mut self) -> Option<IpAddr> {
        let client = self.client;
        let bare = client.strip_prefix('[').and_then(|c| c.strip_suffix(']')).unwrap_or(client);
        if let Ok(ip) = bare.parse() {
            return Some(ip);
        }
        self.note("client", client);
        client.parse::<SocketAddr>().ok().map(|socket| socket.ip())
    }

    fn meta(&self, batch: &Batch<'a>) -> Option<Json<'a>> {
        if self.meta.is_empty() && self.extra.is_empty() {
            return None;
        }
        batch.keep_json(|out| {
            out.push(b'{');
            for (name, value) in &self.meta {
                write_comma(out);
                write_string(out, name);
                out.push(b':');
                write_string(out, value);
            }
            if !self.extra.is_empty() {
                write_comma(out);
                out.extend_from_slice(b"\"extra\":[");
                for (index, value) in self.extra.iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"" } else { b"," });
                    write_string(out, value);
                }
                out.push(b']');
            }
            out.push(b'}');
        })
    }
}

fn write_comma(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

/// Takes a request line apart.
///
/// `GET /a HTTP/1.1` has three parts; the url may contain spaces. Without a version, as in
/// `GET /a`, the version is 0.0. What has no method, such as `-` or the first bytes of a TLS
/// handshake, is all url.
fn request_line(text: &str) -> RequestLine<'_> {
    let Some((method, target)) = text.split_once(' ').filter(|(method, _)| is_token(method)) else {
        return RequestLine { method: Method::Other(""), url: text, http_version: NO_VERSION };
    };
    let method = Method::new(method);
    match target.rsplit_once(' ').and_then(|(url, version)| Some((url, http_version(version)?))) {
        Some((url, http_version)) => RequestLine { method, url, http_version },
        None => RequestLine { method, url: target, http_version: NO_VERSION },
    }
}

/// Whether the text can be a method: a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// `HTTP/1.1`, and `HTTP/2` as some servers write it; only what prints the same again.
fn http_version(text: &str) -> Option<HttpVersion> {
    match text {
        "HTTP/1.1" => return Some(HttpVersion::HTTP_11),
        "HTTP/1.0" => return Some(HttpVersion::HTTP_10),
        "HTTP/2.0" | "HTTP/2" => return Some(HttpVersion::HTTP_2),
        "HTTP/3.0" | "HTTP/3" => return Some(HttpVersion::HTTP_3),
        _ => {}
    }
    let (major, minor) = text.strip_prefix("HTTP/")?.split_once('.')?;
    let digit = |text: &str| text.parse().ok().filter(|_| text.len() == 1);
    HttpVersion::new(digit(major)?, digit(minor)?).filter(|version| *version != NO_VERSION)
}

#[cfg(test)]
mod tests;
