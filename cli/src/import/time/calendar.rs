//! Dates with times of day as logs write them.
//!
//! ```text
//! RFC 3339 and kin      2026-02-03T14:05:06.789Z  2026-02-03 14:05:06,789  2026/02/03 14:05:06
//! without separators    20260203T140506Z  20260203 14:05:06  20260203140506
//! access logs, Tomcat   03/Feb/2026:14:05:06 +0000  03-Feb-2026 14:05:06.789
//! syslog, Cisco, Java   Feb  3 14:05:06  Feb 03 2026 14:05:06  Feb 03, 2026 2:05:06 PM
//! C, date, mail         Tue Feb  3 14:05:06 2026  Tue Feb 03 14:05:06 UTC 2026
//!                       Tue, 03 Feb 2026 14:05:06 +0000
//! klog, glog            I0203 14:05:06.123456  I20260203 14:05:06.123456
//! ```
//!
//! Seconds may have a fraction behind a dot or comma; a zone may follow: `Z`, `UTC`, `GMT`, `+02`,
//! `+0200`, `+02:00`. Other names of zones are ambiguous and not read. A date alone is no time.

use crate::import::scan::Scan;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

const SECONDS_PER_DAY: i64 = 86_400;

/// Which year a date is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Year {
    /// The text says it.
    Given(i64),
    /// The text does not say it: the latest that is not in the future.
    #[default]
    Latest,
}

/// A date and a time of day, with its zone if the text names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: Year,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Whether the text has no digits below the microsecond.
    pub(super) exact: bool,
    /// Seconds that the zone is ahead of UTC.
    pub(super) offset_s: Option<i64>,
}

impl Civil {
    /// Microseconds since the epoch, if the place were at UTC; `None` if there is no such date.
    pub(super) fn local_us(&self, year: i64) -> Option<i64> {
        let days = days_from_civil(year, self.month, self.day)?;
        let seconds = days * SECONDS_PER_DAY + self.hour * 3_600 + self.minute * 60 + self.second;
        Some(seconds * 1_000_000 + self.micros)
    }
}

/// Days from 1970-01-01 to a proleptic Gregorian date, if it exists.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
pub(in crate::import) fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The year of an instant, at UTC.
pub(super) fn year_of(micros: i64) -> i64 {
    let days = micros.div_euclid(SECONDS_PER_DAY * 1_000_000);
    // The mean year is right or one off.
    let guess = 1970 + days.div_euclid(365);
    (guess - 30..=guess)
        .rev()
        .find(|year| days_from_civil(*year, 1, 1).is_some_and(|first| first <= days))
        .unwrap_or(guess)
}

/// The date and time that the text starts with, and how many bytes it takes.
pub(super) fn read(text: &str) -> Option<(Civil, usize)> {
    let mut scan = Scan::new(text);
    let mut civil = Civil { exact: true, ..Civil::default() };
    match scan.peek()? {
        b'0'..=b'9' => digits_first(&mut scan, &mut civil)?,
        b'A'..=b'Z' | b'a'..=b'z' => letters_first(&mut scan, &mut civil)?,
        _ => return None,
    }
    let behind = scan.peek();
    if behind.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    Some((civil, text.len() - scan.rest().len()))
}

fn digits_first(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    match scan.rest().bytes().take_while(u8::is_ascii_digit).count() {
        4 => {
            civil.year = Year::Given(signed(scan.fixed(4)?));
            let separator = scan.eat_any(b"-/.")?;
            civil.month = signed(scan.number(2)?);
            scan.eat_any(&[separator])?;
            civil.day = signed(scan.number(2)?);
            separator_of_time(scan)?;
            clock(scan, civil)?;
        }
        8 => {
            compact_date(scan, civil)?;
            separator_of_time(scan)?;
            compact_clock(scan, civil).or_else(|| clock(scan, civil))?;
        }
        14 => {
            compact_date(scan, civil)?;
            compact_clock(scan, civil)?;
        }
        1 | 2 => {
            day_month_year(scan, civil)?;
            scan.eat_any(b": T")?;
            clock(scan, civil)?;
        }
        _ => return None,
    }
    zone(scan, civil);
    Some(())
}

fn letters_first(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    let word = scan.take_while(|byte| byte.is_ascii_alphabetic());
    if let Some(month) = named(&MONTHS, word) {
        civil.month = month;
        return month_first(scan, civil, false);
    }
    if named(&WEEKDAYS, word).is_some() {
        let _ = scan.eat(",");
        scan.eat(" ")?;
        if scan.peek()?.is_ascii_digit() {
            return digits_first(scan, civil);
        }
        civil.month = named(&MONTHS, scan.take_while(|byte| byte.is_ascii_alphabetic()))?;
        return month_first(scan, civil, true);
    }
    if matches!(word, "I" | "W" | "E" | "F" | "D") {
        return klog(scan, civil);
    }
    None
}

/// What follows a letter for the level: `0203 14:05:06.123456` or `20260203 14:05:06.123456`.
fn klog(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    if compact_date(scan, civil).is_none() {
        civil.month = signed(scan.fixed(2)?);
        civil.day = signed(scan.fixed(2)?);
    }
    scan.eat(" ")?;
    clock(scan, civil)
}

