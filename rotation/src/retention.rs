//! Which segments are deleted: a pure function of what is known about the store, asked once for each
//! deletion, and the loop that asks it.
//!
//! The answer is only ever about the oldest segment, so nothing newer can go before it.

use std::time::Duration;

use logq_directory::Space;

use crate::options::Limits;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Its bytes.
    pub(crate) bytes: u64,
    /// How long ago it was created.
    pub(crate) age: Duration,
}

/// The store at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Store<'a> {
    /// The segments in the order of their numbers, without those that could not be deleted.
    pub(crate) segments: &'a [Extent],
    /// The bytes of older segments that could not be deleted.
    pub(crate) kept_bytes: u64,
    /// Whether the file system has less room than should be left.
    pub(crate) is_disk_full: bool,
}

/// Why a segment is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The store was larger than `log_size_limit`.
    Size,
    /// All its records were older than `log_age_limit`.
    Age,
    /// The file system had less room than `free_bytes_min`.
    DiskFull,
}

/// What is to become of the oldest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays, and with it all others.
    Keep,
    /// It goes.
    Delete(Reason),
    /// It goes unless a living writer may append to it.
    DeleteOnceLeft(Reason),
}

/// What is to become of the oldest segment.
///
/// It is deleted where the store is beyond a limit. While somebody may still append to it, or an
/// older one could not be deleted, the limit must be exceeded twofold: a stuck process must not keep
/// the store growing for ever. A full disk waits for nobody. The newest segment stays.
pub(crate) fn verdict(store: &Store<'_>, limits: &Limits) -> Verdict {
    let [_, next, ..] = store.segments else { return Verdict::Keep };
    let bytes = |sum: u64, segment: &Extent| sum.saturating_add(segment.bytes);
    let total = store.segments.iter().fold(store.kept_bytes, bytes);
    let exceeds = |times: u32| {
        if total > limits.store_bytes.saturating_mul(times.into()) {
            Some(Reason::Size)
        } else if next.age > limits.store_age.saturating_mul(times) {
            // Its latest records are as old as the segment that came after it.
            Some(Reason::Age)
        } else {
            None
        }
    };
    if store.is_disk_full {
        return Verdict::Delete(Reason::DiskFull);
    }
    match (exceeds(2), exceeds(1)) {
        (Some(reason), _) => Verdict::Delete(reason),
        (None, Some(reason)) if store.kept_bytes == 0 => Verdict::DeleteOnceLeft(reason),
        _ => Verdict::Keep,
    }
}

/// How many bytes must become free for `free_bytes_min` to be free.
///
/// By default that is 64 MiB, or 1 % of a file system on which that is less: neither is a store on
/// a large disk deleted for the sake of room nobody needs, nor one on a small disk for more than
/// there ever was.
pub(crate) fn missing_bytes(space: Space, free_bytes_min: Option<u64>) -> u64 {
    const DEFAULT: u64 = 64 << 20;
    let wanted = free_bytes_min.unwrap_or((space.total / 100).min(DEFAULT));
    wanted.saturating_sub(space.available)
}

/// What carries the verdicts out, by the index of a segment.
pub(crate) trait Hands {
    /// Whether somebody may still append to the segment.
    fn is_written(&mut self, index: usize) -> bool;

    /// Deletes the segment; `false` if that is impossible now.
    fn delete(&mut self, index: usize, reason: Reason) -> bool;
}

/// Deletes segments, the oldest first, until the store is within its limits and `missing_bytes` are
/// free.
pub(crate) fn retain(
    segments: &[Extent],
    missing_bytes: u64,
    limits: &Limits,
    hands: &mut impl Hands,
) {
    let (mut freed, mut kept_bytes) = (0_u64, 0_u64);
    for (index, segment) in segments.iter().enumerate() {
        let segments = segments.get(index..).unwrap_or_default();
        let store = Store { segments, kept_bytes, is_disk_full: freed < missing_bytes };
        let reason = match verdict(&store, limits) {
            Verdict::Keep => return,
            Verdict::DeleteOnceLeft(_) if hands.is_written(index) => return,
            Verdict::Delete(reason) | Verdict::DeleteOnceLeft(reason) => reason,
        };
        if hands.delete(index, reason) {
            freed = freed.saturating_add(segment.bytes);
        } else {
            kept_bytes = kept_bytes.saturating_add(segment.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
