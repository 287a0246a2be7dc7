//! The request ids of a block being made: each stored once, records refer to it.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use hashbrown::HashTable;

/// Distinct request ids in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    ids: Vec<[u8; 16]>,
    indices: HashTable<u32>,
}

impl Requests {
    /// The number of distinct ids.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The bytes of all ids.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.ids.as_flattened()
    }

    /// The reference to `id`: 0 for a new one, else how far back it is, 1 for the newest.
    ///
    /// Counting back keeps the numbers small and alike however long the block is.
    pub(crate) fn refer(&mut self, id: &[u8; 16]) -> u64 {
        let ids = &self.ids;
        let found = self.indices.find(hash(id), |index| ids.get(*index as usize) == Some(id));
        if let Some(index) = found {
            return self.ids.len() as u64 - u64::from(*index);
        }
        // The builder finishes the block before 2^16 ids.
        let index = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.ids.push(*id);
        let ids = &self.ids;
        self.indices
            .insert_unique(hash(id), index, |index| ids.get(*index as usize).map_or(0, hash));
        0
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.indices.clear();
    }
}

/// Request ids are random already; mixing is for ids that a foreign log made of counters.
fn hash(id: &[u8; 16]) -> u64 {
    BuildHasherDefault::<IdHasher>::default().hash_one(id)
}

#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        for word in words {
            // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
            self.0 = (self.0 ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 ^= self.0 >> 32;
        }
    }

    fn write_usize(&mut self, _len: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
