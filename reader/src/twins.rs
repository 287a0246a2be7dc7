//! Which blocks of a slice may share records: a writer that could not tell whether a block was
//! written writes it again.

use std::collections::BTreeMap;

use crate::timeline::BlockRef;

/// For each block whether another one may hold some of its records.
///
/// Records are the same if writer, sequence number and time are, so twins overlap in both numbers
/// and times. Of a block without gaps in its sequence the header tells all numbers.
pub(crate) fn twins(blocks: &[BlockRef]) -> Vec<bool> {
    let mut writers: BTreeMap<u32, Vec<(usize, &BlockRef)>> = BTreeMap::new();
    for (index, block) in blocks.iter().enumerate() {
        writers.entry(block.writer).or_default().push((index, block));
    }
    let mut twins = vec![false; blocks.len()];
    for blocks in writers.into_values().filter(|blocks| blocks.len() > 1) {
        let is_sparse = blocks.iter().any(|(_, block)| block.is_sparse);
        let by_number = overlapping(blocks.iter().map(|(_, block)| numbers(block)));
        let by_time = overlapping(blocks.iter().map(|(_, block)| (block.low, block.high)));
        for (((index, _), by_number), by_time) in blocks.iter().zip(by_number).zip(by_time) {
            if let Some(twin) = twins.get_mut(*index) {
                *twin = by_time && (by_number || is_sparse);
            }
        }
    }
    twins
}

/// The first and the last sequence number of a block that has records; they have 48 bits.
fn numbers(block: &BlockRef) -> (i64, i64) {
    let first = block.sequence.cast_signed();
    (first, first.saturating_add(i64::from(block.records)).saturating_sub(1))
}

/// For each of the ranges `first..=last` whether it overlaps another one.
///
/// In the order of their starts it is enough to compare each with the one before that reaches
/// furthest: of several earlier ranges that a later one overlaps, each overlaps another one itself.
fn overlapping(ranges: impl ExactSizeIterator<Item = (i64, i64)>) -> Vec<bool> {
    let mut marks = vec![false; ranges.len()];
    let mut ranges: Vec<_> =
        ranges.enumerate().map(|(index, (first, last))| (first, last, index)).collect();
    ranges.sort_unstable();
    let mut furthest: Option<(i64, usize)> = None;
    for (first, last, index) in ranges {
        if let Some((end, other)) = furthest.filter(|(end, _)| first <= *end) {
            for index in [index, other] {
                if let Some(mark) = marks.get_mut(index) {
                    *mark = true;
                }
            }
            if last <= end {
                continue;
            }
        }
        furthest = Some((last, index));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exactly_the_overlapping_ranges_are_marked(
            ranges in proptest::collection::vec((0_i64..40, 0_i64..6), 0..20),
        ) {
            let ranges: Vec<_> = ranges.iter().map(|(first, more)| (*first, first + more)).collect();
            let overlaps = |a: usize, b: usize| {
                a != b && ranges[a].0 <= ranges[b].1 && ranges[b].0 <= ranges[a].1
            };
            let any = |a: usize| (0..ranges.len()).any(|b| overlaps(a, b));
            let expected: Vec<bool> = (0..ranges.len()).map(any).collect();
            prop_assert_eq!(overlapping(ranges.iter().copied()), expected);
        }
    }
}
