//! The column of sections: which section each REQUEST of a block asked for.
//!
//! It repeats what methods and urls tell, for readers that want to count sections without taking
//! bodies apart. A block has it for all of its REQUESTs or not at all, and whoever does not want it
//! passes it over unread.

use crate::column::TextColumn;
use crate::cursor::{Cursor, put_utf8};
use crate::error::DecodeError;
use crate::limits::{SECTION_NAME_BYTES_MAX, SECTION_NAMES_MAX};
use crate::record::Method;
use crate::url_section::Asked;

/// The fewest REQUESTs whose sections are stored.
///
/// With fewer the names are most of the column, and their block is decompressed in no time.
const REQUESTS_MIN: usize = 64;

const NAMES: &str = "names of sections";
const REFERENCES: &str = "sections of requests";

/// The sections of the REQUESTs of a block.
#[derive(Clone, Copy, Debug)]
pub struct UrlSections<'s> {
    column: &'s [u8],
    places: &'s Places,
}

/// Where the parts of the column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Where each name starts and ends.
    names: Vec<(usize, usize)>,
    /// For each REQUEST the place of its section among the names.
    references: Vec<u8>,
}

impl Places {
    /// Parses what is behind the other columns of a spine; `None` if the block does not have the column.
    pub(crate) fn parse(column: &[u8], requests: usize) -> Result<Option<Self>, DecodeError> {
        let cursor = &mut Cursor::new(column);
        if cursor.remaining() == 0 {
            return Ok(None);
        }
        let count = usize::from(cursor.u8(NAMES)?);
        if count == 0 {
            return Ok(None);
        }
        let mut names = Vec::with_capacity(count);
        let mut last = "";
        for index in 0..count {
            let name = cursor.text_to(NAMES, SECTION_NAME_BYTES_MAX)?;
            // None is empty, so the first one follows as well.
            if name <= last || Asked::of_section(name.as_bytes()).section() != name.as_bytes() {
                return Err(DecodeError::Invalid { what: NAMES, found: index as u64 });
            }
            last = name;
            let end = column.len() - cursor.remaining();
            names.push((end - name.len(), end));
        }
        let width = width(count);
        let packed = cursor.bytes(REFERENCES, packed_len(requests, width))?;
        let references = unpack(packed, requests, width);
        match references.iter().copied().max() {
            Some(found) if usize::from(found) >= count => {
                let (found, limit) = (u64::from(found), count as u64 - 1);
                Err(DecodeError::Limit { what: REFERENCES, found, limit })
            }
            _ => Ok(Some(Self { names, references })),
        }
    }
}

impl<'s> UrlSections<'s> {
    pub(crate) fn new(column: &'s [u8], places: &'s Places) -> Self {
        Self { column, places }
    }

    /// The names, ascending by their bytes.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'s str> + use<'s> {
        let column = self.column;
        self.places.names.iter().map(move |place| name(column, *place))
    }

    /// The place of a REQUEST's section among the names, by the REQUEST's number among those of the
    /// block.
    #[inline]
    pub fn place(&self, head: u32) -> Option<usize> {
        self.places.references.get(head as usize).copied().map(usize::from)
    }

    /// The section of a REQUEST, by its number among those of the block.
    pub fn name(&self, head: u32) -> Option<&'s str> {
        let place = self.places.names.get(self.place(head)?)?;
        Some(name(self.column, *place))
    }
}

fn name(column: &[u8], (start, end): (usize, usize)) -> &str {
    // `parse` has seen that it is UTF-8.
    std::str::from_utf8(column.get(start..end).unwrap_or_default()).unwrap_or_default()
}

/// The bits that tell one of so many names.
fn width(names: usize) -> u32 {
    names.saturating_sub(1).checked_ilog2().map_or(0, |log| log + 1)
}

fn packed_len(requests: usize, width: u32) -> usize {
    (requests * width as usize).div_ceil(8)
}

/// Numbers of at most eight bits, one after the other from the lowest bit of the first byte on.
fn unpack(packed: &[u8], count: usize, width: u32) -> Vec<u8> {
    match width {
        0 => return vec![0; count],
        4 => {
            // The usual one, in a loop that becomes vector instructions.
            let mut numbers = vec![0; packed.len() * 2];
            for (pair, byte) in numbers.chunks_exact_mut(2).zip(packed) {
                if let [low, high] = pair {
                    (*low, *high) = (byte & 0x0F, byte >> 4);
                }
            }
            numbers.truncate(count);
            return numbers;
        }
        _ => {}
    }
    let mask = u8::MAX.checked_shr(8 - width).unwrap_or(0);
    let (mut waiting, mut bits) = (0_u32, 0);
    let mut bytes = packed.iter();
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        if bits < width {
            waiting |= u32::from(bytes.next().copied().unwrap_or_default()) << bits;
            bits += 8;
        }
        numbers.push((waiting & 0xFF) as u8 & mask);
        waiting >>= width;
        bits -= width;
    }
    numbers
}

