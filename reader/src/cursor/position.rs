//! What has been handed out of a store: the places that cursors stand for.
//!
//! Records come late: a block that is appended after an answer may hold earlier records than the
//! last one of the answer. So a place is a rank and the bytes that were there when everything up to
//! that rank was handed out:
//!
//! ```text
//!  bytes of the store ──────────────────────────────>
//!  |  known to the answer   |  appended since        |
//!  |  rank <= r: handed out |  nothing handed out    |
//!  |  rank >  r: to come    |  all of it is to come  |
//! ```
//!
//! An answer that goes on from there begins with what came late. If it is cut before it has got to
//! `r`, there are two *levels*: the older bytes up to `r`, the newer ones up to its last record.

use logq_format::{Id, Timestamp, WriterId};

use crate::query::Order;
use crate::rows::Rank;
use crate::segment::Segment;

/// Below every record; writer 0 is nobody.
pub(crate) const LOWEST: Rank = (Timestamp::MIN, 0, 0);

/// Above every record; sequence numbers have 48 bits.
pub(crate) const HIGHEST: Rank = (Timestamp::MAX, u32::MAX, u64::MAX);

/// The newest segments of a store whose lengths a place tells in any case.
pub(crate) const ENDS_MAX: usize = 8;

/// Segments whose lengths a place tells at most: the newest, and older ones that are known to be
/// written to, since a writer there was stopped for so many rotations.
pub(crate) const LISTED_MAX: usize = 40;

/// The most levels of a place. There is a second one where an answer is cut among records that came
/// late, and another one only if that happens to the answer that goes on from it, still earlier. If
/// there were more, some records would be handed out again; none would be lost.
pub(crate) const LEVELS_MAX: usize = 16;

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) order: Order,
    /// Stores that did not have a segment yet, and so no identity.
    pub(crate) unborn: u8,
    /// With ascending order: ranks descend, extents grow. With descending order there is one, and
    /// only its rank means anything: what is later than that never is to come.
    pub(crate) levels: Vec<Level>,
}

/// Everything up to a rank, and that one, has been handed out of these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) rank: Rank,
    /// By store, ascending.
    pub(crate) extents: Vec<Extent>,
}

/// The bytes of a store at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) store: Id,
    /// The numbers of its oldest and its newest segment.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    /// The lengths of the newest segments, and of older ones that may grow, in the order of their
    /// numbers.
    pub(crate) ends: Vec<End>,
}

/// The length of a segment at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) number: u64,
    /// Tells the file from another one that got its number.
    pub(crate) file: u32,
    pub(crate) len: u64,
}

impl Position {
    /// The place before the first record of an answer about these bytes.
    pub(crate) fn start(order: Order, unborn: u8, extents: Vec<Extent>) -> Self {
        let rank = if order == Order::Descending { HIGHEST } else { LOWEST };
        Self { order, unborn, levels: vec![Level { rank, extents }] }
    }

    /// The place behind the record of this rank, of an answer that went on from here and considered
    /// these bytes.
    pub(crate) fn advanced(&self, rank: Rank, unborn: u8, extents: Vec<Extent>) -> Self {
        let is_left = |level: &&Level| self.order == Order::Ascending && level.rank > rank;
        let mut levels: Vec<_> = self.levels.iter().filter(is_left).cloned().collect();
        if self.order == Order::Ascending && levels.last().is_some_and(|l| l.extents == extents) {
            return Self { order: self.order, unborn, levels };
        }
        if levels.len() >= LEVELS_MAX {
            levels.pop();
        }
        levels.push(Level { rank, extents });
        Self { order: self.order, unborn, levels }
    }
}

impl Extent {
    /// How many bytes of a segment are known; `u64::MAX` for all of it.
    pub(crate) fn known(&self, number: u64, file: u32) -> u64 {
        let mut same = self.ends.iter().filter(|end| end.number == number);
        if let Some(end) = same.clone().find(|end| is_same(end.file, file)) {
            return end.len;
        }
        let newest = self.ends.get(self.ends.len().saturating_sub(ENDS_MAX)..);
        let is_new = same.next().is_some()
            || number > self.newest
            || newest.and_then(<[End]>::first).is_some_and(|first| number > first.number);
        if is_new { 0 } else { u64::MAX }
    }

