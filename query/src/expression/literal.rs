//! The values that fields are compared with.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use logq_format::{HttpVersion, Level, RequestId, Timestamp};

use super::parse::is_keyword;
use crate::field::{FieldValue, Number, quote};

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

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
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

impl Network {
    /// Reads an address, or an address and the length of a prefix. Answers with the bits that the
    /// prefix of such an address can have, if it has more.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, u8>> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.is_empty() || !is_number(prefix) => return None,
            Some(prefix) => prefix.parse().unwrap_or(u8::MAX),
        };
        Some(if prefix <= bits { Ok(Self::new(address, prefix)) } else { Err(bits) })
    }

    /// The network of this address, in its own family even if written as a mapped one.
    fn new(address: IpAddr, prefix: u8) -> Self {
        match (address.to_canonical(), prefix) {
            (IpAddr::V4(v4), 96..) if address.is_ipv6() => Self::of(IpAddr::V4(v4), prefix - 96),
            _ => Self::of(address, prefix),
        }
    }

    fn of(address: IpAddr, prefix: u8) -> Self {
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, prefix }
    }

    /// Whether it is one address.
    pub(crate) fn is_single(self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // Networks wider than all mapped addresses stay as they are written.
        let address = match (address, self.address) {
            (IpAddr::V4(v4), IpAddr::V6(_)) => IpAddr::V6(v4.to_ipv6_mapped()),
            _ => address,
        };
        address.is_ipv4() == self.address.is_ipv4() && Self::of(address, self.prefix) == self
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
            Self::Network(network) if network.is_single() => network.address.fmt(f),
            Self::Network(network) => write!(f, "{}/{}", network.address, network.prefix),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_the_addresses_that_begin_like_them() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = Network::parse(network).unwrap().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?}");
        };
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.77/24", "192.0.2.0", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::", false);
        check("::/0", "2001:db9::", true);
        check("192.0.2.0/24", "::ffff:192.0.2.9", true);
        check("::ffff:192.0.2.0/120", "192.0.2.9", true);
        check("::ffff:0:0/90", "192.0.2.9", true);
        check("::1/128", "::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert_eq!(Network::parse("192.0.2.0/33"), Some(Err(32)));
        assert_eq!(Network::parse("2001:db8::/999"), Some(Err(128)));
        for text in ["", "/8", "192.0.2.0/", "192.0.2.0/x", "192.0.2.0/+8", "192.0.2", "local/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
