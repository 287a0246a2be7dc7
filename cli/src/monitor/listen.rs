//! `--listen ADDRESS`: the numbers of the run as Prometheus reads them, on `/metrics`, and a sign of
//! life on `/healthz`.
//!
//! A thread of its own serves them, so that the run never waits for whoever asks, and answers come
//! while the run reads. Each connection gets one answer. There are at most [`CONNECTIONS`] of them,
//! for at most [`LIFE`] each, so that those who are slow keep out others for a moment only.

mod metrics;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use logq_monitor::{Monitor, Output as Said, Rule};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};

use self::metrics::Metrics;
pub(super) use self::metrics::SECTIONS;
use super::deliver::Tally;
use super::sink::Sink;

/// Connections at a time. Few ask, and seldom.
const CONNECTIONS: usize = 32;
/// A request must have come after so long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer must have been taken after so long.
const LIFE: Duration = Duration::from_secs(15);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;
/// The numbers are that old at most while the run goes on.
const REFRESH: Duration = Duration::from_millis(100);
/// How long to wait where the system has no descriptor for a connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where to listen, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    /// Who asks for numbers must know it.
    pub(crate) token: Option<String>,
}

/// Reads an address: a port is one of this machine alone.
///
/// # Errors
///
/// What is expected.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let port = |text| u16::from_str(text).ok();
    if let Some(port) = port(text).or_else(|| text.strip_prefix("localhost:").and_then(port)) {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "expected a port, or an address such as 127.0.0.1:9145".to_owned())
}

/// The sink that serves numbers.
pub(super) struct Listener {
    address: SocketAddr,
    metrics: Metrics,
    shared: Arc<Mutex<Metrics>>,
    last: Option<Instant>,
    /// Ends the thread when it is dropped.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Listens from now on. `tallies` are of the sinks that deliver alerts.
    ///
    /// # Errors
    ///
    /// The address is taken, or is none of this machine.
    pub(super) fn start(
        listen: &Listen,
        rules: &[Rule],
        tallies: Vec<(String, Arc<Tally>)>,
    ) -> anyhow::Result<Self> {
        let context = || format!("--listen {}", listen.address);
        let listener = TcpListener::bind(listen.address).with_context(context)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let metrics = Metrics::new(rules, tallies);
        let shared = Arc::new(Mutex::new(metrics.clone()));
        let desk = Desk {
            shared: Arc::clone(&shared),
            token: listen.token.as_ref().map(|token| Sha256::digest(token).into()),
            is_loopback: address.ip().is_loopback(),
        };
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            // Connections that are left end with the runtime.
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::new(desk)) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, metrics, shared, last: None, stop, thread })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn share(&mut self, monitor: &Monitor) {
        self.metrics.look(monitor);
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.metrics);
        self.last = Some(Instant::now());
    }
}

impl Sink for Listener {
    fn name(&self) -> String {
        format!("--listen {}", self.address)
    }

    fn started(&mut self, _source: &str) {
        self.metrics.started();
    }

    fn said(&mut self, said: &Said) {
        self.metrics.said(said);
    }

