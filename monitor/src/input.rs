//! One source from bytes to hits: lines, their format, their numbers, and what is wrong with them.

use std::borrow::Cow;

use thiserror::Error;

use crate::clock::SourceId;
use crate::hit::Hit;
use crate::lines::{Line, Lines, WholeLines};
use crate::monitor::Monitor;
use crate::parse::detect::{Explanation, detect};
use crate::parse::{Format, LineParser, ParseError, Parsed, Reason};
use crate::report::BadLine;

/// How an [`Input`] reads its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputOptions {
    /// The format of the lines; `None` to see it from the first ones.
    pub format: Option<Format>,
    /// The longest line in bytes; more is skipped and counted. Default 64 KiB.
    pub line_bytes_max: usize,
    /// Whether to go on although most lines are no requests. Default no.
    pub force: bool,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self { format: None, line_bytes_max: 64 << 10, force: false }
    }
}

/// Why a source is not read on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// No line shows a known format.
    #[error("no known format: {0}")]
    NoFormat(Explanation),
    /// Most lines are not in the format.
    #[error("most lines are not in the format: {0}")]
    Mismatch(Explanation),
}

/// Reads one source for a [`Monitor`]. The result does not depend on how the bytes are cut.
#[derive(Debug)]
pub struct Input {
    source: SourceId,
    options: InputOptions,
    lines: Lines,
    parser: Option<LineParser>,
    /// Lines seen while the format is not known, with their numbers.
    undecided: Vec<(u64, Box<[u8]>)>,
    undecided_bytes: usize,
    /// The number of the last line in its file.
    line: u64,
    /// How the first lines fared; `None` once there are enough.
    sample: Option<Explanation>,
}

/// Lines after which the format must be known, or fit.
const SAMPLE_LINES: u64 = 1_000;
/// Bytes after which the format must be known.
const UNDECIDED_BYTES_MAX: usize = 256 << 10;

impl Input {
    /// Nothing read yet.
    pub fn new(source: SourceId, options: InputOptions) -> Self {
        let parser = options.format.clone().map(LineParser::new);
        let nearest = options.format.clone().unwrap_or(Format::Clf);
        Self {
            source,
            lines: Lines::new(options.line_bytes_max),
            options,
            parser,
            undecided: Vec::new(),
            undecided_bytes: 0,
            line: 0,
            sample: Some(Explanation { nearest, lines: 0, failed: 0, examples: Vec::new() }),
        }
    }

    /// The source it reads.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// The format of the lines, once it is known.
    pub fn format(&self) -> Option<&Format> {
        self.parser.as_ref().map(LineParser::format)
    }

    /// Whether lines wait until the format is known: nothing of them is counted.
    pub fn has_unread(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// Whether columns are taken to be those of the seed's sample, since no header names them.
    pub fn has_assumed_columns(&self) -> bool {
        self.parser.as_ref().is_some_and(LineParser::has_assumed_columns)
    }

    /// NUL bytes at the starts of lines, which were skipped.
    pub fn nul_bytes(&self) -> u64 {
        self.lines.nul_bytes()
    }

    /// Reads a piece of the source.
    ///
    /// # Errors
    ///
    /// [`InputError`] if the first lines are in no known format, or most of them not in theirs. What
    /// was read until then is counted; there is no use in reading on.
    pub fn push(&mut self, piece: &[u8], monitor: &mut Monitor) -> Result<(), InputError> {
        let mut rest = piece;
        // Lines lend their line, and the rest of this is needed to read it.
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(0));
        let mut result = Ok(());
        while result.is_ok()
            && let Some(line) = lines.next(&mut rest)
        {
            result = self.read(line, monitor);
        }
        self.lines = lines;
        result
    }

