//! The most frequent keys in bounded memory: exact while there are few, Space-Saving beyond.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005) keeps a fixed number of counters. A key without
//! one takes the smallest counter over, count and all, and notes that count as its error. So no count
//! is too small, none is too large by more than its error, no error exceeds the total divided by the
//! number of counters, and every key above that share has a counter.

use std::cmp::Reverse;

use hashbrown::HashTable;

use crate::hashing::KeyedHashing;

/// The counters of a list: a key above 0.1 % is always among them.
pub(crate) const SLOTS: usize = 1_024;

/// Counts keys. Memory: the number of slots times the longest key.
#[derive(Clone, Debug)]
pub(crate) struct Top {
    /// Those from `used` on are kept for their memory.
    slots: Vec<Slot>,
    used: usize,
    /// Indices of slots by key. The hash has random keys, so nobody can choose colliding names; they
    /// are the same for all lists, so that lists can be merged without hashing again.
    table: HashTable<usize>,
    hashing: KeyedHashing,
    /// Indices of slots, the smallest count first; made when all slots are used.
    heap: Vec<usize>,
    capacity: usize,
    total: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    key: Vec<u8>,
    hash: u64,
    count: u64,
    error: u64,
    /// The earliest second with the key.
    first: i64,
    /// The place in the heap.
    place: usize,
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
            used: 0,
            table: HashTable::new(),
            hashing: KeyedHashing::default(),
            heap: Vec::new(),
            capacity: capacity.max(1),
            total: 0,
        }
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Counts one occurrence in a second.
    pub(crate) fn add(&mut self, key: &[u8], second: i64) {
        let hash = self.hashing.of(key);
        self.add_many(key, hash, Occurrences { count: 1, error: 0, first: second });
    }

    /// Counts what another one counted (Agarwal and others, Mergeable Summaries, 2012).
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_forgotten(other);
        for slot in other.sorted() {
            let Slot { hash, count, error, first, .. } = *slot;
            self.add_many(&slot.key, hash, Occurrences { count, error, first });
        }
    }

    /// A key that the other one does not have may have occurred there as often as its smallest.
    fn add_forgotten(&mut self, other: &Self) {
        let Some(forgotten) = other.count_at(0) else { return };
        for slot in self.slots.iter_mut().take(self.used) {
            if other.find(&slot.key, slot.hash).is_none() {
                slot.count += forgotten;
                slot.error += forgotten;
            }
        }
        if self.used == self.capacity {
            self.make_heap();
        }
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<usize> {
        let is_same = |index: &usize| self.slots.get(*index).is_some_and(|slot| slot.key == key);
        self.table.find(hash, is_same).copied()
    }

    fn add_many(&mut self, key: &[u8], hash: u64, occurrences: Occurrences) {
        self.total += occurrences.count;
        let slots = &mut self.slots;
        let is_same = |index: &usize| slots.get(*index).is_some_and(|slot| slot.key == key);
        if let Some(index) = self.table.find(hash, is_same).copied() {
            if let Some(slot) = slots.get_mut(index) {
                slot.count += occurrences.count;
                slot.error += occurrences.error;
                slot.first = slot.first.min(occurrences.first);
                let place = slot.place;
                self.sink(place);
            }
        } else if self.used < self.capacity {
            self.use_slot(key, hash, occurrences);
        } else {
            self.replace_smallest(key, hash, occurrences);
        }
    }

    fn use_slot(&mut self, key: &[u8], hash: u64, occurrences: Occurrences) {
        let index = self.used;
        if index == self.slots.len() {
            self.slots.push(Slot::default());
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.assign(key, hash, occurrences);
        }
        self.used += 1;
        let slots = &self.slots;
        self.table.insert_unique(hash, index, |index| slots.get(*index).map_or(0, |s| s.hash));
        if self.used == self.capacity {
            self.make_heap();
        }
    }

    fn replace_smallest(&mut self, key: &[u8], hash: u64, mut occurrences: Occurrences) {
        let Some(index) = self.heap.first().copied() else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Ok(entry) = self.table.find_entry(slot.hash, |other| *other == index) {
            entry.remove();
        }
        occurrences.count += slot.count;
        occurrences.error += slot.count;
        slot.assign(key, hash, occurrences);
        let slots = &self.slots;
        self.table.insert_unique(hash, index, |index| slots.get(*index).map_or(0, |s| s.hash));
        self.sink(0);
    }

    fn make_heap(&mut self) {
        self.heap = (0..self.used).collect();
        self.heap.sort_by_key(|index| self.slots.get(*index).map(|slot| slot.count));
        for (place, index) in self.heap.iter().enumerate() {
            if let Some(slot) = self.slots.get_mut(*index) {
                slot.place = place;
            }
        }
    }

    /// Moves the slot at a place of the heap down until no smaller one is below it.
    fn sink(&mut self, mut place: usize) {
        while let Some(count) = self.count_at(place) {
            let children = [2 * place + 1, 2 * place + 2];
            let counted = children.map(|child| self.count_at(child).map(|count| (count, child)));
            let smallest = counted.into_iter().flatten().min();
            let Some((_, child)) = smallest.filter(|(smallest, _)| *smallest < count) else {
                return;
            };
            self.heap.swap(place, child);
            for place in [place, child] {
                let index = self.heap.get(place).copied();
                if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
                    slot.place = place;
                }
            }
            place = child;
        }
    }

    fn count_at(&self, place: usize) -> Option<u64> {
        self.slots.get(*self.heap.get(place)?).map(|slot| slot.count)
    }

    /// The most frequent key.
    pub(crate) fn most_frequent(&self) -> Option<&[u8]> {
        self.used().min_by_key(|slot| slot.rank()).map(|slot| &*slot.key)
    }

    /// The `count` most frequent keys.
    pub(crate) fn list(&self, count: usize) -> TopList {
        let entry = |slot: &Slot| TopEntry {
            key: slot.key.as_slice().into(),
            count: slot.count,
            error: slot.error,
        };
        let entries: Vec<TopEntry> = self.sorted().into_iter().take(count).map(entry).collect();
        let listed: u64 = entries.iter().map(|entry| entry.count).sum();
        TopList { entries, total: self.total, other: self.total.saturating_sub(listed) }
    }

    /// Forgets all keys but not the memory.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.heap.clear();
        self.used = 0;
        self.total = 0;
    }

    fn used(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().take(self.used)
    }

    fn sorted(&self) -> Vec<&Slot> {
        let mut slots: Vec<&Slot> = self.used().collect();
        slots.sort_unstable_by_key(|slot| slot.rank());
        slots
    }
}

