//! The catalogue: a small file beside the segments that says which segments there are and between
//! which times the records of finished ones lie, so that readers open only those that can hold an
//! answer.
//!
//! It is a memory of facts and nothing depends on it. What it says of a finished segment is about the
//! bytes of one file, which are never changed: it holds for a file of the same name and length that
//! is the same one by its inode or by the identity in its header. That its list is complete holds as
//! long as the directory has the same [`Stamp`]. So an old catalogue, a copy of one, one of another
//! store, and noise say nothing wrong; `format/FORMAT.md` has its bytes.
//!
//! A *finished* segment is none of those that anybody appends to: not the newest one, and all that
//! joined it have left or are gone. Who joins one nevertheless, by its path, takes the catalogue away
//! first ([`Directory::forget_catalogue`]), under the same lock under which it is written.
//!
//! As with the control page, its operations are not among those of [`crate::Storage`]: at no point
//! does it matter whether one of them happened.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use logq_format::{Id, Timestamp, segment_number};
use nix::libc;

use crate::fields::Fields;
use crate::{Directory, DirectoryLock, Stamp};

/// The name of the catalogue.
const CATALOGUE_FILE: &str = "catalogue";

const MAGIC: [u8; 8] = *b"LQCcatl\x01";

/// Bytes of the header, the last four of which are the checksum of everything else.
const HEADER_LEN: usize = 64;

/// Where the checksum is.
const CRC_OFFSET: usize = HEADER_LEN - 4;

/// Bytes of an entry.
const ENTRY_LEN: usize = 80;

/// Bytes of a name: those of all segments up to number 9,999,999,999 have just as many.
const NAME_LEN: usize = 32;

/// A catalogue has at most so many entries: 80 MB, which a reader reads in one go.
const ENTRIES_MAX: usize = 1_000_000;

/// How long a stamp is waited for. The kernel's clock ticks at least every ten milliseconds.
const STAMP_PAUSE: Duration = Duration::from_millis(2);
const STAMP_ATTEMPTS: usize = 10;

/// What a catalogue says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The stamp of the directory whose segments are all listed here.
    stamp: Option<Stamp>,
    /// In the order of numbers and names.
    entries: Vec<Entry>,
}

/// A segment in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: [u8; NAME_LEN],
    /// Its bytes without the zeros.
    name_len: usize,
    /// The number in the name.
    number: u64,
    finished: Option<Finished>,
}

