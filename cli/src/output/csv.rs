//! Comma-separated values (RFC 4180): a line of names, then a line for each record.

use csv::{Terminator, Writer, WriterBuilder};
use logq_query::FieldValue;

/// The columns unless others are named.
pub(super) const DEFAULT_COLUMNS: &str = "timestamp,level,type,workerId,requestId,method,url,\
                                          statusCode,bytes,durationMs,message";

fn writer(out: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(1 << 10).from_writer(out)
}

/// Appends one line.
pub(crate) fn write_line(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    let mut writer = writer(out);
    // A vector takes everything.
    let _ = writer.write_record(cells.map(String::into_bytes));
    let _ = writer.flush();
}

/// A value as a cell; null is an empty one. With `guarded`, text that a spreadsheet would calculate
/// has an apostrophe in front; numbers stay numbers.
pub(crate) fn cell(value: Option<FieldValue<'_>>, guarded: bool) -> String {
    let text = match &value {
        None | Some(FieldValue::Null) => String::new(),
        Some(value) => value.to_string(),
    };
    let is_text = matches!(value, Some(FieldValue::Text(_) | FieldValue::Json(_)));
    match guarded && is_text && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must() {
        let mut out = Vec::new();
        let cells = ["plain", "a,b", "say \"no\"", "two\nlines", "", "ü"];
        write_line(&mut out, cells.iter().map(|cell| (*cell).to_owned()));
        let expected = "plain,\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",,ü\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn text_that_would_be_calculated_is_guarded_on_request() {
        let text = |text: &'static str| Some(FieldValue::Text(text.into()));
        assert_eq!(cell(text("=1+1"), true), "'=1+1");
        assert_eq!(cell(text("@x"), true), "'@x");
        assert_eq!(cell(text("=1+1"), false), "=1+1");
        assert_eq!(cell(text("plain"), true), "plain");
        assert_eq!(cell(Some(FieldValue::Number("-5".into())), true), "-5");
        assert_eq!(cell(Some(FieldValue::Null), true), "");
        assert_eq!(cell(None, true), "");
    }
}