    /// The same as [`push`](Self::push), with the lines read by `run` in up to `parts` tasks, which
    /// it may run at the same time; it answers their batches in the order of the tasks, and each is
    /// counted as soon as it is there.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    ///
    /// # Examples
    ///
    /// ```
    /// use logq_monitor::{Input, InputOptions, Monitor, Options, Task};
    ///
    /// let mut monitor = Monitor::new(Options::default());
    /// let mut input = Input::new(monitor.open("access.csv"), InputOptions::default());
    /// let piece = b"date,request\n1549573860,GET /a HTTP/1.1\n";
    /// input.push_spread(piece, 4, &mut monitor, |tasks| {
    ///     // With rayon: tasks.into_par_iter().map(Task::run).collect::<Vec<_>>()
    ///     tasks.into_iter().map(Task::run)
    /// })?;
    /// assert_eq!(monitor.report().counts.hits, 1);
    /// # Ok::<(), logq_monitor::InputError>(())
    /// ```
    pub fn push_spread<'p, B: IntoIterator<Item = Batch<'p>>>(
        &mut self,
        piece: &'p [u8],
        parts: usize,
        monitor: &mut Monitor,
        run: impl FnOnce(Vec<Task<'p>>) -> B,
    ) -> Result<(), InputError> {
        if self.parser.is_none() || self.sample.is_some() {
            return self.push(piece, monitor);
        }
        let (head, rest) = if self.lines.is_at_start() { (&[][..], piece) } else { cut(piece, 1) };
        self.push(head, monitor)?;
        let end = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
        let (whole, begun) = rest.split_at_checked(end).unwrap_or((&[], rest));
        let Some(parser) = &self.parser else { return self.push(rest, monitor) };
        let line_bytes_max = self.options.line_bytes_max;
        let task = |chunk| Task { chunk, parser: parser.clone(), line_bytes_max };
        let tasks: Vec<Task<'p>> = chunks(whole, parts).into_iter().map(task).collect();
        for batch in run(tasks) {
            self.fold(batch, monitor);
        }
        self.push(begun, monitor)
    }

    /// The file ends, and another one goes on with the same log: the last line is read although
    /// nothing ends it, and lines are numbered anew.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn rotate(&mut self, monitor: &mut Monitor) -> Result<(), InputError> {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(0));
        let result = lines.finish().map_or(Ok(()), |line| self.read(line, monitor));
        self.lines = lines;
        if let Some(begun) = self.parser.as_mut().and_then(LineParser::finish) {
            self.bad(ParseError { reason: Reason::OpenQuote, at: 0 }, &begun, monitor);
        }
        self.line = 0;
        result
    }

    /// The file was truncated: the begun line is gone, and lines are numbered anew. Answers whether
    /// there was a begun line.
    pub fn truncate(&mut self) -> bool {
        self.line = 0;
        self.lines.discard()
    }

