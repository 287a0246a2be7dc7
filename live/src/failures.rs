//! Wrong tokens by address, so that guessing is slow.
//!
//! An address that guesses is slowed down, never locked out: a right token is always let in. Behind a
//! proxy all clients share an address, and one of them must not be able to shut out the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered at a time.
const ADDRESSES_MAX: usize = 4_096;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts failures.
#[derive(Debug)]
pub(crate) struct Failures {
    max: u32,
    by_address: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Failures {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, by_address: Mutex::new(HashMap::new()) }
    }

    /// Counts a failure from `address`. Returns whether it is one too many.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> bool {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(address);
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&network) {
            by_address.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
            if by_address.len() >= ADDRESSES_MAX {
                // Thousands of addresses guess within a minute: all that are new are slowed down.
                return true;
            }
        }
        let (since, count) = by_address.entry(network).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count > self.max
    }
}

/// Who counts as one: an address, or a /64 network of IPv6, which is what one customer gets.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_by_address_and_minute() {
        let failures = Failures::new(2);
        let now = Instant::now();
        let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        assert_eq!([0, 1, 2, 3].map(|_| failures.count(a, now)), [false, false, true, true]);
        assert!(!failures.count(b, now));
        assert!(!failures.count(a, now + WINDOW));
        let six = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        assert_eq!([1, 2, 3].map(|host| failures.count(six(host), now)), [false, false, true]);
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0002]);
        assert_eq!([0, 1].map(|_| failures.count(mapped, now)), [false, true]);
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory() {
        let failures = Failures::new(2);
        let now = Instant::now();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..10_000 {
            failures.count(address(n), now);
        }
        assert_eq!(failures.by_address.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(!failures.count(address(20_000), now + WINDOW));
    }
}
