//! Random histories of a cluster as segments, together with what was logged and what was destroyed.
//!
//! A simulation in one thread: processes with clocks of their own log, flush, stall, get killed and
//! come back; segments are rotated; writes are cut short and repeated; the clock is stepped. It
//! keeps the rules of `format/FORMAT.md`, "Writing", to the letter, and its pings claim as much as
//! is true. Afterwards, if asked for, the files are damaged.
//!
//! ```text
//! process --log--> pending records --flush--> segment --damage--> bytes for a reader
//!                                    |                   |
//!                                    +--> `written`      +--> `destroyed`
//! ```

use std::collections::BTreeSet;

use fastrand::Rng;
use logq_format::{Timestamp, WorkerId, WriterId};

use crate::naive::NaiveRecord;

mod damage;
mod process;
mod records;
mod segment;

use process::Process;
use segment::{EncodedBlock, SegmentFile};

/// What kind of history [`Cluster::generate`] makes.
#[derive(Clone, Copy, Debug)]
pub struct ClusterOptions {
    /// Decides everything that is random.
    pub seed: u64,
    /// Workers besides the master, at a time.
    pub workers: u32,
    /// How many things happen; each logs, flushes, pings or does something rarer. 300 of them make
    /// about 1,000 records in 150 blocks.
    pub actions: u32,
    /// How many times the finished files are damaged.
    pub damages: u32,
}

impl Default for ClusterOptions {
    /// Three workers, 300 actions, no damage.
    fn default() -> Self {
        Self { seed: 1, workers: 3, actions: 300, damages: 0 }
    }
}

/// A store as a reader finds it, and what is true of it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The segments: number and bytes, in the order of their numbers.
    pub segments: Vec<(u64, Vec<u8>)>,
    /// The records whose write was acknowledged, once each, in no particular order.
    pub written: Vec<NaiveRecord>,
    /// The records of killed processes that never were in any file, not even in part of a block
    /// that can be read.
    pub unwritten: Vec<NaiveRecord>,
    /// Of the written records, those of which damage left no readable copy.
    pub destroyed: BTreeSet<(Timestamp, WriterId, u64)>,
    /// Records that writers say to have dropped, in all.
    pub lost: u64,
}

impl Cluster {
    /// The history that follows from these options.
    ///
    /// # Panics
    ///
    /// If zstd cannot make a context.
    pub fn generate(options: &ClusterOptions) -> Self {
        let mut simulation = Simulation::new(options);
        for _ in 0..options.actions {
            simulation.act();
        }
        simulation.finish(options.damages)
    }

    /// What a reader must return when asked for everything: by time, writer and sequence number.
    pub fn expected(&self) -> Vec<&NaiveRecord> {
        let survived = |record: &&NaiveRecord| !self.destroyed.contains(&record.identity());
        let mut records: Vec<_> = self.written.iter().filter(survived).collect();
        records.sort_by_key(|record| record.identity());
        records
    }
}

/// The wall clock and everything that is under way.
struct Simulation {
    random: Rng,
    /// Microseconds since the beginning, by a clock that is never stepped.
    elapsed_us: i64,
    /// What the wall clock shows at the beginning; steps change it.
    wall_us: i64,
    /// Counts the steps of the clock that are too large to be clamped.
    epoch: u32,
    processes: Vec<Process>,
    segments: Vec<SegmentFile>,
    /// Out of 256, how often the master pings.
    pings: u8,
    next_writer: u32,
    written: Vec<NaiveRecord>,
    unwritten: Vec<NaiveRecord>,
    lost: u64,
}

