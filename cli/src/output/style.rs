//! Colours, if there are to be any.

use anyhow::bail;
use logq_format::Level;
use logq_query::nearest;

use super::is_screen;
use crate::args::ColorChoice;

/// Whether and how output is coloured, with the sequences of ECMA-48, section 8.3.117.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// The parameters of the sequence for each part; `None` for no colours at all.
    palette: Option<[String; PARTS.len()]>,
}

/// What can have a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Critical,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    Time,
    Request,
    /// What separates groups.
    Separator,
    /// The name of a field.
    Name,
}

/// The parts in the order of their variants, as `LOGQ_COLORS` names them, with their colours.
const PARTS: [(&str, &str); 10] = [
    ("critical", "1;97;41"),
    ("error", "1;31"),
    ("warn", "33"),
    ("info", "32"),
    ("debug", "2"),
    ("trace", "2"),
    ("time", "2"),
    ("request", "2"),
    ("separator", "36"),
    ("name", "34"),
];

impl Style {
    /// `auto` colours a terminal, unless it is a dumb one or `NO_COLOR` is set; `CLICOLOR_FORCE`
    /// colours anything.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let set =
            |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR") => false,
            ColorChoice::Auto => set("CLICOLOR_FORCE") || is_screen(),
        };
        Self { palette: on.then(|| PARTS.map(|(_, colour)| colour.to_owned())) }
    }

    /// The same with the colours that `LOGQ_COLORS` names: `error=1;31:time=2`.
    ///
    /// # Errors
    ///
    /// Says which part of the variable cannot be read, whether there are colours or not.
    pub(crate) fn of_environment(choice: ColorChoice) -> anyhow::Result<Self> {
        let mut style = Self::new(choice);
        let colours = std::env::var("LOGQ_COLORS").unwrap_or_default();
        for entry in colours.split(':').filter(|entry| !entry.trim().is_empty()) {
            let (place, colour) = parse_colour(entry)?;
            if let Some(slot) = style.palette.as_mut().and_then(|palette| palette.get_mut(place)) {
                *slot = colour;
            }
        }
        Ok(style)
    }

    /// Whether there are colours.
    #[cfg(feature = "tui")]
    pub(crate) fn is_coloured(&self) -> bool {
        self.palette.is_some()
    }

    #[cfg(feature = "demo")]
    pub(crate) fn dim(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.wrap("2", out, write);
    }

    pub(crate) fn level(&self, level: Level, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let part = match level {
            Level::Critical => Part::Critical,
            Level::Error => Part::Error,
            Level::Warn => Part::Warn,
            Level::Info => Part::Info,
            Level::Debug => Part::Debug,
            Level::Trace => Part::Trace,
        };
        self.part(part, out, write);
    }

    /// Appends what `write` appends in the colour of a part.
    pub(crate) fn part(&self, part: Part, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let colour = self.palette.as_ref().and_then(|palette| palette.get(part as usize));
        self.wrap(colour.map_or("", String::as_str), out, write);
    }

    fn wrap(&self, colour: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.palette.is_none() || colour.is_empty() {
            return write(out);
        }
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(colour.as_bytes());
        out.push(b'm');
        write(out);
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// The place and the colour of one entry of `LOGQ_COLORS`.
fn parse_colour(entry: &str) -> anyhow::Result<(usize, String)> {
    let (name, colour) = entry.split_once('=').unwrap_or((entry, "?"));
    let Some(place) = PARTS.iter().position(|(known, _)| *known == name.trim()) else {
        let names = PARTS.map(|(name, _)| name);
        let suggestion = nearest(name.trim(), names);
        let suggestion = suggestion.map(|name| format!(", did you mean {name:?}?"));
        bail!(
            "LOGQ_COLORS has a colour for {name:?}{}; there are {}",
            suggestion.unwrap_or_default(),
            names.join(", ")
        );
    };
    // Nothing but numbers: whatever else a sequence may do, this one only sets colours.
    if !colour.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
        bail!(
            "LOGQ_COLORS says {entry:?}; expected numbers such as {name}=1;31, or none for plain"
        );
    }
    Ok((place, colour.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_in_the_order_of_their_names() {
        let parts = [Part::Critical, Part::Error, Part::Warn, Part::Info, Part::Debug, Part::Trace];
        let names = PARTS.iter().map(|(name, _)| *name);
        for (part, name) in parts.iter().zip(names) {
            assert_eq!(format!("{part:?}").to_lowercase(), name);
        }
        for (part, name) in [
            (Part::Time, "time"),
            (Part::Request, "request"),
            (Part::Separator, "separator"),
            (Part::Name, "name"),
        ] {
            assert_eq!(PARTS[part as usize].0, name);
        }
    }

    #[test]
    fn colours_are_numbers_of_known_parts() {
        assert_eq!(parse_colour("error=1;35").unwrap(), (1, "1;35".to_owned()));
        assert_eq!(parse_colour("time=").unwrap(), (6, String::new()));
        let message = |entry| parse_colour(entry).unwrap_err().to_string();
        assert!(message("eror=1").contains("did you mean \"error\"?"));
        assert!(message("error").contains("expected numbers"));
        assert!(message("error=31m\u{1b}]0;x").contains("expected numbers"));
    }
}
