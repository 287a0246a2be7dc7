//! A compressed log, read once from its start to its end.
//!
//! What it holds may have been read before: by an earlier run, or as the text that it was made of. So
//! it is known by the first bytes of what it holds, and begins behind what was read of that.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::file::{HEAD_BYTES, Identity, Mark, OpenError};
use super::ledger::Ledger;

/// Compressed content by its first bytes.
const GZIP: &[u8] = b"\x1F\x8B";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
/// What is known and cannot be read, with what can.
const FOREIGN: [(&[u8], &str); 2] = [(b"\xFD7zXZ\0", "xz"), (b"BZh", "bzip2")];

/// A compressed log that is open.
pub(super) struct Archive {
    path: PathBuf,
    identity: Identity,
    content: Box<dyn Read>,
    /// The first bytes of the content.
    head: Vec<u8>,
    /// How much of the content was read before.
    known: u64,
    offset: u64,
    /// Behind the last line that was read whole.
    line_start: u64,
}

impl Archive {
    /// A compressed file; nothing if the file is not compressed, or cannot be looked at.
    ///
    /// # Errors
    ///
    /// It is compressed in a way that is not known here.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, OpenError> {
        // A pipe that is looked at could lose what is in it.
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let mut magic = Vec::new();
        let Ok(mut file) = File::open(path) else { return Ok(None) };
        let identity = Identity::of(&file.metadata()?);
        file.by_ref().take(6).read_to_end(&mut magic)?;
        if let Some((_, program)) = FOREIGN.iter().find(|(known, _)| magic.starts_with(known)) {
            let advice =
                format!("compressed with {program}; try: {program} -dc FILE | logq monitor -");
            return Err(io::Error::new(io::ErrorKind::InvalidData, advice).into());
        }
        let whole = BufReader::new(io::Cursor::new(magic.clone()).chain(file));
        let content: Box<dyn Read> = if magic.starts_with(GZIP) {
            Box::new(MultiGzDecoder::new(whole))
        } else if magic.starts_with(ZSTD) {
            Box::new(zstd::Decoder::with_buffer(whole)?)
        } else {
            return Ok(None);
        };
        let (head, path) = (Vec::new(), path.to_owned());
        Ok(Some(Self { path, identity, content, head, known: 0, offset: 0, line_start: 0 }))
    }

    /// Passes over what the ledger knows. Answers the first bytes if anything is passed over.
    pub(super) fn skip_known(&mut self, ledger: &Ledger) -> Option<&[u8]> {
        let mut head = Vec::new();
        // What is wrong with it is told when it is read.
        let _ = self.content.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head);
        self.known = ledger.known_of_archive(self.identity, &head);
        let content = std::mem::replace(&mut self.content, Box::new(io::empty()));
        self.content = Box::new(io::Cursor::new(head.clone()).chain(content));
        self.head = head;
        (self.known > 0).then_some(&self.head)
    }

    /// Reads on; `None` at the end. What was known before counts as read, but is not handed out.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not what its first bytes say.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let len = self.content.read(buffer)?;
        if len == 0 {
            // A line that nothing ends is a line here.
            self.line_start = self.offset;
            return Ok(None);
        }
        let read = buffer.get(..len).unwrap_or_default();
        if let Some(end) = memchr::memrchr(b'\n', read) {
            self.line_start = self.offset + end as u64 + 1;
        }
        let skipped = usize::try_from(self.known.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.offset += len as u64;
        let skipped = skipped.min(len);
        buffer.copy_within(skipped..len, 0);
        Ok(Some(len - skipped))
    }

    /// Notes how far it was read.
    pub(super) fn note(&self, ledger: &mut Ledger) {
        let offset = self.line_start.max(self.known);
        let known = usize::try_from(offset).unwrap_or(HEAD_BYTES);
        let head = self.head.get(..known).unwrap_or(&self.head);
        let mark = Mark { offset, head_bytes: head.len(), head_crc32c: crc32c::crc32c(head) };
        ledger.note_archive(&self.path, self.identity, mark);
    }
}
