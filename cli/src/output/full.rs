//! Every field on a line of its own, for people who look at few records closely.
//!
//! ```text
//! 2026-02-03T14:00:02.300000Z ERROR RESPONSE
//!     workerId     3
//!     statusCode   500
//!     error.stack  Error: no stock
//!                    at order
//! ```

use jiff::tz::TimeZone;
use logq_format::{Origin, Record};
use serde_json::value::RawValue;

use super::members::{flatten, text_of};
use super::style::{Part, Style};
use super::time::{Precision, write_time};
use super::{escape, push};

/// Names are padded to this width; longer ones push their value to the right.
const NAME_WIDTH: usize = 12;

/// How a page looks.
pub(crate) struct Page<'a> {
    pub(crate) style: &'a Style,
    pub(crate) zone: &'a TimeZone,
}

impl Page<'_> {
    /// Appends the first line: when, how severe, what.
    pub(crate) fn head(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.style.part(Part::Time, out, |out| {
            write_time(out, record.time, self.zone, Precision::Micros);
        });
        out.push(b' ');
        let level = record.level();
        self.style.level(level, out, |out| out.extend_from_slice(level.as_str().as_bytes()));
        push(out, format_args!(" {}\n", record.record_type().as_str()));
    }

    /// Appends a field and those within it, each on a line or, with a text of several lines, more.
    pub(crate) fn field(&self, out: &mut Vec<u8>, name: &str, json: &str) {
        flatten(name, json, &mut |name, json| self.leaf(out, name, json));
    }

    /// Appends what ends a record.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn leaf(&self, out: &mut Vec<u8>, name: &str, json: &str) {
        let elements: Vec<&RawValue> = match name {
            "error.debug" => serde_json::from_str(json).unwrap_or_default(),
            _ => Vec::new(),
        };
        let text = text_of(json);
        let lines: Vec<&str> = match &text {
            _ if !elements.is_empty() => elements.iter().map(|element| element.get()).collect(),
            Some(text) => text.lines().collect(),
            None => vec![json],
        };
        out.extend_from_slice(b"    ");
        self.style.part(Part::Name, out, |out| escape::push(out, name));
        let padding = NAME_WIDTH.saturating_sub(name.chars().count());
        push(out, format_args!("{:padding$} ", ""));
        escape::push(out, lines.first().copied().unwrap_or_default());
        out.push(b'\n');
        for line in lines.iter().skip(1) {
            push(out, format_args!("{:1$}", "", NAME_WIDTH + 5));
            escape::push(out, line);
            out.push(b'\n');
        }
    }
}

/// Who wrote a record, as members of its line that the head does not show.
pub(crate) fn is_in_head(name: &str) -> bool {
    matches!(name, "timestamp" | "level" | "type")
}

/// The line of JSON of a record, without its line feed.
pub(crate) fn json_line(record: &Record<'_>, origin: Origin, sequence: u64) -> String {
    let mut line = Vec::with_capacity(512);
    logq_format::json::write_line(&mut line, record, origin, sequence);
    line.pop();
    String::from_utf8(line).unwrap_or_default()
}
