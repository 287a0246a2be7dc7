//! Time zones as people write them: `UTC`, `+02:00`, `Europe/Berlin`, `local`, and as the end of a
//! time.
//!
//! Names are looked up in the time zone database of the system, or in the one built in where the
//! system has none. Which zone is the local one is told by the caller.

use jiff::tz::{self, Offset, TimeZone};

use super::error::{Problem, Reason, Subject, WhenError};
use super::scan::{Field, Scanner};
use crate::nearest::nearest;
use crate::refusal::clip;

/// The zone written at the end of a time.
#[derive(Debug)]
pub(super) struct ZoneSuffix {
    /// The zone in which the time is read.
    pub(super) zone: TimeZone,
    /// The claim of `+01:00[Europe/Berlin]` that Berlin is at that offset then, to be checked.
    pub(super) claim: Option<Claim>,
}

/// That a zone is at an offset.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) column: usize,
    pub(super) offset: Offset,
    pub(super) name: String,
    pub(super) zone: TimeZone,
}

const OFFSET_FORMS: &str = "an offset such as +02:00, +0200 or +02";
const HOUR: Field =
    Field { name: "offset hour", min: 0, max: 23, one_digit: false, expected: OFFSET_FORMS };
const MINUTE: Field =
    Field { name: "offset minute", min: 0, max: 59, one_digit: false, expected: "two digits" };
const SECOND: Field =
    Field { name: "offset second", min: 0, max: 59, one_digit: false, expected: "two digits" };

/// Reads a time zone: `UTC`, `Z`, `+02:00`, `+0200`, `+02`, a name such as `Europe/Berlin`, or
/// `local`, which stands for the given zone and alone asks for it. Upper and lower case are the same.
///
/// # Errors
///
/// A name that the time zone database does not have, with the nearest one that it has; an offset
/// of a day or more.
pub fn parse_zone(text: &str, local: impl FnOnce() -> TimeZone) -> Result<TimeZone, WhenError> {
    zone_in(text, local).map_err(|problem| problem.within(text, Subject::Zone))
}

fn zone_in(text: &str, local: impl FnOnce() -> TimeZone) -> Result<TimeZone, Problem> {
    let mut scanner = Scanner::new(text);
    scanner.spaces();
    if scanner.peek().is_none() {
        return Err(scanner.problem(Reason::Empty));
    }
    let zone = if scanner.peek_is(is_sign) {
        offset(&mut scanner)?.to_time_zone()
    } else {
        let start = scanner;
        match name(&mut scanner)? {
            name if name.eq_ignore_ascii_case("local") => local(),
            name => named(name).map_err(|reason| start.problem(reason))?,
        }
    };
    scanner.end()?;
    Ok(zone)
}

/// Reads the zone at the end of a time, if there is one, with or without a space before it.
pub(super) fn suffix(scanner: &mut Scanner<'_>) -> Result<Option<ZoneSuffix>, Problem> {
    scanner.spaces();
    let start = *scanner;
    match scanner.peek() {
        Some('+' | '-') => offset_and_claim(scanner).map(Some),
        Some('[') => Ok(Some(in_zone(bracketed(scanner)?.1))),
        Some(c) if c.is_alphabetic() => {
            let name = name(scanner)?;
            let zone = named(name).map_err(|reason| start.problem(reason))?;
            // `Z[Europe/Berlin]` says nothing about the offset there, so there is no claim.
            if zone == TimeZone::UTC && scanner.peek_is(|c| c == '[') {
                bracketed(scanner)?;
            }
            Ok(Some(in_zone(zone)))
        }
        _ => Ok(None),
    }
}

fn in_zone(zone: TimeZone) -> ZoneSuffix {
    ZoneSuffix { zone, claim: None }
}

fn offset_and_claim(scanner: &mut Scanner<'_>) -> Result<ZoneSuffix, Problem> {
    let column = scanner.column();
    let offset = offset(scanner)?;
    let mut suffix = in_zone(offset.to_time_zone());
    let mut after = *scanner;
    after.spaces();
    if after.peek_is(|c| c == '[') {
        let (name, zone) = bracketed(&mut after)?;
        *scanner = after;
        suffix.claim = Some(Claim { column, offset, name: name.to_owned(), zone });
    }
    Ok(suffix)
}

/// Reads the zone of RFC 9557: `[Europe/Berlin]`, `[+01:00]`, `[!Europe/Berlin]`.
fn bracketed<'a>(scanner: &mut Scanner<'a>) -> Result<(&'a str, TimeZone), Problem> {
    scanner.eat(|c| c == '[');
    scanner.eat(|c| c == '!');
    let start = *scanner;
    let found = if scanner.peek_is(is_sign) {
        ("the zone", offset(scanner)?.to_time_zone())
    } else {
        let name = name(scanner)?;
        (name, named(name).map_err(|reason| start.problem(reason))?)
    };
    if scanner.eat(|c| c == ']') { Ok(found) } else { Err(scanner.unexpected("`]`")) }
}

