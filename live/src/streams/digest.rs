//! The SHA-256 of a stream, which is reckoned once the stream has ended.
//!
//! While somebody writes as fast as possible it would take a third of the writer's time. Few ask for it
//! and those who do can wait: a reader that takes trailers, a client of events for the last one, a writer
//! that says `Want-Repr-Digest`. Of all others nobody waits, and it is there a moment later.

use std::io;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use crate::threads::in_background;

use super::blocking::BUFFER_LEN;
use super::stream::{Stream, byte_count};

/// A stream up to this length gets its digest as it ends: that takes less than a millisecond.
const AT_ONCE_LEN_MAX: u64 = 1 << 20;

/// How many are reckoned at a time: each takes a processor, and reads as fast as it can.
static AT_A_TIME: Semaphore = Semaphore::const_new(2);

/// A digest that is known, or will be.
#[derive(Debug, Default)]
pub(super) struct Digest(OnceCell<[u8; 32]>);

impl Digest {
    /// One that was recorded, if it was.
    pub(super) fn recorded(sha256: Option<[u8; 32]>) -> Self {
        Self(OnceCell::new_with(sha256))
    }

    /// The digest, if it is known by now.
    pub(super) fn known(&self) -> Option<[u8; 32]> {
        self.0.get().copied()
    }

    /// Reckons it if `stream`, which has ended, is short enough that nobody notices.
    pub(super) fn reckon_at_once(&self, stream: &Stream) {
        if stream.progress().len <= AT_ONCE_LEN_MAX
            && let Ok(sha256) = of_file(stream)
        {
            let _ = self.0.set(sha256);
        }
    }

    /// Waits for it; `None` where the stream cannot be read.
    pub(super) async fn reckoned(&self, stream: &Arc<Stream>) -> Option<[u8; 32]> {
        let reckon = async || {
            let _turn = AT_A_TIME.acquire().await.map_err(io::Error::other)?;
            let stream = stream.clone();
            let reckoned = in_background(move || {
                let sha256 = of_file(&stream)?;
                stream.record_digest(sha256);
                Ok(sha256)
            });
            reckoned.await.unwrap_or_else(|| Err(io::Error::other("there is no thread for it")))
        };
        let sha256: Result<_, io::Error> = self.0.get_or_try_init(reckon).await;
        sha256.ok().copied()
    }
}

/// Sees to it that the digest of a stream that has ended is known some time.
pub(super) fn digest_later(stream: &Arc<Stream>) {
    // Outside of a runtime the server is ending; the next one will do it.
    if stream.digest().known().is_none()
        && let Ok(runtime) = Handle::try_current()
    {
        let stream = stream.clone();
        runtime.spawn(async move { stream.digest().reckoned(&stream).await });
    }
}

fn of_file(stream: &Stream) -> io::Result<[u8; 32]> {
    let (mut digest, mut offset, len) = (Sha256::new(), 0, stream.progress().len);
    while offset < len {
        let bytes = stream.read(offset, len, BUFFER_LEN)?;
        digest.update(&bytes);
        offset += byte_count(&bytes);
    }
    Ok(digest.finalize().into())
}
