//! `/v1/stores/<name>/requests/<id>`: one request from its first record to its last, with the DEBUG
//! entries that an error brought along where they happened.

use std::ops::ControlFlow;
use std::path::Path;

use logq_format::{DebugEntry, ErrorInfo, Event, Record, RequestId, Timestamp, json};
use logq_query::words;
use logq_reader::{Filter, Query, Row};
use serde_json::Value;

use super::channel::Stop;
use super::parameters::Parameters;
use super::question::{Range, open};
use super::refusal::{Refusal, word};
use super::told::Told;

/// More than anybody reads of one request; the rest is counted.
const STEPS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// One line of the timeline.
struct Step {
    time: Timestamp,
    /// The members of its object.
    members: Vec<u8>,
}

/// The answer as JSON text: data is passed through as it is stored.
pub(super) fn request(
    store: &Path,
    id: &str,
    query: &str,
    stop: &Stop,
) -> Result<Vec<u8>, Refusal> {
    Parameters::parse(query, &[])?;
    let id: RequestId = words::request(id).map_err(|error| word("request", &error))?;
    let (snapshot, finality) = open(store)?;
    let filter = Filter { requests: Some(vec![id]), ..Filter::default() };
    let query = Query { filter, stop: Some(stop.flag()), ..Query::default() };
    let (mut steps, mut bytes, mut records, mut omitted) = (Vec::new(), 0, 0_u64, 0);
    let report = snapshot.scan(
        &query,
        |rows| (rows.len(), rows.iter().flat_map(|row| of_row(&row)).collect::<Vec<_>>()),
        |(rows, found)| {
            records += rows as u64;
            for step in found {
                bytes += step.members.len();
                if steps.len() < STEPS_MAX && bytes <= BYTES_MAX {
                    steps.push(step);
                } else {
                    omitted += 1;
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    if records == 0 && report.is_complete() {
        return Err(crate::problem::Problem::not_found().into());
    }
    // Stable: what happened in the same microsecond stays in the order of the records.
    steps.sort_by_key(|step| step.time);
    let everything = Range::default();
    let told = Told { report: &report, range: everything, finality: &finality };
    Ok(page(id, &steps, omitted, &told.trailer(records, None)))
}

/// The steps that one record tells of: itself, and the DEBUG entries it brings along.
fn of_row(row: &Row<'_>) -> Vec<Step> {
    let Ok(record) = row.record() else { return Vec::new() };
    let entries = error_of(&record).map_or(&[][..], |error| &error.debug);
    let mut steps: Vec<_> = entries.iter().map(of_entry).collect();
    let mut line = Vec::new();
    json::write_line(&mut line, &record, row.origin(), row.sequence());
    // Of `{...}` and the line feed the members.
    let members = line.get(1..line.len().saturating_sub(2)).unwrap_or_default().to_vec();
    steps.push(Step { time: record.time, members });
    steps
}

/// A DEBUG entry, with the names that records have.
fn of_entry(entry: &DebugEntry<'_>) -> Step {
    let head = format!(
        "\"timestamp\":\"{}\",\"level\":\"DEBUG\",\"type\":\"DEBUG\",\"data\":",
        entry.time
    );
    Step { time: entry.time, members: [head.as_bytes(), entry.data.as_str().as_bytes()].concat() }
}

/// The error that a record tells of, if any.
fn error_of<'a, 'r>(record: &'r Record<'a>) -> Option<&'r ErrorInfo<'a>> {
    match &record.event {
        Event::Response(response) => response.error.as_ref(),
        Event::ResponseFinished(finished) => finished.error.as_ref(),
        Event::UncaughtException { error, .. } => Some(error),
        _ => None,
    }
}

fn page(id: RequestId, steps: &[Step], omitted: u64, trailer: &Value) -> Vec<u8> {
    let (first, last) = (steps.first().map(|s| s.time), steps.last().map(|s| s.time));
    let took = first.zip(last).map_or(0, |(first, last)| last.micros_since(first));
    let text = |time: Option<Timestamp>| time.map_or(Value::Null, |time| time.to_string().into());
    let mut out = format!(
        "{{\"requestId\":\"{id}\",\"first\":{},\"last\":{},\"durationMs\":{},\"omitted\":{omitted},\"steps\":[",
        text(first),
        text(last),
        millis(took),
    )
    .into_bytes();
    for (place, step) in steps.iter().enumerate() {
        let since = first.map_or(0, |first| step.time.micros_since(first));
        let separator = if place == 0 { "" } else { "," };
        out.extend_from_slice(format!("{separator}{{\"offsetMs\":{},", millis(since)).as_bytes());
        out.extend_from_slice(&step.members);
        out.push(b'}');
    }
    out.extend_from_slice(format!("],\"trailer\":{trailer}}}\n").as_bytes());
    out
}

/// Microseconds as milliseconds.
fn millis(micros: u64) -> String {
    let mut text = Vec::new();
    json::write_millis(&mut text, micros);
    String::from_utf8(text).unwrap_or_default()
}
