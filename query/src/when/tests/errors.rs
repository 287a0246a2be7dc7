//! What is refused, and the whole message that says so.

use std::error::Error;

use super::*;
use crate::refusal::check_refusal;

const TIMES: &str = "
  accepted: 2026-02-03, 2026-02-03 14:05:06.789, 2026-02-03T14:05:06Z, 2026-02-03 14:05 +02:00,
            2026-02-03 14:05 Europe/Berlin, 14:05, today, yesterday 14:05, monday, 3h ago, -3h,
            1d2h30m, +5m, since+5m, @1700000000, now, start, crash, run-1";

const INTERVALS: &str = "
  accepted: 2026, 2026-02, 2026-02-03, 2026-02-03T14, 2026-02-03 14:05, 14:05, today,
            yesterday 14, monday, 3h (the last three hours), run-1";

/// A store on a failing disk.
struct Broken;

impl Marks for Broken {
    fn crash(&self) -> Result<Timestamp, MarkError> {
        Err(MarkError::Unreadable("input/output error".into()))
    }

    fn run(&self, _back: u32) -> Result<Range<Timestamp>, MarkError> {
        Err(MarkError::Unreadable("input/output error".into()))
    }
}

/// Compares the message for a text that has none of the forms.
#[track_caller]
fn check(text: &str, column: usize, reason: &str) {
    let shown = parse_instant(text, &context(NOW, "Europe/Berlin")).unwrap_err().to_string();
    assert_eq!(check_refusal(&shown, "time", text, column, reason), TIMES);
}

#[test]
fn fields_out_of_range_are_refused() {
    check("2026-13-01", 5, "month 13 is out of range 1 to 12");
    check("2026-00", 5, "month 00 is out of range 1 to 12");
    check("2026-0203", 5, "month 0203 is out of range 1 to 12");
    check("2026-02-29", 8, "day 29 is out of range 1 to 28");
    check("2026-02-00", 8, "day 00 is out of range 1 to 28");
    check("2026-02-03 24:00", 11, "hour 24 is out of range 0 to 23");
    check("25:00", 0, "hour 25 is out of range 0 to 23");
    check("yesterday 14:60", 13, "minute 60 is out of range 0 to 59");
    check("2026-02-03T23:59:60Z", 17, "second 60 is out of range 0 to 59");
    check("14:05:06 +24:00", 10, "offset hour 24 is out of range 0 to 23");
    check("14:05:06+0260", 11, "offset minute 60 is out of range 0 to 59");
}

#[test]
fn unfinished_texts_say_what_is_missing() {
    check("", 0, "nothing is written here");
    check("  ", 2, "nothing is written here");
    check("2026-", 5, "expected a month, 01 to 12, found the end");
    check("2026-02-", 8, "expected a day of the month, found the end");
    check("2026-02-03T", 11, "expected an hour, 00 to 23, found the end");
    check("14:", 3, "expected a minute, 00 to 59, found the end");
    check("14:5", 3, "minute 5 needs two digits");
    check("14:05:", 6, "expected a second, 00 to 59, found the end");
    check("14:05:06.", 9, "expected 1 to 9 decimals, found the end");
    check("14:05:06.0123456789", 9, "more than 9 decimals");
    check("14:05+", 6, "expected an offset such as +02:00, +0200 or +02, found the end");
    check("14:05[Europe/Berlin", 19, "expected `]`, found the end");
    check("14:05[]", 6, "expected a time zone, found \"]\"");
    check("-", 1, "expected a number with a unit, found the end");
    check("since+", 6, "expected a number with a unit, found the end");
    check("@", 1, "expected seconds since 1970, found the end");
}

#[test]
fn bare_numbers_are_told_what_they_could_be() {
    let hours = "the meaning of 14 is unclear: write a time as 14:05, or 14h for so many hours ago";
    check("14", 0, hours);
    check("20260203", 0, "the meaning of 20260203 is unclear: write a date as 2026-02-03");
    check("2026/02/03", 0, "the meaning of 2026 is unclear: write a date as 2026-02-03");
    check("03.02.2026", 0, "the meaning of 03 is unclear: write a date as 2026-02-03");
    let seconds = "the meaning of 1700000000 is unclear: write seconds since 1970 as @1700000000";
    check("1700000000", 0, seconds);
    check("1h 30", 3, "30 needs a unit, as in 30m or 30s");
    check("3M", 1, "unit M could be minutes or months: write m or mo");
    check("0.5mo", 0, "a part of a month has no fixed length: write whole months, or days");
    check("1.5y", 0, "a part of a year has no fixed length: write whole months, or days");
}

