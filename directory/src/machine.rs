//! The clocks of the machine that no operator sets, which file headers keep beside the wall clock.

use std::fs;
use std::time::Duration;

use logq_format::Id;
use nix::time::{ClockId, clock_gettime};

/// Names the boot of this machine that the clocks here belong to; zero if unknown.
pub fn boot_id() -> Id {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let uuid = uuid::Uuid::parse_str(text.trim()).unwrap_or_default();
    Id(uuid.into_bytes())
}

/// Microseconds for which this machine has run since its boot, without the times it was suspended.
pub fn monotonic_us() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Microseconds for which this machine was suspended since its boot.
pub fn suspended_us() -> u64 {
    // In this order: what passes between the two readings must not count as suspended less.
    let running = monotonic_us();
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(running)
}

fn read(clock: ClockId) -> u64 {
    let since_boot = clock_gettime(clock).map(Duration::from);
    since_boot.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
