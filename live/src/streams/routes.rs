//! `/v1/streams`: the list of streams, and each by its name.
//!
//! | path | methods | query |
//! |---|---|---|
//! | `/v1/streams` | GET, HEAD | |
//! | `/v1/streams/NAME` | GET, HEAD, PUT, PATCH, DELETE | `follow=0`; `wait=S` for the writer; `offset=N&wait=S` to poll |
//! | `/v1/streams/NAME/events` | GET, HEAD | `offset=N`, `wait=S` |

use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;

use crate::auth::Access;
use crate::body::Body;
use crate::message::{Request, Response};
use crate::model::{StreamName, decimal};
use crate::problem::Problem;
use crate::service::{Answering, Service};

use super::reading::{Manner, absent, leaving, poll, read, watch};
use super::record::{hex, to_ms};
use super::stream::Stream;
use super::table::{Streams, WriteError};
use super::writing::{closing, patch, put, refused};

/// What `NAME` allows.
const METHODS: &str = "GET, HEAD, PUT, PATCH, DELETE";

/// How long a poll waits that does not say.
const POLL_WAIT: Duration = Duration::from_secs(25);

/// The longest that a request waits for a writer.
const ARRIVAL_WAIT_MAX: Duration = Duration::from_secs(60);

/// Answers `/v1/streams`.
#[derive(Clone, Debug)]
pub struct StreamRoutes(Streams);

impl StreamRoutes {
    /// Routes to these streams.
    #[must_use]
    pub const fn new(streams: Streams) -> Self {
        Self(streams)
    }

    async fn answer(&self, request: &mut Request) -> Result<Response, Problem> {
        let path = request.path().strip_prefix("/v1/streams").unwrap_or_default().to_owned();
        match path.strip_prefix('/') {
            None => self.list(request),
            Some(rest) => {
                let (name, events) = match rest.strip_suffix("/events") {
                    Some(name) => (name, true),
                    None => (rest, false),
                };
                // What is no name was never a stream's, and is not told apart from one that is absent.
                let name = name.parse().map_err(|_| absent(None))?;
                self.one(&name, events, request).await
            }
        }
    }

    async fn one(
        &self,
        name: &StreamName,
        events: bool,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        let method = request.method().clone();
        match method {
            Method::GET | Method::HEAD => self.read(name, events, request).await,
            _ if events => Err(Problem::method_not_allowed("GET, HEAD")),
            Method::PUT => put(&self.0, name, request).await,
            Method::PATCH => patch(&self.0, name, request).await,
            Method::DELETE => self.delete(name, request),
            _ => Err(closing(Problem::method_not_allowed(METHODS))),
        }
    }

    async fn read(
        &self,
        name: &StreamName,
        events: bool,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        let query = Query::parse(request.query())?;
        let arrival = match query.offset {
            // A poll waits for bytes, not for a writer.
            Some(_) if !events => Duration::ZERO,
            _ => query.wait.unwrap_or_default().min(ARRIVAL_WAIT_MAX),
        };
        let stream = tokio::select! {
            biased;
            arrived = self.0.find_within(name, arrival) => arrived.ok_or_else(|| absent(None))?,
            () = request.shutdown.requested() => return Err(leaving()),
        };
        let numbers = self.0.numbers();
        if events || wants_events(request) {
            return watch(stream, request, query.offset.unwrap_or(0), numbers);
        }
        match query.offset {
            Some(offset) if *request.method() == Method::GET => {
                let wait = query.wait.unwrap_or(POLL_WAIT);
                poll(&stream, offset, wait, request, numbers).await
            }
            _ => {
                read(stream, request, Manner { follow: query.follow, livelog: false }, numbers)
                    .await
            }
        }
    }

    fn delete(&self, name: &StreamName, request: &Request) -> Result<Response, Problem> {
        if request.grant.access < Access::Write {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this token may read only"));
        }
        match self.0.remove(name) {
            Ok(()) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            Err(WriteError::Absent) => Err(absent(None)),
            Err(error) => Err(refused(error)),
        }
    }

    fn list(&self, request: &Request) -> Result<Response, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(closing(Problem::method_not_allowed("GET, HEAD")));
        }
        let streams: Vec<_> = self.0.list().iter().map(|stream| listed(stream)).collect();
        let text = format!("{}\n", json!({ "streams": streams }));
        let mut response = Response::new(Body::full(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// What the list tells of a stream. Times are milliseconds since the Unix epoch.
fn listed(stream: &Stream) -> serde_json::Value {
    let progress = stream.progress();
    json!({
        "name": stream.name.as_str(),
        "generation": stream.generation.to_string(),
        "state": progress.state.as_str(),
        "length": progress.len,
        "contentType": stream.content_type.header(),
        "createdMs": to_ms(stream.created),
        "endedMs": stream.ended().map(to_ms),
        "sha256": stream.digest().known().map(|sha256| hex(&sha256)),
        "readers": stream.reader_count(),
    })
}

impl Service for StreamRoutes {
    fn call(&self, mut request: Request) -> Answering<'_> {
        Box::pin(async move {
            let answered = self.answer(&mut request).await;
            answered.unwrap_or_else(|problem| problem.answer(&request))
        })
    }
}

fn wants_events(request: &Request) -> bool {
    let fields = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|range| {
        range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// What a query says about reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Query {
    follow: bool,
    offset: Option<u64>,
    wait: Option<Duration>,
}

impl Query {
    /// Reads a query; words it does not know are for others.
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut read = Self { follow: true, offset: None, wait: None };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = || {
                decimal(value).ok_or_else(|| Problem::bad_request("offset and wait are numbers"))
            };
            match key {
                "follow" => read.follow = !matches!(value, "0" | "false"),
                "offset" => read.offset = Some(number()?),
                "wait" => read.wait = Some(Duration::from_secs(number()?)),
                _ => {}
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let check = |query: &str, follow, offset, wait: Option<u64>| {
            let wait = wait.map(Duration::from_secs);
            assert_eq!(Query::parse(query), Ok(Query { follow, offset, wait }), "{query}");
        };
        check("", true, None, None);
        check("follow=0&x=y&&z", false, None, None);
        check("offset=7&wait=25", true, Some(7), Some(25));
        for bad in ["offset=-1", "offset=", "wait=1.5", "offset=99999999999999999999"] {
            assert_eq!(Query::parse(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
