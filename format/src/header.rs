//! The header of a block: 72 bytes that answer "when, how severe, whose, how much" without touching
//! what they describe.

use crate::codec::Codec;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::level::LevelSet;
use crate::limits::{
    BLOCK_RECORDS_MAX, BLOCK_REQUESTS_MAX, BLOCK_SPAN_US_MAX, SECTION_BYTES_MAX, SEQUENCE_MAX,
};
use crate::record::WorkerId;
use crate::shape::TypeSet;
use crate::timestamp::Timestamp;

/// The length of a block header in bytes.
pub const BLOCK_HEADER_LEN: usize = 72;

/// The length of one stored request id in bytes.
pub(crate) const REQUEST_ID_LEN: usize = 16;

/// Where the header's checksum is: it covers everything before.
const CRC_OFFSET: usize = BLOCK_HEADER_LEN - 4;

/// The number in the worker field that stands for the master.
const MASTER: u32 = WorkerId::MAX.get() + 1;

/// Eight random bytes, one value for each segment, that start every block of the segment.
///
/// A reader that lost its place searches for them. No byte of a marker is zero, so that a run of
/// zeros, as a power cut leaves it, never looks like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncMarker([u8; 8]);

impl SyncMarker {
    /// The marker made of these random bytes; zeros become ones.
    pub fn from_random(random: [u8; 8]) -> Self {
        Self(random.map(|byte| byte.max(1)))
    }

    /// The marker as stored, if it has no zero byte.
    pub fn from_stored(bytes: [u8; 8]) -> Option<Self> {
        if bytes.contains(&0) { None } else { Some(Self(bytes)) }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// The identity of one writer: a random number that is new with each process start, each child
/// of a fork and each clock epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub u32);

impl std::fmt::Display for WriterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wrote a block: the writer and its place in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The writer.
    pub writer: WriterId,
    /// Its worker number; `None` for the master.
    pub worker: Option<WorkerId>,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockKind {
    /// Records.
    Data,
    /// A sign of life; with claims about the file if it has a body. See [`Claims`](crate::Claims).
    Ping,
    /// A writer announces itself before it writes anything else. See [`Member`](crate::Member).
    Join,
    /// The segment's dictionary.
    Dictionary,
    /// A kind of a later version; see [`Self::is_skippable`].
    Other(u8),
}

impl BlockKind {
    /// The byte that stands for the kind.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Ping => 2,
            Self::Join => 3,
            Self::Dictionary => 5,
            Self::Other(byte) => byte,
        }
    }

    /// Whether a reader that does not know the kind loses nothing by skipping the block.
    ///
    /// Kinds from 128 up are optional. An unknown kind below may hold records, so skipping it
    /// leaves a gap.
    pub const fn is_skippable(self) -> bool {
        !matches!(self, Self::Data | Self::Other(..128))
    }

    fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0 => Err(DecodeError::Invalid { what: "block kind", found: 0 }),
            1 => Ok(Self::Data),
            2 => Ok(Self::Ping),
            3 => Ok(Self::Join),
            5 => Ok(Self::Dictionary),
            _ => Ok(Self::Other(byte)),
        }
    }
}

/// Flags of a block; unknown ones are kept and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockFlags(u8);

impl BlockFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The writer will append nothing more to this segment.
    pub const LEAVING: Self = Self(1);
    /// Another process appended the block on behalf of a dead writer.
    pub const RECOVERED: Self = Self(2);
    /// An earlier attempt to append the block failed or was cut short.
    pub const RETRIED: Self = Self(4);
    /// The writer's sequence numbers may skip: a jump does not mean that records are missing.
    ///
    /// Set by imports that keep the numbers of a filtered source.
    pub const SPARSE: Self = Self(8);

    /// The flags with these bits.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits as stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These flags and the `other` ones.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the `other` flags are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One compressed part of a block as its header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// How it is stored.
    pub codec: Codec,
    /// Bytes in the file.
    pub stored_len: u32,
    /// Bytes once decompressed.
    pub raw_len: u32,
}

impl Section {
    /// A section without any bytes.
    pub const EMPTY: Self = Self { codec: Codec::Raw, stored_len: 0, raw_len: 0 };
}

/// A decoded block header. See `format/FORMAT.md` for its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the block holds.
    pub kind: BlockKind,
    /// Flags.
    pub flags: BlockFlags,
    /// The levels of the records.
    pub levels: LevelSet,
    /// The types of the records.
    pub types: TypeSet,
    /// Who wrote it.
    pub origin: Origin,
    /// The time of the earliest record; of a block without records, its own time.
    pub min: Timestamp,
    /// The time of the latest record; of a block without records, its own time.
    ///
    /// Everything that this writer appends later has this time or a later one.
    pub max: Timestamp,
    /// The sequence number of the first record; of a block without records, that of the next one.
    pub sequence: u64,
    /// The number of records.
    pub records: u32,
    /// The number of distinct request ids.
    pub requests: u16,
    /// Records this writer dropped since its block before, 65535 if there were more.
    pub lost: u16,
    /// The small typed columns.
    pub spine: Section,
    /// Texts and data.
    pub body: Section,
    /// CRC-32C of the request ids and the stored spine.
    pub front_crc: u32,
    /// CRC-32C of the stored body.
    pub body_crc: u32,
}

