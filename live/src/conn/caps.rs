//! How many connections there may be: all together, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::failures::network;
use crate::options::Limits;

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Caps {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    refused: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place for one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    caps: Arc<Caps>,
    /// Whose; `None` for a connection that only learns that there is no place.
    network: Option<IpAddr>,
}

impl Place {
    /// Whether requests are served, not refused.
    pub(crate) fn is_served(&self) -> bool {
        self.network.is_some()
    }
}

impl Caps {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// A place for a connection from `address`; `None` if there is not even one to be refused at.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = open.by_address.get(&network).copied().unwrap_or(0);
        let served = open.all < self.limits.connections_max
            && from_there < self.limits.connections_per_address_max;
        if served {
            open.all += 1;
            open.by_address.insert(network, from_there + 1);
        } else if open.refused < self.limits.refusals_max {
            open.refused += 1;
        } else {
            return None;
        }
        Some(Place { caps: self.clone(), network: served.then_some(network) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(network) = self.network else {
            open.refused = open.refused.saturating_sub(1);
            return;
        };
        open.all = open.all.saturating_sub(1);
        match open.by_address.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_address.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let caps = Caps::new(Limits {
            connections_max: 3,
            connections_per_address_max: 2,
            refusals_max: 1,
            ..Limits::default()
        });
        let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let served = |address| caps.take(address).map(|place| (place.is_served(), place));
        let first = served(a).unwrap();
        let second = served(a).unwrap();
        assert!(first.0 && second.0);
        let third = served(a).unwrap();
        assert!(!third.0, "too many from one address");
        let fourth = served(b).unwrap();
        assert!(fourth.0, "others are not affected");
        assert!(served(b).is_none(), "too many, and too many that are refused");
        drop(third);
        assert!(!served(b).unwrap().0);
        drop(first);
        assert!(served(b).unwrap().0);
        drop((second, fourth));
        let open = caps.open.lock().unwrap();
        assert_eq!((open.all, open.refused, open.by_address.len()), (0, 0, 0));
    }
}
