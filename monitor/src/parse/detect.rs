//! Which format the first lines have, and if none, which one they almost have.

use std::fmt;

use super::{Format, LineParser, ParseError, Parsed};
use crate::escape;
use crate::lines::EXCERPT_BYTES;

/// The format that a line shows, if it shows one.
///
/// A directive, a header or an object of JSON shows it, and so does a request. Formats are tried in
/// the order of [`Format::NAMED`].
pub(crate) fn detect(line: &[u8]) -> Option<Format> {
    Format::NAMED.into_iter().find(|format| shows(format, line))
}

fn shows(format: &Format, line: &[u8]) -> bool {
    let mut parser = LineParser::new(format.clone());
    match parser.parse(line) {
        Ok(Parsed::Hit(_)) => true,
        // CSV knows its header only, W3C any directive.
        Ok(_) if *format == Format::W3c => line.starts_with(b"#Fields:"),
        Ok(_) => *format == Format::Csv && !line.trim_ascii().is_empty(),
        Err(_) => false,
    }
}

/// Why lines are in no known format, or not in the one that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The format that was named or that fits best.
    pub nearest: Format,
    /// Lines that were looked at.
    pub lines: u64,
    /// Lines that failed.
    pub failed: u64,
    /// The first lines that failed.
    pub examples: Vec<FailedLine>,
}

/// A line that failed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLine {
    /// Its number in its file, from 1.
    pub line: u64,
    /// Why and where.
    pub error: ParseError,
    /// Its first bytes.
    pub excerpt: Box<[u8]>,
}

/// Explanations have this many examples.
const EXAMPLES: usize = 3;

impl Explanation {
    /// Of lines that show no format, with their numbers.
    pub(crate) fn of(lines: &[(u64, Box<[u8]>)]) -> Self {
        let score = |format: &Format| -> usize {
            let mut parser = LineParser::new(format.clone());
            lines.iter().map(|(_, line)| progress(&mut parser, line)).sum()
        };
        // The first of those that come equally far.
        let nearest = Format::NAMED.into_iter().rev().max_by_key(score).unwrap_or(Format::Clf);
        let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let mut explanation =
            Self { nearest: nearest.clone(), lines: count, failed: count, examples: Vec::new() };
        let mut parser = LineParser::new(nearest);
        for (number, line) in lines {
            if let Err(error) = parser.parse(line) {
                explanation.keep(*number, error, line);
            }
        }
        explanation
    }

    /// Keeps the line as an example, if there is room.
    pub(crate) fn keep(&mut self, line: u64, error: ParseError, text: &[u8]) {
        if self.examples.len() < EXAMPLES {
            let excerpt = text.get(..EXCERPT_BYTES).unwrap_or(text).into();
            self.examples.push(FailedLine { line, error, excerpt });
        }
    }
}

/// How much of the line is as the format wants it, in thousandths.
fn progress(parser: &mut LineParser, line: &[u8]) -> usize {
    match parser.parse(line) {
        Ok(_) => 0,
        Err(error) => error.at * 1_000 / line.len().max(1),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nearest, lines, failed, examples } = self;
        write!(f, "{failed} of the first {lines} lines are no requests; nearest is {nearest}:")?;
        for FailedLine { line, error, excerpt } in examples {
            write!(f, "\n  line {line}, {error}: {}", escape::text(excerpt))?;
        }
        write!(
            f,
            "\nname the format (common, combined, csv, json, w3c) or give the server's format \
             string ($remote_addr ..., %h ...)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_show_themselves() {
        for (line, expected) in [
            (r#"h - - [03/Feb/2026:14:05:06 +0000] "-" 400 0"#, Some(Format::Clf)),
            (
                r#""remotehost","rfc931","authuser","date","request","status","bytes""#,
                Some(Format::Csv),
            ),
            (r#""10.0.0.2","-","apache",1549573860,"GET / HTTP/1.0",200,1234"#, Some(Format::Csv)),
            (r#"{"ts":1549573860.5,"uri":"/a"}"#, Some(Format::Json)),
            ("#Fields: date time cs-uri-stem", Some(Format::W3c)),
            ("#Software: IIS", None),
            ("", None),
            ("   ", None),
            ("2026-02-03 error something, with, commas", None),
            (r#"{"ts":1549573860.5,"msg":"started"}"#, None),
            ("\u{0}\u{1}\u{fffd}", None),
        ] {
            assert_eq!(detect(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn the_explanation_names_the_nearest_format_and_why_lines_fail() {
        let check = |line: &str, expected: &str| {
            let lines = [(7, line.as_bytes().into())];
            let shown = Explanation::of(&lines).to_string();
            assert!(shown.contains(expected), "{shown}");
        };
        check(
            "h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 2x0 1",
            "nearest is common or combined:\n  line 7, column 53: expected a status of three digits: h - - ",
        );
        check(
            r#"{"ts":1549573860.5,"msg":"x"#,
            "nearest is JSON lines:\n  line 7, column 27: not an object",
        );
        check("a,b,c,d,e", "nearest is CSV:\n  line 7, column 7: not a time from 1970");
        check("\u{1b}[2J", "line 7, column 1: expected a time: \\u{1b}[2J");
    }
}
