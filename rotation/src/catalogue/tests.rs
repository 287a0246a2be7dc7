//! What the catalogue of a store with a manager says, while writers come, stay and come back.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use logq_testkit::naive::NaiveStore;
use logq_writer::MasterLogger;

use super::*;
use crate::keeper::Keeper;
use crate::testing::{Scene, grow, log_kib, raw};

/// Has the keeper look until the catalogue is of the directory as it is.
fn settle(scene: &Scene, keeper: &mut Keeper) -> Catalogue {
    let start = Instant::now();
    loop {
        keeper.pass(&scene.diary);
        let catalogue = Catalogue::read(&scene.path);
        let stamp = Stamp::of(&scene.path).unwrap();
        if let Some(catalogue) = catalogue.filter(|catalogue| catalogue.is_of(stamp)) {
            return catalogue;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "there is no catalogue");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The numbers of the finished segments, each of which is what the catalogue says.
fn finished(scene: &Scene, catalogue: &Catalogue) -> Vec<u64> {
    let mut numbers = Vec::new();
    for (name, finished) in catalogue.segments() {
        let Some(finished) = finished else { continue };
        let number = logq_format::segment_number(name).unwrap();
        let bytes = fs::read(scene.path.join(name)).unwrap();
        assert_eq!(finished.len, bytes.len() as u64);
        assert_eq!(finished.file, FileHeader::decode(&bytes).unwrap().file);
        let times = NaiveStore::read(&[(number, bytes)]).records.into_iter().map(|r| r.time);
        let times: Vec<_> = times.collect();
        let expected = times.iter().min().copied().zip(times.iter().max().copied());
        assert_eq!(finished.times, expected, "segment {number}");
        numbers.push(number);
    }
    numbers
}

fn path(scene: &Scene, number: u64) -> PathBuf {
    let segments = scene.directory().segments().unwrap();
    segments.into_iter().find(|segment| segment.number == number).unwrap().path
}

fn scene() -> (Scene, Keeper) {
    let scene = Scene::new();
    let keeper = scene.open(&scene.options());
    (scene, keeper)
}

#[test]
fn segments_that_everyone_has_left_are_told_and_the_newest_is_not() {
    let (scene, mut keeper) = scene();
    grow(&scene, &mut keeper, 3);
    let catalogue = settle(&scene, &mut keeper);
    assert_eq!(finished(&scene, &catalogue), [1, 2, 3]);
    assert_eq!(catalogue.segments().len(), 4);
    // Nothing has changed, so nothing is written, by the next manager neither.
    let written = || fs::metadata(scene.path.join("catalogue")).unwrap().modified().unwrap();
    let before = written();
    keeper.pass(&scene.diary);
    drop(keeper);
    let mut keeper = scene.open(&scene.options());
    assert_eq!((settle(&scene, &mut keeper), written()), (catalogue, before));
    // Retention takes the oldest ones.
    grow(&scene, &mut keeper, 2);
    let catalogue = settle(&scene, &mut keeper);
    let numbers: Vec<_> = scene.numbers().into_iter().filter(|number| *number < 6).collect();
    assert_eq!(finished(&scene, &catalogue), numbers);
}

#[test]
fn a_segment_is_finished_once_its_last_writer_is_gone() {
    let (scene, mut keeper) = scene();
    // Of a path, so that it does not follow rotation.
    let lagging = MasterLogger::open(path(&scene, 1), raw()).unwrap();
    lagging.info("one");
    lagging.flush().unwrap();
    grow(&scene, &mut keeper, 2);
    assert_eq!(finished(&scene, &settle(&scene, &mut keeper)), [2]);
    lagging.info("two");
    lagging.close().unwrap();
    let start = Instant::now();
    while finished(&scene, &settle(&scene, &mut keeper)) != [1, 2] {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

/// A worker that was told the path of a segment and starts only after the next rotation.
#[test]
fn who_joins_a_finished_segment_takes_the_catalogue_away() {
    let (scene, mut keeper) = scene();
    grow(&scene, &mut keeper, 3);
    let before = settle(&scene, &mut keeper);
    assert_eq!(finished(&scene, &before), [1, 2, 3]);
    let late = MasterLogger::open(path(&scene, 2), raw()).unwrap();
    assert_eq!(Catalogue::read(&scene.path), None, "before anything can be appended");
    let after = settle(&scene, &mut keeper);
    assert!(!before.is_of(Stamp::of(&scene.path).unwrap()));
    assert_eq!(finished(&scene, &after), [1, 3]);
    late.info("I was late");
    late.close().unwrap();
    let start = Instant::now();
    while finished(&scene, &settle(&scene, &mut keeper)) != [1, 2, 3] {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn nothing_is_told_of_damaged_segments() {
    let (scene, mut keeper) = scene();
    let logger = MasterLogger::open(&scene.path, raw()).unwrap();
    log_kib(&logger, 2);
    logger.close().unwrap();
    let damaged = path(&scene, 1);
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() - 500;
    bytes.truncate(middle);
    fs::write(&damaged, bytes).unwrap();
    grow(&scene, &mut keeper, 3);
    assert_eq!(finished(&scene, &settle(&scene, &mut keeper)), [2, 3]);
}

/// A large store that a manager takes over is looked through bit by bit.
#[test]
fn a_store_of_many_segments_takes_several_passes() {
    let scene = Scene::new();
    let count = SEGMENTS_AT_ONCE as u64 * 4 + 3;
    fs::create_dir_all(&scene.path).unwrap();
    for number in 1..=count {
        let path = scene.path.join(format!("{number:010}-20260203T140506Z.logq"));
        let logger = MasterLogger::open(path, raw()).unwrap();
        logger.info(number);
        logger.close().unwrap();
    }
    let mut keeper = scene.open(&scene.options());
    let mut told = Vec::new();
    let start = Instant::now();
    while told.len() < usize::try_from(count - 1).unwrap() {
        let now = finished(&scene, &settle(&scene, &mut keeper));
        // The first pass only begins a catalogue.
        assert!(now.len() - told.len() <= 2 * SEGMENTS_AT_ONCE && now.starts_with(&told));
        assert!(start.elapsed() < Duration::from_secs(10));
        told = now;
    }
}
