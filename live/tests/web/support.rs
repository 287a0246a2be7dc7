//! A server in this process with stores, streams, a monitor and the page, on a port of 127.0.0.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use logq_format::json;
use logq_live::streams::{StreamRoutes, StreamsOptions};
use logq_live::{Monitor, Page, ServerOptions, Stores, StoresOptions, TokenSource};
use logq_reader::Row;
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;
use tempfile::TempDir;

use crate::client::{Answer, get};
use crate::running::Running;

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
    running: Running,
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
        let read_tokens = self.token.map(TokenSource::file);
        let options = ServerOptions { read_tokens, ..ServerOptions::default() };
        let streams = StreamsOptions {
            free_bytes_min: 0,
            directory: self.streams,
            ..StreamsOptions::default()
        };
        let running = Running::start(options, self.port, streams, |router, streams, metrics| {
            let named = self.stores.into_iter().map(|(name, path)| (name.to_owned(), path));
            let mut stores = StoresOptions::new(named.collect::<BTreeMap<_, _>>(), line);
            stores.questions_max = self.questions_max.unwrap_or(stores.questions_max);
            let router = router
                .stores(Stores::new(stores, metrics))
                .streams(StreamRoutes::new(streams))
                .page(Page);
            match self.monitor {
                Some(store) => router.monitor(Monitor::new(store, TimeZone::UTC)),
                None => router,
            }
        });
        Server { address: running.get, put: running.put, running }
    }
}

impl Server {
    /// Asks everything to end, as a signal would.
    pub(crate) fn ask_to_end(&self) {
        self.running.handle.shutdown();
    }

    /// What `/metrics` would say.
    pub(crate) fn metrics(&self) -> String {
        self.running.metrics.render()
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
