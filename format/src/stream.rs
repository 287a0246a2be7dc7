//! The marks of a block stream: what stands around the segment images on their way from one reader
//! to another. `FORMAT.md`, "Block streams", is the specification.

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::header::{check_crc, timestamp};
use crate::level::LevelSet;
use crate::record::WorkerId;
use crate::shape::TypeSet;
use crate::timestamp::Timestamp;

/// The first bytes of every mark; the fourth tells it from those of a segment.
pub const STREAM_MAGIC: [u8; 8] = *b"\x8FLQS\r\n\x1A\n";

/// The bytes of a mark.
pub const STREAM_MARK_LEN: usize = 128;

/// The most workers that a selection can name.
pub const STREAM_WORKERS_MAX: usize = 16;

/// The only version there is.
const VERSION: u16 = 1;

const CRC_OFFSET: usize = STREAM_MARK_LEN - 4;

/// Stands for the master in the list of workers.
const MASTER: u32 = u32::MAX;

/// What stands between the images of a block stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamMark {
    /// The stream begins.
    Begin(StreamSelection),
    /// A segment's image begins behind this mark.
    Image {
        /// The segment's number, 0 if unknown.
        segment: u64,
        /// Counts the stores of the stream from 0; segments of one store have the same.
        store: u32,
    },
    /// The stream is complete.
    End(StreamEnd),
}

/// Which blocks of some stores a stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSelection {
    /// The first instant wanted; `None` for the beginning of the stores.
    pub since: Option<Timestamp>,
    /// The first instant no longer wanted; `None` for the end of the stores.
    pub until: Option<Timestamp>,
    /// The interval, its end excluded, in which the stores had all there will ever be, if known.
    pub covered: Option<(Timestamp, Timestamp)>,
    /// The levels.
    pub levels: LevelSet,
    /// The types.
    pub types: TypeSet,
    /// The processes, `None` standing for the master; at most [`STREAM_WORKERS_MAX`]. `None` for all
    /// of them.
    pub workers: Option<Vec<Option<WorkerId>>>,
    /// Whether the newest segment comes first.
    pub is_reverse: bool,
}

/// What was put into a stream, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamEnd {
    /// Segment images.
    pub images: u64,
    /// Blocks, those of dictionaries included.
    pub blocks: u64,
    /// Bytes from the mark of the beginning, which counts, to that of the end, which does not.
    pub bytes: u64,
    /// Damaged places of the stores that may have held blocks of the selection.
    pub gaps: u64,
    /// Records of the selection's time that were missing in the stores.
    pub missing: u64,
}

const HAS_SINCE: u8 = 1;
const HAS_UNTIL: u8 = 2;
const HAS_COVERED: u8 = 4;
const HAS_WORKERS: u8 = 8;
const IS_REVERSE: u8 = 16;

impl StreamMark {
    /// The mark's bytes. Workers beyond the limit mean all workers.
    pub fn encode(&self) -> [u8; STREAM_MARK_LEN] {
        let mut out = Vec::with_capacity(STREAM_MARK_LEN);
        out.extend_from_slice(&STREAM_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        match self {
            Self::Begin(selection) => selection.encode(&mut out),
            Self::Image { segment, store } => {
                out.extend_from_slice(&[2, 0]);
                out.extend_from_slice(&store.to_le_bytes());
                out.extend_from_slice(&segment.to_le_bytes());
            }
            Self::End(end) => {
                out.extend_from_slice(&[3, 0, 0, 0, 0, 0]);
                for count in [end.images, end.blocks, end.bytes, end.gaps, end.missing] {
                    out.extend_from_slice(&count.to_le_bytes());
                }
            }
        }
        out.resize(CRC_OFFSET, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());

        let mut bytes = [0; STREAM_MARK_LEN];
        bytes.copy_from_slice(&out);
        bytes
    }

    /// Decodes the mark at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// Says what is wrong: too few bytes, another magic number, a newer version, a checksum that does
    /// not match, or a field that has no such value.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "stream mark";
        let mut cursor = Cursor::new(bytes);
        if cursor.array::<8>(WHAT)? != STREAM_MAGIC {
            return Err(DecodeError::Marker { what: WHAT });
        }
        match cursor.u16(WHAT)? {
            0 => return Err(DecodeError::Invalid { what: "stream version", found: 0 }),
            VERSION => {}
            found => {
                return Err(DecodeError::Newer { what: "stream version", found: found.into() });
            }
        }
        check_crc(WHAT, bytes, CRC_OFFSET)?;
        match cursor.u8("kind of stream mark")? {
            1 => StreamSelection::decode(cursor).map(Self::Begin),
            2 => {
                cursor.u8("zero")?;
                let store = cursor.u32("store")?;
                Ok(Self::Image { segment: cursor.u64("segment number")?, store })
            }
            3 => {
                cursor.bytes("zero", 5)?;
                Ok(Self::End(StreamEnd {
                    images: cursor.u64("images")?,
                    blocks: cursor.u64("blocks")?,
                    bytes: cursor.u64("bytes")?,
                    gaps: cursor.u64("gaps")?,
                    missing: cursor.u64("missing records")?,
                }))
            }
            found => Err(DecodeError::Invalid { what: "kind of stream mark", found: found.into() }),
        }
    }
}

