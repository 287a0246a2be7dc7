//! What the queue holds while the disk is slow, in orders that callers bring about only by chance.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use logq_directory::{Directory, NewSegment};
use logq_format::{BlockHeader, BlockKind, FILE_HEADER_LEN, FileHeader, Scan, Step, Window};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::io::{Io, SystemIo};
use crate::logger::Logger;
use crate::options::LoggerOptions;

/// A disk that lets blocks through when it is told to.
#[derive(Default)]
struct Sluice {
    state: Mutex<Water>,
    changed: Condvar,
}

#[derive(Default)]
struct Water {
    let_through: u32,
    is_waiting: bool,
}

impl Sluice {
    fn let_through(&self, blocks: u32) {
        let mut water = self.state.lock().unwrap();
        water.let_through = water.let_through.saturating_add(blocks);
        // Whoever waits next is another one.
        water.is_waiting = false;
        self.changed.notify_all();
    }

    fn await_block(&self) {
        let water = self.state.lock().unwrap();
        drop(self.changed.wait_while(water, |water| !water.is_waiting).unwrap());
    }
}

impl Io for Sluice {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        let mut water = self.state.lock().unwrap();
        if water.let_through == 0 {
            water.is_waiting = true;
            self.changed.notify_all();
        }
        let mut water = self.changed.wait_while(water, |water| water.let_through == 0).unwrap();
        water.let_through -= 1;
        drop(water);
        SystemIo.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        SystemIo.sync(file)
    }
}

/// A clock that moves when it is told to.
struct Dial(Mutex<i64>);

impl Dial {
    fn advance(&self) {
        *self.0.lock().unwrap() += 1_000;
    }
}

impl Clock for Dial {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(*self.0.lock().unwrap())
    }
}

/// The machine's clocks, of which one runs ahead.
#[derive(Default)]
struct Ahead(Mutex<Duration>);

impl Ahead {
    fn leap(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn instant(&self) -> Instant {
        Instant::now() + *self.0.lock().unwrap()
    }
}

fn segment(store: &Path, number: u32) -> PathBuf {
    store.join(format!("{number:010}-x.logq"))
}

fn headers(path: &Path) -> Vec<BlockHeader> {
    let bytes = fs::read(path).unwrap();
    let marker = FileHeader::decode(&bytes).unwrap().marker;
    let mut scan = Scan::new(marker, FILE_HEADER_LEN as u64..bytes.len() as u64);
    let mut headers = Vec::new();
    loop {
        match scan.step(Window { offset: 0, bytes: &bytes }) {
            Step::Block { header, .. } => headers.push(header),
            Step::End => return headers,
            step => panic!("{step:?}"),
        }
    }
}

/// Two rotations were under way at once. The switch to the first segment led to the second one, and
/// records went there that are earlier than what the logger had promised when it joined it.
#[test]
fn a_rotation_that_overtakes_another_one_takes_nothing_along_that_is_too_early() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |number| segment(scratch.path(), number);
    let sluice = Arc::new(Sluice::default());
    let dial = Arc::new(Dial(Mutex::new(1_770_000_000_000_000)));
    let options = LoggerOptions {
        output_delay: Duration::from_secs(3600),
        io: Arc::<Sluice>::clone(&sluice),
        clock: Arc::<Dial>::clone(&dial),
        ..LoggerOptions::default()
    };
    let logger = Logger::open(&path(1), Some(logq_format::WorkerId::new(1).unwrap()), options);
    let logger = logger.unwrap();
    let shared = logger.shared();
    let log = |n: u32| {
        dial.advance();
        logger.message(logq_format::LogSource::Worker, Level::Info, &n);
    };
    let hand_over = || shared.staging().seal(&shared.queue);
    let rotate = |number| {
        let (reply, answer) = sync_channel(1);
        shared.queue.submit_item(Item::Rotate(path(number), reply));
        answer
    };

    log(0);
    hand_over();
    shared.queue.wake();
    sluice.await_block();
    let first = rotate(2);
    log(1);
    hand_over();
    let second = rotate(3);
    // The logger joins the second segment; the switch to it stands behind the rotation to the third.
    sluice.let_through(1);
    sluice.await_block();
    log(2);
    dial.advance();
    sluice.let_through(u32::MAX);
    for answer in [first, second] {
        answer.recv().unwrap().unwrap();
    }
    log(3);
    logger.close().unwrap();

    let mut records = Vec::new();
    for number in 1..=3 {
        let headers = headers(&path(number));
        let join = headers.iter().find(|header| header.kind == BlockKind::Join).unwrap();
        let data = headers.iter().filter(|header| header.kind == BlockKind::Data);
        for header in data.clone() {
            assert!(header.min >= join.min, "segment {number}: {header:?} after {join:?}");
        }
        records.push(data.map(|header| header.records).sum::<u32>());
    }
    assert_eq!(records, [3, 0, 1], "the second segment was left before anything went there");
}

/// Whoever deletes old segments waits for those who may still append to them.
#[test]
fn an_idle_logger_leaves_a_segment_that_is_the_newest_no_more() {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Arc::new(Ahead::default());
    let options = LoggerOptions { clock: Arc::<Ahead>::clone(&clock), ..LoggerOptions::default() };
    let logger = Logger::open(scratch.path(), None, options).unwrap();
    logger.message(logq_format::LogSource::Master, Level::Info, &0);
    logger.flush().unwrap();
    for _ in 0..=IDLE_ROUNDS_MAX {
        clock.leap(logger.shared().options.output_delay);
        logger.settle();
    }
    let directory = Directory::open(scratch.path()).unwrap();
    let draft = directory.draft_segment(&NewSegment::at(SystemClock.now())).unwrap();
    draft.publish(&directory.lock().unwrap()).unwrap();
    let has_left = || {
        let oldest = directory.segments().unwrap().remove(0).path;
        headers(&oldest).iter().any(|header| header.flags.contains(BlockFlags::LEAVING))
    };
    logger.settle();
    assert!(!has_left(), "it sleeps");
    clock.leap(IDLE_LOOK);
    logger.settle();
    assert!(has_left());
    logger.close().unwrap();
}
