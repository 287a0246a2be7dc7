//! One segment that may still grow, or of which something is still to be handed out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logq_format::{BlockFlags, BlockHeader, BlockKind, Member, Timestamp, WriterId};

use super::account::Account;
use super::pending::Pending;
use crate::cursor::position::{End, HIGHEST, file_of};
use crate::hop::{Batch, Hop, Hopped, Until, sequences};
use crate::report::{Cause, Gap};
use crate::rows::Rank;
use crate::scale::{BATCH_BLOCKS_MAX, STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::seek::Seek;
use crate::segment::{Head, Segment};
use crate::source::{self, FileSource, identity};
use crate::view::View;

/// A segment that is kept open.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) path: PathBuf,
    pub(super) store: usize,
    pub(super) number: u64,
    /// `None` where there are too many of them.
    file: Option<Arc<File>>,
    identity: (u64, u64),
    head: Option<Head>,
    /// The bytes that are considered.
    pub(super) len: u64,
    /// The bytes whose headers have been read; ends where a block ends.
    scanned: u64,
    /// Who may still append to it.
    pub(super) members: BTreeMap<WriterId, Tenant>,
    /// Nothing before this is appended, as far as pings claim.
    watermark: Timestamp,
    /// Up to which offset everything up to which rank has been handed out: offsets ascend, ranks
    /// descend.
    pub(super) parts: Vec<(u64, Rank)>,
    /// Whether blocks of records are noted below.
    collects: bool,
    pub(super) pending: Pending,
    /// Its name is gone: nobody appends any more.
    pub(super) is_deleted: bool,
    /// There was a later segment already when it was last measured. Only the newest segment is
    /// joined, so all who may append to this one are known.
    pub(super) is_superseded: bool,
    was_unreadable: bool,
}

/// A writer of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenant {
    member: Member,
    /// Everything it appends has this time or a later one, and this number or a higher one.
    pub(super) floor: Timestamp,
    pub(super) next: u64,
}

impl Tenant {
    fn of(member: Member) -> Self {
        Self { member, floor: member.floor, next: member.sequence }
    }

    pub(super) fn member(&self) -> Member {
        Member { floor: self.floor, sequence: self.next, ..self.member }
    }
}

impl Tracked {
    /// Opens the segment at `path`. With `collects`, blocks of records are noted as pending.
    pub(super) fn open(
        path: &Path,
        store: usize,
        number: Option<u64>,
        collects: bool,
    ) -> io::Result<Self> {
        let (file, metadata) = source::open(path)?;
        let mut tracked = Self {
            path: path.to_owned(),
            store,
            number: number.unwrap_or(0),
            file: Some(Arc::new(file)),
            identity: identity(&metadata),
            head: None,
            len: metadata.len(),
            scanned: 0,
            members: BTreeMap::new(),
            watermark: Timestamp::MIN,
            parts: Vec::new(),
            collects,
            pending: Pending::default(),
            is_deleted: false,
            is_superseded: false,
            was_unreadable: false,
        };
        if number.is_none() {
            tracked.number = tracked.segment().number().unwrap_or(0);
        }
        Ok(tracked)
    }

    /// The segment as far as it is considered.
    pub(super) fn segment(&self) -> Segment {
        let path = Arc::from(self.path.as_path());
        let source = FileSource::of(&path, self.file.clone(), self.identity, self.len);
        let segment = Segment::new(path, self.store, source);
        match &self.head {
            Some(head) => segment.with_head(Ok(head.clone())),
            None => segment,
        }
    }

