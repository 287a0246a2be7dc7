//! One who reads a stream: an offset, and at most one piece of bytes on its way. It holds nothing that
//! grows, so a slow reader loses nothing and costs nothing, and the writer never waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use tokio::sync::watch;

use crate::body::BodyError;
use crate::conn::home::{self, Reason};
use crate::message::Request;
use crate::model::{Progress, State};
use crate::range::End;
use crate::shutdown::Shutdown;

use super::blocking::BUFFER_LEN;
use super::haste::Hurry;
use super::stream::{Stream, byte_count};

/// The largest piece for a reader over HTTP/2, in bytes: one frame. HTTP/2 keeps several pieces of each
/// stream, and a client may stop reading a hundred streams of one connection.
const FRAME_LEN: usize = 16 << 10;

/// A reader with more than this before it is far behind, in bytes.
const BEHIND_LEN: u64 = 128 << 10;

/// How often a reader that stands back looks whether there is more.
const LOOK: Duration = Duration::from_millis(1);

/// How long readers wait before they stand back, for each reader of the stream, and at most: to go elsewhere
/// costs the processors some time that a writer wants, and many a hurry is over sooner than all have gone.
const PAUSE_EACH: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// In so many parts, after each of which they look whether the hurry is over.
const PAUSE_PARTS: u32 = 5;

/// Where a reader is.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<Stream>,
    progress: watch::Receiver<Progress>,
    offset: u64,
    end: End,
    piece_len_max: usize,
    /// Held while this reader stands back.
    behind: Option<Reason>,
    shutdown: Shutdown,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The bytes at the reader's offset.
    Bytes(Bytes),
    /// The reader has all that was asked for, or all that there is.
    End,
}

