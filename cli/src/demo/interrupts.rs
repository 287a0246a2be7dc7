//! Ctrl-C and its kin: the first one ends the demo in order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::live_lines::{Signals, end_by};

/// Whether somebody wants the demo to end.
#[derive(Debug)]
pub(super) struct Interrupts {
    /// The number of the signal, 0 for none.
    first: Arc<AtomicI32>,
}

impl Interrupts {
    /// From now on SIGINT, SIGTERM and SIGHUP are only noted.
    ///
    /// # Errors
    ///
    /// The system refuses a descriptor or a thread.
    pub(super) fn catch() -> io::Result<Self> {
        let mut signals = Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?;
        let first = Arc::new(AtomicI32::new(0));
        let noted = Arc::clone(&first);
        thread::Builder::new().name("demo-signals".to_owned()).spawn(move || {
            while let Some(received) = signals.next() {
                if noted.swap(received.signal as i32, Ordering::Relaxed) != 0 {
                    // The workers end with their pipes.
                    end_by(received.signal);
                }
            }
        })?;
        Ok(Self { first })
    }

    /// The signal that came, if one did.
    pub(super) fn received(&self) -> Option<Signal> {
        Signal::try_from(self.first.load(Ordering::Relaxed)).ok()
    }
}
