//! One line at a time, as it arrives: what `logq ingest` and `logq run` need of the parsers.
//!
//! An import puts records where their lines say they belong in time. A line that arrives now is a
//! record of the present, so the time that it tells is not the record's and stays in the data.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use logq_format::{Level, RequestId, Timestamp};

use crate::import::batch::write_message;
use crate::import::fields::Facts;
use crate::import::members::write_string;
use crate::import::time::Times;
use crate::import::{jsonl, logfmt, parse, text};

/// What a line tells, apart from its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// How severe it says it is.
    pub(crate) level: Option<Level>,
    /// The request it belongs to.
    pub(crate) request: Option<RequestId>,
    /// Everything else, as JSON on one line.
    pub(crate) data: String,
}

/// Reads single lines.
///
/// `stream` is the name of the stream that a line came from; the data gets it as the member
/// `stream`, or `_stream` where the line has a member of that name itself.
pub(crate) struct LineParser {
    times: Times,
}

impl LineParser {
    /// `now` is the present, from which times without a year are told.
    pub(crate) fn new(now: Timestamp) -> Self {
        // Whether there is a time is all that is asked, so any zone will do.
        Self { times: Times::new(TimeZone::UTC, now) }
    }

    /// A line that is one JSON object.
    pub(crate) fn json_object(&mut self, line: &[u8], stream: Option<&str>) -> Option<Arrived> {
        let bare = line.trim_ascii();
        if bare.first() != Some(&b'{') || bare.last() != Some(&b'}') {
            return None;
        }
        self.json_value(line, stream)
    }

    /// A line that is any JSON value. Only objects have room for the name of a stream.
    pub(crate) fn json_value(&mut self, line: &[u8], stream: Option<&str>) -> Option<Arrived> {
        let line = to_text(line, true);
        jsonl::read_arrived(&line, stream, &mut self.times).and_then(arrived)
    }

    /// A line of logfmt, by the names of its fields.
    pub(crate) fn likely_logfmt(&mut self, line: &str, stream: Option<&str>) -> Option<Arrived> {
        // Most text has no pair, which shows soonest here.
        if memchr::memchr(b'=', line.as_bytes()).is_none() || !logfmt::fits(line) {
            return None;
        }
        self.logfmt(line, stream)
    }

    /// A line with at least one pair of a name and a value.
    pub(crate) fn logfmt(&mut self, line: &str, stream: Option<&str>) -> Option<Arrived> {
        logfmt::read_arrived(line, stream, &mut self.times).and_then(arrived)
    }

    /// Whether a line of text starts with a time, or nearly so.
    pub(crate) fn has_time(&mut self, line: &str) -> bool {
        text::time_of(line, 0, &mut self.times).is_some()
    }
}

/// The place of a text among the records that a line too long for one became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Counts from 1.
    pub(crate) number: u32,
    /// Whether the line goes on in the next part.
    pub(crate) more: bool,
}

/// The data of a record of text: `{"message":"...","stream":"stderr"}`, and where it is only a part
/// of a line, `"part":1` with `"more":true` unless it is the last.
pub(crate) fn text_data(text: &str, part: Option<Part>, stream: Option<&str>) -> String {
    let mut data = Vec::with_capacity(text.len() + 64);
    write_message(&mut data, text);
    if let Some(Part { number, more }) = part {
        data.pop();
        let more = if more { ",\"more\":true" } else { "" };
        data.extend_from_slice(format!(",\"part\":{number}{more}}}").as_bytes());
    }
    write_stream(&mut data, stream, |_| false);
    // Everything written is text.
    String::from_utf8(data).unwrap_or_default()
}

/// The level that a line of text tells by a word that stands out.
pub(crate) fn level_of_text(line: &str) -> Option<Level> {
    text::told_level(line)
}

/// The bytes as text; each one that is not UTF-8 becomes `\xNN`, in JSON with two backslashes.
pub(crate) fn to_text(line: &[u8], is_json: bool) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(parse::escape_invalid(line, is_json)),
    }
}

/// Adds the name of the stream to an object, under a name that is not taken.
pub(crate) fn write_stream(
    object: &mut Vec<u8>,
    stream: Option<&str>,
    is_taken: impl Fn(&str) -> bool,
) {
    let Some(stream) = stream else { return };
    let mut name = "stream".to_owned();
    while is_taken(&name) {
        name.insert(0, '_');
    }
    object.pop();
    if object.len() > 1 {
        object.push(b',');
    }
    write_string(object, &name);
    object.push(b':');
    write_string(object, stream);
    object.push(b'}');
}

