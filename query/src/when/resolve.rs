//! From what a text says to the instants it names: the calendar of a zone, and steps in it.
//!
//! Where the clocks of a zone jump, this file decides. A time that they skip is read with the
//! offset before the jump, so it comes out that much later; of a time that they show twice, the
//! first is meant. Both are what RFC 5545 says for calendars.
//!
//! Instants are computed in plain microseconds, because the calendar library ends a day before the
//! last timestamp does.

use std::fmt;
use std::ops::Range;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use logq_format::Timestamp;

use super::error::{Problem, Reason};
use super::grammar::{
    Anchor, Calendar, Clock, Day, Form, MICROS_PER_HOUR, MICROS_PER_SECOND, Reading, Step,
};
use super::zone::Claim;
use super::{Context, MarkError, Marks};

/// What a text names: where it begins and, unless it is a mere instant, where it ends.
struct Extent {
    start: Timestamp,
    end: Option<Timestamp>,
}

const UNIX_EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// The instant that was read, or the first one of the interval.
pub(super) fn instant(reading: &Reading, context: &Context<'_>) -> Result<Timestamp, Problem> {
    Ok(extent(reading, context)?.start)
}

/// The interval that was read; an instant is refused.
pub(super) fn interval(
    reading: &Reading,
    context: &Context<'_>,
) -> Result<Range<Timestamp>, Problem> {
    let Extent { start, end } = extent(reading, context)?;
    let end = end.ok_or(Problem { column: reading.column, reason: Reason::NotAStretch })?;
    Ok(start..end)
}

fn extent(reading: &Reading, context: &Context<'_>) -> Result<Extent, Problem> {
    let extent = match &reading.form {
        Form::Calendar(calendar) => on_calendar(calendar, context),
        Form::Anchored(anchor, step) => from_anchor(*anchor, step.as_ref(), context),
        Form::Last(span) => stepped(context.now, &Step::Back(*span), &context.zone)
            .map(|start| Extent { start, end: Some(context.now) }),
        Form::Epoch { at, micros } => {
            Ok(Extent { start: *at, end: Some(at.saturating_add_micros(*micros)) })
        }
    };
    let extent = extent.map_err(|reason| Problem { column: reading.column, reason })?;
    if let Some(claim) = claim_of(&reading.form) {
        check(claim, extent.start)?;
    }
    Ok(extent)
}

fn claim_of(form: &Form) -> Option<&Claim> {
    match form {
        Form::Calendar(calendar) => calendar.suffix.as_ref()?.claim.as_ref(),
        _ => None,
    }
}

fn check(claim: &Claim, at: Timestamp) -> Result<(), Problem> {
    let (actual, written) = (offset_at(at, &claim.zone), claim.offset);
    if actual == written {
        return Ok(());
    }
    let reason = Reason::OffsetConflict { zone: claim.name.clone(), actual, written };
    Err(Problem { column: claim.column, reason })
}

fn on_calendar(calendar: &Calendar, context: &Context<'_>) -> Result<Extent, Reason> {
    let zone = calendar.suffix.as_ref().map_or(&context.zone, |suffix| &suffix.zone);
    let time = calendar.clock.as_ref().map_or(Time::midnight(), |clock| clock.time);
    let date = date_of(&calendar.day, time, zone, context.now)?;
    let civil = date.to_datetime(time);
    let start = instant_of(civil, zone)?;
    let end = match &calendar.clock {
        Some(Clock { micros, .. }) if *micros < MICROS_PER_HOUR => {
            start.saturating_add_micros(*micros)
        }
        Some(_) => end_of_stretch(start, civil, jiff::Span::new().hours(1), zone),
        None => end_of_stretch(start, civil, length_of(&calendar.day), zone),
    };
    Ok(Extent { start, end: Some(end) })
}

fn date_of(day: &Day, time: Time, zone: &TimeZone, now: Timestamp) -> Result<Date, Reason> {
    let days_after = |date: Date, days: i64| {
        date.checked_add(SignedDuration::from_hours(24 * days)).map_err(|_| Reason::BeyondYears)
    };
    match *day {
        Day::Year(date) | Day::Month(date) | Day::Date(date) => Ok(date),
        Day::FromToday(days) => days_after(civil_of(now, zone)?.date(), days),
        Day::Last(weekday) => {
            let today = civil_of(now, zone)?.date();
            let date = days_after(today, -i64::from(today.weekday().since(weekday)))?;
            let is_past = instant_of(date.to_datetime(time), zone)? <= now;
            if is_past { Ok(date) } else { days_after(date, -7) }
        }
    }
}

fn length_of(day: &Day) -> jiff::Span {
    match day {
        Day::Year(_) => jiff::Span::new().years(1),
        Day::Month(_) => jiff::Span::new().months(1),
        Day::Date(_) | Day::FromToday(_) | Day::Last(_) => jiff::Span::new().days(1),
    }
}

