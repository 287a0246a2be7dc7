//! Instants that a store knows by name: where its runs start and end, and the latest crash.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use logq_format::{Event, Lifecycle, RecordType, Timestamp, TypeSet, WriterId};
use logq_query::when::{MarkError, Marks};

use crate::error::ReadError;
use crate::finality::{LifeState, WriterLife};
use crate::query::{Filter, Order, Query};
use crate::rows::Row;
use crate::snapshot::Snapshot;

/// The marks of a store, read when they are first asked for.
#[derive(Debug)]
pub struct StoreMarks<'a> {
    snapshot: &'a Snapshot,
    /// When the latest writer was last heard of that is gone and has not left.
    gone: Option<Timestamp>,
    events: OnceCell<Events>,
}

/// The marks of a store, oldest first.
#[derive(Debug, Default)]
struct Events {
    marks: Vec<(Timestamp, Mark)>,
    /// Who wrote each of them.
    writers: Vec<WriterId>,
}

/// What a lifecycle record says about the run it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The cluster starts.
    Start,
    /// It has ended in good order.
    End,
    /// A process met an exception or ended badly; the run may go on.
    Crash,
}

impl<'a> StoreMarks<'a> {
    /// The marks of what a snapshot holds.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, gone: None, events: OnceCell::new() }
    }

    /// Takes what the machine knows into account: a writer that is gone and has not left its segment in
    /// good order crashed, just behind its last record, also where nobody lived to record that.
    #[must_use]
    pub fn with_writers(mut self, writers: &[WriterLife]) -> Self {
        let gone = writers.iter().filter(|life| life.state == LifeState::Gone);
        let ends = gone.map(|life| life.holder.floor.saturating_add_micros(1));
        self.gone = self.gone.max(ends.max());
        self
    }

    /// All marks, oldest first.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn events(&self) -> Result<&[(Timestamp, Mark)], MarkError> {
        Ok(&self.known()?.marks)
    }

    fn known(&self) -> Result<&Events, MarkError> {
        if let Some(events) = self.events.get() {
            return Ok(events);
        }
        let events = self.read().map_err(unreadable)?;
        Ok(self.events.get_or_init(|| events))
    }

    fn read(&self) -> Result<Events, ReadError> {
        let types = TypeSet::EMPTY
            .with(RecordType::MasterLifecycle)
            .with(RecordType::WorkerExited)
            .with(RecordType::UncaughtException);
        let query = Query { filter: Filter { types, ..Filter::default() }, ..Query::default() };
        let mut events = Events::default();
        self.snapshot.scan(
            &query,
            |rows| {
                let mark = |row: Row<'_>| {
                    let record = row.record().ok()?;
                    Some(((record.time, mark(&record.event)?), row.origin().writer))
                };
                rows.iter().filter_map(mark).collect::<Vec<_>>()
            },
            |found| {
                for (mark, writer) in found {
                    events.marks.push(mark);
                    events.writers.push(writer);
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(events)
    }

    /// Just behind the last record of the latest run that was broken off without anybody there to record
    /// it, so that the next one began without an end: where runs are known to record their ends.
    fn broken_off(&self) -> Result<Option<Timestamp>, MarkError> {
        let Events { marks, writers } = self.known()?;
        let of = |wanted: Mark| {
            let events = marks.iter().zip(writers).filter(move |((_, mark), _)| *mark == wanted);
            events.map(|((time, _), writer)| (*time, *writer))
        };
        let (starts, ended): (Vec<_>, BTreeSet<_>) =
            (of(Mark::Start).collect(), of(Mark::End).map(|(_, writer)| writer).collect());
        // Those that may live, and those of which the machine knows that they do not.
        let holding = &self.snapshot.coverage().holding;
        let is_known =
            |writer| ended.contains(&writer) || holding.iter().any(|h| h.origin.writer == writer);
        let broken = starts.windows(2).rev().find_map(|pair| match pair {
            [(start, writer), (next, _)] if !is_known(*writer) => Some(*start..*next),
            _ => None,
        });
        match broken {
            Some(times) if !ended.is_empty() => self.last_of(times),
            _ => Ok(None),
        }
    }

    /// Just behind the last record of a stretch of time.
    fn last_of(&self, times: Range<Timestamp>) -> Result<Option<Timestamp>, MarkError> {
        let query = Query {
            since: Some(times.start),
            until: Some(times.end),
            order: Order::Descending,
            limit: Some(1),
            ..Query::default()
        };
        let mut last = None;
        let scanned = self.snapshot.scan(
            &query,
            |rows| rows.iter().map(|row| row.time()).max(),
            |time| {
                last = last.max(time);
                ControlFlow::Continue(())
            },
        );
        scanned.map_err(unreadable)?;
        Ok(last.map(|last| last.saturating_add_micros(1)))
    }
}

fn unreadable(error: ReadError) -> MarkError {
    MarkError::Unreadable(Box::new(error))
}

fn mark(event: &Event<'_>) -> Option<Mark> {
    match event {
        Event::Lifecycle(Lifecycle::StartingUp) => Some(Mark::Start),
        Event::Lifecycle(Lifecycle::ShuttingDownCompleted) => Some(Mark::End),
        Event::UncaughtException { .. } => Some(Mark::Crash),
        Event::WorkerExited(exited) if !exited.is_orderly() => Some(Mark::Crash),
        _ => None,
    }
}

impl Marks for StoreMarks<'_> {
    fn crash(&self) -> Result<Timestamp, MarkError> {
        let mut crashes = self.events()?.iter().rev().filter(|(_, mark)| *mark == Mark::Crash);
        let recorded = crashes.next().map(|(time, _)| *time);
        recorded.max(self.gone).max(self.broken_off()?).ok_or(MarkError::Absent)
    }

    fn run(&self, back: u32) -> Result<Range<Timestamp>, MarkError> {
        let events = self.events()?;
        let mut starts = events.iter().enumerate().rev().filter(|(_, (_, m))| *m == Mark::Start);
        let (place, (start, _)) = starts.nth(back as usize).ok_or(MarkError::Absent)?;
        let behind = events.iter().skip(place + 1);
        let end = behind.into_iter().find(|(_, mark)| *mark != Mark::Crash);
        Ok(*start..end.map_or(Timestamp::MAX, |(time, mark)| match mark {
            Mark::End => time.saturating_add_micros(1),
            _ => *time,
        }))
    }
}
