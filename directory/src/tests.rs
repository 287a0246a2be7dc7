//! Properties of the store directory, on real files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

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

#[test]
fn a_store_has_one_manager_and_a_second_one_learns_who_it_is() {
    let (_scratch, directory) = scratch();
    let first = directory.lock_manager().unwrap();
    let refused = directory.lock_manager().unwrap_err();
    let expected = format!("is managed by process {} already", std::process::id());
    assert!(refused.to_string().contains(&expected), "{refused}");
    assert!(first.is_current());
    drop(first);

    // What a manager that was killed left in the file is nobody's claim.
    let path = directory.path().join("manager.lock");
    fs::write(&path, b"1").unwrap();
    let second = directory.lock_manager().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    fs::remove_file(&path).unwrap();
    assert!(!second.is_current(), "another manager would lock another file");
}

/// Names and ages of files in a directory, as the sweep finds them an hour and a second later.
fn sweep(directory: &Directory) -> Vec<String> {
    let later = SystemTime::now() + Duration::from_secs(3601);
    let removed = directory.remove_abandoned_drafts(later).unwrap();
    removed.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn drafts_are_removed_only_when_old_and_abandoned() {
    let (_scratch, directory) = scratch();
    let draft = directory.draft_segment(&at(1)).unwrap();
    let left = format!(".{}.new", "0".repeat(32));
    let foreign = [".0123.new", "x.new", &format!(".{}.new", "g".repeat(32)), &format!(".{left}")];
    for name in foreign.into_iter().chain([left.as_str()]) {
        fs::write(directory.path().join(name), b"x").unwrap();
    }
    let now = SystemTime::now();
    assert_eq!(directory.remove_abandoned_drafts(now).unwrap(), Vec::<PathBuf>::new(), "fresh");
    assert_eq!(sweep(&directory), [left], "the draft of a living process and foreign files stay");
    let path = draft.publish(&directory.lock().unwrap()).unwrap().path;
    assert_eq!(fs::metadata(path).unwrap().len(), 256);
}

/// Where a creator is killed between giving a segment its name and dropping the draft's, the draft
/// stays a name of the segment, which would keep the bytes of the segment beyond its deletion.
#[test]
fn the_second_name_of_a_published_segment_is_removed_at_once() {
    let (_scratch, directory) = scratch();
    let segment = directory.create_segment(&directory.lock().unwrap(), &at(1)).unwrap();
    let name = format!(".{}.new", "a".repeat(32));
    fs::hard_link(&segment.path, directory.path().join(&name)).unwrap();
    let removed = directory.remove_abandoned_drafts(SystemTime::now()).unwrap();
    assert_eq!(removed, [directory.path().join(name)]);
    assert!(segment.path.exists());
}

#[test]
fn a_segment_that_is_gone_already_counts_as_deleted() {
    let (_scratch, directory) = scratch();
    let segment = directory.create_segment(&directory.lock().unwrap(), &at(1)).unwrap();
    directory.delete(&segment).unwrap();
    directory.delete(&segment).unwrap();
    assert_eq!(directory.segments().unwrap(), []);
    let space = directory.space().unwrap();
    assert!(space.available <= space.total && space.total > 0, "{space:?}");
}
