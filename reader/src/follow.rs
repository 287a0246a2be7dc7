//! Records as they are appended: in exact order as soon as that is final, or as they arrive.

use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use logq_format::Timestamp;

use crate::cursor::position::{Extent, HIGHEST, LOWEST, Position, united};
use crate::cursor::{Cursor, Cursors};
use crate::error::{OpenError, ReadError};
use crate::query::{Filter, Order, Query};
use crate::report::{Coverage, Holder, Report};
use crate::rows::{Rank, Rows};
use crate::workspace::Workspaces;

mod account;
mod begin;
mod deliver;
mod frontier;
#[cfg(target_os = "linux")]
mod inotify;
mod pending;
mod round;
mod store;
mod tracked;
mod wake;

use account::Account;
use frontier::Frontier;
use store::{Kind, Store};
use tracked::Tracked;
pub use wake::{Changes, Notification, PollingReason, Wake};

/// How long to wait where the system does not tell of changes, or where a path does not exist yet.
const POLL: Duration = Duration::from_millis(50);

/// How long to wait at most where the system tells of changes. It does not tell when a writer ends.
const LOOK: Duration = Duration::from_millis(500);

/// The first pause while records wait to be final; doubled up to [`POLL`].
const PAUSE: Duration = Duration::from_millis(1);

/// The least time from one look to the next: what is appended meanwhile is handed out together.
const SPACING: Duration = Duration::from_millis(2);

/// What is followed and how. The default hands out everything new in exact order.
#[derive(Clone, Debug)]
pub struct FollowOptions<'q> {
    /// Which records.
    pub filter: Filter<'q>,
    /// Where to begin.
    pub start: Start,
    /// The first instant no longer wanted; once nothing earlier can come, following ends.
    pub until: Option<Timestamp>,
    /// In which order, and when.
    pub delivery: Delivery,
    /// Whether the system is asked to tell of changes. Without, or where it refuses, the stores are
    /// looked at 20 times a second.
    pub notify: bool,
    /// Ends the work under way early, once somebody sets it: nobody waits for it any more, and the
    /// follow is of no further use.
    pub stop: Option<&'q AtomicBool>,
}

impl Default for FollowOptions<'_> {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            start: Start::Now,
            until: None,
            delivery: Delivery::Ordered,
            notify: true,
            stop: None,
        }
    }
}

/// Where following begins.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// With what is appended from now on.
    #[default]
    Now,
    /// With the newest records there are, so many of those that pass the filter.
    Newest(u64),
    /// With the first record from a time on; earlier ones are not wanted even if they come late.
    Since(Timestamp),
    /// Behind a cursor, of ascending order.
    After(Cursor),
}

/// When and in which order records are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In exact order, by time, writer and sequence number; each as soon as no writer of any of the
    /// stores can append an earlier one any more.
    #[default]
    Ordered,
    /// At once, block by block as they were appended.
    Arrival,
}

/// What a call of [`Follow::next`] has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// So many records were handed out.
    Records(u64),
    /// There was nothing for as long as the caller wanted to wait.
    Quiet,
    /// The caller has stopped handing out; the next call goes on behind what was folded.
    Stopped,
    /// No more record will come, since none before `until` can be appended.
    Ended,
}

/// Whom records wait for that have been appended, but are not final.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The writers that may still append earlier records, the slowest first. Empty if nothing is
    /// known of the writers, or if the records are of the future.
    pub holding: Vec<Holder>,
    /// Since when the watermark has not moved, by the wall clock of the reader.
    pub since: Timestamp,
    /// Everything earlier is final.
    pub watermark: Option<Timestamp>,
    /// At most how many records wait, whatever the filter says; those that were there in the beginning
    /// do not count before anything is known of the writers.
    pub records: u64,
}

