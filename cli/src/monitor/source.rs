//! One source of the monitor: bytes of a path or a stream, and the input that reads their lines.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use logq_monitor::{
    Batch, Format, Input, InputError, InputOptions, LineParser, Monitor, Parsed, SourceId, Task,
};
use logq_reader::{Notification, Wake};

use super::archive::Archive;
use super::file::{Grown, OpenError, OpenFile};
use super::from::Begin;
use super::ledger::Ledger;
use super::notes::Notes;
use super::once::{Got, Once};
use super::records::{self, Records};
use super::tail::{Step, Tail};

/// Such files that are kept open for a source.
const LATE_MAX: usize = 32;
/// A piece of at least this size is spread over all processors.
const SPREAD_BYTES: usize = 128 << 10;
/// Into so many parts for each of them, so that the first ones are counted while others are read.
const PARTS: usize = 4;

/// What all sources read with.
pub(super) struct Desk {
    pub(super) monitor: Monitor,
    pub(super) ledger: Ledger,
    pub(super) notes: Notes,
    /// Where pieces are read to.
    pub(super) buffer: Vec<u8>,
    /// Whether sources grow.
    pub(super) follows: bool,
    /// How long files that were moved away are kept open for those who may still write to them.
    pub(super) rotate_wait: Duration,
    /// Where files and stores begin that are opened now.
    pub(super) from: Begin,
    /// Whether a later run goes on with what is not read.
    pub(super) is_noted: bool,
}

/// A path, a pattern's path, or standard input.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) is_of_pattern: bool,
    options: InputOptions,
    input: Input,
    kind: Kind,
    late: Vec<Late>,
    has_told_columns: bool,
}

enum Kind {
    Tail(Box<Tail>),
    Once(Once),
    /// A store, whose records need no input.
    Records(Box<Records>),
}

/// A file that was moved away and that somebody may still write to.
struct Late {
    file: OpenFile,
    input: Option<Input>,
    quiet_since: Instant,
}

/// What reading a source came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// So many bytes were read, and there may be more.
    Read(usize),
    /// There is nothing to read for now.
    Idle,
    /// It has ended.
    Ended,
    /// It has ended before its end: what went wrong was told.
    Failed,
}

impl Source {
    /// Standard input.
    pub(super) fn stdin(options: InputOptions, desk: &mut Desk) -> Self {
        let name = "standard input".to_owned();
        Self::new(PathBuf::from("-"), name, options, Kind::Once(Once::Stdin), desk)
    }

    /// A path; nothing if another source already reads the file that it leads to.
    ///
    /// # Errors
    ///
    /// The path cannot be read.
    pub(super) fn open(
        path: &Path,
        options: InputOptions,
        desk: &mut Desk,
    ) -> Result<Option<Self>, OpenError> {
        let (path, name) = (path.to_owned(), path.display().to_string());
        if records::is_store(&path) {
            return Self::open_store(path, name, options, desk).map(Some);
        }
        if let Some(mut archive) = Archive::open(&path)? {
            let columns =
                archive.skip_known(&desk.ledger).map(|head| header(head, &options).to_vec());
            let kind = Kind::Once(Once::Archive(Box::new(archive)));
            let mut source = Self::new(path, name, options, kind, desk);
            // Nothing but a header: no line can fail.
            let _ = source.input.push(&columns.unwrap_or_default(), &mut desk.monitor);
            return Ok(Some(source));
        }
        let mut tail = Tail::begin(&path, desk.follows, &mut desk.ledger)?;
        if tail.is_empty() && path.exists() {
            return Ok(None);
        }
        tail.wait_for_lines(desk.rotate_wait);
        tail.skip(desk.from, &options)?;
        let mut source = Self::new(path, name, options, Kind::Tail(Box::new(tail)), desk);
        source.read_header(desk);
        Ok(Some(source))
    }

