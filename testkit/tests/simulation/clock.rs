//! The model clock: it moves when the scheduler says so, and each process learns of that when it is
//! its turn. So no thread ever acts by itself, and a seed gives the same history every time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logq_format::{Id, Timestamp};
use logq_rotation::Moment;

/// What the machine's clocks show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// The wall clock, in microseconds.
    pub(crate) wall_us: i64,
    /// The clock that nobody sets, in microseconds since the simulation began.
    pub(crate) run_us: u64,
    /// How often the machine was started, and when the last time.
    boots: u8,
    booted_us: u64,
}

impl Time {
    pub(crate) fn new() -> Self {
        Self { wall_us: 1_770_076_800_000_000, run_us: 0, boots: 1, booted_us: 0 }
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, micros: u64) {
        self.run_us += micros;
        self.wall_us += micros.cast_signed();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step(&mut self, micros: i64) {
        self.wall_us += micros;
    }

    /// The machine is started anew.
    pub(crate) fn reboot(&mut self) {
        self.advance(30_000_000);
        (self.boots, self.booted_us) = (self.boots.wrapping_add(1), self.run_us);
    }
}

/// Whether a process lives.
#[derive(Debug, Default)]
pub(crate) struct Life {
    is_over: AtomicBool,
}

impl Life {
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Ends the thread that writes, in the middle of what it does, once its process was killed.
    pub(crate) fn check(&self) {
        if self.is_over() && std::thread::current().name() == Some("logq-flusher") {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
}

/// The clocks as one process has last looked at them.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Mutex<Time>,
    origin: Instant,
    life: Arc<Life>,
}

impl Watch {
    pub(crate) fn at(time: Time, life: &Arc<Life>) -> Self {
        Self { seen: Mutex::new(time), origin: Instant::now(), life: Arc::clone(life) }
    }

    pub(crate) fn set(&self, time: Time) {
        *self.seen.lock().unwrap() = time;
    }

    pub(crate) fn time(&self) -> Time {
        *self.seen.lock().unwrap()
    }
}

impl logq_writer::Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.time().wall_us)
    }

    fn instant(&self) -> Instant {
        self.life.check();
        self.origin + Duration::from_micros(self.time().run_us)
    }
}

impl logq_rotation::Clock for Watch {
    fn now(&self) -> Moment {
        let time = self.time();
        Moment {
            wall: Timestamp::from_micros(time.wall_us),
            boot: Id([time.boots; 16]),
            monotonic_us: time.run_us - time.booted_us,
            suspended_us: 0,
        }
    }
}
