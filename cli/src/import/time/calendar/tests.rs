//! Tables of the forms, and of texts that only look like one.

use proptest::prelude::*;

use super::*;

/// The microseconds since the epoch and the length read, if `text` starts with a time in UTC or
/// without a zone; dates without a year are in 2026.
fn micros(text: &str) -> Option<(i64, usize)> {
    let (civil, len) = read(text)?;
    let year = match civil.year {
        Year::Given(year) => year,
        Year::Latest => 2026,
    };
    Some((civil.local_us(year)? - civil.offset_s.unwrap_or(0) * 1_000_000, len))
}

const WHOLE: i64 = 1_770_127_506_000_000;
const MILLIS: i64 = WHOLE + 789_000;

#[test]
fn every_form_is_read_to_its_end() {
    let check = |text, expected| assert_eq!(micros(text), Some((expected, text.len())), "{text}");
    check("2026-02-03T14:05:06Z", WHOLE);
    check("2026-02-03T14:05:06.789Z", MILLIS);
    check("2026-02-03T14:05:06.789000Z", MILLIS);
    check("2026-02-03t14:05:06.789000999z", MILLIS);
    check("2026-02-03T16:05:06+02:00", WHOLE);
    check("2026-02-03T16:05:06+0200", WHOLE);
    check("2026-02-03T16:05:06+02", WHOLE);
    check("2026-02-03 09:05:06 -0500", WHOLE);
    check("2026-02-03 14:05:06,789", MILLIS);
    check("2026-02-03 14:05:06:789", MILLIS);
    check("2026-02-03  14:05:06.789 UTC", MILLIS);
    check("2026-2-3 14:05:06", WHOLE);
    check("2026/02/03 14:05:06", WHOLE);
    check("2026.02.03 14:05:06", WHOLE);
    check("2026-02-03_14:05:06", WHOLE);
    check("2026-02-03\t14:05:06", WHOLE);
    check("2026-02-03 14:05", WHOLE - 6_000_000);
    check("20260203T140506Z", WHOLE);
    check("20260203 14:05:06.789", MILLIS);
    check("20260203-140506", WHOLE);
    check("20260203140506", WHOLE);
    check("03/Feb/2026:14:05:06 +0000", WHOLE);
    check("03/Feb/2026:14:05:06", WHOLE);
    check("03/Feb/2026:15:05:06.789 +0100", MILLIS);
    check("03-Feb-2026 14:05:06.789", MILLIS);
    check("3 Feb 2026 14:05:06,789", MILLIS);
    check("Feb  3 14:05:06", WHOLE);
    check("Feb 03 14:05:06.789", MILLIS);
    check("Feb 03 2026 14:05:06", WHOLE);
    check("Feb 03, 2026 2:05:06 PM", WHOLE);
    check("February 3, 2026 2:05:06 pm", WHOLE);
    check("Feb 03, 2026 12:05:06 AM", WHOLE - 14 * 3_600_000_000);
    check("Tue Feb  3 14:05:06 2026", WHOLE);
    check("Tue Feb 03 14:05:06.789 2026", MILLIS);
    check("Tue Feb  3 14:05:06 UTC 2026", WHOLE);
    check("Tue, 03 Feb 2026 14:05:06 GMT", WHOLE);
    check("Tuesday, 03-Feb-2026 14:05:06 UTC", WHOLE);
    check("I0203 14:05:06.789000", MILLIS);
    check("E20260203 14:05:06.789000", MILLIS);
    check("2016-12-31T23:59:60Z", 1_483_228_800_000_000);
    check("0000-01-01T00:00:00Z", -62_167_219_200_000_000);
}

#[test]
fn what_follows_a_time_is_left_alone() {
    let check = |text, expected: &str| {
        let (found, len) = micros(text).unwrap();
        assert_eq!((&text[..len], found), (expected, WHOLE), "{text}");
    };
    check("2026-02-03 14:05:06 - root - INFO", "2026-02-03 14:05:06");
    check("2026-02-03 14:05:06 -5 apples", "2026-02-03 14:05:06");
    check("2026-02-03 14:05:06 CET x", "2026-02-03 14:05:06");
    check("2026-02-03 14:05:06 GMTX", "2026-02-03 14:05:06");
    check("2026-02-03T14:05:06Z host", "2026-02-03T14:05:06Z");
    check("2026-02-03T14:05:06[main]", "2026-02-03T14:05:06");
    check("2026-02-03 14:05:06, then", "2026-02-03 14:05:06");
    check("Feb  3 14:05:06 2026host x", "Feb  3 14:05:06");
    check("Feb  3 14:05:06 UTC: x", "Feb  3 14:05:06 UTC");
    check("03/Feb/2026:14:05:06 +0000] x", "03/Feb/2026:14:05:06 +0000");
    check("2026/02/03 14:05:06 [error] 1#0", "2026/02/03 14:05:06");
}

#[test]
fn what_only_looks_like_a_time_is_none() {
    for text in [
        "",
        "2026-02-03",
        "2026-02-30 14:05:06",
        "2026-13-03 14:05:06",
        "2026-02-03 24:05:06",
        "2026-02-03 14:60:06",
        "2026-02-03 14:05:61",
        "2026-02-03 14:05:6",
        "2026-02/03 14:05:06",
        "2026-02-03 14:05:06abc",
        "2026-02-03 14:05:067",
        "14:05:06",
        "Feb 3",
        "Feb 30 14:05:06",
        "Febr 3 14:05:06",
        "Marching 3 14:05:06",
        "Feb 03, 14:05:06",
        "Feb 03, 2026 14:05:06 PM",
        "Tue Feb  3 14:05:06",
        "I0230 14:05:06.789000",
        "I14 05",
        "É",
        "20260203",
        "03/02/2026 14:05:06",
    ] {
        assert_eq!(micros(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn days_count_on_without_a_gap(day in -700_000_i64..2_900_000) {
        // The inverse, by the library that prints timestamps.
        let time = logq_format::Timestamp::from_micros(day * SECONDS_PER_DAY * 1_000_000);
        let text = time.to_string();
        prop_assert_eq!(read(&text).and_then(|(civil, _)| match civil.year {
            Year::Given(year) => civil.local_us(year),
            Year::Latest => None,
        }), Some(time.as_micros()));
        if day >= 0 {
            prop_assert_eq!(year_of(time.as_micros()).to_string(), &text[..4]);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9A-Za-zé :,.+/T-]{0,40}") {
        let _ = micros(&text);
    }

    #[test]
    fn no_damaged_time_makes_it_panic(cut in 0_usize..26, byte in 0_u8..128) {
        let mut text = String::from("03/Feb/2026:14:05:06 +0000");
        text.replace_range(cut..=cut, &char::from(byte).to_string());
        let _ = micros(&text);
    }
}
