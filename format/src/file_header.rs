//! The header of a segment: 256 bytes, written once, before anyone can see the file.

use crate::cursor::Cursor;
use crate::error::{DecodeError, Hex};
use crate::header::{SyncMarker, check_crc, timestamp};
use crate::timestamp::Timestamp;

/// The length of a file header in bytes.
pub const FILE_HEADER_LEN: usize = 256;

/// The first eight bytes of every segment.
///
/// As in PNG (ISO/IEC 15948, section 5.2), a byte above 127, a carriage return with line feed, a
/// control-Z and a lone line feed reveal a transfer that took the file for text.
pub const MAGIC: [u8; 8] = *b"\x8FLQL\r\n\x1A\n";

/// The version of the format this crate writes.
pub const VERSION: FormatVersion = FormatVersion { major: 1, minor: 1 };

/// The header's length as it says itself.
const STORED_LEN: u32 = 256;
const _: () = assert!(STORED_LEN as usize == FILE_HEADER_LEN);

const CRC_OFFSET: usize = FILE_HEADER_LEN - 4;
const RESERVED_LEN: usize = 100;
const LENGTH_UNKNOWN: u64 = u64::MAX;

/// A version of the format: another major number means that older readers cannot read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the parts of a version need no words")]
pub struct FormatVersion {
    pub major: u16,
    pub minor: u16,
}

impl std::fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Sixteen random bytes that name a file, a store or a boot of the machine.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Id(pub [u8; 16]);

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// The segment before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its number.
    pub segment: u64,
    /// Its file id.
    pub file: Id,
    /// Its length in bytes when this segment was created, if known.
    pub len: Option<u64>,
}

/// A decoded file header. See `format/FORMAT.md` for its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The version that wrote the file.
    pub version: FormatVersion,
    /// Names this file.
    pub file: Id,
    /// Names the store the file was created in.
    pub directory: Id,
    /// The segment's number, which orders the segments of a store.
    pub segment: u64,
    /// When it was created, by the wall clock.
    pub created: Timestamp,
    /// When it was created, by the machine's monotonic clock, in microseconds.
    pub created_monotonic_us: u64,
    /// The boot of the machine the monotonic clock belongs to.
    pub boot: Id,
    /// What every block of the file starts with.
    pub marker: SyncMarker,
    /// The segment before this one, if any.
    pub predecessor: Option<Predecessor>,
    /// Counts the large steps of the wall clock in this store.
    pub clock_epoch: u32,
    /// The id of the dictionary that the first block holds; `None` for none.
    pub dictionary: Option<u32>,
}

impl FileHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let predecessor =
            self.predecessor.unwrap_or(Predecessor { segment: 0, file: Id::default(), len: None });
        let mut out = Vec::with_capacity(FILE_HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.version.major.to_le_bytes());
        out.extend_from_slice(&self.version.minor.to_le_bytes());
        out.extend_from_slice(&STORED_LEN.to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.file.0);
        out.extend_from_slice(&self.directory.0);
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.created.as_micros().to_le_bytes());
        out.extend_from_slice(&self.created_monotonic_us.to_le_bytes());
        out.extend_from_slice(&self.boot.0);
        out.extend_from_slice(self.marker.as_bytes());
        out.extend_from_slice(&predecessor.segment.to_le_bytes());
        out.extend_from_slice(&predecessor.file.0);
        out.extend_from_slice(&predecessor.len.unwrap_or(LENGTH_UNKNOWN).to_le_bytes());
        out.extend_from_slice(&self.clock_epoch.to_le_bytes());
        out.extend_from_slice(&self.dictionary.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&[0; RESERVED_LEN]);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());

        let mut bytes = [0; FILE_HEADER_LEN];
        bytes.copy_from_slice(&out);
        bytes
    }

    /// Decodes the header at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// Says what is wrong: too few bytes, another magic number, a newer major version or an
    /// incompatible feature, or a checksum that does not match.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "file header";
        let mut cursor = Cursor::new(bytes);
        if cursor.array::<8>(WHAT)? != MAGIC {
            return Err(DecodeError::Marker { what: WHAT });
        }
        // The version comes before the checksum, since a newer one may place that elsewhere.
        let version = FormatVersion { major: cursor.u16(WHAT)?, minor: cursor.u16(WHAT)? };
        match version.major {
            0 => return Err(DecodeError::Invalid { what: "format version", found: 0 }),
            1 => {}
            found => {
                return Err(DecodeError::Newer { what: "format version", found: found.into() });
            }
        }
        check_crc(WHAT, bytes, CRC_OFFSET)?;
        decode_fields(cursor, version)
    }
}

fn decode_fields(
    mut cursor: Cursor<'_>,
    version: FormatVersion,
) -> Result<FileHeader, DecodeError> {
    let header_len = cursor.u32("file header length")?;
    if header_len != STORED_LEN {
        let found = u64::from(header_len);
        return Err(DecodeError::Invalid { what: "file header length", found });
    }
    let incompatible = cursor.u64("incompatible features")?;
    if incompatible != 0 {
        return Err(DecodeError::Newer { what: "incompatible feature set", found: incompatible });
    }
    cursor.u64("compatible features")?;
    let file = Id(cursor.array("file id")?);
    let directory = Id(cursor.array("directory id")?);
    let segment = cursor.u64("segment number")?;
    let created = timestamp("creation time", cursor.i64("creation time")?)?;
    let created_monotonic_us = cursor.u64("monotonic creation time")?;
    let boot = Id(cursor.array("boot id")?);
    let marker = SyncMarker::from_stored(cursor.array("sync marker")?)
        .ok_or(DecodeError::Marker { what: "sync marker" })?;
    let predecessor = Predecessor {
        segment: cursor.u64("predecessor")?,
        file: Id(cursor.array("predecessor's file id")?),
        len: match cursor.u64("predecessor's length")? {
            LENGTH_UNKNOWN => None,
            len => Some(len),
        },
    };
    let clock_epoch = cursor.u32("clock epoch")?;
    let dictionary = cursor.u32("dictionary id")?;
    Ok(FileHeader {
        version,
        file,
        directory,
        segment,
        created,
        created_monotonic_us,
        boot,
        marker,
        predecessor: (predecessor.segment != 0).then_some(predecessor),
        clock_epoch,
        dictionary: (dictionary != 0).then_some(dictionary),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FileHeader {
        FileHeader {
            version: VERSION,
            file: Id([1; 16]),
            directory: Id([2; 16]),
            segment: 7,
            created: Timestamp::from_micros(1_770_127_506_789_000),
            created_monotonic_us: 42,
            boot: Id([3; 16]),
            marker: SyncMarker::from_random(*b"\0MARKER!"),
            predecessor: Some(Predecessor { segment: 6, file: Id([4; 16]), len: Some(1_000) }),
            clock_epoch: 1,
            dictionary: Some(5),
        }
    }

    #[test]
    fn headers_round_trip() {
        let full = sample();
        assert_eq!(FileHeader::decode(&full.encode()), Ok(full));
        let bare = FileHeader { predecessor: None, dictionary: None, ..sample() };
        assert_eq!(FileHeader::decode(&bare.encode()), Ok(bare));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(FileHeader::decode(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn a_newer_version_is_named_as_such() {
        let mut bytes = sample().encode();
        bytes[8] = 2;
        let newer = DecodeError::Newer { what: "format version", found: 2 };
        assert_eq!(FileHeader::decode(&bytes), Err(newer));
    }
}
