//! Rotation, pass by pass, with real files, real loggers and a clock that is set by hand.

use std::fs;

use logq_directory::NewSegment;
use logq_format::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, FILE_HEADER_LEN, FileHeader, StoredBlock, WorkerId,
    decode_dictionary,
};
use logq_writer::{LoggerOptions, MasterLogger, WorkerLogger};
use serde_json::json;

use super::*;
use crate::testing::{Diary, HOUR, NOTHING, Scene, fill, grow, log_kib, raw};

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

#[test]
fn nobody_creates_a_segment_that_somebody_else_has_just_created() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    fill(&scene.path, 34);
    let directory = scene.directory();
    let lock = directory.lock().unwrap();
    let mut keeper = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            keeper.pass(&Diary::default());
            keeper
        });
        // The keeper has made up its mind and waits for the lock.
        while !has_draft(&scene.path) {
            std::thread::yield_now();
        }
        directory.create_segment(&lock, &NewSegment::at(scene.clock.now().wall)).unwrap();
        drop(lock);
        thread.join().unwrap()
    });
    assert_eq!(scene.numbers(), [1, 2]);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 2"]);
}

fn has_draft(store: &Path) -> bool {
    let names = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_str().unwrap().ends_with(".new"))
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
    let bytes = fs::read(segment).unwrap();
    let header = FileHeader::decode(&bytes).unwrap();
    let block = BlockHeader::decode(&bytes[FILE_HEADER_LEN..], header.marker);
    let block = block.ok().filter(|block| block.kind == BlockKind::Dictionary);
    assert_eq!(block.is_some(), header.dictionary.is_some());
    block.map_or(0, |block| (block.block_len() - BLOCK_HEADER_LEN) as u64)
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
    let day = Duration::from_secs(24 * 3600);
    scene.clock.advance(day * 365);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["rotate 3"]);
    assert!((1..=4096).contains(&dictionary_bytes(keeper.current())));
    scene.clock.advance(day * 100);
    keeper.pass(&scene.diary);
    assert_eq!(scene.diary.take(), ["delete 1 Age"], "a dictionary alone is no use of a segment");
}

/// The dictionaries that a segment begins with.
fn dictionaries(segment: &Path) -> Vec<u32> {
    let bytes = fs::read(segment).unwrap();
    let marker = FileHeader::decode(&bytes).unwrap().marker;
    let (mut at, mut found) = (FILE_HEADER_LEN, Vec::new());
    while let Ok(header) = BlockHeader::decode(&bytes[at..], marker)
        && header.kind == BlockKind::Dictionary
    {
        let block = StoredBlock::new(header.clone(), &bytes[at..]).unwrap();
        found.push(decode_dictionary(&block).unwrap().id());
        at += header.block_len();
    }
    found
}

/// A flipped byte of a dictionary would lose all of its segment otherwise.
#[test]
fn a_segment_keeps_a_copy_of_the_dictionary_before_it_if_that_was_of_much_use() {
    let scene = Scene::new();
    let options = ManagerOptions { log_size_limit: 1 << 30, ..scene.options() };
    let options = ManagerOptions { dictionary_bytes: 1024, ..options };
    let mut keeper = scene.open(&options);
    let mut rotated = |records| {
        log_requests(&scene.path, LoggerOptions::default(), records);
        scene.clock.advance(Duration::from_secs(365 * 24 * 3600));
        keeper.pass(&scene.diary);
        dictionaries(keeper.current())
    };
    let first = rotated(10_000);
    assert_eq!(first.len(), 1, "there was none before");
    let second = rotated(10_000);
    assert_eq!((second.len(), second[1]), (2, first[0]));
    let third = rotated(500);
    assert_eq!(third.len(), 1, "of a small segment little is lost");

    // They are not what a segment is used for.
    scene.clock.advance(Duration::from_secs(365 * 24 * 3600));
    scene.diary.take();
    keeper.pass(&scene.diary);
    let told = scene.diary.take();
    assert!(told.iter().all(|told| !told.starts_with("rotate")), "{told:?}");
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
        let calls = scene.disk.calls();
        keeper.pass(&scene.diary);
        let calls = scene.disk.calls() - calls;
        assert_eq!(scene.diary.take(), NOTHING);
        scene.clock.advance(Duration::from_secs(365 * 24 * 3600));
        keeper.pass(&scene.diary);
        assert_eq!(scene.diary.take(), ["rotate 2"]);
        assert_eq!(self::dictionary_bytes(keeper.current()), 0);
        calls
    };
    let unasked = check(0, LoggerOptions::default());
    assert_eq!(check(4096, raw()), unasked, "what teaches nothing is not read again");
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
fn a_closed_manager_begins_nothing_long() {
    let scene = Scene::new();
    let mut keeper = scene.open(&scene.options());
    fill(&scene.path, 34);
    scene.diary.is_closed.set(true);
    keeper.pass(&scene.diary);
    assert_eq!(scene.numbers(), [1]);
}
