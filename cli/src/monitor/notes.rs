//! What the monitor says beside the data, on standard error: mistakes, what files do, progress.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::escape;

/// Progress is shown for more bytes than are read in a moment.
const SHOWN_FROM_BYTES: u64 = 64 << 20;
/// Progress is shown anew so often.
const EVERY: Duration = Duration::from_millis(200);

/// Lines that wait on a board; older ones are taken off.
const BOARD_LINES: usize = 500;

/// Where lines wait that would be written across a screen.
#[derive(Debug, Default)]
pub(super) struct Board {
    is_raised: AtomicBool,
    lines: Mutex<VecDeque<String>>,
}

impl Board {
    /// From now on lines wait.
    #[cfg(feature = "tui")]
    pub(super) fn raise(&self) {
        self.is_raised.store(true, Ordering::Relaxed);
    }

    /// The last line.
    #[cfg(feature = "tui")]
    pub(super) fn newest(&self) -> Option<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    /// Lines no longer wait, and those that have are written.
    #[cfg(feature = "tui")]
    pub(super) fn lower(&self) {
        self.is_raised.store(false, Ordering::Relaxed);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.drain(..) {
            if std::io::stderr().is_terminal() {
                let _ = writeln!(std::io::stderr(), "logq: {line}");
            }
        }
    }

    /// Takes a line, if lines wait. Answers whether it is to be written at once as well: where
    /// standard error is no terminal, it is not in the way.
    fn take(&self, line: &str) -> bool {
        if !self.is_raised.load(Ordering::Relaxed) {
            return true;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.to_owned());
        if lines.len() > BOARD_LINES {
            lines.pop_front();
        }
        !std::io::stderr().is_terminal()
    }
}

/// Standard error.
pub(super) struct Notes {
    is_quiet: bool,
    board: Arc<Board>,
    /// The bytes to read, while progress is shown.
    total: Option<u64>,
    read: u64,
    shown: Option<Instant>,
}

impl Notes {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, board: Arc::default(), total: None, read: 0, shown: None }
    }

    /// Where its lines wait when a screen is up.
    #[cfg(feature = "tui")]
    pub(super) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Shows progress from now on, if there is much to read and a terminal to show it on.
    pub(super) fn expect(&mut self, bytes: u64) {
        let is_worth_it = bytes >= SHOWN_FROM_BYTES && std::io::stderr().is_terminal();
        let is_in_the_way = self.is_quiet || self.board.is_raised.load(Ordering::Relaxed);
        self.total = (is_worth_it && !is_in_the_way).then_some(bytes);
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
        if !self.board.take(text) {
            return;
        }
        self.clear();
        // There is nobody to tell that even this cannot be printed.
        let _ = writeln!(std::io::stderr(), "logq: {text}");
    }
}
