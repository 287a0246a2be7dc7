//! One request and its response on their way: makes sure that the end is logged, however it comes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, response};

use super::Settings;
use super::span::RequestSpan;
use crate::{Failure, HttpVersion, RequestHead, RequestLogger, ResponseEnd, ResponseHead};

/// A request that was logged and whose end is not yet.
///
/// It goes with whatever is pending: the future of the response first, then the response's body.
/// When it is dropped there, something was cut short.
pub(super) struct Exchange {
    request: RequestLogger,
    settings: Arc<Settings>,
    span: RequestSpan,
    arrived: Instant,
    is_head: bool,
    phase: Phase,
    /// Foreign code runs. Who is dropped in this state is dropped by a panic.
    running: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    Handling,
    Sending { sent: u64, expected: Option<u64> },
    Finished,
}

impl Exchange {
    /// Logs REQUEST and puts the request's logger into its extensions.
    pub(super) fn begin<B>(settings: &Arc<Settings>, request: &mut Request<B>) -> Self {
        let logger = settings.worker.new_request();
        logger.request(&RequestHead {
            ip: (settings.client_ip)(request.headers(), request.extensions()),
            http_version: http_version(request.version()),
            method: request.method().as_str(),
            url: &url(request.uri()),
        });
        request.extensions_mut().insert(logger.clone());
        Self {
            span: RequestSpan::new(settings, &logger),
            request: logger,
            settings: Arc::clone(settings),
            arrived: Instant::now(),
            is_head: request.method() == Method::HEAD,
            phase: Phase::Handling,
            running: false,
        }
    }

    /// Runs foreign code on behalf of the request.
    pub(super) fn run<T>(&mut self, step: impl FnOnce() -> T) -> T {
        self.running = true;
        let result = self.span.run(step);
        self.running = false;
        result
    }

    /// Logs RESPONSE, and RESPONSE_FINISHED where no body follows.
    pub(super) fn respond(&mut self, parts: &mut response::Parts, body_len: BodyLen) {
        let mut head = ResponseHead::status(parts.status.as_u16()).duration(self.arrived.elapsed());
        if let Some(failure) = parts.extensions.remove().or_else(|| self.server_error(parts)) {
            head = head.failure(failure);
        }
        self.request.response(head);
        let header = parts.headers.get(CONTENT_LENGTH);
        let expected = header.and_then(|header| header.to_str().ok()?.parse().ok());
        self.phase = Phase::Sending { sent: 0, expected: expected.or(body_len.exact) };
        // A server does not ask for bodies that are not sent.
        let status = parts.status;
        let is_without = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if body_len.is_end || is_without || self.is_head {
            self.finish(None);
        }
    }

    /// Logs that the service failed instead of answering.
    pub(super) fn fail(&mut self, failure: Failure) {
        let status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        let head = ResponseHead::status(status).duration(self.arrived.elapsed());
        self.request.response(head.failure(failure));
        self.finish(None);
    }

    fn server_error(&self, parts: &response::Parts) -> Option<Failure> {
        if self.settings.server_errors_are_failures && parts.status.is_server_error() {
            return Some(Failure::from_message(parts.status.to_string()));
        }
        self.grpc_error(&parts.headers)
    }

    fn grpc_error(&self, headers: &HeaderMap) -> Option<Failure> {
        let failure = || grpc_failure(headers);
        self.settings.server_errors_are_failures.then(failure).flatten()
    }

    /// Counts bytes of the body that were handed over.
    pub(super) fn count(&mut self, len: usize) {
        if let Phase::Sending { sent, .. } = &mut self.phase {
            *sent = sent.saturating_add(len as u64);
        }
    }

    /// The trailers were handed over, with which a body ends.
    pub(super) fn finish_with_trailers(&mut self, trailers: &HeaderMap) {
        self.finish(self.grpc_error(trailers));
    }

    /// Logs RESPONSE_FINISHED, once.
    pub(super) fn finish(&mut self, failure: Option<Failure>) {
        let sent = match self.phase {
            Phase::Handling => 0,
            Phase::Sending { sent, .. } => sent,
            Phase::Finished => return,
        };
        self.phase = Phase::Finished;
        let mut end = ResponseEnd::default().bytes(sent).duration(self.arrived.elapsed());
        if let Some(failure) = failure {
            end = end.failure(failure);
        }
        self.request.response_finished(end);
    }

    /// Logs the end of what was dropped before its end.
    fn abandon(&mut self) {
        let text = match self.phase {
            Phase::Handling if self.running => "the service panicked before a response".to_owned(),
            Phase::Handling => {
                "dropped before a response: the client disconnected or a time limit ran out"
                    .to_owned()
            }
            Phase::Sending { sent, .. } if self.running => {
                format!("the response body panicked after {sent} bytes")
            }
            // The length says that this is all, even if the body itself was not asked again.
            Phase::Sending { sent, expected: Some(expected) } if sent >= expected => {
                return self.finish(None);
            }
            Phase::Sending { sent, expected: Some(expected) } => {
                format!("the client disconnected after {sent} of {expected} bytes")
            }
            Phase::Sending { sent, expected: None } => {
                format!("the client disconnected after {sent} bytes, before the end")
            }
            Phase::Finished => return,
        };
        if self.running || self.settings.disconnects_are_failures {
            self.finish(Some(Failure::from_message(text)));
        } else {
            self.request.info(serde_json::json!({ "message": text }));
            self.finish(None);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// What a body says about its length before it is sent.
#[derive(Clone, Copy)]
pub(super) struct BodyLen {
    /// There is nothing to send.
    pub(super) is_end: bool,
    pub(super) exact: Option<u64>,
}

fn http_version(version: Version) -> HttpVersion {
    match version {
        Version::HTTP_2 => HttpVersion::HTTP_2,
        Version::HTTP_3 => HttpVersion::HTTP_3,
        Version::HTTP_11 => HttpVersion::HTTP_11,
        // HTTP/0.9, which no server of these speaks, is closest to this.
        _ => HttpVersion::HTTP_10,
    }
}

/// Path and query, or for CONNECT, which has neither, the target as it is.
fn url(uri: &Uri) -> Cow<'_, str> {
    match uri.path_and_query() {
        Some(target) => Cow::Borrowed(target.as_str()),
        None => Cow::Owned(uri.to_string()),
    }
}

/// The gRPC statuses that are the server's fault, not the caller's.
const GRPC_FAULTS: [(&str, &str); 6] = [
    ("2", "UNKNOWN"),
    ("4", "DEADLINE_EXCEEDED"),
    ("12", "UNIMPLEMENTED"),
    ("13", "INTERNAL"),
    ("14", "UNAVAILABLE"),
    ("15", "DATA_LOSS"),
];

fn grpc_failure(headers: &HeaderMap) -> Option<Failure> {
    let status = headers.get("grpc-status")?.to_str().ok()?;
    let (code, name) = GRPC_FAULTS.iter().find(|(code, _)| *code == status)?;
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok());
    let text = match message {
        Some(message) => format!("gRPC status {code} {name}: {message}"),
        None => format!("gRPC status {code} {name}"),
    };
    Some(Failure::from_message(text))
}