#[test]
fn misspelt_words_are_told_the_nearest() {
    check("yestreday", 0, "unknown word \"yestreday\"; did you mean yesterday?");
    check(" mondey 14:00", 1, "unknown word \"mondey\"; did you mean monday?");
    check("Tomorow", 0, "unknown word \"Tomorow\"; did you mean tomorrow?");
    check("sicne+5m", 0, "unknown word \"sicne\"; did you mean since?");
    check("noon", 0, "unknown word \"noon\"");
    check("3 huors ago", 2, "unknown unit \"huors\"; did you mean hours?");
    check(
        "14:05 Europe/Pariss",
        6,
        "unknown time zone \"Europe/Pariss\"; did you mean Europe/Paris?",
    );
    check("14:05 Tokyo", 6, "unknown time zone \"Tokyo\"; did you mean Asia/Tokyo?");
    check("14:05 nowhere", 6, "unknown time zone \"nowhere\"");
}

#[test]
fn what_follows_a_time_is_refused() {
    check("3h agoo", 3, "expected `ago` or the end, found \"a\"");
    check("-3h ago", 4, "expected the end, found \"a\"");
    check("now UTC", 4, "expected the end, found \"U\"");
    check("@0Z", 2, "expected the end, found \"Z\"");
    check("2026-02-03, 14:05", 10, "expected the end, found \",\"");
    check("2026-02 14:05", 8, "expected the end, found \"1\"");
    check("today 14:05 Z Z", 14, "expected the end, found \"Z\"");
    check("(now)", 0, "expected a time, found \"(\"");
    check("µ", 0, "unknown word \"µ\"");
}

/// Compares the message for a text that is well written and still cannot be resolved.
#[track_caller]
fn check_in(context: &Context<'_>, text: &str, column: usize, reason: &str) {
    let shown = parse_instant(text, context).unwrap_err().to_string();
    assert_eq!(check_refusal(&shown, "time", text, column, reason), "");
}

#[test]
fn times_beyond_the_years_are_refused() {
    let context = context(NOW, "Europe/Berlin");
    let check = |text, column| {
        check_in(&context, text, column, "the time lies outside of the years 0000 to 9999");
    };
    check("0000", 0);
    check("0000-01-01T00:00:00+00:01", 0);
    check("9999-12-31 23:59:59-00:01", 0);
    check("3000y", 0);
    check("+9223372036854775807d", 0);
    check("9223372036854775807h 9223372036854775807h", 0);
    check("  -99999999mo", 2);
    check("@-99999999999", 1);
}

#[test]
fn what_the_context_cannot_tell_is_said() {
    let full = context(NOW, "UTC");
    let conflict = "Europe/Berlin is at +01 then, not at +02";
    check_in(&full, "2026-02-03T14:05:06+02:00[Europe/Berlin]", 19, conflict);
    check_in(
        &full,
        "run-2",
        0,
        "the store has no run-2: a run begins with the event STARTING_UP of a master",
    );

    let poor = Context { since: None, marks: None, ..context(NOW, "UTC") };
    let no_since = "`since` means the beginning of the range, and none is given";
    check_in(&poor, "since+5m", 0, no_since);
    check_in(&poor, "crash", 0, "crash is looked up in a store, and there is none here");
    check_in(&poor, "run", 0, "run is looked up in a store, and there is none here");

    let broken = Context { marks: Some(&Broken), ..context(NOW, "UTC") };
    check_in(&broken, "start", 0, "the store could not be read to find start");
    let error = parse_instant("crash", &broken).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "input/output error");
}

#[test]
fn an_instant_is_no_interval() {
    let check = |text: &str, reason: &str, column: usize| {
        let shown = parse_interval(text, &context(NOW, "UTC")).unwrap_err().to_string();
        assert_eq!(check_refusal(&shown, "interval", text, column, reason), INTERVALS);
    };
    for text in ["now", "3h ago", "-3h", "+5m", "since", "since+5m", "start", "crash", "run-1+1h"] {
        check(text, "this is one instant, and a stretch of time is needed", 0);
    }
    check("2026-13", "month 13 is out of range 1 to 12", 5);
}
