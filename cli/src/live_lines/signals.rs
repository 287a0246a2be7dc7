//! Signals, received one after the other by a thread that waits for them.
//!
//! They are handled, not blocked: a program that is spawned inherits what is blocked and what is
//! ignored, but no handlers.

use std::io;

use nix::libc;
use nix::sys::signal::Signal;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::low_level::emulate_default_handler;

use crate::exit::Exit;

/// Signals that do nothing by themselves any more and wait to be received.
#[derive(Debug)]
pub(crate) struct Signals {
    arriving: SignalsInfo<WithRawSiginfo>,
}

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// Whether a key or the end of the terminal caused it: then all processes in the foreground got
    /// it, not only this one.
    pub(crate) by_terminal: bool,
}

impl Signals {
    /// From now on these signals wait, except those that the process was told to ignore, by `nohup`
    /// or by a shell that started it in the background.
    ///
    /// # Errors
    ///
    /// The system refuses another descriptor.
    pub(crate) fn catch(wanted: &[Signal]) -> io::Result<Self> {
        // Where the system does not tell, nothing is ignored.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored_mask(&status);
        let numbers = wanted.iter().map(|signal| *signal as i32);
        let caught = numbers.filter(|number| ignored >> (number - 1) & 1 == 0);
        Ok(Self { arriving: SignalsInfo::new(caught)? })
    }

    /// Waits for the next one. `None` if signals cannot be received any more.
    pub(crate) fn next(&mut self) -> Option<Received> {
        let info = self.arriving.forever().next()?;
        let signal = Signal::try_from(info.si_signo).ok()?;
        Some(Received { signal, by_terminal: info.si_code == libc::SI_KERNEL })
    }
}

/// The signals that are ignored, the first one in the lowest bit, from `/proc/self/status`.
fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Ends the process by the signal, as it would have ended had nobody waited for it. Returns the exit
/// code that says the same where that cannot be.
pub(crate) fn end_by(signal: Signal) -> Exit {
    // What has no handler does not end process 1 of a container.
    if std::process::id() != 1 {
        // Should it fail, the exit code tells.
        let _ = emulate_default_handler(signal as i32);
    }
    Exit::signal(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tlogq\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000003\n";
        assert_eq!(ignored_mask(status), 3);
        assert_eq!(ignored_mask("Name:\tlogq\n"), 0);
        assert_eq!(ignored_mask("SigIgn:\tmany\n"), 0);
    }
}
