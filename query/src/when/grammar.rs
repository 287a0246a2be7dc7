//! What a text about time says, before the present, the zone and the store give it a place.
//!
//! One function per form, chosen by the first character. The meaning of the forms is in `resolve`.

use jiff::civil::{Date, Time, Weekday};
use logq_format::Timestamp;

use super::error::{Problem, Reason};
use super::scan::{Field, Fraction, Scanner};
use super::span::{self, Span};
use super::zone::{self, ZoneSuffix};
use crate::nearest::nearest;
use crate::refusal::clip;

/// A text about time, understood.
#[derive(Debug)]
pub(super) struct Reading {
    /// Where it begins, in characters.
    pub(super) column: usize,
    pub(super) form: Form,
}

/// What a text is made of.
#[derive(Debug)]
pub(super) enum Form {
    /// `2026-02-03 14:05`, `yesterday`, `14:05`: read from a calendar and a clock.
    Calendar(Calendar),
    /// `-3h`, `since+5m`, `crash`: an anchor, and perhaps a step from it.
    Anchored(Anchor, Option<Step>),
    /// `3h`: that long ago, or the stretch from then to now.
    Last(Span),
    /// `@1700000000`, with the length of the unit or decimal written last.
    Epoch { at: Timestamp, micros: i64 },
}

/// A day or more, perhaps a time in it, perhaps a zone.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) day: Day,
    pub(super) clock: Option<Clock>,
    pub(super) suffix: Option<ZoneSuffix>,
}

/// A day, or the month or year around it.
#[derive(Debug)]
pub(super) enum Day {
    /// A year, by its first day.
    Year(Date),
    /// A month, by its first day.
    Month(Date),
    /// A day by its date.
    Date(Date),
    /// So many days after the present one.
    FromToday(i64),
    /// The latest such day at which the time is not in the future.
    Last(Weekday),
}

/// A time of day with the length of the field written last.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) time: Time,
    pub(super) micros: i64,
}

/// An instant that something else decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The present.
    Now,
    /// The beginning of the range.
    Since,
    /// The start of the latest run.
    Start,
    /// The latest crash.
    Crash,
    /// The run so many before the latest one.
    Run { back: u32 },
}

/// A distance with its direction.
#[derive(Debug)]
pub(super) enum Step {
    Back(Span),
    Forth(Span),
}

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;

const MONTH: Field =
    Field { name: "month", min: 1, max: 12, one_digit: true, expected: "a month, 01 to 12" };
const HOUR: Field =
    Field { name: "hour", min: 0, max: 23, one_digit: true, expected: "an hour, 00 to 23" };
const MINUTE: Field =
    Field { name: "minute", min: 0, max: 59, one_digit: false, expected: "a minute, 00 to 59" };
const SECOND: Field =
    Field { name: "second", min: 0, max: 59, one_digit: false, expected: "a second, 00 to 59" };

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

const WORDS: [&str; 8] =
    ["now", "today", "yesterday", "tomorrow", "since", "start", "crash", "run"];

/// Reads the whole text.
pub(super) fn read(text: &str) -> Result<Reading, Problem> {
    let mut scanner = Scanner::new(text);
    scanner.spaces();
    let column = scanner.column();
    let form = match scanner.peek() {
        None => Err(scanner.problem(Reason::Empty)),
        Some('@') => epoch(&mut scanner),
        Some('+' | '-') => Ok(Form::Anchored(Anchor::Now, step(&mut scanner)?)),
        Some(c) if c.is_ascii_digit() => number(&mut scanner),
        Some(c) if c.is_alphabetic() => word(&mut scanner),
        Some(_) => Err(scanner.unexpected("a time")),
    }?;
    scanner.end()?;
    Ok(Reading { column, form })
}

/// Reads `+5m` or `- 3h`, if a sign follows.
fn step(scanner: &mut Scanner<'_>) -> Result<Option<Step>, Problem> {
    scanner.spaces();
    let direction = match scanner.peek() {
        Some('+') => Step::Forth,
        Some('-') => Step::Back,
        _ => return Ok(None),
    };
    scanner.eat(|_| true);
    scanner.spaces();
    Ok(Some(direction(span::span(scanner)?)))
}