    fn open_store(
        path: PathBuf,
        name: String,
        options: InputOptions,
        desk: &mut Desk,
    ) -> Result<Self, OpenError> {
        let id = desk.monitor.open(&name);
        let opened = desk.ledger.store(&path).and_then(|place| {
            Records::open(&path, desk.follows, place, desk.from, id, &desk.monitor)
        });
        match opened {
            Ok(records) => {
                let (input, late) = (Input::new(id, options.clone()), Vec::new());
                let kind = Kind::Records(Box::new(records));
                let (is_of_pattern, has_told_columns) = (false, false);
                Ok(Self { path, name, is_of_pattern, options, input, kind, late, has_told_columns })
            }
            Err(error) => {
                desk.monitor.finish(id);
                Err(records::open_error(&error).into())
            }
        }
    }

    fn new(
        path: PathBuf,
        name: String,
        options: InputOptions,
        kind: Kind,
        desk: &mut Desk,
    ) -> Self {
        let input = Input::new(desk.monitor.open(&name), options.clone());
        let (late, has_told_columns) = (Vec::new(), false);
        Self { path, name, is_of_pattern: false, options, input, kind, late, has_told_columns }
    }

    pub(super) fn id(&self) -> SourceId {
        self.input.source()
    }

    pub(super) fn is_stdin(&self) -> bool {
        matches!(self.kind, Kind::Once(Once::Stdin))
    }

    /// Bytes that are known to be there.
    pub(super) fn len(&self) -> u64 {
        if let Kind::Tail(tail) = &self.kind { tail.len() } else { 0 }
    }

    /// Since when its path leads nowhere.
    pub(super) fn missing_since(&self) -> Option<Instant> {
        if let Kind::Tail(tail) = &self.kind { tail.missing_since() } else { None }
    }

    /// Asks to be told of changes; answers whether there may have been some that nobody told.
    pub(super) fn watch(&self, wake: &mut Wake) -> bool {
        if let Kind::Tail(tail) = &self.kind { tail.watch(wake) } else { false }
    }

