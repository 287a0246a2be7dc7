//! What keys do, and what they have set.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::View;

/// Seconds of a column of the graph.
const SPANS_S: [u32; 9] = [1, 2, 5, 10, 30, 60, 120, 300, 600];
/// Lines that a page of alerts moves by.
const PAGE: usize = 10;

/// What keys have set.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// What was shown when somebody paused it.
    frozen: Option<View>,
    pub(super) shows_help: bool,
    /// Whether numbers and lists are of the last interval, not of the run.
    pub(super) shows_interval: bool,
    pub(super) is_coloured: bool,
    /// The alert that the list begins with.
    pub(super) first_alert: usize,
    /// The place in [`SPANS_S`].
    span: usize,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    Quit,
    /// To draw again.
    Draw,
}

impl Keys {
    pub(super) fn new(is_coloured: bool) -> Self {
        Self {
            frozen: None,
            shows_help: false,
            shows_interval: false,
            is_coloured,
            first_alert: 0,
            // Wider than the usual window on the usual terminal.
            span: 1,
        }
    }

    pub(super) fn frozen(&self) -> Option<&View> {
        self.frozen.as_ref()
    }

    /// Seconds of a column of the graph.
    pub(super) fn span_s(&self) -> u32 {
        SPANS_S.get(self.span).copied().unwrap_or(1)
    }

    /// A key was pressed while this was shown.
    pub(super) fn press(&mut self, event: &Event, view: &View) -> Pressed {
        let Event::Key(key) = event else { return Pressed::Draw };
        if key.kind == KeyEventKind::Release {
            return Pressed::Draw;
        }
        if is_quit(key) {
            return Pressed::Quit;
        }
        if self.shows_help {
            self.shows_help = false;
            return Pressed::Draw;
        }
        let last_alert = view.alerts.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('p' | ' ') => {
                self.frozen = if self.frozen.is_none() { Some(view.clone()) } else { None };
            }
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.shows_help = true,
            KeyCode::Tab | KeyCode::Char('t') => self.shows_interval = !self.shows_interval,
            KeyCode::Char('+' | '=') => self.span = self.span.saturating_sub(1),
            KeyCode::Char('-') => self.span = (self.span + 1).min(SPANS_S.len() - 1),
            KeyCode::Up | KeyCode::Char('k') => {
                self.first_alert = self.first_alert.saturating_sub(1)
            }
            KeyCode::Down | KeyCode::Char('j') => self.first_alert += 1,
            KeyCode::PageUp => self.first_alert = self.first_alert.saturating_sub(PAGE),
            KeyCode::PageDown => self.first_alert += PAGE,
            KeyCode::Home => self.first_alert = 0,
            KeyCode::End => self.first_alert = last_alert,
            _ => {}
        }
        self.first_alert = self.first_alert.min(last_alert);
        Pressed::Draw
    }
}

fn is_quit(key: &KeyEvent) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!((key.code, is_control), (KeyCode::Char('q' | 'Q'), false) | (KeyCode::Char('c'), true))
}

/// What the help shows.
pub(super) const HELP: [(&str, &str); 8] = [
    ("q, Ctrl-C", "quit"),
    ("p, space", "pause the screen; the monitor goes on"),
    ("Tab", "numbers and lists of the run, or of the last interval"),
    ("+ -", "a column of the graph is fewer or more seconds"),
    ("up, down, PgUp, PgDn", "through the alerts"),
    ("Home, End", "to the newest alert, to the oldest"),
    ("? h", "this help"),
    ("", "times are UTC; in the graph red is 5xx, yellow an alert"),
];
