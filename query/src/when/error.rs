//! What can be wrong with a text about time: the reason, a caret under the place, the forms read.
//!
//! Only the wording lives here. The parsers decide which reason applies, and where.

use std::error::Error;
use std::fmt;

use crate::refusal::Refusal;

/// Says that a text could not be read as a time, an interval, a duration or a time zone.
///
/// `Display` takes several lines: the reason, the text with a caret below the place, and, when the
/// text itself is at fault, the forms that are accepted.
#[derive(Debug)]
pub struct WhenError {
    /// What the text was read as.
    pub subject: Subject,
    /// The text as given.
    pub text: String,
    /// Where the trouble begins: characters from the start of `text`, at most its length.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What a text was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One instant.
    Time,
    /// A stretch of time with a beginning and an end.
    Interval,
    /// A length of time.
    Duration,
    /// A time zone.
    Zone,
}

/// A reason together with the column where it applies; becomes a [`WhenError`] with the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) column: usize,
    pub(super) reason: Reason,
}

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is empty or blank.
    #[error("nothing is written here")]
    Empty,
    /// Something else had to follow.
    #[error("expected {expected}, found {}", name_of(*.found))]
    Unexpected {
        /// What would have been read here.
        expected: &'static str,
        /// The character in its place; `None` is the end of the text.
        found: Option<char>,
    },
    /// A number lies outside of what its field can hold.
    #[error("{field} {value} is out of range {min} to {max}")]
    OutOfRange {
        /// The field, such as `month`.
        field: &'static str,
        /// The digits as written.
        value: String,
        /// The least value allowed.
        min: u8,
        /// The greatest value allowed.
        max: u8,
    },
    /// A minute or second is written with one digit, so a zero may be missing on either side.
    #[error("{field} {value} needs two digits")]
    OneDigit {
        /// The field, such as `minute`.
        field: &'static str,
        /// The digit as written.
        value: String,
    },
    /// More decimals than nanoseconds have.
    #[error("more than 9 decimals")]
    TooManyDecimals,
    /// A number or a duration beyond what any unit could use.
    #[error("the number is too large")]
    TooLarge,
    /// A number without anything that tells what it counts.
    #[error("the meaning of {number} is unclear: write {}", hint_for(number, *.followed_by))]
    BareNumber {
        /// The digits as written.
        number: String,
        /// The character after them.
        followed_by: Option<char>,
    },
    /// A number of a duration without a unit.
    #[error("{number} needs a unit, as in {number}m or {number}s")]
    NoUnit {
        /// The digits as written.
        number: String,
    },
    /// A word in the place of a unit that is none.
    #[error("unknown unit {unit:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownUnit {
        /// The word as written.
        unit: String,
        /// A unit that looks like it.
        nearest: Option<String>,
    },
    /// `M`, which some tools read as minutes and others as months.
    #[error("unit M could be minutes or months: write m or mo")]
    AmbiguousUnit,
    /// A fraction of a month or year.
    #[error("a part of a {unit} has no fixed length: write whole months, or days")]
    PartOfMonth {
        /// `month` or `year`.
        unit: &'static str,
    },
    /// A month or year where only fixed lengths make sense.
    #[error("a {unit} has no fixed length: write days")]
    NoFixedLength {
        /// `month` or `year`.
        unit: &'static str,
    },
    /// A word that names no time.
    #[error("unknown word {word:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownWord {
        /// The word as written.
        word: String,
        /// A known word that looks like it.
        nearest: Option<String>,
    },
    /// A time zone that the database does not have.
    #[error("unknown time zone {name:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownZone {
        /// The name as written.
        name: String,
        /// A known name that looks like it.
        nearest: Option<String>,
    },
    /// An offset and a zone in brackets that contradict each other.
    #[error("{zone} is at {actual} then, not at {written}")]
    OffsetConflict {
        /// The zone as written.
        zone: String,
        /// The offset in use there at that time.
        actual: jiff::tz::Offset,
        /// The offset as written.
        written: jiff::tz::Offset,
    },
    /// A time before the year 0000 or after 9999.
    #[error("the time lies outside of the years 0000 to 9999")]
    BeyondYears,
    /// An instant where an interval was asked for.
    #[error("this is one instant, and a stretch of time is needed")]
    NotAStretch,
    /// `since` without a beginning it could mean.
    #[error("`since` means the beginning of the range, and none is given")]
    NoSince,
    /// A mark such as `crash` where there is no store to look it up in.
    #[error("{mark} is looked up in a store, and there is none here")]
    NoStore {
        /// The mark as written.
        mark: String,
    },
    /// A mark that the store does not have.
    #[error("the store has no {mark}: {}", absence(mark))]
    NoMark {
        /// The mark as written.
        mark: String,
    },
    /// A store that failed while a mark was looked up.
    #[error("the store could not be read to find {mark}")]
    StoreFailed {
        /// The mark as written.
        mark: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Problem {
    /// Completes the problem with the text it was found in.
    pub(super) fn within(self, text: &str, subject: Subject) -> WhenError {
        WhenError { subject, text: text.to_owned(), column: self.column, reason: self.reason }
    }
}

impl Reason {
    /// Whether another way of writing would help, as opposed to another time or another store.
    fn blames_the_writing(&self) -> bool {
        !matches!(
            self,
            Self::OffsetConflict { .. }
                | Self::BeyondYears
                | Self::NoSince
                | Self::NoStore { .. }
                | Self::NoMark { .. }
                | Self::StoreFailed { .. }
        )
    }
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Interval => "interval",
            Self::Duration => "duration",
            Self::Zone => "time zone",
        }
    }

    /// One example of each form, ready to be copied.
    pub(super) fn accepted(self) -> &'static str {
        match self {
            Self::Time => {
                "2026-02-03, 2026-02-03 14:05:06.789, 2026-02-03T14:05:06Z, 2026-02-03 14:05 +02:00,
            2026-02-03 14:05 Europe/Berlin, 14:05, today, yesterday 14:05, monday, 3h ago, -3h,
            1d2h30m, +5m, since+5m, @1700000000, now, start, crash, run-1"
            }
            Self::Interval => {
                "2026, 2026-02, 2026-02-03, 2026-02-03T14, 2026-02-03 14:05, 14:05, today,
            yesterday 14, monday, 3h (the last three hours), run-1"
            }
            Self::Duration => "500us, 250ms, 5s, 1.5h, 1h30m, 2d, 1w",
            Self::Zone => "UTC, Z, +02:00, +0200, +02, local, Europe/Berlin",
        }
    }
}

