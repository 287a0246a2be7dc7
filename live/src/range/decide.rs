//! What a request for a range of a growing stream gets: one table, one function.
//!
//! n is the length now, N a final length, V = 2^53 - 1. Following is what readers of a log want; without
//! it they get what is there.
//!
//! | asked for | ended | open | open, following |
//! |---|---|---|---|
//! | all | 200, N bytes | 200, n bytes | 200, until the end |
//! | `a-b`, b < n | 206 `a-b/N` | 206 `a-b/*` | 206 `a-b/*` |
//! | `a-b`, a < n <= b < V | 206 `a-(N-1)/N` | 206 `a-(n-1)/*` | 206 `a-b/*`, waits for the rest |
//! | `a-b`, b >= V | 206 `a-(N-1)/N` | 206 `a-(n-1)/*` | 206 `a-b/*`, until the end (RFC 8673) |
//! | `a-` | 206 `a-(N-1)/N` | 206 `a-(n-1)/*` | 206 `a-V/*`, until the end |
//! | a = n | 416 `*/N` | 416 `*/n` | 206 at once, and waits |
//! | a > n | 416 `*/N` | 416 `*/n` | held until byte a is there, else 416 `*/n` |
//! | `-k` | 206, the last k | 206, the last k | 206, the last k, then until the end |
//! | `-0`, malformed, several | 416 | 416 | 416 |

use crate::model::Progress;

use super::Wanted;

/// The last position that stands for an end nobody knows yet: 2^53 - 1, the largest integer that
/// every client can hold, as is the custom with RFC 8673.
pub const LAST_UNKNOWN: u64 = (1 << 53) - 1;

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before this offset, and all bytes are there.
    Stored(u64),
    /// Before this offset, or where the stream ends if it ends earlier.
    Awaited(u64),
    /// Where the stream ends.
    Stream,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: all from the beginning.
    Whole {
        /// Where the body ends.
        end: End,
    },
    /// 206: from a byte on.
    Part {
        /// The first byte.
        first: u64,
        /// The last position for Content-Range.
        last: u64,
        /// The whole length for Content-Range, if it is final.
        total: Option<u64>,
        /// Where the body ends.
        end: End,
    },
    /// Wait until byte `first` is there, or the stream ends, and decide again; after a while
    /// [`Answer::NotSatisfiable`].
    Hold {
        /// The byte to wait for.
        first: u64,
    },
    /// 416, with the length now.
    NotSatisfiable,
}

impl Answer {
    /// The offset at which the body starts.
    #[must_use]
    pub const fn start(&self) -> u64 {
        match self {
            Self::Part { first, .. } => *first,
            _ => 0,
        }
    }
}

/// What a request gets from a stream that has come so far.
#[must_use]
pub fn decide(wanted: Wanted, progress: Progress, follow: bool) -> Answer {
    let len = progress.len;
    let follow = follow && !progress.state.is_terminal();
    let total = progress.state.is_terminal().then_some(len);
    match wanted {
        Wanted::All if follow => Answer::Whole { end: End::Stream },
        Wanted::All => Answer::Whole { end: End::Stored(len) },
        Wanted::Impossible | Wanted::Suffix(0) => Answer::NotSatisfiable,
        Wanted::Suffix(count) if follow => onward(len.saturating_sub(count), LAST_UNKNOWN),
        // RFC 9110 calls this satisfiable, and no Content-Range can say it.
        Wanted::Suffix(_) if len == 0 => Answer::Whole { end: End::Stored(0) },
        Wanted::Suffix(count) => stored(len.saturating_sub(count), len, total),
        Wanted::From { first, last } if first < len => match last {
            Some(last) if last < len => stored(first, last.saturating_add(1), total),
            last if follow => onward(first, last.unwrap_or(LAST_UNKNOWN)),
            _ => stored(first, len, total),
        },
        Wanted::From { first, last } if first == len && follow => {
            onward(first, last.unwrap_or(LAST_UNKNOWN))
        }
        Wanted::From { first, .. } if follow => Answer::Hold { first },
        Wanted::From { .. } => Answer::NotSatisfiable,
    }
}

/// Bytes that are all there; `end` is above `first`.
const fn stored(first: u64, end: u64, total: Option<u64>) -> Answer {
    Answer::Part { first, last: end.saturating_sub(1), total, end: End::Stored(end) }
}

