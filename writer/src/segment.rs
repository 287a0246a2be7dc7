//! A writer's hold on the segment it appends to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use logq_directory::{
    Directory, DirectoryLock, NewSegment, Place, Presence, SegmentFile, WriterEntry,
    present_writers, read_header,
};
use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Dictionary, FILE_HEADER_LEN, FileHeader, Level, Member,
    Origin, RecordType, StoredBlock, SyncMarker, Timestamp, TypeSet, WriterId, decode_dictionary,
    encode_sign_of_life, segment_number,
};

use crate::clock::Clock;
use crate::error::OpenError;
use crate::io::{Io, SystemIo};
use crate::observer::Observer;
use crate::queue::Encoding;

/// A step back of the wall clock up to this is absorbed; a larger one starts a new clock epoch.
pub(crate) const CLAMP_MAX_US: i64 = 2_000_000;

/// How many bytes of blocks may follow a ping with claims before the next one is due.
///
/// A reader searches by pings and then hops from block to block between two of them; four
/// megabytes are some 600 full blocks, a tenth of a millisecond.
const CLAIMS_EVERY: u64 = 4 << 20;

/// Where a logger writes: a store, or one segment of it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    directory: Directory,
    segment: Option<SegmentFile>,
}

impl Target {
    /// A directory is a store; a path with a segment's name is that segment; any other path that
    /// does not exist becomes a store.
    pub(crate) fn new(path: &Path) -> Result<Self, OpenError> {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(segment_number);
        // In a file header the number 0 stands for "no segment".
        if let Some(number) = number.filter(|number| *number > 0)
            && !path.is_dir()
        {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = Directory::create(parent.unwrap_or(Path::new(".")))?;
            let segment = Some(SegmentFile { number, path: path.to_owned() });
            return Ok(Self { directory, segment });
        }
        if path.is_file() {
            return Err(OpenError::NotAStore { path: path.to_owned() });
        }
        Ok(Self { directory: Directory::create(path)?, segment: None })
    }

    /// Whether the newest segment of the store is meant, whichever that is.
    pub(crate) fn is_store(&self) -> bool {
        self.segment.is_none()
    }

    /// When the directory was last changed: a new segment changes it.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(self.directory.path()).and_then(|metadata| metadata.modified()).ok()
    }

    /// The number of the newest segment.
    pub(crate) fn newest_number(&self) -> Option<u64> {
        self.directory.newest().ok().flatten().map(|newest| newest.number)
    }

    /// The whole store, of which any segment will do.
    pub(crate) fn store(&self) -> Self {
        Self { directory: self.directory.clone(), segment: None }
    }
}

/// Who joins, and what it knows about time.
#[derive(Clone, Copy)]
pub(crate) struct Joining<'a> {
    pub(crate) origin: Origin,
    /// The sequence number of its next record.
    pub(crate) sequence: u64,
    /// The earliest time it will write.
    pub(crate) now: Timestamp,
    /// The clock, if that time may still be raised: to the present once the lock is held, however
    /// long that takes, and a little, to the segment's watermark.
    pub(crate) clock: Option<&'a dyn Clock>,
}

impl Joining<'_> {
    /// What is joined with, at a moment when the directory lock is held.
    fn at_present(self) -> Self {
        let present = self.clock.map_or(self.now, Clock::now);
        Self { now: self.now.max(present), ..self }
    }
}

/// A segment that this writer has joined and may append to.
#[derive(Debug)]
pub(crate) struct Segment {
    directory: Directory,
    path: PathBuf,
    number: u64,
    file: File,
    marker: SyncMarker,
    dictionary: Option<Dictionary>,
    observer: Observer,
    origin: Origin,
    /// The latest time of this writer's blocks in the segment, or its floor.
    last: Timestamp,
    /// The number of the first record that this writer has not appended anywhere yet.
    next_sequence: u64,
    presence: Presence,
    /// What other processes call the file.
    place: Option<Place>,
}

