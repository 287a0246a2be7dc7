//! Lengths of time: `3h`, `1d2h30m`, `1.5 hours`.
//!
//! A span keeps months and days apart from hours and shorter units, because only a date in a time
//! zone tells how long they are. Applying a span to a time is done in `resolve`.

use std::time::Duration;

use super::error::{Problem, Reason, Subject, WhenError};
use super::scan::{Fraction, Scanner};
use crate::nearest::nearest;
use crate::refusal::clip;

/// A length of time, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// Calendar months; a year is twelve.
    pub(super) months: i64,
    /// Calendar days; a week is seven.
    pub(super) days: i64,
    /// Everything shorter than a day.
    pub(super) nanos: i128,
}

#[derive(Clone, Copy)]
enum Unit {
    /// So many nanoseconds.
    Nanos(i128),
    /// So many days.
    Days(i64),
    /// So many months, with the name for messages.
    Months(i64, &'static str),
}

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// What `Fraction` counts in.
const BILLION: i128 = 1_000_000_000;

/// Every name of every unit. Both code points of the Greek letter are on keyboards.
const UNITS: [(&[&str], Unit); 10] = [
    (&["ns", "nsec", "nanosecond", "nanoseconds"], Unit::Nanos(1)),
    (&["us", "\u{b5}s", "\u{3bc}s", "usec", "microsecond", "microseconds"], Unit::Nanos(1_000)),
    (&["ms", "msec", "millisecond", "milliseconds"], Unit::Nanos(1_000_000)),
    (&["s", "sec", "secs", "second", "seconds"], Unit::Nanos(SECOND)),
    (&["m", "min", "mins", "minute", "minutes"], Unit::Nanos(60 * SECOND)),
    (&["h", "hr", "hrs", "hour", "hours"], Unit::Nanos(3_600 * SECOND)),
    (&["d", "day", "days"], Unit::Days(1)),
    (&["w", "week", "weeks"], Unit::Days(7)),
    (&["mo", "month", "months"], Unit::Months(1, "month")),
    (&["y", "yr", "yrs", "year", "years"], Unit::Months(12, "year")),
];

/// Reads a length of time that needs no calendar: `250ms`, `1.5h`, `1h30m`, `2 days`.
///
/// A day is 24 hours and a week 7 days here. Units are those of the time grammar except months and
/// years; a number without a unit is refused.
///
/// # Errors
///
/// Anything else, with the column and the accepted forms; also a number too large for a
/// [`Duration`].
pub fn parse_duration(text: &str) -> Result<Duration, WhenError> {
    duration_in(text).map_err(|problem| problem.within(text, Subject::Duration))
}

fn duration_in(text: &str) -> Result<Duration, Problem> {
    let mut scanner = Scanner::new(text);
    scanner.spaces();
    if scanner.peek().is_none() {
        return Err(scanner.problem(Reason::Empty));
    }
    let start = scanner;
    let mut total = Span::default();
    loop {
        let part = scanner;
        let (span, unit) = component(&mut scanner)?;
        if let Unit::Months(_, unit) = unit {
            return Err(part.problem(Reason::NoFixedLength { unit }));
        }
        total = total.plus(span);
        if !more(&mut scanner) {
            break;
        }
    }
    scanner.end()?;
    total.fixed().ok_or_else(|| start.problem(Reason::TooLarge))
}

/// Reads numbers with units until something else follows.
pub(super) fn span(scanner: &mut Scanner<'_>) -> Result<Span, Problem> {
    let (mut total, _) = component(scanner)?;
    while more(scanner) {
        let (next, _) = component(scanner)?;
        total = total.plus(next);
    }
    Ok(total)
}

/// Whether another number follows, perhaps after spaces.
fn more(scanner: &mut Scanner<'_>) -> bool {
    let mut ahead = *scanner;
    ahead.spaces();
    let found = ahead.peek_is(|c| c.is_ascii_digit());
    if found {
        *scanner = ahead;
    }
    found
}

/// Whether a number with a unit begins here, as opposed to a date or a time of day.
pub(super) fn begins_here(ahead: Scanner<'_>) -> bool {
    let word = word_after_number(ahead);
    word == "M" || unit_named(word).is_some()
}

/// The word in the place of the unit, perhaps none.
pub(super) fn word_after_number(mut ahead: Scanner<'_>) -> &str {
    ahead.digits();
    if ahead.eat(|c| matches!(c, '.' | ',')) {
        ahead.digits();
    }
    ahead.spaces();
    ahead.letters()
}

/// Reads one number with its unit.
fn component(scanner: &mut Scanner<'_>) -> Result<(Span, Unit), Problem> {
    let start = *scanner;
    let whole = scanner.number("a number with a unit")?;
    let fraction = scanner.fraction()?;
    scanner.spaces();
    let place = *scanner;
    let unit = match scanner.letters() {
        "" => return Err(no_unit(start)),
        word => unit(word).map_err(|reason| place.problem(reason))?,
    };
    let span = Span::of(whole, fraction, unit).map_err(|reason| start.problem(reason))?;
    Ok((span, unit))
}

fn no_unit(mut start: Scanner<'_>) -> Problem {
    let place = start;
    place.problem(Reason::NoUnit { number: clip(start.digits()) })
}

fn unit(word: &str) -> Result<Unit, Reason> {
    if word == "M" {
        return Err(Reason::AmbiguousUnit);
    }
    unit_named(word).ok_or_else(|| {
        let names = UNITS.iter().flat_map(|(names, _)| names.iter().copied());
        Reason::UnknownUnit { unit: clip(word), nearest: nearest(word, names).map(str::to_owned) }
    })
}

fn unit_named(word: &str) -> Option<Unit> {
    let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    UNITS.iter().find(|(names, _)| named(names)).map(|(_, unit)| *unit)
}

impl Span {
    fn of(whole: u64, fraction: Option<Fraction>, unit: Unit) -> Result<Self, Reason> {
        let whole = i64::try_from(whole).map_err(|_| Reason::TooLarge)?;
        let billionths = fraction.map_or(0, |fraction| i128::from(fraction.billionths));
        match unit {
            Unit::Nanos(nanos) => {
                let nanos = i128::from(whole) * nanos + billionths * nanos / BILLION;
                Ok(Self { nanos, ..Self::default() })
            }
            Unit::Days(days) => Self::of_days(whole, days, billionths),
            Unit::Months(_, unit) if billionths != 0 => Err(Reason::PartOfMonth { unit }),
            Unit::Months(months, _) => {
                let months = whole.checked_mul(months).ok_or(Reason::TooLarge)?;
                Ok(Self { months, ..Self::default() })
            }
        }
    }

