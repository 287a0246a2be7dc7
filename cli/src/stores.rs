//! Stores opened by what the command line calls them: directories, segments, block streams in files
//! and, as `-`, whatever comes through standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::{Command, CommandFactory as _};
use flate2::read::MultiGzDecoder;
use logq_format::STREAM_MAGIC;
use logq_query::nearest;
use logq_reader::{OpenError, Snapshot};

use crate::args::Arguments;

/// The first bytes of compressed files.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Opens stores.
///
/// # Errors
///
/// As [`Snapshot::open`] and [`Snapshot::of_stream`], and where standard input is not asked alone.
pub(crate) fn open(paths: &[PathBuf]) -> anyhow::Result<Snapshot> {
    match paths {
        [path] if is_stdin(path) => {
            Ok(Snapshot::of_stream("standard input", decompressed(io::stdin().lock())?)?)
        }
        [path] if is_stream_file(path) => {
            let content = decompressed(File::open(path)?)?;
            Ok(Snapshot::of_stream(&path.display().to_string(), content)?)
        }
        paths if paths.iter().any(|path| is_stdin(path)) => {
            bail!("- is standard input, which can only be asked alone; import what comes from it")
        }
        paths => Snapshot::open(paths).map_err(|error| match misspelt_verb(&error) {
            Some(verb) => anyhow!("{error}; did you mean `logq {verb}`?"),
            None => error.into(),
        }),
    }
}

/// The verb that was meant by what was taken for a store: the first word, which is none.
fn misspelt_verb(error: &OpenError) -> Option<String> {
    let OpenError::NoSuchPath { path } = error else { return None };
    let word = std::env::args_os().nth(1).filter(|word| word == path.as_os_str())?;
    let command = Arguments::command();
    let verbs = command.get_subcommands().map(Command::get_name);
    nearest(word.to_str()?, verbs).map(str::to_owned)
}

/// Whether these are the records of a pipe: no writer of this machine appends to them.
pub(crate) fn is_stream(paths: &[PathBuf]) -> bool {
    matches!(paths, [path] if is_stdin(path) || is_stream_file(path))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a file holds a block stream, or something compressed that is named like one.
fn is_stream_file(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    let stem = path.file_stem().map(Path::new).and_then(Path::extension).and_then(OsStr::to_str);
    let is_named = matches!(stem, Some("blocks" | "logq"));
    read.is_ok()
        && (start == STREAM_MAGIC
            || is_named && (start.starts_with(&GZIP) || start.starts_with(&ZSTD)))
}

/// What is read, decompressed if its first bytes say that it is compressed.
fn decompressed<'r>(mut raw: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut head = Vec::new();
    raw.by_ref().take(4).read_to_end(&mut head)?;
    let (is_gzip, is_zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD));
    let whole = BufReader::new(io::Cursor::new(head).chain(raw));
    Ok(match (is_gzip, is_zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(whole)),
        (_, true) => Box::new(zstd::Decoder::with_buffer(whole)?),
        _ => Box::new(whole),
    })
}
