//! One keeper, pass by pass, with real files, real loggers and a clock that is set by hand.

use std::fs;
use std::os::unix::fs::symlink;

use logq_directory::{NewSegment, read_header};
use logq_format::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, Member, Origin, WorkerId, WriterId};
use logq_writer::{LoggerOptions, MasterLogger, WorkerLogger};
use serde_json::json;

use super::*;
use crate::testing::{SEGMENT, Scene, fill, log_kib, raw};

const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: [&str; 0] = [];

#[test]
fn a_new_store_gets_a_segment_and_a_used_one_keeps_its_newest() {
    let scene = Scene::new();
    let keeper = scene.open(&scene.options());
    let first = keeper.current().to_owned();
    assert!(first.starts_with(&scene.path) && first.exists());
    drop(keeper);
    assert_eq!(scene.open(&scene.options()).current(), first);
    assert_eq!((scene.numbers(), scene.diary.take()), (vec![1], vec![]));
}

#[test]
fn a_segment_is_rotated_when_it_is_larger_than_its_part() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    let logger = MasterLogger::open(&scene.path, raw()).unwrap();
    log_kib(&logger, 30);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING);
    log_kib(&logger, 3);
    keeper.pass(&scene.diary);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert!(keeper.current().to_str().unwrap().contains("0000000002-"));
    // The logger was opened on the directory; it is told nothing and follows soon.
    let mut logged = 33;
    while keeper.current().to_str().unwrap().contains("0000000002-") {
        log_kib(&logger, 1);
        logged += 1;
        keeper.pass(&scene.diary);
        std::thread::sleep(Duration::from_millis(1));
        assert!(logged < 10_000, "the logger does not follow");
    }
    logger.close().unwrap();
    assert_eq!(scene.diary.take(), ["rotate 3"]);
    let read = scene.read();
    assert_eq!(read.gaps, []);
    let sequences: Vec<_> = read.records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (0..logged).collect::<Vec<_>>());
}

#[test]
fn a_segment_is_rotated_when_it_is_older_than_its_part_and_somebody_used_it() {
    let scene = Scene::new();
    let options = ManagerOptions { log_age_limit: 40 * HOUR, ..scene.options() };
    let mut keeper = scene.open(&options);
    scene.clock.advance(50 * HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING, "nobody has joined");
    fill(&scene.path, 1);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    fill(&scene.path, 1);
    scene.clock.advance(9 * HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING);
    // Whoever sets the wall clock, the machine has run for nine hours.
    scene.clock.step_wall(1_000 * 3_600_000_000);
    keeper.pass(&scene.diary);
    scene.clock.step_wall(-2_000 * 3_600_000_000);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING);
    scene.clock.advance(HOUR + Duration::from_micros(1));
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
}

#[test]
fn the_oldest_segments_go_when_the_store_is_too_large() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    for number in 2..5 {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), [format!("rotate {number}")]);
    }
    for number in 5..15 {
        fill(&scene.path, 34);
        assert!(scene.bytes() > 4 * SEGMENT);
        keeper.pass(&scene.diary);
        let oldest = number - 4;
        let expected = [format!("delete {oldest} Size"), format!("rotate {number}")];
        assert_eq!(scene.diary.take(), expected);
        assert!(scene.bytes() <= 4 * SEGMENT && scene.bytes() > 3 * SEGMENT);
    }
    assert_eq!(scene.numbers(), [11, 12, 13, 14]);
    assert!(scene.read().gaps.is_empty());
}

#[test]
fn segments_go_when_all_their_records_are_too_old() {
    let scene = Scene::new();
    let options = ManagerOptions { log_age_limit: 40 * HOUR, ..scene.options() };
    let mut keeper = scene.open(&options);
    for number in 2..5 {
        fill(&scene.path, 1);
        scene.clock.advance(11 * HOUR);
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), [format!("rotate {number}")]);
    }
    // The first segment is 44 hours old; its last records may be 33.
    fill(&scene.path, 1);
    scene.clock.advance(11 * HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 5"]);
    scene.clock.advance(8 * HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["delete 1 Age"]);
    // A clock that is set ahead by a year makes nothing older.
    scene.clock.step_wall(365 * 24 * 3_600_000_000);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING);
    scene.clock.advance(1000 * HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["delete 2 Age", "delete 3 Age", "delete 4 Age"]);
    assert_eq!(scene.numbers(), [5], "the newest one stays, and nobody used it");
}

