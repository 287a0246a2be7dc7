//! From a thread that may block to a body that a client reads: a few pieces in between, and the end of
//! the work when nobody reads any more.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::Frame;
use tokio::sync::mpsc;

use crate::body::{Body, BodyError};

/// Pieces that wait for the client. With the one in its hands, that is what an answer holds, however large
/// it is.
const PIECES: usize = 4;

/// How large pieces are at most.
const PIECE_BYTES: usize = 64 << 10;

/// How large they are over HTTP/2: one frame. HTTP/2 keeps several pieces of each stream, and a client
/// may stop reading a hundred of them.
const FRAME_BYTES: usize = 16 << 10;

/// How large pieces are for a client that speaks `version`.
pub(super) fn piece_bytes(version: Version) -> usize {
    if version >= Version::HTTP_2 { FRAME_BYTES } else { PIECE_BYTES }
}

/// Says that nobody reads the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The end for whoever makes the answer. It may block in every call.
pub(super) struct Sender {
    pieces: mpsc::Sender<Result<Frame<Bytes>, BodyError>>,
    piece_bytes: usize,
    stop: Stop,
}

/// Tells the work that nobody waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The flag, for the reader's queries.
    pub(super) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the flag when the result is dropped.
    pub(super) fn guard(&self) -> StopGuard {
        StopGuard(self.clone())
    }
}

/// Sets a flag when it is dropped.
#[derive(Debug)]
pub(super) struct StopGuard(Stop);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// A channel, and the body that is its other end, for a client that speaks `version`.
pub(super) fn channel(version: Version) -> (Sender, Body) {
    let piece_bytes = piece_bytes(version);
    let (pieces, receiver) = mpsc::channel(PIECES);
    let stop = Stop::default();
    let body = Body::stream(Receiving { receiver, _guard: stop.guard() });
    (Sender { pieces, piece_bytes, stop }, body)
}

impl Sender {
    /// Tells when the client has left.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stop.is_set()
    }

    /// Hands bytes to the client, and waits as long as it does not take them.
    pub(super) fn send(&self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        let mut bytes = bytes.into();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(self.piece_bytes));
            self.pieces.blocking_send(Ok(Frame::data(piece))).map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Ends the body with trailers.
    pub(super) fn finish(self, trailers: HeaderMap) {
        // Where nobody reads, there is nobody to tell.
        let _ = self.pieces.blocking_send(Ok(Frame::trailers(trailers)));
    }

    /// Breaks the body off: the client learns that it does not have everything.
    pub(super) fn fail(self, error: BodyError) {
        let _ = self.pieces.blocking_send(Err(error));
    }
}

/// For blocks as they are stored, which come in small writes.
pub(super) struct Writing<'s> {
    sender: &'s Sender,
    buffer: Vec<u8>,
}

impl<'s> Writing<'s> {
    pub(super) fn new(sender: &'s Sender) -> Self {
        Self { sender, buffer: Vec::with_capacity(sender.piece_bytes) }
    }
}

impl Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.sender.piece_bytes {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes =
            std::mem::replace(&mut self.buffer, Vec::with_capacity(self.sender.piece_bytes));
        self.sender.send(bytes).map_err(|Gone| io::ErrorKind::BrokenPipe.into())
    }
}

struct Receiving {
    receiver: mpsc::Receiver<Result<Frame<Bytes>, BodyError>>,
    /// Ends the work together with the body.
    _guard: StopGuard,
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.receiver.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_the_sender_waits_for_the_reader() {
        let (sender, body) = channel(Version::HTTP_11);
        let text: Vec<u8> = (0..PIECE_BYTES * 9).map(|n| n.to_le_bytes()[0]).collect();
        let sent = text.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = sender.send(sent);
            sender.finish(HeaderMap::new());
            result
        });
        let received = body.collect().await.unwrap().to_bytes();
        assert_eq!(work.await.unwrap(), Ok(()));
        assert!(received == text);
    }

    #[tokio::test]
    async fn work_ends_when_the_body_is_dropped() {
        let (sender, body) = channel(Version::HTTP_11);
        let work = tokio::task::spawn_blocking(move || {
            while sender.send(vec![0; PIECE_BYTES]).is_ok() {}
            sender.is_closed()
        });
        drop(body);
        assert!(work.await.unwrap(), "the flag is set for work that sends nothing, too");
    }

    #[tokio::test]
    async fn a_failure_breaks_the_body_off() {
        let (sender, body) = channel(Version::HTTP_11);
        let work = tokio::task::spawn_blocking(move || {
            sender.send("half").unwrap();
            sender.fail(BodyError::ShuttingDown);
        });
        assert!(body.collect().await.is_err());
        work.await.unwrap();
    }
}
