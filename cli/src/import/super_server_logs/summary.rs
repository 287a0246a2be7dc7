//! What an import of `super-server-logs` tells: how much there was, and what is missing.

use logq_nodelogs::Gap;

use super::Place;
use super::record::Refusal;

/// How many gaps are described; all are counted.
const SHOWN_MAX: usize = 5;

/// What became of logs of `super-server-logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeLogs {
    /// Files read.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Blocks in them.
    pub(crate) blocks: u64,
    /// Records made of their entries.
    pub(crate) records: u64,
    /// Entries that are pings.
    pub(crate) pings: u64,
    /// How often the clock of a process went back.
    pub(crate) steps_back: u64,
    /// Entries, pings among them, that the nonces of others show to be missing.
    pub(crate) missing: u64,
    /// Parts of files that cannot be read.
    pub(crate) gaps: u64,
    /// Entries that are read and cannot be records.
    pub(crate) refused: u64,
    /// The first of both, described.
    described: Vec<String>,
}

impl NodeLogs {
    /// Whether nothing is known to be missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.gaps == 0 && self.refused == 0 && self.missing == 0
    }

    /// What is worth a line though nothing is wrong.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.files > 0 {
            notes.push(format!(
                "{} files with {} blocks; {} pings need no records",
                self.files, self.blocks, self.pings
            ));
        }
        if self.steps_back > 0 {
            notes.push(format!(
                "a clock went back {} times; from there on its process has another writer id",
                self.steps_back
            ));
        }
        notes
    }

    /// What is missing, one line each.
    pub(crate) fn damage(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.gaps + self.refused > 0 {
            lines.push(format!(
                "{} parts of files cannot be read, {} entries cannot become records",
                self.gaps, self.refused
            ));
        }
        lines.extend(self.described.iter().cloned());
        if self.missing > 0 {
            lines.push(format!(
                "{} entries are missing, by the numbers of those before and behind",
                self.missing
            ));
        }
        lines
    }

    /// Counts bytes of a block that cannot be read.
    pub(super) fn lose(&mut self, place: &Place<'_>, gap: &Gap) {
        self.gaps += 1;
        self.describe(|| {
            let offset = place.offset.saturating_add(super::as_u64(gap.offset));
            format!("{}, offset {offset}: {} bytes skipped: {}", place.file, gap.bytes, gap.cause)
        });
    }

    /// Counts a file that cannot be read on.
    pub(super) fn lose_rest(&mut self, place: &Place<'_>, why: &str) {
        self.gaps += 1;
        self.describe(|| {
            format!("{}, offset {}: the rest cannot be read: {why}", place.file, place.offset)
        });
    }

    /// Counts an entry, the `number`-th of its block, that cannot be a record.
    pub(super) fn refuse(&mut self, place: &Place<'_>, number: u64, refusal: &Refusal) {
        self.refused += 1;
        self.describe(|| {
            format!("{}, block at {}, entry {number}: {refusal}", place.file, place.offset)
        });
    }

    fn describe(&mut self, text: impl FnOnce() -> String) {
        if self.described.len() < SHOWN_MAX {
            self.described.push(text());
        }
    }
}