#[test]
fn foreign_files_are_never_touched() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    fill(&scene.path, 34);
    let precious = scene.path.with_file_name("precious");
    fs::write(&precious, b"x").unwrap();
    let at = |name: &str| scene.path.join(name);
    fs::write(at("notes.txt"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(at("0000000000-notes.logq"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(at("0000000000-empty.logq"), b"").unwrap();
    fs::create_dir(at("0000000000-folder.logq")).unwrap();
    symlink(&precious, at("0000000000-link.logq")).unwrap();
    fs::write(at(".0123.new"), b"x").unwrap();
    let foreign = |path: &Path| -> Vec<_> {
        let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter(|n| !n.to_str().unwrap().contains("T")).collect();
        names.sort();
        names
    };
    let before = foreign(&scene.path);
    assert_eq!(before.len(), 8, "{before:?}");

    for _ in 0..6 {
        scene.clock.advance(2 * HOUR);
        keeper.pass(&scene.diary);
        fill(&scene.path, 34);
    }
    keeper.pass(&scene.diary);
    keeper.pass(&scene.diary);
    assert_eq!(foreign(&scene.path), before);
    assert!(precious.exists());
    let told = scene.diary.take();
    assert!(told.iter().any(|event| event == "delete 1 Size"), "{told:?}");
    assert!(!told.iter().any(|event| event.starts_with("error")), "{told:?}");
}

#[test]
fn a_damaged_segment_is_one_and_a_damaged_newest_one_is_replaced() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    fill(&scene.path, 34);
    let damaged = keeper.current().to_owned();
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[20] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    for _ in 0..4 {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
    }
    assert_eq!(scene.diary.take().last().unwrap(), "rotate 6");
    keeper.pass(&scene.diary);
    assert!(!damaged.exists());

    // Not one at all, but the name with the largest number.
    fs::write(scene.path.join("0000000009-x.logq"), b"not a segment").unwrap();
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take().last().unwrap(), "rotate 10");
}

#[test]
fn a_segment_that_somebody_else_created_is_told_of() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    let directory = scene.directory();
    let new = NewSegment::at(scene.clock.now().wall);
    let other = directory.create_segment(&directory.lock().unwrap(), &new).unwrap();
    keeper.pass(&scene.diary);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert_eq!(keeper.current(), other.path);
}

/// The writers of a later version have a segment to write to, and those of this one make one of
/// their own where they need it. A manager that did would do so with every poll.
#[test]
fn a_segment_of_a_later_version_is_left_to_its_writers() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    let mut bytes = fs::read(keeper.current()).unwrap();
    bytes[8] = 2;
    fs::write(scene.path.join("0000000002-later.logq"), bytes).unwrap();
    keeper.pass(&scene.diary);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert_eq!(scene.numbers(), [1, 2]);
}

/// Rotates until the store has this many bytes in full segments.
fn grow(scene: &Scene, keeper: &mut Keeper, segments: u64) {
    for _ in 0..segments {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
    }
}

