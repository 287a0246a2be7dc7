//! What the tests of streams share: a server in this process with real sockets, a client that sees the
//! wire, content whose every place is recognised.

#![allow(dead_code, reason = "no test file uses all of it")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]

pub mod client;
mod running;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use logq_live::ServerOptions;
use logq_live::streams::{LegacyRoutes, StreamRoutes, StreamsOptions};

use client::{Answer, Ended, get};
use running::Running;
use sha2::{Digest as _, Sha256};

pub const MIB: usize = 1 << 20;

/// A server with streams; it ends when this is dropped.
pub struct Server {
    pub get: SocketAddr,
    pub put: SocketAddr,
    running: Running,
}

/// Options for a server whose streams go with it.
pub fn options() -> StreamsOptions {
    StreamsOptions { free_bytes_min: 0, ..StreamsOptions::default() }
}

impl Server {
    pub fn start(streams: StreamsOptions) -> Self {
        let compat_livelog = streams.livelog_compatible;
        Self::start_with(ServerOptions { compat_livelog, ..ServerOptions::default() }, streams)
    }

    /// One whose connections are treated in another way.
    pub fn start_with(options: ServerOptions, streams: StreamsOptions) -> Self {
        let running = Running::start(options, 0, streams, |router, streams, _| {
            router.legacy(LegacyRoutes::new(streams.clone())).streams(StreamRoutes::new(streams))
        });
        Self { get: running.get, put: running.put, running }
    }

    /// Asks everything to end, as a signal would.
    pub fn ask_to_end(&self) {
        self.running.handle.shutdown();
    }

    /// Waits until a stream is so long.
    pub fn wait_for_len(&self, name: &str, len: u64) {
        self.wait_for(name, |stream| stream["length"].as_u64() >= Some(len));
    }

    /// Waits until so many look at a stream.
    pub fn wait_for_readers(&self, name: &str, count: u64) {
        self.wait_for(name, |stream| stream["readers"].as_u64() == Some(count));
    }

    /// Waits until a stream is in a state.
    pub fn wait_for_state(&self, name: &str, state: &str) {
        self.wait_for(name, |stream| stream["state"] == state);
    }

    /// Waits until the digest of a stream is known.
    pub fn wait_for_digest(&self, name: &str, hex: &str) {
        self.wait_for(name, |stream| stream["sha256"] == hex);
    }

    fn wait_for(&self, name: &str, there: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let streams = self.list();
            if streams.iter().any(|stream| stream["name"] == name && there(stream)) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {streams:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The list of streams.
    pub fn list(&self) -> Vec<serde_json::Value> {
        let text = get(self.get, "/v1/streams", &[]).text();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        list["streams"].as_array().unwrap().clone()
    }
}

/// The length and the SHA-256 of a body that must be complete. After each piece of it `taken` is told how
/// much there is so far.
pub fn digest(mut answer: Answer, mut taken: impl FnMut(usize)) -> (usize, [u8; 32]) {
    let (mut hash, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        match answer.some(&mut buffer) {
            0 => break,
            count => {
                hash.update(&buffer[..count]);
                len += count;
                taken(len);
            }
        }
    }
    assert_eq!(answer.rest().1, Ended::Complete);
    (len, hash.finalize().into())
}

/// The same of a piece that comes so many times.
pub fn digest_of_many(piece: &[u8], count: usize) -> (usize, [u8; 32]) {
    let mut hash = Sha256::new();
    (0..count).for_each(|_| hash.update(piece));
    (piece.len() * count, hash.finalize().into())
}

/// Content that repeats nowhere within sight: a wrong place shows.
pub fn content(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.u64(..).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
