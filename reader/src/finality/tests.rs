//! Properties of what is claimed: random histories of writers, step by step, with a reader looking
//! in between; and each line of the table in the module's documentation.

use std::collections::BTreeMap;

use fastrand::Rng;
use logq_directory::{Directory, NewSegment, Place};
use logq_format::{Id, Origin, WorkerId};

use super::*;

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_770_000_000_000_000 + micros)
}

fn origin(writer: u32) -> Origin {
    Origin { writer: WriterId(writer), worker: WorkerId::new(writer % 4) }
}

fn holder(writer: u32, slot: u32, floor: i64) -> Holder {
    Holder { origin: origin(writer), floor: time(floor), pid: writer, slot, segment: 1 }
}

fn entry(writer: u32, slot: u32, floor: i64, is_pending: bool) -> WriterEntry {
    let place = Place { segment: 1, device: 1, inode: 1, lock_inode: 1, boot: Id([1; 16]) };
    let (origin, floor) = (origin(writer), time(floor));
    WriterEntry { slot, origin, pid: writer, floor, is_pending, place }
}

fn seen(slot: u32, is_idle: bool, entry: Option<WriterEntry>) -> Seen {
    Seen { slot, segment: 1, is_alive: true, is_idle, entry }
}

/// What is said at 1000 about these writers: the watermark, and the writers that hold it back.
fn check(seen: Vec<Seen>, holding: Vec<Holder>, watermark: Option<i64>, slow: &[(u32, u32)]) {
    let probe = Probe { now: time(1000), sight: Some(Sight { seen }) };
    // What the segments say is only a start.
    let coverage = Coverage { watermark: Some(time(5)), holding, ..Coverage::default() };
    let found = probe.finality(&coverage);
    assert_eq!(found.watermark, watermark.map(time));
    let names: Vec<_> = found.holding.iter().map(|h| (h.origin.writer.0, h.slot)).collect();
    assert_eq!(names, slow);
}

#[test]
fn whoever_lives_and_does_not_rest_holds_the_watermark_back() {
    check(vec![], vec![], Some(1000), &[]);
    check(vec![], vec![holder(7, 1, 10)], Some(1000), &[]);
    check(vec![seen(1, true, None)], vec![holder(7, 1, 10)], Some(1000), &[]);
    check(vec![seen(1, true, None)], vec![], Some(1000), &[]);
    let (one, two) = (seen(1, false, None), seen(2, false, None));
    let members = vec![holder(8, 2, 20), holder(7, 1, 10)];
    check(vec![one.clone(), two.clone()], members.clone(), Some(10), &[(7, 1), (8, 2)]);
    check(vec![two], members, Some(20), &[(8, 2)]);
    check(vec![one], vec![holder(7, 1, 3000)], Some(1000), &[]);
}

#[test]
fn a_promise_raises_the_floor_of_the_writer_that_gave_it_and_of_no_other() {
    let promise = |floor| seen(1, false, Some(entry(7, 1, floor, true)));
    check(vec![promise(500)], vec![holder(7, 1, 10)], Some(500), &[(7, 1)]);
    check(vec![promise(500)], vec![holder(7, 1, 600)], Some(600), &[(7, 1)]);
    // Those that had the slot before are gone.
    let members = vec![holder(5, 1, 10), holder(7, 1, 600), holder(6, 1, 20)];
    check(vec![promise(500)], members.clone(), Some(600), &[(7, 1)]);
    // Without the page nobody knows which of them has it now.
    check(vec![seen(1, false, None)], members, Some(10), &[(5, 1)]);
    // It lags in a segment that the coverage does not reach.
    check(vec![promise(500)], vec![], Some(500), &[(7, 1)]);
}

#[test]
fn of_whom_nothing_is_known_nothing_is_final() {
    check(vec![seen(1, false, None)], vec![holder(7, 2, 10)], None, &[(0, 1)]);
    let lost = |entry| Seen { slot: 1, segment: 1, is_alive: false, is_idle: false, entry };
    check(vec![lost(None)], vec![], None, &[(0, 1)]);
    check(vec![lost(Some(entry(7, 1, 50, false)))], vec![], Some(50), &[(7, 1)]);
    check(vec![lost(None)], vec![holder(7, 1, 30)], None, &[(0, 1)]);
    // Where the lock file was replaced, another writer has the same slot in a newer segment.
    let older = vec![Seen { segment: 2, ..seen(1, false, None) }, seen(1, false, None)];
    check(older, vec![holder(7, 1, 30)], None, &[(0, 1), (7, 1)]);
    let slotless = holder(9, 0, 40);
    let probe = Probe { now: time(1000), sight: Some(Sight::default()) };
    let coverage = Coverage { holding: vec![slotless], ..Coverage::default() };
    let states: Vec<_> = lives(&Sight::default(), &coverage).iter().map(|l| l.state).collect();
    assert_eq!(states, [LifeState::Unknown]);
    // A program without locks may be any of several: each of them counts.
    assert_eq!(probe.finality(&coverage).watermark, Some(time(40)));
}

