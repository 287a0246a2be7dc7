//! From paths to segments: what is a store, what is a segment, what is neither.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logq_directory::{Catalogue, Finished, Stamp};
use logq_format::{MAGIC, SEGMENT_EXTENSION, segment_number};

use crate::error::OpenError;
use crate::segment::{Segment, Told};
use crate::source::{Access, FileSource};

/// Segments that stay open, so that deleting them does not disturb the reader. Systems commonly
/// allow a process 1024 open files.
const OPEN_FILES_MAX: usize = 512;

/// How often a store is opened again because it was rotated meanwhile. Segments live for minutes.
const ATTEMPTS: usize = 8;

/// The segments of the stores and single segments at `paths`, in their order.
pub(crate) fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Segment>, OpenError> {
    let mut segments = Vec::new();
    for (store, path) in paths.iter().enumerate() {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(|source| refused(path, source))?;
        if metadata.is_dir() {
            open_directory(path, store, &mut segments)?;
        } else {
            check_is_segment(path, metadata.is_file())?;
            // Nobody knows whether a single file is still being written.
            let keep = segments.len() < OPEN_FILES_MAX;
            let path = Arc::from(path);
            let source = FileSource::open(&path, Access::Read, keep)
                .map_err(|source| refused(&path, source))?;
            segments.push(Segment::new(path, store, source));
        }
    }
    Ok(segments)
}

/// Opens the segments of a store, the newest one first, so that of each writer's blocks those before
/// a certain one are seen: where one of a newer segment is, so are all in the older ones.
///
/// Before that their lengths are noted, the oldest one first, and up to there they tell who may still
/// append: a writer joins the next segment before it leaves one, so each is found in one of them.
///
/// A writer may go on in a segment that was created meanwhile; then all are opened again. Finished
/// ones are not opened before they are read.
fn open_directory(
    directory: &Path,
    store: usize,
    segments: &mut Vec<Segment>,
) -> Result<(), OpenError> {
    let mut listing = Listing::of(directory)?;
    let mut opened = open_listed(&listing, store, segments)?;
    for _ in 1..ATTEMPTS {
        if listing.holds() {
            break;
        }
        let again = Listing::of(directory)?;
        if again.newest() == listing.newest() {
            break;
        }
        listing = again;
        opened = open_listed(&listing, store, segments)?;
    }
    if segments.is_empty() {
        *segments = opened;
    } else {
        segments.append(&mut opened);
    }
    Ok(())
}

fn open_listed(
    listing: &Listing<'_>,
    store: usize,
    before: &[Segment],
) -> Result<Vec<Segment>, OpenError> {
    let listed = &listing.segments;
    let len = |listed: &Listed| match listed.told {
        Some(told) => told.finished.len,
        None => fs::metadata(&listed.path).map_or(0, |found| found.len()),
    };
    let lens: Vec<u64> = listed.iter().map(len).collect();
    // The oldest ones are those that are deleted next; the newest one is read in most answers.
    let newest = listed.len().saturating_sub(1);
    let keep = |index: usize| before.len() + index < OPEN_FILES_MAX || index == newest;
    let unfinished = listed.iter().enumerate().rev().filter(|(_, listed)| !listed.is_finished());
    let mut opened: Vec<_> = unfinished
        .map(|(index, Listed { path, .. })| {
            let access = if index == newest { Access::Read } else { Access::Map };
            FileSource::open(path, access, keep(index))
        })
        .collect();
    let mut segments = Vec::with_capacity(listed.len());
    for ((index, Listed { path, told }), len) in listed.iter().enumerate().zip(lens) {
        let source = match told {
            Some(Told { finished, is_certain: true }) => {
                Ok(FileSource::later(path, finished.inode, len, keep(index)))
            }
            _ => opened.pop().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())),
        };
        match source {
            Ok(source) => {
                let path = Arc::clone(path);
                segments.push(Segment::listed(path, store, source, len, *told));
            }
            // Retention has deleted it in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(path, error)),
        }
    }
    Ok(segments)
}

/// The segments of a store at one moment.
#[derive(Debug)]
pub(crate) struct Listing<'d> {
    directory: &'d Path,
    /// What tells whether they are still the same.
    stamp: Option<Stamp>,
    /// In the order of their numbers.
    segments: Vec<Listed>,
}

/// A segment of a store.
#[derive(Debug)]
struct Listed {
    path: Arc<Path>,
    /// What the catalogue says of it.
    told: Option<Told>,
}

impl Listed {
    /// Whether this is certainly a segment that nobody appends to.
    fn is_finished(&self) -> bool {
        matches!(self.told, Some(Told { is_certain: true, .. }))
    }
}

