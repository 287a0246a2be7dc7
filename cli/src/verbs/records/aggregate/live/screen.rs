//! A part of the terminal that is drawn anew, or any other output that is written once.

use std::time::{Duration, Instant};

use super::Live;
use crate::following::{Outlet, Stop};
use crate::output::{Format, is_screen};
use crate::verbs::records::aggregate::bars;

/// At most so often numbers are drawn anew.
const REDRAW_EVERY: Duration = Duration::from_millis(250);

/// Where numbers are printed.
pub(super) struct Screen {
    out: Outlet,
    format: Format,
    /// Whether numbers are drawn again and again.
    is_drawn: bool,
    /// What is on the screen, and since when.
    drawn: Vec<u8>,
    at: Option<Instant>,
}

impl Screen {
    /// Standard output.
    pub(super) fn new(format: Format) -> anyhow::Result<Self> {
        let is_table = matches!(format, Format::Short | Format::Iso);
        let is_drawn = is_table && is_screen();
        Ok(Self { out: Outlet::new()?, format, is_drawn, drawn: Vec::new(), at: None })
    }

    /// Draws what has changed, if it is time. Tells when to stop.
    pub(super) fn draw(&mut self, live: &Live<'_>) -> Result<(), Stop> {
        self.out.check()?;
        if !self.is_drawn || self.at.is_some_and(|at| at.elapsed() < REDRAW_EVERY) {
            return Ok(());
        }
        self.at = Some(Instant::now());
        let (columns, rows) = bars::size();
        let text = live.text(self.format, columns);
        let is_over_time = live.buckets.is_some();
        self.replace(fitted(&text, columns, rows.saturating_sub(1), is_over_time))
    }

    /// Writes all numbers, whatever fits the screen.
    pub(super) fn finish(&mut self, live: &Live<'_>) -> Result<(), Stop> {
        let (columns, _) = bars::size();
        let text = live.text(self.format, columns);
        self.replace(text)
    }

    /// Writes what stays.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.out.write(text)
    }

    /// Writes text in the place of what was drawn last.
    fn replace(&mut self, text: Vec<u8>) -> Result<(), Stop> {
        if text == self.drawn {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(text.len() + 16);
        let lines = self.drawn.iter().filter(|byte| **byte == b'\n').count();
        if lines > 0 {
            // Up so many lines, then everything from there on is erased: ECMA-48, CUU and ED.
            bytes.extend_from_slice(format!("\x1b[{lines}A\x1b[J").as_bytes());
        }
        bytes.extend_from_slice(&text);
        self.drawn = text;
        self.out.write(&bytes)
    }
}

/// The lines that fit a screen: the first ones, or those of the latest times.
fn fitted(text: &[u8], columns: usize, rows: usize, is_over_time: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    let hidden = if is_over_time { lines.len().saturating_sub(rows) } else { 0 };
    let mut fitted = String::with_capacity(text.len());
    for line in lines.iter().skip(hidden).take(rows) {
        fitted.extend(line.chars().take(columns));
        fitted.push('\n');
    }
    fitted.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_fits_the_screen() {
        let text = "time count\none ää\ntwo\nthree\n".as_bytes();
        let check = |columns, rows, is_over_time, expected: &str| {
            let found = fitted(text, columns, rows, is_over_time);
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        };
        check(80, 9, false, "time count\none ää\ntwo\nthree\n");
        check(5, 2, false, "time \none ä\n");
        check(80, 2, true, "two\nthree\n");
        check(80, 0, true, "");
    }
}
