//! JSON lines: logq's own records, and the objects that other loggers write.
//!
//! A foreign object becomes a log record. Its time, level and request come from the members with
//! the usual names; the data is the object itself, on one line without space between its tokens,
//! and without the members that the record repeats exactly. Numbers keep their digits, members
//! their order, texts their escapes.

use logq_format::Json;
use serde_json::value::RawValue;

use crate::import::batch::Batch;
use crate::import::fields::{Facts, Value, tells_time};
use crate::import::line;
use crate::import::members::{self, Member, write_compact};
use crate::import::own::{self, Own};
use crate::import::parse::Lines;
use crate::import::summary::Reason;
use crate::import::time::Times;

/// Parses lines of JSON. Empty lines are skipped.
pub(super) fn parse<'a>(text: &'a str, times: &mut Times, batch: &mut Batch<'a>) {
    let mut members = Vec::new();
    let mut lines = Lines::new(text);
    for (index, line) in lines.by_ref() {
        if let Some((identity, record)) = own::read_canonical(line) {
            batch.push_own(index, identity, record);
        } else {
            parse_line(index, line, &mut members, times, batch);
        }
    }
    batch.lines = lines.count_so_far();
}

fn parse_line<'a>(
    index: u64,
    line: &'a str,
    members: &mut Vec<Member<'a>>,
    times: &mut Times,
    batch: &mut Batch<'a>,
) {
    // JSON text sequences (RFC 7464) start each line with a record separator; files that were
    // joined may have a byte order mark at the start of any line.
    let line = line.trim_start_matches(['\u{1e}', '\u{feff}']).trim_ascii();
    if line.is_empty() {
        return;
    }
    let Err(error) = parse_value(index, line, members, times, batch) else { return };
    let repaired = members::escape_controls(line).map(|repaired| batch.keep(&repaired));
    let repaired = repaired.map(|line| parse_value(index, line, members, times, batch));
    if !matches!(repaired, Some(Ok(()))) {
        let detail = batch.failures.is_next_shown().then(|| explain(&error));
        batch.failures.add(index, Reason::NotJson, line, detail);
    }
}

/// The parser's words, without its line number: it sees one line only.
fn explain(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn parse_value<'a>(
    index: u64,
    line: &'a str,
    members: &mut Vec<Member<'a>>,
    times: &mut Times,
    batch: &mut Batch<'a>,
) -> serde_json::Result<()> {
    if line.starts_with('{') {
        members::split(line, members)?;
        match own::read(members, batch) {
            Own::Record(identity, record) => batch.push_own(index, identity, record),
            Own::Newer => batch.fail(index, Reason::NewerKind, line),
            Own::Foreign => push_foreign(index, members, times, batch),
        }
    } else {
        let value: &RawValue = serde_json::from_str(line)?;
        if let Some(data) = batch.keep_json(|out| write_compact(out, value.get())) {
            push(index, &Facts::default(), data, batch);
        }
    }
    Ok(())
}

/// One line of JSON that has just arrived: its data, and what it tells beside its time, which stays
/// in the data. `None` if it is not JSON.
pub(super) fn read_arrived(
    line: &str,
    stream: Option<&str>,
    times: &mut Times,
) -> Option<(Facts, Vec<u8>)> {
    let line = line.trim_start_matches(['\u{1e}', '\u{feff}']).trim_ascii();
    read_arrived_value(line, stream, times).or_else(|| {
        let repaired = members::escape_controls(line)?;
        read_arrived_value(&repaired, stream, times)
    })
}

fn read_arrived_value(
    line: &str,
    stream: Option<&str>,
    times: &mut Times,
) -> Option<(Facts, Vec<u8>)> {
    let mut data = Vec::with_capacity(line.len() + 32);
    if !line.starts_with('{') {
        let value: &RawValue = serde_json::from_str(line).ok()?;
        write_compact(&mut data, value.get());
        return Some((Facts::default(), data));
    }
    let mut members = Vec::new();
    members::split(line, &mut members).ok()?;
    let facts = facts_of(&members, |name| !tells_time(name), times);
    write_rest(&mut data, &members, &facts);
    let is_taken = |name: &str| {
        members.iter().any(|member| members::text(member.name).as_deref() == Some(name))
    };
    line::write_stream(&mut data, stream, is_taken);
    Some((facts, data))
}

/// What the members with these names tell.
fn facts_of(members: &[Member<'_>], counts: impl Fn(&str) -> bool, times: &mut Times) -> Facts {
    let mut facts = Facts::default();
    for (index, member) in members.iter().enumerate() {
        let name = member.plain_name();
        if counts(name) {
            facts.offer(index, name, || told(member.value), times);
        }
    }
    facts
}

fn push_foreign<'a>(index: u64, members: &[Member<'a>], times: &mut Times, batch: &mut Batch<'a>) {
    let facts = facts_of(members, |_| true, times);
    if let Some(data) = batch.keep_json(|out| write_rest(out, members, &facts)) {
        push(index, &facts, data, batch);
    }
}

/// What a value may tell: texts and positive numbers.
fn told(value: &str) -> Option<Value<'_>> {
    match value.bytes().next()? {
        b'"' => members::text(value).map(Value::Text),
        b'0'..=b'9' => Some(Value::Number(value)),
        _ => None,
    }
}

fn push<'a>(index: u64, facts: &Facts, data: Json<'a>, batch: &mut Batch<'a>) {
    batch.push_log(index, facts.time(), facts.level(), facts.request(), data);
}

/// Appends the object without the members that the record says itself.
fn write_rest(out: &mut Vec<u8>, members: &[Member<'_>], facts: &Facts) {
    out.push(b'{');
    for (index, member) in members.iter().enumerate() {
        if facts.covers(index) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(member.name.as_bytes());
        out.push(b':');
        write_compact(out, member.value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
