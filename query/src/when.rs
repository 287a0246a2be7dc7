//! The time grammar: what people write for an instant, an interval, a duration and a time zone.
//!
//! One grammar serves `--since`, `--until`, `--in`, `--where` and HTTP. Apart from the time zone
//! database it looks at nothing but the text: [`Context`] brings the present, the zone and the marks
//! of a store.
//!
//! ```text
//! form       examples                                        interval
//! date       2026  2026-02  2026-02-03                       the whole of it
//! date time  2026-02-03 14  2026-02-03T14:05                 that hour, that minute,
//!            2026-02-03 14:05:06  2026-02-03 14:05:06.789    second, millisecond
//! time       14:05  14:05:06  14:05:06,789                   likewise, today
//! day        today  yesterday 14:05  tomorrow 9              likewise
//! weekday    monday  mon 14:00                               likewise
//! zone       Z  +02:00  +0200  +02  Europe/Berlin            (after any of the above, with
//!            [Europe/Berlin]  +01:00[Europe/Berlin]          or without a space)
//! epoch      @1700000000  @1700000000123  @1700000000.5      that second, ms, 100 ms
//! length     3h  1d2h30m  1.5 hours                          from so long ago to now
//! run        run  run-1                                      from its start to its end
//! anchor     now  since  start  crash                        none
//! step       3h ago  -3h  +5m  now - 3h  since+5m  crash-2m  none
//! ```
//!
//! As an instant, each form means the beginning of its interval. What needs saying:
//!
//! * A weekday is the latest one that is not in the future: on a Monday at ten, `monday` is today
//!   and `monday 14:00` is on the Monday before. A time without a day is always today.
//! * `start` is where the latest run starts, the one that `run` names; `run-1` is the run before.
//! * Units: ns us ms s m h d w mo y, and their long names. Days, weeks, months and years are steps
//!   on the calendar of the zone, the others on a stopwatch.
//! * The unit of an epoch number goes by magnitude: seconds below 10^11, milliseconds below 10^14,
//!   microseconds below 10^17, then nanoseconds.
//! * Words, zone names and units may be upper or lower case, except for `M`: it is refused, because
//!   it means minutes to some and months to others.
//! * RFC 3339 is a date with a time and a zone, so every time that the command prints is read back
//!   as the same microsecond. Digits below a microsecond are cut off.
//! * Where the clocks of a zone jump, a skipped time is read as later by the jump, and of a
//!   repeated time the first is meant.

mod error;
mod grammar;
mod resolve;
mod scan;
mod span;
#[cfg(test)]
mod tests;
mod zone;

use std::error::Error;
use std::ops::Range;

use jiff::tz::TimeZone;
use logq_format::Timestamp;

pub use self::error::{Reason, Subject, WhenError};
pub use self::span::parse_duration;
pub use self::zone::parse_zone;

/// What a text about time is relative to.
pub struct Context<'a> {
    /// The present.
    pub now: Timestamp,
    /// The zone of dates and times that name none, and of steps by days and months.
    pub zone: TimeZone,
    /// The beginning of the range, which `since+5m` counts from.
    pub since: Option<Timestamp>,
    /// Where `start`, `crash` and `run-1` are looked up; `None` if there is no store.
    pub marks: Option<&'a dyn Marks>,
}

/// Instants that a store knows by name. Asked only for the names that a text contains.
pub trait Marks {
    /// When the latest crash happened.
    ///
    /// # Errors
    ///
    /// The store knows of no crash, or could not be read.
    fn crash(&self) -> Result<Timestamp, MarkError>;

    /// The run that is `back` runs before the latest one, from its start to its end; a run that
    /// goes on ends at [`Timestamp::MAX`].
    ///
    /// # Errors
    ///
    /// The store does not reach back so far, or could not be read.
    fn run(&self, back: u32) -> Result<Range<Timestamp>, MarkError>;
}

/// Why a store does not tell a mark.
#[derive(Debug)]
pub enum MarkError {
    /// It has none.
    Absent,
    /// It could not be read.
    Unreadable(Box<dyn Error + Send + Sync>),
}

/// Reads one instant; of a date or another interval, the first one.
///
/// # Errors
///
/// The text has none of the forms above, names a time outside of the years 0000 to 9999, or needs
/// something that the context does not have. The message shows the place and, if it helps, the
/// forms.
pub fn parse_instant(text: &str, context: &Context<'_>) -> Result<Timestamp, WhenError> {
    grammar::read(text)
        .and_then(|reading| resolve::instant(&reading, context))
        .map_err(|problem| problem.within(text, Subject::Time))
}

/// Reads an interval: its first instant, and the first one after it.
///
/// Days and hours end where the next one begins on the clocks of the zone, so a day can have 23 or
/// 25 hours, and an hour that the clocks show twice lasts two; minutes and shorter always have
/// their length. The end is at most [`Timestamp::MAX`].
///
/// # Errors
///
/// As [`parse_instant`]; also a text that names a mere instant, such as `3h ago`.
pub fn parse_interval(text: &str, context: &Context<'_>) -> Result<Range<Timestamp>, WhenError> {
    grammar::read(text)
        .and_then(|reading| resolve::interval(&reading, context))
        .map_err(|problem| problem.within(text, Subject::Interval))
}
