//! A log file that is open: what of it was read, and whether it still is what was read.
//!
//! Names say little about files, since rotation moves them. A file is known by its place in the file
//! system, the time of its birth where the system tells it, and its first bytes.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first bytes by which a file is recognised.
pub(super) const HEAD_BYTES: usize = 1_024;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Nanoseconds since the epoch, where the file system tells: numbers of inodes are used again.
    pub(super) birth_ns: Option<u64>,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let birth = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth_ns: birth.and_then(|birth| u64::try_from(birth.as_nanos()).ok()),
        }
    }
}

/// How far a file was read, and how to recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Behind the last line that was read whole.
    pub(super) offset: u64,
    /// Of so many of the first bytes is the checksum.
    pub(super) head_bytes: usize,
    pub(super) head_crc32c: u32,
}

impl Mark {
    /// Whether enough bytes are known to tell a copy from a log that begins alike, with the same
    /// header for instance.
    pub(super) fn is_telling(&self) -> bool {
        self.head_bytes >= HEAD_BYTES
    }

    /// Whether a file begins with the bytes of this mark.
    pub(super) fn fits(&self, file: &File) -> bool {
        let mut head = vec![0; self.head_bytes.min(HEAD_BYTES)];
        file.read_exact_at(&mut head, 0).is_ok() && crc32c::crc32c(&head) == self.head_crc32c
    }

    /// Whether these are the first bytes of the file, as far as the mark tells.
    pub(super) fn fits_head(&self, head: &[u8]) -> bool {
        let head = head.get(..self.head_bytes);
        head.is_some_and(|head| crc32c::crc32c(head) == self.head_crc32c)
    }
}

/// Why a path is no source.
#[derive(Debug, Error)]
pub(super) enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "a directory that is no store; a source is a file, a store, a pattern such as 'logs/*.log', or \
         - for standard input"
    )]
    Directory,
    #[error("a named pipe; let it in by standard input: logq monitor - < PIPE")]
    Pipe,
    #[error("neither a file nor a pipe, and cannot be followed")]
    Device,
}

impl OpenError {
    /// Whether the path leads nowhere, which may change.
    pub(super) fn is_missing(&self) -> bool {
        let Self::Io(error) = self else { return false };
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    }
}

/// Refuses what is no regular file.
fn check(metadata: &Metadata) -> Result<(), OpenError> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err(OpenError::Directory),
        () if kind.is_fifo() => Err(OpenError::Pipe),
        () => Err(OpenError::Device),
    }
}

/// A file that is open. Its name may be another by now, or gone.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    pub(super) identity: Identity,
    /// Its first bytes, as they were read.
    head: Vec<u8>,
    offset: u64,
    /// Behind the last line feed that was read.
    line_start: u64,
    /// Nothing is read from here on.
    limit: u64,
    /// When the file had last changed when its first bytes were last compared.
    compared: Option<Stamp>,
    opened_modified: Option<SystemTime>,
}

/// The times of change of content and attributes.
type Stamp = (i64, i64, i64, i64);

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grown {
    /// So many bytes were read.
    Bytes(usize),
    /// No more than was read before.
    Nothing,
    /// The file was truncated; it is read from its start again. So far it had been read.
    Truncated { at: u64 },
}

