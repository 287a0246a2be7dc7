//! Batches put in order and handed to the sink, one at a time.
//!
//! This is where a batch meets what came before it: a record of text that goes on in the next
//! chunk, lines that take the time of the line before, the numbers of lines.

use std::sync::Arc;

use logq_format::{Level, Timestamp, WorkerId};

use crate::import::batch::{Batch, Entry, Identity, OpenText};
use crate::import::chunk::{Chunk, Damage, Source};
use crate::import::parse::Lines;
use crate::import::summary::{Failures, InputSummary, Progress, Reason, Summary};
use crate::import::{RecordSink, text};

/// Takes the batches of all chunks in their order.
pub(super) struct Order<'s, S, P> {
    sink: &'s mut S,
    report: P,
    bytes_total: Option<u64>,
    worker: Option<WorkerId>,
    summary: Summary,
    /// The input of the last batch.
    source: Option<Arc<Source>>,
    /// The lines of that input so far.
    lines: u64,
    /// The time of the last line of that input that has one.
    last_time: Option<Timestamp>,
    /// The record of text that the next chunk may continue.
    open: Option<Carried>,
}

/// A record of text that has outlived its chunk.
#[derive(Debug)]
struct Carried {
    time: Timestamp,
    level: Level,
    text: String,
    /// The line of the input that it starts in, from 0.
    line: u64,
}

impl<'s, S: RecordSink, P: FnMut(Progress)> Order<'s, S, P> {
    /// Records go to `sink`; foreign ones are said to come from `worker`.
    pub(super) fn new(
        sink: &'s mut S,
        report: P,
        bytes_total: Option<u64>,
        worker: Option<WorkerId>,
    ) -> Self {
        Self {
            sink,
            report,
            bytes_total,
            worker,
            summary: Summary::default(),
            source: None,
            lines: 0,
            last_time: None,
            open: None,
        }
    }

