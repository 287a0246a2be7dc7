//! How a segment comes to be: written under a name nobody looks for, synced, then linked under its
//! own name, which fails if another process was faster. Nobody ever sees half a file header.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use logq_format::{
    Dictionary, FileHeader, Id, Predecessor, SyncMarker, Timestamp, VERSION, encode_dictionary,
    segment_name,
};
use nix::sys::statfs;

use crate::drafts::draft_name;
use crate::error::{Context, DirectoryError};
use crate::{Directory, DirectoryLock, SegmentFile, boot_id, lock, monotonic_us};

/// What is known of a segment before it exists.
#[derive(Clone, Debug)]
pub struct NewSegment {
    /// The present, by the wall clock.
    pub now: Timestamp,
    /// The dictionary its blocks are compressed with.
    pub dictionary: Option<Dictionary>,
    /// The dictionary of an older segment, of which a copy is kept behind the own one: without it all
    /// of that segment is lost where its dictionary is damaged. Without an own one none is kept.
    pub kept: Option<Dictionary>,
    /// How many more large steps of the wall clock there were than before the newest segment.
    pub clock_steps: u32,
}

impl NewSegment {
    /// A segment without a dictionary.
    pub fn at(now: Timestamp) -> Self {
        Self { now, dictionary: None, kept: None, clock_steps: 0 }
    }
}

/// A copy of a segment's dictionary is kept if the segment is so many times as large.
const WORTH_A_COPY: u64 = 32;

/// Whether a segment of so many bytes is worth a copy of its dictionary, which takes at most 3 % of
/// these bytes then.
pub fn is_worth_a_copy(segment_bytes: u64, dictionary: &Dictionary) -> bool {
    segment_bytes >= WORTH_A_COPY * dictionary.bytes().len() as u64
}

/// A segment that only its creator can see, until it is published.
///
/// Dropped without [`Draft::publish`] it leaves nothing behind. Its file is locked as long as it
/// lives, so that what a process that was killed left behind can be told from what another one is
/// still filling; see [`Directory::remove_abandoned_drafts`].
#[derive(Debug)]
pub struct Draft {
    directory: Directory,
    temporary: PathBuf,
    file: File,
    header: FileHeader,
    clock_steps: u32,
}

impl Directory {
    /// Creates the next segment and makes it visible to everyone.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be written to; nothing is left behind then.
    pub fn create_segment(
        &self,
        lock: &DirectoryLock,
        new: &NewSegment,
    ) -> Result<SegmentFile, DirectoryError> {
        self.draft_segment(new)?.publish(lock)
    }

    /// Creates a segment that nobody sees yet. It gets its number when it is published.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be written to; nothing is left behind then.
    pub fn draft_segment(&self, new: &NewSegment) -> Result<Draft, DirectoryError> {
        let random = random_bytes();
        let temporary = self.path().join(draft_name(Id(random)));
        let header = FileHeader {
            version: VERSION,
            file: Id(random),
            directory: Id::default(),
            segment: 0,
            created: new.now,
            created_monotonic_us: monotonic_us(),
            boot: boot_id(),
            marker: SyncMarker::from_random(fold(random_bytes())),
            predecessor: None,
            clock_epoch: 0,
            dictionary: new.dictionary.as_ref().map(Dictionary::id),
        };
        let mut head = header.encode().to_vec();
        // A reader takes the first one for the segment's own.
        let kept = new.dictionary.as_ref().and(new.kept.as_ref());
        for dictionary in new.dictionary.iter().chain(kept) {
            encode_dictionary(dictionary, new.now, header.marker, &mut head);
        }
        let file = self.storage().create(&temporary).context("create", &temporary)?;
        let clock_steps = new.clock_steps;
        let draft = Draft { directory: self.clone(), temporary, file, header, clock_steps };
        lock::try_exclusive(&draft.file, 0).context("lock", &draft.temporary)?;
        self.storage().write(&draft.file, &head).context("write", &draft.temporary)?;
        Ok(draft)
    }
}

impl Draft {
    /// The file: header and dictionaries are written, blocks follow.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The header so far; number, store and predecessor are filled in when it is published.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Dates the segment by a clock of the caller's instead of the machine's.
    #[must_use]
    pub fn created_at(mut self, boot: Id, monotonic_us: u64) -> Self {
        (self.header.boot, self.header.created_monotonic_us) = (boot, monotonic_us);
        self
    }

