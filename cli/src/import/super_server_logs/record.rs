//! An entry of `super-server-logs` as a record of logq.

use std::borrow::Cow;
use std::fmt;

use bumpalo::Bump;
use logq_format::limits::{RECORD_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use logq_format::{
    DebugEntry, ErrorInfo, ErrorKind, Event, Json, LogSource, Method, Process, Record, Request,
    Response, ResponseFinished, Timestamp, WorkerExited, WorkerId,
};
use logq_nodelogs::{Entry, Event as Told, Exception, Source};
use serde_json::value::RawValue;

use crate::import::batch::longest_text;
use crate::import::line::to_text;
use crate::import::members::write_compact;

/// A record and who wrote it.
pub(super) struct Translated<'a> {
    /// `None` is the master.
    pub(super) worker: Option<WorkerId>,
    pub(super) record: Record<'a>,
}

/// Why an entry cannot become a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The data is not JSON, or the error not the array it should be. So it is in damaged blocks
    /// that have no checksum.
    NotJson { what: &'static str, start: String },
    /// A number that logq has no room for.
    Number { what: &'static str, found: u64, limit: u64 },
    /// A text over the limit of the format.
    TooLarge { bytes: usize },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { what, start } => {
                write!(f, "its {what} cannot be read as JSON: {start}")
            }
            Self::Number { what, found, limit } => {
                write!(f, "its {what} is {found}, logq has room for {limit}")
            }
            Self::TooLarge { bytes } => {
                write!(f, "a text of it has {bytes} bytes, one may have {TEXT_BYTES_MAX}")
            }
        }
    }
}

/// Makes a record of an entry; `None` of a ping. What is not in the entry as it is in the record goes
/// into the arena.
pub(super) fn translate<'a>(
    entry: &Entry<'a>,
    arena: &'a Bump,
) -> Result<Option<Translated<'a>>, Refusal> {
    let time_limit = Timestamp::MAX.as_micros().unsigned_abs() / 1_000;
    let time = i64::try_from(entry.time_ms).ok().and_then(timestamp);
    let time = time.ok_or(Refusal::Number {
        what: "time in milliseconds",
        found: entry.time_ms,
        limit: time_limit,
    })?;
    let number = entry.worker().map(worker).transpose()?;
    let Some(event) = (Keeper { arena }).event(&entry.event)? else { return Ok(None) };
    match longest_text(&event) {
        ..TEXT_BYTES_MAX => Ok(Some(Translated { worker: number, record: Record { time, event } })),
        bytes => Err(Refusal::TooLarge { bytes }),
    }
}

fn timestamp(millis: i64) -> Option<Timestamp> {
    Timestamp::checked_from_micros(millis.checked_mul(1_000)?)
}

fn worker(number: u32) -> Result<WorkerId, Refusal> {
    let limit = u64::from(WorkerId::MAX.get());
    let refusal = Refusal::Number { what: "worker", found: u64::from(number), limit };
    WorkerId::new(number).ok_or(refusal)
}

fn status(number: u32) -> Result<u16, Refusal> {
    let (found, limit) = (u64::from(number), u64::from(u16::MAX));
    u16::try_from(number).map_err(|_| Refusal::Number { what: "status code", found, limit })
}

fn not_json(what: &'static str, text: &str) -> Refusal {
    Refusal::NotJson { what, start: text.chars().take(80).collect() }
}

/// Keeps texts as long as the record.
#[derive(Clone, Copy)]
struct Keeper<'a> {
    arena: &'a Bump,
}

