//! Times as access logs write them, read at a rate of millions a second: most lines have the time of
//! the line before, and nearly all have its day.

use logq_format::Timestamp;
use time::{Date, Month};

use super::number::{digits, whole};

/// Reads times; remembers the last one and its day.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    last: Option<([u8; 26], Timestamp)>,
    /// The last one of ten digits: in seconds since the epoch.
    last_epoch: Option<([u8; 10], Timestamp)>,
    /// `03/Feb/2026` and its start in seconds since the epoch.
    day: Option<([u8; 11], i64)>,
}

/// No server is further from UTC than this, in hours.
const ZONE_HOURS_MAX: i64 = 15;

impl Times {
    /// A time as CLF writes it, `03/Feb/2026:14:05:06 +0000`, in ISO 8601, or in seconds since the
    /// epoch with or without a fraction (milliseconds, microseconds, nanoseconds by magnitude).
    /// Without a zone it is UTC. From 1970 to 9999.
    pub(super) fn parse(&mut self, text: &[u8]) -> Option<Timestamp> {
        match text {
            [_, _, b'/', ..] | [_, b'/', ..] => self.clf(text),
            [_, _, _, _, b'-', ..] => iso(text),
            _ => self.epoch(text),
        }
    }

    /// A number since the epoch.
    fn epoch(&mut self, text: &[u8]) -> Option<Timestamp> {
        let Ok(key) = <[u8; 10]>::try_from(text) else { return epoch(text) };
        if let Some((last, time)) = &self.last_epoch
            && *last == key
        {
            return Some(*time);
        }
        let time = epoch(text)?;
        self.last_epoch = Some((key, time));
        Some(time)
    }

    /// `03/Feb/2026:14:05:06 +0000`.
    pub(super) fn clf(&mut self, text: &[u8]) -> Option<Timestamp> {
        let Ok(key) = <[u8; 26]>::try_from(text) else { return self.clf_seconds(text) };
        if let Some((last, time)) = &self.last
            && *last == key
        {
            return Some(*time);
        }
        let time = self.clf_seconds(text)?;
        self.last = Some((key, time));
        Some(time)
    }

    fn clf_seconds(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (day, rest) = text.split_first_chunk::<11>()?;
        let (clock, zone) = rest.strip_prefix(b":")?.split_at_checked(8)?;
        let zone = if zone.is_empty() { 0 } else { zone_s(zone.strip_prefix(b" ")?)? };
        let start = self.day_start(day)?;
        checked(start + clock_s(clock)? - zone, 0)
    }

    fn day_start(&mut self, day: &[u8; 11]) -> Option<i64> {
        if let Some((known, start)) = &self.day
            && known == day
        {
            return Some(*start);
        }
        let [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4] = *day else { return None };
        let start = date_s([y1, y2, y3, y4], month([m1, m2, m3])?, [d1, d2])?;
        self.day = Some((*day, start));
        Some(start)
    }
}

fn month(name: [u8; 3]) -> Option<Month> {
    const NAMES: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let index = NAMES.iter().position(|known| known.eq_ignore_ascii_case(&name))?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

/// The start of a day in seconds since the epoch.
fn date_s(year: [u8; 4], month: Month, day: [u8; 2]) -> Option<i64> {
    let year = i32::try_from(whole(&year)?).ok()?;
    let day = u8::try_from(whole(&day)?).ok()?;
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(date.midnight().assume_utc().unix_timestamp())
}

/// `14:05:06` in seconds; 60 is a leap second.
fn clock_s(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *text else { return None };
    let part = |tens: u8, ones: u8, max: i64| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9)
            .then(|| i64::from(tens) * 10 + i64::from(ones))
            .filter(|value| *value <= max)
    };
    Some(part(h1, h2, 23)? * 3600 + part(m1, m2, 59)? * 60 + part(s1, s2, 60)?)
}

/// `+0100`, `+01:00`, `Z` in seconds east of UTC.
fn zone_s(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [h1, h2], [m1, m2]),
        [sign, h1, h2] => (sign, [h1, h2], [b'0'; 2]),
        _ => return None,
    };
    let hours = i64::try_from(whole(&hours)?).ok().filter(|h| *h <= ZONE_HOURS_MAX)?;
    let minutes = i64::try_from(whole(&minutes)?).ok().filter(|m| *m <= 59)?;
    match sign {
        b'+' => Some(hours * 3600 + minutes * 60),
        b'-' => Some(-(hours * 3600 + minutes * 60)),
        _ => None,
    }
}

/// `2026-02-03T14:05:06.789+00:00`, a space for the `T`, a comma for the point.
fn iso(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let start = iso_date(date)?;
    let (separator, rest) = rest.split_first()?;
    let (clock, rest) = rest.split_at_checked(8)?;
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (micros, rest) = match rest {
        [b'.' | b',', rest @ ..] => fraction(rest)?,
        _ => (0, rest),
    };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let zone = if rest.is_empty() || rest == b"UTC" { 0 } else { zone_s(rest)? };
    checked(start + clock_s(clock)? - zone, micros)
}