#[test]
fn out_of_sight_only_the_segments_count() {
    let probe = Probe { now: time(1000), sight: None };
    let holding = vec![holder(7, 1, 10)];
    let coverage = Coverage { watermark: Some(time(10)), holding, ..Coverage::default() };
    let found = probe.finality(&coverage);
    assert_eq!((found.watermark, found.holding), (Some(time(10)), coverage.holding));
    assert_eq!(probe.finality(&Coverage::default()), Finality::default());
}

#[test]
fn a_busy_writer_tells_since_when_records_wait() {
    let state = |is_pending, floor, block| {
        let seen = vec![seen(1, false, Some(entry(7, 1, floor, is_pending)))];
        let coverage = Coverage { holding: vec![holder(7, 1, block)], ..Coverage::default() };
        lives(&Sight { seen }, &coverage).pop().unwrap().state
    };
    let since = |time| LifeState::Busy { pending_since: time };
    assert_eq!(state(true, 50, 40), since(Some(time(50))));
    assert_eq!(state(false, 50, 40), since(None));
    assert_eq!(state(true, 50, 60), since(None), "that one was written meanwhile");
}

/// Where a store had many segments and rotated often, there always was a new one, and the look at the
/// locks was given up. What the segments tell was taken for all that can be known.
#[test]
fn locks_are_seen_while_segments_come_all_the_time() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(scratch.path()).unwrap();
    let create = || {
        let lock = directory.lock().unwrap();
        directory.create_segment(&lock, &NewSegment::at(time(0))).unwrap();
    };
    (0..200).for_each(|_| create());
    let oldest = directory.segments().unwrap().remove(0);
    let file = std::fs::File::options().read(true).append(true).open(&oldest.path).unwrap();
    let presence = directory.enter(&directory.lock().unwrap(), &file).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                create();
            }
        });
        for _ in 0..20 {
            let sight = Probe::take(scratch.path(), time(1000)).sight.unwrap();
            assert!(sight.seen.iter().any(|seen| seen.slot == presence.slot() || seen.slot == 0));
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let probe = Probe::take(scratch.path(), time(1000));
    assert_eq!(probe.manning(oldest.number), Some(Manning::Manned));
    assert_eq!(probe.manning(oldest.number + 1), Some(Manning::Left));
    let blurred = Probe { now: time(1000), sight: Some(Sight::blurred()) };
    assert_eq!(blurred.manning(1), Some(Manning::Unclear));
    assert_eq!(blurred.finality(&Coverage::default()).watermark, None);
}

/// A writer between two steps of its program.
#[derive(Clone, Debug, Default)]
struct Writer {
    id: u32,
    slot: u32,
    /// What it is just doing to log a record: nothing, roused, the clock read.
    logging: Option<Option<i64>>,
    staged: Vec<i64>,
    last: i64,
    /// The sign of rest: present and instant when it was given.
    rest: Option<(i64, i64)>,
    /// The reading of the clocks that goes before the sign.
    drowsy: Option<(i64, i64)>,
    is_joined: bool,
}

/// A statement of the reader's.
#[derive(Debug)]
struct Claim {
    watermark: Timestamp,
    /// How much of the file it had.
    len: usize,
}

