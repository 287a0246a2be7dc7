//! Where a demo's store goes, and how the command is written so that a shell understands it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use logq_directory::Directory;

/// Demos that may lie around: beyond, somebody should tidy up.
const DEMOS_MAX: u32 = 1000;

/// An empty directory for the store: the one that was named, or a new one.
///
/// # Errors
///
/// The directory cannot be made, or holds something already.
pub(super) fn choose(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => claim(path)?,
        None => fresh(&std::env::temp_dir())?,
    };
    Ok(unlike_words(&path))
}

fn claim(path: &Path) -> anyhow::Result<PathBuf> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => bail!(
            "{} is not empty, and a demo touches nothing that is there: name a directory that is \
             empty or does not exist, or leave out --dir",
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let message = format!("cannot use {}: name a directory of yours", path.display());
            return Err(error).context(message);
        }
    }
    // Also looks whether several processes can append here.
    Directory::create(path)?;
    Ok(path.to_owned())
}

/// Makes `logq-demo`, `logq-demo-2` and so on in `parent`, whichever is not there. Making a directory
/// fails where somebody else has put something, so nobody can foist one on us.
fn fresh(parent: &Path) -> anyhow::Result<PathBuf> {
    for number in 1..=DEMOS_MAX {
        let name = if number == 1 { "logq-demo".into() } else { format!("logq-demo-{number}") };
        let path = parent.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let message = format!("cannot create {}; try --dir", path.display());
                return Err(error).context(message);
            }
        }
    }
    bail!("{} holds {DEMOS_MAX} demos; delete some, or name a --dir", parent.display())
}

/// The path so written that the command takes it neither for an option nor for a verb.
fn unlike_words(path: &Path) -> PathBuf {
    let is_plain = path.is_relative() && !path.starts_with(".") && !path.starts_with("..");
    if is_plain { Path::new(".").join(path) } else { path.to_owned() }
}

/// What to type for this program: `logq` if that is what a shell finds under this name, else its
/// path, from the current directory on if it lies below.
pub(super) fn command(program: &Path) -> String {
    let found = std::env::var_os("PATH").and_then(|folders| {
        std::env::split_paths(&folders)
            .map(|folder| folder.join("logq"))
            .find(|path| path.is_file())
    });
    let real = |path: &Path| path.canonicalize().ok();
    if let Some(found) = found
        && real(&found).is_some_and(|found| Some(found) == real(program))
    {
        return "logq".to_owned();
    }
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned));
    let path = below.map_or_else(|| program.to_owned(), |below| Path::new(".").join(below));
    quoted(&path.to_string_lossy())
}

/// The text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell_are_quoted_where_they_must_be() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("/tmp/logq-demo-2", "/tmp/logq-demo-2");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("", "''");
        check("$HOME;ls", "'$HOME;ls'");
    }

    #[test]
    fn a_store_is_never_mistaken_for_an_option_or_a_verb() {
        let check = |path: &str, expected: &str| {
            assert_eq!(unlike_words(Path::new(path)), Path::new(expected));
        };
        check("stats", "./stats");
        check("-x", "./-x");
        check("./a", "./a");
        check("../a", "../a");
        check("/a", "/a");
    }

    #[test]
    fn fresh_places_get_numbers_and_nothing_is_taken_over() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        assert_eq!(fresh(folder).unwrap(), folder.join("logq-demo"));
        std::os::unix::fs::symlink("/nowhere", folder.join("logq-demo-2")).unwrap();
        assert_eq!(fresh(folder).unwrap(), folder.join("logq-demo-3"));
        let error = fresh(&folder.join("absent")).unwrap_err().to_string();
        assert!(error.contains("try --dir"), "{error}");
    }

    #[test]
    fn only_empty_directories_are_claimed() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("a/b");
        claim(&folder).unwrap();
        claim(&folder).unwrap();
        fs::write(folder.join("mine"), "").unwrap();
        let error = format!("{:#}", claim(&folder).unwrap_err());
        assert!(error.contains("is not empty"), "{error}");
        let error = format!("{:#}", claim(&folder.join("mine/x")).unwrap_err());
        assert!(error.contains("name a directory of yours"), "{error}");
    }
}
