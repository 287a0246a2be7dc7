//! The extended log format of the W3C, as IIS, CloudFront and others write it.
//!
//! ```text
//! #Fields: date time c-ip cs-method cs-uri-stem sc-status sc-bytes time-taken
//! 2026-02-03 14:05:06 192.0.2.1 GET /a 200 1234 15
//! ```
//!
//! Times are UTC. A later `#Fields` line replaces an earlier one.

use std::borrow::Cow;

use super::names::{Field, Fields, field, suffices};
use super::time::Times;
use super::{ParseError, Parsed, Reason};
use crate::hit::Hit;

/// What the directives of a file said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct W3c {
    fields: Option<Vec<Field>>,
    /// The day of `#Date`, for logs whose lines have only a time of day.
    date: Option<Vec<u8>>,
}

/// The most columns that `#Fields` may name.
const COLUMNS_MAX: usize = 1_000;

impl W3c {
    /// Reads a line.
    pub(super) fn parse<'a>(
        &mut self,
        line: &'a [u8],
        times: &mut Times,
    ) -> Result<Parsed<'a>, ParseError> {
        if let Some(directive) = line.strip_prefix(b"#") {
            return self.directive(directive).map(|()| Parsed::Nothing);
        }
        let fields = self.fields.as_deref().ok_or(ParseError::new(Reason::NoHeader, 0))?;
        self.record(fields, line, times).map(Parsed::Hit)
    }

    fn directive(&mut self, text: &[u8]) -> Result<(), ParseError> {
        if let Some(names) = text.strip_prefix(b"Fields:") {
            let fields = Self::fields(names);
            if fields.len() > COLUMNS_MAX || !suffices(&fields) {
                return Err(ParseError::new(Reason::NoRequest, "#Fields:".len()));
            }
            self.fields = Some(fields);
        } else if let Some(date) = text.strip_prefix(b"Date:") {
            self.date = date.trim_ascii().get(..10).map(<[u8]>::to_vec);
        }
        Ok(())
    }

    fn fields(names: &[u8]) -> Vec<Field> {
        let words = names.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty());
        words
            .take(COLUMNS_MAX + 1)
            .map(|name| match name {
                b"date" => Field::Date,
                b"time" => Field::Clock,
                name => field(name),
            })
            .collect()
    }

    fn record<'a>(
        &self,
        wanted: &[Field],
        line: &'a [u8],
        times: &mut Times,
    ) -> Result<Hit<'a>, ParseError> {
        let delimiter = if memchr::memchr(b'\t', line).is_some() { b'\t' } else { b' ' };
        let mut fields = Fields::default();
        let mut rest = Some(line);
        for field in wanted {
            let Some(text) = rest else {
                return Err(ParseError::new(Reason::Columns, line.len()));
            };
            let end = end_of_value(text, delimiter);
            let value = text.get(..end).unwrap_or_default();
            rest = text.get(end + 1..);
            // A dash is a value that is not known, not a path.
            if value == b"-" && *field != Field::Path {
                continue;
            }
            let set = fields.set(*field, Cow::Borrowed(value), times);
            set.map_err(|reason| ParseError::before(reason, line, text))?;
        }
        fields.hit(self.date.as_deref())
    }
}

/// The length of a value; one in quotes may contain the delimiter.
fn end_of_value(text: &[u8], delimiter: u8) -> usize {
    let quoted = text.strip_prefix(b"\"").and_then(|inside| memchr::memchr(b'"', inside));
    let from = quoted.map_or(0, |closing| closing + 2);
    let behind = text.get(from..).unwrap_or_default();
    memchr::memchr(delimiter, behind).map_or(text.len(), |end| from + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &[&str]) {
        let (mut w3c, mut times) = (W3c::default(), Times::default());
        let shown: Vec<String> = lines
            .iter()
            .map(|line| match w3c.parse(line.as_bytes(), &mut times) {
                Ok(Parsed::Hit(hit)) => format!(
                    "{} {} {} {} {:?}",
                    hit.second(),
                    String::from_utf8_lossy(hit.target.url(true)),
                    hit.status,
                    hit.bytes,
                    hit.latency_us
                ),
                Ok(_) => "-".to_owned(),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn fields_are_named_by_the_directive() {
        check(
            &[
                "#Software: Microsoft Internet Information Services 10.0",
                "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) sc-status time-taken",
                "2019-02-07 21:11:00 10.0.0.1 GET /a/b x=1 1.2.3.4 Mozilla/5.0+(X) 200 15",
                "2019-02-07 21:11:00 10.0.0.1 GET /a \"x y\" 1.2.3.4 \"a b\" 404 15",
                "2019-02-07 21:11:00 10.0.0.1 - - - 1.2.3.4 - 400 -",
                "#Fields: time\tcs-uri-stem\tsc-bytes\ttime-taken",
                "#Date: 2019-02-07 00:00:00",
                "21:11:00\t/c d\t12\t0.015",
            ],
            &[
                "-",
                "-",
                "1549573860 /a/b 200 0 Some(15000)",
                "1549573860 /a 404 0 Some(15000)",
                "1549573860 (bad request) 400 0 None",
                "-",
                "-",
                "1549573860 /c d 0 12 Some(15000)",
            ],
        );
    }

    #[test]
    fn lines_without_names_or_columns_are_refused() {
        check(
            &[
                "2019-02-07 21:11:00 /a",
                "#Fields: s-ip sc-status",
                "#Fields: date time cs-uri-stem sc-status",
                "2019-02-07 21:11:00",
                "2019-02-07 21:11:00 /a x",
                "2019-02-07 - /a 200",
            ],
            &[
                "column 1: no header names the columns",
                "column 9: expected a request",
                "-",
                "column 20: fewer columns than the header",
                "column 24: expected a status of three digits",
                "column 1: expected a time",
            ],
        );
    }
}
