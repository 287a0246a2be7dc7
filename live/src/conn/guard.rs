//! Hands requests to hyper one head at a time, and none that could be understood in two ways.
//!
//! A head is held until it is complete and was looked at; bodies pass through untouched and uncopied.
//! Since hyper never holds bytes of the next request, it always notices when the other side hangs up,
//! even after a stray byte.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{self, Ambiguous, Framing};

/// What hyper gets in place of a head that is refused: no method begins so, and it answers 400.
const REFUSED: &[u8] = b"\0\r\n\r\n";

/// A connection whose requests are looked at.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    io: S,
    state: State,
    /// Read from the other side, not yet given to hyper.
    held: Vec<u8>,
    head_bytes_max: usize,
}

/// How HTTP/2 begins where nothing was agreed on before.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug)]
enum State {
    /// The head begins with `held`; so many bytes of it were looked at.
    Head(usize),
    /// The next bytes are a complete head, then its body of a known length.
    Given { head: usize, body: u64 },
    /// Whatever comes is hyper's: chunks until the end of the connection, HTTP/2, nonsense.
    Open,
}

impl<S> Guard<S> {
    /// Looks at requests that come over `io`.
    pub(crate) fn new(io: S, head_bytes_max: usize) -> Self {
        Self { io, state: State::Head(0), held: Vec::new(), head_bytes_max }
    }

    /// Lets everything pass, as for HTTP/2.
    pub(crate) fn open(io: S) -> Self {
        Self { io, state: State::Open, held: Vec::new(), head_bytes_max: 0 }
    }

    /// Looks at what is held and decides what follows.
    fn look(&mut self, seen: usize) {
        self.state = match head::end(&self.held, seen) {
            Ok(None) if self.held.len() > self.head_bytes_max => State::Open,
            Ok(None) => State::Head(self.held.len()),
            Ok(Some(end)) => {
                let head = self.held.get(..end).unwrap_or_default();
                match head::framing(head) {
                    Ok(Framing::Length(body)) => State::Given { head: end, body },
                    Ok(Framing::Chunked | Framing::Http2) => State::Open,
                    Err(Ambiguous) => self.refuse(),
                }
            }
            Err(Ambiguous) => self.refuse(),
        };
    }

    fn refuse(&mut self) -> State {
        self.held = REFUSED.to_vec();
        State::Open
    }

    /// Gives up to `max` held bytes. Returns how many.
    fn give(&mut self, buf: &mut ReadBuf<'_>, max: usize) -> usize {
        let len = self.held.len().min(buf.remaining()).min(max);
        buf.put_slice(self.held.get(..len).unwrap_or_default());
        self.held.drain(..len);
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        len
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Waits until it is clear which version the other side speaks. What was read for that is not lost.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        poll_fn(|context| self.poll_speaks_http2(context)).await
    }

