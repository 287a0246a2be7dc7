//! Escapes undone, and zlib streams inflated from escaped bytes, within limits.

use flate2::{Decompress, FlushDecompress, Status};

use crate::block::Cause;

const ESCAPE: u8 = 0xF8;

/// How many bytes of a stream are unescaped at a time, so that damage soon ends the work.
const CHUNK_BYTES: usize = 4096;

/// How much room for output is added at least.
const ROOM_BYTES: usize = 32 << 10;

/// Inflates; reuses its memory.
#[derive(Debug)]
pub(crate) struct Inflater {
    zlib: Decompress,
    chunk: Vec<u8>,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self { zlib: Decompress::new(true), chunk: Vec::new() }
    }

    /// Inflates the stream at the start of escaped bytes into `out`, which it clears first, and
    /// answers how many of them it has. What comes out is what went in: the Adler-32 has been
    /// checked.
    ///
    /// # Errors
    ///
    /// The bytes are no whole stream, or become more than `limit`.
    pub(crate) fn inflate(
        &mut self,
        stored: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Cause> {
        out.clear();
        self.zlib.reset(true);
        let mut used = 0;
        loop {
            let rest = stored.get(used..).unwrap_or_default();
            self.chunk.clear();
            let taken = unescape(rest, CHUNK_BYTES, &mut self.chunk);
            if let (0, Some(first)) = (used, self.chunk.first_mut()) {
                *first = first.rotate_left(4);
            }
            if self.chunk.is_empty() {
                return Err(match rest.get(1) {
                    Some(code) => Cause::Escape { code: *code },
                    None => Cause::Inflate { reason: "the stream is cut off".to_owned() },
                });
            }
            if let Some(len) = self.feed(limit, out)? {
                return Ok(used + escaped_len(rest, len));
            }
            used += taken;
        }
    }

    /// Inflates the chunk; the number of its bytes up to the end of the stream, if that is in it.
    fn feed(&mut self, limit: usize, out: &mut Vec<u8>) -> Result<Option<usize>, Cause> {
        let start = self.zlib.total_in();
        loop {
            if out.len() == out.capacity() {
                if out.len() > limit {
                    return Err(Cause::Oversize { limit });
                }
                // One byte more than the limit tells that there is more.
                out.reserve_exact(out.len().max(ROOM_BYTES).min(limit + 1 - out.len()));
            }
            let fed = usize::try_from(self.zlib.total_in() - start).unwrap_or(usize::MAX);
            let rest = self.chunk.get(fed..).unwrap_or_default();
            let before = (self.zlib.total_in(), self.zlib.total_out());
            let status = self
                .zlib
                .decompress_vec(rest, out, FlushDecompress::None)
                .map_err(|error| Cause::Inflate { reason: error.to_string() })?;
            let fed = usize::try_from(self.zlib.total_in() - start).unwrap_or(usize::MAX);
            if out.len() > limit {
                return Err(Cause::Oversize { limit });
            }
            if status == Status::StreamEnd {
                return Ok(Some(fed));
            }
            if fed >= self.chunk.len() && out.len() < out.capacity() {
                return Ok(None);
            }
            if before == (self.zlib.total_in(), self.zlib.total_out()) && out.len() < out.capacity()
            {
                let reason = "the stream does not go on".to_owned();
                return Err(Cause::Inflate { reason });
            }
        }
    }
}

/// Appends unescaped bytes, `max` at most, and answers how many bytes they are from. Stops before an
/// escape that there is not.
pub(crate) fn unescape(stored: &[u8], max: usize, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    let mut room = max;
    while room > 0 {
        let rest = stored.get(at..).unwrap_or_default();
        let plain = memchr::memchr(ESCAPE, rest).unwrap_or(rest.len()).min(room);
        out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        at += plain;
        room -= plain;
        if room == 0 {
            break;
        }
        match rest.get(plain..plain + 2) {
            Some([ESCAPE, 1]) => out.push(ESCAPE),
            Some([ESCAPE, 2]) => out.push(crate::SEPARATOR),
            _ => break,
        }
        at += 2;
        room -= 1;
    }
    at
}

/// How many escaped bytes the first `len` unescaped ones are from.
pub(crate) fn escaped_len(stored: &[u8], len: usize) -> usize {
    let mut at = 0;
    for _ in 0..len {
        at += if stored.get(at) == Some(&ESCAPE) { 2 } else { 1 };
    }
    at
}

