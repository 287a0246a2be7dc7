//! Who may still append to a segment, as its joins, pings and signs of leaving tell.

use std::collections::HashMap;
use std::io;

use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Claims, FILE_HEADER_LEN, GapCause, Member, Step,
    StoredBlock, WriterId, find_block,
};

use crate::blocks::{Blocks, Segment};

/// How far from the end the last ping with claims is looked for before the whole segment is read.
///
/// Writers place them at most about half as far apart.
const TAIL_LEN: u64 = 12 << 20;

/// What is known about a segment up to an offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// Everything before has been seen.
    offset: u64,
    members: HashMap<WriterId, Member>,
    raw_bytes: u64,
}

impl Watch {
    /// Knows nothing yet; [`Self::advance`] starts with the first block.
    pub(crate) fn from_start() -> Self {
        Self { offset: FILE_HEADER_LEN as u64, ..Self::default() }
    }

    /// Knows what the last ping before `end` claims; [`Self::advance`] goes on from there.
    pub(crate) fn from_last_claims(segment: Segment<'_>, end: u64) -> io::Result<Self> {
        let Some(claims) = last_claims(segment, end)? else { return Ok(Self::from_start()) };
        let member = |member: Member| (member.origin.writer, member);
        let members = claims.roster.into_iter().map(member).collect();
        Ok(Self { offset: claims.covered, members, raw_bytes: 0 })
    }

    /// Takes note of everything up to `end`, or until `raw_bytes_max` raw bytes have been seen.
    pub(crate) fn advance(
        &mut self,
        segment: Segment<'_>,
        end: u64,
        raw_bytes_max: u64,
    ) -> io::Result<()> {
        let mut blocks = Blocks::new(segment, self.offset..end.max(self.offset));
        while self.raw_bytes < raw_bytes_max
            && let Some(step) = blocks.next()?
        {
            match step {
                Step::Block { offset, header } => {
                    self.note(&mut blocks, offset, &header)?;
                    self.offset = offset + header.block_len() as u64;
                }
                // In flight: it is looked at again once it is complete.
                Step::Gap(gap) if gap.cause == GapCause::Unfinished => break,
                Step::Gap(gap) => self.offset = gap.range.end,
                Step::Need(_) | Step::End => break,
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        blocks: &mut Blocks<'_>,
        offset: u64,
        header: &BlockHeader,
    ) -> io::Result<()> {
        if header.kind == BlockKind::Data {
            let raw = u64::from(header.spine.raw_len) + u64::from(header.body.raw_len);
            self.raw_bytes = self.raw_bytes.saturating_add(raw);
        }
        // A join that cannot be read hides a writer, who finds out when its segment is deleted.
        if header.kind == BlockKind::Join
            && let Ok(joined) = Member::decode_join(&blocks.block(offset, header)?)
        {
            // Slots are handed on only once their holder is gone.
            self.members.retain(|_, member| member.slot != joined.slot);
            self.members.insert(joined.origin.writer, joined);
        }
        if header.flags.contains(BlockFlags::LEAVING) {
            self.members.remove(&header.origin.writer);
        }
        Ok(())
    }

    /// The writers that have not said that they leave.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Raw bytes of the records seen.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }
}

/// The last ping with claims among the last megabytes.
fn last_claims(segment: Segment<'_>, end: u64) -> io::Result<Option<Claims>> {
    let start = end.saturating_sub(TAIL_LEN).max(FILE_HEADER_LEN as u64);
    let tail = segment.read(start..end.max(start))?;
    let (mut last, mut from) = (None, 0);
    while let Some(found) = find_block(&tail, from, segment.marker) {
        from = found + 1;
        let bytes = tail.get(found..).unwrap_or_default();
        let header = BlockHeader::decode(bytes, segment.marker);
        if let Ok(block) = header.and_then(|header| StoredBlock::new(header, bytes)) {
            from = found + block.header().block_len();
            if block.header().kind == BlockKind::Ping
                && let Ok(Some(claims)) = Claims::decode_ping(&block)
            {
                last = Some(claims);
            }
        }
    }
    Ok(last)
}
