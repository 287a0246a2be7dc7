//! Expressions of `--where`: questions about the fields of a record, joined by `and`, `or` and `not`.
//!
//! ```text
//! status >= 500                       numbers; sizes: bytes > 1MiB, 1.5MB, 10KiB
//! ms > 250ms                          durations; a plain number is milliseconds
//! level >= warn and not type = LOG    at least as severe as
//! url ~ '^/api/(users|orders)'        a pattern that occurs in the text; !~ one that does not
//! timestamp >= '14:05'                the time grammar; in '2026-02-03', = '14:05': the whole of it
//! status in (500, 502)                lists; not in
//! ip in 192.0.2.0/24                  networks; ip in (192.0.2.0/24, 2001:db8::/32)
//! worker = master                     null, for which master is another word
//! data.user.id = 7                    into the data, see `FieldPath`
//! data.items[0]."unit price" < 9.5
//! exists(error) and error.code = 'ECONNRESET'
//! ```
//!
//! `and` binds tighter than `or`, `not` tighter than both. `&&`, `||`, `!`, `==` and `=~` are
//! understood as well, words of the language in upper or lower case.
//!
//! # Values
//!
//! Text is written in quotes of either kind, with the escapes of JSON. It needs none where it is a
//! word: without spaces, brackets, quotes and any of `,=!<>~&|`, no number and no word of the language.
//! In a pattern a backslash belongs to the pattern, and only the quote itself is escaped. Patterns
//! are those of the crate `regex`: their time is linear, upper and lower case differ unless they begin
//! with `(?i)`.
//!
//! Nothing is converted. A number is equal to numbers only, text to strings only: `data.id = 12` does
//! not find `"12"`, and `data.id = '12'` does not find `12`. Integers of up to 64 bits are compared
//! exactly, other numbers as 64-bit floating point. Text is ordered by its bytes. Methods, types,
//! events and signals are compared regardless of case, and as addresses the mapped form
//! `::ffff:192.0.2.7` and `192.0.2.7` are the same. A more severe level is greater than a less
//! severe one: `level >= error` is ERROR and CRITICAL. A pattern looks into the text of any value as
//! it is printed, into arrays and objects as JSON.
//!
//! # Fields that are not there
//!
//! An answer is true or false, never "unknown". What asks for a value is false where there is none,
//! whatever it asks; `not` turns any answer around. So `status != 200` finds responses only, and `not
//! status = 200` all records but the responses with 200:
//!
//! ```text
//! data.x is              12      "12"    null    not there
//! exists(data.x)         true    true    true    false
//! data.x = 12            true    false   false   false
//! data.x != 12           false   true    true    false
//! not data.x = 12        false   true    true    true
//! data.x < 13            true    false   false   false
//! data.x >= 13           false   false   false   false
//! data.x = null          false   false   true    false
//! data.x != null         true    true    false   false
//! data.x in (1, 12)      true    false   false   false
//! data.x not in (1, 12)  false   true    true    false
//! not data.x in (1, 12)  false   true    true    true
//! data.x ~ '1'           true    true    false   false
//! data.x !~ '1'          false   false   true    false
//! ```

use std::fmt;

use logq_format::{Level, Origin, Record, RecordType, RequestId, SpineRow, Timestamp, TypeSet};

use crate::when::Context;

mod cursor;
mod error;
mod implied;
mod judge;
mod literal;
mod operand;
mod parse;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::cursor::Cursor;
pub(crate) use self::error::Problem;
pub use self::error::{ExpressionError, Reason, Subject};
pub use self::judge::{BlockFacts, Verdict};

use self::judge::{KindFacts, RecordFacts, RowFacts, StatusFacts};
use self::tree::Node;

