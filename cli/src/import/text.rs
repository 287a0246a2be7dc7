//! Text logs: everything that has no stricter format.
//!
//! A line that starts with a time begins a record; lines without one continue it, so that stack
//! traces stay whole. The data is `{"message":"..."}` with the text as it is, its time and level
//! included, and lines joined by line feeds. [`start`] finds the time, [`severity`] the level.

mod severity;
mod start;

use logq_format::{Level, Timestamp};

pub(super) use self::severity::{level_of, told_level};
pub(super) use self::start::{time_of, words_before_time};
use crate::import::batch::{Batch, OpenText, write_message};
use crate::import::parse::Lines;
use crate::import::time::Times;

/// The most bytes of text that lines make one record of: 1 MiB.
///
/// Beyond, a further record of the same time and level begins; a file whose times are not
/// recognised does not become one record.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;

/// Parses lines of text. The text before the first time and the last record are left open, since
/// they depend on the lines before and after this chunk. `words` is how many words come before the
/// time of a line, as [`words_before_time`] finds it out.
pub(super) fn parse<'a>(text: &'a str, words: usize, times: &mut Times, batch: &mut Batch<'a>) {
    let mut open: Option<Open> = None;
    let mut lines = Lines::new(text);
    let mut start = 0;
    while let Some((line, content)) = lines.next() {
        let end = text.len() - lines.rest().len();
        let time = time_of(content, words, times);
        let too_long = |open: &Open| end - open.start > RECORD_BYTES_MAX && start > open.start;
        let next = match (time, &open) {
            (Some(time), _) => Some(Open { time, level: level_of(content), line, start }),
            (None, Some(open)) if too_long(open) => Some(Open { line, start, ..*open }),
            _ => None,
        };
        if let Some(next) = next {
            let before = text.get(..start).unwrap_or_default();
            match open.replace(next) {
                Some(open) => push(&open.text(before), batch),
                None => batch.head = before,
            }
        }
        start = end;
    }
    batch.lines = lines.count_so_far();
    match open {
        Some(open) => batch.tail = Some(open.text(text)),
        None => batch.head = text,
    }
}

/// A record whose end is not known yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    time: Timestamp,
    level: Level,
    line: u64,
    /// Where it starts in the chunk.
    start: usize,
}

impl Open {
    /// The record from its start to the end of `text`.
    fn text<'a>(&self, text: &'a str) -> OpenText<'a> {
        let text = text.get(self.start..).unwrap_or_default();
        OpenText { time: self.time, level: self.level, text, line: self.line }
    }
}

/// Adds a record of text.
pub(super) fn push<'a>(open: &OpenText<'a>, batch: &mut Batch<'a>) {
    if let Some(data) = batch.keep_json(|out| write_text(out, open.text)) {
        batch.push_log(open.line, Some(open.time), open.level, None, data);
    }
}

/// Appends the data of a record of text; lines end with line feeds only, the last one with none.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = text.trim_end_matches(['\n', '\r']);
    if memchr::memchr(b'\r', text.as_bytes()).is_some() {
        write_message(out, &text.replace("\r\n", "\n"));
    } else {
        write_message(out, text);
    }
}

#[cfg(test)]
mod tests;
