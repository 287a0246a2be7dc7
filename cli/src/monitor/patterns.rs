//! Sources as they are named: paths, patterns, and `-`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use glob::{MatchOptions, Pattern};

/// A source as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Stdin,
    Path(PathBuf),
    /// Files that there are now, and such that come later.
    Pattern(String),
}

/// A pattern finds what a shell would find: no hidden files, no separators by `*`.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

impl Named {
    /// Reads a word of the command line. What exists is a path, whatever characters it has.
    ///
    /// # Errors
    ///
    /// It is a pattern with a mistake.
    pub(super) fn parse(word: &Path) -> anyhow::Result<Self> {
        if word == Path::new("-") {
            return Ok(Self::Stdin);
        }
        let text = word.to_str().filter(|text| text.contains(['*', '?', '[']));
        let Some(text) = text.filter(|_| !word.exists()) else {
            return Ok(Self::Path(word.to_owned()));
        };
        Pattern::new(text).with_context(|| format!("{text:?} is no pattern of file names"))?;
        Ok(Self::Pattern(text.to_owned()))
    }
}

/// The regular files that a pattern finds now, in the order of their names.
pub(super) fn files(pattern: &str) -> Vec<PathBuf> {
    let Ok(paths) = glob::glob_with(pattern, MATCHING) else { return Vec::new() };
    // A folder that cannot be read may hide files from a pattern, as it does from a shell.
    paths.filter_map(Result::ok).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_paths_unless_they_have_signs_of_patterns() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a[1].log");
        std::fs::write(&odd, "").unwrap();
        std::fs::write(directory.path().join(".hidden.log"), "").unwrap();
        std::fs::create_dir(directory.path().join("folder.log")).unwrap();
        assert_eq!(Named::parse(&odd).unwrap(), Named::Path(odd.clone()));
        assert_eq!(Named::parse(Path::new("-")).unwrap(), Named::Stdin);
        assert_eq!(Named::parse(Path::new("a")).unwrap(), Named::Path("a".into()));
        let pattern = directory.path().join("*.log");
        let Named::Pattern(pattern) = Named::parse(&pattern).unwrap() else { panic!() };
        assert_eq!(files(&pattern), [odd]);
        assert!(Named::parse(Path::new("no[such")).is_err());
    }
}
