//! How records look: one renderer a format, all appending to a byte buffer.

mod csv;
pub(crate) mod escape;
mod fields;
mod full;
mod logfmt;
mod members;
pub(crate) mod message;
mod pager;
mod short;
mod sink;
mod style;
mod template;
mod terminal;
pub(crate) mod time;

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use logq_format::{Record, Timestamp, TypeSet, json};
use logq_query::{FieldPath, FieldValue};
use logq_reader::Row;

use self::fields::{Column, Fields};
use self::message::{Message, Put, error_of, write_error_details};
use self::template::Template;
use self::time::{Precision, write_time};
#[cfg(feature = "serve")]
use crate::args::ColorChoice;
use crate::args::OutputArguments;
pub(crate) use csv::{write_line as csv_line, write_value as csv_value};
pub(crate) use fields::split as split_names;
pub(crate) use sink::Output;
pub(crate) use style::{Part, Style};
pub(crate) use terminal::is_screen;

/// Ways to print records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line a record, for people
    Short,
    /// The same with times to the microsecond
    Iso,
    /// One line a field
    Full,
    /// One JSON object a line
    Json,
    /// JSON text sequences (RFC 7464)
    JsonSeq,
    /// Server-Sent Events
    Sse,
    /// name=value pairs, one line a record
    Logfmt,
    /// Comma-separated values (RFC 4180) below a line of names
    Csv,
    /// The message alone, or the values of --fields between tabs
    Cat,
    /// A stream of blocks as they are stored, which `logq -` reads
    #[value(alias = "export")]
    Blocks,
}

impl Format {
    /// Whether each record is a JSON object, so that what is not a record may be one, too.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::JsonSeq | Self::Sse)
    }
}

/// A field that is printed, by name.
struct Named {
    name: String,
    column: Column,
    /// The types whose records can have it.
    types: TypeSet,
}

/// Everything about printing that the command line decides.
pub(crate) struct Printer {
    format: Format,
    fields: Fields,
    /// The fields of formats that print one after the other.
    columns: Vec<Named>,
    template: Option<Template>,
    style: Style,
    zone: TimeZone,
    verbose: bool,
    csv_safe: bool,
    /// Whether the output goes to a terminal, perhaps by way of a pager.
    to_terminal: bool,
}

impl Printer {
    /// Reads the words about printing.
    ///
    /// # Errors
    ///
    /// Says which of them cannot be read, or do not go together.
    pub(crate) fn new(arguments: &OutputArguments, zone: TimeZone) -> anyhow::Result<Self> {
        let format = arguments.output;
        if format == Format::Blocks {
            bail!("-o blocks copies blocks, for which records are not looked at one by one here");
        }
        let fields = arguments.fields.as_deref().map_or(Ok(Fields::default()), Fields::new)?;
        if arguments.fields.is_some() && matches!(format, Format::Short | Format::Iso) {
            bail!("--fields needs a format that has them: add -o json, logfmt, csv, full or cat");
        }
        if arguments.fields.is_some() && format == Format::Cat && fields.only().is_none() {
            bail!("-o cat prints the message alone; --fields can only name others to print");
        }
        Ok(Self {
            format,
            columns: columns(format, &fields)?,
            fields,
            template: arguments.template.as_deref().map(Template::parse).transpose()?,
            style: Style::of_environment(arguments.color)?,
            zone,
            verbose: arguments.verbose,
            csv_safe: arguments.csv_safe,
            to_terminal: std::io::stdout().is_terminal(),
        })
    }

    /// The same where the output goes elsewhere than to standard output: nothing is escaped.
    pub(crate) fn for_programs(self) -> Self {
        Self { to_terminal: false, ..self }
    }

