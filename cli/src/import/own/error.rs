//! The nested objects of logq's own lines: errors, and what the logger says about itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use logq_format::{
    ClockStep, DebugEntry, ErrorInfo, ErrorKind, Event, IoError, Level, Lost, Timestamp,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::own_json;
use crate::import::batch::Batch;

/// The member `error` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorFields<'a> {
    #[serde(borrow)]
    stack: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
    #[serde(default)]
    expected: bool,
    #[serde(borrow, default, deserialize_with = "present")]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    debug: Vec<DebugFields<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DebugFields<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LostFields<'a> {
    counts: BTreeMap<String, u64>,
    #[serde(borrow)]
    first: Cow<'a, str>,
    #[serde(borrow)]
    last: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockStepFields<'a> {
    #[serde(borrow)]
    expected: Cow<'a, str>,
    #[serde(borrow)]
    found: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IoErrorFields<'a> {
    #[serde(borrow)]
    operation: Cow<'a, str>,
    code: i32,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// A member that is there even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The error of a record, and whether it was expected.
pub(super) fn error_info<'a>(json: &'a str, batch: &Batch<'a>) -> Option<(ErrorInfo<'a>, bool)> {
    let fields: ErrorFields<'a> = serde_json::from_str(json).ok()?;
    let (kind, text) = match (fields.stack, fields.value) {
        (Some(stack), None) => (ErrorKind::Stack, stack),
        (None, Some(value)) => (ErrorKind::Value, value),
        _ => return None,
    };
    let properties = match fields.properties {
        None => None,
        Some(raw) => Some(own_json(raw.get(), batch)?),
    };
    let debug: Vec<_> =
        fields.debug.iter().map(|entry| debug_entry(entry, batch)).collect::<Option<_>>()?;
    let debug = Cow::Borrowed(batch.keep_all(&debug));
    let error = ErrorInfo { kind, text: keep(text, batch), properties, debug };
    Some((error, fields.expected))
}

fn debug_entry<'a>(entry: &DebugFields<'a>, batch: &Batch<'a>) -> Option<DebugEntry<'a>> {
    Some(DebugEntry {
        time: entry.timestamp.parse().ok()?,
        data: own_json(entry.data.get(), batch)?,
    })
}

/// The data of a LOST record.
pub(super) fn lost<'a>(json: &'a str, batch: &Batch<'a>) -> Option<Event<'a>> {
    let fields: LostFields<'a> = serde_json::from_str(json).ok()?;
    let mut counts = [0; 6];
    for (name, count) in fields.counts {
        let index = Level::ALL.iter().position(|level| level.as_str() == name)?;
        *counts.get_mut(index)? = count;
    }
    let (first, last) = (time(&fields.first)?, time(&fields.last)?);
    Some(Event::Lost(Lost { counts, first, last, reason: keep(fields.reason, batch) }))
}

/// The data of a CLOCK_STEP record.
pub(super) fn clock_step<'a>(json: &'a str) -> Option<Event<'a>> {
    let fields: ClockStepFields<'a> = serde_json::from_str(json).ok()?;
    let (expected, found) = (time(&fields.expected)?, time(&fields.found)?);
    Some(Event::ClockStep(ClockStep { expected, found }))
}

/// The data of an IO_ERROR record.
pub(super) fn io_error<'a>(json: &'a str, batch: &Batch<'a>) -> Option<Event<'a>> {
    let fields: IoErrorFields<'a> = serde_json::from_str(json).ok()?;
    Some(Event::IoError(IoError {
        operation: keep(fields.operation, batch),
        code: fields.code,
        path: keep(fields.path, batch),
        message: keep(fields.message, batch),
    }))
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn keep<'a>(text: Cow<'a, str>, batch: &Batch<'a>) -> &'a str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => batch.keep(&text),
    }
}
