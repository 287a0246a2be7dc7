//! How it is said that a text is refused: the reason, the text, the place in it, what is accepted.
//!
//! ```text
//! cannot read the time "2026-13-01": month 13 is out of range 1 to 12
//!   2026-13-01
//!        ^
//!   accepted: 2026-02-03, ...
//! ```

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

/// A text that cannot be read, on its way to a message.
pub(crate) struct Refusal<'e> {
    /// What it should have been.
    pub(crate) subject: &'e str,
    pub(crate) text: &'e str,
    /// Where the trouble begins, in characters.
    pub(crate) column: usize,
    pub(crate) reason: &'e dyn fmt::Display,
    /// What would be accepted, if that is what is wanting.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, text, column, reason, hint } = self;
        writeln!(f, "cannot read the {subject} {:?}: {reason}", clip(text))?;
        let (before, line) = line_around(text, *column);
        let column = columns(&before);
        write!(f, "  {before}{line}\n  {:column$}^", "")?;
        match hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

/// More characters than any time that is written on purpose; beyond it a message shows a part.
const SHOWN_CHARS_MAX: usize = 72;

/// The beginning of a text, short enough for a message.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(SHOWN_CHARS_MAX - 1).chain(['…']).collect(),
    }
}

/// The part of the text around the column: what is before it, and the rest.
fn line_around(text: &str, column: usize) -> (String, String) {
    let skipped = column.saturating_sub(SHOWN_CHARS_MAX / 2);
    let mut shown = text.chars().skip(skipped).take(SHOWN_CHARS_MAX).map(visible);
    (shown.by_ref().take(column - skipped).collect(), shown.collect())
}

/// A line break or a tab would move the text away from its caret, and so would an escape sequence,
/// as which terminals get what is invisible.
fn visible(character: char) -> char {
    match character {
        '\u{200B}'..='\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' => '\u{fffd}',
        other if other.is_control() => '\u{fffd}',
        other => other,
    }
}

/// How many columns of a terminal a text without control characters takes: those of Chinese and
/// Japanese are two wide, accents on their own take none.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Compares the message about a text, of which all can be shown, up to what is accepted instead;
/// answers that.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_refusal<'s>(
    shown: &'s str,
    subject: &str,
    text: &str,
    column: usize,
    reason: &str,
) -> &'s str {
    let line: String = text.chars().map(visible).collect();
    let caret = " ".repeat(columns(&line.chars().take(column).collect::<String>())) + "^";
    let expected = format!("cannot read the {subject} {text:?}: {reason}\n  {line}\n  {caret}");
    match shown.strip_prefix(&expected) {
        Some(rest) => rest,
        None => panic!("expected\n{expected}\nfound\n{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_below_its_place_however_wide_the_text_before_is() {
        let check = |text: &str, column: usize, line: &str, caret: &str| {
            let refusal = Refusal { subject: "x", text, column, reason: &"no", hint: None };
            let shown = refusal.to_string();
            let lines: Vec<_> = shown.lines().skip(1).collect();
            assert_eq!(lines, [format!("  {line}"), format!("  {caret}")]);
        };
        check("ab c", 3, "ab c", "   ^");
        check("äö c", 3, "äö c", "   ^");
        check("日本 c", 3, "日本 c", "     ^");
        check("e\u{301}x c", 4, "e\u{301}x c", "   ^");
        check("a\tb\u{200d} c", 5, "a\u{fffd}b\u{fffd} c", "     ^");
        check("", 0, "", "^");
        let far = format!("{} c", "日".repeat(100));
        let (line, caret) = (format!("{} c", "日".repeat(35)), format!("{}^", " ".repeat(71)));
        check(&far, 101, &line, &caret);
    }

    #[test]
    fn a_clipped_text_says_that_more_follows() {
        assert_eq!(clip("14:05"), "14:05");
        assert_eq!(clip(&"7".repeat(72)), "7".repeat(72));
        assert_eq!(clip(&"7".repeat(73)), "7".repeat(71) + "…");
    }
}