/// A machine: clocks, one file, writers, a page.
struct World {
    random: Rng,
    instant: i64,
    /// What the wall clock shows beyond the instant.
    offset: i64,
    /// The latest time it has shown.
    highest: i64,
    writers: Vec<Writer>,
    next_id: u32,
    file: Vec<(u32, i64)>,
    /// What the segment says of each writer that has joined: slot and floor.
    roster: BTreeMap<u32, (u32, i64)>,
    page: BTreeMap<u32, WriterEntry>,
    old_pages: Vec<BTreeMap<u32, WriterEntry>>,
    /// The reader: the probe being made, slots still to be asked, and what was seen.
    reading: Option<(i64, Vec<u32>, Vec<Seen>)>,
    claims: Vec<Claim>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            instant: 0,
            offset: 0,
            highest: 0,
            writers: Vec::new(),
            next_id: 1,
            file: Vec::new(),
            roster: BTreeMap::new(),
            page: BTreeMap::new(),
            old_pages: Vec::new(),
            reading: None,
            claims: Vec::new(),
        }
    }

    fn wall(&self) -> i64 {
        self.instant + self.offset
    }

    fn step(&mut self) {
        self.instant += self.random.i64(0..3);
        self.highest = self.highest.max(self.wall());
        match self.random.u32(0..100) {
            0 => self.vandalise(),
            1 => self.die(),
            2..=4 => self.start(),
            5..=34 => self.read(),
            35 if self.writers.iter().all(|writer| writer.is_joined) => {
                self.offset += self.random.i64(-50..60);
            }
            _ => self.work(),
        }
    }

    fn vandalise(&mut self) {
        self.old_pages.push(self.page.clone());
        let old = self.random.usize(0..self.old_pages.len());
        self.page = if self.random.bool() { BTreeMap::new() } else { self.old_pages[old].clone() };
    }

    fn die(&mut self) {
        if !self.writers.is_empty() {
            let index = self.random.usize(0..self.writers.len());
            self.writers.swap_remove(index);
        }
    }

    fn start(&mut self) {
        let slot = (1..).find(|slot| self.writers.iter().all(|writer| writer.slot != *slot));
        let slot = slot.unwrap();
        // Who starts before the clock has caught up with a step back may be too late, as documented.
        let has_caught_up = self.wall() >= self.highest;
        if has_caught_up && slot < 6 && self.writers.iter().all(|writer| writer.is_joined) {
            // The directory lock is held from here to the JOIN.
            let writer = Writer { id: self.next_id, slot, last: self.wall(), ..Writer::default() };
            self.next_id += 1;
            self.writers.push(writer);
        }
    }

    fn work(&mut self) {
        if self.writers.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.writers.len());
        let (wall, instant) = (self.wall(), self.instant);
        let choice = self.random.u32(0..6);
        let writer = &mut self.writers[index];
        let tell = |floor, is_pending| entry(writer.id, writer.slot, floor, is_pending);
        match (writer.logging, choice) {
            _ if !writer.is_joined => {
                writer.is_joined = true;
                self.roster.insert(writer.id, (writer.slot, writer.last));
            }
            (Some(None), _) => writer.logging = Some(Some(wall)),
            (Some(Some(read)), _) => {
                writer.last = writer.last.max(read);
                writer.staged.push(writer.last);
                writer.logging = None;
            }
            (None, 0 | 1) => {
                if let Some((present, before)) = writer.rest.take() {
                    writer.last = writer.last.max(present + (instant - before));
                }
                (writer.logging, writer.drowsy) = (Some(None), None);
            }
            (None, 2) => {
                let id = writer.id;
                self.file.extend(writer.staged.drain(..).map(|time| (id, time)));
                self.roster.insert(id, (writer.slot, writer.last));
            }
            (None, 3) if writer.staged.is_empty() && writer.rest.is_none() => {
                match writer.drowsy.take() {
                    None => writer.drowsy = Some((wall, instant)),
                    Some(reading) => {
                        writer.rest = Some(reading);
                        self.page.insert(writer.slot, tell(writer.last.max(reading.0), false));
                    }
                }
            }
            (None, 4) if !writer.staged.is_empty() => {
                self.page.insert(writer.slot, tell(writer.staged[0], true));
            }
            _ => {}
        }
    }

    /// One step of the reader: the clock, one slot after the other, then page and lengths.
    fn read(&mut self) {
        let wall = self.wall();
        let Some((now, open, seen)) = &mut self.reading else {
            self.reading = Some((wall, vec![5, 4, 3, 2, 1], Vec::new()));
            return;
        };
        if let Some(slot) = open.pop() {
            let found = self.writers.iter().find(|writer| writer.slot == slot);
            seen.extend(found.map(|writer| Seen {
                slot,
                segment: 1,
                is_alive: writer.is_joined,
                is_idle: writer.rest.is_some(),
                entry: None,
            }));
            return;
        }
        for seen in seen.iter_mut() {
            seen.entry = self.page.get(&seen.slot).cloned();
        }
        let sight = Sight { seen: std::mem::take(seen) };
        let probe = Probe { now: time(*now), sight: Some(sight) };
        let of_roster =
            |(writer, (slot, floor)): (&u32, &(u32, i64))| holder(*writer, *slot, *floor);
        let holding = self.roster.iter().map(of_roster).collect();
        let finality = probe.finality(&Coverage { holding, ..Coverage::default() });
        let len = self.file.len();
        self.claims.extend(finality.watermark.map(|watermark| Claim { watermark, len }));
        self.reading = None;
    }

    fn assert_claims_hold(&self, seed: u64) {
        for claim in &self.claims {
            for (writer, late) in &self.file[claim.len..] {
                assert!(
                    time(*late) >= claim.watermark,
                    "seed {seed}: writer {writer} appended {late} after {claim:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_earlier_than_a_stated_watermark_is_appended_later() {
    let (mut claims, mut prompt) = (0, 0);
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..1500 {
            let before = world.claims.len();
            world.step();
            let wall = time(world.wall() - 200);
            prompt += world.claims[before..].iter().filter(|c| c.watermark >= wall).count();
        }
        world.assert_claims_hold(seed);
        claims += world.claims.len();
    }
    assert!(claims > 10_000, "{claims} statements");
    assert!(prompt * 4 > claims, "{prompt} of {claims} are about the present");
}
