//! Slices in parallel, results in order.
//!
//! ```text
//!   plan ──slice──> decode, map (rayon) ──┐
//!    ^       └────> decode, map (rayon) ──┼──in order──> cut at the limit ──> fold
//!    └── as results are taken, new slices ┘
//! ```
//!
//! Planning and folding stay on the calling thread. Where little is left to be read and nothing to be
//! planned, it also works on the first slice, or on all. At most a few slices are under way, so memory
//! is bounded however fast they are decoded and however slowly the caller folds.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rayon::Scope;

use crate::decoder::Findings;
use crate::error::ReadError;
use crate::plan::{Pace, Slice};
use crate::scale::LARGE_RAW_BYTES;

/// Makes slices, in order, and learns what became of them.
pub(crate) trait Slices {
    /// The next slice, of about the wanted size; `None` at the end.
    fn next_slice(&mut self, pace: Pace) -> Option<Slice>;

    /// How many blocks are left, if that is certain and they are no more than `most`.
    fn few(&mut self, _most: usize) -> Option<usize> {
        None
    }

    /// Takes note of what decoding a slice brought.
    fn findings(&mut self, findings: Findings);
}

/// Takes the results of one slice as they come, each with its number of rows.
pub(crate) type Sink<'k, T> = &'k mut dyn FnMut(T, usize) -> ControlFlow<()>;

/// Works on all slices of a plan and folds the results in order, up to `limit` rows.
///
/// `work` gets the number of rows that still count. It may be called again for the slice that the
/// limit cuts.
pub(crate) fn run<T, W>(
    plan: &mut impl Slices,
    pace: Pace,
    limit: Option<u64>,
    work: W,
    mut fold: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), ReadError>