/// The most bytes that a text takes as a JSON string, without its quotes.
pub(crate) fn json_bytes_max(text: &str) -> usize {
    let cost = |byte: u8| match byte {
        ..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(cost).sum()
}

fn arrived((facts, data): (Facts, Vec<u8>)) -> Option<Arrived> {
    // The parsers are given text and add to it only ASCII.
    let data = String::from_utf8(data).ok()?;
    Some(Arrived { level: facts.told_level(), request: facts.request(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> LineParser {
        LineParser::new("2026-06-01T00:00:00Z".parse().unwrap())
    }

    fn check(found: Option<Arrived>, level: Option<Level>, data: &str) {
        let found = found.expect(data);
        assert_eq!((found.level, &*found.data), (level, data));
    }

    #[test]
    fn objects_keep_their_time_and_lose_only_what_the_record_says() {
        let line = br#" {"ts":"2026-02-03T14:05:06Z", "level":"warn", "n":1.50, "a":{"b": 1}} "#;
        let data = r#"{"ts":"2026-02-03T14:05:06Z","n":1.50,"a":{"b":1},"stream":"stderr"}"#;
        check(parser().json_object(line, Some("stderr")), Some(Level::Warn), data);
        check(parser().json_object(b"{}", Some("stdout")), None, r#"{"stream":"stdout"}"#);
        check(parser().json_object(br#"{"level":30}"#, None), Some(Level::Info), r#"{"level":30}"#);
    }

    #[test]
    fn the_request_is_found() {
        let id = "0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3";
        let line = format!(r#"{{"requestId":"{id}","msg":"x"}}"#);
        let found = parser().json_object(line.as_bytes(), None).unwrap();
        assert_eq!(found.request.unwrap().to_string(), id);
        assert_eq!(found.data, r#"{"msg":"x"}"#);
    }

    #[test]
    fn a_member_of_the_lines_own_keeps_its_name() {
        let data = r#"{"stream":1,"_stream":2,"__stream":"stdout"}"#;
        check(parser().json_object(br#"{"stream":1,"_stream":2}"#, Some("stdout")), None, data);
        let data = r#"{"\u0073tream":1,"_stream":"stdout"}"#;
        check(parser().json_object(br#"{"\u0073tream":1}"#, Some("stdout")), None, data);
        let data = r#"{"stream":"a","x":1,"_stream":"stdout"}"#;
        check(
            parser().logfmt("level=error stream=a x=1", Some("stdout")),
            Some(Level::Error),
            data,
        );
    }

    #[test]
    fn broken_bytes_and_control_characters_are_escaped() {
        check(parser().json_object(b"{\"a\":\"\xFF\t\"}", None), None, r#"{"a":"\\xff\u0009"}"#);
        assert_eq!(to_text(b"a\xFF", false), "a\\xff");
    }

    #[test]
    fn text_is_the_message() {
        assert_eq!(text_data("a \"b\"\nc", None, None), r#"{"message":"a \"b\"\nc"}"#);
        let first = Some(Part { number: 1, more: true });
        let expected = r#"{"message":"a","part":1,"more":true,"stream":"stdout"}"#;
        assert_eq!(text_data("a", first, Some("stdout")), expected);
        let last = Some(Part { number: 2, more: false });
        assert_eq!(text_data("", last, None), r#"{"message":"","part":2}"#);
    }

    #[test]
    fn the_size_in_json_is_not_underestimated() {
        for text in ["", "plain é", "\"\\\n\t\u{0}\u{1f}\u{7f}"] {
            let data = text_data(text, None, None);
            assert!(data.len() <= json_bytes_max(text) + r#"{"message":""}"#.len(), "{text:?}");
        }
    }

    #[test]
    fn other_lines_are_neither() {
        for line in ["", "{", "{}x", "x {}", "{a:1}", "[1]", "7"] {
            assert_eq!(parser().json_object(line.as_bytes(), None), None, "{line}");
        }
        assert_eq!(parser().likely_logfmt("a=1 b=2", None), None);
        assert_eq!(parser().logfmt("one two", None), None);
        check(parser().json_value(b"[1, 2]", Some("stdout")), None, "[1,2]");
    }
}