/// Where the last slice marker is: its first byte and the byte behind it.
///
/// A torn write may end with half an escape, so a marker may follow at once.
pub(crate) fn last_slice_marker(stored: &[u8]) -> Option<(usize, usize)> {
    let mut found = None;
    let mut at = 0;
    while let Some(ahead) = stored.get(at..).and_then(|rest| memchr::memchr(ESCAPE, rest)) {
        let escape = at + ahead;
        at = escape + if stored.get(escape + 1) == Some(&ESCAPE) { 1 } else { 2 };
        if stored.get(escape + 1) == Some(&3) {
            found = Some((escape, escape + 2));
        }
    }
    found
}

/// Where a zlib stream might start, from `from` on: as RFC 1950 has it, the method is 8, the window
/// at most 32 KiB, and the two bytes of the header are a multiple of 31.
pub(crate) fn next_stream(stored: &[u8], from: usize) -> Option<usize> {
    let pairs = stored.get(from..)?.windows(2);
    let is_header = |pair: &[u8]| match pair {
        [first @ 0x80..=0x87, second] => {
            u16::from_be_bytes([first.rotate_left(4), *second]) % 31 == 0
        }
        _ => false,
    };
    pairs.into_iter().position(is_header).map(|ahead| from + ahead)
}

#[cfg(test)]
mod tests {
    use logq_testkit::node_logs::{deflate, escape};

    use super::*;

    fn inflate(stored: &[u8], limit: usize) -> Result<(usize, Vec<u8>), Cause> {
        let mut out = Vec::new();
        let used = Inflater::new().inflate(stored, limit, &mut out)?;
        Ok((used, out))
    }

    /// Bytes that are partly random and full of separators and escapes.
    fn content(len: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..len).map(|_| if rng.bool() { rng.u8(0xF7..=0xFB) } else { rng.u8(..) }).collect()
    }

    #[test]
    fn escapes_are_undone() {
        let check = |stored: &[u8], plain: &[u8], used| {
            let mut out = Vec::new();
            assert_eq!((unescape(stored, usize::MAX, &mut out), &*out), (used, plain));
        };
        check(b"", b"", 0);
        check(b"a\xF8\x01b\xF8\x02", b"a\xF8b\xFA", 6);
        check(b"a\xF8", b"a", 1);
        check(b"a\xF8\x00b", b"a", 1);
        check(b"a\xF8\x03b", b"a", 1);
        let plain = content(3000);
        let stored = escape(&plain);
        for max in [0, 1, 2, 999, 2999, 3000, 4000] {
            let mut out = Vec::new();
            let used = unescape(&stored, max, &mut out);
            assert_eq!(out, plain[..max.min(plain.len())]);
            assert_eq!(used, escaped_len(&stored, out.len()));
        }
    }

    #[test]
    fn streams_come_back_whatever_their_length() {
        for len in [0, 1, 100, 4095, 4096, 4097, 20_000, 300_000] {
            for plain in [content(len), vec![b'a'; len]] {
                let stored = escape(&deflate(&plain));
                let expected = (stored.len(), plain.clone());
                assert_eq!(inflate(&stored, len), Ok(expected.clone()), "{len}");
                let glued = [&*stored, b"more"].concat();
                assert_eq!(inflate(&glued, len), Ok(expected), "{len}");
                if len > 0 {
                    assert_eq!(inflate(&stored, len - 1), Err(Cause::Oversize { limit: len - 1 }));
                }
                let cut = &stored[..stored.len() - 1];
                assert!(matches!(
                    inflate(cut, len),
                    Err(Cause::Inflate { .. } | Cause::Escape { .. })
                ));
            }
        }
    }

    #[test]
    fn every_changed_byte_of_a_stream_is_noticed() {
        let plain = content(200);
        let stored = deflate(&plain);
        for index in 0..stored.len() {
            for bit in 0..8 {
                let mut changed = stored.clone();
                changed[index] ^= 1 << bit;
                let found = inflate(&escape(&changed), 1 << 20);
                // The level of compression in the header means nothing.
                assert!(found.is_err() || found.unwrap().1 == plain, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_without_much_memory() {
        let stored = escape(&deflate(&vec![0; 8 << 20]));
        let mut out = Vec::new();
        let found = Inflater::new().inflate(&stored, 100_000, &mut out);
        assert_eq!(found, Err(Cause::Oversize { limit: 100_000 }));
        assert!(out.capacity() <= 100_001, "{}", out.capacity());
    }

    #[test]
    fn the_last_slice_marker_is_found_behind_half_an_escape_too() {
        let check = |stored: &[u8], found| assert_eq!(last_slice_marker(stored), found);
        check(b"", None);
        check(b"ab\xF8\x01\x03\xF8\x02\x03", None);
        check(b"\xF8\x03ab", Some((0, 2)));
        check(b"a\xF8\x03b\xF8\x03", Some((4, 6)));
        check(b"a\xF8\xF8\x03b", Some((2, 4)));
        check(b"a\xF8", None);
    }
}
