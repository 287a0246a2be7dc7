//! Where everything is on the screen, at any size: what matters least goes first.

use logq_monitor::render;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::graph::{Graph, number};
use super::keys::{HELP, Keys};
use super::panels;
use super::view::{Numbers, View};

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) is_coloured: bool,
}

impl Paint {
    pub(super) fn fg(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// What must be seen.
    pub(super) fn alarm(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.is_coloured {
            style.fg(Color::White).bg(Color::Red)
        } else {
            style.add_modifier(Modifier::REVERSED)
        }
    }

    pub(super) fn title(self) -> Style {
        self.fg(Color::Blue).add_modifier(Modifier::BOLD)
    }
}

/// How many rows each part has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rows {
    numbers: u16,
    graph: u16,
    status: u16,
    lists: u16,
    alerts: u16,
    note: u16,
    footer: u16,
}

impl Rows {
    /// For a screen of this height, whose first row is the title.
    fn of(height: u16, has_note: bool) -> Self {
        let at_least = |least: u16, rows: u16| if height >= least { rows } else { 0 };
        let rows = Self {
            graph: 0,
            numbers: at_least(3, 1) + at_least(14, 1),
            status: at_least(10, 1),
            lists: at_least(18, (height / 4).clamp(4, 12)),
            alerts: at_least(8, (height / 5).clamp(2, 10)),
            note: if has_note { at_least(9, 1) } else { 0 },
            footer: at_least(6, 1),
        };
        let others =
            rows.numbers + rows.status + rows.lists + rows.alerts + rows.note + rows.footer;
        Self { graph: height.saturating_sub(1 + others), ..rows }
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, keys: &Keys, note: Option<&str>) {
    let paint = Paint { is_coloured: keys.is_coloured };
    let mut rest = frame.area();
    let mut take = |rows: u16| {
        let rows = rows.min(rest.height);
        let taken = Rect { height: rows, ..rest };
        rest = Rect { y: rest.y + rows, height: rest.height - rows, ..rest };
        taken
    };
    let rows = Rows::of(frame.area().height, note.is_some());
    let title = take(1);
    let parts =
        [rows.numbers, rows.graph, rows.status, rows.lists, rows.alerts, rows.note, rows.footer];
    let [numbers, graph, status, lists, alerts, below, footer] = parts.map(&mut take);
    let shown = if keys.shows_interval { &view.interval } else { &view.run };
    frame.render_widget(title_line(view, keys, paint), title);
    frame.render_widget(Paragraph::new(number_lines(view, shown, paint)), numbers);
    let graphs = Graph { span_s: keys.span_s(), is_coloured: keys.is_coloured };
    graphs.draw(view, graph, frame.buffer_mut());
    panels::status(shown, paint, status, frame.buffer_mut());
    panels::lists(&shown.lists, paint, lists, frame.buffer_mut());
    panels::alerts(view, keys.first_alert, paint, alerts, frame.buffer_mut());
    if let Some(note) = note {
        frame.render_widget(Line::styled(note.to_owned(), paint.fg(Color::Yellow)), below);
    }
    frame.render_widget(footer_line(view, paint), footer);
    if keys.shows_help {
        help(frame, paint);
    }
}

fn title_line<'a>(view: &View, keys: &Keys, paint: Paint) -> Line<'a> {
    let mut spans = vec![Span::styled("logq monitor ", paint.title())];
    let firing = view.firing();
    if firing > 0 {
        let noun = if firing == 1 { "ALERT" } else { "ALERTS" };
        spans.extend([Span::styled(format!(" {firing} {noun} "), paint.alarm()), " ".into()]);
    }
    if keys.frozen().is_some() {
        spans.extend([Span::styled(" PAUSED ", paint.alarm()), " ".into()]);
    }
    if let Some(newest) = view.newest {
        spans.push(Span::raw(format!("{}  ", date_and_clock(newest))));
    }
    match &*view.sources {
        [] => spans.push("waiting for a source".into()),
        [one] => spans.push(Span::raw(one.clone())),
        [first, rest @ ..] => spans.push(Span::raw(format!("{first} and {} more", rest.len()))),
    }
    Line::from(spans)
}

fn number_lines<'a>(view: &View, shown: &Numbers, paint: Paint) -> Vec<Line<'a>> {
    let (window_s, threshold) =
        view.high_traffic().map_or((120, 0.0), |rule| (rule.window_s, rule.threshold));
    let (now, window) = (view.history.last(view.interval_s), view.history.last(window_s));
    let is_above = window.hits > threshold;
    let window_style =
        if is_above { paint.fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
    let first = vec![
        Span::raw(format!("{}/s in {} s  ", number(now.hits), view.interval_s)),
        Span::styled(format!("{}/s in {window_s} s", number(window.hits)), window_style),
        Span::raw(format!(" of {}  ", number(threshold))),
        Span::raw(format!("{} requests  ", shown.counts.hits)),
        Span::raw(format!("{} bytes each", number(shown.counts.mean_bytes()))),
    ];
    let [p50, p90, p95, p99] = shown.quantiles_us.map(render::latency);
    let trouble = if view.bad > 0 { paint.fg(Color::Yellow) } else { Style::new() };
    let mut second = vec![
        Span::raw(format!("p50 {p50}  p90 {p90}  p95 {p95}  p99 {p99}  late {}  ", view.late)),
        Span::styled(format!("bad {}", view.bad), trouble),
    ];
    if view.ignored > 0 {
        second.push(Span::styled(format!("  ignored {}", view.ignored), trouble));
    }
    vec![Line::from(first), Line::from(second)]
}

fn footer_line<'a>(view: &View, paint: Paint) -> Line<'a> {
    if view.has_ended() {
        return Line::styled("The input has ended. q quit  ? help", paint.title());
    }
    Line::styled("q quit  p pause  Tab interval  +- zoom  ? help", paint.fg(Color::DarkGray))
}

fn help(frame: &mut Frame<'_>, paint: Paint) {
    let area = frame.area();
    let lines = HELP.map(|(key, text)| {
        Line::from(vec![Span::styled(format!(" {key:<20} "), paint.title()), Span::raw(text)])
    });
    let width = lines.iter().map(Line::width).max().and_then(|width| u16::try_from(width).ok());
    let width = width.unwrap_or(u16::MAX).saturating_add(3).min(area.width);
    let height = u16::try_from(lines.len()).unwrap_or(0).saturating_add(2).min(area.height);
    let middle = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, middle);
    let block = Block::bordered().title(" logq monitor: keys ");
    frame.render_widget(Paragraph::new(lines.to_vec()).block(block), middle);
}

/// A second as `14:02:11`.
pub(super) fn clock(second: i64) -> String {
    let time = second.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", time / 3_600, time / 60 % 60, time % 60)
}

/// A second as `2026-02-03 14:02:11Z`.
pub(super) fn date_and_clock(second: i64) -> String {
    render::time(second, render::Style::FULL).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_height_is_filled_and_the_graph_is_the_last_to_go() {
        for height in 1..200 {
            for has_note in [false, true] {
                let rows = Rows::of(height, has_note);
                let others = rows.numbers + rows.status + rows.lists + rows.alerts + rows.note;
                assert_eq!(1 + others + rows.footer + rows.graph, height, "{rows:?}");
                assert!(height < 5 || rows.graph >= 2, "{height}: {rows:?}");
                assert!(height < 24 || rows.graph >= 7, "{height}: {rows:?}");
            }
        }
    }
}
