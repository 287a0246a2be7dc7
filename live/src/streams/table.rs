//! All streams of a server, by name: who may write which, how many there may be, and for how long.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::journal::Journal;
use crate::metrics::{Counter, Gauge, Metrics};
use crate::model::{Progress, State, StreamName};

use super::blocking::blocking;
use super::digest::digest_later;
use super::directory::{Directory, DirectoryError};
use super::record::ContentType;
use super::recovery::recover;
use super::stream::Stream;
use super::writer::{Limits, Writer, abort_later, has_space, is_full};

/// How often ended streams are looked through for those that are too old.
const EXPIRY_CHECK: Duration = Duration::from_secs(60);

/// How streams are kept.
///
/// | field | default |
/// |---|---|
/// | `directory` | none: a new one in `temporary_in`, which goes with the server |
/// | `temporary_in` | where the system keeps temporary files |
/// | `stream_bytes_max` | no limit |
/// | `free_bytes_min` | 64 MiB |
/// | `stream_count_max` | 1,000 |
/// | `keep` | 7 days after the end |
/// | `writer_grace` | 30 s |
/// | `replace` | false |
/// | `livelog_compatible` | false |
#[derive(Clone, Debug)]
pub struct StreamsOptions {
    /// Where streams are kept over restarts of the server.
    pub directory: Option<PathBuf>,
    /// Where a directory is made if there is none to keep.
    pub temporary_in: PathBuf,
    /// The longest stream, in bytes; what is longer is truncated.
    pub stream_bytes_max: u64,
    /// Free space of the file system below which nothing is written, in bytes.
    pub free_bytes_min: u64,
    /// How many streams there may be.
    pub stream_count_max: usize,
    /// How long a stream is kept after its end.
    pub keep: Duration,
    /// How long a lost writer may take to come back before its stream is aborted.
    pub writer_grace: Duration,
    /// Whether a new PUT replaces a stream that has ended, instead of being refused.
    pub replace: bool,
    /// Whether `/log` answers as the original livelog where that differs from the standards.
    pub livelog_compatible: bool,
}

impl Default for StreamsOptions {
    fn default() -> Self {
        Self {
            directory: None,
            temporary_in: std::env::temp_dir(),
            stream_bytes_max: u64::MAX,
            free_bytes_min: 64 << 20,
            stream_count_max: 1_000,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
            writer_grace: Duration::from_secs(30),
            replace: false,
            livelog_compatible: false,
        }
    }
}

/// Why a stream cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("somebody else writes this stream")]
    Busy { progress: Progress },
    #[error("this stream has ended")]
    Ended { progress: Progress },
    #[error("the stream was interrupted: go on with PATCH and Logq-Offset")]
    Interrupted { progress: Progress },
    #[error("there is no such stream: begin it with PUT")]
    Absent,
    #[error("the stream has another length")]
    WrongOffset { progress: Progress },
    #[error("a stream may have {max} bytes")]
    TooLong { max: u64 },
    #[error("there are as many streams as there may be")]
    TooMany,
    #[error("the disk is full")]
    Full,
    #[error("cannot write the stream: {0}")]
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}

/// All streams of a server. Clones share them.
#[derive(Clone, Debug)]
pub struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: StreamsOptions,
    journal: Journal,
    directory: Arc<Directory>,
    table: Mutex<BTreeMap<StreamName, Arc<Stream>>>,
    /// Held while a stream is made or removed, which waits for the disk; the table is not locked then.
    changing: Mutex<()>,
    /// Counts streams that were made, for readers that came before.
    arrivals: watch::Sender<u64>,
    numbers: Numbers,
}

/// What the streams count.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) written: Counter,
    pub(super) read: Counter,
    pub(super) readers: Gauge,
}

impl Numbers {
    fn new(metrics: &Metrics) -> Self {
        let bytes = |way| {
            let help = "Bytes of streams that went in and out.";
            metrics.counter("logq_stream_bytes_total", help, &[("direction", way)])
        };
        let help = "Responses that send a stream at the moment.";
        Self {
            written: bytes("in"),
            read: bytes("out"),
            readers: metrics.gauge("logq_stream_readers", help, &[]),
        }
    }
}

impl Streams {
    /// Opens the directory of streams, recovers what an earlier run left, and sees to expiry from then on.
    /// Must be called inside the runtime that serves.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or read, can be written by others, or is in use by another server.
    pub fn open(
        options: StreamsOptions,
        metrics: &Metrics,
        journal: Journal,
    ) -> Result<Self, DirectoryError> {
        let directory = Arc::new(match &options.directory {
            Some(path) => Directory::open(path)?,
            None => Directory::temporary(&options.temporary_in)?,
        });
        let table = recover(&directory, &journal)?;
        for stream in table.values() {
            match stream.progress().state {
                State::Interrupted => abort_later(stream, 0, options.writer_grace),
                state if state.is_terminal() => digest_later(stream),
                _ => {}
            }
        }
        let streams = Self(Arc::new(Inner {
            options,
            journal,
            directory,
            table: Mutex::new(table),
            changing: Mutex::new(()),
            arrivals: watch::Sender::new(0),
            numbers: Numbers::new(metrics),
        }));
        tokio::spawn(expire(Arc::downgrade(&streams.0)));
        Ok(streams)
    }

    pub(super) fn options(&self) -> &StreamsOptions {
        &self.0.options
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.0.directory.path()
    }

    /// All streams, by name.
    pub(super) fn list(&self) -> Vec<Arc<Stream>> {
        self.0.table().values().cloned().collect()
    }

    /// The stream of a name.
    pub(super) fn find(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.0.table().get(name).cloned()
    }