/// `2026-02-03`, its start in seconds since the epoch.
pub(super) fn iso_date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let month = Month::try_from(u8::try_from(whole(&[m1, m2])?).ok()?).ok()?;
    date_s([y1, y2, y3, y4], month, [d1, d2])
}

/// A date and a time of day, as W3C logs have them in two fields.
pub(super) fn of_date_and_clock(date: &[u8], clock: &[u8]) -> Option<Timestamp> {
    let (clock, micros) = match clock.split_at_checked(8)? {
        (clock, []) => (clock, 0),
        (clock, [b'.', rest @ ..]) => (clock, fraction(rest).filter(|(_, r)| r.is_empty())?.0),
        _ => return None,
    };
    checked(iso_date(date)? + clock_s(clock)?, micros)
}

/// The digits behind a decimal point as microseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (figures, rest) = text.split_at_checked(count).filter(|_| count > 0)?;
    let padded = figures.iter().copied().chain(std::iter::repeat(b'0'));
    let micros = padded.take(6).fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some((micros, rest))
}

/// A number since the epoch; its unit follows from its size.
fn epoch(text: &[u8]) -> Option<Timestamp> {
    let (value, count) = digits(text)?;
    let value = i64::try_from(value).ok()?;
    match text.get(count..)? {
        [] => of_epoch(value),
        [b'.', rest @ ..] => {
            let (micros, rest) = fraction(rest)?;
            if !rest.is_empty() {
                return None;
            }
            if value < MILLIS_FROM { checked(value, micros) } else { of_epoch(value) }
        }
        _ => None,
    }
}

/// From here on a whole number is in milliseconds: as seconds it would be in the year 5138.
const MILLIS_FROM: i64 = 100_000_000_000;

/// A whole number since the epoch: seconds, milliseconds, microseconds or nanoseconds.
pub(super) fn of_epoch(value: i64) -> Option<Timestamp> {
    let micros = match value {
        ..0 => return None,
        0..MILLIS_FROM => value * 1_000_000,
        MILLIS_FROM..100_000_000_000_000 => value * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => value,
        _ => value / 1_000,
    };
    checked(0, micros)
}

fn checked(seconds: i64, micros: i64) -> Option<Timestamp> {
    let micros = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    Timestamp::checked_from_micros(micros).filter(|_| micros >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let mut times = Times::default();
        let expected = expected.map(|expected| expected.parse().unwrap());
        assert_eq!(times.parse(text.as_bytes()), expected, "{text}");
        // What is remembered answers the same.
        assert_eq!(times.parse(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn times_are_read_as_servers_write_them() {
        for text in [
            "03/Feb/2026:14:05:06 +0000",
            "03/feb/2026:15:05:06 +0100",
            "03/Feb/2026:14:05:06",
            "02/Feb/2026:23:35:06 -1430",
            "2026-02-03T14:05:06Z",
            "2026-02-03 14:05:06",
            "2026-02-03T16:05:06+02:00",
            "2026-02-03T14:05:06 +0000",
            "1770127506",
            "1770127506.0",
            "1770127506000",
            "1770127506000000",
            "1770127506000000000",
        ] {
            check(text, Some("2026-02-03T14:05:06Z"));
        }
        check("2026-02-03T14:05:06,789Z", Some("2026-02-03T14:05:06.789Z"));
        check("1770127506.7891239", Some("2026-02-03T14:05:06.789123Z"));
        check("31/Dec/2016:23:59:60 +0000", Some("2017-01-01T00:00:00Z"));
        check("0", Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "03/Feb/2026:14:05:06 +9999",
            "03/Feb/2026:14:05:06 +99:99",
            "03/Feb/2026:14:05:06 0000",
            "30/Feb/2026:14:05:06 +0000",
            "03/Fob/2026:14:05:06 +0000",
            "03/Feb/2026:24:05:06 +0000",
            "03/Feb/2026:14:60:06 +0000",
            "03/Feb/2026:14:05:61 +0000",
            "03/Feb/2026 14:05:06 +0000",
            "3/Feb/2026:14:05:06 +0000",
            "31/Dec/1969:23:59:59 +0000",
            "2026-02-30T14:05:06Z",
            "2026-02-03T14:05:06.Z",
            "2026-02-03",
            "-5",
            "17701x",
            "1e18",
            "99999999999999999999",
            "\u{fffd}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_day_is_remembered_for_itself_only() {
        let mut times = Times::default();
        for day in ["03/Feb/2026", "04/Feb/2026", "03/Feb/2026", "28/Feb/2025", "01/Mar/2025"] {
            for clock in ["00:00:00", "23:59:59"] {
                let text = format!("{day}:{clock} +0000");
                let fresh = Times::default().parse(text.as_bytes());
                assert!(fresh.is_some());
                assert_eq!(times.parse(text.as_bytes()), fresh, "{text}");
            }
        }
    }

    #[test]
    fn seconds_are_remembered_for_themselves_only() {
        let mut times = Times::default();
        for text in
            ["1770127506", "1770127506", "1770127507", "177012750x", "1770127507", "17701275"]
        {
            assert_eq!(times.parse(text.as_bytes()), epoch(text.as_bytes()), "{text}");
        }
    }
}
