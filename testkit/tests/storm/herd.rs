//! The processes of the storm: spawned, stopped, resumed, killed, and always reaped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::child;
use crate::record::Author;

/// What processes said.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// How many records of each author were flushed.
    pub(crate) flushed: BTreeMap<Author, u64>,
    /// How many there are in all, of those that ended in peace.
    pub(crate) ended: BTreeMap<Author, u64>,
}

/// All processes there are and were.
pub(crate) struct Herd {
    store: PathBuf,
    seed: u64,
    spawned: u64,
    living: Vec<Member>,
    listeners: Vec<JoinHandle<()>>,
    pub(crate) acknowledged: Arc<Mutex<Acknowledged>>,
}

/// A living process. It is killed and reaped when it is dropped.
struct Member {
    child: Child,
    stopped_until: Option<Instant>,
}

impl Member {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // It was not waited for yet, so the number is still this child's.
        kill(pid, signal).unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Both do nothing more if the process was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Herd {
    pub(crate) fn new(store: &Path, seed: u64) -> Self {
        Self {
            store: store.to_owned(),
            seed,
            spawned: 0,
            living: Vec::new(),
            listeners: Vec::new(),
            acknowledged: Arc::default(),
        }
    }

    /// Spawns as many processes as are missing.
    pub(crate) fn fill(&mut self, processes: usize, threads: usize) {
        while self.living.len() < processes {
            let process = self.spawned;
            self.spawned += 1;
            let mut child = child::spawn(&self.store, process, threads, self.seed ^ process << 20);
            let out = child.stdout.take().unwrap();
            let acknowledged = Arc::clone(&self.acknowledged);
            self.listeners.push(std::thread::spawn(move || listen(out, process, &acknowledged)));
            self.living.push(Member { child, stopped_until: None });
        }
    }

    fn any(&mut self, random: &mut Rng) -> usize {
        random.usize(..self.living.len())
    }

    /// Kills one or two at once, stopped or not; answers how many.
    pub(crate) fn kill(&mut self, random: &mut Rng) -> usize {
        let count = random.usize(1..3).min(self.living.len());
        for _ in 0..count {
            let victim = self.any(random);
            drop(self.living.swap_remove(victim));
        }
        count
    }

    /// Stops one for a while.
    pub(crate) fn stop(&mut self, random: &mut Rng) {
        let victim = self.any(random);
        let until = Instant::now() + Duration::from_millis(random.u64(1..150));
        self.living[victim].signal(Signal::SIGSTOP);
        self.living[victim].stopped_until = Some(until);
    }

    /// Lets those go on that were stopped for long enough.
    pub(crate) fn resume_due(&mut self) {
        self.resume(|until| until <= Instant::now());
    }

    fn resume(&mut self, is_due: impl Fn(Instant) -> bool) {
        for member in &mut self.living {
            if member.stopped_until.is_some_and(&is_due) {
                member.signal(Signal::SIGCONT);
                member.stopped_until = None;
            }
        }
    }

    /// Lets all that still live end in peace, and hears what they say last.
    pub(crate) fn end(&mut self) {
        self.resume(|_| true);
        for member in &mut self.living {
            drop(member.child.stdin.take());
        }
        for mut member in self.living.drain(..) {
            let status = member.child.wait().unwrap();
            assert!(status.success(), "a process that nobody harmed failed: {status}");
        }
        self.listeners.drain(..).for_each(|listener| listener.join().unwrap());
    }
}

/// Notes what a process says until its end of the pipe is closed.
fn listen(out: ChildStdout, process: u64, acknowledged: &Mutex<Acknowledged>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let said = words.next().unwrap_or_default().to_owned();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        if said == "ack" || said == "end" {
            let (author, n) = ((process, number()), number());
            let mut acknowledged = acknowledged.lock().unwrap();
            if said == "end" {
                acknowledged.ended.insert(author, n);
            }
            acknowledged.flushed.insert(author, n);
        }
    }
}
