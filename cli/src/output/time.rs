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
    let offset = zone.to_offset(instant);
    let local = offset.to_datetime(instant);
    let (date, clock) = (local.date(), local.time());
    push(
        out,
        format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
        ),
    );
    let micros = clock.subsec_nanosecond() / 1_000;
    match precision {
        Precision::Millis => push(out, format_args!(".{:03}", micros / 1_000)),
        Precision::Micros => push(out, format_args!(".{micros:06}")),
    }
    match offset.seconds() {
        0 => out.push(b'Z'),
        seconds => {
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            push(out, format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
}
