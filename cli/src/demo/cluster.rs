//! The master's side of the cluster: spawns the workers, notices their ends, replaces them, shuts
//! down, and logs all of it.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use logq_format::WorkerId;
use logq_writer::MasterLogger;
use nix::sys::signal::Signal;

use super::addresses::Addresses;
use super::interrupts::Interrupts;
use super::worker::ROLE;

/// The worker processes, numbered from 1. Those that still run when it is dropped are killed.
pub(super) struct Cluster {
    master: MasterLogger,
    program: PathBuf,
    store: PathBuf,
    addresses: Addresses,
    workers: Vec<Worker>,
}

/// Something that happened to a worker.
#[derive(Debug)]
pub(super) enum Change {
    /// Its process has ended, and another one has been spawned.
    Ended { worker: WorkerId, pid: u32, how: String },
    /// The other one serves.
    Back { worker: WorkerId, pid: u32, after: Duration },
}

/// How long all workers may take to serve. They need some milliseconds each, if nobody else wants
/// the processors.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a worker may take to end when it is told to; it gives its clients two seconds.
const END_PATIENCE: Duration = Duration::from_secs(8);

/// How often it is looked whether a process has started or ended.
const TICK: Duration = Duration::from_millis(5);

impl Cluster {
    /// A cluster without workers.
    pub(super) fn new(
        master: MasterLogger,
        program: &Path,
        store: &Path,
        addresses: Addresses,
    ) -> Self {
        let (program, store) = (program.to_owned(), store.to_owned());
        Self { master, program, store, addresses, workers: Vec::new() }
    }

    /// Spawns the workers and waits until all of them serve, or until a signal comes.
    ///
    /// # Errors
    ///
    /// A worker cannot be spawned, ends before it serves, or takes too long.
    pub(super) fn start(&mut self, count: u32, interrupts: &Interrupts) -> anyhow::Result<()> {
        self.master.starting_up();
        for number in 1..=count {
            let id = WorkerId::new(number).context("worker numbers have 24 bits")?;
            let worker = self.spawn(id, None)?;
            self.workers.push(worker);
        }
        let start = Instant::now();
        while self.online() < self.workers.len() && interrupts.received().is_none() {
            if start.elapsed() > START_PATIENCE {
                let seconds = START_PATIENCE.as_secs();
                bail!("not all workers serve after {seconds} s; try fewer --workers");
            }
            self.tend()?;
            thread::sleep(TICK);
        }
        self.master.starting_up_completed();
        Ok(())
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// How many of them serve.
    pub(super) fn online(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_online).count()
    }

    /// The worker that will be killed, counted from 0: the second one, if there are two.
    pub(super) fn victim(&self) -> usize {
        usize::from(self.workers.len() > 1)
    }

    /// Kills a worker with SIGKILL, as the kernel does when memory runs out. The rest is as if
    /// somebody else had done it.
    pub(super) fn kill(&mut self, index: usize) -> io::Result<()> {
        self.workers.get_mut(index).map_or(Ok(()), |worker| worker.child.kill())
    }

