//! Inputs cut into chunks of whole lines, which can be parsed independently of each other.
//!
//! The same inputs always give the same chunks, however the bytes arrive. Memory is bounded: a line
//! beyond the limit is skipped without being held.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use logq_format::Timestamp;

use crate::import::csv::Layout;
use crate::import::detect::detect;
use crate::import::input::{Content, Input, Opened};
use crate::import::own;
use crate::import::text::words_before_time;
use crate::import::time::Times;
use crate::import::{Format, ImportError, Options};

/// The size of a chunk in bytes, unless one line is longer.
///
/// Large enough that threads rarely meet, small enough that a chunk and its records stay in a
/// processor's second-level cache.
const CHUNK_BYTES: usize = 1 << 19;

/// The longest line: 4 MiB, the most that one text of a record may have.
const LINE_BYTES_MAX: usize = 1 << 22;

/// The longest line that starts as logq's own lines do: 8 MiB of text, at most six bytes each.
const OWN_LINE_BYTES_MAX: usize = 50 << 20;

/// How much of a line that is too long is kept to be shown.
const EXCERPT_BYTES: usize = 400;

/// What is known about an input.
#[derive(Debug)]
pub(super) struct Source {
    /// Its place among the inputs, from 0.
    pub(super) index: usize,
    /// Its name.
    pub(super) name: String,
    /// Its format; never [`Format::Auto`].
    pub(super) format: Format,
    /// The columns, if it is a table.
    pub(super) layout: Option<Layout>,
    /// How many words come before the times of its lines, if it is text.
    pub(super) time_words: usize,
    /// The time of records if no line tells one: when the file was written last.
    pub(super) fallback: Timestamp,
}

/// Some whole lines of one input.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Counts the chunks of all inputs from 0.
    pub(super) number: u64,
    /// The input; `None` only before the first chunk.
    pub(super) source: Option<Arc<Source>>,
    /// The lines, as they are.
    pub(super) bytes: Vec<u8>,
    /// Whether these are the first lines of the input.
    pub(super) first: bool,
    /// What comes behind the lines and cannot be used.
    pub(super) damage: Option<Damage>,
    /// Bytes read from all inputs so far.
    pub(super) consumed: u64,
}

/// What cannot be used of an input.
#[derive(Debug)]
pub(super) enum Damage {
    /// A line over the limit: how it starts, and its length.
    LongLine { start: Vec<u8>, len: u64 },
    /// The rest of the input, and why.
    Rest(String),
}

/// Cuts all inputs into chunks, one after the other.
pub(super) struct Chunks {
    inputs: vec::IntoIter<Input>,
    opened: usize,
    current: Option<Current>,
    format: Format,
    times: Times,
    now: Timestamp,
    number: u64,
    consumed: Arc<AtomicU64>,
}

/// The input being read.
struct Current {
    input: Input,
    index: usize,
    modified: Option<Timestamp>,
    /// Known once the first chunk has been read.
    source: Option<Arc<Source>>,
    reader: Box<dyn Read + Send>,
    /// Bytes read that belong into the next chunk.
    rest: Vec<u8>,
    is_done: bool,
}

impl Chunks {
    pub(super) fn new(inputs: Vec<Input>, options: &Options) -> Self {
        Self {
            inputs: inputs.into_iter(),
            opened: 0,
            current: None,
            format: options.format,
            times: Times::new(options.zone.clone(), options.now),
            now: options.now,
            number: 0,
            consumed: Arc::default(),
        }
    }

    /// Makes `chunk` the next one, reusing its memory; `false` if there is none.
    ///
    /// # Errors
    ///
    /// An input cannot be opened, or one given as a table has no header. What goes wrong while an
    /// input is read is damage of the chunk instead.
    pub(super) fn next<E>(&mut self, chunk: &mut Chunk) -> Result<bool, ImportError<E>> {
        chunk.damage = None;
        chunk.bytes.clear();
        loop {
            let Some(current) = &mut self.current else {
                let Some(input) = self.inputs.next() else { return Ok(false) };
                self.current = self.open(input, chunk)?;
                if chunk.damage.is_some() {
                    return Ok(true);
                }
                continue;
            };
            if current.is_done && current.rest.is_empty() {
                self.current = None;
                continue;
            }
            current.fill(chunk);
            chunk.first = current.source.is_none();
            let source = match &current.source {
                Some(source) => Arc::clone(source),
                None => self.identify(chunk)?,
            };
            self.stamp(chunk, source);
            return Ok(true);
        }
    }

    fn stamp(&mut self, chunk: &mut Chunk, source: Arc<Source>) {
        chunk.number = self.number;
        self.number += 1;
        chunk.consumed = self.consumed.load(Ordering::Relaxed);
        chunk.source = Some(source);
    }

    /// Opens an input. One without lines becomes a chunk of damage and nothing else.
    fn open<E>(
        &mut self,
        input: Input,
        chunk: &mut Chunk,
    ) -> Result<Option<Current>, ImportError<E>> {
        let index = self.opened;
        self.opened += 1;
        let Opened { content, modified } = input
            .open(&self.consumed)
            .map_err(|source| ImportError::Open { input: input.to_string(), source })?;
        match content {
            Content::Lines(reader) => Ok(Some(Current {
                input,
                index,
                modified,
                source: None,
                reader,
                rest: Vec::new(),
                is_done: false,
            })),
            Content::Foreign(advice) => {
                let name = input.to_string();
                let source = Source {
                    index,
                    name,
                    format: Format::Text,
                    layout: None,
                    time_words: 0,
                    fallback: self.now,
                };
                chunk.first = true;
                chunk.damage = Some(Damage::Rest(advice.to_owned()));
                self.stamp(chunk, Arc::new(source));
                Ok(None)
            }
        }
    }

