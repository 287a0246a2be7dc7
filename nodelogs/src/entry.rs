//! One record of a file: its type, its time, its nonce and its fields.
//!
//! Texts stay bytes. The Node package writes UTF-8 and valid JSON; a block without a checksum may have
//! lost that on the way, and whoever takes the texts over decides what to make of it.

use std::net::IpAddr;

use logq_format::{HttpVersion, Level, Lifecycle, RequestId};

use crate::cursor::Cursor;

/// A record as it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Milliseconds since the Unix epoch, 48 bits.
    pub time_ms: u64,
    /// The number of the record among those of its process, modulo 65,536. Pings count too.
    pub nonce: u16,
    /// What happened.
    pub event: Event<'a>,
}

/// What a record tells. Numbers of workers are those of Node's `cluster` module.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the same records of logq-format")]
pub enum Event<'a> {
    Request {
        worker: u32,
        request: RequestId,
        http_version: HttpVersion,
        ip: IpAddr,
        method: &'a [u8],
        url: &'a [u8],
    },
    RequestMeta {
        worker: u32,
        request: RequestId,
        data: &'a [u8],
    },
    /// The error is empty if there is none, as in the two variants below.
    Response {
        worker: u32,
        request: RequestId,
        error: &'a [u8],
        is_expected: bool,
        status: u32,
    },
    ResponseFinished {
        worker: u32,
        request: RequestId,
        error: &'a [u8],
    },
    UncaughtException {
        worker: Option<u32>,
        error: &'a [u8],
    },
    Log {
        source: Source,
        level: Level,
        data: &'a [u8],
    },
    Lifecycle {
        worker: Option<u32>,
        step: Lifecycle,
    },
    WorkerSpawned {
        worker: u32,
    },
    /// The exit code is as Node casts it: -1 is 4,294,967,295. The signal is empty if there was none.
    WorkerExited {
        worker: u32,
        exit_code: Option<u32>,
        signal: &'a [u8],
    },
    /// A sign of life of a worker, or of the master with the list of its workers, which is left out
    /// here: it proves bounds of time within the file and tells nothing else.
    Ping {
        worker: Option<u32>,
    },
}

/// Who speaks in a [`Event::Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names tell it")]
pub enum Source {
    Request { worker: u32, request: RequestId },
    Worker(u32),
    Master,
}

/// Says why bytes are not a record. Records have no length, so that what follows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes end within the record.
    #[error("{what} is cut off: {expected} bytes expected, {found} found")]
    Truncated {
        /// The field.
        what: &'static str,
        /// Bytes it needs.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// No record of version 4 has this type.
    #[error("records of type {found} are unknown")]
    Type {
        /// The type.
        found: u8,
    },
    /// No method has this number.
    #[error("methods of number {found} are unknown")]
    Method {
        /// The number.
        found: u8,
    },
}

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Bits of the byte in a request that tells which form the next fields have.
const HAS_IPV6: u8 = 0x40;
const HAS_METHOD_TEXT: u8 = 0x80;

impl<'a> Entry<'a> {
    /// Takes the first record off the bytes.
    ///
    /// # Errors
    ///
    /// The bytes are not a record; `bytes` stays as it is.
    pub fn take(bytes: &mut &'a [u8]) -> Result<Self, EntryError> {
        let mut cursor = Cursor::new(bytes);
        let kind = cursor.u8("type")?;
        let time_ms = cursor.u48("time")?;
        let nonce = cursor.u16("nonce")?;
        let event = event(kind, &mut cursor)?;
        *bytes = cursor.rest();
        Ok(Self { time_ms, nonce, event })
    }

    /// The number of the worker that wrote the record; `None` is the master.
    pub const fn worker(&self) -> Option<u32> {
        match self.event {
            Event::Request { worker, .. }
            | Event::RequestMeta { worker, .. }
            | Event::Response { worker, .. }
            | Event::ResponseFinished { worker, .. }
            | Event::Log {
                source: Source::Request { worker, .. } | Source::Worker(worker), ..
            } => Some(worker),
            Event::UncaughtException { worker, .. }
            | Event::Lifecycle { worker, .. }
            | Event::Ping { worker } => worker,
            Event::Log { source: Source::Master, .. }
            | Event::WorkerSpawned { .. }
            | Event::WorkerExited { .. } => None,
        }
    }
}