impl<'a> Keeper<'a> {
    fn event(self, told: &Told<'a>) -> Result<Option<Event<'a>>, Refusal> {
        Ok(Some(match told {
            Told::Request { request, http_version, ip, method, url, .. } => {
                Event::Request(Request {
                    request: *request,
                    ip: Some(*ip),
                    http_version: *http_version,
                    method: Method::new(self.text(method)),
                    url: self.text(url),
                })
            }
            Told::RequestMeta { request, data, .. } => {
                Event::RequestMeta { request: *request, data: self.json("data", data)? }
            }
            Told::Response { request, error, is_expected, status: number, .. } => {
                Event::Response(Response {
                    request: *request,
                    status: status(*number)?,
                    error: self.error_if_any(error)?,
                    expected: *is_expected && !error.is_empty(),
                    bytes: None,
                    duration_us: None,
                })
            }
            Told::ResponseFinished { request, error, .. } => {
                let error = self.error_if_any(error)?;
                let request = *request;
                Event::ResponseFinished(ResponseFinished {
                    request,
                    error,
                    bytes: None,
                    duration_us: None,
                })
            }
            Told::UncaughtException { worker, error } => {
                let process = if worker.is_some() { Process::Worker } else { Process::Master };
                Event::UncaughtException { process, error: self.error(error)? }
            }
            Told::Log { source, level, data } => {
                let source = match source {
                    Source::Request { request, .. } => LogSource::Request(*request),
                    Source::Worker(_) => LogSource::Worker,
                    Source::Master => LogSource::Master,
                };
                Event::Log { source, level: *level, data: self.json("data", data)? }
            }
            Told::Lifecycle { step, .. } => Event::Lifecycle(*step),
            Told::WorkerSpawned { worker: number } => {
                Event::WorkerSpawned { worker: worker(*number)? }
            }
            Told::WorkerExited { worker: number, exit_code, signal } => {
                Event::WorkerExited(WorkerExited {
                    worker: worker(*number)?,
                    exit_code: exit_code.map(u32::cast_signed),
                    signal: (!signal.is_empty()).then(|| self.text(signal)),
                })
            }
            Told::Ping { .. } => return Ok(None),
        }))
    }

    fn text(self, bytes: &'a [u8]) -> &'a str {
        self.keep(to_text(bytes, false))
    }

    fn keep(self, text: Cow<'a, str>) -> &'a str {
        match text {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => self.arena.alloc_str(&text),
        }
    }

    /// JSON as it is. The Node package writes it without space; what has some loses it.
    fn json(self, what: &'static str, bytes: &'a [u8]) -> Result<Json<'a>, Refusal> {
        let text = self.keep(to_text(bytes, true));
        let refusal = || not_json(what, text);
        serde_json::from_str::<&RawValue>(text).map_err(|_| refusal())?;
        self.compact(text).ok_or_else(refusal)
    }

    /// Valid JSON without control characters; those between its tokens go.
    fn compact(self, text: &'a str) -> Option<Json<'a>> {
        Json::new(text).or_else(|| {
            let mut compact = Vec::with_capacity(text.len());
            write_compact(&mut compact, text);
            Json::new(self.arena.alloc_str(str::from_utf8(&compact).ok()?))
        })
    }

    fn error_if_any(self, json: &'a [u8]) -> Result<Option<ErrorInfo<'a>>, Refusal> {
        if json.is_empty() { Ok(None) } else { self.error(json).map(Some) }
    }

    fn error(self, json: &'a [u8]) -> Result<ErrorInfo<'a>, Refusal> {
        if json.len() > RECORD_TEXT_BYTES_MAX {
            // The list of its DEBUG entries may take four times as much.
            return Err(Refusal::TooLarge { bytes: json.len() });
        }
        let text = self.keep(to_text(json, true));
        self.exception(text).ok_or_else(|| not_json("error", text))
    }

    fn exception(self, json: &'a str) -> Option<ErrorInfo<'a>> {
        let Exception { is_stack, text, properties, debug } = Exception::parse(json)?;
        let entry = |(millis, data): (i64, &'a str)| {
            Some(DebugEntry { time: timestamp(millis)?, data: self.compact(data)? })
        };
        let debug: Vec<_> = debug.into_iter().map(entry).collect::<Option<_>>()?;
        Some(ErrorInfo {
            kind: if is_stack { ErrorKind::Stack } else { ErrorKind::Value },
            text: self.keep(text),
            properties: Some(self.compact(properties)?),
            debug: Cow::Borrowed(self.arena.alloc_slice_copy(&debug)),
        })
    }
}
