//! Directories of the Node package `super-server-logs`: blocks in files instead of lines.
//!
//! ```text
//! files, in the order of their names --logq_nodelogs--> entries, gaps --record--> RecordSink
//! ```
//!
//! What the format has, and where it is afterwards:
//!
//! | there | here |
//! |---|---|
//! | milliseconds | microseconds that end in 000 |
//! | nonce | the lowest 16 bits of `seq` |
//! | process | a `writer`; another one when its clock went back, since a writer's times never decrease. The times stay, and `seq` goes on, so that it still tells the order of the process |
//! | exit code | a signed number: Node prints -1 as 4294967295 |
//! | halves of surrogate pairs, bytes that are not UTF-8 | their escapes, such as `\ud83d` and `\xff` |
//! | pings | nothing: they prove bounds of time in their file, and a store has its own |
//!
//! Writers are named after their first record and the directory, so that a directory can be imported
//! again when there is more in it: records that are there already are the same records.
//!
//! A file ends the block in it. The Node package reads its files as one, and loses the first block of
//! a file behind a torn one.

mod files;
mod record;
mod summary;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bumpalo::Bump;
use logq_format::Origin;
use logq_nodelogs::{
    Cause, Decoder, Entry, Gap, Identity, Item, Processes, SEPARATOR, STORED_BYTES_MAX,
};

pub(crate) use self::files::DirectoryError;
pub(super) use self::files::{Log, take_logs};
use self::record::Translated;
pub(crate) use self::summary::NodeLogs;
use crate::import::input::{Content, Input, Opened};
use crate::import::{Progress, RecordSink};

/// How much of a file is read at once.
const READ_BYTES: usize = 1 << 17;

/// Imports logs, one after the other, and tells how it went.
///
/// # Errors
///
/// The sink's. What cannot be read is a gap in the summary.
pub(super) fn run<S: RecordSink>(
    logs: &[Log],
    bytes_total: Option<u64>,
    sink: &mut S,
    report: &mut impl FnMut(Progress),
) -> Result<NodeLogs, S::Error> {
    let mut summary = NodeLogs::default();
    let consumed = Arc::default();
    for log in logs {
        let processes = Processes::new(log.salt);
        let mut import = Import { sink: &mut *sink, processes, summary: &mut summary };
        let mut decoder = Decoder::new();
        for file in &log.files {
            import.file(file, &mut decoder, &consumed, |records| {
                let bytes = consumed.load(Ordering::Relaxed);
                report(Progress { bytes, bytes_total, records });
            })?;
        }
        summary.steps_back += import.processes.steps_back();
    }
    summary.bytes = consumed.load(Ordering::Relaxed);
    Ok(summary)
}

/// The import of one log.
struct Import<'s, S> {
    sink: &'s mut S,
    processes: Processes,
    summary: &'s mut NodeLogs,
}

/// Where a block is, as people are told.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Input,
    offset: u64,
}

impl<S: RecordSink> Import<'_, S> {
    /// Imports one file. `report` is told the number of records so far after each block.
    fn file(
        &mut self,
        file: &Input,
        decoder: &mut Decoder,
        consumed: &Arc<AtomicU64>,
        report: impl FnMut(u64),
    ) -> Result<(), S::Error> {
        self.summary.files += 1;
        match file.open(consumed) {
            Ok(Opened { content: Content::Lines(reader), .. }) => {
                self.blocks(file, reader, decoder, report)
            }
            Ok(Opened { content: Content::Foreign(advice), .. }) => {
                self.summary.lose_rest(&Place { file, offset: 0 }, advice);
                Ok(())
            }
            Err(error) => {
                self.summary.lose_rest(&Place { file, offset: 0 }, &error.to_string());
                Ok(())
            }
        }
    }

    fn blocks(
        &mut self,
        file: &Input,
        reader: impl Read,
        decoder: &mut Decoder,
        mut report: impl FnMut(u64),
    ) -> Result<(), S::Error> {
        let mut reader = BufReader::with_capacity(READ_BYTES, reader);
        let (mut block, mut arena) = (Vec::new(), Bump::new());
        let mut offset = 0;
        loop {
            let place = Place { file, offset };
            let (len, is_finished) = match next_block(&mut reader, &mut block) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.summary.lose_rest(&place, &error.to_string());
                    return Ok(());
                }
            };
            if len > block.len() {
                let cause = Cause::Oversize { limit: STORED_BYTES_MAX };
                self.summary.lose(&place, &Gap { offset: 0, bytes: len, cause });
            } else {
                self.block(place, &block, is_finished, decoder, &arena)?;
            }
            offset += as_u64(len) + u64::from(is_finished);
            arena.reset();
            report(self.summary.records);
        }
    }

    fn block(
        &mut self,
        place: Place<'_>,
        stored: &[u8],
        is_finished: bool,
        decoder: &mut Decoder,
        arena: &Bump,
    ) -> Result<(), S::Error> {
        self.summary.blocks += 1;
        let mut number = 0;
        decoder.decode(stored, is_finished, |item| match item {
            Item::Gap(gap) => {
                self.summary.lose(&place, &gap);
                Ok(())
            }
            Item::Entry(entry) => {
                number += 1;
                self.entry(&entry, &place, number, arena)
            }
        })
    }

    fn entry(
        &mut self,
        entry: &Entry<'_>,
        place: &Place<'_>,
        number: u64,
        arena: &Bump,
    ) -> Result<(), S::Error> {
        let placed = self.processes.place(entry);
        self.summary.missing += u64::from(placed.missing);
        let Translated { worker, record } = match record::translate(entry, arena) {
            Ok(Some(translated)) => translated,
            Ok(None) => {
                self.summary.pings += 1;
                return Ok(());
            }
            Err(refusal) => {
                self.summary.refuse(place, number, &refusal);
                return Ok(());
            }
        };
        self.summary.records += 1;
        match placed.identity {
            Some(Identity { writer, sequence }) => {
                self.sink.push_as(Origin { writer, worker }, sequence, &record)
            }
            None => self.sink.push(worker, &record),
        }
    }
}

/// Reads the next block without its separator: its length, and whether it had one; `None` at the end
/// of the file. Of a block over the limit only a part is kept.
fn next_block(reader: &mut impl BufRead, block: &mut Vec<u8>) -> io::Result<Option<(usize, bool)>> {
    block.clear();
    // The separator, and one byte that tells that the limit is broken.
    let limit = as_u64(STORED_BYTES_MAX) + 2;
    let read = reader.by_ref().take(limit).read_until(SEPARATOR, block)?;
    if read == 0 {
        return Ok(None);
    }
    if block.pop_if(|last| *last == SEPARATOR).is_some() {
        return Ok(Some((block.len(), true)));
    }
    if as_u64(read) < limit {
        return Ok(Some((read, false)));
    }
    let mut len = read;
    loop {
        let found = reader.fill_buf()?;
        if found.is_empty() {
            return Ok(Some((len, false)));
        }
        let end = memchr::memchr(SEPARATOR, found);
        let skipped = end.unwrap_or(found.len());
        len = len.saturating_add(skipped);
        reader.consume(skipped + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(Some((len, true)));
        }
    }
}

fn as_u64(len: usize) -> u64 {
    // No platform has wider lengths.
    u64::try_from(len).unwrap_or(u64::MAX)
}