    /// Half a week is three days and twelve hours.
    fn of_days(whole: i64, days: i64, billionths: i128) -> Result<Self, Reason> {
        let billionths = billionths * i128::from(days);
        let days = whole
            .checked_mul(days)
            .zip(i64::try_from(billionths / BILLION).ok())
            .and_then(|(whole, part)| whole.checked_add(part))
            .ok_or(Reason::TooLarge)?;
        Ok(Self { days, nanos: billionths % BILLION * DAY / BILLION, ..Self::default() })
    }

    /// The sum; what is too large stays too large.
    fn plus(self, other: Self) -> Self {
        Self {
            months: self.months.saturating_add(other.months),
            days: self.days.saturating_add(other.days),
            nanos: self.nanos.saturating_add(other.nanos),
        }
    }

    /// The length with days of 24 hours; months are not counted.
    fn fixed(self) -> Option<Duration> {
        let nanos = self.nanos.checked_add(i128::from(self.days).checked_mul(DAY)?)?;
        let seconds = u64::try_from(nanos / SECOND).ok()?;
        Some(Duration::new(seconds, u32::try_from(nanos % SECOND).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let check = |text: &str, nanos: u128| {
            assert_eq!(parse_duration(text).map(|d| d.as_nanos()).unwrap(), nanos, "{text}");
        };
        for text in ["1ns", "1 nsec", "1nanosecond", "1 nanoseconds", "1NS", " 1ns "] {
            check(text, 1);
        }
        for text in ["1us", "1µs", "1μs", "1usec", "1 microsecond", "1 microseconds", "1000ns"] {
            check(text, 1_000);
        }
        for text in ["1ms", "1msec", "1millisecond", "1 milliseconds", "0.001s", "0,001s"] {
            check(text, 1_000_000);
        }
        for text in ["1s", "1sec", "1 secs", "1second", "1 seconds", "1000ms"] {
            check(text, 1_000_000_000);
        }
        for text in ["90m", "90min", "90 mins", "90minute", "90 minutes", "1.5h", "1h30m"] {
            check(text, 5_400_000_000_000);
        }
        for text in ["36h", "36hr", "36 hrs", "36hour", "36 hours", "1.5d", "1 day 12 hours"] {
            check(text, 129_600_000_000_000);
        }
        for text in ["1w", "1week", "1 weeks", "7d", "7day", "7 days", "6d 24h"] {
            check(text, 604_800_000_000_000);
        }
        check("0s", 0);
        check("0.5w", 302_400_000_000_000);
        check("1d2h30m", 95_400_000_000_000);
        check("9223372036854775807s", 9_223_372_036_854_775_807_000_000_000);
    }

    #[test]
    fn errors_name_the_column_and_the_forms() {
        let check = |text: &str, column: usize, reason: &str| {
            let shown = parse_duration(text).unwrap_err().to_string();
            let expected = format!(
                "cannot read the duration {text:?}: {reason}\n  {text}\n  {:column$}^\n  \
                 accepted: 500us, 250ms, 5s, 1.5h, 1h30m, 2d, 1w",
                ""
            );
            assert_eq!(shown, expected);
        };
        check("", 0, "nothing is written here");
        check("-5s", 0, "expected a number with a unit, found \"-\"");
        check("15", 0, "15 needs a unit, as in 15m or 15s");
        check("1h15", 2, "15 needs a unit, as in 15m or 15s");
        check("5 minuets", 2, "unknown unit \"minuets\"; did you mean minutes?");
        check("5x", 1, "unknown unit \"x\"");
        check("3M", 1, "unit M could be minutes or months: write m or mo");
        check("1h 2mo", 3, "a month has no fixed length: write days");
        check("1y", 0, "a year has no fixed length: write days");
        check("5s ago", 3, "expected the end, found \"a\"");
        check("1.s", 2, "expected 1 to 9 decimals, found \"s\"");
        check("1.0123456789s", 2, "more than 9 decimals");
        check("99999999999999999999s", 0, "the number is too large");
        check("9223372036854775808s", 0, "the number is too large");
        check("9223372036854775807w", 0, "the number is too large");
    }
}
