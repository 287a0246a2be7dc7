//! Loggers that are told to move in ways that nobody would choose: where they are already, twice, to
//! places that go away meanwhile. Found by the simulation of a cluster.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::read;
use logq_format::{BlockFlags, BlockKind};
use logq_testkit::claims;
use logq_writer::{Io, LoggerOptions, MasterLogger, SystemIo};

/// Nothing is written before it is asked for, on a disk that can be full.
fn patient(disk: &Arc<Disk>) -> LoggerOptions {
    LoggerOptions {
        output_delay: Duration::from_secs(3600),
        io: Arc::<Disk>::clone(disk),
        ..LoggerOptions::default()
    }
}

#[derive(Default)]
struct Disk {
    is_full: AtomicBool,
}

impl Io for Disk {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemIo.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        SystemIo.sync(file)
    }
}

fn segment(store: &Path, number: u32) -> PathBuf {
    store.join(format!("{number:010}-x.logq"))
}

/// All records are there, in the order of the calls, and every claim is true.
fn check(store: &Path, records: u64) {
    let found = read(store);
    assert_eq!((found.gaps.len(), found.missing.len()), (0, 0));
    let mut sequences: Vec<_> = found.records.iter().map(|record| record.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (0..records).collect::<Vec<_>>());
    for (_, bytes) in common::segments(store) {
        claims::verify(&bytes).unwrap();
    }
}

/// A logger that had followed the store by itself joined its segment once more, and then left it, for
/// good by what it said, though it went on there.
#[test]
fn a_logger_that_is_told_to_go_where_it_is_stays_there() {
    let store = tempfile::tempdir().unwrap();
    let log = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    log.info(0);
    let present = fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().path());
    let present = present.into_iter().find(|path| path.extension().is_some()).unwrap();
    for path in [store.path().to_owned(), segment(store.path(), 2), segment(store.path(), 2)] {
        log.rotate(path).unwrap();
        log.info(1);
        log.flush().unwrap();
    }
    log.close().unwrap();
    assert!(present.exists());
    check(store.path(), 4);
    for (_, bytes) in common::segments(store.path()) {
        let blocks = common::blocks(&bytes);
        let leaving = |flags: BlockFlags| flags.contains(BlockFlags::LEAVING);
        let leaves: Vec<_> = blocks.iter().map(|(_, header, _)| leaving(header.flags)).collect();
        assert_eq!(leaves.iter().filter(|leaves| **leaves).count(), 1);
        assert_eq!(leaves.last(), Some(&true), "nothing comes behind it");
    }
}

/// What waited for a full disk was written to the deleted segment, because a new one was joined
/// already.
#[test]
fn a_segment_that_is_deleted_while_its_last_blocks_wait_takes_none_of_them_along() {
    let (store, disk) = (tempfile::tempdir().unwrap(), Arc::new(Disk::default()));
    let other = MasterLogger::open(segment(store.path(), 1), LoggerOptions::default()).unwrap();
    let log = MasterLogger::open(store.path(), patient(&disk)).unwrap();
    disk.is_full.store(true, Ordering::SeqCst);
    log.info(0);
    log.flush().unwrap_err();
    other.rotate(segment(store.path(), 2)).unwrap();
    let joins = || {
        let (_, bytes) = common::segments(store.path()).pop().unwrap();
        let blocks = common::blocks(&bytes);
        blocks.iter().filter(|(_, header, _)| header.kind == BlockKind::Join).count()
    };
    for _ in 0..1000 {
        // It looks for newer segments whenever it tries again.
        log.flush().unwrap_err();
        if joins() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(joins(), 2, "it has found the new segment");
    fs::remove_file(segment(store.path(), 1)).unwrap();
    disk.is_full.store(false, Ordering::SeqCst);
    log.info(1);
    log.close().unwrap();
    other.close().unwrap();
    check(store.path(), 2);
}

/// A ping counted the records that were still staged, and readers told that they were missing.
#[test]
fn what_is_still_on_its_way_is_not_told_to_be_missing() {
    let (store, disk) = (tempfile::tempdir().unwrap(), Arc::new(Disk::default()));
    let options = LoggerOptions { ping_delay: Duration::from_millis(2), ..patient(&disk) };
    let log = MasterLogger::open(store.path(), options).unwrap();
    for n in 0..20 {
        log.info(n);
        std::thread::sleep(Duration::from_millis(3));
        assert!(read(store.path()).missing.is_empty(), "{n} records are staged");
    }
    log.close().unwrap();
    check(store.path(), 20);
}
