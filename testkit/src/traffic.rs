//! A day of a web shop's cluster as records: a master, four workers, requests with everything that
//! belongs to them.
//!
//! ```text
//! arrivals (rate of the hour) --> plan of one request --> queue of next steps --> record
//!                                                            in order of time
//! ```
//!
//! Calibrated so that five million records over 24 hours average 208 bytes as JSON lines with
//! writer numbers of one digit, and 28.2 bytes after `zstd -3`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use logq_format::{
    Event, Json, Level, Lifecycle, LogSource, Origin, Process, Record, Timestamp, WorkerExited,
    WorkerId, WriterId,
};

mod catalog;
mod request;
mod sampling;
mod stacks;

use request::{Plan, Scene};

/// What [`generate`] makes.
#[derive(Clone, Copy, Debug)]
pub struct TrafficOptions {
    /// Decides everything that is random.
    pub seed: u64,
    /// How many records there are.
    pub records: u64,
    /// The time of the first record.
    pub start: Timestamp,
    /// The microseconds from the first record to the last one, roughly.
    pub span_us: u64,
}

/// Microseconds of a day.
pub const DAY_US: u64 = 86_400_000_000;

impl Default for TrafficOptions {
    /// A million records over 24 hours, from 2026-02-03T00:00:00Z.
    fn default() -> Self {
        let start = Timestamp::from_micros(1_770_076_800_000_000);
        Self { seed: 1, records: 1_000_000, start, span_us: DAY_US }
    }
}

/// The writers of one run of traffic: gives each process its writer id and numbers its records.
///
/// Writer ids count up from 1, the master's, in the order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    next: Vec<(Option<WorkerId>, u64)>,
}

impl Numbering {
    /// The origin of the next record of this process, and its sequence number.
    pub fn next(&mut self, worker: Option<WorkerId>) -> (Origin, u64) {
        let index = self.next.iter().position(|(known, _)| *known == worker).unwrap_or_else(|| {
            self.next.push((worker, 0));
            self.next.len() - 1
        });
        let writer = WriterId(u32::try_from(index + 1).unwrap_or(u32::MAX));
        let sequence = self.next.get_mut(index).map_or(0, |(_, next)| {
            *next += 1;
            *next - 1
        });
        (Origin { writer, worker }, sequence)
    }
}

