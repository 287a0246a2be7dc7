//! Cursors as text.
//!
//! `c1`, then base64 for URLs without padding of:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | bit 0: descending order |
//! | varint | stores without a segment |
//! | varint | number of stores, at most 64 |
//! | varint | number of levels, 1 to 16 |
//! | for each store | its identity (16), varint newest segment, varint number of segments listed (at most 640), for each of them varint newest minus its number, file (4) |
//! | for each level | a rank; for each store varint 0 if it is not part of the level, else the distance of its newest segment from the store's plus 1, then varint newest minus oldest, and for each segment listed varint 0 or length plus 1 |
//! | 4 | CRC-32C over `c1` and all bytes before |
//!
//! A rank is a byte, 0 the lowest, 1 the highest, 2 the last of a time (8), 3 time (8), writer (4)
//! and varint sequence number. Numbers are little-endian, varints unsigned LEB128.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use logq_format::{Id, Timestamp};

use super::CursorError;
use super::position::{
    End, Extent, HIGHEST, LEVELS_MAX, LISTED_MAX, LOWEST, Level, Position, through,
};
use crate::query::Order;
use crate::rows::Rank;

const PREFIX: &str = "c1";

/// More characters than any cursor has.
const TEXT_LEN_MAX: usize = 128 << 10;

const STORES_MAX: u64 = 64;

/// Each level may list other ones.
const SEGMENTS_MAX: u64 = (LEVELS_MAX * LISTED_MAX) as u64;

/// The segments of one store that any level lists: number and file, the newest first.
struct Table {
    store: Id,
    newest: u64,
    segments: Vec<(u64, u32)>,
}

pub(super) fn encode(position: &Position) -> String {
    let mut out = Vec::new();
    out.push(u8::from(position.order == Order::Descending));
    varint(&mut out, position.unborn.into());
    let tables = tables(position);
    varint(&mut out, tables.len() as u64);
    varint(&mut out, position.levels.len() as u64);
    for table in &tables {
        out.extend(table.store.0);
        varint(&mut out, table.newest);
        varint(&mut out, table.segments.len() as u64);
        for (number, file) in &table.segments {
            varint(&mut out, table.newest.saturating_sub(*number));
            out.extend(file.to_le_bytes());
        }
    }
    for level in &position.levels {
        encode_rank(&mut out, level.rank);
        for table in &tables {
            let extent = level.extents.iter().find(|extent| extent.store == table.store);
            encode_extent(&mut out, table, extent);
        }
    }
    let sum = checksum(&out);
    out.extend(sum.to_le_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out))
}

fn tables(position: &Position) -> Vec<Table> {
    let extents = || position.levels.iter().flat_map(|level| &level.extents);
    let mut stores: Vec<_> = extents().map(|extent| extent.store).collect();
    stores.sort_unstable_by_key(|id| id.0);
    stores.dedup();
    let table = |store: Id| {
        let of_store = || extents().filter(|extent| extent.store == store);
        let mut segments: Vec<_> =
            of_store().flat_map(|extent| &extent.ends).map(|end| (end.number, end.file)).collect();
        segments.sort_unstable_by(|a, b| b.cmp(a));
        segments.dedup();
        let newest = of_store().map(|extent| extent.newest).max().unwrap_or(0);
        Table { store, newest, segments }
    };
    stores.into_iter().map(table).collect()
}

fn encode_extent(out: &mut Vec<u8>, table: &Table, extent: Option<&Extent>) {
    let Some(extent) = extent else { return out.push(0) };
    varint(out, table.newest.saturating_sub(extent.newest).saturating_add(1));
    varint(out, extent.newest.saturating_sub(extent.oldest));
    for (number, file) in &table.segments {
        let end = extent.ends.iter().find(|end| (end.number, end.file) == (*number, *file));
        varint(out, end.map_or(0, |end| end.len.saturating_add(1)));
    }
}

fn encode_rank(out: &mut Vec<u8>, rank: Rank) {
    let (time, writer, sequence) = rank;
    let kind = match rank {
        LOWEST => 0,
        HIGHEST => 1,
        _ if rank == through(time) => 2,
        _ => 3,
    };
    out.push(kind);
    if kind >= 2 {
        out.extend(time.as_micros().to_le_bytes());
    }
    if kind == 3 {
        out.extend(writer.to_le_bytes());
        varint(out, sequence);
    }
}

