//! The threads of an import: each takes a chunk, parses it, and hands its batch on when it is its
//! turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bumpalo::Bump;

use crate::import::chunk::{Chunk, Chunks};
use crate::import::order::Order;
use crate::import::parse::Parser;
use crate::import::summary::{Progress, Summary};
use crate::import::{ImportError, Options, RecordSink};

/// What the threads share.
struct Shared<'s, S: RecordSink, P> {
    chunks: Mutex<Chunks>,
    turn: Mutex<Turn<'s, S, P>>,
    /// Told when the turn passes on or the import stops.
    passed: Condvar,
}

/// Whose turn it is.
struct Turn<'s, S: RecordSink, P> {
    order: Order<'s, S, P>,
    /// The number of the next chunk.
    next: u64,
    /// Set when the import cannot go on: an error, or a thread that panicked.
    is_stopped: bool,
    error: Option<ImportError<S::Error>>,
}

/// Imports all chunks.
///
/// One thread more than processors are used, so that parsing goes on while one thread reads.
pub(super) fn run<S, P>(
    chunks: Chunks,
    order: Order<'_, S, P>,
    options: &Options,
) -> Result<Summary, ImportError<S::Error>>
where
    S: RecordSink<Error: Send> + Send,
    P: FnMut(Progress) + Send,
{
    let turn = Turn { order, next: 0, is_stopped: false, error: None };
    let shared =
        Shared { chunks: Mutex::new(chunks), turn: Mutex::new(turn), passed: Condvar::new() };
    let processors = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| shared.work(options));
        }
        shared.work(options);
    });
    let turn = shared.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
    match turn.error {
        Some(error) => Err(error),
        None => turn.order.finish().map_err(ImportError::Sink),
    }
}

impl<'s, S: RecordSink, P: FnMut(Progress)> Shared<'s, S, P> {
    /// Takes chunks until there are no more or the import stops.
    fn work(&self, options: &Options) {
        let _stop_on_panic = StopOnPanic(self);
        let mut parser = Parser::new(options);
        let mut chunk = Chunk::default();
        let mut arena = Bump::new();
        loop {
            let found = lock(&self.chunks).next(&mut chunk);
            match found {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.stop(Some(error)),
            }
            arena.reset();
            let batch = parser.parse(&chunk, &arena);
            let Some(mut turn) = self.wait_for(chunk.number) else { return };
            if let Err(error) = turn.order.accept(&chunk, batch) {
                drop(turn);
                return self.stop(Some(ImportError::Sink(error)));
            }
            turn.next += 1;
            drop(turn);
            self.passed.notify_all();
        }
    }

    /// Waits until it is this chunk's turn; `None` if the import has stopped.
    fn wait_for(&self, number: u64) -> Option<MutexGuard<'_, Turn<'s, S, P>>> {
        let is_early = |turn: &mut Turn<'s, S, P>| turn.next != number && !turn.is_stopped;
        let turn = self.passed.wait_while(lock(&self.turn), is_early);
        let turn = turn.unwrap_or_else(PoisonError::into_inner);
        (!turn.is_stopped).then_some(turn)
    }

    fn stop(&self, error: Option<ImportError<S::Error>>) {
        let mut turn = lock(&self.turn);
        turn.is_stopped = true;
        turn.error = turn.error.take().or(error);
        drop(turn);
        self.passed.notify_all();
    }
}

/// Keeps the other threads from waiting for one that panicked.
struct StopOnPanic<'t, 's, S: RecordSink, P: FnMut(Progress)>(&'t Shared<'s, S, P>);

impl<S: RecordSink, P: FnMut(Progress)> Drop for StopOnPanic<'_, '_, S, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(None);
        }
    }
}

/// Locks; a thread that panicked has stopped the import already, so nothing inconsistent is used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
