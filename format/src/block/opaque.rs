//! Records of rare kinds, stored row by row in one column.
//!
//! Each payload is the fields in order; bytes behind the known fields are ignored, so that a later
//! version may append fields.

use crate::cursor::{Cursor, put_text, put_varint, unzigzag, zigzag};
use crate::error::DecodeError;
use crate::header::timestamp;
use crate::record::{ClockStep, Event, IoError, Lost, WorkerExited, WorkerId};
use crate::shape;

const HAS_EXIT_CODE: u8 = 1;
const HAS_SIGNAL: u8 = 2;

/// Appends the payload of `event` and returns its shape.
///
/// Events that have columns of their own never come here; they would get the shape 0, which no
/// reader accepts.
pub(crate) fn encode(event: &Event<'_>, out: &mut Vec<u8>) -> u8 {
    match event {
        Event::WorkerSpawned { worker } => {
            put_varint(out, u64::from(worker.get()));
            shape::WORKER_SPAWNED
        }
        Event::WorkerExited(exited) => {
            put_varint(out, u64::from(exited.worker.get()));
            let code = if exited.exit_code.is_some() { HAS_EXIT_CODE } else { 0 };
            let signal = if exited.signal.is_some() { HAS_SIGNAL } else { 0 };
            out.push(code | signal);
            if let Some(code) = exited.exit_code {
                put_varint(out, zigzag(i64::from(code)));
            }
            if let Some(signal) = exited.signal {
                put_text(out, signal);
            }
            if exited.is_orderly() { shape::WORKER_EXITED } else { shape::WORKER_EXITED_BADLY }
        }
        Event::Lost(lost) => {
            lost.counts.iter().for_each(|count| put_varint(out, *count));
            put_varint(out, zigzag(lost.first.as_micros()));
            put_varint(out, zigzag(lost.last.as_micros()));
            put_text(out, lost.reason);
            shape::LOST
        }
        Event::ClockStep(step) => {
            put_varint(out, zigzag(step.expected.as_micros()));
            put_varint(out, zigzag(step.found.as_micros()));
            shape::CLOCK_STEP
        }
        Event::IoError(error) => {
            put_text(out, error.operation);
            put_varint(out, zigzag(i64::from(error.code)));
            put_text(out, error.path);
            put_text(out, error.message);
            shape::IO_ERROR
        }
        _ => 0,
    }
}

/// Decodes the payload of a record with this shape.
pub(crate) fn decode(shape: u8, payload: &[u8]) -> Result<Event<'_>, DecodeError> {
    let mut cursor = Cursor::new(payload);
    match shape {
        shape::WORKER_SPAWNED => Ok(Event::WorkerSpawned { worker: worker(&mut cursor)? }),
        shape::WORKER_EXITED | shape::WORKER_EXITED_BADLY => {
            let worker = worker(&mut cursor)?;
            let flags = cursor.u8("exit flags")?;
            let exit_code = match flags & HAS_EXIT_CODE {
                0 => None,
                _ => Some(code(&mut cursor, "exit code")?),
            };
            let signal = match flags & HAS_SIGNAL {
                0 => None,
                _ => Some(cursor.text("signal")?),
            };
            let exited = WorkerExited { worker, exit_code, signal };
            // The level that a query saw in the shape must be the level of the record.
            if exited.is_orderly() == (shape == shape::WORKER_EXITED) {
                Ok(Event::WorkerExited(exited))
            } else {
                Err(DecodeError::Invalid { what: "record shape", found: u64::from(shape) })
            }
        }
        shape::LOST => {
            let mut counts = [0; 6];
            for count in &mut counts {
                *count = cursor.varint("lost count")?;
            }
            let first = time(&mut cursor, "first lost time")?;
            let last = time(&mut cursor, "last lost time")?;
            Ok(Event::Lost(Lost { counts, first, last, reason: cursor.text("reason")? }))
        }
        shape::CLOCK_STEP => {
            let expected = time(&mut cursor, "expected time")?;
            Ok(Event::ClockStep(ClockStep { expected, found: time(&mut cursor, "found time")? }))
        }
        shape::IO_ERROR => Ok(Event::IoError(IoError {
            operation: cursor.text("operation")?,
            code: code(&mut cursor, "error number")?,
            path: cursor.text("path")?,
            message: cursor.text("message")?,
        })),
        shape::FUTURE_FIRST..=shape::FUTURE_LAST => Ok(Event::Unknown { kind: shape, payload }),
        _ => Err(DecodeError::Invalid { what: "record shape", found: u64::from(shape) }),
    }
}

fn worker(cursor: &mut Cursor<'_>) -> Result<WorkerId, DecodeError> {
    let found = cursor.varint("worker number")?;
    u32::try_from(found)
        .ok()
        .and_then(WorkerId::new)
        .ok_or(DecodeError::Invalid { what: "worker number", found })
}

fn code(cursor: &mut Cursor<'_>, what: &'static str) -> Result<i32, DecodeError> {
    let found = cursor.varint(what)?;
    i32::try_from(unzigzag(found)).map_err(|_| DecodeError::Invalid { what, found })
}

fn time(
    cursor: &mut Cursor<'_>,
    what: &'static str,
) -> Result<crate::timestamp::Timestamp, DecodeError> {
    timestamp(what, unzigzag(cursor.varint(what)?))
}