/// A question that a record answers with yes or no; see the module for the language.
///
/// It can be judged in stages, each of which costs more than the one before and is needed only where
/// the one before answers [`Verdict::Unknown`]: by the header of a block, by the level and type of a
/// record, by its row of the spine, by the record. All stages agree.
///
/// `Display` prints a canonical form, on one line, that is read as the same expression in any
/// context: names in full, times in UTC.
///
/// # Examples
///
/// ```
/// use jiff::tz::TimeZone;
/// use logq_format::{Event, Origin, Record, RequestId, Response, Timestamp, WriterId};
/// use logq_query::{Expression, when};
///
/// let context = when::Context {
///     now: "2026-02-03T15:00:00Z".parse()?,
///     zone: TimeZone::UTC,
///     since: None,
///     marks: None,
/// };
/// let slow = Expression::parse("status >= 500 or ms > 1.5s and time >= 14:05", &context)?;
/// assert_eq!(
///     slow.to_string(),
///     "statusCode >= 500 or durationMs > 1500ms and timestamp >= '2026-02-03T14:05:00.000000Z'",
/// );
///
/// let event = Event::Response(Response {
///     request: RequestId::default(),
///     status: 200,
///     error: None,
///     expected: false,
///     bytes: None,
///     duration_us: Some(1_500_001),
/// });
/// let record = Record { time: "2026-02-03T14:05:00Z".parse()?, event };
/// assert!(slow.matches(&record, Origin { writer: WriterId(1), worker: None }, 0));
///
/// let message = Expression::parse("staus = 200", &context).unwrap_err().to_string();
/// assert!(message.contains("did you mean status?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    node: Node,
}

impl Expression {
    /// Reads an expression; times in it are relative to `context`.
    ///
    /// # Errors
    ///
    /// The text is none, or asks a field what it can never be. The message shows the place.
    pub fn parse(text: &str, context: &Context<'_>) -> Result<Self, ExpressionError> {
        match parse::parse(text, context) {
            Ok(node) => Ok(Self { node }),
            Err(problem) => Err(problem.within(text, Subject::Expression)),
        }
    }

    /// Both expressions at once, as of a `--where` that is given twice.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { node: Node::all(vec![self.node, other.node]) }
    }

    /// Whether the record matches.
    pub fn matches(&self, record: &Record<'_>, origin: Origin, sequence: u64) -> bool {
        self.node.judge(&RecordFacts { record, origin, sequence }) == Verdict::Always
    }

    /// What the header of a block tells of its records: whether all, none or some of them match.
    pub fn judge_block(&self, block: &BlockFacts) -> Verdict {
        let levels = Level::ALL.into_iter().filter(|level| block.levels.contains(*level));
        let types = || RecordType::ALL.into_iter().filter(|each| block.types.contains(*each));
        let mut verdicts = levels
            .flat_map(|level| types().map(move |record_type| (level, record_type)))
            .map(|(level, record_type)| self.judge_kind(level, record_type, block));
        let Some(first) = verdicts.next() else { return Verdict::Unknown };
        match verdicts.all(|verdict| verdict == first) {
            true => first,
            false => Verdict::Unknown,
        }
    }

    /// What is known of the records of this level and type in such a block.
    pub fn judge_kind(&self, level: Level, record_type: RecordType, block: &BlockFacts) -> Verdict {
        self.node.judge(&KindFacts { level, record_type, block })
    }

    /// What is known of the responses of this level and status in such a block.
    pub fn judge_status(&self, level: Level, status: u16, block: &BlockFacts) -> Verdict {
        self.node.judge(&StatusFacts { level, status, block })
    }

    /// What the spine tells of a record.
    pub fn judge_row(&self, row: &SpineRow<'_, '_>, origin: Origin) -> Verdict {
        self.node.judge(&RowFacts { row, origin })
    }

    /// Whether it may take the decoded record to judge a record of one of these types; if not, the
    /// rows of the spine always suffice.
    pub fn needs_record(&self, types: TypeSet) -> bool {
        let mut inside = RecordType::ALL.into_iter().filter(|each| types.contains(*each));
        inside.any(|record_type| self.node.needs_record(record_type))
    }

    /// The requests that matching records belong to, sorted; `None` if the expression does not
    /// confine them.
    pub fn requests(&self) -> Option<Vec<RequestId>> {
        self.node.requests()
    }

    /// The times that matching records can have: the first one, and the first one after them.
    pub fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        self.node.times()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}
