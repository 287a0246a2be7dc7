//! A place in a line that moves forward over what it recognises.
//!
//! Every method either recognises something and moves behind it, or leaves the place where it was.
//! No input makes one panic.

/// The part of a text that has not been read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    /// At the start of `text`.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// What has not been read yet.
    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next byte, without moving.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Moves behind `literal` if it comes next.
    pub(super) fn eat(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// Moves behind the next byte if it is one of these ASCII bytes, and returns it.
    pub(super) fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.rest = self.rest.get(1..)?;
        Some(byte)
    }

    /// Moves behind the next `byte` and returns the text before it.
    pub(super) fn until(&mut self, byte: u8) -> Option<&'a str> {
        let at = memchr::memchr(byte, self.rest.as_bytes())?;
        let found = self.rest.get(..at)?;
        self.rest = self.rest.get(at + 1..)?;
        Some(found)
    }

    /// Moves over all bytes that satisfy `is`, which accepts ASCII bytes only, and returns them.
    pub(super) fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let len = self.rest.bytes().take_while(|byte| is(*byte)).count();
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// Moves over spaces.
    pub(super) fn spaces(&mut self) -> &'a str {
        self.take_while(|byte| byte == b' ')
    }

    /// Moves over one to `digits_max` digits and returns their number; `digits_max` is at most 19.
    pub(super) fn number(&mut self, digits_max: usize) -> Option<u64> {
        let mut value = 0;
        let mut len = 0;
        for byte in self.rest.bytes().take(digits_max).take_while(u8::is_ascii_digit) {
            value = value * 10 + u64::from(byte - b'0');
            len += 1;
        }
        self.rest = if len == 0 { return None } else { self.rest.get(len..)? };
        Some(value)
    }

    /// Moves over exactly `digits` digits and returns their number.
    pub(super) fn fixed(&mut self, digits: usize) -> Option<u64> {
        let mut ahead = *self;
        let value = ahead.number(digits)?;
        if self.rest.len() - ahead.rest.len() != digits {
            return None;
        }
        *self = ahead;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_recognised_stays() {
        let mut scan = Scan::new("12:é");
        assert_eq!(scan.fixed(3), None);
        assert_eq!(scan.number(1), Some(1));
        assert_eq!(scan.number(9), Some(2));
        assert_eq!(scan.number(9), None);
        assert_eq!(scan.eat("é"), None);
        assert_eq!(scan.until(b','), None);
        assert_eq!(scan.eat_any(b"-:"), Some(b':'));
        assert_eq!(scan.take_while(|byte| byte.is_ascii()), "");
        assert_eq!(scan.rest(), "é");
    }

    #[test]
    fn until_returns_what_lies_between() {
        let mut scan = Scan::new("a b  c");
        assert_eq!(scan.until(b' '), Some("a"));
        assert_eq!(scan.until(b' '), Some("b"));
        assert_eq!(scan.spaces(), " ");
        assert_eq!(scan.rest(), "c");
        assert!(!scan.is_empty());
    }
}
