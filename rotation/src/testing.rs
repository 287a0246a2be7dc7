//! What the tests of this crate share: a clock that stands where it is put, a disk that fails when
//! it is told to, and a host that writes everything down.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logq_directory::{Directory, Disk, Space, Storage};
use logq_testkit::naive::NaiveStore;
use logq_writer::{LoggerOptions, MasterLogger};

use crate::clock::{Clock, Moment, SystemClock};
use crate::event::Event;
use crate::keeper::{Host, Keeper};
use crate::options::ManagerOptions;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What a diary holds where nothing happened.
pub(crate) const NOTHING: [&str; 0] = [];

/// Clocks that move only when they are told to.
pub(crate) struct ManualClock(Mutex<Moment>);

impl ManualClock {
    /// A second ahead of the machine, so that every file header lies in the past.
    pub(crate) fn new() -> Arc<Self> {
        let clock = Self(Mutex::new(SystemClock.now()));
        clock.advance(Duration::from_secs(1));
        Arc::new(clock)
    }

    pub(crate) fn advance(&self, time: Duration) {
        let mut moment = self.0.lock().unwrap();
        let micros = u64::try_from(time.as_micros()).unwrap();
        moment.monotonic_us += micros;
        moment.wall = moment.wall.saturating_add_micros(micros.cast_signed());
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step_wall(&self, micros: i64) {
        let mut moment = self.0.lock().unwrap();
        moment.wall = moment.wall.saturating_add_micros(micros);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

/// Writes events down.
#[derive(Default)]
pub(crate) struct Diary {
    events: RefCell<Vec<Event>>,
    pub(crate) is_closed: Cell<bool>,
}

impl Host for Diary {
    fn tell(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    fn is_closed(&self) -> bool {
        self.is_closed.get()
    }
}

impl Diary {
    /// What happened since the last call, in short: `rotate 2`, `delete 1 Size`, `error: ...`.
    pub(crate) fn take(&self) -> Vec<String> {
        let number = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            logq_format::segment_number(name).unwrap()
        };
        let events = self.events.take();
        let texts = events.into_iter().map(|event| match event {
            Event::Rotate(path) => format!("rotate {}", number(&path)),
            Event::Delete { path, reason, .. } => format!("delete {} {reason:?}", number(&path)),
            Event::Error(error) => format!("error: {error}"),
        });
        texts.collect()
    }
}

/// What goes wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The call with this number fails with this error.
    Once(u64, i32),
    /// The process ends before the call with this number.
    Crash(u64),
    /// The process ends in the middle of the call with this number, if it writes.
    CrashWithin(u64),
    /// Somebody else deletes the oldest segment before the call with this number.
    Vanish(u64),
}

/// The machine's disk, except for what goes wrong.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    fault: Fault,
    calls: AtomicU64,
    /// The bytes that the disk has room for, if it is a small one.
    capacity: Mutex<Option<u64>>,
    /// The bytes of deleted files whose directory was not synced yet: they are not free.
    unsynced: AtomicU64,
    /// The directory that was listed last.
    listed: Mutex<PathBuf>,
}

impl FaultyDisk {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault,
            calls: AtomicU64::new(0),
            capacity: Mutex::new(None),
            unsynced: AtomicU64::new(0),
            listed: Mutex::default(),
        })
    }

    /// Makes the disk as large as the files in the directory and so many bytes.
    pub(crate) fn leave_free(&self, path: &Path, bytes: u64) {
        *self.capacity.lock().unwrap() = Some(used(path) + bytes);
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call. `Ok(true)` if it is the one that the process does not survive, which may have
    /// done a part of its work.
    fn call(&self) -> io::Result<bool> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Once(at, code) if call == at => Err(io::Error::from_raw_os_error(code)),
            Fault::Crash(at) if call >= at => Err(io::Error::other("the process has ended")),
            Fault::CrashWithin(at) if call > at => Err(io::Error::other("the process has ended")),
            Fault::CrashWithin(at) => Ok(call == at),
            Fault::Vanish(at) if call == at => {
                let segments = Directory::open(&self.listed.lock().unwrap()).unwrap().segments();
                fs::remove_file(&segments.unwrap()[0].path).unwrap();
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The part of `bytes` that is written, and whether the process survives it.
    fn part<'a>(&self, bytes: &'a [u8]) -> io::Result<(&'a [u8], io::Result<()>)> {
        Ok(if self.call()? {
            (&bytes[..bytes.len() / 2], Err(io::Error::other("the process has ended")))
        } else {
            (bytes, Ok(()))
        })
    }
}

