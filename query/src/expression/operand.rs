//! What a value means: that depends on the field it is compared with.
//!
//! Typed fields are compared with values of their own kind only, and everything else is refused when
//! the expression is read. What is in `data` and `error` can be of any kind, so there the value
//! tells: a number compares with numbers, text with strings, and neither ever with the other.

use std::ops::Range;

use logq_format::{HttpVersion, Lifecycle, RecordType, Timestamp};

use super::error::{Problem, Reason};
use super::literal::Literal;
use super::tree::Operator;
use crate::field::{FieldPath, Number, Root};
use crate::nearest::nearest;
use crate::network::{Network, NetworkError};
use crate::refusal::clip;
use crate::when::{self, Context};
use crate::words::{self, WordError};

/// A value as it is written.
pub(super) struct Token<'a> {
    at: usize,
    text: Written<'a>,
}

enum Written<'a> {
    Word(&'a str),
    Quoted(String),
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Level,
    Type,
    Worker,
    /// A number, or a size in bytes.
    Number,
    Duration,
    Request,
    Address,
    Version,
    /// A name that is compared regardless of case.
    Name,
    Event,
    Text,
    /// Any JSON value.
    Json,
}

impl<'a> Token<'a> {
    pub(super) fn word(at: usize, word: &'a str) -> Self {
        Self { at, text: Written::Word(word) }
    }

    pub(super) fn quoted(at: usize, text: String) -> Self {
        Self { at, text: Written::Quoted(text) }
    }

    fn text(&self) -> &str {
        match &self.text {
            Written::Word(word) => word,
            Written::Quoted(text) => text,
        }
    }

    /// The text, unless it is in quotes.
    fn bare(&self) -> Option<&'a str> {
        match &self.text {
            Written::Word(word) => Some(word),
            Written::Quoted(_) => None,
        }
    }

    fn problem(&self, reason: Reason) -> Problem {
        Problem::new(self.at, reason)
    }

    /// A problem within a time, at the column that the time grammar tells.
    fn problem_of_time(&self, error: when::WhenError) -> Problem {
        let quote = usize::from(matches!(self.text, Written::Quoted(_)));
        let beyond = error.column.saturating_add(quote);
        Problem { at: self.at, beyond, reason: Reason::When(error.reason) }
    }
}

impl Kind {
    pub(super) fn of(field: &FieldPath) -> Self {
        match field.root() {
            Root::Timestamp => Self::Time,
            Root::Level => Self::Level,
            Root::Type => Self::Type,
            Root::Worker => Self::Worker,
            Root::Writer | Root::Sequence | Root::Status | Root::Bytes | Root::ExitCode => {
                Self::Number
            }
            Root::Duration => Self::Duration,
            Root::Request => Self::Request,
            Root::Address => Self::Address,
            Root::HttpVersion => Self::Version,
            Root::Method | Root::Signal => Self::Name,
            Root::Event => Self::Event,
            Root::Url | Root::Section => Self::Text,
            Root::Error | Root::Data => Self::Json,
        }
    }

    /// Refuses to order what has no order.
    pub(super) fn check_operator(
        self,
        field: &FieldPath,
        operator: Operator,
    ) -> Result<(), Reason> {
        let operators = match self {
            Self::Type | Self::Request | Self::Name | Self::Event => "= != in ~ exists",
            Self::Address => "= != ~ exists, or in, as in: ip in 192.0.2.0/24",
            _ => return Ok(()),
        };
        match operator.is_ordering() {
            true => Err(Reason::Operator { field: field.to_string(), operators }),
            false => Ok(()),
        }
    }

    /// The kind of value, with an example.
    fn expected(self) -> &'static str {
        match self {
            Self::Time => "a time, such as '14:05' or '2026-02-03 14:05:06'",
            Self::Level => "a level, such as error",
            Self::Type => "a type, such as RESPONSE",
            Self::Worker => "a worker's number, or master",
            Self::Number => "a number, such as 500 or 1MiB",
            Self::Duration => "a duration, such as 250ms, or a number of milliseconds",
            Self::Request => "a request id",
            Self::Address => "an address, such as 192.0.2.7; of a network: ip in 192.0.2.0/24",
            Self::Version => "a version, such as 1.1",
            Self::Name | Self::Event => "a name",
            Self::Text | Self::Json => "text in quotes",
        }
    }
}

/// The interval that a value names, if it names one: a day, a minute, a microsecond.
pub(super) fn interval(token: &Token<'_>, context: &Context<'_>) -> Option<Range<Timestamp>> {
    when::parse_interval(token.text(), context).ok()
}