    /// Takes the batch of the next chunk.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub(super) fn accept(&mut self, chunk: &Chunk, mut batch: Batch<'_>) -> Result<(), S::Error> {
        let Some(source) = &chunk.source else { return Ok(()) };
        if self.source.as_ref().is_none_or(|current| current.index != source.index) {
            self.enter(source)?;
        }
        self.push_head(&batch, source.fallback)?;
        if batch.tail.is_some() || !batch.entries.is_empty() {
            self.close()?;
        }
        self.push_entries(&mut batch, chunk)?;
        if let Some(tail) = batch.tail {
            self.open = Some(Carried {
                time: tail.time,
                level: tail.level,
                text: tail.text.to_owned(),
                line: self.lines + tail.line,
            });
        }
        self.last_time = batch.last_time.or(self.last_time);
        self.summary.failures.merge(batch.failures, &source.name, self.lines);
        self.summary.untimed += batch.untimed;
        self.summary.bytes += chunk.bytes.len() as u64;
        self.count_lines(batch.lines);
        if let Some(damage) = &chunk.damage {
            self.note_damage(damage, &source.name);
        }
        let records = self.summary.records;
        (self.report)(Progress { bytes: chunk.consumed, bytes_total: self.bytes_total, records });
        Ok(())
    }

    /// Hands over what is still open.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub(super) fn finish(mut self) -> Result<Summary, S::Error> {
        self.close()?;
        Ok(self.summary)
    }

    fn enter(&mut self, source: &Arc<Source>) -> Result<(), S::Error> {
        self.close()?;
        let summary = InputSummary { name: source.name.clone(), format: source.format };
        self.summary.inputs.push(summary);
        self.source = Some(Arc::clone(source));
        self.lines = 0;
        self.last_time = None;
        Ok(())
    }

    fn count_lines(&mut self, lines: u64) {
        self.lines += lines;
        self.summary.lines += lines;
    }

    /// Deals with the text before the first time in a batch: it continues the open record, or, at
    /// the start of an input, each line is a record at the first time found, or else at `fallback`.
    fn push_head(&mut self, batch: &Batch<'_>, fallback: Timestamp) -> Result<(), S::Error> {
        if self.open.is_some() {
            for (index, line) in (0..).zip(batch.head.split_inclusive('\n')) {
                self.continue_open(self.lines + index, line)?;
            }
            return Ok(());
        }
        let first_entry = batch.entries.first().map(|entry| entry.record.time);
        let time = first_entry.or(batch.tail.map(|tail| tail.time)).unwrap_or(fallback);
        for (index, text) in Lines::new(batch.head) {
            if !text.trim_ascii().is_empty() {
                let (level, line) = (text::level_of(text), self.lines + index);
                self.push_text(&OpenText { time, level, text, line })?;
                self.summary.untimed += 1;
            }
        }
        Ok(())
    }

    fn continue_open(&mut self, line: u64, text: &str) -> Result<(), S::Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.text.len() + text.len() > text::RECORD_BYTES_MAX {
            let next = Carried { time: open.time, level: open.level, text: text.to_owned(), line };
            self.close()?;
            self.open = Some(next);
        } else {
            open.text.push_str(text);
        }
        Ok(())
    }

    /// Hands over the open record, if there is one.
    fn close(&mut self) -> Result<(), S::Error> {
        let Some(Carried { time, level, text, line }) = self.open.take() else { return Ok(()) };
        self.push_text(&OpenText { time, level, text: &text, line })
    }

    /// Hands over a record of text; its line counts from the start of the input.
    fn push_text(&mut self, text: &OpenText<'_>) -> Result<(), S::Error> {
        let arena = bumpalo::Bump::new();
        let mut batch = Batch::new(&arena, self.worker, 1);
        text::push(text, &mut batch);
        let input = self.source.as_ref().map_or("", |source| &source.name);
        self.summary.failures.merge(batch.failures, input, 0);
        batch.entries.iter().try_for_each(|entry| self.push(entry))
    }

    fn push_entries(&mut self, batch: &mut Batch<'_>, chunk: &Chunk) -> Result<(), S::Error> {
        let mut failed_line = None;
        for (index, entry) in batch.entries.iter_mut().enumerate() {
            if index < batch.untimed_head {
                let Some(time) = self.last_time else {
                    if failed_line.replace(entry.line) != Some(entry.line) {
                        fail_untimed(&mut batch.failures, entry.line, &chunk.bytes);
                    }
                    continue;
                };
                entry.record.time = time;
                self.summary.untimed += 1;
            }
            self.push(entry)?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<(), S::Error> {
        self.summary.records += 1;
        match entry.identity {
            Identity::Kept { origin, sequence } => {
                self.sink.push_as(origin, sequence, &entry.record)
            }
            Identity::Assigned { worker } => self.sink.push(worker, &entry.record),
        }
    }

    fn note_damage(&mut self, damage: &Damage, input: &str) {
        let mut failures = Failures::default();
        match damage {
            Damage::LongLine { start, len } => {
                let detail = Some(format!("{len} bytes"));
                let start = String::from_utf8_lossy(start);
                failures.add(0, Reason::LineTooLong, &start, detail);
                self.summary.failures.merge(failures, input, self.lines);
                self.summary.bytes += len;
                self.count_lines(1);
            }
            Damage::Rest(why) => {
                failures.add(0, Reason::Unreadable, "", Some(why.clone()));
                self.summary.failures.merge(failures, input, self.lines);
            }
        }
    }
}

/// Counts a line without a time that no line with one precedes.
fn fail_untimed(failures: &mut Failures, line: u64, chunk: &[u8]) {
    let mut text = std::borrow::Cow::Borrowed("");
    if failures.is_next_shown() {
        let mut lines = chunk.split(|byte| *byte == b'\n');
        let line = usize::try_from(line).ok().and_then(|line| lines.nth(line));
        text = String::from_utf8_lossy(line.unwrap_or_default());
    }
    failures.add(line, Reason::NoTime, text.trim_ascii_end(), None);
}
