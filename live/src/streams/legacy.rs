//! `/log` as livelog has it: written at `PUT /log`, read at `GET /log/ACCESS_TOKEN`. Whether the token is
//! right is decided before a request comes here.
//!
//! Differences that `--compat livelog` takes back:
//!
//! | | here | `--compat livelog` |
//! |---|---|---|
//! | range | 206, Content-Range, `-k` is the last k bytes | 200, `-k` is up to byte k |
//! | second PUT | 409 | 400, the original's text |
//! | other methods on `/log` of the PUT port | 405 | 400, the original's text |

use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderValue, Method, StatusCode};

use crate::body::Body;
use crate::message::{Request, Response, Side};
use crate::model::{State, StreamName};
use crate::problem::Problem;
use crate::service::{Answering, Service};

use super::reading::{Manner, absent, leaving, read};
use super::table::Streams;
use super::writing::{closing, put};

/// How long readers wait for the writer.
const ARRIVAL_WAIT: Duration = Duration::from_secs(30);

/// The original's words.
const ONLY_PUT: &str = "This endpoint can only handle PUT requests";
/// The original's words.
const ONLY_ONE_PUT: &str = "This endpoint can only process one http PUT at a time";

/// Answers `/log`.
#[derive(Clone, Debug)]
pub struct LegacyRoutes {
    streams: Streams,
    name: StreamName,
}

impl LegacyRoutes {
    /// Routes to the stream `log` of these streams.
    ///
    /// # Panics
    ///
    /// Never: `log` is a name.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        let name = "log".parse().unwrap_or_else(|_| unreachable!("log is a name"));
        Self { streams, name }
    }

    fn livelog(&self) -> bool {
        self.streams.options().livelog_compatible
    }

    async fn answer(&self, request: &mut Request) -> Result<Response, Problem> {
        let side = request.peer.side;
        match (request.path(), request.method().clone()) {
            ("/log", Method::PUT) => self.write(request).await,
            ("/log", _) if side == Side::Put => Err(closing(self.only_put())),
            ("/log", Method::GET | Method::HEAD) => Ok(moved()),
            ("/log", _) => Err(closing(Problem::method_not_allowed("GET, HEAD, PUT"))),
            _ if side == Side::Put => Err(closing(Problem::not_found())),
            (_, Method::GET | Method::HEAD) => self.read(request).await,
            _ => Err(closing(Problem::method_not_allowed("GET, HEAD"))),
        }
    }

    async fn write(&self, request: &mut Request) -> Result<Response, Problem> {
        let written = put(&self.streams, &self.name, request).await;
        written.map_err(|problem| match problem.status() {
            StatusCode::CONFLICT if self.livelog() => {
                closing(Problem::new(StatusCode::BAD_REQUEST, ONLY_ONE_PUT))
            }
            _ => problem,
        })
    }

    fn only_put(&self) -> Problem {
        let status = match self.livelog() {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::METHOD_NOT_ALLOWED,
        };
        Problem::new(status, ONLY_PUT).header(http::header::ALLOW, HeaderValue::from_static("PUT"))
    }

    async fn read(&self, request: &mut Request) -> Result<Response, Problem> {
        let waiting = || absent(Some(State::Waiting));
        let stream = tokio::select! {
            biased;
            arrived = self.streams.find_within(&self.name, ARRIVAL_WAIT) => {
                arrived.ok_or_else(waiting)?
            }
            () = request.shutdown.requested() => return Err(leaving()),
        };
        let follow = !request.query().split('&').any(|pair| pair == "follow=0");
        let manner = Manner { follow, livelog: self.livelog() };
        read(stream, request, manner, self.streams.numbers()).await
    }
}

fn moved() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/log/"));
    response
}

impl Service for LegacyRoutes {
    fn call(&self, mut request: Request) -> Answering<'_> {
        Box::pin(async move {
            let answered = self.answer(&mut request).await;
            answered.unwrap_or_else(|problem| problem.answer(&request))
        })
    }
}
