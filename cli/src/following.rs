//! Records as they come: the loop behind `logq -f` and `logq wait`.
//!
//! ```text
//! Follow ─> slices of text, on all cores ─> Outlet (standard output) ─> the place reached ─> file
//!    └─> News (standard error): why nothing comes
//! ```
//!
//! The place reached never is ahead of what was written.

mod news;
mod outlet;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_reader::{
    Cursor, Cursors, Follow, FollowOptions, OwnedFilter, Progress, Report, Row, Rows,
};

pub(crate) use self::news::News;
pub(crate) use self::outlet::{Outlet, Stop};
use crate::args::{FilterArguments, RangeArguments};
use crate::cursors::CursorFile;
use crate::output::{Format, Printer};
use crate::question::{Question, Range};
use crate::stores;

/// How often it is looked whether a signal has come or nobody reads any more.
const TICK: Duration = Duration::from_millis(100);

/// How often the cursor file is written while records come.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The words of the command line about records, resolved against the stores that exist. Holds no
/// file open, so that segments that are deleted meanwhile give their space back.
pub(crate) struct Asked {
    pub(crate) zone: TimeZone,
    pub(crate) range: Range,
    pub(crate) selection: OwnedFilter,
}

impl Asked {
    /// Reads the words. With `is_bounded` the filter keeps out what is before the range, for starts
    /// that do not.
    ///
    /// # Errors
    ///
    /// As [`Question::new`], except that a store need not exist.
    pub(crate) fn new(
        stores: &[PathBuf],
        range: &RangeArguments,
        filter: &FilterArguments,
        is_bounded: bool,
    ) -> anyhow::Result<Self> {
        if stores::is_stream(stores) || stores.iter().any(|store| store.as_os_str() == "-") {
            bail!("a stream of blocks ends and cannot be followed; ask it without -f");
        }
        let existing: Vec<_> = stores.iter().filter(|store| store.exists()).cloned().collect();
        let question = Question::of(&existing, range, filter)?;
        let since = question.range.since.filter(|_| is_bounded);
        let bound = since.map(|since| question.expression(&format!("timestamp >= '{since}'")));
        let bound = bound.transpose()?;
        let Question { zone, range, mut selection, .. } = question;
        bound.into_iter().for_each(|expression| selection.add(expression));
        Ok(Self { zone, range, selection })
    }
}

/// What is followed, and how it is printed.
pub(crate) struct Following<'a> {
    pub(crate) stores: &'a [PathBuf],
    pub(crate) options: FollowOptions<'a>,
    pub(crate) printer: &'a Printer,
    pub(crate) format: Format,
    pub(crate) zone: &'a TimeZone,
    /// The most records that are printed.
    pub(crate) records_max: u64,
    /// When to stop, however many there were.
    pub(crate) deadline: Option<Instant>,
    /// Where the place reached is kept.
    pub(crate) file: Option<&'a CursorFile>,
    /// Whether the place reached is asked for in the end.
    pub(crate) wants_cursor: bool,
    /// Whether nothing is told on standard error.
    pub(crate) quiet: bool,
}

/// How following ended.
#[derive(Debug)]
pub(crate) enum End {
    /// There were as many records as were wanted.
    Enough,
    /// No more can come before the end of the range.
    Complete,
    /// The time is over.
    TimedOut,
    /// A signal asked for it, or nobody reads any more.
    Stopped(Stop),
}

/// What became of it.
pub(crate) struct Followed {
    pub(crate) end: End,
    /// How many records were printed.
    pub(crate) records: u64,
    /// Behind what was printed.
    pub(crate) cursor: Cursor,
    pub(crate) report: Report,
}

/// Some records as text.
struct Piece {
    text: Vec<u8>,
    rows: u64,
    /// Where the text of each record ends, and the cursor behind it, where the piece may be cut.
    cuts: Vec<(usize, Option<Cursor>)>,
    /// Behind the last record.
    cursor: Option<Cursor>,
}

impl<'a> Following<'a> {
    /// What the words ask for: of what comes from now on each record when none before it can come any
    /// more, without an end, and keeping no place.
    pub(crate) fn new(stores: &'a [PathBuf], asked: &'a Asked, printer: &'a Printer) -> Self {
        let filter = asked.selection.filter();
        let until = asked.range.until;
        Self {
            stores,
            options: FollowOptions { filter, until, ..FollowOptions::default() },
            printer,
            format: printer.format(),
            zone: &asked.zone,
            records_max: u64::MAX,
            deadline: None,
            file: None,
            wants_cursor: false,
            quiet: false,
        }
    }