fn event<'a>(kind: u8, cursor: &mut Cursor<'a>) -> Result<Event<'a>, EntryError> {
    Ok(match kind {
        1 => request(cursor)?,
        2 => {
            let (worker, request) = (worker(cursor)?, request_id(cursor)?);
            Event::RequestMeta { worker, request, data: cursor.text("data")? }
        }
        3 => {
            let (worker, request) = (worker(cursor)?, request_id(cursor)?);
            let error = cursor.text("error")?;
            let is_expected = cursor.u8("flags")? & 1 > 0;
            let status = cursor.int("status")?;
            Event::Response { worker, request, error, is_expected, status }
        }
        4 => {
            let (worker, request) = (worker(cursor)?, request_id(cursor)?);
            Event::ResponseFinished { worker, request, error: cursor.text("error")? }
        }
        26 | 46 => {
            let worker = if kind == 26 { Some(worker(cursor)?) } else { None };
            Event::UncaughtException { worker, error: cursor.text("error")? }
        }
        27 => Event::Ping { worker: Some(worker(cursor)?) },
        44 => Event::WorkerSpawned { worker: worker(cursor)? },
        45 => exited(cursor)?,
        47 => {
            for _ in 0..cursor.int("number of workers")? {
                worker(cursor)?;
            }
            Event::Ping { worker: None }
        }
        _ => match (log_level(kind), lifecycle(kind)) {
            (Some(level), _) => {
                let source = source(kind, cursor)?;
                Event::Log { source, level, data: cursor.text("data")? }
            }
            (None, Some(step)) => {
                let is_worker = step.process() == logq_format::Process::Worker;
                let worker = if is_worker { Some(worker(cursor)?) } else { None };
                Event::Lifecycle { worker, step }
            }
            (None, None) => return Err(EntryError::Type { found: kind }),
        },
    })
}

/// The level of a log record, whose type is 10, 30 or 50 more than the level's number.
const fn log_level(kind: u8) -> Option<Level> {
    match kind {
        12 | 32 | 52 => Some(Level::Critical),
        14 | 34 | 54 => Some(Level::Error),
        15 | 35 | 55 => Some(Level::Warn),
        16 | 36 | 56 => Some(Level::Info),
        _ => None,
    }
}

fn lifecycle(kind: u8) -> Option<Lifecycle> {
    // logq has taken the numbers over.
    Lifecycle::ALL.into_iter().find(|step| *step as u8 == kind)
}

fn source(kind: u8, cursor: &mut Cursor<'_>) -> Result<Source, EntryError> {
    Ok(match kind {
        ..30 => Source::Request { worker: worker(cursor)?, request: request_id(cursor)? },
        30..50 => Source::Worker(worker(cursor)?),
        50.. => Source::Master,
    })
}

fn request<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>, EntryError> {
    let (worker, request) = (worker(cursor)?, request_id(cursor)?);
    let flags = cursor.u8("flags")?;
    // Three bits each always are a version that the format can store.
    let http_version = HttpVersion::new(flags >> 3 & 7, flags & 7).unwrap_or(HttpVersion::HTTP_11);
    let ip = if flags & HAS_IPV6 > 0 {
        IpAddr::from(cursor.array::<16>("address")?)
    } else {
        IpAddr::from(cursor.array::<4>("address")?)
    };
    let method = if flags & HAS_METHOD_TEXT > 0 {
        cursor.text("method")?
    } else {
        let found = cursor.u8("method")?;
        let name = METHODS.get(usize::from(found).wrapping_sub(1));
        name.ok_or(EntryError::Method { found })?.as_bytes()
    };
    let url = cursor.text("url")?;
    Ok(Event::Request { worker, request, http_version, ip, method, url })
}

fn exited<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>, EntryError> {
    let worker = worker(cursor)?;
    let has_code = cursor.u8("flags")? & 1 > 0;
    let exit_code = if has_code { Some(cursor.int("exit code")?) } else { None };
    Ok(Event::WorkerExited { worker, exit_code, signal: cursor.text("signal")? })
}

fn worker(cursor: &mut Cursor<'_>) -> Result<u32, EntryError> {
    cursor.int("worker")
}

fn request_id(cursor: &mut Cursor<'_>) -> Result<RequestId, EntryError> {
    cursor.array("request id").map(RequestId::from_bytes)
}

#[cfg(test)]
mod tests;
