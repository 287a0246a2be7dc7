//! `/v1/stores`: questions about stores, in the words of the command.
//!
//! ```text
//!  request -> words -> a thread that may block: open, scan ---- pieces ----> body
//!             400       one of a few; else 503            <- client left --
//! ```
//!
//! | path | answer |
//! |---|---|
//! | `/v1/stores` | their names, and what time they cover |
//! | `/v1/stores/<name>/records` | records: text, JSON lines, events, or blocks as they are stored |
//! | `/v1/stores/<name>/stats` | what it holds |
//! | `/v1/stores/<name>/aggregate` | counts in groups, quantiles |
//! | `/v1/stores/<name>/histogram` | counts over time |
//! | `/v1/stores/<name>/requests/<id>` | one request as a timeline |
//!
//! An answer holds a few pieces of 64 KiB and what the reader has in flight, however large it is; a
//! client that reads slowly makes the reader wait, one that leaves ends it. What is wrong with a
//! question is told without repeating it.

mod channel;
mod follow;
mod format;
mod monitor;
mod numbers;
mod parameters;
mod question;
mod records;
mod refusal;
mod selection;
mod told;
mod trace;
mod turns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, TRAILER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use self::channel::{Stop, channel};
use self::format::Format;
pub use self::format::TextLine;
pub use self::monitor::Monitor;
pub(crate) use self::parameters::Parameters;
use self::records::{Asked, Head};
pub(crate) use self::refusal::Refusal;
use self::turns::{Turn, Turns, whole};
use crate::body::Body;
use crate::message::{Peer, Request, Response};
use crate::metrics::{Counter, Gauge, Metrics};
use crate::problem::Problem;
use crate::service::{Answering, Service};
use crate::shutdown::Shutdown;
use crate::threads::{in_background, start_in_background};

/// What is served, and how much at once.
#[derive(Clone, Debug)]
pub struct StoresOptions {
    /// The stores by name. A name has letters, digits, `.`, `_` and `-`, at most 128 of them, and does
    /// not begin with a dot.
    pub stores: BTreeMap<String, PathBuf>,
    /// How a record looks as text.
    pub text: TextLine,
    /// The zone of times where a question names none.
    pub zone: TimeZone,
    /// Questions that are answered at once, three quarters of them at most to one address; each has a
    /// thread. Further ones wait a moment, then get 503.
    pub questions_max: usize,
    /// Clients that follow at once, three quarters of them at most from one address; each has a thread
    /// that sleeps most of the time.
    pub followers_max: usize,
}

impl StoresOptions {
    /// These stores, in UTC, with eight questions and 64 followers at once.
    #[must_use]
    pub fn new(stores: BTreeMap<String, PathBuf>, text: TextLine) -> Self {
        Self { stores, text, zone: TimeZone::UTC, questions_max: 8, followers_max: 64 }
    }
}

/// Answers questions about stores.
#[derive(Debug)]
pub struct Stores {
    options: StoresOptions,
    questions: Turns,
    followers: Turns,
    asked: Counter,
    failed: Counter,
    following: Gauge,
}

impl Stores {
    /// Serves stores, which need not be there yet.
    #[must_use]
    pub fn new(options: StoresOptions, metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        Self {
            questions: Turns::new(options.questions_max),
            followers: Turns::new(options.followers_max),
            asked: counter("logq_questions_total", "Questions about stores."),
            failed: counter(
                "logq_questions_failed_total",
                "Questions that a store could not answer.",
            ),
            following: metrics.gauge("logq_followers", "Clients that follow stores.", &[]),
            options,
        }
    }

