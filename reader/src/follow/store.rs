//! One of the paths that are followed: which segments there are, and which have come and gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use logq_format::{Id, segment_number};

use crate::cursor::position::{ENDS_MAX, End, Extent};
use crate::error::OpenError;
use crate::listing;

/// The time of change of a directory is coarse: what changes so soon after it may not change it.
const COARSE: Duration = Duration::from_millis(50);

/// How often is looked in any case.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A store or a single segment.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Its identity, once a segment has told it.
    pub(super) id: Option<Id>,
    /// The segments at the last look, with their numbers.
    names: BTreeMap<PathBuf, Option<u64>>,
    /// The largest number so far.
    newest: u64,
    /// How far segments have been handed out that are not open any more, and how long they were;
    /// only the newest.
    ends: BTreeMap<u64, (End, u64)>,
    changed: Option<SystemTime>,
    is_settled: bool,
    looked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Directory,
    Segment,
}

/// What a look at a store's files brought.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Segments that have come, in the order of their numbers.
    pub(super) new: Vec<(PathBuf, Option<u64>)>,
    /// Segments that are gone.
    pub(super) gone: Vec<PathBuf>,
    /// Numbers of segments that have come and gone unseen.
    pub(super) unseen: u64,
}

impl Store {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            kind: Kind::Missing,
            id: None,
            names: BTreeMap::new(),
            newest: 0,
            ends: BTreeMap::new(),
            changed: None,
            is_settled: false,
            looked: None,
        }
    }

    /// Where the locks of its writers are.
    pub(super) fn directory(&self) -> Option<&Path> {
        match self.kind {
            Kind::Missing => None,
            Kind::Directory => Some(&self.path),
            Kind::Segment => {
                let parent = self.path.parent()?;
                Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            }
        }
    }

    /// Whether [`Self::look`] may find something.
    pub(super) fn may_have_changed(&self) -> bool {
        let is_old = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        is_old || !self.is_settled || changed(&self.path) != self.changed
    }

    /// Looks which segments there are.
    ///
    /// # Errors
    ///
    /// Fails where the path leads to something else, or cannot be read.
    pub(super) fn look(&mut self) -> Result<Changed, OpenError> {
        self.looked = Some(Instant::now());
        self.changed = changed(&self.path);
        let age = self.changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        self.is_settled = age.is_some_and(|age| age > COARSE);
        let (kind, mut names) = match names(&self.path) {
            Ok(found) => found,
            Err(OpenError::NoSuchPath { .. }) => (Kind::Missing, BTreeMap::new()),
            Err(error) => return Err(error),
        };
        self.kind = kind;
        let is_unlisted = |path: &&PathBuf| !names.contains_key(*path);
        let unlisted: Vec<_> = self.names.keys().filter(is_unlisted).cloned().collect();
        // A listing may pass over a file while others come and go.
        let (there, gone): (Vec<_>, Vec<_>) =
            unlisted.into_iter().partition(|path| fs::symlink_metadata(path).is_ok());
        for path in there {
            let number = self.names.get(&path).copied().flatten();
            names.insert(path, number);
        }
        let mut new: Vec<_> = names
            .iter()
            .filter(|(path, _)| !self.names.contains_key(*path))
            .map(|(path, number)| (path.clone(), *number))
            .collect();
        new.sort_by_key(|(_, number)| *number);
        let unseen = self.unseen(&new);
        self.newest = new.iter().filter_map(|(_, number)| *number).fold(self.newest, u64::max);
        self.names = names;
        Ok(Changed { new, gone, unseen })
    }

    /// Of a store that was looked at before, numbers are given without gaps.
    fn unseen(&self, new: &[(PathBuf, Option<u64>)]) -> u64 {
        if self.newest == 0 {
            return 0;
        }
        let later = new.iter().filter_map(|(_, number)| *number).filter(|n| *n > self.newest);
        let last = later.clone().max().unwrap_or(self.newest);
        last.saturating_sub(self.newest).saturating_sub(later.count() as u64)
    }

    /// The segments, in the order of their numbers.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let mut paths: Vec<_> = self.names.iter().map(|(path, number)| (*number, path)).collect();
        paths.sort();
        paths.into_iter().map(|(_, path)| path)
    }

    /// The newest segment, which others may be joining.
    pub(super) fn is_newest(&self, path: &Path) -> bool {
        self.kind == Kind::Segment
            || self
                .names
                .iter()
                .max_by_key(|(path, number)| (**number, *path))
                .is_some_and(|(newest, _)| newest == path)
    }

    /// Takes note of the identity that a segment tells. After all segments have been deleted, a store
    /// begins anew with another one.
    pub(super) fn belongs_to(&mut self, id: Id) {
        if self.id != Some(id) {
            self.id = Some(id);
            self.ends.clear();
        }
    }

    /// Remembers how far a segment was handed out that is not kept open any more.
    pub(super) fn remember(&mut self, end: End, len: u64) {
        self.ends.insert(end.number, (end, len));
        while self.ends.len() > ENDS_MAX {
            self.ends.pop_first();
        }
    }

    /// Forgets what another file has taken the number of.
    pub(super) fn forget(&mut self, number: u64) {
        self.ends.remove(&number);
    }

    /// Segments that are not open any more, and have become longer than they were.
    pub(super) fn grown(&self) -> Vec<(PathBuf, u64, End)> {
        let grown = |(end, len): &(End, u64)| {
            let (path, _) = self.names.iter().find(|(_, number)| **number == Some(end.number))?;
            let found = fs::metadata(path).ok()?;
            (found.len() > *len).then(|| (path.clone(), end.number, *end))
        };
        self.ends.values().filter_map(grown).collect()
    }

    /// What has been handed out, given the segments that are open, and whether each may grow.
    pub(super) fn extent(&self, open: impl Iterator<Item = (End, bool)>) -> Option<Extent> {
        let remembered = self.ends.values().map(|(end, _)| (end.number, (*end, false)));
        let mut ends: BTreeMap<_, _> = remembered.collect();
        ends.extend(open.map(|(end, may_grow)| (end.number, (end, may_grow))));
        let numbers = || self.names.values().copied().flatten().chain(ends.keys().copied());
        let (oldest, newest) = (numbers().min()?, numbers().max()?);
        let mut listed = ends.values().map(|(end, _)| *end).collect();
        Extent::limit(&mut listed, |end| ends.get(&end.number).is_some_and(|(_, grows)| *grows));
        Some(Extent { store: self.id?, oldest, newest, ends: listed })
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// What is at a path.
fn names(path: &Path) -> Result<(Kind, BTreeMap<PathBuf, Option<u64>>), OpenError> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        let number = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.and_then(|name| segment_number(&name))
        };
        let listed = listing::list(path)?;
        let names = listed.into_iter().map(|path| (number(&path), path));
        return Ok((Kind::Directory, names.map(|(number, path)| (path, number)).collect()));
    }
    listing::check(path)?;
    Ok((Kind::Segment, BTreeMap::from([(path.to_owned(), None)])))
}