impl StreamSelection {
    fn encode(&self, out: &mut Vec<u8>) {
        let workers = self.workers.as_ref().filter(|workers| workers.len() <= STREAM_WORKERS_MAX);
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(self.since.is_some(), HAS_SINCE)
            | flag(self.until.is_some(), HAS_UNTIL)
            | flag(self.covered.is_some(), HAS_COVERED)
            | flag(workers.is_some(), HAS_WORKERS)
            | flag(self.is_reverse, IS_REVERSE);
        out.extend_from_slice(&[1, flags, self.levels.bits()]);
        let [types @ .., _] = self.types.bits().to_le_bytes();
        out.extend_from_slice(&types);
        let (from, to) = self.covered.unwrap_or_default();
        for time in [self.since.unwrap_or_default(), self.until.unwrap_or_default(), from, to] {
            out.extend_from_slice(&time.as_micros().to_le_bytes());
        }
        let workers = workers.map_or(&[] as &[_], Vec::as_slice);
        out.extend_from_slice(&u32::try_from(workers.len()).unwrap_or(0).to_le_bytes());
        for worker in workers {
            out.extend_from_slice(&worker.map_or(MASTER, WorkerId::get).to_le_bytes());
        }
    }

    /// Decodes what follows the kind.
    fn decode(mut cursor: Cursor<'_>) -> Result<Self, DecodeError> {
        let flags = cursor.u8("flags of a stream")?;
        let levels = LevelSet::from_bits(cursor.u8("levels")?);
        let types = TypeSet::from_bits(cursor.u24("types")?);
        let mut time = |what| timestamp(what, cursor.i64(what)?);
        let (since, until) = (time("first time")?, time("last time")?);
        let covered = (time("start of what is covered")?, time("end of what is covered")?);
        let count = match cursor.u32("worker count")? {
            found if found as usize > STREAM_WORKERS_MAX => {
                let limit = STREAM_WORKERS_MAX as u64;
                return Err(DecodeError::Limit {
                    what: "worker count",
                    found: found.into(),
                    limit,
                });
            }
            count => count as usize,
        };
        let mut workers = Vec::with_capacity(count);
        for _ in 0..count {
            workers.push(match cursor.u32("worker")? {
                MASTER => None,
                number => Some(WorkerId::new(number).ok_or(DecodeError::Limit {
                    what: "worker",
                    found: number.into(),
                    limit: WorkerId::MAX.get().into(),
                })?),
            });
        }
        let has = |flag| flags & flag != 0;
        Ok(Self {
            since: has(HAS_SINCE).then_some(since),
            until: has(HAS_UNTIL).then_some(until),
            covered: has(HAS_COVERED).then_some(covered),
            levels,
            types,
            workers: has(HAS_WORKERS).then_some(workers),
            is_reverse: has(IS_REVERSE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    fn marks() -> Vec<StreamMark> {
        let time = Timestamp::from_micros;
        let all = StreamSelection {
            since: None,
            until: None,
            covered: None,
            levels: LevelSet::ALL,
            types: TypeSet::ALL,
            workers: None,
            is_reverse: false,
        };
        let some = StreamSelection {
            since: Some(time(-5)),
            until: Some(time(7)),
            covered: Some((time(-3), time(6))),
            levels: LevelSet::at_least(Level::Error),
            types: TypeSet::from_bits(0x00_10_25),
            workers: Some(vec![None, WorkerId::new(0), Some(WorkerId::MAX)]),
            is_reverse: true,
        };
        let end = StreamEnd { images: 1, blocks: 2, bytes: 3, gaps: 4, missing: u64::MAX };
        vec![
            StreamMark::Begin(all),
            StreamMark::Begin(some),
            StreamMark::Image { segment: u64::MAX, store: 7 },
            StreamMark::End(end),
        ]
    }

    #[test]
    fn marks_round_trip() {
        for mark in marks() {
            assert_eq!(StreamMark::decode(&mark.encode()), Ok(mark));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        for mark in marks() {
            let bytes = mark.encode();
            for len in 0..bytes.len() {
                assert!(StreamMark::decode(&bytes[..len]).is_err(), "{len}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(StreamMark::decode(&flipped).is_err(), "{bit}");
            }
        }
    }

    #[test]
    fn what_has_no_such_value_is_refused() {
        let changed = |mark: &StreamMark, offset: usize, byte: u8| {
            let mut bytes = mark.encode();
            bytes[offset] = byte;
            let crc = crc32c::crc32c(&bytes[..CRC_OFFSET]).to_le_bytes();
            bytes[CRC_OFFSET..].copy_from_slice(&crc);
            StreamMark::decode(&bytes)
        };
        let [_, some, image, _] = &marks()[..] else { panic!("there are four") };
        assert!(matches!(changed(image, 10, 9), Err(DecodeError::Invalid { found: 9, .. })));
        assert!(matches!(changed(image, 8, 2), Err(DecodeError::Newer { found: 2, .. })));
        assert!(matches!(changed(some, 48, 200), Err(DecodeError::Limit { found: 200, .. })));
        assert!(matches!(changed(some, 23, 0x7F), Err(DecodeError::Invalid { .. })), "a time");
    }

    #[test]
    fn too_many_workers_to_be_named_are_all_workers() {
        let [_, StreamMark::Begin(some), ..] = &marks()[..] else { panic!("there are four") };
        let workers = Some((0..=16).map(WorkerId::new).collect());
        let mark = StreamMark::Begin(StreamSelection { workers, ..some.clone() });
        let Ok(StreamMark::Begin(found)) = StreamMark::decode(&mark.encode()) else {
            panic!("it decodes")
        };
        assert_eq!(found.workers, None);
    }
}
