//! A logq store as a source: what its records tell of requests, replayed or followed.
//!
//! A replay visits spines on all cores in a thread of its own, which is a few slices ahead. Who
//! follows gets records in exact order over all writers and across rotation.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use logq_format::{Event, RecordType, Response, Timestamp, TypeSet, segment_number};
use logq_monitor::{
    Exchange, ExchangeOptions, Leg, Monitor, Needs, OpenRequest, Slice, SourceId, Told,
};
use logq_reader::{
    Cursor, Cursors, Filter, Follow, FollowOptions, Glimpse, Notification, Order, Progress, Query,
    Report, Snapshot, Start, VisitDepth,
};

use super::from::Begin;

/// Slices that wait to be counted.
const AHEAD: usize = 2;
/// Slices that are taken of a store that is followed before what they say is told.
const SLICES: usize = 16;
/// How long a replay waits for a slice before somebody looks at the time again.
const WAIT: Duration = Duration::from_millis(100);

/// The records that tell of requests.
const TYPES: TypeSet = TypeSet::EMPTY
    .with(RecordType::Request)
    .with(RecordType::Response)
    .with(RecordType::ResponseFinished);

/// A store that is read.
pub(super) struct Records {
    exchange: Exchange,
    needs: Needs,
    /// Slices are made like this one.
    pattern: Slice,
    reading: Reading,
}

enum Reading {
    /// To where the store ends now.
    Replay(Replay),
    Follow(Box<Follow<'static>>),
}

/// A store that is read by a thread.
struct Replay {
    /// Each with the time before which all records have come with it.
    slices: Receiver<(Slice, Timestamp)>,
    thread: Option<JoinHandle<anyhow::Result<Report>>>,
    cursors: Cursors,
    /// Behind which record it was counted.
    place: Cursor,
}

/// Where in a store reading begins: with its first record, with a time, or behind a cursor.
struct Whence {
    since: Option<Timestamp>,
    after: Option<Cursor>,
}

/// What reading a store came to.
pub(super) enum Step {
    /// There may be more.
    Read,
    /// There is nothing to read for now.
    Nothing,
    /// It has ended; what was wrong with it, one line each.
    End(Vec<String>),
}

/// Whether a path is a store: a directory with segments, or a segment.
pub(super) fn is_store(path: &Path) -> bool {
    let is_segment = |name: &std::ffi::OsStr| name.to_str().and_then(segment_number).is_some();
    if !path.is_dir() {
        return path.file_name().is_some_and(is_segment);
    }
    let entries = std::fs::read_dir(path);
    entries.is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|e| is_segment(&e.file_name()))))
}

impl Records {
    /// Opens a store: from the cursor on, before which these requests were open, if there is one, else
    /// from where `from` says.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the cursor is not of this store.
    pub(super) fn open(
        path: &Path,
        follows: bool,
        place: Option<(Cursor, Vec<OpenRequest>)>,
        from: Begin,
        source: SourceId,
        monitor: &Monitor,
    ) -> anyhow::Result<Self> {
        let (after, open) = place.unzip();
        let mut exchange = Exchange::new(source, ExchangeOptions::default());
        exchange.restore(open.unwrap_or_default());
        let (needs, pattern) = (Exchange::needs(monitor), exchange.slice(monitor));
        let whence = Whence::of(path, after, from)?;
        let reading = match follows {
            true => follow(path, whence)?,
            false => {
                let snapshot = Snapshot::open(&[path])?;
                replay(snapshot, whence, needs, pattern.fresh())?
            }
        };
        Ok(Self { exchange, needs, pattern, reading })
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// The store can no longer be read.
    pub(super) fn read(&mut self, monitor: &mut Monitor) -> anyhow::Result<Step> {
        match &mut self.reading {
            Reading::Replay(replay) => match replay.slices.recv_timeout(WAIT) {
                Ok((slice, until)) => {
                    self.exchange.fold(slice, monitor);
                    replay.place = replay.cursors.before(until);
                    Ok(Step::Read)
                }
                Err(RecvTimeoutError::Timeout) => Ok(Step::Nothing),
                Err(RecvTimeoutError::Disconnected) => replay.end(),
            },
            Reading::Follow(follow) => {
                let (mut slices, needs, pattern) = (Vec::new(), self.needs, &self.pattern);
                let progress = follow.next(
                    Duration::ZERO,
                    |rows, _| {
                        let mut slice = pattern.fresh();
                        rows.iter()
                            .for_each(|row| row.glimpse(|seen| see(&mut slice, seen, needs)));
                        slice
                    },
                    |slice| {
                        slices.push(slice);
                        let is_enough = slices.len() >= SLICES;
                        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    },
                )?;
                slices.into_iter().for_each(|slice| self.exchange.fold(slice, monitor));
                Ok(match progress {
                    Progress::Quiet => Step::Nothing,
                    Progress::Ended => Step::End(wrong(&follow.report())),
                    _ => Step::Read,
                })
            }
        }
    }

    /// Behind which record a later run goes on: behind what was counted.
    pub(super) fn place(&self) -> Cursor {
        match &self.reading {
            Reading::Follow(follow) => follow.cursor(),
            Reading::Replay(replay) => replay.place.clone(),
        }
    }

    /// The requests that have no response yet, for a later run.
    pub(super) fn save(&self) -> Vec<OpenRequest> {
        self.exchange.save()
    }

    /// A descriptor that has something to read when something may have come.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.reading {
            Reading::Follow(follow) => follow.descriptor(),
            Reading::Replay(_) => None,
        }
    }

    /// How changes are noticed, if they are.
    pub(super) fn notification(&self) -> Option<Notification> {
        match &self.reading {
            Reading::Follow(follow) => Some(follow.notification()),
            Reading::Replay(_) => None,
        }
    }

    /// Requests that have no response yet.
    pub(super) fn open_requests(&self) -> usize {
        self.exchange.open()
    }
}

