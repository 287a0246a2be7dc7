//! What a stream is to those who read it: a generation, a state, a length, and the entity tags and
//! places made of them. Pure; where the bytes are is left to `streams`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Which content a name stands for: random, so that a place in one content is never taken for a place
/// in another that came to the same name later. Printed as 22 letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u128);

/// Letters and digits only, so that a generation stands in tags, file names and places between other
/// signs without quoting.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits of a printed generation: 62^22 is the first power above 2^128.
const DIGIT_COUNT: usize = 22;

impl Generation {
    /// A new one, from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().as_u128())
    }

    /// The one with this number, for tests and for what is read back.
    #[must_use]
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut text = [b'0'; DIGIT_COUNT];
        for digit in text.iter_mut().rev() {
            let index = usize::try_from(rest % 62).unwrap_or(0);
            *digit = DIGITS.get(index).copied().unwrap_or(b'0');
            rest /= 62;
        }
        text.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

/// A text is no generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a generation is 22 letters and digits")]
pub struct NotAGeneration;

impl FromStr for Generation {
    type Err = NotAGeneration;

    fn from_str(text: &str) -> Result<Self, NotAGeneration> {
        if text.len() != DIGIT_COUNT {
            return Err(NotAGeneration);
        }
        let number = text.bytes().try_fold(0_u128, |number, byte| {
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            number.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
        });
        number.map(Self).ok_or(NotAGeneration)
    }
}

/// How far the life of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Named, and nobody has written yet.
    Waiting,
    /// A writer writes.
    Open,
    /// The writer, or the server, was lost; the writer may still come back and go on.
    Interrupted,
    /// The writer said that this is all.
    Complete,
    /// The writer was lost and did not come back in time.
    Aborted,
    /// A limit, or a full disk, cut the stream off.
    Truncated,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Open,
        Self::Interrupted,
        Self::Complete,
        Self::Aborted,
        Self::Truncated,
    ];

    /// Whether no byte will follow any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Aborted | Self::Truncated)
    }

    /// Whether a reader that has all bytes has all there is meant to be, so that its response may end as
    /// complete: what a limit cut off was cut on purpose.
    #[must_use]
    pub const fn ends_cleanly(self) -> bool {
        matches!(self, Self::Complete | Self::Truncated)
    }

    /// The word for it in headers, lists and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Interrupted => "interrupted",
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Truncated => "truncated",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What readers may know of a stream at one moment: they see these bytes and never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are stored and never change again.
    pub len: u64,
    /// Whether more may follow.
    pub state: State,
}

/// A strong entity tag: `"G"` while a stream may grow, `"G-N"` once its length N is final. A tag of
/// the first form names a prefix that grows, so it never says that nothing has changed; but as bytes
/// never change, any tag of a generation is good for going on where a client stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Of which content.
    pub generation: Generation,
    /// Its length, if that is final.
    pub final_len: Option<u64>,
}

impl Tag {
    /// The tag of a generation that has come so far.
    #[must_use]
    pub fn new(generation: Generation, progress: Progress) -> Self {
        Self { generation, final_len: progress.state.is_terminal().then_some(progress.len) }
    }

    /// Reads one strong tag, quotes included. Weak and foreign tags are none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.trim_matches([' ', '\t']).strip_prefix('"')?.strip_suffix('"')?;
        let (generation, final_len) = match inner.split_once('-') {
            Some((generation, len)) => (generation, Some(decimal(len)?)),
            None => (inner, None),
        };
        Some(Self { generation: generation.parse().ok()?, final_len })
    }

    /// Whether If-None-Match tells that the client has all of this: only an equal final tag does, or `*`
    /// for what is final. Comparison is weak, as RFC 9110 asks for this header.
    #[must_use]
    pub fn none_match_says_unchanged(self, header: &str) -> bool {
        self.final_len.is_some()
            && header.split(',').map(|tag| tag.trim_matches([' ', '\t'])).any(|tag| {
                tag == "*" || Self::parse(tag.strip_prefix("W/").unwrap_or(tag)) == Some(self)
            })
    }

    /// Whether If-Range lets a range of this be sent: any strong tag of the same generation does that does
    /// not claim more than there is. Dates, weak tags and others do not.
    #[must_use]
    pub fn if_range_allows(self, header: &str, len: u64) -> bool {
        Self::parse(header).is_some_and(|tag| {
            tag.generation == self.generation && tag.final_len.is_none_or(|claimed| claimed <= len)
        })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.final_len {
            Some(len) => write!(f, "\"{}-{len}\"", self.generation),
            None => write!(f, "\"{}\"", self.generation),
        }
    }
}

