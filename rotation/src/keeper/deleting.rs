//! Retention, pass by pass, with real files, real loggers and a clock that is set by hand.

use std::fs;
use std::os::unix::fs::symlink;

use logq_directory::{NewSegment, Slot, read_header};
use logq_format::{Member, Origin, WorkerId, WriterId};
use logq_writer::MasterLogger;

use super::*;
use crate::testing::{Fault, HOUR, NOTHING, SEGMENT, Scene, fill, grow, log_kib, raw};

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
    assert_eq!(before.len(), 9, "{before:?}");

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

#[test]
fn segments_that_vanish_at_any_moment_are_no_trouble() {
    let prepare = |fault| {
        let scene = Scene::with(fault);
        let mut keeper = scene.open(&scene.options());
        grow(&scene, &mut keeper, 4);
        fill(&scene.path, 34);
        scene.diary.take();
        (scene, keeper)
    };
    let first = prepare(Fault::None).0.disk.calls();
    for call in first.. {
        let (scene, mut keeper) = prepare(Fault::Vanish(call));
        keeper.pass(&scene.diary);
        if scene.disk.calls() <= call {
            assert!(call > first + 20, "{} calls", call - first);
            break;
        }
        keeper.pass(&scene.diary);
        let told = scene.diary.take();
        assert!(!told.iter().any(|event| event.starts_with("error")), "call {call}: {told:?}");
        assert!(told.iter().any(|event| event.starts_with("rotate")), "call {call}: {told:?}");
        assert!(!scene.numbers().contains(&1));
        assert!(scene.read().gaps.is_empty());
    }
}

/// A writer that joins a segment and never says that it leaves; it lives as long as its slot.
fn join(scene: &Scene, path: &Path, writer: u32) -> Slot {
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
    let check = |fate: fn(&Scene, &Keeper, Slot) -> Option<Slot>, goes: bool| {
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
        if free > 0 {
            keeper.pass(&scene.diary);
            assert_eq!(scene.diary.take(), NOTHING, "that was enough");
        }
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
