//! GET and HEAD of a stream: conditions, ranges, waiting for what has yet to come.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::body::Body;
use crate::message::{Request, Response};
use crate::model::{Place, Progress, State};
use crate::problem::Problem;
use crate::range::{Answer, End, Wanted, decide, decide_compat, parse, parse_compat};
use crate::shutdown::Shutdown;

use super::events;
use super::headers::{LENGTH, NEXT, OFFSET, describe, flows, number, takes_trailers, text};
use super::reader::Reader;
use super::sending::send;
use super::stream::Stream;
use super::table::Numbers;

/// How long a request is held that asks for a byte which is not there yet.
pub(super) const HOLD: Duration = Duration::from_secs(30);

/// The longest that a long poll waits.
const POLL_WAIT_MAX: Duration = Duration::from_secs(60);

/// The most that a long poll brings, in bytes.
const POLL_LEN_MAX: u64 = 4 << 20;

/// How a request wants a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether it stays for what has yet to come.
    pub(super) follow: bool,
    /// Whether ranges are the original livelog's.
    pub(super) livelog: bool,
}

/// Answers GET or HEAD with the bytes of a stream.
pub(super) async fn read(
    stream: Arc<Stream>,
    request: &mut Request,
    manner: Manner,
    numbers: &Numbers,
) -> Result<Response, Problem> {
    let head = request.headers();
    if *request.method() == Method::HEAD {
        return Ok(described(&stream));
    }
    if let Some(unchanged) = unchanged(&stream, head) {
        return Ok(unchanged);
    }
    if manner.livelog {
        return read_as_livelog(stream, request, numbers);
    }
    let wanted = wanted(&stream, head);
    let (progress, answer) = decided(&stream, wanted, manner.follow, &request.shutdown).await?;
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &stream, progress);
    let end = match answer {
        Answer::Whole { end } => end,
        Answer::Part { first, last, total, end } => {
            let total = total.map_or("*".to_owned(), |total| total.to_string());
            let range = text(&format!("bytes {first}-{last}/{total}"));
            response.headers_mut().insert(CONTENT_RANGE, range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            end
        }
        Answer::Hold { .. } | Answer::NotSatisfiable => return Err(not_satisfiable(progress)),
    };
    let start = answer.start();
    response.headers_mut().insert(OFFSET, number(start));
    let reader = Reader::new(stream, start, end, request);
    send(&mut response, reader, end, takes_trailers(head), numbers);
    Ok(response)
}

/// What HEAD says: state and length; ranges are GET's matter.
fn described(stream: &Stream) -> Response {
    let progress = stream.progress();
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), stream, progress);
    if progress.state.is_terminal() {
        response.headers_mut().insert(CONTENT_LENGTH, number(progress.len));
    }
    response
}

fn unchanged(stream: &Stream, head: &HeaderMap) -> Option<Response> {
    let progress = stream.progress();
    let tag = stream.tag(progress);
    let mut fields = head.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if !fields.any(|field| tag.none_match_says_unchanged(field)) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), stream, progress);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    Some(response)
}

/// The range that a request asks for, if it may have one.
fn wanted(stream: &Stream, head: &HeaderMap) -> Wanted {
    let mut fields = head.get_all(RANGE).iter();
    let wanted = match (fields.next(), fields.next()) {
        (None, _) => return Wanted::All,
        (Some(field), None) => parse(field.as_bytes()),
        (Some(_), Some(_)) => Wanted::Impossible,
    };
    let progress = stream.progress();
    let allowed = head.get_all(IF_RANGE).iter().all(|condition| {
        let tag = stream.tag(progress);
        condition.to_str().is_ok_and(|condition| tag.if_range_allows(condition, progress.len))
    });
    if allowed { wanted } else { Wanted::All }
}

/// What the request gets, once that can be said.
async fn decided(
    stream: &Stream,
    wanted: Wanted,
    follow: bool,
    shutdown: &Shutdown,
) -> Result<(Progress, Answer), Problem> {
    let mut changes = stream.changes();
    let mut settled = async || {
        loop {
            let progress = *changes.borrow_and_update();
            let answer = decide(wanted, progress, follow);
            if !matches!(answer, Answer::Hold { .. }) || changes.changed().await.is_err() {
                return (progress, answer);
            }
        }
    };
    tokio::select! {
        biased;
        in_time = tokio::time::timeout(HOLD, settled()) => {
            Ok(in_time.unwrap_or_else(|_| (stream.progress(), Answer::NotSatisfiable)))
        }
        () = shutdown.requested() => Err(leaving()),
    }
}

