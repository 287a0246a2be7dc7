//! A server in this process with stores, streams, a monitor and the page, on a port of 127.0.0.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use logq_format::json;
use logq_live::streams::{StreamRoutes, Streams, StreamsOptions};
use logq_live::{
    Journal, Listen, Metrics, Monitor, Page, Router, ServerHandle, ServerOptions, Side, Stores,
    StoresOptions, TokenSource,
};
use logq_reader::Row;
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::{Answer, get};

/// What a server is to have.
#[derive(Default)]
pub(crate) struct Serving {
    pub(crate) stores: Vec<(&'static str, PathBuf)>,
    pub(crate) monitor: Option<PathBuf>,
    /// Any free one if 0.
    pub(crate) port: u16,
    pub(crate) questions_max: Option<usize>,
    pub(crate) token: Option<PathBuf>,
    /// Where streams are kept.
    pub(crate) streams: Option<PathBuf>,
}

/// A server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) put: SocketAddr,
    handle: ServerHandle,
    runtime: Option<Runtime>,
}

/// A record as text, for these tests: JSON is plain enough.
fn line(row: &Row<'_>, _: &TimeZone, out: &mut Vec<u8>) {
    json::write_line(out, &row.record().unwrap(), row.origin(), row.sequence());
}

impl Serving {
    pub(crate) fn store(name: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { stores: vec![(name, path.into())], ..Self::default() }
    }

    pub(crate) fn start(self) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let inside = runtime.enter();
        let metrics = Metrics::new();
        let listen = [(Side::Put, 0), (Side::Get, self.port)].map(|(side, port)| Listen {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            side,
            tls: false,
        });
        let read_tokens = self.token.map(TokenSource::file);
        let options =
            ServerOptions { listen: listen.to_vec(), read_tokens, ..ServerOptions::default() };
        let server = logq_live::Server::bind(options, metrics.clone()).unwrap();
        let streams = StreamsOptions {
            free_bytes_min: 0,
            directory: self.streams,
            ..StreamsOptions::default()
        };
        let streams = Streams::open(streams, &metrics, Journal::none()).unwrap();
        let named = self.stores.into_iter().map(|(name, path)| (name.to_owned(), path));
        let mut stores = StoresOptions::new(named.collect::<BTreeMap<_, _>>(), line);
        stores.questions_max = self.questions_max.unwrap_or(stores.questions_max);
        let mut router = Router::new(metrics.clone())
            .stores(Stores::new(stores, &metrics))
            .streams(StreamRoutes::new(streams))
            .page(Page);
        if let Some(store) = self.monitor {
            router = router.monitor(Monitor::new(store, TimeZone::UTC));
        }
        let on = |side| {
            let addresses = server.addresses();
            addresses.iter().find(|listen| listen.side == side).unwrap().address
        };
        let (put, address, handle) = (on(Side::Put), on(Side::Get), server.handle());
        runtime.spawn(server.run(router));
        drop(inside);
        Server { address, put, handle, runtime: Some(runtime) }
    }
}

impl Server {
    /// Asks everything to end, as a signal would.
    pub(crate) fn ask_to_end(&self) {
        self.handle.shutdown();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.address, path, &[])
    }

    /// The answer as JSON.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let mut answer = get(self.address, path, &[("Accept", "application/json")]);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The lines of an answer.
    pub(crate) fn lines(&self, path: &str) -> Vec<String> {
        let mut answer = self.get(path);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// A store of so many records of a web shop.
pub(crate) fn shop(records: u64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_shop(directory.path(), records);
    directory
}

pub(crate) fn write_shop(directory: &Path, records: u64) {
    let traffic = TrafficOptions { records, ..TrafficOptions::default() };
    let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() }).unwrap();
    let name = "0000000001-20260203T000000Z.logq";
    std::fs::write(directory.join(name), segment.bytes).unwrap();
}

/// Waits until something holds; fails after a minute.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
