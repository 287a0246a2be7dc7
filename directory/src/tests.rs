use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use logq_format::{Dictionary, Timestamp};

use super::*;

fn scratch() -> (tempfile::TempDir, Directory) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(&scratch.path().join("a/store")).unwrap();
    (scratch, directory)
}

fn at(second: i64) -> NewSegment {
    NewSegment::at(Timestamp::from_micros(second * 1_000_000))
}

#[test]
fn segments_are_numbered_and_linked_to_their_predecessors() {
    let (_scratch, directory) = scratch();
    let lock = directory.lock().unwrap();
    let first = directory.create_segment(&lock, &at(1)).unwrap();
    let second = directory.create_segment(&lock, &NewSegment { clock_steps: 2, ..at(0) }).unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(directory.segments().unwrap(), [first.clone(), second.clone()]);

    let [first, second] = [first, second]
        .map(|segment| read_header(&File::open(&segment.path).unwrap(), &segment.path).unwrap());
    assert_eq!(first.predecessor, None);
    let predecessor = second.predecessor.unwrap();
    assert_eq!((predecessor.segment, predecessor.file), (1, first.file));
    assert_eq!(predecessor.len, Some(256));
    assert_eq!(second.directory, first.directory);
    assert_eq!((first.clock_epoch, second.clock_epoch), (0, 2));
    assert_ne!(first.marker, second.marker);
}

#[test]
fn a_new_directory_belongs_to_the_user_alone() {
    let (_scratch, directory) = scratch();
    let mode = fs::metadata(directory.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn other_files_are_passed_over_and_taken_numbers_are_not_reused() {
    let (_scratch, directory) = scratch();
    for name in ["notes.txt", "0000000007-copied.logq", ".0123.new"] {
        fs::write(directory.path().join(name), b"x").unwrap();
    }
    let lock = directory.lock().unwrap();
    let created = directory.create_segment(&lock, &at(1)).unwrap();
    assert_eq!(created.number, 8);
    let numbers: Vec<_> = directory.segments().unwrap().iter().map(|s| s.number).collect();
    assert_eq!(numbers, [7, 8]);
}

#[test]
fn a_draft_is_invisible_and_leaves_nothing_behind() {
    let (_scratch, directory) = scratch();
    let samples: Vec<_> = (0..400).map(|n| format!("{{\"user\":{n},\"ok\":true}}")).collect();
    let dictionary = Dictionary::train(&samples, 1024);
    let draft = directory.draft_segment(&NewSegment { dictionary, ..at(1) }).unwrap();
    assert!(directory.segments().unwrap().is_empty());
    draft.file().write_all(b"block").unwrap();
    drop(draft);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn slots_are_told_apart_and_freed_with_their_holder() {
    let (_scratch, directory) = scratch();
    let lock = directory.lock().unwrap();
    assert!(directory.try_lock().unwrap().is_none(), "the lock excludes others");
    let first = directory.take_slot(&lock).unwrap();
    let second = directory.take_slot(&lock).unwrap();
    drop(lock);
    assert!(directory.try_lock().unwrap().is_some());
    assert_ne!(first.number(), second.number());
    assert!(directory.is_slot_held(first.number()).unwrap());
    let freed = first.number();
    drop(first);
    assert!(!directory.is_slot_held(freed).unwrap());
    assert!(directory.is_slot_held(second.number()).unwrap());
    assert!(!directory.is_slot_held(0).unwrap());
}

#[test]
fn errors_name_the_operation_and_the_path() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, b"").unwrap();
    let message = Directory::open(&file).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot open {}: ", file.display())), "{message}");
    assert!(Directory::open(&scratch.path().join("none")).is_err());
    assert!(Directory::create(&file.join("below")).is_err());
}