    /// Leaves only so many ends as a place tells: the newest, and of older ones those that may grow.
    pub(crate) fn limit(ends: &mut Vec<End>, may_grow: impl Fn(&End) -> bool) {
        let old = ends.len().saturating_sub(ENDS_MAX);
        let mut index = 0;
        ends.retain(|end| {
            index += 1;
            index > old || may_grow(end)
        });
        let surplus = ends.len().saturating_sub(LISTED_MAX);
        ends.drain(..surplus);
    }

    fn unite(&mut self, other: Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
        let is_new = |end: &End| !self.ends.iter().any(|own| own.number == end.number);
        let new: Vec<_> = other.ends.iter().copied().filter(is_new).collect();
        self.ends.extend(new);
        self.ends.sort_by_key(|end| end.number);
        Self::limit(&mut self.ends, |_| true);
    }
}

/// Whether two files are the same as far as is known; 0 stands for an unknown one.
pub(crate) fn is_same(one: u32, other: u32) -> bool {
    one == other || one == 0 || other == 0
}

/// The stores that segments belong to, as places know them.
#[derive(Debug)]
pub(crate) struct Stores {
    /// For each segment its store's identity and its number.
    pub(crate) segments: Vec<(Id, u64)>,
    /// Stores without a segment.
    pub(crate) unborn: u8,
}

impl Stores {
    /// Of these many stores, whose segments come one store after the other.
    pub(crate) fn of(segments: &[Segment], stores: usize) -> Self {
        let mut known = Self { segments: Vec::with_capacity(segments.len()), unborn: 0 };
        let mut born = 0_usize;
        for store in segments.chunk_by(|a, b| a.store() == b.store()) {
            born += 1;
            let ids = store.iter().rev().filter_map(|segment| segment.identity());
            let id = ids.map(|(store, _)| store).next().unwrap_or_default();
            let mut number = 0;
            for segment in store {
                number = segment.number().unwrap_or(number + 1);
                known.segments.push((id, number));
            }
        }
        known.unborn = u8::try_from(stores.saturating_sub(born)).unwrap_or(u8::MAX);
        known
    }

    /// The bytes of all stores as they are in these segments.
    pub(crate) fn extents(&self, segments: &[Segment]) -> Vec<Extent> {
        let mut ids: Vec<_> = self.segments.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        ids.into_iter().map(|id| self.extent(id, segments)).collect()
    }

    fn extent(&self, store: Id, segments: &[Segment]) -> Extent {
        let of_store = self.segments.iter().zip(segments).filter(|((id, _), _)| *id == store);
        let mut of_store: Vec<_> =
            of_store.map(|((_, number), segment)| (*number, segment)).collect();
        of_store.sort_by_key(|(number, _)| *number);
        let oldest = of_store.first().map_or(0, |(number, _)| *number);
        let newest = of_store.last().map_or(0, |(number, _)| *number);
        let listed = of_store.len().saturating_sub(ENDS_MAX);
        let end = |(number, segment): (u64, &Segment)| End {
            number,
            file: file_of(segment),
            len: segment.len(),
        };
        let mut ends: Vec<_> = of_store.into_iter().skip(listed).map(end).collect();
        // The same store may be given twice.
        ends.dedup_by(|later, first| {
            let is_same = (later.number, later.file) == (first.number, first.file);
            first.len = if is_same { first.len.max(later.len) } else { first.len };
            is_same
        });
        Extent { store, oldest, newest, ends }
    }
}

/// The extents, those of the same store as one, by store.
pub(crate) fn united(extents: Vec<Extent>) -> Vec<Extent> {
    let mut united: Vec<Extent> = Vec::new();
    for extent in extents {
        match united.iter_mut().find(|other| other.store == extent.store) {
            Some(other) => other.unite(extent),
            None => united.push(extent),
        }
    }
    united.sort_by_key(|extent| extent.store.0);
    united
}

/// Tells a segment's file from another one with its number; 0 if that is damaged.
pub(crate) fn file_of(segment: &Segment) -> u32 {
    segment.identity().map_or(0, |(_, file)| short(file))
}

/// A part of a random identity.
fn short(id: Id) -> u32 {
    let [a, b, c, d, ..] = id.0;
    u32::from_le_bytes([a, b, c, d])
}

/// The rank of the last record there can be at `time`.
pub(crate) fn through(time: Timestamp) -> Rank {
    (time, WriterId(u32::MAX).0, u64::MAX)
}
