//! Where the bytes come from does not matter, and what becomes of files meanwhile is told.

use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use logq_testkit::cluster::{Cluster, ClusterOptions};
use tempfile::TempDir;

use super::cluster::{Troubles, cluster};
use super::equivalence::{check, in_memory, lines};
use crate::report::Cause;
use crate::segment::Segment;
use crate::source::{Access, Fetch, FileSource};
use crate::{OpenError, Order, Query, Snapshot};

/// Writes segments to a new directory, in reverse, so that its order tells nothing.
pub(super) fn store(segments: &[(u64, Vec<u8>)]) -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for (number, bytes) in segments.iter().rev() {
        let name = logq_format::segment_name(*number, super::cluster::time(0));
        fs::write(scratch.path().join(name), bytes).unwrap();
    }
    scratch
}

pub(super) fn paths(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A snapshot of files that are read in this way.
fn by(directory: &Path, access: Access, keep: bool) -> Snapshot {
    let open = |path: &PathBuf| {
        let path: Arc<Path> = path.as_path().into();
        let source = FileSource::open(&path, access, keep).unwrap();
        Segment::new(path, 0, Box::new(source))
    };
    Snapshot::of_segments(paths(directory).iter().map(open).collect())
}

/// A segment in memory that answers a byte at a time, and is interrupted now and then.
#[derive(Debug)]
struct Trickle(Vec<u8>, AtomicU32);

impl crate::Source for Trickle {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(7) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let byte = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset));
        Ok(buffer.first_mut().zip(byte).map_or(0, |(room, byte)| {
            *room = *byte;
            1
        }))
    }
}

/// A segment in memory that answers all at once.
#[derive(Debug)]
struct Memory(Arc<[u8]>);

impl crate::Source for Memory {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        (&mut &*rest).read(buffer)
    }
}

/// A segment that is longer than what there is, on a disk that fails somewhere.
#[derive(Debug)]
struct Failing(Vec<u8>, u64);

impl crate::Source for Failing {
    fn len(&self) -> u64 {
        self.0.len() as u64 + 1000
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset + buffer.len() as u64 > self.1 && offset <= self.1 {
            return Err(io::Error::other("the disk fails"));
        }
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        (&mut &*rest).read(buffer)
    }
}

fn of_sources<S: crate::Source + 'static>(
    segments: &[(u64, Vec<u8>)],
    source: impl Fn(&Vec<u8>) -> S,
) -> Snapshot {
    let named = segments.iter().map(|(number, bytes)| {
        let source: Box<dyn crate::Source> = Box::new(source(bytes));
        (format!("object {number}"), source)
    });
    Snapshot::of_sources(named)
}

#[test]
fn all_sources_give_the_same_answers() {
    for seed in 0..8 {
        let segments = cluster(seed, Troubles { torn: true, twice: true, ..Troubles::default() });
        let scratch = store(&segments);
        let opened = Snapshot::open(&[scratch.path()]).unwrap();
        check(seed, &segments, &opened, true);
        for access in [Access::Read, Access::Map] {
            for keep in [true, false] {
                check(seed, &segments, &by(scratch.path(), access, keep), true);
            }
        }
        check(
            seed,
            &segments,
            &of_sources(&segments, |bytes| Trickle(bytes.clone(), AtomicU32::new(0))),
            true,
        );
        let memory = of_sources(&segments, |bytes| Memory(bytes.as_slice().into()));
        check(seed, &segments, &memory, true);
        let all: Vec<u8> = segments.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        check(seed, &segments, &Snapshot::of_stream("pipe", all.as_slice()).unwrap(), true);
    }
}

#[test]
fn a_source_that_fails_or_ends_early_is_told_by_its_name() {
    let segments = cluster(31, Troubles::default());
    let (all, _) = lines(&in_memory(&segments), &Query::default());
    for fails_at in [0, 300, 1000, u64::MAX / 2] {
        let failing = of_sources(&segments, |bytes| Failing(bytes.clone(), fails_at));
        let (found, report) = lines(&failing, &Query::default());
        assert!(found.iter().all(|line| all.contains(line)), "{fails_at}");
        assert!(!report.gaps.is_empty(), "{fails_at}");
        let is_named = |gap: &crate::Gap| gap.path.to_string_lossy().starts_with("object ");
        assert!(report.gaps.iter().all(is_named), "{:?}", report.gaps);
    }
}

#[test]
fn single_segments_and_several_stores_are_read_together() {
    let segments = cluster(77, Troubles::default());
    let (all, _) = lines(&in_memory(&segments), &Query::default());
    let (one, two) = (store(&segments[..1]), store(&segments[1..]));
    let snapshot = Snapshot::open(&[one.path(), two.path()]).unwrap();
    assert_eq!(lines(&snapshot, &Query::default()).0, all);
    let mut files = paths(one.path());
    files.extend(paths(two.path()));
    files.reverse();
    assert_eq!(lines(&Snapshot::open(&files).unwrap(), &Query::default()).0, all);
    // The same store twice: each record once.
    let snapshot = Snapshot::open(&[one.path(), two.path(), one.path()]).unwrap();
    assert_eq!(lines(&snapshot, &Query::default()).0, all);
}

