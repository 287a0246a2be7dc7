//! Format strings of nginx and Apache, compiled to a program of literal texts and fields.
//!
//! ```text
//! $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time
//! %h %l %u %t \"%r\" %>s %b \"%{Referer}i\" %D
//! ```
//!
//! A field reaches up to the literal behind it; in quotes, up to a quote that is not escaped.

mod compile;

use std::borrow::Cow;

use thiserror::Error;

use super::names::{Field, Fields};
use super::time::Times;
use super::{ParseError, Reason};
use crate::hit::Hit;

/// How lines are written, told by a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Literal(Vec<u8>),
    Field(Field),
}

/// Why a format string cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// Neither a known name nor a format string.
    #[error(
        "{text:?} is no format: known are auto, common, combined, vhost, csv, json, w3c, \
         a format string of nginx ($remote_addr ...) and one of Apache (%h ...)"
    )]
    Unknown {
        /// What was given.
        text: String,
    },
    /// Two fields without anything between them.
    #[error("nothing tells where {first} ends and {second} begins in the format string")]
    Adjacent {
        /// The first field as written.
        first: String,
        /// The one behind it.
        second: String,
    },
    /// Neither time nor request.
    #[error(
        "the format string has no {missing}; the monitor needs a time ($time_local, \
         $time_iso8601, $msec, %t) and a request ($request, $request_uri, $uri, %r, %U)"
    )]
    Missing {
        /// What is missing.
        missing: &'static str,
    },
    /// A directive that does not end.
    #[error("{directive:?} in the format string is not closed")]
    Open {
        /// The directive as written.
        directive: String,
    },
}

impl Template {
    /// Compiles a format string, alone or in its directive (`log_format main '...';`).
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if it is none, lacks time or request, or is ambiguous.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        compile::compile(text)
    }

    /// Reads one line.
    pub(super) fn parse<'a>(
        &self,
        line: &'a [u8],
        times: &mut Times,
    ) -> Result<Hit<'a>, ParseError> {
        let mut fields = Fields::default();
        let mut rest = line;
        let mut before: &[u8] = &[];
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            let error = |reason| ParseError::before(reason, line, rest);
            match step {
                Step::Literal(literal) => {
                    rest = rest.strip_prefix(&**literal).ok_or(error(Reason::Template))?;
                    before = literal;
                }
                Step::Field(field) => {
                    let behind = match steps.peek() {
                        Some(Step::Literal(literal)) => &**literal,
                        _ => &[],
                    };
                    let end = end_of_field(*field, rest, before, behind);
                    let end = end.ok_or(error(Reason::Template))?;
                    let (value, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                    let set = set(&mut fields, *field, value, times);
                    set.map_err(error)?;
                    rest = behind;
                }
            }
        }
        if !rest.is_empty() {
            return Err(ParseError::before(Reason::Template, line, rest));
        }
        fields.hit(None)
    }
}

fn set<'a>(
    fields: &mut Fields<'a>,
    field: Field,
    value: &'a [u8],
    times: &mut Times,
) -> Result<(), Reason> {
    match field {
        Field::Skip => Ok(()),
        _ => fields.set(field, Cow::Borrowed(value), times),
    }
}

/// The length of the field at the start of `text`, between two literals.
fn end_of_field(field: Field, text: &[u8], before: &[u8], behind: &[u8]) -> Option<usize> {
    // A time as CLF writes it contains what may separate fields.
    if field == Field::Time
        && text.get(2) == Some(&b'/')
        && text.get(26..).is_some_and(|rest| rest.starts_with(behind))
    {
        return Some(26);
    }
    if behind.is_empty() {
        return Some(text.len());
    }
    if before.ends_with(b"\"") && behind.starts_with(b"\"") {
        return end_of_quoted(text, behind);
    }
    memchr::memmem::find(text, behind)
}