    /// The source ends: reads the last line, and finishes the source in the monitor.
    ///
    /// # Errors
    ///
    /// [`InputError`] if no line was a request but some should have been.
    pub fn finish(&mut self, monitor: &mut Monitor) -> Result<(), InputError> {
        let read = self.rotate(monitor).and_then(|()| self.settle(monitor));
        monitor.finish(self.source);
        read?;
        match self.sample.take() {
            Some(sample) if sample.lines > 0 && sample.failed == sample.lines => {
                self.complain(InputError::Mismatch(sample))
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, line: Line<'_>, monitor: &mut Monitor) -> Result<(), InputError> {
        self.line += 1;
        let text = match line {
            Line::Whole(text) => text,
            Line::TooLong(head) => {
                let at = self.options.line_bytes_max;
                return self.fail(ParseError { reason: Reason::TooLong, at }, head, monitor);
            }
        };
        if self.parser.is_none() {
            return self.decide(text, monitor);
        }
        self.parse(text, monitor)
    }

    /// Reads a line of the known format.
    fn parse(&mut self, text: &[u8], monitor: &mut Monitor) -> Result<(), InputError> {
        let Some(parser) = &mut self.parser else { return Ok(()) };
        match parser.parse(text) {
            Ok(Parsed::Nothing) => Ok(()),
            Ok(Parsed::Hit(hit)) => {
                monitor.hit(self.source, self.line, &hit);
                self.sample(None)
            }
            Ok(Parsed::HitAfterBroken(hit, broken)) => {
                let error = ParseError { reason: Reason::OpenQuote, at: 0 };
                let failed = self.fail(error, &broken, monitor);
                monitor.hit(self.source, self.line, &hit);
                failed.and(self.sample(None))
            }
            Err(error) => self.fail(error, text, monitor),
        }
    }

    /// Looks whether the line shows the format; if so, reads it and the lines before it.
    fn decide(&mut self, text: &[u8], monitor: &mut Monitor) -> Result<(), InputError> {
        if let Some(format) = detect(text) {
            self.assume(format, monitor)?;
            return self.parse(text, monitor);
        }
        if !text.trim_ascii().is_empty() {
            self.undecided_bytes += text.len();
            self.undecided.push((self.line, text.into()));
        }
        let is_enough = self.undecided.len() >= usize::try_from(SAMPLE_LINES).unwrap_or(usize::MAX)
            || self.undecided_bytes >= UNDECIDED_BYTES_MAX;
        if is_enough { self.settle(monitor) } else { Ok(()) }
    }

    /// Takes the format for known and reads the lines before.
    fn assume(&mut self, format: Format, monitor: &mut Monitor) -> Result<(), InputError> {
        if let Some(sample) = &mut self.sample {
            sample.nearest = format.clone();
        }
        self.parser = Some(LineParser::new(format));
        let line = self.line;
        for (number, text) in std::mem::take(&mut self.undecided) {
            self.line = number;
            self.parse(&text, monitor)?;
        }
        self.line = line;
        Ok(())
    }

    /// No line has shown a format: they are read in the nearest one, to be counted by reason.
    fn settle(&mut self, monitor: &mut Monitor) -> Result<(), InputError> {
        if self.parser.is_some() || self.undecided.is_empty() {
            return Ok(());
        }
        let explanation = Explanation::of(&self.undecided);
        let nearest = explanation.nearest.clone();
        let force = std::mem::replace(&mut self.options.force, true);
        let read = self.assume(nearest, monitor);
        self.options.force = force;
        read?;
        self.sample = None;
        self.complain(InputError::NoFormat(explanation))
    }

    fn complain(&self, error: InputError) -> Result<(), InputError> {
        if self.options.force { Ok(()) } else { Err(error) }
    }

    fn fail(
        &mut self,
        error: ParseError,
        text: &[u8],
        monitor: &mut Monitor,
    ) -> Result<(), InputError> {
        self.bad(error, text, monitor);
        self.sample(Some((error, text)))
    }

    fn bad(&mut self, error: ParseError, text: &[u8], monitor: &mut Monitor) {
        let ParseError { reason, at } = error;
        let line = BadLine { line: self.line, reason, at, excerpt: text };
        monitor.bad(self.source, &line);
    }

    /// Notes how a line fared, while lines are few; when there are enough, more than half of them
    /// must be requests.
    fn sample(&mut self, failed: Option<(ParseError, &[u8])>) -> Result<(), InputError> {
        let Some(sample) = &mut self.sample else { return Ok(()) };
        sample.lines += 1;
        if let Some((error, text)) = failed {
            sample.failed += 1;
            sample.keep(self.line, error, text);
        }
        if sample.lines < SAMPLE_LINES {
            return Ok(());
        }
        match self.sample.take() {
            Some(sample) if sample.failed * 2 > sample.lines => {
                self.complain(InputError::Mismatch(sample))
            }
            _ => Ok(()),
        }
    }

    /// Counts what a task has read.
    fn fold(&mut self, batch: Batch<'_>, monitor: &mut Monitor) {
        let is_right = self.parser.as_ref().is_some_and(|parser| parser.is_like(&batch.before));
        let batch = match &self.parser {
            // A header or an open quote in the chunk before: read it again, as it is now.
            Some(parser) if !is_right => Task { parser: parser.clone(), ..batch.task }.run(),
            _ => batch,
        };
        let before = self.line;
        for item in &batch.items {
            match item {
                Item::Hit(line, hit) => monitor.hit(self.source, before + line, hit),
                Item::Bad { line, error, excerpt } => {
                    self.line = before + line;
                    self.bad(*error, excerpt, monitor);
                }
            }
        }
        self.line = before + batch.lines;
        self.lines.add_nul_bytes(batch.nul_bytes);
        self.parser = Some(batch.task.parser);
    }
}

/// Whole lines to be read, independent of other tasks.
#[derive(Clone, Debug)]
pub struct Task<'p> {
    chunk: &'p [u8],
    parser: LineParser,
    line_bytes_max: usize,
}

/// What a [`Task`] has read.
#[derive(Debug)]
pub struct Batch<'p> {
    /// The parser is as it is after the last line.
    task: Task<'p>,
    /// The parser as it was before the first line.
    before: LineParser,
    items: Vec<Item<'p>>,
    lines: u64,
    nul_bytes: u64,
}

