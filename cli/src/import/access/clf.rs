//! Lines in the Common and Combined Log Formats and what servers add to them.
//!
//! ```text
//! [vhost] client ident user [time] "GET /a HTTP/1.1" status bytes "referer" "user agent" ...
//! ```
//!
//! Behind the bytes, everything is optional. Of what follows the user agent, a last number with a
//! decimal point is the duration in seconds, as nginx writes it with `$request_time`; with a unit,
//! as in `12ms`, it may be whole. A whole number without a unit stays what it is, since Apache's
//! `%D` is in microseconds and its `%T` in seconds.

use super::Exchange;
use crate::import::batch::Batch;
use crate::import::parse::{Lines, RequestIds};
use crate::import::scan::Scan;
use crate::import::summary::Reason;
use crate::import::time::{Moment, Times};

/// Parses lines of an access log. Empty lines are skipped.
pub(in crate::import) fn parse<'a>(
    text: &'a str,
    ids: RequestIds,
    times: &mut Times,
    batch: &mut Batch<'a>,
) {
    let mut exchange = Exchange::default();
    let mut clock = Clock { times, text: "", moment: None };
    let mut lines = Lines::new(text);
    for (index, line) in lines.by_ref() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        exchange.clear();
        match read(line, &mut exchange, &mut clock, batch) {
            Some(()) => exchange.push(index, ids.id(index), batch),
            None => batch.fail(index, Reason::NotAccess, line),
        }
    }
    batch.lines = lines.count_so_far();
}

/// Whether the line is one of an access log, and if so, whether it has more than the common fields.
pub(in crate::import) fn fits(line: &str, times: &mut Times) -> Option<bool> {
    let arena = bumpalo::Bump::new();
    let batch = Batch::new(&arena, None, 0);
    let mut exchange = Exchange::default();
    let mut clock = Clock { times, text: "", moment: None };
    read(line, &mut exchange, &mut clock, &batch)?;
    let combined = |name: &str| matches!(name, "referer" | "userAgent");
    let more =
        exchange.meta.iter().any(|(name, _)| combined(name)) || line.ends_with("\"-\" \"-\"");
    Some(more || !exchange.extra.is_empty())
}

/// Remembers the last time read: most lines have the time of the line before.
struct Clock<'a, 't> {
    times: &'t mut Times,
    text: &'a str,
    moment: Option<Moment>,
}

impl<'a> Clock<'a, '_> {
    fn read(&mut self, text: &'a str) -> Option<Moment> {
        if self.text != text {
            self.moment = self.times.whole(text);
            self.text = text;
        }
        self.moment
    }
}

/// Reads one line; `None` if it is not one of an access log.
fn read<'a>(
    line: &'a str,
    exchange: &mut Exchange<'a>,
    clock: &mut Clock<'a, '_>,
    batch: &Batch<'a>,
) -> Option<()> {
    let mut scan = Scan::new(line);
    before_time(&mut scan, exchange)?;
    let text = scan.until(b']')?;
    let moment = clock.read(text)?;
    exchange.time = Some(moment.time);
    if !moment.exact {
        exchange.note("time", text);
    }
    scan.spaces();
    // Not every server escapes quotes in the request line: it ends where a status follows.
    exchange.request = quoted_until(&mut scan, is_before_status, batch)?;
    scan.eat(" ")?;
    exchange.status = match scan.eat("-") {
        Some(()) => None,
        None => Some(u16::try_from(scan.number(5)?).ok()?),
    };
    if !scan.is_empty() {
        scan.eat(" ")?;
    }
    // An unknown size is not a size of zero, though some servers log `-` for zero.
    if scan.eat("-").is_none() && !scan.is_empty() {
        exchange.bytes = Some(scan.number(19)?);
    }
    if !matches!(scan.peek(), None | Some(b' ')) {
        return None;
    }
    behind_bytes(&mut scan, exchange, batch);
    Some(())
}

