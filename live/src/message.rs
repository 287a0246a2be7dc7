//! Requests and responses as routes see them. The bytes on the wire are hyper's matter.

use std::fmt;
use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

use crate::auth::{Access, Grant};
use crate::body::Body;
use crate::shutdown::Shutdown;

/// What a route answers.
pub type Response = http::Response<Body>;

/// A request that was let in: its target and headers are within limits, its host and its token are
/// right.
///
/// [`Debug`](fmt::Debug) shows neither target nor headers, where its token is.
pub struct Request {
    /// Method, target, version and headers.
    pub head: Parts,
    /// The body; no byte of it is read before a route asks for it, so a client that waits for
    /// `100 Continue` never uploads in vain.
    pub body: Body,
    /// Where it came from.
    pub peer: Peer,
    /// What it may do.
    pub grant: Grant,
    /// Tells when the server wants to end. A body that may last must end itself then.
    ///
    /// When a token is revoked, the requests that came with it are ended without the route's help.
    pub shutdown: Shutdown,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Which port it came to.
    pub side: Side,
}

/// The two ports, as livelog has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where logs are written, port 60022: `PUT /log`, and `/v1/streams`.
    Put,
    /// Where logs are read, port 60023: everything. Writing needs a write token here.
    Get,
}

impl Request {
    /// A request by hand, for tests of routes: from this machine, by somebody who may do anything.
    pub fn for_test(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Self {
            head,
            body,
            peer: Peer { address, tls: false, side: Side::Get },
            grant: Grant::open(Access::Write),
            shutdown: Shutdown::never(),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path, as it was sent: percent escapes are not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The query without `?`, as it was sent; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The value of a header that is there once and is visible ASCII.
    ///
    /// One that is there twice says nothing that could be relied on.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        single(&self.head.headers, &name)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.head.method)
            .field("version", &self.head.version)
            .field("peer", &self.peer)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// The value of a header that is there exactly once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}
