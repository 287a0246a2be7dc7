//! How far answers are final, with what the machine knows of the writers: who is gone, who holds
//! nothing back, who is stopped with records in its memory.
//!
//! A segment alone tells what each writer has appended; whether more will come, and how early, is
//! known to the kernel, in which each living writer holds locks, and to the control page, on which
//! writers leave promises. [`Probe::take`] asks both. Nothing is locked and nothing written.
//!
//! # What is claimed, and why it holds
//!
//! *No record with a time before the watermark is appended behind what the snapshot has.* It takes
//! the order of looking: first the clock (`now`), then locks and page ([`Probe::take`]), then the
//! lengths of the segments (the snapshot).
//!
//! 1. **A writer that holds no lock on any segment** at the probe appends nothing more under the
//!    identity it had: the kernel frees the locks of a process after its last system call, and a
//!    writer that ends or moves on frees them after its last append. What it appended is below the
//!    lengths. Segments are asked in the order of their numbers, those that come meanwhile behind the
//!    others and the lock file behind all, so a writer that moves on meanwhile is met where it goes:
//!    it joins there before it leaves here.
//! 2. **A writer that holds the sign of rest** has everything it was given in the file, which is
//!    below the lengths. It gives the sign back before it reads the clock for its next record, and
//!    a clock that was stepped back by up to two seconds since is made up for, so that record is
//!    not before `now`.
//! 3. **Any other living writer** appends nothing before the time of its last block, because the
//!    times of a writer never decrease, and nothing before what it promised on the page.
//! 4. **A writer that joins later** reads the clock for its first record after its JOIN is appended.
//!    If the JOIN is not in the snapshot, that is after `now`. Writers that go on elsewhere with
//!    older records (after a rotation, an error, the deletion of their segment) are known at the
//!    probe by their place before. So a directory lock that is held at the probe matters only in
//!    that the slot may be taken and the segment not joined yet; then the look is repeated.
//!
//! So with all in sight, the watermark is the earliest of `now` and the floors of the living that
//! are not at rest.
//!
//! | what is found | taken for |
//! |---|---|
//! | lock on the segment held, sign of rest held | alive, nothing before `now` |
//! | lock on the segment held | alive, nothing before its last block and its promise |
//! | slot held in the lock file only | unknown: its segment was deleted, or it joins just now; its promise if there is one, else nothing is final |
//! | page names a segment that is gone, lock file replaced | unknown, its promise |
//! | slot free everywhere, locks are in sight | gone |
//! | entry of the page missing, torn, noise, of another slot, segment or boot | as if there were none |
//! | page deleted, truncated, no file, an old copy | as above: promises hold for good, so old ones are merely low |
//! | lock file deleted or replaced | as above: the locks on segments decide |
//! | a lock that is not quite a writer's (a whole file locked) | alive, never at rest |
//! | member of a roster without a slot | unknown, its last block |
//! | segments come faster than they can be asked | nothing is final for the moment |
//! | locks are not in sight | nothing is known of the machine: the watermark of the segments |
//!
//! *In sight* are the locks if a writer's lock is seen, or if an entry of the page has the boot,
//! device and inode by which this process knows one of the segments. Otherwise this is another
//! machine, a copy, another kernel's view of a shared disk, or a page was lost while nobody writes:
//! free locks prove nothing then.
//!
//! # What is outside
//!
//! Records that come late by their nature are late for any watermark, and what reads them must
//! expect it: those of a writer whose clock was stepped back by more than two seconds (it starts
//! anew under another number and tells of it with CLOCK_STEP), those of a process that starts in the
//! moment after a smaller step back, those of a logger with a clock of its own that is behind the
//! machine's, and past records that are imported.

use std::path::Path;

use logq_directory::WriterEntry;
use logq_format::{Origin, Timestamp, WriterId};

use crate::error::OpenError;
use crate::report::{Coverage, Holder};
use crate::snapshot::Snapshot;

mod sight;

pub(crate) use sight::Manning;
use sight::{Seen, Sight};

