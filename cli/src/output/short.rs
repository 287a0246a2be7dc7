//! One line a record, for people: time, level, process, request, and what happened.
//!
//! ```text
//! 2026-02-03T14:05:06.789+01:00 ERROR w3     6f1c2f6e 500 in 12.5 ms: no database (+3 lines, 2 debug)
//! ```

use jiff::tz::TimeZone;
use logq_format::{Level, Origin, Record};

use super::message::{Message, error_of, write_error_details};
use super::style::{Part, Style};
use super::time::{Precision, write_time};
use super::{escape, push};

/// How a line looks.
pub(crate) struct Line<'a> {
    pub(crate) style: &'a Style,
    pub(crate) zone: &'a TimeZone,
    pub(crate) precision: Precision,
    /// Whether stacks and DEBUG entries follow on further lines; else they are counted.
    pub(crate) verbose: bool,
}

impl Line<'_> {
    /// Appends the record as one line, or several.
    pub(crate) fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, origin: Origin) {
        let write_time = |out: &mut Vec<u8>, time| write_time(out, time, self.zone, self.precision);
        self.style.part(Part::Time, out, |out| write_time(out, record.time));
        out.push(b' ');
        self.style.level(record.level(), out, |out| {
            out.extend_from_slice(match record.level() {
                Level::Critical => b"CRIT ",
                Level::Error => b"ERROR",
                Level::Warn => b"WARN ",
                Level::Info => b"INFO ",
                Level::Debug => b"DEBUG",
                Level::Trace => b"TRACE",
            });
        });
        match record.subject(origin) {
            Some(worker) => push(out, format_args!(" w{worker:<5}")),
            None => out.extend_from_slice(b" master"),
        }
        match record.request_id() {
            Some(request) => {
                out.push(b' ');
                self.style.part(Part::Request, out, |out| {
                    let start = out.len();
                    request.write_text(out);
                    // The first digits tell it from those around it.
                    out.truncate(start + 8);
                });
            }
            None => out.extend_from_slice(b"         "),
        }
        out.push(b' ');
        let message = Message { put: escape::push, with_fields: true, with_counts: !self.verbose };
        message.write(out, record);
        out.push(b'\n');
        if self.verbose
            && let Some(error) = error_of(record)
        {
            write_error_details(out, error, "    ", write_time);
        }
    }
}