impl BlockHeader {
    /// A header without records, sections and flags.
    pub fn empty(kind: BlockKind, origin: Origin, time: Timestamp, sequence: u64) -> Self {
        Self {
            kind,
            flags: BlockFlags::NONE,
            levels: LevelSet::EMPTY,
            types: TypeSet::EMPTY,
            origin,
            min: time,
            max: time,
            sequence,
            records: 0,
            requests: 0,
            lost: 0,
            spine: Section::EMPTY,
            body: Section::EMPTY,
            front_crc: 0,
            body_crc: 0,
        }
    }

    /// Bytes between the header and the stored spine's end: the request ids and the spine.
    pub fn front_len(&self) -> usize {
        usize::from(self.requests) * REQUEST_ID_LEN + self.spine.stored_len as usize
    }

    /// Bytes of the whole block, header included; at most 34 MiB.
    pub fn block_len(&self) -> usize {
        BLOCK_HEADER_LEN + self.front_len() + self.body.stored_len as usize
    }

    /// The header's bytes in a segment with this marker.
    ///
    /// The caller keeps every field within the limits of the format; builders of this crate do.
    pub(crate) fn encode(&self, marker: SyncMarker) -> [u8; BLOCK_HEADER_LEN] {
        let mut out = Vec::with_capacity(BLOCK_HEADER_LEN);
        out.extend_from_slice(marker.as_bytes());
        out.push(self.kind.to_byte());
        out.push(self.spine.codec.bits() | self.body.codec.bits() << 4);
        out.push(self.flags.bits());
        out.push(self.levels.bits());
        put_low_bytes(&mut out, 3, u64::from(self.types.bits()));
        put_low_bytes(&mut out, 3, u64::from(self.origin.worker.map_or(MASTER, WorkerId::get)));
        out.extend_from_slice(&self.requests.to_le_bytes());
        out.extend_from_slice(&self.origin.writer.0.to_le_bytes());
        out.extend_from_slice(&self.min.as_micros().to_le_bytes());
        put_low_bytes(&mut out, 6, self.sequence);
        put_low_bytes(&mut out, 5, self.max.micros_since(self.min));
        put_low_bytes(&mut out, 3, u64::from(self.records));
        out.extend_from_slice(&self.lost.to_le_bytes());
        for section in [self.spine, self.body] {
            put_low_bytes(&mut out, 3, u64::from(section.stored_len));
            put_low_bytes(&mut out, 3, u64::from(section.raw_len));
        }
        out.extend_from_slice(&self.front_crc.to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());

        let mut bytes = [0; BLOCK_HEADER_LEN];
        bytes.copy_from_slice(&out);
        bytes
    }

    /// Overwrites the header of the encoded block `block`: for flags that are known only late.
    ///
    /// Does nothing where `block` is shorter than a header.
    pub fn overwrite(&self, marker: SyncMarker, block: &mut [u8]) {
        if let Some(room) = block.get_mut(..BLOCK_HEADER_LEN) {
            room.copy_from_slice(&self.encode(marker));
        }
    }

    /// Decodes the header at the start of `bytes` in a segment with this marker.
    ///
    /// # Errors
    ///
    /// Says what is wrong: too few bytes, another marker, a checksum that does not match, a field
    /// beyond its limit. A kind or codec of a newer version is no error here: the block's length is
    /// known, so that readers can hop over it.
    pub fn decode(bytes: &[u8], marker: SyncMarker) -> Result<Self, DecodeError> {
        const WHAT: &str = "block header";
        let header = Cursor::new(bytes).array::<BLOCK_HEADER_LEN>(WHAT)?;
        let mut cursor = Cursor::new(&header);
        if cursor.array::<8>(WHAT)? != *marker.as_bytes() {
            return Err(DecodeError::Marker { what: WHAT });
        }
        check_crc(WHAT, &header, CRC_OFFSET)?;
        decode_fields(cursor)
    }
}

/// Checks the little-endian CRC-32C at `offset` against the bytes before it.
pub(crate) fn check_crc(
    what: &'static str,
    bytes: &[u8],
    offset: usize,
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let found = crc32c::crc32c(cursor.bytes(what, offset)?);
    let expected = cursor.u32(what)?;
    if found == expected { Ok(()) } else { Err(DecodeError::Checksum { what, expected, found }) }
}

