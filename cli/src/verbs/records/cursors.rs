//! Records behind a cursor, and the cursor behind records: `--after-cursor`, `--cursor-file`,
//! `--show-cursor`. Everything else about printing them is as without.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Args;
use logq_reader::{Cursor, Cursors, Query, Rows};

use super::{Answer, Asking};
use crate::cursors::{self, CursorFile};
use crate::following;
use crate::output::{Format, Output};

/// Flags about places in answers.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct CursorArguments {
    /// Only what comes behind this cursor. A cursor stands behind the record that it was printed
    /// with, so --cursor is the same
    #[arg(long, visible_alias = "cursor", value_name = "CURSOR", conflicts_with_all = WITHOUT_PLACE)]
    pub(super) after_cursor: Option<Cursor>,

    /// Go on behind the cursor in this file, if it is there, and keep the place in it: at the end,
    /// and with -f each second
    #[arg(long, value_name = "FILE", conflicts_with = "after_cursor", conflicts_with_all = WITHOUT_PLACE)]
    pub(super) cursor_file: Option<PathBuf>,

    /// In the end, print one more line with the cursor to go on from
    #[arg(long, conflicts_with_all = WITHOUT_PLACE)]
    pub(super) show_cursor: bool,
}

impl CursorArguments {
    /// Whether anything is asked about places.
    pub(super) fn is_any(&self) -> bool {
        self.after_cursor.is_some() || self.cursor_file.is_some() || self.show_cursor
    }
}

/// What has no place to go on from.
const WITHOUT_PLACE: [&str; 9] = [
    "context",
    "before_context",
    "after_context",
    "request_where",
    "count",
    "by",
    "hist",
    "quantile",
    "list_runs",
];

/// Where an answer begins, and where the place behind it goes.
pub(super) struct Places {
    pub(super) after: Option<Cursor>,
    pub(super) file: Option<CursorFile>,
    pub(super) shows: bool,
    format: Format,
    /// Behind what was printed.
    reached: OnceLock<Cursor>,
}

impl Places {
    /// Reads the cursor file, if one is named.
    pub(super) fn new(arguments: &CursorArguments, format: Format) -> anyhow::Result<Self> {
        let file = arguments.cursor_file.as_deref().map(CursorFile::new);
        let kept = file.as_ref().map(CursorFile::read).transpose()?.flatten();
        let after = arguments.after_cursor.clone().or(kept);
        let (shows, reached) = (arguments.show_cursor, OnceLock::new());
        Ok(Self { after, file, shows, format, reached })
    }

    /// Whether records are printed with their places: also as server-sent events, whose ids they are.
    pub(super) fn are_wanted(&self) -> bool {
        self.after.is_some() || self.file.is_some() || self.shows || self.format == Format::Sse
    }

    /// Prints the cursor, if it is asked for.
    pub(super) fn show(&self, out: &mut Output) {
        if let Some(cursor) = self.reached.get().filter(|_| self.shows) {
            // A failure is told by `finish`.
            let _ = out.write(&cursors::line(cursor, self.format));
        }
    }

    /// Keeps the cursor; to be called when all records have been written.
    pub(super) fn keep(&self) -> anyhow::Result<()> {
        match (&self.file, self.reached.get()) {
            (Some(file), Some(cursor)) => file.write(cursor),
            _ => Ok(()),
        }
    }
}

/// Some records as text, in the order they are printed in.
struct Slice {
    text: Vec<u8>,
    rows: usize,
    /// Where the text of each record ends, and the cursor behind it, where the slice may be cut.
    cuts: Vec<(usize, Option<Cursor>)>,
    /// Behind the last record.
    cursor: Option<Cursor>,
}

/// Prints the records of the question that are behind the cursor.
pub(super) fn print(asking: &Asking<'_>, out: &mut Output) -> anyhow::Result<Answer> {
    let (limits, places) = (asking.limits, asking.places);
    let after = places.after.as_ref();
    let printed = Query { order: limits.printed_order(), after, ..asking.question.query() };
    let cursors = asking.question.snapshot.cursors(&printed)?;
    match (limits.turned, limits.found_max) {
        // What is behind a cursor can only be found in its own order.
        (true, Some(most)) if after.is_some() => print_last(asking, &printed, &cursors, most, out),
        (true, _) => {
            let query = Query { order: limits.order, limit: limits.found_max, ..printed };
            let mut kept = VecDeque::new();
            let render = |rows: &Rows<'_>| render(asking, &cursors, rows);
            let report = asking.question.snapshot.scan(&query, render, |slice| {
                kept.push_front(slice);
                ControlFlow::Continue(())
            })?;
            Ok(Answer { found: print_kept(asking, &cursors, kept, 0, out), report })
        }
        (false, _) => print_first(asking, printed, &cursors, out),
    }
}

