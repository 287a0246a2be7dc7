//! From header to header through a segment, a batch of blocks at a time.
//!
//! What the scan of `logq-format` cannot know without reading everything is settled here: which
//! blocks to read in full because they may be torn although a header follows them.

use std::collections::HashMap;
use std::ops::Range;

use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Claims, DecodeError, GapCause, Scan, Step, SyncMarker,
    Timestamp, Window, WriterId,
};

use crate::report::{Cause, Gap};
use crate::segment::{Head, Segment};
use crate::view::View;

/// A block as a hop finds it.
#[derive(Clone, Debug)]
pub(crate) struct Hopped {
    pub(crate) offset: u64,
    pub(crate) header: BlockHeader,
}

impl Hopped {
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.header.block_len() as u64)
    }
}

/// Consecutive blocks of a segment.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) blocks: Vec<Hopped>,
    pub(crate) gaps: Vec<Gap>,
    /// The blocks that gaps start with whose headers are intact.
    pub(crate) torn: Vec<Hopped>,
    /// The pings with claims among the blocks.
    pub(crate) pings: Vec<Ping>,
    /// Why it ends where it does.
    pub(crate) stop: Stop,
    pub(crate) bytes_read: u64,
}

/// A ping with claims.
#[derive(Debug)]
pub(crate) struct Ping {
    pub(crate) offset: u64,
    pub(crate) claims: Claims,
}

/// Why a batch ends where it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has enough: there may be more.
    #[default]
    Enough,
    /// What follows was not asked for.
    Offset,
    /// The segment ends.
    End,
}

/// When a batch is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    /// At the first block from this offset on.
    pub(crate) offset: u64,
    /// Behind the first claims.
    pub(crate) claims: bool,
    /// After so many blocks.
    pub(crate) blocks: usize,
}

/// A walk over the headers of a segment.
#[derive(Debug)]
pub(crate) struct Hop<'s> {
    view: View<'s>,
    marker: SyncMarker,
    scan: Scan,
    /// The times of the block before, for the gap that may follow it.
    before: Option<Timestamp>,
}

enum Found {
    Block(Hopped),
    Gap(Gap, Option<BlockHeader>),
    End,
}

impl<'s> Hop<'s> {
    /// A walk over the blocks from `start` on, where a block should start.
    pub(crate) fn new(segment: &'s Segment, head: &Head, start: u64) -> Self {
        let scan = Scan::new(head.marker, start..segment.len());
        Self { view: View::new(segment), marker: head.marker, scan, before: None }
    }

    /// The next blocks.
    pub(crate) fn batch(&mut self, until: Until) -> Batch {
        let mut batch = Batch::default();
        // The number of gaps behind which a block has been found.
        let mut bounded = 0;
        while batch.blocks.len() < until.blocks {
            match self.step() {
                Found::Block(block) if block.offset >= until.offset => {
                    batch.stop = Stop::Offset;
                    break;
                }
                Found::Gap(gap, _) if gap.range.start >= until.offset => {
                    batch.stop = Stop::Offset;
                    break;
                }
                Found::Gap(gap, header) => batch.gap(gap, header),
                Found::End => {
                    batch.stop = Stop::End;
                    break;
                }
                Found::Block(block) => {
                    let claims = self.claims(&block);
                    let offset = block.offset;
                    self.before = Some(block.header.min);
                    for gap in batch.gaps.iter_mut().skip(bounded) {
                        gap.span = gap.span.map(|(from, to)| (from, to.max(block.header.max)));
                    }
                    bounded = batch.gaps.len();
                    batch.blocks.push(block);
                    if let Some(claims) = claims {
                        batch.pings.push(Ping { offset, claims });
                        if until.claims {
                            break;
                        }
                    }
                }
            }
        }
        self.check_suspects(&mut batch);
        batch.bytes_read = self.view.take_bytes_read();
        self.view.release();
        batch
    }

    /// The next claims of a ping before the offset `to`.
    pub(crate) fn next_claims(&mut self, to: u64) -> Option<Claims> {
        loop {
            match self.step() {
                Found::Block(block) if block.offset < to => {
                    if let Some(claims) = self.claims(&block) {
                        return Some(claims);
                    }
                }
                Found::Gap(gap, _) if gap.range.start < to => {}
                _ => return None,
            }
        }
    }

    /// How many bytes were read or mapped since this was last asked.
    pub(crate) fn take_bytes_read(&mut self) -> u64 {
        self.view.take_bytes_read()
    }

    fn step(&mut self) -> Found {
        loop {
            match self.scan.step(self.view.window()) {
                Step::Block { offset, header } => return Found::Block(Hopped { offset, header }),
                Step::Gap(gap) => {
                    let header = gap.header.map(|header| *header);
                    let gap = self.gap(gap.range, gap.cause.into(), header.as_ref());
                    return Found::Gap(gap, header);
                }
                Step::End => return Found::End,
                Step::Need(range) => {
                    if let Err(cause) = self.view.fetch(range) {
                        return self.give_up(cause);
                    }
                }
            }
        }
    }

    /// Leaves the rest of the segment, which cannot be read any more.
    fn give_up(&mut self, cause: Cause) -> Found {
        let end = self.view.segment().len();
        let rest = self.scan.offset()..end;
        self.scan = Scan::new(self.marker, end..end);
        // What was there may be as late as anything.
        let gap = Gap { span: None, ..self.gap(rest, cause, None) };
        Found::Gap(gap, None)
    }

