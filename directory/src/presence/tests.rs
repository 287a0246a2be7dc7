//! Properties of presences, on real files and with the kernel's locks.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::*;

fn scratch() -> (tempfile::TempDir, Directory) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(scratch.path()).unwrap();
    fs::write(scratch.path().join("segment"), b"").unwrap();
    (scratch, directory)
}

fn segment(directory: &Directory) -> File {
    open(&directory.path().join("segment"))
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).append(true).open(path).unwrap()
}

fn enter(directory: &Directory) -> Presence {
    directory.enter(&directory.lock().unwrap(), &segment(directory)).unwrap()
}

/// Slots of living writers, negative if they are idle; asked through a file that cannot be written.
fn seen(directory: &Directory) -> Vec<i64> {
    let file = File::open(directory.path().join("segment")).unwrap();
    let found = present_writers(&file).unwrap();
    found.iter().map(|p| if p.is_idle { -i64::from(p.slot) } else { p.slot.into() }).collect()
}

#[test]
fn the_living_and_the_idle_are_seen_by_everyone() {
    let (_scratch, directory) = scratch();
    assert_eq!((seen(&directory), directory.held_slots().unwrap()), (vec![], None));
    assert!(!directory.is_locked().unwrap());
    let writers: Vec<_> = (0..5).map(|_| enter(&directory)).collect();
    assert_eq!(seen(&directory), [1, 2, 3, 4, 5]);
    let idle: Vec<_> = [3, 0, 4].map(|w: usize| writers[w].rest().unwrap().unwrap()).into();
    assert_eq!(seen(&directory), [-1, 2, 3, -4, -5]);
    drop(idle);
    let (gone, _living): (Vec<_>, Vec<_>) = writers.into_iter().partition(|w| w.slot() % 2 == 1);
    drop(gone);
    assert_eq!(seen(&directory), [2, 4]);
    assert_eq!(directory.held_slots().unwrap().unwrap(), [2, 4].into());
    assert_eq!(enter(&directory).slot(), 1, "the first free one is taken");
    let lock = directory.lock().unwrap();
    assert!(directory.is_locked().unwrap());
    drop(lock);
    assert!(!directory.is_locked().unwrap());
}

/// Where the lock file was deleted, two writers could otherwise have one slot, and one of them would
/// be taken for the other.
#[test]
fn a_deleted_lock_file_gives_no_slot_of_a_segment_away_twice() {
    let (_scratch, directory) = scratch();
    let first = enter(&directory);
    fs::remove_file(directory.lock_path()).unwrap();
    assert_eq!((directory.held_slots().unwrap(), directory.lock_inode()), (None, None));
    let second = enter(&directory);
    assert_eq!((first.slot(), second.slot()), (1, 2));
    assert_eq!(seen(&directory), [1, 2]);
    assert_eq!(directory.held_slots().unwrap().unwrap(), [2].into());
}

#[test]
fn the_mark_of_an_idle_writer_that_outlives_it_is_nobody_elses() {
    let (_scratch, directory) = scratch();
    let first = enter(&directory);
    let mark = first.rest().unwrap();
    drop(first);
    assert_eq!(seen(&directory), [] as [i64; 0]);
    let second = enter(&directory);
    assert_eq!((second.slot(), seen(&directory)), (2, vec![2]));
    drop(mark);
}

#[test]
fn a_strangers_lock_on_the_whole_file_hides_writers_and_stops_none() {
    let (_scratch, directory) = scratch();
    let stranger = segment(&directory);
    let whole = nix::libc::flock {
        l_type: i16::try_from(nix::libc::F_RDLCK).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&stranger, nix::fcntl::FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    let writer = enter(&directory);
    assert_eq!((writer.slot(), writer.rest().unwrap().is_none()), (1, true));
    let found = present_writers(&segment(&directory)).unwrap();
    assert_eq!(found.len(), usize::from(SLOTS_MAX), "anyone may live");
    assert!(found.iter().all(|present| !present.is_idle), "and nobody is known to be idle");
    drop(stranger);
    assert_eq!(seen(&directory), [] as [i64; 0]);
    assert_eq!(directory.held_slots().unwrap().unwrap(), [1].into());
}
