//! Exit handlers and fork handlers of the C library.

#![expect(unsafe_code, reason = "registering a handler with the C library is an unsafe call")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;

/// How many forks lie between this process and the one that was started.
static FORKS: AtomicU32 = AtomicU32::new(0);

static REGISTERED: OnceLock<fn()> = OnceLock::new();

/// Calls `handler` when the process exits, on the thread that exits. Only the first one counts.
pub(super) fn at_exit(handler: fn()) {
    REGISTERED.get_or_init(|| {
        // SAFETY: both are given functions that live as long as the program and do not unwind:
        // `run` calls a handler that does not panic, and `forked` adds to an atomic number, which
        // is all that a child of a fork may do (pthread_atfork(3)).
        unsafe {
            libc::atexit(run);
            libc::pthread_atfork(None, None, Some(forked));
        }
        handler
    });
}

extern "C" fn run() {
    // In a child of a fork the loggers find out by themselves that they are not at home.
    if let Some(handler) = REGISTERED.get() {
        handler();
    }
}

unsafe extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process that something was made in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    forks: u32,
}

impl Home {
    /// This process.
    pub(crate) fn new() -> Self {
        Self { forks: FORKS.load(Ordering::Relaxed) }
    }

    /// Whether this still is that process, and not a child that it forked. Costs one load.
    pub(crate) fn is_here(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }
}
