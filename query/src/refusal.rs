//! How it is said that a text is refused: the reason, the text, the place in it, what is accepted.
//!
//! ```text
//! cannot read the time "2026-13-01": month 13 is out of range 1 to 12
//!   2026-13-01
//!        ^
//!   accepted: 2026-02-03, ...
//! ```

use std::fmt;

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
        let (line, column) = line_around(text, *column);
        write!(f, "  {line}\n  {:column$}^", "")?;
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

/// The part of the text around the column, and the column within that part.
fn line_around(text: &str, column: usize) -> (String, usize) {
    let skipped = column.saturating_sub(SHOWN_CHARS_MAX / 2);
    // A line break or a tab would move the text away from its caret.
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let line = text.chars().skip(skipped).take(SHOWN_CHARS_MAX).map(visible).collect();
    (line, column - skipped)
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
    let line = text.replace(char::is_control, "\u{fffd}");
    let caret = " ".repeat(column) + "^";
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
    fn a_clipped_text_says_that_more_follows() {
        assert_eq!(clip("14:05"), "14:05");
        assert_eq!(clip(&"7".repeat(72)), "7".repeat(72));
        assert_eq!(clip(&"7".repeat(73)), "7".repeat(71) + "…");
    }
}
