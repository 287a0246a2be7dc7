//! The control page: a small file beside the segments in which writers tell each other, and
//! readers, what saves them from looking further.
//!
//! Everything in it is either a hint (the number of the newest segment) or a fact that stays true
//! (what a writer will never do again). So an old copy of the page misleads nobody, and without the
//! page everything is found out in slower ways. `format/FORMAT.md` has its bytes.
//!
//! It is read and written by position and never mapped: where somebody truncates it, that ends in
//! an entry nobody understands and not in a signal. Nothing waits for it, nothing is locked, and its
//! operations are not among those of [`crate::Storage`]: at no point does it matter whether one of
//! them happened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use logq_format::{Id, Origin, Timestamp, WorkerId, WriterId};
use nix::libc;

use crate::fields::Fields;
use crate::{Directory, boot_id};

/// The name of the page.
const CONTROL_FILE: &str = "control";

/// Bytes of an entry: 32 of them to a page of memory, and none crosses two.
const ENTRY_LEN: usize = 128;

/// Where the checksum of an entry is.
const CRC_OFFSET: usize = ENTRY_LEN - 4;

/// Entry 0, about the store.
const STORE_MAGIC: [u8; 8] = *b"LQCstor\x01";

/// Entry n, about the writer that has slot n.
const WRITER_MAGIC: [u8; 8] = *b"LQCwrtr\x01";

/// Bytes of a page that are read: an entry for each slot there can be.
const PAGE_BYTES_MAX: u64 = 65_536 * ENTRY_LEN as u64;

/// How the master's worker number is stored, as in a member of a roster.
const MASTER: u32 = u32::MAX;

/// An open control page.
#[derive(Debug)]
pub struct ControlPage {
    file: File,
    /// Its inode, which each entry repeats: those in a copy of a page speak of another store.
    inode: u64,
}

/// What a writer tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterEntry {
    /// Its slot.
    pub slot: u32,
    /// Who it is.
    pub origin: Origin,
    /// Its process.
    pub pid: u32,
    /// A promise for good: what it appends to its segment from now on has this time or a later one.
    pub floor: Timestamp,
    /// Whether records waited to be written when this was told, the oldest of them with the time
    /// `floor`.
    pub is_pending: bool,
    /// Where it appends.
    pub place: Place,
}

/// A segment as the processes of one machine know it, whatever happens to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// The device that the segment is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// The inode of the lock file in which the writer holds its slot.
    pub lock_inode: u64,
    /// The boot of the machine, without which device and inode mean nothing; zero if unknown.
    pub boot: Id,
}

impl Directory {
    /// Opens the control page, or begins a new one.
    ///
    /// # Errors
    ///
    /// Fails where there is something other than a file, or it cannot be opened or created. A writer
    /// goes on without it then.
    pub fn control_page(&self) -> io::Result<ControlPage> {
        self.open_control(OpenOptions::new().read(true).write(true).create(true).mode(0o600))
    }

    /// The entries of all writers that the page tells of; none where it cannot be read.
    pub fn writer_entries(&self) -> Vec<WriterEntry> {
        let opened = self.open_control(OpenOptions::new().read(true));
        opened.and_then(|page| page.writers()).unwrap_or_default()
    }

    /// Tells everyone the number of the store's newest segment. What fails is found out in other
    /// ways.
    pub(crate) fn publish_newest(&self, number: u64) {
        let _ = self.control_page().and_then(|page| page.publish_segment(number));
    }

    /// What processes on this machine call the file of a segment.
    ///
    /// # Errors
    ///
    /// Fails where the segment cannot be examined.
    pub fn place_of(&self, segment: u64, file: &File) -> io::Result<Place> {
        let found = file.metadata()?;
        Ok(Place {
            segment,
            device: found.dev(),
            inode: found.ino(),
            lock_inode: self.lock_inode().unwrap_or(0),
            boot: boot_id(),
        })
    }

    /// The inode of the lock file, if there is one.
    pub fn lock_inode(&self) -> Option<u64> {
        std::fs::symlink_metadata(self.lock_path()).ok().map(|found| found.ino())
    }

    fn open_control(&self, options: &mut OpenOptions) -> io::Result<ControlPage> {
        // Neither a link that leads elsewhere nor a pipe on which opening would wait.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = options.custom_flags(flags).open(self.path().join(CONTROL_FILE))?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(ControlPage { file, inode: found.ino() })
    }
}

impl ControlPage {
    /// The number of the newest segment, as far as the page knows; a hint.
    pub fn current_segment(&self) -> Option<u64> {
        decode_store(&self.entry_bytes(0)?)
    }

    /// Tells everyone which segment to write to.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2).
    pub fn publish_segment(&self, number: u64) -> io::Result<()> {
        self.file.write_all_at(&encode_store(number), 0)
    }

