//! Which of the inputs are logs of `super-server-logs`, and which files these have.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use logq_nodelogs::{is_file_name, is_likely};

use crate::import::input::Input;
use crate::import::{Format, Options};

/// How much of a file is looked at to know what it is.
const HEAD_BYTES: u64 = 1 << 16;

/// A log: the files of one directory, in their order.
#[derive(Debug)]
pub(in crate::import) struct Log {
    /// What was named on the command line.
    pub(in crate::import) name: String,
    pub(in crate::import) files: Vec<Input>,
    /// What sets its writers apart from those of other directories.
    pub(super) salt: u64,
    /// The directory of files that were named one by one.
    parent: Option<PathBuf>,
}

/// Takes the logs out of the inputs: all of them where that is their format, and where it is to be
/// found out, directories and files that have the name and the content.
///
/// # Errors
///
/// A directory is none of these, with what it might be instead.
pub(in crate::import) fn take_logs(
    inputs: &mut Vec<Input>,
    options: &Options,
) -> Result<Vec<Log>, DirectoryError> {
    let is_asked_for = options.format == Format::SuperServerLogs;
    let mut logs: Vec<Log> = Vec::new();
    if !is_asked_for && options.format != Format::Auto {
        return Ok(logs);
    }
    let mut others = Vec::new();
    for input in inputs.drain(..) {
        match &input {
            Input::File(path) if path.is_dir() => logs.push(directory(path, is_asked_for)?),
            Input::File(path) if is_asked_for || is_log_file(path) => add_file(&mut logs, path),
            Input::Stdin if is_asked_for => logs.push(Log {
                name: input.to_string(),
                files: vec![input],
                salt: options.seed,
                parent: None,
            }),
            _ => others.push(input),
        }
    }
    *inputs = others;
    Ok(logs)
}

/// The log in a directory.
fn directory(path: &Path, is_asked_for: bool) -> Result<Log, DirectoryError> {
    let error = |found| DirectoryError { path: path.to_owned(), found };
    let mut files = Vec::new();
    let mut is_store = false;
    let entries = fs::read_dir(path).map_err(|source| error(Found::Nothing(source)))?;
    for entry in entries {
        let entry = entry.map_err(|source| error(Found::Nothing(source)))?;
        let name = entry.file_name();
        is_store |= Path::new(&name).extension().is_some_and(|extension| extension == "logq");
        if name.to_str().is_some_and(is_file_name) {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(error(if is_store { Found::Store } else { Found::OtherNames }));
    }
    if !is_asked_for && !files.iter().any(|file| has_likely_start(file)) {
        return Err(error(Found::OtherContent));
    }
    let salt = salt(path);
    let files = files.into_iter().map(Input::File).collect();
    Ok(Log { name: path.display().to_string(), files, salt, parent: None })
}

/// Files of one directory that are named one after the other are one log.
fn add_file(logs: &mut Vec<Log>, path: &Path) {
    let parent = path.parent().unwrap_or(path).to_owned();
    let file = Input::File(path.to_owned());
    match logs.last_mut().filter(|log| log.parent.as_ref() == Some(&parent)) {
        Some(log) => log.files.push(file),
        None => logs.push(Log {
            name: path.display().to_string(),
            files: vec![file],
            salt: salt(if parent == Path::new("") { Path::new(".") } else { &parent }),
            parent: Some(parent),
        }),
    }
}

fn is_log_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(is_file_name) && has_likely_start(path)
}

fn has_likely_start(path: &Path) -> bool {
    let mut head = Vec::new();
    // A pipe is read once, and not here. What cannot be read is told by whoever imports it.
    let is_file = path.is_file();
    let read = || File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head);
    is_file && { read }().is_ok() && is_likely(&head)
}

/// A number made of the directory's place: FNV-1a (Fowler, Noll, Vo), since it must stay the same in
/// all versions.
fn salt(path: &Path) -> u64 {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    place.as_os_str().as_bytes().iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Says that a directory is no log of `super-server-logs`.
#[derive(Debug)]
pub(crate) struct DirectoryError {
    path: PathBuf,
    found: Found,
}

/// What a directory is instead.
#[derive(Debug)]
enum Found {
    /// It cannot be listed.
    Nothing(io::Error),
    /// It has segments of logq.
    Store,
    /// No file has the name of a log.
    OtherNames,
    /// The names fit, the content does not.
    OtherContent,
}

impl std::fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match &self.found {
            Found::Nothing(_) => write!(f, "cannot list the directory {path}"),
            Found::Store => write!(
                f,
                "{path} is a store already; to copy its records: \
                 logq -o json {path} | logq import --to STORE -"
            ),
            Found::OtherNames => write!(
                f,
                "{path} is a directory, but not one of super-server-logs, whose files are named \
                 like 01697612631377.log; for other logs name the files: {path}/*"
            ),
            Found::OtherContent => write!(
                f,
                "the files of {path} are named like those of super-server-logs, but hold \
                 something else; for other logs name the files: {path}/*.log"
            ),
        }
    }
}

impl std::error::Error for DirectoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.found {
            Found::Nothing(source) => Some(source),
            _ => None,
        }
    }
}
