//! One path over time: the file it leads to grows, is truncated, is moved away and followed by
//! another.
//!
//! ```text
//!  current ── read to its end, quiet, and another file goes on ──> Rotated(current)
//!  next    ── files that came after it, oldest first; the last one is where the path leads
//! ```
//!
//! Descriptors stay open: whatever happens to names, a file is read to its last byte. This knows
//! files and no lines.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logq_monitor::InputOptions;
use logq_reader::Wake;

use super::file::{Grown, Identity, OpenError, OpenFile};
use super::from::Begin;
use super::ledger::{Admitted, Ledger};
use super::siblings::{self, Before};

/// A file that was moved away is left when nothing was written to it for so long and its successor
/// has lines. A server that opens its logs anew takes milliseconds for it.
const QUIET: Duration = Duration::from_millis(250);
/// A file that was moved away may still be written to; after so long a silence nobody does.
const ROTATE_WAIT: Duration = Duration::from_secs(5);
/// A path is missing for a moment in the middle of most rotations; that is not worth a word.
const MISSING_TOLD: Duration = Duration::from_secs(2);
/// Files that wait to be read, each with a descriptor.
const NEXT_MAX: usize = 256;

/// A path that is followed, or replayed to where it ends now.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    follows: bool,
    /// How long a file that was moved away in the middle of a line is waited for to end it.
    rotate_wait: Duration,
    current: Option<OpenFile>,
    next: VecDeque<OpenFile>,
    quiet_since: Option<Instant>,
    missing_since: Option<Instant>,
    /// What was told last, not to tell it twice in a row.
    told: Option<String>,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Step {
    /// So many bytes of the log were read.
    Bytes(usize),
    /// There is nothing to read now.
    Nothing,
    /// There will be nothing more to read.
    End,
    /// The file was truncated after so many bytes were read, and begins anew.
    Truncated { at: u64 },
    /// The file was read to its end, and another one goes on. Somebody may still write to it.
    Rotated(OpenFile),
    /// Something that people want to know.
    Note(String),
}

