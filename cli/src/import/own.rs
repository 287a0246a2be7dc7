//! logq's own output read back: lines that `logq_format::json` wrote become the records they were.
//!
//! [`canonical`] reads the frequent kinds of records in the exact form that is written, and fast.
//! [`read`] takes every kind, with members in any order and space between them, as they come from
//! other tools. A line with a member too many, or whose members contradict each other, is not ours:
//! it is imported as a foreign record, so that nothing of it is lost.

mod canonical;
mod error;

use logq_format::limits::SEQUENCE_MAX;
use logq_format::{
    Event, HttpVersion, Json, Level, Lifecycle, LogSource, Method, Origin, Process, Record,
    Request, RequestId, Response, ResponseFinished, Timestamp, WorkerExited, WorkerId, WriterId,
};

pub(super) use self::canonical::{START, read_canonical};
use crate::import::batch::{Batch, Identity};
use crate::import::members::{Member, text, write_compact};

/// What a JSON object is, seen as a line of logq's own.
pub(super) enum Own<'a> {
    /// A record.
    Record(Identity, Record<'a>),
    /// A record of a kind that this version can print but not write.
    Newer,
    /// Someone else's line.
    Foreign,
}

/// Reads an object as a line of logq's own.
pub(super) fn read<'a>(members: &[Member<'a>], batch: &Batch<'a>) -> Own<'a> {
    let Some(mut fields) = Fields::new(members) else { return Own::Foreign };
    if fields.kind == Some("\"UNKNOWN\"") && fields.data.is_some() && fields.writer.is_some() {
        return Own::Newer;
    }
    match fields.record(batch) {
        Some((identity, record)) if fields.is_used_up() => Own::Record(identity, record),
        _ => Own::Foreign,
    }
}