    /// Whether the path still leads to this file.
    pub(super) fn is_at_its_path(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Whether the file has another length than is considered.
    pub(super) fn has_grown(&self) -> bool {
        self.file_len().is_ok_and(|len| len != self.len)
    }

    /// Opens the file only to read it from now on.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// How long the file is now. One that is closed and not there any more is as long as it was.
    fn file_len(&self) -> io::Result<u64> {
        match &self.file {
            Some(file) => Ok(file.metadata()?.len()),
            None => {
                let found = fs::metadata(&self.path).ok();
                let same = found.filter(|found| identity(found) == self.identity);
                Ok(same.map_or(self.len, |found| found.len()))
            }
        }
    }

    /// Whether something may be appended to it, by all that its blocks tell.
    pub(super) fn may_grow(&self) -> bool {
        !self.is_deleted && (!self.is_superseded || !self.members.is_empty())
    }

    /// Looks how long the file is now; answers whether that has changed.
    pub(super) fn measure(&mut self, account: &mut Account) -> io::Result<bool> {
        let len = self.file_len()?;
        if len < self.len {
            let cause = Cause::Truncated;
            account.gap(self.gap(len..self.len, cause));
            self.scanned = self.scanned.min(len);
            self.pending.truncate(len);
            self.parts.iter_mut().for_each(|(end, _)| *end = (*end).min(len));
        }
        let has_changed = len != self.len;
        self.len = len;
        Ok(has_changed)
    }

    /// Reads the headers of what is new.
    pub(super) fn observe(&mut self, account: &mut Account) {
        let segment = self.segment();
        let head = match segment.head() {
            Ok(head) => head,
            Err(cause) => return self.refuse(cause.clone(), account),
        };
        self.head = Some(head.clone());
        let mut hop = Hop::new(&segment, head, self.scanned.max(head.start));
        let mut view = View::new(&segment);
        loop {
            let until = Until { offset: u64::MAX, claims: false, blocks: BATCH_BLOCKS_MAX };
            let batch = hop.batch(until);
            let is_last = batch.blocks.len() < BATCH_BLOCKS_MAX;
            self.take(batch, is_last, &mut view, account);
            if is_last {
                break;
            }
        }
    }

    fn refuse(&mut self, cause: Cause, account: &mut Account) {
        if !self.was_unreadable && self.len > 0 {
            self.was_unreadable = true;
            account.gap(self.gap(0..self.len, cause));
        }
    }

    fn gap(&self, range: Range<u64>, cause: Cause) -> Gap {
        let path = self.path.clone();
        Gap { path, range, cause, origin: None, sequences: None, span: None }
    }

    /// Takes note of blocks. A gap at the end of a file that may grow is looked at again.
    fn take(&mut self, batch: Batch, is_last: bool, view: &mut View<'_>, account: &mut Account) {
        let end = batch.blocks.iter().map(Hopped::end).max();
        for gap in batch.gaps {
            if !is_last || self.is_deleted || end.is_some_and(|end| gap.range.start < end) {
                account.gap(gap);
            }
        }
        account.bytes(batch.bytes_read);
        for ping in &batch.pings {
            self.watermark = self.watermark.max(ping.claims.watermark);
        }
        for block in &batch.blocks {
            account.block(self.store, &block.header);
            self.note(block, view);
            if self.collects && block.header.kind == BlockKind::Data && block.header.records > 0 {
                self.pending.push(block);
            }
        }
        self.scanned = end.map_or(self.scanned, |end| end.max(self.scanned));
    }

    /// Takes note of what a block tells of its writer.
    fn note(&mut self, block: &Hopped, view: &mut View<'_>) {
        let header = &block.header;
        if header.kind == BlockKind::Join
            && let Ok(stored) = view.block(block.offset, header)
            && let Ok(member) = Member::decode_join(&stored)
        {
            // Slots are handed on only once their holder is gone.
            self.members.retain(|_, old| old.member.slot != member.slot || member.slot == 0);
            self.members.insert(member.origin.writer, Tenant::of(member));
        }
        let writer = header.origin.writer;
        if header.flags.contains(BlockFlags::LEAVING) {
            self.members.remove(&writer);
        } else if let Some(tenant) = self.members.get_mut(&writer) {
            tenant.raise(header);
        }
    }

    /// Learns who may append, from the last claims and what follows them, as if everything had been
    /// read.
    pub(super) fn begin(&mut self, account: &mut Account) {
        let segment = self.segment();
        let head = match segment.head() {
            Ok(head) => head,
            Err(cause) => return self.refuse(cause.clone(), account),
        };
        self.head = Some(head.clone());
        let (batch, covered) = last_blocks(&segment, head);
        let claims = batch.pings.iter().rev().find(|ping| ping.claims.covered >= covered);
        if let Some(ping) = claims {
            self.watermark = ping.claims.watermark;
            let tenant = |member: &Member| (member.origin.writer, Tenant::of(*member));
            self.members = ping.claims.roster.iter().map(tenant).collect();
        }
        let since = claims.map_or(covered, |ping| ping.claims.covered);
        let mut view = View::new(&segment);
        let mut last: BTreeMap<WriterId, &BlockHeader> = BTreeMap::new();
        for block in &batch.blocks {
            last.insert(block.header.origin.writer, &block.header);
            if block.offset >= since {
                self.note(block, &mut view);
            }
        }
        last.into_values().for_each(|header| account.begin(self.store, header));
        let end = batch.blocks.iter().map(Hopped::end).max();
        self.scanned = end.unwrap_or(covered).min(self.len);
    }

    /// Notes as pending what may be ranked `floor` or above, of what has been read.
    pub(super) fn collect(&mut self, floor: Rank) {
        let segment = self.segment();
        let Ok(head) = segment.head() else { return };
        self.pending = Pending::default();
        let start = Seek::new(&segment, head).start_of(floor.0);
        let mut hop = Hop::new(&segment, head, start);
        loop {
            let until = Until { offset: self.scanned, claims: false, blocks: BATCH_BLOCKS_MAX };
            let batch = hop.batch(until);
            for block in &batch.blocks {
                let is_data = block.header.kind == BlockKind::Data && block.header.records > 0;
                if is_data && block.header.max >= floor.0 {
                    self.pending.push(block);
                }
            }
            if batch.blocks.len() < BATCH_BLOCKS_MAX {
                break;
            }
        }
        self.pending.drop_below(floor);
    }

    /// Everything that has been read has been handed out up to `rank`.
    pub(super) fn advance(&mut self, rank: Rank) {
        self.parts.retain(|(_, other)| *other > rank);
        if self.known() < self.scanned {
            self.parts.push((self.scanned, rank));
        }
    }

    /// Everything before `end` has been handed out.
    pub(super) fn advance_to(&mut self, end: u64) {
        self.parts = vec![(end, HIGHEST)];
    }

    /// Up to where anything has been handed out.
    pub(super) fn known(&self) -> u64 {
        self.parts.last().map_or(0, |(end, _)| *end)
    }

    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Its first `len` bytes, for cursors.
    pub(super) fn end(&self, len: u64) -> End {
        End { number: self.number, file: file_of(&self.segment()), len }
    }

    /// The parts of a range, each with the rank up to which it has been handed out.
    pub(super) fn split(&self, range: Range<u64>) -> Vec<(Range<u64>, Option<Rank>)> {
        let mut split = Vec::new();
        let mut start = range.start;
        for (end, rank) in &self.parts {
            let end = (*end).min(range.end);
            if end > start {
                split.push((start..end, Some(*rank)));
                start = end;
            }
        }
        if start < range.end {
            split.push((start..range.end, None));
        }
        split
    }

    /// Everything before `known` has been handed out before.
    pub(super) fn skip_to(&mut self, known: u64) {
        self.scanned = known;
        self.advance_to(known);
    }

    /// The writers that may still append, with what pings claim of all of them.
    pub(super) fn tenants(&self) -> impl Iterator<Item = Tenant> {
        let watermark = self.watermark;
        self.members
            .values()
            .map(move |tenant| Tenant { floor: tenant.floor.max(watermark), ..*tenant })
    }

    /// Nobody appends any more, as its name is gone.
    pub(super) fn delete(&mut self, account: &mut Account) {
        if !self.is_deleted {
            self.is_deleted = true;
            // A moment ago somebody may have written to it.
            if self.measure(account).is_ok() {
                self.observe(account);
            }
            self.members.clear();
        }
    }
}

impl Tenant {
    fn raise(&mut self, header: &BlockHeader) {
        self.floor = self.floor.max(header.max);
        self.next = self.next.max(sequences(header).end);
    }
}

/// No record of a segment is later, as far as claims and headers at its end tell.
pub(super) fn latest(segment: &Segment) -> Timestamp {
    let Ok(head) = segment.head() else { return Timestamp::MIN };
    let (batch, _) = last_blocks(segment, head);
    let claimed = batch.pings.iter().map(|ping| ping.claims.now);
    let seen = batch.blocks.iter().map(|block| block.header.max);
    claimed.chain(seen).max().unwrap_or(Timestamp::MIN)
}

/// The blocks from somewhere before the last claims on, and where they start. Without claims near the
/// end, all of them.
fn last_blocks(segment: &Segment, head: &Head) -> (Batch, u64) {
    let mut seek = Seek::new(segment, head);
    let mut stride = STRIDE_BYTES;
    loop {
        let from = segment.len().saturating_sub(stride).max(head.start);
        let from = if stride > STRIDE_BYTES_MAX { head.start } else { from };
        if let Some(start) = seek.first_block(from, segment.len()) {
            let mut hop = Hop::new(segment, head, start);
            let until = Until { offset: u64::MAX, claims: false, blocks: usize::MAX };
            let batch = hop.batch(until);
            let is_told = batch.pings.iter().any(|ping| ping.claims.covered >= start);
            if is_told || start == head.start {
                return (batch, start);
            }
        } else if from == head.start {
            return (Batch::default(), head.start);
        }
        stride = stride.saturating_mul(2);
    }
}
