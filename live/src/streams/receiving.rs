//! The body of a writer's request on its way into a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use crate::body::{Body, BodyError};
use crate::shutdown::Shutdown;

use super::writer::{AppendError, Writer};

/// Bytes that are stored at once.
const BATCH_LEN_MAX: usize = 512 << 10;

/// Pieces below this are copied together, so that a writer of single bytes costs a write for all that
/// have come and not for each.
const PIECE_LEN_MIN: usize = 8 << 10;

/// How the body of a writer ended.
#[derive(Debug)]
pub(super) enum Received {
    /// As the writer meant it to.
    All,
    /// The client or the server gave up first.
    Lost(BodyError),
    /// A limit or the disk cut it off.
    Cut(AppendError),
}

/// Stores a body as it comes. Each batch is what has come while the one before it was written: bytes are
/// gathered under pressure and never waited for.
pub(super) async fn receive(body: &mut Body, writer: &mut Writer, shutdown: &Shutdown) -> Received {
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.requested() => return Received::Lost(BodyError::ShuttingDown),
            batch = gather(body) => batch,
        };
        for bytes in &batch.pieces {
            if let Err(error) = writer.append(bytes) {
                return Received::Cut(error);
            }
        }
        if let Some(end) = batch.end {
            return end;
        }
    }
}

#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    small: BytesMut,
    len: usize,
    end: Option<Received>,
}

impl Batch {
    fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() < PIECE_LEN_MIN {
            self.small.extend_from_slice(&bytes);
        } else {
            self.close_small();
            self.pieces.push(bytes);
        }
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    /// Takes what is there; ready with at least something.
    fn poll_fill(&mut self, body: &mut Body, context: &mut Context<'_>) -> Poll<()> {
        while self.len < BATCH_LEN_MAX && self.end.is_none() {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers of a writer say nothing that is kept.
                    if let Ok(bytes) = frame.into_data() {
                        self.push(bytes);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.end = Some(Received::Lost(error)),
                Poll::Ready(None) => self.end = Some(Received::All),
                Poll::Pending if self.len == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        self.close_small();
        Poll::Ready(())
    }
}

async fn gather(body: &mut Body) -> Batch {
    let mut batch = Batch::default();
    poll_fn(|context| batch.poll_fill(body, context)).await;
    batch
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body::Frame;

    use super::*;

    /// A body whose frames are all there; `None` is a pause.
    struct Script(VecDeque<Option<Bytes>>);

    impl http_body::Body for Script {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            match self.0.pop_front() {
                Some(Some(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(None) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        }
    }

    fn script(frames: impl IntoIterator<Item = Option<&'static [u8]>>) -> Body {
        Body::stream(Script(frames.into_iter().map(|f| f.map(Bytes::from_static)).collect()))
    }

    #[tokio::test]
    async fn what_is_there_is_one_batch() {
        let mut body = script([Some(&b"a"[..]), Some(b"b"), None, Some(b"c")]);
        let first = gather(&mut body).await;
        assert_eq!(first.pieces, [Bytes::from_static(b"ab")]);
        assert!(first.end.is_none());
        let second = gather(&mut body).await;
        assert_eq!(second.pieces, [Bytes::from_static(b"c")]);
        assert!(matches!(second.end, Some(Received::All)));
    }

    #[tokio::test]
    async fn large_pieces_keep_their_place_and_are_not_copied() {
        static LARGE: [u8; 100_000] = [7; 100_000];
        let mut body = script([Some(&b"a"[..]), Some(&LARGE), Some(b"b")]);
        let batch = gather(&mut body).await;
        let lens: Vec<usize> = batch.pieces.iter().map(Bytes::len).collect();
        assert_eq!(lens, [1, LARGE.len(), 1]);
        assert_eq!(batch.pieces[1].as_ptr(), LARGE.as_ptr());
        let mut body = script(std::iter::repeat_n(Some(&LARGE[..]), 20));
        assert_eq!(gather(&mut body).await.len, 600_000, "a batch is bounded");
    }
}
