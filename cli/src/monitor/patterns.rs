//! Sources as they are named: paths, patterns, and `-`.

use std::path::{Component, Path, PathBuf};

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

/// On the way through folders hidden names are no matter: where they are, glob 0.3 panics at a name
/// that is no UTF-8, which anybody may give who can write to the folder.
const WALKING: MatchOptions = MatchOptions { require_literal_leading_dot: false, ..MATCHING };

/// The regular files that a pattern finds now, in the order of their names; of names in UTF-8 only.
pub(super) fn files(pattern: &str) -> Vec<PathBuf> {
    let wanted = plain(Path::new(pattern));
    let wanted = wanted.to_str().and_then(|wanted| Pattern::new(wanted).ok());
    let (Some(wanted), Ok(paths)) = (wanted, glob::glob_with(pattern, WALKING)) else {
        return Vec::new();
    };
    let is_wanted = |path: &PathBuf| wanted.matches_path_with(&plain(path), MATCHING);
    // A folder that cannot be read may hide files from a pattern, as it does from a shell.
    let paths = paths.filter_map(Result::ok);
    paths.filter(is_wanted).filter(|path| path.is_file()).collect()
}

/// The same path without a `.` for a folder.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

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

    /// Any name may lie beside a log. A name that was no UTF-8 ended the monitor with a panic.
    #[test]
    fn names_of_any_bytes_keep_no_pattern_from_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &[u8]| directory.path().join(OsStr::from_bytes(name));
        for folder in [&b"a"[..], b"\xff", b".hidden"] {
            std::fs::create_dir(path(folder)).unwrap();
        }
        let names: [&[u8]; 7] = [
            b"x.log",
            b".x.log",
            b"\xfe.log",
            b"a/y.log",
            b"a/\xfe.log",
            b"\xff/z.log",
            b".hidden/w.log",
        ];
        for name in names {
            std::fs::write(path(name), "").unwrap();
        }
        let check = |pattern: &str, expected: &[&str]| {
            let pattern = format!("{}/{pattern}", directory.path().display());
            let expected: Vec<_> = expected.iter().map(|name| path(name.as_bytes())).collect();
            assert_eq!(files(&pattern), expected, "{pattern}");
        };
        check("*.log", &["x.log"]);
        check("./*.log", &["x.log"]);
        check(".*.log", &[".x.log"]);
        check("*/*.log", &["a/y.log"]);
        check("a/../*.log", &["a/../x.log"]);
        check("**/*.log", &["a/y.log", "x.log"]);
        check(".hidden/*", &[".hidden/w.log"]);
    }
}
