//! The future of a response.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::LoggedBody;
use super::exchange::{BodyLen, Exchange};
use crate::Failure;
use crate::failure::displayed;

pin_project! {
    /// Resolves to the response of the service inside, once it is logged.
    pub struct ResponseFuture<F> {
        // Dropped first: what it still logs comes before the end.
        #[pin]
        inner: F,
        // Until the response is there.
        exchange: Option<Exchange>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, exchange: Exchange) -> Self {
        Self { inner, exchange: Some(exchange) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Display + 'static,
{
    type Output = Result<Response<LoggedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.exchange.as_mut() {
            Some(exchange) => ready!(exchange.run(|| this.inner.poll(context))),
            // Polled after its end, which is for the future inside to complain about.
            None => ready!(this.inner.poll(context)),
        };
        let mut exchange = this.exchange.take();
        Poll::Ready(match result {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                if let Some(exchange) = &mut exchange {
                    let exact = body.size_hint().exact();
                    exchange.respond(&mut parts, BodyLen { is_end: body.is_end_stream(), exact });
                }
                Ok(Response::from_parts(parts, LoggedBody::new(body, exchange)))
            }
            Err(error) => {
                if let Some(exchange) = &mut exchange {
                    exchange.fail(failure_of(&error));
                }
                Err(error)
            }
        })
    }
}

/// The error with its sources as far as its type shows them: boxed errors do, others only by what
/// they display.
fn failure_of<E: Display + 'static>(error: &E) -> Failure {
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        return Failure::from_error(error.as_ref());
    }
    Failure::from_stack(displayed(error))
}