/// The answer to those who wait for what will come when the server is gone.
pub(super) fn leaving() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server shuts down")
        .header(RETRY_AFTER, HeaderValue::from_static("1"))
}

pub(super) fn not_satisfiable(progress: Progress) -> Problem {
    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes")
        .header(CONTENT_RANGE, text(&format!("bytes */{}", progress.len)))
        .header(LENGTH, number(progress.len))
        .header(super::headers::STATE, HeaderValue::from_static(progress.state.as_str()))
}

fn read_as_livelog(
    stream: Arc<Stream>,
    request: &Request,
    numbers: &Numbers,
) -> Result<Response, Problem> {
    let field = request.headers().get(RANGE).map(HeaderValue::as_bytes);
    let asked = field.map_or(Ok((0, None)), parse_compat);
    let progress = stream.progress();
    let (first, last) = asked.map_err(|refused| {
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        Problem::new(status, refused.0)
            .header(CONTENT_RANGE, text(&format!("bytes */{}", progress.len)))
    })?;
    let (start, end) = decide_compat(first, last, progress);
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &stream, progress);
    let reader = Reader::new(stream, start, end, request);
    send(&mut response, reader, end, takes_trailers(request.headers()), numbers);
    Ok(response)
}

/// Answers with the bytes from `offset` on that are there, or will be in time.
pub(super) async fn poll(
    stream: &Arc<Stream>,
    offset: u64,
    wait: Duration,
    request: &mut Request,
    numbers: &Numbers,
) -> Result<Response, Problem> {
    if offset > stream.progress().len {
        return Err(not_satisfiable(stream.progress()));
    }
    let mut changes = stream.changes();
    let grown = changes.wait_for(|now| now.len > offset || now.state.is_terminal());
    let waited = tokio::time::timeout(wait.min(POLL_WAIT_MAX), grown);
    tokio::select! {
        biased;
        _ = waited => {}
        () = request.shutdown.requested() => {}
    }
    let progress = stream.progress();
    let end = progress.len.min(offset.saturating_add(POLL_LEN_MAX));
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), stream, progress);
    response.headers_mut().insert(OFFSET, number(offset));
    response.headers_mut().insert(NEXT, number(end));
    if end == offset {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let reader = Reader::new(stream.clone(), offset, End::Stored(end), request);
    send(&mut response, reader, End::Stored(end), false, numbers);
    Ok(response)
}

/// Answers with events from the place that the client saw last, or from `offset` for one that saw
/// nothing.
pub(super) fn watch(
    stream: Arc<Stream>,
    request: &Request,
    offset: u64,
    numbers: &Numbers,
) -> Result<Response, Problem> {
    let seen = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let place = seen.map(str::parse::<Place>);
    let progress = stream.progress();
    let (start, reset) = match place {
        None => (offset.min(progress.len), false),
        Some(Ok(place))
            if place.generation == stream.generation && place.offset <= progress.len =>
        {
            (place.offset, false)
        }
        Some(_) => (0, true),
    };
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &stream, progress);
    if seen.is_some() && !reset && progress.state.is_terminal() && start == progress.len {
        // The one status that stops an EventSource from coming back.
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(http::header::ACCEPT_RANGES);
    headers.remove(http::header::ETAG);
    flows(headers);
    let reader = Reader::new(stream, start, End::Stream, request);
    *response.body_mut() = match *request.method() {
        Method::HEAD => Body::empty(),
        _ => events::body(reader, reset, numbers),
    };
    Ok(response)
}

/// The answer about a stream that nobody has written yet.
pub(super) fn absent(state: Option<State>) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, "there is no such stream")
        .header(RETRY_AFTER, HeaderValue::from_static("5"));
    match state {
        Some(state) => {
            problem.header(super::headers::STATE, HeaderValue::from_static(state.as_str()))
        }
        None => problem,
    }
}
