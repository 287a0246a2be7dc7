//! What one chunk of lines becomes: records in the order of their lines, and lines that failed.
//!
//! Records borrow from the chunk and from the batch's arena, so that nothing is copied twice. A
//! batch knows nothing of the chunks before it; what depends on them is left to `order`.

use std::borrow::Cow;
use std::cell::Cell;

use bumpalo::Bump;
use logq_format::limits::TEXT_BYTES_MAX;
use logq_format::{
    ErrorInfo, Event, Json, Level, LogSource, Origin, Record, RequestId, Timestamp, WorkerId,
};

use crate::import::members::{self, write_string};
use crate::import::summary::{Failures, Reason};

/// Who a record is said to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// logq's own line: writer and sequence number stay.
    Kept { origin: Origin, sequence: u64 },
    /// The sink chooses writer and sequence number.
    Assigned { worker: Option<WorkerId> },
}

/// A record with the line it is from.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) identity: Identity,
    pub(super) record: Record<'a>,
    /// The line in the chunk, from 0.
    pub(super) line: u64,
}

/// A record of text that lines of the next chunk may continue.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenText<'a> {
    pub(super) time: Timestamp,
    pub(super) level: Level,
    pub(super) text: &'a str,
    pub(super) line: u64,
}

/// What one chunk became.
pub(super) struct Batch<'a> {
    arena: &'a Bump,
    worker: Option<WorkerId>,
    /// Records in the order of their lines. The first [`Self::untimed_head`] have no time yet.
    pub(super) entries: Vec<Entry<'a>>,
    /// The records before the first one with a time: the line before them is in another chunk.
    pub(super) untimed_head: usize,
    /// Text before the first line with a time.
    pub(super) head: &'a str,
    /// The last record of text, which comes after all entries.
    pub(super) tail: Option<OpenText<'a>>,
    /// The time of the last line that has one.
    pub(super) last_time: Option<Timestamp>,
    /// Lines that took the time of a line before them in this chunk.
    pub(super) untimed: u64,
    /// All lines of the chunk.
    pub(super) lines: u64,
    /// Lines that did not become records; their numbers count from 0 at the chunk's first line.
    pub(super) failures: Failures,
    scratch: Cell<Vec<u8>>,
}

impl<'a> Batch<'a> {
    /// An empty batch; foreign lines will be said to come from `worker`.
    pub(super) fn new(arena: &'a Bump, worker: Option<WorkerId>, capacity: usize) -> Self {
        Self {
            arena,
            worker,
            entries: Vec::with_capacity(capacity),
            untimed_head: 0,
            head: "",
            tail: None,
            last_time: None,
            untimed: 0,
            lines: 0,
            failures: Failures::default(),
            scratch: Cell::default(),
        }
    }

    /// Adds logq's own record of this line.
    pub(super) fn push_own(&mut self, line: u64, identity: Identity, record: Record<'a>) {
        self.last_time = Some(record.time);
        self.push(line, identity, record);
    }

    /// Adds a foreign record of this line. Without a time it gets that of the line before.
    pub(super) fn push_foreign(&mut self, line: u64, time: Option<Timestamp>, event: Event<'a>) {
        let identity = Identity::Assigned { worker: self.worker };
        let known = time.or(self.last_time);
        let before = self.entries.len();
        self.push(line, identity, Record { time: known.unwrap_or_default(), event });
        if time.is_some() {
            self.last_time = time;
        } else if known.is_some() {
            self.untimed += 1;
        } else if self.entries.len() > before {
            self.untimed_head += 1;
        }
    }

    /// Adds a foreign log record of this line.
    pub(super) fn push_log(
        &mut self,
        line: u64,
        time: Option<Timestamp>,
        level: Level,
        request: Option<RequestId>,
        data: Json<'a>,
    ) {
        let source = log_source(request, self.worker);
        self.push_foreign(line, time, Event::Log { source, level, data });
    }

    fn push(&mut self, line: u64, identity: Identity, record: Record<'a>) {
        match longest_text(&record.event) {
            ..TEXT_BYTES_MAX => self.entries.push(Entry { identity, record, line }),
            len => {
                let detail = format!("{len} bytes");
                self.failures.add(line, Reason::TooLarge, "", Some(detail));
            }
        }
    }

    /// Counts a line that did not become a record.
    pub(super) fn fail(&mut self, line: u64, reason: Reason, text: &str) {
        self.failures.add(line, reason, text, None);
    }

    /// Keeps a text as long as the records.
    pub(super) fn keep(&self, text: &str) -> &'a str {
        self.arena.alloc_str(text)
    }

    /// Keeps the text of a JSON string; `None` if the value is another one.
    pub(super) fn keep_text(&self, json: &'a str) -> Option<&'a str> {
        Some(match members::text(json)? {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => self.keep(&text),
        })
    }

    /// Keeps a list as long as the records.
    pub(super) fn keep_all<T: Copy>(&self, items: &[T]) -> &'a [T] {
        self.arena.alloc_slice_copy(items)
    }

    /// Keeps the JSON that `write` appends to a buffer as long as the records.
    ///
    /// `None` if it is not one line of UTF-8, which writers of JSON do not produce.
    pub(super) fn keep_json(&self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Json<'a>> {
        let mut scratch = self.scratch.take();
        scratch.clear();
        write(&mut scratch);
        let text = std::str::from_utf8(&scratch).ok().map(|text| self.keep(text));
        self.scratch.set(scratch);
        text.and_then(Json::new)
    }
}

/// Who speaks in a foreign log record.
pub(super) fn log_source(request: Option<RequestId>, worker: Option<WorkerId>) -> LogSource {
    match (request, worker) {
        (Some(request), _) => LogSource::Request(request),
        (None, Some(_)) => LogSource::Worker,
        (None, None) => LogSource::Master,
    }
}

/// Appends the data of a record of text: `{"message":"..."}`.
pub(super) fn write_message(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"message\":");
    write_string(out, text);
    out.push(b'}');
}

/// The length of the longest text of an event; the format has a limit for each.
pub(super) fn longest_text(event: &Event<'_>) -> usize {
    match event {
        Event::Request(request) => request.url.len().max(request.method.as_str().len()),
        Event::RequestMeta { data, .. } | Event::Log { data, .. } => data.as_str().len(),
        Event::Response(response) => response.error.as_ref().map_or(0, longest_of_error),
        Event::ResponseFinished(finished) => finished.error.as_ref().map_or(0, longest_of_error),
        Event::UncaughtException { error, .. } => longest_of_error(error),
        Event::WorkerExited(exited) => exited.signal.map_or(0, str::len),
        Event::Lost(lost) => lost.reason.len(),
        Event::IoError(error) => {
            error.operation.len().max(error.path.len()).max(error.message.len())
        }
        _ => 0,
    }
}

/// The longest text of an error, or all of them together where their sum breaks its own limit.
fn longest_of_error(error: &ErrorInfo<'_>) -> usize {
    let properties = error.properties.map_or(0, |json| json.as_str().len());
    let lens = error.debug.iter().map(|entry| entry.data.as_str().len());
    let (longest, sum) = lens.fold((error.text.len().max(properties), 0), |(longest, sum), len| {
        (longest.max(len), sum + len + 9)
    });
    let total = error.text.len() + properties + sum + 2;
    if total > logq_format::limits::RECORD_TEXT_BYTES_MAX { total } else { longest }
}
