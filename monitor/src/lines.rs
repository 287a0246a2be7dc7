//! Pieces of bytes become lines, whatever the pieces: no line is longer than the limit, and a line
//! within one piece is not copied.

/// The bytes kept of a line that is too long.
pub const EXCERPT_BYTES: usize = 120;

/// Cuts pieces into lines. Memory: at most the limit and the half line of the last piece.
#[derive(Clone, Debug)]
pub struct Lines {
    limit: usize,
    /// The begun line, or the one that the last call returned.
    begun: Vec<u8>,
    is_returned: bool,
    /// Inside a line that is too long; `begun` has its first bytes.
    is_skipping: bool,
    nul_bytes: u64,
}

/// A line without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line within the limit.
    Whole(&'a [u8]),
    /// The first [`EXCERPT_BYTES`] of one that is longer.
    TooLong(&'a [u8]),
}

impl Lines {
    /// Nothing begun; lines have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let begun = Vec::new();
        Self { limit, begun, is_returned: false, is_skipping: false, nul_bytes: 0 }
    }

    /// The next line that ends in `piece`, of which it takes away what it has read; `None` when all
    /// of it is read. A carriage return before the line feed is dropped.
    pub fn next<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8]) -> Option<Line<'s>> {
        self.forget_returned();
        if self.begun.is_empty() {
            self.skip_nul(piece);
        }
        let Some(end) = memchr::memchr(b'\n', piece) else {
            self.begin(piece);
            *piece = &[];
            return None;
        };
        let (line, rest) = piece.split_at_checked(end)?;
        *piece = rest.get(1..).unwrap_or_default();
        if self.begun.is_empty() && line.len() <= self.limit {
            return Some(Line::Whole(without_return(line)));
        }
        self.begin(line);
        self.returned()
    }

    /// The last line, if it has no line feed. A line that is still being written looks the same, so
    /// this is for the end of the input only.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        self.forget_returned();
        if self.begun.is_empty() { None } else { self.returned() }
    }

    /// Forgets the begun line: the file was truncated under it. Answers whether there was one.
    pub fn discard(&mut self) -> bool {
        self.forget_returned();
        let was_begun = !self.begun.is_empty();
        self.begun.clear();
        self.is_skipping = false;
        was_begun
    }

    /// Whether no line is begun.
    pub fn is_at_start(&self) -> bool {
        self.is_returned || self.begun.is_empty()
    }

    /// NUL bytes at the starts of lines, skipped: a log that was truncated under a writer that does
    /// not append has millions of them.
    pub fn nul_bytes(&self) -> u64 {
        self.nul_bytes
    }

    /// NUL bytes that were skipped elsewhere.
    pub(crate) fn add_nul_bytes(&mut self, count: u64) {
        self.nul_bytes += count;
    }

    fn skip_nul(&mut self, piece: &mut &[u8]) {
        let (rest, count) = without_nul(piece);
        *piece = rest;
        self.nul_bytes += count;
    }

    fn begin(&mut self, bytes: &[u8]) {
        if self.is_skipping {
            return;
        }
        if self.begun.len() + bytes.len() <= self.limit {
            self.begun.extend_from_slice(bytes);
            return;
        }
        let wanted = EXCERPT_BYTES.saturating_sub(self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        self.begun.truncate(EXCERPT_BYTES);
        self.is_skipping = true;
    }

    fn returned(&mut self) -> Option<Line<'_>> {
        self.is_returned = true;
        Some(match self.is_skipping {
            true => Line::TooLong(&self.begun),
            false => Line::Whole(without_return(&self.begun)),
        })
    }

    fn forget_returned(&mut self) {
        if std::mem::take(&mut self.is_returned) {
            self.begun.clear();
            self.is_skipping = false;
        }
    }
}

/// Goes through lines that are all in memory, just as [`Lines`] does.
#[derive(Debug)]
pub(crate) struct WholeLines<'p> {
    rest: &'p [u8],
    limit: usize,
    nul_bytes: u64,
}