/// Where the next such stretch begins, so that a day is as long as its clocks say, and an hour
/// that they show twice is two hours long.
fn end_of_stretch(
    start: Timestamp,
    civil: DateTime,
    length: jiff::Span,
    zone: &TimeZone,
) -> Timestamp {
    let next = civil.checked_add(length).map_err(|_| Reason::BeyondYears);
    // Beyond the last year there is nothing to include.
    let end = next.and_then(|next| instant_of(next, zone)).unwrap_or(Timestamp::MAX);
    if end > start {
        return end;
    }
    // The clocks skip the whole of it, as Samoa did with a day; like a skipped instant it is then
    // read as what comes after the jump.
    let is_hour = length.get_hours() > 0;
    start.saturating_add_micros(if is_hour { MICROS_PER_HOUR } else { MICROS_PER_DAY })
}

fn from_anchor(
    anchor: Anchor,
    step: Option<&Step>,
    context: &Context<'_>,
) -> Result<Extent, Reason> {
    let extent = anchored(anchor, context)?;
    match step {
        None => Ok(extent),
        Some(step) => Ok(Extent { start: stepped(extent.start, step, &context.zone)?, end: None }),
    }
}

fn anchored(anchor: Anchor, context: &Context<'_>) -> Result<Extent, Reason> {
    let instant = |start| Extent { start, end: None };
    let failed = |error| match error {
        MarkError::Absent => Reason::NoMark { mark: anchor.to_string() },
        MarkError::Unreadable(source) => Reason::StoreFailed { mark: anchor.to_string(), source },
    };
    let marks = || context.marks.ok_or_else(|| Reason::NoStore { mark: anchor.to_string() });
    let run = |marks: &dyn Marks, back| marks.run(back).map_err(failed);
    match anchor {
        Anchor::Now => Ok(instant(context.now)),
        Anchor::Since => context.since.map(instant).ok_or(Reason::NoSince),
        Anchor::Start => Ok(instant(run(marks()?, 0)?.start)),
        Anchor::Crash => marks()?.crash().map(instant).map_err(failed),
        Anchor::Run { back } => {
            let Range { start, end } = run(marks()?, back)?;
            Ok(Extent { start, end: Some(end) })
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Since => f.write_str("since"),
            Self::Start => f.write_str("start"),
            Self::Crash => f.write_str("crash"),
            Self::Run { back: 0 } => f.write_str("run"),
            Self::Run { back } => write!(f, "run-{back}"),
        }
    }
}

/// Months and days are steps on the calendar, from a time of day to the same time of day; a month
/// that is too short gives its last day. Hours and shorter units are then counted on a stopwatch.
fn stepped(base: Timestamp, step: &Step, zone: &TimeZone) -> Result<Timestamp, Reason> {
    let (sign, span) = match step {
        Step::Back(span) => (-1, span),
        Step::Forth(span) => (1, span),
    };
    let mut at = base;
    // Without this condition the second 02:30 of an autumn night would become the first one.
    if span.months != 0 || span.days != 0 {
        let civil = civil_of(base, zone)?;
        let date = jiff::Span::new()
            .try_months(sign * span.months)
            .and_then(|length| length.try_days(sign * span.days))
            .and_then(|length| civil.date().checked_add(length))
            .map_err(|_| Reason::BeyondYears)?;
        at = instant_of(date.to_datetime(civil.time()), zone)?;
    }
    let micros = i128::from(at.as_micros()) + i128::from(sign) * (span.nanos / 1_000);
    checked(micros)
}

/// What the clocks of the zone show at an instant.
fn civil_of(at: Timestamp, zone: &TimeZone) -> Result<DateTime, Reason> {
    let offset_micros = i64::from(offset_at(at, zone).seconds()) * MICROS_PER_SECOND;
    UNIX_EPOCH
        .checked_add(SignedDuration::from_micros(at.as_micros() + offset_micros))
        .map_err(|_| Reason::BeyondYears)
}

/// The instant at which the clocks of the zone show `civil`; digits below a microsecond are cut.
fn instant_of(civil: DateTime, zone: &TimeZone) -> Result<Timestamp, Reason> {
    let offset = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
    };
    let local_micros = civil.duration_since(UNIX_EPOCH).as_nanos().div_euclid(1_000);
    checked(local_micros - i128::from(offset.seconds()) * i128::from(MICROS_PER_SECOND))
}

fn offset_at(at: Timestamp, zone: &TimeZone) -> Offset {
    // Only the last day of the year 9999 is beyond; no zone has plans for it.
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX);
    zone.to_offset(at)
}

fn checked(micros: i128) -> Result<Timestamp, Reason> {
    i64::try_from(micros).ok().and_then(Timestamp::checked_from_micros).ok_or(Reason::BeyondYears)
}
