//! Reads pipes until they end or somebody says that it is time to stop, and has their lines recorded.
//!
//! One thread does all of it. It waits for the pipes, for the [`Stopper`] and for records that become
//! complete by silence, and reads only what is there, so that it never waits for bytes that may not
//! come.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::import::LineParser;
use crate::live_lines::LineFormat;
use crate::live_lines::join::Joiner;
use crate::live_lines::pieces::Pieces;
use crate::live_lines::{Recorder, Stream, Tee};

/// How long pipes that others hold open are still waited for once the end is in sight.
const GRACE: Duration = Duration::from_secs(1);

/// The most bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// The most bytes that are read from each pipe after the grace period: as many as a pipe can hold,
/// so that a process that never stops printing does not keep everyone here.
const LAST_BYTES_MAX: usize = 1 << 20;

/// A pipe with lines.
pub(crate) struct Source {
    pub(crate) stream: Stream,
    pub(crate) pipe: File,
    /// Where its bytes go as well.
    pub(crate) tee: Option<Tee>,
}

/// Reads pipes and has their lines recorded.
pub(crate) struct Pump {
    sources: Vec<Reading>,
    joiner: Joiner,
    recorder: Recorder,
    control: Option<PipeReader>,
    /// When to stop, whether the pipes have ended or not.
    deadline: Option<Instant>,
    buffer: Vec<u8>,
    lines: u64,
}

struct Reading {
    source: Source,
    pieces: Pieces,
    has_ended: bool,
}

/// Tells a pump to stop; belongs to another thread.
pub(crate) struct Stopper {
    control: PipeWriter,
}

/// What a pump did.
#[derive(Debug)]
pub(crate) struct Pumped {
    /// Whether all pipes were read to their end.
    pub(crate) is_complete: bool,
    /// Why a pipe could not be read to its end.
    pub(crate) failure: Option<io::Error>,
    pub(crate) lines: u64,
    pub(crate) records: u64,
}

const SOON: u8 = b's';
const NOW: u8 = b'n';

impl Stopper {
    /// Stops the pump when the pipes end, or after a second.
    pub(crate) fn stop_soon(&mut self) {
        self.send(SOON);
    }

    /// Stops the pump when it has read what is there.
    pub(crate) fn stop_now(&mut self) {
        self.send(NOW);
    }

    fn send(&mut self, message: u8) {
        // It fails only if the pump has ended, and then there is nothing left to stop.
        let _ = self.control.write_all(&[message]);
    }
}

impl Pump {
    /// A pump for these pipes, and what stops it.
    ///
    /// # Errors
    ///
    /// The pipe between the two cannot be made.
    pub(crate) fn new(
        sources: Vec<Source>,
        format: LineFormat,
        parser: LineParser,
        recorder: Recorder,
    ) -> io::Result<(Self, Stopper)> {
        let (reader, control) = io::pipe()?;
        let streams: Vec<_> = sources.iter().map(|source| source.stream).collect();
        let reading = |source| Reading { source, pieces: Pieces::default(), has_ended: false };
        let pump = Self {
            sources: sources.into_iter().map(reading).collect(),
            joiner: Joiner::new(format, parser, &streams),
            recorder,
            control: Some(reader),
            deadline: None,
            buffer: vec![0; READ_BYTES],
            lines: 0,
        };
        Ok((pump, Stopper { control }))
    }

