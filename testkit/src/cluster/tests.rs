//! Random histories against the naive reader, their claims against every block, and that they are
//! as varied as they should be.

use std::collections::{BTreeMap, BTreeSet};

use logq_format::{BlockFlags, BlockKind, FileHeader};

use super::{Cluster, ClusterOptions};
use crate::claims;
use crate::naive::{NaiveQuery, NaiveStore, blocks};

const SEEDS: u64 = 120;

fn undamaged() -> impl Iterator<Item = (u64, Cluster)> {
    (0..SEEDS).map(|seed| {
        let workers = u32::try_from(seed % 5).unwrap() + 1;
        (seed, Cluster::generate(&ClusterOptions { seed, workers, ..Default::default() }))
    })
}

fn damaged() -> impl Iterator<Item = (u64, Cluster)> {
    (0..SEEDS).map(|seed| {
        let damages = u32::try_from(seed % 8).unwrap() + 1;
        (seed, Cluster::generate(&ClusterOptions { seed, damages, ..Default::default() }))
    })
}

fn assert_naive_reader_finds_what_is_expected(seed: u64, cluster: &Cluster) {
    let store = NaiveStore::read(&cluster.segments);
    let found = store.select(&NaiveQuery::default());
    let expected = cluster.expected();
    let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    if let Some(index) = differs {
        panic!("seed {seed}, record {index}:\n{:?}\n{:?}", found[index], expected[index]);
    }
    assert_eq!(found.len(), expected.len(), "seed {seed}");
}

/// What is missing was destroyed, or is in the torn block of a killed process: by chance another
/// block may start where that one would have ended, and so confirm its header.
fn assert_nothing_is_missing_without_a_reason(seed: u64, cluster: &Cluster, store: &NaiveStore) {
    let unwritten = cluster.unwritten.iter().map(|record| (record.origin.writer, record.sequence));
    let destroyed = cluster.destroyed.iter().map(|(_, writer, number)| (*writer, *number));
    let lost: BTreeSet<_> = unwritten.chain(destroyed).collect();
    let groundless: Vec<_> = store.missing.difference(&lost).collect();
    assert!(groundless.is_empty(), "seed {seed}: {groundless:?}");
}

#[test]
fn naive_reader_finds_exactly_what_was_written() {
    for (seed, cluster) in undamaged() {
        assert!(cluster.destroyed.is_empty());
        assert_naive_reader_finds_what_is_expected(seed, &cluster);
        let store = NaiveStore::read(&cluster.segments);
        assert_nothing_is_missing_without_a_reason(seed, &cluster, &store);
        assert_eq!(store.spoiled, 0, "seed {seed}");
        let unwritten = cluster.unwritten.iter().map(|record| record.identity());
        let found = store.identities();
        assert_eq!(unwritten.filter(|record| found.contains(record)).count(), 0, "seed {seed}");
    }
}

#[test]
fn naive_reader_finds_exactly_what_damage_left() {
    let mut destroyed = 0;
    for (seed, cluster) in damaged() {
        assert_naive_reader_finds_what_is_expected(seed, &cluster);
        destroyed += cluster.destroyed.len();
        let store = NaiveStore::read(&cluster.segments);
        assert_nothing_is_missing_without_a_reason(seed, &cluster, &store);
        if !cluster.destroyed.is_empty() {
            let told = !store.gaps.is_empty() || !store.missing.is_empty();
            assert!(told, "seed {seed}: loss without a trace");
        }
    }
    assert!(destroyed > 1000, "{destroyed}");
}

#[test]
fn same_seed_gives_same_bytes() {
    let options = ClusterOptions { damages: 3, ..Default::default() };
    let (first, second) = (Cluster::generate(&options), Cluster::generate(&options));
    assert_eq!(first.segments, second.segments);
    assert_eq!(first.written, second.written);
}

#[test]
fn claims_are_true_and_exact() {
    let mut pings = 0;
    for (seed, cluster) in undamaged() {
        for (number, bytes) in &cluster.segments {
            let verified = claims::verify(bytes);
            let verified = verified.unwrap_or_else(|e| panic!("seed {seed}, {number}: {e}"));
            pings += verified.len();
            let exact = verified.iter().all(|ping| ping.claims.now == ping.latest);
            assert!(exact, "seed {seed}, segment {number}");
        }
    }
    assert!(pings > 500, "{pings}");
}

#[test]
fn everything_that_can_happen_happens() {
    let mut seen = BTreeMap::<&str, usize>::new();
    for (_, cluster) in undamaged() {
        let mut workers = BTreeMap::new();
        for (_, bytes) in &cluster.segments {
            let file = FileHeader::decode(bytes).unwrap();
            *seen.entry("dictionary").or_default() += usize::from(file.dictionary.is_some());
            *seen.entry("clock step").or_default() += usize::from(file.clock_epoch > 0);
            let mut sequences = Vec::new();
            let mut left = Vec::new();
            for (_, header) in blocks(bytes) {
                let writer = header.origin.writer;
                for (name, flag) in [
                    ("leaving", BlockFlags::LEAVING),
                    ("retried", BlockFlags::RETRIED),
                    ("recovered", BlockFlags::RECOVERED),
                ] {
                    *seen.entry(name).or_default() += usize::from(header.flags.contains(flag));
                }
                workers.entry(header.origin.worker).or_insert(Vec::new()).push(writer);
                if header.kind == BlockKind::Data {
                    let key = (writer, header.sequence);
                    *seen.entry("duplicate").or_default() += usize::from(sequences.contains(&key));
                    sequences.push(key);
                }
                if header.flags.contains(BlockFlags::LEAVING) {
                    left.push(writer);
                } else if !left.is_empty() {
                    *seen.entry("lagging").or_default() += 1;
                }
            }
        }
        let restarted =
            workers.values().filter(|writers| writers.iter().min() < writers.iter().max());
        *seen.entry("restart").or_default() += restarted.count();
        *seen.entry("rotation").or_default() += usize::from(cluster.segments.len() > 1);
        let store = NaiveStore::read(&cluster.segments);
        *seen.entry("torn").or_default() += store.gaps.len();
        *seen.entry("lost").or_default() += usize::from(cluster.lost > 0);
        *seen.entry("unwritten").or_default() += usize::from(!cluster.unwritten.is_empty());
    }
    let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < 20).collect();
    assert!(seen.len() == 12 && rare.is_empty(), "{seen:?}");
}