/// Bytes of which some have yet to come.
const fn onward(first: u64, last: u64) -> Answer {
    let end = if last < LAST_UNKNOWN { End::Awaited(last.saturating_add(1)) } else { End::Stream };
    Answer::Part { first, last, total: None, end }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::State;
    use crate::range::parse;

    use super::*;

    /// An answer in a few signs: status, Content-Range, and where the body ends.
    fn told(answer: Answer, progress: Progress) -> String {
        let end = |end| match end {
            End::Stored(end) => format!("stored {end}"),
            End::Awaited(end) => format!("awaited {end}"),
            End::Stream => "stream".to_owned(),
        };
        match answer {
            Answer::Whole { end: e } => format!("200 {}", end(e)),
            Answer::Part { first, last, total, end: e } => {
                let total = total.map_or("*".to_owned(), |total| total.to_string());
                format!("206 {first}-{last}/{total} {}", end(e))
            }
            Answer::Hold { first } => format!("hold {first}"),
            Answer::NotSatisfiable => format!("416 */{}", progress.len),
        }
    }

    /// The field, then what it gets when 10 bytes are all, when there are 10 bytes so far, and of those
    /// when following. V is the last position that stands for an unknown one.
    const TABLE: &str = "
                                         | 200 stored 10          | 200 stored 10         | 200 stream
        bytes=2-5                        | 206 2-5/10 stored 6    | 206 2-5/* stored 6    | 206 2-5/* stored 6
        bytes=0-0                        | 206 0-0/10 stored 1    | 206 0-0/* stored 1    | 206 0-0/* stored 1
        bytes=9-9                        | 206 9-9/10 stored 10   | 206 9-9/* stored 10   | 206 9-9/* stored 10
        bytes=2-10                       | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-10/* awaited 11
        bytes=2-19                       | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-19/* awaited 20
        bytes=2-9007199254740990         | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-9007199254740990/* awaited 9007199254740991
        bytes=2-9007199254740991         | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-V/* stream
        bytes=2-9999999999999999         | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-9999999999999999/* stream
        bytes=2-99999999999999999999999  | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-V/* stream
        bytes=2-                         | 206 2-9/10 stored 10   | 206 2-9/* stored 10   | 206 2-V/* stream
        bytes=10-                        | 416 */10               | 416 */10              | 206 10-V/* stream
        bytes=10-12                      | 416 */10               | 416 */10              | 206 10-12/* awaited 13
        bytes=11-                        | 416 */10               | 416 */10              | hold 11
        bytes=11-12                      | 416 */10               | 416 */10              | hold 11
        bytes=-3                         | 206 7-9/10 stored 10   | 206 7-9/* stored 10   | 206 7-V/* stream
        bytes=-99                        | 206 0-9/10 stored 10   | 206 0-9/* stored 10   | 206 0-V/* stream
        bytes=-0                         | 416 */10               | 416 */10              | 416 */10
        bytes=0-1,3-4                    | 416 */10               | 416 */10              | 416 */10
        lines=0-1                        | 200 stored 10          | 200 stored 10         | 200 stream
        bytes=5-2                        | 416 */10               | 416 */10              | 416 */10
        bytes=x                          | 416 */10               | 416 */10              | 416 */10
        bytes=99999999999999999999999-   | 416 */10               | 416 */10              | 416 */10
    ";

    #[test]
    fn the_table_holds() {
        for row in TABLE.lines().filter(|row| row.contains('|')) {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let &[field, ended, open, following] = cells.as_slice() else { panic!("{row}") };
            let check = |state, follow, expected: &str| {
                let progress = Progress { len: 10, state };
                let answer = decide(parse(field.as_bytes()), progress, follow);
                let expected = expected.replace('V', &LAST_UNKNOWN.to_string());
                assert_eq!(told(answer, progress), expected, "{field}, {state}, follow {follow}");
            };
            for state in [State::Complete, State::Aborted, State::Truncated] {
                check(state, false, ended);
                check(state, true, ended);
            }
            for state in [State::Open, State::Interrupted] {
                check(state, false, open);
                check(state, true, following);
            }
        }
    }

    #[test]
    fn nothing_of_nothing_is_no_error() {
        let check = |field: &str, state, follow, expected| {
            let progress = Progress { len: 0, state };
            assert_eq!(told(decide(parse(field.as_bytes()), progress, follow), progress), expected);
        };
        check("", State::Complete, true, "200 stored 0");
        check("bytes=-3", State::Complete, true, "200 stored 0");
        check("bytes=-3", State::Open, false, "200 stored 0");
        check("bytes=-3", State::Open, true, "206 0-9007199254740991/* stream");
        check("bytes=0-", State::Complete, true, "416 */0");
        check("bytes=0-", State::Waiting, true, "206 0-9007199254740991/* stream");
    }

    proptest! {
        /// Whatever is asked of whatever there is: the body starts where Content-Range says, lies within what
        /// is stored or awaited, and a client that goes on behind it misses nothing.
        #[test]
        fn answers_keep_their_promises(
            field in "bytes=[0-9]{0,4}-[0-9]{0,4}",
            len in 0..5_000_u64,
            terminal: bool,
            follow: bool,
        ) {
            let state = if terminal { State::Complete } else { State::Open };
            let wanted = parse(field.as_bytes());
            match decide(wanted, Progress { len, state }, follow) {
                Answer::Whole { end } => prop_assert_eq!(end, End::Stored(0), "an empty suffix only"),
                Answer::Part { first, last, total, end } => {
                    prop_assert!(first <= last);
                    prop_assert_eq!(total, terminal.then_some(len));
                    match end {
                        End::Stored(end) => {
                            prop_assert_eq!(end, last + 1);
                            prop_assert!(end <= len);
                        }
                        End::Awaited(end) => {
                            prop_assert!(follow && !terminal);
                            prop_assert_eq!(end, last + 1);
                            prop_assert!(end > len && first <= len);
                        }
                        End::Stream => {
                            prop_assert!(follow && !terminal && first <= len);
                            prop_assert!(last >= LAST_UNKNOWN);
                        }
                    }
                }
                Answer::Hold { first } => prop_assert!(follow && !terminal && first > len),
                Answer::NotSatisfiable => {
                    let is_right = match wanted {
                        Wanted::From { first, .. } => first >= len,
                        Wanted::Suffix(count) => count == 0,
                        Wanted::Impossible => true,
                        Wanted::All => false,
                    };
                    prop_assert!(is_right);
                }
            }
        }

        /// Holding ends: once the byte is there, or the stream has ended, there is another answer.
        #[test]
        fn what_was_held_is_decided(first in 1..1_000_u64, len in 0..1_000_u64, more in 0..9_u64) {
            let wanted = Wanted::From { first, last: None };
            let ended = Progress { len, state: State::Complete };
            let is_held = matches!(decide(wanted, ended, true), Answer::Hold { .. });
            prop_assert!(!is_held);
            let there = Progress { len: first + 1 + more, state: State::Open };
            let is_part = matches!(decide(wanted, there, true), Answer::Part { .. });
            prop_assert!(is_part);
        }
    }
}
