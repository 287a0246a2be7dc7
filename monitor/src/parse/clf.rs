//! Lines in the Common and Combined Log Formats and what servers add to them.
//!
//! ```text
//! [vhost] client ident user [time] "GET /a HTTP/1.1" status bytes "referer" "user agent" ... 0.125
//! ```
//!
//! Referer and user agent are not looked at: half of the line is passed over. A last number with a
//! decimal point is the duration in seconds, as nginx writes it with `$request_time`; a whole number
//! is not, since nobody can tell Apache's `%D` from its `%T`: a format string can.

use std::borrow::Cow;
use std::net::IpAddr;

use super::number::{bytes, duration_us, status};
use super::time::Times;
use super::{ParseError, Reason};
use crate::hit::{Hit, Target};
use crate::parse::number::Unit;

/// The length of `03/Feb/2026:14:05:06 +0000`.
const TIME_BYTES: usize = 26;

/// Reads one line.
pub(super) fn parse<'a>(line: &'a [u8], times: &mut Times) -> Result<Hit<'a>, ParseError> {
    let error = |reason, rest: &[u8]| ParseError::before(reason, line, rest);
    let (before, rest) = split_at_bracket(line).ok_or(ParseError::new(Reason::NoTime, 0))?;
    let client = client(before).ok_or(ParseError::new(Reason::NoTime, 0))?;
    let (time, behind) = split_time(rest).ok_or(error(Reason::BadTime, rest))?;
    let time = times.parse(time).ok_or(error(Reason::BadTime, rest))?;
    let rest = behind.trim_ascii_start();
    let request = rest.strip_prefix(b"\"").ok_or(error(Reason::NoRequest, rest))?;
    let (request, rest) = split_request(request).ok_or_else(|| unended(line, request))?;
    let (word, behind) = split_word(rest);
    let status = status(word).ok_or(error(Reason::BadStatus, rest))?;
    let (word, tail) = split_word(behind);
    let bytes = bytes(word).ok_or(error(Reason::BadBytes, behind))?;
    let target = Target::of_request(request);
    let latency_us = latency(tail);
    Ok(Hit { time, target, client: Cow::Borrowed(client), status, bytes, latency_us })
}

/// What is before and behind the bracket that opens the time; an address in brackets at the start
/// of the line is no time.
fn split_at_bracket(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_open = |at: &usize| *at > 1 && line.get(at - 1) == Some(&b' ');
    let at = memchr::memchr_iter(b'[', line).find(is_open)?;
    Some((line.get(..at - 1)?, line.get(at + 1..)?))
}

/// The client among `[vhost] client ident user`; user names may contain spaces.
fn client(before: &[u8]) -> Option<&[u8]> {
    let (first, others) = split_space(before)?;
    let (second, behind) = split_space(others)?;
    let is_vhost =
        memchr::memchr(b' ', behind).is_some() && (is_address(second) || !is_address(first));
    Some(if is_vhost { second } else { first })
}

fn split_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// The time and what is behind the bracket that closes it.
fn split_time(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match text.get(TIME_BYTES) {
        Some(b']') => TIME_BYTES,
        _ => memchr::memchr(b']', text)?,
    };
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The request and what is behind its quote. Not every server escapes quotes in the request, so it
/// ends with the quote that a status follows.
fn split_request(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_end = |at: &usize| {
        matches!(text.get(at + 1..), Some([b' ', b'0'..=b'9' | b'-', ..]))
            && !is_escaped(text.get(..*at).unwrap_or_default())
    };
    let end = memchr::memchr_iter(b'"', text).find(is_end)?;
    Some((text.get(..end)?, text.get(end + 2..)?))
}

/// Why a request does not end: nothing closes its quote, or no status follows.
#[cold]
fn unended(line: &[u8], request: &[u8]) -> ParseError {
    let is_end = |at: &usize| {
        matches!(request.get(at + 1..), Some([] | [b' ', ..]))
            && !is_escaped(request.get(..*at).unwrap_or_default())
    };
    let end = memchr::memchr_iter(b'"', request).find(is_end);
    let behind = end.and_then(|end| request.get(end + 1..)).map(<[u8]>::trim_ascii_start);
    match behind {
        Some(rest) => ParseError::before(Reason::BadStatus, line, rest),
        None => ParseError::before(Reason::OpenQuote, line, request),
    }
}

/// Whether the quote behind `text` is escaped: an odd number of backslashes stands before it.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The text up to the next space, and what is behind that.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.get(1..).unwrap_or_default())
}

