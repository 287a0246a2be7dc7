//! How a process ends, and what a logger does then: panics, signals, `exit`, and forks that must not
//! write what their parent staged.

use std::backtrace::Backtrace;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use logq_format::Process;
use nix::libc;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::error::FlushError;
use crate::failure::Failure;
use crate::logger::{Logger, Thread};

mod process;

pub(crate) use process::Home;

/// Loggers that are to be closed when the process exits.
static OPEN: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// Closes the logger when the process returns from `main` or calls `exit`, if it is still open then:
/// statics and leaked handles are never dropped.
pub(crate) fn close_at_exit(thread: &Arc<Thread>) {
    process::at_exit(close_all);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|thread| thread.strong_count() > 0);
    open.push(Arc::downgrade(thread));
}

fn close_all() {
    // A thread that is just opening a logger holds the lock only for a moment; and at exit it is
    // better to lose one logger than to wait for a thread that may be gone.
    let Ok(mut open) = OPEN.try_lock() else { return };
    let open = std::mem::take(&mut *open);
    for thread in open.iter().filter_map(Weak::upgrade) {
        if let Err(error) = thread.close() {
            tell_lost(&error);
        }
    }
}

/// Tells it on standard error. That nobody may read that any more must not keep the process from ending.
fn tell_lost(error: &FlushError) {
    let _ = writeln!(std::io::stderr(), "logq: the last records are lost: {error}");
}

/// From now on a write beyond the limit on the size of files fails, as on a full disk; otherwise it
/// ends the process (`RLIMIT_FSIZE`, `ulimit -f`). Programs that the process starts are not affected.
pub(crate) fn survive_file_size_limit() {
    static REGISTERED: Once = Once::new();
    static EXCEEDED: AtomicBool = AtomicBool::new(false);
    // If the handler cannot be installed, logging goes on as long as the limit allows.
    REGISTERED.call_once(|| drop(signal_hook::flag::register(libc::SIGXFSZ, &EXCEEDED)));
}

/// Installs the panic hook.
pub(crate) fn log_panics(logger: Logger, process: Process) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        logger.panicked(process, &failure_of(panic));
        before(panic);
    }));
}

fn failure_of(panic: &PanicHookInfo<'_>) -> Failure {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    let place = panic.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::force_capture().to_string();
    let frames = frames_of_the_program(&backtrace);
    Failure::from_stack(format!("panic{place} in thread {name}: {message}\n{frames}"))
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// A backtrace from the frame that has panicked on: those before are the hook's and the library's.
fn frames_of_the_program(backtrace: &str) -> &str {
    let Some((_, panicking)) = backtrace.split_once("rust_begin_unwind") else { return backtrace };
    let mut rest = after_line(panicking);
    while let Some(line) = rest.lines().next() {
        if !(line.trim_start().starts_with("at ") || line.contains(": core::panicking::")) {
            break;
        }
        rest = after_line(rest);
    }
    rest
}

/// Starts the thread that waits for the signals.
pub(crate) fn close_on_signals(logger: Logger) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            // The process ends either way; `close` has tried for two seconds.
            if let Err(error) = logger.close() {
                tell_lost(&error);
            }
            // Fails only for signals that cannot be handled, and then there is nothing to do.
            let _ = emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new().name("logq-signals".to_owned()).spawn(wait).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_from_the_frame_that_has_panicked_on() {
        let backtrace = "   0: logq_writer::endings::failure_of\n             at ./src/endings.rs:63:21\n   \
            5: __rustc::rust_begin_unwind\n             at /rustc/0/library/std/src/panicking.rs:689:5\n   \
            6: core::panicking::panic_fmt\n             at /rustc/0/library/core/src/panicking.rs:80:14\n   \
            7: shop::order\n             at ./src/main.rs:18:36\n   \
            8: std::panicking::catch_unwind\n";
        let frames = frames_of_the_program(backtrace);
        assert!(frames.starts_with("   7: shop::order\n") && frames.contains("8: std"), "{frames}");
        assert_eq!(frames_of_the_program("   0: shop::order\n"), "   0: shop::order\n");
        assert_eq!(frames_of_the_program("rust_begin_unwind"), "");
    }
}
