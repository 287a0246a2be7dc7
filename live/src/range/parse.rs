//! The field `Range`, as RFC 9110 writes it. Work is bounded by the first two ranges of a field, whatever
//! its length.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: there is no range, or one of a unit that we do not know, which the RFC says to ignore.
    All,
    /// From byte `first` on: to byte `last`, included, or to the end, whatever that will be. A last
    /// position beyond 64 bits is the end, too.
    From {
        /// The first byte.
        first: u64,
        /// The last byte, included.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix(u64),
    /// Nothing that there could ever be: malformed, reversed, several ranges, a first position beyond
    /// 64 bits.
    Impossible,
}

/// Reads a field. Several fields of this name are for the caller to refuse.
#[must_use]
pub fn parse(field: &[u8]) -> Wanted {
    let at = field.iter().position(|byte| *byte == b'=');
    let (unit, set) = match at.and_then(|at| field.split_at_checked(at)) {
        Some((unit, set)) => (unit, set.get(1..).unwrap_or_default()),
        None => (field, &b""[..]),
    };
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return Wanted::All;
    }
    // Lists may have empty elements.
    let mut ranges = set.split(|byte| *byte == b',').map(trimmed).filter(|range| !range.is_empty());
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => parse_one(range),
        _ => Wanted::Impossible,
    }
}

fn trimmed(mut range: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = range {
        range = rest;
    }
    range
}

fn parse_one(range: &[u8]) -> Wanted {
    let Some(dash) = range.iter().position(|byte| *byte == b'-') else { return Wanted::Impossible };
    let (Some(first), Some(last)) = (range.get(..dash), range.get(dash + 1..)) else {
        return Wanted::Impossible;
    };
    match (position(first), position(last)) {
        (Position::At(first), Position::Absent | Position::Beyond) => {
            Wanted::From { first, last: None }
        }
        (Position::At(first), Position::At(last)) if first <= last => {
            Wanted::From { first, last: Some(last) }
        }
        (Position::Absent, Position::At(count)) => Wanted::Suffix(count),
        (Position::Absent, Position::Beyond) => Wanted::Suffix(u64::MAX),
        _ => Wanted::Impossible,
    }
}

enum Position {
    Absent,
    At(u64),
    /// Digits, more than 64 bits hold.
    Beyond,
    Malformed,
}

fn position(digits: &[u8]) -> Position {
    if digits.is_empty() {
        return Position::Absent;
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Position::Malformed;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    value.map_or(Position::Beyond, Position::At)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_as_the_rfc_writes_them() {
        let from = |first, last| Wanted::From { first, last };
        let cases: &[(&str, Wanted)] = &[
            ("bytes=0-", from(0, None)),
            ("bytes=5-9", from(5, Some(9))),
            ("Bytes=5-5", from(5, Some(5))),
            ("bytes= 5-9 ", from(5, Some(9))),
            ("bytes=,5-9,\t,", from(5, Some(9))),
            ("bytes=007-8", from(7, Some(8))),
            ("bytes=-5", Wanted::Suffix(5)),
            ("bytes=-0", Wanted::Suffix(0)),
            ("bytes=0-18446744073709551615", from(0, Some(u64::MAX))),
            ("bytes=0-18446744073709551616", from(0, None)),
            ("bytes=-99999999999999999999999", Wanted::Suffix(u64::MAX)),
            ("bytes=18446744073709551616-", Wanted::Impossible),
            ("bytes=9-5", Wanted::Impossible),
            ("bytes=0-1,3-4", Wanted::Impossible),
            ("bytes=-", Wanted::Impossible),
            ("bytes=", Wanted::Impossible),
            ("bytes", Wanted::Impossible),
            ("bytes=5", Wanted::Impossible),
            ("bytes=--5", Wanted::Impossible),
            ("bytes=1-2-3", Wanted::Impossible),
            ("bytes=+1-2", Wanted::Impossible),
            ("bytes=1 - 2", Wanted::Impossible),
            ("bytes=a-b", Wanted::Impossible),
            ("bytes=0x1-2", Wanted::Impossible),
            ("bytes==0-1", Wanted::Impossible),
            ("lines=0-1", Wanted::All),
            ("records=x:1:2", Wanted::All),
            ("", Wanted::All),
            ("0-1", Wanted::All),
        ];
        for (field, wanted) in cases {
            assert_eq!(parse(field.as_bytes()), *wanted, "{field}");
        }
    }

    #[test]
    fn ten_thousand_ranges_are_refused_at_the_second() {
        let field = format!("bytes={}", "0-1,".repeat(10_000));
        assert_eq!(parse(field.as_bytes()), Wanted::Impossible);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(first: u64, more in 0..u64::MAX) {
            let last = first.saturating_add(more);
            prop_assert_eq!(
                parse(format!("bytes={first}-{last}").as_bytes()),
                Wanted::From { first, last: Some(last) }
            );
            prop_assert_eq!(
                parse(format!("bytes={first}-").as_bytes()),
                Wanted::From { first, last: None }
            );
            prop_assert_eq!(parse(format!("bytes=-{first}").as_bytes()), Wanted::Suffix(first));
        }

        #[test]
        fn any_bytes_are_read_or_refused(field: Vec<u8>, set in "[0-9, =\t-]{0,60}") {
            let _ = parse(&field);
            if let Wanted::From { first, last: Some(last) } = parse(format!("bytes={set}").as_bytes()) {
                prop_assert!(first <= last);
            }
        }
    }
}
