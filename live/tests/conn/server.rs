//! A server with short timers, a service that does what its path says, and raw clients.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::BodyExt;
use logq_live::{
    Answering, Body, BodyError, Journal, Listen, Metrics, Problem, Request, Response, Router,
    Server, ServerHandle, ServerOptions, Service, Shutdown, Side,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here may take; only a failure waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A time that a test waits for something to be ended.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

pub(crate) struct TestServer {
    pub(crate) get: SocketAddr,
    pub(crate) put: SocketAddr,
    pub(crate) handle: ServerHandle,
    pub(crate) metrics: Metrics,
    pub(crate) running: JoinHandle<()>,
    lines: Mutex<UnboundedReceiver<String>>,
}

/// Options for a server on free ports of this machine.
pub(crate) fn options() -> ServerOptions {
    let listen = |side| Listen { address: ([127, 0, 0, 1], 0).into(), side, tls: false };
    ServerOptions { listen: vec![listen(Side::Put), listen(Side::Get)], ..Default::default() }
}

impl TestServer {
    pub(crate) fn start(set: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::start_with(set, |router| {
            router.legacy(Paths).streams(Paths).stores(Paths).monitor(Paths).page(Paths)
        })
    }

    /// With what `route` makes of an empty router.
    pub(crate) fn start_with(
        set: impl FnOnce(&mut ServerOptions),
        route: impl FnOnce(Router) -> Router,
    ) -> Self {
        let mut options = options();
        set(&mut options);
        let (sender, lines) = unbounded_channel();
        options.journal = Journal::function(move |line| drop(sender.send(line.to_owned())));
        let metrics = Metrics::new();
        let server = Server::bind(options, metrics.clone()).unwrap();
        let addresses = server.addresses();
        let at = |side| addresses.iter().find(|listen| listen.side == side).unwrap().address;
        let (get, put, handle) = (at(Side::Get), at(Side::Put), server.handle());
        let router = route(Router::new(metrics.clone()));
        let running = tokio::spawn(server.run(router));
        Self { get, put, handle, metrics, running, lines: Mutex::new(lines) }
    }

    /// The next line of the journal with `part` in it.
    pub(crate) async fn line(&self, part: &str) -> String {
        let mut lines = self.lines.lock().await;
        let search = async {
            loop {
                let line = lines.recv().await.unwrap();
                if line.contains(part) {
                    return line;
                }
            }
        };
        timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("no line with {part:?}"))
    }

    /// The next `count` lines of the journal.
    pub(crate) async fn next_lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.push(self.line("").await);
        }
        lines
    }

    /// All lines of the journal so far.
    pub(crate) async fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.lock().await;
        std::iter::from_fn(|| lines.try_recv().ok()).collect()
    }

    /// What the server answers at its port for reading to these bytes, until it closes.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = Client::connect(self.get).await;
        client.send(bytes).await;
        client.rest().await
    }

    /// As [`Self::ask`], for one GET.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> String {
        self.ask(request("GET", path, headers)).await
    }

    /// Whether the server still serves somebody who behaves.
    pub(crate) async fn is_well(&self) -> bool {
        self.get("/v1/streams/hello", "").await.starts_with("HTTP/1.1 200 ")
    }
}

/// A request that is the last of its connection.
pub(crate) fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

/// The status of an answer, its header lines in lower case, and its body.
pub(crate) fn parse(answer: &str) -> (u16, Vec<String>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (status, lines.map(str::to_lowercase).collect(), body)
}

pub(crate) fn status(answer: &str) -> u16 {
    parse(answer).0
}

/// A client that writes whatever it likes.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// From another address of this machine.
    pub(crate) async fn connect_from(host: u8, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, host], 0).into()).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// With hardly any room for what it does not read.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2_048).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Sends bytes; a server that does not want them any more is no failure.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until `end` came.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8()).await.expect("more comes");
            bytes.push(byte.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&bytes))
            }));
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// Does what the last segment of the path says.
struct Paths;

impl Service for Paths {
    fn call(&self, request: Request) -> Answering<'_> {
        Box::pin(async move {
            if request.method() == "PUT" {
                return put(request).await;
            }
            let shutdown = request.shutdown.clone();
            match request.path().rsplit('/').next().unwrap() {
                "live" => {
                    let piece = Bytes::from_static(b"line\n");
                    Response::new(Body::stream(Endless { piece, shutdown, left: 1 }))
                }
                "big" => {
                    let piece = Bytes::from_static(&[b'x'; 65_536]);
                    Response::new(Body::stream(Endless { piece, shutdown, left: usize::MAX }))
                }
                "thread" => Response::new(Body::full(thread())),
                "fail" => Problem::bad_request("this always fails").answer(&request),
                "hang" => std::future::pending().await,
                // As careless as a bug could be.
                "panic" => panic!("{request:?}"),
                _ => Response::new(Body::full("hello\n")),
            }
        })
    }
}

/// The name of the thread that answers, in a line.
fn thread() -> String {
    format!("{}\n", std::thread::current().name().unwrap_or_default())
}

async fn put(mut request: Request) -> Response {
    let mut len = 0;
    while let Some(frame) = request.body.frame().await {
        match frame {
            Ok(frame) => len += frame.data_ref().map_or(0, Bytes::len),
            Err(BodyError::Silent) => {
                return Problem::new(StatusCode::REQUEST_TIMEOUT, "too slow").answer(&request);
            }
            Err(_) => return Problem::bad_request("the body broke off").answer(&request),
        }
    }
    let told = match request.path().ends_with("/thread") {
        true => thread(),
        false => format!("{len} bytes\n"),
    };
    let mut response = Response::new(Body::full(told));
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// A body that lasts until the server ends.
struct Endless {
    piece: Bytes,
    shutdown: Shutdown,
    left: usize,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))));
        }
        // The future is made anew at each poll, so it must be told of the next wake by itself.
        let shutdown = self.shutdown.clone();
        let waker = context.waker().clone();
        if shutdown.is_requested() {
            return Poll::Ready(Some(Err(BodyError::ShuttingDown)));
        }
        tokio::spawn(async move {
            shutdown.requested().await;
            waker.wake();
        });
        Poll::Pending
    }
}

/// A certificate for localhost and its key, in PEM.
pub(crate) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never comes"));
}

/// Runs `count` clients at once.
pub(crate) async fn together<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    client: impl Fn(usize) -> F,
) {
    let clients: Vec<_> = (0..count).map(|n| tokio::spawn(client(n))).collect();
    for client in clients {
        client.await.unwrap();
    }
}

/// Shared between clients.
pub(crate) type Shared = Arc<TestServer>;
