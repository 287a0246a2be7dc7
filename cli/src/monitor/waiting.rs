//! Waiting until there may be more: told by the system where it does, else by looking again and again.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use logq_reader::{Notification, Wake};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::source::Source;

/// How long to wait before looking again: at first, and after a long silence. Also what a signal may have
/// to wait.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_millis(200);
/// A log that grows all the time is read in pieces of so long, not line by line.
const GATHER: Duration = Duration::from_millis(5);
/// How often everything is looked at although nothing was told: not every file system tells.
const LOOK: Duration = Duration::from_secs(1);

/// Knows when to look at sources again.
pub(super) struct Waiting {
    wake: Wake,
    wait: Duration,
    /// Whether something may have come since the last look.
    has_news: bool,
    last_news: Instant,
    last_look: Instant,
    /// Whether it was told that the system does not tell.
    has_told: bool,
}

impl Waiting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            wake: Wake::new(true),
            wait: WAIT_MIN,
            has_news: true,
            last_news: now,
            last_look: now,
            has_told: false,
        }
    }

    /// Whether it is time to look at the sources.
    pub(super) fn is_due(&self, sources: &[Source], now: Instant) -> bool {
        self.has_news
            || now.saturating_duration_since(self.last_look) >= LOOK
            || self.wake.notification() != Notification::Inotify
            || sources.iter().any(Source::is_restless)
    }

    /// They were looked at, and something came or not.
    pub(super) fn looked(&mut self, now: Instant, is_busy: bool) {
        // After a piece there may be another one.
        (self.has_news, self.last_look) = (is_busy, now);
        if is_busy {
            self.wait = WAIT_MIN;
        }
    }

    /// How changes are noticed where the system does not tell of them; once.
    pub(super) fn news(&mut self, sources: &[Source]) -> Option<String> {
        let own = self.wake.notification();
        let mut all = std::iter::once(own).chain(sources.iter().filter_map(Source::notification));
        let polling = all.find(|how| *how != Notification::Inotify).filter(|_| !self.has_told)?;
        self.has_told = true;
        Some(format!("following by {polling}"))
    }

    /// Waits for a file, a store or standard input to have something, for a signal, or for time to pass.
    pub(super) fn wait(&mut self, sources: &[Source]) {
        for source in sources {
            // What came before it was watched was not told.
            self.has_news |= source.watch(&mut self.wake);
        }
        if self.has_news {
            return;
        }
        thread::sleep(GATHER.saturating_sub(self.last_news.elapsed()));
        let stdin = io::stdin();
        let is_stdin = sources.iter().any(Source::is_stdin);
        let mut descriptors: Vec<BorrowedFd<'_>> = self.wake.descriptor().into_iter().collect();
        descriptors.extend(sources.iter().filter_map(Source::descriptor));
        descriptors.extend(is_stdin.then(|| stdin.as_fd()));
        let has_news = is_any_ready(&descriptors, self.wait);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        if has_news {
            (self.has_news, self.last_news) = (true, Instant::now());
            // Takes what was told, so that it is told once.
            self.wake.wait(Duration::ZERO);
        }
    }
}

/// Whether one of them can be read without waiting, now or before the time is over.
fn is_any_ready(descriptors: &[BorrowedFd<'_>], time: Duration) -> bool {
    if descriptors.is_empty() {
        thread::park_timeout(time);
        return false;
    }
    let mut fds: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // What is wrong with one is told by reading it.
    poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX))
        .is_ok_and(|count| count > 0)
}
