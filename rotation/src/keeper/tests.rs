//! One keeper, pass by pass, with real files, real loggers and a clock that is set by hand.

use std::fs;
use std::os::unix::fs::symlink;

use logq_directory::{NewSegment, read_header};
use logq_format::{BlockFlags, FILE_HEADER_LEN, Member, Origin, SyncMarker, WorkerId, WriterId};
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
    // The logger was opened on the directory and is told nothing.
    log_kib(&logger, 33);
    logger.close().unwrap();
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
    let read = scene.read();
    assert_eq!(read.gaps, []);
    let sequences: Vec<_> = read.records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (0..66).collect::<Vec<_>>());
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
    scene.clock.advance(HOUR);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
}

#[test]
fn the_oldest_segments_go_when_the_store_is_too_large() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    for number in 2..6 {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), [format!("rotate {number}")]);
    }
    assert!(scene.bytes() > 4 * SEGMENT);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["delete 1 Size"]);
    assert!(scene.bytes() <= 4 * SEGMENT);
    for _ in 0..10 {
        fill(&scene.path, 34);
        keeper.pass(&scene.diary);
        assert!(scene.bytes() <= 5 * SEGMENT + (4 << 10));
        assert!(scene.bytes() >= 3 * SEGMENT);
    }
    assert_eq!(scene.numbers(), [12, 13, 14, 15]);
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
    assert_eq!(told, ["delete 1 Size", "delete 2 Size", "delete 3 Size", "delete 4 Size",
        "delete 5 Size", "rotate 9"]);
    stuck.close().unwrap();
}