#[test]
fn a_segment_that_is_written_to_stays_until_twice_the_limit_and_others_wait_with_it() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    // Loggers of one segment do not follow the store.
    let stuck = MasterLogger::open(keeper.current(), raw()).unwrap();
    log_kib(&stuck, 1);
    grow(&scene, &mut keeper, 7);
    keeper.pass(&scene.diary);
    assert_eq!(scene.numbers(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(scene.diary.take().len(), 7, "seven rotations");
    grow(&scene, &mut keeper, 1);
    let told = scene.diary.take();
    assert_eq!(
        told,
        [
            "delete 1 Size",
            "delete 2 Size",
            "delete 3 Size",
            "delete 4 Size",
            "delete 5 Size",
            "rotate 9"
        ]
    );
    stuck.close().unwrap();
}

/// A writer that joins a segment and never says that it leaves; it lives as long as its slot.
fn join(scene: &Scene, path: &Path, writer: u32) -> logq_directory::Slot {
    let directory = scene.directory();
    let slot = directory.take_slot(&directory.lock().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().read(true).append(true).open(path).unwrap();
    let origin = Origin { writer: WriterId(writer), worker: WorkerId::new(1) };
    let floor = scene.clock.now().wall;
    let member = Member { origin, floor, sequence: 0, pid: 1, slot: slot.number() };
    let mut block = Vec::new();
    member.encode_join(read_header(&file, path).unwrap().marker, &mut block);
    std::io::Write::write_all(&mut file, &block).unwrap();
    slot
}

#[test]
fn only_a_living_writer_that_has_not_moved_on_holds_a_segment_back() {
    // What became of writer 7, which joined the first segment, and whether the segment then goes.
    let check =
        |fate: fn(&Scene, &Keeper, logq_directory::Slot) -> Option<logq_directory::Slot>,
         goes: bool| {
            let scene = Scene::new();
            let mut keeper = scene.open(&scene.options());
            let slot = join(&scene, keeper.current(), 7);
            grow(&scene, &mut keeper, 4);
            let _slot = fate(&scene, &keeper, slot);
            grow(&scene, &mut keeper, 1);
            keeper.pass(&scene.diary);
            assert_eq!(!scene.numbers().contains(&1), goes);
            // Nothing new became known since, and nothing is read again.
            keeper.pass(&scene.diary);
            assert_eq!(!scene.numbers().contains(&1), goes);
        };
    check(|_, _, slot| Some(slot), false);
    check(
        |_, _, slot| {
            drop(slot);
            None
        },
        true,
    );
    // Its slot went to another one, which writes to the newest segment.
    check(
        |scene, keeper, slot| {
            let number = slot.number();
            drop(slot);
            let other = join(scene, keeper.current(), 8);
            assert_eq!(other.number(), number);
            Some(other)
        },
        true,
    );
    // It lives and writes to the newest segment, but did not say so.
    check(|scene, keeper, _slot| Some(join(scene, keeper.current(), 7)), true);
    // Another one died in the newest segment.
    check(
        |scene, keeper, slot| {
            drop(join(scene, keeper.current(), 8));
            Some(slot)
        },
        false,
    );
}

#[test]
fn a_full_disk_waits_for_nobody_and_the_newest_segment_stays() {
    const WANTED: u64 = 100 << 10;
    let scene = Scene::new();
    let options = ManagerOptions { free_bytes_min: Some(WANTED), ..scene.options() };
    let mut keeper = scene.open(&options);
    let stuck = MasterLogger::open(keeper.current(), raw()).unwrap();
    grow(&scene, &mut keeper, 3);
    assert_eq!(scene.diary.take(), ["rotate 2", "rotate 3", "rotate 4"]);
    let mut check = |free: u64, expected: &[&str]| {
        scene.disk.leave_free(&scene.path, free);
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), expected);
    };
    check(WANTED, &[]);
    check(WANTED - 1, &["delete 1 DiskFull"]);
    check(0, &["delete 2 DiskFull", "delete 3 DiskFull"]);
    check(0, &[]);
    stuck.close().unwrap();
}

#[test]
fn a_store_on_a_full_disk_makes_room_before_it_asks_for_a_segment() {
    let scene = Scene::new();
    drop(scene.open(&scene.options()));
    fill(&scene.path, 34);
    scene
        .directory()
        .create_segment(&scene.directory().lock().unwrap(), &NewSegment::at(scene.clock.now().wall))
        .unwrap();
    scene.disk.leave_free(&scene.path, 0);
    let options = ManagerOptions { free_bytes_min: Some(1000), ..scene.options() };
    drop(scene.open(&options));
    assert_eq!(scene.diary.take(), ["delete 1 DiskFull"]);
}

/// Compressed, and alike enough to learn from.
fn log_requests(store: &Path, options: LoggerOptions, records: usize) {
    let worker = WorkerLogger::open(store, WorkerId::new(1).unwrap(), options).unwrap();
    for n in 0..records {
        worker.info(json!({
            "message": "order placed", "order": n * 7919 % 100_003, "customer": n * 31 % 977,
            "currency": "EUR", "express": n % 2 == 0, "elapsedMs": n % 250,
        }));
        if n % 20 == 0 {
            worker.flush().unwrap();
        }
    }
    worker.close().unwrap();
}