impl<'p> WholeLines<'p> {
    pub(crate) fn new(lines: &'p [u8], limit: usize) -> Self {
        Self { rest: lines, limit, nul_bytes: 0 }
    }

    pub(crate) fn nul_bytes(&self) -> u64 {
        self.nul_bytes
    }
}

impl<'p> Iterator for WholeLines<'p> {
    type Item = Line<'p>;

    fn next(&mut self) -> Option<Line<'p>> {
        let (rest, count) = without_nul(self.rest);
        self.nul_bytes += count;
        self.rest = &[];
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(end)?;
        self.rest = behind.get(1..).unwrap_or_default();
        Some(if line.len() <= self.limit {
            Line::Whole(without_return(line))
        } else {
            Line::TooLong(line.get(..EXCERPT_BYTES).unwrap_or(line))
        })
    }
}

/// The bytes behind NUL bytes, and how many those were.
fn without_nul(bytes: &[u8]) -> (&[u8], u64) {
    let mut rest = bytes;
    let mut count = 0;
    while let [0, behind @ ..] = rest {
        rest = behind;
        count += 1;
    }
    (rest, count)
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 200;

    /// All lines, cut from pieces of `size` bytes.
    fn lines(bytes: &[u8], size: usize) -> Vec<String> {
        let mut lines = Lines::new(LIMIT);
        let mut found = Vec::new();
        let mut keep = |line: Line<'_>| {
            found.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong(head) => format!("too long {}", String::from_utf8_lossy(head)),
            });
        };
        for mut piece in bytes.chunks(size) {
            while let Some(line) = lines.next(&mut piece) {
                keep(line);
            }
            assert!(lines.begun.capacity() <= 4 * LIMIT, "memory is bounded");
        }
        lines.finish().into_iter().for_each(keep);
        found.push(format!("nul {}", lines.nul_bytes()));
        found
    }

    fn check(bytes: &[u8], expected: &[&str]) {
        for size in [1, 2, 3, 7, 64, 199, 200, 201, 1 << 20] {
            assert_eq!(lines(bytes, size), expected, "pieces of {size}");
        }
        let mut whole = WholeLines::new(bytes, LIMIT);
        let count = whole.by_ref().count();
        assert_eq!(count + 1, expected.len());
        assert_eq!(format!("nul {}", whole.nul_bytes()), expected[count]);
    }

    #[test]
    fn lines_are_the_same_whatever_the_pieces() {
        check(b"", &["nul 0"]);
        check(b"a\nb\r\n\n\rc\nlast", &["a", "b", "", "\rc", "last", "nul 0"]);
        check(b"a\r", &["a", "nul 0"]);
        let full = "x".repeat(LIMIT);
        check(format!("{full}\na\n").as_bytes(), &[&full, "a", "nul 0"]);
        let head = format!("too long {}", "x".repeat(EXCERPT_BYTES));
        check(format!("{full}x\na\n").as_bytes(), &[&head, "a", "nul 0"]);
        check(format!("a\n{full}{full}{full}").as_bytes(), &["a", &head, "nul 0"]);
    }

    #[test]
    fn nul_bytes_before_a_line_are_skipped_and_counted() {
        let mut bytes = vec![0; 5_000];
        bytes.extend_from_slice(b"a\0b\n\0\0\nc");
        check(&bytes, &["a\0b", "", "c", "nul 5002"]);
    }

    #[test]
    fn a_discarded_line_leaves_nothing() {
        let mut lines = Lines::new(LIMIT);
        let mut piece: &[u8] = b"half a li";
        assert_eq!(lines.next(&mut piece), None);
        assert!(!lines.is_at_start());
        assert!(lines.discard());
        assert!(!lines.discard());
        let mut piece: &[u8] = b"new\n";
        assert_eq!(lines.next(&mut piece), Some(Line::Whole(b"new")));
        assert!(lines.is_at_start());
    }
}
