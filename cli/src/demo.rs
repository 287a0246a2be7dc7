//! `logq demo`: a cluster that logs, a worker that is killed, and five questions about it.
//!
//! ```text
//!          the master, which is the command                    N worker processes
//!  manager, master logger
//!  cluster: spawns, kills, replaces  --pipe: open means run-->  worker logger
//!  load: clients  --HTTP on loopback------------------------->  tower layer, shop
//!  questions: the command itself, as a user types it
//! ```
//!
//! All processes are this program. Workers are told by a variable of their environment that they are
//! workers, so that users meet no verb that is not for them. What each part does is said in its
//! module; here is the order of events. Random choices are seeded: each demo is much like another.

mod addresses;
mod cluster;
mod interrupts;
mod load;
mod place;
mod progress;
mod questions;
mod shop;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use logq_rotation::{LogManager, ManagerError, ManagerOptions};
use logq_writer::MasterLogger;

use crate::exit::Exit;
use crate::live_lines::end_by;

use addresses::Addresses;
use cluster::{Change, Cluster};
use interrupts::Interrupts;
use load::{Load, Tally};
use progress::{Progress, Status, grouped, say};

#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArguments {
    /// How long the cluster serves
    #[arg(
        long,
        value_name = "N",
        default_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    seconds: u32,

    /// How many worker processes serve
    #[arg(
        long,
        value_name = "N",
        default_value = "3",
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    workers: u32,

    /// The store to make: a directory that is empty or does not exist [default: a new one where the
    /// system keeps temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Lets a cluster serve and log, asks its store, and leaves it to the user.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    if let Some(id) = worker::role()? {
        let store = arguments.dir.as_deref().context("a worker is told where the store is")?;
        return worker::run(store, id);
    }
    let interrupts = Interrupts::catch().context("cannot wait for signals")?;
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let store = place::choose(arguments.dir.as_deref())?;
    let served = serve(arguments, &program, &store, &interrupts);
    let stopped_by = interrupts.received();
    if served.is_err() || stopped_by.is_some() {
        say(&format!("  stopped early; the store stays in {}", store.display()));
    }
    served?;
    if let Some(signal) = stopped_by {
        return Ok(end_by(signal));
    }
    let asked = questions::ask(&program, &store, &interrupts);
    interrupts.received().map_or(asked, |signal| Ok(end_by(signal)))
}

/// From the first process to the last one.
fn serve(
    arguments: &DemoArguments,
    program: &Path,
    store: &Path,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    let length = Duration::from_secs(arguments.seconds.into());
    let manager = LogManager::open(store, rotation(length))?;
    let master = MasterLogger::open(store, Default::default())?;
    let mut progress = Progress::begin(arguments.workers, arguments.seconds);
    let addresses = Addresses::default();
    let mut cluster = Cluster::new(master, program, store, addresses.clone());
    cluster.start(arguments.workers, interrupts)?;

    let load = Load::start(addresses).context("cannot start the clients")?;
    let watched = watch(&mut cluster, &load, length, &mut progress, interrupts);
    let tally = load.finish();
    progress.clear();
    watched?;
    cluster.shut_down()?;
    manager.close();
    tell(&tally);
    ensure!(
        tally.answered > 0 || interrupts.received().is_some(),
        "no request was answered; may programs talk to each other on 127.0.0.1 here?"
    );
    Ok(())
}

/// Segments that are done with after a third of the demo, so that it rotates twice. The limits on
/// the whole store are far beyond what a demo writes.
fn rotation(length: Duration) -> ManagerOptions {
    const SEGMENTS: u32 = 1000;
    ManagerOptions {
        poll_interval: Duration::from_millis(250),
        log_size_limit: 10 << 30,
        log_age_limit: length / 3 * SEGMENTS,
        granularity: SEGMENTS,
        on_error: Some(Arc::new(tell_first_error())),
        ..ManagerOptions::default()
    }
}

/// What the manager cannot do it tries again soon; once is enough to know.
fn tell_first_error() -> impl Fn(&ManagerError) + Send + Sync {
    let once = Once::new();
    move |error| once.call_once(|| say(&format!("  {error}")))
}

/// How often the cluster is looked after.
const TICK: Duration = Duration::from_millis(20);

/// Looks after the cluster until the time is over or a signal comes, and kills a worker on the way.
fn watch(
    cluster: &mut Cluster,
    load: &Load,
    length: Duration,
    progress: &mut Progress,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut victim = Some(cluster.victim());
    while start.elapsed() < length && interrupts.received().is_none() {
        if let Some(index) = victim.take_if(|_| start.elapsed() >= length * 2 / 5) {
            cluster.kill(index).context("cannot kill a worker")?;
        }
        for change in cluster.tend()? {
            progress.tell(&change.to_string());
        }
        progress.show(&Status {
            elapsed: start.elapsed(),
            length,
            requests: load.answered(),
            online: cluster.online(),
            workers: cluster.workers(),
        });
        thread::sleep(TICK);
    }
    Ok(())
}

fn tell(tally: &Tally) {
    let cut_off = match tally.cut_off {
        0 => String::new(),
        count => format!("; {count} more were cut off when the worker was killed"),
    };
    say(&format!("  {} requests were answered{cut_off}", grouped(tally.answered)));
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended { worker, pid, how } => {
                write!(f, "worker {worker}, process {pid}, ended by {how}; it is replaced")
            }
            Self::Back { worker, pid, after } => {
                write!(f, "worker {worker} serves again {} ms later", after.as_millis())?;
                write!(f, ", as process {pid}")
            }
        }
    }
}
