//! Every segment there ever was: held open, so that what was in it can be read after retention has
//! deleted it. A second name would not do, since writers take note of a segment that has none left.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use logq_directory::Directory;

/// How long after its deletion a segment is closed: no process is stopped for so long.
const RETIRE_AFTER: Duration = Duration::from_secs(20);

/// The segments, by number.
pub(crate) struct Archive {
    store: PathBuf,
    segments: Mutex<BTreeMap<u64, Kept>>,
}

enum Kept {
    Open { file: File, deleted: Option<Instant> },
    Read(Vec<u8>),
}

impl Archive {
    pub(crate) fn of(store: &Path) -> Self {
        Self { store: store.to_owned(), segments: Mutex::default() }
    }

    /// Opens the segments that are new. Called after each rotation, on the thread that deletes.
    pub(crate) fn look(&self) {
        let found = Directory::open(&self.store).and_then(|directory| directory.segments());
        let mut segments = self.segments.lock().unwrap();
        for segment in found.unwrap() {
            // One that is deleted in this moment was opened before.
            if let Ok(file) = File::open(&segment.path) {
                let kept = Kept::Open { file, deleted: None };
                segments.entry(segment.number).or_insert(kept);
            }
        }
    }

    /// Reads and closes what was deleted long ago: a process may have only so many open files.
    pub(crate) fn retire(&self) {
        for kept in self.segments.lock().unwrap().values_mut() {
            let Kept::Open { file, deleted } = kept else { continue };
            if file.metadata().unwrap().nlink() > 0 {
                continue;
            }
            if deleted.get_or_insert_with(Instant::now).elapsed() > RETIRE_AFTER {
                *kept = Kept::Read(read(file));
            }
        }
    }

    /// All segments: number, content, and whether it was deleted.
    pub(crate) fn segments(&self) -> Vec<(u64, Vec<u8>, bool)> {
        let segments = self.segments.lock().unwrap();
        let one = |(number, kept): (&u64, &Kept)| match kept {
            Kept::Read(bytes) => (*number, bytes.clone(), true),
            Kept::Open { file, .. } => (*number, read(file), file.metadata().unwrap().nlink() == 0),
        };
        segments.iter().map(one).collect()
    }
}

fn read(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}