/// A place in a stream: the offset of the next byte, in one generation. Printed `G.offset`, as the ids of
/// events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which content.
    pub generation: Generation,
    /// In bytes from its beginning.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.offset)
    }
}

impl FromStr for Place {
    type Err = NotAGeneration;

    fn from_str(text: &str) -> Result<Self, NotAGeneration> {
        let (generation, offset) = text.split_once('.').ok_or(NotAGeneration)?;
        let offset = decimal(offset).ok_or(NotAGeneration)?;
        Ok(Self { generation: generation.parse()?, offset })
    }
}

/// A number of digits only; `None` for anything else and beyond 64 bits.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The name of a stream: letters, digits, `.`, `_`, `-`; 1 to 128 of them; no dot in front. So it needs
/// no quoting anywhere, and no name leads out of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(String);

/// The longest name, in bytes: with a generation and an ending it stays a file name everywhere.
pub const NAME_LEN_MAX: usize = 128;

/// A text is no name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names are 1 to 128 letters, digits, dots, underscores and dashes, without a dot in front")]
pub struct NotAName;

impl StreamName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = (1..=NAME_LEN_MAX).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(allowed);
        good.then(|| Self(text.to_owned())).ok_or(NotAName)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const G: Generation = Generation::from_number(7);

    #[test]
    fn a_generation_is_printed_in_full_width() {
        assert_eq!(G.to_string(), "0000000000000000000007");
        let largest = Generation::from_number(u128::MAX);
        assert_eq!(largest.to_string(), "7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(largest.to_string().parse(), Ok(largest));
        assert_eq!("7n42DGM5Tflk9n8mt7Fhc8".parse::<Generation>(), Err(NotAGeneration));
        assert_eq!("".parse::<Generation>(), Err(NotAGeneration));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number: u128, offset: u64, len: Option<u64>) {
            let generation = Generation::from_number(number);
            prop_assert_eq!(generation.to_string().parse(), Ok(generation));
            let place = Place { generation, offset };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
            let tag = Tag { generation, final_len: len };
            prop_assert_eq!(Tag::parse(&tag.to_string()), Some(tag));
        }

        #[test]
        fn no_text_makes_parsers_panic(text in "[\"0-9A-Za-z.,W/* +é-]{0,40}") {
            let _ = Tag::parse(&text);
            let _ = text.parse::<Place>();
            let tag = Tag { generation: G, final_len: Some(3) };
            let _ = (tag.none_match_says_unchanged(&text), tag.if_range_allows(&text, 3));
        }
    }

    #[test]
    fn only_an_equal_final_tag_says_that_nothing_changed() {
        let open = Tag::new(G, Progress { len: 5, state: State::Open });
        let ended = Tag::new(G, Progress { len: 5, state: State::Complete });
        assert!(!open.none_match_says_unchanged(&open.to_string()), "more may have come");
        assert!(!open.none_match_says_unchanged("*"));
        assert!(ended.none_match_says_unchanged(&format!("\"x\", W/{ended}")));
        assert!(ended.none_match_says_unchanged("*"));
        assert!(!ended.none_match_says_unchanged(&open.to_string()));
        assert!(!ended.none_match_says_unchanged("\"0000000000000000000007-4\""));
    }

    #[test]
    fn any_strong_tag_of_the_generation_allows_a_range() {
        let tag = Tag::new(G, Progress { len: 5, state: State::Complete });
        for allowed in [
            "\"0000000000000000000007\"",
            "\"0000000000000000000007-5\"",
            "\"0000000000000000000007-2\"",
        ] {
            assert!(tag.if_range_allows(allowed, 5), "{allowed}");
        }
        for refused in [
            "\"0000000000000000000007-6\"",
            "\"0000000000000000000008\"",
            "W/\"0000000000000000000007\"",
            "Mon, 30 Nov 2026 10:00:00 GMT",
            "0000000000000000000007",
            "\"0000000000000000000007-+5\"",
            "*",
            "",
        ] {
            assert!(!tag.if_range_allows(refused, 5), "{refused}");
        }
    }

    #[test]
    fn names_lead_nowhere() {
        for good in ["a", "build-42.log", "A_b.c-d", &"x".repeat(128)] {
            assert_eq!(
                good.parse::<StreamName>().map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in
            ["", ".", "..", ".a", "a/b", "a\\b", "a b", "a%2fb", "a\0", "é", &"x".repeat(129)]
        {
            assert_eq!(bad.parse::<StreamName>(), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn states_have_words() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.as_str()), Some(state));
        }
        assert_eq!(State::from_word("Open"), None);
    }
}
