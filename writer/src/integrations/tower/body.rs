//! The body of a response.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Exchange;
use crate::Failure;

pin_project! {
    /// The body of the service inside, unaltered but for its errors, which are boxed; logs when it
    /// ends.
    #[derive(Default)]
    pub struct LoggedBody<B> {
        // Dropped first: what it still logs comes before the end.
        #[pin]
        inner: B,
        // Until the end is logged.
        exchange: Option<Exchange>,
    }
}

impl<B> LoggedBody<B> {
    pub(super) fn new(inner: B, exchange: Option<Exchange>) -> Self {
        Self { inner, exchange }
    }
}

impl<B> Body for LoggedBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(exchange) = this.exchange.as_mut() else {
            return this.inner.poll_frame(context).map_err(Into::into);
        };
        let frame = ready!(exchange.run(|| this.inner.as_mut().poll_frame(context)));
        let frame = frame.map(|frame| frame.map_err(Into::into));
        match &frame {
            None => exchange.finish(None),
            Some(Err(error)) => exchange.finish(Some(Failure::from_error(error.as_ref()))),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    exchange.count(data.remaining());
                }
                match frame.trailers_ref() {
                    Some(trailers) => exchange.finish_with_trailers(trailers),
                    // Servers do not ask for more then.
                    None if this.inner.is_end_stream() => exchange.finish(None),
                    None => {}
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
