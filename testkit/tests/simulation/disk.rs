//! The model disk: real files in memory, except for what goes wrong. Appends are cut short, fail or
//! are the last thing that a process does; room runs out; a power failure takes from each segment
//! what was not synced, or leaves zeros in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use logq_directory::{Directory, Disk, Space, Storage};
use logq_format::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, FILE_HEADER_LEN, FileHeader};
use logq_writer::Io;

use crate::clock::Life;

/// What goes wrong with an append.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Only so many parts of 256 are written.
    Short(u8),
    /// Nothing is written.
    Error(i32),
    /// So many parts of 256 are written, then the process is killed.
    Kill(u8),
}

/// The disk that all processes share.
#[derive(Debug, Default)]
pub(crate) struct ModelDisk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes that there is still room for; `None` for any number.
    room: Option<u64>,
    /// For each segment how much of it is synced.
    synced: BTreeMap<Marker, u64>,
    /// For each segment the appends that were cut short.
    torn: BTreeMap<Marker, Vec<Range<u64>>>,
    /// Segments that a power failure has changed.
    struck: BTreeSet<Marker>,
}

/// What a segment is known by: inodes are used again, sync markers are not.
type Marker = [u8; 8];

fn marker(file: &File) -> io::Result<Marker> {
    let mut marker = [0; 8];
    file.read_exact_at(&mut marker, MARKER_OFFSET).map(|()| marker)
}

/// Where a file header holds the sync marker.
const MARKER_OFFSET: u64 = 104;

fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl ModelDisk {
    /// Leaves room for so many bytes, or for any number.
    pub(crate) fn set_room(&self, room: Option<u64>) {
        self.state.lock().unwrap().room = room;
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.state.lock().unwrap().room.is_some()
    }

    /// Whether these bytes of a segment are of appends that were cut short.
    pub(crate) fn is_torn(&self, segment: &Path, range: &Range<u64>) -> bool {
        let state = self.state.lock().unwrap();
        let marker = marker(&File::open(segment).unwrap()).unwrap();
        let torn = state.torn.get(&marker).map_or(&[][..], Vec::as_slice);
        // Several of them may lie side by side.
        let mut at = range.start;
        for one in torn {
            if one.contains(&at) {
                at = one.end;
            }
        }
        at >= range.end
    }

    /// Whether a power failure has changed the segment.
    pub(crate) fn is_struck(&self, segment: &Path) -> bool {
        let marker = marker(&File::open(segment).unwrap()).unwrap();
        self.state.lock().unwrap().struck.contains(&marker)
    }

    fn write(&self, mut file: &File, bytes: &[u8], part: u8) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let mut len = bytes.len();
        if part < u8::MAX {
            len = len * usize::from(part) / 256;
        }
        if let Some(room) = &mut state.room {
            if *room == 0 {
                return Err(os_error(nix::libc::ENOSPC));
            }
            len = len.min(usize::try_from(*room).unwrap());
            *room -= len as u64;
        }
        io::Write::write_all(&mut file, &bytes[..len])?;
        if len < bytes.len() && len > 0 {
            let end = file.metadata()?.len();
            state.torn.entry(marker(file)?).or_default().push(end - len as u64..end);
        }
        Ok(len)
    }

    /// How much of a segment survives a power failure for certain.
    pub(crate) fn synced(&self, path: &Path) -> u64 {
        let bytes = fs::read(path).unwrap();
        let head = head_len(&bytes) as u64;
        let marker = marker(&File::open(path).unwrap()).unwrap();
        self.state.lock().unwrap().synced.get(&marker).copied().unwrap_or_default().max(head)
    }

    /// The power fails: what was not synced is gone in part.
    pub(crate) fn fail_power(&self, store: &Path, random: &mut Rng) {
        for segment in Directory::open(store).unwrap().segments().unwrap() {
            let synced = self.synced(&segment.path);
            let file = OpenOptions::new().read(true).write(true).open(&segment.path).unwrap();
            let len = file.metadata().unwrap().len();
            let end = match random.u8(..3) {
                0 => synced,
                1 => len,
                _ => random.u64(synced..=len),
            };
            file.set_len(end).unwrap();
            let zeros = random.choice([0, 0, 20]).unwrap();
            let mut sector = synced;
            while sector < end {
                let next = (sector / 512 + 1) * 512;
                if random.u8(..100) < zeros {
                    let len = usize::try_from(next.min(end) - sector).unwrap();
                    file.write_all_at(&vec![0; len], sector).unwrap();
                }
                sector = next;
            }
            let mut state = self.state.lock().unwrap();
            let marker = marker(&file).unwrap();
            state.struck.insert(marker);
            // The machine writes everything back while it starts.
            state.synced.insert(marker, end);
        }
    }
}