/// Reads a value for this field.
pub(super) fn literal(
    token: &Token<'_>,
    kind: Kind,
    field: &FieldPath,
    operator: Operator,
    context: &Context<'_>,
) -> Result<Literal, Problem> {
    let refused =
        || token.problem(Reason::Operand { field: field.to_string(), expected: kind.expected() });
    let text = token.text();
    let word = |reason: WordError| token.problem(Reason::Word(reason));
    match kind {
        Kind::Time => {
            let time = when::parse_instant(text, context);
            time.map(Literal::Time).map_err(|error| token.problem_of_time(error))
        }
        Kind::Level => words::level(text).map(Literal::Level).map_err(word),
        Kind::Type => type_name(text).map(Literal::Name).map_err(|r| token.problem(r)),
        Kind::Event => event_name(text).map(Literal::Name).map_err(|r| token.problem(r)),
        Kind::Name => Ok(Literal::Name(text.to_ascii_uppercase())),
        Kind::Request => words::request(text).map(Literal::Request).map_err(word),
        Kind::Text => any_text(token).map(Literal::Text),
        Kind::Number => number(token)?.map(Literal::Number).ok_or_else(refused),
        Kind::Version => version(text).map(Literal::Version).ok_or_else(refused),
        Kind::Duration => duration(token),
        Kind::Address => network(token, operator)?.ok_or_else(refused),
        Kind::Worker => worker(token, operator),
        Kind::Json => json(token, operator),
    }
}

fn type_name(text: &str) -> Result<String, Reason> {
    let named = |record_type: &RecordType| record_type.as_str().eq_ignore_ascii_case(text);
    if let Some(found) = RecordType::ALL.iter().find(|each| named(each)) {
        return Ok(found.as_str().to_owned());
    }
    if let Ok(event) = event_name(text) {
        return Err(Reason::EventAsType { word: event });
    }
    let names = RecordType::ALL.iter().map(|record_type| record_type.as_str());
    let (word, suggestion) = (clip(text), nearest(text, names));
    Err(Reason::Word(WordError::Type { word, suggestion }))
}

fn event_name(text: &str) -> Result<String, Reason> {
    let others = ["WORKER_SPAWNED", "WORKER_EXITED", "UNCAUGHT_EXCEPTION"];
    let mut names = Lifecycle::ALL.into_iter().map(Lifecycle::as_str).chain(others);
    match names.clone().find(|name| name.eq_ignore_ascii_case(text)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Reason::UnknownEvent { word: clip(text), nearest: nearest(text, &mut names) }),
    }
}

/// Text, in quotes or not.
fn any_text(token: &Token<'_>) -> Result<String, Problem> {
    let is_field = |word: &str| word.starts_with("data.") || word.starts_with("error.");
    match token.bare() {
        Some(word) if is_field(word) => {
            Err(token.problem(Reason::FieldAsValue { word: clip(word) }))
        }
        _ => Ok(token.text().to_owned()),
    }
}

/// A number, or a size in bytes; `None` if it is neither.
fn number(token: &Token<'_>) -> Result<Option<Number>, Problem> {
    let Some(word) = token.bare() else { return Ok(None) };
    match plain_number(word) {
        Some(Number::Float(float)) if !float.is_finite() => Err(token.problem(Reason::TooLarge)),
        Some(number) => Ok(Some(number)),
        None => size(word).map_err(|reason| token.problem(reason)),
    }
}

fn plain_number(word: &str) -> Option<Number> {
    let word = word.strip_prefix('+').filter(|rest| !rest.starts_with('-')).unwrap_or(word);
    Number::parse(word)
}

const DECIMAL: u128 = 1000;
const BINARY: u128 = 1024;

/// The units of sizes; a single letter means powers of 1000 to some and of 1024 to others.
const SIZES: [(&str, u128); 9] = [
    ("b", 1),
    ("kb", DECIMAL),
    ("kib", BINARY),
    ("mb", DECIMAL.pow(2)),
    ("mib", BINARY.pow(2)),
    ("gb", DECIMAL.pow(3)),
    ("gib", BINARY.pow(3)),
    ("tb", DECIMAL.pow(4)),
    ("tib", BINARY.pow(4)),
];

/// Reads `1.5MiB`; `None` if it is no size.
fn size(word: &str) -> Result<Option<Number>, Reason> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let split = word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len());
    let (number, unit) = word.split_at_checked(split).unwrap_or((word, ""));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return Ok(None);
    }
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        let is_letter = unit.len() == 1 && "kKMGT".contains(unit);
        let hint = "write KB for 1000 bytes or KiB for 1024, and likewise MB, MiB, GB, GiB";
        let unclear = Reason::Unclear { word: clip(word), hint };
        return if is_letter { Err(unclear) } else { Ok(None) };
    };
    if fraction.len() > 9 {
        return Err(Reason::Unclear { word: clip(word), hint: "write at most 9 decimals" });
    }
    let scale = fraction.bytes().fold(1, |scale: u128, _| scale * 10);
    let total = format!("{whole}{fraction}").parse().ok().and_then(|n: u128| n.checked_mul(*bytes));
    let total = total.ok_or(Reason::TooLarge)?;
    let integer = u64::try_from(total / scale).map_err(|_| Reason::TooLarge)?;
    Ok(Some(match total % scale {
        0 => Number::Integer(integer.into()),
        _ => Number::Float(total as f64 / scale as f64),
    }))
}