impl Replay {
    /// The thread has sent all that it will.
    fn end(&mut self) -> anyhow::Result<Step> {
        let Some(Ok(report)) = self.thread.take().map(JoinHandle::join) else {
            bail!("the thread that reads it has failed")
        };
        let report = report?;
        self.place = self.cursors.end();
        Ok(Step::End(wrong(&report)))
    }
}

impl Whence {
    /// # Errors
    ///
    /// The store cannot be read.
    fn of(path: &Path, after: Option<Cursor>, from: Begin) -> anyhow::Result<Self> {
        let (since, after) = match (after, from) {
            (Some(after), _) => (None, Some(after)),
            (None, Begin::Start) => (None, None),
            (None, Begin::End) => (None, Some(Snapshot::open(&[path])?.cursors(&query())?.end())),
            (None, Begin::Back(seconds)) => (back(&Snapshot::open(&[path])?, seconds)?, None),
        };
        Ok(Self { since, after })
    }

    fn query(&self) -> Query<'_> {
        Query { since: self.since, after: self.after.as_ref(), ..query() }
    }

    fn start(self) -> Start {
        self.after.map_or(Start::Since(self.since.unwrap_or(Timestamp::MIN)), Start::After)
    }
}

fn query() -> Query<'static> {
    Query { filter: Filter { types: TYPES, ..Filter::default() }, ..Query::default() }
}

/// So many seconds before the second of the newest record; nothing if there is none.
fn back(snapshot: &Snapshot, seconds: u32) -> anyhow::Result<Option<Timestamp>> {
    let query = Query { order: Order::Descending, limit: Some(1), ..query() };
    let mut newest = None;
    snapshot.scan(
        &query,
        |rows| rows.iter().map(|row| row.time()).max(),
        |found| {
            newest = newest.max(found);
            ControlFlow::Continue(())
        },
    )?;
    let second = newest.map(|newest| newest.as_micros().div_euclid(1_000_000));
    let since = second.map(|second| second - i64::from(seconds));
    Ok(since.map(|since| Timestamp::from_micros(since.saturating_mul(1_000_000))))
}

fn follow(path: &Path, whence: Whence) -> anyhow::Result<Reading> {
    let (filter, start) = (query().filter, whence.start());
    let options = FollowOptions { filter, start, ..FollowOptions::default() };
    Ok(Reading::Follow(Box::new(Follow::new(&[path], options)?)))
}

fn replay(
    snapshot: Snapshot,
    whence: Whence,
    needs: Needs,
    pattern: Slice,
) -> anyhow::Result<Reading> {
    let (sender, slices) = sync_channel(AHEAD);
    let cursors = snapshot.cursors(&whence.query())?;
    let place = cursors.start();
    let depth = match needs {
        Needs { clients: true, .. } => VisitDepth::Heads,
        Needs { urls: true, .. } => VisitDepth::Targets,
        Needs { targets: true, .. } => VisitDepth::Sections,
        Needs { .. } => VisitDepth::Steps,
    };
    let read = move || -> anyhow::Result<Report> {
        let report = snapshot.visit(
            &whence.query(),
            depth,
            || pattern.fresh(),
            |slice, seen| see(slice, seen, needs),
            // Nobody takes any more when the run is over.
            |slice, until| match sender.send((slice, until)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        )?;
        Ok(report)
    };
    let thread = thread::Builder::new().name("store".to_owned()).spawn(read);
    let thread = thread.context("cannot start a thread")?;
    Ok(Reading::Replay(Replay { slices, thread: Some(thread), cursors, place }))
}

/// Adds what records tell.
fn see(slice: &mut Slice, seen: &Glimpse<'_>, needs: Needs) {
    match seen {
        Glimpse::Steps(steps) => {
            let mut block = slice.block(steps.ids(), steps.sections(), steps.heads());
            steps.for_each(|step| block.add(step));
            block.end();
        }
        Glimpse::Record(record) => {
            let (id, told) = match &record.event {
                Event::Request(request) => (request.request, Told::of_head(request, needs)),
                Event::Response(response) => {
                    let Response { status, bytes, duration_us, .. } = *response;
                    (response.request, Told::Response { status, bytes, duration_us })
                }
                Event::ResponseFinished(finished) => {
                    (finished.request, Told::Finished { bytes: finished.bytes })
                }
                _ => return,
            };
            slice.add(Leg { time: record.time, id, told });
        }
    }
}

/// What is wrong with a store, one line each.
fn wrong(report: &Report) -> Vec<String> {
    crate::damage::page(report).lines().map(str::to_owned).collect()
}

/// A store that cannot be opened is a source that cannot be opened.
pub(super) fn open_error(error: &anyhow::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}
