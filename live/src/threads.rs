//! The threads of those who read, and of work that can wait, behind those who write.
//!
//! A writer never waits for readers. With threads in common it would: it had its turn once each of a
//! thousand readers had sent what there was. So the connections of readers have threads of their own, and where
//! the processors do not suffice for all threads, the system gives these less. That costs a reader
//! nothing but time: it is an offset into a file, and what it does not read now it reads later.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// How much nicer these threads are: the system gives such a one a tenth of the time of one that is not,
/// as long as both want the same processor.
const NICENESS: i32 = 10;

/// How long the end of these threads may take. It is work that cannot be broken off, such as a read from a disk.
const END: Duration = Duration::from_secs(1);

/// Threads that serve readers. They end when this is dropped, and with them what they serve.
#[derive(Debug)]
pub(crate) struct ReaderThreads {
    handle: Handle,
    /// There until the end.
    runtime: Option<Runtime>,
}

impl ReaderThreads {
    /// As many as there are processors.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("readers")
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// What runs tasks on them.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ReaderThreads {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A runtime cannot wait for the end of another one, a thread can. Who drops a server may open its
        // directory again at once.
        let _ = std::thread::spawn(move || runtime.shutdown_timeout(END)).join();
    }
}

/// Does `work` in a thread of its own that stands back, too. `None` where there is no thread for it.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, done) = oneshot::channel();
    let thread = std::thread::Builder::new().name("background".to_owned());
    let started = thread.spawn(move || {
        step_back();
        // Whoever has waited may be gone.
        let _ = sender.send(work());
    });
    if started.is_ok() { done.await.ok() } else { None }
}

/// Makes the calling thread nicer, and it alone.
#[cfg(target_os = "linux")]
fn step_back() {
    // Where the system refuses, readers compete with writers, and nothing else changes.
    let _ = rustix::process::nice(NICENESS);
}

/// Elsewhere niceness is the whole process's, so it stays as it is.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_these_threads_are_nicer() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let here = niceness();
        let threads = ReaderThreads::start().unwrap();
        let task = threads.handle().spawn(async move { niceness() });
        let there = threads.handle().block_on(task).unwrap();
        assert_eq!(there, (here + NICENESS).min(19));
        let behind = threads.handle().block_on(in_background(niceness));
        assert_eq!(behind, Some(there));
        assert_eq!(niceness(), here);
    }

    #[tokio::test]
    async fn they_end_with_what_they_serve_also_inside_a_runtime() {
        let threads = ReaderThreads::start().unwrap();
        let held = std::sync::Arc::new(());
        let task = held.clone();
        threads.handle().spawn(async move {
            let _task = task;
            std::future::pending::<()>().await;
        });
        drop(threads);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