/// Decodes what follows the marker.
fn decode_fields(mut cursor: Cursor<'_>) -> Result<BlockHeader, DecodeError> {
    let kind = BlockKind::from_byte(cursor.u8("block kind")?)?;
    let codecs = cursor.u8("codecs")?;
    let flags = BlockFlags::from_bits(cursor.u8("flags")?);
    let levels = LevelSet::from_bits(cursor.u8("levels")?);
    let types = TypeSet::from_bits(cursor.u24("types")?);
    let worker = WorkerId::new(cursor.u24("worker")?);
    let requests = cursor.u16("request count")?;
    let writer = WriterId(cursor.u32("writer")?);
    let min = timestamp("min time", cursor.i64("min time")?)?;
    let sequence = cursor.u48("sequence")?;
    let span = cursor.u40("span")?;
    let max = timestamp("max time", min.as_micros().saturating_add_unsigned(span))?;
    let records = cursor.u24("record count")?;
    let lost = cursor.u16("lost")?;
    let spine = section(&mut cursor, "spine codec", codecs & 0x0F)?;
    let body = section(&mut cursor, "body codec", codecs >> 4)?;
    let front_crc = cursor.u32("front checksum")?;
    let body_crc = cursor.u32("body checksum")?;
    check_limit("record count", u64::from(records), BLOCK_RECORDS_MAX as u64)?;
    check_limit("last sequence", sequence + u64::from(records), SEQUENCE_MAX)?;
    Ok(BlockHeader {
        kind,
        flags,
        levels,
        types,
        origin: Origin { writer, worker },
        min,
        max,
        sequence,
        records,
        requests,
        lost,
        spine,
        body,
        front_crc,
        body_crc,
    })
}

fn section(cursor: &mut Cursor<'_>, what: &'static str, codec: u8) -> Result<Section, DecodeError> {
    let codec = Codec::from_bits(codec);
    Ok(Section { codec, stored_len: cursor.u24(what)?, raw_len: cursor.u24(what)? })
}

pub(crate) fn timestamp(what: &'static str, micros: i64) -> Result<Timestamp, DecodeError> {
    Timestamp::checked_from_micros(micros)
        .ok_or(DecodeError::Invalid { what, found: micros.cast_unsigned() })
}

fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), DecodeError> {
    if found <= limit { Ok(()) } else { Err(DecodeError::Limit { what, found, limit }) }
}

/// Appends the low `count` bytes of `value`, little-endian.
fn put_low_bytes(out: &mut Vec<u8>, count: usize, value: u64) {
    out.extend(value.to_le_bytes().iter().take(count));
}

// The widths of the fields and the limits say the same.
const _: () = assert!(SECTION_BYTES_MAX == (1 << 24) - 1);
const _: () = assert!(BLOCK_SPAN_US_MAX == (1 << 40) - 1);
const _: () = assert!(SEQUENCE_MAX == (1 << 48) - 1);
const _: () = assert!(BLOCK_REQUESTS_MAX == u16::MAX as usize);
const _: () = assert!(BLOCK_RECORDS_MAX < 1 << 24);

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: SyncMarker = SyncMarker([1, 2, 3, 4, 5, 6, 7, 8]);

    fn sample() -> BlockHeader {
        BlockHeader {
            kind: BlockKind::Data,
            flags: BlockFlags::RETRIED,
            levels: LevelSet::from_bits(0x0A),
            types: TypeSet::from_bits(0x0001_0203),
            origin: Origin { writer: WriterId(0xDEAD_BEEF), worker: WorkerId::new(3) },
            min: Timestamp::from_micros(1_770_127_506_789_000),
            max: Timestamp::from_micros(1_770_127_506_989_000),
            sequence: 0x0102_0304_0506,
            records: 330,
            requests: 70,
            lost: 2,
            spine: Section { codec: Codec::Zstd, stored_len: 1000, raw_len: 2000 },
            body: Section { codec: Codec::ZstdDictionary, stored_len: 6000, raw_len: 32_768 },
            front_crc: 0x1111_2222,
            body_crc: 0x3333_4444,
        }
    }

    #[test]
    fn headers_round_trip() {
        let header = sample();
        let bytes = header.encode(MARKER);
        assert_eq!(BlockHeader::decode(&bytes, MARKER), Ok(header));
        let origin = Origin { writer: WriterId(1), worker: None };
        for kind in [BlockKind::Ping, BlockKind::Other(9), BlockKind::Other(200)] {
            let header = BlockHeader::empty(kind, origin, Timestamp::MIN, SEQUENCE_MAX);
            assert_eq!(BlockHeader::decode(&header.encode(MARKER), MARKER), Ok(header));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = sample().encode(MARKER);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHeader::decode(&damaged, MARKER).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(BlockHeader::decode(&bytes[..cut], MARKER).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn fields_beyond_their_limits_are_refused() {
        let check = |change: fn(&mut BlockHeader)| {
            let mut header = sample();
            change(&mut header);
            assert!(BlockHeader::decode(&header.encode(MARKER), MARKER).is_err(), "{header:?}");
        };
        check(|h| h.records = 0xFF_FFFF);
        check(|h| h.sequence = SEQUENCE_MAX);
        check(|h| h.kind = BlockKind::Other(0));
    }
}
