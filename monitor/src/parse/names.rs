//! What servers call the fields of an access log, and the fields of one line as they are read.

use std::borrow::Cow;

use logq_format::Timestamp;

use super::number::{BYTES_MAX, Unit, bytes, duration_us, status};
use super::time::{Times, of_date_and_clock};
use super::{ParseError, Reason};
use crate::hit::{Hit, Target};

/// What a field means to the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Nothing.
    Skip,
    Time,
    /// The time of the request, where another field has the time of the log entry.
    StartTime,
    /// A day; the time of day is in [`Field::Clock`].
    Date,
    Clock,
    /// Method, target and protocol.
    Request,
    Method,
    Path,
    Client,
    Status,
    Bytes,
    Latency(Unit),
}

/// The meaning of a field's name, as headers, JSON lines, W3C logs, nginx and GCP have it.
pub(super) fn field(name: &[u8]) -> Field {
    // Traefik's nanoseconds differ from everybody's seconds by a capital only.
    if name == b"Duration" {
        return Field::Latency(Unit::Nanos);
    }
    let mut lower = [0; 32];
    let Some(lower) = lower.get_mut(..name.len()) else { return Field::Skip };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    match &*lower {
        b"time" | b"date" | b"timestamp" | b"@timestamp" | b"ts" | b"datetime" | b"time_local"
        | b"time_iso8601" | b"msec" | b"startlocal" => Field::Time,
        b"startutc" => Field::StartTime,
        b"request" | b"request_line" | b"requestline" | b"httprequest" => Field::Request,
        b"method" | b"request_method" | b"requestmethod" | b"cs-method" | b"verb" => Field::Method,
        b"uri" | b"url" | b"path" | b"request_uri" | b"requesturi" | b"requesturl"
        | b"request_path" | b"requestpath" | b"cs-uri-stem" | b"cs-uri" | b"target" => Field::Path,
        b"status" | b"statuscode" | b"status_code" | b"sc-status" | b"downstreamstatus"
        | b"response_code" | b"responsecode" | b"response_status" => Field::Status,
        b"bytes"
        | b"size"
        | b"body_bytes_sent"
        | b"bytes_sent"
        | b"sc-bytes"
        | b"downstreamcontentsize"
        | b"responsesize"
        | b"response_size"
        | b"bytes_out" => Field::Bytes,
        b"remotehost" | b"remote_addr" | b"remote_host" | b"remoteaddr" | b"remote_ip"
        | b"remoteip" | b"client" | b"client_ip" | b"clientip" | b"clienthost" | b"c-ip"
        | b"ip" | b"ipaddress" => Field::Client,
        b"request_time" | b"duration" | b"latency" | b"elapsed" | b"response_time"
        | b"request_duration" => Field::Latency(Unit::Seconds),
        b"durationms" | b"duration_ms" | b"latency_ms" | b"response_time_ms" | b"elapsed_ms" => {
            Field::Latency(Unit::Millis)
        }
        b"duration_us" | b"latency_us" => Field::Latency(Unit::Micros),
        b"duration_ns" | b"latency_ns" => Field::Latency(Unit::Nanos),
        b"time-taken" | b"time_taken" => Field::Latency(Unit::SecondsOrMillis),
        _ => Field::Skip,
    }
}

/// Whether fields of these meanings tell when, and what was asked for.
pub(super) fn suffices(fields: &[Field]) -> bool {
    let has = |field| fields.contains(&field);
    let has_time = has(Field::Time) || has(Field::StartTime) || has(Field::Clock);
    has_time && (has(Field::Request) || has(Field::Path))
}

/// The fields of one line.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    time: Option<Timestamp>,
    start: Option<Timestamp>,
    date: Option<Cow<'a, [u8]>>,
    clock: Option<Cow<'a, [u8]>>,
    request: Option<Target<'a>>,
    method: Option<Cow<'a, [u8]>>,
    path: Option<Cow<'a, [u8]>>,
    client: Option<Cow<'a, [u8]>>,
    status: u16,
    bytes: u64,
    latency_us: Option<u64>,
}

