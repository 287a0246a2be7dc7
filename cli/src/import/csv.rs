//! Tables with a header that names their columns.
//!
//! A table with a column for the request line, or with columns for method and url, is an access
//! log, whatever else it has:
//!
//! | column | names, in any case of letters |
//! |---|---|
//! | client | `remotehost remote_host remote_addr client client_ip clientip ip` |
//! | time | those of JSON lines: `timestamp time ts datetime date ...` |
//! | request line | `request request_line`, or `method` and `url uri path` with `protocol` |
//! | status, bytes | `status status_code statuscode`; `bytes size bytes_sent body_bytes_sent` |
//! | duration | `request_time`, in seconds |
//!
//! Other columns go into the request's meta by their name; `rfc931`, `authuser`, `referer` and the
//! like get the names that access logs of other forms have there. Any other table becomes log
//! records whose data is an object of the columns. Fields are separated by commas, semicolons or
//! tabs, and may be in double quotes.

mod layout;

use std::borrow::Cow;

use csv::ByteRecord;

pub(super) use self::layout::{Column, Layout};
use crate::import::access::{Exchange, duration_us};
use crate::import::batch::Batch;
use crate::import::fields::{Facts, Value};
use crate::import::logfmt::write_scalar;
use crate::import::members::write_string;
use crate::import::parse::RequestIds;
use crate::import::summary::Reason;
use crate::import::time::Times;

/// Parses rows. `has_header` says that the first row names the columns and is no data.
pub(super) fn parse<'a>(
    text: &'a str,
    has_header: bool,
    layout: &'a Layout,
    ids: RequestIds,
    times: &mut Times,
    batch: &mut Batch<'a>,
) {
    let mut reader = layout.reader(text.as_bytes());
    let mut record = ByteRecord::new();
    let mut fields = Vec::new();
    let mut exchange = Exchange::default();
    let mut is_header = has_header;
    loop {
        let line = reader.position().line() - 1;
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) if std::mem::take(&mut is_header) => {}
            Ok(true) => {
                let line = record.position().map_or(line, |position| position.line() - 1);
                keep_fields(&record, &mut fields, batch);
                if layout.is_access() {
                    read_exchange(&fields, layout, &mut exchange, times);
                    exchange.push(line, ids.id(line), batch);
                } else {
                    push_log(line, &fields, layout, times, batch);
                }
            }
            // Reading from memory does not fail; rows of any length and any bytes are allowed.
            Err(error) => {
                batch.failures.add(line, Reason::NotCsv, "", Some(error.to_string()));
                break;
            }
        }
    }
    batch.lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64
        + u64::from(!text.is_empty() && !text.ends_with('\n'));
}

/// Keeps the fields of a row. The text was UTF-8, and is cut at ASCII bytes only.
fn keep_fields<'a>(record: &ByteRecord, fields: &mut Vec<&'a str>, batch: &Batch<'a>) {
    let row = batch.keep(std::str::from_utf8(record.as_slice()).unwrap_or_default());
    let ranges = (0..record.len()).filter_map(|index| record.range(index));
    fields.clear();
    fields.extend(ranges.map(|range| row.get(range).unwrap_or_default()));
}

fn read_exchange<'a>(
    fields: &[&'a str],
    layout: &'a Layout,
    exchange: &mut Exchange<'a>,
    times: &mut Times,
) {
    exchange.clear();
    for (index, field) in fields.iter().copied().enumerate() {
        let Some((column, name)) = layout.column(index) else {
            exchange.extra.push(field);
            continue;
        };
        let understood = match column {
            Column::Client => {
                exchange.client = field;
                true
            }
            Column::Time => match times.whole(field) {
                Some(moment) if exchange.time.is_none() => {
                    exchange.time = Some(moment.time);
                    moment.exact
                }
                _ => false,
            },
            Column::Request => {
                exchange.request = field;
                true
            }
            Column::Method | Column::Url | Column::Protocol => true,
            Column::Status => set(&mut exchange.status, field.parse().ok()),
            Column::Bytes => set(&mut exchange.bytes, field.parse().ok()),
            Column::Duration => set(&mut exchange.duration_us, duration_us(field)),
            Column::Other => false,
        };
        if !understood {
            exchange.note(name, field);
        }
    }
    if let Some(request) = layout.request_of_parts(fields) {
        exchange.parts = Some(request);
    }
}

/// Whether there is a value to set.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let is_some = value.is_some();
    *slot = value;
    is_some
}

fn push_log<'a>(
    line: u64,
    fields: &[&'a str],
    layout: &Layout,
    times: &mut Times,
    batch: &mut Batch<'a>,
) {
    let mut facts = Facts::default();
    for (index, field) in fields.iter().enumerate() {
        let name = layout.name(index);
        facts.offer(index, &name, || Some(Value::Text(Cow::Borrowed(field))), times);
    }
    let data = batch.keep_json(|out| {
        out.push(b'{');
        for (index, field) in fields.iter().enumerate() {
            if facts.covers(index) {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            write_string(out, &layout.name(index));
            out.push(b':');
            write_scalar(out, field);
        }
        out.push(b'}');
    });
    if let Some(data) = data {
        batch.push_log(line, facts.time(), facts.level(), facts.request(), data);
    }
}

#[cfg(test)]
mod tests;
