//! The values that fields are compared with.

use std::cmp::Ordering;
use std::fmt;

use logq_format::{HttpVersion, Level, RequestId, Timestamp};

use super::parse::is_keyword;
use crate::field::{FieldValue, Number, quote};
use crate::network::Network;

/// A value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    /// Text, compared byte by byte.
    Text(String),
    /// A name in upper case, compared regardless of case.
    Name(String),
    Level(Level),
    Time(Timestamp),
    /// Nanoseconds, 0 to `i64::MAX`.
    Duration(i64),
    Request(RequestId),
    Network(Network),
    Version(HttpVersion),
}

impl Literal {
    /// How `value` compares with this one; `None` if they are of different kinds, or differ without
    /// one being the greater.
    pub(crate) fn compare(&self, value: &FieldValue<'_>) -> Option<Ordering> {
        let equal = |is_equal: bool| is_equal.then_some(Ordering::Equal);
        match (value, self) {
            (FieldValue::Null, Self::Null) => equal(true),
            (FieldValue::Bool(value), Self::Bool(own)) => equal(value == own),
            (FieldValue::Integer(value), Self::Number(own)) => {
                Number::Integer(*value).partial_cmp(own)
            }
            (FieldValue::Number(value), Self::Number(own)) => {
                Number::parse(value)?.partial_cmp(own)
            }
            (FieldValue::Text(value), Self::Text(own)) => Some(value.as_ref().cmp(own)),
            (FieldValue::Text(value), Self::Name(own)) => equal(value.eq_ignore_ascii_case(own)),
            (FieldValue::Text(value), Self::Network(own)) => {
                equal(value.parse().is_ok_and(|address| own.contains(address)))
            }
            // The more severe, the greater; levels are numbered the other way round.
            (FieldValue::Level(value), Self::Level(own)) => Some(own.cmp(value)),
            (FieldValue::Time(value), Self::Time(own)) => Some(value.cmp(own)),
            (FieldValue::Micros(value), Self::Duration(own)) => {
                Some((i128::from(*value) * 1000).cmp(&i128::from(*own)))
            }
            (FieldValue::Request(value), Self::Request(own)) => equal(value == own),
            (FieldValue::Address(value), Self::Network(own)) => equal(own.contains(*value)),
            (FieldValue::Version(value), Self::Version(own)) => {
                let parts = |version: &HttpVersion| (version.major(), version.minor());
                Some(parts(value).cmp(&parts(own)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(Number::Integer(value)) => value.fmt(f),
            // The form of `Debug` is read back as the same number, and as no integer.
            Self::Number(Number::Float(value)) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Name(name) if is_bare(name) => f.write_str(name),
            Self::Name(name) => f.write_str(&quote(name)),
            Self::Level(level) => level.fmt(f),
            Self::Time(time) => write!(f, "'{time}'"),
            Self::Duration(nanos) => write_duration(f, *nanos),
            Self::Request(request) => request.fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Version(version) => version.fmt(f),
        }
    }
}

/// Whether a name is read as such without quotes.
fn is_bare(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(name)
}

/// Writes a duration in the largest unit that divides it.
fn write_duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let divides =
        |(unit, _): &&(i64, &str)| nanos % unit == 0 && (nanos != 0 || *unit == 1_000_000);
    let (unit, name) = units.iter().find(divides).copied().unwrap_or((1, "ns"));
    write!(f, "{}{name}", nanos / unit)
}
