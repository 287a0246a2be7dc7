//! What happens to files when nobody writes: bits flip, ranges turn to zeros, ends go missing.

use std::collections::BTreeSet;
use std::ops::Range;

use fastrand::Rng;
use logq_format::FILE_HEADER_LEN;

use super::segment::{Identity, SegmentFile};
use crate::naive::NaiveRecord;

/// The version in a file header is never damaged: a reader would rightly leave the file alone.
const FIRST_DAMAGED: usize = 12;

/// Damages the file somewhere.
pub(super) fn damage(file: &mut SegmentFile, random: &mut Rng) {
    let len = file.bytes.len();
    let start = random.usize(FIRST_DAMAGED..len.max(FIRST_DAMAGED + 1));
    file.note_intact();
    match random.u8(..10) {
        0 => file.bytes.truncate(start),
        1..4 => zero(&mut file.bytes, start..start + random.usize(1..3_000)),
        4 => file.bytes.resize(len + random.usize(1..500), 0),
        _ => flip(&mut file.bytes, start, random.u8(..8)),
    }
}

fn zero(bytes: &mut [u8], range: Range<usize>) {
    bytes.iter_mut().take(range.end).skip(range.start).for_each(|byte| *byte = 0);
}

fn flip(bytes: &mut [u8], offset: usize, bit: u8) {
    if let Some(byte) = bytes.get_mut(offset) {
        *byte ^= 1 << bit;
    }
}

/// The written records of which no copy can be read any more.
pub(super) fn destroyed(files: &[SegmentFile], written: &[NaiveRecord]) -> BTreeSet<Identity> {
    let mut readable = BTreeSet::new();
    // All have the same one. It serves a file of which it is known which one that needs.
    let is_spare =
        |file: &SegmentFile| !file.dictionary.is_empty() && file.is_intact(&file.dictionary);
    let has_spare = files.iter().any(is_spare);
    for file in files {
        let intact = |range: &Range<usize>| file.is_intact(range);
        let has_dictionary =
            intact(&file.dictionary) || (has_spare && intact(&(0..FILE_HEADER_LEN)));
        for (range, identities) in &file.copies {
            let whole = intact(range) && (!file.needs_dictionary(range) || has_dictionary);
            if whole {
                readable.extend(identities.iter().copied());
            }
        }
    }
    written.iter().map(NaiveRecord::identity).filter(|record| !readable.contains(record)).collect()
}
