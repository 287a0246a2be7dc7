//! The graph of requests per second: bars in eighths of a cell, 5xx in them in red, the threshold as
//! a line across.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::draw::clock;
use super::history::Mean;
use super::view::View;

/// Columns in front of the bars, for numbers.
const AXIS: u16 = 7;
/// What fills so many eighths of a cell.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Errors where there are no colours.
const SHADED: &str = "▒";
const LINE: &str = "╌";

/// How the graph is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Graph {
    /// Seconds of a column.
    pub(super) span_s: u32,
    pub(super) is_coloured: bool,
}

/// The rows of the bars and what they measure.
#[derive(Clone, Copy, Debug)]
struct Scale {
    area: Rect,
    /// The value at the upper edge.
    max: f64,
}

impl Scale {
    /// A value in eighths of a row.
    fn eighths(&self, value: f64) -> u32 {
        let whole = f64::from(self.area.height) * 8.0;
        let eighths = (value / self.max * whole).round().clamp(0.0, whole);
        // A little is not nothing.
        let least = f64::from(u8::from(value > 0.0));
        // Between 0 and eight times a height of 16 bits.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let eighths = eighths.max(least) as u32;
        eighths
    }

    /// The row that a value is in, from the top.
    fn row(&self, value: f64) -> u16 {
        let from_below = u16::try_from(self.eighths(value).saturating_sub(1) / 8).unwrap_or(0);
        let last = self.area.height.saturating_sub(1);
        self.area.y + last.saturating_sub(from_below)
    }
}

impl Graph {
    /// Draws into `area`: the last row has the times, the rows above it the bars.
    pub(super) fn draw(self, view: &View, area: Rect, buffer: &mut Buffer) {
        if area.width <= AXIS || area.height < 2 {
            return;
        }
        let bars =
            Rect { x: area.x + AXIS, width: area.width - AXIS, height: area.height - 1, ..area };
        let spans = view.history.spans(self.span_s, usize::from(bars.width));
        let threshold = view.high_traffic().map_or(0.0, |rule| rule.threshold);
        let most = spans.iter().filter_map(|(_, mean)| *mean).map(|mean| mean.hits);
        let scale = Scale { area: bars, max: round_up(most.fold(threshold * 1.1, f64::max)) };
        for (x, (time, mean)) in (bars.x..).zip(&spans) {
            if let Some(mean) = mean {
                self.bar(scale, x, *mean, view.is_high(*time), buffer);
            }
        }
        if threshold > 0.0 {
            self.threshold(scale, threshold, buffer);
        }
        self.axes(scale, threshold, buffer);
        times(&spans, self.span_s, area, buffer);
    }

    fn bar(self, scale: Scale, x: u16, mean: Mean, is_high: bool, buffer: &mut Buffer) {
        let (hits, errors) = (scale.eighths(mean.hits), scale.eighths(mean.errors));
        let colour = if is_high { Color::Yellow } else { Color::Cyan };
        let mut below = 0;
        for y in scale.area.rows().rev().map(|row| row.y) {
            let filled = hits.saturating_sub(below).min(8);
            let is_error = errors > below;
            below += 8;
            if filled == 0 {
                return;
            }
            let Some(cell) = buffer.cell_mut((x, y)) else { continue };
            let symbol = usize::try_from(filled).ok().and_then(|filled| EIGHTHS.get(filled));
            cell.set_symbol(symbol.copied().unwrap_or(" "));
            match (is_error, self.is_coloured) {
                (true, true) => _ = cell.set_fg(Color::Red),
                (false, true) => _ = cell.set_fg(colour),
                (true, false) if filled == 8 => _ = cell.set_symbol(SHADED),
                (_, false) => {}
            }
        }
    }

