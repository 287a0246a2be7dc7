//! Which pages of other origins may read answers.
//!
//! No cookie is used anywhere, so credentials are never allowed to be sent along, and `*` is safe
//! where a token is in the URL.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::body::Body;
use crate::message::{Response, single};
use crate::service::Part;

/// Headers of ours that pages may read.
const EXPOSED: &str = "Content-Range, Content-Length, ETag, Accept-Ranges, Retry-After, \
    Transfer-Encoding, Repr-Digest, Logq-State, Logq-Length, Logq-Next, Logq-Offset, Logq-Cursor";

/// The methods that a path has, for `Allow`; those of all paths for `*`.
pub(crate) fn methods(path: &str) -> &'static str {
    let name = path.strip_prefix("/v1/streams/");
    let is_stream = name.is_some_and(|name| !name.is_empty() && !name.contains('/'));
    match Part::of(path) {
        _ if is_stream || path == "*" => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        Part::Legacy => "GET, HEAD, PUT, OPTIONS",
        _ => "GET, HEAD, OPTIONS",
    }
}

/// The origins that may read.
#[derive(Debug)]
pub(crate) struct Cors {
    all: bool,
    origins: Vec<String>,
}

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Self {
        let normal = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        let origins: Vec<_> = origins.iter().map(normal).collect();
        Self { all: origins.iter().any(|origin| origin == "*"), origins }
    }

    /// The value of `Access-Control-Allow-Origin` for this request, if it gets one.
    pub(crate) fn allowed(&self, part: Part, head: &Parts) -> Option<HeaderValue> {
        // livelog says so to everybody, also to those that name no origin.
        if part == Part::Legacy || self.all {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = single(&head.headers, &ORIGIN)?;
        let listed = self.origins.contains(&origin.to_ascii_lowercase());
        listed.then(|| HeaderValue::from_str(origin).ok()).flatten()
    }

    /// Adds to an answer what lets a page read it.
    pub(crate) fn decorate(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.all && !self.origins.is_empty() {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// The answer to OPTIONS, which never has a body: what is possible, and for a page that asks before it
/// reads, what it may send.
pub(crate) fn options(allowed: bool, head: &Parts) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = methods(head.uri.path());
    headers.insert(http::header::ALLOW, HeaderValue::from_static(methods));
    if allowed && is_preflight(head) {
        let permit = HeaderValue::from_static("Authorization, Range, If-Range, Last-Event-ID");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, permit);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
