//! Whatever happens to the bytes of a segment: what is read is what was written, and what is missing
//! is reported.

use std::collections::HashSet;

use logq_format::{Compressor, Dictionary, FILE_HEADER_LEN, LEVEL_DEFAULT, Record};

use crate::support::kinds::{of_a_worker, of_the_master, time};
use crate::support::reading::{Reading, read};
use crate::support::segment::{Segment, Writer};

/// A small segment with every kind of block and several kinds of record.
fn small(marker: [u8; 8], dictionary: Option<&Dictionary>, mut compressor: Compressor) -> Segment {
    let mut segment = Segment::new(marker, dictionary);
    let (mut master, mut worker) = (Writer::new(1, None), Writer::new(2, Some(1)));
    // Different in each segment, so that a record of another one is seen to be one.
    let start = i64::from(marker[0]) * 1_000_000;
    let (life, rare) = (of_the_master(start), of_a_worker(start + 5));
    segment.join(&master, time(0));
    segment.join(&worker, time(0));
    segment.data(&mut master, &life[..3], &mut compressor);
    segment.data(&mut worker, &some(&rare, &[3, 4, 5, 16, 18]), &mut compressor);
    segment.sign_of_life(&worker, time(start + 900_000));
    segment.data(&mut master, &some(&life, &[7, 9, 11, 14]), &mut compressor);
    segment.ping(time(start + 900_000), time(start), &[&master, &worker]);
    segment.data(&mut worker, &some(&rare, &[17, 20, 23, 35]), &mut compressor);
    segment
}

fn some<'a>(records: &[Record<'a>], indices: &[usize]) -> Vec<Record<'a>> {
    indices.iter().map(|index| records[*index].clone()).collect()
}

fn raw() -> Segment {
    small(*b"marker 1", None, Compressor::raw())
}

fn zstd() -> Segment {
    small(*b"marker 2", None, Compressor::new(LEVEL_DEFAULT, None).unwrap())
}

fn with_dictionary() -> Segment {
    let dictionary = Dictionary::new(&raw().bytes[300..900]).unwrap();
    let compressor = Compressor::new(LEVEL_DEFAULT, Some(dictionary.clone())).unwrap();
    small(*b"marker 3", Some(&dictionary), compressor)
}

/// Requires that `found` is part of what `segment` holds, and that what is not found is reported.
#[track_caller]
fn assert_honest(segment: &Reading, found: &Reading, case: impl std::fmt::Display) {
    let mut rest = segment.lines.iter();
    for line in &found.lines {
        assert!(rest.any(|written| written == line), "{case}: never written, or not here: {line}");
    }
    let is_complete = found.lines.len() == segment.lines.len();
    assert!(is_complete || !found.gaps.is_empty(), "{case}: records are missing without a gap");
}

