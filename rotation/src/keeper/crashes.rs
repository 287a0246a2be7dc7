//! Every file operation of a keeper fails once, or is the last one before its process ends: each
//! time the store opens, reads, accepts writers, and the next keeper brings it into order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use logq_testkit::naive::NaiveRecord;
use logq_writer::{LoggerOptions, MasterLogger};

use super::*;
use crate::testing::{Fault, HOUR, NOTHING, SEGMENT, Scene, log_kib, raw, read};

/// What the store of [`prepare`] holds: for each segment its records.
type Content = BTreeMap<u64, Vec<NaiveRecord>>;

/// Five segments, of which two are too many; the newest is full, and teaches enough for a small
/// dictionary. One has a second name, as a killed creator leaves it behind.
fn prepare(store: &Path) -> Content {
    fs::create_dir_all(store).unwrap();
    let mut content = Content::new();
    for number in 1..6 {
        let path = store.join(format!("{number:010}-x.logq"));
        let options = if number == 5 { LoggerOptions::default() } else { raw() };
        let logger = MasterLogger::open(&path, options).unwrap();
        if number == 5 {
            for n in 0..1000 {
                logger.info(serde_json::json!({ "message": "hit", "n": n * 7919 % 100_003 }));
                if n % 3 == 0 {
                    logger.flush().unwrap();
                }
            }
        } else {
            log_kib(&logger, 40);
        }
        logger.close().unwrap();
        let bytes = fs::read(&path).unwrap();
        let read = logq_testkit::naive::NaiveStore::read(&[(number, bytes)]);
        content.insert(number, read.records);
    }
    let draft = store.join(format!(".{}.new", "0".repeat(32)));
    fs::hard_link(store.join("0000000003-x.logq"), draft).unwrap();
    content
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_str().unwrap().ends_with(".new") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    let draft = to.join(format!(".{}.new", "0".repeat(32)));
    fs::hard_link(to.join("0000000003-x.logq"), draft).unwrap();
}

fn options(scene: &Scene) -> ManagerOptions {
    ManagerOptions { dictionary_bytes: 1024, ..scene.options() }
}

/// Runs a keeper until it has nothing left to do; whether it could be opened.
fn run(scene: &Scene) -> bool {
    let disk = Arc::<crate::testing::FaultyDisk>::clone(&scene.disk);
    let Ok(mut keeper) = Keeper::open(disk, &scene.path, &options(scene), &scene.diary) else {
        return false;
    };
    for _ in 0..3 {
        keeper.pass(&scene.diary);
    }
    true
}

/// The store is a part of what it was, without a hole.
fn assert_valid(scene: &Scene, content: &Content) {
    let found = scene.read();
    assert_eq!(found.gaps, []);
    let left = scene.numbers();
    let kept: Vec<_> = left.iter().copied().filter(|number| content.contains_key(number)).collect();
    let first = kept.first().copied().unwrap();
    assert_eq!(kept, (first..6).collect::<Vec<_>>(), "the oldest ones went first");
    let expected = kept.iter().flat_map(|number| &content[number]);
    assert!(found.records.iter().eq(expected), "every record of what is left, once, in order");
}

/// A later keeper with a sound disk leaves nothing undone, and writers go on.
fn assert_recovers(scene: &Scene, content: &Content) {
    let mut later = Scene::new();
    later.path.clone_from(&scene.path);
    later.clock.advance(2 * HOUR);
    assert!(run(&later));
    assert_valid(&later, content);
    assert!(later.bytes() <= 4 * SEGMENT);
    let hidden = |name: &str| name.starts_with('.');
    let names = fs::read_dir(&scene.path).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.into_iter().all(|name| !hidden(name.to_str().unwrap())), "no draft is left");
    assert!(later.numbers().into_iter().max() > Some(5), "the full segment was rotated");

    let before = later.read().records.len();
    let logger = MasterLogger::open(&scene.path, LoggerOptions::default()).unwrap();
    logger.info("after");
    logger.close().unwrap();
    let read = read(&scene.path);
    assert_eq!((read.records.len(), read.gaps.len()), (before + 1, 0));
    assert!(read.records[before].line.contains("after"));
}

/// Runs the scenario with every fault until one comes too late to happen; how many there were.
fn enumerate(fault: impl Fn(u64) -> Fault, check: impl Fn(&Scene, &Content, bool)) -> u64 {
    let template = tempfile::tempdir().unwrap();
    let content = prepare(template.path());
    for call in 0.. {
        let scene = Scene::with(fault(call));
        copy(template.path(), &scene.path);
        let opened = run(&scene);
        if scene.disk.calls() <= call {
            return call;
        }
        println!("call {call}");
        check(&scene, &content, opened);
    }
    0
}

#[test]
fn a_keeper_that_ends_before_any_step_leaves_a_valid_store() {
    let calls = enumerate(Fault::Crash, |scene, content, _| {
        assert_valid(scene, content);
        assert_recovers(scene, content);
        let newest = scene.directory().newest().unwrap().unwrap();
        assert!(scene.directory().header(&newest).unwrap().dictionary.is_some());
    });
    assert!(calls > 60, "{calls} calls");
}

#[test]
fn a_keeper_that_ends_in_the_middle_of_a_write_leaves_a_valid_store() {
    enumerate(Fault::CrashWithin, |scene, content, _| {
        assert_valid(scene, content);
        assert_recovers(scene, content);
    });
}

#[test]
fn a_store_whose_creation_was_cut_short_is_none_yet_or_a_valid_one() {
    for call in 0.. {
        let scene = Scene::with(Fault::Crash(call));
        run(&scene);
        if scene.disk.calls() <= call {
            assert!(call > 20, "{call} calls");
            break;
        }
        let mut later = Scene::new();
        later.path.clone_from(&scene.path);
        later.clock.advance(2 * HOUR);
        assert!(run(&later));
        assert_eq!(later.diary.take(), NOTHING);
        assert_eq!(later.numbers(), [1], "call {call}");
        let logger = MasterLogger::open(&scene.path, LoggerOptions::default()).unwrap();
        logger.info("after");
        logger.close().unwrap();
        assert_eq!(read(&scene.path).records.len(), 1);
    }
}

/// Input/output error, no space, too many open files: told, survived, made up for by the next pass.
#[test]
fn a_keeper_survives_every_error_and_makes_up_for_it() {
    let calls = enumerate(
        |call| match call % 3 {
            0 => Fault::Once(call, 5),
            1 => Fault::Once(call, 28),
            _ => Fault::Once(call, 24),
        },
        |scene, content, opened| {
            assert_valid(scene, content);
            if opened {
                let told = scene.diary.take();
                let deleted = told.iter().filter(|event| event.starts_with("delete"));
                assert!(deleted.eq(["delete 1 Size", "delete 2 Size"]), "{told:?}");
                assert_eq!(scene.numbers(), [3, 4, 5, 6]);
            }
            assert_recovers(scene, content);
        },
    );
    assert!(calls > 60, "{calls} calls");
}
