//! Inputs opened and decompressed: files and standard input become streams of plain bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;
use logq_format::{MAGIC, Timestamp};

/// How much compressed input is read at once.
const READ_BYTES: usize = 1 << 17;

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file, or anything else that can be opened like one.
    File(PathBuf),
}

impl Input {
    /// The input that an argument of the command names: `-` is standard input.
    pub(crate) fn new(argument: &Path) -> Self {
        if argument == Path::new("-") { Self::Stdin } else { Self::File(argument.to_owned()) }
    }

    /// Whether it is there, and how many bytes it has if it is a regular file.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is a directory.
    pub(super) fn check(&self) -> io::Result<Option<u64>> {
        let Self::File(path) = self else { return Ok(None) };
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            // Opening a pipe twice could lose what is in it.
            return Ok(None);
        }
        File::open(path)?;
        Ok(Some(metadata.len()))
    }

    /// Opens it and finds out how it is compressed. `consumed` counts the bytes read from it.
    ///
    /// # Errors
    ///
    /// The input cannot be opened or read.
    pub(super) fn open(&self, consumed: &Arc<AtomicU64>) -> io::Result<Opened> {
        let (raw, modified): (Box<dyn Read + Send>, _) = match self {
            Self::Stdin => (Box::new(io::stdin()), None),
            Self::File(path) => {
                let file = File::open(path)?;
                let modified = modified(&file);
                (Box::new(file), modified)
            }
        };
        let counted = Counted { inner: raw, consumed: Arc::clone(consumed) };
        Ok(Opened { content: decompress(counted)?, modified })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn modified(file: &File) -> Option<Timestamp> {
    let modified = file.metadata().ok()?.modified().ok()?;
    let micros = modified.duration_since(UNIX_EPOCH).ok()?.as_micros();
    i64::try_from(micros).ok().and_then(Timestamp::checked_from_micros)
}

/// An open input.
pub(super) struct Opened {
    pub(super) content: Content,
    /// When the file was written last.
    pub(super) modified: Option<Timestamp>,
}

/// What an input holds.
pub(super) enum Content {
    /// Plain bytes.
    Lines(Box<dyn Read + Send>),
    /// Something that has no lines to read, and what to do about it.
    Foreign(&'static str),
}

/// What is known by its first bytes and cannot be read.
const FOREIGN: [(&[u8], &str); 8] = [
    (&MAGIC, "it is a logq segment, not a log to import; print it with logq -o json"),
    (b"\xFD7zXZ\0", "compressed with xz; try: xz -dc FILE | logq import --to STORE -"),
    (b"BZh", "compressed with bzip2; try: bzip2 -dc FILE | logq import --to STORE -"),
    (b"\x04\x22\x4D\x18", "compressed with lz4; try: lz4 -dc FILE | logq import --to STORE -"),
    (b"PK\x03\x04", "a zip archive; try: unzip -p FILE | logq import --to STORE -"),
    (b"PAR1", "a Parquet file; export it as JSON lines first"),
    (b"\xFF\xFE", UTF_16),
    (b"\xFE\xFF", UTF_16),
];

const UTF_16: &str =
    "text in UTF-16; try: iconv -f UTF-16 -t UTF-8 FILE | logq import --to STORE -";

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Skippable frames, with which zstd files may begin, have this behind their first byte.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];

/// Recognises the content by its first bytes, and decompresses it if need be.
fn decompress(mut raw: Counted) -> io::Result<Content> {
    let mut head = Vec::new();
    raw.by_ref().take(8).read_to_end(&mut head)?;
    if let Some((_, advice)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Ok(Content::Foreign(advice));
    }
    let is_gzip = head.starts_with(&GZIP);
    let is_zstd = head.starts_with(&ZSTD) || head.get(1..4) == Some(&ZSTD_SKIPPABLE);
    let whole = io::Cursor::new(head).chain(raw);
    Ok(Content::Lines(if is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, whole)))
    } else if is_zstd {
        Box::new(zstd::Decoder::with_buffer(BufReader::with_capacity(READ_BYTES, whole))?)
    } else {
        Box::new(whole)
    }))
}

/// Counts what is read, for the progress line.
struct Counted {
    inner: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.consumed.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn content(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        let inner = Box::new(io::Cursor::new(bytes.to_vec()));
        let consumed = Arc::default();
        let counted = Counted { inner, consumed: Arc::clone(&consumed) };
        match decompress(counted).unwrap() {
            Content::Foreign(advice) => Err(advice),
            Content::Lines(mut reader) => {
                let mut out = Vec::new();
                reader.read_to_end(&mut out).unwrap();
                assert_eq!(consumed.load(Ordering::Relaxed), bytes.len() as u64);
                Ok(out)
            }
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    #[test]
    fn compressed_inputs_of_several_parts_are_read_whole() {
        assert_eq!(content(b"").unwrap(), b"");
        assert_eq!(content(b"a").unwrap(), b"a");
        assert_eq!(content(b"plain bytes").unwrap(), b"plain bytes");
        assert_eq!(content(&[gzip(b"one "), gzip(b"two")].concat()).unwrap(), b"one two");
        assert_eq!(content(&[zstd(b"one "), zstd(b"two")].concat()).unwrap(), b"one two");
        let skippable = b"\x50\x2A\x4D\x18\x03\0\0\0abc";
        assert_eq!(content(&[skippable, &*zstd(b"one")].concat()).unwrap(), b"one");
    }

    #[test]
    fn what_has_no_lines_is_named() {
        let check = |bytes: &[u8], part: &str| {
            let advice = content(bytes).unwrap_err();
            assert!(advice.contains(part), "{advice}");
        };
        check(b"\xFD7zXZ\0\0", "xz -dc");
        check(b"BZh91AY", "bzip2 -dc");
        check(b"\xFF\xFEa\0", "iconv");
        check(&MAGIC, "logq segment");
    }

    #[test]
    fn a_dash_is_standard_input() {
        assert_eq!(Input::new(Path::new("-")), Input::Stdin);
        assert_eq!(Input::new(Path::new("-")).to_string(), "standard input");
        assert_eq!(Input::new(Path::new("a.log")).to_string(), "a.log");
        assert!(Input::new(Path::new("/")).check().is_err());
        assert!(Input::new(Path::new("/no/such/file")).check().is_err());
    }
}