impl Segment {
    /// Joins the newest segment of the target's store, or the one it names; creates one where
    /// there is none, where it cannot be appended to, and where times before its watermark would
    /// have to be written.
    pub(crate) fn join(target: &Target, joining: &Joining<'_>) -> Result<Self, OpenError> {
        let directory = &target.directory;
        let lock = directory.lock()?;
        let joining = &joining.at_present();
        let existing = match &target.segment {
            Some(segment) if segment.path.exists() => Some(segment.clone()),
            Some(segment) => {
                let draft = directory.draft_segment(&NewSegment::at(joining.now))?;
                Some(draft.publish_as(&lock, segment.clone())?)
            }
            None => directory.newest()?,
        };
        if let Some(existing) = existing
            && let Some(opened) = Opened::new(&existing)?
            && opened.admits(joining)
        {
            if directory.newest()?.is_none_or(|newest| newest.path != opened.path) {
                // It may be one that readers take for finished.
                let forgotten = directory.forget_catalogue(&lock);
                let (operation, path) = ("go on in", opened.path.clone());
                forgotten.map_err(|source| OpenError::Segment { operation, path, source })?;
            }
            return Self::enter(directory, &lock, opened, joining);
        }
        Self::create(directory, &lock, joining)
    }

    /// Joins a segment that is created for it: the newest one is not to be appended to.
    pub(crate) fn join_new(target: &Target, joining: &Joining<'_>) -> Result<Self, OpenError> {
        let lock = target.directory.lock()?;
        Self::create(&target.directory, &lock, &joining.at_present())
    }

    fn create(
        directory: &Directory,
        lock: &DirectoryLock,
        joining: &Joining<'_>,
    ) -> Result<Self, OpenError> {
        let created = directory.create_segment(lock, &NewSegment::at(joining.now))?;
        let opened = Opened::new(&created)?.ok_or_else(|| OpenError::Segment {
            operation: "read",
            path: created.path.clone(),
            source: io::Error::from(io::ErrorKind::InvalidData),
        })?;
        Self::enter(directory, lock, opened, joining)
    }

    /// Appends the join. After that the writer may append blocks with times from its floor on.
    fn enter(
        directory: &Directory,
        lock: &DirectoryLock,
        opened: Opened,
        joining: &Joining<'_>,
    ) -> Result<Self, OpenError> {
        let presence = directory.enter(lock, &opened.file)?;
        let floor = joining.now.max(opened.earliest(joining));
        let member = Member {
            origin: joining.origin,
            floor,
            sequence: joining.sequence,
            pid: std::process::id(),
            slot: presence.slot(),
        };
        // Only the control page tells it.
        let place = directory.place_of(opened.header.segment, &opened.file).ok();
        let mut segment = Self {
            directory: directory.clone(),
            path: opened.path,
            number: opened.header.segment,
            file: opened.file,
            marker: opened.header.marker,
            dictionary: opened.dictionary,
            observer: opened.observer,
            origin: joining.origin,
            last: floor,
            next_sequence: joining.sequence,
            presence,
            place,
        };
        let mut block = Vec::new();
        member.encode_join(segment.marker, &mut block);
        segment
            .append(&SystemIo, &mut block)
            .map_err(|source| segment.error("write to", source))?;
        Ok(segment)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The store that the segment belongs to.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What other processes see of this writer.
    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What the control page is to say of this writer: nothing earlier than `floor` follows here.
    pub(crate) fn entry(&self, floor: Timestamp, is_pending: bool) -> Option<WriterEntry> {
        let (slot, origin, pid) = (self.presence.slot(), self.origin, std::process::id());
        self.place.map(|place| WriterEntry { slot, origin, pid, floor, is_pending, place })
    }

    /// The segment's number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the file has no name any more: whatever is appended now is lost.
    pub(crate) fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether the other one is a later segment of the same store.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.directory.path() == other.directory.path() && self.number < other.number
    }