/// The mirror of [`unpack`].
fn pack(numbers: impl Iterator<Item = u8>, width: u32, out: &mut Vec<u8>) {
    let (mut waiting, mut bits) = (0_u32, 0);
    for number in numbers {
        waiting |= u32::from(number) << bits;
        bits += width;
        if bits >= 8 {
            out.push((waiting & 0xFF) as u8);
            waiting >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push((waiting & 0xFF) as u8);
    }
}

/// Appends the column, if it pays: if there are REQUESTs enough for the names that it takes.
pub(crate) fn encode(
    methods: &[u8],
    other_methods: &TextColumn,
    urls: &TextColumn,
    out: &mut Vec<u8>,
) {
    if methods.len() < REQUESTS_MIN {
        return;
    }
    let mut names = Names::default();
    let mut others = other_methods.texts();
    let mut references = Vec::with_capacity(methods.len());
    for (code, url) in methods.iter().zip(urls.texts()) {
        let method = match Method::from_code(*code) {
            Some(method) => method.as_str().as_bytes(),
            None => others.next().unwrap_or_default(),
        };
        match names.place(Asked::of(method, url).section(), methods.len()) {
            Some(place) => references.push(place),
            None => return,
        }
    }
    let width = width(names.names.len());
    let ranks = names.encode(out);
    let rank = |place: u8| ranks.get(usize::from(place)).copied().unwrap_or_default();
    pack(references.into_iter().map(rank), width, out);
}

/// Names as they come.
struct Names<'t> {
    names: Vec<&'t [u8]>,
    /// The bytes that they take.
    bytes: usize,
    /// For some of the bytes of a name, where one with these was found last: mostly the same one.
    hints: [u8; HINTS],
}

const HINTS: usize = 1 << HINT_BITS;
const HINT_BITS: u32 = 8;

impl Default for Names<'_> {
    fn default() -> Self {
        Self { names: Vec::new(), bytes: 0, hints: [0; HINTS] }
    }
}

impl<'t> Names<'t> {
    /// The place of a name; `None` if the names take more room than pays for so many REQUESTs.
    fn place(&mut self, name: &'t [u8], requests: usize) -> Option<u8> {
        let hint = hint(name);
        let hinted = self.hints.get(hint).copied().unwrap_or_default();
        if self.names.get(usize::from(hinted)) == Some(&name) {
            return Some(hinted);
        }
        let place = match self.names.iter().position(|known| *known == name) {
            Some(place) => place,
            None => self.add(name, requests)?,
        };
        let place = u8::try_from(place).ok()?;
        if let Some(hint) = self.hints.get_mut(hint) {
            *hint = place;
        }
        Some(place)
    }

    fn add(&mut self, name: &'t [u8], requests: usize) -> Option<usize> {
        self.bytes += 1 + name.len();
        let pays = self.bytes <= requests && self.names.len() < SECTION_NAMES_MAX;
        if !pays || name.len() > SECTION_NAME_BYTES_MAX {
            return None;
        }
        self.names.push(name);
        Some(self.names.len() - 1)
    }

    /// Appends the names in order; answers where each has gone. In order, the names of one block look
    /// like those of the next, which a dictionary makes use of.
    fn encode(&self, out: &mut Vec<u8>) -> Vec<u8> {
        let mut order: Vec<(&[u8], usize)> = self.names.iter().copied().zip(0..).collect();
        order.sort_unstable();
        // There are no more of them, see `add`.
        out.push(u8::try_from(order.len()).unwrap_or(u8::MAX));
        let mut ranks = vec![0; order.len()];
        for (rank, (name, place)) in (0..=u8::MAX).zip(order) {
            put_utf8(out, name);
            if let Some(entry) = ranks.get_mut(place) {
                *entry = rank;
            }
        }
        ranks
    }
}