/// Reads `@1700000000`: the magnitude tells seconds, milli-, micro- and nanoseconds apart.
fn epoch(scanner: &mut Scanner<'_>) -> Result<Form, Problem> {
    scanner.eat(|c| c == '@');
    let start = *scanner;
    let negative = scanner.eat(|c| c == '-');
    let whole = scanner.number("seconds since 1970")?;
    let fraction = scanner.fraction()?.unwrap_or(Fraction { billionths: 0, digits: 0 });
    let unit_nanos = epoch_unit_nanos(whole);
    // All factors are below 2^64, so the products fit.
    let part = i128::from(fraction.billionths) * unit_nanos / 1_000_000_000;
    let nanos = i128::from(whole) * unit_nanos + part;
    let micros = (if negative { -nanos } else { nanos }).div_euclid(1_000);
    let at = i64::try_from(micros).ok().and_then(Timestamp::checked_from_micros);
    let at = at.ok_or_else(|| start.problem(Reason::BeyondYears))?;
    let length = (unit_nanos / 1_000 / 10_i128.pow(fraction.digits)).max(1);
    Ok(Form::Epoch { at, micros: i64::try_from(length).unwrap_or(1) })
}

/// The bounds are those of common tools: seconds reach to the year 5138, and each finer unit
/// begins in 1973.
fn epoch_unit_nanos(whole: u64) -> i128 {
    match whole.checked_ilog10().unwrap_or(0) {
        0..=10 => 1_000_000_000,
        11..=13 => 1_000_000,
        14..=16 => 1_000,
        _ => 1,
    }
}

/// Reads what begins with a digit: `3h`, `3h ago`, `14:05`, `2026-02-03`.
fn number(scanner: &mut Scanner<'_>) -> Result<Form, Problem> {
    let mut ahead = *scanner;
    let digits = ahead.digits();
    let followed_by = ahead.peek();
    if span::begins_here(*scanner) {
        return ago(scanner);
    }
    match (digits.len(), followed_by) {
        (1 | 2, Some(':')) => {
            let clock = Some(clock(scanner)?);
            calendar(scanner, Day::FromToday(0), clock)
        }
        (4, None) => day_and_more(scanner),
        (4, Some(c)) if !matches!(c, '.' | ',' | '/' | ':') => day_and_more(scanner),
        // An unknown unit, which `ago` refuses by its name.
        _ if !span::word_after_number(*scanner).is_empty() => ago(scanner),
        _ => {
            let number = clip(digits);
            Err(scanner.problem(Reason::BareNumber { number, followed_by }))
        }
    }
}

/// Reads a length of time, and `ago` if it follows.
fn ago(scanner: &mut Scanner<'_>) -> Result<Form, Problem> {
    let span = span::span(scanner)?;
    scanner.spaces();
    let start = *scanner;
    match scanner.letters() {
        "" => Ok(Form::Last(span)),
        word if word.eq_ignore_ascii_case("ago") => {
            Ok(Form::Anchored(Anchor::Now, Some(Step::Back(span))))
        }
        _ => Err(start.unexpected("`ago` or the end")),
    }
}

fn day_and_more(scanner: &mut Scanner<'_>) -> Result<Form, Problem> {
    let day = day(scanner)?;
    let clock = match day {
        Day::Date(_) => clock_after_day(scanner)?,
        _ => None,
    };
    calendar(scanner, day, clock)
}

/// Reads a year, perhaps a month, perhaps a day.
fn day(scanner: &mut Scanner<'_>) -> Result<Day, Problem> {
    let start = *scanner;
    let year = scanner.number("a year")?;
    let date = |month, day| {
        let year = i16::try_from(year).map_err(|_| start.problem(Reason::TooLarge))?;
        Date::new(year, month, day).map_err(|_| start.problem(Reason::BeyondYears))
    };
    if !scanner.eat(|c| c == '-') {
        return Ok(Day::Year(date(1, 1)?));
    }
    let month = scanner.field(&MONTH)?;
    let first = date(month, 1)?;
    if !scanner.eat(|c| c == '-') {
        return Ok(Day::Month(first));
    }
    let max = u8::try_from(first.days_in_month()).unwrap_or(31);
    let expected = "a day of the month";
    let day = scanner.field(&Field { name: "day", min: 1, max, one_digit: true, expected })?;
    Ok(Day::Date(date(month, day)?))
}

