//! What every request passes before a route sees it, in this order: limits, host, method, place,
//! token. And what every answer gets on its way out.

use std::sync::Arc;
use std::time::Instant;

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::body::Incoming;

use super::activity::InFlight;
use super::credential::{self, Verdict};
use super::home::Reason;
use super::watched::{Entry, Impatient, Watched};
use crate::auth::Grant;
use crate::body::Body;
use crate::cors::{self, Cors};
use crate::failures::Failures;
use crate::hosts::Hosts;
use crate::journal::Journal;
use crate::message::{Peer, Request, Response, Side};
use crate::metrics::{Counter, Gauge, Metrics};
use crate::options::{Limits, Timers};
use crate::problem::Problem;
use crate::service::{Part, Service};
use crate::shutdown::Shutdown;
use crate::tokens::{Lease, Tokens};

/// The part of the server that all connections share.
pub(crate) struct Front {
    pub(crate) service: Box<dyn Service>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) failures: Failures,
    pub(crate) hosts: Hosts,
    pub(crate) cors: Cors,
    pub(crate) compat_livelog: bool,
    pub(crate) limits: Limits,
    pub(crate) timers: Timers,
    pub(crate) journal: Journal,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: Shutdown,
}

/// What is known of a connection before it asks for anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: Peer,
    /// Whether it came to an address that only this machine reaches.
    pub(crate) loopback: bool,
    /// Whether there is a place for it; otherwise it only learns that there is none.
    pub(crate) served: bool,
}

/// A request that was let in.
struct Admitted {
    grant: Grant,
    lease: Option<Lease>,
}

impl Front {
    /// Answers one request.
    ///
    /// `held` keeps the connection from being idle until the answer is over.
    pub(crate) async fn answer(
        &self,
        request: http::Request<Incoming>,
        origin: Origin,
        held: InFlight,
    ) -> http::Response<Watched> {
        let since = Instant::now();
        let (head, incoming) = request.into_parts();
        let part = Part::of(head.uri.path());
        let seen = Seen::of(&head);
        let allowed = self.cors.allowed(part, &head);
        let mut entry = self.entry(&head, origin.peer, since);
        let (mut response, lease) = match self.admit(&head, part, origin).await {
            Err(problem) => (problem.answer_for(&head.headers), None),
            Ok(None) => (cors::options(allowed.is_some(), &head), None),
            Ok(Some(_)) if !origin.served => (self.overloaded(&head.headers), None),
            Ok(Some(Admitted { grant, lease: None })) if grant.token_id.is_some() => {
                entry.token_id = grant.token_id;
                (self.overloaded(&head.headers), None)
            }
            Ok(Some(Admitted { grant, lease })) => {
                entry.token_id.clone_from(&grant.token_id);
                let body = self.patient(incoming);
                let _writing = writes(&head.method).then(Reason::writing);
                let shutdown = self.shutdown.clone();
                let request = Request { head, body, peer: origin.peer, grant, shutdown };
                (self.serve(request, lease.as_ref()).await, lease)
            }
        };
        self.cors.decorate(allowed, response.headers_mut());
        seen.decorate(&mut response, origin.served);
        self.counters.answered(part, response.status());
        entry.line += &format!(" {}", response.status().as_u16());
        let in_flight = self.counters.in_flight.hold();
        response.map(|body| {
            entry.announced = http_body::Body::size_hint(&body).exact();
            entry.complete = seen.head || http_body::Body::is_end_stream(&body);
            Watched::new(body, lease, entry, (held, in_flight))
        })
    }

    /// What the service answers, unless the token is revoked before it does.
    async fn serve(&self, request: Request, lease: Option<&Lease>) -> Response {
        let headers = request.headers().get(ACCEPT).cloned();
        let Some(lease) = lease else { return self.service.call(request).await };
        let revoked = lease.0.revoked.clone();
        tokio::select! {
            response = self.service.call(request) => response,
            () = revoked.requested() => {
                let headers = headers.map(|accept| (ACCEPT, accept)).into_iter().collect();
                credential::denied().answer_for(&headers)
            }
        }
    }

    fn patient(&self, incoming: Incoming) -> Body {
        let body = Body::from(incoming);
        match self.timers.writer_idle {
            Some(time) if !http_body::Body::is_end_stream(&body) => Impatient::body(body, time),
            _ => body,
        }
    }

