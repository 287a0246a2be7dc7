//! A line on standard error that tells how far something has come, written over and over.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::args::Choice;

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// Such a line.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    is_shown: bool,
    shown: Option<Instant>,
}

impl ProgressLine {
    /// A line that is shown on terminals, always or never; never if nothing is to be told.
    pub(crate) fn new(when: Choice, quiet: bool) -> Self {
        let is_shown = !quiet && when.holds(std::io::stderr().is_terminal());
        Self { is_shown, shown: None }
    }

    /// Writes the line, unless that was done a moment ago.
    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if !self.is_shown || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", text());
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
