//! The creation of a segment is cut after every system call, and in the middle of each that writes,
//! and each call fails once: every time the store opens and reads, and accepts writers.
//!
//! What a manager does is cut in the same way by the tests of `logq-rotation`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use logq_directory::{
    Directory, DirectoryError, Disk, NewSegment, SegmentFile, Space, Storage, read_header,
};
use logq_format::{Dictionary, Timestamp, segment_number};
use logq_reader::{Query, Snapshot};
use logq_writer::{LoggerOptions, MasterLogger};

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The process ends before the call with this number.
    Crash(u64),
    /// The process ends in the middle of the call with this number.
    CrashWithin(u64),
    /// The call with this number fails.
    Error(u64),
}

#[derive(Debug)]
struct FaultyDisk {
    fault: Fault,
    calls: AtomicU64,
}

impl FaultyDisk {
    /// Counts a call; how much of 2 parts of its work it may do, if it may begin.
    fn call(&self) -> io::Result<usize> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Error(at) if call == at => Err(io::Error::from_raw_os_error(28)),
            Fault::Crash(at) if call >= at => Err(io::Error::other("the process has ended")),
            Fault::CrashWithin(at) if call > at => Err(io::Error::other("the process has ended")),
            Fault::CrashWithin(at) if call == at => Ok(1),
            _ => Ok(2),
        }
    }

    fn part(&self, bytes: &[u8], write: impl Fn(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self.call()? {
            2 => write(bytes),
            _ => {
                write(&bytes[..bytes.len() / 2]).and(Err(io::Error::other("the process has ended")))
            }
        }
    }
}

impl Storage for FaultyDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.create_directory(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.call().and_then(|_| Disk.list(path))
    }

    fn examine(&self, path: &Path) -> io::Result<Metadata> {
        self.call().and_then(|_| Disk.examine(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|_| Disk.open(path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|_| Disk.create(path))
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call().and_then(|_| Disk.read_at(file, buffer, offset))
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.part(bytes, |part| Disk.write(file, part))
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.part(bytes, |part| Disk.write_at(file, part, offset))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call().and_then(|_| Disk.sync(file))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.remove(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.call().and_then(|_| Disk.space(path))
    }
}

fn dictionary() -> Option<Dictionary> {
    let samples: Vec<_> = (0..400).map(|n| format!("{{\"user\":{n},\"ok\":true}}")).collect();
    Dictionary::train(&samples, 1024)
}

/// How a segment is created.
type Creation = fn(&Directory, NewSegment) -> Result<SegmentFile, DirectoryError>;

fn next(directory: &Directory, new: NewSegment) -> Result<SegmentFile, DirectoryError> {
    directory.create_segment(&directory.lock()?, &new)
}

fn named(directory: &Directory, new: NewSegment) -> Result<SegmentFile, DirectoryError> {
    let segment = SegmentFile { number: 9, path: directory.path().join("0000000009-x.logq") };
    directory.draft_segment(&new)?.publish_as(&directory.lock()?, segment)
}

/// How many records there are; nothing is damaged or missing.
fn count(store: &Path) -> u64 {
    let (records, report) = Snapshot::open(&[store]).unwrap().count(&Query::default()).unwrap();
    assert!(report.is_complete() && report.unfinished.is_empty(), "{report:?}");
    records
}

fn log(store: &Path) {
    let logger = MasterLogger::open(store, LoggerOptions::default()).unwrap();
    logger.info("logged");
    logger.close().unwrap();
}

/// Creates a segment beside `before` others with this fault; `None` once the fault comes too late
/// to happen, else how many segments there are.
fn cut(fault: Fault, at: u64, creation: Creation, before: u64) -> Option<usize> {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    (0..before).for_each(|_| log(&store));
    let disk = Arc::new(FaultyDisk { fault, calls: AtomicU64::new(0) });
    let storage = Arc::<FaultyDisk>::clone(&disk);
    let new = NewSegment { dictionary: dictionary(), ..NewSegment::at(Timestamp::from_micros(0)) };
    let created =
        Directory::create_on(storage, &store).and_then(|directory| creation(&directory, new));
    if disk.calls.load(Ordering::SeqCst) <= at {
        assert!(created.is_ok());
        return None;
    }
    assert_valid(&store, before);
    Some(Directory::open(&store).unwrap().segments().unwrap().len())
}

/// The store opens and reads, accepts writers, and lets go of what was left behind.
fn assert_valid(store: &Path, before: u64) {
    let directory = Directory::create(store).unwrap();
    for segment in directory.segments().unwrap() {
        let header = read_header(&File::open(&segment.path).unwrap(), &segment.path).unwrap();
        assert_eq!(header.segment, segment.number);
    }
    if before > 0 || directory.newest().unwrap().is_some() {
        assert_eq!(count(store), before);
    }
    log(store);
    assert_eq!(count(store), before + 1);
    let later = SystemTime::now() + Duration::from_secs(3601);
    directory.remove_abandoned_drafts(later).unwrap();
    let names = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names.map(|name| name.into_string().unwrap()) {
        assert!(!name.ends_with(".new"), "{name} is left");
        assert!(segment_number(&name).is_some() || !name.ends_with(".logq"), "{name}");
    }
    assert_eq!(count(store), before + 1);
}

#[test]
fn the_creation_of_a_segment_may_end_or_fail_at_every_step() {
    for (creation, before) in [(next as Creation, 0), (next, 2), (named, 0), (named, 2)] {
        for fault in [Fault::Crash, Fault::CrashWithin, Fault::Error] {
            let cuts = (0..).map_while(|at| cut(fault(at), at, creation, before)).count();
            assert!(cuts >= 9, "{cuts} calls");
        }
    }
}
