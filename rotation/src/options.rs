//! What a manager is told: its limits, checked before anything is done, and whom to tell.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use logq_format::limits::DICTIONARY_BYTES_MAX;

use crate::clock::{Clock, SystemClock};
use crate::event::ManagerError;

/// Called with the path of the segment that everyone should write to from now on.
pub type OnRotate = Arc<dyn Fn(&Path) + Send + Sync>;

/// Called with what went wrong; the manager goes on.
pub type OnError = Arc<dyn Fn(&ManagerError) + Send + Sync>;

/// Settings of a [`LogManager`](crate::LogManager).
///
/// | option | default | bounds |
/// |---|---|---|
/// | `poll_interval` | 5 s | at least 1 ms |
/// | `log_size_limit` | 2 GiB | at least 4 KiB for each of `granularity` segments |
/// | `log_age_limit` | 1 year (365 days) | at least 1 ms for each of `granularity` segments |
/// | `granularity` | 20 | 1 to 10,000 |
/// | `dictionary_bytes` | 32 KiB | 0 for none, else 256 bytes to 64 KiB |
/// | `free_bytes_min` | 64 MiB, or 1 % of a file system smaller than 6.25 GiB | any; 0 for none |
/// | `on_rotate`, `on_error` | nobody is called | |
/// | `clock` | the machine's clocks | |
///
/// ```
/// use std::time::Duration;
/// use logq_rotation::ManagerOptions;
///
/// let options = ManagerOptions {
///     log_size_limit: 200 << 20,
///     log_age_limit: Duration::from_secs(30 * 24 * 60 * 60),
///     ..ManagerOptions::default()
/// };
/// assert_eq!(options.validate(), Ok(()));
///
/// let wrong = ManagerOptions { granularity: 0, ..options };
/// let message = wrong.validate().unwrap_err().to_string();
/// assert_eq!(message, "granularity is 0, but must be at least 1");
/// ```
#[derive(Clone)]
pub struct ManagerOptions {
    /// How often the store is looked at. Between two looks the size of the newest segment is looked at
    /// so often that writers hardly overfill it, up to a hundred times.
    pub poll_interval: Duration,
    /// The bytes that all segments of the store may have together.
    pub log_size_limit: u64,
    /// The age that records may reach.
    pub log_age_limit: Duration,
    /// Into how many segments a full store is divided: both limits are kept to within one part in
    /// so many.
    pub granularity: u32,
    /// The most bytes of the dictionary that each new segment starts with; segments that are small
    /// get smaller ones. See [the crate's documentation](crate#dictionaries).
    pub dictionary_bytes: usize,
    /// The room that the store leaves on its file system: below, its oldest segments are deleted at
    /// once. `None` for 64 MiB, or 1 % of a file system on which that is less.
    pub free_bytes_min: Option<u64>,
    /// Called on the manager's thread after each rotation.
    pub on_rotate: Option<OnRotate>,
    /// Called on the manager's thread for each error.
    pub on_error: Option<OnError>,
    /// Where the manager gets the time from.
    pub clock: Arc<dyn Clock>,
}

impl Default for ManagerOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(5),
            log_size_limit: 2 << 30,
            log_age_limit: Duration::from_secs(365 * 24 * 60 * 60),
            granularity: 20,
            dictionary_bytes: 32 << 10,
            free_bytes_min: None,
            on_rotate: None,
            on_error: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Says which option is beyond which bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The option is too small.
    #[error("{option} is {found}, but must be at least {bound}")]
    TooSmall {
        /// Its name.
        option: &'static str,
        /// What it is, with its unit.
        found: String,
        /// The least it may be, with its unit.
        bound: String,
    },
    /// The option is too large.
    #[error("{option} is {found}, but must be at most {bound}")]
    TooLarge {
        /// Its name.
        option: &'static str,
        /// What it is, with its unit.
        found: String,
        /// The most it may be, with its unit.
        bound: String,
    },
}

/// Looking more often costs a processor and finds nothing.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// A directory with more segments is slow to list.
const GRANULARITY_MAX: u32 = 10_000;

/// Smaller segments are mostly headers, joins and pings.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;

/// Segments of a shorter time are outdated before anyone has joined them.
const SEGMENT_AGE_MIN: Duration = Duration::from_millis(1);

/// zstd trains no smaller dictionary.
const DICTIONARY_BYTES_MIN: usize = 256;

