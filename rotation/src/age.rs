//! How old segments are, whatever the wall clock did: a pure function of what their headers say and
//! of what all clocks show now.

use std::time::Duration;

use logq_format::{FileHeader, Id, Timestamp};

use crate::clock::Moment;

/// When a segment was created, as its header tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) wall: Timestamp,
    pub(crate) boot: Id,
    pub(crate) monotonic_us: u64,
}

impl Birth {
    pub(crate) fn of(header: &FileHeader) -> Self {
        let (wall, boot) = (header.created, header.boot);
        Self { wall, boot, monotonic_us: header.created_monotonic_us }
    }

    /// How long ago that was; `None` where the clocks contradict each other.
    ///
    /// Within one boot of the machine, the wall clock's word counts only as far as the clocks that
    /// nobody sets allow it: the time the machine ran since then, and at most the time it was
    /// suspended in addition. Across boots there is nothing but the wall clock.
    fn age(&self, now: &Moment) -> Option<Duration> {
        let by_wall = Duration::from_micros(now.wall.micros_since(self.wall));
        let same_boot = self.boot == now.boot && self.boot != Id::default();
        match now.monotonic_us.checked_sub(self.monotonic_us).filter(|_| same_boot) {
            Some(running) => {
                let least = Duration::from_micros(running);
                Some(by_wall.clamp(least, least + Duration::from_micros(now.suspended_us)))
            }
            None => (self.wall <= now.wall).then_some(by_wall),
        }
    }
}

/// The ages of segments, given in the order of their numbers, `None` for one that does not tell.
///
/// That order is certain, so no segment counts as older than one before it, and one of unknown age
/// is as old as the one behind it. In doubt a segment is taken for younger than it is: it is kept.
pub(crate) fn ages(births: &[Option<Birth>], now: &Moment) -> Vec<Duration> {
    let mut oldest = Duration::MAX;
    let known: Vec<Option<Duration>> = births
        .iter()
        .map(|birth| {
            let age = birth.and_then(|birth| birth.age(now))?;
            oldest = oldest.min(age);
            Some(oldest)
        })
        .collect();
    let mut behind = Duration::ZERO;
    let mut ages: Vec<Duration> = known
        .iter()
        .rev()
        .map(|age| {
            behind = age.unwrap_or(behind);
            behind
        })
        .collect();
    ages.reverse();
    ages
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Id = Id([1; 16]);
    const BEFORE: Id = Id([2; 16]);
    const HOUR: i64 = 3600;
    const BOOTED: i64 = 1_770_000_000;

    /// An hour after a boot at 100,000 s; the machine slept for ten minutes of it.
    fn now() -> Moment {
        Moment {
            wall: seconds(BOOTED + HOUR),
            boot: BOOT,
            monotonic_us: 3000 * 1_000_000,
            suspended_us: 600 * 1_000_000,
        }
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn born(wall: i64, boot: Id, monotonic: u64) -> Birth {
        Birth { wall: seconds(wall), boot, monotonic_us: monotonic * 1_000_000 }
    }

    #[test]
    fn the_wall_clock_counts_as_far_as_the_others_allow() {
        let check = |birth: Birth, expected: Option<u64>| {
            assert_eq!(birth.age(&now()), expected.map(Duration::from_secs), "{birth:?}");
        };
        // Right after the boot: 3000 s running, 600 s suspended.
        check(born(BOOTED, BOOT, 0), Some(3600));
        // Since then the wall clock was set forward by a year, or back by a day.
        check(born(BOOTED - 365 * 24 * HOUR, BOOT, 0), Some(3600));
        check(born(BOOTED + 24 * HOUR, BOOT, 0), Some(3000));
        check(born(BOOTED + HOUR, BOOT, 3000), Some(0));
        // Of another boot, or of a clock that cannot be this machine's.
        check(born(BOOTED - 24 * HOUR, BEFORE, 5), Some(25 * 3600));
        check(born(BOOTED + 2 * HOUR, BEFORE, 5), None);
        check(born(BOOTED, BOOT, 3001), Some(3600));
        check(born(BOOTED, Id::default(), 0), Some(3600));
        let unknown = Moment { boot: Id::default(), ..now() };
        assert_eq!(
            born(BOOTED, Id::default(), 2999).age(&unknown),
            Some(Duration::from_secs(3600))
        );
    }

    #[test]
    fn no_segment_is_older_than_the_one_before() {
        let day = |age: i64| Some(born(BOOTED + HOUR - age * 24 * HOUR, BEFORE, 0));
        let check = |births: &[Option<Birth>], expected: &[u64]| {
            let expected: Vec<_> =
                expected.iter().map(|day| Duration::from_secs(day * 24 * 3600)).collect();
            assert_eq!(ages(births, &now()), expected);
        };
        check(&[], &[]);
        check(&[day(30), day(29), day(1)], &[30, 29, 1]);
        // The clock stood in 1970 when the second one was created.
        check(&[day(30), Some(born(0, BEFORE, 0)), day(29)], &[30, 30, 29]);
        // It was ahead, or the header is damaged.
        check(&[day(30), day(-300), day(29)], &[30, 29, 29]);
        check(&[day(30), None, None, day(29), None], &[30, 29, 29, 29, 0]);
        check(&[None, day(3)], &[3, 3]);
        check(&[None], &[0]);
    }
}
