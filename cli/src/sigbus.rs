//! What happens when a mapped file is truncated by someone else while it is read: the kernel sends
//! SIGBUS, and instead of dying without a word the command says why it ends.

#![expect(unsafe_code, reason = "signal handlers are installed by an unsafe call")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const MESSAGE: &[u8] =
    b"logq: a segment was truncated by another program while it was being read; the output ends here\n";

/// Installs the handler. Where that fails, the plain signal remains.
pub(crate) fn explain_truncated_maps() {
    let action =
        SigAction::new(SigHandler::Handler(end_with_message), SaFlags::empty(), SigSet::empty());
    // SAFETY: `end_with_message` calls nothing but write(2) and _exit(2), which are safe to call in
    // a signal handler (signal-safety(7)).
    let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
}

extern "C" fn end_with_message(_: i32) {
    // SAFETY: the pointer and the length are those of a static byte string; _exit does not return
    // and runs nothing of this process.
    unsafe {
        nix::libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
        nix::libc::_exit(3);
    }
}
