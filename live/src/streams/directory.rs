//! The directory of streams: private, one server at a time, no links followed. For each stream a file
//! with its bytes, `NAME.GENERATION.log`, and its record, `NAME.GENERATION.json`.
//!
//! Names of files are made of checked names only, and what a client asks for is looked up in a table,
//! never here.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::model::{Generation, StreamName};

use super::record::{RECORD_LEN_MAX, Record};

/// The file whose lock says that a server uses the directory.
const LOCK: &str = "lock";

/// How directories begin that a server makes for itself, as the original's do.
const TEMPORARY_PREFIX: &str = "livelog";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The system refuses.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may write into it, and could plant files.
    #[error("{} can be written by others (mode {mode:o}): chmod 700 it", path.display())]
    Public {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another server has it.
    #[error("another server uses {}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

fn refused<'a>(
    verb: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DirectoryError + 'a {
    move |source| DirectoryError::Io { verb, path: path.to_owned(), source }
}

/// A directory of streams that is this server's as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Whether it goes when the server goes.
    temporary: bool,
    _lock: File,
}

/// The names of a stream's files, without ending.
#[derive(Clone, Debug)]
pub(super) struct Stem(String);

impl Stem {
    pub(super) fn new(name: &StreamName, generation: Generation) -> Self {
        Self(format!("{name}.{generation}"))
    }

    /// Which stream a file belongs to, from its name; `None` for files that are none of ours.
    pub(super) fn parse(file_name: &str) -> Option<(StreamName, Generation)> {
        let (name, generation) = file_name.strip_suffix(".log")?.rsplit_once('.')?;
        Some((name.parse().ok()?, generation.parse().ok()?))
    }
}

