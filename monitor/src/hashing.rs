//! A hash of names and request ids that costs two multiplications for 16 bytes, with keys that nobody
//! outside of the process knows: names come from whoever sends requests, and must not be chosen so
//! that they collide.
//!
//! The mixing is the folded multiplication of wyhash and foldhash.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Hashes with the keys of the process, so that what was hashed once need not be hashed again when
/// tables are merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHashing {
    keys: [u64; 2],
}

static KEYS: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let random = RandomState::new();
    [0_u8, 1].map(|number| random.hash_one(number))
});

impl Default for KeyedHashing {
    fn default() -> Self {
        Self { keys: *KEYS }
    }
}

impl KeyedHashing {
    /// The hash of a name.
    #[inline]
    pub(crate) fn of(self, name: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(name);
        hasher.finish()
    }
}

impl BuildHasher for KeyedHashing {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        let [one, _] = self.keys;
        KeyedHasher { keys: self.keys, hash: one }
    }
}

/// The hash of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHasher {
    keys: [u64; 2],
    hash: u64,
}

impl KeyedHasher {
    #[inline]
    fn mix(&mut self, word: u128) {
        let [one, other] = self.keys;
        let (low, high) = halves(word);
        self.hash = folded(low ^ one ^ self.hash.rotate_left(23), high ^ other ^ self.hash);
    }
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match bytes.last_chunk::<16>() {
            None => self.mix(short(bytes)),
            // The last sixteen bytes, some of them a second time: together with the length that is
            // as good as the rest alone, and read at once.
            Some(last) => {
                let (words, rest) = bytes.as_chunks::<16>();
                words.iter().for_each(|word| self.mix(u128::from_le_bytes(*word)));
                if !rest.is_empty() {
                    self.mix(u128::from_le_bytes(*last));
                }
            }
        }
        // A name and the same with NULs behind it are two.
        self.hash ^= bytes.len() as u64;
    }

    fn write_usize(&mut self, _len: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        let [one, other] = self.keys;
        folded(self.hash ^ other, one | 1)
    }
}

/// Less than sixteen bytes in a word that only bytes of another length may share. Read in two pieces
/// that may overlap: put together byte by byte, the word would have to wait for the last of them.
#[inline]
fn short(bytes: &[u8]) -> u128 {
    let whole = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return whole(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return whole(u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *bytes {
        [first, .., last] => {
            let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
            whole(u64::from(first) << 8 | u64::from(middle), last.into())
        }
        [only] => whole(only.into(), 0),
        [] => 0,
    }
}

fn folded(one: u64, other: u64) -> u64 {
    let (low, high) = halves(u128::from(one) * u128::from(other));
    low ^ high
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
fn halves(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// How many different upper halves and lower sixteen bits names have.
    fn check(names: impl Iterator<Item = Vec<u8>>) {
        let hashing = KeyedHashing::default();
        let names: Vec<_> = names.collect();
        let hashes: Vec<u64> = names.iter().map(|name| hashing.of(name)).collect();
        let different: HashSet<u64> = hashes.iter().copied().collect();
        assert_eq!(different.len(), names.len());
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xFFFF).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        // Of 1,000 random numbers out of 65,536, eight equal another one.
        let least = names.len() * 95 / 100;
        assert!(low.len() >= least && high.len() >= least, "{} {}", low.len(), high.len());
    }

    #[test]
    fn names_that_are_much_alike_are_spread() {
        check((0..1_000_u128).map(|number| number.to_le_bytes().to_vec()));
        check((0..1_000_u128).map(|number| number.to_be_bytes().to_vec()));
        check((0..1_000).map(|number| format!("/items/{number}").into_bytes()));
        check((0..1_000).map(|number| format!("/a/long/path/of/a/shop/{number}/x").into_bytes()));
        check((0..1_000).map(|len| vec![0; len]));
        // One byte differs, at any place of a name of any length.
        for len in 1..40 {
            check((0..len * 25).map(|number| {
                let mut name = vec![b'x'; len];
                name[number / 25] = b'A' + u8::try_from(number % 25).unwrap();
                name
            }));
        }
    }
}
