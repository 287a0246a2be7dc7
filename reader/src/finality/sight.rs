//! What the kernel's locks and the control page show of a store's writers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use logq_directory::{Directory, Place, Present, WriterEntry, boot_id, present_writers};
use logq_format::{Id, segment_number};

use crate::listing::Listing;

/// How often the look is repeated where a writer joins or moves on meanwhile, and after what pause.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);

/// How often the segments that came during a look are asked for as well.
const LISTINGS_MAX: usize = 100;

/// The writers of a store whose locks can be seen from here.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    pub(super) seen: Vec<Seen>,
}

/// Somebody who may still append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) slot: u32,
    /// The number of that segment, 0 if unknown.
    pub(super) segment: u64,
    /// Whether a segment is locked for it; otherwise it is not known to be gone.
    pub(super) is_alive: bool,
    /// Whether it holds nothing back.
    pub(super) is_idle: bool,
    /// What it has told of itself.
    pub(super) entry: Option<WriterEntry>,
}

/// Whether a segment has writers, as far as the machine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manning {
    /// Somebody may append to it.
    Manned,
    /// Nobody who could be asked for does, but somebody is where nobody knows.
    Unclear,
    /// Nobody appends to it any more, unless somebody joins.
    Left,
}

/// The locks of a store as they were found.
#[derive(Default)]
struct Locks {
    segments: Vec<Manned>,
    /// Slots held in the lock file.
    slots: BTreeSet<u32>,
    /// The inode of that file.
    inode: Option<u64>,
    boot: Id,
}

/// A segment and those who may append to it.
struct Manned {
    number: u64,
    /// Its device and inode.
    identity: (u64, u64),
    present: Vec<Present>,
}

impl Sight {
    /// What is seen at `directory`; `None` where the locks are not in sight.
    pub(super) fn of(directory: &Path) -> Option<Self> {
        // Where locks do not reach other machines, this fails.
        let directory = Directory::open(directory).ok()?;
        let mut found = Locks::of(&directory);
        for _ in 1..ATTEMPTS {
            if matches!(found, Ok((_, true))) {
                break;
            }
            std::thread::sleep(PAUSE);
            found = Locks::of(&directory);
        }
        let locks = match found {
            Ok((locks, _)) => locks,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(Self::blurred()),
            Err(_) => return None,
        };
        let entries = directory.writer_entries();
        locks.are_in_sight(&entries).then(|| Self { seen: locks.seen(&entries) })
    }

    /// Too much happened during the look: anybody may be anywhere, for now.
    pub(super) fn blurred() -> Self {
        let somebody = Seen { slot: 0, segment: 0, is_alive: false, is_idle: false, entry: None };
        Self { seen: vec![somebody] }
    }

    /// Whether somebody may append to the segment with this number.
    pub(super) fn manning(&self, segment: u64) -> Manning {
        let is_at = |place: u64| self.seen.iter().any(|seen| seen.segment == place);
        match (is_at(segment), is_at(0)) {
            (true, _) => Manning::Manned,
            (false, true) => Manning::Unclear,
            (false, false) => Manning::Left,
        }
    }
}

impl Locks {
    /// The locks, and whether nobody was joining or going elsewhere meanwhile.
    ///
    /// A slot is given to a writer in the lock file first, so one that goes on in an older segment,
    /// which was asked before, is found there.
    fn of(directory: &Directory) -> io::Result<(Self, bool)> {
        let is_locked = directory.is_locked()?;
        let segments = Manned::all(directory)?;
        let slots = directory.held_slots()?.unwrap_or_default();
        let locks = Self { segments, slots, inode: directory.lock_inode(), boot: boot_id() };
        let is_steady = !is_locked && locks.elsewhere().next().is_none();
        Ok((locks, is_steady))
    }

    /// Slots that are held in the lock file, but in no segment.
    fn elsewhere(&self) -> impl Iterator<Item = u32> {
        let is_seen = |slot: &u32| {
            let present = self.segments.iter().flat_map(|segment| &segment.present);
            present.into_iter().any(|present| present.slot == *slot)
        };
        self.slots.iter().copied().filter(move |slot| !is_seen(slot))
    }