    /// Whether this is the segment that `target` stands for now.
    pub(crate) fn is_at(&self, target: &Target) -> bool {
        use std::os::unix::fs::MetadataExt;
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let newest = || target.directory.newest().ok().flatten();
        let meant = target.segment.clone().or_else(newest);
        let meant = meant.and_then(|meant| std::fs::metadata(meant.path).ok());
        let present = self.file.metadata().ok();
        present.map(identity).zip(meant.map(identity)).is_some_and(|(a, b)| a == b)
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The time before which this writer will append nothing more.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    /// The number of the writer's next record to be appended: what readers see of the ones that are
    /// still on their way is nothing, and nothing must make them look for those.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Goes on where the writer has left the segment before.
    pub(crate) fn continue_from(&mut self, before: &Self) {
        self.next_sequence = before.next_sequence;
        self.last = self.last.max(before.last);
    }

    /// Appends one block with one write.
    ///
    /// # Errors
    ///
    /// The block stays with the caller, marked as RETRIED, to be appended again as a whole.
    pub(crate) fn append(&mut self, io: &dyn Io, block: &mut [u8]) -> io::Result<()> {
        append_block(io, &self.file, self.marker, block)?;
        if let Ok(header) = BlockHeader::decode(block, self.marker) {
            self.last = self.last.max(header.max);
            let behind = header.sequence.saturating_add(u64::from(header.records));
            self.next_sequence = self.next_sequence.max(behind);
        }
        Ok(())
    }

    /// Whether so much was appended since the last ping with claims that another one is due.
    ///
    /// Right after an append the file's position is the end of the own block, so this costs one
    /// cheap system call.
    pub(crate) fn owes_claims(&mut self) -> bool {
        use std::io::Seek;
        let position = self.file.stream_position().unwrap_or(0);
        position.saturating_sub(self.observer.last_claims()) > CLAIMS_EVERY
    }

    /// Appends a ping with claims, unless another process is doing so right now.
    ///
    /// `promise` is a time before which this writer will append nothing more, if it can say so.
    /// Unless `always`, nothing is appended where another process was faster.
    pub(crate) fn state_claims(
        &mut self,
        io: &dyn Io,
        promise: Option<Timestamp>,
        always: bool,
    ) -> Result<(), OpenError> {
        let Some(_lock) = self.directory.try_lock()? else { return Ok(()) };
        // Who is dead now will append nothing behind what is read next.
        let gone = self.gone()?;
        let end = self.len()?;
        self.observer.advance(&self.file, end).map_err(|source| self.error("read", source))?;
        gone.into_iter().for_each(|(writer, slot)| self.observer.remove(writer, slot));
        if !always && end.saturating_sub(self.observer.last_claims()) <= CLAIMS_EVERY {
            return Ok(());
        }

        let time = promise.unwrap_or(self.last).max(self.last);
        let mut block = Vec::new();
        let claims = self.observer.claims();
        claims.encode_ping(self.origin, time, self.next_sequence, self.marker, &mut block);
        self.append(io, &mut block).map_err(|source| self.error("write to", source))?;
        let end = self.len()?;
        self.observer.advance(&self.file, end).map_err(|source| self.error("read", source))
    }

    /// The members whose locks are free: in the lock file, and in the segment, which knows of those
    /// too whose lock file was deleted.
    fn gone(&self) -> Result<Vec<(WriterId, u32)>, OpenError> {
        let present =
            present_writers(&self.file).map_err(|source| self.error("examine", source))?;
        let mut gone = Vec::new();
        for Member { origin, slot, .. } in self.observer.members() {
            // The kernel does not tell us of our own locks.
            let is_known = *slot == 0 || *slot == self.presence.slot();
            if !is_known
                && !present.iter().any(|present| present.slot == *slot)
                && !self.directory.is_slot_held(*slot)?
            {
                gone.push((origin.writer, *slot));
            }
        }
        Ok(gone)
    }

    /// Appends a bare ping: nothing earlier than `time` will follow from this writer.
    pub(crate) fn show_life(
        &mut self,
        io: &dyn Io,
        time: Timestamp,
        flags: BlockFlags,
    ) -> io::Result<()> {
        let (sequence, mut block) = (self.next_sequence, Vec::new());
        encode_sign_of_life(self.origin, time, sequence, flags, self.marker, &mut block);
        self.append(io, &mut block)
    }

    /// Makes what was appended survive a power failure.
    pub(crate) fn sync(&self, io: &dyn Io) -> io::Result<()> {
        io.sync(&self.file)
    }

    /// Whether a block of this segment has records that the policy `OnCritical` is about.
    pub(crate) fn is_critical(&self, block: &[u8]) -> bool {
        let lifecycle = TypeSet::EMPTY
            .with(RecordType::WorkerLifecycle)
            .with(RecordType::MasterLifecycle)
            .with(RecordType::UncaughtException)
            .with(RecordType::WorkerSpawned)
            .with(RecordType::WorkerExited);
        BlockHeader::decode(block, self.marker).is_ok_and(|header| {
            header.levels.contains(Level::Critical) || header.types.intersects(lifecycle)
        })
    }

    /// How blocks are encoded for this segment.
    pub(crate) fn encoding(&self, compression: bool) -> Encoding {
        let (marker, origin) = (self.marker, self.origin);
        Encoding { marker, origin, dictionary: self.dictionary.clone(), compression }
    }

    fn len(&self) -> Result<u64, OpenError> {
        let metadata = self.file.metadata().map_err(|source| self.error("examine", source))?;
        Ok(metadata.len())
    }

    fn error(&self, operation: &'static str, source: io::Error) -> OpenError {
        OpenError::Segment { operation, path: self.path.clone(), source }
    }
}

/// A segment that could be joined.
struct Opened {
    path: PathBuf,
    file: File,
    header: FileHeader,
    dictionary: Option<Dictionary>,
    observer: Observer,
}

impl Opened {
    /// Opens a segment for appending; `None` if this version must not append to it, because its
    /// header or dictionary is damaged or of another version.
    fn new(segment: &SegmentFile) -> Result<Option<Self>, OpenError> {
        let error = |operation| {
            let path = segment.path.clone();
            move |source| OpenError::Segment { operation, path, source }
        };
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).open(&segment.path).map_err(error("open"))?;
        let Ok(header) = read_header(&file, &segment.path) else { return Ok(None) };
        let dictionary = match header.dictionary {
            None => None,
            Some(id) => match read_dictionary(&file, header.marker) {
                Some(dictionary) if dictionary.id() == id => Some(dictionary),
                _ => return Ok(None),
            },
        };
        let end = file.metadata().map_err(error("examine"))?.len();
        let observer = Observer::of(&file, header.marker, end).map_err(error("read"))?;
        Ok(Some(Self { path: segment.path.clone(), file, header, dictionary, observer }))
    }

