//! The most frequent keys in bounded memory: exact while there are few, Space-Saving beyond.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005) keeps a fixed number of counters. A key without
//! one takes the smallest counter over, count and all, and notes that count as its error. So no count
//! is too small, none is too large by more than its error, no error exceeds the total divided by the
//! number of counters, and every key above that share has a counter.
//!
//! Merging (Agarwal and others, Mergeable Summaries, 2012) keeps the largest counters of both. What
//! no counter is left for has occurred at most `forgotten` times. That grows by d only if one more key
//! than there are counters has been counted d times beyond it, so it does not exceed that share either.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;

use crate::hashing::KeyedHashing;
use crate::hit::NAME_BYTES_MAX;
use crate::saved::{Name, SavedTop};

/// The counters of a list: a key above 0.1 % is always among them.
pub(crate) const SLOTS: usize = 1_024;

/// Up to so many keys grow as they come.
const FEW: usize = 28;

/// The places of keys that came last, by some of their bytes: most come again soon. A power of two.
const RECENT: usize = 64;

/// Counts keys. Memory: for each counter some 60 bytes and twice its longest key.
#[derive(Clone, Debug)]
pub(crate) struct Top {
    slots: Vec<Slot>,
    /// The keys of the slots, each in its room.
    keys: Vec<u8>,
    /// Indices of slots by key. The hash has random keys, so nobody can choose colliding names; they
    /// are the same for all lists, so that lists can be merged without hashing again.
    table: HashTable<u32>,
    /// Slots that may have a key, by [`quick`] of it.
    recent: [u16; RECENT],
    hashing: KeyedHashing,
    /// The smallest count when it was last looked for, and the slots that had it then. Those that have
    /// grown since are passed over, so all slots are looked at only when the smallest count has grown:
    /// not more often than once for as many keys as there are slots.
    minimum: u64,
    lowest: Vec<u32>,
    capacity: usize,
    total: u64,
    /// A key without a counter has occurred at most so often.
    forgotten: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    count: u64,
    error: u64,
    /// The earliest second with the key.
    first: i64,
    /// Where the room of the key starts, and how much of it the key takes.
    start: u32,
    len: u16,
    /// More than that is never needed: the next power of two.
    room: u16,
}

/// One key and how often it occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopEntry {
    /// The key, as logged.
    pub key: Box<[u8]>,
    /// How often, at most; never less than the truth.
    pub count: u64,
    /// The truth is at least `count - error`.
    pub error: u64,
}

/// The most frequent keys, most frequent first; equally frequent ones in the order of their first
/// second, then of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopList {
    /// The keys.
    pub entries: Vec<TopEntry>,
    /// Occurrences of all keys, those in `entries` included.
    pub total: u64,
    /// Occurrences of keys that are not in `entries`, at least.
    pub other: u64,
}

impl TopList {
    /// The list of the most frequent ones of so many occurrences.
    pub(crate) fn new(entries: Vec<TopEntry>, total: u64) -> Self {
        let listed: u64 = entries.iter().map(|entry| entry.count).sum();
        Self { entries, total, other: total.saturating_sub(listed) }
    }

    /// The same list with at most `count` keys.
    pub fn first(&self, count: usize) -> Self {
        let (kept, left) = self.entries.split_at_checked(count).unwrap_or((&self.entries, &[]));
        let left: u64 = left.iter().map(|entry| entry.count).sum();
        Self { entries: kept.to_vec(), total: self.total, other: self.other.saturating_add(left) }
    }
}

