//! What can be wrong with an expression or a field: the reason, a caret under the place, examples.
//!
//! Only the wording lives here. The parser decides which reason applies, and where.

use std::error::Error;
use std::fmt;

use crate::refusal::{Refusal, clip};
use crate::when;
use crate::words::WordError;

/// Says that a text could not be read as an expression or as a field.
///
/// `Display` takes several lines: the reason, the text with a caret below the place, and, where
/// another way of writing would help, examples.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExpressionError {
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
    /// An expression of `--where`.
    Expression,
    /// The name of a field.
    Field,
}

/// A reason together with the byte where it applies; becomes an [`ExpressionError`] with the text.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    /// Characters behind `at`, of a problem within a word.
    pub(crate) beyond: usize,
    pub(crate) reason: Reason,
}

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is empty or blank.
    #[error("nothing is written here")]
    Empty,
    /// The text is longer than anything written on purpose.
    #[error("it is {bytes} bytes long, and at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most bytes.
        limit: usize,
    },
    /// Parentheses or `not` within each other.
    #[error("parentheses and `not` can be nested {limit} deep")]
    TooDeep {
        /// The deepest nesting.
        limit: usize,
    },
    /// More patterns than memory should be spent on.
    #[error("an expression can have {limit} patterns: join some, as in 'this|that'")]
    TooManyPatterns {
        /// The most patterns.
        limit: usize,
    },
    /// Something else had to follow.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What would have been read here.
        expected: &'static str,
        /// What is there, in quotes, or `the end`.
        found: String,
    },
    /// A name that no field has.
    #[error("unknown field {word:?}{}", field_hint(word, *nearest))]
    UnknownField {
        /// The name as written.
        word: String,
        /// A field with a similar name.
        nearest: Option<&'static str>,
    },
    /// A path behind a field that is no object.
    #[error("{field} has no fields of its own; only data and error have")]
    NoFieldsWithin {
        /// The field.
        field: &'static str,
    },
    /// A string that does not end.
    #[error("the text that begins here has no closing {quote}")]
    Unterminated {
        /// Its quote.
        quote: char,
    },
    /// A backslash in a string that begins no escape.
    #[error(
        "unknown escape; known are \\\\ \\' \\\" \\/ \\b \\f \\n \\r \\t \\uXXXX, and a backslash \
         itself is written \\\\"
    )]
    UnknownEscape,
    /// An operator that makes no sense for the field.
    #[error("{field} is asked with {operators}")]
    Operator {
        /// The field.
        field: String,
        /// The operators it is asked with.
        operators: &'static str,
    },
    /// A value of a kind that the field never has.
    #[error("{field} is compared with {expected}")]
    Operand {
        /// The field.
        field: String,
        /// The kind of value, with an example.
        expected: &'static str,
    },
    /// An operator that orders and a value that has no order.
    #[error("{value} is neither less nor greater than anything: use = or !=")]
    Unordered {
        /// The value as written.
        value: String,
    },
    /// A word that could be a number with a misspelt unit.
    #[error("the meaning of {word} is unclear: {hint}")]
    Unclear {
        /// The word as written.
        word: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// A field in the place of a value.
    #[error(
        "{word} stands where a value belongs: fields are compared with values only; put it in quotes if this text is meant"
    )]
    FieldAsValue {
        /// The field as written.
        word: String,
    },
    /// A number that is too large to be compared with.
    #[error("the number is too large")]
    TooLarge,
    /// A text that is neither an address nor a network.
    #[error(
        "{text:?} is no address such as 192.0.2.7 or 2001:db8::1, and no network such as 192.0.2.0/24"
    )]
    Address {
        /// The text as written.
        text: String,
    },
    /// A prefix longer than the address.
    #[error("the prefix of such a network has 0 to {max} bits")]
    Prefix {
        /// The bits of an address of that family.
        max: u8,
    },
    /// An event that no record has.
    #[error("unknown event {word:?}{}", did_you_mean(*nearest))]
    UnknownEvent {
        /// The name as written.
        word: String,
        /// An event with a similar name.
        nearest: Option<&'static str>,
    },
    /// An event in the place of a type.
    #[error("{word} is an event: write event = {word}")]
    EventAsType {
        /// The event as written.
        word: String,
    },
    /// A level, type, worker or request that is none.
    #[error("{0}")]
    Word(#[source] WordError),
    /// A time that could not be read.
    #[error("{0}")]
    When(#[source] when::Reason),
    /// A pattern that is no regular expression.
    #[error("the pattern is no regular expression: {message}")]
    Pattern {
        /// What is wrong with it.
        message: String,
    },
}

/// Names that people give to what is in `data`.
const IN_DATA: [&str; 8] = ["message", "msg", "name", "user", "path", "host", "text", "code"];

fn field_hint(word: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) if !IN_DATA.contains(&word) => format!("; did you mean {nearest}?"),
        _ => format!("; what was logged as data is asked with data.{}", clip(word)),
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

impl Problem {
    pub(crate) fn new(at: usize, reason: Reason) -> Self {
        Self { at, beyond: 0, reason }
    }

    /// Completes the problem with the text it was found in.
    pub(crate) fn within(self, text: &str, subject: Subject) -> ExpressionError {
        let before = text.get(..self.at).unwrap_or(text);
        let column = before.chars().count().saturating_add(self.beyond);
        let column = column.min(text.chars().count());
        // A text that is refused for its length is of no use in a message.
        let shown = match self.reason {
            Reason::TooLong { .. } => clip(text),
            _ => text.to_owned(),
        };
        ExpressionError { subject, text: shown, column, reason: self.reason }
    }
}

impl Reason {
    /// Whether examples would help.
    fn blames_the_writing(&self) -> bool {
        matches!(self, Self::Empty | Self::Unexpected { .. } | Self::UnknownField { .. })
    }
}

const EXAMPLES: &str = "status >= 500, level >= error and ms > 250ms, url ~ '^/api/', worker in (1, 2),
            ip in 192.0.2.0/24, bytes > 1MiB, timestamp >= '14:05', data.user.id = 7, exists(error)";

const FIELDS: &str =
    "timestamp, level, type, workerId, writer, seq, requestId, ipAddress, httpVersion,
          method, url, section, statusCode, bytes, durationMs, error, data, event, exitCode, signal,
          data.user.id, data.items[0], data.\"odd key\", error.text";

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, examples) = match self.subject {
            Subject::Expression => ("expression", format!("examples: {EXAMPLES}")),
            Subject::Field => ("field", format!("fields: {FIELDS}")),
        };
        let Self { text, column, reason, .. } = self;
        let hint = reason.blames_the_writing().then_some(examples);
        Refusal { subject, text, column: *column, reason, hint }.fmt(f)
    }
}

impl Error for ExpressionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}
