//! Why a question about a store is not answered, in words that hold nothing of the question.
//!
//! The parsers' own messages show the text with a caret below the place. Here the client has the text,
//! and gets the column and what was expected there.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use logq_query::BucketsError;
use logq_query::expression::{ExpressionError, Reason};
use logq_query::when::{Reason as TimeReason, WhenError};
use logq_query::words::WordError;
use logq_reader::{CursorError, FollowError, OpenError, ReadError};

use crate::problem::Problem;

/// Says why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The question cannot be understood.
    #[error("{}", .0.text())]
    Asked(Problem),
    /// The store is not there, or cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Asked(problem)
    }
}

impl Refusal {
    /// The client's mistake, in words of this program.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::Asked(Problem::bad_request(text))
    }

    /// What the client is told. Paths and errors of the system are not its business.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Asked(problem) => problem,
            Self::Open(_) => Problem::new(
                StatusCode::NOT_FOUND,
                "the store is not there, or cannot be opened; try again later",
            )
            .header(RETRY_AFTER, HeaderValue::from_static("2")),
            Self::Read(ReadError::Cursor(error)) => cursor(&error),
            Self::Follow(FollowError::Read(ReadError::Cursor(error))) => cursor(&error),
            Self::Read(_) | Self::Follow(_) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read")
            }
        }
    }
}

/// A cursor that does not fit: 410 where it is of another store, since no other answer will come.
pub(super) fn cursor(error: &CursorError) -> Problem {
    let (status, text) = match error {
        CursorError::OtherStore { .. } | CursorError::MissingStore { .. } => {
            (StatusCode::GONE, "after: the cursor belongs to another store; start without it")
        }
        CursorError::OtherOrder { .. } => {
            (StatusCode::BAD_REQUEST, "after: the cursor is of an answer in the other order")
        }
        CursorError::Newer { .. } => {
            (StatusCode::BAD_REQUEST, "after: the cursor is of a newer version")
        }
        _ => (StatusCode::BAD_REQUEST, "after: this is no cursor"),
    };
    Problem::new(status, text)
}

/// A text that is no time, interval, duration or zone.
pub(super) fn time(name: &'static str, error: &WhenError) -> Refusal {
    let reason = when(&error.reason);
    Refusal::bad(format!("{name}, column {}: {reason}", error.column + 1))
}

fn when(reason: &TimeReason) -> String {
    match reason {
        TimeReason::Unexpected { expected, .. } => format!("expected {expected}"),
        TimeReason::OutOfRange { field, min, max, .. } => {
            format!("the {field} is out of range {min} to {max}")
        }
        TimeReason::OneDigit { field, .. } => format!("the {field} needs two digits"),
        TimeReason::BareNumber { .. } => {
            "the meaning of the number is unclear: write 14:02, 3h or @1770127331".to_owned()
        }
        TimeReason::NoUnit { .. } => "the number needs a unit, as in 3m or 3s".to_owned(),
        TimeReason::UnknownUnit { .. } => {
            "unknown unit; there are ns us ms s m h d w mo y".to_owned()
        }
        TimeReason::UnknownWord { .. } => {
            "unknown word; times are such as 14:02, 2026-02-03 14:02, yesterday, 3h".to_owned()
        }
        TimeReason::UnknownZone { .. } => "unknown time zone".to_owned(),
        TimeReason::OffsetConflict { .. } => "the offset is not that of the zone then".to_owned(),
        reason @ (TimeReason::Empty
        | TimeReason::TooManyDecimals
        | TimeReason::TooLarge
        | TimeReason::AmbiguousUnit
        | TimeReason::PartOfMonth { .. }
        | TimeReason::NoFixedLength { .. }
        | TimeReason::BeyondYears
        | TimeReason::NotAStretch
        | TimeReason::NoSince) => reason.to_string(),
        _ => "this time is not known here".to_owned(),
    }
}

/// A text that is no expression or no field.
pub(super) fn expression(name: &'static str, error: &ExpressionError) -> Refusal {
    let reason = match &error.reason {
        Reason::Unexpected { expected, .. } => format!("expected {expected}"),
        Reason::UnknownField { nearest: Some(nearest), .. } => {
            format!("unknown field; did you mean {nearest}?")
        }
        Reason::UnknownField { .. } => {
            "unknown field; what was logged as data is asked with data.NAME".to_owned()
        }
        Reason::Operator { operators, .. } => format!("this field is asked with {operators}"),
        Reason::Operand { expected, .. } => format!("this field is compared with {expected}"),
        Reason::Unclear { hint, .. } => format!("the meaning is unclear: {hint}"),
        Reason::Unordered { .. } => "this value has no order: use = or !=".to_owned(),
        Reason::FieldAsValue { .. } => {
            "a field stands where a value belongs; put it in quotes if this text is meant"
                .to_owned()
        }
        Reason::Address { .. } => "this is no address and no network".to_owned(),
        Reason::Word(error) => self::word_reason(error),
        Reason::When(reason) => when(reason),
        Reason::Pattern { .. } => "the pattern is no regular expression".to_owned(),
        Reason::UnknownEvent { .. } | Reason::EventAsType { .. } => {
            "there is no such type or event".to_owned()
        }
        reason @ (Reason::Empty
        | Reason::TooLong { .. }
        | Reason::TooDeep { .. }
        | Reason::TooManyPatterns { .. }
        | Reason::NoFieldsWithin { .. }
        | Reason::Unterminated { .. }
        | Reason::UnknownEscape
        | Reason::TooLarge
        | Reason::Prefix { .. }) => reason.to_string(),
        _ => "it cannot be read".to_owned(),
    };
    Refusal::bad(format!("{name}, column {}: {reason}", error.column + 1))
}

/// A word that names no level, type, worker or request.
pub(super) fn word(name: &'static str, error: &WordError) -> Refusal {
    Refusal::bad(format!("{name}: {}", word_reason(error)))
}

fn word_reason(error: &WordError) -> String {
    let (what, suggestion) = match error {
        WordError::Level { suggestion, .. } => {
            ("unknown level; the levels are critical, error, warn, info, debug, trace", *suggestion)
        }
        WordError::Type { suggestion, .. } => {
            ("unknown type; types are such as REQUEST, RESPONSE, LOG, LIFECYCLE", *suggestion)
        }
        WordError::Worker { .. } => ("expected the number of a worker, or master", None),
        WordError::Request { .. } => ("expected the id of a request, a UUID", None),
        _ => ("unknown word", None),
    };
    let meant = suggestion.map(|word| format!("; did you mean {word}?")).unwrap_or_default();
    format!("{what}{meant}")
}

/// A pattern that is no regular expression. What is wrong with it would repeat it.
pub(super) fn pattern(name: &'static str, error: &impl std::error::Error) -> Refusal {
    let is_large = error.to_string().contains("size limit");
    let reason = if is_large { "it is too large" } else { "it is no regular expression" };
    Refusal::bad(format!("{name}: {reason}; with fixed=1 it is plain text"))
}

/// A width that no histogram can have.
pub(super) fn buckets(error: &BucketsError) -> Refusal {
    match error {
        BucketsError::Width(error) => time("step", error),
        other => Refusal::bad(format!("step: {other}")),
    }
}
