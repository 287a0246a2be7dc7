//! What is known of one process of a cluster: its lives one after the other.

use std::time::Duration;

use logq_format::{Event, Level, Lifecycle, Record, Timestamp};
use logq_reader::{LifeState, WriterLife, WriterSummary};

use crate::output::push;

/// A living process that has held records back for longer than this is stopped or stuck.
const SILENT: Duration = Duration::from_secs(2);

/// Lives shorter than this, ending badly, make a restart loop.
const SHORT_LIFE: Duration = Duration::from_secs(60);

/// So many of them in a row.
const SHORT_LIVES: usize = 3;

/// What one record tells of a process.
#[derive(Clone, Debug)]
pub(crate) enum Sign {
    Spawned(Timestamp),
    /// It has begun to log.
    Started(Timestamp),
    /// It met an exception that nobody caught.
    Crashed(Timestamp),
    /// It has said that it is done.
    Done(Timestamp),
    Exited(Timestamp, End),
}

/// How a process ended, as the master recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    exit_code: Option<i32>,
    signal: Option<String>,
    is_orderly: bool,
}

impl Sign {
    pub(crate) fn of(record: &Record<'_>) -> Option<Self> {
        let time = record.time;
        match &record.event {
            Event::WorkerSpawned { .. } => Some(Self::Spawned(time)),
            Event::WorkerExited(exited) => {
                let end = End {
                    exit_code: exited.exit_code,
                    signal: exited.signal.map(str::to_owned),
                    is_orderly: exited.is_orderly(),
                };
                Some(Self::Exited(time, end))
            }
            Event::UncaughtException { .. } => Some(Self::Crashed(time)),
            Event::Lifecycle(Lifecycle::WorkerStarted | Lifecycle::StartingUp) => {
                Some(Self::Started(time))
            }
            Event::Lifecycle(Lifecycle::WorkerDone | Lifecycle::ShuttingDownCompleted) => {
                Some(Self::Done(time))
            }
            _ => None,
        }
    }
}

/// The lives of one process.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    lives: Vec<Life>,
    records: u64,
    last: Option<Timestamp>,
    /// What the machine knows of its writers, the latest one last.
    machine: Vec<WriterLife>,
}

#[derive(Debug)]
struct Life {
    begun: Timestamp,
    /// Whether it has logged its start, so that the next start is another life.
    has_started: bool,
    crashed: bool,
    ended: Option<(Timestamp, Option<End>)>,
}

/// How a process is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// It holds records back since then.
    Silent(Timestamp),
    Ended(Timestamp, End),
    /// It said that it was done.
    Left(Timestamp),
    Gone,
    /// The machine does not tell.
    Unknown,
}

impl Lane {
    pub(crate) fn add_writer(&mut self, writer: &WriterSummary) {
        self.records += writer.records;
        self.last = self.last.max(writer.span.map(|(_, last)| last));
    }

    /// Adds what a record tells, in the order of time.
    pub(crate) fn add_sign(&mut self, sign: Sign) {
        match sign {
            Sign::Spawned(time) => self.begin(time, false),
            Sign::Started(time) => match self.lives.last_mut() {
                // The master has told already that it was spawned.
                Some(life) if !life.has_started && life.ended.is_none() => life.has_started = true,
                _ => self.begin(time, true),
            },
            Sign::Crashed(time) => self.change(time, |life| life.crashed = true),
            Sign::Done(time) => self.change(time, |life| life.ended = Some((time, None))),
            Sign::Exited(time, end) => match self.lives.last_mut() {
                // It said that it was done before the master saw it end.
                Some(life) if !matches!(life.ended, Some((_, Some(_)))) => {
                    life.ended = Some((time, Some(end)));
                }
                _ => self.change(time, |life| life.ended = Some((time, Some(end)))),
            },
        }
    }

    pub(crate) fn add_life(&mut self, life: &WriterLife) {
        self.machine.push(*life);
        self.machine.sort_by_key(|life| life.holder.floor);
    }

    fn begin(&mut self, begun: Timestamp, has_started: bool) {
        self.lives.push(Life { begun, has_started, crashed: false, ended: None });
    }

    /// Changes the life that goes on at `time`.
    fn change(&mut self, time: Timestamp, change: impl FnOnce(&mut Life)) {
        if self.lives.last().is_none_or(|life| life.ended.is_some()) {
            self.begin(time, false);
        }
        if let Some(life) = self.lives.last_mut() {
            change(life);
        }
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// When its latest life began, as far as the store reaches back.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.lives.last().map(|life| life.begun)
    }

    pub(crate) fn lives(&self) -> usize {
        self.lives.len()
    }

    pub(crate) fn bad_ends(&self) -> usize {
        self.lives.iter().filter(|life| life.is_bad()).count()
    }

    /// Whether its last lives were short and ended badly.
    pub(crate) fn is_looping(&self) -> bool {
        let ended = self.lives.iter().rev().skip_while(|life| life.ended.is_none());
        let mut short = ended.take(SHORT_LIVES).filter(|life| life.is_bad() && life.is_short());
        short.by_ref().count() == SHORT_LIVES
    }

    /// The process id of its writer, if it lives.
    pub(crate) fn pid(&self) -> Option<u32> {
        let alive = self.alive().map(|life| life.holder.pid);
        alive.filter(|pid| *pid > 0)
    }

