//! What writers say about themselves and about the file: joins, pings and the claims of a ping.
//!
//! A **join** is the first block of a writer in a segment. A **ping** without a body is a sign of
//! life of an idle writer. A ping with a body states [`Claims`] about the file, which is what
//! readers search by.

use crate::block::StoredBlock;
use crate::block::builder::{crc_from, put_header};
use crate::codec::{Codec, Dictionary};
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::header::{
    BLOCK_HEADER_LEN, BlockFlags, BlockHeader, BlockKind, Origin, Section, SyncMarker, WriterId,
    timestamp,
};
use crate::limits::{ROSTER_WRITERS_MAX, SEQUENCE_MAX};
use crate::record::WorkerId;
use crate::timestamp::Timestamp;

/// The bytes of one [`Member`].
const MEMBER_LEN: usize = 32;

/// The worker number that stands for the master in a stored member.
const MASTER: u32 = u32::MAX;

/// One writer as a join or a roster lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub origin: Origin,
    /// Everything it appends after this point has this time or a later one.
    pub floor: Timestamp,
    /// The sequence number of its next record.
    pub sequence: u64,
    /// Its process id, 0 if unknown.
    pub pid: u32,
    /// The byte of the store's lock file that it holds locked while it lives, counted from 1; 0
    /// for none.
    pub slot: u32,
}

impl Member {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.origin.writer.0.to_le_bytes());
        let worker = self.origin.worker.map_or(MASTER, WorkerId::get);
        out.extend_from_slice(&worker.to_le_bytes());
        out.extend_from_slice(&self.floor.as_micros().to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.pid.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let writer = WriterId(cursor.u32("member's writer")?);
        let worker = match cursor.u32("member's worker")? {
            MASTER => None,
            number => Some(WorkerId::new(number).ok_or(DecodeError::Invalid {
                what: "member's worker",
                found: u64::from(number),
            })?),
        };
        let floor = timestamp("member's floor", cursor.i64("member's floor")?)?;
        let sequence = cursor.u64("member's sequence")?;
        if sequence > SEQUENCE_MAX {
            let (found, limit) = (sequence, SEQUENCE_MAX);
            return Err(DecodeError::Limit { what: "member's sequence", found, limit });
        }
        let pid = cursor.u32("member's process id")?;
        let slot = cursor.u32("member's slot")?;
        Ok(Self { origin: Origin { writer, worker }, floor, sequence, pid, slot })
    }

    /// Appends the JOIN block of this member to `out`.
    pub fn encode_join(&self, marker: SyncMarker, out: &mut Vec<u8>) {
        let header = BlockHeader::empty(BlockKind::Join, self.origin, self.floor, self.sequence);
        let mut body = Vec::with_capacity(MEMBER_LEN);
        self.encode(&mut body);
        append_plain(header, &body, marker, out);
    }

    /// The member that a JOIN block announces.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match, the body is cut off or invalid, or the member is
    /// not the block's writer.
    pub fn decode_join(block: &StoredBlock<'_>) -> Result<Self, DecodeError> {
        let member = Self::decode(&mut Cursor::new(plain_body(block)?))?;
        if member.origin == block.header().origin {
            Ok(member)
        } else {
            let found = u64::from(member.origin.writer.0);
            Err(DecodeError::Invalid { what: "joining member", found })
        }
    }
}

/// What a ping states about its file, for good.
///
/// Both times never decrease from one ping of a file to the next, so that a reader can
/// binary-search the file by them.
///
/// # Examples
///
/// ```
/// use logq_format::{BlockHeader, Claims, Origin, StoredBlock, SyncMarker, Timestamp, WriterId};
///
/// let marker = SyncMarker::from_random([9; 8]);
/// let now = Timestamp::from_micros(2_000_000);
/// let claims = Claims { covered: 4096, now, watermark: Timestamp::MIN, roster: Vec::new() };
/// let mut bytes = Vec::new();
/// let master = Origin { writer: WriterId(1), worker: None };
/// claims.encode_ping(master, now, 17, marker, &mut bytes);
///
/// let header = BlockHeader::decode(&bytes, marker)?;
/// assert_eq!(Claims::decode_ping(&StoredBlock::new(header, &bytes)?)?, Some(claims));
/// # Ok::<(), logq_format::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The claims are about what lies before this offset of the file and what lies from it on.
    pub covered: u64,
    /// No record in a block before `covered` is later than this.
    pub now: Timestamp,
    /// No record in a block from `covered` on is earlier than this; [`Timestamp::MIN`] claims
    /// nothing.
    pub watermark: Timestamp,
    /// The writers that may still append to the file.
    pub roster: Vec<Member>,
}