impl<'a> Fields<'a> {
    /// Takes the text of a field. Where several fields mean the same, the first one counts.
    #[inline]
    pub(super) fn set(
        &mut self,
        field: Field,
        text: Cow<'a, [u8]>,
        times: &mut Times,
    ) -> Result<(), Reason> {
        match field {
            Field::Skip => {}
            Field::Time if self.time.is_none() => {
                self.time = Some(times.parse(&text).ok_or(Reason::BadTime)?);
            }
            Field::StartTime => self.start = times.parse(&text),
            Field::Date => self.date = Some(text),
            Field::Clock => self.clock = Some(text),
            Field::Request => self.request = Some(of_request(text)),
            Field::Method => self.method = Some(text),
            Field::Path if self.path.is_none() => self.path = Some(text),
            Field::Client if self.client.is_none() => self.client = Some(text),
            Field::Status => self.status = status(&text).ok_or(Reason::BadStatus)?,
            Field::Bytes => self.bytes = bytes(&text).ok_or(Reason::BadBytes)?,
            // A log may write anything for a request that did not get that far.
            Field::Latency(unit) => self.latency_us = duration_us(&text, unit).or(self.latency_us),
            Field::Time | Field::Path | Field::Client => {}
        }
        Ok(())
    }

    /// Takes the value of a field that is a whole number.
    pub(super) fn set_whole(&mut self, field: Field, value: u64) -> Result<(), Reason> {
        match field {
            Field::Status => {
                let is_status = matches!(value, 0 | 100..=999);
                let status = u16::try_from(value).ok().filter(|_| is_status);
                self.status = status.ok_or(Reason::BadStatus)?;
            }
            Field::Bytes if value > BYTES_MAX => return Err(Reason::BadBytes),
            Field::Bytes => self.bytes = value,
            Field::Latency(Unit::Nanos) => self.set_latency(Some(value / 1_000)),
            Field::Latency(Unit::Micros) => self.set_latency(Some(value)),
            Field::Latency(Unit::Millis | Unit::SecondsOrMillis) => {
                self.set_latency(value.checked_mul(1_000));
            }
            Field::Latency(Unit::Seconds) => self.set_latency(value.checked_mul(1_000_000)),
            _ => {}
        }
        Ok(())
    }

    /// Takes a time that is known from elsewhere.
    pub(super) fn set_time(&mut self, time: Timestamp) {
        self.time.get_or_insert(time);
    }

    /// Takes a latency in microseconds.
    pub(super) fn set_latency(&mut self, latency_us: Option<u64>) {
        self.latency_us = latency_us.or(self.latency_us);
    }

    /// The hit of these fields; `date` is the day of a clock without one.
    pub(super) fn hit(self, date: Option<&[u8]>) -> Result<Hit<'a>, ParseError> {
        let clock = self.clock.as_deref();
        let of_parts = clock
            .zip(self.date.as_deref().or(date))
            .and_then(|(clock, date)| of_date_and_clock(date, clock));
        let missing = if clock.is_some() { Reason::BadTime } else { Reason::NoTime };
        let time = self.start.or(self.time).or(of_parts).ok_or(ParseError::new(missing, 0))?;
        let method = self.method.as_deref().unwrap_or_default();
        let target = match (self.request, self.path) {
            (Some(target), _) => target,
            (None, Some(Cow::Borrowed(path))) => Target::of(method, path),
            (None, Some(Cow::Owned(path))) => Target::of(method, &path).into_owned(),
            (None, None) => return Err(ParseError::new(Reason::NoRequest, 0)),
        };
        let client = self.client.unwrap_or_default();
        let (status, bytes, latency_us) = (self.status, self.bytes, self.latency_us);
        Ok(Hit { time, target, client, status, bytes, latency_us })
    }
}

fn of_request(text: Cow<'_, [u8]>) -> Target<'_> {
    match text {
        Cow::Borrowed(text) => Target::of_request(text),
        Cow::Owned(text) => Target::of_request(&text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(field(b"RemoteHost"), Field::Client);
        assert_eq!(field(b"Duration"), Field::Latency(Unit::Nanos));
        assert_eq!(field(b"duration"), Field::Latency(Unit::Seconds));
        assert_eq!(field(b"rfc931"), Field::Skip);
        assert_eq!(field("x".repeat(100).as_bytes()), Field::Skip);
        assert!(suffices(&[Field::Time, Field::Request]));
        assert!(!suffices(&[Field::Time, Field::Status]));
        assert!(!suffices(&[Field::Path, Field::Date]));
    }
}