fn version(text: &str) -> Option<HttpVersion> {
    let text = text
        .get(..5)
        .filter(|p| p.eq_ignore_ascii_case("HTTP/"))
        .map_or(text, |p| text.strip_prefix(p).unwrap_or(text));
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let part = |text: &str| {
        let is_digit = text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_digit { text.parse().ok() } else { None }
    };
    HttpVersion::new(part(major)?, part(minor)?)
}

/// A duration with units, or a number of milliseconds.
fn duration(token: &Token<'_>) -> Result<Literal, Problem> {
    let too_large = || token.problem(Reason::TooLarge);
    let plain = token.bare().and_then(|word| Some((word, plain_number(word)?)));
    let nanos = match plain {
        Some((word, number)) => {
            let nanos = nanos_of_decimal(word).or_else(|| nanos_of_millis(number));
            nanos.ok_or_else(too_large)?
        }
        None => {
            let duration = when::parse_duration(token.text());
            let duration = duration.map_err(|error| token.problem_of_time(error))?;
            i64::try_from(duration.as_nanos()).map_err(|_| too_large())?
        }
    };
    if nanos < 0 {
        let expected = "a duration of 0 or more";
        return Err(token.problem(Reason::Operand { field: "durationMs".to_owned(), expected }));
    }
    Ok(Literal::Duration(nanos))
}

/// Milliseconds with up to six decimals as nanoseconds, exactly.
fn nanos_of_decimal(word: &str) -> Option<i64> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let is_short = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { format!("{whole}{fraction:0<6}").parse().ok() } else { None }
}

/// Milliseconds as nanoseconds, parts of them rounded away.
#[expect(clippy::cast_possible_truncation, reason = "the value is within the range, just checked")]
fn nanos_of_millis(number: Number) -> Option<i64> {
    match number {
        Number::Integer(millis) => i64::try_from(millis.checked_mul(1_000_000)?).ok(),
        Number::Float(millis) => {
            let nanos = (millis * 1e6).round();
            (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
        }
    }
}

/// An address, or behind `in` a network; `None` if it is neither.
fn network(token: &Token<'_>, operator: Operator) -> Result<Option<Literal>, Problem> {
    let text = token.text();
    let is_membership = matches!(operator, Operator::In | Operator::NotIn);
    match text.parse::<Network>() {
        Ok(network) if is_membership || network.is_single() => Ok(Some(Literal::Network(network))),
        Ok(_) => Ok(None),
        Err(NetworkError::Prefix { max }) => Err(token.problem(Reason::Prefix { max })),
        Err(NetworkError::Form) => Err(token.problem(Reason::Address { text: clip(text) })),
    }
}

/// The number of a worker, or null for the master.
fn worker(token: &Token<'_>, operator: Operator) -> Result<Literal, Problem> {
    let text = token.text();
    let literal = if text.eq_ignore_ascii_case("null") {
        Literal::Null
    } else if let Some(number) = token.bare().and_then(plain_number) {
        Literal::Number(number)
    } else {
        let worker = words::worker(text).map_err(|error| token.problem(Reason::Word(error)))?;
        let number = |worker: logq_format::WorkerId| Number::Integer(worker.get().into());
        worker.map_or(Literal::Null, |worker| Literal::Number(number(worker)))
    };
    ordered(literal, token, operator)
}

/// A value of any kind, as it is written.
fn json(token: &Token<'_>, operator: Operator) -> Result<Literal, Problem> {
    let Some(word) = token.bare() else { return Ok(Literal::Text(token.text().to_owned())) };
    let literal = match word.to_ascii_lowercase().as_str() {
        "null" => Literal::Null,
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ => match number(token)? {
            Some(number) => Literal::Number(number),
            None => word_of_json(token, word, operator)?,
        },
    };
    ordered(literal, token, operator)
}

fn word_of_json(token: &Token<'_>, word: &str, operator: Operator) -> Result<Literal, Problem> {
    let is_membership = matches!(operator, Operator::In | Operator::NotIn);
    if is_membership {
        match word.parse::<Network>() {
            Ok(network) => return Ok(Literal::Network(network)),
            Err(NetworkError::Prefix { max }) => return Err(token.problem(Reason::Prefix { max })),
            Err(NetworkError::Form) => {}
        }
    }
    let after_digits = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_like_number = after_digits.len() < word.len()
        && !after_digits.is_empty()
        && after_digits.chars().all(char::is_alphabetic);
    if is_like_number {
        let hint = match when::parse_duration(word) {
            Ok(_) => "numbers in data have no unit; write the number alone, or text in quotes",
            Err(_) => "it begins like a number; put it in quotes if text is meant",
        };
        return Err(token.problem(Reason::Unclear { word: clip(word), hint }));
    }
    any_text(token).map(Literal::Text)
}

/// Refuses to order null, true and false.
fn ordered(literal: Literal, token: &Token<'_>, operator: Operator) -> Result<Literal, Problem> {
    match literal {
        Literal::Null | Literal::Bool(_) if operator.is_ordering() => {
            Err(token.problem(Reason::Unordered { value: literal.to_string() }))
        }
        literal => Ok(literal),
    }
}