where
    T: Send,
    W: Fn(&Slice, usize, Sink<'_, T>) -> Result<Findings, ReadError> + Sync,
{
    let stop = AtomicBool::new(false);
    let mut remaining = limit.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
    let few = if limit.is_some() { None } else { counted(plan, pace.alone.max(pace.dealt)) };
    // Threads take a while to start where there are none yet. With a limit the first slice often
    // suffices.
    let is_alone = few.is_some_and(|blocks| blocks <= pace.alone);
    let mut pace = if is_alone { Pace { first: pace.alone, ..pace } } else { pace };
    if is_alone || limit.is_some() {
        let go_on = run_here(plan, &mut pace, &mut remaining, is_alone, &work, &mut fold)?;
        if is_alone || remaining == 0 || go_on.is_break() {
            return Ok(());
        }
    }
    rayon::in_place_scope(|scope| {
        if let Some(blocks) = few {
            let share = blocks.div_ceil(rayon::current_num_threads()).min(pace.most);
            pace = Pace { first: share, most: share, ..pace };
        }
        let mut pipeline = Pipeline {
            scope,
            work: &work,
            stop: &stop,
            under_way: VecDeque::new(),
            raw_bytes: 0,
            held_back: None,
            pace,
            // With a limit the first slices often suffice: no use in working on many at once.
            width: if limit.is_some() { 1 } else { widest() },
            begins_here: few.is_some(),
            remaining,
        };
        let folded = pipeline.fold_all(plan, &mut fold);
        stop.store(true, Ordering::Relaxed);
        folded
    })
}

/// Works on the next slice, or on all, on this thread, and folds the results at once. The pace is that
/// of the slice behind then.
fn run_here<T>(
    plan: &mut impl Slices,
    pace: &mut Pace,
    remaining: &mut usize,
    all: bool,
    work: impl Fn(&Slice, usize, Sink<'_, T>) -> Result<Findings, ReadError>,
    fold: &mut impl FnMut(T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    loop {
        let Some(slice) = planned(plan, *pace).filter(|_| *remaining > 0) else {
            return Ok(ControlFlow::Break(()));
        };
        *pace = pace.grown();
        let go_on = work_here(plan, &slice, remaining, &work, fold)?;
        if go_on.is_break() || !all {
            return Ok(go_on);
        }
    }
}

/// Works on a slice on this thread and folds its results at once.
fn work_here<T>(
    plan: &mut impl Slices,
    slice: &Slice,
    remaining: &mut usize,
    work: impl Fn(&Slice, usize, Sink<'_, T>) -> Result<Findings, ReadError>,
    fold: &mut impl FnMut(T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    let mut go_on = ControlFlow::Continue(());
    let start = Instant::now();
    let mut findings = work(slice, *remaining, &mut |result, rows| {
        *remaining -= rows.min(*remaining);
        go_on = fold(result);
        go_on
    })?;
    findings.statistics.decode_us += micros_since(start);
    plan.findings(findings);
    Ok(go_on)
}

/// One slice for each thread, and one that waits to be folded.
fn widest() -> usize {
    rayon::current_num_threads().saturating_add(1)
}

/// The slices under way.
struct Pipeline<'p, 'scope, T, W> {
    scope: &'p Scope<'scope>,
    work: &'scope W,
    stop: &'scope AtomicBool,
    under_way: VecDeque<(Arc<Slice>, Work<T>)>,
    /// The bytes of their blocks once decompressed.
    raw_bytes: u64,
    /// The next slice, if it must wait until there is room for it.
    held_back: Option<Arc<Slice>>,
    /// How large the next slice should be.
    pace: Pace,
    /// How many slices may be under way.
    width: usize,
    /// Whether this thread works on the first slice while others work on the ones behind it, since
    /// nothing else is left to be planned.
    begins_here: bool,
    /// How many rows still count.
    remaining: usize,
}

/// How a slice is worked on.
enum Work<T> {
    /// By some thread, which will send the results.
    Elsewhere(Receiver<Result<Done<T>, ReadError>>),
    /// Here, when its turn has come, because it needs the memory of many others.
    Here,
}

/// The results of one slice.
struct Done<T> {
    results: Vec<T>,
    rows: usize,
    findings: Findings,
}

impl<'scope, T, W> Pipeline<'_, 'scope, T, W>
where
    T: Send + 'scope,
    W: Fn(&Slice, usize, Sink<'_, T>) -> Result<Findings, ReadError> + Sync,
{
    fn fold_all(
        &mut self,
        plan: &mut impl Slices,
        fold: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        while self.remaining > 0 {
            self.start_some(plan);
            let Some((slice, work)) = self.under_way.pop_front() else { break };
            let done = match &work {
                Work::Here => None,
                Work::Elsewhere(receiver) => match wait(receiver) {
                    Some(done) => Some(done?).filter(|done| done.rows <= self.remaining),
                    // The task has panicked; leaving the scope tells of it.
                    None => break,
                },
            };
            self.raw_bytes -= slice.raw_bytes();
            let go_on = match done {
                Some(done) => {
                    self.remaining -= done.rows;
                    plan.findings(done.findings);
                    done.results.into_iter().try_for_each(&mut *fold)
                }
                None => work_here(plan, &slice, &mut self.remaining, self.work, fold)?,
            };
            if go_on.is_break() {
                break;
            }
            self.width = widest().min(self.width + 1);
        }
        Ok(())
    }

    /// Starts slices as long as there is room.
    fn start_some(&mut self, plan: &mut impl Slices) {
        while self.under_way.len() < self.width {
            let held_back = self.held_back.take();
            let Some(slice) = held_back.or_else(|| planned(plan, self.pace)) else { break };
            let raw_bytes = slice.raw_bytes();
            if !self.under_way.is_empty() && self.raw_bytes + raw_bytes > LARGE_RAW_BYTES {
                self.held_back = Some(slice);
                break;
            }
            self.raw_bytes += raw_bytes;
            self.pace = self.pace.grown();
            let is_here = std::mem::take(&mut self.begins_here) || slice.is_large();
            let work = if is_here { Work::Here } else { self.start(Arc::clone(&slice)) };
            self.under_way.push_back((slice, work));
        }
    }

    fn start(&self, slice: Arc<Slice>) -> Work<T> {
        let (sender, receiver) = sync_channel(1);
        let (work, stop, limit) = (self.work, self.stop, self.remaining);
        self.scope.spawn(move |_| {
            if !stop.load(Ordering::Relaxed) {
                send(&sender, work_elsewhere(work, &slice, limit));
            }
        });
        Work::Elsewhere(receiver)
    }
}

fn work_elsewhere<T>(
    work: impl Fn(&Slice, usize, Sink<'_, T>) -> Result<Findings, ReadError>,
    slice: &Slice,
    limit: usize,
) -> Result<Done<T>, ReadError> {
    let (mut results, mut sum) = (Vec::new(), 0);
    let start = Instant::now();
    let mut findings = work(slice, limit, &mut |result, rows| {
        results.push(result);
        sum += rows;
        ControlFlow::Continue(())
    })?;
    findings.statistics.decode_us += micros_since(start);
    Ok(Done { results, rows: sum, findings })
}

/// How many blocks are left, if they are few, and an entry in the books for the time it took to find out.
fn counted(plan: &mut impl Slices, most: usize) -> Option<usize> {
    let start = Instant::now();
    let few = plan.few(most);
    note_planning(plan, start);
    few
}

/// The next slice, and an entry in the books for the time that it took to plan it.
fn planned(plan: &mut impl Slices, pace: Pace) -> Option<Arc<Slice>> {
    let start = Instant::now();
    let slice = plan.next_slice(pace);
    note_planning(plan, start);
    slice.map(Arc::new)
}

fn note_planning(plan: &mut impl Slices, start: Instant) {
    let mut findings = Findings::default();
    findings.statistics.plan_us = micros_since(start);
    plan.findings(findings);
}

pub(crate) fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Sends the results; if nobody wants them any more, the receiver is gone.
fn send<T>(sender: &SyncSender<T>, done: T) {
    drop(sender.send(done));
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