    fn flush(&mut self, monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
        if self.thread.is_finished() {
            return Err(anyhow!("it serves no more"));
        }
        if self.last.is_none_or(|last| last.elapsed() >= REFRESH) {
            self.share(monitor);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn ended(&mut self, monitor: &Monitor, _at_end_of_input: bool) {
        self.share(monitor);
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let Self { stop, thread, .. } = *self;
        drop(stop);
        thread.join().map_err(|_| anyhow!("its thread ended in a panic"))
    }
}

/// What answers are made of.
struct Desk {
    shared: Arc<Mutex<Metrics>>,
    /// The digest of the token.
    token: Option<[u8; 32]>,
    is_loopback: bool,
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(EXHAUSTED).await;
            continue;
        };
        // One that finds no place is closed at once.
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else { continue };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            // Whoever is too slow, or goes away, gets no answer.
            let _ = tokio::time::timeout(LIFE, answer(stream, desk)).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, desk: Arc<Desk>) -> hyper::Result<()> {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let response = desk.respond(request.method(), request.uri().path(), request.headers());
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.keep_alive(false).max_buf_size(HEAD_BYTES);
    builder.serve_connection(TokioIo::new(stream), service).await
}

impl Desk {
    fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if self.is_loopback && !is_of_this_machine(headers) {
            return text(StatusCode::FORBIDDEN, "this server is for its own machine\n".to_owned());
        }
        if !matches!(path, "/metrics" | "/healthz") {
            return text(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if path == "/healthz" {
            return text(StatusCode::OK, "ok\n".to_owned());
        }
        if !self.is_welcome(headers) {
            let mut response = text(StatusCode::UNAUTHORIZED, "a token is needed\n".to_owned());
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            return response;
        }
        let metrics = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut response = text(StatusCode::OK, metrics.to_string());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// Whether the request has the token, once. How long the comparison takes tells nothing of it.
    fn is_welcome(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return false };
        let Some(given) = given.as_bytes().strip_prefix(b"Bearer ") else { return false };
        bool::from(Sha256::digest(given).as_slice().ct_eq(token))
    }
}

/// Whether the request names this machine: a page of the web that has turned its own name into
/// 127.0.0.1 names itself (DNS rebinding).
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse().ok()) else {
        return false;
    };
    let authority: hyper::http::uri::Authority = authority;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_of_this_machine_alone() {
        for (text, expected) in [
            ("9145", Some("127.0.0.1:9145")),
            ("localhost:9145", Some("127.0.0.1:9145")),
            ("0", Some("127.0.0.1:0")),
            ("0.0.0.0:9145", Some("0.0.0.0:9145")),
            ("[::1]:9145", Some("[::1]:9145")),
            ("70000", None),
            (":9145", None),
            ("example.org:9145", None),
            ("", None),
        ] {
            let address = parse_address(text).ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text}");
        }
    }

    /// The status of an answer to a request with these headers.
    fn status(token: Option<&str>, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let desk = Desk {
            shared: Arc::new(Mutex::new(Metrics::new(&[], Vec::new()))),
            token: token.map(|token| Sha256::digest(token).into()),
            is_loopback: true,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = header::HeaderName::from_str(name).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        desk.respond(&method, path, &map).status().as_u16()
    }

    #[test]
    fn only_who_has_the_token_gets_numbers() {
        let check = |authorizations: &[&str], expected| {
            let headers: Vec<(&str, &str)> = [("host", "127.0.0.1:1")]
                .into_iter()
                .chain(authorizations.iter().map(|value| ("authorization", *value)))
                .collect();
            assert_eq!(status(Some("s3cret"), Method::GET, "/metrics", &headers), expected);
        };
        check(&["Bearer s3cret"], 200);
        for wrong in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret ", "bearer s3cret"] {
            check(&[wrong], 401);
        }
        check(&["Basic s3cret"], 401);
        check(&["Bearer s3cret", "Bearer s3cret"], 401);
        check(&[], 401);
        let open = status(Some("s3cret"), Method::GET, "/healthz", &[("host", "localhost")]);
        assert_eq!(open, 200, "a sign of life tells nothing");
    }

    #[test]
    fn other_requests_get_nothing() {
        let local = [("host", "localhost:9145")];
        for (method, path, headers, expected) in [
            (Method::GET, "/metrics", &local[..], 200),
            (Method::HEAD, "/metrics", &local, 200),
            (Method::POST, "/metrics", &local, 405),
            (Method::OPTIONS, "/metrics", &local, 405),
            (Method::GET, "/", &local, 404),
            (Method::GET, "/metrics/", &local, 404),
            (Method::GET, "//metrics", &local, 404),
            (Method::GET, "/metrics", &[("host", "[::1]")], 200),
            (Method::GET, "/metrics", &[("host", "evil.example")], 403),
            (Method::GET, "/metrics", &[("host", "localhost"), ("host", "evil.example")], 403),
            (Method::GET, "/metrics", &[], 403),
        ] {
            let found = status(None, method.clone(), path, headers);
            assert_eq!(found, expected, "{method} {path} {headers:?}");
        }
    }
}
