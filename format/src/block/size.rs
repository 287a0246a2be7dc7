//! How much room a record takes in a block, known before it is taken apart.

use crate::error::PushError;
use crate::limits::{RECORD_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::record::{ErrorInfo, Event};

/// The bytes of an event that count towards the size of its block: its texts, with a terminator
/// each, and the fixed fields for which [`RECORD_OVERHEAD`](super::builder) has no room.
pub(crate) fn text_len(event: &Event<'_>) -> Result<usize, PushError> {
    let optional_error = |error: &Option<ErrorInfo<'_>>| error.as_ref().map_or(Ok(0), error_len);
    let bytes = match event {
        Event::Request(request) => {
            one("method", request.method.as_str())? + one("url", request.url)? + 17
        }
        Event::RequestMeta { data, .. } | Event::Log { data, .. } => one("data", data.as_str())?,
        Event::Response(response) => optional_error(&response.error)?,
        Event::ResponseFinished(finished) => optional_error(&finished.error)?,
        Event::UncaughtException { error, .. } => error_len(error)?,
        Event::WorkerExited(exited) => one("signal", exited.signal.unwrap_or_default())? + 14,
        // Eight varints of at most ten bytes and a length.
        Event::Lost(lost) => one("reason", lost.reason)? + 84,
        Event::IoError(error) => {
            let paths = one("operation", error.operation)? + one("path", error.path)?;
            paths + one("message", error.message)? + 14
        }
        Event::ClockStep(_) => 20,
        Event::Lifecycle(_) | Event::WorkerSpawned { .. } => 0,
        Event::Unknown { kind, .. } => return Err(PushError::Kind { kind: *kind }),
    };
    if bytes <= RECORD_TEXT_BYTES_MAX {
        Ok(bytes)
    } else {
        Err(PushError::TooLarge { what: "record", bytes, limit: RECORD_TEXT_BYTES_MAX })
    }
}

/// The bytes of one text and its terminator.
fn one(what: &'static str, text: &str) -> Result<usize, PushError> {
    match text.len() {
        bytes if bytes <= TEXT_BYTES_MAX => Ok(bytes + 1),
        bytes => Err(PushError::TooLarge { what, bytes, limit: TEXT_BYTES_MAX }),
    }
}

/// The bytes of an error with its DEBUG entries; each entry has an age of at most eight bytes.
fn error_len(error: &ErrorInfo<'_>) -> Result<usize, PushError> {
    let mut sum = one("stack", error.text)?;
    sum += error.properties.map_or(Ok(0), |json| one("properties", json.as_str()))?;
    for entry in error.debug.iter() {
        sum += one("debug entry", entry.data.as_str())? + 8;
    }
    Ok(sum)
}
