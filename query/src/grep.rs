//! Text searched in records, as `--grep` does.

use logq_format::{Lifecycle, Method, Record};
use regex::{Regex, RegexBuilder, bytes};

/// How a pattern is meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrepOptions {
    /// The pattern is plain text and no regular expression.
    pub fixed: bool,
    /// Either case matches. Without, that is so for a pattern without upper-case letters.
    pub ignore_case: bool,
}

/// Finds text in records, in time linear in their length.
#[derive(Clone, Debug)]
pub struct Grep {
    regex: Regex,
    /// The same for bytes that are more than one text; `None` where that would not find the same.
    in_bodies: Option<bytes::Regex>,
}

impl Grep {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is no regular expression, or a very large one.
    pub fn new(pattern: &str, options: GrepOptions) -> Result<Self, regex::Error> {
        let has_upper_case = match options.fixed {
            true => pattern.chars().any(char::is_uppercase),
            false => has_upper_case_letter(pattern),
        };
        let escaped = options.fixed.then(|| regex::escape(pattern));
        let pattern = escaped.as_deref().unwrap_or(pattern);
        let in_either_case = options.ignore_case || !has_upper_case;
        let regex = RegexBuilder::new(pattern).case_insensitive(in_either_case).build()?;
        let in_bodies = in_bodies(pattern, in_either_case, &regex);
        Ok(Self { regex, in_bodies })
    }

    /// Whether any text of the record matches: url, data, error, properties, DEBUG entries, event.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        let mut found = false;
        record.for_each_text(|text| found = found || self.regex.is_match(text));
        found
    }

    /// Whether [`may_match_in`](Self::may_match_in) can tell anything.
    pub fn searches_bodies(&self) -> bool {
        self.in_bodies.is_some()
    }

    /// Whether a record of a block with this decompressed body may match. `false` is certain.
    pub fn may_match_in(&self, body: &[u8]) -> bool {
        self.in_bodies.as_ref().is_none_or(|regex| regex.is_match(body))
    }
}

/// The expression for the bodies of blocks, which finds something wherever a text of a record in it
/// matches.
///
/// There is none for expressions that look at what is around a match, since in a body that is
/// another text, and for those that match words which bodies do not have.
fn in_bodies(pattern: &str, in_either_case: bool, regex: &Regex) -> Option<bytes::Regex> {
    let parsed = regex_syntax::Parser::new().parse(pattern).ok()?;
    if !parsed.properties().look_set().is_empty() || words_of_codes().any(|w| regex.is_match(w)) {
        return None;
    }
    bytes::RegexBuilder::new(pattern).case_insensitive(in_either_case).build().ok()
}

/// The texts that records have and that are numbers in blocks.
fn words_of_codes() -> impl Iterator<Item = &'static str> {
    let steps = Lifecycle::ALL.into_iter().map(Lifecycle::as_str);
    let events = ["WORKER_SPAWNED", "WORKER_EXITED", "UNCAUGHT_EXCEPTION"];
    Method::names().chain(steps).chain(events)
}

/// Whether an expression asks for an upper-case letter: one that is not part of an escape such as
/// `\S`, `\W` or `\pL`.
fn has_upper_case_letter(pattern: &str) -> bool {
    let mut escaped = false;
    pattern.chars().any(|c| {
        let is_letter = !escaped && c.is_uppercase();
        escaped = !escaped && c == '\\';
        is_letter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_searched_where_that_finds_the_same() {
        let is_searched =
            |pattern: &str| Grep::new(pattern, GrepOptions::default()).unwrap().searches_bodies();
        for pattern in ["timeout", "time.ut|refused", "[^a]b", r"\d+ ms", "Ünïcode", "a.*b"] {
            assert!(is_searched(pattern), "{pattern}");
        }
        // What is around a match is another text in a body; methods and events are not in bodies.
        for pattern in ["^/cart", "end$", r"\bword\b", "(?m)^x", "", "x*", "get", "EXIT", "pa"] {
            assert!(!is_searched(pattern), "{pattern}");
        }
    }

    #[test]
    fn classes_are_no_upper_case_letters() {
        assert!(has_upper_case_letter("Error"));
        assert!(has_upper_case_letter(r"\\Error"));
        assert!(!has_upper_case_letter(r"\Serror\W"));
        assert!(!has_upper_case_letter("error"));
    }
}