impl Simulation {
    fn new(options: &ClusterOptions) -> Self {
        let mut random = Rng::with_seed(options.seed);
        let next_writer = random.u32(1..1 << 31);
        let pings = random.choice([0, 5, 20, 60]).unwrap_or(0);
        let mut simulation = Self {
            random,
            elapsed_us: 0,
            wall_us: 1_770_076_800_000_000,
            epoch: 0,
            processes: Vec::new(),
            segments: Vec::new(),
            pings,
            next_writer,
            written: Vec::new(),
            unwritten: Vec::new(),
            lost: 0,
        };
        simulation.rotate();
        simulation.spawn(None);
        for number in 1..=options.workers {
            simulation.spawn(WorkerId::new(number));
        }
        simulation
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.wall_us + self.elapsed_us)
    }

    /// One thing happens to one process.
    fn act(&mut self) {
        let step = self.random.choice([0, 1, 40, 900, 30_000, 30_000, 1_000_000, 20_000_000]);
        self.elapsed_us += self.random.i64(0..=step.unwrap_or(0));
        let index = self.random.usize(..self.processes.len().max(1));
        let Some(mut process) = self.take_process(index) else { return };
        if process.killed {
            return self.replace(process);
        }
        if process.stalled_until_us > self.elapsed_us {
            // A process that is stopped still holds what it has.
            self.processes.push(process);
            return;
        }
        self.follow(&mut process);
        match self.random.u8(..) {
            0..3 => self.rotate(),
            3..7 => return self.replace(process),
            7..12 => process.stalled_until_us = self.elapsed_us + self.random.i64(..30_000_000),
            12..14 => self.step_clock(),
            14..70 => self.flush(&mut process),
            70..80 => self.sign_of_life(&mut process),
            dice if dice >= 255 - self.pings => self.ping(&mut process),
            _ => self.log(&mut process),
        }
        self.processes.push(process);
    }

    fn take_process(&mut self, index: usize) -> Option<Process> {
        (index < self.processes.len()).then(|| self.processes.swap_remove(index))
    }

    /// The segment that new writers join.
    fn newest(&self) -> usize {
        self.segments.len().saturating_sub(1)
    }

    /// The files are never fewer than a process knows of.
    #[expect(clippy::indexing_slicing, reason = "segments are only ever added")]
    fn segment(&mut self, index: usize) -> &mut SegmentFile {
        &mut self.segments[index]
    }

    fn rotate(&mut self) {
        let number = self.segments.len() as u64 + 1;
        let created = self.wall();
        self.segments.push(SegmentFile::new(&mut self.random, number, created, self.epoch));
    }

    /// Steps the wall clock: forward is nobody's business, backward by much starts a new epoch.
    fn step_clock(&mut self) {
        let by =
            self.random.choice([-3_600_000_000, -10_000_000, -400_000, 5_000_000, 7_200_000_000]);
        let by = by.unwrap_or(0);
        self.wall_us += by;
        if by < -BACKWARD_US_MAX {
            self.epoch += 1;
            self.rotate();
        }
    }

    fn spawn(&mut self, worker: Option<WorkerId>) {
        let skew_us = match self.random.u8(..4) {
            0 => 0,
            1 => self.random.i64(-2_000_000..2_000_000),
            _ => self.random.i64(-3_000..3_000),
        };
        let writer = self.new_writer();
        let mut process = Process::new(writer, worker, skew_us, self.epoch);
        self.join(&mut process);
        self.processes.push(process);
    }

    fn new_writer(&mut self) -> WriterId {
        self.next_writer = self.next_writer.wrapping_add(self.random.u32(1..1000));
        WriterId(self.next_writer)
    }

    fn join(&mut self, process: &mut Process) {
        let newest = self.newest();
        let wall = self.wall();
        process.segment = newest;
        process.sees(wall);
        self.segment(newest).join(process);
    }

    /// Moves a process to the newest segment and the present epoch of the clock, sooner or later.
    fn follow(&mut self, process: &mut Process) {
        let stepped = process.epoch != self.epoch;
        let lags = process.segment != self.newest();
        if !stepped && (!lags || self.random.u8(..4) > 0) {
            return;
        }
        self.leave(process);
        if stepped {
            process.start_epoch(self.new_writer(), self.epoch);
        }
        self.join(process);
        if self.random.u8(..4) > 0 {
            self.ping(process);
        }
        if stepped {
            process.log_clock_step();
        }
    }

    /// Writes all that a process holds to its segment, as the last it writes there.
    fn leave(&mut self, process: &mut Process) {
        self.retry(process);
        let wall = self.wall();
        let segment = process.segment;
        let random = &mut self.random;
        // Segments are only ever added, so the process's one exists.
        let Some(file) = self.segments.get_mut(segment) else { return };
        if let Some(block) = file.encode(random, process, true) {
            file.append(&block);
            self.acknowledge(block);
        } else if random.u8(..4) > 0 {
            process.sees(wall);
            file.sign_of_life(process, true);
        }
    }

    /// A process ends, killed or not, and another one takes its place, now or later.
    fn replace(&mut self, mut process: Process) {
        if !process.killed && self.random.bool() {
            self.leave(&mut process);
        }
        self.unwritten.append(&mut process.pending);
        self.unwritten.extend(process.unfinished.take().into_iter().flat_map(|b| b.records));
        self.spawn(process.origin.worker);
    }

    fn log(&mut self, process: &mut Process) {
        for _ in 0..self.random.u8(1..12) {
            self.elapsed_us += self.random.choice([0, 0, 1, 50, 3_000]).unwrap_or(0);
            let wall = self.wall();
            process.sees(wall);
            let marker = self.segment(process.segment).marker;
            process.log(&mut self.random, marker);
        }
        if self.random.u8(..60) == 0 {
            let dropped = self.random.u64(1..100);
            process.dropped += dropped;
        }
    }

    /// Completes a write that was cut short.
    fn retry(&mut self, process: &mut Process) {
        if let Some(block) = process.unfinished.take() {
            self.segment(process.segment).append(&block);
            self.acknowledge(block);
        }
    }

    fn acknowledge(&mut self, block: EncodedBlock) {
        self.lost += block.lost;
        self.written.extend(block.records);
    }

    fn flush(&mut self, process: &mut Process) {
        if process.unfinished.is_some() {
            return self.retry(process);
        }
        let random = &mut self.random;
        let Some(file) = self.segments.get_mut(process.segment) else { return };
        let Some(block) = file.encode(random, process, false) else { return };
        match random.u8(..24) {
            // Cut short; what others append meanwhile comes between this and the repetition.
            0 => {
                file.append_part(&block, random);
                process.unfinished = Some(block.retried());
            }
            // Killed in the middle of the write.
            1 => {
                file.append_part(&block, random);
                process.killed = true;
                self.unwritten.extend(block.records);
            }
            // Reported as failed although all of it was written.
            2 => {
                file.append(&block);
                process.unfinished = Some(block.duplicate());
                self.acknowledge(block);
            }
            _ => {
                file.append(&block);
                self.acknowledge(block);
            }
        }
    }

    fn sign_of_life(&mut self, process: &mut Process) {
        if process.holds_nothing() {
            let wall = self.wall();
            process.sees(wall);
            self.segment(process.segment).sign_of_life(process, false);
        }
    }

    /// The master states what is true of its file now; others may append before the ping is there.
    fn ping(&mut self, pinger: &mut Process) {
        if pinger.origin.worker.is_some() {
            return;
        }
        self.flush(pinger);
        if pinger.killed || !pinger.holds_nothing() {
            return;
        }
        let wall = self.wall();
        let control_page = self.random.bool();
        pinger.sees(wall);
        let members = self
            .processes
            .iter_mut()
            .filter(|other| other.segment == pinger.segment && !other.killed);
        let mut roster = vec![pinger.member()];
        for other in members {
            // With a control page an idle process is known to write nothing earlier than now.
            if control_page && other.holds_nothing() && other.epoch == self.epoch {
                other.sees(wall);
            }
            roster.push(other.member());
        }
        let claims = self.segment(pinger.segment).claims(roster);
        for _ in 0..self.random.u8(..3) {
            let index = self.random.usize(..self.processes.len().max(1));
            let Some(mut other) = self.take_process(index) else { continue };
            self.flush(&mut other);
            self.processes.push(other);
        }
        self.segment(pinger.segment).ping(pinger, &claims);
    }

    /// Lets most processes write what they hold, then damages the files.
    fn finish(mut self, damages: u32) -> Cluster {
        for mut process in std::mem::take(&mut self.processes) {
            if !process.killed && self.random.u8(..8) > 0 {
                self.leave(&mut process);
            }
            self.unwritten.append(&mut process.pending);
            self.unwritten.extend(process.unfinished.take().into_iter().flat_map(|b| b.records));
        }
        let Self { mut random, mut segments, written, unwritten, lost, .. } = self;
        for _ in 0..damages {
            let index = random.usize(..segments.len().max(1));
            if let Some(file) = segments.get_mut(index) {
                damage::damage(file, &mut random);
            }
        }
        let destroyed = damage::destroyed(&segments, &written);
        let segments = segments.into_iter().map(|file| (file.number, file.bytes)).collect();
        Cluster { segments, written, unwritten, destroyed, lost }
    }
}

/// Backward steps of the clock up to this are clamped: 2 s.
const BACKWARD_US_MAX: i64 = 2_000_000;

#[cfg(test)]
mod tests;
