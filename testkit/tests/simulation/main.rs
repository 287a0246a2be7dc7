//! Deterministic simulation of a cluster: real loggers, a real manager and the real reader, on a
//! model disk and model clocks, with all that can go wrong; after each step that looks, what can be
//! read is compared with a list of what was logged and acknowledged.
//!
//! A seed gives the same history every time. `LOGQ_SIMULATION_SEEDS=10000` simulates that many,
//! `LOGQ_SIMULATION_SEED=7` that one, and shows what happened.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod clock;
mod disk;
mod model;
mod process;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use model::describe;
use world::World;

/// Things that happen in one history.
const ACTIONS: usize = 150;

/// Where files are in memory, if there is such a place: the model decides what a sync does.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let within = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("logq-simulation-").tempdir_in(within).unwrap()
}

/// Simulates the history of a seed; answers it.
fn simulate(seed: u64) -> Vec<String> {
    let scratch = scratch();
    let store = scratch.path().join("store");
    let mut world = World::new(&store, seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| (0..ACTIONS).for_each(|_| world.act())));
    // As it is now: what still lives writes more when it is dropped.
    let (history, blocks) = (world.history.clone(), outcome.is_err().then(|| describe(&store)));
    let outcome = outcome.and_then(|()| catch_unwind(AssertUnwindSafe(|| world.finish())));
    outcome.unwrap_or_else(|panic| {
        let blocks = blocks.unwrap_or_else(|| describe(&store));
        eprintln!("{}\n\n{blocks}", history.join("\n"));
        eprintln!("LOGQ_SIMULATION_SEED={seed} shows this again");
        resume_unwind(panic)
    })
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn histories_of_a_cluster_are_read_as_they_were_logged() {
    if let Some(seed) = variable("LOGQ_SIMULATION_SEED") {
        return eprintln!("{}", simulate(seed).join("\n"));
    }
    let seeds = variable("LOGQ_SIMULATION_SEEDS").unwrap_or(100);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |threads| threads.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds {
                        break;
                    }
                    simulate(seed);
                }
            });
        }
    });
}

#[test]
fn a_seed_gives_the_same_history_every_time() {
    for seed in [3, 14, 15] {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}
