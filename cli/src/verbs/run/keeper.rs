//! The thread that looks after the program: forwards signals to it and learns how it ended.
//!
//! Reaping and forwarding happen on one thread, so that no signal goes to a process that has got the
//! program's number after its end.

use std::process::{Child, ExitStatus};
use std::sync::mpsc::Sender;

use logq_writer::MasterLogger;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};

use crate::live_lines::{Received, Signals, Stopper};

/// Looks after one program until this process ends.
pub(super) struct Keeper {
    child: Child,
    pid: Pid,
    stopper: Stopper,
    master: MasterLogger,
    /// Where its exit status goes; `None` once it has ended.
    status: Option<Sender<ExitStatus>>,
    is_shutting_down: bool,
}

impl Keeper {
    pub(super) fn new(
        child: Child,
        stopper: Stopper,
        master: MasterLogger,
        status: Sender<ExitStatus>,
    ) -> Self {
        // The system's process numbers have 22 bits at most.
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        Self { child, pid, stopper, master, status: Some(status), is_shutting_down: false }
    }

    /// Obeys signals; never returns while they can be received.
    pub(super) fn run(mut self, mut signals: Signals) {
        while let Some(received) = signals.next() {
            match received.signal {
                Signal::SIGCHLD => self.reap(),
                // Whoever asks for the end now means this process: the program is gone.
                _ if self.status.is_none() => self.stopper.stop_now(),
                _ => self.forward(received),
            }
        }
    }

    /// Takes note of all children that have ended: the program, and as process 1 of a container,
    /// or where somebody made this process the reaper of its descendants, any other.
    fn reap(&mut self) {
        loop {
            self.ask_for_the_program();
            if !self.reap_other() {
                return;
            }
        }
    }

    fn ask_for_the_program(&mut self) {
        let Some(sender) = &self.status else { return };
        match self.child.try_wait() {
            Ok(None) => return,
            // The receiver waits for it until this process ends.
            Ok(Some(status)) => drop(sender.send(status)),
            // Somebody else has taken the status; dropping the sender says so.
            Err(_) => {}
        }
        self.status = None;
        self.stopper.stop_soon();
    }

    /// Reaps one child that is not the program. Returns whether more may have ended.
    fn reap_other(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let reaped = match waitid(Id::All, flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return false,
            // It has ended since it was asked for.
            Ok(status) if status.pid() == Some(self.pid) => return self.status.is_some(),
            Ok(status) => waitpid(status.pid(), Some(WaitPidFlag::WNOHANG)),
            // It was ended by a real-time signal, which has no name here; nor is there a number.
            Err(_) => waitpid(None, Some(WaitPidFlag::WNOHANG)),
        };
        !matches!(reaped, Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD))
    }

    fn forward(&mut self, received: Received) {
        let Received { signal, .. } = received;
        if matches!(signal, Signal::SIGTERM | Signal::SIGINT) && !self.is_shutting_down {
            self.is_shutting_down = true;
            self.master.shutting_down();
        }
        if has_it_already(received, getpgid(Some(self.pid)).ok() == Some(getpgrp())) {
            return;
        }
        match kill(self.pid, signal) {
            // It has just ended by itself.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                tell!("logq: cannot forward {signal} to process {}: {error}", self.pid)
            }
        }
    }
}

/// Whether the program got the signal, too: keys reach all processes in the foreground, and some
/// programs take a second interrupt for impatience.
fn has_it_already(received: Received, is_same_group: bool) -> bool {
    let from_keys = matches!(received.signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGHUP);
    received.by_terminal && from_keys && is_same_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_terminal_sent_to_both_is_kept_back() {
        let check = |signal, by_terminal, is_same_group, expected| {
            let received = Received { signal, by_terminal };
            assert_eq!(has_it_already(received, is_same_group), expected, "{signal}");
        };
        check(Signal::SIGINT, true, true, true);
        check(Signal::SIGQUIT, true, true, true);
        check(Signal::SIGHUP, true, true, true);
        check(Signal::SIGINT, false, true, false);
        check(Signal::SIGINT, true, false, false);
        check(Signal::SIGTERM, true, true, false);
    }
}