    /// A line over everything: in front of a bar it takes the bar for its background.
    fn threshold(self, scale: Scale, threshold: f64, buffer: &mut Buffer) {
        let y = scale.row(threshold);
        for x in scale.area.x..scale.area.right() {
            let Some(cell) = buffer.cell_mut((x, y)) else { continue };
            let is_covered = cell.symbol() == "█" || cell.symbol() == SHADED;
            let behind = cell.fg;
            cell.set_symbol(LINE);
            if self.is_coloured {
                cell.set_fg(Color::Red).set_bg(if is_covered { behind } else { Color::Reset });
            } else if is_covered {
                cell.set_style(Style::new().add_modifier(Modifier::REVERSED));
            }
        }
    }

    fn axes(self, scale: Scale, threshold: f64, buffer: &mut Buffer) {
        let mut put = |y, value: f64, style| {
            let text = format!("{:>6} ", number(value));
            buffer.set_stringn(scale.area.x - AXIS, y, text, usize::from(AXIS), style);
        };
        put(scale.area.y, scale.max, Style::new());
        put(scale.area.bottom() - 1, 0.0, Style::new());
        if threshold > 0.0 {
            let colour = if self.is_coloured { Color::Red } else { Color::Reset };
            put(scale.row(threshold), threshold, Style::new().fg(colour));
        }
    }
}

/// The times of the first and the last column, and how many seconds a column has.
fn times(spans: &[(i64, Option<Mean>)], span_s: u32, area: Rect, buffer: &mut Buffer) {
    let (Some((first, _)), Some((last, _))) = (spans.first(), spans.last()) else { return };
    if spans.iter().all(|(_, mean)| mean.is_none()) {
        return;
    }
    let y = area.bottom() - 1;
    let width = area.width - AXIS;
    let (left, right) = (clock(*first), clock(*last));
    let middle = if span_s == 1 { String::new() } else { format!("a column is {span_s} s") };
    let len = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut put = |offset: u16, text: &str| {
        buffer.set_stringn(area.x + AXIS + offset, y, text, text.len(), Style::new());
    };
    if len(&left) + len(&right) < width {
        put(0, &left);
    }
    if len(&left) + len(&right) + len(&middle) + 2 < width {
        put((width - len(&middle)) / 2, &middle);
    }
    if len(&right) <= width {
        put(width - len(&right), &right);
    }
}

/// The next number of the kind 1, 2, 2.5, 5, 10.
fn round_up(value: f64) -> f64 {
    let value = value.max(1.0);
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// A number in at most six columns.
pub(super) fn number(value: f64) -> String {
    match value {
        _ if value >= 1e9 => format!("{:.1}G", value / 1e9),
        _ if value >= 1e6 => format!("{:.1}M", value / 1e6),
        _ if value >= 1e4 => format!("{:.1}k", value / 1e3),
        _ if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_and_scales_are_round() {
        for (value, shown, rounded) in [
            (0.0, "0", 1.0),
            (0.25, "0.25", 1.0),
            (12.34, "12.3", 15.0),
            (100.0, "100", 100.0),
            (101.0, "101", 150.0),
            (9_999.4, "9999", 10_000.0),
            (12_345.0, "12.3k", 15_000.0),
            (7_654_321.0, "7.7M", 8_000_000.0),
            (2e12, "2000.0G", 2e12),
        ] {
            assert_eq!(number(value), shown);
            assert!((round_up(value) - rounded).abs() < rounded * 1e-9, "{value}");
        }
    }

    #[test]
    fn a_value_is_in_the_row_that_its_bar_ends_in() {
        let area = Rect { x: 0, y: 5, width: 10, height: 4 };
        let scale = Scale { area, max: 8.0 };
        for (value, eighths, row) in
            [(0.0, 0, 8), (0.01, 1, 8), (2.0, 8, 8), (2.3, 9, 7), (8.0, 32, 5), (99.0, 32, 5)]
        {
            assert_eq!((scale.eighths(value), scale.row(value)), (eighths, row), "{value}");
        }
    }
}