impl fmt::Display for WhenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, column, reason, subject } = self;
        let is_form = reason.blames_the_writing();
        let hint = is_form.then(|| format!("accepted: {}", subject.accepted()));
        Refusal { subject: subject.name(), text, column: *column, reason, hint }.fmt(f)
    }
}

impl Error for WhenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

fn name_of(found: Option<char>) -> String {
    match found {
        Some(found) => format!("{:?}", found.to_string()),
        None => "the end".to_owned(),
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

/// What somebody who wrote only a number probably wanted.
/// What would have to be in a store for it to know such a mark.
fn absence(mark: &str) -> &'static str {
    match mark {
        "crash" => "no process is known to have ended badly",
        _ => "a run begins with the event STARTING_UP of a master",
    }
}

fn hint_for(number: &str, followed_by: Option<char>) -> String {
    match (number.len(), followed_by) {
        (_, Some('/' | '.' | '-')) | (3..=8, _) => "a date as 2026-02-03".to_owned(),
        (..=2, _) => format!("a time as 14:05, or {number}h for so many hours ago"),
        _ => format!("seconds since 1970 as @{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_texts_keep_the_caret_in_place() {
        let check = |text: &str, column, expected: &str| {
            let reason = Reason::TooLarge;
            let error = Problem { column, reason }.within(text, Subject::Duration);
            let shown = error.to_string();
            assert_eq!(shown.lines().skip(1).take(2).collect::<Vec<_>>().join("\n"), expected);
        };
        check("5\tm", 2, "  5\u{fffd}m\n    ^");
        check("µs", 2, "  µs\n    ^");
        let (line, indent) = ("7".repeat(72), " ".repeat(36));
        check(&"7".repeat(1_000), 500, &format!("  {line}\n  {indent}^"));
    }
}