/// What is known of a segment to which nothing is appended any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The identity in its file header.
    pub file: Id,
    /// Its inode.
    pub inode: u64,
    /// Its length.
    pub len: u64,
    /// The times of its earliest and of its latest record, if it has any.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Catalogue {
    /// The catalogue of the store at `path`, if there is one that is intact.
    pub fn read(path: &Path) -> Option<Self> {
        let file = open(path, OpenOptions::new().read(true)).ok()?;
        let len_max = HEADER_LEN + ENTRIES_MAX * ENTRY_LEN;
        let len = usize::try_from(file.metadata().ok()?.len()).ok()?.min(len_max);
        // With room for one byte more, its end is found without another look for room.
        let mut bytes = Vec::with_capacity(len + 1);
        file.take(len_max as u64 + 1).read_to_end(&mut bytes).ok()?;
        Self::decode(&bytes)
    }

    /// Whether all segments of a directory that has this stamp are listed, and all that is said of
    /// finished ones holds for them.
    pub fn is_of(&self, stamp: Option<Stamp>) -> bool {
        self.stamp.is_some() && self.stamp == stamp
    }

    /// The names of the segments in the order of their numbers, and what is known of finished ones.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = (&str, Option<&Finished>)> {
        let newest = self.entries.len().saturating_sub(1);
        let entries = self.entries.iter().enumerate();
        entries.map(move |(index, entry)| {
            (entry.name(), entry.finished.as_ref().filter(|_| index < newest))
        })
    }

    /// What is known of a finished segment of this name.
    ///
    /// That holds only for the same file: one of this length, with this inode or this identity.
    pub fn finished(&self, name: &str) -> Option<&Finished> {
        self.known(name).filter(|(_, is_newest)| !is_newest).map(|(finished, _)| finished)
    }

    /// What was said of a segment of this name, and whether it was the newest one then.
    fn known(&self, name: &str) -> Option<(&Finished, bool)> {
        let place = (segment_number(name)?, padded(name)?);
        let index = self.entries.binary_search_by_key(&place, Entry::place).ok()?;
        let finished = self.entries.get(index)?.finished.as_ref()?;
        Some((finished, index + 1 == self.entries.len()))
    }

    /// Reads a catalogue; `None` if these bytes are none, or damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let (content, crc) = header.split_at_checked(CRC_OFFSET)?;
        let expected = crc32c::crc32c_append(crc32c::crc32c(content), rest);
        if crc != expected.to_le_bytes() {
            return None;
        }
        let mut fields = Fields { rest: content.strip_prefix(&MAGIC[..])? };
        let count = fields.u64()?;
        let (device, inode) = (fields.u64()?, fields.u64()?);
        let (seconds, nanoseconds) = (fields.u64()?.cast_signed(), fields.u32()?);
        let stamp = Stamp { device, inode, seconds, nanoseconds };
        let (chunks, odd) = rest.as_chunks::<ENTRY_LEN>();
        if !odd.is_empty() || chunks.len() as u64 != count || chunks.len() > ENTRIES_MAX {
            return None;
        }
        let entries = chunks.iter().map(Entry::decode).collect::<Option<Vec<_>>>()?;
        let is_sorted = entries.is_sorted_by(|a, b| a.place() < b.place());
        is_sorted.then(|| Self { stamp: (nanoseconds > 0).then_some(stamp), entries })
    }

    /// The bytes that [`Self::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        self.entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let mut header = MAGIC.to_vec();
        header.extend((self.entries.len() as u64).to_le_bytes());
        if let Some(Stamp { device, inode, seconds, nanoseconds }) = self.stamp {
            header.extend(
                [device, inode, seconds.cast_unsigned()].map(u64::to_le_bytes).as_flattened(),
            );
            header.extend(nanoseconds.to_le_bytes());
        }
        header.resize(CRC_OFFSET, 0);
        let entries = bytes.get(HEADER_LEN..).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header), entries);
        header.extend(crc.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(header) {
            *to = from;
        }
        bytes
    }
}

impl Entry {
    fn name(&self) -> &str {
        // Those that are no text are refused.
        str::from_utf8(self.name.get(..self.name_len).unwrap_or_default()).unwrap_or_default()
    }

    /// What entries are ordered by.
    fn place(&self) -> (u64, [u8; NAME_LEN]) {
        (self.number, self.name)
    }

    fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<Self> {
        let mut fields = Fields { rest: bytes };
        let name = fields.array()?;
        let (file, len) = (Id(fields.array()?), fields.u64()?);
        let mut time = || Timestamp::checked_from_micros(fields.u64()?.cast_signed());
        let (from, to) = (time()?, time()?);
        let inode = fields.u64()?;
        let times = (from <= to).then_some((from, to));
        let finished = Finished { file, inode, len, times };
        let is_finished = file != Id::default();
        let text = text_of(&name)?;
        let (name_len, number) = (text.len(), segment_number(text)?);
        Some(Self { name, name_len, number, finished: is_finished.then_some(finished) })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let end = out.len() + ENTRY_LEN;
        out.extend(self.name);
        if let Some(Finished { file, inode, len, times }) = self.finished {
            out.extend(file.0);
            out.extend(len.to_le_bytes());
            let (from, to) = times.unwrap_or((Timestamp::MAX, Timestamp::MIN));
            out.extend(from.as_micros().to_le_bytes());
            out.extend(to.as_micros().to_le_bytes());
            out.extend(inode.to_le_bytes());
        }
        out.resize(end, 0);
    }
}

impl Directory {
    /// Makes sure that there is a catalogue and waits until the directory has a stamp, some
    /// milliseconds at most: what is written into the catalogue then says that its list is complete.
    /// Not to be called with the lock held.
    pub fn settle(&self) {
        // If it cannot be created, writing it will tell.
        let _ = create(self.path());
        for _ in 0..STAMP_ATTEMPTS {
            if !matches!(Stamp::of(self.path()), Ok(None)) {
                return;
            }
            std::thread::sleep(STAMP_PAUSE);
        }
    }