    fn are_in_sight(&self, entries: &[WriterEntry]) -> bool {
        let mut present = self.segments.iter().flat_map(|segment| &segment.present);
        let is_here = |place: &Place| self.is_of_this_boot(place) && self.is_listed(place);
        present.any(|present| present.is_certain)
            || entries.iter().any(|entry| is_here(&entry.place))
    }

    fn is_of_this_boot(&self, place: &Place) -> bool {
        place.boot == self.boot && self.boot != Id::default()
    }

    fn seen(&self, entries: &[WriterEntry]) -> Vec<Seen> {
        let told = |slot: u32, is_its: &dyn Fn(&Place) -> bool| {
            let is_its = |place: &Place| self.is_of_this_boot(place) && is_its(place);
            entries.iter().find(|entry| entry.slot == slot && is_its(&entry.place))
        };
        let mut seen = Vec::new();
        for segment in &self.segments {
            seen.extend(segment.present.iter().map(|&Present { slot, is_idle, .. }| {
                let entry = told(slot, &|place| identity(place) == segment.identity).cloned();
                Seen { slot, segment: segment.number, is_alive: true, is_idle, entry }
            }));
        }
        let elsewhere = self.elsewhere().map(|slot| (slot, told(slot, &|at| !self.is_listed(at))));
        let orphans = self.orphans(entries).map(|entry| (entry.slot, Some(entry)));
        seen.extend(elsewhere.chain(orphans).map(|(slot, entry)| {
            let segment = entry.map_or(0, |entry| entry.place.segment);
            Seen { slot, segment, is_alive: false, is_idle: false, entry: entry.cloned() }
        }));
        seen
    }

    fn is_listed(&self, place: &Place) -> bool {
        self.segments.iter().any(|segment| segment.identity == identity(place))
    }

    /// Writers of segments that were deleted, with slots in a lock file that was deleted as well.
    fn orphans<'e>(&self, entries: &'e [WriterEntry]) -> impl Iterator<Item = &'e WriterEntry> {
        entries.iter().filter(move |entry| {
            let is_asked = self.inode == Some(entry.place.lock_inode);
            self.is_of_this_boot(&entry.place) && !self.is_listed(&entry.place) && !is_asked
        })
    }
}

impl Manned {
    /// Asks all segments, in the order of their numbers, and those that come meanwhile behind them:
    /// a writer may have gone on to one of these before it was asked for in the one before. Where
    /// a store has many segments and rotates often, there always are some.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if that does not end.
    fn all(directory: &Directory) -> io::Result<Vec<Self>> {
        // Finished segments have nobody. Who has joined one since has made it longer; who is about to
        // holds a slot without being in any segment, and the look is repeated.
        let listing = Listing::of(directory.path()).map_err(io::Error::other)?;
        let (mut asked, mut found) = (BTreeSet::new(), Vec::new());
        let device = std::fs::metadata(directory.path())?.dev();
        for (path, inode) in listing.finished() {
            let number = path.file_name().and_then(|name| segment_number(name.to_str()?));
            let (number, identity) = (number.unwrap_or(0), (device, inode));
            found.push(Self { number, identity, present: Vec::new() });
            asked.insert(path.to_path_buf());
        }
        for _ in 0..LISTINGS_MAX {
            let mut listed = directory.segments().map_err(io::Error::other)?;
            listed.retain(|segment| !asked.contains(&segment.path));
            if listed.is_empty() {
                return Ok(found);
            }
            for segment in listed {
                match File::open(&segment.path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    opened => found.push(Self::of(segment.number, &opened?)?),
                }
                asked.insert(segment.path);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn of(number: u64, file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        let present = present_writers(file)?;
        Ok(Self { number, identity: (found.dev(), found.ino()), present })
    }
}

fn identity(place: &Place) -> (u64, u64) {
    (place.device, place.inode)
}
