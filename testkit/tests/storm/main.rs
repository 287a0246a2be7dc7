//! The kill storm: processes with several threads each log into one store, are killed, stopped and
//! resumed at any moment, while segments are rotated and deleted and readers read. Whatever was
//! acknowledged must be there, once, unaltered, in order; and readers never see anything else.
//!
//! Lasts seconds. `LOGQ_STORM_SECONDS=600` makes it last ten minutes, `LOGQ_STORM_SEED=7` makes
//! other decisions. Children are this test binary again, told by environment variables what to do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop, and a child talks to its parent"
)]

mod archive;
mod child;
mod herd;
mod record;
mod referee;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use archive::Archive;
use fastrand::Rng;
use herd::Herd;
use logq_rotation::{Event, LogManager, ManagerError, ManagerOptions};
use referee::{Onlooker, referee};

/// Processes at a time, and threads of each.
const PROCESSES: usize = 4;
const THREADS: usize = 3;

/// What must have happened before the storm may end, and how long that may take.
const ROTATIONS_MIN: usize = 20;
const DELETIONS_MIN: usize = 5;
const KILLS_MIN: usize = 8;
const PATIENCE: Duration = Duration::from_secs(120);

/// What the storm has done so far.
#[derive(Debug, Default)]
struct Tally {
    rotations: usize,
    deletions: usize,
    kills: usize,
}

/// Which storm.
#[derive(Clone, Copy, Debug)]
struct Storm {
    seed: u64,
    seconds: u64,
    /// Whether segments are deleted. What a stopped process writes after it has lost its segment may
    /// be earlier than a watermark, so watermarks are checked where none are.
    deletes: bool,
}

impl Tally {
    fn is_enough(&self, storm: &Storm) -> bool {
        self.rotations >= ROTATIONS_MIN
            && (self.deletions >= DELETIONS_MIN || !storm.deletes)
            && self.kills >= KILLS_MIN
    }

    fn note(&mut self, events: &Receiver<Event>) {
        for event in events.try_iter() {
            match event {
                Event::Rotate(_) => self.rotations += 1,
                Event::Delete { .. } => self.deletions += 1,
                // A process that was stopped holds the lock; the next poll finds it free.
                Event::Error(error) if matches!(*error, ManagerError::Locked { .. }) => {}
                Event::Error(error) => panic!("the manager failed: {error}"),
                _ => {}
            }
        }
    }
}

/// Ends what runs beside the storm, also when the storm fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Of segments of 32 KiB. A store of 512 KiB holds each for about half a second.
fn manager(store: &Path, archive: &Arc<Archive>, storm: &Storm) -> LogManager {
    let archive = Arc::clone(archive);
    let granularity = if storm.deletes { 16 } else { 10_000 };
    let options = ManagerOptions {
        poll_interval: Duration::from_millis(3),
        log_size_limit: u64::from(granularity) << 15,
        granularity,
        dictionary_bytes: 1024,
        free_bytes_min: Some(0),
        on_rotate: Some(Arc::new(move |_| archive.look())),
        ..ManagerOptions::default()
    };
    LogManager::open(store, options).unwrap()
}

#[test]
fn whatever_was_acknowledged_survives_the_storm() {
    let (seconds, seed) = (number("LOGQ_STORM_SECONDS", 4), number("LOGQ_STORM_SEED", 1));
    weather(Storm { seed, seconds, deletes: true });
}

#[test]
fn nothing_comes_behind_a_watermark_in_the_storm() {
    // All segments stay, and open.
    let (seconds, seed) = (2, number("LOGQ_STORM_SEED", 1));
    weather(Storm { seed, seconds, deletes: false });
}

/// One storm at a time: they are meant for machines with few cores, too.
static TURN: Mutex<()> = Mutex::new(());

fn weather(storm: Storm) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Shown only if the test fails.
    println!("LOGQ_STORM_SEED={} LOGQ_STORM_SECONDS={}", storm.seed, storm.seconds);
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let archive = Arc::new(Archive::of(&store));
    let over = AtomicBool::new(false);
    let (herd, tally, onlookers) = std::thread::scope(|scope| {
        let first = manager(&store, &archive, &storm);
        archive.look();
        let watch = || Onlooker::new(!storm.deletes).watch(&store, &over);
        let onlookers = [(); 2].map(|()| scope.spawn(watch));
        let end = End(&over);
        let (herd, tally) = rage(&store, &archive, first, &storm);
        drop(end);
        (herd, tally, onlookers.map(|onlooker| onlooker.join().unwrap()))
    });
    archive.look();
    let looks: usize = onlookers.iter().map(|onlooker| onlooker.looks).sum();
    println!("{tally:?}, {looks} looks of readers");
    assert!(looks > 5);
    referee(&store, &archive, &herd, &tally, &onlookers);
}

/// Kills, stops and resumes children at random until it was enough; then lets them end in peace.
fn rage(store: &Path, archive: &Arc<Archive>, first: LogManager, storm: &Storm) -> (Herd, Tally) {
    let mut random = Rng::with_seed(storm.seed);
    let mut herd = Herd::new(store, storm.seed);
    let mut tally = Tally::default();
    let (mut manager, mut events) = (first, None);
    let began = Instant::now();
    let length = Duration::from_secs(storm.seconds);
    while began.elapsed() < length || !tally.is_enough(storm) {
        assert!(began.elapsed() < PATIENCE + length, "{tally:?}");
        tally.note(events.get_or_insert_with(|| manager.events()));
        herd.fill(PROCESSES, THREADS);
        std::thread::sleep(Duration::from_millis(random.u64(1..25)));
        archive.retire();
        match random.u8(..10) {
            0..4 => tally.kills += herd.kill(&mut random),
            4..8 => herd.stop(&mut random),
            8 => {}
            _ => {
                // The next manager takes over wherever this one was.
                manager.close();
                tally.note(&events.take().unwrap());
                manager = self::manager(store, archive, storm);
                archive.look();
            }
        }
        herd.resume_due();
    }
    herd.end();
    manager.close();
    tally.note(events.get_or_insert_with(|| manager.events()));
    (herd, tally)
}
