//! Addresses and networks of `--ip`: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.

use std::net::IpAddr;

use anyhow::{Context as _, bail};

/// A range of addresses with a common prefix (RFC 4632, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// Of IPv4 the 32 bits at the bottom.
    bits: u128,
    is_v4: bool,
    /// How many of the bits at the bottom may differ: up to 32 or 128.
    host_bits: u32,
}

impl Network {
    /// Reads an address, or a network as address and length of the prefix.
    pub(crate) fn new(text: &str) -> anyhow::Result<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok().with_context(|| {
            format!(
                "{text:?} of --ip is neither an address nor a network; expected 192.0.2.7, \
                 192.0.2.0/24 or 2001:db8::/32"
            )
        })?;
        let (bits, is_v4) = bits(address);
        let width = if is_v4 { 32 } else { 128 };
        let prefix = match prefix.map(|digits| digits.trim().parse::<u32>()) {
            None => width,
            Some(Ok(prefix)) if prefix <= width => prefix,
            Some(_) => bail!("the prefix of {text:?} of --ip must be a number up to {width}"),
        };
        Ok(Self { bits, is_v4, host_bits: width - prefix })
    }

    /// Whether an address lies within. One of IPv4 mapped into IPv6 is one of IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits(address);
        let network = |bits: u128| bits.checked_shr(self.host_bits).unwrap_or(0);
        is_v4 == self.is_v4 && network(bits) == network(self.bits)
    }
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), true),
        IpAddr::V6(address) => (u128::from(address), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_the_addresses_of_their_prefix() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = Network::new(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{address}");
        };
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("192.0.2.200/24", "192.0.2.7", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.0/31", "192.0.2.1", true);
        check("192.0.2.0/31", "192.0.2.2", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "192.0.2.7", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("192.0.2.0/24", "::ffff:192.0.2.9", true);
        check("::ffff:192.0.2.9", "192.0.2.9", true);
    }

    #[test]
    fn what_is_no_network_is_told_what_one_is() {
        for text in ["", "here", "192.0.2", "192.0.2.7/33", "192.0.2.7/", "::1/129", "::1/-1"] {
            let message = Network::new(text).unwrap_err().to_string();
            assert!(message.contains("--ip"), "{message}");
        }
    }
}
