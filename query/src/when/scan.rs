//! A place in a text that moves forward, and knows its column.
//!
//! The scanner reads characters, numbers and words; what they mean is up to its callers.

use super::error::{Problem, Reason};
use crate::refusal::clip;

/// What is left of a text. A copy is a place to come back to.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
    /// Characters already read.
    column: usize,
}

/// The range and the way of writing of a two-digit field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) min: u8,
    pub(super) max: u8,
    /// Whether `9` is read as `09`.
    pub(super) one_digit: bool,
    /// What to say when no digit is found.
    pub(super) expected: &'static str,
}

/// Decimals after a point or comma: 1 to 9 digits.
#[derive(Clone, Copy)]
pub(super) struct Fraction {
    /// Billionths of the number before the point.
    pub(super) billionths: u32,
    /// How many digits were written.
    pub(super) digits: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, column: 0 }
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn peek_is(&self, wanted: impl Fn(char) -> bool) -> bool {
        self.peek().is_some_and(wanted)
    }

    /// Reads the next character if it is `wanted`.
    pub(super) fn eat(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let Some(after) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = after;
        self.column += 1;
        true
    }

    /// Reads the longest run of `wanted` characters, perhaps none.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.column += taken.chars().count();
        taken
    }

    pub(super) fn digits(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_digit())
    }

    pub(super) fn letters(&mut self) -> &'a str {
        self.take_while(char::is_alphabetic)
    }

    /// Reads spaces, and tells whether there were any.
    pub(super) fn spaces(&mut self) -> bool {
        !self.take_while(char::is_whitespace).is_empty()
    }

    /// Reads a plain number.
    pub(super) fn number(&mut self, expected: &'static str) -> Result<u64, Problem> {
        let start = *self;
        match self.digits() {
            "" => Err(start.unexpected(expected)),
            digits => digits.parse().map_err(|_| start.problem(Reason::TooLarge)),
        }
    }

    /// Reads one or two digits within the range of the field.
    pub(super) fn field(&mut self, field: &Field) -> Result<i8, Problem> {
        let start = *self;
        let digits = self.digits();
        start.value_of(digits, field)
    }

    /// Reads the first two of a run of digits, within the range of the field.
    pub(super) fn packed_field(&mut self, field: &Field) -> Result<i8, Problem> {
        let start = *self;
        let Some((digits, rest)) = self.rest.split_at_checked(2) else {
            return Err(start.unexpected(field.expected));
        };
        *self = Self { rest, column: self.column + 2 };
        start.value_of(digits, field)
    }

    /// The value of digits that begin here.
    fn value_of(&self, digits: &str, field: &Field) -> Result<i8, Problem> {
        if digits.is_empty() {
            return Err(self.unexpected(field.expected));
        }
        let (name, value) = (field.name, clip(digits));
        if digits.len() == 1 && !field.one_digit {
            return Err(self.problem(Reason::OneDigit { field: name, value }));
        }
        match digits.parse() {
            Ok(number) if digits.len() <= 2 && in_range(number, field) => Ok(number),
            _ => {
                let (min, max) = (field.min, field.max);
                Err(self.problem(Reason::OutOfRange { field: name, value, min, max }))
            }
        }
    }

    /// Reads a point or comma and the decimals after it, if there is one.
    pub(super) fn fraction(&mut self) -> Result<Option<Fraction>, Problem> {
        if !self.eat(|c| matches!(c, '.' | ',')) {
            return Ok(None);
        }
        let start = *self;
        let digits = self.digits();
        match u32::try_from(digits.len()) {
            Ok(0) => Err(start.unexpected("1 to 9 decimals")),
            Ok(count @ 1..=9) => {
                let value: u32 = digits.parse().map_err(|_| start.problem(Reason::TooLarge))?;
                Ok(Some(Fraction { billionths: value * 10_u32.pow(9 - count), digits: count }))
            }
            _ => Err(start.problem(Reason::TooManyDecimals)),
        }
    }

    /// Makes sure that nothing follows but spaces.
    pub(super) fn end(&mut self) -> Result<(), Problem> {
        self.spaces();
        if self.rest.is_empty() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    pub(super) fn problem(&self, reason: Reason) -> Problem {
        Problem { column: self.column, reason }
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> Problem {
        self.problem(Reason::Unexpected { expected, found: self.peek() })
    }
}

fn in_range(number: i8, field: &Field) -> bool {
    u8::try_from(number).is_ok_and(|number| (field.min..=field.max).contains(&number))
}
