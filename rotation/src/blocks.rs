//! Walking the blocks of a segment with positioned reads, damage included.

use std::fs::File;
use std::io;
use std::ops::Range;

use logq_directory::{Directory, SegmentFile};
use logq_format::{BlockHeader, Scan, Step, StoredBlock, SyncMarker, Window};

/// Bytes read at once.
const WINDOW_LEN: u64 = 256 << 10;

/// A segment that is looked into.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) file: &'a File,
    pub(crate) marker: SyncMarker,
}

impl Segment<'_> {
    /// The bytes of `range`, fewer where the file ends within it.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        read(self.directory, self.file, range)
    }
}

/// Opens a segment for reading.
pub(crate) fn open(directory: &Directory, segment: &SegmentFile) -> io::Result<File> {
    directory.storage().open(&segment.path)
}

/// The bytes of `range`, fewer where the file ends within it.
pub(crate) fn read(directory: &Directory, file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match directory.storage().read_at(file, room, range.start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Drives a [`Scan`].
pub(crate) struct Blocks<'a> {
    segment: Segment<'a>,
    scan: Scan,
    end: u64,
    window_start: u64,
    window: Vec<u8>,
    window_len: u64,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(segment: Segment<'a>, range: Range<u64>) -> Self {
        let (scan, end) = (Scan::new(segment.marker, range.clone()), range.end);
        let (window_start, window, window_len) = (0, Vec::new(), WINDOW_LEN);
        Self { segment, scan, end, window_start, window, window_len }
    }

    /// Reads so many bytes at once.
    pub(crate) fn with_window(self, window_len: u64) -> Self {
        Self { window_len, ..self }
    }

    /// The next block or gap; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Step>> {
        loop {
            let window = Window { offset: self.window_start, bytes: &self.window };
            match self.scan.step(window) {
                Step::Need(range) => self.fill(range)?,
                Step::End => return Ok(None),
                step => return Ok(Some(step)),
            }
        }
    }

    /// The block at `offset`.
    pub(crate) fn block(
        &mut self,
        offset: u64,
        header: &BlockHeader,
    ) -> io::Result<StoredBlock<'_>> {
        let range = offset..offset + header.block_len() as u64;
        if self.window().get(range.clone()).is_none() {
            self.fill(range.clone())?;
        }
        let bytes = self.window().get(range).unwrap_or_default();
        StoredBlock::new(header.clone(), bytes).map_err(io::Error::other)
    }

    fn window(&self) -> Window<'_> {
        Window { offset: self.window_start, bytes: &self.window }
    }

    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        let end = range.end.max(range.start + self.window_len).min(self.end);
        self.window = self.segment.read(range.start..end)?;
        self.window_start = range.start;
        // Segments are never cut off; somebody did it all the same.
        let is_enough = self.window().get(range).is_some();
        if is_enough { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
