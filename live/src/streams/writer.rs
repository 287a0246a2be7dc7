//! The one who writes a stream. However a writer ends, the stream is told: finished it is complete, cut
//! off it is truncated, and dropped it is interrupted, with a time of grace in which the writer may come
//! back.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::statvfs::statvfs;
use tokio::runtime::Handle;

use crate::metrics::Counter;
use crate::model::{Progress, State};

use super::blocking::blocking;
use super::digest::digest_later;
use super::stream::{Pen, Stream, byte_count};

/// How many bytes are written between two looks at the free space.
const SPACE_CHECK_LEN: u64 = 16 << 20;

/// What a writer may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest stream, in bytes.
    pub(super) len_max: u64,
    /// Free space of the file system below which nothing is written, in bytes.
    pub(super) free_min: u64,
    /// How long a lost writer may take to come back.
    pub(super) grace: Duration,
}

/// Why no more bytes are taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// The stream is as long as a stream may be.
    #[error("the stream has reached its limit")]
    TooLong,
    /// There is no space.
    #[error("the disk is full")]
    Full,
    /// The disk fails.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
}

/// Writes one stream. There is no other for it meanwhile.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<Stream>,
    pen: Option<Pen>,
    limits: Limits,
    /// Bytes until the free space is looked at again.
    unchecked: u64,
    written: Counter,
}

impl Writer {
    pub(super) fn new(stream: Arc<Stream>, pen: Pen, limits: Limits, written: Counter) -> Self {
        Self { stream, pen: Some(pen), limits, unchecked: SPACE_CHECK_LEN, written }
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Stores bytes and shows them to the readers.
    ///
    /// # Errors
    ///
    /// What can be stored is, then the reason why not all of it. The caller ends the stream.
    pub(super) fn append(&mut self, bytes: &Bytes) -> Result<(), AppendError> {
        let Some(pen) = &mut self.pen else { return Err(AppendError::TooLong) };
        let room = self.limits.len_max.saturating_sub(self.stream.progress().len);
        let fits = bytes.slice(..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        self.unchecked = self.unchecked.saturating_sub(byte_count(&fits));
        if self.unchecked == 0 {
            self.unchecked = SPACE_CHECK_LEN;
            if !has_space(self.stream.directory_path(), self.limits.free_min) {
                return Err(AppendError::Full);
            }
        }
        let (count, result) = self.stream.append(pen, &fits);
        self.written.add(u64::try_from(count).unwrap_or(u64::MAX));
        match result {
            Err(error) if is_full(&error) => Err(AppendError::Full),
            Err(error) => Err(error.into()),
            Ok(()) if fits.len() < bytes.len() => Err(AppendError::TooLong),
            Ok(()) => Ok(()),
        }
    }

    /// Ends the stream: this is all.
    pub(super) fn complete(self) -> Progress {
        self.end(State::Complete)
    }

    /// Ends the stream where a limit cut it off.
    pub(super) fn truncate(self) -> Progress {
        self.end(State::Truncated)
    }

    fn end(mut self, state: State) -> Progress {
        if let Some(pen) = self.pen.take() {
            self.stream.end(pen, state);
            digest_later(&self.stream);
        }
        self.stream.progress()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(pen) = self.pen.take() {
            let turn = self.stream.interrupt(pen);
            abort_later(&self.stream, turn, self.limits.grace);
        }
    }
}

/// Aborts the stream after the time of grace, unless a writer has come back.
pub(super) fn abort_later(stream: &Arc<Stream>, turn: u64, grace: Duration) {
    let stream = Arc::downgrade(stream);
    // Outside of a runtime the server is ending; the next one gives the writer its time.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            abort(&stream, turn);
        });
    }
}

fn abort(stream: &Weak<Stream>, turn: u64) {
    let Some(stream) = stream.upgrade() else { return };
    if let Some(pen) = stream.take_pen_of_turn(turn) {
        stream.end(pen, State::Aborted);
        digest_later(&stream);
    }
}

/// Whether the file system has more than this free. One that cannot tell has.
pub(super) fn has_space(path: &Path, free_min: u64) -> bool {
    let Ok(system) = blocking(|| statvfs(path)) else { return true };
    let free = system.blocks_available().saturating_mul(system.fragment_size());
    free > free_min
}

/// Whether an error says that there is no room, of whatever kind.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E.4.1: a full disk, a quota, a limit of the process.
    #[test]
    fn there_is_no_room_for_several_reasons() {
        use nix::errno::Errno;
        for (errno, full) in [
            (Errno::ENOSPC, true),
            (Errno::EDQUOT, true),
            (Errno::EFBIG, true),
            (Errno::EROFS, false),
            (Errno::EIO, false),
        ] {
            assert_eq!(is_full(&io::Error::from(errno)), full, "{errno}");
        }
    }
}
