//! What a demo says on standard error while it runs: a line for each event, and on a terminal one
//! more that changes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::output::escape;

/// The lines on standard error.
pub(super) struct Progress {
    is_terminal: bool,
    shown: Option<Instant>,
}

/// How far the demo is.
pub(super) struct Status {
    pub(super) elapsed: Duration,
    pub(super) length: Duration,
    pub(super) requests: u64,
    pub(super) online: usize,
    pub(super) workers: usize,
}

/// Says something on standard error, made safe for a terminal. A terminal that is gone misses
/// nothing.
pub(super) fn say(line: &str) {
    write_raw(&format!("{}\n", escape::for_terminal_lines(line)));
}

/// How often the changing line changes.
const PERIOD: Duration = Duration::from_millis(200);

impl Progress {
    /// Says what is going to happen.
    pub(super) fn begin(workers: u32, seconds: u32) -> Self {
        let processes = if workers == 1 { "process" } else { "processes" };
        say(&format!("logq demo: a shop with {workers} worker {processes} serves for {seconds} s"));
        Self { is_terminal: std::io::stderr().is_terminal(), shown: None }
    }

    /// Says that something has happened.
    pub(super) fn tell(&mut self, event: &str) {
        self.clear();
        say(&format!("  {event}"));
    }

    /// Shows how far the demo is, now and then.
    pub(super) fn show(&mut self, status: &Status) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < PERIOD) {
            return;
        }
        self.shown = Some(Instant::now());
        write_raw(&format!("\r\x1b[K  {}", status.line()));
    }

    /// Removes the line that changes.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            write_raw("\r\x1b[K");
        }
    }
}

fn write_raw(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

impl Status {
    /// One line, short enough for a terminal of 80 columns.
    fn line(&self) -> String {
        format!(
            "{} of {} s, {} requests, {} of {} workers",
            self.elapsed.as_secs(),
            self.length.as_secs(),
            grouped(self.requests),
            self.online,
            self.workers
        )
    }
}

/// The number with its thousands apart: `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_the_narrowest_terminal() {
        let largest = Status {
            elapsed: Duration::from_secs(3600),
            length: Duration::from_secs(3600),
            requests: 99_999_999,
            online: 64,
            workers: 64,
        };
        assert_eq!(largest.line(), "3600 of 3600 s, 99,999,999 requests, 64 of 64 workers");
        assert!(largest.line().len() < 78);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(1_234_567, "1,234,567");
    }
}
