//! Instants that a store knows by name: where its runs start and end, and the latest crash.

use std::cell::OnceCell;
use std::ops::{ControlFlow, Range};

use logq_format::{Event, Lifecycle, RecordType, Timestamp, TypeSet};
use logq_query::when::{MarkError, Marks};

use crate::error::ReadError;
use crate::finality::{LifeState, WriterLife};
use crate::query::{Filter, Query};
use crate::snapshot::Snapshot;

/// The marks of a store, read when they are first asked for.
#[derive(Debug)]
pub struct StoreMarks<'a> {
    snapshot: &'a Snapshot,
    /// When the latest writer was last heard of that is gone and has not left.
    gone: Option<Timestamp>,
    events: OnceCell<Vec<(Timestamp, Mark)>>,
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
        if let Some(events) = self.events.get() {
            return Ok(events);
        }
        let events = self.read().map_err(|error| MarkError::Unreadable(Box::new(error)))?;
        Ok(self.events.get_or_init(|| events))
    }

    fn read(&self) -> Result<Vec<(Timestamp, Mark)>, ReadError> {
        let types = TypeSet::EMPTY
            .with(RecordType::MasterLifecycle)
            .with(RecordType::WorkerExited)
            .with(RecordType::UncaughtException);
        let query = Query { filter: Filter { types, ..Filter::default() }, ..Query::default() };
        let mut events = Vec::new();
        self.snapshot.scan(
            &query,
            |rows| {
                let records = rows.iter().filter_map(|row| row.record().ok());
                let marks = records.filter_map(|record| Some((record.time, mark(&record.event)?)));
                marks.collect::<Vec<_>>()
            },
            |found| {
                events.extend(found);
                ControlFlow::Continue(())
            },
        )?;
        Ok(events)
    }
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
        recorded.max(self.gone).ok_or(MarkError::Absent)
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
