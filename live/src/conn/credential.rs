//! What a request presents, what it needs, and what is told of it.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::auth::Access;
use crate::message::Side;
use crate::problem::Problem;
use crate::service::Part;
use crate::tokens::{Token, Tokens};

/// What becomes of a request.
pub(crate) enum Verdict {
    /// No token is needed for it.
    Open(Access),
    /// It has a token.
    Token(Arc<Token>),
    /// It would need a token that does not exist.
    Closed,
    /// It has none that is right.
    Denied,
}

/// The answer to a wrong token, and to none. The same in every case, so that it says nothing of how
/// wrong it was.
pub(crate) fn denied() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Access denied")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// What a request must be allowed to; `None` if it may come from anybody.
pub(crate) fn needed(head: &Parts, part: Part, side: Side) -> Option<Access> {
    match part {
        Part::Health | Part::Page => None,
        // All that is there to be asked for on this side is to write.
        Part::Legacy if side == Side::Put => Some(Access::Write),
        _ if matches!(head.method, Method::GET | Method::HEAD) => Some(Access::Read),
        _ => Some(Access::Write),
    }
}

/// Looks at what the request presents.
pub(crate) fn check(
    tokens: &Tokens,
    head: &Parts,
    part: Part,
    side: Side,
    needed: Option<Access>,
    compat_livelog: bool,
) -> Verdict {
    let Some(access) = needed else { return Verdict::Open(Access::Read) };
    let in_path = (part == Part::Legacy && side == Side::Get && access == Access::Read)
        .then(|| path_token(head, compat_livelog));
    if !tokens.are_needed_for(access) {
        return match (access, side, in_path) {
            (Access::Write, Side::Get, _) => Verdict::Closed,
            // As in livelog: where no token is set, the one that is presented must be empty.
            (_, _, Some(Some(token))) if !token.is_empty() => Verdict::Denied,
            (_, _, Some(None)) => Verdict::Denied,
            _ => Verdict::Open(access),
        };
    }
    let presented =
        if head.headers.contains_key(AUTHORIZATION) { bearer(head) } else { in_path.flatten() };
    let found = presented.and_then(|token| tokens.find(token.as_bytes()));
    found.map_or(Verdict::Denied, Verdict::Token)
}

/// The token of exactly one header `Authorization: Bearer ...`.
fn bearer(head: &Parts) -> Option<&str> {
    let value = crate::message::single(&head.headers, &AUTHORIZATION)?;
    value.strip_prefix("Bearer ")
}

/// The token of `/log/<token>`, as it was sent, without decoding anything.
///
/// What follows `?` may only say how to read; anything else, and in livelog's way anything at all,
/// makes it another token.
fn path_token(head: &Parts, compat_livelog: bool) -> Option<&str> {
    let of_ours = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        matches!(name, "follow" | "offset" | "wait")
    };
    let query_is_ours = match head.uri.query() {
        None => true,
        Some(query) => !compat_livelog && query.split('&').all(of_ours),
    };
    let token =
        head.uri.path().strip_prefix("/log").map(|rest| rest.strip_prefix('/').unwrap_or(rest));
    // livelog compares the whole target with what it expects: an absolute one is another one.
    let absolute = compat_livelog && head.uri.authority().is_some();
    token.filter(|_| query_is_ours && !absolute)
}

/// `path` with tokens in it replaced, wherever they stand.
pub(crate) fn without_tokens<'a>(tokens: &Tokens, path: &'a str) -> Cow<'a, str> {
    if let Some(rest) = path.strip_prefix("/log/") {
        // Right or wrong: a wrong token may be the right one of another server.
        return if rest.is_empty() { path.into() } else { "/log/***".into() };
    }
    let segments: Vec<_> = path.split('/').collect();
    if segments
        .iter()
        .all(|segment| segment.is_empty() || tokens.find(segment.as_bytes()).is_none())
    {
        return path.into();
    }
    let masked = segments
        .iter()
        .map(|segment| if tokens.find(segment.as_bytes()).is_some() { "***" } else { *segment });
    masked.collect::<Vec<_>>().join("/").into()
}
