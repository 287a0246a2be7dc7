//! One segment of a snapshot: its bytes, and what its first bytes tell about the rest.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use logq_directory::Finished;
use logq_format::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, DecodeError, Dictionary, FILE_HEADER_LEN, FileHeader,
    FormatVersion, GapCause, Id, StoredBlock, SyncMarker, Timestamp, decode_dictionary,
    recover_marker, segment_number,
};

use crate::hop::{Hop, Hopped, Stop, Until};
use crate::report::Cause;
use crate::scale::BATCH_BLOCKS_MAX;
use crate::source::{Bytes, Fetch, FileSource};

/// How far into a segment with a damaged header a block is looked for, to learn the marker from.
const RECOVERY_BYTES: u64 = 1 << 20;

/// The version of the format that began to store sections of requests in spines.
const SECTIONS_SINCE: FormatVersion = FormatVersion { major: 1, minor: 1 };

/// One segment of a snapshot.
#[derive(Debug)]
pub(crate) struct Segment {
    path: Arc<Path>,
    /// The store it belongs to: writers go on from segment to segment of one store.
    store: usize,
    source: Held,
    /// Its length a moment before the snapshot, if that is known.
    len_before: Option<u64>,
    /// Boxed because most segments of a large store are not looked into.
    head: OnceLock<Box<Result<Head, Cause>>>,
    /// Told by whoever has looked at the end of it.
    extent: OnceLock<Extent>,
    /// What a catalogue says of it.
    told: Option<Told>,
    /// Blocks were left out of it on purpose: jumps in sequences mean nothing.
    is_selection: bool,
}

/// The bytes of a segment. Files are held in place: a large store has thousands of them, most of which
/// are never read.
#[derive(Debug)]
pub(crate) enum Held {
    File(FileSource),
    Other(Box<dyn Fetch>),
}

impl From<FileSource> for Held {
    fn from(file: FileSource) -> Self {
        Self::File(file)
    }
}

impl<F: Fetch + 'static> From<Box<F>> for Held {
    fn from(source: Box<F>) -> Self {
        Self::Other(source)
    }
}

/// What the first bytes of a segment tell.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// What every block starts with.
    pub(crate) marker: SyncMarker,
    /// Where the first block starts, or where to begin to look for it.
    pub(crate) start: u64,
    /// The file header, or what is wrong with it.
    pub(crate) header: Result<FileHeader, DecodeError>,
}

/// Between which times all records of a segment lie, as far as that is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// None is earlier.
    pub(crate) from: Option<Timestamp>,
    /// None is later.
    pub(crate) to: Option<Timestamp>,
}

/// What a catalogue says of a segment of this name and length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) finished: Finished,
    /// Whether it is about this file for certain; otherwise its header has to have the identity.
    pub(crate) is_certain: bool,
}

impl Extent {
    fn of(finished: &Finished) -> Self {
        let (from, to) = finished.times.unwrap_or((Timestamp::MAX, Timestamp::MIN));
        Self { from: Some(from), to: Some(to) }
    }
}

impl Segment {
    pub(crate) fn new(path: impl Into<Arc<Path>>, store: usize, source: impl Into<Held>) -> Self {
        let (path, source, len_before, told) = (path.into(), source.into(), None, None);
        let (head, extent) = (OnceLock::new(), OnceLock::new());
        Self { path, store, source, len_before, head, extent, told, is_selection: false }
    }

    /// A segment of a store's listing, which had this length a moment before and of which a catalogue
    /// may say something.
    pub(crate) fn listed(
        path: Arc<Path>,
        store: usize,
        source: FileSource,
        len_before: u64,
        told: Option<Told>,
    ) -> Self {
        let (source, len_before) = (Held::File(source), Some(len_before));
        let (head, extent) = (OnceLock::new(), OnceLock::new());
        Self { path, store, source, len_before, head, extent, told, is_selection: false }
    }

    /// Whether its blocks store the sections of requests where that pays.
    pub(crate) fn stores_sections(&self) -> bool {
        let header = self.head().ok().and_then(|head| head.header.as_ref().ok());
        header.is_some_and(|header| header.version >= SECTIONS_SINCE)
    }

    /// What is known of it, if nobody appends to it any more. May cost a look at its header.
    pub(crate) fn finished(&self) -> Option<&Finished> {
        let told = self.told.as_ref()?;
        let is_it = || self.identity().is_some_and(|(_, file)| file == told.finished.file);
        if !told.is_certain && !is_it() {
            return None;
        }
        if !told.is_certain {
            self.tell_extent(Extent::of(&told.finished));
        }
        Some(&told.finished)
    }

    /// The same segment, whose first bytes have been read before.
    pub(crate) fn with_head(self, head: Result<Head, Cause>) -> Self {
        Self { head: OnceLock::from(Box::new(head)), ..self }
    }

    /// Tells between which times all of its records lie.
    pub(crate) fn tell_extent(&self, extent: Extent) {
        // Whoever told it first has seen the same bytes.
        let _ = self.extent.set(extent);
    }

    /// Whether it is known to have no record of [since, until).
    pub(crate) fn is_outside(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        let extent = match self.told {
            Some(Told { finished, is_certain: true }) => Extent::of(&finished),
            _ => self.extent.get().copied().unwrap_or_default(),
        };
        since.zip(extent.to).is_some_and(|(since, to)| to < since)
            || until.zip(extent.from).is_some_and(|(until, from)| until <= from)
    }

    /// The same segment, of which blocks were left out on purpose.
    pub(crate) fn selected(self) -> Self {
        Self { is_selection: true, ..self }
    }

