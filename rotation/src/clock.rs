//! What the machine's clocks say: the wall clock, which people and NTP set, and those that nobody
//! sets, by which its word is checked.

use std::time::{SystemTime, UNIX_EPOCH};

use logq_directory::{boot_id, monotonic_us, suspended_us};
use logq_format::{Id, Timestamp};

/// One reading of all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// Names the boot that the two other clocks count from; zero if unknown.
    pub boot: Id,
    /// Microseconds for which the machine has run since then.
    pub monotonic_us: u64,
    /// Microseconds for which it was suspended since then.
    pub suspended_us: u64,
}

/// A source of time. Tests pass their own.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Moment;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            // The clock shows a time before 1970.
            Err(error) => i64::try_from(error.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Moment {
            wall: Timestamp::from_micros(micros),
            boot: boot_id(),
            monotonic_us: monotonic_us(),
            suspended_us: suspended_us(),
        }
    }
}
