//! The names of segments: `<10-digit number>-<UTC time for humans>.logq`.
//!
//! The number orders the segments of a store. The time is for people and is never parsed.

use crate::timestamp::Timestamp;

/// The extension of segments, without the dot.
pub const SEGMENT_EXTENSION: &str = "logq";

/// The file name of a segment.
///
/// ```
/// use logq_format::{Timestamp, segment_name, segment_number};
///
/// let created: Timestamp = "2026-02-03T14:05:06Z".parse()?;
/// let name = segment_name(7, created);
/// assert_eq!(name, "0000000007-20260203T140506Z.logq");
/// assert_eq!(segment_number(&name), Some(7));
/// # Ok::<(), logq_format::TimestampError>(())
/// ```
pub fn segment_name(number: u64, created: Timestamp) -> String {
    let time = created.to_string();
    let compact: String = time
        .chars()
        .take("0000-00-00T00:00:00".len())
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    format!("{number:010}-{compact}Z.{SEGMENT_EXTENSION}")
}

/// The number of the segment with this file name; `None` if it is not a segment's name.
///
/// The number has ten digits, or more where ten do not suffice; whatever stands between it and the
/// extension is ignored.
pub fn segment_number(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(SEGMENT_EXTENSION)?.strip_suffix('.')?;
    let (digits, _) = stem.split_once('-')?;
    let well_formed = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_files_have_no_number() {
        for name in [
            "",
            ".logq",
            "0000000001.logq",
            "1-x.logq",
            "000000000a-x.logq",
            "0000000001-x.log",
            "99999999999999999999999-x.logq",
            "18446744073709551616-x.logq",
            "0000000001:x.logq",
            "000000000/-x.logq",
            "\u{30}000000\u{660}-x.logq",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
        assert_eq!(segment_number("0000000001-anything.logq"), Some(1));
        assert_eq!(segment_number("9999999999--.logq"), Some(9_999_999_999));
        assert_eq!(segment_number("10000000000-x.logq"), Some(10_000_000_000));
        assert_eq!(segment_number("00000000000000000000000007-x.logq"), Some(7));
        assert_eq!(segment_number("18446744073709551615-x.logq"), Some(u64::MAX));
    }
}
