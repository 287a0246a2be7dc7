//! Numbers as logs write them: counts, and durations in many units.

/// Digits at the start as a number, and how many; `None` without a digit or from 10^19
/// on.
pub(super) fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if count == 19 {
            return None;
        }
        value = value * 10 + u64::from(digit);
        count += 1;
    }
    (count > 0).then_some((value, count))
}

/// A text that is nothing but digits.
pub(super) fn whole(text: &[u8]) -> Option<u64> {
    digits(text).filter(|(_, count)| *count == text.len()).map(|(value, _)| value)
}

/// No response is larger: 10^18 bytes.
pub(super) const BYTES_MAX: u64 = 1_000_000_000_000_000_000;

/// A count of bytes; `-` and nothing stand for none.
pub(super) fn bytes(text: &[u8]) -> Option<u64> {
    if matches!(text, b"-" | b"") {
        return Some(0);
    }
    whole(text).filter(|bytes| *bytes <= BYTES_MAX)
}

/// A status of three digits; `0`, `-` and nothing stand for none. What is shorter was cut off.
pub(super) fn status(text: &[u8]) -> Option<u16> {
    match text {
        b"0" | b"-" | b"" => Some(0),
        [_, _, _] => whole(text).and_then(|status| u16::try_from(status).ok()),
        _ => None,
    }
}

/// The unit of a duration written as a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// Seconds with a decimal point, milliseconds without: `time-taken`.
    SecondsOrMillis,
}

impl Unit {
    /// The microseconds in one of it, for numbers with a fraction.
    pub(super) fn micros(self) -> f64 {
        match self {
            Self::Seconds | Self::SecondsOrMillis => 1e6,
            Self::Millis => 1e3,
            Self::Micros => 1.0,
            Self::Nanos => 1e-3,
        }
    }
}

/// A duration in microseconds: a bare number in `unit`, or with a unit of its own (`12ms`, `1.5s`).
/// Of several numbers, as nginx writes for several upstreams, the last one counts.
pub(super) fn duration_us(text: &[u8], unit: Unit) -> Option<u64> {
    let text = text.rsplit(|byte| *byte == b' ').next().unwrap_or(text);
    let (number, unit) = split_unit(text).unwrap_or((text, unit));
    let has_point = memchr::memchr(b'.', number).is_some();
    match unit {
        Unit::Seconds => scaled(number, 6),
        Unit::Millis => scaled(number, 3),
        Unit::Micros => scaled(number, 0),
        Unit::Nanos => scaled(number, 0).map(|nanos| nanos / 1000),
        Unit::SecondsOrMillis if has_point => scaled(number, 6),
        Unit::SecondsOrMillis => scaled(number, 3),
    }
}

fn split_unit(text: &[u8]) -> Option<(&[u8], Unit)> {
    let units: [(&[u8], Unit); 5] = [
        (b"ms", Unit::Millis),
        (b"us", Unit::Micros),
        ("µs".as_bytes(), Unit::Micros),
        (b"ns", Unit::Nanos),
        (b"s", Unit::Seconds),
    ];
    units.iter().find_map(|(name, unit)| Some((text.strip_suffix(*name)?, *unit)))
}

/// A decimal number times ten to the power of `places`; what is smaller than one is cut off.
pub(super) fn scaled(text: &[u8], places: usize) -> Option<u64> {
    let point = memchr::memchr(b'.', text);
    let (whole_part, fraction) = match point {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, &[][..]),
    };
    let mut value = whole(whole_part)?;
    let is_fraction = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
    if point.is_some() && !is_fraction {
        return None;
    }
    let padded = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    for digit in padded.take(places) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// A number of seconds, milliseconds or whatever as a float, scaled to whole microseconds.
pub(super) fn micros_of(value: f64, factor: f64) -> Option<u64> {
    let micros = value * factor;
    // Above 2^53 a float no longer tells one microsecond from the next, and no time lies there.
    if !(0.0..9.0e15).contains(&micros) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked above"
    )]
    Some(micros.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_digits_or_a_dash() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1234", Some(1234)),
            ("-", Some(0)),
            ("", Some(0)),
            ("-1", None),
            ("12x", None),
            ("+1", None),
            ("1e3", None),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("1000000000000000000", Some(BYTES_MAX)),
            ("1000000000000000001", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(bytes(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(status(b"999"), Some(999));
        assert_eq!(status(b"1000"), None);
        assert_eq!(status(b"20"), None);
        assert_eq!(status(b"2x0"), None);
        assert_eq!(status(b"000"), Some(0));
        assert_eq!(status(b"70000"), None);
        assert_eq!(status(b"-"), Some(0));
    }

    #[test]
    fn durations_are_in_their_unit() {
        for (text, unit, expected) in [
            ("0.125", Unit::Seconds, Some(125_000)),
            ("12", Unit::Seconds, Some(12_000_000)),
            ("12", Unit::Millis, Some(12_000)),
            ("12.0005", Unit::Millis, Some(12_000)),
            ("12", Unit::Micros, Some(12)),
            ("12345", Unit::Nanos, Some(12)),
            ("12ms", Unit::Seconds, Some(12_000)),
            ("1.5s", Unit::Nanos, Some(1_500_000)),
            ("350µs", Unit::Seconds, Some(350)),
            ("0.100 0.200", Unit::Seconds, Some(200_000)),
            ("15", Unit::SecondsOrMillis, Some(15_000)),
            ("0.015", Unit::SecondsOrMillis, Some(15_000)),
            ("-", Unit::Seconds, None),
            ("", Unit::Seconds, None),
            ("1.", Unit::Seconds, None),
            (".5", Unit::Seconds, None),
            ("1.2.3", Unit::Seconds, None),
            ("-0.5", Unit::Seconds, None),
            ("999999999999999999", Unit::Seconds, None),
        ] {
            assert_eq!(duration_us(text.as_bytes(), unit), expected, "{text} {unit:?}");
        }
    }

    #[test]
    fn floats_outside_of_time_are_refused() {
        assert_eq!(micros_of(1.5, 1e6), Some(1_500_000));
        for value in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(micros_of(value, 1e6), None);
        }
    }
}
