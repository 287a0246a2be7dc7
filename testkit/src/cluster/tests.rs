use std::collections::BTreeMap;

use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Claims, FileHeader, Member, StoredBlock, Timestamp,
};

use super::{Cluster, ClusterOptions};
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

#[test]
fn naive_reader_finds_exactly_what_was_written() {
    for (seed, cluster) in undamaged() {
        assert!(cluster.destroyed.is_empty());
        assert_naive_reader_finds_what_is_expected(seed, &cluster);
        let store = NaiveStore::read(&cluster.segments);
        assert_eq!((store.missing, store.spoiled), (0, 0), "seed {seed}");
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
        if !cluster.destroyed.is_empty() {
            let store = NaiveStore::read(&cluster.segments);
            let told = !store.gaps.is_empty() || store.missing > 0;
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

/// Every claim of every ping, checked against every block of its file.
#[test]
fn claims_are_true_exact_and_monotone() {
    let mut pings = 0;
    for (seed, cluster) in undamaged() {
        for (number, bytes) in &cluster.segments {
            let place = format!("seed {seed}, segment {number}");
            let blocks = blocks(bytes);
            let mut before = (Timestamp::MIN, Timestamp::MIN);
            for (offset, header) in blocks.iter().filter(|(_, h)| h.kind == BlockKind::Ping) {
                let Some(claims) = claims(bytes, *offset, header) else { continue };
                assert_claims(&place, &claims, *offset, &blocks);
                assert!(before <= (claims.now, claims.watermark), "{place}");
                assert!(before.1 <= claims.watermark, "{place}");
                before = (claims.now, claims.watermark);
                pings += 1;
            }
        }
    }
    assert!(pings > 500, "{pings}");
}

fn stored<'a>(bytes: &'a [u8], offset: u64, header: &BlockHeader) -> StoredBlock<'a> {
    StoredBlock::new(header.clone(), &bytes[usize::try_from(offset).unwrap()..]).unwrap()
}

fn claims(bytes: &[u8], offset: u64, header: &BlockHeader) -> Option<Claims> {
    Claims::decode_ping(&stored(bytes, offset, header)).unwrap()
}

fn assert_claims(place: &str, claims: &Claims, offset: u64, blocks: &[(u64, BlockHeader)]) {
    assert!(claims.covered <= offset, "{place}");
    let before = blocks.iter().filter(|(offset, _)| *offset < claims.covered);
    let latest = before.clone().map(|(_, header)| header.max).max();
    assert_eq!(claims.now, latest.unwrap_or(Timestamp::MIN), "{place}");

    let behind = || blocks.iter().filter(|(offset, _)| *offset >= claims.covered);
    assert!(behind().all(|(_, header)| header.min >= claims.watermark), "{place}");
    for member in &claims.roster {
        assert!(member.floor >= claims.watermark, "{place}");
        let own = behind().filter(|(_, header)| header.origin == member.origin);
        // Repeated blocks may be behind a later one of the same writer; their times count too.
        assert!(own.clone().all(|(_, header)| header.min >= member.floor), "{place}");
    }
    let known = |header: &BlockHeader| {
        let joins = |(_, other): &(u64, BlockHeader)| {
            other.kind == BlockKind::Join && other.origin == header.origin
        };
        claims.roster.iter().any(|member| member.origin == header.origin) || behind().any(joins)
    };
    assert!(behind().all(|(_, header)| known(header)), "{place}: a stranger");
}

#[test]
fn writers_keep_the_rules() {
    for (seed, cluster) in undamaged() {
        let mut last = BTreeMap::new();
        for (number, bytes) in &cluster.segments {
            let place = format!("seed {seed}, segment {number}");
            let mut joined = BTreeMap::new();
            for (offset, header) in blocks(bytes) {
                let writer = header.origin.writer;
                let again = header.flags.contains(BlockFlags::RETRIED)
                    || header.flags.contains(BlockFlags::RECOVERED);
                let latest = last.entry(writer).or_insert(Timestamp::MIN);
                assert!(again || header.min >= *latest, "{place}: {offset}");
                *latest = header.max.max(*latest);
                if header.kind == BlockKind::Join {
                    let member = Member::decode_join(&stored(bytes, offset, &header)).unwrap();
                    assert!(joined.insert(writer, member).is_none(), "{place}: joins twice");
                }
                assert!(joined.contains_key(&writer), "{place}: {offset} before its join");
            }
        }
    }
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
