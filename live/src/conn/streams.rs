//! Tasks of HTTP/2 streams, and the end of those whose reader stalls.
//!
//! A reader can close the window of one stream and leave the connection busy with others, so the
//! socket's timer does not see it. What is seen: the body gave a piece and is not asked for another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

use super::home;

tokio::task_local! {
    /// The progress of the stream whose task this is.
    static PROGRESS: Progress;
}

/// Since when a piece of a body waits for its reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// The body is asked for more: what it gave was taken.
    pub(crate) fn asked() {
        let _ = PROGRESS.try_with(|progress| progress.set(None));
    }

    /// The body gave a piece.
    pub(crate) fn gave() {
        let _ = PROGRESS.try_with(|progress| progress.set(Some(Instant::now())));
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a piece has been waiting for `stall`.
    async fn stalled(self, stall: Duration) {
        loop {
            let now = Instant::now();
            let deadline = self.since().unwrap_or(now) + stall;
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// Runs each stream in a task that ends when its reader stalls; HTTP/2 then resets the stream.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) stall: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let progress = Progress::default();
        let stalled = progress.clone().stalled(self.stall);
        home::run(PROGRESS.scope(progress, async move {
            tokio::select! {
                _ = stream => {}
                () = stalled => {}
            }
        }));
    }
}