/// Calls `visit` with every record in the order of time, with the worker that logs it or `None`
/// for the master.
///
/// Times of one process never decrease; two records may have the same time. Workers that crash
/// are replaced by ones with new numbers. Takes less than 0.3 us a record.
pub fn generate(options: &TrafficOptions, visit: impl FnMut(Option<WorkerId>, &Record<'_>)) {
    let mut cluster = Cluster::new(options, visit);
    cluster.start_up();
    cluster.serve();
    cluster.shut_down();
}

/// Records of a request on average; the rate of arrivals follows from it.
const RECORDS_PER_REQUEST: f64 = 4.5;

/// Workers alive at a time.
const WORKERS: usize = 4;

/// Records that shutting down takes: four a worker, the master's two.
const SHUT_DOWN_RECORDS: u64 = 4 * WORKERS as u64 + 2;

/// Records that the crash of one worker takes.
const CRASH_RECORDS: u64 = 8;

/// One in so many arrivals is a crash.
const ARRIVALS_PER_CRASH: u32 = 400_000;

struct Cluster<V> {
    random: Rng,
    visit: V,
    /// Records still to come.
    left: u64,
    /// Those among them that belong to requests in flight.
    planned: u64,
    start_us: i64,
    span_us: f64,
    /// How much of the day's load has arrived, 0 to 1.
    arrived: f64,
    time: Timestamp,
    workers: Vec<WorkerId>,
    spawned: u32,
    scene: Scene,
    plans: Vec<Plan>,
    free: Vec<usize>,
    /// The next step of every request in flight: time, order of arrival, index of its plan.
    queue: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    arrivals: u64,
    text: String,
}

impl<V: FnMut(Option<WorkerId>, &Record<'_>)> Cluster<V> {
    fn new(options: &TrafficOptions, visit: V) -> Self {
        let random = Rng::with_seed(options.seed);
        let scene = Scene::new();
        Self {
            random,
            visit,
            left: options.records,
            planned: 0,
            start_us: options.start.as_micros(),
            span_us: options.span_us as f64,
            arrived: 0.0,
            time: options.start,
            workers: Vec::new(),
            spawned: 0,
            scene,
            plans: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            arrivals: 0,
            text: String::new(),
        }
    }

    fn emit(&mut self, worker: Option<WorkerId>, event: Event<'_>) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            (self.visit)(worker, &Record { time: self.time, event });
        }
    }

    fn pass_time(&mut self, micros_max: u32) {
        let micros = i64::from(self.random.u32(1..=micros_max));
        self.time = self.time.saturating_add_micros(micros);
    }

    fn start_up(&mut self) {
        self.emit(None, Event::Lifecycle(Lifecycle::StartingUp));
        for _ in 0..WORKERS {
            self.spawn_worker();
        }
        self.pass_time(900);
        self.emit(None, Event::Lifecycle(Lifecycle::StartingUpCompleted));
    }

    fn spawn_worker(&mut self) {
        self.spawned += 1;
        let Some(worker) = WorkerId::new(self.spawned) else { return };
        self.emit(None, Event::WorkerSpawned { worker });
        for step in
            [Lifecycle::WorkerStarted, Lifecycle::WorkerGoingOnline, Lifecycle::WorkerOnline]
        {
            self.pass_time(2_000);
            self.emit(Some(worker), Event::Lifecycle(step));
        }
        self.workers.push(worker);
    }

    /// Lets requests arrive and run until only the records of shutting down are left.
    fn serve(&mut self) {
        loop {
            let budget = self.left.saturating_sub(self.planned + SHUT_DOWN_RECORDS);
            if budget == 0 {
                break;
            }
            let next = self.next_arrival(budget);
            self.run_until(next);
            self.time = self.time.max(next);
            self.arrive(budget);
        }
        self.run_until(Timestamp::MAX);
    }

    /// When something arrives next, if it shall be spread over the rest of the day.
    fn next_arrival(&mut self, budget: u64) -> Timestamp {
        let arrivals = (budget as f64 / RECORDS_PER_REQUEST).max(1.0);
        let gap = sampling::exponential(&mut self.random) * (1.0 - self.arrived) / arrivals;
        self.arrived = (self.arrived + gap).min(1.0);
        let elapsed = sampling::to_u64(self.span_us * time_of_load(self.arrived));
        Timestamp::from_micros(self.start_us.saturating_add_unsigned(elapsed))
    }

    /// Starts whatever arrives now.
    fn arrive(&mut self, budget: u64) {
        self.arrivals += 1;
        if self.random.u32(..ARRIVALS_PER_CRASH) == 0 && budget > CRASH_RECORDS {
            return self.replace_worker();
        }
        let worker = self.random.choice(self.workers.iter().copied());
        match self.random.u8(..200) {
            0 => self.log(LogSource::Master, None, &catalog::MASTER_MESSAGES),
            1..5 => self.log(LogSource::Worker, worker, &catalog::WORKER_MESSAGES),
            _ => match worker {
                Some(worker) if budget >= Plan::RECORDS_MAX => self.admit(worker),
                _ => self.log(LogSource::Worker, worker, &catalog::WORKER_MESSAGES),
            },
        }
    }

    fn log(&mut self, source: LogSource, worker: Option<WorkerId>, messages: &[&str]) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let values = self.scene.values(&mut self.random);
        let template = self.random.choice(messages).copied().unwrap_or_default();
        values.render(template, &mut self.random, &mut text);
        let data = Json::new(&text).unwrap_or(Json::NULL);
        self.emit(worker, Event::Log { source, level: Level::Info, data });
        self.text = text;
    }

    /// Puts a new request into the queue.
    fn admit(&mut self, worker: WorkerId) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.plans.push(Plan::default());
            self.plans.len() - 1
        });
        let Some(plan) = self.plans.get_mut(index) else { return };
        self.scene.plan(&mut self.random, worker, self.time, plan);
        self.planned += plan.records();
        self.queue.push(Reverse((self.time, self.arrivals, index)));
    }

    /// Runs every step that is due before `end`.
    fn run_until(&mut self, end: Timestamp) {
        while let Some(Reverse((time, order, index))) = self.queue.peek().copied() {
            if time >= end {
                break;
            }
            self.queue.pop();
            let Some(plan) = self.plans.get_mut(index) else { continue };
            self.time = time;
            self.left = self.left.saturating_sub(1);
            self.planned = self.planned.saturating_sub(1);
            let worker = Some(plan.worker());
            let visit = &mut self.visit;
            self.scene.emit(&mut self.random, plan, time, |record| visit(worker, record));
            match plan.next_time() {
                Some(next) => self.queue.push(Reverse((next, order, index))),
                None => self.free.push(index),
            }
        }
    }

    /// A worker meets an exception, finishes its requests and ends; another takes its place.
    fn replace_worker(&mut self) {
        let worker = self.workers.remove(0);
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let error = self.scene.exception(&mut self.random, &mut text);
        self.emit(Some(worker), Event::UncaughtException { process: Process::Worker, error });
        self.text = text;
        self.spawn_worker();
        let exited = WorkerExited { worker, exit_code: Some(1), signal: None };
        // The requests in flight are over by then: the longest takes 12 s.
        self.run_until(self.time.saturating_add_micros(15_000_000));
        self.emit(None, Event::WorkerExited(exited));
    }

    fn shut_down(&mut self) {
        self.emit(None, Event::Lifecycle(Lifecycle::ShuttingDown));
        for worker in std::mem::take(&mut self.workers) {
            for step in
                [Lifecycle::WorkerGoingOffline, Lifecycle::WorkerOffline, Lifecycle::WorkerDone]
            {
                self.pass_time(2_000);
                self.emit(Some(worker), Event::Lifecycle(step));
            }
            let exited = WorkerExited { worker, exit_code: Some(0), signal: None };
            self.pass_time(2_000);
            self.emit(None, Event::WorkerExited(exited));
        }
        self.emit(None, Event::Lifecycle(Lifecycle::ShuttingDownCompleted));
    }
}

/// The share of the day's load that arrives in each hour, relative: quiet at four in the morning,
/// busiest at eight in the evening.
const HOURS: [f64; 24] = [
    0.62, 0.47, 0.38, 0.33, 0.31, 0.36, 0.52, 0.74, 0.93, 1.06, 1.14, 1.20, 1.27, 1.22, 1.17, 1.16,
    1.20, 1.28, 1.39, 1.52, 1.58, 1.43, 1.15, 0.85,
];

/// The part of the day, 0 to 1, at which this part of the day's load has arrived.
fn time_of_load(load: f64) -> f64 {
    let mut rest = load * HOURS.iter().sum::<f64>();
    for (hour, share) in (0_u32..).zip(HOURS) {
        if rest <= share {
            return (f64::from(hour) + rest / share) / 24.0;
        }
        rest -= share;
    }
    1.0
}

#[cfg(test)]
mod tests;