/// The bytes that a segment was created with, which is synced before anyone sees it.
fn head_len(bytes: &[u8]) -> usize {
    let Ok(header) = FileHeader::decode(bytes) else { return bytes.len() };
    let rest = &bytes[FILE_HEADER_LEN..];
    let block = (rest.len() >= BLOCK_HEADER_LEN).then(|| BlockHeader::decode(rest, header.marker));
    match block {
        Some(Ok(block)) if block.kind == BlockKind::Dictionary => {
            FILE_HEADER_LEN + block.block_len()
        }
        _ => FILE_HEADER_LEN,
    }
}

/// One process's way to the disk.
#[derive(Debug)]
pub(crate) struct Port {
    disk: Arc<ModelDisk>,
    faults: Mutex<Vec<Fault>>,
    sync_fails: AtomicBool,
    life: Arc<Life>,
}

impl Port {
    pub(crate) fn new(disk: &Arc<ModelDisk>, life: &Arc<Life>) -> Self {
        Self {
            disk: Arc::clone(disk),
            faults: Mutex::default(),
            sync_fails: AtomicBool::new(false),
            life: Arc::clone(life),
        }
    }

    /// The next appends meet these faults, the last one first.
    pub(crate) fn break_with(&self, faults: &[Fault]) {
        *self.faults.lock().unwrap() = faults.to_vec();
    }

    /// The next sync fails.
    pub(crate) fn break_sync(&self) {
        self.sync_fails.store(true, Ordering::SeqCst);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.break_with(&[]);
        self.sync_fails.store(false, Ordering::SeqCst);
    }
}

impl Io for Port {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.life.check();
        let fault = self.faults.lock().unwrap().pop();
        match fault {
            None => self.disk.write(file, bytes, u8::MAX),
            Some(Fault::Short(part)) => self.disk.write(file, bytes, part.min(254)),
            Some(Fault::Error(code)) => Err(os_error(code)),
            Some(Fault::Kill(part)) => {
                self.disk.write(file, bytes, part.min(254))?;
                self.life.end();
                self.life.check();
                Ok(0)
            }
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.life.check();
        if self.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(os_error(nix::libc::EIO));
        }
        let (marker, len) = (marker(file)?, file.metadata()?.len());
        self.disk.state.lock().unwrap().synced.insert(marker, len);
        Ok(())
    }
}

/// The manager's way to the disk.
#[derive(Debug)]
pub(crate) struct ManagerDisk {
    /// The calls it still lives to make.
    left: AtomicU64,
}

impl ManagerDisk {
    pub(crate) fn new() -> Self {
        Self { left: AtomicU64::new(u64::MAX) }
    }

    /// The manager is killed after so many calls.
    pub(crate) fn die_after(&self, calls: u64) {
        self.left.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn call(&self) -> io::Result<()> {
        let spend = |left: u64| left.checked_sub(1);
        let spent = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
        spent.map(drop).map_err(|_| io::Error::other("the manager was killed"))
    }
}

impl Storage for ManagerDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.create_directory(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.call().and_then(|()| Disk.list(path))
    }

    fn examine(&self, path: &Path) -> io::Result<Metadata> {
        self.call().and_then(|()| Disk.examine(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| Disk.open(path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| Disk.create(path))
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call().and_then(|()| Disk.read_at(file, buffer, offset))
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.call().and_then(|()| Disk.write(file, bytes))
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.call().and_then(|()| Disk.write_at(file, bytes, offset))
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        self.call()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.remove(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.call().and_then(|()| Disk.space(path))
    }
}
