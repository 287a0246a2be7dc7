//! Lines of access logs to hits: one parser for each family of formats, all of them working on bytes
//! and, but for rare lines, without memory of their own.
//!
//! | lines | file |
//! |---|---|
//! | common, combined, both with a virtual host in front or a duration behind | `clf` |
//! | CSV with a header | `csv` |
//! | JSON lines of nginx, Caddy, Traefik and others | `json` |
//! | W3C extended, as IIS and CloudFront write it | `w3c` |
//! | any, described by nginx's `log_format` or Apache's `LogFormat` | `template` |
//!
//! `names` knows what servers call their fields, `detect` tells formats apart.

mod clf;
mod csv;
pub(crate) mod detect;
mod json;
mod names;
mod number;
mod template;
mod time;
mod w3c;

use std::fmt;

use thiserror::Error;

use self::time::Times;
use crate::hit::Hit;

pub use self::template::{Template, TemplateError};

/// How the lines of an access log are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Common and combined log format, with or without a virtual host in front and a duration at the
    /// end of the line.
    Clf,
    /// Comma-separated values whose header names the columns.
    Csv,
    /// An object of JSON in each line.
    Json,
    /// The extended log format of the W3C: `#Fields` names the columns.
    W3c,
    /// A format string of nginx or Apache.
    Template(Template),
}

impl Format {
    /// The formats with a name.
    pub const NAMED: [Self; 4] = [Self::Clf, Self::Csv, Self::Json, Self::W3c];

    /// Reads the name of a format (`common`, `combined`, `vhost`, `clf`, `csv`, `json`, `w3c`), a
    /// format string of nginx (`$remote_addr ...`) or of Apache (`%h ...`), or the whole directive
    /// (`log_format main '...';`, `LogFormat "..." combined`). `auto` is `None`.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] for an unknown name, and for a format string that does not tell what is
    /// needed or cannot be told apart.
    pub fn parse(text: &str) -> Result<Option<Self>, TemplateError> {
        Ok(Some(match text {
            "auto" => return Ok(None),
            "clf" | "common" | "combined" | "vhost" => Self::Clf,
            "csv" => Self::Csv,
            "json" => Self::Json,
            "w3c" => Self::W3c,
            _ => Self::Template(Template::compile(text)?),
        }))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clf => "common or combined",
            Self::Csv => "CSV",
            Self::Json => "JSON lines",
            Self::W3c => "W3C extended",
            Self::Template(_) => "the format string",
        })
    }
}

/// Why a line is no hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The line is longer than the limit.
    TooLong,
    /// No time where one should be.
    NoTime,
    /// What should be the time is none, or lies outside of the years 1970 to 9999.
    BadTime,
    /// No request where one should be.
    NoRequest,
    /// A quote that nothing closes.
    OpenQuote,
    /// The status is not a number of three digits.
    BadStatus,
    /// The bytes are not a number.
    BadBytes,
    /// Fewer columns than the header names.
    Columns,
    /// Not an object of JSON.
    NotJson,
    /// The columns have no names: no header, no `#Fields`.
    NoHeader,
    /// The line is not as the format string says.
    Template,
}

impl Reason {
    /// All reasons, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::TooLong,
        Self::NoTime,
        Self::BadTime,
        Self::NoRequest,
        Self::OpenQuote,
        Self::BadStatus,
        Self::BadBytes,
        Self::Columns,
        Self::NotJson,
        Self::NoHeader,
        Self::Template,
    ];

    /// A stable name for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NoTime => "no_time",
            Self::BadTime => "bad_time",
            Self::NoRequest => "no_request",
            Self::OpenQuote => "open_quote",
            Self::BadStatus => "bad_status",
            Self::BadBytes => "bad_bytes",
            Self::Columns => "columns",
            Self::NotJson => "not_json",
            Self::NoHeader => "no_header",
            Self::Template => "template",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than the limit for lines",
            Self::NoTime => "expected a time",
            Self::BadTime => "not a time from 1970 to 9999 with a zone that exists",
            Self::NoRequest => "expected a request",
            Self::OpenQuote => "a quote is not closed",
            Self::BadStatus => "expected a status of three digits",
            Self::BadBytes => "expected a number of bytes",
            Self::Columns => "fewer columns than the header",
            Self::NotJson => "not an object of JSON",
            Self::NoHeader => "no header names the columns",
            Self::Template => "not as the format string says",
        })
    }
}

