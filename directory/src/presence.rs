//! A writer's presence in a segment, as the kernel shows it to anyone on the machine: it lives, and
//! it holds nothing back.
//!
//! Both are locked bytes of the segment itself, far behind its content, so they cannot be lost
//! without the segment, and what is found free is free in the very file that is read. A segment
//! that was copied, or that is read over a network, shows nobody.
//!
//! | byte | locked while |
//! |---|---|
//! | 2^40 + slot | the writer lives and may append to this segment |
//! | 2^41 + slot | all that it was given to log is in the file |
//!
//! The second one is why the page of [`crate::ControlPage`] need not say so: a lock ends with its
//! holder, cannot be put back by restoring an old file, and is taken and given back without waiting
//! for a disk, so a log call may do it. Like all locks here they belong to open file descriptions.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::{Context, DirectoryError};
use crate::lock::{Held, SLOTS_MAX, locked, try_exclusive};
use crate::{Directory, DirectoryLock, Slot};

/// Byte `ALIVE + slot` is locked while the writer may append.
const ALIVE: i64 = 1 << 40;

/// Byte `IDLE + slot` is locked while the writer holds nothing back.
const IDLE: i64 = 1 << 41;

/// A writer's place among those that append to one segment; given up when dropped.
#[derive(Debug)]
pub struct Presence {
    // Given back first: whoever takes the slot finds the byte of this segment locked for a moment
    // more and passes on.
    slot: Slot,
    /// `None` where a stranger has locked the whole file: logging matters more than being seen.
    alive: Option<Held>,
    segment: Arc<File>,
}

/// Says that a writer holds nothing back, until it is dropped.
#[derive(Debug)]
pub struct Idle {
    _held: Held,
}

/// A living writer, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Present {
    /// Its slot.
    pub slot: u32,
    /// Whether all that it was given to log so far is in the file.
    pub is_idle: bool,
    /// Whether its lock is one that writers take, and not a stranger's that covers it.
    pub is_certain: bool,
}

impl Directory {
    /// Takes the first slot that is free both in the lock file and in this segment, which must be
    /// open for writing.
    ///
    /// Where the lock file was deleted, writers may still hold slots of the old one.
    ///
    /// # Errors
    ///
    /// As [`Directory::take_slot`].
    pub fn enter(&self, lock: &DirectoryLock, segment: &File) -> Result<Presence, DirectoryError> {
        let segment = Arc::new(segment.try_clone().context("open", self.path())?);
        let mut first = 1;
        loop {
            let slot = self.take_slot_from(lock, first)?;
            let alive = take_alive(&segment, slot.number());
            match alive.context("lock a segment of", self.path())? {
                Sign::Taken(held) => return Ok(Presence { slot, alive: Some(held), segment }),
                Sign::Hidden => return Ok(Presence { slot, alive: None, segment }),
                Sign::Another => {}
            }
            let next = u16::try_from(slot.number() + 1).ok();
            first = next.ok_or_else(|| DirectoryError::NoSlot { path: self.lock_path() })?;
        }
    }

    /// The slots that are held in the lock file; `None` where there is no lock file. Creates
    /// nothing.
    ///
    /// # Errors
    ///
    /// Fails where the lock file cannot be opened or the file system has no locks.
    pub fn held_slots(&self) -> io::Result<Option<BTreeSet<u32>>> {
        let file = match File::open(self.lock_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let found = locked(&file, slots(0))?;
        Ok(Some(found.into_iter().flat_map(|locked| numbers(locked.bytes, 0)).collect()))
    }

    /// Whether somebody is joining a segment, creating one or stating claims right now. Creates
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::held_slots`].
    pub fn is_locked(&self) -> io::Result<bool> {
        match File::open(self.lock_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => Ok(!locked(&opened?, byte(0))?.is_empty()),
        }
    }
}

impl Presence {
    /// The slot's number, as joins and rosters list it.
    pub fn slot(&self) -> u32 {
        self.slot.number()
    }

    /// Lets everyone know that this writer holds nothing back; `None` if a stranger's lock is in
    /// the way. To be dropped *before* the clock is read for the next record.
    ///
    /// # Errors
    ///
    /// Fails where the kernel has no memory for a lock.
    pub fn rest(&self) -> io::Result<Option<Idle>> {
        if self.alive.is_none() {
            return Ok(None);
        }
        let offset = IDLE + i64::from(self.slot());
        let taken = try_exclusive(&self.segment, offset)?;
        Ok(taken.then(|| Idle { _held: Held::new(Arc::clone(&self.segment), offset) }))
    }
}

/// The writers that live and may append to a segment, by their slots.
///
/// Those whose locks `segment`'s own open file description holds are not among them: open the
/// file anew.
///
/// # Errors
///
/// Fails where the file system has no locks.
pub fn present_writers(segment: &File) -> io::Result<Vec<Present>> {
    let alive = locked(segment, slots(ALIVE))?;
    if alive.is_empty() {
        return Ok(Vec::new());
    }
    // A lock that is not quite one of ours says nothing about a writer that holds nothing back.
    let idle = locked(segment, slots(IDLE))?.into_iter().filter(|idle| idle.is_ours);
    let idle: BTreeSet<u32> = idle
        .filter(|idle| idle.bytes.start() == idle.bytes.end())
        .flat_map(|idle| numbers(idle.bytes, IDLE))
        .collect();
    let mut found = Vec::new();
    for alive in alive {
        let is_certain = alive.is_ours;
        found.extend(numbers(alive.bytes, ALIVE).map(|slot| {
            let is_idle = idle.contains(&slot);
            Present { slot, is_idle, is_certain }
        }));
    }
    found.sort_unstable();
    Ok(found)
}

/// What came of locking a writer's byte.
enum Sign {
    Taken(Held),
    /// Another writer has the slot in this segment, or has left its mark there.
    Another,
    /// A stranger's lock covers the byte.
    Hidden,
}

fn take_alive(segment: &Arc<File>, slot: u32) -> nix::Result<Sign> {
    let offset = ALIVE + i64::from(slot);
    if !try_exclusive(segment, offset)? {
        let others = locked(segment, byte(offset))?;
        let strange = others.iter().any(|other| !other.is_ours);
        return Ok(if strange { Sign::Hidden } else { Sign::Another });
    }
    let held = Held::new(Arc::clone(segment), offset);
    let is_free = locked(segment, byte(IDLE + i64::from(slot)))?.is_empty();
    Ok(if is_free { Sign::Taken(held) } else { Sign::Another })
}

fn byte(offset: i64) -> RangeInclusive<i64> {
    offset..=offset
}

/// The bytes of all slots behind `base`.
fn slots(base: i64) -> RangeInclusive<i64> {
    base + 1..=base + i64::from(SLOTS_MAX)
}

/// The slots whose bytes behind `base` these are.
fn numbers(bytes: RangeInclusive<i64>, base: i64) -> impl Iterator<Item = u32> {
    bytes.filter_map(move |byte| u32::try_from(byte - base).ok())
}

#[cfg(test)]
mod tests;