    /// A descriptor that has something to read when something may have come.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Records(records) => records.descriptor(),
            Kind::Tail(_) | Kind::Once(_) => None,
        }
    }

    /// How a store that is followed learns of changes.
    pub(super) fn notification(&self) -> Option<Notification> {
        match &self.kind {
            Kind::Records(records) => records.notification(),
            Kind::Tail(_) | Kind::Once(_) => None,
        }
    }

    /// Whether it must be looked at in a while although nothing changes.
    pub(super) fn is_restless(&self) -> bool {
        let is_restless = match &self.kind {
            Kind::Tail(tail) => tail.is_restless(),
            Kind::Records(_) | Kind::Once(_) => true,
        };
        is_restless || !self.late.is_empty()
    }

    /// A file that is read from its middle has told the names of its columns before.
    fn read_header(&mut self, desk: &mut Desk) {
        let Kind::Tail(tail) = &self.kind else { return };
        let Some(file) = tail.current().filter(|file| file.is_begun()) else { return };
        // Nothing but a header: no line can fail.
        let _ = self.input.push(header(file.head(), &self.options), &mut desk.monitor);
    }

    /// Reads a piece.
    pub(super) fn read(&mut self, desk: &mut Desk, now: Instant) -> Progress {
        self.read_late(desk, now);
        let mut buffer = std::mem::take(&mut desk.buffer);
        let result = match &mut self.kind {
            Kind::Tail(tail) => {
                let step = tail.read(&mut buffer, &mut desk.ledger, now);
                self.take(step, &buffer, desk, now)
            }
            Kind::Records(records) => match records.read(&mut desk.monitor) {
                Ok(records::Step::Read) => Ok(Progress::Read(0)),
                Ok(records::Step::Nothing) => Ok(Progress::Idle),
                Ok(records::Step::End(wrong)) => {
                    wrong.iter().for_each(|line| desk.notes.note(&self.name, line));
                    Ok(Progress::Ended)
                }
                Err(error) => {
                    desk.notes.error(&self.name, &format!("cannot be read on: {error:#}"));
                    Ok(Progress::Failed)
                }
            },
            Kind::Once(once) => match once.read(&mut buffer, !desk.follows) {
                Ok(Got::Bytes(len)) => self.push(buffer.get(..len).unwrap_or_default(), desk),
                Ok(Got::Nothing) => Ok(Progress::Idle),
                Ok(Got::End) => Ok(Progress::Ended),
                Err(error) => {
                    desk.notes.error(&self.name, &format!("cannot be read to its end: {error}"));
                    Ok(Progress::Failed)
                }
            },
        };
        desk.buffer = buffer;
        self.tell_assumed_columns(desk);
        result.unwrap_or_else(|error| {
            desk.notes.error(&self.name, &error.to_string());
            Progress::Failed
        })
    }

    fn take(
        &mut self,
        step: Step,
        buffer: &[u8],
        desk: &mut Desk,
        now: Instant,
    ) -> Result<Progress, InputError> {
        match step {
            Step::Bytes(len) => return self.push(buffer.get(..len).unwrap_or_default(), desk),
            Step::Nothing => return Ok(Progress::Idle),
            Step::End => return Ok(Progress::Ended),
            Step::Truncated { at } => {
                let half = if self.input.truncate() { ", and half a line is lost" } else { "" };
                let text = format!(
                    "was truncated; lines written behind byte {at} before that may be lost{half}"
                );
                desk.notes.note(&self.name, &text);
            }
            Step::Rotated(mut old) => {
                self.input.rotate(&mut desk.monitor)?;
                old.end_line();
                if !self.input.has_unread() {
                    desk.ledger.note(&old);
                }
                self.late.push(Late { file: old, input: None, quiet_since: now });
                if self.late.len() > LATE_MAX {
                    self.late.remove(0).close(desk);
                }
            }
            Step::Note(text) => desk.notes.note(&self.name, &text),
        }
        Ok(Progress::Read(0))
    }

    fn push(&mut self, piece: &[u8], desk: &mut Desk) -> Result<Progress, InputError> {
        let monitor = &mut desk.monitor;
        if piece.len() < SPREAD_BYTES {
            self.input.push(piece, monitor)?;
        } else {
            let parts = PARTS * rayon::current_num_threads();
            rayon::in_place_scope(|scope| {
                self.input.push_spread(piece, parts, monitor, |tasks| begin(tasks, scope))
            })?;
        }
        Ok(Progress::Read(piece.len()))
    }

    /// Reads what was written to files after they had been moved away and left.
    fn read_late(&mut self, desk: &mut Desk, now: Instant) {
        let mut late = std::mem::take(&mut self.late);
        let mut index = 0;
        while let Some(file) = late.get_mut(index) {
            if self.read_one_late(file, desk, now) {
                index += 1;
            } else {
                late.remove(index).close(desk);
            }
        }
        self.late = late;
    }

    /// Answers whether more may come.
    fn read_one_late(&self, late: &mut Late, desk: &mut Desk, now: Instant) -> bool {
        let mut buffer = std::mem::take(&mut desk.buffer);
        let read = late.file.read(&mut buffer);
        if let Ok(Grown::Bytes(len)) = read {
            let options = InputOptions {
                format: self.input.format().cloned(),
                force: true,
                ..self.options.clone()
            };
            let input = late.input.get_or_insert_with(|| {
                let mut input = Input::new(self.id(), options.clone());
                let _ = input.push(header(late.file.head(), &options), &mut desk.monitor);
                input
            });
            // That it goes on is asked for.
            let _ = input.push(buffer.get(..len).unwrap_or_default(), &mut desk.monitor);
            late.quiet_since = now;
        }
        desk.buffer = buffer;
        match read {
            Ok(Grown::Bytes(_)) => true,
            Ok(Grown::Nothing) => {
                desk.follows && now.saturating_duration_since(late.quiet_since) < desk.rotate_wait
            }
            Ok(Grown::Truncated { .. }) | Err(_) => false,
        }
    }

    fn tell_assumed_columns(&mut self, desk: &mut Desk) {
        if !self.has_told_columns && self.input.has_assumed_columns() {
            self.has_told_columns = true;
            let text = "no header names its columns; taken for \
                        remotehost,rfc931,authuser,date,request,status,bytes";
            desk.notes.note(&self.name, text);
        }
    }

    /// Notes how far it was read and counted.
    pub(super) fn note(&self, ledger: &mut Ledger) {
        match &self.kind {
            Kind::Tail(_) | Kind::Once(_) if self.input.has_unread() => return,
            Kind::Tail(tail) => tail.note(ledger),
            Kind::Records(records) => {
                ledger.note_store(&self.path, &records.place(), records.save());
            }
            Kind::Once(Once::Archive(archive)) => archive.note(ledger),
            Kind::Once(Once::Stdin) => {}
        }
        self.late.iter().for_each(|late| ledger.note(&late.file));
    }

    /// Ends it. A line that nothing ends is a line at the end of the input; where the source would
    /// have been followed on, or a later run goes on with it, it is not. Answers whether its lines
    /// could be read.
    pub(super) fn finish(mut self, desk: &mut Desk, at_its_end: bool) -> bool {
        let goes_on = desk.is_noted && matches!(self.kind, Kind::Tail(_));
        if !at_its_end || goes_on {
            self.input.truncate();
        }
        let finished = self.input.finish(&mut desk.monitor);
        if let Err(error) = &finished {
            desk.notes.error(&self.name, &error.to_string());
        }
        let nul_bytes = self.input.nul_bytes();
        if nul_bytes > 0 {
            desk.notes.note(&self.name, &format!("{nul_bytes} NUL bytes skipped"));
        }
        self.note(&mut desk.ledger);
        self.late.into_iter().for_each(|late| late.close(desk));
        match &mut self.kind {
            Kind::Tail(tail) => tail.close(&mut desk.ledger),
            Kind::Records(records) if records.open_requests() > 0 => {
                let open = records.open_requests();
                desk.notes.note(&self.name, &format!("{open} requests have no response yet"));
            }
            Kind::Records(_) | Kind::Once(_) => {}
        }
        finished.is_ok()
    }
}

