//! What browsers show, at `/`, and the description of the interface, at `/v1/openapi.json`: files that
//! are part of this program, and nothing of what it serves.

use std::sync::LazyLock;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::message::{Request, Response};
use crate::problem::Problem;
use crate::service::{Answering, Service};

/// What the page may do: load its own three files and talk to its own server. Text from a log that got
/// into the document in some way could neither run nor load nor send anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Serves the page, its style and script, and the OpenAPI description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page;

struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Of the content, so that browsers ask again and get nothing new.
    tag: HeaderValue,
}

static FILES: LazyLock<[File; 4]> = LazyLock::new(|| {
    [
        file("/", "text/html; charset=utf-8", include_bytes!("page/index.html")),
        file("/page.css", "text/css; charset=utf-8", include_bytes!("page/page.css")),
        file("/page.js", "text/javascript; charset=utf-8", include_bytes!("page/page.js")),
        file("/v1/openapi.json", "application/json", include_bytes!("page/openapi.json")),
    ]
});

fn file(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> File {
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    let mut tag = String::from("\"");
    for byte in digest.iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
    File { path, kind, bytes, tag }
}

impl Service for Page {
    fn call(&self, request: Request) -> Answering<'_> {
        let response = answer(&request).unwrap_or_else(|problem| problem.answer(&request));
        Box::pin(std::future::ready(response))
    }
}

fn answer(request: &Request) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.path == request.path());
    let file = file.ok_or_else(Problem::not_found)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    let known = request.header(IF_NONE_MATCH).unwrap_or_default();
    let is_known = known.split(',').any(|tag| tag.trim().as_bytes() == file.tag.as_bytes());
    let mut response = Response::new(if is_known { Body::empty() } else { Body::full(file.bytes) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(ETAG, file.tag.clone());
    for (name, value) in [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str, tag: Option<&HeaderValue>) -> Response {
        let mut request = http::Request::get(path);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        Page.call(Request::for_test(request.body(Body::empty()).unwrap())).await
    }

    /// E.3.2
    #[test]
    fn the_page_is_small_and_needs_no_inline_code() {
        let page: Vec<_> = FILES.iter().filter(|file| !file.path.ends_with("json")).collect();
        let bytes: usize = page.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes < 60 << 10, "{bytes} bytes");
        let html = str::from_utf8(FILES[0].bytes).unwrap();
        for inline in ["<script>", "<style", "style=", "onclick", "javascript:"] {
            assert!(!html.contains(inline), "{inline} in the page");
        }
        let script = str::from_utf8(FILES[2].bytes).unwrap();
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(sink), "{sink} in the script");
        }
    }

    #[tokio::test]
    async fn browsers_get_what_is_new_once() {
        let first = get("/", None).await;
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = first.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        // E.2.5: where somebody goes from the page learns nothing of its address.
        assert_eq!(first.headers()[REFERRER_POLICY], "no-referrer");
        let again = get("/", Some(&first.headers()[ETAG])).await;
        assert_eq!(again.status(), 304);
        let other = get("/page.js", Some(&first.headers()[ETAG])).await;
        assert_eq!(other.status(), 200);
        assert_eq!(get("/page.html", None).await.status(), 404);
    }
}
