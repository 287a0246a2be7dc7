//! When the newest segment is done with: a pure function of what is known about it.

use std::time::Duration;

use crate::options::Limits;

/// Raw bytes of records, spines and bodies, that are enough to learn a dictionary from.
///
/// Measured on web logs, blocks of a few records and dictionaries of 32 KiB: 0.4 MiB of samples
/// give 25.87 bytes a record, 1 MiB 25.81, 4 MiB 25.75, no dictionary 33.41. The longer the wait,
/// the more is stored without one.
pub(crate) const LEARNING_BYTES: u64 = 1 << 20;

/// The newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Its bytes.
    pub(crate) bytes: u64,
    /// How many of them it was created with.
    pub(crate) head_bytes: u64,
    /// How long ago it was created.
    pub(crate) age: Duration,
    /// Raw bytes of its records, counted up to [`LEARNING_BYTES`] or a little further, if it could
    /// do with a dictionary.
    pub(crate) learnable_bytes: u64,
}

/// Why a segment is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It is as large or as old as a segment should be.
    Full,
    /// It has no dictionary, and the next one could have one.
    Dictionary,
}

/// Whether writers should go on in a new segment.
///
/// A segment that nobody has joined is never too old: a store without writers does not grow.
pub(crate) fn due(newest: &Newest, limits: &Limits) -> Option<Due> {
    let is_used = newest.bytes > newest.head_bytes;
    if newest.bytes > limits.segment_bytes || (is_used && newest.age > limits.segment_age) {
        Some(Due::Full)
    } else if limits.dictionary_bytes > 0 && newest.learnable_bytes >= LEARNING_BYTES {
        Some(Due::Dictionary)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ManagerOptions;

    #[test]
    fn a_segment_is_done_with_when_large_old_or_able_to_teach() {
        let limits = ManagerOptions {
            log_size_limit: 20_000_000,
            log_age_limit: Duration::from_secs(2000),
            ..Default::default()
        };
        let limits = limits.limits();
        let used = Newest {
            bytes: 1000,
            head_bytes: 256,
            age: Duration::from_secs(10),
            learnable_bytes: 0,
        };
        let check = |change: fn(&mut Newest), expected| {
            let mut newest = used;
            change(&mut newest);
            assert_eq!(due(&newest, &limits), expected, "{newest:?}");
        };
        check(|_| {}, None);
        check(|n| n.bytes = 1_000_000, None);
        check(|n| n.bytes = 1_000_001, Some(Due::Full));
        check(|n| n.age = Duration::from_secs(100), None);
        check(|n| n.age = Duration::from_micros(100_000_001), Some(Due::Full));
        check(|n| (n.age, n.bytes) = (Duration::MAX, 256), None);
        check(|n| n.learnable_bytes = (1 << 20) - 1, None);
        check(|n| n.learnable_bytes = 1 << 20, Some(Due::Dictionary));
        check(|n| (n.learnable_bytes, n.bytes) = (1 << 20, 2_000_000), Some(Due::Full));

        let without = Limits { dictionary_bytes: 0, ..limits };
        assert_eq!(due(&Newest { learnable_bytes: 1 << 20, ..used }, &without), None);
    }
}