/// The length of a quoted field: up to the first quote that is not escaped and begins the literal
/// behind it.
fn end_of_quoted(text: &[u8], behind: &[u8]) -> Option<usize> {
    let is_end = |at: &usize| {
        let backslashes = text.get(..*at).unwrap_or_default().iter().rev();
        let is_escaped = backslashes.take_while(|byte| **byte == b'\\').count() % 2 == 1;
        !is_escaped && text.get(*at..).is_some_and(|rest| rest.starts_with(behind))
    };
    memchr::memchr_iter(b'"', text).find(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::shown;

    fn check(template: &str, line: &str, expected: &str) {
        let template = Template::compile(template).unwrap();
        let read = template.parse(line.as_bytes(), &mut Times::default());
        assert_eq!(shown(read), expected, "{line}");
    }

    const NGINX: &str = "log_format main '$remote_addr - $remote_user [$time_local] \"$request\" '\n    '$status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time';";
    const APACHE: &str = "LogFormat \"%v:%p %h %l %u %t \\\"%r\\\" %>s %O \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %D\" vhost";

    #[test]
    fn format_strings_of_nginx_read_its_lines() {
        check(
            NGINX,
            r#"1.2.3.4 - ann [07/Feb/2019:21:11:00 +0000] "GET /a\" b HTTP/1.1" 200 12 "-" "x \"y\" z" 0.125"#,
            r#"1549573860000000 /a\" b 1.2.3.4 200 12 125000"#,
        );
        check(
            "$msec|$request_method|$uri$is_args$args|$status|$upstream_response_time",
            "1549573860.500|GET|/a?b|404|0.1, 0.2",
            "1549573860500000 /a?b  404 0 -",
        );
        check(
            "$time_local $status $request_uri",
            "07/Feb/2019:21:11:00 +0000 200 /a b",
            "1549573860000000 /a b  200 0 -",
        );
        check(
            "${remote_addr}x$time_iso8601 \"$request\"",
            "1.2.3.4x2019-02-07T21:11:00+00:00 \"\"",
            "1549573860000000 (bad request) 1.2.3.4 0 0 -",
        );
    }

    #[test]
    fn format_strings_of_apache_read_its_lines() {
        check(
            APACHE,
            r#"a.org:80 1.2.3.4 - - [07/Feb/2019:21:11:00 +0000] "GET /a HTTP/1.1" 200 12 "-" "x" 1250"#,
            "1549573860000000 /a 1.2.3.4 200 12 1250",
        );
        check(
            "%{sec}t %a %m %U%q %H %400,501s %B %{ms}T",
            "1549573860 ::1 GET /a?b HTTP/1.1 200 12 15",
            "1549573860000000 /a?b ::1 200 12 15000",
        );
        check(
            "%{msec}t \"%r\" 100%%",
            "1549573860500 \"-\" 100%",
            "1549573860500000 (bad request)  0 0 -",
        );
        check(
            "%t\t%r\t%T",
            "[07/Feb/2019:21:11:00 +0000]\tGET /a HTTP/1.1\t2",
            "1549573860000000 /a  0 0 2000000",
        );
    }

    #[test]
    fn other_lines_tell_where_they_differ() {
        check(
            "%h %t \"%r\" %s",
            "h [07/Feb/2019:21:11:00 +0000] x",
            "column 4: not as the format string says",
        );
        check(
            "%h %t \"%r\" %s",
            "h [07/Feb/2019:21:11:00 +0000] \"x\" y",
            "column 36: expected a status of three digits",
        );
        check(
            "%h %t \"%r\" %s x",
            "h [07/Feb/2019:21:11:00 +0000] \"x\" 200 xy",
            "column 41: not as the format string says",
        );
        check("%h %t \"%r\"", "", "column 1: not as the format string says");
    }

    #[test]
    fn format_strings_that_cannot_work_are_refused() {
        for (template, expected) in [
            ("combinde", "\"combinde\" is no format"),
            ("$host $status", "the format string has no time"),
            ("%t %s", "the format string has no request"),
            ("$time_local $host$request", "nothing tells where $host ends and $request begins"),
            ("%t %{Referer", "\"%{Referer\" in the format string is not closed"),
            ("${time_local", "\"${time_local\" in the format string is not closed"),
            ("%t %", "\"%\" in the format string is not closed"),
            ("log_format main 'x", "\"log_format main 'x\" is no format"),
            ("", "\"\" is no format"),
        ] {
            let error = Template::compile(template).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{template}: {error}");
        }
    }
}