impl Top {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            keys: Vec::new(),
            table: HashTable::new(),
            recent: [0; RECENT],
            hashing: KeyedHashing::default(),
            minimum: 0,
            lowest: Vec::new(),
            capacity: capacity.clamp(1, SLOTS),
            total: 0,
            forgotten: 0,
        }
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Counts one occurrence in a second. Of a longer key than [`NAME_BYTES_MAX`] the rest is cut off.
    pub(crate) fn add(&mut self, key: &[u8], second: i64) {
        self.count(key.get(..NAME_BYTES_MAX).unwrap_or(key), second);
    }

    /// The same, faster for keys of which there are few, and slower for others.
    pub(crate) fn add_one_of_few(&mut self, key: &[u8], second: i64) {
        let key = key.get(..NAME_BYTES_MAX).unwrap_or(key);
        let quick = quick(key);
        let known = self.recent.get(quick).copied().map(usize::from);
        if let Some(index) = known.filter(|index| self.has(*index, key)) {
            self.total += 1;
            return self.again(index, 1, second);
        }
        let index = self.count(key, second);
        if let (Some(index), Some(recent)) = (index, self.recent.get_mut(quick)) {
            // There are at most 1,024 of them.
            *recent = (index & 0xFFFF) as u16;
        }
    }

    /// Counts so many occurrences, of which the first was in this second.
    pub(crate) fn add_many(&mut self, key: &[u8], count: u64, first: i64) {
        self.count_many(key.get(..NAME_BYTES_MAX).unwrap_or(key), count, first);
    }

    /// Counts a key that is not too long; answers its slot.
    fn count(&mut self, key: &[u8], second: i64) -> Option<u32> {
        self.count_many(key, 1, second)
    }

    fn count_many(&mut self, key: &[u8], count: u64, first: i64) -> Option<u32> {
        let hash = self.hashing.of(key);
        self.total += count;
        if let Some(index) = self.find(key, hash) {
            self.again(index as usize, count, first);
            return Some(index);
        }
        let mut seen = Seen { hash, count, error: 0, first };
        if self.slots.len() < self.capacity {
            self.push(key, seen);
            return u32::try_from(self.slots.len() - 1).ok();
        }
        let smallest = self.smallest()?;
        let evicted = self.slots.get(smallest as usize).map_or(0, |slot| slot.count);
        self.forgotten = self.forgotten.max(evicted);
        seen.count += self.forgotten;
        seen.error += self.forgotten;
        self.replace(smallest, key, seen);
        Some(smallest)
    }

    /// Whether the slot is that of the key.
    #[inline]
    fn has(&self, index: usize, key: &[u8]) -> bool {
        self.slots
            .get(index)
            .is_some_and(|slot| usize::from(slot.len) == key.len() && self.key(slot) == key)
    }

    #[inline]
    fn again(&mut self, index: usize, count: u64, first: i64) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.count += count;
            slot.first = slot.first.min(first);
        }
    }

    /// Counts what another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.total += other.total;
        let (new, known) = self.add_known(other);
        if other.forgotten > 0 {
            for (slot, _) in self.slots.iter_mut().zip(&known).filter(|(_, is_known)| !**is_known) {
                slot.count += other.forgotten;
                slot.error += other.forgotten;
            }
        }
        // Another count may be the smallest one.
        self.lowest.clear();
        let before = self.forgotten;
        self.forgotten += other.forgotten;
        let threshold = self.threshold(&new, before);
        self.forgotten = self.forgotten.max(threshold);
        let kept = new.into_iter().filter(|slot| slot.count + before > threshold);
        let kept: Vec<&Slot> = kept.collect();
        let room = self.capacity - self.slots.len();
        let mut replaced = self.lowest(kept.len().saturating_sub(room), threshold).into_iter();
        for slot in kept {
            let Slot { hash, count, error, first, .. } = *slot;
            let seen = Seen { hash, count: count + before, error: error + before, first };
            match replaced.next() {
                Some(index) => self.replace(index, other.key(slot), seen),
                None => self.push(other.key(slot), seen),
            }
        }
    }

    /// Counts what the other one counted of keys that are known here; answers its other slots, and
    /// for each slot here whether the other one knows it.
    fn add_known<'o>(&mut self, other: &'o Self) -> (Vec<&'o Slot>, Vec<bool>) {
        let (mut new, mut known) = (Vec::new(), vec![false; self.slots.len()]);
        for theirs in &other.slots {
            let Some(index) = self.find(other.key(theirs), theirs.hash) else {
                new.push(theirs);
                continue;
            };
            let index = index as usize;
            if let (Some(slot), Some(is_known)) = (self.slots.get_mut(index), known.get_mut(index))
            {
                slot.count += theirs.count;
                slot.error += theirs.error;
                slot.first = slot.first.min(theirs.first);
                *is_known = true;
            }
        }
        (new, known)
    }

    /// The count that a key must exceed to have a counter: 0 if there is one for each, else that of
    /// the first key beyond them.
    fn threshold(&self, new: &[&Slot], before: u64) -> u64 {
        if self.slots.len() + new.len() <= self.capacity {
            return 0;
        }
        let own = self.slots.iter().map(|slot| slot.count);
        let mut counts: Vec<u64> = own.chain(new.iter().map(|slot| slot.count + before)).collect();
        let (_, threshold, _) = counts.select_nth_unstable_by_key(self.capacity, |c| Reverse(*c));
        *threshold
    }

    /// The indices of the `count` lowest slots, all of them at most at the threshold.
    fn lowest(&self, count: usize, threshold: u64) -> Vec<u32> {
        let Some(last) = count.checked_sub(1) else { return Vec::new() };
        let indices = (0..).zip(&self.slots).filter(|(_, slot)| slot.count <= threshold);
        let mut low: Vec<(u32, &Slot)> = indices.collect();
        if last < low.len() {
            low.select_nth_unstable_by_key(last, |(_, slot)| Reverse(self.rank(slot)));
        }
        low.truncate(count);
        low.into_iter().map(|(index, _)| index).collect()
    }

    fn key(&self, slot: &Slot) -> &[u8] {
        let start = slot.start as usize;
        self.keys.get(start..start + usize::from(slot.len)).unwrap_or_default()
    }

    #[inline]
    fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let is_same = |index: &u32| {
            let slot = self.slots.get(*index as usize);
            slot.is_some_and(|slot| slot.hash == hash && self.key(slot) == key)
        };
        self.table.find(hash, is_same).copied()
    }

    /// A counter for a key that has none.
    #[inline]
    fn push(&mut self, key: &[u8], seen: Seen) {
        // At most as many as there are slots, and as long as names.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let Seen { hash, count, error, first } = seen;
        let slot = Slot { hash, count, error, first, start: 0, len: 0, room: 0 };
        self.slots.push(slot);
        self.assign(index, key);
        self.index(index, hash);
    }

    /// Another key takes the counter over.
    fn replace(&mut self, index: u32, key: &[u8], seen: Seen) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let before = std::mem::replace(&mut slot.hash, seen.hash);
        (slot.count, slot.error, slot.first) = (seen.count, seen.error, seen.first);
        if let Ok(entry) = self.table.find_entry(before, |other| *other == index) {
            entry.remove();
        }
        self.assign(index, key);
        self.index(index, seen.hash);
    }

    fn index(&mut self, index: u32, hash: u64) {
        // Most lists stay small; those that do not are full soon.
        if self.table.len() == FEW && self.capacity > FEW {
            let slots = &self.slots;
            let hash_of = |index: &u32| slots.get(*index as usize).map_or(0, |slot| slot.hash);
            self.table.reserve(self.capacity - FEW, hash_of);
            self.slots.reserve(self.capacity - FEW);
        }
        let slots = &self.slots;
        let hash_of = |index: &u32| slots.get(*index as usize).map_or(0, |slot| slot.hash);
        self.table.insert_unique(hash, index, hash_of);
    }

    /// Writes the key into the room of the slot, or into a new one if that is too small.
    fn assign(&mut self, index: u32, key: &[u8]) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let len = u16::try_from(key.len()).unwrap_or(u16::MAX);
        if len > slot.room || slot.room == 0 {
            slot.start = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
            slot.room = len.next_power_of_two().max(16);
            slot.len = len;
            self.keys.extend_from_slice(key);
            self.keys.resize(slot.start as usize + usize::from(slot.room), 0);
            return;
        }
        slot.len = len;
        let start = slot.start as usize;
        if let Some(room) = self.keys.get_mut(start..start + key.len()) {
            room.copy_from_slice(key);
        }
    }

    /// The slot with the smallest count.
    fn smallest(&mut self) -> Option<u32> {
        loop {
            while let Some(index) = self.lowest.pop() {
                let slot = self.slots.get(index as usize);
                if slot.is_some_and(|slot| slot.count == self.minimum) {
                    return Some(index);
                }
            }
            self.minimum = self.slots.iter().map(|slot| slot.count).min()?;
            let slots = (0..).zip(&self.slots).filter(|(_, slot)| slot.count == self.minimum);
            self.lowest.extend(slots.map(|(index, _)| index));
        }
    }

    /// The most frequent key.
    pub(crate) fn most_frequent(&self) -> Option<&[u8]> {
        self.slots.iter().min_by_key(|slot| self.rank(slot)).map(|slot| self.key(slot))
    }

    /// The `count` most frequent keys.
    pub(crate) fn list(&self, count: usize) -> TopList {
        // Most are ruled out by their counts, which are cheaper to compare than ranks.
        let least = self.nth_count(count);
        let mut slots: Vec<&Slot> = self.slots.iter().filter(|slot| slot.count >= least).collect();
        if let Some(last) = count.checked_sub(1).filter(|last| *last < slots.len()) {
            slots.select_nth_unstable_by_key(last, |slot| self.rank(slot));
        }
        slots.truncate(count);
        slots.sort_unstable_by_key(|slot| self.rank(slot));
        let entry = |slot: &Slot| TopEntry {
            key: self.key(slot).into(),
            count: slot.count,
            error: slot.error,
        };
        TopList::new(slots.into_iter().map(entry).collect(), self.total)
    }

    /// The count of the key that is `count`th by frequency; 0 if there are not so many.
    fn nth_count(&self, count: usize) -> u64 {
        if count == 0 || count > self.slots.len() {
            return 0;
        }
        // Mostly few are asked for, and most counts are below those.
        let (first, others) = self.slots.split_at_checked(count).unwrap_or((&self.slots, &[]));
        let mut highest: BinaryHeap<_> = first.iter().map(|slot| Reverse(slot.count)).collect();
        for slot in others {
            if let Some(mut least) = highest.peek_mut().filter(|least| least.0 < slot.count) {
                *least = Reverse(slot.count);
            }
        }
        highest.peek().map_or(0, |least| least.0)
    }

    /// All it knows.
    pub(crate) fn save(&self) -> SavedTop {
        let key = |slot: &Slot| (Name::from(self.key(slot)), slot.count, slot.error, slot.first);
        SavedTop {
            keys: self.slots.iter().map(key).collect(),
            lowest: self.lowest.clone(),
            minimum: self.minimum,
            total: self.total,
            forgotten: self.forgotten,
        }
    }

    /// One that goes on exactly as the one that was saved.
    pub(crate) fn restore(capacity: usize, saved: SavedTop) -> Self {
        let mut top = Self::new(capacity);
        for (Name(key), count, error, first) in saved.keys {
            let key = key.get(..NAME_BYTES_MAX).unwrap_or(&key);
            let hash = top.hashing.of(key);
            if top.slots.len() < top.capacity && top.find(key, hash).is_none() {
                top.push(key, Seen { hash, count, error, first });
            }
        }
        (top.total, top.forgotten) = (saved.total, saved.forgotten);
        // Where there is no such slot, there is none to pass over.
        (top.minimum, top.lowest) = (saved.minimum, saved.lowest);
        top
    }

    /// Forgets all keys but not the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.keys.clear();
        self.table.clear();
        self.lowest.clear();
        (self.total, self.forgotten) = (0, 0);
    }

    /// What lists are sorted by: most frequent first, then the earlier, then by the key.
    fn rank(&self, slot: &Slot) -> (Reverse<u64>, i64, &[u8]) {
        (Reverse(slot.count), slot.first, self.key(slot))
    }
}

