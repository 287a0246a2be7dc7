//! Instants as the format stores them: signed microseconds since the Unix epoch, UTC.
//!
//! This file knows RFC 3339 and nothing of clocks or time zones: callers bring the instant, and
//! people's ways of writing time ("yesterday 14:00") are the command's business.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant: signed microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// The range is that of RFC 3339, years 0000 to 9999, so every timestamp can be printed and parsed
/// back. `Display` prints UTC with microseconds, always 27 bytes long.
///
/// # Examples
///
/// ```
/// use logq_format::Timestamp;
///
/// let t: Timestamp = "2026-02-03T14:05:06.789Z".parse()?;
/// assert_eq!(t.as_micros(), 1_770_127_506_789_000);
/// assert_eq!(t.to_string(), "2026-02-03T14:05:06.789000Z");
/// # Ok::<(), logq_format::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The number of bytes that [`Timestamp::write_rfc3339`] appends.
pub const RFC3339_LEN: usize = 27;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The earliest instant, 0000-01-01T00:00:00.000000Z.
    pub const MIN: Self = Self(-62_167_219_200 * MICROS_PER_SECOND);
    /// The latest instant, 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// The instant `micros` microseconds after the epoch, clamped to [`Self::MIN`] and [`Self::MAX`].
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// The same instant if it lies within the range of RFC 3339; decoders use this one.
    pub const fn checked_from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Self(micros)) }
    }

    /// Microseconds since the epoch, negative before it.
    #[inline]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `micros`, clamped to the range.
    #[inline]
    pub const fn saturating_add_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to `self`; 0 if `earlier` is the later one.
    #[inline]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        // Both are within ±2^58, so the difference cannot overflow.
        if self.0 <= earlier.0 { 0 } else { (self.0 - earlier.0).unsigned_abs() }
    }

    /// Appends the instant as RFC 3339 in UTC with six decimals: [`RFC3339_LEN`] ASCII bytes.
    ///
    /// Costs no allocation and no division by a variable; a reader prints millions of these.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);

        let ([y1, y2], [y3, y4]) = (digits(year / 100), digits(year % 100));
        let ([o1, o2], [d1, d2]) = (digits(month), digits(day));
        let ([h1, h2], [m1, m2]) = (digits(second / 3600), digits(second / 60 % 60));
        let [s1, s2] = digits(second % 60);
        let ([f1, f2], [f3, f4]) = (digits(micros / 10_000), digits(micros / 100 % 100));
        let [f5, f6] = digits(micros % 100);
        let text: [u8; RFC3339_LEN] = [
            y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2,
            b'.', f1, f2, f3, f4, f5, f6, b'Z',
        ];
        out.extend_from_slice(&text);
    }
}

/// The two decimal digits of a number below 100.
fn digits(value: i64) -> [u8; 2] {
    usize::try_from(value).ok().and_then(|value| DIGITS.get(value)).copied().unwrap_or(*b"00")
}

/// The digits of all numbers below 100.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which would tell")]
static DIGITS: [[u8; 2]; 100] = {
    let mut all = [*b"00"; 100];
    let (mut number, mut tens) = (0, b'0');
    while tens <= b'9' {
        let mut ones = b'0';
        while ones <= b'9' {
            all[number] = [tens, ones];
            (number, ones) = (number + 1, ones + 1);
        }
        tens += 1;
    }
    all
};

/// The proleptic Gregorian date of a day count since 1970-01-01: (year, month 1-12, day 1-31).
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(RFC3339_LEN);
        self.write_rfc3339(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Parses RFC 3339, any offset; digits beyond the microsecond are cut off.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|source| TimestampError { text: text.to_owned(), source })?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        // RFC 3339 years are 0000 to 9999; an offset can lead past either end by a day.
        Ok(Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
    }
}

/// Says that a text is not an RFC 3339 timestamp.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time such as 2026-02-03T14:05:06.789Z")]
pub struct TimestampError {
    /// The text as given.
    pub text: String,
    /// Where and why parsing stopped.
    #[source]
    pub source: time::error::Parse,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants_print_as_expected() {
        let check = |micros, text: &str| {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap().as_micros(), micros);
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(951_782_400_000_001, "2000-02-29T00:00:00.000001Z");
        check(Timestamp::MIN.as_micros(), "0000-01-01T00:00:00.000000Z");
        check(Timestamp::MAX.as_micros(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn out_of_range_is_clamped_or_refused() {
        assert_eq!(Timestamp::from_micros(i64::MIN), Timestamp::MIN);
        assert_eq!(Timestamp::from_micros(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::checked_from_micros(i64::MAX), None);
        assert_eq!(Timestamp::MAX.saturating_add_micros(1), Timestamp::MAX);
    }

    proptest! {
        #![proptest_config(crate::seeded())]

        #[test]
        fn printed_timestamps_parse_back(
            micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
        ) {
            let t = Timestamp::from_micros(micros);
            let text = t.to_string();
            prop_assert_eq!(text.len(), RFC3339_LEN);
            prop_assert_eq!(text.parse::<Timestamp>().unwrap(), t);
        }
    }
}
