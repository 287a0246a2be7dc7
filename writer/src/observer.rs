//! What is known about a segment that other processes append to as well: its writers, the latest
//! time in it, and what can be claimed about it in a ping.
//!
//! Everything here is read from the segment itself, never guessed from a clock, so that a claim
//! is a fact whatever the clocks of the writers do.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Claims, FILE_HEADER_LEN, GapCause, Member, Scan, Step,
    StoredBlock, SyncMarker, Timestamp, Window, WriterId, find_block,
};

/// Bytes read at once while hopping through a segment.
const WINDOW_LEN: u64 = 256 << 10;

/// How far from the end a joining writer looks for a ping before it reads the whole segment.
///
/// Pings are never further apart than about half of this.
const TAIL_LEN: u64 = 12 << 20;

/// The state of one segment up to an offset.
#[derive(Debug)]
pub(crate) struct Observer {
    marker: SyncMarker,
    /// Everything before has been seen.
    offset: u64,
    now: Timestamp,
    watermark: Timestamp,
    members: HashMap<WriterId, Member>,
    /// A header was unreadable: a writer may exist that nothing is known about.
    blind: bool,
    /// Where the last ping with claims starts; 0 before the first.
    last_claims: u64,
}

impl Observer {
    /// Learns the state of the first `end` bytes of a segment.
    ///
    /// Costs a look at the last megabytes where pings are regular, else at the whole segment.
    pub(crate) fn of(file: &File, marker: SyncMarker, end: u64) -> io::Result<Self> {
        let head = FILE_HEADER_LEN as u64;
        let mut observer = Self {
            marker,
            offset: head,
            now: Timestamp::MIN,
            watermark: Timestamp::MIN,
            members: HashMap::new(),
            blind: false,
            last_claims: 0,
        };
        if let Some((offset, claims)) = last_claims(file, marker, head, end)? {
            observer.offset = claims.covered;
            observer.now = claims.now;
            observer.watermark = claims.watermark;
            observer.last_claims = offset;
            observer.members =
                claims.roster.into_iter().map(|member| (member.origin.writer, member)).collect();
        }
        observer.advance(file, end)?;
        Ok(observer)
    }