/// Reads `+02:00`, `+0200`, `+02`, and seconds, which old local mean times have.
fn offset(scanner: &mut Scanner<'_>) -> Result<Offset, Problem> {
    let start = *scanner;
    let sign = if scanner.eat(|c| c == '-') { -1 } else { 1 };
    if sign > 0 {
        scanner.eat(|c| c == '+');
    }
    let (hour, minute, second) = offset_fields(scanner)?;
    let seconds = sign * (i32::from(hour) * 3600 + i32::from(minute) * 60 + i32::from(second));
    Offset::from_seconds(seconds).map_err(|_| start.problem(Reason::TooLarge))
}

fn offset_fields(scanner: &mut Scanner<'_>) -> Result<(i8, i8, i8), Problem> {
    let mut ahead = *scanner;
    let digits = ahead.digits().len();
    if digits == 4 || digits == 6 {
        let (hour, minute) = (scanner.packed_field(&HOUR)?, scanner.packed_field(&MINUTE)?);
        let second = if digits == 6 { scanner.packed_field(&SECOND)? } else { 0 };
        return Ok((hour, minute, second));
    }
    let hour = scanner.field(&HOUR)?;
    let minute = field_after_colon(scanner, &MINUTE)?;
    let second = field_after_colon(scanner, &SECOND)?;
    Ok((hour, minute, second))
}

fn field_after_colon(scanner: &mut Scanner<'_>, field: &Field) -> Result<i8, Problem> {
    if scanner.eat(|c| c == ':') { scanner.field(field) } else { Ok(0) }
}

fn is_sign(c: char) -> bool {
    matches!(c, '+' | '-')
}

/// Reads the characters of a zone name, such as `America/Port-au-Prince` or `Etc/GMT+5`.
fn name<'a>(scanner: &mut Scanner<'a>) -> Result<&'a str, Problem> {
    let start = *scanner;
    match scanner.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '+' | '-')) {
        "" => Err(start.unexpected("a time zone")),
        name => Ok(name),
    }
}

fn named(name: &str) -> Result<TimeZone, Reason> {
    if name.eq_ignore_ascii_case("z") || name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    tz::db().get(name).map_err(|_| Reason::UnknownZone { name: clip(name), nearest: similar(name) })
}

/// The zone that somebody may have meant: by its city alone, or misspelt.
fn similar(name: &str) -> Option<String> {
    let known: Vec<_> = tz::db().available().collect();
    let mut names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
    // A system database also lists `posix/Europe/Berlin`; the shorter name comes first.
    names.sort_by_key(|name| name.len());
    let city = |full: &&&str| full.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(name));
    let found = names.iter().find(city).copied();
    found.or_else(|| nearest(name, names.iter().copied())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_berlin(text: &str) -> Result<TimeZone, WhenError> {
        parse_zone(text, || TimeZone::get("Europe/Berlin").unwrap())
    }

    #[test]
    fn zones_are_read_in_every_form() {
        let check = |text: &str, name: Option<&str>, seconds| {
            let zone = in_berlin(text).unwrap();
            assert_eq!(zone.iana_name(), name, "{text}");
            assert_eq!(zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds(), seconds, "{text}");
        };
        check("UTC", Some("UTC"), 0);
        check("utc", Some("UTC"), 0);
        check("Z", Some("UTC"), 0);
        check("z", Some("UTC"), 0);
        check("+00:00", Some("UTC"), 0);
        check("-00:00", Some("UTC"), 0);
        check("+02:00", None, 7_200);
        check("+0200", None, 7_200);
        check("+02", None, 7_200);
        check("-09:30", None, -34_200);
        check("-00:44:30", None, -2_670);
        check("-004430", None, -2_670);
        check("+23:59", None, 86_340);
        check("local", Some("Europe/Berlin"), 3_600);
        check("LOCAL", Some("Europe/Berlin"), 3_600);
        check("  Asia/Tokyo ", Some("Asia/Tokyo"), 32_400);
        check("asia/tokyo", Some("Asia/Tokyo"), 32_400);
        check("Etc/GMT+5", Some("Etc/GMT+5"), -18_000);
    }

    #[test]
    fn errors_name_the_column_and_the_nearest_zone() {
        let check = |text: &str, expected: &str| {
            let shown = in_berlin(text).unwrap_err().to_string();
            assert_eq!(shown, format!("{expected}\n  accepted: {}", Subject::Zone.accepted()));
        };
        check("", "cannot read the time zone \"\": nothing is written here\n  \n  ^");
        check(
            "Europe/Berln",
            "cannot read the time zone \"Europe/Berln\": unknown time zone \"Europe/Berln\"; \
             did you mean Europe/Berlin?\n  Europe/Berln\n  ^",
        );
        check(
            "tokyo",
            "cannot read the time zone \"tokyo\": unknown time zone \"tokyo\"; \
             did you mean Asia/Tokyo?\n  tokyo\n  ^",
        );
        check(
            " +25:00",
            "cannot read the time zone \" +25:00\": offset hour 25 is out of range 0 to 23\
             \n   +25:00\n    ^",
        );
        check(
            "+02:60",
            "cannot read the time zone \"+02:60\": offset minute 60 is out of range 0 to 59\
             \n  +02:60\n      ^",
        );
        check("+2", "cannot read the time zone \"+2\": offset hour 2 needs two digits\n  +2\n   ^");
        check(
            "UTC, please",
            "cannot read the time zone \"UTC, please\": expected the end, found \",\"\
             \n  UTC, please\n     ^",
        );
    }
}
