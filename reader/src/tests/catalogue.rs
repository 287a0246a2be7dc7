//! A catalogue changes how much is looked at and nothing else, whatever is in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fastrand::Rng;
use logq_directory::{Catalogue, Directory, Finished, Stamp};
use logq_format::FileHeader;
use logq_testkit::naive::NaiveStore;

use super::cluster::{Troubles, cluster, time};
use super::equivalence::{check, in_memory, lines};
use super::sources::{paths, store};
use crate::{Query, Snapshot};

const FILE: &str = "catalogue";

/// Which of these segments are finished, as whoever writes the catalogue finds out.
fn finished(directory: &Path, segments: &[(u64, Vec<u8>)]) -> BTreeMap<String, Finished> {
    let paths = paths(directory).into_iter().filter(|path| path.extension().is_some());
    let known = paths.zip(segments).filter_map(|(path, segment)| {
        let found = NaiveStore::read(std::slice::from_ref(segment));
        let alone = in_memory(std::slice::from_ref(segment));
        if !found.gaps.is_empty() || !alone.coverage().holding.is_empty() {
            return None;
        }
        let file = FileHeader::decode(&segment.1).ok()?.file;
        let times = found.records.iter().map(|record| record.time);
        let times = times.clone().min().zip(times.max());
        let metadata = fs::metadata(&path).unwrap();
        let (inode, len) = (metadata.ino(), metadata.len());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name, Finished { file, inode, len, times }))
    });
    known.collect()
}

/// Writes the catalogue of a store; whether it says anything of a segment.
fn write(directory: &Path, segments: &[(u64, Vec<u8>)]) -> bool {
    let store = Directory::open(directory).unwrap();
    let known = finished(directory, segments);
    // The file that is locked changes the directory as well when it comes.
    drop(store.lock().unwrap());
    store.settle();
    store.write_catalogue(&store.lock().unwrap(), &known).unwrap();
    let catalogue = Catalogue::read(directory).unwrap();
    assert!(catalogue.is_of(Stamp::of(directory).unwrap()));
    catalogue.segments().any(|(_, finished)| finished.is_some())
}

/// The store answers as if there were no catalogue.
fn check_store(seed: u64, directory: &Path, segments: &[(u64, Vec<u8>)]) {
    let opened = Snapshot::open(&[directory]).unwrap();
    let expected = in_memory(segments);
    // What is known of the ends first, as in the command, or not.
    if seed.is_multiple_of(2) {
        let (found, expected) = (opened.coverage(), expected.coverage());
        assert_eq!(found.holding, expected.holding, "seed {seed}");
        // Without a catalogue only the ends of segments are looked at.
        assert!(found.first <= expected.first && found.last >= expected.last, "seed {seed}");
        let records = NaiveStore::read(segments).records;
        let times = || records.iter().map(|record| record.time);
        assert!(found.first >= times().min() && found.last <= times().max(), "seed {seed}");
        assert!(expected.watermark.is_none() || found.watermark == expected.watermark);
    }
    check(seed, segments, &opened, true);
}