/// The members that a line of logq's own may have, as JSON text.
#[derive(Debug, Default)]
struct Fields<'a> {
    timestamp: Option<&'a str>,
    level: Option<&'a str>,
    kind: Option<&'a str>,
    worker: Option<&'a str>,
    writer: Option<&'a str>,
    sequence: Option<&'a str>,
    request: Option<&'a str>,
    ip: Option<&'a str>,
    http_version: Option<&'a str>,
    method: Option<&'a str>,
    url: Option<&'a str>,
    status: Option<&'a str>,
    bytes: Option<&'a str>,
    duration: Option<&'a str>,
    error: Option<&'a str>,
    data: Option<&'a str>,
    event: Option<&'a str>,
    exit_code: Option<&'a str>,
    signal: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Sorts the members; `None` if one is unknown or there twice, or the first ones are missing.
    fn new(members: &[Member<'a>]) -> Option<Self> {
        let mut fields = Self::default();
        for member in members {
            let slot = fields.slot(member.plain_name())?;
            if slot.replace(member.value).is_some() {
                return None;
            }
        }
        let complete = fields.timestamp.is_some()
            && fields.level.is_some()
            && fields.kind.is_some()
            && fields.worker.is_some();
        complete.then_some(fields)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "timestamp" => &mut self.timestamp,
            "level" => &mut self.level,
            "type" => &mut self.kind,
            "workerId" => &mut self.worker,
            "writer" => &mut self.writer,
            "seq" => &mut self.sequence,
            "requestId" => &mut self.request,
            "ipAddress" => &mut self.ip,
            "httpVersion" => &mut self.http_version,
            "method" => &mut self.method,
            "url" => &mut self.url,
            "statusCode" => &mut self.status,
            "bytes" => &mut self.bytes,
            "durationMs" => &mut self.duration,
            "error" => &mut self.error,
            "data" => &mut self.data,
            "event" => &mut self.event,
            "exitCode" => &mut self.exit_code,
            "signal" => &mut self.signal,
            _ => return None,
        })
    }

    /// Whether every member has become part of the record.
    fn is_used_up(&self) -> bool {
        let kinds = [self.request, self.ip, self.http_version, self.method, self.url, self.status];
        let others = [self.bytes, self.duration, self.error, self.data, self.event];
        let ends = [self.exit_code, self.signal, self.writer, self.sequence];
        kinds.iter().chain(&others).chain(&ends).all(Option::is_none)
    }

    /// The record, taking the members it is made of.
    fn record(&mut self, batch: &Batch<'a>) -> Option<(Identity, Record<'a>)> {
        let time: Timestamp = text(self.timestamp?)?.parse().ok()?;
        let level = text(self.level?)?;
        let level = Level::ALL.into_iter().find(|known| known.as_str() == level)?;
        let kind = text(self.kind?)?;
        let subject = match self.worker? {
            "null" => None,
            number => Some(WorkerId::new(number.parse().ok()?)?),
        };
        let event = self.event(&kind, level, subject, batch)?;
        let record = Record { time, event };
        if record.level() != level || record.record_type().as_str() != kind {
            return None;
        }
        // The master writes about workers.
        let by_master =
            matches!(record.event, Event::WorkerSpawned { .. } | Event::WorkerExited(_));
        Some((self.identity(subject.filter(|_| !by_master))?, record))
    }

    /// Lines whose writer and number were cut out by another tool get new ones.
    fn identity(&mut self, worker: Option<WorkerId>) -> Option<Identity> {
        match (self.writer.take(), self.sequence.take()) {
            (None, None) => Some(Identity::Assigned { worker }),
            (Some(writer), Some(sequence)) => {
                let writer = WriterId(writer.parse().ok()?);
                let sequence = sequence.parse().ok().filter(|number| *number < SEQUENCE_MAX)?;
                Some(Identity::Kept { origin: Origin { writer, worker }, sequence })
            }
            _ => None,
        }
    }

    fn event(
        &mut self,
        kind: &str,
        level: Level,
        subject: Option<WorkerId>,
        batch: &Batch<'a>,
    ) -> Option<Event<'a>> {
        match kind {
            "REQUEST" => self.request(batch).map(Event::Request),
            "REQUEST_META" => {
                Some(Event::RequestMeta { request: self.request_id()?, data: self.data(batch)? })
            }
            "RESPONSE" => self.response(batch).map(Event::Response),
            "RESPONSE_FINISHED" => self.finished(batch).map(Event::ResponseFinished),
            "LOG" => {
                let source = match (self.request, subject) {
                    (Some(_), _) => LogSource::Request(self.request_id()?),
                    (None, Some(_)) => LogSource::Worker,
                    (None, None) => LogSource::Master,
                };
                Some(Event::Log { source, level, data: self.data(batch)? })
            }
            "LIFECYCLE" => self.lifecycle(subject, batch),
            "LOST" => error::lost(self.data.take()?, batch),
            "CLOCK_STEP" => error::clock_step(self.data.take()?),
            "IO_ERROR" => error::io_error(self.data.take()?, batch),
            _ => None,
        }
    }

    fn request(&mut self, batch: &Batch<'a>) -> Option<Request<'a>> {
        let ip = match self.ip.take() {
            None => None,
            Some(ip) => Some(text(ip)?.parse().ok()?),
        };
        let version = text(self.http_version.take()?)?;
        let (major, minor) = version.split_once('.')?;
        Some(Request {
            request: self.request_id()?,
            ip,
            http_version: HttpVersion::new(major.parse().ok()?, minor.parse().ok()?)?,
            method: Method::new(batch.keep_text(self.method.take()?)?),
            url: batch.keep_text(self.url.take()?)?,
        })
    }

    fn response(&mut self, batch: &Batch<'a>) -> Option<Response<'a>> {
        let (error, expected) = self.error(batch)?;
        Some(Response {
            request: self.request_id()?,
            status: self.status.take()?.parse().ok()?,
            error,
            expected,
            bytes: self.bytes()?,
            duration_us: self.duration_us()?,
        })
    }

    fn finished(&mut self, batch: &Batch<'a>) -> Option<ResponseFinished<'a>> {
        let (error, expected) = self.error(batch)?;
        let finished = ResponseFinished {
            request: self.request_id()?,
            error,
            bytes: self.bytes()?,
            duration_us: self.duration_us()?,
        };
        (!expected).then_some(finished)
    }

    fn lifecycle(&mut self, subject: Option<WorkerId>, batch: &Batch<'a>) -> Option<Event<'a>> {
        let name = text(self.event.take()?)?;
        match &*name {
            "WORKER_SPAWNED" => Some(Event::WorkerSpawned { worker: subject? }),
            "WORKER_EXITED" => {
                let exit_code = match self.exit_code.take() {
                    None => None,
                    Some(code) => Some(code.parse().ok()?),
                };
                let signal = match self.signal.take() {
                    None => None,
                    Some(signal) => Some(batch.keep_text(signal)?),
                };
                Some(Event::WorkerExited(WorkerExited { worker: subject?, exit_code, signal }))
            }
            "UNCAUGHT_EXCEPTION" => {
                let process = if subject.is_some() { Process::Worker } else { Process::Master };
                let (error, expected) = self.error(batch)?;
                let error = error.filter(|_| !expected)?;
                Some(Event::UncaughtException { process, error })
            }
            name => {
                let step = Lifecycle::ALL.into_iter().find(|step| step.as_str() == name)?;
                Some(Event::Lifecycle(step))
            }
        }
    }

    fn request_id(&mut self) -> Option<RequestId> {
        text(self.request.take()?)?.parse().ok()
    }

    fn data(&mut self, batch: &Batch<'a>) -> Option<Json<'a>> {
        own_json(self.data.take()?, batch)
    }

    /// The error, if there is one, and whether it was expected; `None` if it is not ours.
    fn error(&mut self, batch: &Batch<'a>) -> Option<(Option<logq_format::ErrorInfo<'a>>, bool)> {
        match self.error.take() {
            None => Some((None, false)),
            Some(json) => {
                let (error, expected) = error::error_info(json, batch)?;
                Some((Some(error), expected))
            }
        }
    }

    fn bytes(&mut self) -> Option<Option<u64>> {
        self.bytes.take().map_or(Some(None), |number| number.parse().ok().map(Some))
    }

    fn duration_us(&mut self) -> Option<Option<u64>> {
        self.duration.take().map_or(Some(None), |number| millis_to_us(number).map(Some))
    }
}

/// JSON text as it is; only space that is a control character, which no record may have, goes.
fn own_json<'a>(text: &'a str, batch: &Batch<'a>) -> Option<Json<'a>> {
    Json::new(text).or_else(|| batch.keep_json(|out| write_compact(out, text)))
}

/// Milliseconds with a fraction as microseconds. Other tools may have printed them as the nearest
/// floating-point number.
fn millis_to_us(number: &str) -> Option<u64> {
    exact_millis_to_us(number).or_else(|| {
        let micros = (number.parse::<f64>().ok()? * 1_000.0).round();
        format!("{micros:.0}").parse().ok()
    })
}

/// The inverse of [`logq_format::json::write_millis`]: at most three decimals.
fn exact_millis_to_us(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let below = digits.into_iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    })?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(below)
}

#[cfg(test)]
mod tests;
