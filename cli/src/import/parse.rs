//! One chunk of lines becomes one batch of records: UTF-8 is made sure of, and the parser of the
//! input's format chosen. What several parsers need is here too.

use bumpalo::Bump;
use logq_format::{RequestId, WorkerId};

use crate::import::batch::Batch;
use crate::import::chunk::Chunk;
use crate::import::time::Times;
use crate::import::{Format, Options, access, csv, jsonl, logfmt, text};

/// Parses chunks; each thread has one.
pub(super) struct Parser {
    times: Times,
    worker: Option<WorkerId>,
    seed: u64,
    /// The entries of the batch before: the next one has about as many.
    entries: usize,
}

impl Parser {
    pub(super) fn new(options: &Options) -> Self {
        let times = Times::new(options.zone.clone(), options.now);
        Self { times, worker: options.worker, seed: options.seed, entries: 0 }
    }

    /// Parses a chunk. The records borrow from the chunk and from the arena.
    pub(super) fn parse<'a>(&mut self, chunk: &'a Chunk, arena: &'a Bump) -> Batch<'a> {
        let mut batch = Batch::new(arena, self.worker, self.entries + self.entries / 8);
        let Some(source) = &chunk.source else { return batch };
        let is_json = source.format == Format::Jsonl;
        let lines = match std::str::from_utf8(&chunk.bytes) {
            Ok(lines) => lines,
            Err(_) => arena.alloc_str(&escape_invalid(&chunk.bytes, is_json)),
        };
        let ids = RequestIds { seed: self.seed, chunk: chunk.number };
        let times = &mut self.times;
        match source.format {
            Format::Jsonl => jsonl::parse(lines, times, &mut batch),
            Format::Logfmt => logfmt::parse(lines, times, &mut batch),
            Format::Common | Format::Combined => access::parse(lines, ids, times, &mut batch),
            Format::Csv => {
                if let Some(layout) = &source.layout {
                    csv::parse(lines, chunk.first, layout, ids, times, &mut batch);
                }
            }
            // Files of super-server-logs have no lines, and none comes here.
            Format::Auto | Format::Text | Format::SuperServerLogs => {
                text::parse(lines, source.time_words, times, &mut batch);
            }
        }
        self.entries = batch.entries.len();
        batch
    }
}

/// Makes request ids for lines that have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestIds {
    /// What makes the ids of two imports differ.
    pub(super) seed: u64,
    /// The number of the chunk among all chunks of the import.
    pub(super) chunk: u64,
}

impl RequestIds {
    /// The id for a line of the chunk: a UUID of version 8 (RFC 9562, section 5.8).
    ///
    /// It is a function of the seed, the chunk and the line, and differs from others as random ids
    /// do: in 122 bits.
    pub(super) fn id(self, line: u64) -> RequestId {
        // A chunk has far fewer than 2^32 lines, and an import far fewer than 2^32 chunks.
        let position = self.chunk << 32 | line & 0xFFFF_FFFF;
        let high = mix(self.seed ^ mix(position));
        let low = mix(high ^ position.rotate_left(32));
        let bytes = uuid::Uuid::from_u64_pair(high, low).into_bytes();
        RequestId::from(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014): reversible, and every bit of the input changes half of the output.
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

/// The lines of a text with their numbers from 0, without line feeds and a carriage return before.
pub(super) struct Lines<'a> {
    rest: &'a str,
    index: u64,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, index: 0 }
    }

    /// What comes behind the last line.
    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// How many lines there were so far.
    pub(super) const fn count_so_far(&self) -> u64 {
        self.index
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u64, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let end = memchr::memchr(b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some((index, line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// The text with each byte that is not UTF-8 written as `\xNN`, so that none is lost unseen.
///
/// In JSON the backslash is doubled, so that the string says the same.
pub(super) fn escape_invalid(bytes: &[u8], is_json: bool) -> String {
    use std::fmt::Write;
    let escape = if is_json { "\\\\x" } else { "\\x" };
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "{escape}{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_of_version_8() {
        let ids = |seed, chunk| (0..1000).map(move |line| RequestIds { seed, chunk }.id(line));
        let all: HashSet<_> =
            (0..3).flat_map(|seed| (0..3).flat_map(move |c| ids(seed, c))).collect();
        assert_eq!(all.len(), 9_000);
        for id in all {
            assert_eq!(id.uuid().get_version_num(), 8);
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        }
        assert_eq!(RequestIds { seed: 1, chunk: 2 }.id(3), RequestIds { seed: 1, chunk: 2 }.id(3));
    }

    #[test]
    fn lines_end_with_line_feeds_or_the_text() {
        let lines = |text| Lines::new(text).map(|(_, line)| line).collect::<Vec<_>>();
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("\n"), [""]);
        assert_eq!(lines("a\r\nb\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(lines("a\rb\r\r\n"), ["a\rb\r"]);
    }

    #[test]
    fn invalid_bytes_stay_readable() {
        assert_eq!(escape_invalid(b"a\xFFb\xC3\xA9\xC3", false), "a\\xffbé\\xc3");
        assert_eq!(escape_invalid(b"\"\xFF\"", true), "\"\\\\xff\"");
    }
}
