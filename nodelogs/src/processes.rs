//! Which process wrote a record, told by its worker number and nonce, and what logq calls the two.
//!
//! A worker's number comes back with every start of the cluster, and a nonce after 65,536 records. But
//! a process counts all its records, so the next one's nonce is known: what goes on where a process
//! left off is that process, and what does not is either a new process or has lost records before it.

use std::collections::{HashMap, HashSet};

use logq_format::{Lifecycle, WriterId};

use crate::entry::{Entry, Event};

/// How many processes of one worker number are remembered: the one that lives, and orphans of
/// masters before that still write.
const PROCESSES_MAX: usize = 4;

/// How many worker numbers are remembered. Clusters have tens; the limit bounds the memory that
/// damage can take.
const WORKERS_MAX: usize = 1 << 16;

/// How many writers are named, for the same reason.
const WRITERS_MAX: usize = 1 << 14;

/// A jump ahead of the nonce up to this means that records are lost, a larger one a new process.
const LOST_MAX: u16 = 1 << 15;

/// The processes that wrote a log.
#[derive(Debug)]
pub struct Processes {
    salt: u64,
    workers: HashMap<Option<u32>, Worker>,
    names: HashSet<WriterId>,
    /// How often a master has started.
    starts: u64,
    steps_back: u64,
}

/// All that is known of one worker number, or of the master.
#[derive(Debug, Default)]
struct Worker {
    /// The latest one last.
    processes: Vec<Process>,
    /// Whether the next record may be a new process's, whatever its nonce: the master has said so.
    may_be_new: bool,
    /// The count of starts when its last record came.
    starts: u64,
}

#[derive(Debug, Default)]
struct Process {
    /// The number of its next record, counted from its first one's nonce.
    next: u64,
    writer: Option<WriterId>,
    last_ms: u64,
}

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its writer and sequence number; `None` for a ping, which is not kept, and for what comes after
    /// too many writers.
    pub identity: Option<Identity>,
    /// How many records of its process are missing before it.
    pub missing: u16,
}

/// What logq knows a record by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The process, until its clock goes back: then it goes on as another writer, since a writer's
    /// times never decrease.
    pub writer: WriterId,
    /// Ascending over all records of a process; pings, which are not kept, take numbers, too. The
    /// lowest 16 bits are the nonce.
    pub sequence: u64,
}

impl Processes {
    /// Nobody yet. Names of writers are made of the `salt` and their first record, so that a log that
    /// is read twice has the same ones.
    pub fn new(salt: u64) -> Self {
        let (workers, names) = (HashMap::new(), HashSet::new());
        Self { salt, workers, names, starts: 0, steps_back: 0 }
    }

    /// How often the clock of a process went back.
    pub const fn steps_back(&self) -> u64 {
        self.steps_back
    }

    /// How many writers there are.
    pub fn writers(&self) -> usize {
        self.names.len()
    }

    /// Tells where the next record belongs. Records come in the order of the log.
    pub fn place(&mut self, entry: &Entry<'_>) -> Placed {
        let number = entry.worker();
        if self.workers.len() >= WORKERS_MAX && !self.workers.contains_key(&number) {
            return Placed { identity: None, missing: 0 };
        }
        let worker = self.workers.entry(number).or_default();
        let may_be_new = worker.may_be_new || worker.starts < self.starts;
        (worker.may_be_new, worker.starts) = (false, self.starts);
        let (index, missing) = worker.process_of(entry.nonce, may_be_new);
        let mut identity = None;
        if let Some(process) = worker.processes.get_mut(index) {
            let number = process.next;
            process.next += 1;
            if !matches!(entry.event, Event::Ping { .. }) {
                self.steps_back += u64::from(process.steps_back(entry.time_ms));
                let name = || new_name(self.salt, entry, &mut self.names);
                identity = process.identity(number, entry.time_ms, name);
            }
        }
        self.note_ends(&entry.event);
        Placed { identity, missing }
    }

    /// Notes who may be replaced by another process now.
    fn note_ends(&mut self, event: &Event<'_>) {
        match event {
            Event::Lifecycle { step: Lifecycle::StartingUp, .. } => self.starts += 1,
            Event::WorkerSpawned { worker } | Event::WorkerExited { worker, .. } => {
                if let Some(worker) = self.workers.get_mut(&Some(*worker)) {
                    worker.may_be_new = true;
                }
            }
            _ => {}
        }
    }
}

impl Worker {
    /// The process whose next record has this nonce, and how many of its records are missing before.
    fn process_of(&mut self, nonce: u16, may_be_new: bool) -> (usize, u16) {
        let goes_on = |process: &Process| process.nonce() == nonce;
        if let Some(index) = self.processes.iter().rposition(goes_on) {
            return (index, 0);
        }
        let last = self.processes.len().saturating_sub(1);
        if let Some(process) = self.processes.last_mut().filter(|_| !may_be_new && nonce > 0) {
            let missing = nonce.wrapping_sub(process.nonce());
            if missing <= LOST_MAX {
                process.next += u64::from(missing);
                return (last, missing);
            }
        }
        if self.processes.len() >= PROCESSES_MAX {
            self.processes.remove(0);
        }
        self.processes.push(Process { next: u64::from(nonce), ..Process::default() });
        (self.processes.len() - 1, 0)
    }
}

impl Process {
    /// The nonce of its next record.
    const fn nonce(&self) -> u16 {
        let [.., high, low] = self.next.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    fn steps_back(&self, time_ms: u64) -> bool {
        self.writer.is_some() && time_ms < self.last_ms
    }

    fn identity(
        &mut self,
        number: u64,
        time_ms: u64,
        name: impl FnOnce() -> Option<WriterId>,
    ) -> Option<Identity> {
        if self.writer.is_none() || self.steps_back(time_ms) {
            self.writer = name();
        }
        self.last_ms = time_ms;
        self.writer.map(|writer| Identity { writer, sequence: number })
    }
}

/// A name for the writer of this record that no other one has; `None` if there are too many.
fn new_name(salt: u64, entry: &Entry<'_>, names: &mut HashSet<WriterId>) -> Option<WriterId> {
    if names.len() >= WRITERS_MAX {
        return None;
    }
    let worker = entry.worker().map_or(0, |worker| u64::from(worker) + 1);
    let parts = [salt, worker, entry.time_ms, u64::from(entry.nonce)];
    let hash = parts.into_iter().fold(0, |hash, part| mix(hash ^ part));
    let [high, .., a, b, c, d] = hash.to_be_bytes();
    let mut name = u32::from_be_bytes([a ^ high, b, c, d]);
    // 0 is nobody's. There are far fewer names than numbers.
    while name == 0 || !names.insert(WriterId(name)) {
        name = name.wrapping_add(1);
    }
    Some(WriterId(name))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

#[cfg(test)]
mod tests;
