//! A place in the text of an expression that moves forward.
//!
//! The cursor reads words, strings and signs; what they mean is up to its callers.

use super::error::{Problem, Reason};
use crate::refusal::clip;

/// What is left of a text. A copy is a place to come back to.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes already read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Reads these characters if they come next.
    pub(crate) fn eat(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    /// Reads the longest run of `wanted` characters, perhaps none.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    pub(crate) fn spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Reads the string in quotes that begins here. Behind a backslash `on_escape` takes over.
    pub(crate) fn quoted(
        &mut self,
        mut on_escape: impl FnMut(&mut Self, &mut String) -> Result<(), Problem>,
    ) -> Result<String, Problem> {
        let start = *self;
        let quote = self.peek().unwrap_or('\'');
        self.at += quote.len_utf8();
        let mut content = String::new();
        loop {
            content.push_str(self.take_while(|c| c != quote && c != '\\'));
            match self.peek() {
                None => return Err(start.problem(Reason::Unterminated { quote })),
                Some('\\') => on_escape(self, &mut content)?,
                Some(_) => {
                    self.at += quote.len_utf8();
                    return Ok(content);
                }
            }
        }
    }

    /// Reads a string in quotes with the escapes of JSON, and `\'`.
    pub(crate) fn string(&mut self) -> Result<String, Problem> {
        self.quoted(|cursor, content| {
            content.push(cursor.escape()?);
            Ok(())
        })
    }

    /// Reads a string in quotes in which every backslash, and the character behind it, stays.
    pub(crate) fn raw_string(&mut self) -> Result<String, Problem> {
        self.quoted(|cursor, content| {
            let pair = cursor.rest().char_indices().nth(2).map_or(cursor.rest().len(), |(i, _)| i);
            content.push_str(cursor.rest().get(..pair).unwrap_or_default());
            cursor.at += pair;
            Ok(())
        })
    }

    /// Reads a backslash and what belongs to it.
    fn escape(&mut self) -> Result<char, Problem> {
        let start = *self;
        self.eat("\\");
        let Some(c) = self.peek() else { return Err(start.problem(Reason::UnknownEscape)) };
        self.at += c.len_utf8();
        Ok(match c {
            '\\' | '\'' | '"' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex();
                let low = high.filter(|h| (0xD800..0xDC00).contains(h) && self.eat("\\u"));
                let units = [high, low.and_then(|_| self.hex())];
                let mut chars = char::decode_utf16(units.into_iter().flatten());
                match (chars.next(), chars.next()) {
                    (Some(Ok(c)), None) => c,
                    _ => return Err(start.problem(Reason::UnknownEscape)),
                }
            }
            _ => return Err(start.problem(Reason::UnknownEscape)),
        })
    }

    /// Reads four hexadecimal digits.
    fn hex(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.at += if is_hex { 4 } else { 0 };
        if is_hex { u16::from_str_radix(digits, 16).ok() } else { None }
    }

    pub(crate) fn problem(&self, reason: Reason) -> Problem {
        Problem::new(self.at, reason)
    }

    pub(crate) fn unexpected(&self, expected: &'static str) -> Problem {
        let rest = self.rest();
        let length = match rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')') {
            Some(0) => rest.chars().next().map_or(0, char::len_utf8),
            Some(end) => end,
            None => rest.len(),
        };
        let found = match rest.get(..length) {
            None | Some("") => "the end".to_owned(),
            Some(word) => format!("{:?}", clip(word)),
        };
        self.problem(Reason::Unexpected { expected, found })
    }
}
