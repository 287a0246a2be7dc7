//! One stream: its file, what readers may see of it, and the pen, which one writer at a time holds.
//!
//! A byte is first written to the file, then put on the ring, then published as part of the committed
//! length; only then a reader may know of it. So what a reader has seen is in the file whatever
//! happens to this process.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use crate::journal::Journal;
use crate::model::{Generation, Progress, State, StreamName, Tag};

use super::blocking::{BUFFER_LEN, blocking, read_at, write_at};
use super::digest::Digest;
use super::directory::{Directory, Stem};
use super::haste::{Hurry, Pace};
use super::record::{ContentType, Record};
use super::ring::Ring;

/// A write that takes longer than this waited for the disk.
const DISK_WAITS: Duration = Duration::from_millis(2);

/// A stream with its content.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: StreamName,
    pub(super) generation: Generation,
    pub(super) content_type: ContentType,
    pub(super) created: SystemTime,
    data: File,
    directory: Arc<Directory>,
    ring: Mutex<Ring>,
    progress: watch::Sender<Progress>,
    /// The length that `progress` tells, for those who must not take its lock.
    published_len: AtomicU64,
    /// Whether its writer is in a hurry.
    hurry: Hurry,
    pen: Mutex<Option<Pen>>,
    /// When it ended.
    ended: OnceLock<SystemTime>,
    digest: Digest,
    /// Whether its files are gone; locked while they are written.
    removed: Mutex<bool>,
    journal: Journal,
}

/// The right to write, and what a writer must know of everything before it.
#[derive(Debug)]
pub(super) struct Pen {
    /// Whether the last write waited for the disk.
    disk_waits: bool,
    pace: Pace,
    /// How often a writer put it down.
    pub(super) turn: u64,
}

impl Pen {
    fn new() -> Self {
        Self { disk_waits: false, pace: Pace::new(), turn: 0 }
    }
}

impl Stream {
    /// Makes a stream for a writer that begins, with its files.
    pub(super) fn create(
        directory: &Arc<Directory>,
        name: StreamName,
        content_type: ContentType,
        journal: &Journal,
    ) -> io::Result<(Arc<Self>, Pen)> {
        let generation = Generation::random();
        let data = directory.create(&Stem::new(&name, generation))?;
        let record = Record {
            name,
            generation,
            state: State::Open,
            len: 0,
            sha256: None,
            content_type,
            created: SystemTime::now(),
            ended: None,
        };
        if let Err(error) = directory.write_record(&record) {
            let _ = directory.remove(&Stem::new(&record.name, generation));
            return Err(error);
        }
        let stream = Self::new(directory, record, data, journal);
        Ok((Arc::new(stream), Pen::new()))
    }

    /// A stream of which this is recorded; nobody holds its pen.
    pub(super) fn recovered(
        directory: &Arc<Directory>,
        record: Record,
        data: File,
        journal: &Journal,
    ) -> Arc<Self> {
        let stream = Self::new(directory, record, data, journal);
        *stream.pen() = Some(Pen::new());
        Arc::new(stream)
    }

