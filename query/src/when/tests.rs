//! The grammar as tables: what each text means on one Tuesday afternoon.
//!
//! What the errors say is in `errors`, what holds for every text in `properties`.

mod errors;
mod properties;

use super::*;

/// A Tuesday; 15:05:06.789 in Berlin.
const NOW: &str = "2026-02-03T14:05:06.789Z";

/// A store with two runs, of which the first one crashed.
struct TwoRuns;

impl Marks for TwoRuns {
    fn crash(&self) -> Result<Timestamp, MarkError> {
        Ok(at("2026-02-02T03:00:00Z"))
    }

    fn run(&self, back: u32) -> Result<Range<Timestamp>, MarkError> {
        match back {
            0 => Ok(at("2026-02-02T03:00:05Z")..Timestamp::MAX),
            1 => Ok(at("2026-01-01T00:00:00Z")..at("2026-02-02T03:00:00Z")),
            _ => Err(MarkError::Absent),
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn context(now: &str, zone: &str) -> Context<'static> {
    let zone = parse_zone(zone, || TimeZone::UTC).unwrap();
    let since = Some(at("2026-02-01T00:00:00Z"));
    Context { now: at(now), zone, since, marks: Some(&TwoRuns) }
}

/// Compares what a text means as an instant, seen from `now` in `zone`.
#[track_caller]
fn check_at(now: &str, zone: &str, text: &str, expected: &str) {
    match parse_instant(text, &context(now, zone)) {
        Ok(found) => assert_eq!(found, at(expected), "{text} means {found}"),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_at(NOW, "UTC", text, expected);
}

#[track_caller]
fn check_interval(zone: &str, text: &str, start: &str, end: &str) {
    match parse_interval(text, &context(NOW, zone)) {
        Ok(found) => assert_eq!(found, at(start)..at(end), "{text} means {found:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn dates_are_read_at_every_precision() {
    check("2026", "2026-01-01T00:00:00Z");
    check("2026-02", "2026-02-01T00:00:00Z");
    check("2026-2", "2026-02-01T00:00:00Z");
    check("2026-02-03", "2026-02-03T00:00:00Z");
    check("2026-2-3", "2026-02-03T00:00:00Z");
    for separator in [" ", "T", "t", "  "] {
        let check = |clock, expected| check(&format!("2026-02-03{separator}{clock}"), expected);
        check("14", "2026-02-03T14:00:00Z");
        check("9", "2026-02-03T09:00:00Z");
        check("14:05", "2026-02-03T14:05:00Z");
        check("14:05:06", "2026-02-03T14:05:06Z");
        check("14:05:06.7", "2026-02-03T14:05:06.7Z");
        check("14:05:06,789", "2026-02-03T14:05:06.789Z");
        check("14:05:06.789012", "2026-02-03T14:05:06.789012Z");
        check("14:05:06.789012999", "2026-02-03T14:05:06.789012Z");
    }
    check(" 2026-02-03 ", "2026-02-03T00:00:00Z");
    check("2024-02-29", "2024-02-29T00:00:00Z");
    check("1969-12-31 23:59:59.9999999", "1969-12-31T23:59:59.999999Z");
}

#[test]
fn a_zone_after_a_time_is_the_zone_of_that_time() {
    for suffix in ["+02:00", "+0200", "+02", "[+02:00]", "+02:00[+02:00]", "EET", "Africa/Cairo"] {
        for space in ["", " "] {
            let check = |text, expected| check(&format!("{text}{space}{suffix}"), expected);
            check("2026-02-03 14:05:06.789", "2026-02-03T12:05:06.789Z");
            check("2026-02-03T14:05", "2026-02-03T12:05:00Z");
            check("2026-02-03 14", "2026-02-03T12:00:00Z");
            check("2026-02-03", "2026-02-02T22:00:00Z");
            check("14:05", "2026-02-03T12:05:00Z");
        }
    }
    for suffix in ["Z", "z", " Z", "utc", " UTC", "[UTC]", "-00:00", "Z[Europe/Berlin]"] {
        check_at(NOW, "Asia/Tokyo", &format!("2026-02-03 14:05{suffix}"), "2026-02-03T14:05:00Z");
    }
    check("2026-02-03 14:05 Europe/Berlin", "2026-02-03T13:05:00Z");
    check("2026-08-03 14:05 europe/berlin", "2026-08-03T12:05:00Z");
    check("2026-08-03T14:05:06+02:00[Europe/Berlin]", "2026-08-03T12:05:06Z");
    check("2026-08-03T14:05:06[!Europe/Berlin]", "2026-08-03T12:05:06Z");
    check("2026-02-03 14:05 America/Port-au-Prince", "2026-02-03T19:05:00Z");
    check("2026-02-03 14:05-05:00", "2026-02-03T19:05:00Z");
    check("2026-02-03-05:00", "2026-02-03T05:00:00Z");
    check("2026-02 -05", "2026-02-01T05:00:00Z");
    check("2026 Turkey", "2025-12-31T21:00:00Z");
    check("yesterday UTC", "2026-02-02T00:00:00Z");
    check("today Asia/Tokyo", "2026-02-02T15:00:00Z");
    check("monday 14:00+01:00", "2026-02-02T13:00:00Z");
}

#[test]
fn dates_without_a_zone_are_in_the_zone_of_the_context() {
    let check = |text, expected| check_at(NOW, "Europe/Berlin", text, expected);
    check("2026", "2025-12-31T23:00:00Z");
    check("2026-08-03 14:05", "2026-08-03T12:05:00Z");
    check("14:05", "2026-02-03T13:05:00Z");
    check("today", "2026-02-02T23:00:00Z");
    let late = "2026-02-03T23:30:00Z";
    check_at(late, "Europe/Berlin", "today", "2026-02-03T23:00:00Z");
    check_at(late, "Europe/Berlin", "tuesday", "2026-02-02T23:00:00Z");
    check_at(late, "America/New_York", "today", "2026-02-03T05:00:00Z");
}

#[test]
fn a_time_alone_is_today() {
    check("14:05", "2026-02-03T14:05:00Z");
    check("9:05", "2026-02-03T09:05:00Z");
    check("14:05:06.789", "2026-02-03T14:05:06.789Z");
    check("23:59", "2026-02-03T23:59:00Z");
}

#[test]
fn words_are_read_in_any_case() {
    check("now", NOW);
    check("NOW", NOW);
    check("today", "2026-02-03T00:00:00Z");
    check("Yesterday", "2026-02-02T00:00:00Z");
    check("tomorrow", "2026-02-04T00:00:00Z");
    check("yesterday 14", "2026-02-02T14:00:00Z");
    check("yesterday 14:05:06", "2026-02-02T14:05:06Z");
    check("tomorrow 9:00", "2026-02-04T09:00:00Z");
}

#[test]
fn a_weekday_is_the_latest_that_is_not_in_the_future() {
    check("tuesday", "2026-02-03T00:00:00Z");
    check("tue 14:05:06.789", "2026-02-03T14:05:06.789Z");
    check("tue 14:05:06.790", "2026-01-27T14:05:06.790Z");
    check("tuesday 23:00", "2026-01-27T23:00:00Z");
    check("Monday", "2026-02-02T00:00:00Z");
    check("mon 23:00", "2026-02-02T23:00:00Z");
    check("sun", "2026-02-01T00:00:00Z");
    check("saturday", "2026-01-31T00:00:00Z");
    check("fri", "2026-01-30T00:00:00Z");
    check("thursday 14:00", "2026-01-29T14:00:00Z");
    check("wed", "2026-01-28T00:00:00Z");
}

#[test]
fn lengths_are_steps_from_an_anchor() {
    for text in ["3h", "3h ago", "3 hours AGO", "-3h", "- 3h", "now-3h", "now - 3h", "2h60m", "3H"]
    {
        check(text, "2026-02-03T11:05:06.789Z");
    }
    check("+5m", "2026-02-03T14:10:06.789Z");
    check("1d2h30m", "2026-02-02T11:35:06.789Z");
    check("1.5h ago", "2026-02-03T12:35:06.789Z");
    check("1500us", "2026-02-03T14:05:06.787500Z");
    check("1500 ns", "2026-02-03T14:05:06.788999Z");
    check("1w", "2026-01-27T14:05:06.789Z");
    check("1.5w", "2026-01-24T02:05:06.789Z");
    check("2mo", "2025-12-03T14:05:06.789Z");
    check("1y 1 month", "2025-01-03T14:05:06.789Z");
    check("since", "2026-02-01T00:00:00Z");
    check("since+5m", "2026-02-01T00:05:00Z");
    check("since + 5m", "2026-02-01T00:05:00Z");
    check("since-1d", "2026-01-31T00:00:00Z");
    check("2026 minutes ago", "2026-02-02T04:19:06.789Z");
    check("2026s", "2026-02-03T13:31:20.789Z");
}

#[test]
fn days_and_months_are_steps_on_the_calendar_of_the_zone() {
    // In New York the clocks went forward on the night before 8 March 2026.
    let after_gap = |text, expected| {
        check_at("2026-03-08T16:00:00Z", "America/New_York", text, expected);
    };
    after_gap("1d", "2026-03-07T17:00:00Z");
    after_gap("24h", "2026-03-07T16:00:00Z");
    after_gap("1d ago", "2026-03-07T17:00:00Z");
    after_gap("+1w", "2026-03-15T16:00:00Z");
    after_gap("1mo", "2026-02-08T17:00:00Z");
    check_at("2026-03-31T12:00:00Z", "UTC", "1mo", "2026-02-28T12:00:00Z");
    check_at("2024-02-29T12:00:00Z", "UTC", "1y", "2023-02-28T12:00:00Z");
    // Hours do not pass through the calendar: the second 02:30 of the night keeps its place.
    check_at("2026-10-25T01:30:00Z", "Europe/Berlin", "0h", "2026-10-25T01:30:00Z");
}

#[test]
fn the_unit_of_an_epoch_number_goes_by_magnitude() {
    for text in ["@1700000000", "@1700000000000", "@1700000000000000", "@1700000000000000000"] {
        check(text, "2023-11-14T22:13:20Z");
    }
    check("@1700000000123", "2023-11-14T22:13:20.123Z");
    check("@1700000000.5", "2023-11-14T22:13:20.5Z");
    check("@1700000000123,456789", "2023-11-14T22:13:20.123456Z");
    check("@1700000000123456789", "2023-11-14T22:13:20.123456Z");
    check("@0", "1970-01-01T00:00:00Z");
    check("@-1", "1969-12-31T23:59:59Z");
    check("@-0.0000001", "1969-12-31T23:59:59.999999Z");
    check("@99999999999", "5138-11-16T09:46:39Z");
    check("@100000000000", "1973-03-03T09:46:40Z");
    check_interval("UTC", "@60", "1970-01-01T00:01:00Z", "1970-01-01T00:01:01Z");
    check_interval("UTC", "@60.5", "1970-01-01T00:01:00.5Z", "1970-01-01T00:01:00.6Z");
}

#[test]
fn marks_are_asked_of_the_store() {
    check("start", "2026-02-02T03:00:05Z");
    check("run", "2026-02-02T03:00:05Z");
    check("run-0", "2026-02-02T03:00:05Z");
    check("run-1", "2026-01-01T00:00:00Z");
    check("crash", "2026-02-02T03:00:00Z");
    check("Crash - 5m", "2026-02-02T02:55:00Z");
    check("run-5m", "2026-02-02T02:55:05Z");
    check("run-1+5m", "2026-01-01T00:05:00Z");
    check_interval("UTC", "run-1", "2026-01-01T00:00:00Z", "2026-02-02T03:00:00Z");
}

#[test]
fn intervals_are_as_long_as_what_is_written() {
    let check = |text, start, end| check_interval("UTC", text, start, end);
    check("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
    check("2026-02-03", "2026-02-03T00:00:00Z", "2026-02-04T00:00:00Z");
    check("2026-02-03T14", "2026-02-03T14:00:00Z", "2026-02-03T15:00:00Z");
    check("2026-02-03 23:59", "2026-02-03T23:59:00Z", "2026-02-04T00:00:00Z");
    check("14:05", "2026-02-03T14:05:00Z", "2026-02-03T14:06:00Z");
    check("14:05:06", "2026-02-03T14:05:06Z", "2026-02-03T14:05:07Z");
    check("14:05:06.78", "2026-02-03T14:05:06.78Z", "2026-02-03T14:05:06.79Z");
    check("14:05:06.7890129", "2026-02-03T14:05:06.789012Z", "2026-02-03T14:05:06.789013Z");
    check("yesterday", "2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z");
    check("monday 14", "2026-02-02T14:00:00Z", "2026-02-02T15:00:00Z");
    check("2026-02-03+02:00", "2026-02-02T22:00:00Z", "2026-02-03T22:00:00Z");
    check("3h", "2026-02-03T11:05:06.789Z", NOW);
    check("9999", "9999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");
}

#[test]
fn skipped_times_are_later_by_the_jump() {
    let check = |text, expected| check_at(NOW, "Europe/Berlin", text, expected);
    check("2026-03-29 01:59:59", "2026-03-29T00:59:59Z");
    check("2026-03-29 02:00", "2026-03-29T01:00:00Z");
    check("2026-03-29 02:30", "2026-03-29T01:30:00Z");
    check("2026-03-29 03:00", "2026-03-29T01:00:00Z");
    let check = |text, start, end| check_interval("Europe/Berlin", text, start, end);
    check("2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check("2026-03-29T02", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z");
    check("2026-03-29T02:30", "2026-03-29T01:30:00Z", "2026-03-29T01:31:00Z");
    // Samoa went from the 29th to the 31st when it crossed the date line.
    let text = "2011-12-30";
    check_interval("Pacific/Apia", text, "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn repeated_times_are_the_first_ones() {
    let check = |text, expected| check_at(NOW, "Europe/Berlin", text, expected);
    check("2026-10-25 02:00", "2026-10-25T00:00:00Z");
    check("2026-10-25 02:30", "2026-10-25T00:30:00Z");
    check("2026-10-25 02:30+02:00", "2026-10-25T00:30:00Z");
    check("2026-10-25 02:30+01:00", "2026-10-25T01:30:00Z");
    check("2026-10-25 03:00", "2026-10-25T02:00:00Z");
    let check = |text, start, end| check_interval("Europe/Berlin", text, start, end);
    check("2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    check("2026-10-25T02", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
    check("2026-10-25T02:59", "2026-10-25T00:59:00Z", "2026-10-25T01:00:00Z");
}

#[test]
fn the_first_and_the_last_instant_are_read() {
    check("0000", "0000-01-01T00:00:00Z");
    check("0000-01-01T02:00:00+02:00", "0000-01-01T00:00:00Z");
    check("9999-12-31 23:59:59.999999999", "9999-12-31T23:59:59.999999Z");
    check_at(NOW, "Asia/Tokyo", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z");
    check_at("9999-12-31T23:59:59.999999Z", "UTC", "1d", "9999-12-30T23:59:59.999999Z");
}
