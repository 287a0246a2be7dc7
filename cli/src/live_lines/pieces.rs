//! Bytes cut into lines, however they arrive. Memory is bounded: a line that is too long comes in
//! several pieces.

/// The longest line that stays whole: 1 MiB.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// A line or a part of one, without its line feed and a carriage return before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether the line ends here.
    pub(super) ends: bool,
}

/// The beginning of a line whose end has not arrived yet.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    open: Vec<u8>,
    /// Whether pieces of this line were given out before.
    is_cut: bool,
}

impl Pieces {
    /// Passes on the lines that these bytes complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Piece<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            if self.open.is_empty() && line.len() <= LINE_BYTES_MAX {
                take(Piece { bytes: without_return(line), ends: true });
            } else {
                self.extend(line, &mut take);
                take(Piece { bytes: without_return(&self.open), ends: true });
                self.open.clear();
            }
            self.is_cut = false;
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes, &mut take);
    }

    /// Passes on what is left: a last line without a line feed.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Piece<'_>)) {
        if !self.open.is_empty() || self.is_cut {
            take(Piece { bytes: &self.open, ends: true });
            self.open.clear();
            self.is_cut = false;
        }
    }

    /// Adds bytes of the open line and cuts off what is too much.
    fn extend(&mut self, bytes: &[u8], take: &mut impl FnMut(Piece<'_>)) {
        self.open.extend_from_slice(bytes);
        while self.open.len() > LINE_BYTES_MAX {
            let cut = character_start(&self.open, LINE_BYTES_MAX);
            take(Piece { bytes: self.open.get(..cut).unwrap_or_default(), ends: false });
            self.open.drain(..cut);
            self.is_cut = true;
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The last place up to `at` where a character of UTF-8 starts; `at` itself where none is near.
fn character_start(bytes: &[u8], at: usize) -> usize {
    let is_start = |place: &usize| bytes.get(*place).is_some_and(|byte| byte & 0xC0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(is_start).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of `input`, arriving in chunks of this size; a mark behind those that end a line.
    fn pieces(input: &[u8], chunk: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut take = |piece: Piece<'_>| {
            let end = if piece.ends { "$" } else { "" };
            found.push(format!("{}{end}", String::from_utf8_lossy(piece.bytes)));
        };
        let mut pieces = Pieces::default();
        for bytes in input.chunks(chunk) {
            pieces.feed(bytes, &mut take);
        }
        pieces.finish(&mut take);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let input = b"one\r\n\ntwo\rthree\r\r\n\xC3\xA9\nlast";
        for chunk in 1..input.len() + 1 {
            assert_eq!(
                pieces(input, chunk),
                ["one$", "$", "two\rthree\r$", "\u{e9}$", "last$"],
                "{chunk}"
            );
        }
        assert_eq!(pieces(b"", 1), [""; 0]);
    }

    #[test]
    fn a_line_of_the_limit_stays_whole_and_a_longer_one_is_cut() {
        let whole = "x".repeat(LINE_BYTES_MAX);
        for chunk in [1 << 16, 1 << 21] {
            assert_eq!(pieces(format!("{whole}\n").as_bytes(), chunk), [format!("{whole}$")]);
            let longer = pieces(format!("{whole}{whole}y\nz\n").as_bytes(), chunk);
            assert_eq!(longer, [whole.clone(), whole.clone(), "y$".to_owned(), "z$".to_owned()]);
            let unended = pieces(format!("{whole}y").as_bytes(), chunk);
            assert_eq!(unended, [whole.clone(), "y$".to_owned()]);
        }
    }

    #[test]
    fn no_character_is_cut() {
        let line = format!("x{}", "\u{20ac}".repeat(LINE_BYTES_MAX / 3 + 1));
        let found = pieces(line.as_bytes(), 1 << 16);
        assert_eq!(found.len(), 2);
        assert_eq!(format!("{}{}", found[0], found[1]), format!("{line}$"));
        // Bytes that are no text are cut at the limit itself.
        let found = pieces(&vec![0x80; LINE_BYTES_MAX + 1], 1 << 16);
        assert_eq!(found[0].chars().count(), LINE_BYTES_MAX);
    }
}
