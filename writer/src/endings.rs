//! How a process ends, and what a logger does then: panics, signals, `exit`, and forks that must not
//! write what their parent staged.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use logq_format::Process;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

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
            eprintln!("logq: the last records are lost: {error}");
        }
    }
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
    let backtrace = Backtrace::force_capture();
    Failure::from_stack(format!("panic{place} in thread {name}: {message}\n{backtrace}"))
}

/// Starts the thread that waits for the signals.
pub(crate) fn close_on_signals(logger: Logger) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            // The process ends either way; `close` has tried for two seconds.
            if let Err(error) = logger.close() {
                eprintln!("logq: the last records are lost: {error}");
            }
            // Fails only for signals that cannot be handled, and then there is nothing to do.
            let _ = emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new().name("logq-signals".to_owned()).spawn(wait).map(drop)
}