    /// Finds out what the current input is from its first chunk.
    fn identify<E>(&mut self, chunk: &mut Chunk) -> Result<Arc<Source>, ImportError<E>> {
        if chunk.bytes.starts_with(b"\xEF\xBB\xBF") {
            chunk.bytes.drain(..3);
        }
        let text = String::from_utf8_lossy(&chunk.bytes);
        let format = match self.format {
            Format::Auto => detect(&text, &mut self.times),
            format => format,
        };
        let layout = if format == Format::Csv { Layout::detect(&text) } else { None };
        let time_words = match format {
            Format::Text => words_before_time(&text, &mut self.times),
            _ => 0,
        };
        // `next` calls this with an input at hand.
        let (index, name, modified) = match &self.current {
            Some(current) => (current.index, current.input.to_string(), current.modified),
            None => (0, String::new(), None),
        };
        if format == Format::Csv && layout.is_none() && !chunk.bytes.trim_ascii().is_empty() {
            return Err(ImportError::Header { input: name });
        }
        let fallback = modified.unwrap_or(self.now);
        let source = Arc::new(Source { index, name, format, layout, time_words, fallback });
        if let Some(current) = &mut self.current {
            current.source = Some(Arc::clone(&source));
            // The first chunk was cut before it was known that rows may span lines.
            if format == Format::Csv && !current.is_done {
                current.cut_again(chunk);
            }
        }
        Ok(source)
    }
}

impl Current {
    /// Fills the chunk with whole lines.
    fn fill(&mut self, chunk: &mut Chunk) {
        std::mem::swap(&mut chunk.bytes, &mut self.rest);
        self.rest.clear();
        let mut target = CHUNK_BYTES;
        loop {
            if let Err(error) = self.read_to(target, &mut chunk.bytes) {
                chunk.damage = Some(Damage::Rest(explain(&error)));
                self.is_done = true;
            }
            if self.is_done {
                return;
            }
            if let Some(end) = self.cut(&chunk.bytes) {
                self.rest.extend_from_slice(chunk.bytes.get(end..).unwrap_or_default());
                chunk.bytes.truncate(end);
                return;
            }
            let limit = line_limit(&chunk.bytes);
            if chunk.bytes.len() >= limit {
                return self.skip_line(chunk);
            }
            target = (chunk.bytes.len() * 2).min(limit);
        }
    }

    /// Reads until there are `target` bytes or the input ends.
    fn read_to(&mut self, target: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.is_done {
            return Ok(());
        }
        let missing = target.saturating_sub(bytes.len());
        bytes.reserve(missing);
        let read = self.reader.by_ref().take(missing as u64).read_to_end(bytes)?;
        self.is_done |= read < missing;
        Ok(())
    }

    /// Where the last whole line ends, or the last whole row of a table.
    fn cut(&self, bytes: &[u8]) -> Option<usize> {
        let last = memchr::memrchr(b'\n', bytes).map(|at| at + 1)?;
        let is_table = self.source.as_ref().is_some_and(|source| source.layout.is_some());
        if !is_table || bytes.len() >= LINE_BYTES_MAX {
            return Some(last);
        }
        // A line feed between an odd number of quotes and the next one is part of a field.
        let mut even_end = None;
        let (mut is_quoted, mut start) = (false, 0);
        let quotes = memchr::memchr_iter(b'"', bytes).chain([bytes.len()]);
        for quote in quotes {
            let between = bytes.get(start..quote).unwrap_or_default();
            if !is_quoted && let Some(at) = memchr::memrchr(b'\n', between) {
                even_end = Some(start + at + 1);
            }
            is_quoted = !is_quoted;
            start = quote + 1;
        }
        even_end
    }

    /// Cuts a chunk that was cut between lines between rows.
    fn cut_again(&mut self, chunk: &mut Chunk) {
        if let Some(end) = self.cut(&chunk.bytes) {
            let rest = chunk.bytes.split_off(end);
            self.rest.splice(..0, rest);
        }
    }

    /// Reads on to the end of a line that is too long, keeping only how it starts.
    fn skip_line(&mut self, chunk: &mut Chunk) {
        let mut len = chunk.bytes.len() as u64;
        chunk.bytes.truncate(EXCERPT_BYTES);
        let start = std::mem::take(&mut chunk.bytes);
        let mut block = Vec::new();
        while !self.is_done {
            block.clear();
            if let Err(error) = self.read_to(CHUNK_BYTES, &mut block) {
                chunk.damage = Some(Damage::Rest(explain(&error)));
                self.is_done = true;
                return;
            }
            let end = memchr::memchr(b'\n', &block);
            len += end.unwrap_or(block.len()) as u64;
            if let Some(end) = end {
                self.rest.extend_from_slice(block.get(end + 1..).unwrap_or_default());
                break;
            }
        }
        chunk.damage = Some(Damage::LongLine { start, len });
    }
}

fn line_limit(bytes: &[u8]) -> usize {
    if bytes.starts_with(own::START.as_bytes()) { OWN_LINE_BYTES_MAX } else { LINE_BYTES_MAX }
}

/// What the operating system or a decompressor says, with its most frequent cause.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the compressed data is cut off; everything before is imported".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
