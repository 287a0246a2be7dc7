//! Which blocks of a slice may share records: a writer that could not tell whether a block was
//! written writes it again.

use std::collections::BTreeMap;

use crate::timeline::BlockRef;

/// For each block whether another one may hold some of its records.
///
/// Records are the same if writer, sequence number and time are. Of a block without gaps in its
/// sequence the header tells all numbers; of others only the times can be compared.
pub(crate) fn twins(blocks: &[BlockRef]) -> Vec<bool> {
    let mut writers: BTreeMap<u32, Vec<(usize, &BlockRef)>> = BTreeMap::new();
    for (index, block) in blocks.iter().enumerate() {
        writers.entry(block.writer).or_default().push((index, block));
    }
    let mut twins = vec![false; blocks.len()];
    for blocks in writers.into_values().filter(|blocks| blocks.len() > 1) {
        let by_time = blocks.iter().any(|(_, block)| block.is_sparse);
        let mut ranges: Vec<_> = blocks
            .iter()
            .map(|(index, block)| {
                let (first, last) = if by_time { (block.low, block.high) } else { numbers(block) };
                (first, last, *index)
            })
            .collect();
        mark_overlapping(&mut ranges, &mut twins);
    }
    twins
}

/// The first and the last sequence number of a block that has records; they have 48 bits.
fn numbers(block: &BlockRef) -> (i64, i64) {
    let first = block.sequence.cast_signed();
    (first, first.saturating_add(i64::from(block.records)).saturating_sub(1))
}

/// Marks all of the ranges `first..=last` that overlap another one.
///
/// In the order of their starts it is enough to compare each with the one before that reaches
/// furthest: of several earlier ranges that a later one overlaps, each overlaps another one itself.
fn mark_overlapping(ranges: &mut [(i64, i64, usize)], marks: &mut [bool]) {
    ranges.sort_unstable();
    let mut furthest: Option<(i64, usize)> = None;
    for (first, last, index) in ranges.iter().copied() {
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
            let mut with_index: Vec<_> = ranges
                .iter()
                .enumerate()
                .map(|(index, (first, more))| (*first, first + more, index))
                .collect();
            let expected: Vec<bool> = with_index
                .iter()
                .map(|a| with_index.iter().any(|b| a.2 != b.2 && a.0 <= b.1 && b.0 <= a.1))
                .collect();
            let mut marks = vec![false; ranges.len()];
            mark_overlapping(&mut with_index, &mut marks);
            prop_assert_eq!(marks, expected);
        }
    }
}