impl ManagerOptions {
    /// Checks every option against its bounds.
    ///
    /// # Errors
    ///
    /// Names the first option that is beyond its bound, and the bound.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let granularity = self.granularity;
        if self.poll_interval < POLL_INTERVAL_MIN {
            return small("poll_interval", time(self.poll_interval), time(POLL_INTERVAL_MIN));
        }
        if granularity < 1 {
            return small("granularity", granularity.to_string(), 1.to_string());
        }
        if granularity > GRANULARITY_MAX {
            return large("granularity", granularity.to_string(), GRANULARITY_MAX.to_string());
        }
        let least = SEGMENT_BYTES_MIN * u64::from(granularity);
        if self.log_size_limit < least {
            let bound = format!("{}, 4 KiB for each of {granularity} segments", bytes(least));
            return small("log_size_limit", bytes(self.log_size_limit), bound);
        }
        let least = SEGMENT_AGE_MIN * granularity;
        if self.log_age_limit < least {
            let bound = format!("{}, 1 ms for each of {granularity} segments", time(least));
            return small("log_age_limit", time(self.log_age_limit), bound);
        }
        let found = bytes(self.dictionary_bytes as u64);
        if (1..DICTIONARY_BYTES_MIN).contains(&self.dictionary_bytes) {
            let bound = bytes(DICTIONARY_BYTES_MIN as u64) + ", or 0 for none";
            return small("dictionary_bytes", found, bound);
        }
        if self.dictionary_bytes > DICTIONARY_BYTES_MAX {
            return large("dictionary_bytes", found, bytes(DICTIONARY_BYTES_MAX as u64));
        }
        Ok(())
    }

    /// The limits of the store and of one segment. The options have been validated.
    pub(crate) fn limits(&self) -> Limits {
        let parts = self.granularity.max(1);
        let segment_bytes = self.log_size_limit / u64::from(parts);
        // A dictionary must pay for itself in the segment that it stands in.
        let affordable = usize::try_from(segment_bytes / 16).unwrap_or(usize::MAX);
        let dictionary = self.dictionary_bytes.min(affordable);
        Limits {
            store_bytes: self.log_size_limit,
            store_age: self.log_age_limit,
            segment_bytes,
            segment_age: self.log_age_limit / parts,
            dictionary_bytes: if dictionary < DICTIONARY_BYTES_MIN { 0 } else { dictionary },
            free_bytes: self.free_bytes_min,
        }
    }
}

fn small(option: &'static str, found: String, bound: String) -> Result<(), OptionsError> {
    Err(OptionsError::TooSmall { option, found, bound })
}

fn large(option: &'static str, found: String, bound: String) -> Result<(), OptionsError> {
    Err(OptionsError::TooLarge { option, found, bound })
}

fn bytes(bytes: u64) -> String {
    format!("{bytes} bytes")
}

fn time(time: Duration) -> String {
    format!("{time:?}")
}

/// The numbers that policy and retention decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) store_bytes: u64,
    pub(crate) store_age: Duration,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_age: Duration,
    /// The most bytes of a dictionary; 0 for none.
    pub(crate) dictionary_bytes: usize,
    /// The room to leave on the file system; `None` for the default.
    pub(crate) free_bytes: Option<u64>,
}

impl fmt::Debug for ManagerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerOptions")
            .field("poll_interval", &self.poll_interval)
            .field("log_size_limit", &self.log_size_limit)
            .field("log_age_limit", &self.log_age_limit)
            .field("granularity", &self.granularity)
            .field("dictionary_bytes", &self.dictionary_bytes)
            .field("free_bytes_min", &self.free_bytes_min)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_beyond_a_bound_are_refused_with_the_bound() {
        let check = |change: fn(&mut ManagerOptions), expected: &str| {
            let mut options = ManagerOptions::default();
            change(&mut options);
            let found = options.validate().map_or_else(|error| error.to_string(), |()| "".into());
            assert_eq!(found, expected);
        };
        check(|_| {}, "");
        check(
            |o| o.poll_interval = Duration::from_micros(999),
            "poll_interval is 999µs, but must be at least 1ms",
        );
        check(|o| o.poll_interval = Duration::from_millis(1), "");
        check(|o| o.poll_interval = Duration::MAX, "");
        check(|o| o.granularity = 0, "granularity is 0, but must be at least 1");
        check(|o| o.granularity = 10_001, "granularity is 10001, but must be at most 10000");
        check(|o| o.granularity = 10_000, "");
        check(
            |o| o.log_size_limit = 81_919,
            "log_size_limit is 81919 bytes, but must be at least 81920 bytes, 4 KiB for \
             each of 20 segments",
        );
        check(|o| o.log_size_limit = 81_920, "");
        check(|o| o.log_size_limit = u64::MAX, "");
        check(
            |o| o.log_age_limit = Duration::from_millis(19),
            "log_age_limit is 19ms, but must be at least 20ms, 1 ms for each of 20 segments",
        );
        check(|o| o.log_age_limit = Duration::from_millis(20), "");
        check(|o| o.log_age_limit = Duration::MAX, "");
        check(
            |o| o.dictionary_bytes = 255,
            "dictionary_bytes is 255 bytes, but must be at least 256 bytes, or 0 for none",
        );
        check(
            |o| o.dictionary_bytes = 65_537,
            "dictionary_bytes is 65537 bytes, but must be at most 65536 bytes",
        );
        check(|o| o.dictionary_bytes = 0, "");
        check(|o| o.free_bytes_min = Some(u64::MAX), "");
    }

    #[test]
    fn a_segment_gets_its_part_of_the_store_and_a_dictionary_it_can_afford() {
        let check = |log_size_limit, dictionary_bytes, expected| {
            let options =
                ManagerOptions { log_size_limit, dictionary_bytes, ..ManagerOptions::default() };
            let limits = options.limits();
            assert_eq!(limits.segment_bytes, log_size_limit / 20);
            assert_eq!(limits.segment_age, Duration::from_secs(365 * 24 * 60 * 60) / 20);
            assert_eq!(limits.dictionary_bytes, expected);
        };
        check(2 << 30, 32 << 10, 32 << 10);
        check(20 << 16, 32 << 10, 4 << 10);
        check(20 * 4096, 32 << 10, 256);
        check(20 * 4096 - 1, 32 << 10, 0);
        check(2 << 30, 0, 0);
    }
}