    /// The stream of a name, waiting for it so long.
    pub(super) async fn find_within(
        &self,
        name: &StreamName,
        wait: Duration,
    ) -> Option<Arc<Stream>> {
        let mut arrivals = self.0.arrivals.subscribe();
        let arrival = async {
            loop {
                // Seen before the table is looked at, so that no arrival falls in between.
                arrivals.borrow_and_update();
                if let Some(stream) = self.find(name) {
                    return stream;
                }
                if arrivals.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(wait, arrival).await.ok()
    }

    /// Begins a stream. One that has ended is replaced if the options say so: readers of the old one read
    /// on, and its bytes go when the last has left.
    pub(super) fn create(
        &self,
        name: &StreamName,
        content_type: ContentType,
        announced_len: Option<u64>,
    ) -> Result<Writer, WriteError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.find(name);
        if let Some(old) = &old {
            self.0.may_replace(old)?;
        }
        let max = self.0.options.stream_bytes_max;
        if announced_len.is_some_and(|len| len > max) {
            return Err(WriteError::TooLong { max });
        }
        self.0.check_room(old.is_none(), announced_len.unwrap_or(0))?;
        let created = blocking(|| {
            Stream::create(&self.0.directory, name.clone(), content_type, &self.0.journal)
        });
        let (stream, pen) = created?;
        self.0.table().insert(name.clone(), stream.clone());
        if let Some(old) = old {
            self.0.discard(&old);
        }
        self.0.arrivals.send_modify(|count| *count = count.wrapping_add(1));
        Ok(Writer::new(stream, pen, self.0.limits(), self.0.numbers.written.clone()))
    }

    /// Goes on with a stream whose writer was lost, at its end.
    pub(super) fn resume(
        &self,
        name: &StreamName,
        offset: u64,
        announced_len: Option<u64>,
    ) -> Result<Writer, WriteError> {
        let stream = self.find(name).ok_or(WriteError::Absent)?;
        let progress = stream.progress();
        if progress.state.is_terminal() {
            return Err(WriteError::Ended { progress });
        }
        let pen = stream.take_pen().ok_or(WriteError::Busy { progress })?;
        let progress = stream.progress();
        let len = progress.len;
        let max = self.0.options.stream_bytes_max;
        let possible = if offset != len {
            Err(WriteError::WrongOffset { progress })
        } else if announced_len.is_some_and(|more| more > max.saturating_sub(len)) {
            Err(WriteError::TooLong { max })
        } else {
            self.0.check_room(false, announced_len.unwrap_or(0))
        };
        if let Err(error) = possible.and_then(|()| Ok(blocking(|| stream.reopen())?)) {
            stream.return_pen(pen);
            return Err(error);
        }
        Ok(Writer::new(stream, pen, self.0.limits(), self.0.numbers.written.clone()))
    }

    /// Removes a stream that nobody writes. Readers that wait for more are told that it is over.
    pub(super) fn remove(&self, name: &StreamName) -> Result<(), WriteError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = self.find(name).ok_or(WriteError::Absent)?;
        let progress = stream.progress();
        if progress.state == State::Open {
            return Err(WriteError::Busy { progress });
        }
        self.0.table().remove(name);
        self.0.discard(&stream);
        Ok(())
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, BTreeMap<StreamName, Arc<Stream>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        Limits {
            len_max: self.options.stream_bytes_max,
            free_min: self.options.free_bytes_min,
            grace: self.options.writer_grace,
        }
    }

    fn may_replace(&self, stream: &Stream) -> Result<(), WriteError> {
        let progress = stream.progress();
        match progress.state {
            State::Waiting | State::Open => Err(WriteError::Busy { progress }),
            _ if self.options.replace => Ok(()),
            State::Interrupted => Err(WriteError::Interrupted { progress }),
            _ => Err(WriteError::Ended { progress }),
        }
    }

    fn check_room(&self, another: bool, announced_len: u64) -> Result<(), WriteError> {
        if another && self.table().len() >= self.options.stream_count_max {
            self.expire_now();
            if self.table().len() >= self.options.stream_count_max {
                return Err(WriteError::TooMany);
            }
        }
        let needed = self.options.free_bytes_min.saturating_add(announced_len);
        if has_space(self.directory.path(), needed) { Ok(()) } else { Err(WriteError::Full) }
    }

    /// Ends a stream that is no longer in the table, if it has not, and removes its files.
    fn discard(&self, stream: &Stream) {
        let removed = blocking(|| stream.remove());
        if let Some(pen) = stream.take_pen().filter(|_| !stream.progress().state.is_terminal()) {
            stream.end(pen, State::Aborted);
        }
        if let Err(error) = removed {
            self.journal
                .line(&format_args!("stream {}: cannot remove its files: {error}", stream.name));
        }
    }

    /// Removes the streams that ended too long ago.
    fn expire_now(&self) {
        let now = SystemTime::now();
        let is_old = |stream: &Stream| {
            stream
                .ended()
                .is_some_and(|at| now.duration_since(at).is_ok_and(|age| age > self.options.keep))
        };
        let mut old = Vec::new();
        self.table().retain(|_, stream| {
            let gone = is_old(stream);
            if gone {
                old.push(stream.clone());
            }
            !gone
        });
        old.iter().for_each(|stream| self.discard(stream));
    }
}

/// Looks for streams that are too old as long as the server lives.
async fn expire(streams: Weak<Inner>) {
    loop {
        tokio::time::sleep(EXPIRY_CHECK).await;
        let Some(streams) = streams.upgrade() else { return };
        streams.expire_now();
    }
}
