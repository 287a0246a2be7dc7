//! Rotation carried out: the newest segment, what is known about it, and the one after it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logq_directory::{DirectoryError, DirectoryLock, NewSegment, SegmentFile};
use logq_format::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, FILE_HEADER_LEN, FileHeader};

use crate::age::{Birth, ages};
use crate::blocks::{Segment, open};
use crate::event::{Event, ManagerError};
use crate::keeper::{Host, Site};
use crate::learn::{Learned, learn};
use crate::policy::{Due, LEARNING_BYTES, Newest, due};
use crate::survey::{Found, io_error, look};
use crate::watch::Watch;

/// How long the directory lock is waited for, and how often it is asked for meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Creates segments; remembers which one everyone should write to.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    current: PathBuf,
    /// How much there is to learn from a segment without a dictionary.
    learning: Option<(PathBuf, Watch)>,
    /// A segment from which no dictionary could be learned.
    unteachable: Option<PathBuf>,
}

impl Rotation {
    /// The segment that everyone should write to.
    pub(crate) fn current(&self) -> &Path {
        &self.current
    }

    /// Makes sure that there is a segment to write to.
    pub(crate) fn settle(&mut self, site: &Site, host: &impl Host) -> Result<(), ManagerError> {
        // Somebody else may be creating segments at the same moment, but not all the time.
        while self.current.as_os_str().is_empty() {
            let newest = site.directory.newest()?;
            let found = writable(site, newest.as_ref()).unwrap_or_else(|error| {
                host.tell(Event::error(error));
                None
            });
            match found {
                Some(found) => self.current = found.file.path,
                None => drop(self.create(site, host, newest.as_ref(), Learned::default())?),
            }
        }
        Ok(())
    }

    /// Creates the next segment if it is due, or takes note of one that somebody else created.
    /// Answers the path of the segment that everyone should write to, if it is another one now.
    pub(crate) fn run(
        &mut self,
        site: &Site,
        host: &impl Host,
    ) -> Result<Option<PathBuf>, ManagerError> {
        let newest = site.directory.newest()?;
        let Some(found) = writable(site, newest.as_ref())? else {
            return self.create(site, host, newest.as_ref(), Learned::default());
        };
        if self.current != found.file.path {
            self.current.clone_from(&found.file.path);
            return Ok(Some(self.current.clone()));
        }
        let Some(due) = self.examine(site, &found)? else { return Ok(None) };
        let learned = self.learn(site, host, &found);
        if due == Due::Dictionary && learned.trained.is_none() {
            self.unteachable = Some(found.file.path);
            return Ok(None);
        }
        self.create(site, host, newest.as_ref(), learned)
    }

    /// Whether the newest segment is done with.
    fn examine(&mut self, site: &Site, found: &Found) -> Result<Option<Due>, DirectoryError> {
        let Some(header) = found.header() else { return Ok(None) };
        let age = ages(&[Some(Birth::of(header))], &site.clock.now()).pop().unwrap_or_default();
        let newest = with_file(site, found, header, |segment| {
            Ok(Newest {
                bytes: found.bytes,
                head_bytes: head_bytes(segment, header)?,
                age,
                learnable_bytes: self.learnable_bytes(site, segment, found, header)?,
            })
        })?;
        Ok(due(&newest, &site.limits))
    }

    fn learnable_bytes(
        &mut self,
        site: &Site,
        segment: Segment<'_>,
        found: &Found,
        header: &FileHeader,
    ) -> io::Result<u64> {
        let path = &found.file.path;
        let wanted = site.limits.dictionary_bytes > 0 && header.dictionary.is_none();
        if !wanted || self.unteachable.as_ref() == Some(path) {
            return Ok(0);
        }
        let known = self.learning.take().filter(|(known, _)| known == path);
        let mut watch = known.map_or_else(Watch::from_start, |(_, watch)| watch);
        watch.advance(segment, found.bytes, LEARNING_BYTES)?;
        let bytes = watch.raw_bytes();
        self.learning = Some((path.clone(), watch));
        Ok(bytes)
    }

    /// Dictionaries from the newest segment. Without them things go on as well.
    fn learn(&self, site: &Site, host: &impl Host, found: &Found) -> Learned {
        let bytes_max = site.limits.dictionary_bytes;
        let Some(header) = found.header().filter(|_| bytes_max > 0 && !host.is_closed()) else {
            return Learned::default();
        };
        let learned = with_file(site, found, header, |segment| {
            learn(segment, header, found.bytes, bytes_max)
        });
        learned.unwrap_or_else(|error| {
            host.tell(Event::error(error));
            Learned::default()
        })
    }

    /// Creates the segment after `newest`, unless somebody else has just done so.
    fn create(
        &mut self,
        site: &Site,
        host: &impl Host,
        newest: Option<&SegmentFile>,
        learned: Learned,
    ) -> Result<Option<PathBuf>, ManagerError> {
        let now = site.clock.now();
        let Learned { trained: dictionary, kept } = learned;
        let new = NewSegment { dictionary, kept, ..NewSegment::at(now.wall) };
        // Writing the head takes no lock; publishing it syncs the file and does.
        let draft = site.directory.draft_segment(&new)?.created_at(now.boot, now.monotonic_us);
        let lock = lock_directory(site, host)?;
        if site.directory.newest()?.as_ref() != newest {
            return Ok(None);
        }
        self.current = draft.publish(&lock)?.path;
        Ok(Some(self.current.clone()))
    }
}

/// The newest segment, if writers can append to it.
fn writable(site: &Site, newest: Option<&SegmentFile>) -> Result<Option<Found>, DirectoryError> {
    let found = newest.map(|newest| look(&site.directory, newest)).transpose()?.flatten();
    Ok(found.filter(Found::is_writable))
}

/// Reads in a segment that may vanish meanwhile.
fn with_file<T>(
    site: &Site,
    found: &Found,
    header: &FileHeader,
    read: impl FnOnce(Segment<'_>) -> io::Result<T>,
) -> Result<T, DirectoryError> {
    let directory = &site.directory;
    open(directory, &found.file)
        .and_then(|file| read(Segment { directory, file: &file, marker: header.marker }))
        .map_err(|error| io_error("read", &found.file, error))
}

/// How many bytes the segment was created with: the file header, the dictionary, and that of an older
/// segment.
fn head_bytes(segment: Segment<'_>, header: &FileHeader) -> io::Result<u64> {
    let mut end = FILE_HEADER_LEN as u64;
    let dictionaries = if header.dictionary.is_some() { 2 } else { 0 };
    for _ in 0..dictionaries {
        let bytes = segment.read(end..end + BLOCK_HEADER_LEN as u64)?;
        let block = BlockHeader::decode(&bytes, segment.marker);
        let dictionary = block.ok().filter(|block| block.kind == BlockKind::Dictionary);
        end += dictionary.map_or(0, |block| block.block_len() as u64);
    }
    Ok(end)
}

/// Waits for the directory lock, but not for ever: its holder may be stopped.
fn lock_directory(site: &Site, host: &impl Host) -> Result<DirectoryLock, ManagerError> {
    let began = Instant::now();
    loop {
        if let Some(lock) = site.directory.try_lock()? {
            return Ok(lock);
        }
        if began.elapsed() >= LOCK_WAIT || host.is_closed() {
            return Err(ManagerError::Locked { path: site.directory.path().to_owned() });
        }
        std::thread::sleep(LOCK_RETRY);
    }
}
