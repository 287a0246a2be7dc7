//! Comma-separated values (RFC 4180): a line of names, then a line for each record.

use logq_query::FieldValue;

use super::message::Put;

/// The columns unless others are named.
pub(super) const DEFAULT_COLUMNS: &str = "timestamp,level,type,workerId,requestId,method,url,\
                                          statusCode,bytes,durationMs,message";

/// A line on its way to a buffer.
#[derive(Debug)]
pub(crate) struct Line<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    cells: usize,
}

impl<'o> Line<'o> {
    /// An empty line.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, cells: 0 }
    }

    /// Appends a cell whose text `write` appends; it is quoted if it must be.
    pub(crate) fn cell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.empty();
        let start = self.out.len();
        write(self.out);
        quote(self.out, start);
    }

    /// Appends a cell with nothing in it.
    pub(crate) fn empty(&mut self) {
        if self.cells > 0 {
            self.out.push(b',');
        }
        self.cells += 1;
    }

    /// Appends a cell with a value; see [`write_value`].
    pub(crate) fn value(&mut self, value: &FieldValue<'_>, guarded: bool, put: Put) {
        match value {
            FieldValue::Text(_) | FieldValue::Json(_) => {
                self.cell(|out| write_value(out, Some(value), guarded, put));
            }
            // Nothing else needs quotes.
            value => {
                self.empty();
                write_value(self.out, Some(value), guarded, put);
            }
        }
    }

    /// Appends what ends it.
    pub(crate) fn end(self) {
        // A single empty cell would look like no line at all.
        if self.out.len() == self.start && self.cells > 0 {
            self.out.extend_from_slice(b"\"\"");
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Puts what was appended from `start` on between quotes, if it cannot be a cell without.
fn quote(out: &mut Vec<u8>, start: usize) {
    let text = out.get(start..).unwrap_or_default();
    if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    for part in text.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// Appends one line.
pub(crate) fn write_line(out: &mut Vec<u8>, cells: impl Iterator<Item = impl AsRef<str>>) {
    let mut line = Line::new(out);
    cells.for_each(|cell| line.cell(|out| out.extend_from_slice(cell.as_ref().as_bytes())));
    line.end();
}

/// Appends a value as the text of a cell; null is an empty one. With `guarded`, text that a
/// spreadsheet would calculate has an apostrophe in front; numbers stay numbers.
pub(crate) fn write_value(
    out: &mut Vec<u8>,
    value: Option<&FieldValue<'_>>,
    guarded: bool,
    put: Put,
) {
    match value {
        None | Some(FieldValue::Null) => {}
        Some(FieldValue::Text(text) | FieldValue::Json(text)) => {
            if guarded && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
                out.push(b'\'');
            }
            put(out, text);
        }
        Some(value) => value.write_text(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::escape::push_raw;
    use proptest::prelude::*;

    #[test]
    fn cells_are_quoted_where_they_must() {
        let mut out = Vec::new();
        let cells = ["plain", "a,b", "say \"no\"", "two\nlines", "", "ü"];
        write_line(&mut out, cells.iter());
        write_line(&mut out, [""].iter());
        let expected = "plain,\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",,ü\r\n\"\"\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(0x106),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn lines_are_read_back_as_they_were(
            lines in proptest::collection::vec(
                proptest::collection::vec("[a\",\r\n é]{0,4}", 3), 0..5)
        ) {
            let mut out = Vec::new();
            lines.iter().for_each(|line| write_line(&mut out, line.iter()));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*out);
            let read: Vec<Vec<String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read, lines);
        }
    }

    #[test]
    fn text_that_would_be_calculated_is_guarded_on_request() {
        let text = |text: &'static str| Some(FieldValue::Text(text.into()));
        let cell = |value: Option<FieldValue<'_>>, guarded| {
            let mut out = Vec::new();
            write_value(&mut out, value.as_ref(), guarded, push_raw);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cell(text("=1+1"), true), "'=1+1");
        assert_eq!(cell(text("@x"), true), "'@x");
        assert_eq!(cell(text("=1+1"), false), "=1+1");
        assert_eq!(cell(text("plain"), true), "plain");
        assert_eq!(cell(Some(FieldValue::Number("-5".into())), true), "-5");
        assert_eq!(cell(Some(FieldValue::Null), true), "");
        assert_eq!(cell(None, true), "");
    }
}
