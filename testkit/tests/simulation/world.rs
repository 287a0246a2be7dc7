//! The scheduler: one thing happens after the other, all of them decided by the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use logq_directory::Directory;
use logq_format::Level;
use logq_rotation::{LogManager, ManagerOptions};
use logq_writer::{FlushError, SyncPolicy};

use crate::clock::{Time, Watch};
use crate::disk::{Fault, ManagerDisk, ModelDisk};
use crate::model::{Content, Diary, Model};
use crate::process::{Kind, Process, Way};

/// Processes at a time.
const PROCESSES_MAX: usize = 5;

/// A cluster, its machine, and what is known about both.
pub(crate) struct World {
    random: Rng,
    store: PathBuf,
    time: Time,
    disk: Arc<ModelDisk>,
    processes: Vec<Process>,
    spawned: u64,
    manager: Option<Manager>,
    model: Model,
    /// Who may still hold records of before the clock was set back, or of a segment that is gone.
    /// And how many records each had logged then.
    unsettled: BTreeMap<u64, u64>,
    /// How often the names in the store have changed, and what they were.
    changes: u64,
    names: Vec<PathBuf>,
    /// What has happened, for people.
    pub(crate) history: Vec<String>,
}

struct Manager {
    manager: LogManager,
    watch: Arc<Watch>,
    disk: Arc<ManagerDisk>,
}

