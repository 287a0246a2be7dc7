//! The threads that serve connections, and how they give way to one another.
//!
//! | threads | serve | as the system sees them |
//! |---|---|---|
//! | writers' | connections of writers | like any other: these are the caller's |
//! | readers' | readers that have all there is, or soon will | like any other |
//! | of those behind | readers that are far behind while a writer is in a hurry | when nobody else wants the processor |
//! | in the background | questions about stores, digests | ten steps nicer |
//!
//! A writer never waits for readers. With threads in common it would: it had its turn once each of a
//! thousand readers had sent what there was. It also would where threads of readers compete with it as equals.
//! So those that are behind wait until a processor is idle, which costs them nothing but time: they are
//! offsets into files, and what they do not read now they read later. Who moves when is the matter of `home`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// How much nicer threads in the background are: the system gives such a one a tenth of the time of one that is
/// not, as long as both want the same processor.
const NICENESS: i32 = 10;

/// How long the end of threads may take. It is work that cannot be broken off, such as a read from a disk.
const END: Duration = Duration::from_secs(1);

/// Whose threads serve something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Those of writers.
    Writers,
    /// Those of readers.
    Readers,
    /// Those of readers that are behind.
    Behind,
}

/// What runs tasks on the threads of each rank. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ranks(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    writers: Handle,
    readers: Handle,
    behind: Handle,
    ended: AtomicBool,
}

impl Ranks {
    /// What runs tasks of this rank.
    pub(crate) fn of(&self, rank: Rank) -> &Handle {
        match rank {
            Rank::Writers => &self.0.writers,
            Rank::Readers => &self.0.readers,
            Rank::Behind => &self.0.behind,
        }
    }

    /// Whether these threads end, and with them their timers and sockets: nothing may use them any more.
    pub(crate) fn have_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }
}

/// Threads that serve readers. They end when this is dropped, and with them what they serve.
#[derive(Debug)]
pub(crate) struct ReaderThreads {
    ranks: Ranks,
    /// There until the end.
    runtimes: Vec<Runtime>,
}

impl ReaderThreads {
    /// As many of each rank as there are processors, beside those of `writers`.
    pub(crate) fn start(writers: Handle) -> io::Result<Self> {
        let readers = Builder::new_multi_thread().thread_name("readers").enable_all().build()?;
        let behind = Builder::new_multi_thread()
            .thread_name("behind")
            .on_thread_start(yield_to_all)
            .enable_all()
            .build()?;
        let handles = Handles {
            writers,
            readers: readers.handle().clone(),
            behind: behind.handle().clone(),
            ended: AtomicBool::new(false),
        };
        Ok(Self { ranks: Ranks(Arc::new(handles)), runtimes: vec![readers, behind] })
    }

    /// What runs tasks on them.
    pub(crate) fn ranks(&self) -> &Ranks {
        &self.ranks
    }
}

impl Drop for ReaderThreads {
    fn drop(&mut self) {
        self.ranks.0.ended.store(true, Ordering::Release);
        for runtime in self.runtimes.drain(..) {
            // A runtime cannot wait for the end of another one, a thread can. Who drops a server may open its
            // directory again at once.
            let _ = std::thread::spawn(move || runtime.shutdown_timeout(END)).join();
        }
    }
}

/// Does `work` in a thread of its own that stands back.
///
/// # Errors
///
/// There is no thread for it.
pub(crate) fn start_in_background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("background".to_owned());
    thread.spawn(move || {
        step_back();
        work();
    })?;
    Ok(())
}

/// Does `work` in a thread of its own that stands back, and waits for it. `None` where there is no thread
/// for it, or where it panics.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, done) = oneshot::channel();
    let started = start_in_background(move || {
        // Whoever has waited may be gone.
        let _ = sender.send(work());
    });
    if started.is_ok() { done.await.ok() } else { None }
}

/// Makes the calling thread nicer, and it alone.
#[cfg(target_os = "linux")]
fn step_back() {
    // Where the system refuses, this competes with others, and nothing else changes.
    let _ = rustix::process::nice(NICENESS);
}

/// Elsewhere niceness is the whole process's, so it stays as it is.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

/// Lets the calling thread run only where no other thread wants the processor.
#[cfg(target_os = "linux")]
fn yield_to_all() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).is_err() {
        step_back();
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_all() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and niceness of the calling thread, as the system tells them.
    #[cfg(target_os = "linux")]
    fn standing() -> (u32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        (fields[38].parse().unwrap(), fields[16].parse().unwrap())
    }

    #[cfg(target_os = "linux")]
    const OTHER: u32 = 0;
    #[cfg(target_os = "linux")]
    const IDLE: u32 = 5;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn each_rank_stands_where_it_should() {
        let here = standing();
        let threads = ReaderThreads::start(Handle::current()).unwrap();
        let ranks = threads.ranks().clone();
        let of = async |rank| ranks.of(rank).spawn(async { standing() }).await.unwrap();
        assert_eq!(here.0, OTHER);
        assert_eq!(of(Rank::Writers).await, here);
        assert_eq!(of(Rank::Readers).await, here);
        assert_eq!(of(Rank::Behind).await.0, IDLE);
        let nicer = (here.1 + NICENESS).min(19);
        assert_eq!(in_background(standing).await, Some((OTHER, nicer)));
        assert_eq!(standing(), here);
    }

    #[tokio::test]
    async fn they_end_with_what_they_serve_also_inside_a_runtime() {
        let threads = ReaderThreads::start(Handle::current()).unwrap();
        let held = Arc::new(());
        let ranks = threads.ranks().clone();
        for rank in [Rank::Readers, Rank::Behind] {
            let task = held.clone();
            ranks.of(rank).spawn(async move {
                let _task = task;
                std::future::pending::<()>().await;
            });
        }
        drop(threads);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(ranks.have_ended());
    }

    #[tokio::test]
    async fn a_panic_in_the_background_is_told() {
        assert_eq!(in_background(|| panic!("on purpose")).await, None::<()>);
    }
}
