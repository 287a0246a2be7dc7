//! Whose threads serve a connection, and how it moves from some to others.
//!
//! A connection is at home with readers or writers according to its address. While a request writes, all
//! of it is the writers', wherever it came in; while an answer is far behind a writer in a hurry, all of
//! it is of those behind. A task that finds its home changed ends and goes on there as another task, and its
//! socket comes along (`socket`).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use crate::message::Side;
use crate::threads::{Rank, Ranks};

tokio::task_local! {
    /// The home of the connection whose task this is, and where the task runs.
    static HERE: (Arc<Home>, Rank);
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose a connection is.
#[derive(Debug)]
pub(crate) struct Home {
    ranks: Ranks,
    side: Side,
    /// Requests that write.
    writing: AtomicUsize,
    /// Answers that are far behind.
    behind: AtomicUsize,
}

impl Home {
    /// The home of a connection that came to an address of this side.
    pub(crate) fn new(ranks: Ranks, side: Side) -> Arc<Self> {
        Arc::new(Self { ranks, side, writing: AtomicUsize::new(0), behind: AtomicUsize::new(0) })
    }

    fn rank(&self) -> Rank {
        if self.writing.load(Ordering::Relaxed) > 0 {
            Rank::Writers
        } else if self.behind.load(Ordering::Relaxed) > 0 {
            Rank::Behind
        } else if self.side == Side::Put {
            Rank::Writers
        } else {
            Rank::Readers
        }
    }

    /// Runs a task of the connection at its home, wherever that comes to be.
    pub(crate) fn run(self: Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.settle(Box::pin(task));
    }

    fn settle(self: Arc<Self>, mut task: Task) {
        let rank = self.rank();
        let (home, ranks) = (self.clone(), self.ranks.clone());
        let stay = async move {
            let moves = poll_fn(|context| match task.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending if home.rank() == rank => Poll::Pending,
                Poll::Pending => Poll::Ready(true),
            });
            if moves.await {
                home.settle(task);
            }
        };
        let here = HERE.scope((self, rank), stay);
        let mut here = Box::pin(here);
        let owner = ranks.clone();
        ranks.of(rank).spawn(poll_fn(move |context| match owner.have_ended() {
            true => Poll::Ready(()),
            false => here.as_mut().poll(context),
        }));
    }
}

/// Runs a task of the connection whose task calls this; of none, where it is called.
pub(crate) fn run(task: impl Future<Output = ()> + Send + 'static) {
    match HERE.try_with(|(home, _)| home.clone()) {
        Ok(home) => home.run(task),
        Err(_) => drop(tokio::spawn(task)),
    }
}

/// Where the calling task runs, if it is a connection's.
pub(crate) fn rank() -> Option<Rank> {
    HERE.try_with(|(_, rank)| *rank).ok()
}

/// Waits until the calling task runs where its connection is at home now. It moves when it has nothing else to
/// do, and one that sends always has something.
pub(crate) async fn settled() {
    poll_fn(|_| match HERE.try_with(|(home, rank)| home.rank() == *rank) {
        Ok(false) => Poll::Pending,
        Ok(true) | Err(_) => Poll::Ready(()),
    })
    .await;
}

/// A reason for a connection to be elsewhere, as long as this is held.
#[derive(Debug)]
pub(crate) struct Reason {
    home: Arc<Home>,
    of: fn(&Home) -> &AtomicUsize,
}

impl Reason {
    /// The connection of the calling task has a request that writes.
    pub(crate) fn writing() -> Option<Self> {
        Self::new(|home| &home.writing)
    }

    /// The connection of the calling task has an answer that is far behind.
    pub(crate) fn behind() -> Option<Self> {
        Self::new(|home| &home.behind)
    }

    fn new(of: fn(&Home) -> &AtomicUsize) -> Option<Self> {
        let home = HERE.try_with(|(home, _)| home.clone()).ok()?;
        of(&home).fetch_add(1, Ordering::Relaxed);
        Some(Self { home, of })
    }
}

impl Drop for Reason {
    fn drop(&mut self) {
        (self.of)(&self.home).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::threads::ReaderThreads;

    #[tokio::test]
    async fn tasks_move_with_their_reasons() {
        for (side, at_home) in [(Side::Put, Rank::Writers), (Side::Get, Rank::Readers)] {
            let threads = ReaderThreads::start(Handle::current()).unwrap();
            let (sender, seen) = tokio::sync::oneshot::channel();
            Home::new(threads.ranks().clone(), side).run(async move {
                let mut seen = vec![rank()];
                let mut look = async || {
                    settled().await;
                    seen.push(rank());
                };
                let behind = Reason::behind();
                look().await;
                let writing = Reason::writing();
                look().await;
                drop(writing);
                look().await;
                drop(behind);
                look().await;
                sender.send(seen).unwrap();
            });
            let expected = [at_home, Rank::Behind, Rank::Writers, Rank::Behind, at_home];
            assert_eq!(seen.await.unwrap(), expected.map(Some), "{side:?}");
        }
    }

    #[tokio::test]
    async fn outside_of_connections_there_is_no_home() {
        assert!(Reason::behind().is_none() && rank().is_none());
        settled().await;
        let (sender, ran) = tokio::sync::oneshot::channel();
        run(async move { sender.send(()).unwrap() });
        ran.await.unwrap();
    }
}
