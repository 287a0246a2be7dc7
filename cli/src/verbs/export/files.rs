//! The files of an export: each appears under its name only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::write::GzEncoder;

/// How much is written at once.
const WRITE_BYTES: usize = 1 << 18;

/// Where an export goes.
pub(super) enum Target {
    Stdout,
    Files(Box<Files>),
}

/// Files of one name, told apart by what follows its stem.
pub(super) struct Files {
    directory: PathBuf,
    /// The name before the part that tells them apart, and behind it.
    stem: String,
    extension: String,
    compression: Compression,
    current: Option<Draft>,
    /// The files that are complete.
    pub(super) written: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A file that is being written under another name.
struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    /// Taken when it is complete.
    encoder: Option<Encoder>,
}

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Files {
    /// Files at `path`; one whose name ends in `.gz` or `.zst` is compressed.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            bail!("{}: names no file", path.display());
        };
        if path.is_dir() {
            bail!(
                "{0} is a directory; name a file in it: {0}/{1}",
                path.display(),
                "records.jsonl"
            );
        }
        let (plain, suffix, compression) =
            match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
                (Some(plain), _) => (plain, ".gz", Compression::Gzip),
                (_, Some(plain)) => (plain, ".zst", Compression::Zstd),
                _ => (name.as_str(), "", Compression::None),
            };
        let (stem, extension) = match plain.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (plain, String::new()),
        };
        Ok(Self {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            stem: stem.to_owned(),
            extension: format!("{extension}{suffix}"),
            compression,
            current: None,
            written: Vec::new(),
        })
    }

    /// Begins the next file; `part` tells it from others, if there may be any.
    pub(super) fn begin(&mut self, part: Option<&str>) -> anyhow::Result<()> {
        self.complete()?;
        let part = part.map(|part| format!("-{part}")).unwrap_or_default();
        let name = format!("{}{part}{}", self.stem, self.extension);
        let path = self.directory.join(&name);
        if path.exists() {
            bail!("{} exists already; remove it, or name another file", path.display());
        }
        let temporary = self.directory.join(format!(".{name}.{}.part", std::process::id()));
        let open = File::options().write(true).create_new(true).open(&temporary);
        let file = open.with_context(|| format!("cannot create {}", temporary.display()))?;
        let file = BufWriter::with_capacity(WRITE_BYTES, file);
        let encoder = match self.compression {
            Compression::None => Encoder::Plain(file),
            Compression::Gzip => {
                Encoder::Gzip(GzEncoder::new(file, flate2::Compression::default()))
            }
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(file, 0)?),
        };
        self.current = Some(Draft { path, temporary, encoder: Some(encoder) });
        Ok(())
    }

    /// Gives the file that is being written its name.
    pub(super) fn complete(&mut self) -> anyhow::Result<()> {
        let Some(mut draft) = self.current.take() else { return Ok(()) };
        let failed = || format!("cannot write {}", draft.path.display());
        if let Some(encoder) = draft.encoder.take() {
            encoder.finish().with_context(failed)?;
        }
        fs::rename(&draft.temporary, &draft.path).with_context(failed)?;
        self.written.push(draft.path.clone());
        Ok(())
    }
}

impl Write for Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let encoder = self.current.as_mut().and_then(|draft| draft.encoder.as_mut());
        let encoder = encoder.ok_or(io::ErrorKind::NotConnected)?;
        match encoder {
            Encoder::Plain(file) => file.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// What is written is on its way; the rest goes when the file is complete.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target {
    /// What failed, if writing did.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Stdout => "cannot write to standard output".to_owned(),
            Self::Files(files) => match &files.current {
                Some(draft) => format!("cannot write {}", draft.path.display()),
                None => "cannot write".to_owned(),
            },
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().write(bytes),
            Self::Files(files) => files.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::Files(files) => files.flush(),
        }
    }
}

impl Encoder {
    /// Writes what is left, down to the disk.
    fn finish(self) -> io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.encoder.take().is_some() {
            // Half a file is of no use; if even that fails, its name tells what it is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_before_their_extension() {
        let scratch = tempfile::tempdir().unwrap();
        let check = |name: &str, part: Option<&str>, expected: &str| {
            let mut files = Files::new(&scratch.path().join(name)).unwrap();
            files.begin(part).unwrap();
            files.write_all(b"text").unwrap();
            assert!(!scratch.path().join(expected).exists(), "before it is complete");
            files.complete().unwrap();
            assert_eq!(files.written, [scratch.path().join(expected)]);
        };
        check("shop.jsonl", None, "shop.jsonl");
        check("shop.jsonl", Some("2026-02-03"), "shop-2026-02-03.jsonl");
        check("shop.v1.csv.zst", Some("0001"), "shop.v1-0001.csv.zst");
        check("shop", Some("0001"), "shop-0001");
        check(".shop.gz", Some("0001"), ".shop-0001.gz");
        let mut again = Files::new(&scratch.path().join("shop.jsonl")).unwrap();
        assert!(again.begin(None).unwrap_err().to_string().contains("exists already"));
        assert!(Files::new(scratch.path()).is_err(), "a directory");
    }

    #[test]
    fn what_is_not_completed_leaves_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let mut files = Files::new(&scratch.path().join("shop.jsonl.gz")).unwrap();
        files.begin(None).unwrap();
        files.write_all(b"half").unwrap();
        drop(files);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