/// What the machine knows of living writers at one moment.
///
/// To be taken *before* the snapshot whose answers are judged by it.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    now: Timestamp,
    /// `None` where this machine cannot tell.
    sight: Option<Sight>,
}

/// How far answers are final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finality {
    /// No record before this is appended any more; `None` if nobody knows. [`Timestamp::MAX`] only
    /// where the segments say that everyone has left and the machine says nothing.
    pub(crate) watermark: Option<Timestamp>,
    /// Who holds it back, the slowest first. One that is not known but by its slot is writer 0.
    pub(crate) holding: Vec<Holder>,
}

impl Probe {
    /// Asks the kernel and the control page about the writers of the store at `directory`.
    ///
    /// `now` is the machine's wall clock, read just before. Costs some ten system calls, and three
    /// more for each segment; up to three milliseconds where a writer is joining.
    pub(crate) fn take(directory: &Path, now: Timestamp) -> Self {
        Self { now, sight: Sight::of(directory) }
    }

    /// Whether somebody may still append to the segment with this number; `None` if the locks are
    /// not in sight.
    pub(crate) fn manning(&self, segment: u64) -> Option<Manning> {
        self.sight.as_ref().map(|sight| sight.manning(segment))
    }

    /// How far answers are final that are given from a snapshot with this coverage.
    pub(crate) fn finality(&self, coverage: &Coverage) -> Finality {
        let Some(sight) = &self.sight else {
            let (watermark, holding) = (coverage.watermark, coverage.holding.clone());
            return Finality { watermark, holding };
        };
        let mut watermark = Some(self.now);
        let mut holding = Vec::new();
        for life in lives(sight, coverage) {
            let floor = match life.state {
                LifeState::Idle | LifeState::Gone => continue,
                LifeState::Busy { .. } | LifeState::Unknown => life.floor(),
            };
            watermark = watermark.zip(floor).map(|(a, b)| a.min(b));
            if floor.is_none_or(|floor| floor < self.now) {
                holding.push(life.holder);
            }
        }
        holding.sort_by_key(|holder| (holder.floor, holder.origin));
        Finality { watermark, holding }
    }
}

/// What is known of the writers of a store at one moment: the machine's view of each.
///
/// # Examples
///
/// ```
/// use logq_format::{Timestamp, WorkerId};
/// use logq_reader::{LifeState, Liveness};
/// use logq_writer::{LoggerOptions, WorkerLogger};
///
/// # let scratch = tempfile::tempdir()?;
/// # let store = scratch.path().join("logs");
/// let one = WorkerId::new(1).ok_or("worker numbers have 24 bits")?;
/// let log = WorkerLogger::open(&store, one, LoggerOptions::default())?;
/// log.info("waits for others for a fifth of a second");
///
/// let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
/// let now = Timestamp::from_micros(i64::try_from(now.as_micros())?);
/// let liveness = Liveness::of(&store, now)?;
/// let [worker] = &liveness.writers[..] else { return Err("there is one writer".into()) };
/// assert_eq!(worker.holder.pid, std::process::id());
/// assert!(matches!(worker.state, LifeState::Busy { .. }));
/// assert!(liveness.watermark.is_some_and(|watermark| watermark < now));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Liveness {
    /// The store as it was right after the look: what it has up to the watermark is final.
    pub snapshot: Snapshot,
    /// No record before this is appended any more; `None` if nobody knows. [`Timestamp::MAX`] if
    /// the segments say that everyone has left and the machine says nothing.
    pub watermark: Option<Timestamp>,
    /// Whether the writers' locks can be seen from here; without, nobody is known to be gone.
    pub sees_locks: bool,
    /// The writers that live, and those of which the segments do not say that they have left, the
    /// slowest first.
    pub writers: Vec<WriterLife>,
}

/// One writer of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterLife {
    /// Who it is, and the time before which it appends nothing, which for one that is idle is that
    /// of its last promise. One that is known by its slot only is writer 0 with the earliest time.
    pub holder: Holder,
    /// What the machine knows of it.
    pub state: LifeState,
}

