//! Reading the names of fields, and the paths behind them.

use super::{FieldPath, Root};
use crate::expression::{Cursor, ExpressionError, Problem, Reason, Subject};
use crate::lookup::Step;
use crate::nearest::nearest;
use crate::refusal::clip;

/// More than any path that is written on purpose.
const PATH_BYTES_MAX: usize = 4096;

/// Every field with its full name and its short forms.
const NAMES: [(Root, &[&str]); 20] = [
    (Root::Timestamp, &["timestamp", "time", "ts"]),
    (Root::Level, &["level"]),
    (Root::Type, &["type"]),
    (Root::Worker, &["workerId", "worker"]),
    (Root::Writer, &["writer"]),
    (Root::Sequence, &["seq"]),
    (Root::Request, &["requestId", "request"]),
    (Root::Address, &["ipAddress", "ip"]),
    (Root::HttpVersion, &["httpVersion", "http"]),
    (Root::Method, &["method"]),
    (Root::Url, &["url"]),
    (Root::Status, &["statusCode", "status"]),
    (Root::Bytes, &["bytes", "size"]),
    (Root::Duration, &["durationMs", "duration", "ms"]),
    (Root::Error, &["error"]),
    (Root::Data, &["data"]),
    (Root::Event, &["event"]),
    (Root::ExitCode, &["exitCode", "exit"]),
    (Root::Signal, &["signal"]),
    (Root::Section, &["section"]),
];

/// Every field of the JSON output, in its order: all but those that others imply.
pub(super) fn roots() -> impl Iterator<Item = Root> {
    NAMES.iter().map(|(root, _)| *root).filter(|root| *root != Root::Section)
}

/// The keys that an error of the JSON output has itself, and `text`, which is stack or value.
const OF_ERROR: [&str; 6] = ["text", "stack", "value", "expected", "properties", "debug"];

impl Root {
    /// The full name.
    pub(crate) fn name(self) -> &'static str {
        let names = NAMES.iter().find(|(root, _)| *root == self).map(|(_, names)| *names);
        names.and_then(|names| names.first().copied()).unwrap_or_default()
    }
}

/// The field with this name, in upper or lower case.
fn named(word: &str) -> Option<Root> {
    let is_it = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    NAMES.iter().find(|(_, names)| is_it(names)).map(|(root, _)| *root)
}

pub(super) fn parse(text: &str) -> Result<FieldPath, ExpressionError> {
    parse_whole(text).map_err(|problem| problem.within(text, Subject::Field))
}

fn parse_whole(text: &str) -> Result<FieldPath, Problem> {
    let mut cursor = Cursor::new(text);
    if text.len() > PATH_BYTES_MAX {
        return Err(cursor.problem(Reason::TooLong { bytes: text.len(), limit: PATH_BYTES_MAX }));
    }
    cursor.spaces();
    let path = root(&mut cursor).and_then(|root| after_root(&mut cursor, root))?;
    cursor.spaces();
    if cursor.is_at_end() { Ok(path) } else { Err(cursor.unexpected("`.`, `[` or the end")) }
}

/// Reads the name of a field.
pub(crate) fn root(cursor: &mut Cursor<'_>) -> Result<Root, Problem> {
    let start = *cursor;
    match cursor.take_while(is_plain_char) {
        "" if cursor.is_at_end() && cursor.at() == 0 => Err(start.problem(Reason::Empty)),
        word if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(start.unexpected("a field"))
        }
        word => named(word).ok_or_else(|| start.problem(unknown(word))),
    }
}

fn unknown(word: &str) -> Reason {
    let names = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
    Reason::UnknownField { word: clip(word), nearest: nearest(word, names) }
}

/// Reads the path behind the name of a field, perhaps none.
pub(crate) fn after_root(cursor: &mut Cursor<'_>, root: Root) -> Result<FieldPath, Problem> {
    let start = *cursor;
    let mut steps = Vec::new();
    while let Some(step) = step(cursor)? {
        steps.push(step);
    }
    if !steps.is_empty() && !matches!(root, Root::Data | Root::Error) {
        return Err(start.problem(Reason::NoFieldsWithin { field: root.name() }));
    }
    if let (Root::Error, Some(Step::Key(first))) = (root, steps.first())
        && !OF_ERROR.contains(&first.as_str())
    {
        steps.insert(0, Step::Key("properties".to_owned()));
    }
    Ok(FieldPath { root, steps })
}

/// Reads `.key`, `."key"`, `[0]` or `["key"]`, if one comes next.
fn step(cursor: &mut Cursor<'_>) -> Result<Option<Step>, Problem> {
    if cursor.eat(".") {
        let key = match cursor.peek() {
            Some('"' | '\'') => cursor.string()?,
            _ => match cursor.take_while(is_plain_char) {
                "" => return Err(cursor.unexpected("a key")),
                key => key.to_owned(),
            },
        };
        return Ok(Some(Step::Key(key)));
    }
    if !cursor.eat("[") {
        return Ok(None);
    }
    let start = *cursor;
    let step = match cursor.peek() {
        Some('"' | '\'') => Step::Key(cursor.string()?),
        _ => match cursor.take_while(|c| c.is_ascii_digit()) {
            "" => return Err(cursor.unexpected("a key in quotes, or an index from 0")),
            digits => Step::Index(digits.parse().map_err(|_| start.problem(Reason::TooLarge))?),
        },
    };
    if cursor.eat("]") { Ok(Some(step)) } else { Err(cursor.unexpected("`]`")) }
}

/// Whether a key is read without quotes.
pub(super) fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@')
}

/// The text in quotes, so that it is read back as it is.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() && c <= '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
