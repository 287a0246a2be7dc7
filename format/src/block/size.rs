//! How much room a record takes in a block, known before it is taken apart.

use crate::error::PushError;
use crate::limits::{BLOCK_DEBUG_MAX, RECORD_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::record::{ErrorInfo, Event};

/// The room that one event takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The bytes of its texts, with a terminator each, and of the fixed fields for which
    /// [`RECORD_OVERHEAD`](super::builder) has no room.
    pub(crate) bytes: usize,
    /// Its DEBUG entries.
    pub(crate) debug: usize,
}

impl Size {
    /// The room that `event` takes.
    ///
    /// # Errors
    ///
    /// Fails where no block has as much.
    pub(crate) fn of(event: &Event<'_>) -> Result<Self, PushError> {
        let error = error_of(event);
        let bytes = error.map_or_else(|| text_len(event), error_len)?;
        if bytes <= RECORD_TEXT_BYTES_MAX {
            Ok(Self { bytes, debug: error.map_or(0, |error| error.debug.len()) })
        } else {
            Err(PushError::TooLarge { what: "record", bytes, limit: RECORD_TEXT_BYTES_MAX })
        }
    }
}

// Each DEBUG entry of a record takes at least nine bytes, so one record never has too many.
const _: () = assert!(RECORD_TEXT_BYTES_MAX / DEBUG_ENTRY_LEN < BLOCK_DEBUG_MAX);

/// The age of a DEBUG entry and the terminator of its text.
pub(crate) const DEBUG_ENTRY_LEN: usize = 9;

fn error_of<'e, 'a>(event: &'e Event<'a>) -> Option<&'e ErrorInfo<'a>> {
    match event {
        Event::Response(response) => response.error.as_ref(),
        Event::ResponseFinished(finished) => finished.error.as_ref(),
        Event::UncaughtException { error, .. } => Some(error),
        _ => None,
    }
}

/// The bytes of an event without an error.
fn text_len(event: &Event<'_>) -> Result<usize, PushError> {
    Ok(match event {
        Event::Request(request) => {
            one("method", request.method.as_str())? + one("url", request.url)? + 17
        }
        Event::RequestMeta { data, .. } | Event::Log { data, .. } => one("data", data.as_str())?,
        Event::WorkerExited(exited) => one("signal", exited.signal.unwrap_or_default())? + 14,
        // Eight varints of at most ten bytes and a length.
        Event::Lost(lost) => one("reason", lost.reason)? + 84,
        Event::IoError(error) => {
            let paths = one("operation", error.operation)? + one("path", error.path)?;
            paths + one("message", error.message)? + 14
        }
        Event::ClockStep(_) => 20,
        Event::Unknown { kind, .. } => return Err(PushError::Kind { kind: *kind }),
        _ => 0,
    })
}

/// The bytes of one text and its terminator.
fn one(what: &'static str, text: &str) -> Result<usize, PushError> {
    match text.len() {
        bytes if bytes <= TEXT_BYTES_MAX => Ok(bytes + 1),
        bytes => Err(PushError::TooLarge { what, bytes, limit: TEXT_BYTES_MAX }),
    }
}

/// The bytes of an error with its DEBUG entries.
fn error_len(error: &ErrorInfo<'_>) -> Result<usize, PushError> {
    let mut sum = one("stack", error.text)?;
    sum += error.properties.map_or(Ok(0), |json| one("properties", json.as_str()))?;
    for entry in error.debug.iter() {
        sum += one("debug entry", entry.data.as_str())? + DEBUG_ENTRY_LEN - 1;
    }
    Ok(sum)
}