    fn new(directory: &Arc<Directory>, record: Record, data: File, journal: &Journal) -> Self {
        let ended = OnceLock::new();
        if record.state.is_terminal() {
            let _ = ended.set(record.ended.unwrap_or(record.created));
        }
        Self {
            name: record.name,
            generation: record.generation,
            content_type: record.content_type,
            created: record.created,
            data,
            directory: directory.clone(),
            ring: Mutex::default(),
            progress: watch::Sender::new(Progress { len: record.len, state: record.state }),
            published_len: AtomicU64::new(record.len),
            hurry: Hurry::none(),
            pen: Mutex::default(),
            ended,
            digest: Digest::recorded(record.sha256),
            removed: Mutex::new(false),
            journal: journal.clone(),
        }
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Tells of each change of the progress.
    pub(super) fn changes(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The committed length, without a lock.
    pub(super) fn published_len(&self) -> u64 {
        self.published_len.load(Ordering::Acquire)
    }

    /// Whether its writer is in a hurry, and has not ended.
    pub(super) fn hurries(&self) -> bool {
        self.hurry.lasts() && self.ended.get().is_none()
    }

    /// Its entity tag now.
    pub(super) fn tag(&self, progress: Progress) -> Tag {
        Tag::new(self.generation, progress)
    }

    /// When it ended; `None` if it has not.
    pub(super) fn ended(&self) -> Option<SystemTime> {
        self.ended.get().copied()
    }

    /// The digest of all its bytes. It must have ended before anybody waits for it.
    pub(super) const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where its files are.
    pub(super) fn directory_path(&self) -> &Path {
        self.directory.path()
    }

    /// How many readers and writers look at it.
    pub(super) fn reader_count(&self) -> usize {
        self.progress.receiver_count()
    }

    /// Bytes from `offset` on and below `end`, at least one and as many as are convenient, but no more
    /// than `len_max`. `end` must not be above the committed length.
    pub(super) fn read(&self, offset: u64, end: u64, len_max: usize) -> io::Result<Bytes> {
        // Large enough that the system call costs nothing beside the copy, small enough that a
        // thousand readers fit into memory.
        let len = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(len_max).min(BUFFER_LEN);
        let end = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        match self.ring().get(offset, end) {
            // A small part would hold the whole chunk in memory as long as its reader stalls.
            Some(bytes) if len_max < BUFFER_LEN => Ok(Bytes::copy_from_slice(&bytes)),
            Some(bytes) => Ok(bytes),
            None => read_at(&self.data, offset, len),
        }
    }

    /// As [`Self::read`], from the file whatever the ring holds, and without a lock.
    pub(super) fn read_behind(&self, offset: u64, end: u64, len_max: usize) -> io::Result<Bytes> {
        let len = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        read_at(&self.data, offset, len.min(len_max).min(BUFFER_LEN))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pen(&self) -> MutexGuard<'_, Option<Pen>> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the pen, for a writer that goes on or for ending the stream; `None` if somebody holds it.
    pub(super) fn take_pen(&self) -> Option<Pen> {
        self.pen().take()
    }

    /// As [`Self::take_pen`], if nobody has taken it since it was put down for the `turn`-th time.
    pub(super) fn take_pen_of_turn(&self, turn: u64) -> Option<Pen> {
        self.pen().take_if(|pen| pen.turn == turn)
    }

    /// Gives the pen back unused.
    pub(super) fn return_pen(&self, pen: Pen) {
        *self.pen() = Some(pen);
    }

    /// Says that a writer goes on, and that after a crash the file tells how far it came.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.record(State::Open)?;
        self.progress.send_modify(|progress| progress.state = State::Open);
        Ok(())
    }

    /// Stores bytes behind all others, shows them to readers, and tells how many were stored.
    ///
    /// # Errors
    ///
    /// The system's; what was stored before it is stored.
    pub(super) fn append(&self, pen: &mut Pen, bytes: &Bytes) -> (usize, io::Result<()>) {
        let offset = self.progress().len;
        let began = Instant::now();
        // Into the page cache a line is written in a microsecond, while stepping aside for others takes
        // ten; where the disk made the last write wait, the next one steps aside.
        let (count, result) = if pen.disk_waits {
            blocking(|| write_at(&self.data, offset, bytes))
        } else {
            write_at(&self.data, offset, bytes)
        };
        let now = Instant::now();
        pen.disk_waits = now.saturating_duration_since(began) > DISK_WAITS;
        let stored = bytes.slice(..count);
        // Before readers are told of them: where that is a hurry, they shall know it.
        pen.pace.count(byte_count(&stored), self.reader_count(), now, &self.hurry);
        self.ring().push(offset, &stored);
        self.progress.send_modify(|progress| progress.len += byte_count(&stored));
        self.published_len.fetch_add(byte_count(&stored), Ordering::Release);
        (count, result)
    }

    /// Puts the pen down: the writer is gone and may come back. Returns the turn that begins.
    pub(super) fn interrupt(&self, mut pen: Pen) -> u64 {
        self.record_or_say(State::Interrupted);
        pen.turn += 1;
        let turn = pen.turn;
        // Under one lock: whoever learns that the writer is gone finds the pen.
        let mut place = self.pen();
        self.progress.send_modify(|progress| progress.state = State::Interrupted);
        *place = Some(pen);
        turn
    }

    /// Ends the stream for good. The pen is used up.
    pub(super) fn end(&self, _: Pen, state: State) {
        let _ = self.ended.set(SystemTime::now());
        // An earlier run of the server may have left bytes behind which nobody was shown.
        let _ = self.data.set_len(self.progress().len);
        self.digest.reckon_at_once(self);
        self.record_or_say(state);
        self.progress.send_modify(|progress| progress.state = state);
        self.ring().clear();
    }

    /// Removes the files. Readers that have the stream read on.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        *removed = true;
        self.directory.remove(&Stem::new(&self.name, self.generation))
    }

    /// Records the digest, now that it is known.
    pub(super) fn record_digest(&self, sha256: [u8; 32]) {
        let recorded = self.record_with(self.progress().state, Some(sha256));
        if let Err(error) = recorded {
            self.journal
                .line(&format_args!("stream {}: cannot record its digest: {error}", self.name));
        }
    }

    fn record_or_say(&self, state: State) {
        if let Err(error) = self.record(state) {
            self.journal.line(&format_args!(
                "stream {}: cannot record that it is {state}: {error}",
                self.name
            ));
        }
    }

    fn record(&self, state: State) -> io::Result<()> {
        self.record_with(state, self.digest.known())
    }

    fn record_with(&self, state: State, sha256: Option<[u8; 32]>) -> io::Result<()> {
        let record = Record {
            name: self.name.clone(),
            generation: self.generation,
            state,
            len: self.progress().len,
            sha256,
            content_type: self.content_type,
            created: self.created,
            ended: self.ended(),
        };
        blocking(|| {
            let removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
            if *removed { Ok(()) } else { self.directory.write_record(&record) }
        })
    }
}

/// The length of bytes, as offsets count.
pub(super) fn byte_count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_learns_that_the_writer_is_gone_finds_the_pen() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::temporary(scratch.path()).unwrap());
        let (kind, journal) = (ContentType::of(None), Journal::none());
        let name = "s".parse().unwrap();
        let (stream, pen) = Stream::create(&directory, name, kind, &journal).unwrap();
        let mut pen = Some(pen);
        for round in 0..1_000 {
            stream.reopen().unwrap();
            let written = pen.take().unwrap();
            pen = std::thread::scope(|scope| {
                scope.spawn(|| stream.interrupt(written));
                let begun = Instant::now();
                while stream.progress().state != State::Interrupted {
                    assert!(begun.elapsed() < Duration::from_secs(20), "round {round}");
                }
                stream.take_pen()
            });
            assert!(pen.is_some(), "round {round}");
        }
    }
}