#[derive(Debug)]
enum Item<'p> {
    Hit(u64, Hit<'p>),
    Bad { line: u64, error: ParseError, excerpt: Cow<'p, [u8]> },
}

impl<'p> Task<'p> {
    /// Reads the lines.
    pub fn run(mut self) -> Batch<'p> {
        let before = self.parser.clone();
        // A guess: lines of access logs are rarely shorter.
        let mut items = Vec::with_capacity(self.chunk.len() / 100);
        let mut lines = WholeLines::new(self.chunk, self.line_bytes_max);
        let mut line = 0;
        for text in lines.by_ref() {
            line += 1;
            self.read(line, text, &mut items);
        }
        let nul_bytes = lines.nul_bytes();
        Batch { task: self, before, items, lines: line, nul_bytes }
    }

    fn read(&mut self, line: u64, text: Line<'p>, items: &mut Vec<Item<'p>>) {
        let bad =
            |reason, at, excerpt| Item::Bad { line, error: ParseError { reason, at }, excerpt };
        let text = match text {
            Line::Whole(text) => text,
            Line::TooLong(head) => {
                let excerpt = Cow::Borrowed(head);
                return items.push(bad(Reason::TooLong, self.line_bytes_max, excerpt));
            }
        };
        match self.parser.parse(text) {
            Ok(Parsed::Nothing) => {}
            Ok(Parsed::Hit(hit)) => items.push(Item::Hit(line, hit)),
            Ok(Parsed::HitAfterBroken(hit, broken)) => {
                let broken = Cow::Owned(broken.into_vec());
                items.extend([bad(Reason::OpenQuote, 0, broken), Item::Hit(line, hit)]);
            }
            Err(error) => items.push(bad(error.reason, error.at, Cow::Borrowed(text))),
        }
    }
}

/// Cuts behind the first line feed at or behind `from`; without one, everything is in front.
fn cut(bytes: &[u8], from: usize) -> (&[u8], &[u8]) {
    let behind = bytes.get(from.saturating_sub(1)..).unwrap_or_default();
    let end = memchr::memchr(b'\n', behind).map_or(bytes.len(), |end| from.max(1) + end);
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// Cuts whole lines into about so many chunks of whole lines.
fn chunks(mut whole: &[u8], parts: usize) -> Vec<&[u8]> {
    let chunk_bytes = whole.len().div_ceil(parts.max(1)).max(1);
    let mut chunks = Vec::with_capacity(parts);
    while !whole.is_empty() {
        let (chunk, rest) = cut(whole, chunk_bytes.min(whole.len()));
        chunks.push(chunk);
        whole = rest;
    }
    chunks
}
