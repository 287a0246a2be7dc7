//! Finding a value in JSON text without building a tree.
//!
//! The scanner walks over the bytes once, skips what is not asked for, and allocates nothing unless
//! a string it returns, or a key it compares, has escapes. It recurses nowhere, so that no depth of
//! nesting harms it, and on text that is no JSON it finds nothing or something, but never panics.
//!
//! Of keys that an object has twice the last one counts, as in most JSON parsers.

use std::borrow::Cow;

use memchr::memchr2;

/// One step from a JSON value into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The value of this key of an object.
    Key(String),
    /// The element with this index of an array, counted from 0.
    Index(usize),
}

/// A value in place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<'j> {
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(&'j str),
    /// A string without its quotes and escapes.
    Text(Cow<'j, str>),
    /// An array or object as it is written.
    Nested(&'j str),
}

/// The value in `json` that the steps lead to; `None` if there is none. Costs one pass over at most
/// the whole text.
pub(crate) fn find<'j>(json: &'j str, steps: &[Step]) -> Option<Found<'j>> {
    let mut scanner = Scanner { json, at: 0 };
    for step in steps {
        match step {
            Step::Key(key) => scanner.enter_key(key)?,
            Step::Index(index) => scanner.enter_index(*index)?,
        }
    }
    scanner.value()
}

/// The members of a JSON object in their order: each key without its quotes and escapes, each value
/// as it is written. `None` if the text is anything else than one object.
///
/// Costs one pass over the text and a vector. What is within values is not looked at, so one that is
/// no JSON comes as it is.
///
/// # Examples
///
/// ```
/// let members = logq_query::object_members(r#"{"user":{"id":7},"ms":1.50}"#).unwrap_or_default();
/// let members: Vec<_> = members.iter().map(|(key, value)| (&**key, *value)).collect();
/// assert_eq!(members, [("user", r#"{"id":7}"#), ("ms", "1.50")]);
/// assert_eq!(logq_query::object_members("[1]"), None);
/// ```
pub fn object_members(json: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    Scanner { json, at: 0 }.members()
}

/// A place in the text, always at or before its end.
#[derive(Clone, Copy)]
struct Scanner<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Scanner<'j> {
    fn rest(&self) -> &'j [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Goes to the value of the last such key of the object that begins here.
    fn enter_key(&mut self, wanted: &str) -> Option<()> {
        if !self.eat(b'{') || self.peek() == Some(b'}') {
            return None;
        }
        let mut found = None;
        loop {
            let (key, has_escapes) = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            let is_wanted = match has_escapes {
                false => key == wanted,
                true => unescape(key) == wanted,
            };
            if is_wanted {
                found = Some(self.at);
            }
            self.skip()?;
            if !self.eat(b',') {
                break;
            }
        }
        self.at = found?;
        Some(())
    }

    /// The members of the object that is the whole rest of the text.
    fn members(&mut self) -> Option<Vec<(Cow<'j, str>, &'j str)>> {
        let mut members = Vec::new();
        if !self.eat(b'{') {
            return None;
        }
        let mut goes_on = self.peek() != Some(b'}');
        while goes_on {
            let (key, has_escapes) = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            members.push((unquoted(key, has_escapes), self.skip()?));
            goes_on = self.eat(b',');
        }
        (self.eat(b'}') && self.peek().is_none()).then_some(members)
    }

    /// Goes to the element with this index of the array that begins here.
    fn enter_index(&mut self, index: usize) -> Option<()> {
        if !self.eat(b'[') || self.peek() == Some(b']') {
            return None;
        }
        for _ in 0..index {
            self.skip()?;
            if !self.eat(b',') {
                return None;
            }
        }
        Some(())
    }

    /// The value that begins here.
    fn value(&mut self) -> Option<Found<'j>> {
        match self.peek()? {
            b'"' => {
                let (text, has_escapes) = self.string()?;
                Some(Found::Text(unquoted(text, has_escapes)))
            }
            b'{' | b'[' => self.skip().map(Found::Nested),
            _ => match self.skip()? {
                "null" => Some(Found::Null),
                "true" => Some(Found::Bool(true)),
                "false" => Some(Found::Bool(false)),
                number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                    Some(Found::Number(number))
                }
                _ => None,
            },
        }
    }

    /// Skips the value that begins here, and returns it.
    fn skip(&mut self) -> Option<&'j str> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.skip_nested()?,
            _ => {
                let is_part =
                    |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
                self.at += self.rest().iter().take_while(is_part).count();
            }
        }
        self.json.get(start..self.at).filter(|text| !text.is_empty())
    }

    /// Skips an array or object: to the bracket that closes as many as were opened.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            let next = rest.iter().position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))?;
            self.at += next;
            match rest.get(next)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Skips the string that begins here; returns what stands between its quotes, and whether that
    /// has escapes.
    fn string(&mut self) -> Option<(&'j str, bool)> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        let mut has_escapes = false;
        loop {
            let rest = self.rest();
            let next = memchr2(b'"', b'\\', rest)?;
            if rest.get(next) == Some(&b'"') {
                let text = self.json.get(start..self.at + next)?;
                self.at += next + 1;
                return Some((text, has_escapes));
            }
            // A backslash takes the next byte with it; if that is the first of several of one
            // character, the others are neither quotes nor backslashes.
            has_escapes = true;
            self.at += next + 2;
        }
    }
}

/// The text that the inside of a JSON string stands for.
fn unquoted(inside: &str, has_escapes: bool) -> Cow<'_, str> {
    match has_escapes {
        false => Cow::Borrowed(inside),
        true => Cow::Owned(unescape(inside)),
    }
}

/// The text that the inside of a JSON string stands for. What is no escape is kept; a lone half of a
/// surrogate pair becomes U+FFFD.
fn unescape(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (c, length) = code_point(chars.as_str());
                out.push(c);
                rest = chars.as_str().get(length..).unwrap_or_default();
                continue;
            }
            // Quotes, slashes and backslashes stand for themselves.
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// The character behind `\u`, and how many bytes it takes there.
fn code_point(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    };
    let lone = (char::REPLACEMENT_CHARACTER, 4);
    match unit(0) {
        Some(high @ 0xD800..=0xDBFF) => match text.get(4..6).and(unit(6)) {
            Some(low @ 0xDC00..=0xDFFF) if text.get(4..6) == Some("\\u") => {
                let code = 0x1_0000 + ((high - 0xD800) << 10 | (low - 0xDC00));
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10)
            }
            _ => lone,
        },
        Some(code) => char::from_u32(code).map_or(lone, |c| (c, 4)),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

#[cfg(test)]
mod tests;