impl Tail {
    /// Looks at the path for the first time, and goes on where the ledger says.
    ///
    /// # Errors
    ///
    /// What the path leads to cannot be read. Where the path is followed, that it leads nowhere is no
    /// error.
    pub(super) fn begin(
        path: &Path,
        follows: bool,
        ledger: &mut Ledger,
    ) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let (current, next) = (None, VecDeque::new());
        let (quiet_since, missing_since, told) = (None, None, None);
        let rotate_wait = ROTATE_WAIT;
        let mut tail =
            Self { path, follows, rotate_wait, current, next, quiet_since, missing_since, told };
        let last = ledger.last_of(&tail.path);
        let opened = match ledger.admit(&tail.path) {
            Ok(Admitted::Opened(file)) => Some(*file),
            Ok(Admitted::IsOpen) => None,
            Err(error) if error.is_missing() && (follows || last.is_some()) => None,
            Err(error) => return Err(error),
        };
        let now = opened.as_ref().map(|file| file.identity);
        if let Some(last) = last.filter(|last| now != Some(*last)) {
            tail.begin_before(last, now, ledger);
        }
        tail.next.extend(opened);
        if !follows {
            tail.next.iter_mut().for_each(OpenFile::end_here);
        }
        tail.current = tail.next.pop_front();
        Ok(tail)
    }

    /// The log was rotated since the ledger was written: what is left of the file that was read then
    /// comes first, and those after it.
    fn begin_before(&mut self, last: Identity, now: Option<Identity>, ledger: &mut Ledger) {
        let Some(path) = siblings::find(&self.path, last) else { return };
        let Ok(Admitted::Opened(file)) = ledger.admit(&path) else { return };
        let before = Before::of(&file);
        self.next.push_back(*file);
        if let Some(now) = now {
            self.admit_between(&before, now, ledger);
        }
    }

    /// Whether another source reads what the path leads to.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none()
    }

    /// Waits so long for the ends of lines.
    pub(super) fn wait_for_lines(&mut self, rotate_wait: Duration) {
        self.rotate_wait = rotate_wait;
    }

    /// Begins where `from` says, unless something of the log was read before.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn skip(&mut self, from: Begin, options: &InputOptions) -> io::Result<()> {
        let fresh = self.current.as_mut().filter(|file| !file.is_begun());
        if let Some(file) = fresh.filter(|_| self.next.is_empty()) {
            file.skip_to(from.offset(file, options)?)?;
        }
        Ok(())
    }

    /// The file that is being read.
    pub(super) fn current(&self) -> Option<&OpenFile> {
        self.current.as_ref()
    }

    /// Bytes to read as it is now.
    pub(super) fn len(&self) -> u64 {
        self.current.iter().chain(&self.next).map(OpenFile::len).sum()
    }

    /// Asks to be told when there is more to read, or another file; answers whether that is new.
    pub(super) fn watch(&self, wake: &mut Wake) -> bool {
        // A relative path without a directory is of the one we are in.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        wake.watch(&self.path) | wake.watch_names(directory.unwrap_or(Path::new(".")))
    }

    /// Whether something has to be done in a while although nothing changes.
    pub(super) fn is_restless(&self) -> bool {
        !self.next.is_empty()
    }

    /// Since when the path leads nowhere and nothing is left to read.
    pub(super) fn missing_since(&self) -> Option<Instant> {
        self.missing_since
    }

    /// Notes how far the files were read.
    pub(super) fn note(&self, ledger: &mut Ledger) {
        self.current.iter().chain(&self.next).for_each(|file| ledger.note(file));
    }

    /// Closes the files.
    pub(super) fn close(&mut self, ledger: &mut Ledger) {
        self.current.take().iter().chain(&self.next).for_each(|file| ledger.release(file));
        self.next.clear();
    }

    /// Reads on, or finds out why not.
    pub(super) fn read(&mut self, buffer: &mut [u8], ledger: &mut Ledger, now: Instant) -> Step {
        match self.current.as_mut().map(|file| file.read(buffer)) {
            Some(Ok(Grown::Bytes(len))) => {
                self.quiet_since = None;
                return Step::Bytes(len);
            }
            Some(Ok(Grown::Truncated { at })) => {
                self.quiet_since = None;
                return Step::Truncated { at };
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return Step::Nothing,
            Some(Err(error)) if self.follows => {
                if let Some(note) = self.tell(format!("cannot be read: {error}; trying again")) {
                    return note;
                }
            }
            Some(Err(error)) => {
                self.follows = false;
                self.next.clear();
                self.current = None;
                return Step::Note(format!("cannot be read to its end: {error}"));
            }
            Some(Ok(Grown::Nothing)) | None => {}
        }
        if !self.follows {
            return self.next.pop_front().map_or(Step::End, |next| self.rotate(next));
        }
        if let Some(note) = self.look(ledger, now) {
            return note;
        }
        if self.is_done(now)
            && let Some(next) = self.next.pop_front()
        {
            return self.rotate(next);
        }
        Step::Nothing
    }

    fn rotate(&mut self, next: OpenFile) -> Step {
        self.quiet_since = None;
        match self.current.replace(next) {
            Some(old) => Step::Rotated(old),
            None => Step::Nothing,
        }
    }

    /// Whether the current file, which was read to its end, can be left.
    fn is_done(&mut self, now: Instant) -> bool {
        let Some(current) = &self.current else { return true };
        let Some(next) = self.next.front() else { return false };
        if self.next.len() == 1 && next.len() == 0 {
            // The writer is still with this one.
            return false;
        }
        let quiet = if current.has_half_line() { self.rotate_wait } else { QUIET };
        let since = *self.quiet_since.get_or_insert(now);
        now.saturating_duration_since(since) >= quiet || current.age() >= quiet
    }

    /// Looks where the path leads.
    fn look(&mut self, ledger: &mut Ledger, now: Instant) -> Option<Step> {
        if self.next.len() >= NEXT_MAX {
            return None;
        }
        let identity = match fs::metadata(&self.path) {
            Ok(metadata) => Identity::of(&metadata),
            Err(error) => return self.look_failed(&error.into(), now),
        };
        let newest = self.next.back().or(self.current.as_ref());
        if newest.is_some_and(|file| file.identity == identity) || ledger.is_open(identity) {
            return self.found();
        }
        match ledger.admit(&self.path) {
            Ok(Admitted::Opened(file)) => {
                self.arrive(*file, ledger);
                self.found()
            }
            Ok(Admitted::IsOpen) => None,
            Err(error) => self.look_failed(&error, now),
        }
    }

    /// Another file is where the path leads; perhaps there were more in between.
    fn arrive(&mut self, file: OpenFile, ledger: &mut Ledger) {
        if let Some(before) = self.next.back().or(self.current.as_ref()).map(Before::of) {
            self.admit_between(&before, file.identity, ledger);
        }
        self.next.push_back(file);
        if self.current.is_none() {
            self.current = self.next.pop_front();
        }
    }

    fn admit_between(&mut self, before: &Before, now: Identity, ledger: &mut Ledger) {
        for path in siblings::between(&self.path, before, now, ledger) {
            if let Ok(Admitted::Opened(file)) = ledger.admit(&path) {
                self.next.push_back(*file);
            }
        }
    }

    /// The path leads to a file again.
    fn found(&mut self) -> Option<Step> {
        self.missing_since = None;
        self.told.take().map(|_| Step::Note("it is there again".to_owned()))
    }

    fn look_failed(&mut self, error: &OpenError, now: Instant) -> Option<Step> {
        if !error.is_missing() {
            return self.tell(format!("cannot be followed: {error}; trying again"));
        }
        let since = *self.missing_since.get_or_insert(now);
        if self.current.is_some() && now.saturating_duration_since(since) < MISSING_TOLD {
            return None;
        }
        self.tell("there is no such file now; waiting for it".to_owned())
    }

    fn tell(&mut self, text: String) -> Option<Step> {
        if self.told.as_ref() == Some(&text) {
            return None;
        }
        self.told = Some(text.clone());
        Some(Step::Note(text))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    /// A log, the time, and what was read so far.
    struct Trial {
        directory: tempfile::TempDir,
        ledger: Ledger,
        tail: Tail,
        now: Instant,
    }

    impl Trial {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            fs::write(&path, "a\n").unwrap();
            let mut ledger = Ledger::default();
            let tail = Tail::begin(&path, true, &mut ledger).unwrap();
            Self { directory, ledger, tail, now: Instant::now() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(self.path(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.path(from), self.path(to)).unwrap();
        }

        /// Reads what there is, as if much time passed meanwhile.
        fn read(&mut self) -> String {
            let (mut shown, mut buffer) = (String::new(), [0; 100]);
            for _ in 0..20 {
                self.now += Duration::from_secs(1);
                match self.tail.read(&mut buffer, &mut self.ledger, self.now) {
                    Step::Bytes(len) => shown += std::str::from_utf8(&buffer[..len]).unwrap(),
                    Step::Nothing => {}
                    Step::End => shown += "<end>",
                    Step::Truncated { at } => shown += &format!("<truncated at {at}>"),
                    Step::Rotated(old) => {
                        self.ledger.note(&old);
                        self.ledger.release(&old);
                        shown += "<rotated>";
                    }
                    Step::Note(text) => shown += &format!("<{text}>"),
                }
            }
            shown
        }
    }

    #[test]
    fn a_renamed_file_is_read_to_its_last_byte_before_the_next_one() {
        let mut trial = Trial::new();
        assert_eq!(trial.read(), "a\n");
        trial.append("log", "b\n");
        trial.rename("log", "log.1");
        trial.append("log", "d\n");
        trial.append("log.1", "c\n");
        assert_eq!(trial.read(), "b\nc\n<rotated>d\n");
    }

    #[test]
    fn an_empty_new_file_does_not_end_the_old_one() {
        let mut trial = Trial::new();
        trial.rename("log", "log.1");
        trial.append("log", "");
        assert_eq!(trial.read(), "a\n");
        trial.append("log.1", "b\n");
        assert_eq!(trial.read(), "b\n");
        trial.append("log", "c\n");
        assert_eq!(trial.read(), "<rotated>c\n");
    }

    #[test]
    fn files_that_came_and_went_between_looks_are_found() {
        let mut trial = Trial::new();
        fs::write(trial.path("log.old.txt"), "none of them\n").unwrap();
        assert_eq!(trial.read(), "a\n");
        for (name, text) in [("log.3", "b\n"), ("log.2", "c\n"), ("log.1", "d\n")] {
            trial.rename("log", name);
            std::thread::sleep(Duration::from_millis(15));
            trial.append("log", text);
        }
        assert_eq!(trial.read(), "<rotated>b\n<rotated>c\n<rotated>d\n");
    }

    #[test]
    fn a_missing_path_is_told_once_and_waited_for() {
        let mut trial = Trial::new();
        fs::remove_file(trial.path("log")).unwrap();
        assert_eq!(trial.read(), "a\n<there is no such file now; waiting for it>");
        assert_eq!(trial.read(), "");
        trial.append("log", "b\n");
        assert_eq!(trial.read(), "<it is there again><rotated>b\n");
    }

    #[test]
    fn a_hard_link_or_a_file_moved_back_is_not_new() {
        let mut trial = Trial::new();
        fs::hard_link(trial.path("log"), trial.path("log.1")).unwrap();
        assert_eq!(trial.read(), "a\n");
        trial.rename("log", "log.2");
        trial.append("log", "b\n");
        assert_eq!(trial.read(), "<rotated>b\n");
        trial.rename("log", "log.3");
        trial.rename("log.1", "log");
        trial.append("log", "c\n");
        assert_eq!(trial.read(), "<rotated>c\n");
    }

    #[test]
    fn a_symbolic_link_leads_through_a_series() {
        let mut trial = Trial::new();
        for (number, text) in [(1, "1\n"), (2, "2\n"), (3, "3\n")] {
            trial.append(&format!("x-{number}"), text);
            std::thread::sleep(Duration::from_millis(15));
        }
        std::os::unix::fs::symlink("x-1", trial.path("now")).unwrap();
        trial.tail = Tail::begin(&trial.path("now"), true, &mut trial.ledger).unwrap();
        assert_eq!(trial.read(), "1\n");
        std::os::unix::fs::symlink("x-3", trial.path("then")).unwrap();
        trial.rename("then", "now");
        assert_eq!(trial.read(), "<rotated>2\n<rotated>3\n");
    }

    #[test]
    fn a_later_run_reads_what_was_rotated_meanwhile() {
        let mut trial = Trial::new();
        assert_eq!(trial.read(), "a\n");
        trial.tail.note(&mut trial.ledger);
        trial.tail.close(&mut trial.ledger);
        trial.append("log", "b\n");
        trial.rename("log", "log.1");
        trial.append("log", "c\n");
        trial.tail = Tail::begin(&trial.path("log"), false, &mut trial.ledger).unwrap();
        assert!(trial.read().starts_with("b\n<rotated>c\n<end>"));
    }
}
