//! The value of a field of a record.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use logq_format::{HttpVersion, Level, RequestId, Timestamp, json};

use crate::lookup::Found;

/// The value of one field of one record, borrowed from the record where possible.
///
/// `Display` writes the raw text, without quotes and escapes: what belongs into a column of CSV or a
/// template. It is not safe for a terminal: text from a log may hold anything.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// `null`: of `workerId` for the master, or in JSON data.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of a typed field.
    Integer(i128),
    /// A number in JSON data, as it is written there.
    Number(Cow<'a, str>),
    /// A duration in microseconds; it is printed, and read as a number, in milliseconds.
    Micros(u64),
    /// Text.
    Text(Cow<'a, str>),
    /// An instant.
    Time(Timestamp),
    /// A level.
    Level(Level),
    /// A request id.
    Request(RequestId),
    /// An address.
    Address(IpAddr),
    /// A version of HTTP.
    Version(HttpVersion),
    /// An array or object, as JSON text on one line.
    Json(Cow<'a, str>),
}

/// A number that is compared exactly if it is an integer of at most 64 bits, signed or not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// Reads a number as JSON writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let integer = text.parse().ok()?;
            if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&integer) {
                return Some(Self::Integer(integer));
            }
        }
        text.parse().ok().map(Self::Float)
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(other)),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

impl<'a> FieldValue<'a> {
    /// The number, for quantiles and sums: of numbers, and of durations in milliseconds.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Number(text) => Number::parse(text).map(Number::as_f64),
            Self::Micros(micros) => Some(*micros as f64 / 1000.0),
            _ => None,
        }
    }

    /// The text, of everything that JSON writes as a string.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Level(level) => Some(Cow::Borrowed(level.as_str())),
            Self::Time(_) | Self::Request(_) | Self::Address(_) | Self::Version(_) => {
                Some(Cow::Owned(self.to_string()))
            }
            _ => None,
        }
    }

    /// Whether it is `true` or `false`, if it is one of the two.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Appends the value as JSON, exactly as `-o json` prints it.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => json::write_string(out, text),
            Self::Level(_)
            | Self::Time(_)
            | Self::Request(_)
            | Self::Address(_)
            | Self::Version(_) => {
                // Nothing in them needs an escape.
                out.push(b'"');
                self.write_text(out);
                out.push(b'"');
            }
            _ => self.write_text(out),
        }
    }

    /// Appends the raw text, as `Display` writes it; cheaper than that for numbers and times.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            Self::Time(time) => time.write_rfc3339(out),
            Self::Micros(micros) => json::write_millis(out, *micros),
            Self::Level(level) => out.extend_from_slice(level.as_str().as_bytes()),
            Self::Integer(integer) => match i64::try_from(*integer) {
                Ok(integer) => {
                    out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes())
                }
                Err(_) => out.extend_from_slice(itoa::Buffer::new().format(*integer).as_bytes()),
            },
            Self::Request(request) => request.write_text(out),
            Self::Null => out.extend_from_slice(b"null"),
            _ => out.extend_from_slice(self.to_string().as_bytes()),
        }
    }

    /// The same value, borrowed from nothing.
    pub fn into_owned(self) -> FieldValue<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => FieldValue::Null,
            Self::Bool(value) => FieldValue::Bool(value),
            Self::Integer(value) => FieldValue::Integer(value),
            Self::Number(text) => FieldValue::Number(owned(text)),
            Self::Micros(micros) => FieldValue::Micros(micros),
            Self::Text(text) => FieldValue::Text(owned(text)),
            Self::Time(time) => FieldValue::Time(time),
            Self::Level(level) => FieldValue::Level(level),
            Self::Request(request) => FieldValue::Request(request),
            Self::Address(address) => FieldValue::Address(address),
            Self::Version(version) => FieldValue::Version(version),
            Self::Json(text) => FieldValue::Json(owned(text)),
        }
    }

    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn integer(value: impl Into<i128>) -> Self {
        Self::Integer(value.into())
    }
}

impl<'a> From<Found<'a>> for FieldValue<'a> {
    fn from(found: Found<'a>) -> Self {
        match found {
            Found::Null => Self::Null,
            Found::Bool(value) => Self::Bool(value),
            Found::Number(text) => Self::Number(Cow::Borrowed(text)),
            Found::Text(text) => Self::Text(text),
            Found::Nested(text) => Self::Json(Cow::Borrowed(text)),
        }
    }
}

impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(text) | Self::Text(text) | Self::Json(text) => f.pad(text),
            Self::Micros(micros) => {
                let mut text = Vec::new();
                json::write_millis(&mut text, *micros);
                f.pad(&String::from_utf8_lossy(&text))
            }
            Self::Time(time) => time.fmt(f),
            Self::Level(level) => level.fmt(f),
            Self::Request(request) => request.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Version(version) => version.fmt(f),
        }
    }
}
