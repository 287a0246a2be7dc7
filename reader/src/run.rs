//! Slices in parallel, results in order.
//!
//! ```text
//!   plan ──slice──> decode, map (rayon) ──┐
//!    ^       └────> decode, map (rayon) ──┼──in order──> cut at the limit ──> fold
//!    └── as results are taken, new slices ┘
//! ```
//!
//! Planning and folding stay on the calling thread. At most a few slices are under way, so memory
//! is bounded however fast they are decoded and however slowly the caller folds.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::decoder::Findings;
use crate::error::ReadError;
use crate::plan::{Plan, Slice};

/// What working on one slice brought.
pub(crate) struct Outcome<T> {
    /// `None` if the slice has no rows.
    pub(crate) result: Option<T>,
    pub(crate) rows: usize,
    pub(crate) findings: Findings,
}

/// How many blocks slices have: few at first, so that something comes out soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) first: usize,
    pub(crate) most: usize,
}

/// Works on all slices of a plan and folds the results in order, up to `limit` rows.
///
/// `work` gets the number of rows that still count. It may be called again for the slice that the
/// limit cuts.
pub(crate) fn run<T: Send>(
    plan: &mut Plan<'_, '_>,
    pace: Pace,
    limit: Option<u64>,
    work: impl Fn(&Slice, usize) -> Result<Outcome<T>, ReadError> + Sync,
    mut fold: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let stop = AtomicBool::new(false);
    let (work, stop) = (&work, &stop);
    let mut remaining =
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let widest = rayon::current_num_threads().saturating_add(1);
    // With a limit the first slices often suffice: no use in working on many at once.
    let mut width = if limit.is_some() { 1 } else { widest };
    let mut blocks = pace.first;
    rayon::in_place_scope(|scope| {
        let mut under_way = VecDeque::new();
        let mut folded = Ok(());
        while remaining > 0 {
            while under_way.len() < width
                && let Some(slice) = plan.next_slice(blocks)
            {
                blocks = blocks.saturating_mul(4).min(pace.most);
                let slice = Arc::new(slice);
                let (sender, receiver) = sync_channel(1);
                under_way.push_back((Arc::clone(&slice), receiver));
                scope.spawn(move |_| {
                    if !stop.load(Ordering::Relaxed) {
                        // The receiver is gone only if nobody wants the result any more.
                        drop(sender.send(work(&slice, remaining)));
                    }
                });
            }
            let Some((slice, receiver)) = under_way.pop_front() else { break };
            // A task that ends without an answer has panicked; leaving the scope tells of it.
            let Some(outcome) = wait(&receiver) else { break };
            match take(plan, &slice, outcome, &mut remaining, work, &mut fold) {
                Ok(ControlFlow::Continue(())) => width = widest.min(width + 1),
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    folded = Err(error);
                    break;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        folded
    })
}

/// Folds one outcome, after cutting it to the rows that still count.
fn take<T>(
    plan: &mut Plan<'_, '_>,
    slice: &Slice,
    outcome: Result<Outcome<T>, ReadError>,
    remaining: &mut usize,
    work: impl Fn(&Slice, usize) -> Result<Outcome<T>, ReadError>,
    mut fold: impl FnMut(T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    let mut outcome = outcome?;
    if outcome.rows > *remaining {
        outcome = work(slice, *remaining)?;
    }
    *remaining -= outcome.rows.min(*remaining);
    plan.ledger().findings(outcome.findings);
    Ok(outcome.result.map_or(ControlFlow::Continue(()), &mut fold))
}

/// Waits for an answer. A thread of the pool lends a hand meanwhile: with a pool of one thread,
/// nobody else would work on it.
fn wait<T>(receiver: &Receiver<T>) -> Option<T> {
    if rayon::current_thread_index().is_none() {
        return receiver.recv().ok();
    }
    loop {
        let patience = match rayon::yield_now() {
            Some(rayon::Yield::Executed) => Duration::ZERO,
            _ => Duration::from_millis(1),
        };
        match receiver.recv_timeout(patience) {
            Ok(answer) => return Some(answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}
