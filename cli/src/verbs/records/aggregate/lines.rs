//! Numbers for programs: an object or a line of CSV for each group, within each stretch of time.
//!
//! ```text
//! time        where the stretch begins               with --hist
//! count       how many records; null or empty where nothing is known
//! p50 ...     the quantiles; null or empty without a value
//! other       true for the groups beyond the limits  JSON only
//! <fields>    the values; missing as in the records
//! ```

use std::io::IsTerminal as _;

use logq_format::{Timestamp, json};
use logq_query::FieldValue;

use super::answered::{Answered, Line, Who};
use crate::output::{Format, csv_line, csv_value, escape, push};

/// What stands in CSV and tables for the groups beyond the limits.
pub(super) const OTHER: &str = "(other)";

/// How many records there are.
pub(super) fn count(count: u64, format: Format) -> Vec<u8> {
    match format {
        _ if format.is_json() => framed(format!("{{\"count\":{count}}}").into_bytes(), format),
        Format::Csv => format!("count\r\n{count}\r\n").into_bytes(),
        _ => format!("{count}\n").into_bytes(),
    }
}

/// Each line as an object.
pub(super) fn json(answered: &Answered<'_>, format: Format) -> Vec<u8> {
    let is_terminal = std::io::stdout().is_terminal();
    let mut out = Vec::new();
    for line in &answered.lines {
        let mut object = object(answered, line);
        if is_terminal {
            let text = String::from_utf8_lossy(&object).into_owned();
            object.clear();
            escape::push_json(&mut object, &text);
        }
        out.extend(framed(object, format));
    }
    out
}

fn object(answered: &Answered<'_>, line: &Line) -> Vec<u8> {
    let mut out = Vec::new();
    let name = |out: &mut Vec<u8>, name: &str| {
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::write_string(out, name);
        out.push(b':');
    };
    if let Some(start) = line.start {
        name(&mut out, "time");
        FieldValue::Time(start).write_json(&mut out);
    }
    name(&mut out, "count");
    match line.count {
        Some(count) => push(&mut out, format_args!("{count}")),
        None => out.extend_from_slice(b"null"),
    }
    let names = answered.aggregate.quantiles.iter().flat_map(|quantiles| quantiles.names());
    for (quantile, value) in names.zip(&line.quantiles) {
        name(&mut out, quantile);
        match value {
            Some(value) => push(&mut out, format_args!("{value}")),
            None => out.extend_from_slice(b"null"),
        }
    }
    match &line.who {
        Who::Group(values) => {
            for (field, value) in answered.aggregate.by.names.iter().zip(values) {
                if let Some(value) = value {
                    name(&mut out, field);
                    value.write_json(&mut out);
                }
            }
        }
        Who::Other => {
            name(&mut out, "other");
            out.extend_from_slice(b"true");
        }
        Who::Nobody => {}
    }
    out.push(b'}');
    out
}

/// An object on a line, in the frame of the format.
fn framed(object: Vec<u8>, format: Format) -> Vec<u8> {
    let (before, after): (&[u8], &[u8]) = match format {
        Format::JsonSeq => (b"\x1e", b"\n"),
        Format::Sse => (b"data: ", b"\n\n"),
        _ => (b"", b"\n"),
    };
    [before, &object, after].concat()
}

/// A line of names and one for each line.
pub(super) fn csv(answered: &Answered<'_>) -> Vec<u8> {
    let aggregate = answered.aggregate;
    let mut out = Vec::new();
    let time = answered.buckets.map(|_| "time".to_owned());
    let quantiles = aggregate.quantiles.iter().flat_map(|quantiles| quantiles.names());
    let names = time.into_iter().chain(["count".to_owned()]);
    let names = names.chain(quantiles.map(str::to_owned));
    csv_line(&mut out, names.chain(aggregate.by.names.iter().cloned()));
    for line in &answered.lines {
        let time = line.start.map(|start: Timestamp| start.to_string());
        let count = line.count.map_or_else(String::new, |count| count.to_string());
        let quantile = |value: &Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let numbers = [count].into_iter().chain(line.quantiles.iter().map(quantile));
        let values = (0..aggregate.by.names.len()).map(|place| cell(&line.who, place));
        csv_line(&mut out, time.into_iter().chain(numbers).chain(values));
    }
    out
}

fn cell(who: &Who, place: usize) -> String {
    match who {
        Who::Group(values) => {
            let put = if std::io::stdout().is_terminal() { escape::push } else { escape::push_raw };
            let mut cell = Vec::new();
            csv_value(&mut cell, values.get(place).and_then(Option::as_ref), false, put);
            String::from_utf8(cell).unwrap_or_default()
        }
        Who::Other if place == 0 => OTHER.to_owned(),
        Who::Other | Who::Nobody => String::new(),
    }
}