/// Says why following cannot go on. What was followed is as before; the call may be repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// A path leads to something other than a store, or cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading has failed, or the cursor to begin with does not fit.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Follows stores, or single segments, while they are written: across rotation and deletion, also
/// stores that do not exist yet.
///
/// Every record comes exactly once. With [`Delivery::Ordered`] a record is handed out when the
/// watermark of all stores together has passed it; what holds it back is known to
/// [`Self::waiting_for`]. Records that are appended behind the watermark all the same, by a writer
/// whose clock was stepped back or by an import, are handed out at once and counted in
/// [`Report::late_records`].
///
/// There is no thread: everything happens in [`Self::next`]. Memory is bounded by the slices being
/// decoded; what is not final stays in the files and is read when it is. The costs of a look are
/// those of what is new, of some system calls for each segment that writers may still append to, and
/// of asking for the locks of writers.
///
/// # Examples
///
/// ```
/// # use std::{ops::ControlFlow, time::Duration};
/// # use logq_testkit::{segment::{SegmentOptions, encode}, traffic::TrafficOptions};
/// # let directory = tempfile::tempdir()?;
/// # let traffic = TrafficOptions { records: 1_000, ..TrafficOptions::default() };
/// # let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() })?;
/// # std::fs::write(directory.path().join("0000000001-20260203T000000Z.logq"), segment.bytes)?;
/// use logq_reader::{Delivery, Follow, FollowOptions, Progress, Start};
///
/// let options = FollowOptions {
///     start: Start::Newest(10),
///     delivery: Delivery::Arrival,
///     ..FollowOptions::default()
/// };
/// let mut follow = Follow::new(&[directory.path()], options)?;
/// let mut times = Vec::new();
/// let progress = follow.next(
///     Duration::from_millis(100),
///     |rows, _cursors| rows.iter().map(|row| row.time()).collect::<Vec<_>>(),
///     |found| {
///         times.extend(found);
///         ControlFlow::Continue(())
///     },
/// )?;
/// assert_eq!(progress, Progress::Records(10));
/// println!("go on behind {}", follow.cursor());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follow<'q> {
    filter: Filter<'q>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    delivery: Delivery,
    stop: Option<&'q AtomicBool>,
    stores: Vec<Store>,
    /// By store, then number.
    tracked: Vec<Tracked>,
    /// What decoding needs, as long as the tracked segments are the same.
    workspaces: Workspaces,
    /// What has been handed out.
    position: Position,
    /// Whether what was there in the beginning has been handed out.
    is_caught_up: bool,
    /// The highest rank handed out.
    highest: Option<Rank>,
    frontier: Frontier,
    coverage: Coverage,
    account: Account,
    wake: Wake,
    /// Which names there are may have changed.
    names_changed: bool,
    /// How long to wait while records wait to be final.
    pause: Duration,
    last_round: Option<(Instant, Duration)>,
    held_since: Timestamp,
}

impl<'q> Follow<'q> {
    /// Begins to follow the stores or segments at `paths`, which need not exist.
    ///
    /// With [`Start::Now`], what is appended from here on is handed out; nothing is read before the
    /// first call of [`Self::next`], except to find where to begin.
    ///
    /// # Errors
    ///
    /// Fails where a path leads to something else, where a store cannot be read, and where the
    /// cursor belongs to other stores or to another order.
    pub fn new<P: AsRef<Path>>(
        paths: &[P],
        options: FollowOptions<'q>,
    ) -> Result<Self, FollowError> {
        let since = match options.start {
            Start::Since(since) => Some(since),
            _ => None,
        };
        let (until, filter) = (options.until, options.filter);
        let narrowed = Query { since, until, filter, ..Query::default() }.narrowed();
        let mut follow = Self {
            since: narrowed.since,
            until: narrowed.until,
            filter: narrowed.filter,
            delivery: options.delivery,
            stop: options.stop,
            stores: paths.iter().map(|path| Store::new(path.as_ref())).collect(),
            tracked: Vec::new(),
            workspaces: Workspaces::default(),
            position: Position::start(Order::Ascending, 0, Vec::new()),
            is_caught_up: false,
            highest: None,
            frontier: Frontier::default(),
            coverage: Coverage::default(),
            account: Account::default(),
            wake: Wake::new(options.notify),
            names_changed: true,
            pause: PAUSE,
            last_round: None,
            held_since: now(),
        };
        follow.begin(options.start)?;
        Ok(follow)
    }