impl Claims {
    /// Appends the PING block with these claims to `out`.
    ///
    /// `time` and `sequence` are those of the writer that pings: it appends nothing earlier
    /// hereafter. A roster beyond [`ROSTER_WRITERS_MAX`] is cut, which only costs readers time.
    pub fn encode_ping(
        &self,
        origin: Origin,
        time: Timestamp,
        sequence: u64,
        marker: SyncMarker,
        out: &mut Vec<u8>,
    ) {
        let roster = self.roster.get(..ROSTER_WRITERS_MAX).unwrap_or(&self.roster);
        let mut body = Vec::with_capacity(28 + roster.len() * MEMBER_LEN);
        body.extend_from_slice(&self.covered.to_le_bytes());
        body.extend_from_slice(&self.now.as_micros().to_le_bytes());
        body.extend_from_slice(&self.watermark.as_micros().to_le_bytes());
        body.extend_from_slice(&u32::try_from(roster.len()).unwrap_or(0).to_le_bytes());
        roster.iter().for_each(|member| member.encode(&mut body));
        let header = BlockHeader::empty(BlockKind::Ping, origin, time, sequence);
        append_plain(header, &body, marker, out);
    }

    /// The claims of a PING block, or `None` if it is a bare sign of life.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match or the body is cut off or invalid.
    pub fn decode_ping(block: &StoredBlock<'_>) -> Result<Option<Self>, DecodeError> {
        let body = plain_body(block)?;
        if body.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(body);
        let covered = cursor.u64("covered offset")?;
        let now = timestamp("ping's now", cursor.i64("ping's now")?)?;
        let watermark = timestamp("ping's watermark", cursor.i64("ping's watermark")?)?;
        let count = cursor.u32("roster size")? as usize;
        if count > ROSTER_WRITERS_MAX {
            let (found, limit) = (count as u64, ROSTER_WRITERS_MAX as u64);
            return Err(DecodeError::Limit { what: "roster size", found, limit });
        }
        let roster =
            (0..count).map(|_| Member::decode(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Self { covered, now, watermark, roster }))
    }
}

/// Appends a bare PING block: "I live, and append nothing earlier than `time` hereafter".
pub fn encode_sign_of_life(
    origin: Origin,
    time: Timestamp,
    sequence: u64,
    flags: BlockFlags,
    marker: SyncMarker,
    out: &mut Vec<u8>,
) {
    let mut header = BlockHeader::empty(BlockKind::Ping, origin, time, sequence);
    header.flags = flags;
    append_plain(header, &[], marker, out);
}

/// Appends the DICTIONARY block that follows the header of a segment with a dictionary.
pub fn encode_dictionary(
    dictionary: &Dictionary,
    time: Timestamp,
    marker: SyncMarker,
    out: &mut Vec<u8>,
) {
    let nobody = Origin { writer: WriterId(0), worker: None };
    let header = BlockHeader::empty(BlockKind::Dictionary, nobody, time, 0);
    append_plain(header, dictionary.bytes(), marker, out);
}

/// The dictionary that a DICTIONARY block holds; its id is to be compared with the file header's.
///
/// # Errors
///
/// Fails where the checksum does not match or zstd refuses the bytes.
pub fn decode_dictionary(block: &StoredBlock<'_>) -> Result<Dictionary, DecodeError> {
    Dictionary::new(plain_body(block)?)
}

/// Appends a block whose only section is a raw body.
fn append_plain(mut header: BlockHeader, body: &[u8], marker: SyncMarker, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + BLOCK_HEADER_LEN, 0);
    out.extend_from_slice(body);
    // At most a dictionary or a roster at its limit: 2 MiB.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    header.body = Section { codec: Codec::Raw, stored_len: len, raw_len: len };
    header.body_crc = crc_from(out, start + BLOCK_HEADER_LEN);
    put_header(&header, marker, start, out);
}