/// What follows the name of a month; behind a weekday the year comes last.
fn month_first(scan: &mut Scan<'_>, civil: &mut Civil, year_last: bool) -> Option<()> {
    if !matches!(scan.spaces().len(), 1 | 2) {
        return None;
    }
    civil.day = signed(scan.number(2)?);
    let comma = scan.eat(",").is_some();
    scan.eat(" ")?;
    let mut ahead = *scan;
    if let Some(year) = ahead.fixed(4)
        && ahead.eat_any(b" :").is_some()
    {
        civil.year = Year::Given(signed(year));
        *scan = ahead;
    } else if comma {
        return None;
    }
    clock(scan, civil)?;
    if year_last {
        // `date` puts the name of the zone in front of the year.
        zone(scan, civil);
        scan.eat(" ")?;
        civil.year = Year::Given(signed(scan.fixed(4)?));
    } else {
        zone(scan, civil);
    }
    Some(())
}

/// `03/Feb/2026`, `03-Feb-2026`, `3 Feb 2026`.
fn day_month_year(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    civil.day = signed(scan.number(2)?);
    let separator = scan.eat_any(b"/- ")?;
    civil.month = named(&MONTHS, scan.take_while(|byte| byte.is_ascii_alphabetic()))?;
    scan.eat_any(&[separator])?;
    civil.year = Year::Given(signed(scan.fixed(4)?));
    Some(())
}

fn compact_date(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    let mut ahead = *scan;
    let (year, month, day) = (ahead.fixed(4)?, ahead.fixed(2)?, ahead.fixed(2)?);
    civil.year = Year::Given(signed(year));
    (civil.month, civil.day) = (signed(month), signed(day));
    *scan = ahead;
    Some(())
}

fn separator_of_time(scan: &mut Scan<'_>) -> Option<()> {
    if matches!(scan.spaces().len(), 1 | 2) {
        return Some(());
    }
    scan.eat_any(b"Tt_:-\t").map(|_| ())
}

/// `140506` with an optional fraction.
fn compact_clock(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    let mut ahead = *scan;
    (civil.hour, civil.minute) = (signed(ahead.fixed(2)?), signed(ahead.fixed(2)?));
    civil.second = signed(ahead.fixed(2)?);
    *scan = ahead;
    fraction(scan, civil);
    within_a_day(civil)
}

/// `14:05`, `14:05:06`, `14:05:06.789`, `14:05:06,789`, `2:05:06 PM`.
fn clock(scan: &mut Scan<'_>, civil: &mut Civil) -> Option<()> {
    civil.hour = signed(scan.number(2)?);
    scan.eat(":")?;
    civil.minute = signed(scan.fixed(2)?);
    if scan.eat(":").is_some() {
        civil.second = signed(scan.fixed(2)?);
        fraction(scan, civil);
    }
    let mut ahead = *scan;
    let _ = ahead.eat(" ");
    let half = ahead.take_while(|byte| byte.is_ascii_alphabetic());
    if half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm") {
        if !(1..=12).contains(&civil.hour) {
            return None;
        }
        civil.hour = civil.hour % 12 + if half.eq_ignore_ascii_case("pm") { 12 } else { 0 };
        *scan = ahead;
    }
    within_a_day(civil)
}

/// A leap second is allowed; it becomes the second after it.
fn within_a_day(civil: &Civil) -> Option<()> {
    (civil.hour < 24 && civil.minute < 60 && civil.second <= 60).then_some(())
}

/// `.789`, `,789`, and `:789` as some Java servers write it.
fn fraction(scan: &mut Scan<'_>, civil: &mut Civil) {
    let mut ahead = *scan;
    let separator = ahead.eat_any(b".,:");
    let digits = ahead.take_while(|byte| byte.is_ascii_digit());
    if digits.is_empty() || separator == Some(b':') && digits.len() != 3 || separator.is_none() {
        return;
    }
    let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    civil.micros = padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    civil.exact = digits.bytes().skip(6).all(|digit| digit == b'0');
    *scan = ahead;
}

/// Reads a zone if one follows, behind a space or not.
fn zone(scan: &mut Scan<'_>, civil: &mut Civil) {
    let mut ahead = *scan;
    let spaced = ahead.eat(" ").is_some();
    let Some(offset_s) = named_zone(&mut ahead).or_else(|| numeric_zone(&mut ahead, spaced)) else {
        return;
    };
    if ahead.peek().is_none_or(|byte| !byte.is_ascii_alphanumeric()) {
        civil.offset_s = Some(offset_s);
        *scan = ahead;
    }
}

fn named_zone(scan: &mut Scan<'_>) -> Option<i64> {
    let mut ahead = *scan;
    let name = ahead.take_while(|byte| byte.is_ascii_alphabetic());
    if !matches!(name, "Z" | "z" | "UTC" | "GMT") {
        return None;
    }
    *scan = ahead;
    Some(0)
}

/// `+02:00`, `+0200`; `+02` only without a space: ` -5 apples` is no zone.
fn numeric_zone(scan: &mut Scan<'_>, spaced: bool) -> Option<i64> {
    let sign = if scan.eat_any(b"+-")? == b'-' { -1 } else { 1 };
    let hours = signed(scan.fixed(2)?);
    let colon = scan.eat(":").is_some();
    let minutes = match scan.fixed(2) {
        Some(minutes) => signed(minutes),
        None if colon || spaced => return None,
        None => 0,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// The position from 1 of a name or of its first three letters.
fn named(names: &[&str], word: &str) -> Option<i64> {
    let is = |name: &&str| {
        name.eq_ignore_ascii_case(word)
            || name.get(..3).is_some_and(|n| n.eq_ignore_ascii_case(word))
    };
    names.iter().position(is).and_then(|index| i64::try_from(index + 1).ok())
}

/// Numbers here have at most four digits.
fn signed(value: u64) -> i64 {
    value.cast_signed()
}

#[cfg(test)]
mod tests;