pub(super) fn decode(text: &str) -> Result<Position, CursorError> {
    let text = text.trim();
    let malformed = |reason| CursorError::Malformed { reason };
    let Some(rest) = text.strip_prefix(PREFIX) else {
        let version = text.strip_prefix('c').and_then(|rest| rest.chars().next()?.to_digit(10));
        return Err(match version.and_then(|version| u8::try_from(version).ok()) {
            Some(found) if found > 1 => CursorError::Newer { found },
            _ => malformed("it does not begin with c1"),
        });
    };
    if rest.len() > TEXT_LEN_MAX {
        return Err(malformed("it is too long"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(rest);
    let bytes = bytes.map_err(|_| malformed("it has characters that no cursor has"))?;
    let Some((payload, sum)) = bytes.split_last_chunk::<4>() else {
        return Err(malformed("it is too short"));
    };
    if checksum(payload) != u32::from_le_bytes(*sum) {
        return Err(malformed("its checksum is wrong"));
    }
    let mut reader = Reader { bytes: payload };
    let position = reader.position().filter(|_| reader.bytes.is_empty());
    position.ok_or(malformed("it holds what no cursor holds"))
}

/// Takes a cursor apart; `None` where it ends early or a number is out of range.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn position(&mut self) -> Option<Position> {
        let order = match self.array::<1>()? {
            [0] => Order::Ascending,
            [1] => Order::Descending,
            _ => return None,
        };
        let unborn = u8::try_from(self.varint()?).ok()?;
        let stores = self.varint().filter(|stores| *stores <= STORES_MAX)?;
        let levels = self.varint().filter(|levels| (1..=LEVELS_MAX as u64).contains(levels))?;
        let tables: Vec<_> = (0..stores).map(|_| self.table()).collect::<Option<_>>()?;
        let levels = (0..levels).map(|_| self.level(&tables)).collect::<Option<_>>()?;
        Some(Position { order, unborn, levels })
    }

    fn table(&mut self) -> Option<Table> {
        let store = Id(self.array()?);
        let newest = self.varint()?;
        let count = self.varint().filter(|count| *count <= SEGMENTS_MAX)?;
        let segment = |_| {
            let number = newest.checked_sub(self.varint()?)?;
            Some((number, u32::from_le_bytes(self.array()?)))
        };
        let segments = (0..count).map(segment).collect::<Option<_>>()?;
        Some(Table { store, newest, segments })
    }

    fn level(&mut self, tables: &[Table]) -> Option<Level> {
        let rank = self.rank()?;
        let mut extents = Vec::new();
        for table in tables {
            let Some(distance) = self.varint()?.checked_sub(1) else { continue };
            let newest = table.newest.checked_sub(distance)?;
            let oldest = newest.checked_sub(self.varint()?)?;
            let mut ends = Vec::new();
            for (number, file) in table.segments.iter().copied() {
                let len = self.varint()?.checked_sub(1);
                ends.extend(len.map(|len| End { number, file, len }));
            }
            ends.sort_by_key(|end| end.number);
            extents.push(Extent { store: table.store, oldest, newest, ends });
        }
        Some(Level { rank, extents })
    }

    fn rank(&mut self) -> Option<Rank> {
        let [kind] = self.array()?;
        match kind {
            0 => Some(LOWEST),
            1 => Some(HIGHEST),
            2 => Some(through(self.time()?)),
            3 => Some((self.time()?, u32::from_le_bytes(self.array()?), self.varint()?)),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        Timestamp::checked_from_micros(i64::from_le_bytes(self.array()?))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            value |= shifted;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*array)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn checksum(payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(PREFIX.as_bytes()), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rank() -> impl Strategy<Value = Rank> {
        let time = (0_i64..1 << 50).prop_map(Timestamp::from_micros);
        prop_oneof![
            Just(LOWEST),
            Just(HIGHEST),
            time.clone().prop_map(through),
            (time, any::<u32>(), 0_u64..1 << 48),
        ]
    }

    fn extent(store: u8) -> impl Strategy<Value = Extent> {
        let ends = proptest::collection::vec((any::<u32>(), any::<u64>()), 0..8);
        (8_u64..1 << 40, 0_u64..9, ends).prop_map(move |(newest, age, ends)| {
            let first = newest - ends.len().saturating_sub(1) as u64;
            let end = |(number, (file, len)): (u64, (u32, u64))| End {
                number,
                file,
                len: len.min(u64::MAX - 1),
            };
            let ends = (first..).zip(ends).map(end).collect();
            Extent { store: Id([store; 16]), oldest: newest - age, newest, ends }
        })
    }

    fn position() -> impl Strategy<Value = Position> {
        let level =
            (rank(), proptest::option::of(extent(1)), proptest::option::of(extent(2))).prop_map(
                |(rank, one, two)| Level { rank, extents: one.into_iter().chain(two).collect() },
            );
        let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
        (order, any::<u8>(), proptest::collection::vec(level, 1..4))
            .prop_map(|(order, unborn, levels)| Position { order, unborn, levels })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn text_comes_back_as_it_was(position in position()) {
            let text = encode(&position);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(decode(&text), Ok(position));
        }

        #[test]
        fn changed_text_is_refused(position in position(), at in any::<proptest::sample::Index>()) {
            let mut text = encode(&position).into_bytes();
            let at = at.index(text.len());
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(text.clone()).unwrap();
            prop_assert!(decode(&changed).is_err());
            text.truncate(at);
            prop_assert!(decode(&String::from_utf8(text).unwrap()).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(mut payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            let sum = checksum(&payload);
            payload.extend(sum.to_le_bytes());
            let _ = decode(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(payload)));
        }
    }

    #[test]
    fn an_ordinary_cursor_is_short() {
        let end = |number| End { number, file: u32::MAX, len: 100 << 20 };
        let store = Id([7; 16]);
        let ends = (1_000..1_008).map(end).collect();
        let extents = vec![Extent { store, oldest: 1, newest: 1_007, ends }];
        let rank = (Timestamp::from_micros(1_770_000_000_000_000), u32::MAX, 1 << 40);
        let levels = vec![Level { rank, extents }];
        let text = encode(&Position { order: Order::Ascending, unborn: 0, levels });
        assert!(text.len() < 180, "{} characters: {text}", text.len());
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let refused = |text: &str| decode(text).unwrap_err().to_string();
        assert!(refused("2026-02-03").contains("does not begin with c1"));
        assert!(refused("c2AAAA").contains("version 2"));
        assert!(refused("c1").contains("too short"));
        assert!(refused("c1AAAA*").contains("characters"));
        assert!(refused("c1AAAAAAAA").contains("checksum"));
    }
}
