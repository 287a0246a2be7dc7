//! What an import tells when it is done: how much there was, and what did not become records.

use std::fmt;

use crate::import::Format;
use crate::import::super_server_logs::{Log, NodeLogs};

/// How many failed lines are described; all are counted.
const SHOWN_MAX: usize = 5;

/// How many characters of a failed line are shown.
const EXCERPT_CHARS_MAX: usize = 80;

/// Why a line, or the rest of an input, did not become records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Reason {
    /// The line is over the limit.
    LineTooLong,
    /// The line is not JSON.
    NotJson,
    /// The line has no field.
    NotLogfmt,
    /// The line is not one of an access log.
    NotAccess,
    /// The row cannot be read.
    NotCsv,
    /// No line so far tells a time.
    NoTime,
    /// A text of the record is over the limit of the format.
    TooLarge,
    /// The record is of a kind that this version cannot write.
    NewerKind,
    /// The rest of the input cannot be read.
    Unreadable,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub(crate) const ALL: [Self; 9] = [
        Self::LineTooLong,
        Self::NotJson,
        Self::NotLogfmt,
        Self::NotAccess,
        Self::NotCsv,
        Self::NoTime,
        Self::TooLarge,
        Self::NewerKind,
        Self::Unreadable,
    ];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "the line is too long, 4 MiB are allowed",
            Self::NotJson => "not JSON; --format text takes any line",
            Self::NotLogfmt => "no key=value in it; --format text takes any line",
            Self::NotAccess => "not a line of an access log; --format text takes any line",
            Self::NotCsv => "not a row of a table",
            Self::NoTime => "it has no time, and no line before it has one",
            Self::TooLarge => "the record is too large, one text of it may have 4 MiB",
            Self::NewerKind => "a record of a newer version of logq; import it with that one",
            Self::Unreadable => "the rest of the input cannot be read",
        })
    }
}

/// One line that did not become a record, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The name of the input.
    pub(crate) input: String,
    /// The line, from 1.
    pub(crate) line: u64,
    /// Why it failed.
    pub(crate) reason: Reason,
    /// More about the reason, such as what a parser said.
    pub(crate) detail: Option<String>,
    /// How the line starts, with control characters escaped.
    pub(crate) excerpt: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.input, self.line, self.reason)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        if !self.excerpt.is_empty() {
            write!(f, ": {}", self.excerpt)?;
        }
        Ok(())
    }
}

/// Failed lines: all of them counted, the first five described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    counts: [u64; Reason::ALL.len()],
    first: Vec<Failure>,
}

impl Failures {
    /// Counts a failure; `line` counts from 0 and gets its final number with [`Self::merge`].
    pub(super) fn add(&mut self, line: u64, reason: Reason, text: &str, detail: Option<String>) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count += 1;
        }
        if self.is_next_shown() {
            let (input, excerpt) = (String::new(), excerpt(text));
            self.first.push(Failure { input, line, reason, detail, excerpt });
        }
    }

    /// Whether the next failure will be described.
    pub(super) fn is_next_shown(&self) -> bool {
        self.first.len() < SHOWN_MAX
    }

    /// Takes over the failures of a part of `input` that follows the first `lines` lines of it.
    pub(super) fn merge(&mut self, mut part: Self, input: &str, lines: u64) {
        for (count, more) in self.counts.iter_mut().zip(part.counts) {
            *count += more;
        }
        part.first.sort_by_key(|failure| failure.line);
        for mut failure in part.first {
            if self.is_next_shown() {
                input.clone_into(&mut failure.input);
                failure.line += lines + 1;
                self.first.push(failure);
            }
        }
    }

    /// How many lines failed.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many lines failed for each reason that occurred.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// The first five.
    pub(crate) fn first(&self) -> &[Failure] {
        &self.first
    }
}

/// The start of a line, fit for a terminal.
fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let start = chars.by_ref().take(EXCERPT_CHARS_MAX);
    let mut shown: String = start.flat_map(escape).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A character as it is, or its escape if it could move the cursor or hide something.
