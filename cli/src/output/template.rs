//! `--template`: one line a record, as people like it.
//!
//! ```text
//! template  = { text | escape | "{{" | "}}" | field }
//! field     = "{" name [ ":" [ "<" | ">" | "^" ] [ width ] [ "." length ] ] "}"
//! escape    = "\n" | "\t" | "\\"
//! ```
//!
//! A field is padded to its width, on the right unless told otherwise, and cut to its length, both in
//! characters. A record that does not have the field has nothing there.

use std::fmt;

use jiff::tz::TimeZone;
use logq_format::Record;
use logq_query::{FieldValue, columns};
use logq_reader::Row;

use super::fields::Column;
use super::message::Put;
use super::time::{Precision, write_time};

/// A template, read.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Field { column: Column, layout: Layout },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layout {
    align: Align,
    width: usize,
    length: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Align {
    #[default]
    Left,
    Right,
    Center,
}

/// The widest field: more is a slip of the finger.
const WIDTH_MAX: usize = 1000;

/// What is wrong with a template, and where.
#[derive(Debug)]
pub(crate) struct TemplateError {
    what: String,
    shown: String,
    /// The column, counted from 1.
    caret: usize,
    hint: &'static str,
}

impl std::error::Error for TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, shown, caret, hint } = self;
        write!(f, "cannot read --template: {what}\n  {shown}\n  {:>caret$}{hint}", "^")
    }
}

const FORMS: &str =
    "\n  a field is {name}, {name:WIDTH}, {name:>WIDTH} or {name:.LENGTH}; {{ and }} are braces";

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// Shows the place of what is no template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut reader = Reader { text, at: 0, parts: Vec::new(), plain: String::new() };
        reader.read()?;
        Ok(Self { parts: reader.parts })
    }

    /// Appends a record and a line feed.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        row: &Row<'_>,
        record: &Record<'_>,
        zone: &TimeZone,
        put: Put,
    ) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field { column, layout } => {
                    let start = out.len();
                    if let Some(value) = column.value(row, record) {
                        write_value(out, &value, zone, put);
                    }
                    layout.apply(out, start);
                }
            }
        }
        out.push(b'\n');
    }
}

/// Appends a value as people read it: times in their zone, nothing for null.
fn write_value(out: &mut Vec<u8>, value: &FieldValue<'_>, zone: &TimeZone, put: Put) {
    match value {
        FieldValue::Null => {}
        FieldValue::Time(time) => write_time(out, *time, zone, Precision::Micros),
        FieldValue::Text(text) | FieldValue::Json(text) => put(out, text),
        value => value.write_text(out),
    }
}

impl Layout {
    /// Cuts and pads the text that was appended from `start` on.
    fn apply(self, out: &mut Vec<u8>, start: usize) {
        if self.width == 0 && self.length.is_none() {
            return;
        }
        let text = std::str::from_utf8(out.get(start..).unwrap_or_default()).unwrap_or_default();
        let mut length = text.chars().count();
        if let Some(most) = self.length.filter(|most| *most < length) {
            let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
            out.truncate(start + end);
            length = most;
        }
        let missing = self.width.saturating_sub(length);
        let before = match self.align {
            Align::Left => 0,
            Align::Right => missing,
            Align::Center => missing / 2,
        };
        if before > 0 {
            out.splice(start..start, std::iter::repeat_n(b' ', before));
        }
        out.resize(out.len() + missing - before, b' ');
    }
}

