//! Days of a time zone, as instants.

use jiff::tz::TimeZone;
use logq_format::Timestamp;

/// A day from its first instant to the first one of the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Such as `2026-02-03`.
    pub(super) name: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Day {
    /// The day of an instant.
    pub(super) fn of(time: Timestamp, zone: &TimeZone) -> Self {
        Self::in_zone(time, zone).unwrap_or_else(|| Self::at_border(time))
    }

    fn in_zone(time: Timestamp, zone: &TimeZone) -> Option<Self> {
        let instant = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
        let start = instant.to_zoned(zone.clone()).start_of_day().ok()?;
        // Where clocks skip midnight, the day begins later.
        let end = start.tomorrow().ok()?.start_of_day().ok()?;
        let micros =
            |day: &jiff::Zoned| Timestamp::checked_from_micros(day.timestamp().as_microsecond());
        Some(Self { name: start.date().to_string(), start: micros(&start)?, end: micros(&end)? })
    }

    /// The first and last days that times can be of, which have no other day beside them.
    fn at_border(time: Timestamp) -> Self {
        let name = time.to_string().get(..10).unwrap_or_default().to_owned();
        const DAY_US: i64 = 86_400_000_000;
        let micros = time.as_micros().div_euclid(DAY_US) * DAY_US;
        let instant = |micros| {
            Timestamp::checked_from_micros(micros).unwrap_or(if micros < 0 {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            })
        };
        Self { name, start: instant(micros), end: instant(micros.saturating_add(DAY_US)) }
    }

    pub(super) fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && (time < self.end || self.end == Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone() {
        let check = |time: &str, zone: &str, name: &str, start: &str, end: &str| {
            let zone = TimeZone::get(zone).unwrap();
            let time: Timestamp = time.parse().unwrap();
            let day = Day::of(time, &zone);
            assert_eq!(day.name, name);
            assert_eq!((day.start, day.end), (start.parse().unwrap(), end.parse().unwrap()));
            assert!(day.contains(time) && !day.contains(day.end));
        };
        check(
            "2026-02-03T00:00:00Z",
            "UTC",
            "2026-02-03",
            "2026-02-03T00:00:00Z",
            "2026-02-04T00:00:00Z",
        );
        // The day on which clocks go forward has 23 hours.
        check(
            "2026-03-29T12:00:00Z",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
    }

    #[test]
    fn every_time_has_a_day() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::default()] {
            let day = Day::of(time, &TimeZone::UTC);
            assert!(day.contains(time) && day.start < day.end, "{day:?}");
        }
    }
}
