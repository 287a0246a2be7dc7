//! Ranges as the original livelog answers them, for `--compat livelog`: status 200 without
//! Content-Range, `-k` for the first bytes up to k included, other texts, and waiting for what has yet to
//! come. What it means to say is kept, not what its mistakes make of it: bytes `a-b` are bytes
//! a to b, also for a reader that comes late.

use crate::model::Progress;

use super::End;

/// A range that the original refuses with 416, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// Reads the field as the original does: the first byte, and the end if there is one.
///
/// # Errors
///
/// The range is refused, with the original's words.
pub fn parse_compat(field: &[u8]) -> Result<(u64, Option<u64>), Refused> {
    let Some(set) = field.strip_prefix(b"bytes=") else {
        return Err(Refused("Other then byte prefix given"));
    };
    if set.contains(&b',') {
        return Err(Refused("Cannot handle multiple range segments..."));
    }
    let mut segments = set.split(|byte| *byte == b'-');
    match (segments.next(), segments.next(), segments.next()) {
        (_, _, Some(_)) => Err(Refused("Too many range segements")),
        (Some(first), Some(last), None) => {
            let first = position(first)?.unwrap_or(0);
            let end = position(last)?.map(|last| last.saturating_add(1));
            Ok((first, end))
        }
        _ => Err(Refused("Unknown range segements...")),
    }
}

fn position(digits: &[u8]) -> Result<Option<u64>, Refused> {
    if digits.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(digits).ok();
    // The original repeats the text of the request here; what came from a client is not sent back.
    let value = text.and_then(|text| text.parse::<i64>().ok()).and_then(|v| u64::try_from(v).ok());
    value.map(Some).ok_or(Refused("strconv.ParseInt: invalid syntax"))
}

/// Where the body starts and ends: always what was asked for, waited for as long as the stream is open.
#[must_use]
pub fn decide_compat(first: u64, end: Option<u64>, progress: Progress) -> (u64, End) {
    let end = end.map(|end| end.max(first));
    if progress.state.is_terminal() {
        let first = first.min(progress.len);
        return (first, End::Stored(end.unwrap_or(progress.len).clamp(first, progress.len)));
    }
    match end {
        Some(end) if end <= progress.len => (first, End::Stored(end)),
        Some(end) => (first, End::Awaited(end)),
        None => (first, End::Stream),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::State;

    use super::*;

    #[test]
    fn fields_are_read_as_the_original_reads_them() {
        type Expected = Result<(u64, Option<u64>), &'static str>;
        let cases: &[(&str, Expected)] = &[
            ("bytes=0-", Ok((0, None))),
            ("bytes=2-5", Ok((2, Some(6)))),
            ("bytes=-5", Ok((0, Some(6)))),
            ("bytes=-", Ok((0, None))),
            ("lines=0-1", Err("Other then byte prefix given")),
            ("bytes=0-1,2-3", Err("Cannot handle multiple range segments...")),
            ("bytes=--5", Err("Too many range segements")),
            ("bytes=5", Err("Unknown range segements...")),
            ("bytes=x-5", Err("strconv.ParseInt: invalid syntax")),
            ("bytes=99999999999999999999-", Err("strconv.ParseInt: invalid syntax")),
        ];
        for (field, expected) in cases {
            let read = parse_compat(field.as_bytes()).map_err(|refused| refused.0);
            assert_eq!(read, *expected, "{field}");
        }
    }

    #[test]
    fn bytes_that_have_yet_to_come_are_awaited() {
        let open = Progress { len: 10, state: State::Open };
        assert_eq!(decide_compat(2, Some(6), open), (2, End::Stored(6)));
        assert_eq!(decide_compat(2, Some(16), open), (2, End::Awaited(16)));
        assert_eq!(decide_compat(12, None, open), (12, End::Stream));
        assert_eq!(decide_compat(5, Some(3), open), (5, End::Stored(5)));
        let ended = Progress { len: 10, state: State::Complete };
        assert_eq!(decide_compat(2, Some(16), ended), (2, End::Stored(10)));
        assert_eq!(decide_compat(12, None, ended), (10, End::Stored(10)));
    }
}
