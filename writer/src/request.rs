//! The logger of one HTTP request.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use logq_format::{
    Event, HttpVersion, Level, LogSource, Method, Request, RequestId, Response, ResponseFinished,
    Timestamp,
};
use serde::Serialize;

use crate::failure::{DebugLog, Failure, debug_entries};
use crate::logger::Logger;
use crate::methods::message_methods;

/// Logs everything that happens around one HTTP request.
///
/// Comes from [`WorkerLogger::new_request`](crate::WorkerLogger::new_request). It is cheap to clone
/// and to send to other threads.
#[derive(Clone)]
pub struct RequestLogger {
    pub(crate) logger: Logger,
    request: RequestId,
    pub(crate) debug: Arc<Mutex<DebugLog>>,
}

/// The head of a request as it was received.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The client's address, if known.
    pub ip: Option<IpAddr>,
    /// The version of HTTP spoken.
    pub http_version: HttpVersion,
    /// The method.
    pub method: &'a str,
    /// The request target.
    pub url: &'a str,
}

impl Default for RequestHead<'_> {
    /// `GET /` over HTTP/1.1 from an unknown address.
    fn default() -> Self {
        Self { ip: None, http_version: HttpVersion::HTTP_11, method: "GET", url: "/" }
    }
}

/// The head of a response as it was sent.
///
/// ```
/// use std::time::Duration;
/// use logq_writer::{Failure, ResponseHead};
///
/// let plain: ResponseHead = 204.into();
/// let failed = ResponseHead::status(500)
///     .duration(Duration::from_millis(12))
///     .failure(Failure::from_message("no database"));
/// # let _ = (plain, failed);
/// ```
#[derive(Clone, Debug)]
pub struct ResponseHead {
    status: u16,
    bytes: Option<u64>,
    duration: Option<Duration>,
    failure: Option<Failure>,
}

impl ResponseHead {
    /// A response with this status code.
    pub fn status(status: u16) -> Self {
        Self { status, bytes: None, duration: None, failure: None }
    }

    /// With this many bytes of body.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sent this long after the request came.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Because of this failure. Unless it is expected, the record is an ERROR.
    #[must_use]
    pub fn failure(mut self, failure: Failure) -> Self {
        self.failure = Some(failure);
        self
    }
}

impl From<u16> for ResponseHead {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

/// The end of a response's body.
#[derive(Clone, Debug, Default)]
pub struct ResponseEnd {
    bytes: Option<u64>,
    duration: Option<Duration>,
    failure: Option<Failure>,
}

impl ResponseEnd {
    /// With this many bytes of body.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Done this long after the request came.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Cut short by this failure; the record is an ERROR.
    #[must_use]
    pub fn failure(mut self, failure: Failure) -> Self {
        self.failure = Some(failure);
        self
    }
}

impl From<()> for ResponseEnd {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl RequestLogger {
    pub(crate) fn new(logger: Logger) -> Self {
        let request = RequestId::from(uuid::Uuid::new_v4());
        Self { logger, request, debug: Arc::default() }
    }

    /// The id of the request: a random UUID, version 4.
    pub fn request_id(&self) -> RequestId {
        self.request
    }

    /// Logs REQUEST: the head has arrived, the body may still be coming.
    pub fn request(&self, head: &RequestHead<'_>) {
        let request = Request {
            request: self.request,
            ip: head.ip,
            http_version: head.http_version,
            method: Method::new(head.method),
            url: head.url,
        };
        self.logger.log(Event::Request(request), Level::Info);
    }

    /// Logs REQUEST_META: data of the application about the request.
    pub fn request_meta(&self, data: impl Serialize) {
        self.logger.request_meta(self.request, &data);
    }

    /// Logs RESPONSE: the head was sent. With a failure, the DEBUG entries kept so far go with it.
    pub fn response(&self, head: impl Into<ResponseHead>) {
        let ResponseHead { status, bytes, duration, failure } = head.into();
        let kept = self.take_debug_for(failure.as_ref());
        let debug = debug_entries(&kept);
        let expected = failure.as_ref().is_some_and(Failure::is_expected);
        let response = Response {
            request: self.request,
            status,
            error: failure.as_ref().map(|failure| failure.info(&debug)),
            expected,
            bytes,
            duration_us: duration.map(micros),
        };
        let level = level_of(failure.is_some() && !expected);
        self.logger.log(Event::Response(response), level);
    }

    /// Logs RESPONSE_FINISHED: the body is done, even if it was empty. With a failure, the DEBUG
    /// entries kept so far go with it.
    pub fn response_finished(&self, end: impl Into<ResponseEnd>) {
        let ResponseEnd { bytes, duration, failure } = end.into();
        let kept = self.take_debug_for(failure.as_ref());
        let debug = debug_entries(&kept);
        let finished = ResponseFinished {
            request: self.request,
            error: failure.as_ref().map(|failure| failure.info(&debug)),
            bytes,
            duration_us: duration.map(micros),
        };
        self.logger.log(Event::ResponseFinished(finished), level_of(failure.is_some()));
    }

    message_methods!();

    /// Keeps data back in memory; the next response or end of a response with a failure writes it.
    pub fn debug(&self, data: impl Serialize) {
        self.logger.debug_into(&self.debug, &data);
    }

    /// Whether the worker's logger is closed.
    pub fn closed(&self) -> bool {
        self.logger.closed()
    }

    fn source(&self) -> LogSource {
        LogSource::Request(self.request)
    }

    fn take_debug_for(&self, failure: Option<&Failure>) -> Vec<(Timestamp, Box<str>)> {
        match failure {
            Some(_) => self.debug.lock().unwrap_or_else(PoisonError::into_inner).take(),
            None => Vec::new(),
        }
    }
}

fn level_of(failed: bool) -> Level {
    if failed { Level::Error } else { Level::Info }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
