//! Errors as clients see them: a status and a short text, as JSON or plain text.
//!
//! The text is written in this program and never holds anything of the request, so no error page can
//! be made to say what an attacker wants.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::body::Body;
use crate::message::{Request, Response};

/// An answer that says why there is no better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    text: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with a status of 4xx or 5xx and a short text: lower case, no full stop, what is wrong
    /// and the way out. `text` must not hold anything that came with the request.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), headers: Vec::new() }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 404: there is no such thing, whatever was asked for.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// 405: the method is not among `allow`, a list such as `GET, HEAD`.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not possible here")
            .header(http::header::ALLOW, HeaderValue::from_static(allow))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The answer to `request`, as JSON if it prefers that.
    #[must_use]
    pub fn answer(self, request: &Request) -> Response {
        self.answer_for(&request.head.headers)
    }

    /// As [`Self::answer`], given the request's headers.
    #[must_use]
    pub fn answer_for(self, headers: &HeaderMap) -> Response {
        let (kind, body) = if wants_json(headers) {
            let body = serde_json::json!({ "status": self.status.as_u16(), "error": self.text });
            ("application/json", format!("{body}\n"))
        } else {
            ("text/plain; charset=utf-8", format!("{}\n", self.text))
        };
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(self.headers);
        response
    }
}

/// Whether the client names JSON, or anything that is JSON, among what it accepts.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        let kind = kind.to_ascii_lowercase();
        kind.strip_prefix("application/").is_some_and(|kind| {
            kind == "json" || kind.ends_with("+json") || kind.ends_with("ndjson")
        })
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn check(accept: Option<&'static str>, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
        let problem = Problem::new(StatusCode::CONFLICT, "somebody \"else\" writes");
        let response = problem.answer_for(&headers);
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        assert_eq!(str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn text_unless_json_is_asked_for() {
        let json = "{\"error\":\"somebody \\\"else\\\" writes\",\"status\":409}\n";
        let text = "somebody \"else\" writes\n";
        check(None, text);
        check(Some("*/*"), text);
        check(Some("text/html,application/xml;q=0.9"), text);
        check(Some("application/json"), json);
        check(Some("text/plain, Application/JSON;q=0.5"), json);
        check(Some("application/x-ndjson"), json);
        check(Some("application/problem+json"), json);
    }
}
