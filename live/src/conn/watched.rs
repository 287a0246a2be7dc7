//! Bodies on their way: counted, ended when their token is revoked, and told of in the journal.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::activity::InFlight;
use super::front::Counters;
use super::streams::Progress;
use crate::body::{Body, BodyError};
use crate::journal::Journal;
use crate::metrics::Held;
use crate::tokens::Lease;

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of an answer.
///
/// The request counts as being in flight until this is dropped.
pub(crate) struct Watched {
    body: Body,
    revoked: Option<Ending>,
    lease: Option<Lease>,
    /// An error that is told at the next poll: hyper sends what it has before it hears of it.
    error: Option<BodyError>,
    entry: Entry,
    _held: (InFlight, Held),
}

impl Watched {
    pub(crate) fn new(
        body: Body,
        lease: Option<Lease>,
        entry: Entry,
        held: (InFlight, Held),
    ) -> Self {
        let revoked = lease.as_ref().map(|lease| -> Ending {
            let revoked = lease.0.revoked.clone();
            Box::pin(async move { revoked.requested().await })
        });
        Self { body, revoked, lease, error: None, entry, _held: held }
    }

    fn is_revoked(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.0.revoked.is_requested())
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_revoked() {
            return Poll::Ready(Some(Err(BodyError::Revoked)));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Pending, Some(revoked)) = (&frame, &mut self.revoked) {
            ready!(revoked.as_mut().poll(context));
            return Poll::Ready(Some(Err(BodyError::Revoked)));
        }
        frame
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        Progress::asked();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(this.next(context));
        match &frame {
            None => this.entry.complete = true,
            Some(Ok(frame)) => {
                Progress::gave();
                let len = frame.data_ref().map_or(0, Bytes::len);
                this.entry.sent(len.try_into().unwrap_or(u64::MAX));
                this.entry.complete |= this.body.is_end_stream() || frame.is_trailers();
            }
            Some(Err(error)) => {
                this.entry.cut = Some(error.to_string());
                this.error = frame.and_then(Result::err);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the journal says of a request once its answer is over.
pub(crate) struct Entry {
    pub(crate) journal: Journal,
    pub(crate) counters: Arc<Counters>,
    /// Who asked for what, and how it was answered.
    pub(crate) line: String,
    pub(crate) token_id: Option<String>,
    pub(crate) since: Instant,
    pub(crate) bytes: u64,
    /// Bytes that the answer announced, if it did.
    pub(crate) announced: Option<u64>,
    pub(crate) complete: bool,
    pub(crate) cut: Option<String>,
}

impl Entry {
    fn sent(&mut self, len: u64) {
        self.bytes = self.bytes.saturating_add(len);
        self.counters.sent_bytes.add(len);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.journal.is_kept() {
            return;
        }
        let complete = self.complete || self.announced == Some(self.bytes);
        let mut line = std::mem::take(&mut self.line);
        line += &format!(" {} bytes {} ms", self.bytes, self.since.elapsed().as_millis());
        if let Some(id) = &self.token_id {
            line += &format!(" token {id}");
        }
        match &self.cut {
            Some(reason) => line += &format!(" cut: {reason}"),
            None if !complete => line += " cut: the client left or did not read",
            None => {}
        }
        self.journal.line(&line);
    }
}

pin_project! {
    /// The body of a request whose client must not be silent for longer than a time.
    pub(crate) struct Impatient {
        body: Body,
        time: Duration,
        #[pin]
        timer: Sleep,
    }
}

impl Impatient {
    /// Ends `body` with an error when no piece of it comes for `time`.
    pub(crate) fn body(body: Body, time: Duration) -> Body {
        Body::stream(Self { body, time, timer: tokio::time::sleep(time) })
    }
}

impl http_body::Body for Impatient {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        match Pin::new(this.body).poll_frame(context) {
            Poll::Pending => {
                ready!(this.timer.poll(context));
                Poll::Ready(Some(Err(BodyError::Silent)))
            }
            frame => {
                this.timer.set(tokio::time::sleep(*this.time));
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
