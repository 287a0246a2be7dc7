//! Signals, received one after the other by a thread that waits for them.

use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::SignalFd;

use crate::exit::Exit;

/// Signals that are kept from doing anything by themselves and wait to be received.
#[derive(Debug)]
pub(crate) struct Signals {
    descriptor: SignalFd,
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
    /// From now on these signals wait. To be called before any thread is started: the others inherit
    /// it. Programs that are spawned do not, the standard library sees to it.
    ///
    /// # Errors
    ///
    /// The system refuses another descriptor.
    pub(crate) fn block(wanted: &[Signal]) -> io::Result<Self> {
        let set: SigSet = wanted.iter().copied().collect();
        set.thread_block()?;
        Ok(Self { descriptor: SignalFd::new(&set)? })
    }

    /// Waits for the next one. `None` if signals cannot be received any more.
    pub(crate) fn next(&self) -> Option<Received> {
        loop {
            match self.descriptor.read_signal() {
                Ok(Some(info)) => {
                    let number = i32::try_from(info.ssi_signo).ok()?;
                    let signal = Signal::try_from(number).ok()?;
                    return Some(Received {
                        signal,
                        by_terminal: info.ssi_code == libc::SI_KERNEL,
                    });
                }
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Which of these signals the process was told to ignore, by `nohup` or by a shell that started it
/// in the background. None if the system does not tell.
pub(crate) fn ignored() -> impl Fn(Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = ignored_mask(&status);
    move |signal| mask >> (signal as i32 - 1) & 1 == 1
}

fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Ends the process by the signal, as it would have ended had nobody waited for it. Returns the exit
/// code that says the same, in case the signal does not end it: process 1 of a container survives.
pub(crate) fn end_by(signal: Signal) -> Exit {
    let mut set = SigSet::empty();
    set.add(signal);
    if set.thread_unblock().is_ok() {
        // Should it fail, the exit code tells.
        let _ = raise(signal);
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
