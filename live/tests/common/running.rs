//! A server in this process with real sockets on 127.0.0.1. It ends when this is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use logq_live::streams::{Streams, StreamsOptions};
use logq_live::{Journal, Listen, Metrics, Router, Server, ServerHandle, ServerOptions, Side};
use tokio::runtime::Runtime;

/// A server that runs.
pub struct Running {
    pub put: SocketAddr,
    pub get: SocketAddr,
    pub metrics: Metrics,
    pub handle: ServerHandle,
    runtime: Option<Runtime>,
}

impl Running {
    /// Starts one that readers reach at `get_port`, or any free port if it is 0, with streams and with
    /// what `route` puts on an empty router for them.
    pub fn start(
        options: ServerOptions,
        get_port: u16,
        streams: StreamsOptions,
        route: impl FnOnce(Router, Streams, &Metrics) -> Router,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let inside = runtime.enter();
        let metrics = Metrics::new();
        let listen = [(Side::Put, 0), (Side::Get, get_port)].map(|(side, port)| Listen {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            side,
            tls: false,
        });
        let options = ServerOptions { listen: listen.to_vec(), ..options };
        let server = Server::bind(options, metrics.clone()).unwrap();
        let streams = Streams::open(streams, &metrics, Journal::none()).unwrap();
        let router = route(Router::new(metrics.clone()), streams, &metrics);
        let on = |side| {
            let addresses = server.addresses();
            addresses.iter().find(|listen| listen.side == side).unwrap().address
        };
        let (put, get, handle) = (on(Side::Put), on(Side::Get), server.handle());
        runtime.spawn(server.run(router));
        drop(inside);
        Self { put, get, metrics, handle, runtime: Some(runtime) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}
