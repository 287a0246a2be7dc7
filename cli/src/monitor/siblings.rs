//! Files that came and were moved away between two looks at a path, found by their names.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file::{Identity, OpenFile};
use super::ledger::Ledger;

/// The file that was read last: what was born before it was there before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) identity: Identity,
    pub(super) modified: Option<SystemTime>,
}

impl Before {
    pub(super) fn of(file: &OpenFile) -> Self {
        Self { identity: file.identity, modified: file.opened_modified() }
    }
}

/// The paths of files that stand in a line with `path`, came after `before` and not after `now`, and
/// were not read; oldest first. Costs a look at each such name in the directory.
pub(super) fn between(
    path: &Path,
    before: &Before,
    now: Identity,
    ledger: &Ledger,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for candidate in names(path) {
        let Ok(metadata) = fs::metadata(&candidate) else { continue };
        let identity = Identity::of(&metadata);
        if !metadata.is_file() || identity == now || identity == before.identity {
            continue;
        }
        if ledger.knows(identity) || !is_between(&metadata, before, now) {
            continue;
        }
        // A backup that somebody made would be the same lines again.
        if File::open(&candidate).is_ok_and(|file| ledger.has_original_of(&file)) {
            continue;
        }
        found.push((identity.birth_ns, metadata.modified().ok(), candidate));
    }
    found.sort();
    found.into_iter().map(|(_, _, path)| path).collect()
}

/// The path of a file in the line of `path`, wherever it was moved.
pub(super) fn find(path: &Path, identity: Identity) -> Option<PathBuf> {
    let is_it = |candidate: &PathBuf| {
        fs::metadata(candidate).is_ok_and(|metadata| Identity::of(&metadata) == identity)
    };
    names(path).into_iter().find(is_it)
}

fn is_between(metadata: &Metadata, before: &Before, now: Identity) -> bool {
    match (Identity::of(metadata).birth_ns, before.identity.birth_ns) {
        (Some(birth), Some(before)) => {
            birth >= before && now.birth_ns.is_none_or(|now| birth <= now)
        }
        // What was written to since then.
        _ => metadata.modified().ok().zip(before.modified).is_some_and(|(at, from)| at >= from),
    }
}

/// Paths that rotation may have given to a file of this path: the name with a number or a date
/// more, or for a symbolic link, the name of its target with other digits.
fn names(path: &Path) -> Vec<PathBuf> {
    let mut names = of_family(path, is_rotated);
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
        && let Ok(target) = fs::canonicalize(path)
    {
        names.extend(of_family(&target, is_in_series));
    }
    names
}

fn of_family(path: &Path, is_family: fn(&[u8], &[u8]) -> bool) -> Vec<PathBuf> {
    let Some(name) = path.file_name() else { return Vec::new() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let family = names.filter(|other: &_| is_family(name.as_bytes(), OsStr::as_bytes(other)));
    family.map(|other| path.with_file_name(other)).collect()
}

/// Whether `other` is `name` with a group of digits and separators put in, or another mark of
/// rotation behind it: `access.log.1`, `access-20260203.log`, `access.log.old`.
fn is_rotated(name: &[u8], other: &[u8]) -> bool {
    let front = name.iter().zip(other).take_while(|(a, b)| a == b).count();
    let behind = name.get(front..).unwrap_or_default();
    let Some(group) = other.get(front..).and_then(|rest| rest.strip_suffix(behind)) else {
        return false;
    };
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'-' | b'_');
    if matches!(group, b".old" | b".bak" | b".prev" | b"~") {
        return behind.is_empty();
    }
    group.iter().all(|byte| byte.is_ascii_digit() || is_separator(byte))
        && group.iter().any(u8::is_ascii_digit)
        && group.iter().any(is_separator)
}

/// Whether two names differ in their digits only.
fn is_in_series(name: &[u8], other: &[u8]) -> bool {
    let shape = |name: &[u8]| {
        let mut shape: Vec<u8> =
            name.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect();
        shape.dedup_by(|a, b| *a == b'0' && *b == b'0');
        shape
    };
    name != other && shape(name) == shape(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_are_known() {
        for (name, other, expected) in [
            ("access.log", "access.log.1", true),
            ("access.log", "access.log-20260203", true),
            ("access.log", "access.log.2026-02-03_14", true),
            ("access.log", "access-20260203.log", true),
            ("access.log", "access.1.log", true),
            ("access.log", "access.log.old", true),
            ("access.log", "access.log", false),
            ("access.log", "access.log.1.gz", false),
            ("access.log", "access.log.errors", false),
            ("access.log", "error.log.1", false),
            ("app-1.log", "app-2.log", false),
            ("app-1.log", "app-1.log.2", true),
            ("app1.log", "app12.log", false),
            ("a", "", false),
        ] {
            assert_eq!(is_rotated(name.as_bytes(), other.as_bytes()), expected, "{name} {other}");
        }
    }

    #[test]
    fn names_of_a_series_differ_in_digits() {
        assert!(is_in_series(b"log-9", b"log-10"));
        assert!(is_in_series(b"a-2026-02-03.log", b"a-2026-02-04.log"));
        assert!(!is_in_series(b"log-9", b"log-9"));
        assert!(!is_in_series(b"log-9", b"log-x"));
        assert!(!is_in_series(b"api-1.log", b"web-1.log"));
    }
}