/// What the machine knows of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifeState {
    /// It lives, and all that it was given to log is in the store: it holds nothing back.
    Idle,
    /// It lives, and may have records in its memory.
    Busy {
        /// The time of the oldest of them, if it had the time to tell.
        pending_since: Option<Timestamp>,
    },
    /// It has ended, in whatever way, and appends nothing more.
    Gone,
    /// Nobody on this machine knows.
    Unknown,
}

impl Liveness {
    /// Looks at the writers of the store at `store`. `now` is the machine's wall clock, read just
    /// before.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::open`].
    pub fn of(store: &Path, now: Timestamp) -> Result<Self, OpenError> {
        let probe = Probe::take(store, now);
        let snapshot = Snapshot::open(&[store])?;
        let coverage = snapshot.coverage();
        let unknown = |holder: &Holder| WriterLife { holder: *holder, state: LifeState::Unknown };
        let mut writers = match &probe.sight {
            Some(sight) => lives(sight, coverage),
            None => coverage.holding.iter().map(unknown).collect(),
        };
        writers.sort_by_key(|life| (life.holder.floor, life.holder.origin));
        let watermark = probe.finality(coverage).watermark;
        Ok(Self { snapshot, watermark, sees_locks: probe.sight.is_some(), writers })
    }
}

impl WriterLife {
    /// The time before which it appends nothing, if anything is known of that.
    fn floor(&self) -> Option<Timestamp> {
        Some(self.holder.floor).filter(|_| self.holder.origin.writer != NOBODY)
    }
}

/// Stands for a writer that has told nothing of itself.
const NOBODY: WriterId = WriterId(0);

/// Everyone who was seen, and everyone of whom the segments tell.
fn lives(sight: &Sight, coverage: &Coverage) -> Vec<WriterLife> {
    let mut lives: Vec<_> = sight.seen.iter().map(|seen| life(seen, coverage)).collect();
    for holder in &coverage.holding {
        let is_seen = |life: &WriterLife| {
            let same = life.holder;
            (same.origin.writer, same.segment) == (holder.origin.writer, holder.segment)
        };
        if !lives.iter().any(is_seen) {
            let state = if holder.slot == 0 { LifeState::Unknown } else { LifeState::Gone };
            lives.push(WriterLife { holder: *holder, state });
        }
    }
    lives
}

fn life(seen: &Seen, coverage: &Coverage) -> WriterLife {
    let is_named = |holder: &&Holder| {
        seen.is_alive && (holder.slot, holder.segment) == (seen.slot, seen.segment)
    };
    let mut named = coverage.holding.iter().filter(is_named);
    let holder = match &seen.entry {
        Some(entry) => {
            let same = |holder: &&Holder| holder.origin.writer == entry.origin.writer;
            promised(entry, named.find(same))
        }
        // Several had the slot in this segment, one after the other, and the last one has it now.
        // The earliest floor is right for any of them.
        None => named.min_by_key(|holder| holder.floor).copied().unwrap_or(nobody(seen)),
    };
    let state = match (seen.is_alive, seen.is_idle) {
        (true, true) => LifeState::Idle,
        (true, false) => {
            let since = |entry: &&WriterEntry| entry.is_pending && entry.floor >= holder.floor;
            let entry = seen.entry.as_ref().filter(since);
            LifeState::Busy { pending_since: entry.map(|entry| entry.floor) }
        }
        (false, _) => LifeState::Unknown,
    };
    WriterLife { holder, state }
}

/// The writer of an entry: both its promise and its last block bind it.
fn promised(entry: &WriterEntry, known: Option<&Holder>) -> Holder {
    let WriterEntry { origin, floor, pid, slot, place, .. } = *entry;
    let floor = known.map_or(floor, |known| known.floor.max(floor));
    Holder { origin, floor, pid, slot, segment: place.segment }
}

fn nobody(seen: &Seen) -> Holder {
    let origin = Origin { writer: NOBODY, worker: None };
    Holder { origin, floor: Timestamp::MIN, pid: 0, slot: seen.slot, segment: seen.segment }
}

#[cfg(test)]
mod tests;