/// The duration at the end of the line. A user agent that was cut off does not have one.
fn latency(tail: &[u8]) -> Option<u64> {
    if !matches!(tail.last(), Some(b'0'..=b'9' | b's')) {
        return None;
    }
    let behind_texts = match memchr::memrchr(b'"', tail) {
        Some(quote) => tail.get(quote + 1..)?.strip_prefix(b" ")?,
        None => tail,
    };
    let word = behind_texts.rsplit(|byte| *byte == b' ').next()?;
    let tells = memchr::memchr(b'.', word).is_some() || word.ends_with(b"s");
    if tells { duration_us(word, Unit::Seconds) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let shown = match parse(line.as_bytes(), &mut Times::default()) {
            Ok(hit) => format!(
                "{} {} {} {} {} {}",
                hit.second(),
                String::from_utf8_lossy(hit.target.url(true)),
                String::from_utf8_lossy(&hit.client),
                hit.status,
                hit.bytes,
                hit.latency_us.map_or("-".to_owned(), |us| us.to_string()),
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{line}");
    }

    const T: &str = "[03/Feb/2026:14:05:06 +0000]";

    #[test]
    fn lines_are_read_with_all_that_servers_add() {
        for (line, expected) in [
            (
                format!(r#"1.2.3.4 - - {T} "GET /a HTTP/1.1" 200 12"#),
                "1770127506 /a 1.2.3.4 200 12 -",
            ),
            (
                format!(r#"1.2.3.4 - mary ann {T} "GET /a HTTP/1.1" 200 - "-" "Mozilla/5.0 (X)""#),
                "1770127506 /a 1.2.3.4 200 0 -",
            ),
            (
                format!(r#"a.org:443 1.2.3.4 - - {T} "GET /a HTTP/1.1" 404 12 "-" "-" 0.125"#),
                "1770127506 /a 1.2.3.4 404 12 125000",
            ),
            (
                format!(r#"[::1]:80 ::1 - - {T} "GET /a[b] HTTP/1.1" 404 12 12ms"#),
                "1770127506 /a[b] ::1 404 12 12000",
            ),
            (
                format!(r#"h - - {T} "GET /a"b HTTP/1.1" 200 1 "-" "x" 5"#),
                r#"1770127506 /a"b h 200 1 -"#,
            ),
            (
                format!(r#"h - - {T} "GET /a\" 200 HTTP/1.1" 200 1"#),
                r#"1770127506 /a\" 200 h 200 1 -"#,
            ),
            (
                format!(r#"h - - {T} "GET /a HTTP/1.1" 200 1 "-" "Opera 9.0"#),
                "1770127506 /a h 200 1 -",
            ),
            (format!(r#"h - - {T} "" 400 0"#), "1770127506 (bad request) h 400 0 -"),
            (format!(r#"h - - {T} "-" 408 - "-" "-""#), "1770127506 (bad request) h 408 0 -"),
            (
                format!(r#"h - - {T} "\x16\x03\x01" 400 226 "-" "-""#),
                "1770127506 (bad request) h 400 226 -",
            ),
            (format!(r#"h - - {T} "GET / HTTP/1.1" - -"#), "1770127506 / h 0 0 -"),
            (format!(r#"h - - {T} "GET / HTTP/1.1" 200"#), "1770127506 / h 200 0 -"),
        ] {
            check(&line, expected);
        }
    }

    #[test]
    fn other_lines_tell_where_they_stop_being_one() {
        for (line, expected) in [
            ("", "column 1: expected a time"),
            ("not a line", "column 1: expected a time"),
            ("[03/Feb/2026:14:05:06 +0000]", "column 1: expected a time"),
            ("h [03/Feb/2026:14:05:06 +0000] \"", "column 1: expected a time"),
            (
                "h - - [03/Feb/2026:14:05:06 +9999] \"GET / HTTP/1.1\" 200 1",
                "column 8: not a time from 1970 to 9999 with a zone that exists",
            ),
            ("h - - [03/Feb", "column 8: not a time from 1970 to 9999 with a zone that exists"),
            ("h - - [03/Feb/2026:14:05:06 +0000] GET", "column 36: expected a request"),
            (
                "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1 200 1",
                "column 37: a quote is not closed",
            ),
            (
                "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 2x0 1",
                "column 53: expected a status of three digits",
            ),
            (
                "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" OK 1 \"-\" \"x\"",
                "column 53: expected a status of three digits",
            ),
            (
                "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\"",
                "column 52: expected a status of three digits",
            ),
            (
                "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1x",
                "column 57: expected a number of bytes",
            ),
        ] {
            check(line, expected);
        }
    }
}