/// Reads the time after a date: `T14:05`, ` 14:05`.
fn clock_after_day(scanner: &mut Scanner<'_>) -> Result<Option<Clock>, Problem> {
    if scanner.eat(|c| matches!(c, 'T' | 't')) {
        return clock(scanner).map(Some);
    }
    let mut ahead = *scanner;
    if ahead.spaces() && ahead.peek_is(|c| c.is_ascii_digit()) {
        *scanner = ahead;
        return clock(scanner).map(Some);
    }
    Ok(None)
}

/// Reads an hour, perhaps minutes, seconds, decimals.
fn clock(scanner: &mut Scanner<'_>) -> Result<Clock, Problem> {
    let start = *scanner;
    let at = |hour, minute, second, nanos| {
        Time::new(hour, minute, second, nanos).map_err(|_| start.problem(Reason::TooLarge))
    };
    let hour = scanner.field(&HOUR)?;
    if !scanner.eat(|c| c == ':') {
        return Ok(Clock { time: at(hour, 0, 0, 0)?, micros: MICROS_PER_HOUR });
    }
    let minute = scanner.field(&MINUTE)?;
    if !scanner.eat(|c| c == ':') {
        return Ok(Clock { time: at(hour, minute, 0, 0)?, micros: 60 * MICROS_PER_SECOND });
    }
    let second = scanner.field(&SECOND)?;
    let Some(fraction) = scanner.fraction()? else {
        return Ok(Clock { time: at(hour, minute, second, 0)?, micros: MICROS_PER_SECOND });
    };
    let nanos = i32::try_from(fraction.billionths).unwrap_or(0);
    let micros = (MICROS_PER_SECOND / 10_i64.pow(fraction.digits)).max(1);
    Ok(Clock { time: at(hour, minute, second, nanos)?, micros })
}

fn calendar(scanner: &mut Scanner<'_>, day: Day, clock: Option<Clock>) -> Result<Form, Problem> {
    let suffix = zone::suffix(scanner)?;
    Ok(Form::Calendar(Calendar { day, clock, suffix }))
}

/// Reads what begins with a letter: `yesterday 14:05`, `now`, `since+5m`, `run-1`.
fn word(scanner: &mut Scanner<'_>) -> Result<Form, Problem> {
    let start = *scanner;
    let written = scanner.letters();
    let word = written.to_lowercase();
    let anchor = match word.as_str() {
        "today" => return relative_day(scanner, Day::FromToday(0)),
        "yesterday" => return relative_day(scanner, Day::FromToday(-1)),
        "tomorrow" => return relative_day(scanner, Day::FromToday(1)),
        "now" => Anchor::Now,
        "since" => Anchor::Since,
        "start" => Anchor::Start,
        "crash" => Anchor::Crash,
        "run" => Anchor::Run { back: run_back(scanner)? },
        other => match weekday(other) {
            Some(weekday) => return relative_day(scanner, Day::Last(weekday)),
            None => return Err(start.problem(unknown(written))),
        },
    };
    Ok(Form::Anchored(anchor, step(scanner)?))
}

fn relative_day(scanner: &mut Scanner<'_>, day: Day) -> Result<Form, Problem> {
    let clock = clock_after_day(scanner)?;
    calendar(scanner, day, clock)
}

/// Reads the number in `run-1`; the word alone is the latest run, and `run-5m` a step from it.
fn run_back(scanner: &mut Scanner<'_>) -> Result<u32, Problem> {
    let mut ahead = *scanner;
    if !ahead.eat(|c| c == '-') || !ahead.peek_is(|c| c.is_ascii_digit()) {
        return Ok(0);
    }
    if span::begins_here(ahead) {
        return Ok(0);
    }
    let start = ahead;
    let back = ahead.number("a number of runs")?;
    *scanner = ahead;
    u32::try_from(back).map_err(|_| start.problem(Reason::TooLarge))
}

fn weekday(word: &str) -> Option<Weekday> {
    let named = |name: &str| name == word || name.get(..3) == Some(word);
    WEEKDAYS.iter().find(|(name, _)| named(name)).map(|(_, weekday)| *weekday)
}

fn unknown(word: &str) -> Reason {
    let weekdays = WEEKDAYS.iter().map(|(name, _)| *name);
    let nearest = nearest(word, WORDS.into_iter().chain(weekdays)).map(str::to_owned);
    Reason::UnknownWord { word: clip(word), nearest }
}
