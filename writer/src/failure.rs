//! What a service tells about something that went wrong.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt::{self, Write as _};

use logq_format::{DebugEntry, ErrorInfo, ErrorKind, Json, Timestamp};
use serde::Serialize;

use crate::data::to_json_text;

/// An error or exception as records keep it: a text, optional properties, expected or not.
///
/// # Examples
///
/// ```
/// use logq_writer::Failure;
///
/// let error = "x".parse::<u32>().unwrap_err();
/// let failure = Failure::from_error(&error).with_properties(&serde_json::json!({"field": "age"}));
/// let refused = Failure::from_message("quota exceeded").expected();
/// # let _ = (failure, refused);
/// ```
#[derive(Clone, Debug)]
pub struct Failure {
    kind: ErrorKind,
    text: String,
    properties: Option<Box<str>>,
    expected: bool,
}

impl Failure {
    /// The error with all its sources, one a line, outermost first.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        Self::from_stack(error_text(error))
    }

    /// A message with its stack trace, as text.
    pub fn from_stack(stack: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Stack, text: stack.into(), properties: None, expected: false }
    }

    /// A message without a stack trace.
    pub fn from_message(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Value, text: message.into(), properties: None, expected: false }
    }

    /// A value that is no error, as JSON text.
    pub fn from_value(value: &impl Serialize) -> Self {
        Self::from_message(to_json_text(value))
    }

    /// Adds properties, which should serialize to a JSON object.
    #[must_use]
    pub fn with_properties(mut self, properties: &impl Serialize) -> Self {
        self.properties = Some(to_json_text(properties));
        self
    }

    /// Marks the failure as expected: a response that carries it is INFO, not ERROR.
    #[must_use]
    pub fn expected(mut self) -> Self {
        self.expected = true;
        self
    }

    pub(crate) fn is_expected(&self) -> bool {
        self.expected
    }

    /// The failure as a record holds it, with these DEBUG entries.
    pub(crate) fn info<'a>(&'a self, debug: &'a [DebugEntry<'a>]) -> ErrorInfo<'a> {
        ErrorInfo {
            kind: self.kind,
            text: &self.text,
            properties: self.properties.as_deref().and_then(Json::new),
            debug: Cow::Borrowed(debug),
        }
    }
}

const SOURCES_MAX: usize = 100;

/// The error with all its sources, one a line, outermost first. Wrappers that only repeat what they
/// wrap are left out.
pub(crate) fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = displayed(error);
    let mut last = text.clone();
    let mut source = error.source();
    // A cycle of sources would never end; no honest chain is this long.
    for _ in 0..SOURCES_MAX {
        let Some(cause) = source else { break };
        let next = displayed(cause);
        if next != last {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  caused by: {next}");
            last = next;
        }
        source = cause.source();
    }
    text
}

/// What the error displays. Of one that refuses to be displayed, there is what it wrote until then.
pub(crate) fn displayed(error: &(impl fmt::Display + ?Sized)) -> String {
    let mut text = String::new();
    let _ = write!(text, "{error}");
    text
}

/// DEBUG messages kept in memory until an error makes them worth writing.
#[derive(Debug, Default)]
pub(crate) struct DebugLog {
    entries: VecDeque<(Timestamp, Box<str>)>,
    /// The length of all their texts.
    bytes: usize,
}

/// The most bytes of DEBUG entries that are kept: they must fit into one record with their error.
const DEBUG_BYTES_MAX: usize = 1 << 20;

impl DebugLog {
    /// Keeps an entry; the oldest ones go if there are more than `limit`, or too many bytes.
    pub(crate) fn push(&mut self, limit: usize, time: Timestamp, data: Box<str>) {
        if limit == 0 {
            return;
        }
        let data = match data.len() {
            len if len > DEBUG_BYTES_MAX => format!(r#"{{"left_out_bytes":{len}}}"#).into(),
            _ => data,
        };
        self.bytes += data.len();
        self.entries.push_back((time, data));
        while self.entries.len() > limit || self.bytes > DEBUG_BYTES_MAX {
            self.bytes -= self.entries.pop_front().map_or(0, |(_, oldest)| oldest.len());
        }
    }

    /// Takes all entries out.
    pub(crate) fn take(&mut self) -> Vec<(Timestamp, Box<str>)> {
        std::mem::take(self).entries.into()
    }
}

/// The entries as records hold them.
pub(crate) fn debug_entries(taken: &[(Timestamp, Box<str>)]) -> Vec<DebugEntry<'_>> {
    taken
        .iter()
        .map(|(time, data)| DebugEntry { time: *time, data: Json::new(data).unwrap_or(Json::NULL) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot load the profile")]
        struct Outer(#[source] std::num::ParseIntError);
        let failure = Failure::from_error(&Outer("x".parse::<u8>().unwrap_err()));
        let info = failure.info(&[]);
        assert_eq!(
            info.text,
            "cannot load the profile\n  caused by: invalid digit found in string"
        );
        assert_eq!(info.kind, ErrorKind::Stack);
    }

    #[test]
    fn a_wrapper_that_repeats_its_source_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Wrapper(#[source] std::num::ParseIntError);
        let failure = Failure::from_error(&Wrapper("x".parse::<u8>().unwrap_err()));
        assert_eq!(failure.info(&[]).text, "invalid digit found in string");
    }

    #[test]
    fn the_oldest_debug_entries_go_first() {
        let mut log = DebugLog::default();
        for n in 0..5 {
            log.push(2, Timestamp::from_micros(n), n.to_string().into());
        }
        let kept: Vec<_> = log.take().into_iter().map(|(_, data)| data).collect();
        assert_eq!(kept, ["3".into(), "4".into()]);
        assert!(log.take().is_empty());
        log.push(0, Timestamp::default(), "x".into());
        assert!(log.take().is_empty());
    }

    #[test]
    fn debug_entries_never_outgrow_the_record_that_they_go_with() {
        let mut log = DebugLog::default();
        let entry = |len| "1".repeat(len).into_boxed_str();
        for n in 0..10 {
            log.push(100, Timestamp::from_micros(n), entry(DEBUG_BYTES_MAX / 4));
        }
        log.push(100, Timestamp::from_micros(10), entry(DEBUG_BYTES_MAX + 1));
        let kept = log.take();
        let times: Vec<_> = kept.iter().map(|(time, _)| time.as_micros()).collect();
        assert_eq!(times, [7, 8, 9, 10], "the newest that fit");
        assert_eq!(&*kept[3].1, r#"{"left_out_bytes":1048577}"#);
        log.push(100, Timestamp::default(), entry(DEBUG_BYTES_MAX));
        assert_eq!(log.take().len(), 1, "taking starts anew");
    }
}