    /// The time up to which the machine knows of its latest writer that has not left.
    fn floor(&self) -> Timestamp {
        self.machine.last().map_or(Timestamp::MIN, |life| life.holder.floor)
    }

    fn alive(&self) -> Option<&WriterLife> {
        let is_alive =
            |life: &&WriterLife| matches!(life.state, LifeState::Idle | LifeState::Busy { .. });
        self.machine.iter().rev().find(is_alive)
    }

    /// How it is at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if let Some(life) = self.alive() {
            return match life.state {
                LifeState::Busy { pending_since: Some(since) }
                    if Duration::from_micros(now.micros_since(since)) > SILENT =>
                {
                    State::Silent(since)
                }
                _ => State::Alive,
            };
        }
        match self.lives.last().and_then(|life| life.ended.clone()) {
            Some((time, Some(end))) => State::Ended(time, end),
            Some((time, None)) => State::Left(time),
            None => match self.machine.last().map(|life| life.state) {
                // A later writer of this number has left in good order.
                Some(LifeState::Gone) if self.last.is_some_and(|last| last > self.floor()) => {
                    self.last.map_or(State::Unknown, State::Left)
                }
                Some(LifeState::Gone) => State::Gone,
                Some(_) => State::Unknown,
                // Its segments say that it has left.
                None => self.last.map_or(State::Unknown, State::Left),
            },
        }
    }
}

impl Life {
    fn is_bad(&self) -> bool {
        let badly =
            |(_, end): &(Timestamp, Option<End>)| end.as_ref().is_some_and(|end| !end.is_orderly);
        self.crashed || self.ended.as_ref().is_some_and(badly)
    }

    fn is_short(&self) -> bool {
        let lasted = |(end, _): &(Timestamp, Option<End>)| {
            Duration::from_micros(end.micros_since(self.begun))
        };
        self.ended.as_ref().is_some_and(|ended| lasted(ended) < SHORT_LIFE)
    }
}

impl State {
    /// The word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Silent(_) => "silent",
            Self::Ended(_, End { signal: Some(_), .. }) => "killed",
            Self::Ended(..) => "exited",
            Self::Left(_) => "left",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }

    /// The level by which it is coloured.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Alive | Self::Left(_) => Level::Info,
            Self::Ended(_, end) if end.is_orderly => Level::Info,
            Self::Silent(_) | Self::Unknown => Level::Warn,
            Self::Ended(..) | Self::Gone => Level::Error,
        }
    }

    /// Since when.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Silent(time) | Self::Ended(time, _) | Self::Left(time) => Some(*time),
            Self::Alive | Self::Gone | Self::Unknown => None,
        }
    }

    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Ended(_, end) => end.exit_code,
            _ => None,
        }
    }

    pub(crate) fn signal(&self) -> Option<&str> {
        match self {
            Self::Ended(_, end) => end.signal.as_deref(),
            _ => None,
        }
    }

    /// Appends it in words.
    pub(crate) fn write(&self, out: &mut Vec<u8>, write_time: impl Fn(&mut Vec<u8>, Timestamp)) {
        out.extend_from_slice(self.name().as_bytes());
        if let Some(signal) = self.signal() {
            push(out, format_args!(" by {signal}"));
        } else if let Some(code) = self.exit_code() {
            push(out, format_args!(" with code {code}"));
        }
        if let Some(since) = self.since() {
            let word = if matches!(self, Self::Silent(_)) { "since" } else { "at" };
            push(out, format_args!(" {word} "));
            write_time(out, since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn killed() -> End {
        End { exit_code: None, signal: Some("SIGKILL".to_owned()), is_orderly: false }
    }

    fn lane(signs: &[Sign]) -> Lane {
        let mut lane = Lane::default();
        signs.iter().for_each(|sign| lane.add_sign(sign.clone()));
        lane
    }

    #[test]
    fn spawning_and_starting_are_one_life() {
        let signs = [
            Sign::Spawned(at(1)),
            Sign::Started(at(2)),
            Sign::Exited(at(3), killed()),
            Sign::Started(at(4)),
        ];
        let lane = lane(&signs);
        assert_eq!((lane.lives(), lane.bad_ends(), lane.started()), (2, 1, Some(at(4))));
    }

    #[test]
    fn a_worker_that_is_done_and_then_exits_ends_once() {
        let orderly = End { exit_code: Some(0), signal: None, is_orderly: true };
        let signs = [Sign::Spawned(at(1)), Sign::Done(at(2)), Sign::Exited(at(3), orderly.clone())];
        let lane = lane(&signs);
        assert_eq!((lane.lives(), lane.bad_ends()), (1, 0));
        assert_eq!(lane.state(at(9)), State::Ended(at(3), orderly));
    }

    #[test]
    fn three_short_lives_that_ended_badly_are_a_restart_loop() {
        let lives = |lengths: &[i64]| {
            let mut start = 0;
            let mut signs = Vec::new();
            for length in lengths {
                signs.push(Sign::Spawned(at(start)));
                signs.push(Sign::Exited(at(start + length), killed()));
                start += length + 1;
            }
            lane(&signs)
        };
        assert!(lives(&[500, 1, 1, 59]).is_looping());
        assert!(!lives(&[1, 1]).is_looping());
        assert!(!lives(&[1, 1, 61]).is_looping());
    }
}
