//! Ranges of streams that grow: whatever a client asks for, it is told the truth about what it gets.

use crate::model::{Progress, State};
use crate::range::{Answer, End, Wanted, decide, decide_compat, parse, parse_compat};

/// The first two bytes are state and length of a stream, the rest is a field `Range`.
pub fn byte_range(data: &[u8]) {
    let [state, len, field @ ..] = data else { return };
    let state = State::ALL[usize::from(*state) % State::ALL.len()];
    let progress = Progress { len: u64::from(*len), state };
    let wanted = parse(field);
    if let Wanted::From { first, last: Some(last) } = wanted {
        assert!(first <= last);
    }
    for follow in [false, true] {
        check(decide(wanted, progress, follow), progress, follow);
    }
    if let Ok((first, end)) = parse_compat(field) {
        let (start, end) = decide_compat(first, end, progress);
        match end {
            End::Stored(end) => assert!(start <= end && end <= progress.len.max(start)),
            End::Awaited(end) => assert!(start <= end && !state.is_terminal()),
            End::Stream => assert!(!state.is_terminal()),
        }
    }
}

/// The promises of an answer: what is said to be stored is, nothing is awaited of what has ended, and
/// the body is as long as Content-Range says.
fn check(answer: Answer, progress: Progress, follow: bool) {
    let waits = follow && !progress.state.is_terminal();
    let len = progress.len;
    match answer {
        Answer::Whole { end } => {
            assert_eq!(end, if waits { End::Stream } else { End::Stored(len) });
        }
        Answer::Part { first, last, total, end } => {
            assert!(first <= last && (waits || first < len));
            assert_eq!(total, progress.state.is_terminal().then_some(len));
            match end {
                End::Stored(end) => assert!(end == last + 1 && end <= len),
                End::Awaited(end) => assert!(waits && end == last + 1 && end > len && first <= len),
                End::Stream => assert!(waits && first <= len),
            }
        }
        Answer::Hold { first } => assert!(waits && first > len),
        Answer::NotSatisfiable => {}
    }
}