    /// Runs until the pipes have ended or the pump was stopped. Whatever was read is logged then.
    pub(crate) fn run(mut self) -> Pumped {
        let mut failure = None;
        while self.sources.iter().any(|reading| !reading.has_ended) {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for index in ready {
                if let Err(error) = self.read(index) {
                    failure.get_or_insert(error);
                }
            }
            self.joiner.tick(Instant::now());
            self.record();
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.read_the_rest();
                break;
            }
        }
        let is_complete = self.sources.iter().all(|reading| reading.has_ended) && failure.is_none();
        (0..self.sources.len()).for_each(|index| self.end(index));
        self.record();
        Pumped { is_complete, failure, lines: self.lines, records: self.recorder.records }
    }

    /// Waits for something to happen and returns the pipes that can be read without waiting.
    fn wait(&mut self) -> io::Result<Vec<usize>> {
        let deadline = [self.joiner.deadline(), self.deadline].into_iter().flatten().min();
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the deadline has passed when the wait is over.
            let millis = left.as_micros().div_ceil(1000);
            u16::try_from(millis).map_or(PollTimeout::from(u16::MAX), PollTimeout::from)
        });
        let open: Vec<usize> = self.open().collect();
        let control = self.control.as_ref().map(AsFd::as_fd);
        let pipes =
            self.sources.iter().filter(|reading| !reading.has_ended).map(|r| r.source.pipe.as_fd());
        let mut waited: Vec<_> =
            pipes.chain(control).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut waited, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> =
            waited.iter().map(|fd| fd.revents().is_none_or(|what| !what.is_empty())).collect();
        if happened.get(open.len()) == Some(&true) {
            self.obey();
        }
        let ready = open.into_iter().zip(happened).filter(|(_, happened)| *happened);
        Ok(ready.map(|(index, _)| index).collect())
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        let open = self.sources.iter().enumerate().filter(|(_, reading)| !reading.has_ended);
        open.map(|(index, _)| index)
    }

    /// Reads what the stopper said.
    fn obey(&mut self) {
        let mut messages = [0; 16];
        let Some(control) = &mut self.control else { return };
        let len = control.read(&mut messages).unwrap_or(0);
        if len == 0 {
            // Nobody is left who could stop this pump.
            self.control = None;
        }
        for message in messages.iter().take(len) {
            let grace = if *message == NOW { Duration::ZERO } else { GRACE };
            let deadline = Instant::now() + grace;
            self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        }
    }

    /// Reads a pipe once and returns how many bytes came.
    fn read(&mut self, index: usize) -> io::Result<usize> {
        let Some(reading) = self.sources.get_mut(index) else { return Ok(0) };
        let len = match reading.source.pipe.read(&mut self.buffer) {
            Ok(len) => len,
            Err(error) if is_temporary(&error) => return Ok(0),
            Err(error) => {
                self.end(index);
                return Err(error);
            }
        };
        if len == 0 {
            self.end(index);
            return Ok(0);
        }
        let bytes = self.buffer.get(..len).unwrap_or_default();
        if let Some(tee) = &mut reading.source.tee {
            tee.write(bytes);
        }
        let now = Instant::now();
        let (joiner, lines) = (&mut self.joiner, &mut self.lines);
        reading.pieces.feed(bytes, |piece| {
            *lines += u64::from(piece.ends);
            joiner.take(index, piece, now);
        });
        Ok(len)
    }

    /// The pipe has ended: a last line without a line feed counts, too.
    fn end(&mut self, index: usize) {
        let Some(reading) = self.sources.get_mut(index) else { return };
        reading.has_ended = true;
        let (joiner, lines, now) = (&mut self.joiner, &mut self.lines, Instant::now());
        reading.pieces.finish(|piece| {
            *lines += 1;
            joiner.take(index, piece, now);
        });
        joiner.close(index);
    }

    /// Reads what is in the pipes at this moment.
    fn read_the_rest(&mut self) {
        for index in self.open().collect::<Vec<_>>() {
            let mut left = LAST_BYTES_MAX;
            while left > 0 && self.is_readable(index) {
                match self.read(index) {
                    Ok(len) if len > 0 => left = left.saturating_sub(len),
                    // It has ended, or there is nothing after all.
                    _ => break,
                }
                self.record();
            }
        }
    }

    fn is_readable(&self, index: usize) -> bool {
        let Some(reading) = self.sources.get(index) else { return false };
        let mut fds = [PollFd::new(reading.source.pipe.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(found) if found > 0)
    }

    fn record(&mut self) {
        while let Some(record) = self.joiner.next() {
            self.recorder.record(&record);
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
