//! Addresses and networks: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits (RFC 4632, section 3.1); also one address alone.
///
/// ```
/// use logq_query::Network;
///
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse()?));
/// assert!(network.contains("::ffff:192.0.2.7".parse()?), "mapped into IPv6, it is the same one");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It does not begin with an address, or something else than a prefix is behind it.
    #[error("expected 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
    Form,
    /// The prefix is longer than the address.
    #[error("the prefix of such a network has 0 to {max} bits")]
    Prefix {
        /// The bits of the address.
        max: u8,
    },
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads an address, or an address and the length of a prefix.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => max,
            Some(prefix) if prefix.is_empty() || !is_number(prefix) => {
                return Err(NetworkError::Form);
            }
            Some(prefix) => prefix.parse().unwrap_or(u8::MAX),
        };
        if prefix <= max {
            Ok(Self::new(address, prefix))
        } else {
            Err(NetworkError::Prefix { max })
        }
    }
}

impl Network {
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
    pub fn is_single(self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether an address lies within. One of IPv4 mapped into IPv6 is one of IPv4, and so are networks
    /// of such addresses; other networks of IPv6 hold none of IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self::of(address, self.prefix) == self
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_the_addresses_that_begin_like_them() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = network.parse::<Network>().unwrap();
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
        check("::ffff:0:0/90", "192.0.2.9", false);
        check("::/0", "192.0.2.9", false);
        check("::ffff:192.0.2.9", "192.0.2.9", true);
        check("::1/128", "::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let parse = |text: &str| text.parse::<Network>().unwrap_err();
        assert_eq!(parse("192.0.2.0/33"), NetworkError::Prefix { max: 32 });
        assert_eq!(parse("2001:db8::/999"), NetworkError::Prefix { max: 128 });
        for text in ["", "/8", "192.0.2.0/", "192.0.2.0/x", "192.0.2.0/+8", "192.0.2", "local/8"] {
            assert_eq!(parse(text), NetworkError::Form, "{text}");
        }
    }
}