fn dictionary_bytes(segment: &Path) -> u64 {
    let file = fs::File::open(segment).unwrap();
    match read_header(&file, segment).unwrap().dictionary {
        None => 0,
        Some(_) => file.metadata().unwrap().len() - (FILE_HEADER_LEN + BLOCK_HEADER_LEN) as u64,
    }
}

#[test]
fn a_segment_without_a_dictionary_is_rotated_early_to_get_one() {
    let scene = Scene::new();
    let options = ManagerOptions { log_size_limit: 1 << 30, ..scene.options() };
    let options = ManagerOptions { dictionary_bytes: 4096, ..options };
    let mut keeper = scene.open(&options);
    log_requests(&scene.path, LoggerOptions::default(), 4_000);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING, "too little to learn from");
    log_requests(&scene.path, LoggerOptions::default(), 6_000);
    let plain = scene.bytes();
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert!((1..=4096).contains(&dictionary_bytes(keeper.current())));

    log_requests(&scene.path, LoggerOptions::default(), 10_000);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), NOTHING, "it has one");
    let with = scene.bytes() - plain;
    assert!(with < plain * 9 / 10, "{with} bytes instead of {plain}");
    let read = scene.read();
    assert_eq!((read.records.len(), read.gaps.len()), (20_000, 0));

    // The next one is trained from blocks that use this one.
    scene.clock.advance(Duration::from_secs(365 * 24 * 3600));
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
    assert!((1..=4096).contains(&dictionary_bytes(keeper.current())));
}

#[test]
fn where_nothing_can_be_learned_there_is_no_dictionary_and_no_early_rotation() {
    let check = |dictionary_bytes, logger: LoggerOptions| {
        let scene = Scene::new();
        let options = ManagerOptions { log_size_limit: 1 << 30, ..scene.options() };
        let options = ManagerOptions { dictionary_bytes, ..options };
        let mut keeper = scene.open(&options);
        log_requests(&scene.path, logger, 10_000);
        keeper.pass(&scene.diary);
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), NOTHING);
        scene.clock.advance(Duration::from_secs(365 * 24 * 3600));
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), ["rotate 2"]);
        assert_eq!(self::dictionary_bytes(keeper.current()), 0);
    };
    check(0, LoggerOptions::default());
    check(4096, raw());
}

#[test]
fn a_second_keeper_is_refused_and_a_lost_lock_is_taken_anew() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    let open = || {
        let disk = Arc::new(logq_directory::Disk);
        Keeper::open(disk, &scene.path, &scene.options(), &scene.diary)
    };
    let refused = open().err().unwrap().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");

    let lock = scene.path.join("manager.lock");
    fs::remove_file(&lock).unwrap();
    fill(&scene.path, 34);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert!(open().is_err(), "the keeper has locked the new file");

    // Somebody else was faster: there is one keeper, and it is the other one.
    fs::remove_file(&lock).unwrap();
    let other = open().unwrap();
    fill(&scene.path, 34);
    keeper.pass(&scene.diary);
    let told = scene.diary.take();
    assert!(told.len() == 1 && told[0].contains("is managed by process"), "{told:?}");
    drop(other);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
}

#[test]
fn a_directory_lock_that_is_never_given_back_is_reported_and_stops_only_rotation() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    grow(&scene, &mut keeper, 4);
    fill(&scene.path, 34);
    scene.diary.take();
    let lock = scene.directory().lock().unwrap();
    keeper.pass(&scene.diary);
    let told = scene.diary.take();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "delete 2 Size");
    assert!(told[1].contains("another process holds its lock"), "{told:?}");
    drop(lock);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 6"]);
}

#[test]
fn what_a_killed_creator_left_behind_is_removed() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    let abandoned = scene.path.join(format!(".{}.new", "0".repeat(32)));
    fs::write(&abandoned, b"x").unwrap();
    let living = scene.directory().draft_segment(&NewSegment::at(scene.clock.now().wall)).unwrap();
    scene.clock.advance(2 * HOUR);
    fill(&scene.path, 34);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
    assert!(!abandoned.exists());
    let published = living.publish(&scene.directory().lock().unwrap()).unwrap();
    assert_eq!(published.number, 3);
}

#[test]
fn a_closed_manager_begins_nothing_long() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    fill(&scene.path, 34);
    scene.diary.is_closed.set(true);
    keeper.pass(&scene.diary);
    assert_eq!(scene.numbers(), [1]);
}