    /// What the page says of the writer with this slot.
    pub fn writer(&self, slot: u32) -> Option<WriterEntry> {
        self.decode(&self.entry_bytes(slot)?, slot)
    }

    /// Tells everyone of a writer: one small write at its own place.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2).
    pub fn publish(&self, entry: &WriterEntry) -> io::Result<()> {
        self.file.write_all_at(&entry.encode(self.inode), offset_of(entry.slot))
    }

    fn writers(&self) -> io::Result<Vec<WriterEntry>> {
        let mut bytes = Vec::new();
        (&self.file).take(PAGE_BYTES_MAX).read_to_end(&mut bytes)?;
        let entries = bytes.chunks_exact(ENTRY_LEN).zip(0_u32..);
        let known = |(bytes, slot): (&[u8], u32)| self.decode(bytes.try_into().ok()?, slot);
        Ok(entries.filter_map(known).collect())
    }

    /// The entry of this slot, if these bytes are one and were written here.
    fn decode(&self, bytes: &[u8; ENTRY_LEN], slot: u32) -> Option<WriterEntry> {
        let (entry, inode) = WriterEntry::decode(bytes)?;
        Some(entry).filter(|entry| entry.slot == slot && inode == self.inode)
    }

    fn entry_bytes(&self, slot: u32) -> Option<[u8; ENTRY_LEN]> {
        let mut bytes = [0; ENTRY_LEN];
        self.file.read_exact_at(&mut bytes, offset_of(slot)).ok()?;
        Some(bytes)
    }
}

fn offset_of(slot: u32) -> u64 {
    u64::from(slot) * ENTRY_LEN as u64
}

fn encode_store(number: u64) -> [u8; ENTRY_LEN] {
    sealed([&STORE_MAGIC[..], &number.to_le_bytes()])
}

fn decode_store(bytes: &[u8; ENTRY_LEN]) -> Option<u64> {
    unsealed(bytes, STORE_MAGIC)?.u64()
}

impl WriterEntry {
    fn encode(&self, page_inode: u64) -> [u8; ENTRY_LEN] {
        let worker = self.origin.worker.map_or(MASTER, WorkerId::get);
        let Place { segment, device, inode, lock_inode, boot } = self.place;
        sealed([
            &WRITER_MAGIC[..],
            &self.slot.to_le_bytes(),
            &self.origin.writer.0.to_le_bytes(),
            &worker.to_le_bytes(),
            &self.pid.to_le_bytes(),
            &self.floor.as_micros().to_le_bytes(),
            &u64::from(self.is_pending).to_le_bytes(),
            &segment.to_le_bytes(),
            &device.to_le_bytes(),
            &inode.to_le_bytes(),
            &lock_inode.to_le_bytes(),
            &boot.0,
            &page_inode.to_le_bytes(),
        ])
    }

    /// The entry and the inode of the page that it was written to.
    fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<(Self, u64)> {
        let mut fields = unsealed(bytes, WRITER_MAGIC)?;
        let slot = fields.u32()?;
        let writer = WriterId(fields.u32()?);
        let worker = match fields.u32()? {
            MASTER => None,
            number => Some(WorkerId::new(number)?),
        };
        let pid = fields.u32()?;
        let floor = Timestamp::checked_from_micros(fields.u64()?.cast_signed())?;
        let is_pending = fields.u64()? == 1;
        let [segment, device] = [fields.u64()?, fields.u64()?];
        let [inode, lock_inode] = [fields.u64()?, fields.u64()?];
        let place = Place { segment, device, inode, lock_inode, boot: Id(fields.array()?) };
        let origin = Origin { writer, worker };
        Some((Self { slot, origin, pid, floor, is_pending, place }, fields.u64()?))
    }
}

/// An entry of these fields, zeros behind them, and the checksum.
fn sealed<const N: usize>(fields: [&[u8]; N]) -> [u8; ENTRY_LEN] {
    let mut bytes = [0; ENTRY_LEN];
    let (content, crc) = bytes.split_at_mut(CRC_OFFSET);
    // The fields fit: a test compares the bytes of each kind of entry.
    for (to, from) in content.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    crc.copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    bytes
}

/// The fields of an entry that is intact and of this kind.
fn unsealed(bytes: &[u8; ENTRY_LEN], magic: [u8; 8]) -> Option<Fields<'_>> {
    let (content, crc) = bytes.split_at(CRC_OFFSET);
    let is_intact = crc32c::crc32c(content).to_le_bytes() == crc;
    is_intact.then(|| content.strip_prefix(&magic[..]))?.map(|rest| Fields { rest })
}

#[cfg(test)]
mod tests;
