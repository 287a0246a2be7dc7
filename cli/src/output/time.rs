//! Times as they are printed for people: RFC 3339 with the offset of the zone. `--since` reads them
//! back.

use jiff::tz::TimeZone;
use logq_format::Timestamp;

use super::push;

/// How many digits follow the seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Three.
    Millis,
    /// Six: all that a record has.
    Micros,
}

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Appends a time as the clocks of a zone show it.
pub(crate) fn write_time(
    out: &mut Vec<u8>,
    time: Timestamp,
    zone: &TimeZone,
    precision: Precision,
) {
    let instant = jiff::Timestamp::from_microsecond(time.as_micros());
    let Ok(instant) = instant else {
        // jiff's range ends a day before RFC 3339's.
        return time.write_rfc3339(out);
    };
    let offset = zone.to_offset(instant).seconds();
    let shift = i64::from(offset).saturating_mul(MICROS_PER_SECOND);
    let Some(local) = Timestamp::checked_from_micros(time.as_micros().saturating_add(shift)) else {
        // The year on the clock of the zone would have more digits, or none.
        return time.write_rfc3339(out);
    };
    local.write_rfc3339(out);
    let too_many = match precision {
        Precision::Millis => "000Z".len(),
        Precision::Micros => "Z".len(),
    };
    out.truncate(out.len() - too_many);
    match offset {
        0 => out.push(b'Z'),
        offset => {
            let sign = if offset < 0 { '-' } else { '+' };
            let minutes = offset.abs() / 60;
            push(out, format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;

    #[test]
    fn times_are_those_of_the_zone_and_read_back() {
        let check = |time: &str, hours: i8, precision, expected: &str| {
            let zone = Offset::constant(hours).to_time_zone();
            let mut out = Vec::new();
            write_time(&mut out, time.parse().unwrap(), &zone, precision);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let time = "2026-02-03T23:30:00.123987Z";
        check(time, 0, Precision::Millis, "2026-02-03T23:30:00.123Z");
        check(time, 0, Precision::Micros, time);
        check(time, 1, Precision::Millis, "2026-02-04T00:30:00.123+01:00");
        check(time, -7, Precision::Micros, "2026-02-03T16:30:00.123987-07:00");
        // There the year would have five digits, and minus one.
        let (last, first) = ("9999-12-31T23:59:59.999999Z", "0000-01-01T00:00:00.000000Z");
        check(last, 1, Precision::Micros, last);
        check(first, -1, Precision::Micros, first);
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let mut out = Vec::new();
        write_time(&mut out, time.parse().unwrap(), &zone, Precision::Millis);
        assert_eq!(String::from_utf8(out).unwrap(), "2026-02-04T05:00:00.123+05:30");
    }
}
