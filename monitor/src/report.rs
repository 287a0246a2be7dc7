//! What a run has seen in all, and what was wrong with it.

use crate::bucket::Counts;
use crate::clock::Standing;
use crate::parse::Reason;
use crate::sketch::Sketch;

/// A line that is no hit.
#[derive(Clone, Copy, Debug)]
pub struct BadLine<'a> {
    /// Its number in its file, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// Where in the line, in bytes.
    pub at: usize,
    /// Its first bytes.
    pub excerpt: &'a [u8],
}

/// The first lines of a reason are kept.
pub const EXAMPLES: usize = 5;

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that told something: hits and bad lines.
    pub lines: u64,
    /// All hits whose time was taken, late ones included.
    pub counts: Counts,
    /// Their latencies.
    pub latencies: Sketch,
    /// Hits that came after their second was closed.
    pub late: u64,
    /// Hits older than all that is remembered; they are counted here only.
    pub too_late: u64,
    /// Hits whose time was far ahead and not confirmed; they are counted here only.
    pub quarantined: u64,
    /// Times that a source was left behind by the others, since too many seconds were open.
    pub left_behind: u64,
    /// Bad lines, by reason.
    bad: Vec<BadLines>,
    /// The first of the lines that were too late, and of those that were quarantined.
    strays: [Vec<Stray>; 2],
}

/// A line that was not counted for its time alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The source's name.
    pub source: String,
    /// Its number in its file, from 1.
    pub line: u64,
    /// Its second.
    pub second: i64,
}

/// The bad lines of one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLines {
    /// Why they are no hits.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<Example>,
}

/// A bad line, kept to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The source's name.
    pub source: String,
    /// Its number in its file, from 1.
    pub line: u64,
    /// Where in the line, in bytes.
    pub at: usize,
    /// Its first bytes, as they are: not safe for a terminal.
    pub excerpt: Box<[u8]>,
}

impl Report {
    /// The bad lines by reason, in the order of [`Reason::ALL`].
    pub fn bad(&self) -> &[BadLines] {
        &self.bad
    }

    /// How many bad lines there were.
    pub fn bad_count(&self) -> u64 {
        self.bad.iter().map(|bad| bad.count).sum()
    }

    /// The first of the lines that were older than all that is remembered.
    pub fn first_too_late(&self) -> &[Stray] {
        let [too_late, _] = &self.strays;
        too_late
    }

    /// The first of the lines whose time was far ahead and not confirmed.
    pub fn first_quarantined(&self) -> &[Stray] {
        let [_, quarantined] = &self.strays;
        quarantined
    }

    /// Counts a line that is too far behind, or ahead.
    pub(crate) fn add_stray(&mut self, standing: Standing, source: &str, line: u64, second: i64) {
        let [too_late, quarantined] = &mut self.strays;
        let (count, first) = match standing {
            Standing::Future => (&mut self.quarantined, quarantined),
            Standing::Past | Standing::InRange => (&mut self.too_late, too_late),
        };
        *count += 1;
        if first.len() < EXAMPLES {
            first.push(Stray { source: source.to_owned(), line, second });
        }
    }

    pub(crate) fn add_bad(&mut self, source: &str, line: &BadLine<'_>) {
        self.lines += 1;
        let index = match self.bad.binary_search_by_key(&line.reason, |bad| bad.reason) {
            Ok(index) => index,
            Err(index) => {
                let bad = BadLines { reason: line.reason, count: 0, examples: Vec::new() };
                self.bad.insert(index, bad);
                index
            }
        };
        let Some(bad) = self.bad.get_mut(index) else { return };
        bad.count += 1;
        if bad.examples.len() < EXAMPLES {
            let excerpt = line.excerpt.get(..crate::lines::EXCERPT_BYTES).unwrap_or(line.excerpt);
            bad.examples.push(Example {
                source: source.to_owned(),
                line: line.line,
                at: line.at,
                excerpt: excerpt.into(),
            });
        }
    }
}