impl<'d> Listing<'d> {
    /// The segments in a directory. Where the catalogue says which these are, the directory itself
    /// is not listed; where it is of another state of the directory, finished segments are examined.
    pub(crate) fn of(directory: &'d Path) -> Result<Self, OpenError> {
        let catalogue = Catalogue::read(directory);
        let stamp = Stamp::of(directory).map_err(|source| refused(directory, source))?;
        if let Some(catalogue) = catalogue.as_ref().filter(|catalogue| catalogue.is_of(stamp)) {
            // Names without separators, perhaps thousands: what joining paths looks for is not there.
            let mut path = directory.join("").into_os_string().into_vec();
            let prefix = path.len();
            let listed = |(name, finished): (&str, Option<&Finished>)| {
                path.truncate(prefix);
                path.extend_from_slice(name.as_bytes());
                let told = finished.map(|finished| Told { finished: *finished, is_certain: true });
                Listed { path: Path::new(OsStr::from_bytes(&path)).into(), told }
            };
            let segments = catalogue.segments().map(listed).collect();
            return Ok(Self { directory, stamp, segments });
        }
        let paths = list(directory)?;
        let listed = |path: PathBuf| {
            let told = catalogue.as_ref().and_then(|catalogue| told(catalogue, &path));
            Listed { path: path.into(), told }
        };
        let segments = paths.into_iter().map(listed).collect();
        Ok(Self { directory, stamp, segments })
    }

    /// Whether these are certainly all segments there are.
    fn holds(&self) -> bool {
        self.stamp.is_some() && Stamp::of(self.directory).is_ok_and(|now| now == self.stamp)
    }

    /// The segments that are certainly finished, with their inodes.
    pub(crate) fn finished(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.segments.iter().filter_map(|listed| match listed.told {
            Some(Told { finished, is_certain: true }) => Some((&*listed.path, finished.inode)),
            _ => None,
        })
    }

    fn newest(&self) -> Option<&Path> {
        self.segments.last().map(|listed| listed.path.as_ref())
    }
}

/// What a catalogue says of the segment at `path`, if that has the length.
fn told(catalogue: &Catalogue, path: &Path) -> Option<Told> {
    let finished = *catalogue.finished(path.file_name()?.to_str()?)?;
    let found = fs::symlink_metadata(path).ok()?;
    let is_it = found.is_file() && found.len() == finished.len;
    is_it.then(|| Told { finished, is_certain: found.ino() == finished.inode })
}

/// The segments in a directory, in the order of their numbers.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut found = Vec::new();
    let mut others = 0_usize;
    for entry in fs::read_dir(directory).map_err(|source| refused(directory, source))? {
        let entry = entry.map_err(|source| refused(directory, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match segment_number(&name) {
            Some(number) => found.push((number, entry.path())),
            None if is_part_of_store(&name) => {}
            None => others += 1,
        }
    }
    if found.is_empty() && others > 0 {
        let files = if others == 1 { "file" } else { "files" };
        let holds = format!("a directory of {others} other {files}");
        return Err(OpenError::NotAStore { path: directory.to_owned(), holds });
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether a store without any segment may hold a file of this name: its lock files, its control
/// page, its catalogue, a segment being created.
fn is_part_of_store(name: &str) -> bool {
    name.starts_with('.')
        || matches!(name, "writers.lock" | "manager.lock" | "control" | "catalogue")
}

/// Refuses a path that leads to no segment.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(|source| refused(path, source))?;
    check_is_segment(path, metadata.is_file())
}

/// Refuses a file that neither starts like a segment nor is named like one.
fn check_is_segment(path: &Path, is_file: bool) -> Result<(), OpenError> {
    let not_a_store =
        |holds: &str| OpenError::NotAStore { path: path.to_owned(), holds: holds.to_owned() };
    if !is_file {
        return Err(not_a_store("something other than a file or a directory"));
    }
    if path.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION) {
        return Ok(());
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(|source| refused(path, source))?;
    file.take(64).read_to_end(&mut start).map_err(|source| refused(path, source))?;
    if start.starts_with(&MAGIC) { Ok(()) } else { Err(not_a_store(describe(&start))) }
}

/// What a file is, by its first bytes.
pub(crate) fn describe(start: &[u8]) -> &'static str {
    match start {
        [] => "an empty file",
        [0x1F, 0x8B, ..] => "a file compressed with gzip",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "a file compressed with zstd",
        [b'{', ..] => "a file that looks like JSON lines",
        _ if start.iter().all(|byte| *byte >= 0x20 || byte.is_ascii_whitespace()) => "a text file",
        _ => "a file of another kind",
    }
}

pub(crate) fn refused(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::NoSuchPath { path },
        _ => OpenError::Unreadable { path, source },
    }
}
