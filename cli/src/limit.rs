//! How large a store may get while `logq ingest` and `logq run` write to it: the size on the command
//! line, and the manager that keeps to it.

use clap::Args;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use logq_directory::{Directory, DirectoryError};
use logq_rotation::{LogManager, ManagerError, ManagerOptions, OpenError};

use crate::fingerprint;
use crate::output::escape;

/// How large a store may get that is written to.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArguments {
    /// How large the store may be: beyond, its oldest segments are deleted; or `none` [default:
    /// 2GiB, and `none` for a store that is larger already]
    #[arg(long = "size-limit", value_name = "SIZE")]
    pub(crate) size: Option<SizeLimit>,
}

/// The bytes that a store may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeLimit {
    /// Beyond, its oldest segments are deleted.
    Bytes(u64),
    /// Nothing is rotated or deleted.
    None,
}

/// Says that a text names no size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 500MiB or 2G, or `none`")]
pub(crate) struct NoSize;

impl FromStr for SizeLimit {
    type Err = NoSize;

    /// A number of bytes, `KiB`, `MiB`, `GiB` or `TiB`; the first letter will do, in either case.
    fn from_str(text: &str) -> Result<Self, NoSize> {
        let text = text.to_ascii_lowercase();
        if text == "none" {
            return Ok(Self::None);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or(NoSize)?;
        let unit: u64 = match unit.trim_start() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(NoSize),
        };
        let number: u64 = number.parse().map_err(|_| NoSize)?;
        number.checked_mul(unit).map(Self::Bytes).ok_or(NoSize)
    }
}

/// Keeps the store within its limit as long as the manager lives. To be called once the store is
/// there.
///
/// There is none where it was not wanted, where somebody else manages the store, and where a single
/// segment is written to. Nor is there where nobody has named a limit and the store is much larger
/// than the default: it may be an archive, and nobody has said that it may be deleted.
///
/// # Errors
///
/// The limit is too small, or the directory cannot be used.
pub(crate) fn manage(store: &Path, limit: Option<SizeLimit>) -> anyhow::Result<Option<LogManager>> {
    if limit == Some(SizeLimit::None) || !store.is_dir() {
        return Ok(None);
    }
    let on_error = Some(Arc::new(tell_new_errors()) as Arc<_>);
    let mut options = ManagerOptions { on_error, ..ManagerOptions::default() };
    if let Some(SizeLimit::Bytes(bytes)) = limit {
        options.log_size_limit = bytes;
    } else if is_archive(size(store), options.log_size_limit) {
        let store = store.display().to_string();
        tell!(
            "logq: {} is larger than stores are by default, so nothing is rotated or deleted; \
             say with --size-limit how large it may be",
            escape::for_terminal_lines(&store)
        );
        return Ok(None);
    }
    match LogManager::open(store, options) {
        Ok(manager) => Ok(Some(manager)),
        Err(OpenError::Directory(DirectoryError::Managed { .. })) => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot keep {} within a limit", store.display()))
        }
    }
}

/// The bytes of all segments.
fn size(store: &Path) -> u64 {
    // Where the directory cannot be listed, the manager says so.
    let segments = Directory::open(store).and_then(|directory| directory.segments());
    let len = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    segments.unwrap_or_default().iter().map(|segment| len(&segment.path)).sum()
}

/// Whether a store of this size cannot be one that was kept within the limit before: between two
/// polls a busy program may exceed it, but not by a quarter.
fn is_archive(size: u64, limit: u64) -> bool {
    size > limit + limit / 4
}

/// Tells each error on standard error, but not again with every poll.
fn tell_new_errors() -> impl Fn(&ManagerError) + Send + Sync {
    let last = Mutex::new(String::new());
    move |error| {
        let message = error.to_string();
        // Each attempt names a file of its own.
        let print = fingerprint::of_text(&message);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != print {
            tell!("logq: {}", escape::for_terminal_lines(&message));
            *last = print;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let check = |text: &str, bytes| {
            assert_eq!(text.parse(), Ok(SizeLimit::Bytes(bytes)), "{text}");
        };
        check("123456", 123_456);
        check("7b", 7);
        check("64k", 64 << 10);
        check("500MiB", 500 << 20);
        check("2 GiB", 2 << 30);
        check("1T", 1 << 40);
        assert_eq!("none".parse(), Ok(SizeLimit::None));
        for text in ["", "G", "2GB", "1.5G", "-1", "all", "99999999T", "2 G iB", "é"] {
            assert_eq!(text.parse::<SizeLimit>(), Err(NoSize), "{text}");
        }
    }

    #[test]
    fn what_was_never_kept_within_a_limit_is_not_touched() {
        assert!(!is_archive(0, 100));
        assert!(!is_archive(125, 100));
        assert!(is_archive(126, 100));
    }

    #[test]
    fn a_store_has_a_manager_unless_somebody_says_otherwise() {
        let scratch = tempfile::tempdir().unwrap();
        let store = scratch.path().join("store");
        assert!(manage(&store, None).unwrap().is_none(), "it is not there");
        Directory::create(&store).unwrap();
        assert!(manage(&store, Some(SizeLimit::None)).unwrap().is_none());
        let manager = manage(&store, None).unwrap();
        assert!(manager.is_some());
        assert!(manage(&store, None).unwrap().is_none(), "it has one");
        drop(manager);
        let limit = Some(SizeLimit::Bytes(1 << 20));
        assert!(manage(&store, limit).unwrap().is_some());
        let error = manage(&store, Some(SizeLimit::Bytes(1))).unwrap_err();
        assert!(format!("{error:#}").contains("at least"), "{error:#}");
    }

    #[test]
    fn a_large_store_is_left_alone_unless_somebody_names_a_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::create(scratch.path()).unwrap();
        // A hole takes no room, and the length counts.
        let name = logq_format::segment_name(1, "2026-02-03T14:05:06Z".parse().unwrap());
        let segment = std::fs::File::create(directory.path().join(name)).unwrap();
        segment.set_len(3 << 30).unwrap();
        assert_eq!(size(scratch.path()), 3 << 30);
        assert!(manage(scratch.path(), None).unwrap().is_none());
        assert_eq!(size(scratch.path()), 3 << 30);
    }
}
