//! The one body type of requests and responses. What it carries is made by routes.
//!
//! A body that ends with an error is how a reader learns that it does not have everything: HTTP/1.1
//! closes the connection without the final chunk, HTTP/2 resets the stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// Why a body ends early. Told in the request log, never to the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The writer of a stream is gone and its grace is over.
    #[error("the stream was aborted")]
    Aborted,
    /// The server shuts down; the client resumes elsewhere or later.
    #[error("the server shuts down")]
    ShuttingDown,
    /// The token that the request came with is no longer valid.
    #[error("the token was revoked")]
    Revoked,
    /// The data cannot be read.
    #[error("cannot read the data: {0}")]
    Storage(#[from] io::Error),
    /// The client sent nothing for longer than the server waits.
    #[error("the client was silent for too long")]
    Silent,
    /// The client sent less than it announced, or nonsense.
    #[error("the client's body broke off: {0}")]
    Client(#[from] hyper::Error),
}

type Dynamic = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// Bytes on their way to or from a client.
///
/// A full body has a known length, so its response says `Content-Length`; a stream's length is what
/// its [`SizeHint`] says exactly, or it is sent in chunks.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Dynamic(Dynamic),
}

impl Body {
    /// No bytes at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// All bytes at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(bytes)) }
    }

    /// Bytes, and trailers if any, as `stream` yields them.
    ///
    /// `stream` is polled only while the client takes what it gets, so what it holds ready should be
    /// one piece of at most some 256 KiB.
    pub fn stream(
        stream: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    ) -> Self {
        Self(Kind::Dynamic(Box::pin(stream)))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0 {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Incoming(_) => "incoming",
            Kind::Dynamic(_) => "stream",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self(Kind::Incoming(incoming))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Incoming(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Client)))
            }
            Kind::Dynamic(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Dynamic(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len().try_into().unwrap_or(u64::MAX)),
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Dynamic(stream) => stream.size_hint(),
        }
    }
}
