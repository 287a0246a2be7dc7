//! The terminal: taken for the whole screen, and given back as it was, whatever happens.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use crossterm::event::{self, Event};
use crossterm::{cursor, execute, terminal};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// Whether the terminal is taken. There is one for a process.
static IS_RAISED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The whole screen.
pub(super) struct Raised {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Raised {
    /// Takes the terminal: keys come one by one and unseen, and what it showed before is kept.
    ///
    /// # Errors
    ///
    /// It cannot be taken; then it is as it was.
    pub(super) fn new() -> anyhow::Result<Self> {
        HOOK.call_once(restore_before_panics);
        IS_RAISED.store(true, Ordering::SeqCst);
        let raised = (|| {
            terminal::enable_raw_mode()?;
            execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        })();
        let terminal = raised.inspect_err(|_| restore()).context("cannot use the terminal")?;
        Ok(Self { terminal })
    }

    /// Draws, unless the terminal was given back: another thread may have ended in a panic.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> anyhow::Result<()> {
        if !IS_RAISED.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.terminal.draw(draw).map(|_| ()).context("cannot draw on the terminal")
    }

    /// The next key or change of size, if one comes in this time.
    pub(super) fn key(&self, time: Duration) -> anyhow::Result<Option<Event>> {
        let read = || event::poll(time)?.then(event::read).transpose();
        read().context("cannot read keys")
    }
}

/// Gives the terminal back; does nothing if it is not taken.
pub(crate) fn restore() {
    if IS_RAISED.swap(false, Ordering::SeqCst) {
        // What of this fails cannot be done better.
        let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// What a panic says is to be read on a terminal that shows it.
fn restore_before_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}
