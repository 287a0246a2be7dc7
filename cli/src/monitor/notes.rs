//! What the monitor says beside the data, on standard error: mistakes, what files do, progress.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::output::escape;

/// Progress is shown for more bytes than are read in a moment.
const SHOWN_FROM_BYTES: u64 = 64 << 20;
/// Progress is shown anew so often.
const EVERY: Duration = Duration::from_millis(200);

/// Standard error.
pub(super) struct Notes {
    is_quiet: bool,
    /// The bytes to read, while progress is shown.
    total: Option<u64>,
    read: u64,
    shown: Option<Instant>,
}

impl Notes {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, total: None, read: 0, shown: None }
    }

    /// Shows progress from now on, if there is much to read and a terminal to show it on.
    pub(super) fn expect(&mut self, bytes: u64) {
        let is_worth_it = bytes >= SHOWN_FROM_BYTES && std::io::stderr().is_terminal();
        self.total = (is_worth_it && !self.is_quiet).then_some(bytes);
    }

    /// So many more bytes were read.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.read += bytes as u64;
        let Some(total) = self.total else { return };
        if self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let (percent, read) = (self.read.min(total) * 100 / total.max(1), self.read / 1_000_000);
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(std::io::stderr(), "\r\x1b[Kreading: {percent}%, {read} MB");
    }

    /// Everything there was is read.
    pub(super) fn arrived(&mut self) {
        self.clear();
        self.total = None;
    }

    /// Takes the progress away, before something else is printed.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Tells what a source does.
    pub(super) fn note(&mut self, name: &str, text: &str) {
        if !self.is_quiet {
            self.error(name, text);
        }
    }

    /// Tells what is wrong with a source, even to those who want it quiet.
    pub(super) fn error(&mut self, name: &str, text: &str) {
        self.line(&escape::for_terminal_lines(&format!("{}: {text}", name.escape_debug())));
    }

    /// Tells how the run was; the text is safe.
    pub(super) fn report(&mut self, lines: &[String]) {
        if !self.is_quiet {
            lines.iter().for_each(|line| self.line(line));
        }
    }

    fn line(&mut self, text: &str) {
        self.clear();
        // There is nobody to tell that even this cannot be printed.
        let _ = writeln!(std::io::stderr(), "logq: {text}");
    }
}