fn plain_body<'a>(block: &StoredBlock<'a>) -> Result<&'a [u8], DecodeError> {
    block.check_body()?;
    let Section { codec, stored_len, raw_len } = block.header().body;
    match codec {
        Codec::Raw if stored_len == raw_len => Ok(block.stored_body()),
        Codec::Raw => {
            Err(DecodeError::Invalid { what: "raw length of body", found: u64::from(raw_len) })
        }
        other => Err(DecodeError::Newer { what: "codec", found: u64::from(other.bits()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: [u8; 8] = *b"a marker";

    fn member(writer: u32, worker: Option<u32>) -> Member {
        let worker = worker.and_then(WorkerId::new);
        Member {
            origin: Origin { writer: WriterId(writer), worker },
            floor: Timestamp::from_micros(1_000_000 + i64::from(writer)),
            sequence: 77,
            pid: 4242,
            slot: 3,
        }
    }

    fn stored(bytes: &[u8]) -> StoredBlock<'_> {
        let header = BlockHeader::decode(bytes, SyncMarker::from_random(MARKER)).unwrap();
        assert_eq!(header.block_len(), bytes.len());
        StoredBlock::new(header, bytes).unwrap()
    }

    #[test]
    fn joins_and_claims_round_trip() {
        let marker = SyncMarker::from_random(MARKER);
        let joining = member(5, Some(2));
        let mut bytes = Vec::new();
        joining.encode_join(marker, &mut bytes);
        assert_eq!(Member::decode_join(&stored(&bytes)), Ok(joining));

        let claims = Claims {
            covered: 10_000,
            now: Timestamp::from_micros(-5),
            watermark: Timestamp::MIN,
            roster: vec![member(1, None), member(2, Some(0))],
        };
        bytes.clear();
        claims.encode_ping(joining.origin, joining.floor, 1, marker, &mut bytes);
        assert_eq!(Claims::decode_ping(&stored(&bytes)), Ok(Some(claims)));
    }

    #[test]
    fn nobody_joins_in_the_name_of_another() {
        let marker = SyncMarker::from_random(MARKER);
        let (joining, other) = (member(5, Some(2)), member(6, Some(2)));
        let mut body = Vec::new();
        joining.encode(&mut body);
        let mut bytes = Vec::new();
        let header = BlockHeader::empty(BlockKind::Join, other.origin, other.floor, 0);
        append_plain(header, &body, marker, &mut bytes);
        let refused = DecodeError::Invalid { what: "joining member", found: 5 };
        assert_eq!(Member::decode_join(&stored(&bytes)), Err(refused));
    }

    #[test]
    fn a_sign_of_life_claims_nothing_about_the_file() {
        let marker = SyncMarker::from_random(MARKER);
        let mut bytes = Vec::new();
        let member = member(1, Some(1));
        encode_sign_of_life(
            member.origin,
            member.floor,
            9,
            BlockFlags::LEAVING,
            marker,
            &mut bytes,
        );
        assert_eq!(bytes.len(), BLOCK_HEADER_LEN);
        let block = stored(&bytes);
        assert!(block.header().flags.contains(BlockFlags::LEAVING));
        assert_eq!(Claims::decode_ping(&block), Ok(None));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_claims_is_found() {
        let marker = SyncMarker::from_random(MARKER);
        let claims = Claims {
            covered: 1,
            now: Timestamp::MAX,
            watermark: Timestamp::MIN,
            roster: vec![member(1, None)],
        };
        let mut bytes = Vec::new();
        claims.encode_ping(member(1, None).origin, Timestamp::MIN, 0, marker, &mut bytes);
        for bit in BLOCK_HEADER_LEN * 8..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Claims::decode_ping(&stored(&damaged)).is_err(), "bit {bit}");
        }
        for len in 1..60 {
            let body = vec![0xFF; len];
            let mut bytes = Vec::new();
            let header = stored(&{
                let mut b = Vec::new();
                claims.encode_ping(member(1, None).origin, Timestamp::MIN, 0, marker, &mut b);
                b
            })
            .header()
            .clone();
            append_plain(header, &body, marker, &mut bytes);
            assert!(Claims::decode_ping(&stored(&bytes)).is_err(), "{len} bytes of FF");
        }
    }
}
