//! One socket: its options, writes that stall, and closing so that the last answer arrives.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};

use super::home;
use crate::options::Timers;
use crate::threads::Rank;

/// Bytes of a request that are read and forgotten after its answer.
const LINGER_BYTES_MAX: usize = 4 << 20;

/// Silence until the first keepalive probe, between probes, and how many go unanswered.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);
/// How long sent bytes may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Sets what makes connections fast and dead peers noticed.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (time, interval, retries) = KEEPALIVE;
    let keepalive =
        TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// A listening socket with room for bursts of connections.
pub(crate) fn listen(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// With room for so long, a reader has all that there is, and its slowness is forgotten.
const PAUSE: Duration = Duration::from_millis(10);

/// The reading and writing side of a connection, below TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    /// Whose threads the system tells of what happens on it.
    rank: Option<Rank>,
    shared: Arc<Shared>,
    stall: Stall,
}

/// The same connection, held by who watches over it.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

/// What both know.
#[derive(Debug)]
struct Shared {
    stream: Mutex<Arc<TcpStream>>,
    /// Bytes that came and went.
    bytes: AtomicUsize,
    /// Whether this side has said its last word.
    ended: AtomicBool,
}

impl Shared {
    fn stream(&self) -> Arc<TcpStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Both ends of `stream` for this process.
pub(crate) fn split(stream: TcpStream, timers: &Timers) -> (Socket, Watch) {
    let stream = Arc::new(stream);
    let shared = Arc::new(Shared {
        stream: Mutex::new(stream.clone()),
        bytes: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
    });
    let watch = Watch { shared: shared.clone() };
    (Socket { stream, rank: home::rank(), shared, stall: Stall::new(timers) }, watch)
}

impl Watch {
    /// A number that changes with every byte that moves.
    pub(crate) fn moved(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Whether the other side has hung up, also where it hides that behind bytes that nobody reads.
    pub(crate) async fn is_hung_up(&self) -> bool {
        let stream = self.shared.stream();
        let ready = stream.ready(Interest::READABLE);
        tokio::select! {
            biased;
            ready = ready => ready.map_or(true, |ready| ready.is_read_closed()),
            () = std::future::ready(()) => false,
        }
    }

    /// Waits until the other side has taken the last answer, or for `time`.
    ///
    /// A socket that is closed while bytes of a request are unread is reset, and the answer is lost
    /// on its way.
    pub(crate) async fn linger(self, time: Duration) {
        if self.shared.ended.load(Ordering::Relaxed) {
            let _ = timeout(time, drain(&self.shared.stream())).await;
        }
    }
}

async fn drain(stream: &TcpStream) {
    let mut left = LINGER_BYTES_MAX;
    while left > 0 && stream.readable().await.is_ok() {
        // Here and not outside of the loop, where it would be a part of every connection's task.
        let mut buffer = [0; 4_096];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => left = left.saturating_sub(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.come_along();
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(|bytes| self.shared.add(bytes))),
            }
        }
    }
}

impl Socket {
    /// Has the system tell those threads of this socket that run its connection now.
    fn come_along(&mut self) {
        let rank = home::rank();
        if rank == self.rank {
            return;
        }
        self.rank = rank;
        // Where no descriptor is left for that, those that were told before tell those of now.
        let same = SockRef::from(&*self.stream).try_clone();
        let Ok(stream) = same.and_then(|same| TcpStream::from_std(same.into())) else { return };
        self.stream = Arc::new(stream);
        *self.shared.stream.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.clone();
    }

    /// Writes as soon as there is room, and notes whether all of `len` bytes were taken.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        len: usize,
        try_write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.come_along();
        while self.stream.poll_write_ready(context)?.is_ready() {
            match try_write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(taken) => {
                    self.shared.add(taken);
                    self.stall.took(taken, len);
                    return Poll::Ready(Ok(taken));
                }
                result => return Poll::Ready(result),
            }
        }
        self.stall.blocked(context).map(Err)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.get_mut().write(context, len, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.ended.store(true, Ordering::Relaxed);
        match SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write) {
            // The other side was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// Notices when the other side takes no bytes, or next to none, although there are some for it.
///
/// Nothing is measured while there is room: a reader that waits for the next line may wait for ever.
#[derive(Debug)]
struct Stall {
    time: Duration,
    bytes_min: usize,
    blocked: Option<Blocked>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A time in which there was no room, or only for a moment.
#[derive(Debug)]
struct Blocked {
    since: Instant,
    /// Bytes that were taken nevertheless.
    bytes: usize,
    /// When everything was taken, if it was.
    free: Option<Instant>,
}

impl Stall {
    fn new(timers: &Timers) -> Self {
        let bytes_min = timers.stall_bytes_min.max(1);
        Self { time: timers.stall, bytes_min, blocked: None, timer: None }
    }

    fn took(&mut self, taken: usize, of: usize) {
        let Some(blocked) = &mut self.blocked else { return };
        blocked.bytes = blocked.bytes.saturating_add(taken);
        if blocked.bytes >= self.bytes_min {
            self.blocked = None;
        } else if taken == of {
            blocked.free = Some(Instant::now());
        }
    }

    /// Since when there is no room.
    fn since(&mut self) -> Instant {
        let now = Instant::now();
        let paused =
            |blocked: &Blocked| blocked.free.is_some_and(|free| now.duration_since(free) > PAUSE);
        match &mut self.blocked {
            Some(blocked) if !paused(blocked) => {
                blocked.free = None;
                blocked.since
            }
            blocked => {
                *blocked = Some(Blocked { since: now, bytes: 0, free: None });
                now
            }
        }
    }

    fn blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let since = self.since();
        let deadline = since + self.time;
        // The timer is set once and looked at when it rings: most writes block for microseconds.
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the reader stalls"));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E.1.3: a writer whose machine is gone says no word more, and is no slow one.
    #[tokio::test]
    async fn dead_connections_are_looked_for() {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        let told = (
            socket.tcp_keepalive_time().unwrap(),
            socket.tcp_keepalive_interval().unwrap(),
            socket.tcp_keepalive_retries().unwrap(),
        );
        assert_eq!(told, KEEPALIVE);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