impl OpenFile {
    /// Opens a regular file. Nothing else is opened, since that may wait, or move a tape.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is something else.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        check(&std::fs::metadata(path)?)?;
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        check(&metadata)?;
        Ok(Self {
            file,
            identity: Identity::of(&metadata),
            head: Vec::new(),
            offset: 0,
            line_start: 0,
            limit: u64::MAX,
            compared: None,
            opened_modified: metadata.modified().ok(),
        })
    }

    /// Goes on where a mark says, if the file is the one it was made of. Answers whether it is.
    pub(super) fn resume(&mut self, mark: &Mark) -> bool {
        let len = self.len();
        if len < mark.offset || !mark.fits(&self.file) {
            return false;
        }
        let head_bytes = usize::try_from(mark.offset).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        let mut head = vec![0; head_bytes];
        if self.file.read_exact_at(&mut head, 0).is_err() {
            return false;
        }
        self.head = head;
        (self.offset, self.line_start) = (mark.offset, mark.offset);
        true
    }

    /// Goes on at an offset, the start of a line, as if all before it had been read.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let head_bytes = usize::try_from(offset).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        self.head = self.peek(0, head_bytes)?;
        (self.offset, self.line_start) = (offset, offset);
        Ok(())
    }

    /// Up to so many bytes from an offset on; reading goes on where it was.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn peek(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut read) = (vec![0; len], 0);
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    /// From now on it ends where it ends now, so that a log which grows faster than it is read has
    /// an end, too.
    pub(super) fn end_here(&mut self) {
        self.limit = self.len();
    }

    /// Reads on. What is read is sure to be of the file whose start was read.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Grown> {
        let metadata = self.file.metadata()?;
        if metadata.len() < self.offset {
            return Ok(self.restart());
        }
        if metadata.len() == self.offset || self.offset >= self.limit {
            return self.compare(&metadata);
        }
        let rest = usize::try_from(self.limit - self.offset).unwrap_or(usize::MAX);
        let wanted = rest.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(Grown::Nothing) };
        let len = self.file.read_at(buffer, self.offset)?;
        // Looked at after reading: a file that was truncated and has grown again since the last look
        // would otherwise go on in the middle.
        let end = self.offset + len as u64;
        if self.len() < end || !self.begins_as_before()? {
            return Ok(self.restart());
        }
        self.take(buffer.get(..len).unwrap_or_default());
        Ok(if len == 0 { Grown::Nothing } else { Grown::Bytes(len) })
    }

    /// A file that is as long as before may have been truncated and written anew.
    fn compare(&mut self, metadata: &Metadata) -> io::Result<Grown> {
        let stamp =
            (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
        if self.compared == Some(stamp) {
            return Ok(Grown::Nothing);
        }
        if !self.begins_as_before()? {
            return Ok(self.restart());
        }
        self.compared = Some(stamp);
        Ok(Grown::Nothing)
    }

    fn begins_as_before(&self) -> io::Result<bool> {
        let mut head = [0; HEAD_BYTES];
        let Some(head) = head.get_mut(..self.head.len()) else { return Ok(false) };
        match self.file.read_exact_at(head, 0) {
            Ok(()) => Ok(*head == *self.head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, piece: &[u8]) {
        let wanted = HEAD_BYTES - self.head.len();
        if self.offset == self.head.len() as u64 {
            self.head.extend_from_slice(piece.get(..wanted).unwrap_or(piece));
        }
        if let Some(end) = memchr::memrchr(b'\n', piece) {
            self.line_start = self.offset + end as u64 + 1;
        }
        self.offset += piece.len() as u64;
    }

    fn restart(&mut self) -> Grown {
        let at = self.offset;
        (self.offset, self.line_start, self.compared) = (0, 0, None);
        self.head.clear();
        if self.limit != u64::MAX {
            self.end_here();
        }
        Grown::Truncated { at }
    }

    /// How far it was read.
    pub(super) fn mark(&self) -> Mark {
        let head_bytes = usize::try_from(self.line_start).unwrap_or(HEAD_BYTES);
        let head = self.head.get(..head_bytes).unwrap_or(&self.head);
        let head_crc32c = crc32c::crc32c(head);
        Mark { offset: self.line_start, head_bytes: head.len(), head_crc32c }
    }

    /// A line that is begun counts as read, since nothing will end it.
    pub(super) fn end_line(&mut self) {
        self.line_start = self.offset;
    }

    /// Its first bytes, as far as they were read.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether a line is begun that nothing ends.
    pub(super) fn has_half_line(&self) -> bool {
        self.line_start < self.offset
    }

    /// Whether anything of it was read.
    pub(super) fn is_begun(&self) -> bool {
        self.offset > 0
    }

    /// Its size now, in bytes; 0 if the system does not tell.
    pub(super) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// When its content was last changed, at the time of opening.
    pub(super) fn opened_modified(&self) -> Option<SystemTime> {
        self.opened_modified
    }

    /// How long it has not been written to, by the clock of the system; nothing if that time is to
    /// come.
    pub(super) fn age(&self) -> Duration {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        age.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn drain(file: &mut OpenFile) -> String {
        let (mut buffer, mut shown) = ([0; 7], String::new());
        loop {
            match file.read(&mut buffer).unwrap() {
                Grown::Bytes(len) => shown += std::str::from_utf8(&buffer[..len]).unwrap(),
                Grown::Truncated { at } => shown += &format!("<truncated at {at}>"),
                Grown::Nothing => return shown,
            }
        }
    }

    #[test]
    fn growth_and_truncation_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("one\ntwo\n");
        let mut file = OpenFile::open(&path).unwrap();
        assert_eq!(drain(&mut file), "one\ntwo\n");
        assert_eq!(drain(&mut file), "");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"thr").unwrap();
        assert_eq!(drain(&mut file), "thr");
        assert!(file.has_half_line());
        assert_eq!(file.mark().offset, 8);
        write("new\n");
        assert_eq!(drain(&mut file), "<truncated at 11>new\n");
        // Longer than before: only the first bytes tell.
        write("NEW and longer\n");
        assert_eq!(drain(&mut file), "<truncated at 4>NEW and longer\n");
        std::thread::sleep(Duration::from_millis(20));
        write("new and longer\n");
        assert_eq!(drain(&mut file), "<truncated at 15>new and longer\n");
        write("");
        assert_eq!(drain(&mut file), "<truncated at 15>");
        assert_eq!(drain(&mut file), "");
    }

    #[test]
    fn a_mark_leads_back_to_its_place_in_its_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "one\ntwo\nhal").unwrap();
        let mut file = OpenFile::open(&path).unwrap();
        drain(&mut file);
        let mark = file.mark();
        let mut again = OpenFile::open(&path).unwrap();
        assert!(again.resume(&mark));
        assert_eq!(drain(&mut again), "hal");
        assert_eq!(again.head(), b"one\ntwo\nhal");
        std::fs::write(&path, "One\ntwo\nhal").unwrap();
        assert!(!OpenFile::open(&path).unwrap().resume(&mark));
        std::fs::write(&path, "one\n").unwrap();
        assert!(!OpenFile::open(&path).unwrap().resume(&mark));
    }

    #[test]
    fn a_file_can_be_read_to_where_it_ended_when_it_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "one\n").unwrap();
        let mut file = OpenFile::open(&path).unwrap();
        file.end_here();
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(drain(&mut file), "one\n");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let error = OpenFile::open(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("a directory"), "{error}");
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = OpenFile::open(&pipe).unwrap_err().to_string();
        assert!(error.contains("- < PIPE"), "{error}");
        let error = OpenFile::open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.starts_with("neither"), "{error}");
        assert!(OpenFile::open(&directory.path().join("none")).unwrap_err().is_missing());
    }
}