/// Reads up to the bracket that opens the time: client, ident and user, behind a virtual host or
/// not. User names may contain spaces.
fn before_time<'a>(scan: &mut Scan<'a>, exchange: &mut Exchange<'a>) -> Option<()> {
    let line = scan.rest();
    let end = line.find(" [").filter(|end| *end > 0)?;
    // An address in brackets at the start of the line is no time.
    let (before, rest) = line.split_at_checked(end)?;
    *scan = Scan::new(rest.get(2..)?);
    let (mut client, mut others) = before.split_once(' ')?;
    if let Some((second, behind)) = others.split_once(' ')
        && behind.contains(' ')
        && (is_address(second) || !is_address(client))
    {
        exchange.note("host", client);
        (client, others) = (second, behind);
    }
    let (ident, user) = others.split_once(' ')?;
    exchange.client = client;
    exchange.note("ident", ident);
    exchange.note("user", user);
    Some(())
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Reads the fields behind the bytes.
fn behind_bytes<'a>(scan: &mut Scan<'a>, exchange: &mut Exchange<'a>, batch: &Batch<'a>) {
    for name in ["referer", "userAgent"] {
        let mut ahead = *scan;
        if ahead.spaces().is_empty() {
            return;
        }
        let Some(text) = quoted(&mut ahead, batch) else { break };
        exchange.note(name, text);
        *scan = ahead;
    }
    loop {
        scan.spaces();
        if scan.is_empty() {
            break;
        }
        // A text whose closing quote was cut off goes to the end of the line.
        let is_cut = scan.peek() == Some(b'"');
        let text = quoted(scan, batch).unwrap_or_else(|| match is_cut {
            true => std::mem::replace(scan, Scan::new("")).rest(),
            false => scan.take_while(|byte| byte != b' '),
        });
        exchange.extra.push(text);
    }
    if let Some(duration_us) = exchange.extra.last().and_then(|text| duration_us(text)) {
        exchange.duration_us = Some(duration_us);
        exchange.extra.pop();
    }
}

/// A text in quotes, in which `\"` stands for a quote. Every other backslash stays, and the one
/// behind it does not escape a quote.
fn quoted<'a>(scan: &mut Scan<'a>, batch: &Batch<'a>) -> Option<&'a str> {
    quoted_until(scan, |_| true, batch)
}

/// A text in quotes that ends with the first quote that is not escaped and has the right text
/// behind it.
fn quoted_until<'a>(
    scan: &mut Scan<'a>,
    is_end: impl Fn(&str) -> bool,
    batch: &Batch<'a>,
) -> Option<&'a str> {
    let mut ahead = *scan;
    ahead.eat("\"")?;
    let inside = ahead.rest();
    let bytes = inside.as_bytes();
    let mut at = 0;
    let mut has_quotes = false;
    let behind = loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            let behind = inside.get(at + 1..)?;
            if is_end(behind) {
                break behind;
            }
            at += 1;
        } else {
            has_quotes |= bytes.get(at + 1) == Some(&b'"');
            at += 2;
        }
    };
    *scan = Scan::new(behind);
    let text = inside.get(..at)?;
    Some(if has_quotes { batch.keep(&unescape_quotes(text)) } else { text })
}

/// Whether a status, or `-` for none, comes next.
fn is_before_status(text: &str) -> bool {
    let mut scan = Scan::new(text);
    scan.eat(" ").is_some()
        && (scan.eat("-").is_some() || scan.number(5).is_some())
        && matches!(scan.peek(), None | Some(b' '))
}

/// Resolves `\"`, pair by pair from the left, so that `\\"` cannot occur within.
fn unescape_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, chars.clone().next()) {
            ('\\', Some('"')) => {}
            ('\\', Some(escaped)) => {
                out.push('\\');
                out.push(escaped);
                chars.next();
            }
            _ => out.push(char),
        }
    }
    out
}

/// `0.123` in seconds; `12ms`, `350us`, `1.5s`. `None` if a microsecond cannot tell it exactly.
pub(in crate::import) fn duration_us(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let (decimals, scale) = match unit {
        "" if digits.contains('.') => (6, 1_000_000),
        "s" => (6, 1_000_000),
        "ms" => (3, 1_000),
        "us" => (0, 1),
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > decimals {
        return None;
    }
    let padded = fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals);
    let below = padded.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(below)
}