impl Storage for FaultyDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        Disk.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        path.clone_into(&mut self.listed.lock().unwrap());
        self.call()?;
        Disk.list(path)
    }

    fn examine(&self, path: &Path) -> io::Result<Metadata> {
        self.call()?;
        Disk.examine(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call()?;
        Disk.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.call()?;
        Disk.create(path)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call()?;
        Disk.read_at(file, buffer, offset)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let (part, end) = self.part(bytes)?;
        Disk.write(file, part).and(end)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (part, end) = self.part(bytes)?;
        Disk.write_at(file, part, offset).and(end)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        // What a power failure leaves is not the matter here, and real syncs take their time.
        self.call()?;
        self.unsynced.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        Disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let found = fs::metadata(path).ok().filter(|found| found.nlink() == 1);
        self.unsynced.fetch_add(found.map_or(0, |found| found.len()), Ordering::SeqCst);
        Disk.remove(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.call()?;
        let Some(total) = *self.capacity.lock().unwrap() else { return Disk.space(path) };
        let used = used(path) + self.unsynced.load(Ordering::SeqCst);
        Ok(Space { available: total.saturating_sub(used), total })
    }
}

/// The bytes of the files in a directory.
fn used(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().metadata().map_or(0, |found| found.len())).sum()
}

/// A store with a keeper, a clock and a diary.
pub(crate) struct Scene {
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) disk: Arc<FaultyDisk>,
    pub(crate) diary: Diary,
    _scratch: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Fault::None)
    }

    pub(crate) fn with(fault: Fault) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self {
            path: scratch.path().join("store"),
            clock: ManualClock::new(),
            disk: FaultyDisk::new(fault),
            diary: Diary::default(),
            _scratch: scratch,
        }
    }

    /// Four segments of 32 KiB, a year, no dictionary, no matter how full the disk is.
    pub(crate) fn options(&self) -> ManagerOptions {
        ManagerOptions {
            log_size_limit: 4 * SEGMENT,
            granularity: 4,
            dictionary_bytes: 0,
            free_bytes_min: Some(0),
            clock: Arc::<ManualClock>::clone(&self.clock),
            ..ManagerOptions::default()
        }
    }

    pub(crate) fn open(&self, options: &ManagerOptions) -> Keeper {
        let disk = Arc::<FaultyDisk>::clone(&self.disk);
        Keeper::open(disk, &self.path, options, &self.diary).unwrap()
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::open(&self.path).unwrap()
    }

    /// The numbers of the segments.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let segments = self.directory().segments().unwrap();
        segments.into_iter().map(|segment| segment.number).collect()
    }

    /// The bytes of all segments together.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.directory().segments().unwrap();
        segments.iter().map(|segment| fs::metadata(&segment.path).unwrap().len()).sum()
    }

    pub(crate) fn read(&self) -> NaiveStore {
        read(&self.path)
    }
}

/// The size of a segment under [`Scene::options`].
pub(crate) const SEGMENT: u64 = 32 << 10;

/// Everything in the store, decoded in the most obvious way.
pub(crate) fn read(store: &Path) -> NaiveStore {
    let segments = Directory::open(store).unwrap().segments().unwrap();
    let bytes = |path: &PathBuf| fs::read(path).unwrap();
    let segments: Vec<_> = segments.iter().map(|s| (s.number, bytes(&s.path))).collect();
    NaiveStore::read(&segments)
}

/// Loggers that compress nothing, so that bytes can be counted.
pub(crate) fn raw() -> LoggerOptions {
    LoggerOptions { compression: false, ..LoggerOptions::default() }
}

/// Logs so many kilobytes, in records of one kilobyte.
pub(crate) fn log_kib(logger: &MasterLogger, kib: usize) {
    for n in 0..kib {
        logger.info(format!("{n:04} {}", "x".repeat(1010)));
    }
    logger.flush().unwrap();
}

/// Logs so many kilobytes into the newest segment of the store and leaves it.
pub(crate) fn fill(store: &Path, kib: usize) {
    let logger = MasterLogger::open(store, raw()).unwrap();
    log_kib(&logger, kib);
    logger.close().unwrap();
}

/// Fills and rotates so many segments.
pub(crate) fn grow(scene: &Scene, keeper: &mut Keeper, segments: u64) {
    for _ in 0..segments {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
    }
}