/// Mixes the length, the first bytes behind the slash and the last byte of a name.
fn hint(name: &[u8]) -> usize {
    let at = |index: usize| name.get(index).copied().map_or(0, u32::from);
    let mixed = at(1) | at(2) << 8 | at(3) << 16 | at(name.len().wrapping_sub(1)) << 24;
    let mixed = mixed ^ u32::try_from(name.len()).unwrap_or_default() << 4;
    // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    (mixed.wrapping_mul(0x9E37_79B9) >> (32 - HINT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_section::url_section;
    use proptest::prelude::*;

    /// The column of REQUESTs with these methods and urls.
    fn column(requests: &[(&str, &str)]) -> Vec<u8> {
        let (mut methods, mut others) = (Vec::new(), TextColumn::default());
        let (mut urls, mut out) = (TextColumn::default(), Vec::new());
        for (method, url) in requests {
            let method = Method::new(method);
            methods.push(method.code());
            if method.code() == 0 {
                others.push(method.as_str().as_bytes());
            }
            urls.push(url.as_bytes());
        }
        encode(&methods, &others, &urls, &mut out);
        out
    }

    /// A hundred REQUESTs of so many sections, one after the other.
    fn in_turn(sections: usize) -> Vec<u8> {
        let urls: Vec<String> = (0..100).map(|n| format!("/{}/x?y", n % sections)).collect();
        column(&urls.iter().map(|url| ("GET", url.as_str())).collect::<Vec<_>>())
    }

    fn parse(column: &[u8], requests: usize) -> Result<Option<Places>, DecodeError> {
        Places::parse(column, requests)
    }

    fn url() -> impl Strategy<Value = String> {
        let part =
            prop::sample::select(vec!["/", "/a", "/b", "/caf\u{e9}", "a", "*", "h://x", "\0"]);
        prop::collection::vec(part, 0..3).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(crate::seeded())]

        #[test]
        fn sections_are_those_of_the_urls(
            urls in prop::collection::vec((0..4_usize, url()), REQUESTS_MIN..200),
        ) {
            let method = |index: &usize| ["GET", "CONNECT", "connect", "BREW"][*index];
            let requests: Vec<_> = urls.iter().map(|(m, url)| (method(m), url.as_str())).collect();
            let column = column(&requests);
            let Some(places) = parse(&column, requests.len()).unwrap() else {
                prop_assert!(column.is_empty());
                return Ok(());
            };
            let sections = UrlSections::new(&column, &places);
            for (head, (method, url)) in (0..).zip(&requests) {
                prop_assert_eq!(sections.name(head), Some(url_section(method, url)));
            }
            for cut in 1..column.len() {
                prop_assert!(parse(&column[..cut], requests.len()).is_err(), "cut at {}", cut);
            }
        }

        #[test]
        fn numbers_of_few_bits_round_trip(numbers in prop::collection::vec(0..=255_u8, 0..50)) {
            for width in 0..=8 {
                let mask = u8::MAX.checked_shr(8 - width).unwrap_or(0);
                let small: Vec<u8> = numbers.iter().map(|n| n & mask).collect();
                let mut packed = Vec::new();
                pack(small.iter().copied(), width, &mut packed);
                prop_assert_eq!(packed.len(), packed_len(small.len(), width));
                prop_assert_eq!(unpack(&packed, small.len(), width), small);
            }
        }
    }

    #[test]
    fn references_take_as_many_bits_as_there_are_names() {
        for (names, bits) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (27, 5)] {
            let own: usize = (0..names).map(|n| format!("/{n}").len() + 1).sum();
            assert_eq!(in_turn(names).len(), 1 + own + (100_usize * bits).div_ceil(8), "{names}");
        }
        assert_eq!((width(128), width(129), width(255)), (7, 8, 8));
    }

    #[test]
    fn what_does_not_pay_is_left_out() {
        let of = |count: usize, url: &str| column(&vec![("GET", url); count]).len();
        assert_eq!((of(63, "/a"), of(64, "/a")), (0, 4));
        let name = |len: usize| format!("/{}", "x".repeat(len - 1));
        assert_eq!((of(64, &name(48)), of(64, &name(49))), (50, 0));
        // Names of 3 bytes with their lengths, and of 4: a hundred bytes in all, and more.
        assert!(!in_turn(27).is_empty());
        assert!(in_turn(28).is_empty());
        let many = |count: usize| {
            let urls: Vec<_> = (0..count.max(2_000)).map(|n| format!("/{}", n % count)).collect();
            column(&urls.iter().map(|url| ("GET", url.as_str())).collect::<Vec<_>>())
        };
        assert!(!many(255).is_empty() && many(256).is_empty());
    }

    #[test]
    fn columns_that_are_not_allowed_are_refused() {
        let check = |column: &[u8], expected: &str| {
            let error = parse(column, 3).unwrap_err().to_string();
            assert_eq!(error, expected);
        };
        let names = b"\x03\x02/a\x02/b\x03(*)";
        let with = |references: u8| [&names[..1], b"\x03(*)", &names[1..7], &[references]].concat();
        assert!(parse(&with(0b10_01_00), 3).is_ok());
        check(&with(0b11_01_00), "sections of requests is 3, the limit is 2");
        check(&with(0)[..11], "sections of requests is cut off: 1 bytes expected, 0 found");
        check(&[names, &[0][..]].concat(), "names of sections has the invalid value 2");
        check(b"\x01\x31", "names of sections is 49, the limit is 48");
        check(b"\x01\x02/", "names of sections is cut off: 2 bytes expected, 1 found");
        check(b"\x01\x02/\xff", "names of sections is not UTF-8");
        for name in ["\x00", "\x01a", "\x04/a/b", "\x03/a?", "\x03/a#", "\x09(unknown)"] {
            check(
                &[b"\x01", name.as_bytes()].concat(),
                "names of sections has the invalid value 0",
            );
        }
        check(b"\x02\x02/a\x02/a", "names of sections has the invalid value 1");
    }

    /// A later version that appends another column has to say that there is none of these.
    #[test]
    fn no_names_and_no_bytes_are_no_sections() {
        assert_eq!(parse(b"", 3), Ok(None));
        assert_eq!(parse(b"\x00more", 3), Ok(None));
        let column = in_turn(2);
        let longer = [&column[..], b"more"].concat();
        assert_eq!(parse(&longer, 100), parse(&column, 100));
        assert!(parse(&column, 100).unwrap().is_some());
    }
}
