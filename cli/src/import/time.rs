//! Instants as foreign logs write them: numbers by magnitude and dates with times.
//!
//! `time/calendar.rs` reads the forms of dates; this file turns them into instants. People's ways
//! of asking for a time ("yesterday 14:00") are the command line's business, in `when`.

mod calendar;

use jiff::tz::TimeZone;
use logq_format::Timestamp;

pub(super) use self::calendar::days_from_civil;
use self::calendar::{Civil, Year};

const MICROS_PER_MINUTE: i64 = 60_000_000;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Numbers below this many seconds (1973-03-03) are taken for counters and durations, not times.
const EPOCH_SECONDS_MIN: u64 = 100_000_000;
/// From here on, numbers are milliseconds; seconds would lead beyond the year 5000.
const EPOCH_MILLIS_MIN: u64 = 100_000_000_000;
/// From here on, numbers are microseconds.
const EPOCH_MICROS_MIN: u64 = EPOCH_MILLIS_MIN * 1_000;
/// From here on, numbers are nanoseconds.
const EPOCH_NANOS_MIN: u64 = EPOCH_MICROS_MIN * 1_000;

/// How far into the future a time without a year may lead: zones and clocks differ by that much.
const FUTURE_US_MAX: i64 = MICROS_PER_DAY;

/// An instant as a log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The instant; what lies below the microsecond is cut off.
    pub(super) time: Timestamp,
    /// Whether nothing was cut off.
    pub(super) exact: bool,
}

/// Reads times; knows what the texts leave out: the zone, and the present for the year.
pub(super) struct Times {
    zone: TimeZone,
    now: Timestamp,
    /// The local minute looked up last. All zones change their offset between two minutes.
    minute: i64,
    /// What `zone` is ahead of UTC in that minute, in microseconds.
    offset_us: i64,
}

impl Times {
    /// Times without a zone are in `zone`; those without a year are the latest before `now`.
    pub(super) fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now, minute: i64::MIN, offset_us: 0 }
    }

    /// The instant that the whole text stands for: a number, or a date with a time, in brackets or
    /// not.
    pub(super) fn whole(&mut self, text: &str) -> Option<Moment> {
        let text = text.trim();
        let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return self.number(text);
        }
        let (civil, len) = calendar::read(text)?;
        if len == text.len() { self.moment(&civil) } else { None }
    }

    /// The instant that the text starts with, and how many bytes it takes.
    pub(super) fn prefix(&mut self, text: &str) -> Option<(Moment, usize)> {
        if let Some((civil, len)) = calendar::read(text) {
            return Some((self.moment(&civil)?, len));
        }
        // Other digits at the start of a line are any number; so many are seconds, milliseconds,
        // microseconds or nanoseconds.
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let whole_len = text.bytes().take_while(is_digit).count();
        if !matches!(whole_len, 10 | 13 | 16 | 19) {
            return None;
        }
        let behind = text.get(whole_len..)?;
        let fraction =
            behind.strip_prefix('.').map_or(0, |t| t.bytes().take_while(is_digit).count());
        let len = if fraction == 0 { whole_len } else { whole_len + 1 + fraction };
        let next = text.as_bytes().get(len);
        if next.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
            return None;
        }
        Some((self.number(text.get(..len)?)?, len))
    }

    /// The instant that a number stands for: seconds since the epoch below 10^11, milliseconds
    /// below 10^14, microseconds below 10^17, else nanoseconds; fourteen digits are a date.
    pub(super) fn number(&mut self, text: &str) -> Option<Moment> {
        if text.len() == 14
            && let Some((civil, 14)) = calendar::read(text)
        {
            return self.moment(&civil);
        }
        match text.split_once('.') {
            None => epoch(text, ""),
            Some((whole, fraction)) => epoch(whole, fraction),
        }
        .or_else(|| exponential(text))
    }

    /// The instant of a date and time.
    fn moment(&mut self, civil: &Civil) -> Option<Moment> {
        let micros = match civil.year {
            Year::Given(year) => self.instant_us(civil, year)?,
            Year::Latest => self.latest_us(civil)?,
        };
        Some(Moment { time: Timestamp::checked_from_micros(micros)?, exact: civil.exact })
    }

    fn instant_us(&mut self, civil: &Civil, year: i64) -> Option<i64> {
        let local_us = civil.local_us(year)?;
        match civil.offset_s {
            Some(offset_s) => Some(local_us - offset_s * 1_000_000),
            None => Some(local_us - self.offset_us(local_us)),
        }
    }

    /// The latest instant of this date that is not in the future.
    fn latest_us(&mut self, civil: &Civil) -> Option<i64> {
        let limit_us = self.now.as_micros().saturating_add(FUTURE_US_MAX);
        let year = calendar::year_of(limit_us);
        // Eight years back there was a 29 February even around 1900.
        (0..=8).find_map(|back| {
            self.instant_us(civil, year - back).filter(|instant_us| *instant_us <= limit_us)
        })
    }

    /// What the zone is ahead of UTC at this local time.
    fn offset_us(&mut self, local_us: i64) -> i64 {
        let minute = local_us.div_euclid(MICROS_PER_MINUTE);
        if self.minute != minute {
            self.minute = minute;
            self.offset_us = zone_offset_us(&self.zone, minute * MICROS_PER_MINUTE).unwrap_or(0);
        }
        self.offset_us
    }
}

