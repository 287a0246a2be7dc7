//! A process of the simulated cluster: a real logger, with a clock and a way to the disk of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use logq_format::Level;
use logq_writer::{
    Failure, FlushError, LoggerOptions, MasterLogger, OpenError, SyncPolicy, WorkerId, WorkerLogger,
};

use crate::clock::{Life, Time, Watch};
use crate::disk::{ModelDisk, Port};
use crate::model::{Key, data};

/// A master or a worker.
pub(crate) struct Process {
    /// Its number, which is never used again.
    pub(crate) number: u64,
    pub(crate) log: Log,
    pub(crate) watch: Arc<Watch>,
    pub(crate) port: Arc<Port>,
    pub(crate) life: Arc<Life>,
    pub(crate) kind: Kind,
    /// It does nothing, as if by SIGSTOP.
    pub(crate) is_stopped: bool,
}

/// How a process logs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) is_master: bool,
    /// Its queue is so small that a full disk makes it drop records.
    pub(crate) is_tight: bool,
    pub(crate) sync: SyncPolicy,
}

impl Kind {
    pub(crate) fn random(is_master: bool, random: &mut Rng) -> Self {
        let sync = match random.u8(..5) {
            0 => SyncPolicy::EveryBlock,
            1 => SyncPolicy::OnCritical,
            2 => SyncPolicy::Interval(Duration::from_millis(random.u64(..3000))),
            _ => SyncPolicy::None,
        };
        Self { is_master, is_tight: !is_master && random.u8(..3) == 0, sync }
    }
}

/// The logger.
#[derive(Clone)]
pub(crate) enum Log {
    Master(MasterLogger),
    Worker(WorkerLogger),
}

macro_rules! each {
    ($self:expr, $log:ident => $call:expr) => {
        match $self {
            Log::Master($log) => $call,
            Log::Worker($log) => $call,
        }
    };
}

impl Process {
    pub(crate) fn start(
        number: u64,
        path: &Path,
        kind: Kind,
        (time, disk): (Time, &Arc<ModelDisk>),
        random: &mut Rng,
    ) -> Result<Self, OpenError> {
        let life = Arc::default();
        let (watch, port) = (Watch::at(time, &life), Port::new(disk, &life));
        let (watch, port) = (Arc::new(watch), Arc::new(port));
        let options = LoggerOptions {
            high_water_mark: random.usize(100..3000),
            output_delay: Duration::from_millis(random.u64(1..400)),
            compression: random.u8(..4) > 0,
            ping_delay: Duration::from_millis(random.u64(100..60_000)),
            queue_bytes_max: if kind.is_tight { 1500 } else { 64 << 20 },
            sync: kind.sync,
            clock: Arc::<Watch>::clone(&watch),
            io: Arc::<Port>::clone(&port),
            ..LoggerOptions::default()
        };
        let log = if kind.is_master {
            Log::Master(MasterLogger::open(path, options)?)
        } else {
            let worker = WorkerId::new(u32::try_from(number).unwrap()).unwrap();
            Log::Worker(WorkerLogger::open(path, worker, options)?)
        };
        let process = Self { number, log, watch, port, life, kind, is_stopped: false };
        process.settle();
        Ok(process)
    }

    /// Its turn: it learns what time it is and does what is due.
    pub(crate) fn turn(&self, time: Time) {
        if !self.is_stopped {
            self.watch.set(time);
            self.settle();
        }
    }

    pub(crate) fn settle(&self) {
        each!(&self.log, log => log.settle());
    }

    /// Logs the record with this key.
    pub(crate) fn log(&self, key: Key, level: Level, way: Way) {
        let data = data(key);
        match (way, &self.log) {
            (Way::Urgent, log) => {
                let failure = Failure::from_message(data.to_string());
                each!(log, log => log.uncaught_exception(&failure));
            }
            (Way::Plain, log) => each!(log, log => log.log(level, data)),
            (Way::Request, Log::Worker(log)) => {
                log.log_for(log.new_request().request_id(), level, data);
            }
            (Way::Request, Log::Master(log)) => log.log(level, data),
        }
        // A block may be full.
        self.settle();
    }

    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let flushed = each!(&self.log, log => log.flush());
        self.settle();
        flushed
    }

    pub(crate) fn rotate(&self, path: &Path) -> Result<(), OpenError> {
        let rotated = each!(&self.log, log => log.rotate(path));
        self.settle();
        rotated
    }

    /// Ends in peace.
    pub(crate) fn close(self) -> Result<(), FlushError> {
        each!(&self.log, log => log.close())
    }

    /// Ends as if by SIGKILL: nothing that it holds reaches the disk, and its locks are free.
    pub(crate) fn kill(self) {
        self.life.end();
        // Whether anything is left to be written is nobody's business any more.
        let _ = each!(&self.log, log => log.close());
    }
}

/// How a record is logged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Plain,
    Request,
    /// As an exception, which is written at once.
    Urgent,
}
