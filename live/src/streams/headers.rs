//! What answers about a stream say in their headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, TE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use crate::model::Progress;

use super::stream::Stream;

/// The state of the stream when the answer was made.
pub(super) const STATE: HeaderName = HeaderName::from_static("logq-state");
/// Its length then.
pub(super) const LENGTH: HeaderName = HeaderName::from_static("logq-length");
/// The offset at which the body starts; in requests, where a writer goes on.
pub(super) const OFFSET: HeaderName = HeaderName::from_static("logq-offset");
/// The offset to ask for next, after a body that ends.
pub(super) const NEXT: HeaderName = HeaderName::from_static("logq-next");
/// The digest of the whole stream, as RFC 9530 writes it.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// For nginx and its kin: pass bytes on as they come.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A number as a header.
pub(super) fn number(number: u64) -> HeaderValue {
    HeaderValue::from(number)
}

/// A text of this program's making as a header.
pub(super) fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"))
}

/// State and length, which every answer tells.
pub(super) fn tell_progress(headers: &mut HeaderMap, progress: Progress) {
    headers.insert(STATE, HeaderValue::from_static(progress.state.as_str()));
    headers.insert(LENGTH, number(progress.len));
}

/// Everything an answer tells that sends a stream, or would.
pub(super) fn describe(headers: &mut HeaderMap, stream: &Stream, progress: Progress) {
    tell_progress(headers, progress);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(stream.content_type.header()));
    headers.insert(ETAG, text(&stream.tag(progress).to_string()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let caching = if progress.state.is_terminal() { "private, no-cache" } else { "no-store" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if let Some(sha256) = stream.digest().known() {
        headers.insert(DIGEST, digest(&sha256));
    }
}

/// A digest as RFC 9530 writes it.
pub(super) fn digest(sha256: &[u8; 32]) -> HeaderValue {
    text(&format!("sha-256=:{}:", STANDARD.encode(sha256)))
}

/// Says that bytes come as they are written, and must not be held up on the way.
pub(super) fn flows(headers: &mut HeaderMap) {
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// Whether the client takes trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| {
        coding.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("trailers")
    })
}
