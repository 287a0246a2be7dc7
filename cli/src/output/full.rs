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
use logq_format::Record;
use logq_query::FieldValue;
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
    pub(crate) fn field(&self, out: &mut Vec<u8>, name: &str, value: &FieldValue<'_>) {
        match value {
            FieldValue::Json(json) => flatten(name, json, &mut |name, json| {
                self.within(out, name, json);
            }),
            FieldValue::Text(text) => self.lines(out, name, text.lines()),
            // Numbers, times, ids and levels are one line that needs no escapes.
            value => {
                self.name(out, name);
                value.write_text(out);
                out.push(b'\n');
            }
        }
    }

    /// Appends what ends a record.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn within(&self, out: &mut Vec<u8>, name: &str, json: &str) {
        let elements: Vec<&RawValue> = match name {
            "error.debug" => serde_json::from_str(json).unwrap_or_default(),
            _ => Vec::new(),
        };
        match text_of(json) {
            _ if !elements.is_empty() => {
                self.lines(out, name, elements.iter().map(|element| element.get()));
            }
            Some(text) => self.lines(out, name, text.lines()),
            None => self.lines(out, name, std::iter::once(json)),
        }
    }

    fn name(&self, out: &mut Vec<u8>, name: &str) {
        out.extend_from_slice(b"    ");
        self.style.part(Part::Name, out, |out| escape::push(out, name));
        indent(out, NAME_WIDTH.saturating_sub(name.chars().count()) + 1);
    }

    /// Appends the lines of a text, or an empty one.
    fn lines<'t>(&self, out: &mut Vec<u8>, name: &str, lines: impl Iterator<Item = &'t str>) {
        self.name(out, name);
        for (index, line) in lines.enumerate() {
            if index > 0 {
                out.push(b'\n');
                indent(out, NAME_WIDTH + 5);
            }
            escape::push(out, line);
        }
        out.push(b'\n');
    }
}

fn indent(out: &mut Vec<u8>, width: usize) {
    out.resize(out.len() + width, b' ');
}

/// Who wrote a record, as members of its line that the head does not show.
pub(crate) fn is_in_head(name: &str) -> bool {
    matches!(name, "timestamp" | "level" | "type")
}