    fn poll_speaks_http2(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if matches!(self.state, State::Open) {
            return Poll::Ready(Ok(true));
        }
        while self.held.len() < PREFACE.len() && PREFACE.starts_with(&self.held) {
            let mut space = [0; 1_024];
            let (_, ended) = ready!(self.read_some(context, &mut ReadBuf::new(&mut space), 0))?;
            if ended {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(self.held.starts_with(PREFACE)))
    }

    /// Reads into `buf` and keeps back what exceeds `max` bytes. Returns how many bytes stay in `buf`
    /// and whether the other side had ended.
    fn read_some(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        max: u64,
    ) -> Poll<io::Result<(usize, bool)>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buf))?;
        let read = buf.filled().len() - before;
        let kept = usize::try_from(max).map_or(read, |max| read.min(max));
        self.held.extend_from_slice(buf.filled().get(before + kept..).unwrap_or_default());
        buf.set_filled(before + kept);
        Poll::Ready(Ok((kept, read == 0)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.state {
                State::Open if this.held.is_empty() => {
                    return Pin::new(&mut this.io).poll_read(context, buf);
                }
                State::Open => {
                    this.give(buf, usize::MAX);
                    return Poll::Ready(Ok(()));
                }
                State::Head(seen) if seen < this.held.len() => this.look(seen),
                State::Head(_) => {
                    let (_, ended) = ready!(this.read_some(context, buf, 0))?;
                    if ended {
                        // A head that ends in the middle asks for nothing.
                        this.held = Vec::new();
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Given { head: 0, body: 0 } => this.state = State::Head(0),
                State::Given { head: 0, body } if this.held.is_empty() => {
                    let (read, _) = ready!(this.read_some(context, buf, body))?;
                    let read = u64::try_from(read).unwrap_or(body);
                    this.state = State::Given { head: 0, body: body.saturating_sub(read) };
                    return Poll::Ready(Ok(()));
                }
                State::Given { head: 0, body } => {
                    let given = this.give(buf, usize::try_from(body).unwrap_or(usize::MAX));
                    let given = u64::try_from(given).unwrap_or(body);
                    this.state = State::Given { head: 0, body: body.saturating_sub(given) };
                    return Poll::Ready(Ok(()));
                }
                State::Given { head, body } => {
                    let given = this.give(buf, head);
                    this.state = State::Given { head: head - given, body };
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Sends its pieces one a read, then ends.
    struct Pieces(Vec<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.0.is_empty() {
                let mut piece = self.0.remove(0);
                let rest = piece.split_off(piece.len().min(buf.remaining()));
                buf.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.insert(0, rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// What hyper gets, read by read.
    async fn reads(pieces: &[&[u8]], room: usize) -> Vec<String> {
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let mut guard = Guard::new(pieces, 64);
        let mut reads = Vec::new();
        let mut buf = vec![0; room];
        loop {
            let len = AsyncReadExt::read(&mut guard, &mut buf).await.unwrap();
            if len == 0 {
                return reads;
            }
            reads.push(String::from_utf8(buf[..len].to_vec()).unwrap());
        }
    }

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    const PUT: &[u8] = b"PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n";

    #[tokio::test]
    async fn heads_are_given_one_at_a_time_however_they_come() {
        let all = [GET, PUT, b"12345", GET, PUT, b"\r\n\r\n5", GET].concat();
        let [get, put] = [GET, PUT].map(|head| String::from_utf8(head.to_vec()).unwrap());
        let expected =
            [get.clone(), put.clone(), "12345".into(), get.clone(), put, "\r\n\r\n5".into(), get];
        assert_eq!(reads(&[&all], 4_096).await, expected);
        let bytes: Vec<_> = all.chunks(1).collect();
        let single = reads(&bytes, 4_096).await;
        assert_eq!(single.concat().as_bytes(), all);
        assert_eq!(single.iter().filter(|read| read.len() > 1).count(), 5, "heads are whole");
        assert_eq!(reads(&[&all], 7).await.concat().as_bytes(), all);
    }

    #[tokio::test]
    async fn the_version_is_known_before_anything_is_given() {
        for (sent, expected) in
            [(PREFACE, true), (GET, false), (PUT, false), (b"PRI /a HTTP/1.1\r\n\r\n", false)]
        {
            for size in [1, 5, 100] {
                let mut guard =
                    Guard::new(Pieces(sent.chunks(size).map(<[u8]>::to_vec).collect()), 64);
                assert_eq!(guard.speaks_http2().await.unwrap(), expected);
                let mut given = Vec::new();
                guard.read_to_end(&mut given).await.unwrap();
                assert_eq!(given, sent, "nothing is lost");
            }
        }
        assert!(!Guard::new(Pieces(vec![b"PRI".to_vec()]), 64).speaks_http2().await.unwrap());
        assert!(Guard::open(Pieces(Vec::new())).speaks_http2().await.unwrap());
    }

    #[tokio::test]
    async fn what_is_refused_never_reaches_hyper() {
        let refused = String::from_utf8(REFUSED.to_vec()).unwrap();
        assert_eq!(reads(&[b"GET / HTTP/1.1\n", b"Host: a\n\n"], 99).await[0], refused);
        let both: &[u8] =
            b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(reads(&[GET, both], 99).await, [str::from_utf8(GET).unwrap(), &refused]);
    }

    #[tokio::test]
    async fn long_heads_and_chunks_are_left_to_hyper() {
        let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'x'; 99]].concat();
        assert_eq!(reads(&[&long, b"\nyz"], 4_096).await.concat().len(), long.len() + 3);
        let chunked = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(reads(&[chunked, b"1\r\na\r\n0\r\n\r\n"], 99).await.len(), 2);
    }

    #[tokio::test]
    async fn half_a_head_is_nothing() {
        assert_eq!(reads(&[GET, b"X"], 99).await.len(), 1);
        assert!(reads(&[b"GET / HTTP/1.1\r\n"], 99).await.is_empty());
    }
}
