//! A layer for `tower`: each request of an HTTP service (axum, hyper, tonic) is logged.
//!
//! ```
//! use axum::routing::get;
//! use axum::{Extension, Router};
//! use logq_writer::integrations::tower::RequestLogLayer;
//! use logq_writer::{LoggerOptions, RequestLogger, WorkerId, WorkerLogger};
//!
//! async fn cart(Extension(log): Extension<RequestLogger>) -> &'static str {
//!     log.debug("looking into the cart"); // written if the request fails
//!     log.info(serde_json::json!({ "message": "cart", "items": 3 }));
//!     "3 items"
//! }
//!
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("logs");
//! let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
//! let worker = WorkerLogger::open(&directory, one, LoggerOptions::default())?;
//! let app: Router = Router::new().route("/cart", get(cart)).layer(RequestLogLayer::new(&worker));
//! # let _ = app;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Records
//!
//! | what happens | record |
//! |---|---|
//! | a request arrives | REQUEST with the client's address, if known, HTTP version, method, path and query; the [`RequestLogger`] is put into the request's extensions |
//! | the service answers | RESPONSE with status and duration; with the [`Failure`] that is in the response's extensions |
//! | ... with status 5xx and no [`Failure`] | the same with the status as failure, such as `500 Internal Server Error` |
//! | ... with a gRPC status that is the server's fault | the same, or RESPONSE_FINISHED if it comes as a trailer, with this status as failure |
//! | the service fails | RESPONSE with status 500 and the error as failure, and RESPONSE_FINISHED |
//! | the body was handed over completely | RESPONSE_FINISHED with bytes and duration |
//! | the body fails, or panics | the same with this failure |
//! | the body is dropped before its end: the client disconnected | the same with this failure |
//! | the request is dropped before its response: the client disconnected, or a layer outside has a time limit | RESPONSE_FINISHED with this failure, without RESPONSE |
//! | the service panics | the same; the panic goes on |
//!
//! Durations count from the request's arrival. Bytes are those of the body before transfer coding, as
//! handed to the server; whether they reached the client nobody knows. The body of a response to HEAD
//! is not sent, so its RESPONSE_FINISHED has none. Records with a failure are ERROR and bring the
//! request's DEBUG entries along; only a failure of a response that is
//! [`expected`](crate::Failure::expected) is INFO.
//!
//! # Causes
//!
//! A handler tells why it failed through the response's extensions; in axum:
//!
//! ```
//! use axum::Extension;
//! use axum::http::StatusCode;
//! use axum::response::IntoResponse;
//! use logq_writer::Failure;
//!
//! async fn order() -> impl IntoResponse {
//!     let failure = Failure::from_message("no stock");
//!     (StatusCode::INTERNAL_SERVER_ERROR, Extension(failure), "try again later")
//! }
//! # let _ = order;
//! ```
//!
//! # Order of layers
//!
//! What is inside of this layer is logged as the service did it, what is outside is not seen. A layer
//! that turns panics (`tower_http::catch_panic`), time limits or overload into responses belongs
//! inside, to be logged with its response: in axum, add it before this one. Such a layer may have a
//! hook to make the response (`CatchPanicLayer::custom`), where a [`Failure`] tells the cause. With
//! [`WorkerLogger::log_panics`] a panic is also an UNCAUGHT_EXCEPTION with its backtrace, in either
//! case.
//!
//! With hyper, wrap the layered service with `hyper_util::service::TowerToHyperService`; with tonic,
//! add the layer to `tonic::transport::Server::builder()`.
//!
//! [`Failure`]: crate::Failure
//! [`RequestLogger`]: crate::RequestLogger

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::WorkerLogger;

mod body;
mod exchange;
mod future;
mod span;

pub use body::LoggedBody;
pub use future::ResponseFuture;

use exchange::Exchange;

/// Logs the requests of the services that it is put around; see the [module](self).
#[derive(Clone)]
pub struct RequestLogLayer {
    settings: Arc<Settings>,
}

type ClientIp = dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync;

#[derive(Clone)]
struct Settings {
    worker: WorkerLogger,
    client_ip: Arc<ClientIp>,
    server_errors_are_failures: bool,
    disconnects_are_failures: bool,
    in_spans: bool,
}

impl RequestLogLayer {
    /// A layer that logs requests to this logger.
    pub fn new(worker: &WorkerLogger) -> Self {
        let settings = Settings {
            worker: worker.clone(),
            client_ip: Arc::new(address_among),
            server_errors_are_failures: true,
            disconnects_are_failures: true,
            in_spans: false,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Where the client's address comes from.
    ///
    /// By default it is a [`SocketAddr`] or [`IpAddr`] in the request's extensions, where a service
    /// on plain hyper can put it. With axum, serve the router with
    /// `into_make_service_with_connect_info` and give this:
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    /// # use logq_writer::integrations::tower::RequestLogLayer;
    /// # fn layer(worker: &logq_writer::WorkerLogger) -> RequestLogLayer {
    ///
    /// RequestLogLayer::new(worker).client_ip(|_, extensions| {
    ///     let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///     Some(address.ip())
    /// })
    /// # }
    /// ```
    ///
    /// Behind a proxy, take the header that the proxy sets; clients can set it, too, so nothing does
    /// this unasked.
    #[must_use]
    pub fn client_ip(
        mut self,
        client_ip: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).client_ip = Arc::new(client_ip);
        self
    }

    /// Whether a status of 5xx, or a gRPC status that is the server's fault, is a failure even if
    /// nothing says why; it is by default.
    #[must_use]
    pub fn server_errors_are_failures(mut self, they_are: bool) -> Self {
        Arc::make_mut(&mut self.settings).server_errors_are_failures = they_are;
        self
    }

    /// Whether a client that disconnects before the end is a failure, and so an ERROR that brings
    /// DEBUG entries along; it is by default. If not, an INFO record of the request tells it, and
    /// RESPONSE_FINISHED has no failure.
    #[must_use]
    pub fn disconnects_are_failures(mut self, they_are: bool) -> Self {
        Arc::make_mut(&mut self.settings).disconnects_are_failures = they_are;
        self
    }

    /// Runs service and body in a span `request` of target `logq` that carries the request, so that
    /// a [`LogqLayer`](crate::integrations::tracing::LogqLayer) makes the events inside records of the request.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn in_spans(mut self) -> Self {
        Arc::make_mut(&mut self.settings).in_spans = true;
        self
    }
}

fn address_among(_: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let address = extensions.get::<SocketAddr>().map(SocketAddr::ip);
    address.or_else(|| extensions.get::<IpAddr>().copied())
}

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLogService<S>;

    fn layer(&self, inner: S) -> RequestLogService<S> {
        RequestLogService { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A service whose requests are logged; made by a [`RequestLogLayer`].
#[derive(Clone)]
pub struct RequestLogService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B, R> Service<Request<B>> for RequestLogService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: std::fmt::Display + 'static,
    R: Body,
{
    type Response = Response<LoggedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut exchange = Exchange::begin(&self.settings, &mut request);
        let inner = exchange.run(|| self.inner.call(request));
        ResponseFuture::new(inner, exchange)
    }
}
