//! What the tests of the `tower` layer share: a store, a server on loopback, a plain client and
//! bodies that do as they are told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use logq_writer::integrations::tower::RequestLogLayer;
use logq_writer::{LoggerOptions, WorkerId, WorkerLogger};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::read;

/// The longest time anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store with the logger of a worker.
pub(crate) struct Store {
    directory: TempDir,
    pub(crate) worker: WorkerLogger,
}

impl Store {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let number = WorkerId::new(1).unwrap();
        let worker =
            WorkerLogger::open(directory.path(), number, LoggerOptions::default()).unwrap();
        Self { directory, worker }
    }

    /// The layer as a service uses it.
    pub(crate) fn layer(&self) -> RequestLogLayer {
        RequestLogLayer::new(&self.worker).client_ip(|_, extensions| {
            let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(address.ip())
        })
    }

    /// All records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.worker.flush().unwrap();
        let store = read(self.directory.path());
        assert_eq!(store.gaps, [], "no damage");
        store.records.iter().map(|record| serde_json::from_str(&record.line).unwrap()).collect()
    }

    /// All records once so many requests have ended.
    pub(crate) fn records_of(&self, requests: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let records = self.records();
            let ended = records.iter().filter(|line| line["type"] == "RESPONSE_FINISHED").count();
            if ended >= requests {
                assert_eq!(ended, requests, "each request ends once: {records:#?}");
                return records;
            }
            assert!(start.elapsed() < PATIENCE, "{ended} of {requests} have ended: {records:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What is the same in every run: without times, ids and durations, which must be there.
pub(crate) fn plain(mut line: Value) -> Value {
    let object = line.as_object_mut().unwrap();
    for name in ["timestamp", "requestId", "workerId", "writer", "seq"] {
        assert!(object.remove(name).is_some(), "{name}");
    }
    if object["type"].as_str().unwrap().starts_with("RESPONSE") {
        let duration = object.remove("durationMs").unwrap().as_f64().unwrap();
        assert!((0.0..20_000.0).contains(&duration), "{duration} ms");
    }
    line
}

/// Serves the routes on loopback until the test's process ends.
pub(crate) fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await.unwrap();
        });
    });
    address
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Sends a request such as `GET /` and returns the whole response.
pub(crate) fn ask(address: SocketAddr, target: &str) -> String {
    let mut connection = connect(address);
    let head =
        format!("{target} HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    let mut response = Vec::new();
    connection.read_to_end(&mut response).unwrap();
    String::from_utf8(response).unwrap()
}

/// A step of a [`Script`].
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    Fail(&'static str),
    Panic,
    /// Nothing more, ever.
    Hang,
}

/// A body that follows a script.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    hint: SizeHint,
    tells_end: bool,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), hint: SizeHint::default(), tells_end: false }
    }

    /// Also says how long it is, all the time.
    pub(crate) fn exactly(mut self, len: u64) -> Self {
        self.hint = SizeHint::with_exact(len);
        self
    }

    /// Knows with its last frame that there is no other.
    pub(crate) fn telling_its_end(mut self) -> Self {
        self.tells_end = true;
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fail(text)) => Some(Err(text.into())),
            Some(Step::Panic) => panic!("by intent"),
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