    fn gap(&self, range: Range<u64>, cause: Cause, header: Option<&BlockHeader>) -> Gap {
        let cause = match self.view.segment().head() {
            // The search for blocks started there because the file header is damaged.
            Ok(Head { header: Err(error), .. }) if range.start == 0 => {
                GapCause::Header(error.clone()).into()
            }
            _ => cause,
        };
        // A dictionary is no writer's, and its time is not that of any record.
        let header = header.filter(|header| header.kind != BlockKind::Dictionary);
        let from = header.map(|header| header.min).into_iter().chain(self.before).min();
        let to = header.map(|header| header.max).or(from);
        Gap {
            path: self.view.segment().path().to_owned(),
            range,
            cause,
            origin: header.map(|header| header.origin),
            sequences: header.map(sequences),
            span: from.zip(to),
        }
    }

    /// The claims of a ping that has some. Damaged ones claim nothing.
    fn claims(&mut self, block: &Hopped) -> Option<Claims> {
        if block.header.kind != BlockKind::Ping || block.header.body.stored_len == 0 {
            return None;
        }
        let stored = self.view.block(block.offset, &block.header).ok()?;
        let claims = Claims::decode_ping(&stored).ok()??;
        // Claims about bytes behind themselves cannot be known to be true.
        (claims.covered <= block.offset).then_some(claims)
    }

    /// Reads in full the blocks that may be torn although another block starts where they end, and
    /// replaces those that are torn by what is hidden in them.
    ///
    /// The bytes of a torn block's missing part are other writers' blocks. If by chance one of
    /// these ends where the torn block would have, the scan hops over all of them. But a block is
    /// torn only if its writer died, and then it is the writer's last one, or if the writer could
    /// write no more of it, and then it has written it again.
    fn check_suspects(&mut self, batch: &mut Batch) {
        for index in suspects(&batch.blocks).into_iter().rev() {
            let Some(block) = batch.blocks.get(index) else { continue };
            let Some(error) = self.content_error(block) else { continue };
            let blocks = self.inside(&block.clone(), error, batch);
            batch.blocks.splice(index..=index, blocks);
        }
    }

    fn content_error(&mut self, block: &Hopped) -> Option<DecodeError> {
        // What can no longer be read is found by whoever decodes the block.
        let stored = self.view.block(block.offset, &block.header).ok()?;
        stored.check_front().and_then(|()| stored.check_body()).err()
    }

    /// The blocks in a torn block; the gaps go to the batch.
    fn inside(&mut self, block: &Hopped, error: DecodeError, batch: &mut Batch) -> Vec<Hopped> {
        let mut blocks = Vec::new();
        for step in self.steps_inside(block, error) {
            match step {
                Step::Gap(gap) => {
                    let header = gap.header.map(|header| *header);
                    let gap = self.gap(gap.range, gap.cause.into(), header.as_ref());
                    batch.gap(gap, header);
                }
                Step::Block { offset, header } => {
                    let hidden = Hopped { offset, header };
                    match self.content_error(&hidden) {
                        None => blocks.push(hidden),
                        Some(error) => {
                            let cause = GapCause::Content(error).into();
                            let range = hidden.offset..hidden.end();
                            let gap = self.gap(range, cause, Some(&hidden.header));
                            batch.gap(gap, Some(hidden.header));
                        }
                    }
                }
                Step::Need(_) | Step::End => {}
            }
        }
        blocks
    }

    fn steps_inside(&mut self, block: &Hopped, error: DecodeError) -> Vec<Step> {
        let Ok(bytes) = self.view.get(block.offset..block.end()) else { return Vec::new() };
        let mut scan = Scan::inside(self.marker, block.offset, block.header.clone(), error);
        let window = Window { offset: block.offset, bytes };
        // The window has everything, so nothing more is needed.
        std::iter::from_fn(|| Some(scan.step(window)))
            .take_while(|step| !matches!(step, Step::End | Step::Need(_)))
            .collect()
    }
}

impl Batch {
    fn gap(&mut self, gap: Gap, header: Option<BlockHeader>) {
        if let Some(header) = header {
            self.torn.push(Hopped { offset: gap.range.start, header });
        }
        self.gaps.push(gap);
    }
}

/// The sequence numbers of a block's records.
pub(crate) fn sequences(header: &BlockHeader) -> Range<u64> {
    header.sequence..header.sequence.saturating_add(u64::from(header.records))
}

/// The indices of blocks to be read in full, ascending: those that may be torn, and those without
/// records, which are few.
fn suspects(blocks: &[Hopped]) -> Vec<usize> {
    let mut last: HashMap<WriterId, usize> = HashMap::new();
    let mut suspects = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        if block.header.kind != BlockKind::Data {
            // Nobody else would notice.
            suspects.push(index);
        }
        let Some(before) = last.insert(block.header.origin.writer, index) else { continue };
        if blocks.get(before).is_some_and(|earlier| !follows(&earlier.header, &block.header)) {
            suspects.push(before);
        }
    }
    suspects.extend(last.into_values());
    suspects.retain(|index| blocks.get(*index).is_some_and(|block| has_content(&block.header)));
    suspects.sort_unstable();
    suspects.dedup();
    suspects
}

/// Whether a writer that has written `earlier` would go on with `later`.
fn follows(earlier: &BlockHeader, later: &BlockHeader) -> bool {
    let sparse =
        earlier.flags.contains(BlockFlags::SPARSE) || later.flags.contains(BlockFlags::SPARSE);
    let expected = earlier.sequence + u64::from(earlier.records);
    !later.flags.contains(BlockFlags::RETRIED) && (sparse || later.sequence == expected)
}

fn has_content(header: &BlockHeader) -> bool {
    header.front_len() > 0 || header.body.stored_len > 0
}
