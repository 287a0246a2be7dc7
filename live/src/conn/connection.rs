//! One connection from its first byte to its last: TLS, HTTP/1.1 or HTTP/2, and the watch over it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Patrol, Reason};
use super::front::{Front, Origin};
use super::guard::Guard;
use super::socket::{self, Socket, Watch};
use super::streams::Streams;
use crate::message::Side;
use crate::options::{Limits, Timers};
use crate::tls::Tls;

/// Bytes of one read of a writer's body: more of them cost nothing, for there are few writers, and each
/// read is a write to the file.
const WRITER_BUFFER_BYTES: usize = 256 << 10;
/// Bytes that wait to be written to a reader besides the piece of a body that is on its way. One system
/// call takes no more, so that a writer who wants the processor need not wait long for its end.
const READER_BUFFER_BYTES: usize = 64 << 10;
/// Bytes that an HTTP/2 client may send ahead on one stream, and on all of a connection.
const H2_WINDOWS: (u32, u32) = (1 << 20, 2 << 20);
/// Bytes of an HTTP/2 stream that wait to be written.
const H2_SEND_BYTES: usize = 64 << 10;
/// Streams that a client resets before the server looked at them, and streams that the server must
/// reset, before the connection is ended: each costs work and nothing in return.
const H2_RESETS: (usize, usize) = (20, 1_024);
/// Between two HTTP/2 pings to a silent client, and for its answer.
const H2_PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// What hyper needs to know to serve the connections of a side, by version: where hyper finds that out,
/// it holds twice the buffer for as long as the connection lasts.
#[derive(Clone)]
pub(crate) struct Builders {
    http1: Builder<Streams>,
    http2: Builder<Streams>,
}

impl Builders {
    pub(crate) fn new(limits: &Limits, timers: &Timers, side: Side) -> Self {
        let builder = builder(limits, timers, side);
        Self { http1: builder.clone().http1_only(), http2: builder.http2_only() }
    }
}

fn builder(limits: &Limits, timers: &Timers, side: Side) -> Builder<Streams> {
    let buffer_bytes = match side {
        Side::Put => WRITER_BUFFER_BYTES,
        Side::Get => READER_BUFFER_BYTES,
    };
    let mut builder = Builder::new(Streams { stall: timers.stall });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timers.head)
        .half_close(false)
        .max_headers(limits.headers_max)
        .max_buf_size(buffer_bytes);
    let head_bytes_max = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(H2_WINDOWS.0)
        .initial_connection_window_size(H2_WINDOWS.1)
        .max_concurrent_streams(limits.h2_streams_max)
        .max_send_buf_size(H2_SEND_BYTES)
        .max_header_list_size(head_bytes_max)
        .max_pending_accept_reset_streams(H2_RESETS.0)
        .max_local_error_reset_streams(H2_RESETS.1)
        .keep_alive_interval(H2_PING.0)
        .keep_alive_timeout(H2_PING.1);
    builder
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) front: Front,
    pub(crate) writers: Builders,
    pub(crate) readers: Builders,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Serves one connection to its end. Every way out of here closes it.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, origin: Origin) {
    let front = &shared.front;
    if let Err(error) = socket::prepare(&stream) {
        front.journal.line(&format_args!("{}: cannot set options: {error}", origin.peer.address));
        return;
    }
    let (socket, watch) = socket::split(stream, &front.timers);
    let head_bytes_max = front.limits.head_bytes_max;
    match shared.tls.as_ref().filter(|_| origin.peer.tls) {
        None => http(&shared, Guard::new(socket, head_bytes_max), watch, origin).await,
        // Apart, since a task is as large as the largest of its ways: without TLS it needs the half.
        Some(tls) => Box::pin(encrypted(&shared, tls, socket, watch, origin)).await,
    }
}

/// Serves an encrypted connection.
async fn encrypted(shared: &Arc<Shared>, tls: &Tls, socket: Socket, watch: Watch, origin: Origin) {
    let front = &shared.front;
    let handshake = TlsAcceptor::from(tls.config()).accept(socket);
    let Ok(Ok(stream)) = timeout(front.timers.tls_handshake, handshake).await else {
        front.counters.handshakes_failed.increment();
        return;
    };
    let guard = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Guard::open(stream),
        _ => Guard::new(stream, front.limits.head_bytes_max),
    };
    http(shared, guard, watch, origin).await;
}

/// Serves HTTP on a connection.
async fn http<S>(shared: &Arc<Shared>, mut io: Guard<S>, watch: Watch, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let service = service_fn(|request: http::Request<Incoming>| {
        let (shared, in_flight) = (shared.clone(), activity.begin());
        // hyper keeps the room of an answer that is being made as long as the connection, so it gets a
        // pointer: what is large is gone with the head of the answer.
        Box::pin(async move {
            Ok::<_, Infallible>(shared.front.answer(request, origin, in_flight).await)
        })
    });
    let builders = match origin.peer.side {
        Side::Put => &shared.writers,
        Side::Get => &shared.readers,
    };
    let timers = &shared.front.timers;
    let patrol = Patrol { activity: &activity, watch: &watch, timers };
    {
        let mut reason = pin!(patrol.reason());
        let speaks_http2 = tokio::select! {
            biased;
            version = io.speaks_http2() => version,
            () = shared.front.shutdown.requested() => return,
            _ = reason.as_mut() => return,
        };
        let builder = match speaks_http2 {
            Ok(true) => &builders.http2,
            Ok(false) => &builders.http1,
            Err(_) => return,
        };
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let reason = tokio::select! {
            biased;
            _ = connection.as_mut() => None,
            () = shared.front.shutdown.requested() => Some(Reason::Shutdown),
            reason = reason => Some(reason),
        };
        if let Some(reason @ (Reason::Idle | Reason::Shutdown)) = reason {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => {}
                () = patrol.gone() => {}
                // What an idle connection still has to be sent, it does not take.
                () = sleep(timers.stall), if reason == Reason::Idle => {}
            }
        }
    }
    watch.linger(timers.linger).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an asynchronous function returns.
    fn size<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// A thousand readers that wait are a thousand of these.
    #[test]
    fn tasks_of_connections_are_small() {
        assert!(size(serve) <= 4 << 10, "{} bytes", size(serve));
    }
}
