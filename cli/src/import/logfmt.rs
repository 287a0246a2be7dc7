//! logfmt: `time=2026-02-03T14:05:06Z level=warn msg="slow disk" ms=812 retry`.
//!
//! A line becomes a log record. Its data is a JSON object of the fields in their order: numbers,
//! `true` and `false` as they are written, a name without a value as `true`, everything else as a
//! string. Time, level and request are found as in JSON lines.

use std::borrow::Cow;

use crate::import::batch::Batch;
use crate::import::fields::{Facts, Value, tells_something, tells_time};
use crate::import::line;
use crate::import::members::write_string;
use crate::import::parse::Lines;
use crate::import::scan::Scan;
use crate::import::summary::Reason;
use crate::import::time::Times;

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field<'a> {
    name: &'a str,
    value: FieldValue<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FieldValue<'a> {
    /// Nothing but the name.
    Missing,
    /// As written, without quotes.
    Plain(&'a str),
    /// It was in quotes; escapes are resolved.
    Quoted(Cow<'a, str>),
}

/// Parses lines of logfmt. Empty lines are skipped.
pub(super) fn parse<'a>(text: &'a str, times: &mut Times, batch: &mut Batch<'a>) {
    let mut fields = Vec::new();
    let mut lines = Lines::new(text);
    for (index, line) in lines.by_ref() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        split(line, &mut fields);
        if fields.iter().all(|field| field.value == FieldValue::Missing) {
            batch.fail(index, Reason::NotLogfmt, line);
            continue;
        }
        let facts = facts_of(&fields, |_| true, times);
        if let Some(data) = batch.keep_json(|out| write_rest(out, &fields, &facts)) {
            batch.push_log(index, facts.time(), facts.level(), facts.request(), data);
        }
    }
    batch.lines = lines.count_so_far();
}

/// One line of logfmt that has just arrived: its data, and what it tells beside its time, which
/// stays in the data. `None` if it has no pair.
pub(super) fn read_arrived(
    line: &str,
    stream: Option<&str>,
    times: &mut Times,
) -> Option<(Facts, Vec<u8>)> {
    let mut fields = Vec::new();
    split(line.trim_ascii(), &mut fields);
    if fields.iter().all(|field| field.value == FieldValue::Missing) {
        return None;
    }
    let facts = facts_of(&fields, |name| !tells_time(name), times);
    let mut data = Vec::with_capacity(line.len() + fields.len() * 8);
    write_rest(&mut data, &fields, &facts);
    line::write_stream(&mut data, stream, |name| fields.iter().any(|field| field.name == name));
    Some((facts, data))
}

/// What the fields with these names tell.
fn facts_of(fields: &[Field<'_>], counts: impl Fn(&str) -> bool, times: &mut Times) -> Facts {
    let mut facts = Facts::default();
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| counts(field.name)) {
        facts.offer(index, field.name, || field.value.told(), times);
    }
    facts
}

/// Whether a line looks like logfmt: mostly pairs, and one of them tells a time, level or request.
pub(super) fn fits(line: &str) -> bool {
    let mut fields = Vec::new();
    split(line, &mut fields);
    let is_pair = |field: &&Field<'_>| field.value != FieldValue::Missing;
    let pairs = fields.iter().filter(is_pair).count();
    let known = fields.iter().filter(is_pair).any(|field| tells_something(field.name));
    known && pairs >= 2 && pairs * 2 > fields.len()
}

/// Takes a line apart. `fields` is cleared first.
fn split<'a>(line: &'a str, fields: &mut Vec<Field<'a>>) {
    fields.clear();
    let mut scan = Scan::new(line);
    loop {
        scan.take_while(is_space);
        if scan.is_empty() {
            return;
        }
        let name = until(&mut scan, |byte| byte == b'=' || is_space(byte));
        let value = match scan.eat("=") {
            None => FieldValue::Missing,
            Some(()) => quoted(&mut scan)
                .map_or_else(|| FieldValue::Plain(until(&mut scan, is_space)), FieldValue::Quoted),
        };
        fields.push(Field { name, value });
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Moves up to the next byte that is one of these ASCII bytes.
fn until<'a>(scan: &mut Scan<'a>, is: impl Fn(u8) -> bool) -> &'a str {
    scan.take_while(|byte| !is(byte))
}

/// A text in quotes, escapes resolved.
fn quoted<'a>(scan: &mut Scan<'a>) -> Option<Cow<'a, str>> {
    let mut ahead = *scan;
    ahead.eat("\"")?;
    let start = ahead;
    let mut has_escapes = false;
    loop {
        ahead.take_while(|byte| byte != b'"' && byte != b'\\');
        if ahead.eat("\"").is_some() {
            break;
        }
        ahead.eat("\\")?;
        has_escapes = true;
        // An escaped character of several bytes cannot be a quote.
        let _ = ahead.eat_any(b"\"\\");
    }
    *scan = ahead;
    let len = start.rest().len() - ahead.rest().len() - 1;
    let text = start.rest().get(..len)?;
    Some(if has_escapes { Cow::Owned(unescape(text)) } else { Cow::Borrowed(text) })
}

