//! Standard output while following: it is noticed that nobody reads any more, or that a signal asks
//! for the end, also while nothing is written or the other end takes nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::live_lines::{Signals, end_by};

/// Signals that ask for the end.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// As many bytes as a pipe takes at once without waiting, once it takes any: `PIPE_BUF` of Linux.
const CHUNK_BYTES: usize = 4096;

/// How long to wait for a full pipe before it is looked whether a signal has come.
const PATIENCE_MS: u16 = 100;

/// Standard output.
pub(crate) struct Outlet {
    file: File,
    /// The number of the first signal that has come, else 0.
    signal: Arc<AtomicI32>,
}

/// Why nothing more is written.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A signal asks for the end.
    Signal(i32),
    /// Nobody reads any more, or writing fails.
    Failed(io::Error),
}

impl Outlet {
    /// From now on signals that ask for the end are left to [`Self::check`]; the second one ends the
    /// process at once.
    ///
    /// # Errors
    ///
    /// The system refuses another descriptor or thread.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let stdout: OwnedFd =
            io::stdout().as_fd().try_clone_to_owned().context("cannot write to standard output")?;
        let signal = Arc::new(AtomicI32::new(0));
        let mut signals = Signals::catch(&ENDING).context("cannot wait for signals")?;
        let first = Arc::clone(&signal);
        let watch = move || {
            while let Some(received) = signals.next() {
                if first.swap(received.signal as i32, Ordering::Relaxed) != 0 {
                    std::process::exit(i32::from(end_by(received.signal).code()));
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
        Ok(Self { file: stdout.into(), signal })
    }

    /// Whether a signal has come, or nobody reads any more.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.check_signal()?;
        self.wait(PollFlags::empty(), PollTimeout::ZERO).map(|_| ())
    }

    /// Writes all of it. A signal stops it only where nobody takes what is written.
    pub(crate) fn write(&mut self, text: &[u8]) -> Result<(), Stop> {
        let mut rest = text;
        while !rest.is_empty() {
            if !self.wait(PollFlags::POLLOUT, PollTimeout::from(PATIENCE_MS))? {
                self.check_signal()?;
                continue;
            }
            let (chunk, _) = rest.split_at(rest.len().min(CHUNK_BYTES));
            match self.file.write(chunk) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
        Ok(())
    }

    fn check_signal(&self) -> Result<(), Stop> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Stop::Signal(signal)),
        }
    }

    /// Whether what is waited for has come. The other end of a pipe that is gone is always waited for.
    fn wait(&self, events: PollFlags, timeout: PollTimeout) -> Result<bool, Stop> {
        let mut polled = [PollFd::new(self.file.as_fd(), events)];
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Stop::Failed(error.into())),
        }
        let [polled] = polled;
        let found = polled.revents().unwrap_or(PollFlags::empty());
        if found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP) {
            return Err(Stop::Failed(io::ErrorKind::BrokenPipe.into()));
        }
        Ok(found.contains(PollFlags::POLLOUT))
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
