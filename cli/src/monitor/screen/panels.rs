//! The parts around the graph: the mix of statuses, the most frequent keys, the alerts.

use logq_monitor::{TopList, TopLists, render};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::draw::{Paint, clock, date_and_clock};
use super::view::{Alert, Numbers, View};

/// Classes of statuses, with what they are drawn with where there are no colours.
const CLASSES: [(&str, Color, &str); 6] = [
    ("other", Color::Magenta, "?"),
    ("1xx", Color::White, "1"),
    ("2xx", Color::Green, "2"),
    ("3xx", Color::Blue, "3"),
    ("4xx", Color::Yellow, "4"),
    ("5xx", Color::Red, "5"),
];
/// The least width of a list.
const LIST_WIDTH: u16 = 24;
/// The width from which on alerts have their dates.
const DATED_WIDTH: u16 = 70;

/// The shares of statuses in numbers, and as a bar where there is room.
pub(super) fn status(numbers: &Numbers, paint: Paint, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let total = numbers.counts.classes.iter().sum::<u64>();
    let mut spans = Vec::new();
    for ((name, colour, _), count) in CLASSES.iter().zip(numbers.counts.classes) {
        if count > 0 || matches!(*name, "2xx" | "4xx" | "5xx") {
            let text = format!("{name} {}  ", percent(count, total));
            spans.push(Span::styled(text, paint.fg(*colour)));
        }
    }
    let line = Line::from(spans);
    let (x, _) = buffer.set_line(area.x, area.y, &line, area.width);
    let bar = Rect { x, width: area.right().saturating_sub(x), height: 1, ..area };
    if total > 0 && bar.width >= 10 {
        mix(numbers, total, paint, bar, buffer);
    }
}

/// A bar whose parts are as wide as their shares.
fn mix(numbers: &Numbers, total: u64, paint: Paint, bar: Rect, buffer: &mut Buffer) {
    let (mut seen, mut x) = (0_u64, bar.x);
    for ((_, colour, sign), count) in CLASSES.iter().zip(numbers.counts.classes) {
        seen += count;
        let end = u128::from(seen) * u128::from(bar.width) / u128::from(total);
        let end = bar.x + u16::try_from(end).unwrap_or(bar.width);
        for x in x..end {
            let Some(cell) = buffer.cell_mut((x, bar.y)) else { continue };
            if paint.is_coloured {
                cell.set_symbol("█").set_fg(*colour);
            } else {
                cell.set_symbol(sign);
            }
        }
        x = end;
    }
}

/// As many lists side by side as there is room for.
pub(super) fn lists(lists: &TopLists, paint: Paint, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let all = [("sections", &lists.sections), ("urls", &lists.urls), ("hosts", &lists.clients)];
    let count = (area.width / LIST_WIDTH).clamp(1, 3);
    let mut x = area.x;
    for (index, (name, list)) in (0..count).zip(all) {
        let end = area.x + area.width / count * (index + 1);
        let end = if index + 1 == count { area.right() } else { end };
        // A column between two lists stays free.
        let width = (end - x).saturating_sub(u16::from(index + 1 < count));
        self::list(name, list, paint, Rect { x, width, ..area }, buffer);
        x = end;
    }
}

fn list(name: &str, list: &TopList, paint: Paint, area: Rect, buffer: &mut Buffer) {
    buffer.set_stringn(area.x, area.y, name, usize::from(area.width), paint.title());
    for (y, entry) in (area.y + 1..area.bottom()).zip(&list.entries) {
        // What may be too high by a tenth is about so much.
        let about = if entry.error * 10 > entry.count { "~" } else { " " };
        let share = percent(entry.count, list.total);
        let text = format!("{about}{share:>5} {}", render::text(&entry.key));
        put(&text, Style::new(), Rect { y, height: 1, ..area }, buffer);
    }
}

/// The alerts from one on, newest first.
pub(super) fn alerts(view: &View, first: usize, paint: Paint, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (count, rows) = (view.alerts.len(), usize::from(area.height - 1));
    let first = first.min(count.saturating_sub(1));
    let title = match count {
        0 => "no alert so far".to_owned(),
        _ if count <= rows => "alerts".to_owned(),
        _ => format!("alerts {} to {} of {count}", first + 1, (first + rows).min(count)),
    };
    buffer.set_stringn(area.x, area.y, title, usize::from(area.width), paint.title());
    for (y, alert) in (area.y + 1..area.bottom()).zip(view.alerts.iter().skip(first)) {
        let style = match alert.recovered {
            None => paint.fg(Color::Red).add_modifier(Modifier::BOLD),
            Some(_) => paint.fg(Color::Green),
        };
        let is_dated = area.width >= DATED_WIDTH;
        put(&alert_text(alert, is_dated), style, Rect { y, height: 1, ..area }, buffer);
    }
}

fn alert_text(alert: &Alert, is_dated: bool) -> String {
    let fired = if is_dated { date_and_clock(alert.fired) } else { clock(alert.fired) };
    let recovered = match alert.recovered {
        None => "FIRING  ".to_owned(),
        Some(recovered) => clock(recovered),
    };
    format!("{fired} to {recovered}  {}  {} at first", alert.text, alert.value)
}

/// One line of text, with a mark where it is cut.
fn put(text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    let width = Span::raw(text).width();
    let (end, _) = buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    if width > usize::from(area.width) && area.width > 0 {
        // A wide character may not have fitted into the last cell.
        let x = end.saturating_sub(u16::from(end == area.right()));
        buffer.set_stringn(x, area.y, "…", 1, style);
    }
}

fn percent(count: u64, total: u64) -> String {
    format!("{:.1}%", count as f64 * 100.0 / total.max(1) as f64)
}
