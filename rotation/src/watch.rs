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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use logq_directory::Directory;
    use logq_format::{Origin, SyncMarker, Timestamp, encode_sign_of_life};

    const MARKER: [u8; 8] = *b"abcdefgh";

    fn member(writer: u32, slot: u32) -> Member {
        let origin = Origin { writer: WriterId(writer), worker: None };
        Member { origin, floor: Timestamp::MIN, sequence: 0, pid: 1, slot }
    }

    fn join(writer: u32, slot: u32, out: &mut Vec<u8>) {
        member(writer, slot).encode_join(SyncMarker::from_random(MARKER), out);
    }

    fn leave(writer: u32, out: &mut Vec<u8>) {
        let (origin, flags) = (member(writer, 0).origin, BlockFlags::LEAVING);
        let marker = SyncMarker::from_random(MARKER);
        encode_sign_of_life(origin, Timestamp::MIN, 0, flags, marker, out);
    }

    fn claim(covered: usize, roster: &[(u32, u32)], out: &mut Vec<u8>) {
        let roster: Vec<_> = roster.iter().map(|(writer, slot)| member(*writer, *slot)).collect();
        let (covered, time) = (covered as u64, Timestamp::MIN);
        let claims = Claims { covered, now: time, watermark: time, roster };
        let marker = SyncMarker::from_random(MARKER);
        claims.encode_ping(member(1, 1).origin, time, 0, marker, out);
    }

    /// The writers that may append, in order, as both ways of looking find them.
    fn check(bytes: &[u8], from_start: &[u32], from_claims: &[u32]) {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::open(scratch.path()).unwrap();
        let path = scratch.path().join("segment");
        fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        let marker = SyncMarker::from_random(MARKER);
        let segment = Segment { directory: &directory, file: &file, marker };
        let end = bytes.len() as u64;
        let claims = Watch::from_last_claims(segment, end).unwrap();
        for (mut watch, expected) in [(Watch::from_start(), from_start), (claims, from_claims)] {
            watch.advance(segment, end, u64::MAX).unwrap();
            let mut writers: Vec<_> = watch.members().map(|m| m.origin.writer.0).collect();
            writers.sort_unstable();
            assert_eq!(writers, expected);
        }
    }

    #[test]
    fn members_are_those_who_joined_or_are_listed_and_have_not_left() {
        let mut bytes = vec![0; FILE_HEADER_LEN];
        check(&bytes, &[], &[]);
        join(1, 1, &mut bytes);
        join(2, 2, &mut bytes);
        join(3, 3, &mut bytes);
        check(&bytes, &[1, 2, 3], &[1, 2, 3]);
        leave(2, &mut bytes);
        check(&bytes, &[1, 3], &[1, 3]);
        // Slot 3 was handed on, so writer 3 is gone.
        join(4, 3, &mut bytes);
        check(&bytes, &[1, 4], &[1, 4]);
        // The one who states claims found writer 1 dead. Writer 5 joined meanwhile.
        let covered = bytes.len();
        join(5, 2, &mut bytes);
        claim(covered, &[(4, 3)], &mut bytes);
        check(&bytes, &[1, 4, 5], &[4, 5]);
        leave(4, &mut bytes);
        check(&bytes, &[1, 5], &[5]);
    }

    #[test]
    fn damage_hides_only_what_is_damaged() {
        let mut bytes = vec![0; FILE_HEADER_LEN];
        join(1, 1, &mut bytes);
        let (second, third) = (bytes.len(), bytes.len() * 2 - FILE_HEADER_LEN);
        join(2, 2, &mut bytes);
        join(3, 3, &mut bytes);
        let whole = bytes.clone();
        bytes[second + 20] ^= 1;
        check(&bytes, &[1, 3], &[1, 3]);
        // Being written: it is seen once it is complete.
        check(&whole[..third + 80], &[1, 2], &[1, 2]);
        let mut zeros = whole[..third].to_vec();
        zeros.resize(third + 5000, 0);
        check(&zeros, &[1, 2], &[1, 2]);
    }

    #[test]
    fn a_watch_goes_on_where_it_stopped() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::open(scratch.path()).unwrap();
        let path = scratch.path().join("segment");
        let mut bytes = vec![0; FILE_HEADER_LEN];
        (1..50).for_each(|writer| join(writer, writer, &mut bytes));
        fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let marker = SyncMarker::from_random(MARKER);
        let segment = Segment { directory: &directory, file: &file, marker };
        let mut watch = Watch::from_start();
        // The lengths of a growing file, most of them within a block.
        for end in (0..bytes.len()).step_by(37).chain([bytes.len()]) {
            watch.advance(segment, end as u64, u64::MAX).unwrap();
        }
        assert_eq!(watch.members().count(), 49);
        assert_eq!(watch.raw_bytes(), 0, "joins teach nothing");
    }
}