    /// The format in which records are printed, unless there is a template.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Appends what comes before the first record.
    pub(crate) fn head(&self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            csv::write_line(out, self.columns.iter().map(|named| &named.name));
        }
    }

    /// Appends one record; one whose content cannot be decoded is left to the report.
    pub(crate) fn print(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        let Ok(record) = row.record() else { return };
        if let Some(template) = &self.template {
            return template.write(out, row, &record, &self.zone, self.put());
        }
        match self.format {
            Format::Short => self.line(row, &record, Precision::Millis, out),
            Format::Iso => self.line(row, &record, Precision::Micros, out),
            Format::Full => self.page(row, &record, out),
            Format::Json | Format::JsonSeq | Format::Sse => self.json(row, &record, out),
            Format::Logfmt => self.pairs(row, &record, out),
            Format::Csv => self.cells(row, &record, out),
            Format::Cat => self.message(row, &record, out),
            // Not made of records: `logq export` copies them.
            Format::Blocks => {}
        }
    }

    /// Appends what stands between groups of records that do not follow each other; nothing in
    /// formats for programs.
    pub(crate) fn separator(&self, out: &mut Vec<u8>) {
        let is_for_people =
            matches!(self.format, Format::Short | Format::Iso | Format::Full | Format::Cat);
        if is_for_people && self.template.is_none() {
            self.style.part(Part::Separator, out, |out| out.extend_from_slice(b"--"));
            out.push(b'\n');
        }
    }

    /// A line of JSON that is no record, in the frame of the format.
    pub(crate) fn framed(&self, line: &str) -> Vec<u8> {
        match self.format {
            Format::JsonSeq => format!("\x1e{line}"),
            Format::Sse => format!("event: trailer\ndata: {line}\n"),
            _ => line.to_owned(),
        }
        .into_bytes()
    }

    fn line(&self, row: &Row<'_>, record: &Record<'_>, precision: Precision, out: &mut Vec<u8>) {
        let (style, zone, verbose) = (&self.style, &self.zone, self.verbose);
        short::Line { style, zone, precision, verbose }.write(out, record, row.origin());
    }

    fn page(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        let page = full::Page { style: &self.style, zone: &self.zone };
        page.head(out, record);
        self.for_each_value(row, record, |name, value| page.field(out, name, value));
        page.end(out);
    }

    fn json(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.format {
            Format::JsonSeq => b"\x1e",
            Format::Sse => b"data: ",
            _ => b"",
        });
        let start = out.len();
        self.object(row, record, out);
        if self.to_terminal {
            let line = out.split_off(start);
            escape::push_json(out, &String::from_utf8_lossy(&line));
        }
        if self.format == Format::Sse {
            out.push(b'\n');
        }
    }

    /// Appends a record, or its fields that are wanted, as a JSON object and a line feed.
    fn object(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        if self.fields.is_all() {
            return json::write_line(out, record, row.origin(), row.sequence());
        }
        if self.fields.only().is_none() {
            // What is left goes through as it is stored.
            let mut line = Vec::with_capacity(512);
            json::write_line(&mut line, record, row.origin(), row.sequence());
            self.fields.prune(out, "", String::from_utf8_lossy(&line).trim_end());
            return out.push(b'\n');
        }
        let mut separator = b'{';
        self.for_each_value(row, record, |name, value| {
            out.push(separator);
            separator = b',';
            json::write_string(out, name);
            out.push(b':');
            value.write_json(out);
        });
        if separator == b'{' {
            out.push(b'{');
        }
        out.extend_from_slice(b"}\n");
    }

    fn pairs(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        self.for_each_value(row, record, |name, value| {
            logfmt::write_field(out, name, value, self.to_terminal);
        });
        out.push(b'\n');
    }

    fn cells(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut line = csv::Line::new(out);
        for named in &self.columns {
            match self.value_of(named, row, record) {
                Some(value) => line.value(&value, self.csv_safe, self.put()),
                None => line.empty(),
            }
        }
        line.end();
    }

    fn message(&self, row: &Row<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        if let Some(only) = self.fields.only() {
            for (index, (name, column)) in only.iter().enumerate() {
                if index > 0 {
                    out.push(b'\t');
                }
                let value = self.value(name, column, row, record);
                csv::write_value(out, value.as_ref(), false, self.put());
            }
            return out.push(b'\n');
        }
        Message::alone(self.put()).write(out, record);
        out.push(b'\n');
        if self.verbose
            && let Some(error) = error_of(record)
        {
            write_error_details(out, error, "    ", |out, time| {
                write_time(out, time, &self.zone, Precision::Millis);
            });
        }
    }

    /// Calls `look` with the name and the value of each field that is wanted and that the record has.
    fn for_each_value<'r>(
        &self,
        row: &Row<'_>,
        record: &Record<'r>,
        mut look: impl FnMut(&str, &FieldValue<'r>),
    ) {
        for named in &self.columns {
            if let Some(value) = self.value_of(named, row, record) {
                look(&named.name, &value);
            }
        }
    }

    fn value_of<'r>(
        &self,
        named: &Named,
        row: &Row<'_>,
        record: &Record<'r>,
    ) -> Option<FieldValue<'r>> {
        let is_possible = named.types.contains(row.record_type());
        is_possible.then(|| self.value(&named.name, &named.column, row, record)).flatten()
    }

    /// The value of a field without what is to be left out of it.
    fn value<'r>(
        &self,
        name: &str,
        column: &Column,
        row: &Row<'_>,
        record: &Record<'r>,
    ) -> Option<FieldValue<'r>> {
        let value = column.value(row, record)?;
        let FieldValue::Json(json) = &value else { return Some(value) };
        if !self.fields.reaches_into(name) {
            return Some(value);
        }
        let mut pruned = Vec::with_capacity(json.len());
        self.fields.prune(&mut pruned, name, json);
        Some(FieldValue::Json(String::from_utf8(pruned).unwrap_or_default().into()))
    }

    /// How text gets into formats that are for people on a terminal and for programs elsewhere.
    fn put(&self) -> Put {
        if self.to_terminal { escape::push } else { escape::push_raw }
    }
}

/// Appends a record as a line of `short`, without colours.
#[cfg(feature = "serve")]
pub(crate) fn plain_line(row: &Row<'_>, zone: &TimeZone, out: &mut Vec<u8>) {
    let Ok(record) = row.record() else { return };
    let (style, precision) = (&Style::new(ColorChoice::Never), Precision::Millis);
    short::Line { style, zone, precision, verbose: false }.write(out, &record, row.origin());
}

/// A time as the clocks of a zone show it, to the microsecond.
pub(crate) fn zoned_time(time: Timestamp, zone: &TimeZone) -> String {
    let mut text = Vec::new();
    write_time(&mut text, time, zone, Precision::Micros);
    String::from_utf8(text).unwrap_or_default()
}

/// The fields that are printed, in their order: those named, or the usual ones of the format without
/// those left out.
fn columns(format: Format, fields: &Fields) -> anyhow::Result<Vec<Named>> {
    let mut columns = match fields.only() {
        Some(only) => only.to_vec(),
        None if format == Format::Csv => {
            let usual = csv::DEFAULT_COLUMNS.split(',');
            let column = |name: &str| Ok((name.to_owned(), Column::parse(name)?));
            usual.map(column).collect::<anyhow::Result<Vec<_>>>()?
        }
        None => FieldPath::all().map(|path| (path.to_string(), Column::Path(path))).collect(),
    };
    columns.retain(|(name, _)| {
        let is_shown = format == Format::Full && full::is_in_head(name);
        !is_shown && !fields.is_left_out(name)
    });
    let named = |(name, column): (String, Column)| Named { types: column.types(), name, column };
    Ok(columns.into_iter().map(named).collect())
}

/// Appends formatted text; a vector takes everything.
pub(crate) fn push(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}