#[test]
fn files_truncated_after_opening_are_told() {
    let options = ClusterOptions { seed: 4, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let (all, _) = lines(&in_memory(&segments), &Query::default());
    for access in [Access::Read, Access::Map] {
        for order in [Order::Ascending, Order::Descending] {
            for keep in [0, 100, 256, 700, 4000] {
                let scratch = store(&segments);
                let snapshot = by(scratch.path(), access, true);
                let victim = paths(scratch.path()).remove(0);
                File::options().write(true).open(&victim).unwrap().set_len(keep).unwrap();
                let query = Query { order, ..Query::default() };
                let (found, report) = lines(&snapshot, &query);
                let context = format!("{access:?}, {order:?}, {keep}");
                assert!(found.iter().all(|line| all.contains(line)), "{context}");
                assert!(found.len() < all.len(), "{context}");
                let gap = report.gaps.iter().find(|gap| gap.path == victim).unwrap();
                assert!(gap.range.end > keep, "{context}: {gap:?}");
                snapshot.count(&query).unwrap();
                snapshot.summary().unwrap();
            }
        }
    }
}

#[test]
fn files_deleted_after_opening_are_read_while_they_are_open_and_told_otherwise() {
    let segments = cluster(12, Troubles::default());
    let (all, _) = lines(&in_memory(&segments), &Query::default());
    let scratch = store(&segments);
    let (kept, closed) =
        (by(scratch.path(), Access::Map, true), by(scratch.path(), Access::Read, false));
    let deleted = paths(scratch.path());
    deleted.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(lines(&kept, &Query::default()).0, all);
    let (found, report) = lines(&closed, &Query::default());
    assert!(found.is_empty());
    assert_eq!(report.gaps.len(), deleted.len());
    assert!(report.gaps.iter().all(|gap| gap.cause == Cause::Vanished), "{:?}", report.gaps);
}

/// However many segments a store has, the newest one is opened once.
#[test]
fn the_newest_segment_of_many_stays_open() {
    let segments = cluster(77, Troubles::default());
    let (_, newest) = segments.last().unwrap();
    let empty = newest[..logq_format::FILE_HEADER_LEN].to_vec();
    let mut many: Vec<_> = (1..=600).map(|number| (number, empty.clone())).collect();
    let alone = [(601, newest.clone())];
    many.extend(alone.clone());
    let scratch = store(&many);
    let snapshot = Snapshot::open(&[scratch.path()]).unwrap();
    fs::remove_file(paths(scratch.path()).last().unwrap()).unwrap();
    let (found, report) = lines(&snapshot, &Query::default());
    assert!(!found.is_empty());
    assert_eq!(found, lines(&in_memory(&alone), &Query::default()).0);
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);
}

#[test]
fn what_is_no_store_is_refused_with_a_way_out() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let error = |path: &Path| Snapshot::open(&[path]).unwrap_err();
    assert!(Snapshot::open(&[scratch.path()]).unwrap().is_empty(), "an empty store");
    fs::write(path("writers.lock"), "").unwrap();
    fs::write(path(".0123.new"), "").unwrap();
    assert!(Snapshot::open(&[scratch.path()]).unwrap().is_empty(), "one that was just created");

    let missing = error(&path("nowhere"));
    assert!(matches!(missing, OpenError::NoSuchPath { .. }));
    assert!(missing.to_string().ends_with("a store is a directory of *.logq files"), "{missing}");

    fs::write(path("access.log"), "127.0.0.1 - - [03/Feb/2026]\n").unwrap();
    let text = error(&path("access.log")).to_string();
    assert!(text.contains("not a store but a text file"), "{text}");
    let others = error(scratch.path()).to_string();
    assert!(others.contains("a directory of 1 other file;"), "{others}");
    fs::write(path("records.gz"), [0x1F, 0x8B, 8]).unwrap();
    assert!(error(&path("records.gz")).to_string().contains("compressed with gzip"));

    let segments = cluster(3, Troubles::default());
    fs::write(path("renamed"), &segments[0].1).unwrap();
    assert!(!Snapshot::open(&[path("renamed")]).unwrap().is_empty(), "known by its first bytes");
}

#[test]
fn a_pool_of_one_thread_suffices_even_from_within() {
    let segments = cluster(21, Troubles::default());
    let snapshot = in_memory(&segments);
    let (all, _) = lines(&snapshot, &Query::default());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| lines(&snapshot, &Query::default()).0), all);
}

#[test]
fn a_panic_of_the_caller_comes_back_to_the_caller() {
    let snapshot = in_memory(&cluster(21, Troubles::default()));
    let scan = || {
        let fold = |()| std::ops::ControlFlow::Continue(());
        snapshot.scan(&Query::default(), |_| panic!("of the caller"), fold)
    };
    assert!(catch_unwind(AssertUnwindSafe(scan)).is_err());
    assert!(!lines(&snapshot, &Query::default()).0.is_empty(), "and the snapshot is as before");
}

#[test]
fn a_segment_in_memory_is_shared_not_copied() {
    let bytes: Arc<[u8]> = cluster(3, Troubles::default())[0].1.clone().into();
    let source: &dyn Fetch = &bytes;
    let read = source.read(10..20, Vec::new()).unwrap();
    assert!(std::ptr::eq(&raw const read[0], &raw const bytes[10]));
    assert_eq!(source.read(bytes.len() - 5..u64::MAX, Vec::new()).unwrap().len(), 5);
}
