//! PUT and PATCH of a stream. Everything that can be refused is refused before the first byte of the body
//! is asked for, so a client that waits for `100 Continue` never uploads in vain.

use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;

use crate::auth::Access;
use crate::body::{Body, BodyError};
use crate::message::{Request, Response};
use crate::model::{Progress, StreamName, decimal};
use crate::problem::Problem;

use super::headers::{DIGEST, LENGTH, OFFSET, STATE, digest, number, tell_progress, text};
use super::receiving::{Received, receive};
use super::record::ContentType;
use super::stream::Stream;
use super::table::{Streams, WriteError};
use super::writer::{AppendError, Writer};

/// With PATCH: the writer will go on with another request, so the end of the body is not the end of the
/// stream.
const MORE: HeaderName = HeaderName::from_static("logq-more");

/// Asks for the digest of the whole stream with the answer.
const WANT_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// Writes a new stream with the body of a request.
pub(super) async fn put(
    streams: &Streams,
    name: &StreamName,
    request: &mut Request,
) -> Result<Response, Problem> {
    allow(request)?;
    let content_type = ContentType::of(request.header(CONTENT_TYPE));
    let len = request.body.size_hint().exact();
    let writer = streams.create(name, content_type, len).map_err(refused)?;
    store(writer, request, true, StatusCode::CREATED).await
}

/// Goes on with a stream whose writer was lost.
pub(super) async fn patch(
    streams: &Streams,
    name: &StreamName,
    request: &mut Request,
) -> Result<Response, Problem> {
    allow(request)?;
    let offset = request.header(OFFSET).and_then(decimal);
    let offset = offset.ok_or_else(|| {
        Problem::bad_request("Logq-Offset must say at which byte the writer goes on")
    })?;
    let ends = request.header(MORE).is_none_or(|more| !matches!(more, "1" | "true"));
    let len = request.body.size_hint().exact();
    let writer = streams.resume(name, offset, len).map_err(refused)?;
    store(writer, request, ends, StatusCode::NO_CONTENT).await
}

fn allow(request: &Request) -> Result<(), Problem> {
    if request.grant.access < Access::Write {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this token may read only"));
    }
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(closing(Problem::new(status, "streams are written without content encoding"))
            .header(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let expected = request.headers().get(EXPECT);
    if expected.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::new(
            StatusCode::EXPECTATION_FAILED,
            "only 100-continue can be expected",
        ));
    }
    Ok(())
}

/// Stores the body, then ends the stream as the body ended. The answer tells how far the stream came.
async fn store(
    mut writer: Writer,
    request: &mut Request,
    ends: bool,
    success: StatusCode,
) -> Result<Response, Problem> {
    let shutdown = request.shutdown.clone();
    let received = receive(&mut request.body, &mut writer, &shutdown).await;
    let stream = writer.stream().clone();
    let problem = match received {
        Received::All if ends => {
            writer.complete();
            if wants_digest(request.headers()) {
                stream.digest().reckoned(&stream).await;
            }
            return Ok(stored(&stream, success));
        }
        Received::All => {
            drop(writer);
            return Ok(stored(&stream, success));
        }
        Received::Lost(error) => {
            drop(writer);
            lost(&error)
        }
        Received::Cut(error) => {
            writer.truncate();
            cut_off(&error)
        }
    };
    Err(closing(told(problem, stream.progress())))
}

/// Whether a writer waits for the digest of what was stored (RFC 9530).
fn wants_digest(headers: &HeaderMap) -> bool {
    let mut wanted = headers.get_all(WANT_DIGEST).iter().filter_map(|value| value.to_str().ok());
    wanted.any(|value| value.split(',').any(|one| is_wanted(one.trim())))
}

/// Whether a member of `Want-Repr-Digest` asks for the one that we have; 0 says that it is not wanted.
fn is_wanted(member: &str) -> bool {
    let (name, weight) = member.split_once('=').unwrap_or((member, "1"));
    name == "sha-256" && weight != "0"
}

fn stored(stream: &Stream, status: StatusCode) -> Response {
    let progress = stream.progress();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    tell_progress(headers, progress);
    headers.insert(ETAG, text(&stream.tag(progress).to_string()));
    if let Some(sha256) = stream.digest().known() {
        headers.insert(DIGEST, digest(&sha256));
    }
    response
}

/// Why the stream is interrupted, for a writer who still listens.
fn lost(error: &BodyError) -> Problem {
    let (status, text) = match error {
        BodyError::Silent => {
            (StatusCode::REQUEST_TIMEOUT, "nothing came for too long: go on with PATCH")
        }
        BodyError::Client(_) => (StatusCode::BAD_REQUEST, "the body broke off: go on with PATCH"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the server shuts down: go on with PATCH later"),
    };
    Problem::new(status, text)
}

fn cut_off(error: &AppendError) -> Problem {
    let status = match error {
        AppendError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        AppendError::Full => StatusCode::INSUFFICIENT_STORAGE,
        AppendError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = match error {
        AppendError::TooLong => "the stream has reached its limit: what came before is kept",
        AppendError::Full => "the disk is full: what came before is kept",
        AppendError::Io(_) => "the disk failed: what came before is kept",
    };
    Problem::new(status, text)
}

/// Why a stream cannot be written, as the client is told.
pub(super) fn refused(error: WriteError) -> Problem {
    let status = match &error {
        WriteError::Busy { .. } | WriteError::Ended { .. } | WriteError::Interrupted { .. } => {
            StatusCode::CONFLICT
        }
        WriteError::Absent => StatusCode::NOT_FOUND,
        WriteError::WrongOffset { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        WriteError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        WriteError::TooMany | WriteError::Full => StatusCode::INSUFFICIENT_STORAGE,
        WriteError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let problem = match &error {
        // What the system says names files of this machine.
        WriteError::Io(_) => Problem::new(status, "the stream cannot be written"),
        _ => Problem::new(status, error.to_string()),
    };
    closing(match error {
        WriteError::WrongOffset { progress } => told(problem, progress)
            .header(CONTENT_RANGE, text(&format!("bytes */{}", progress.len))),
        WriteError::Busy { progress }
        | WriteError::Ended { progress }
        | WriteError::Interrupted { progress } => told(problem, progress),
        _ => problem,
    })
}

/// Adds state and length, so that a writer knows from where to go on.
fn told(problem: Problem, progress: Progress) -> Problem {
    problem
        .header(LENGTH, number(progress.len))
        .header(STATE, HeaderValue::from_static(progress.state.as_str()))
}

/// An answer before the body was read: whatever else comes on this connection is not for us.
pub(super) fn closing(problem: Problem) -> Problem {
    problem.header(CONNECTION, HeaderValue::from_static("close"))
}