/// Where clocks jump, a skipped time is read as later by the jump, and of a repeated time the first
/// is meant, as in the time grammar of the command line.
fn zone_offset_us(zone: &TimeZone, local_us: i64) -> Option<i64> {
    let local = jiff::Timestamp::from_microsecond(local_us).ok()?.to_zoned(TimeZone::UTC);
    let instant = zone.to_ambiguous_timestamp(local.datetime()).compatible().ok()?;
    Some(local_us - instant.as_microsecond())
}

/// The instant of a decimal number since the epoch.
fn epoch(whole: &str, fraction: &str) -> Option<Moment> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let value = whole.parse().ok().filter(|value| *value >= EPOCH_SECONDS_MIN)?;
    // How many decimals of the unit make a microsecond.
    let (decimals, micros) = match value {
        ..EPOCH_MILLIS_MIN => (6, value * 1_000_000),
        EPOCH_MILLIS_MIN..EPOCH_MICROS_MIN => (3, value * 1_000),
        EPOCH_MICROS_MIN..EPOCH_NANOS_MIN => (0, value),
        _ => {
            let exact = value.is_multiple_of(1_000) && fraction.is_empty();
            return moment(value / 1_000, exact);
        }
    };
    let below = fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals);
    let below = below.fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
    let exact = fraction.bytes().skip(decimals).all(|byte| byte == b'0');
    moment(micros + below, exact)
}

/// The instant of a number with an exponent, as some printers of floating-point numbers write it.
fn exponential(text: &str) -> Option<Moment> {
    if !text.contains(['e', 'E']) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !(0.0..1e19).contains(&value) {
        return None;
    }
    let found = epoch(&format!("{value:.0}"), "")?;
    Some(Moment { exact: false, ..found })
}