    /// Syncs the file and makes it the store's newest segment.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be synced or linked; nothing is left behind then.
    pub fn publish(mut self, _lock: &DirectoryLock) -> Result<SegmentFile, DirectoryError> {
        // A name can be taken although the lock is held, where someone copies files in.
        loop {
            let newest = self.directory.newest()?;
            let number = newest.as_ref().map_or(1, |newest| newest.number + 1);
            self.complete_header(number, newest.as_ref())?;
            let path = self.directory.path().join(segment_name(number, self.header.created));
            match self.directory.storage().link(&self.temporary, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => {
                    linked.context("create", &path)?;
                    self.directory.publish_newest(number);
                    self.directory.sync()?;
                    return Ok(SegmentFile { number, path });
                }
            }
        }
    }

    /// Syncs the file and makes it the segment of this name and number.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`], and where the name is taken.
    pub fn publish_as(
        mut self,
        _lock: &DirectoryLock,
        name: SegmentFile,
    ) -> Result<SegmentFile, DirectoryError> {
        let before = self.directory.segments()?.into_iter().rfind(|s| s.number < name.number);
        self.complete_header(name.number, before.as_ref())?;
        let storage = self.directory.storage();
        storage.link(&self.temporary, &name.path).context("create", &name.path)?;
        if self.directory.newest()?.as_ref() == Some(&name) {
            self.directory.publish_newest(name.number);
        }
        self.directory.sync()?;
        Ok(name)
    }

    fn complete_header(
        &mut self,
        number: u64,
        newest: Option<&SegmentFile>,
    ) -> Result<(), DirectoryError> {
        self.header.segment = number;
        self.header.directory = Id(random_bytes());
        self.header.clock_epoch = self.clock_steps;
        self.header.predecessor = None;
        // A damaged predecessor is no reason not to log: the chain just starts anew.
        let header_of = |segment| Some((segment, self.directory.header(segment).ok()?));
        if let Some((newest, header)) = newest.and_then(header_of) {
            self.header.directory = header.directory;
            self.header.clock_epoch = header.clock_epoch.saturating_add(self.clock_steps);
            let examined = self.directory.storage().examine(&newest.path);
            let len = examined.ok().map(|metadata| metadata.len());
            let predecessor = Predecessor { segment: newest.number, file: header.file, len };
            self.header.predecessor = Some(predecessor);
        }
        let storage = self.directory.storage();
        let written = storage.write_at(&self.file, &self.header.encode(), 0);
        written.context("write", &self.temporary)?;
        storage.sync(&self.file).context("sync", &self.temporary)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nothing more can be done about a file that cannot be removed; its name says what it is.
        let _ = self.directory.storage().remove(&self.temporary);
    }
}

fn random_bytes() -> [u8; 16] {
    uuid::Uuid::new_v4().into_bytes()
}

/// Eight bytes out of sixteen, so that a UUID's six fixed bits disappear among random ones.
fn fold(bytes: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let high = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
    (low ^ high).to_le_bytes()
}

/// Refuses file systems on which the kernel cannot make appends of several processes atomic.
///
/// The network file systems' clients look up the end of the file and write there in two steps
/// (nfs(5), open(2) on `O_APPEND`).
pub(crate) fn refuse_network(directory: &File, path: &Path) -> Result<(), DirectoryError> {
    let kind = statfs::fstatfs(directory).context("examine", path)?.filesystem_type();
    let network = [
        (statfs::NFS_SUPER_MAGIC, "NFS"),
        (statfs::SMB_SUPER_MAGIC, "SMB"),
        (statfs::FsType(0xFF53_4D42_u32 as _), "CIFS"),
        (statfs::FsType(0xFE53_4D42_u32 as _), "SMB"),
        (statfs::FsType(0x0102_1997), "9P"),
    ];
    match network.into_iter().find(|(magic, _)| *magic == kind) {
        Some((_, file_system)) => {
            Err(DirectoryError::Network { path: path.to_owned(), file_system })
        }
        None => Ok(()),
    }
}
