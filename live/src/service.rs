//! What answers requests, and which part of it answers which path.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Method};

use crate::body::Body;
use crate::message::{Request, Response};
use crate::metrics::Metrics;
use crate::problem::Problem;

/// An answer that is being made.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// Something that answers requests.
///
/// The connection's task makes the answer, so a call must not block. When the client leaves, the
/// future is dropped; when it is answered, the rest is the body's matter.
pub trait Service: Send + Sync + 'static {
    /// Answers `request`. Errors are answers too: see [`Problem`].
    fn call(&self, request: Request) -> Answering<'_>;
}

/// Sends each request to the part that knows its path.
///
/// | path | part |
/// |---|---|
/// | `/log`, `/log/...` | legacy: as livelog |
/// | `/v1/streams`, `/v1/streams/...` | streams |
/// | `/v1/stores`, `/v1/stores/...` | stores |
/// | `/v1/monitor`, `/v1/monitor/...` | monitor |
/// | `/metrics`, `/healthz` | the router itself |
/// | everything else | page |
///
/// A part that is not there answers 404.
pub struct Router {
    legacy: Arc<dyn Service>,
    streams: Arc<dyn Service>,
    stores: Arc<dyn Service>,
    monitor: Arc<dyn Service>,
    page: Arc<dyn Service>,
    metrics: Metrics,
}

impl Router {
    /// A router without any part.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let nothing: Arc<dyn Service> = Arc::new(Nothing);
        Self {
            legacy: nothing.clone(),
            streams: nothing.clone(),
            stores: nothing.clone(),
            monitor: nothing.clone(),
            page: nothing,
            metrics,
        }
    }

    /// Sets what answers `/log`.
    #[must_use]
    pub fn legacy(mut self, service: impl Service) -> Self {
        self.legacy = Arc::new(service);
        self
    }

    /// Sets what answers `/v1/streams`.
    #[must_use]
    pub fn streams(mut self, service: impl Service) -> Self {
        self.streams = Arc::new(service);
        self
    }

    /// Sets what answers `/v1/stores`.
    #[must_use]
    pub fn stores(mut self, service: impl Service) -> Self {
        self.stores = Arc::new(service);
        self
    }

    /// Sets what answers `/v1/monitor`.
    #[must_use]
    pub fn monitor(mut self, service: impl Service) -> Self {
        self.monitor = Arc::new(service);
        self
    }

    /// Sets what answers everything else.
    ///
    /// It is asked without any token, so it must hold nothing but what this program contains.
    #[must_use]
    pub fn page(mut self, service: impl Service) -> Self {
        self.page = Arc::new(service);
        self
    }

    fn part(&self, part: Part) -> &dyn Service {
        match part {
            Part::Legacy => &*self.legacy,
            Part::Streams => &*self.streams,
            Part::Stores => &*self.stores,
            Part::Monitor => &*self.monitor,
            Part::Page => &*self.page,
            Part::Metrics => &self.metrics,
            Part::Health => &Health,
        }
    }
}

impl Service for Router {
    fn call(&self, request: Request) -> Answering<'_> {
        self.part(Part::of(request.path())).call(request)
    }
}

/// The parts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Legacy,
    Streams,
    Stores,
    Monitor,
    Metrics,
    Health,
    Page,
}

impl Part {
    /// All parts, as counters name them.
    pub(crate) const NAMES: &[(Self, &'static str)] = &[
        (Self::Legacy, "legacy"),
        (Self::Streams, "streams"),
        (Self::Stores, "stores"),
        (Self::Monitor, "monitor"),
        (Self::Metrics, "metrics"),
        (Self::Health, "health"),
        (Self::Page, "page"),
    ];

    /// Whose path this is.
    pub(crate) fn of(path: &str) -> Self {
        const PREFIXES: &[(&str, Part)] = &[
            ("/log", Part::Legacy),
            ("/v1/streams", Part::Streams),
            ("/v1/stores", Part::Stores),
            ("/v1/monitor", Part::Monitor),
        ];
        match path {
            "/metrics" => return Self::Metrics,
            "/healthz" => return Self::Health,
            _ => {}
        }
        let below = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        PREFIXES.iter().find(|(prefix, _)| below(prefix)).map_or(Self::Page, |(_, part)| *part)
    }
}

/// The part that is not there.
struct Nothing;

impl Service for Nothing {
    fn call(&self, request: Request) -> Answering<'_> {
        let response = Problem::not_found().answer(&request);
        Box::pin(std::future::ready(response))
    }
}

/// `/healthz`: says that the server answers.
struct Health;

impl Service for Health {
    fn call(&self, request: Request) -> Answering<'_> {
        let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
            text("ok\n")
        } else {
            Problem::method_not_allowed("GET, HEAD").answer(&request)
        };
        Box::pin(std::future::ready(response))
    }
}

/// Plain text that no cache keeps.
pub(crate) fn text(text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(http::header::CONTENT_TYPE, plain);
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_parts() {
        for (path, part) in [
            ("/", Part::Page),
            ("/log", Part::Legacy),
            ("/log/", Part::Legacy),
            ("/log/token", Part::Legacy),
            ("/logs", Part::Page),
            ("/v1/streams", Part::Streams),
            ("/v1/streams/build/events", Part::Streams),
            ("/v1/streamsx", Part::Page),
            ("/v1/stores/web/records", Part::Stores),
            ("/v1/monitor/series", Part::Monitor),
            ("/metrics", Part::Metrics),
            ("/metrics/", Part::Page),
            ("/healthz", Part::Health),
            ("//log", Part::Page),
            ("*", Part::Page),
        ] {
            assert_eq!(Part::of(path), part, "{path}");
        }
    }
}