/// Resolves the escapes of JSON strings; other sequences stay as they are.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escape.chars();
        let resolved = match chars.next() {
            Some(quoted @ ('"' | '\\' | '/')) => Some(quoted),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => escape.get(1..5).and_then(|hex| {
                chars = escape.get(5..).unwrap_or_default().chars();
                u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
            }),
            _ => None,
        };
        rest = match resolved {
            Some(char) => {
                out.push(char);
                chars.as_str()
            }
            None => {
                out.push('\\');
                escape
            }
        };
    }
    out.push_str(rest);
    out
}

impl FieldValue<'_> {
    /// What the value tells a record.
    fn told(&self) -> Option<Value<'_>> {
        match self {
            Self::Missing => None,
            Self::Plain(text) => Some(Value::Text(Cow::Borrowed(text))),
            Self::Quoted(text) => Some(Value::Text(Cow::Borrowed(text))),
        }
    }
}

/// Appends the fields as a JSON object, without those that the record says itself.
fn write_rest(out: &mut Vec<u8>, fields: &[Field<'_>], facts: &Facts) {
    out.push(b'{');
    for (index, field) in fields.iter().enumerate() {
        if facts.covers(index) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        write_string(out, field.name);
        out.push(b':');
        match &field.value {
            FieldValue::Missing => out.extend_from_slice(b"true"),
            FieldValue::Plain(text) => write_scalar(out, text),
            FieldValue::Quoted(text) => write_string(out, text),
        }
    }
    out.push(b'}');
}

/// Appends a number, `true` or `false` as it is, any other text as a string.
pub(super) fn write_scalar(out: &mut Vec<u8>, text: &str) {
    if matches!(text, "true" | "false") || is_json_number(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(out, text);
    }
}

/// Whether the text is a number by the grammar of RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let mut scan = Scan::new(text);
    let _ = scan.eat("-");
    let whole = scan.take_while(is_digit);
    let valid_whole = whole == "0" || !whole.is_empty() && !whole.starts_with('0');
    let valid_fraction = scan.eat(".").is_none() || !scan.take_while(is_digit).is_empty();
    let valid_exponent = scan.eat_any(b"eE").is_none() || {
        let _ = scan.eat_any(b"+-");
        !scan.take_while(is_digit).is_empty()
    };
    valid_whole && valid_fraction && valid_exponent && scan.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Format;
    use crate::import::testing::check_lines;

    fn check(line: &str, level: &str, data: &str) {
        let expected = format!(r#"2026-02-03T14:05:06.000000Z {level} LOG 1 {data}"#);
        check_lines(Format::Logfmt, line, &[&expected]);
    }

    #[test]
    fn fields_become_an_object() {
        check(
            r#"time=2026-02-03T14:05:06Z level=warn msg="slow \"disk\"\n" ms=812.50 ok=true retry id=007"#,
            "WARN",
            r#"{"msg":"slow \"disk\"\n","ms":812.50,"ok":true,"retry":true,"id":"007"}"#,
        );
        check("ts=1770127506 lvl=eror msg= a=b=c", "INFO", r#"{"lvl":"eror","msg":"","a":"b=c"}"#);
        check(
            r#"ts="2026-02-03 14:05:06" severity=fatal  msg="unclosed here"#,
            "CRITICAL",
            r#"{"severity":"fatal","msg":"\"unclosed","here":true}"#,
        );
        check(
            r#"ts=1770127506 a="\x1b \u00e9 \uD800 é\é" b="x"y"#,
            "INFO",
            r#"{"a":"\\x1b é \\uD800 é\\é","b":"x","y":true}"#,
        );
    }

    #[test]
    fn lines_without_any_pair_fail() {
        check_lines(Format::Logfmt, "Starting up", &["failed NotLogfmt line 1: Starting up"]);
    }

    #[test]
    fn only_numbers_of_json_stay_numbers() {
        for text in ["0", "-0", "10", "1.50", "1e5", "1E+5", "-0.5e-7"] {
            assert!(is_json_number(text), "{text}");
            assert!(serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in ["", "-", "01", "+1", "1.", ".5", "1e", "0x1", "1_0", "NaN", "1 "] {
            assert!(!is_json_number(text), "{text}");
            assert!(serde_json::from_str::<f64>(text.trim_end()).is_err() || text.ends_with(' '));
        }
    }

    #[test]
    fn logfmt_is_told_from_prose() {
        assert!(fits("level=info msg=hello"));
        assert!(fits(r#"time="2026-02-03T14:05:06Z" msg="a b c d" x"#));
        assert!(!fits("a=1 b=2 c=3"));
        assert!(!fits("2026-02-03 the level=high of water was seen"));
        assert!(!fits("level=info"));
    }
}