#[test]
fn an_intact_segment_has_no_gaps() {
    for segment in [raw(), zstd(), with_dictionary()] {
        let reading = read(&segment.bytes);
        assert_eq!(reading.lines.len(), 16);
        assert_eq!(reading.headers.len(), segment.blocks.len());
        assert_eq!(reading.gaps, []);
    }
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    for segment in [raw(), zstd(), with_dictionary()] {
        let intact = read(&segment.bytes);
        let mut bytes = segment.bytes;
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = read(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_honest(&intact, &found, format_args!("bit {bit}"));
            // No bit of a block is without a checksum. A damaged file header costs nothing.
            let is_in_block = bit / 8 >= FILE_HEADER_LEN;
            assert_eq!(!found.gaps.is_empty(), is_in_block, "bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_found() {
    for segment in [raw(), with_dictionary()] {
        let intact = read(&segment.bytes);
        for cut in FILE_HEADER_LEN..segment.bytes.len() {
            let found = read(&segment.bytes[..cut]);
            assert!(intact.lines.starts_with(&found.lines), "cut at {cut}");
            let ends: Vec<usize> = segment.blocks.iter().map(|block| block.end).collect();
            let is_between = cut == FILE_HEADER_LEN || ends.contains(&cut);
            assert_eq!(found.gaps.is_empty(), is_between, "cut at {cut}");
        }
    }
}

/// As a power failure leaves them.
#[test]
fn ranges_of_zeros_cost_no_more_than_the_blocks_they_touch() {
    let segment = zstd();
    let intact = read(&segment.bytes);
    let len = segment.bytes.len();
    for start in (FILE_HEADER_LEN..len).step_by(7) {
        for end in [start + 1, start + 72, start + 512, len] {
            let end = end.min(len);
            let mut bytes = segment.bytes.clone();
            bytes[start..end].fill(0);
            if bytes == segment.bytes {
                continue;
            }
            let found = read(&bytes);
            assert_honest(&intact, &found, format_args!("zeros in {start}..{end}"));
            let touched = segment
                .blocks
                .iter()
                .filter(|b| bytes[(*b).clone()] != segment.bytes[(*b).clone()]);
            let expected = segment.blocks.len() - touched.count();
            assert_eq!(found.headers.len(), expected, "zeros in {start}..{end}");
        }
    }
}

#[test]
fn repeated_and_reordered_blocks_give_each_record_once() {
    let segment = raw();
    let intact = read(&segment.bytes);
    let set = |reading: &Reading| reading.lines.iter().cloned().collect::<HashSet<_>>();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..200 {
        let mut blocks = segment.blocks.clone();
        blocks.extend_from_slice(&segment.blocks[..random.usize(0..segment.blocks.len())]);
        random.shuffle(&mut blocks);
        let mut bytes = segment.bytes[..FILE_HEADER_LEN].to_vec();
        blocks.iter().for_each(|block| bytes.extend(&segment.bytes[block.clone()]));
        let found = read(&bytes);
        assert_eq!(found.gaps, [], "round {round}");
        assert_eq!(found.lines.len(), intact.lines.len(), "round {round}");
        assert_eq!(set(&found), set(&intact), "round {round}");
    }
}

/// The checksum of each header covers the marker of its segment.
#[test]
fn splices_of_two_segments_never_mix_their_records() {
    let (one, other) = (raw(), zstd());
    let intact = read(&one.bytes);
    let mut random = fastrand::Rng::with_seed(2);
    for round in 0..1000 {
        let at = random.usize(FILE_HEADER_LEN..one.bytes.len());
        let mut from = random.usize(0..other.bytes.len());
        let mut to = random.usize(from..=other.bytes.len());
        if random.bool() {
            // Whole blocks of the other segment.
            let blocks = &other.blocks;
            let first = random.usize(0..blocks.len());
            (from, to) = (blocks[first].start, blocks[random.usize(first..blocks.len())].end);
        }
        let back = random.usize(0..=at - FILE_HEADER_LEN);
        let resume = if random.bool() { at } else { at - back };
        let bytes = [&one.bytes[..at], &other.bytes[from..to], &one.bytes[resume..]].concat();
        let found = read(&bytes);
        let written: HashSet<&String> = intact.lines.iter().collect();
        for line in &found.lines {
            assert!(written.contains(line), "round {round}: {line} is of the other segment");
        }
        let is_complete = found.lines.len() == intact.lines.len();
        assert!(is_complete || !found.gaps.is_empty(), "round {round}");
    }
}

#[test]
fn random_damage_of_any_kind_is_found_or_harmless() {
    let segments = [raw(), zstd(), with_dictionary()];
    let intact: Vec<Reading> = segments.iter().map(|segment| read(&segment.bytes)).collect();
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let which = random.usize(0..segments.len());
        let mut bytes = segments[which].bytes.clone();
        for _ in 0..random.usize(1..4) {
            damage(&mut bytes, &mut random);
        }
        let found = read(&bytes);
        let written: HashSet<&String> = intact[which].lines.iter().collect();
        let is_honest = found.lines.iter().all(|line| written.contains(line));
        assert!(is_honest, "seed {seed}: {:#?}", found.lines);
    }
}

/// Damages some bytes behind the file header.
fn damage(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let a = random.usize(FILE_HEADER_LEN..=bytes.len());
    let b = random.usize(FILE_HEADER_LEN..=bytes.len());
    let range = a.min(b)..a.max(b).min(a.min(b) + 200);
    match random.u8(0..5) {
        0 => bytes[range].iter_mut().for_each(|byte| *byte = random.u8(..)),
        1 => drop(bytes.drain(range)),
        2 => bytes.extend_from_within(range),
        3 => bytes[FILE_HEADER_LEN..].rotate_left(a.min(b) - FILE_HEADER_LEN),
        _ => bytes.truncate(a),
    }
}