    /// Whether a name can be that of a store.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain)
    }

    async fn answer(
        &self,
        head: &Parts,
        peer: Peer,
        shutdown: Shutdown,
    ) -> Result<Response, Problem> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        let rest = head.uri.path().strip_prefix("/v1/stores").unwrap_or_default();
        if rest.is_empty() {
            return self.list(head, peer).await;
        }
        let mut parts = rest.split('/').skip(1);
        let store = parts.next().and_then(|name| self.options.stores.get(name));
        let store = store.ok_or_else(Problem::not_found)?.clone();
        self.asked.increment();
        match (parts.next(), parts.next(), parts.next()) {
            (Some("records"), None, None) => self.records(store, head, peer, shutdown).await,
            (Some("stats"), None, None) => {
                self.numbers(head, peer, move |query, _, _| numbers::stats(&store, query)).await
            }
            (Some("aggregate"), None, None) => {
                let work = move |query: &str, zone: &TimeZone, stop: &Stop| {
                    numbers::aggregate(&store, query, zone, stop)
                };
                self.numbers(head, peer, work).await
            }
            (Some("histogram"), None, None) => {
                let work = move |query: &str, zone: &TimeZone, stop: &Stop| {
                    numbers::histogram(&store, query, zone, stop)
                };
                self.numbers(head, peer, work).await
            }
            (Some("requests"), Some(id), None) => {
                let id = id.to_owned();
                let work = move |query: &str, _: &TimeZone, stop: &Stop| {
                    trace::request(&store, &id, query, stop)
                };
                self.text(head, peer, work).await
            }
            _ => Err(Problem::not_found()),
        }
    }

    async fn list(&self, head: &Parts, peer: Peer) -> Result<Response, Problem> {
        Parameters::parse(query_of(head), &[])?;
        let stores = self.options.stores.clone();
        let list = move |_: &Stop| stores.iter().map(|(name, path)| listed(name, path)).collect();
        let (stores, turn): (Vec<Value>, _) = aside(&self.questions, peer, list).await?;
        Ok(json_response(format!("{}\n", json!({ "stores": stores })), turn, head))
    }

    /// Makes an answer of numbers.
    async fn numbers(
        &self,
        head: &Parts,
        peer: Peer,
        work: impl FnOnce(&str, &TimeZone, &Stop) -> Result<Value, Refusal> + Send + 'static,
    ) -> Result<Response, Problem> {
        let text = move |query: &str, zone: &TimeZone, stop: &Stop| {
            work(query, zone, stop).map(|answer| format!("{answer}\n").into_bytes())
        };
        self.text(head, peer, text).await
    }

    async fn text(
        &self,
        head: &Parts,
        peer: Peer,
        work: impl FnOnce(&str, &TimeZone, &Stop) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Result<Response, Problem> {
        let (query, zone) = (query_of(head).to_owned(), self.options.zone.clone());
        let work = move |stop: &Stop| work(&query, &zone, stop);
        let (done, turn) = aside(&self.questions, peer, work).await?;
        let text = done.map_err(|refusal| self.told(refusal))?;
        Ok(json_response(text, turn, head))
    }

    async fn records(
        &self,
        store: PathBuf,
        head: &Parts,
        peer: Peer,
        shutdown: Shutdown,
    ) -> Result<Response, Problem> {
        let (zone, text) = (self.options.zone.clone(), self.options.text);
        let asked = Asked::new(store, query_of(head), &head.headers, zone, text, shutdown);
        let asked = asked.map_err(|refusal| self.told(refusal))?;
        let format = asked.printer.format;
        let turns = if asked.follow { &self.followers } else { &self.questions };
        let turn = match turns.take(peer.address.ip()).await {
            Ok(turn) => turn,
            // An event stream that is refused never asks again.
            Err(_) if format == Format::Sse => return Ok(later()),
            Err(problem) => return Err(problem),
        };
        let held = asked.follow.then(|| self.following.hold());
        let version = head.version;
        let (head_sender, head) = oneshot::channel();
        let (sender, body) = channel(version);
        start_in_background(move || {
            let (_turn, _held) = (turn, held);
            match asked.follow {
                true => follow::send(asked, head_sender, sender),
                false => records::send(asked, head_sender, sender),
            }
        })
        .map_err(|_| broken())?;
        let head = head.await.map_err(|_| broken())?.map_err(|refusal| self.told(refusal))?;
        Ok(response(&head, format, body))
    }

    /// What the client is told of a refusal; what is the store's fault is counted.
    fn told(&self, refusal: Refusal) -> Problem {
        let problem = refusal.problem();
        if problem.status().is_server_error() {
            self.failed.increment();
        }
        problem
    }
}

impl Service for Stores {
    fn call(&self, request: Request) -> Answering<'_> {
        // A body would have nothing to say.
        let Request { head, peer, shutdown, .. } = request;
        Box::pin(async move {
            let answered = self.answer(&head, peer, shutdown).await;
            answered.unwrap_or_else(|problem| problem.answer_for(&head.headers))
        })
    }
}

/// The query of a request's target; empty if there is none.
fn query_of(head: &Parts) -> &str {
    head.uri.query().unwrap_or_default()
}

/// The `Last-Event-ID` that an event stream goes on with.
fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    crate::message::single(headers, &HeaderName::from_static("last-event-id"))
        .filter(|id| !id.is_empty())
}

/// Does what may block where it may, when its turn has come. When the client leaves, this future is
/// dropped, and the work ends. The turn comes with the result, for as long as that takes memory.
async fn aside<T: Send + 'static>(
    turns: &Turns,
    peer: Peer,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> Result<(T, Turn), Problem> {
    let turn = turns.take(peer.address.ip()).await?;
    let stop = Stop::default();
    let _guard = stop.guard();
    in_background(move || (work(&stop), turn)).await.ok_or_else(broken)
}

/// A panic in the work is a bug of ours, told as such.
fn broken() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made")
}

/// A store in the list.
fn listed(name: &str, path: &Path) -> Value {
    let time = |time: Option<logq_format::Timestamp>| time.map(|time| time.to_string());
    match question::open(path) {
        Ok((snapshot, finality)) => {
            let coverage = snapshot.coverage();
            json!({
                "name": name,
                "first": time(coverage.first),
                "last": time(coverage.last),
                "finalUntil": time(finality.end(coverage)),
                "isThere": true,
            })
        }
        Err(_) => json!({
            "name": name, "first": null, "last": null, "finalUntil": null, "isThere": false,
        }),
    }
}

/// An event stream that is to be asked for again.
fn later() -> Response {
    let mut response = Response::new(Body::full("retry: 3000\n\n"));
    common(response.headers_mut(), Format::Sse.content_type());
    response
}

fn response(head: &Head, format: Format, body: Body) -> Response {
    // Nothing is left: only this answer stops an event stream from asking again.
    if head.is_over {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    common(headers, format.content_type());
    headers.insert(TRAILER, HeaderValue::from_static("logq-complete, logq-records"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let times =
        [(told::FIRST, head.first), (told::LAST, head.last), (told::FINAL_UNTIL, head.final_until)];
    for (name, time) in times {
        let value = time.and_then(|time| HeaderValue::try_from(time.to_string()).ok());
        headers.extend(value.map(|value| (name, value)));
    }
    response
}

/// JSON that no cache keeps, in answer to a request with this head.
fn json_response(text: impl Into<bytes::Bytes>, turn: Turn, head: &Parts) -> Response {
    let mut response = Response::new(whole(text, turn, head.version));
    common(response.headers_mut(), "application/json");
    response
}

/// What every answer says: what it is, that it is nothing else, and that nothing in it may run where a
/// browser opens it.
fn common(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
