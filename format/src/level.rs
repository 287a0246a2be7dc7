//! Severity levels and sets of them.

use std::fmt;
use std::str::FromStr;

/// How severe a record is, most severe first.
///
/// The order of the variants is the order of severity: `Critical < Error`, so a threshold reads
/// `level <= Level::Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// The process cannot go on.
    Critical = 0,
    /// An operation failed unexpectedly.
    Error = 1,
    /// Something deserves a look.
    Warn = 2,
    /// Normal operation.
    Info = 3,
    /// Detail for developers. logq's own loggers keep it back until an error.
    Debug = 4,
    /// Finest detail; only in logs that come from elsewhere.
    Trace = 5,
}

impl Level {
    /// All levels, most severe first.
    pub const ALL: [Self; 6] =
        [Self::Critical, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The name in upper case, as records print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Parses the name in any case.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownLevel { text: text.to_owned() })
    }
}

/// Says that a text names no level.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown level {text:?}, expected one of CRITICAL, ERROR, WARN, INFO, DEBUG, TRACE")]
pub struct UnknownLevel {
    /// The text as given.
    pub text: String,
}

/// A set of levels, one bit each: bit 0 is [`Level::Critical`], bit 5 is [`Level::Trace`].
///
/// A block header carries the set of levels present, so that `--level error` skips blocks unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelSet(u8);

impl LevelSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);
    /// All six levels.
    pub const ALL: Self = Self(0b11_1111);

    /// The set with the given bits; bits that name no level are kept as they are.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits, as block headers store them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The levels at least as severe as `least`: the meaning of `--level error`.
    pub fn at_least(least: Level) -> Self {
        Level::ALL.into_iter().filter(|level| *level <= least).fold(Self::EMPTY, Self::with)
    }

    /// This set and `level`.
    #[must_use]
    pub const fn with(self, level: Level) -> Self {
        Self(self.0 | 1 << level as u8)
    }

    /// Whether `level` is in the set.
    pub const fn contains(self, level: Level) -> bool {
        self.0 & 1 << level as u8 != 0
    }

    /// Whether the two sets share a level.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The levels of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold_includes_the_more_severe() {
        let set = LevelSet::at_least(Level::Warn);
        let inside: Vec<_> = Level::ALL.into_iter().filter(|l| set.contains(*l)).collect();
        assert_eq!(inside, [Level::Critical, Level::Error, Level::Warn]);
        assert_eq!(LevelSet::at_least(Level::Trace), LevelSet::ALL);
    }

    #[test]
    fn names_parse_in_any_case() {
        for level in Level::ALL {
            assert_eq!(level.as_str().to_lowercase().parse(), Ok(level));
        }
        assert!("eror".parse::<Level>().is_err());
    }
}