    /// Waits until there are records to hand out, at most for `timeout`, and hands them out.
    ///
    /// `map` turns a slice of consecutive records into whatever is wanted of it; it runs on several
    /// threads at once, and the cursors are for the slice's rows. `fold` gets the results in order,
    /// on the calling thread, and may stop; the rest comes with the next call. Without waiting, with
    /// a `timeout` of zero, it looks once.
    ///
    /// # Errors
    ///
    /// Fails where a store can no longer be read, or where there is no memory for decompression.
    /// Damage, truncation and deletion are no errors; see [`Self::report`].
    pub fn next<T: Send>(
        &mut self,
        timeout: Duration,
        map: impl Fn(&Rows<'_>, &Cursors) -> T + Sync,
        mut fold: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Progress, FollowError> {
        let deadline = Instant::now().checked_add(timeout);
        let rest = || match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => LOOK,
        };
        loop {
            self.keep_distance(rest());
            let began = Instant::now();
            let outcome = self.round(&map, &mut fold)?;
            self.last_round = Some((began, began.elapsed()));
            if outcome.stopped.is_some() {
                return Ok(Progress::Stopped);
            }
            if outcome.records > 0 {
                return Ok(Progress::Records(outcome.records));
            }
            if self.is_ended() {
                return Ok(Progress::Ended);
            }
            let rest = rest();
            if rest.is_zero() {
                return Ok(Progress::Quiet);
            }
            self.wait(rest);
        }
    }

    /// The place behind what has been handed out, whatever becomes of the process: with it another
    /// one goes on. Cheap; may be asked after every call of [`Self::next`].
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position.clone() }
    }

    /// What was learned so far beside the records: what is damaged, missing, deleted unread, late.
    pub fn report(&self) -> Report {
        self.account.report(self.coverage.clone(), self.frontier.rank.0)
    }

    /// Whom records wait for that are there but not final; `None` if there are none.
    ///
    /// As of the last look. A few milliseconds are normal; more than seconds mean that a writer was
    /// stopped, or that nothing is known of the writers.
    pub fn waiting_for(&self) -> Option<Waiting> {
        let records: u64 = self.tracked.iter().map(|tracked| tracked.pending.records()).sum();
        let is_blind = !self.is_caught_up && self.frontier.rank == LOWEST;
        (records > 0 || (is_blind && !self.tracked.is_empty())).then(|| Waiting {
            holding: self.coverage.holding.clone(),
            since: self.held_since,
            watermark: self.coverage.watermark,
            records,
        })
    }

    /// How changes are noticed.
    pub fn notification(&self) -> Notification {
        self.wake.notification()
    }

    /// A descriptor that has something to read when something may have come: for those who wait for other
    /// things as well, and then call [`next`](Self::next) with no time to wait. `None` where everything is
    /// polled; records that wait for others are told by time alone.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.wake.descriptor()
    }

    /// Whether nothing that is wanted can come any more.
    fn is_ended(&self) -> bool {
        // Where nothing is known of any writer, one may begin at any time.
        let is_past = |until| {
            let rank =
                if self.frontier.rank == HIGHEST { (now(), 0, 0) } else { self.frontier.rank };
            rank >= (until, 0, 0)
        };
        self.is_caught_up && self.until.is_some_and(is_past)
    }

    /// Waits a little where the last look was only a moment ago, so that looking does not keep a
    /// processor busy.
    fn keep_distance(&self, rest: Duration) {
        if let Some((began, took)) = self.last_round {
            let spacing = SPACING.max(took);
            let early = (began + spacing).saturating_duration_since(Instant::now());
            std::thread::sleep(early.min(rest));
        }
    }

    fn wait(&mut self, rest: Duration) {
        let is_pending = self.tracked.iter().any(|tracked| !tracked.pending.is_empty());
        let is_missing = self.stores.iter().any(|store| store.kind == Kind::Missing);
        let is_told = self.wake.notification() == Notification::Inotify;
        let mut interval = if is_told && !is_missing { LOOK } else { POLL };
        if is_pending {
            interval = interval.min(self.pause);
            self.pause = (self.pause * 2).min(POLL);
        }
        let changes = self.wake.wait(rest.min(interval));
        self.names_changed |= changes.names;
        if changes.any {
            self.pause = PAUSE;
        }
    }

    /// The query for what is ranked below `ceiling`.
    fn query(&self, ceiling: Rank) -> Query<'q> {
        let until = (ceiling < HIGHEST).then(|| ceiling.0.saturating_add_micros(1));
        Query {
            since: self.since,
            until: self.until.into_iter().chain(until).min(),
            filter: self.filter.clone(),
            stop: self.stop,
            ..Query::default()
        }
    }

    /// Everything in the tracked segments that is ranked below `ceiling` has been handed out.
    fn advance_below(&mut self, ceiling: Rank) {
        let Some(rank) = before(ceiling) else { return };
        self.tracked.iter_mut().for_each(|tracked| tracked.advance(rank));
        let (unborn, extents) = self.extents();
        self.position = self.position.advanced(rank, unborn, extents);
    }

    /// The bytes of which something has been handed out, and the number of stores without any.
    fn extents(&self) -> (u8, Vec<Extent>) {
        self.extents_with(&mut self.tracked.iter().map(|tracked| (tracked, tracked.known())))
    }

    /// The bytes of the stores, given how far each open segment is to count.
    fn extents_with(&self, ends: &mut dyn Iterator<Item = (&Tracked, u64)>) -> (u8, Vec<Extent>) {
        let mut of_stores = vec![Vec::new(); self.stores.len()];
        for (tracked, len) in ends.filter(|(tracked, _)| !tracked.is_deleted) {
            if let Some(ends) = of_stores.get_mut(tracked.store) {
                ends.push((tracked.end(len), tracked.may_grow()));
            }
        }
        let of_stores = self.stores.iter().zip(of_stores);
        let extents: Vec<_> =
            of_stores.filter_map(|(store, open)| store.extent(open.into_iter())).collect();
        let unborn = u8::try_from(self.stores.len() - extents.len()).unwrap_or(u8::MAX);
        (unborn, united(extents))
    }
}

impl fmt::Debug for Follow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("stores", &self.stores)
            .field("filter", &self.filter)
            .field("delivery", &self.delivery)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}

/// The highest rank below another one; `None` below the lowest, and for the highest that one.
fn before(rank: Rank) -> Option<Rank> {
    match rank {
        HIGHEST => Some(HIGHEST),
        LOWEST => None,
        (time, 0, 0) => Some((time.saturating_add_micros(-1), u32::MAX, u64::MAX)),
        (time, writer, 0) => Some((time, writer - 1, u64::MAX)),
        (time, writer, sequence) => Some((time, writer, sequence - 1)),
    }
}

/// The present, by the wall clock.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