    /// The earliest time that this writer may write here: after the watermark, and after what it
    /// promised when it joined before, without having gone on here then.
    fn earliest(&self, joining: &Joining<'_>) -> Timestamp {
        let before = self.observer.member(joining.origin.writer);
        let promised = before.map_or(Timestamp::MIN, |member| member.floor);
        self.observer.watermark().max(promised)
    }

    /// Whether this writer may write here: a clock that is a little behind is clamped, one that is
    /// far behind needs a segment of its own.
    fn admits(&self, joining: &Joining<'_>) -> bool {
        let slack = if joining.clock.is_some() { CLAMP_MAX_US } else { 0 };
        let earliest = self.earliest(joining).saturating_add_micros(-slack);
        joining.now >= earliest && self.header.version == logq_format::VERSION
    }
}

fn read_dictionary(file: &File, marker: SyncMarker) -> Option<Dictionary> {
    use std::os::unix::fs::FileExt;

    const LEN: usize = logq_format::BLOCK_HEADER_LEN + logq_format::limits::DICTIONARY_BYTES_MAX;
    let mut bytes = vec![0; LEN];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, (FILE_HEADER_LEN + filled) as u64).ok()? {
            0 => break,
            read => filled += read,
        }
    }
    let bytes = bytes.get(..filled)?;
    let header = BlockHeader::decode(bytes, marker).ok()?;
    if header.kind != BlockKind::Dictionary {
        return None;
    }
    decode_dictionary(&StoredBlock::new(header, bytes).ok()?).ok()
}

