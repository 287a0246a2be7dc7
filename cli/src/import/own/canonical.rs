//! The fast path: the frequent kinds of records in the exact form in which logq writes them.
//!
//! Any difference, however harmless, ends in `None`, and the general parser has its turn.

use logq_format::{
    Event, HttpVersion, Json, Level, LogSource, Method, Origin, Record, Request, RequestId,
    Response, ResponseFinished, Timestamp, WorkerId, WriterId,
};
use serde_json::value::RawValue;

use super::exact_millis_to_us;
use crate::import::batch::Identity;
use crate::import::scan::Scan;
use crate::import::time::days_from_civil;

/// How every line of logq's own starts.
pub(in crate::import) const START: &str = "{\"timestamp\":\"";

/// Reads a line as `logq_format::json::write_line` writes it, without its line feed.
pub(in crate::import) fn read_canonical(line: &str) -> Option<(Identity, Record<'_>)> {
    let mut scan = Scan::new(line);
    scan.eat(START)?;
    let time = timestamp(&mut scan)?;
    scan.eat("\",\"level\":\"")?;
    let name = scan.until(b'"')?;
    let level = Level::ALL.into_iter().find(|level| level.as_str() == name)?;
    scan.eat(",\"type\":\"")?;
    let kind = scan.until(b'"')?;
    scan.eat(",\"workerId\":")?;
    let worker = match scan.eat("null") {
        Some(()) => None,
        None => Some(WorkerId::new(u32::try_from(number(&mut scan)?).ok()?)?),
    };
    scan.eat(",\"writer\":")?;
    let writer = WriterId(u32::try_from(number(&mut scan)?).ok()?);
    scan.eat(",\"seq\":")?;
    let sequence = number(&mut scan)?;
    if sequence >= logq_format::limits::SEQUENCE_MAX {
        return None;
    }
    let event = event(&mut scan, kind, level, worker)?;
    let identity = Identity::Kept { origin: Origin { writer, worker }, sequence };
    Some((identity, Record { time, event }))
}

fn event<'a>(
    scan: &mut Scan<'a>,
    kind: &str,
    level: Level,
    worker: Option<WorkerId>,
) -> Option<Event<'a>> {
    if kind == "LOG" {
        let source = match (request_id(scan), worker) {
            (Some(request), _) => LogSource::Request(request),
            (None, Some(_)) => LogSource::Worker,
            (None, None) => LogSource::Master,
        };
        return Some(Event::Log { source, level, data: data(scan)? });
    }
    if level != Level::Info {
        return None;
    }
    let request = request_id(scan)?;
    match kind {
        "REQUEST" => self::request(scan, request).map(Event::Request),
        "REQUEST_META" => Some(Event::RequestMeta { request, data: data(scan)? }),
        "RESPONSE" => response(scan, request).map(Event::Response),
        "RESPONSE_FINISHED" => finished(scan, request).map(Event::ResponseFinished),
        _ => None,
    }
}

fn request<'a>(scan: &mut Scan<'a>, request: RequestId) -> Option<Request<'a>> {
    let ip = match scan.eat(",\"ipAddress\":\"") {
        Some(()) => Some(scan.until(b'"')?.parse().ok()?),
        None => None,
    };
    scan.eat(",\"httpVersion\":\"")?;
    let major = u8::try_from(scan.fixed(1)?).ok()?;
    scan.eat(".")?;
    let minor = u8::try_from(scan.fixed(1)?).ok()?;
    let http_version = HttpVersion::new(major, minor)?;
    scan.eat("\",\"method\":\"")?;
    let method = Method::new(plain_text(scan)?);
    scan.eat(",\"url\":\"")?;
    let url = plain_text(scan)?;
    end(scan)?;
    Some(Request { request, ip, http_version, method, url })
}

fn response<'a>(scan: &mut Scan<'a>, request: RequestId) -> Option<Response<'a>> {
    scan.eat(",\"statusCode\":")?;
    let status = u16::try_from(number(scan)?).ok()?;
    let (bytes, duration_us) = measures(scan)?;
    Some(Response { request, status, error: None, expected: false, bytes, duration_us })
}

fn finished<'a>(scan: &mut Scan<'a>, request: RequestId) -> Option<ResponseFinished<'a>> {
    let (bytes, duration_us) = measures(scan)?;
    Some(ResponseFinished { request, error: None, bytes, duration_us })
}

/// Bytes and duration, which end the line.
fn measures(scan: &mut Scan<'_>) -> Option<(Option<u64>, Option<u64>)> {
    let bytes = match scan.eat(",\"bytes\":") {
        Some(()) => Some(number(scan)?),
        None => None,
    };
    let duration_us = match scan.eat(",\"durationMs\":") {
        Some(()) => {
            Some(exact_millis_to_us(scan.take_while(|byte| byte.is_ascii_digit() || byte == b'.'))?)
        }
        None => None,
    };
    end(scan)?;
    Some((bytes, duration_us))
}

fn end(scan: &mut Scan<'_>) -> Option<()> {
    scan.eat("}")?;
    scan.is_empty().then_some(())
}

/// The data, which ends the line, as it is.
fn data<'a>(scan: &mut Scan<'a>) -> Option<Json<'a>> {
    scan.eat(",\"data\":")?;
    let text = scan.rest().strip_suffix('}')?;
    let valid: &RawValue = serde_json::from_str(text).ok()?;
    if valid.get().len() == text.len() { Json::new(text) } else { None }
}

/// A number as JSON allows it: without leading zeros.
fn number(scan: &mut Scan<'_>) -> Option<u64> {
    if scan.peek() == Some(b'0') {
        return scan.fixed(1);
    }
    scan.number(19)
}

/// The rest of a string without escapes.
fn plain_text<'a>(scan: &mut Scan<'a>) -> Option<&'a str> {
    let text = scan.until(b'"')?;
    // A control character within a string is not JSON.
    let plain = text.bytes().all(|byte| byte != b'\\' && byte >= 0x20);
    plain.then_some(text)
}

fn request_id(scan: &mut Scan<'_>) -> Option<RequestId> {
    let mut ahead = *scan;
    ahead.eat(",\"requestId\":\"")?;
    let text = ahead.until(b'"').filter(|text| text.len() == uuid::fmt::Hyphenated::LENGTH)?;
    *scan = ahead;
    uuid::Uuid::try_parse_ascii(text.as_bytes()).ok().map(RequestId::from)
}

/// The 27 bytes that `Timestamp::write_rfc3339` writes.
fn timestamp(scan: &mut Scan<'_>) -> Option<Timestamp> {
    let mut field = |digits, separator| {
        let value = scan.fixed(digits)?;
        scan.eat(separator)?;
        Some(value.cast_signed())
    };
    let (year, month, day) = (field(4, "-")?, field(2, "-")?, field(2, "T")?);
    let (hour, minute, second) = (field(2, ":")?, field(2, ":")?, field(2, ".")?);
    let micros = field(6, "Z")?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Timestamp::checked_from_micros(seconds * 1_000_000 + micros)
}