    /// Lets a request in, or says why not. `None` is for OPTIONS, which needs no permission.
    async fn admit(
        &self,
        head: &Parts,
        part: Part,
        origin: Origin,
    ) -> Result<Option<Admitted>, Problem> {
        self.check_size(head)?;
        if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
            return Err(Problem::bad_request("HTTP/1.1 has to name the host"));
        }
        if origin.loopback && !self.hosts.allow(head) {
            let text = "this server is not known by that host name; --allow-host adds names";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
        }
        match head.method {
            Method::OPTIONS => return Ok(None),
            // No POST: a page of anybody could send one without asking the browser for permission.
            Method::GET | Method::HEAD | Method::PUT | Method::PATCH | Method::DELETE => {}
            _ => return Err(Problem::method_not_allowed(cors::methods(head.uri.path()))),
        }
        let there = matches!(part, Part::Legacy | Part::Streams | Part::Health);
        if origin.peer.side == Side::Put && !there {
            return Err(Problem::not_found());
        }
        self.authorize(head, part, origin.peer).await.map(Some)
    }

    fn check_size(&self, head: &Parts) -> Result<(), Problem> {
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let target = target + head.uri.authority().map_or(0, |host| host.as_str().len());
        if target > self.limits.target_bytes_max {
            return Err(Problem::new(StatusCode::URI_TOO_LONG, "the target is too long"));
        }
        let headers = &head.headers;
        let bytes: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if headers.len() > self.limits.headers_max || bytes + target > self.limits.head_bytes_max {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Problem::new(status, "the headers are too many or too long"));
        }
        Ok(())
    }

    /// Who asks, and whether that is enough.
    async fn authorize(&self, head: &Parts, part: Part, peer: Peer) -> Result<Admitted, Problem> {
        let needed = credential::needed(head, part, peer.side);
        let verdict =
            credential::check(&self.tokens, head, part, peer.side, needed, self.compat_livelog);
        match verdict {
            Verdict::Open(access) => Ok(Admitted { grant: Grant::open(access), lease: None }),
            Verdict::Token(token) if Some(token.access) >= needed => {
                let grant = Grant { access: token.access, token_id: Some(token.id.clone()) };
                let lease = Lease::take(token, self.limits.requests_per_token_max);
                Ok(Admitted { grant, lease })
            }
            Verdict::Token(_) => {
                let text = "this token allows to read only";
                Err(Problem::new(StatusCode::FORBIDDEN, text))
            }
            Verdict::Closed => {
                let text = "writing is not possible on this port without a write token";
                Err(Problem::new(StatusCode::FORBIDDEN, text))
            }
            Verdict::Denied => Err(self.deny(peer).await),
        }
    }

    /// The answer to a wrong token. Whoever sends many of them waits for it.
    async fn deny(&self, peer: Peer) -> Problem {
        self.counters.denied.increment();
        if !self.failures.count(peer.address.ip(), Instant::now()) {
            return credential::denied();
        }
        tokio::time::sleep(self.timers.auth_failure_delay).await;
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute")
            .header(RETRY_AFTER, HeaderValue::from_static("60"))
            .header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer when there is no place.
    ///
    /// An EventSource gives up for good after any status but 200, so it gets one, and the advice to
    /// come again.
    fn overloaded(&self, headers: &HeaderMap) -> Response {
        self.counters.overloaded.increment();
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("text/event-stream")) {
            let mut response = Response::new(Body::full("retry: 5000\n\n"));
            let kind = HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            return response;
        }
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections; try again soon")
            .header(RETRY_AFTER, HeaderValue::from_static("5"))
            .answer_for(headers)
    }

    fn entry(&self, head: &Parts, peer: Peer, since: Instant) -> Entry {
        let line = if self.journal.is_kept() {
            let path = credential::without_tokens(&self.tokens, head.uri.path());
            format!("{} {} {path}", peer.address, head.method)
        } else {
            String::new()
        };
        Entry {
            journal: self.journal.clone(),
            counters: self.counters.clone(),
            line,
            token_id: None,
            since,
            bytes: 0,
            announced: None,
            complete: false,
            cut: None,
        }
    }
}

/// Whether a request brings bytes that are stored.
fn writes(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::PATCH)
}

/// What of a request matters for its answer's last touches.
#[derive(Clone, Copy)]
struct Seen {
    head: bool,
    /// Whether HTTP/1.1 must end with this answer: the guard lets everything pass after chunks.
    last: bool,
    /// Whether `Connection` may be said at all.
    first_version: bool,
}

impl Seen {
    fn of(head: &Parts) -> Self {
        let first_version = head.version < Version::HTTP_2;
        let last = first_version && head.headers.contains_key(TRANSFER_ENCODING);
        Self { head: head.method == Method::HEAD, last, first_version }
    }

    fn decorate(self, response: &mut Response, served: bool) {
        let status = response.status();
        let too_big = matches!(
            status,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG
        );
        let headers = response.headers_mut();
        let nosniff = HeaderName::from_static("x-content-type-options");
        headers.entry(nosniff).or_insert(HeaderValue::from_static("nosniff"));
        if !self.first_version {
            headers.remove(CONNECTION);
        } else if self.last || too_big || !served {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Numbers about connections and requests.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) connections_open: Gauge,
    pub(crate) refused: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) sent_bytes: Counter,
    pub(crate) denied: Counter,
    pub(crate) overloaded: Counter,
    requests: Vec<(Part, [Counter; 5])>,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        let requests = |(part, name): &(Part, &str)| {
            let of = |class| {
                let labels = [("part", *name), ("status", class)];
                metrics.counter("logq_requests_total", "Requests answered.", &labels)
            };
            (*part, ["1xx", "2xx", "3xx", "4xx", "5xx"].map(of))
        };
        Self {
            connections: counter("logq_connections_total", "Connections accepted."),
            connections_open: metrics.gauge("logq_connections", "Connections open now.", &[]),
            refused: counter("logq_connections_refused_total", "Connections without a place."),
            handshakes_failed: counter("logq_tls_failures_total", "TLS handshakes that failed."),
            in_flight: metrics.gauge("logq_requests", "Requests in flight now.", &[]),
            sent_bytes: counter("logq_sent_bytes_total", "Bytes of bodies sent."),
            denied: counter("logq_auth_failures_total", "Requests with a wrong token or none."),
            overloaded: counter("logq_overloaded_total", "Requests refused for want of a place."),
            requests: Part::NAMES.iter().map(requests).collect(),
        }
    }

    fn answered(&self, part: Part, status: StatusCode) {
        let counters = self.requests.iter().find(|(of, _)| *of == part);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = counters.and_then(|(_, counters)| counters.get(class)) {
            counter.increment();
        }
    }
}