fn moment(micros: u64, exact: bool) -> Option<Moment> {
    let time = Timestamp::checked_from_micros(i64::try_from(micros).ok()?)?;
    Some(Moment { time, exact })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        Times::new(TimeZone::UTC, "2026-03-01T00:00:00Z".parse().unwrap())
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_unit_of_a_number_goes_by_magnitude() {
        let check = |text, expected, exact| {
            let expected = Moment { time: instant(expected), exact };
            assert_eq!(times().whole(text), Some(expected), "{text}");
        };
        check("1770127506", "2026-02-03T14:05:06Z", true);
        check("1770127506.789", "2026-02-03T14:05:06.789Z", true);
        check("1770127506.7891234", "2026-02-03T14:05:06.789123Z", false);
        check("1770127506.7891230", "2026-02-03T14:05:06.789123Z", true);
        check("1770127506789", "2026-02-03T14:05:06.789Z", true);
        check("1770127506789.25", "2026-02-03T14:05:06.789250Z", true);
        check("1770127506789123", "2026-02-03T14:05:06.789123Z", true);
        check("1770127506789123.5", "2026-02-03T14:05:06.789123Z", false);
        check("1770127506789123456", "2026-02-03T14:05:06.789123Z", false);
        check("1770127506789123000", "2026-02-03T14:05:06.789123Z", true);
        check("20260203140506", "2026-02-03T14:05:06Z", true);
        check("100000000", "1973-03-03T09:46:40Z", true);
    }

    #[test]
    fn small_and_malformed_numbers_are_no_times() {
        for text in
            ["0", "99999999", "-1770127506", "17701275061770127506177", "1.", "", ".", "1.2.3"]
        {
            assert_eq!(times().whole(text), None, "{text}");
        }
    }

    #[test]
    fn exponents_are_understood() {
        let found = times().number("1.770127506789e12").unwrap();
        assert_eq!(found, Moment { time: instant("2026-02-03T14:05:06.789Z"), exact: false });
        assert_eq!(times().number("1e400"), None);
        assert_eq!(times().number("1e3"), None);
    }

    #[test]
    fn a_line_may_start_with_a_number_of_seconds() {
        let check =
            |text, len| assert_eq!(times().prefix(text).map(|found| found.1), len, "{text}");
        check("1770127506.789    43 10.0.0.1 TCP_MISS", Some(14));
        check("1770127506 up", Some(10));
        check("1770127506789: up", Some(13));
        check("1770127506. The end", None);
        check("17701275067 up", None);
        check("1770127506-17", None);
        check("1770127506s", None);
        check("42 apples", None);
    }

    #[test]
    fn the_year_is_the_latest_that_is_not_in_the_future() {
        let check = |now, text, expected| {
            let mut times = Times::new(TimeZone::UTC, instant(now));
            assert_eq!(
                times.whole(text).map(|m| m.time),
                Some(instant(expected)),
                "{text} at {now}"
            );
        };
        check("2026-02-04T00:00:00Z", "Feb  3 14:05:06", "2026-02-03T14:05:06Z");
        check("2026-01-01T00:00:00Z", "Dec 31 23:59:59", "2025-12-31T23:59:59Z");
        check("2026-01-02T00:00:00Z", "Feb  3 14:05:06", "2025-02-03T14:05:06Z");
        // A writer whose clock or zone is ahead of ours did not write a year ago.
        check("2025-12-31T20:00:00Z", "Jan  1 01:00:00", "2026-01-01T01:00:00Z");
        check("2026-03-01T00:00:00Z", "Feb 29 12:00:00", "2024-02-29T12:00:00Z");
    }

    #[test]
    fn times_without_a_zone_are_in_the_given_one() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut times = Times::new(zone, instant("2026-12-01T00:00:00Z"));
        let mut check = |text, expected| {
            assert_eq!(times.whole(text).map(|m| m.time), Some(instant(expected)), "{text}");
        };
        check("2026-02-03 14:05:06", "2026-02-03T13:05:06Z");
        check("2026-07-03 14:05:06", "2026-07-03T12:05:06Z");
        check("2026-07-03 14:05:06Z", "2026-07-03T14:05:06Z");
        check("2026-07-03 14:05:06 +0300", "2026-07-03T11:05:06Z");
        // Skipped and repeated times.
        check("2026-03-29 02:30:00", "2026-03-29T01:30:00Z");
        check("2026-10-25 02:30:00", "2026-10-25T00:30:00Z");
    }
}