impl Late {
    fn close(mut self, desk: &mut Desk) {
        if let Some(input) = &mut self.input {
            let _ = input.rotate(&mut desk.monitor);
            self.file.end_line();
            desk.ledger.note(&self.file);
        }
        desk.ledger.release(&self.file);
    }
}

/// Reads parts of a piece on all processors; hands them out in order, each when it is there.
fn begin<'p: 's, 's>(
    tasks: Vec<Task<'p>>,
    scope: &rayon::Scope<'s>,
) -> impl Iterator<Item = Batch<'p>> + use<'p> {
    let begin = |task: Task<'p>| {
        let (sender, receiver) = sync_channel(1);
        // If nobody waits any more, the run is over.
        scope.spawn(move |_| drop(sender.send(task.run())));
        receiver
    };
    let receivers: Vec<Receiver<Batch<'p>>> = tasks.into_iter().map(begin).collect();
    // One that comes to nothing has panicked, and leaving the scope tells of it.
    receivers.into_iter().filter_map(|receiver| receiver.recv().ok())
}

/// The lines at the start of a file that name its columns.
fn header<'a>(head: &'a [u8], options: &InputOptions) -> &'a [u8] {
    if !matches!(options.format, None | Some(Format::Csv | Format::W3c)) {
        return &[];
    }
    let mut end = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b"#") || !line.ends_with(b"\n") {
            break;
        }
        end += line.len();
    }
    if end == 0 {
        let first = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.ends_with(b"\n") && is_csv_header(first.trim_ascii_end()) {
            end = first.len();
        }
    }
    head.get(..end).unwrap_or_default()
}

fn is_csv_header(line: &[u8]) -> bool {
    let reads =
        |format| LineParser::new(format).parse(line).map(|parsed| parsed == Parsed::Nothing);
    !line.is_empty() && reads(Format::Clf) != Ok(false) && reads(Format::Csv) == Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found() {
        let check = |head: &str, expected: usize| {
            let options = InputOptions::default();
            assert_eq!(header(head.as_bytes(), &options).len(), expected, "{head}");
        };
        check("date,request\n1,GET /a HTTP/1.1\n", 13);
        check("#Version: 1.0\n#Fields: date time\n2026-02-03 14:00:00\n", 33);
        check("1549573860,GET /a HTTP/1.1\n", 0);
        check("h - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1\n", 0);
        check("{\"ts\":1549573860.5,\"uri\":\"/a\"}\n", 0);
        check("date,reque", 0);
        check("", 0);
    }
}