impl Reader {
    /// The reader that `request` asks for.
    pub(super) fn new(stream: Arc<Stream>, offset: u64, end: End, request: &Request) -> Self {
        let frames = request.head.version >= Version::HTTP_2;
        let piece_len_max = if frames { FRAME_LEN } else { BUFFER_LEN };
        let shutdown = request.shutdown.clone();
        Self {
            progress: stream.changes(),
            stream,
            offset,
            end,
            piece_len_max,
            behind: None,
            shutdown,
        }
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// The next byte.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Waits for the next piece.
    ///
    /// # Errors
    ///
    /// There is more, and this reader will not get it: the stream was aborted, the server shuts down, the
    /// disk fails. The response must not end as if it were complete.
    pub(super) async fn next(&mut self) -> Result<Piece, BodyError> {
        loop {
            if !matches!(self.end, End::Stored(_)) && self.shutdown.is_requested() {
                return Err(BodyError::ShuttingDown);
            }
            let wanted = match self.end {
                End::Stored(end) | End::Awaited(end) => end,
                End::Stream => u64::MAX,
            };
            let published = wanted.min(self.stream.published_len());
            if self.stands_back(published).await {
                if self.offset < published {
                    let len_max = self.piece_len_max;
                    return self.took(self.stream.read_behind(self.offset, published, len_max));
                }
                if self.offset < wanted {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
            }
            let progress = *self.progress.borrow_and_update();
            let available = wanted.min(progress.len);
            if self.offset < available {
                let len_max = self.piece_len_max;
                return self.took(self.stream.read(self.offset, available, len_max));
            }
            if self.offset >= wanted {
                return Ok(Piece::End);
            }
            if progress.state.is_terminal() {
                return end_of(progress.state);
            }
            self.changed().await?;
        }
    }

    /// Whether this reader leaves the processors to writers: its own is in a hurry, or it is far behind while
    /// another one is.
    async fn stands_back(&mut self, published: u64) -> bool {
        let left = published.saturating_sub(self.offset);
        let far = if self.behind.is_some() { left > 0 } else { left > BEHIND_LEN };
        let hurries = || self.stream.hurries() || (far && Hurry::of_any());
        let mut stays = hurries();
        if stays && self.behind.is_none() {
            stays = outlasts(self.stream.reader_count(), hurries, tokio::time::sleep).await;
        }
        if stays != self.behind.is_some() {
            self.behind = if stays { Reason::behind() } else { None };
            home::settled().await;
        }
        stays
    }

    fn took(&mut self, bytes: std::io::Result<Bytes>) -> Result<Piece, BodyError> {
        let bytes = bytes?;
        self.offset = self.offset.saturating_add(byte_count(&bytes));
        Ok(Piece::Bytes(bytes))
    }

    /// Waits for more, or for the end of the server.
    async fn changed(&mut self) -> Result<(), BodyError> {
        tokio::select! {
            biased;
            changed = self.progress.changed() => changed.map_err(|_| BodyError::Aborted),
            () = self.shutdown.requested() => Err(BodyError::ShuttingDown),
        }
    }
}

/// Waits a while, as one of so many readers, for the end of a hurry; answers whether it goes on.
async fn outlasts<S: Future<Output = ()>>(
    readers: usize,
    hurries: impl Fn() -> bool,
    sleep: impl Fn(Duration) -> S,
) -> bool {
    let readers = u32::try_from(readers).unwrap_or(u32::MAX);
    let pause = PAUSE_EACH.saturating_mul(readers).min(PAUSE_MAX);
    for _ in 0..PAUSE_PARTS {
        sleep(pause / PAUSE_PARTS).await;
        if !hurries() {
            return false;
        }
    }
    true
}

fn end_of(state: State) -> Result<Piece, BodyError> {
    if state.ends_cleanly() { Ok(Piece::End) } else { Err(BodyError::Aborted) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::time::Instant;

    use tokio::runtime::Handle;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::body::Body;
    use crate::conn::home::Home;
    use crate::journal::Journal;
    use crate::message::Side;
    use crate::streams::directory::Directory;
    use crate::streams::record::ContentType;
    use crate::threads::{Rank, ReaderThreads};

    /// Reads at its home to the end, and tells of each piece where it was read and how long it was.
    async fn read_all(mut reader: Reader, tell: impl Fn(Rank, usize)) {
        loop {
            let len = match reader.next().await.unwrap() {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::End => 0,
            };
            tell(home::rank().unwrap(), len);
            if len == 0 {
                return;
            }
        }
    }

    /// More readers wait longer, up to a tenth of a second, and none longer than the hurry but for a fifth
    /// of the time that it would wait at most.
    #[tokio::test]
    async fn readers_stand_back_only_from_a_hurry_that_outlasts_their_patience() {
        for (readers, hurry_us, waited_us, goes_on) in [
            (1, 100, 200, false),
            (1, 800, 800, false),
            (1, 801, 1_000, false),
            (1, 1_001, 1_000, true),
            (10, 1_999, 2_000, false),
            (10, 60_000, 10_000, true),
            (100, 60_000, 60_000, false),
            (100, 120_000, 100_000, true),
            (10_000, 81_000, 100_000, false),
            (10_000, 120_000, 100_000, true),
            (usize::MAX, 1, 20_000, false),
        ] {
            let (clock, hurry) = (Cell::new(Duration::ZERO), Duration::from_micros(hurry_us));
            let sleep = |time| {
                clock.set(clock.get() + time);
                ready(())
            };
            let answer = outlasts(readers, || clock.get() < hurry, sleep).await;
            let found = (clock.get(), answer);
            let expected = (Duration::from_micros(waited_us), goes_on);
            assert_eq!(found, expected, "{readers} readers, a hurry of {hurry_us} us");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_reads_a_writer_in_a_hurry_stands_back_until_its_end() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::temporary(scratch.path()).unwrap());
        let (kind, journal) = (ContentType::of(None), Journal::none());
        let name = "s".parse().unwrap();
        let (stream, mut pen) = Stream::create(&directory, name, kind, &journal).unwrap();
        let threads = ReaderThreads::start(Handle::current()).unwrap();
        let (sender, mut pieces) = unbounded_channel();
        let request = Request::for_test(http::Request::new(Body::empty()));
        let reader = Reader::new(stream.clone(), 0, End::Stream, &request);
        let reading = read_all(reader, move |rank, len| sender.send((rank, len)).unwrap());
        Home::new(threads.ranks().clone(), Side::Get).run(reading);

        // A line is read at once, by the threads of readers.
        stream.append(&mut pen, &Bytes::from_static(b"line\n")).1.unwrap();
        assert_eq!(pieces.recv().await, Some((Rank::Readers, 5)));

        let (begun, mut stood_back, mut read) = (Instant::now(), false, 5);
        while !stood_back {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never stands back");
            for _ in 0..8 {
                stream.append(&mut pen, &vec![b'x'; 256 << 10].into()).1.unwrap();
            }
            tokio::time::sleep(LOOK).await;
            while let Ok((rank, len)) = pieces.try_recv() {
                stood_back |= rank == Rank::Behind;
                read += len;
            }
        }
        stream.end(pen, State::Complete);
        let last = loop {
            match pieces.recv().await.unwrap() {
                (rank, 0) => break rank,
                (_, len) => read += len,
            }
        };
        assert_eq!(u64::try_from(read), Ok(stream.progress().len), "nothing is left out");
        assert_eq!(last, Rank::Readers, "and is a reader like any other at the end");
    }
}