/// A place for a key that is found without hashing all of it. Keys that share one only take longer.
#[inline]
fn quick(key: &[u8]) -> usize {
    let at = |index: usize| key.get(index).copied().map_or(0, usize::from);
    let mixed = key.len() ^ at(1) ^ at(2) << 1 ^ at(3) << 2 ^ at(key.len().wrapping_sub(1)) << 3;
    mixed % RECENT
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
struct Seen {
    hash: u64,
    count: u64,
    error: u64,
    first: i64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn shown(list: &TopList) -> Vec<String> {
        let show = |entry: &TopEntry| {
            format!("{} {}±{}", String::from_utf8_lossy(&entry.key), entry.count, entry.error)
        };
        list.entries.iter().map(show).collect()
    }

    #[test]
    fn few_keys_are_counted_exactly_and_ties_go_to_the_earlier() {
        let mut top = Top::new(4);
        for (key, second) in [("b", 5), ("a", 7), ("c", 7), ("d", 7), ("c", 3), ("a", 9)] {
            top.add(key.as_bytes(), second);
        }
        let list = top.list(3);
        assert_eq!(shown(&list), ["c 2±0", "a 2±0", "b 1±0"]);
        assert_eq!((list.total, list.other), (6, 1));
        assert_eq!(top.most_frequent(), Some(&b"c"[..]));
        top.clear();
        assert_eq!(top.list(3), TopList::default());
    }

    #[test]
    fn the_faster_way_counts_the_same() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tops = [Top::new(16), Top::new(16)];
            for second in 0..3_000 {
                let key =
                    (1_000 / random.u64(1..1_000) % 40).to_string().repeat(random.usize(1..3));
                let [one, other] = &mut tops;
                one.add(key.as_bytes(), second);
                other.add_one_of_few(key.as_bytes(), second);
                if random.u16(..) == 0 {
                    tops.iter_mut().for_each(Top::clear);
                }
            }
            let [one, other] = tops.map(|top| (top.list(5), top.list(16), top.forgotten));
            assert_eq!(one, other, "seed {seed}");
        }
    }

    /// Skewed keys, more of them than slots: every promise of Space-Saving.
    #[test]
    fn many_keys_keep_the_promises() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tops = [Top::new(64), Top::new(64)];
            let mut exact: HashMap<String, u64> = HashMap::new();
            for _ in 0..20_000 {
                let key = (1_000_000 / random.u64(1..1_000_000) % 5_000).to_string();
                tops[usize::from(random.u8(..3) == 0)].add(key.as_bytes(), 0);
                *exact.entry(key).or_default() += 1;
            }
            let [mut top, other] = tops;
            top.merge(&other);
            let list = top.list(usize::MAX);
            assert_eq!(list.entries.len(), 64);
            for entry in &list.entries {
                let truth = exact[&String::from_utf8_lossy(&entry.key).into_owned()];
                assert!(entry.count >= truth && entry.count - entry.error <= truth, "seed {seed}");
                assert!(entry.error <= 20_000 / 64, "seed {seed}");
            }
            assert!(list.total == 20_000 && top.forgotten <= 20_000 / 64, "seed {seed}");
            let mut frequent: Vec<_> =
                exact.iter().filter(|(_, count)| **count > 20_000 / 64).collect();
            frequent.sort_by_key(|(_, count)| Reverse(**count));
            assert!(frequent.len() >= 4);
            for (key, _) in frequent {
                assert!(list.entries.iter().any(|entry| *entry.key == *key.as_bytes()));
            }
        }
    }

    /// Many lists, merged one after the other and each into the next, some keys longer than others:
    /// the promises hold whatever the order.
    #[test]
    fn merging_many_lists_keeps_the_promises() {
        for seed in 0..10 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut run = Top::new(32);
            let mut exact: HashMap<Vec<u8>, u64> = HashMap::new();
            for _ in 0..200 {
                let mut part = Top::new(32);
                for _ in 0..random.usize(..150) {
                    let number = 10_000 / random.u64(1..10_000) * random.u64(1..3);
                    let key = format!("{number}").repeat(random.usize(1..3)).into_bytes();
                    part.add(&key, 0);
                    *exact.entry(key).or_default() += 1;
                }
                run.merge(&part);
                let total: u64 = exact.values().sum();
                assert_eq!(run.list(0).total, total);
                assert!(run.forgotten <= total / 32, "seed {seed}");
                for (key, truth) in &exact {
                    let slot = run.find(key, run.hashing.of(key));
                    let Some(slot) = slot.map(|index| run.slots[index as usize]) else {
                        assert!(*truth <= run.forgotten, "seed {seed}");
                        continue;
                    };
                    assert!(slot.count >= *truth && slot.count - slot.error <= *truth);
                    assert!(slot.error <= run.forgotten);
                }
            }
        }
    }

    #[test]
    fn the_smallest_counter_is_taken_over() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut top = Top::new(31);
        for round in 0..5_000 {
            let key = [random.u8(..80)];
            let smallest = top.slots.iter().map(|slot| slot.count).min().unwrap_or(0);
            let is_new = top.find(&key, top.hashing.of(&key)).is_none();
            top.add(&key, round);
            if is_new && round > 200 {
                let slot = top.slots[top.find(&key, top.hashing.of(&key)).unwrap() as usize];
                assert_eq!((slot.count, slot.error), (smallest + 1, smallest));
            }
        }
        assert_eq!((top.table.len(), top.total), (31, 5_000));
        assert_eq!(top.slots.iter().map(|slot| slot.count).sum::<u64>(), 5_000);
    }
}
