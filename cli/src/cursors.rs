//! Cursors on the command line: as the last line of an output, and in files that outlive the process.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use logq_reader::Cursor;

use crate::output::Format;

/// More bytes than any cursor has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The line for a cursor, as `--show-cursor` prints it: an object where records are objects, else
/// `-- cursor: ...`, as journalctl does.
pub(crate) fn line(cursor: &Cursor, format: Format) -> Vec<u8> {
    // A cursor has no characters that JSON would escape.
    let object = format!("{{\"cursor\":\"{cursor}\"}}");
    match format {
        Format::Json => format!("{object}\n"),
        Format::JsonSeq => format!("\x1e{object}\n"),
        Format::Sse => format!("event: cursor\nid: {cursor}\ndata: {object}\n\n"),
        _ => format!("-- cursor: {cursor}\n"),
    }
    .into_bytes()
}

/// A file with a cursor in it. It is replaced as a whole, so that it holds the old cursor or the new
/// one, whatever happens meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
}

impl CursorFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The cursor in the file; `None` if there is no file, or an empty one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds something else.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Cursor>> {
        let path = self.path.display();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the cursor file {path}"));
            }
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read the cursor file {path}"))?;
        let text = String::from_utf8_lossy(&bytes);
        if text.trim().is_empty() {
            return Ok(None);
        }
        let cursor = text.trim().parse();
        cursor.map(Some).with_context(|| format!("{path}: delete the file to begin anew"))
    }

    /// Puts a cursor into the file; when this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// The directory does not take another file, or the disk is full; the file is as it was then.
    pub(crate) fn write(&self, cursor: &Cursor) -> anyhow::Result<()> {
        self.replace(&format!("{cursor}\n"))
            .with_context(|| format!("cannot write the cursor file {}", self.path.display()))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let draft = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
        let draft = self.path.with_file_name(draft);
        let written = write_durably(&draft, text).and_then(|()| fs::rename(&draft, &self.path));
        if written.is_err() {
            // What is left of it would only be in the way; the first error is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        written?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