struct Reader<'t> {
    text: &'t str,
    /// In bytes.
    at: usize,
    parts: Vec<Part>,
    /// Text up to the next field.
    plain: String,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn read(&mut self) -> Result<(), TemplateError> {
        while let Some(c) = self.rest().chars().next() {
            let next = self.rest().chars().nth(1);
            match (c, next) {
                ('{', Some('{')) | ('}', Some('}')) | ('\\', Some('\\')) => self.add(c, 2),
                ('\\', Some('n')) => self.add('\n', 2),
                ('\\', Some('t')) => self.add('\t', 2),
                ('\\', _) => return Err(self.error(self.at, "unknown escape", FORMS_ESCAPES)),
                ('}', _) => return Err(self.error(self.at, "a brace that closes nothing", FORMS)),
                ('{', _) => self.read_field()?,
                _ => self.add(c, c.len_utf8()),
            }
        }
        self.end_text();
        Ok(())
    }

    fn add(&mut self, c: char, bytes: usize) {
        self.plain.push(c);
        self.at += bytes;
    }

    fn end_text(&mut self) {
        if !self.plain.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.plain)));
        }
    }

    fn read_field(&mut self) -> Result<(), TemplateError> {
        self.end_text();
        let start = self.at + 1;
        let inside = self.text.get(start..).unwrap_or_default();
        let Some((end, colon)) = end_of_field(inside) else {
            return Err(self.error(self.at, "a brace that is never closed", FORMS));
        };
        let name = inside.get(..colon.unwrap_or(end)).unwrap_or_default();
        let column = Column::parse(name).map_err(|error| {
            // The field's own message shows its text again; here it is shown in the template.
            let message = error.to_string();
            let what = message.lines().next().unwrap_or_default().to_owned();
            self.error(start, &what, "")
        })?;
        let layout = match colon {
            None => Layout::default(),
            Some(colon) => {
                let text = inside.get(colon + 1..end).unwrap_or_default();
                parse_layout(text)
                    .ok_or_else(|| self.error(start + colon + 1, "unknown layout", FORMS))?
            }
        };
        self.parts.push(Part::Field { column, layout });
        self.at = start + end + 1;
        Ok(())
    }

    fn error(&self, at: usize, what: &str, hint: &'static str) -> TemplateError {
        let before = self.text.get(..at).unwrap_or_default();
        // The template is shown on one line, whatever it holds.
        let shown = |text: &str| text.replace(char::is_control, " ");
        TemplateError {
            what: what.to_owned(),
            shown: shown(self.text),
            caret: columns(&shown(before)) + 1,
            hint,
        }
    }
}

const FORMS_ESCAPES: &str = "\n  the escapes are \\n, \\t and \\\\";

/// Where a field ends, and its first colon outside of quotes, both in bytes.
fn end_of_field(inside: &str) -> Option<(usize, Option<usize>)> {
    let (mut quote, mut colon) = (None, None);
    for (at, c) in inside.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, ':') => colon = colon.or(Some(at)),
            (None, '}') => return Some((at, colon)),
            (None, _) => {}
        }
    }
    None
}

fn parse_layout(text: &str) -> Option<Layout> {
    let (align, text) = match text.chars().next() {
        Some('<') => (Align::Left, text.get(1..)?),
        Some('>') => (Align::Right, text.get(1..)?),
        Some('^') => (Align::Center, text.get(1..)?),
        _ => (Align::Left, text),
    };
    let number = |digits: &str| {
        let number = digits.parse::<usize>().ok()?;
        (number <= WIDTH_MAX && !digits.starts_with('+')).then_some(number)
    };
    let (width, length) = match text.split_once('.') {
        Some((width, length)) => (width, Some(number(length)?)),
        None => (text, None),
    };
    let width = if width.is_empty() { 0 } else { number(width)? };
    Some(Layout { align, width, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::escape;

    #[test]
    fn layouts_pad_and_cut() {
        let check = |layout: &str, text: &str, expected: &str| {
            let mut out = Vec::new();
            out.extend_from_slice(b"before ");
            let start = out.len();
            escape::push(&mut out, text);
            parse_layout(layout).unwrap().apply(&mut out, start);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, format!("before {expected}"), "{layout}");
        };
        check("", "abc", "abc");
        check("5", "abc", "abc  ");
        check("<5", "abc", "abc  ");
        check(">5", "abc", "  abc");
        check("^5", "äöü", " äöü ");
        check("^6", "äöü", " äöü  ");
        check("2", "abc", "abc");
        check(".2", "äöü", "äö");
        check(">4.2", "abc", "  ab");
        check("8", "\u{1b}", "\\u{1b}  ");
        for layout in ["x", "5x", ">", "-1", "+1", "1001", "5.", "5.x", "99999999999999999999"] {
            assert_eq!(parse_layout(layout).is_some(), layout == ">", "{layout}");
        }
    }

    #[test]
    fn mistakes_are_shown_in_their_place() {
        let check = |template: &str, what: &str, caret: usize| {
            let error = Template::parse(template).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(error.caret, caret, "{error}");
        };
        check("a {url", "never closed", 3);
        check("a } b", "closes nothing", 3);
        check("ä {lvel}", "level", 4);
        check("日本\t{lvel}", "level", 7);
        check("{url:x}", "unknown layout", 6);
        check("a \\x", "unknown escape", 3);
        check("a \\", "unknown escape", 3);
        check("{}", "", 2);
    }

    #[test]
    fn braces_and_escapes_stand_for_themselves() {
        let template = Template::parse(r"{{a}}\t\\{url}\n").unwrap();
        let texts: Vec<_> = template
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field { column, .. } => format!("<{}>", column.name()),
            })
            .collect();
        assert_eq!(texts, ["{a}\t\\", "<url>", "\n"]);
        assert_eq!(Template::parse(r#"{data."a:}b":5}"#).unwrap().parts.len(), 1);
    }
}
