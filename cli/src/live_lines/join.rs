//! Lines become records: structured ones at once, lines of text when it is known that no further
//! line continues them.
//!
//! No clock and no pipe is touched here: whoever calls says what time it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use logq_format::Level;
use logq_format::limits::TEXT_BYTES_MAX;

use crate::import::{Arrived, LineParser, Part, json_bytes_max, level_of_text, text_data, to_text};
use crate::live_lines::LineFormat;
use crate::live_lines::pieces::Piece;
use crate::live_lines::trace::{Trace, begins_trace};
use crate::live_lines::{LineRecord, Stream};

/// After so long without a further line a record of text is complete.
const SILENCE: Duration = Duration::from_millis(100);

/// A record of text is complete at this age, even if lines that continue it keep coming.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The most bytes of text that lines make one record of, as in imports.
const JOINED_BYTES_MAX: usize = 1 << 20;

/// The most bytes a text may take in JSON: what a record can hold, less what surrounds the text.
const DATA_BYTES_MAX: usize = TEXT_BYTES_MAX - 256;

/// The most bytes of records that wait for one before them to be complete.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Makes records of the lines of some streams.
pub(super) struct Joiner {
    format: LineFormat,
    parser: LineParser,
    streams: Vec<StreamState>,
    /// Records in the order of their first lines. Of each stream at most the last is open.
    queue: VecDeque<Slot>,
    /// The bytes of those that are not open.
    waiting: usize,
}

struct StreamState {
    stream: Stream,
    /// The line that comes in parts: how many there were, and the level of the first.
    parts: Option<(u32, Level)>,
}

/// A record and the index of its stream.
struct Slot {
    stream: usize,
    what: What,
}

enum What {
    Done(LineRecord),
    Open(Open),
}

/// A record of text that may go on.
struct Open {
    text: String,
    /// The most bytes that the text takes in JSON.
    json_bytes: usize,
    level: Level,
    /// Whether its first line starts with a time: then lines without one continue it.
    has_time: bool,
    trace: Trace,
    first: Instant,
    last: Instant,
}

impl Joiner {
    pub(super) fn new(format: LineFormat, parser: LineParser, streams: &[Stream]) -> Self {
        let state = |stream: &Stream| StreamState { stream: *stream, parts: None };
        Self {
            format,
            parser,
            streams: streams.iter().map(state).collect(),
            queue: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Takes the next line of a stream, or a piece of one.
    pub(super) fn take(&mut self, index: usize, piece: Piece<'_>, now: Instant) {
        let Some(state) = self.streams.get(index) else { return };
        let stream = state.stream;
        if state.parts.is_some() || !piece.ends {
            return self.take_part(index, &to_text(piece.bytes, false), piece.ends);
        }
        let text = to_text(piece.bytes, false);
        // Colours are kept, but nothing is told by them.
        let plain = without_colours(&text);
        if self.continues(index, &plain, |open, line| open.trace.takes(line)) {
            return self.append(index, &text, now);
        }
        if plain.trim_ascii().is_empty() {
            // An empty line that continues nothing says nothing.
            return self.close(index);
        }
        if let Some(arrived) = self.parse(piece.bytes, &text, stream) {
            self.close(index);
            let Arrived { level, request, data } = arrived;
            let level = level.unwrap_or(stream.level);
            return self.push_done(index, LineRecord { level, request, data });
        }
        let has_time = self.parser.has_time(&plain);
        if !has_time
            && self.continues(index, &plain, |open, line| open.has_time && !leads_with_level(line))
        {
            return self.append(index, &text, now);
        }
        self.close(index);
        self.begin(index, &text, &plain, has_time, now);
    }

    /// Completes what no further line has continued in time.
    pub(super) fn tick(&mut self, now: Instant) {
        for slot in &mut self.queue {
            if let What::Open(open) = &slot.what
                && open.deadline() <= now
            {
                self.waiting += slot.finish(&self.streams);
            }
        }
    }

    /// When the next record will be complete if no line comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let open = |slot: &Slot| match &slot.what {
            What::Open(open) => Some(open.deadline()),
            What::Done(_) => None,
        };
        self.queue.iter().filter_map(open).min()
    }

    /// The stream has ended, and nothing continues its last record.
    pub(super) fn close(&mut self, index: usize) {
        for slot in self.queue.iter_mut().filter(|slot| slot.stream == index) {
            self.waiting += slot.finish(&self.streams);
        }
    }

    /// Hands over the next record that is complete and comes behind none that is not.
    pub(super) fn next(&mut self) -> Option<LineRecord> {
        if self.waiting > WAITING_BYTES_MAX
            && let Some(slot) = self.queue.front_mut()
        {
            self.waiting += slot.finish(&self.streams);
        }
        match self.queue.pop_front()?.what_done() {
            Ok(record) => {
                self.waiting = self.waiting.saturating_sub(record.data.len());
                Some(record)
            }
            Err(slot) => {
                self.queue.push_front(slot);
                None
            }
        }
    }