    /// Whether blocks were left out of it on purpose, so that jumps in sequences mean nothing.
    pub(crate) fn is_selection(&self) -> bool {
        self.is_selection
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its number, by its name or else by its header; `None` if neither tells.
    pub(crate) fn number(&self) -> Option<u64> {
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        let number = name.and_then(|name| segment_number(&name));
        number.or_else(|| Some(self.head().ok()?.header.as_ref().ok()?.segment))
    }

    /// The identities of its store and of its file, unless its header is damaged.
    pub(crate) fn identity(&self) -> Option<(Id, Id)> {
        let header = self.head().ok()?.header.as_ref().ok()?;
        Some((header.directory, header.file))
    }

    pub(crate) fn store(&self) -> usize {
        self.store
    }

    pub(crate) fn source(&self) -> &dyn Fetch {
        match &self.source {
            Held::File(file) => file,
            Held::Other(other) => other.as_ref(),
        }
    }

    /// The number of bytes when the snapshot was taken.
    pub(crate) fn len(&self) -> u64 {
        self.source().len()
    }

    /// The number of bytes a moment before; see [`crate::listing`].
    pub(crate) fn len_before(&self) -> u64 {
        self.len_before.unwrap_or(u64::MAX).min(self.len())
    }

    /// What the first bytes tell; read once. An error concerns the whole segment.
    pub(crate) fn head(&self) -> Result<&Head, &Cause> {
        self.head.get_or_init(|| Box::new(self.read_head())).as_ref().as_ref()
    }

    fn read_head(&self) -> Result<Head, Cause> {
        let bytes = self.source().read(0..self.len().min(FILE_HEADER_LEN as u64), Vec::new())?;
        let error = match FileHeader::decode(&bytes) {
            Ok(header) => {
                let (marker, start) = (header.marker, FILE_HEADER_LEN as u64);
                return Ok(Head { marker, start, header: Ok(header) });
            }
            Err(error) => error,
        };
        let damaged = Cause::Damaged(GapCause::Header(error.clone()));
        // What a newer version wrote is not to be guessed at.
        if matches!(error, DecodeError::Newer { .. }) {
            return Err(damaged);
        }
        let bytes = self.source().read(0..self.len().min(RECOVERY_BYTES), Vec::new())?;
        match recover_marker(&bytes) {
            Some(marker) => Ok(Head { marker, start: 0, header: Err(error) }),
            None => Err(damaged),
        }
    }

    /// Which dictionary the segment's blocks need, as far as its header tells.
    pub(crate) fn dictionary_id(&self) -> Option<u32> {
        self.head().ok()?.header.as_ref().ok()?.dictionary
    }

    /// Whether this may be the dictionary that the segment's blocks need: of a segment whose header is
    /// damaged it may be any. May cost a look at the header.
    pub(crate) fn may_have_dictionary(&self, id: u32) -> bool {
        match self.head().map(|head| &head.header) {
            Ok(Ok(header)) => header.dictionary == Some(id),
            Ok(Err(_)) => true,
            Err(_) => false,
        }
    }

    /// The dictionary that the segment's first block holds, if it does.
    ///
    /// Reading it takes some time; see `Dictionaries`.
    pub(crate) fn read_dictionary(&self) -> Option<Dictionary> {
        let head = self.head().ok()?;
        if matches!(&head.header, Ok(header) if header.dictionary.is_none()) {
            return None;
        }
        let header = self.dictionary_header(FILE_HEADER_LEN as u64)?;
        let dictionary = self.dictionary_block(FILE_HEADER_LEN as u64, header)?;
        match &head.header {
            Ok(header) if header.dictionary != Some(dictionary.id()) => None,
            _ => Some(dictionary),
        }
    }

    /// The copy of another segment's dictionary that is kept behind the own one.
    pub(crate) fn read_kept_dictionary(&self, id: u32) -> Option<Dictionary> {
        let start = FILE_HEADER_LEN as u64;
        let start = start + self.dictionary_header(start)?.block_len() as u64;
        let header = self.dictionary_header(start)?;
        self.dictionary_block(start, header).filter(|dictionary| dictionary.id() == id)
    }

    /// A copy of the segment's own dictionary, wherever in it that is. Hops through all of it.
    pub(crate) fn find_dictionary(&self, id: u32) -> Option<Dictionary> {
        let head = self.head().ok()?;
        let mut hop = Hop::new(self, head, head.start);
        loop {
            let batch =
                hop.batch(Until { offset: u64::MAX, claims: false, blocks: BATCH_BLOCKS_MAX });
            let copy = |block: &Hopped| {
                let header = Some(&block.header).filter(|h| h.kind == BlockKind::Dictionary)?;
                let found = self.dictionary_block(block.offset, header.clone())?;
                Some(found).filter(|dictionary| dictionary.id() == id)
            };
            let found = batch.blocks.iter().find_map(copy);
            if found.is_some() || batch.stop != Stop::Enough {
                return found;
            }
        }
    }

    /// The header of the DICTIONARY block that starts there, if one does.
    fn dictionary_header(&self, start: u64) -> Option<BlockHeader> {
        let bytes = self.read_part(start, BLOCK_HEADER_LEN as u64)?;
        let header = BlockHeader::decode(&bytes, self.head().ok()?.marker).ok()?;
        Some(header).filter(|header| header.kind == BlockKind::Dictionary)
    }

    fn dictionary_block(&self, start: u64, header: BlockHeader) -> Option<Dictionary> {
        let block = self.read_part(start, header.block_len() as u64)?;
        decode_dictionary(&StoredBlock::new(header, &block).ok()?).ok()
    }

    fn read_part(&self, start: u64, len: u64) -> Option<Bytes<'_>> {
        self.source().read(start..start.saturating_add(len).min(self.len()), Vec::new()).ok()
    }
}