#[test]
fn answers_are_the_same_with_and_without_a_catalogue() {
    let mut told = 0;
    for seed in 0..24 {
        let troubles = Troubles { torn: seed % 3 == 0, twice: true, ..Troubles::default() };
        let segments = cluster(seed, troubles);
        let scratch = store(&segments);
        told += u64::from(write(scratch.path(), &segments));
        check_store(seed, scratch.path(), &segments);
        // The list is not complete any more; what is said of segments still holds.
        fs::write(scratch.path().join("other"), "").unwrap();
        check_store(seed, scratch.path(), &segments);
        // A copy has other inodes.
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(scratch.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        check_store(seed, copy.path(), &segments);
    }
    assert!(told > 6, "{told}");
}

#[test]
fn a_catalogue_of_anything_else_misleads_nobody() {
    let mut random = Rng::with_seed(11);
    for seed in 0..16 {
        let segments = cluster(seed, Troubles::default());
        let others = cluster(seed + 1000, Troubles::default());
        let (scratch, other) = (store(&segments), store(&others));
        write(scratch.path(), &segments);
        write(other.path(), &others);
        let path = scratch.path().join(FILE);
        let own = fs::read(&path).unwrap();
        let strange = fs::read(other.path().join(FILE)).unwrap();
        let noise: Vec<u8> = (0..random.usize(..500)).map(|_| random.u8(..)).collect();
        let mut flipped = own.clone();
        let place = random.usize(..flipped.len());
        flipped[place] ^= 1 << random.u8(..8);
        let part = own[..random.usize(..own.len())].to_vec();
        for content in [strange, noise, flipped, part, Vec::new()] {
            fs::write(&path, content).unwrap();
            check_store(seed, scratch.path(), &segments);
        }
        fs::remove_file(&path).unwrap();
        check_store(seed, scratch.path(), &segments);
    }
}

/// A catalogue that was written before segments grew, came and were deleted.
#[test]
fn an_old_catalogue_misleads_nobody() {
    for seed in 0..24 {
        let mut segments = cluster(seed, Troubles::default());
        let last = segments.len() - 1;
        let older = &segments[..last.max(1)];
        let scratch = store(older);
        write(scratch.path(), older);
        for (number, bytes) in segments.iter().skip(older.len()) {
            let name = logq_format::segment_name(*number, time(0));
            fs::write(scratch.path().join(name), bytes).unwrap();
        }
        check_store(seed, scratch.path(), &segments);

        // Somebody went on in the first one, by its path; the file is the same.
        let (first, rest) = segments.split_first_mut().unwrap();
        if let Some((_, more)) = rest.first() {
            // Whatever it is: bytes that are no blocks make gaps, which have to be found.
            first.1.extend_from_slice(&more[more.len() / 2..]);
        }
        let path = paths(scratch.path()).into_iter().find(|path| path.extension().is_some());
        let directory = Directory::open(scratch.path()).unwrap();
        directory.forget_catalogue(&directory.lock().unwrap()).unwrap();
        fs::write(path.unwrap(), &first.1).unwrap();
        let opened = Snapshot::open(&[scratch.path()]).unwrap();
        let (found, report) = lines(&opened, &Query::default());
        let (expected, told) = lines(&in_memory(&segments), &Query::default());
        assert_eq!((found, report.gaps.len()), (expected, told.gaps.len()), "seed {seed}");
    }
}

/// Finished segments outside of the range are not even opened: there is nothing behind their names.
#[test]
fn segments_outside_of_the_range_are_not_read() {
    let mut count = 0;
    for seed in 0..40 {
        let segments = cluster(seed, Troubles::default());
        let scratch = store(&segments);
        if !write(scratch.path(), &segments) {
            continue;
        }
        let model = NaiveStore::read(&segments);
        let catalogue = Catalogue::read(scratch.path()).unwrap();
        for since in model.records.iter().step_by(7).map(|record| record.time) {
            let query = Query { since: Some(since), ..Query::default() };
            let (expected, _) = lines(&in_memory(&segments), &query);
            let opened = Snapshot::open(&[scratch.path()]).unwrap();
            let is_before = |finished: &&Finished| finished.times.is_none_or(|(_, to)| to < since);
            let outside: Vec<_> = catalogue
                .segments()
                .filter(|(_, finished)| finished.as_ref().is_some_and(is_before))
                .map(|(name, _)| scratch.path().join(name))
                .collect();
            count += outside.len();
            let bytes: Vec<_> = outside.iter().map(|path| fs::read(path).unwrap()).collect();
            for (path, bytes) in outside.iter().zip(&bytes) {
                fs::write(path, vec![0xAA; bytes.len()]).unwrap();
            }
            opened.coverage();
            let (found, report) = lines(&opened, &query);
            assert_eq!((found, report.gaps), (expected, vec![]), "seed {seed}");
            outside.iter().zip(bytes).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        }
    }
    assert!(count > 20, "{count}");
}