/// What is added to a key.
#[derive(Clone, Copy, Debug)]
struct Occurrences {
    count: u64,
    error: u64,
    first: i64,
}

impl Slot {
    fn assign(&mut self, key: &[u8], hash: u64, occurrences: Occurrences) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.hash = hash;
        self.count = occurrences.count;
        self.error = occurrences.error;
        self.first = occurrences.first;
    }

    fn rank(&self) -> (Reverse<u64>, i64, &[u8]) {
        (Reverse(self.count), self.first, &self.key)
    }
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
            assert!(list.entries.iter().map(|entry| entry.count).sum::<u64>() >= 20_000);
            for entry in &list.entries {
                let truth = exact[&String::from_utf8_lossy(&entry.key).into_owned()];
                assert!(entry.count >= truth && entry.count - entry.error <= truth, "seed {seed}");
                // Two lists of 64 were merged.
                assert!(entry.error <= 2 * 20_000 / 64, "seed {seed}");
            }
            let mut frequent: Vec<_> = exact.iter().filter(|(_, count)| **count > 625).collect();
            frequent.sort_by_key(|(_, count)| Reverse(**count));
            assert!(frequent.len() >= 4);
            for (key, _) in frequent {
                assert!(list.entries.iter().any(|entry| *entry.key == *key.as_bytes()));
            }
        }
    }

    #[test]
    fn the_heap_stays_a_heap() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut top = Top::new(31);
        for _ in 0..5_000 {
            top.add(&[random.u8(..80)], 0);
            for place in 1..top.heap.len() {
                assert!(top.count_at((place - 1) / 2) <= top.count_at(place));
                assert_eq!(top.slots[top.heap[place]].place, place);
            }
        }
        assert_eq!(top.table.len(), 31);
    }
}
