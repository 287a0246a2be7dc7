//! How records look: one renderer a format, all appending to a byte buffer.

pub(crate) mod escape;
mod short;
mod sink;
mod style;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use logq_format::{ErrorInfo, Event, Record, json};
use logq_reader::Row;

use crate::args::ColorChoice;
pub(crate) use sink::Output;
pub(crate) use style::Style;

/// Ways to print records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line a record, for people
    Short,
    /// One JSON object a line
    Json,
    /// The message alone
    Cat,
}

/// Everything about printing that the command line decides.
pub(crate) struct Printer {
    format: Format,
    style: Style,
    zone: TimeZone,
    verbose: bool,
}

impl Printer {
    pub(crate) fn new(format: Format, color: ColorChoice, zone: TimeZone, verbose: bool) -> Self {
        Self { format, style: Style::new(color), zone, verbose }
    }

    /// Appends one record; one whose content cannot be decoded is left to the report.
    pub(crate) fn print(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        let Ok(record) = row.record() else { return };
        match self.format {
            Format::Json => json::write_line(out, &record, row.origin(), row.sequence()),
            Format::Cat => short::write_message_line(out, &record, self.verbose),
            Format::Short => {
                let line = short::Line { style: &self.style, zone: &self.zone };
                line.write(out, &record, row.origin(), self.verbose);
            }
        }
    }
}

/// Calls `look` with every text of a record, as it is stored.
pub(crate) fn for_each_text<'a>(record: &Record<'a>, mut look: impl FnMut(&'a str)) {
    let mut error = |error: &ErrorInfo<'a>| {
        look(error.text);
        if let Some(properties) = error.properties {
            look(properties.as_str());
        }
        error.debug.iter().for_each(|entry| look(entry.data.as_str()));
    };
    match &record.event {
        Event::Response(response) => response.error.iter().for_each(error),
        Event::ResponseFinished(finished) => finished.error.iter().for_each(error),
        Event::UncaughtException { error: exception, .. } => {
            error(exception);
            look("UNCAUGHT_EXCEPTION");
        }
        Event::Request(request) => {
            look(request.method.as_str());
            look(request.url);
        }
        Event::RequestMeta { data, .. } | Event::Log { data, .. } => look(data.as_str()),
        Event::WorkerExited(exited) => {
            look("WORKER_EXITED");
            exited.signal.into_iter().for_each(look);
        }
        Event::Lost(lost) => look(lost.reason),
        Event::IoError(io) => [io.operation, io.path, io.message].into_iter().for_each(look),
        _ => record.event_name().into_iter().for_each(look),
    }
}