fn escape(char: char) -> impl Iterator<Item = char> {
    let harmless = matches!(char, '"' | '\'' | '\\');
    let escaped = (!harmless).then(|| char.escape_debug());
    harmless.then_some(char).into_iter().chain(escaped.into_iter().flatten())
}

/// An input and the format it was read in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputSummary {
    /// Its name.
    pub(crate) name: String,
    /// The format given, or else detected.
    pub(crate) format: Format,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The inputs, in their order.
    pub(crate) inputs: Vec<InputSummary>,
    /// Lines read, empty ones too.
    pub(crate) lines: u64,
    /// Records made of them; a line of an access log makes up to four.
    pub(crate) records: u64,
    /// Bytes of the lines, after decompression.
    pub(crate) bytes: u64,
    /// Records without a time of their own, which got the time of a line near by.
    ///
    /// Lines of text that continue a record are not counted: they are part of it.
    pub(crate) untimed: u64,
    /// What did not become records.
    pub(crate) failures: Failures,
    /// What became of logs of `super-server-logs`; their records and bytes are counted above too.
    pub(crate) node_logs: NodeLogs,
}

impl Summary {
    /// Adds what became of logs of `super-server-logs`.
    pub(super) fn add_logs(&mut self, logs: &[Log], node_logs: NodeLogs) {
        let format = Format::SuperServerLogs;
        self.inputs.extend(logs.iter().map(|log| InputSummary { name: log.name.clone(), format }));
        self.records += node_logs.records;
        self.bytes += node_logs.bytes;
        self.node_logs = node_logs;
    }

    /// This summary and that of the lines which were read later.
    pub(super) fn and(mut self, lines: Self) -> Self {
        self.inputs.extend(lines.inputs);
        Self {
            inputs: self.inputs,
            records: self.records + lines.records,
            bytes: self.bytes + lines.bytes,
            node_logs: self.node_logs,
            ..lines
        }
    }

    /// Whether everything became records.
    pub(crate) fn is_whole(&self) -> bool {
        self.failures.total() == 0 && self.node_logs.is_whole()
    }

    /// How many parts the input had, in words.
    pub(crate) fn parts(&self) -> String {
        match (self.lines, self.node_logs.blocks) {
            (lines, 0) => format!("{lines} lines"),
            (0, blocks) => format!("{blocks} blocks"),
            (lines, blocks) => format!("{blocks} blocks and {lines} lines"),
        }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes read from the inputs, compressed ones as they are.
    pub(crate) bytes: u64,
    /// Bytes of all inputs, if all of them are files.
    pub(crate) bytes_total: Option<u64>,
    /// Records so far.
    pub(crate) records: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_the_first_are_shown() {
        let mut all = Failures::default();
        for part in 0..3 {
            let mut failures = Failures::default();
            failures.add(7, Reason::NotJson, "b", None);
            failures.add(2, Reason::NoTime, "a", Some("why".to_owned()));
            failures.add(9, Reason::NotJson, "c", None);
            all.merge(failures, "app.log", part * 10);
        }
        assert_eq!(all.total(), 9);
        assert_eq!(all.counts().collect::<Vec<_>>(), [(Reason::NotJson, 6), (Reason::NoTime, 3)]);
        let lines: Vec<_> = all.first().iter().map(|failure| failure.line).collect();
        assert_eq!(lines, [3, 8, 10, 13, 18]);
        assert_eq!(
            all.first()[0].to_string(),
            "app.log, line 3: it has no time, and no line before it has one (why): a"
        );
    }

    #[test]
    fn excerpts_are_short_and_cannot_steer_a_terminal() {
        assert_eq!(excerpt("a\u{1b}[31m\"é\\\u{7f}\u{202e}"), "a\\u{1b}[31m\"é\\\\u{7f}\\u{202e}");
        assert_eq!(excerpt(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(excerpt(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
    }

    #[test]
    fn reasons_are_numbered_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