    /// Writes the catalogue: all segments there are, with what it said before of finished ones and
    /// what is `known` of others, by their names.
    ///
    /// Whoever knows that a segment is finished has found so under the same lock, or knows that nobody
    /// had joined it when it had this length: who joins it makes it longer. Readers go by that only
    /// once it is not the newest one. Of a segment whose file is another one by now nothing is said.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be written or the directory not be listed. Nothing is lost then.
    pub fn write_catalogue(
        &self,
        _lock: &DirectoryLock,
        known: &BTreeMap<String, Finished>,
    ) -> io::Result<()> {
        let file = create(self.path())?;
        let before = Catalogue::read(self.path());
        let stamp = Stamp::of(self.path())?;
        let (entries, is_complete) = self.entries(before.as_ref(), known)?;
        // Not if names came or went while they were listed.
        let stamp =
            stamp.filter(|stamp| is_complete && Stamp::of(self.path()).ok() == Some(Some(*stamp)));
        let catalogue = Catalogue { stamp, entries };
        if before.as_ref() == Some(&catalogue) {
            return Ok(());
        }
        // Whoever reads while it is written finds a wrong checksum and does without.
        let bytes = catalogue.encode();
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)
    }

    /// The segments there are, and whether a catalogue has room for all their names.
    fn entries(
        &self,
        before: Option<&Catalogue>,
        known: &BTreeMap<String, Finished>,
    ) -> io::Result<(Vec<Entry>, bool)> {
        let segments = self.segments().map_err(io::Error::other)?;
        let (mut entries, mut is_complete) = (Vec::with_capacity(segments.len()), true);
        for segment in segments.iter().take(ENTRIES_MAX) {
            let text = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (Some(name), Some(number)) = (padded(text), segment_number(text)) else {
                is_complete = false;
                continue;
            };
            let finished = known.get(text).or_else(|| Some(before?.known(text)?.0));
            let finished = finished.filter(|known| known.is_of(&segment.path).unwrap_or(false));
            let finished = finished.copied();
            entries.push(Entry { name, name_len: text.len(), number, finished });
        }
        Ok((entries, is_complete && segments.len() <= ENTRIES_MAX))
    }

    /// Takes the catalogue away, before somebody joins a segment that is not the newest one. That
    /// changes the directory's stamp as well, so that nobody goes by what was read of it before.
    ///
    /// # Errors
    ///
    /// Those of unlink(2), unless there is none.
    pub fn forget_catalogue(&self, _lock: &DirectoryLock) -> io::Result<()> {
        match std::fs::remove_file(self.path().join(CATALOGUE_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

impl Finished {
    /// Whether this is about the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of lstat(2).
    pub fn is_of(&self, path: &Path) -> io::Result<bool> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(found.is_file() && (found.len(), found.ino()) == (self.len, self.inode))
    }
}

fn open(store: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Neither a link that leads elsewhere nor a pipe on which opening would wait.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = options.custom_flags(flags).open(store.join(CATALOGUE_FILE))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Opens the catalogue to write it, or begins one.
fn create(store: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    open(store, options.read(true).write(true).create(true).truncate(false).mode(0o600))
}

/// A name with zeros behind it; `None` if it is too long, would look like another, or lead elsewhere.
fn padded(name: &str) -> Option<[u8; NAME_LEN]> {
    let mut padded = [0; NAME_LEN];
    padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    (text_of(&padded) == Some(name)).then_some(padded)
}

/// The name that [`padded`] makes this of; `None` if it makes it of none.
fn text_of(padded: &[u8; NAME_LEN]) -> Option<&str> {
    let end = padded.iter().rposition(|byte| *byte != 0)? + 1;
    let name = padded.get(..end)?;
    let is_bad = name.contains(&0) || name.contains(&b'/');
    if is_bad { None } else { str::from_utf8(name).ok() }
}

#[cfg(test)]
mod tests;
