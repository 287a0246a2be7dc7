//! Bars in a terminal: blocks in steps of an eighth where the locale has them, else `#`.

use std::io::IsTerminal as _;

/// What a screen is taken to have that does not say.
const COLUMNS: usize = 80;

/// The parts of a block, from one eighth to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// How bars are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Blocks,
    Ascii,
}

impl Ink {
    /// What the locale can show: the first of these variables that is set names it.
    pub(super) fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        match locale.contains("utf-8") || locale.contains("utf8") {
            true => Self::Blocks,
            false => Self::Ascii,
        }
    }

    /// A bar of at most so many columns, which the greatest value fills. What is more than nothing
    /// is visible.
    pub(super) fn bar(self, value: f64, greatest: f64, columns: usize) -> String {
        if !(value > 0.0 && greatest > 0.0) {
            return String::new();
        }
        let share = (value / greatest).min(1.0);
        let steps = |steps: usize| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of the columns of a screen"
            )]
            let filled = (share * (columns * steps) as f64).round() as usize;
            filled.max(1)
        };
        match self {
            Self::Ascii => "#".repeat(steps(1)),
            Self::Blocks => {
                let filled = steps(8);
                let rest = (filled % 8).checked_sub(1).and_then(|part| EIGHTHS.get(part));
                "█".repeat(filled / 8) + &rest.map(char::to_string).unwrap_or_default()
            }
        }
    }
}

/// The columns of the screen: of `COLUMNS`, else of the terminal, else 80.
pub(super) fn screen_width() -> usize {
    size().0
}

/// The columns and rows of the screen.
pub(super) fn size() -> (usize, usize) {
    let named = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let (columns, rows) =
        terminal.map_or((COLUMNS, usize::MAX), |(width, height)| (width.0.into(), height.0.into()));
    let columns = named("COLUMNS").filter(|columns| *columns > 0).unwrap_or(columns);
    (columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_in_steps_of_an_eighth() {
        let check = |value: f64, blocks: &str, ascii: &str| {
            assert_eq!(Ink::Blocks.bar(value, 80.0, 10), blocks, "{value}");
            assert_eq!(Ink::Ascii.bar(value, 80.0, 10), ascii, "{value}");
        };
        check(80.0, "██████████", "##########");
        check(40.0, "█████", "#####");
        check(43.0, "█████▍", "#####");
        check(1.0, "▏", "#");
        check(0.001, "▏", "#");
        check(0.0, "", "");
        check(-3.0, "", "");
        check(f64::NAN, "", "");
        check(1e9, "██████████", "##########");
        assert_eq!(Ink::Blocks.bar(1.0, 0.0, 10), "");
    }
}