    /// Takes note of everything up to `end`, the length of the file now.
    pub(crate) fn advance(&mut self, file: &File, end: u64) -> io::Result<()> {
        let mut reader = BlockReader::new(file, self.marker, self.offset..end);
        while let Some(step) = reader.next()? {
            match step {
                Step::Block { offset, header } => {
                    let block_end = offset + header.block_len() as u64;
                    self.note(&mut reader, offset, &header)?;
                    self.offset = block_end;
                }
                // In flight: it is looked at again once it is complete.
                Step::Gap(gap) if gap.cause == GapCause::Unfinished => break,
                Step::Gap(gap) => {
                    // A torn block of a known writer hides nobody.
                    let writer = gap.header.as_ref().map(|header| header.origin.writer);
                    self.blind |= writer.is_none_or(|writer| !self.members.contains_key(&writer));
                    self.offset = gap.range.end;
                }
                Step::Need(_) | Step::End => break,
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        reader: &mut BlockReader<'_>,
        offset: u64,
        header: &BlockHeader,
    ) -> io::Result<()> {
        match header.kind {
            BlockKind::Join => match Member::decode_join(&reader.block(offset, header)?) {
                // Slots are handed on only once their holder is gone.
                Ok(joined) => {
                    self.members.retain(|_, member| member.slot != joined.slot || joined.slot == 0);
                    self.members.insert(joined.origin.writer, joined);
                }
                Err(_) => self.blind = true,
            },
            BlockKind::Data | BlockKind::Ping => {
                if header.kind == BlockKind::Data {
                    self.now = self.now.max(header.max);
                }
                self.note_writer(header);
                if header.kind == BlockKind::Ping
                    && let Ok(Some(claims)) = Claims::decode_ping(&reader.block(offset, header)?)
                {
                    self.last_claims = offset;
                    self.watermark = self.watermark.max(claims.watermark);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_writer(&mut self, header: &BlockHeader) {
        let writer = header.origin.writer;
        if header.flags.contains(BlockFlags::LEAVING) {
            self.members.remove(&writer);
            return;
        }
        let unknown =
            Member { origin: header.origin, floor: header.max, sequence: 0, pid: 0, slot: 0 };
        let member = self.members.entry(writer).or_insert(unknown);
        member.floor = member.floor.max(header.max);
        member.sequence = header.sequence.saturating_add(u64::from(header.records));
    }

    /// The writers that may still append.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Strikes a writer off that is known to be gone from its slot. It may have joined anew.
    pub(crate) fn remove(&mut self, writer: WriterId, slot: u32) {
        if self.member(writer).is_some_and(|member| member.slot == slot) {
            self.members.remove(&writer);
        }
    }

    /// What is known of a writer, if it may still append.
    pub(crate) fn member(&self, writer: WriterId) -> Option<&Member> {
        self.members.get(&writer)
    }

    /// The largest watermark stated so far: whoever joins must not write anything earlier.
    pub(crate) fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Where the last ping with claims starts; 0 before the first.
    pub(crate) fn last_claims(&self) -> u64 {
        self.last_claims
    }

    /// What can be claimed about the segment as far as it was seen.
    pub(crate) fn claims(&self) -> Claims {
        let floor = self.members.values().map(|member| member.floor).min();
        let provable = if self.blind { Timestamp::MIN } else { floor.unwrap_or(self.now) };
        let mut roster: Vec<_> = self.members.values().copied().collect();
        roster.sort_by_key(|member| member.origin);
        Claims {
            covered: self.offset,
            now: self.now,
            watermark: self.watermark.max(provable),
            roster,
        }
    }
}

/// The last ping with claims among the last megabytes, with its offset.
fn last_claims(
    file: &File,
    marker: SyncMarker,
    head: u64,
    end: u64,
) -> io::Result<Option<(u64, Claims)>> {
    let start = end.saturating_sub(TAIL_LEN).max(head);
    let mut tail = Vec::new();
    read_range(file, start..end, &mut tail)?;
    let mut last = None;
    let mut from = 0;
    while let Some(found) = find_block(&tail, from, marker) {
        let bytes = tail.get(found..).unwrap_or_default();
        let block =
            BlockHeader::decode(bytes, marker).and_then(|header| StoredBlock::new(header, bytes));
        from = found + 1;
        if let Ok(block) = block {
            if block.header().kind == BlockKind::Ping
                && let Ok(Some(claims)) = Claims::decode_ping(&block)
            {
                last = Some((start + found as u64, claims));
            }
            from = found + block.header().block_len();
        }
    }
    Ok(last)
}

/// Drives a [`Scan`] with positioned reads.
struct BlockReader<'a> {
    file: &'a File,
    scan: Scan,
    end: u64,
    window_start: u64,
    window: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    fn new(file: &'a File, marker: SyncMarker, range: Range<u64>) -> Self {
        let scan = Scan::new(marker, range.clone());
        Self { file, scan, end: range.end, window_start: 0, window: Vec::new() }
    }

    /// The next block or gap; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Step>> {
        loop {
            let window = Window { offset: self.window_start, bytes: &self.window };
            match self.scan.step(window) {
                Step::Need(range) => self.fill(range)?,
                Step::End => return Ok(None),
                step => return Ok(Some(step)),
            }
        }
    }

    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        let end = range.end.max(range.start + WINDOW_LEN).min(self.end);
        self.window_start = range.start;
        read_range(self.file, range.start..end, &mut self.window)
    }

    /// The block at `offset`, read into the window.
    fn block(&mut self, offset: u64, header: &BlockHeader) -> io::Result<StoredBlock<'_>> {
        let range = offset..offset + header.block_len() as u64;
        let window = Window { offset: self.window_start, bytes: &self.window };
        if window.get(range.clone()).is_none() {
            self.fill(range.clone())?;
        }
        let window = Window { offset: self.window_start, bytes: &self.window };
        let bytes = window.get(range).unwrap_or_default();
        StoredBlock::new(header.clone(), bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error))
    }
}

/// Reads exactly the bytes of `range` into `buffer`.
fn read_range(file: &File, range: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    buffer.clear();
    buffer.resize(len, 0);
    file.read_exact_at(buffer, range.start)
}
