//! How a logger batches, compresses and remembers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::io::{Io, SystemIo};

/// Settings of a logger. The defaults suit a busy service.
///
/// | option | default | |
/// |---|---|---|
/// | `high_water_mark` | 32 KiB | buffered bytes that make a block; 0 turns batching off |
/// | `output_delay` | 200 ms | how long a record may wait for its block; 0 turns batching off |
/// | `compression` | on | zstd, level 1 |
/// | `ping_delay` | 60 s | how often the logger shows that it lives |
/// | `debug_log_limit` | 100 | DEBUG entries kept in memory for each request and process |
/// | `queue_bytes_max` | 64 MiB | memory for blocks that the disk does not take yet |
/// | `sync` | none | when blocks are made to survive a power failure |
/// | `io` | the operating system | how blocks reach the disk |
/// | `clock` | the wall clock | where records get their time from |
///
/// ```
/// use std::time::Duration;
/// use logq_writer::LoggerOptions;
///
/// let options = LoggerOptions { output_delay: Duration::from_millis(50), ..Default::default() };
/// assert_eq!(options.high_water_mark, 32 * 1024);
/// ```
#[derive(Clone)]
pub struct LoggerOptions {
    /// Bytes of records, before compression, that are collected for one block.
    pub high_water_mark: usize,
    /// The longest time a record waits in memory before it is written.
    pub output_delay: Duration,
    /// Whether blocks are compressed.
    pub compression: bool,
    /// How often a sign of life is written: by the master always, by a worker when it was silent.
    pub ping_delay: Duration,
    /// How many DEBUG entries are kept back, for each request and for the process itself.
    pub debug_log_limit: usize,
    /// Bytes of finished blocks that may wait for the disk. Beyond, records are dropped, the least
    /// severe first, and counted; a LOST record tells how many once there is room again.
    pub queue_bytes_max: usize,
    /// When blocks are made to survive a power failure.
    pub sync: SyncPolicy,
    /// Where records get their time from.
    pub clock: Arc<dyn Clock>,
    /// How blocks reach the disk.
    pub io: Arc<dyn Io>,
}

/// When blocks are made to survive a power failure. Without it, Linux writes them back within some
/// 35 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the operating system sees fit.
    #[default]
    None,
    /// With the first block after each interval, and when closing.
    Interval(Duration),
    /// With each block that holds a CRITICAL record or a lifecycle event, and when closing.
    OnCritical,
    /// With each block.
    EveryBlock,
}

impl Default for LoggerOptions {
    fn default() -> Self {
        Self {
            high_water_mark: 32 * 1024,
            output_delay: Duration::from_millis(200),
            compression: true,
            ping_delay: Duration::from_secs(60),
            debug_log_limit: 100,
            queue_bytes_max: 64 << 20,
            sync: SyncPolicy::None,
            clock: Arc::new(SystemClock),
            io: Arc::new(SystemIo),
        }
    }
}

impl LoggerOptions {
    /// Whether records wait for others at all.
    pub(crate) fn batches(&self) -> bool {
        self.high_water_mark > 0 && !self.output_delay.is_zero()
    }
}

impl fmt::Debug for LoggerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggerOptions")
            .field("high_water_mark", &self.high_water_mark)
            .field("output_delay", &self.output_delay)
            .field("compression", &self.compression)
            .field("ping_delay", &self.ping_delay)
            .field("debug_log_limit", &self.debug_log_limit)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}