/// Prints what is found as it is found, up to the limit.
fn print_first(
    asking: &Asking<'_>,
    query: Query<'_>,
    cursors: &Cursors,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let limit = asking.limits.found_max.into_iter().chain(Some(asking.limits.printed_max)).min();
    let limit = limit.filter(|limit| *limit < u64::MAX);
    let query = Query { limit, ..query };
    let (mut found, mut last, mut is_closed) = (0, None, false);
    let render = |rows: &Rows<'_>| render(asking, cursors, rows);
    let report = asking.question.snapshot.scan(&query, render, |slice| {
        found += slice.rows as u64;
        last = slice.cursor;
        let go_on = asking.stages.write.time(|| out.write(&slice.text));
        is_closed = go_on.is_break();
        go_on
    })?;
    if !is_closed {
        let reached = match limit == Some(found) {
            true => last.unwrap_or_else(|| cursors.start()),
            false => cursors.end(),
        };
        // It is set once for an answer.
        let _ = asking.places.reached.set(reached);
    }
    Ok(Answer { found, report })
}

/// Prints the last records of an answer that can only be read from its beginning.
fn print_last(
    asking: &Asking<'_>,
    query: &Query<'_>,
    cursors: &Cursors,
    most: u64,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut kept, mut rows) = (VecDeque::<Slice>::new(), 0);
    let render = |found: &Rows<'_>| render(asking, cursors, found);
    let report = asking.question.snapshot.scan(query, render, |slice| {
        rows += slice.rows;
        kept.push_back(slice);
        while let Some(first) = kept.front().map(|first| first.rows)
            && rows - first >= most
        {
            rows -= first;
            kept.pop_front();
        }
        ControlFlow::Continue(())
    })?;
    let skipped = rows.saturating_sub(most);
    Ok(Answer { found: print_kept(asking, cursors, kept, skipped, out), report })
}

/// Prints slices except for the first `skipped` records, and no more than are to be printed. Answers
/// how many those are.
fn print_kept(
    asking: &Asking<'_>,
    cursors: &Cursors,
    kept: VecDeque<Slice>,
    skipped: usize,
    out: &mut Output,
) -> u64 {
    let most = usize::try_from(asking.limits.printed_max).unwrap_or(usize::MAX);
    let (mut skipped, mut printed, mut last) = (skipped, 0, None);
    let mut is_cut = false;
    for slice in kept {
        let from = skipped.min(slice.rows);
        let to = from + (slice.rows - from).min(most - printed);
        let cut = |row: usize| row.checked_sub(1).and_then(|row| slice.cuts.get(row));
        let start = cut(from).map_or(0, |(end, _)| *end);
        let end = cut(to).map_or(start, |(end, _)| *end);
        (skipped, printed) = (skipped - from, printed + (to - from));
        is_cut |= to < slice.rows;
        if to > from {
            last = cut(to).and_then(|(_, cursor)| cursor.clone());
        }
        if out.write(slice.text.get(start..end).unwrap_or_default()).is_break() {
            return printed as u64;
        }
    }
    let reached = match is_cut {
        true => last.unwrap_or_else(|| cursors.start()),
        false => cursors.end(),
    };
    // It is set once for an answer.
    let _ = asking.places.reached.set(reached);
    printed as u64
}

/// Turns records into text, in the order they are printed in.
fn render(asking: &Asking<'_>, cursors: &Cursors, rows: &Rows<'_>) -> Slice {
    let limits = asking.limits;
    let is_cut = limits.printed_max < u64::MAX;
    let is_backwards = limits.turned && asking.places.after.is_none();
    let mut slice = Slice {
        text: Vec::with_capacity(rows.len() * 256),
        rows: rows.len(),
        cuts: Vec::new(),
        cursor: None,
    };
    let mut print = |row: logq_reader::Row<'_>, is_last: bool| {
        following::print(asking.printer, asking.places.format, cursors, &row, &mut slice.text);
        if limits.turned {
            slice.cuts.push((slice.text.len(), is_cut.then(|| cursors.after(&row))));
        } else if is_last {
            slice.cursor = Some(cursors.after(&row));
        }
    };
    let last = rows.len().saturating_sub(1);
    asking.stages.render.time(|| match is_backwards {
        true => rows.iter().rev().for_each(|row| print(row, false)),
        false => rows.iter().enumerate().for_each(|(place, row)| print(row, place == last)),
    });
    slice
}