/// A line that is no hit, and where it stopped looking like one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("column {}: {reason}", at + 1)]
pub struct ParseError {
    /// Why.
    pub reason: Reason,
    /// The offset in the line, in bytes.
    pub at: usize,
}

impl ParseError {
    fn new(reason: Reason, at: usize) -> Self {
        Self { reason, at }
    }

    /// At the start of `rest`, which is the end of `line`.
    fn before(reason: Reason, line: &[u8], rest: &[u8]) -> Self {
        Self::new(reason, line.len().saturating_sub(rest.len()))
    }
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A request.
    Hit(Hit<'a>),
    /// A header, a directive, an empty line, or the begin of a record that the next line ends.
    Nothing,
    /// A request, and the record begun in lines before is broken; these are its first bytes.
    HitAfterBroken(Hit<'a>, Box<[u8]>),
}

/// Reads lines of one format.
///
/// It remembers what earlier lines said about later ones: the names of columns, and the begin of a
/// CSV record whose quoted field contains a line feed.
#[derive(Clone, Debug)]
pub struct LineParser {
    format: Format,
    kind: Kind,
    times: Times,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Clf,
    Csv(csv::Csv),
    Json,
    W3c(w3c::W3c),
    Template(Template),
}

impl LineParser {
    /// A parser that has seen no line.
    pub fn new(format: Format) -> Self {
        let kind = match &format {
            Format::Clf => Kind::Clf,
            Format::Csv => Kind::Csv(csv::Csv::default()),
            Format::Json => Kind::Json,
            Format::W3c => Kind::W3c(w3c::W3c::default()),
            Format::Template(template) => Kind::Template(template.clone()),
        };
        Self { format, kind, times: Times::default() }
    }

    /// The format of the lines.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Reads a line without its line end.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a line that is neither a hit nor part of the format; count it and go on.
    pub fn parse<'a>(&mut self, line: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        let times = &mut self.times;
        let hit = match &mut self.kind {
            // An empty line can be part of a quoted field.
            Kind::Csv(csv) => return csv.parse(line, times),
            _ if line.trim_ascii_start().is_empty() => return Ok(Parsed::Nothing),
            Kind::W3c(w3c) => return w3c.parse(line, times),
            Kind::Clf => clf::parse(line, times),
            Kind::Json => json::parse(line, times),
            Kind::Template(template) => template.parse(line, times),
        };
        hit.map(Parsed::Hit)
    }

    /// The input ends: the first bytes of a record that is begun and will not be ended.
    pub fn finish(&mut self) -> Option<Box<[u8]>> {
        match &mut self.kind {
            Kind::Csv(csv) => csv.take_begun(),
            _ => None,
        }
    }

    /// Whether columns are taken to be in the order of the seed, since no header names them.
    pub fn has_assumed_columns(&self) -> bool {
        matches!(&self.kind, Kind::Csv(csv) if csv.has_assumed_columns())
    }

    /// Whether it reads the same from the same lines as `other` does.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

#[cfg(test)]
mod testing {
    use super::*;

    /// A hit field by field, or the error: for tests of formats.
    pub(super) fn shown(read: Result<Hit<'_>, ParseError>) -> String {
        match read {
            Ok(hit) => format!(
                "{} {} {} {} {} {}",
                hit.time.as_micros(),
                String::from_utf8_lossy(hit.target.url(true)),
                String::from_utf8_lossy(&hit.client),
                hit.status,
                hit.bytes,
                hit.latency_us.map_or("-".to_owned(), |us| us.to_string()),
            ),
            Err(error) => error.to_string(),
        }
    }
}