    /// Looks who serves now and who has ended, and replaces those who have.
    ///
    /// # Errors
    ///
    /// A worker has ended before it served, so that replacing it would not help, or cannot be
    /// replaced.
    pub(super) fn tend(&mut self) -> anyhow::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for index in 0..self.workers.len() {
            let Some(worker) = self.workers.get_mut(index) else { break };
            if let Ok(address) = worker.listening.try_recv() {
                worker.is_online = true;
                self.addresses.set(index, Some(address));
                changes.extend(worker.back());
            }
            if let Some(status) = worker.child.try_wait().context("cannot wait for a worker")? {
                changes.push(self.replace(index, status)?);
            }
        }
        Ok(changes)
    }

    fn replace(&mut self, index: usize, status: ExitStatus) -> anyhow::Result<Change> {
        let worker = self.workers.get(index).context("there is no such worker")?;
        let (id, pid, was_online) = (worker.id, worker.child.id(), worker.is_online);
        self.addresses.set(index, None);
        let how = self.record_end(id, status);
        if !was_online {
            bail!("worker {id} ended before it served, by {how}");
        }
        let successor = self.spawn(id, Some(Instant::now()))?;
        if let Some(worker) = self.workers.get_mut(index) {
            *worker = successor;
        }
        Ok(Change::Ended { worker: id, pid, how })
    }

    /// Logs how a worker ended and says it in words.
    fn record_end(&self, id: WorkerId, status: ExitStatus) -> String {
        let signal = status.signal().map(|number| {
            Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.to_string())
        });
        self.master.worker_exited(id, status.code(), signal.as_deref());
        signal.unwrap_or_else(|| format!("exit with code {}", status.code().unwrap_or_default()))
    }

    fn spawn(&self, id: WorkerId, replaces: Option<Instant>) -> anyhow::Result<Worker> {
        let mut child = Command::new(&self.program)
            // What lists of processes show.
            .arg0(format!("logq-demo-worker-{id}"))
            .args(["demo", "--dir"])
            .arg(&self.store)
            .env(ROLE, id.to_string())
            // Ctrl-C at the terminal is the master's business.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {} as worker {id}", self.program.display()))?;
        self.master.worker_spawned(id);
        let (sender, listening) = mpsc::channel();
        let stdout = child.stdout.take();
        let worker = Worker { id, child, listening, is_online: false, replaces };
        let hear = move || {
            let address = stdout.and_then(first_address);
            // The cluster may be gone.
            address.map(|address| sender.send(address))
        };
        let thread = thread::Builder::new().name("demo-hear".to_owned()).spawn(hear);
        thread.context("cannot start a thread")?;
        Ok(worker)
    }

    /// Tells the workers to end and waits until they have; those that do not are killed.
    ///
    /// # Errors
    ///
    /// The last records of the master could not be written, or a worker failed.
    pub(super) fn shut_down(mut self) -> anyhow::Result<()> {
        self.master.shutting_down();
        let mut leaving: Vec<_> = self.workers.drain(..).collect();
        for worker in &mut leaving {
            // The worker sees the end of its input.
            drop(worker.child.stdin.take());
        }
        let start = Instant::now();
        let mut failed = Vec::new();
        while !leaving.is_empty() {
            let mut staying = Vec::new();
            for mut worker in leaving {
                if start.elapsed() > END_PATIENCE {
                    worker.child.kill().context("cannot kill a worker")?;
                }
                match worker.child.try_wait().context("cannot wait for a worker")? {
                    Some(status) => {
                        let how = self.record_end(worker.id, status);
                        failed.extend((!status.success()).then_some((worker.id, how)));
                    }
                    None => staying.push(worker),
                }
            }
            leaving = staying;
            thread::sleep(TICK);
        }
        self.master.shutting_down_completed();
        self.master.close().context("the last records of the master are lost")?;
        match failed.first() {
            Some((id, how)) => bail!("worker {id} did not end in order, but by {how}"),
            None => Ok(()),
        }
    }
}

/// A process that serves, or is about to.
struct Worker {
    id: WorkerId,
    child: Child,
    /// Tells once where it listens.
    listening: Receiver<SocketAddr>,
    is_online: bool,
    /// When the end of its predecessor was noticed, until it serves itself.
    replaces: Option<Instant>,
}

impl Worker {
    /// That it replaces another one, if it does.
    fn back(&mut self) -> Option<Change> {
        let ended = self.replaces.take()?;
        Some(Change::Back { worker: self.id, pid: self.child.id(), after: ended.elapsed() })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only where the process has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a worker says first; `None` if it ends without a word.
fn first_address(stdout: impl io::Read) -> Option<SocketAddr> {
    let mut line = String::new();
    let mut bounded = BufReader::new(stdout.take(100));
    bounded.read_line(&mut line).ok()?;
    line.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_tells_its_address_or_nothing() {
        let check = |said: &[u8], expected: Option<&str>| {
            assert_eq!(first_address(said), expected.map(|address| address.parse().unwrap()));
        };
        check(b"127.0.0.1:4711\n", Some("127.0.0.1:4711"));
        check(b"127.0.0.1:47", Some("127.0.0.1:47"));
        check(b"", None);
        check(b"\xFF\n", None);
        check(&[b'1'; 1000], None);
    }
}
