//! Where records get their time from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use logq_format::Timestamp;

/// A source of time. Imports and tests pass their own.
pub trait Clock: Send + Sync {
    /// The present, as records tell it.
    fn now(&self) -> Timestamp;

    /// The present by a clock that nobody sets, which delays are measured by. A simulation has one
    /// of its own here, and calls `settle` on its loggers whenever it has moved on.
    fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Whether [`Self::now`] is the wall clock of the machine, which readers look at too. Only then
    /// may a logger that holds nothing back say so, since it promises that its next record is no
    /// earlier than what they read there.
    fn is_wall_clock(&self) -> bool {
        false
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            // The clock shows a time before 1970.
            Err(error) => i64::try_from(error.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Timestamp::from_micros(micros)
    }

    fn is_wall_clock(&self) -> bool {
        true
    }
}