    /// Follows to the end, which may never come.
    ///
    /// # Errors
    ///
    /// A store can not be followed, the cursor does not fit, or the cursor file cannot be written.
    pub(crate) fn run(self, out: &mut Outlet) -> anyhow::Result<Followed> {
        let mut news = News::new(self.stores, self.zone.clone(), self.quiet);
        let mut follow = Follow::new(self.stores, self.options.clone())?;
        let mut course = Course {
            records: 0,
            records_max: self.records_max,
            cursor: follow.cursor(),
            file: self.file,
            saved: None,
            end: None,
        };
        course.save_now()?;
        let mut head = Vec::new();
        self.printer.head(&mut head);
        course.end = match out.write(&head) {
            Ok(()) if self.records_max == 0 => Some(End::Enough),
            Ok(()) => None,
            Err(stop) => Some(End::Stopped(stop)),
        };
        while course.end.is_none() {
            let rest = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let timeout = rest.map_or(TICK, |rest| rest.min(TICK));
            let mut failure = Ok(());
            let map = |rows: &Rows<'_>, cursors: &Cursors| self.piece(rows, cursors);
            let progress = follow.next(timeout, map, |piece| {
                let go_on = course.take(piece, out);
                failure = course.save_at_times();
                if failure.is_err() { ControlFlow::Break(()) } else { go_on }
            });
            failure?;
            let progress = match progress {
                Ok(progress) => progress,
                Err(error) => {
                    course.save_now()?;
                    return Err(error.into());
                }
            };
            if course.end.is_none() {
                course.cursor = follow.cursor();
            }
            course.save_at_times()?;
            news.look(&follow);
            let is_over = rest.is_some_and(|rest| rest.is_zero());
            course.end = course.end.take().or_else(|| match (out.check(), progress) {
                (Err(stop), _) => Some(End::Stopped(stop)),
                (Ok(()), Progress::Ended) => Some(End::Complete),
                (Ok(()), _) => is_over.then_some(End::TimedOut),
            });
        }
        course.save_now()?;
        let Course { records, cursor, end, .. } = course;
        let end = end.context("following has ended without an end")?;
        Ok(Followed { end, records, cursor, report: follow.report() })
    }

    /// Turns records into text, with as many cursors as are needed.
    fn piece(&self, rows: &Rows<'_>, cursors: &Cursors) -> Piece {
        let keeps_place = self.file.is_some() || self.wants_cursor;
        let mut text = Vec::with_capacity(rows.len() * 256);
        let mut cuts = Vec::new();
        for row in rows.iter() {
            print(self.printer, self.format, cursors, &row, &mut text);
            if self.records_max < u64::MAX {
                cuts.push((text.len(), keeps_place.then(|| cursors.after(&row))));
            }
        }
        let last = rows.iter().next_back().filter(|_| keeps_place);
        let cursor = last.map(|row| cursors.after(&row));
        Piece { text, rows: rows.len() as u64, cuts, cursor }
    }
}

/// Appends a record; as a server-sent event, it has its cursor as the id.
pub(crate) fn print(
    printer: &Printer,
    format: Format,
    cursors: &Cursors,
    row: &Row<'_>,
    text: &mut Vec<u8>,
) {
    if format == Format::Sse {
        text.extend_from_slice(format!("id: {}\n", cursors.after(row)).as_bytes());
    }
    printer.print(row, text);
}

/// How far following has come.
struct Course<'a> {
    records: u64,
    records_max: u64,
    /// Behind what was written.
    cursor: Cursor,
    file: Option<&'a CursorFile>,
    /// What is in the file, and since when.
    saved: Option<(Cursor, Instant)>,
    end: Option<End>,
}

impl Course<'_> {
    /// Writes a piece, or what is still wanted of it.
    fn take(&mut self, piece: Piece, out: &mut Outlet) -> ControlFlow<()> {
        let wanted = self.records_max - self.records;
        let (text, rows, cursor) = if piece.rows <= wanted {
            (piece.text.as_slice(), piece.rows, piece.cursor)
        } else {
            let last = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(1);
            let (end, cursor) = piece.cuts.get(last).cloned().unwrap_or_default();
            (piece.text.get(..end).unwrap_or_default(), wanted, cursor)
        };
        self.end = out.write(text).err().map(End::Stopped);
        if self.end.is_none() {
            self.records += rows;
            self.cursor = cursor.unwrap_or_else(|| self.cursor.clone());
            self.end = match out.check() {
                _ if self.records == self.records_max => Some(End::Enough),
                Ok(()) => None,
                Err(stop) => Some(End::Stopped(stop)),
            };
        }
        if self.end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn save_at_times(&mut self) -> anyhow::Result<()> {
        let is_time = self.saved.as_ref().is_none_or(|(_, since)| since.elapsed() >= SAVE_EVERY);
        if is_time { self.save_now() } else { Ok(()) }
    }

    fn save_now(&mut self) -> anyhow::Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        if self.saved.as_ref().is_none_or(|(saved, _)| *saved != self.cursor) {
            file.write(&self.cursor)?;
            self.saved = Some((self.cursor.clone(), Instant::now()));
        }
        Ok(())
    }
}

impl Followed {
    /// Where it is known that no more records come: the end of a range that is complete. Else
    /// nothing is said of it.
    pub(crate) fn watermark(&self, range: Range) -> Timestamp {
        let end = range.until.filter(|_| matches!(self.end, End::Complete));
        end.unwrap_or(Timestamp::MAX)
    }
}