impl Directory {
    /// Opens a directory that stays, and makes it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, DirectoryError> {
        if let Err(error) = DirBuilder::new().mode(0o700).create(path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(refused("create", path)(error));
        }
        let path = path.canonicalize().map_err(refused("find", path))?;
        let mode = fs::metadata(&path).map_err(refused("look at", &path))?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(DirectoryError::Public { path, mode });
        }
        Self::locked(path, false)
    }

    /// Makes a directory for this run of the server in `parent`, and removes those that runs left behind
    /// which were killed.
    pub(super) fn temporary(parent: &Path) -> Result<Self, DirectoryError> {
        remove_left_behind(parent);
        let name = format!("{TEMPORARY_PREFIX}{}", Generation::random());
        let (draft, path) = (parent.join(format!(".{name}.new")), parent.join(name));
        DirBuilder::new().mode(0o700).create(&draft).map_err(refused("create", &draft))?;
        // It gets its name once it is locked: whoever finds one that nobody holds removes it.
        let mut directory = Self::locked(draft, true)?;
        fs::rename(&directory.path, &path).map_err(refused("create", &path))?;
        directory.path = path;
        Ok(directory)
    }

    fn locked(path: PathBuf, temporary: bool) -> Result<Self, DirectoryError> {
        let at = path.join(LOCK);
        let lock =
            private().create(true).truncate(false).open(&at).map_err(refused("open", &at))?;
        match lock.try_lock() {
            Ok(()) => {
                remove_drafts(&path);
                Ok(Self { path, temporary, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(DirectoryError::Busy { path }),
            Err(TryLockError::Error(error)) => Err(refused("lock", &at)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn data_path(&self, stem: &Stem) -> PathBuf {
        self.path.join(format!("{}.log", stem.0))
    }

    fn record_path(&self, stem: &Stem) -> PathBuf {
        self.path.join(format!("{}.json", stem.0))
    }

    /// Makes the file for the bytes of a new stream.
    pub(super) fn create(&self, stem: &Stem) -> io::Result<File> {
        private().create_new(true).open(self.data_path(stem))
    }

    /// Opens the file with the bytes of a stream.
    pub(super) fn open_data(&self, stem: &Stem) -> io::Result<File> {
        let file = private().open(self.data_path(stem))?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("not a plain file")),
        }
    }

    /// Reads what is recorded about a stream; `None` if there is none or it is damaged.
    pub(super) fn read_record(&self, stem: &Stem) -> Option<Record> {
        let file = private().open(self.record_path(stem)).ok()?;
        let mut bytes = Vec::new();
        file.take(RECORD_LEN_MAX).read_to_end(&mut bytes).ok()?;
        Record::decode(&bytes)
            .filter(|record| Stem::new(&record.name, record.generation).0 == stem.0)
    }

    /// Replaces what is recorded about a stream: either the old or the new is there after a crash. On a
    /// disk that is full it overwrites the old, which needs no new space.
    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        let stem = Stem::new(&record.name, record.generation);
        let path = self.record_path(&stem);
        let draft = self.path.join(format!("{}.draft", stem.0));
        let bytes = record.encode();
        let written = self.write_draft(&draft, &bytes).and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return self.overwrite(&path, &bytes).map_err(|_| error);
        }
        if self.temporary { Ok(()) } else { File::open(&self.path)?.sync_all() }
    }

    fn write_draft(&self, draft: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = private().create(true).truncate(true).open(draft)?;
        file.write_all(bytes)?;
        // A directory that goes with the server need not survive the machine.
        if self.temporary { Ok(()) } else { file.sync_all() }
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = private().open(path)?;
        file.write_all_at(bytes, 0)?;
        file.set_len(bytes.len().try_into().unwrap_or(u64::MAX))
    }

    /// Removes the files of a stream. Who has them open reads on.
    pub(super) fn remove(&self, stem: &Stem) -> io::Result<()> {
        let removed = fs::remove_file(self.data_path(stem));
        let record = fs::remove_file(self.record_path(stem));
        let absent_is_fine = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        absent_is_fine(removed).and(absent_is_fine(record))
    }

    /// All streams that have files here.
    pub(super) fn list(&self) -> Result<Vec<(StreamName, Generation)>, DirectoryError> {
        let entries = fs::read_dir(&self.path).map_err(refused("list", &self.path))?;
        let mut streams = Vec::new();
        for entry in entries {
            let entry = entry.map_err(refused("list", &self.path))?;
            streams.extend(entry.file_name().to_str().and_then(Stem::parse));
        }
        streams.sort();
        Ok(streams)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// For reading and writing, by the owner alone, and never through a link.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits());
    options
}

/// Removes records that a killed server had not finished writing.
fn remove_drafts(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let paths = entries.flatten().map(|entry| entry.path());
    for draft in paths.filter(|path| path.extension().is_some_and(|ending| ending == "draft")) {
        let _ = fs::remove_file(draft);
    }
}

/// Removes directories of this user's servers that were killed: nobody holds their locks.
fn remove_left_behind(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let user = nix::unistd::geteuid().as_raw();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ours = name
            .strip_prefix(TEMPORARY_PREFIX)
            .is_some_and(|rest| rest.parse::<Generation>().is_ok())
            && fs::symlink_metadata(&path).is_ok_and(|at| at.is_dir() && at.uid() == user);
        let unlocked = || private().open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if ours && unlocked() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn name() -> StreamName {
        "a.b-c".parse().unwrap()
    }

    #[test]
    fn file_names_tell_their_stream() {
        let generation = Generation::from_number(9);
        let stem = Stem::new(&name(), generation);
        assert_eq!(Stem::parse(&format!("{}.log", stem.0)), Some((name(), generation)));
        for foreign in
            ["lock", "x.log", ".0000000000000000000009.log", "x.0000000000000000000009.json"]
        {
            assert_eq!(Stem::parse(foreign), None, "{foreign}");
        }
    }

    /// E.4.2
    #[test]
    fn everything_is_private_and_exclusive() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("streams");
        let directory = Directory::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let stem = Stem::new(&name(), Generation::random());
        directory.create(&stem).unwrap();
        assert_eq!(mode(&directory.data_path(&stem)), 0o600);
        assert_eq!(directory.create(&stem).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(matches!(Directory::open(&path), Err(DirectoryError::Busy { .. })));
        drop(directory);
        Directory::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Directory::open(&path), Err(DirectoryError::Public { mode: 0o777, .. })));
    }

    /// E.4.2
    #[test]
    fn planted_links_are_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let secret = parent.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let directory = Directory::open(&parent.path().join("streams")).unwrap();
        let stem = Stem::new(&name(), Generation::random());
        symlink(&secret, directory.data_path(&stem)).unwrap();
        symlink(&secret, directory.record_path(&stem)).unwrap();
        assert!(directory.create(&stem).is_err());
        assert!(directory.open_data(&stem).is_err());
        assert_eq!(directory.read_record(&stem), None);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }

    #[test]
    fn temporary_directories_go_also_those_of_killed_servers() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Directory::temporary(parent.path()).unwrap();
        // What a killed server leaves: a directory whose lock nobody holds.
        let killed = parent.path().join(format!("livelog{}", Generation::random()));
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        let foreign = parent.path().join("livelog12345");
        fs::create_dir(&foreign).unwrap();
        let another = Directory::temporary(parent.path()).unwrap();
        assert!(alive.path().exists() && foreign.exists() && !killed.exists());
        let path = another.path().to_owned();
        drop(another);
        assert!(!path.exists());
    }
}