    /// The line as a record of its own, if it has a structure.
    fn parse(&mut self, bytes: &[u8], text: &str, stream: Stream) -> Option<Arrived> {
        let parser = &mut self.parser;
        let arrived = match self.format {
            LineFormat::Auto => parser
                .json_object(bytes, stream.name)
                .or_else(|| parser.likely_logfmt(text, stream.name)),
            LineFormat::Jsonl => parser.json_value(bytes, stream.name),
            LineFormat::Logfmt => parser.logfmt(text, stream.name),
            LineFormat::Text => None,
        };
        // A structure that is larger than a record once escaped is kept as text, in parts.
        arrived.filter(|arrived| arrived.data.len() <= DATA_BYTES_MAX)
    }

    /// Whether the stream's last record is open, has room for the line, and takes it.
    fn continues(
        &mut self,
        index: usize,
        line: &str,
        takes: impl Fn(&mut Open, &str) -> bool,
    ) -> bool {
        let Some(open) = self.open(index) else { return false };
        open.has_room(line) && takes(open, line)
    }

    fn open(&mut self, index: usize) -> Option<&mut Open> {
        let slot = self.queue.iter_mut().rev().find(|slot| slot.stream == index)?;
        match &mut slot.what {
            What::Open(open) => Some(open),
            What::Done(_) => None,
        }
    }

    fn append(&mut self, index: usize, text: &str, now: Instant) {
        if let Some(open) = self.open(index) {
            open.text.push('\n');
            open.text.push_str(text);
            open.json_bytes += json_bytes_max(text) + 2;
            open.last = now;
        }
    }

    fn begin(&mut self, index: usize, text: &str, plain: &str, has_time: bool, now: Instant) {
        let Some(StreamState { stream, .. }) = self.streams.get(index) else { return };
        let json_bytes = json_bytes_max(text);
        if json_bytes > DATA_BYTES_MAX {
            return self.take_part(index, text, true);
        }
        let level = level_of(plain).unwrap_or(stream.level);
        let open = Open {
            text: text.to_owned(),
            json_bytes,
            level,
            has_time,
            trace: Trace::new(plain, level <= Level::Error),
            first: now,
            last: now,
        };
        self.queue.push_back(Slot { stream: index, what: What::Open(open) });
    }

    /// A piece of a line that is too long for one record becomes records with a mark.
    fn take_part(&mut self, index: usize, text: &str, ends: bool) {
        if json_bytes_max(text) > DATA_BYTES_MAX {
            let boundary = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
            let (head, tail) = text.split_at(boundary.unwrap_or(0));
            self.take_part(index, head, false);
            return self.take_part(index, tail, ends);
        }
        self.close(index);
        let Some(state) = self.streams.get_mut(index) else { return };
        let fresh = || (0, level_of(&without_colours(text)).unwrap_or(state.stream.level));
        let (before, level) = state.parts.unwrap_or_else(fresh);
        let number = before.saturating_add(1);
        state.parts = (!ends).then_some((number, level));
        let data = text_data(text, Some(Part { number, more: !ends }), state.stream.name);
        self.push_done(index, LineRecord { level, request: None, data });
    }

    fn push_done(&mut self, stream: usize, record: LineRecord) {
        self.waiting += record.data.len();
        self.queue.push_back(Slot { stream, what: What::Done(record) });
    }
}

impl Slot {
    /// Completes an open record and returns how many bytes wait more than before.
    fn finish(&mut self, streams: &[StreamState]) -> usize {
        let What::Open(open) = &self.what else { return 0 };
        let name = streams.get(self.stream).and_then(|state| state.stream.name);
        // Empty lines at the end separate a trace from what comes next.
        let data = text_data(open.text.trim_end_matches(['\n', '\r']), None, name);
        let bytes = data.len();
        self.what = What::Done(LineRecord { level: open.level, request: None, data });
        bytes
    }

    fn what_done(self) -> Result<LineRecord, Self> {
        match self.what {
            What::Done(record) => Ok(record),
            What::Open(_) => Err(self),
        }
    }
}

impl Open {
    fn deadline(&self) -> Instant {
        (self.last + SILENCE).min(self.first + AGE_MAX)
    }

    fn has_room(&self, line: &str) -> bool {
        self.text.len() + line.len() < JOINED_BYTES_MAX
            && self.json_bytes + 6 * line.len() + 2 <= DATA_BYTES_MAX
    }
}

/// The level that a line tells by a word, or by beginning a stack trace.
fn level_of(line: &str) -> Option<Level> {
    level_of_text(line).or_else(|| begins_trace(line).then_some(Level::Error))
}

/// Whether the line's first word is a level, in capitals or brackets: `ERROR: x`, `[warn] x`.
fn leads_with_level(line: &str) -> bool {
    let word = line.split_ascii_whitespace().next().unwrap_or_default();
    let stands_out =
        word.starts_with(['[', '<']) || !word.bytes().any(|byte| byte.is_ascii_lowercase());
    stands_out && level_of_text(word).is_some()
}

/// The line without the sequences that set colours: `ESC [ ... letter` (ECMA-48, section 5.4).
fn without_colours(line: &str) -> std::borrow::Cow<'_, str> {
    if memchr::memchr(0x1B, line.as_bytes()).is_none() {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, sequence)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let is_parameter = |byte: u8| matches!(byte, 0x20..=0x3F);
        let len = sequence.bytes().take_while(|byte| is_parameter(*byte)).count();
        let mut chars = sequence.get(len..).unwrap_or_default().chars();
        chars.next();
        rest = chars.as_str();
    }
    plain.push_str(rest);
    plain.into()
}

#[cfg(test)]
mod tests;