impl World {
    /// A cluster on an empty store.
    pub(crate) fn new(store: &Path, seed: u64) -> Self {
        fs::create_dir(store).unwrap();
        let mut world = Self {
            random: Rng::with_seed(seed),
            store: store.to_owned(),
            time: Time::new(),
            disk: Arc::default(),
            processes: Vec::new(),
            spawned: 0,
            manager: None,
            model: Model::default(),
            unsettled: BTreeMap::new(),
            changes: 0,
            names: Vec::new(),
            history: Vec::new(),
        };
        if world.random.bool() {
            world.open_manager();
        }
        world.spawn();
        world
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    /// One thing happens.
    pub(crate) fn act(&mut self) {
        match self.random.u8(..) {
            0..90 => self.log(),
            90..120 => self.flush(),
            120..155 => self.advance(),
            155..160 => self.step_clock(),
            160..170 => self.spawn(),
            170..174 => self.close(),
            174..178 => self.kill(),
            178..182 => self.stop_or_resume(),
            182..206 => self.look(),
            206..211 => self.trouble_manager(),
            211..216 => self.rotate(),
            216..226 => self.break_io(),
            226..230 => self.limit_disk(),
            230..232 => self.delete_by_hand(),
            232..233 => self.fail_power(),
            _ => self.check(),
        }
        self.bury();
        self.show_changes();
    }

    /// A process that can act, if there is one.
    fn any(&mut self) -> Option<usize> {
        let able: Vec<_> =
            (0..self.processes.len()).filter(|index| !self.processes[*index].is_stopped).collect();
        self.random.choice(able)
    }

    fn diary(&mut self, index: usize) -> &mut Diary {
        self.model.diaries.entry(self.processes[index].number).or_default()
    }

    fn log(&mut self) {
        let Some(index) = self.any() else { return };
        for _ in 0..self.random.u8(1..10) {
            let way = self.random.choice([Way::Plain, Way::Plain, Way::Plain, Way::Request]);
            let way = if self.random.u8(..40) == 0 { Way::Urgent } else { way.unwrap() };
            let level = match way {
                Way::Urgent => Level::Critical,
                _ => self.random.choice(Level::ALL).unwrap(),
            };
            if self.random.bool() {
                let micros = self.random.u64(..3_000);
                self.time.advance(micros);
            }
            let wall = self.time.wall_us;
            self.processes[index].turn(self.time);
            let diary = self.diary(index);
            diary.logged.push((level, wall));
            let n = diary.logged.len() as u64 - 1;
            let process = &self.processes[index];
            process.log((process.number, n), level, way);
            if process.life.is_over() {
                break;
            }
        }
        let (number, count) = (self.processes[index].number, self.diary(index).logged.len());
        self.tell(format!("{number} has logged {count}"));
    }

    fn flush(&mut self) {
        let Some(index) = self.any() else { return };
        self.processes[index].turn(self.time);
        let outcome = self.processes[index].flush();
        self.note_flush(index, outcome);
    }

    fn note_flush(&mut self, index: usize, outcome: Result<(), FlushError>) {
        let process = &self.processes[index];
        let (number, sync) = (process.number, process.kind.sync);
        let is_dead = process.life.is_over();
        let count = self.diary(index).logged.len() as u64;
        if outcome.is_ok() && !is_dead {
            // It learns of a step of the clock with its next record.
            self.unsettled.retain(|other, logged| *other != number || *logged >= count);
            self.diary(index).flushed = count;
            let diary = self.diary(index);
            if sync == SyncPolicy::EveryBlock && !diary.is_unsure && !diary.may_drop {
                diary.synced = count;
            }
            self.model.check_complete(&Content::of(&self.store));
        }
        let outcome = outcome.map_err(|error| error.code);
        self.tell(format!("{number} flushes {count}: {outcome:?}, killed: {is_dead}"));
    }

    fn advance(&mut self) {
        let most = self.random.choice([900, 200_000, 200_000, 3_000_000, 70_000_000]).unwrap();
        let micros = self.random.u64(..most);
        self.time.advance(micros);
        self.tell(format!("{micros} us pass"));
        self.turn_all();
    }

    fn turn_all(&mut self) {
        self.processes.iter().for_each(|process| process.turn(self.time));
    }

    fn step_clock(&mut self) {
        let steps = [-3_600_000_000, -10_000_000, -1_500_000, -300_000, 5_000_000, 7_200_000_000];
        let step = self.random.choice(steps).unwrap();
        self.time.step(step);
        if step < 0 {
            self.unsettle();
        }
        self.tell(format!("the clock is set by {step} us"));
    }

    /// What is known of the watermark counts no more, until all processes have flushed what they hold.
    fn unsettle(&mut self) {
        self.model.forget_watermark();
        for process in &self.processes {
            let logged = self.model.diaries[&process.number].logged.len() as u64;
            self.unsettled.insert(process.number, logged);
        }
    }

    fn spawn(&mut self) {
        if self.processes.len() >= PROCESSES_MAX {
            return;
        }
        let has_master = self.processes.iter().any(|process| process.kind.is_master);
        let is_master = !has_master || self.random.u8(..10) == 0;
        let kind = Kind::random(is_master, &mut self.random);
        self.spawned += 1;
        let number = self.spawned;
        // The way of the original: a logger of one segment, told by `rotate`.
        let named = self.names.last().cloned().filter(|_| self.random.u8(..4) == 0);
        let path = named.unwrap_or_else(|| self.store.clone());
        let surroundings = (self.time, &self.disk);
        let process = Process::start(number, &path, kind, surroundings, &mut self.random).unwrap();
        self.processes.push(process);
        self.model.diaries.insert(number, Diary { may_drop: kind.is_tight, ..Diary::default() });
        self.tell(format!("{number} starts: {kind:?}, {} segments", self.names.len()));
    }

    fn close(&mut self) {
        if self.disk.is_limited() {
            return;
        }
        let Some(index) = self.any() else { return };
        let process = self.processes.swap_remove(index);
        self.end(process);
    }

    /// A process ends in peace: then its accounts must balance.
    fn end(&mut self, process: Process) {
        let (number, sync) = (process.number, process.kind.sync);
        process.port.heal();
        process.turn(self.time);
        if process.life.is_over() {
            return process.kill();
        }
        self.tell(format!("{number} closes"));
        process.close().unwrap();
        let diary = self.model.diaries.get_mut(&number).unwrap();
        diary.flushed = diary.logged.len() as u64;
        if sync == SyncPolicy::EveryBlock && !diary.is_unsure && !diary.may_drop {
            diary.synced = diary.flushed;
        }
        self.model.check_accounts(number, &self.store);
    }

    fn kill(&mut self) {
        if self.processes.is_empty() {
            return;
        }
        let index = self.random.usize(..self.processes.len());
        if self.random.bool() {
            let part = self.random.u8(..);
            self.processes[index].port.break_with(&[Fault::Kill(part)]);
            let number = self.processes[index].number;
            return self.tell(format!("{number} will be killed while it writes"));
        }
        let process = self.processes.swap_remove(index);
        self.tell(format!("{} is killed", process.number));
        process.kill();
    }

    /// Takes those away that were killed while they wrote.
    fn bury(&mut self) {
        let is_dead = |process: &Process| process.life.is_over();
        while let Some(index) = self.processes.iter().position(is_dead) {
            let process = self.processes.swap_remove(index);
            self.tell(format!("{} was killed while it wrote", process.number));
            process.kill();
        }
    }

    fn stop_or_resume(&mut self) {
        if self.processes.is_empty() {
            return;
        }
        let index = self.random.usize(..self.processes.len());
        let process = &mut self.processes[index];
        process.is_stopped = !process.is_stopped;
        process.turn(self.time);
        let (number, is_stopped) = (process.number, process.is_stopped);
        self.tell(format!("{number} is stopped: {is_stopped}"));
    }

    fn open_manager(&mut self) {
        let (watch, disk) =
            (Arc::new(Watch::at(self.time, &Arc::default())), Arc::new(ManagerDisk::new()));
        let segment_bytes = self.random.u64(4096..10_000);
        let options = ManagerOptions {
            poll_interval: Duration::from_secs(3600),
            log_size_limit: 5 * segment_bytes,
            log_age_limit: Duration::from_secs(self.random.u64(200..100_000)),
            granularity: 5,
            dictionary_bytes: 256,
            free_bytes_min: Some(0),
            clock: Arc::<Watch>::clone(&watch),
            ..ManagerOptions::default()
        };
        let before = Content::of(&self.store);
        let storage = Arc::<ManagerDisk>::clone(&disk);
        let manager = LogManager::open_on(storage, &self.store, options).unwrap();
        manager.look();
        if self.model.note_deleted(&before, &Content::of(&self.store)) {
            self.unsettle();
        }
        self.manager = Some(Manager { manager, watch, disk });
        self.tell("a manager takes over");
    }

    fn look(&mut self) {
        let Some(manager) = &self.manager else { return self.open_manager() };
        let before = Content::of(&self.store);
        manager.watch.set(self.time);
        manager.manager.look();
        let is_dead = manager.disk.is_dead();
        if self.model.note_deleted(&before, &Content::of(&self.store)) {
            self.unsettle();
        }
        if is_dead {
            self.manager = None;
        }
        self.tell(format!("the manager looks, killed: {is_dead}"));
    }

    /// The manager is killed between two steps of its next look, or just replaced.
    fn trouble_manager(&mut self) {
        let calls = self.random.u64(1..60);
        match &self.manager {
            Some(manager) if self.random.bool() => {
                manager.disk.die_after(calls);
                self.tell(format!("the manager will be killed after {calls} calls"));
                self.look();
            }
            _ => {
                self.manager = None;
                self.open_manager();
            }
        }
    }

    /// A logger is told where to go on: to the newest segment, or to a new one of that name.
    fn rotate(&mut self) {
        let Some(index) = self.any() else { return };
        self.processes[index].turn(self.time);
        let path = match (self.random.u8(..3), self.names.last()) {
            (0, _) => self.store.clone(),
            (1, Some(newest)) => newest.clone(),
            _ => self.store.join(format!("{:010}-told.logq", self.last_number() + 7)),
        };
        // Waiting for a rotation means waiting for what must be written before it.
        if self.disk.is_limited() {
            return;
        }
        self.processes[index].port.heal();
        let outcome = self.processes[index].rotate(&path).map_err(|error| error.to_string());
        let number = self.processes[index].number;
        self.tell(format!("{number} rotates to {:?}: {}", path.file_name(), outcome.is_ok()));
    }

    fn last_number(&self) -> u64 {
        let newest = Directory::open(&self.store).unwrap().newest().unwrap();
        newest.map_or(0, |newest| newest.number)
    }

    fn break_io(&mut self) {
        let Some(index) = self.any() else { return };
        let part = self.random.u8(..);
        // What a tight queue drops of the logger's own records would confuse the accounts.
        let is_tight = self.processes[index].kind.is_tight;
        let faults = match self.random.u8(if is_tight { 0..2 } else { 0..5 }) {
            0 => vec![Fault::Short(part)],
            1 => vec![Fault::Error(nix::libc::EINTR), Fault::Short(part), Fault::Short(part)],
            2 => vec![Fault::Error(nix::libc::EIO), Fault::Short(part)],
            3 => vec![Fault::Error(nix::libc::EIO)],
            _ => {
                self.processes[index].port.break_sync();
                self.diary(index).is_unsure = true;
                vec![]
            }
        };
        self.processes[index].port.break_with(&faults);
        let number = self.processes[index].number;
        self.tell(format!("appends of {number} will fail: {faults:?}"));
    }

    fn limit_disk(&mut self) {
        let room = (!self.disk.is_limited()).then(|| self.random.u64(..600));
        self.disk.set_room(room);
        self.tell(format!("room on the disk: {room:?}"));
    }

    fn delete_by_hand(&mut self) {
        let Some(victim) = self.random.choice(self.names.clone()) else { return };
        let before = Content::of(&self.store);
        fs::remove_file(&victim).unwrap();
        self.unsettle();
        self.model.note_deleted(&before, &Content::of(&self.store));
        self.tell(format!("somebody deletes {:?}", victim.file_name()));
    }

    fn fail_power(&mut self) {
        self.processes.drain(..).for_each(Process::kill);
        self.manager = None;
        let before = Content::of(&self.store);
        let synced = Content::synced(&self.store, &self.disk);
        self.disk.fail_power(&self.store, &mut self.random);
        self.time.reboot();
        self.model.note_power_failure(&before, &synced, &Content::of(&self.store));
        self.tell("the power fails");
        self.spawn();
    }

    fn check(&mut self) {
        let living: BTreeSet<_> = self.processes.iter().map(|process| process.number).collect();
        self.unsettled.retain(|process, _| living.contains(process));
        let content = self.model.check(&self.store, &self.disk, &mut self.random);
        // One that is ahead of the clock was stated before that was set back.
        if !self.unsettled.is_empty() || self.model.watermark_us() > self.time.wall_us {
            self.model.forget_watermark();
        }
        self.tell(format!("{} records are right", content.len()));
    }

    /// Loggers look at the directory's time of change, which the real clock sets, and coarsely.
    fn show_changes(&mut self) {
        let segments = Directory::open(&self.store).unwrap().segments().unwrap();
        let names: Vec<_> = segments.into_iter().map(|segment| segment.path).collect();
        if names != self.names {
            self.changes += 1;
            self.names = names;
        }
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(self.changes);
        File::open(&self.store).unwrap().set_modified(changed).unwrap();
    }

    /// Everything that still lives ends in peace, on a disk with room.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.check();
        self.disk.set_room(None);
        while let Some(mut process) = self.processes.pop() {
            process.is_stopped = false;
            self.end(process);
        }
        self.manager = None;
        self.check();
        self.history
    }
}
