//! `--tui`: what the monitor says on the whole screen.
//!
//! ```text
//!  said, flush ──> View (behind a lock) <── a thread draws it, and waits for keys
//!                                            q, Ctrl-C ──> stop ──> the run ends
//! ```
//!
//! The thread owns the terminal. However the run ends, also by a panic, the terminal is given back
//! as it was. What is told on standard error meanwhile waits on the [`Board`] until then.

mod draw;
mod graph;
mod history;
mod keys;
mod panels;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use logq_monitor::{Monitor, Options, Output as Said};

use self::keys::{Keys, Pressed};
use self::terminal::Raised;
pub(crate) use self::terminal::restore;
use self::view::View;
use super::notes::Board;
use super::sink::Sink;

/// Entries of lists; more rows than a terminal shows.
pub(crate) const TOP: usize = 50;
/// How soon a change is drawn, and a key heard.
const FRAME: Duration = Duration::from_millis(100);

/// The sink that is a screen.
pub(super) struct Screen {
    view: Arc<Mutex<View>>,
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    last: Option<Instant>,
    /// Joined at the end.
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Screen {
    /// Takes the terminal. A key sets `stop`, and wakes the calling thread.
    ///
    /// # Errors
    ///
    /// Standard output is no terminal, or one that cannot be drawn on.
    pub(super) fn raise(
        options: &Options,
        is_coloured: bool,
        board: Arc<Board>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        if !std::io::stdout().is_terminal() {
            bail!("--tui needs a terminal, and standard output is none");
        }
        let view = Arc::new(Mutex::new(View::new(options)));
        let is_over = Arc::new(AtomicBool::new(false));
        let raised = Raised::new()?;
        board.raise();
        let hand = Hand {
            view: Arc::clone(&view),
            board: Arc::clone(&board),
            stop: Arc::clone(&stop),
            is_over: Arc::clone(&is_over),
            reader: thread::current(),
            keys: Keys::new(is_coloured),
        };
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(|| hand.run(raised))?;
        Ok(Self { view, board, stop, is_over, last: None, thread: Some(thread) })
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Screen {
    fn name(&self) -> String {
        "--tui".to_owned()
    }

    fn started(&mut self, source: &str) {
        self.view().started(source);
    }

    fn said(&mut self, said: &Said) {
        self.view().said(said);
    }

    fn flush(&mut self, monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
        if self.last.is_none_or(|last| last.elapsed() >= FRAME) {
            self.view().look(monitor);
            self.last = Some(Instant::now());
        }
        let is_gone = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        Ok(if is_gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn ended(&mut self, monitor: &Monitor, at_end_of_input: bool) {
        let mut view = self.view();
        view.look(monitor);
        view.end();
        // People look at what a whole log came to until they have seen enough.
        let is_seen = !at_end_of_input || self.stop.load(Ordering::Relaxed);
        self.is_over.store(is_seen, Ordering::Relaxed);
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        if !self.view().has_ended() {
            // There was nothing to look at.
            self.is_over.store(true, Ordering::Relaxed);
        }
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Err(_)) => Err(anyhow!("the screen's thread ended in a panic")),
            Some(Ok(ended)) => ended,
            None => Ok(()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It has told its panic itself.
        let _ = self.thread.take().map(JoinHandle::join);
        terminal::restore();
        self.board.lower();
    }
}

/// What the thread has in hands.
struct Hand {
    view: Arc<Mutex<View>>,
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    reader: Thread,
    keys: Keys,
}

impl Hand {
    fn run(mut self, mut raised: Raised) -> anyhow::Result<()> {
        let drawn = self.draw_until_over(&mut raised);
        if drawn.is_err() {
            // Nobody sees or ends it any more.
            self.end();
        }
        terminal::restore();
        drawn
    }

    fn draw_until_over(&mut self, raised: &mut Raised) -> anyhow::Result<()> {
        let mut shown = None;
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let note = self.board.newest();
            let version = (self.version(), note.clone());
            if shown.as_ref() != Some(&version) {
                self.draw(raised, note.as_deref())?;
                shown = Some(version);
            }
            match raised.key(FRAME)? {
                None => {}
                Some(event) => {
                    shown = None;
                    let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
                    if self.keys.press(&event, &view) == Pressed::Quit {
                        drop(view);
                        self.end();
                    }
                }
            }
            if self.stop.load(Ordering::Relaxed) && self.has_ended() {
                return Ok(());
            }
        }
    }

    /// What tells whether there is something else to draw.
    fn version(&self) -> u64 {
        match self.keys.frozen() {
            Some(frozen) => frozen.version(),
            None => self.view.lock().unwrap_or_else(PoisonError::into_inner).version(),
        }
    }

    fn has_ended(&self) -> bool {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).has_ended()
    }

    fn draw(&self, raised: &mut Raised, note: Option<&str>) -> anyhow::Result<()> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.keys.frozen().unwrap_or(&*view);
        raised.draw(|frame| draw::draw(frame, view, &self.keys, note))
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.unpark();
    }
}

#[cfg(test)]
mod tests;
