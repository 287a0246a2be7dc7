//! How much at a time: every size that trades memory, latency and speed.
//!
//! Unit tests use tiny ones, so that small stores go the ways of large ones.

use crate::plan::Pace;

/// One value for the world, one for unit tests.
const fn scaled(real: u64, tiny: u64) -> u64 {
    if cfg!(test) { tiny } else { real }
}

/// How much is read ahead where headers lie close together.
pub(crate) const CHUNK_BYTES: u64 = scaled(64 << 10, 300);

/// How much is mapped at once.
pub(crate) const MAP_BYTES: u64 = scaled(4 << 20, 1000);

/// Reading so many bytes more costs as much as one more read: measured on a page cache, 0.6 us for
/// the call and 0.13 us for a KiB.
pub(crate) const READ_COST_BYTES: u64 = scaled(5 << 10, 100);

/// The most bytes got at once for a slice, unless one block has more.
pub(crate) const WINDOW_BYTES: u64 = scaled(1 << 20, 1000);

/// A binary search by headers ends with a range of this length.
pub(crate) const SEARCH_BYTES: u64 = scaled(64 << 10, 300);

/// How much a probe of the search reads at once to find a header.
pub(crate) const PROBE_BYTES: u64 = scaled(16 << 10, 100);

/// The first distance over which pings are looked for; it doubles until there is one.
pub(crate) const STRIDE_BYTES: u64 = scaled(256 << 10, 500);

/// Beyond this distance the whole rest of a segment is hopped through. Masters ping every few MiB.
pub(crate) const STRIDE_BYTES_MAX: u64 = scaled(16 << 20, 3000);

/// So many times pings are waited for in order to learn whether little is to be read.
pub(crate) const AHEAD_ADVANCES: usize = 4;

/// So many first blocks of a segment are looked at together for its earliest record, and then more.
pub(crate) const FIRST_BLOCKS: usize = if cfg!(test) { 2 } else { 8 };

/// The most blocks that are hopped over before they are looked at.
pub(crate) const BATCH_BLOCKS_MAX: usize = if cfg!(test) { 5 } else { 4096 };

/// The slices of a scan: small at first, so that something comes out soon; then about 2 MB of
/// records once they are decompressed, which is several times as much once it is printed.
pub(crate) const SCAN_PACE: Pace = Pace {
    alone: if cfg!(test) { 2 } else { 12 },
    dealt: if cfg!(test) { 5 } else { 64 },
    first: 1,
    most: if cfg!(test) { 6 } else { 64 },
    raw_bytes: scaled(4 << 20, 3000),
    records: scaled(3 << 13, 30),
};

/// The most records that are handed out at once: as text some 64 KiB, which is what a pipe holds.
pub(crate) const ROWS_AT_ONCE: usize = if cfg!(test) { 7 } else { 256 };

/// The slices of a count: large, as little is kept of each block, and those that a slice cuts cost
/// more than the others.
pub(crate) const TALLY_PACE: Pace = Pace {
    alone: if cfg!(test) { 1 } else { 64 },
    dealt: 0,
    first: if cfg!(test) { 2 } else { 64 },
    most: if cfg!(test) { 9 } else { 512 },
    raw_bytes: scaled(32 << 20, 10_000),
    records: scaled(1 << 19, 100),
};

/// The slices of a count in groups: smaller, as there may be as many groups as records.
pub(crate) const GROUP_PACE: Pace = Pace {
    alone: if cfg!(test) { 1 } else { 16 },
    dealt: 0,
    first: if cfg!(test) { 2 } else { 64 },
    most: if cfg!(test) { 9 } else { 512 },
    raw_bytes: scaled(8 << 20, 10_000),
    records: scaled(1 << 15, 100),
};

/// The slices of a visit: what is made of each has about the size of its records.
pub(crate) const VISIT_PACE: Pace = Pace {
    alone: if cfg!(test) { 1 } else { 16 },
    dealt: 0,
    first: if cfg!(test) { 2 } else { 64 },
    most: if cfg!(test) { 9 } else { 256 },
    raw_bytes: scaled(8 << 20, 10_000),
    records: scaled(1 << 16, 100),
};

/// So many groups of a slice are handed over before there are more.
pub(crate) const GROUPS_AT_ONCE: usize = if cfg!(test) { 20 } else { 1 << 15 };

/// The most bytes that spines and bodies decoded together for a count may have.
pub(crate) const TALLY_RAW_BYTES: u64 = scaled(4 << 20, 3000);

/// The most bytes that the blocks under way may have once decompressed. A single slice with more,
/// or with more than [`LARGE_RECORDS`], is selected from bit by bit.
///
/// A thousand writers with blocks of 32 KiB stay below it.
pub(crate) const LARGE_RAW_BYTES: u64 = scaled(128 << 20, 20_000);

/// The most records a slice may have to be selected from at once: 32 MiB of keys.
pub(crate) const LARGE_RECORDS: u64 = scaled(1 << 20, 150);

/// The records of one pass over a large slice.
pub(crate) const PASS_RECORDS: usize = if cfg!(test) { 40 } else { 1 << 18 };

/// The bytes of the blocks whose records are handed out together in such a pass.
pub(crate) const GROUP_RAW_BYTES: u64 = scaled(32 << 20, 4000);

/// How many segments are looked into at once before the first slice.
pub(crate) const PRIME_SEGMENTS: usize = if cfg!(test) { 2 } else { 16 };