/// Appends `block` with one write, so that blocks of several processes never mix.
///
/// A write that takes only a part leaves a torn block behind, which readers skip; the rest must not
/// be written after it, since another process may have appended meanwhile. So the whole block goes
/// out once more, and on an error it is left to the caller, marked as RETRIED.
fn append_block(io: &dyn Io, file: &File, marker: SyncMarker, block: &mut [u8]) -> io::Result<()> {
    const ATTEMPTS: usize = 3;
    let mut failure = io::Error::from(io::ErrorKind::WriteZero);
    for _ in 0..ATTEMPTS {
        match io.append(file, block) {
            Ok(written) if written == block.len() => return Ok(()),
            Ok(_) => mark_retried(marker, block),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failure = error;
                mark_retried(marker, block);
                break;
            }
        }
    }
    Err(failure)
}

fn mark_retried(marker: SyncMarker, block: &mut [u8]) {
    if let Ok(mut header) = BlockHeader::decode(block, marker) {
        header.flags = header.flags.with(BlockFlags::RETRIED);
        header.overwrite(marker, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_format::WriterId;

    use std::sync::Mutex;

    /// A disk that takes only so many bytes of each write, then refuses.
    struct Stingy {
        bytes: Mutex<Vec<u8>>,
        accepts: Mutex<Vec<Result<usize, io::ErrorKind>>>,
    }

    impl Io for Stingy {
        fn append(&self, _file: &File, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.accepts.lock().unwrap().remove(0)?.min(bytes.len());
            self.bytes.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn sync(&self, _file: &File) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(
        accepts: &[Result<usize, io::ErrorKind>],
        expected: Result<(), io::ErrorKind>,
    ) -> Vec<u8> {
        let marker = SyncMarker::from_random([5; 8]);
        let origin = Origin { writer: WriterId(1), worker: None };
        let mut block = Vec::new();
        let none = BlockFlags::NONE;
        encode_sign_of_life(origin, Timestamp::MIN, 0, none, marker, &mut block);
        let disk = Stingy { bytes: Mutex::default(), accepts: Mutex::new(accepts.to_vec()) };
        let file = File::open("/dev/null").unwrap();
        let result = append_block(&disk, &file, marker, &mut block);
        assert_eq!(result.map_err(|error| error.kind()), expected);
        let retried = BlockHeader::decode(&block, marker).unwrap().flags;
        let clean = accepts.first() == Some(&Ok(usize::MAX));
        assert_eq!(retried.contains(BlockFlags::RETRIED), !clean);
        let bytes = disk.bytes.into_inner().unwrap();
        if expected.is_ok() {
            assert!(bytes.ends_with(&block), "the whole block stands at the end");
        }
        bytes
    }

    #[test]
    fn a_short_write_is_followed_by_the_whole_block() {
        use io::ErrorKind::{Interrupted, StorageFull, WriteZero};
        const ALL: Result<usize, io::ErrorKind> = Ok(usize::MAX);
        check(&[ALL], Ok(()));
        assert_eq!(check(&[Ok(10), ALL], Ok(())).len(), 10 + 72);
        check(&[Ok(10), Err(StorageFull)], Err(StorageFull));
        check(&[Err(StorageFull)], Err(StorageFull));
        check(&[Ok(1), Err(Interrupted), ALL], Ok(()));
        check(&[Ok(0), Ok(0), Ok(0)], Err(WriteZero));
    }
}
