//! Which files were read, and how far: so that none is read twice under whatever name, and so that a
//! later run goes on where this one ended, also with what it had no time to deliver.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use logq_monitor::{OpenRequest, Saved};
use logq_reader::Cursor;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::deliver::{Message, Undelivered};
use super::file::{Identity, Mark, OpenError, OpenFile};

/// Files that are remembered; those that were closed first are forgotten first.
const ENTRIES_MAX: usize = 10_000;

/// Files that are remembered although their inodes are used again.
const FORMER_MAX: usize = 100;

/// The version of the state file.
const VERSION: u32 = 2;

/// What is known of files.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Of this run and those that go on from its state.
    identity: String,
    /// By device and inode.
    entries: BTreeMap<(u64, u64), Entry>,
    /// Those whose inode another file has by now; archives may hold what was in them.
    former: VecDeque<Entry>,
    /// Counts openings.
    turn: u64,
    /// Stores, by the names they were opened by.
    stores: BTreeMap<PathBuf, StorePlace>,
    /// What an earlier run did not deliver, by whom it is for.
    left: BTreeMap<String, Vec<Message>>,
    /// What this one has not delivered yet.
    undelivered: Vec<(String, Undelivered)>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The name that it was opened by.
    path: PathBuf,
    #[serde(flatten)]
    identity: Identity,
    #[serde(flatten)]
    mark: Mark,
    #[serde(skip)]
    is_open: bool,
    #[serde(skip)]
    turn: u64,
}

/// How far a store was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StorePlace {
    cursor: String,
    /// Requests before the cursor whose responses are behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<OpenRequest>,
}

/// The state file: how far everything was read, and what was concluded from it so far.
#[derive(Serialize, Deserialize)]
struct State<M> {
    version: u32,
    #[serde(default = "identity")]
    id: String,
    files: Vec<Entry>,
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<PathBuf, StorePlace>,
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    deliveries: BTreeMap<String, Vec<Message>>,
    monitor: M,
}

fn identity() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Default for Ledger {
    /// Knows nothing.
    fn default() -> Self {
        Self {
            identity: identity(),
            entries: BTreeMap::new(),
            former: VecDeque::new(),
            turn: 0,
            stores: BTreeMap::new(),
            left: BTreeMap::new(),
            undelivered: Vec::new(),
        }
    }
}

/// What became of a path.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is open; if it was read before, it goes on from there.
    Opened(Box<OpenFile>),
    /// It leads to a file that is already being read.
    IsOpen,
}

impl Ledger {
    /// Opens a file, unless it is open already.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is no regular file.
    pub(super) fn admit(&mut self, path: &Path) -> Result<Admitted, OpenError> {
        let mut file = OpenFile::open(path)?;
        let known = self.entry(file.identity).map(|entry| (entry.is_open, entry.mark));
        let is_same = match known {
            Some((true, _)) => return Ok(Admitted::IsOpen),
            // If it is not the same, an inode is used again, or the file was truncated.
            Some((false, mark)) => file.resume(&mark),
            None => false,
        };
        if !is_same {
            self.retire(file.identity);
        }
        self.turn += 1;
        let entry = Entry {
            path: path.to_owned(),
            identity: file.identity,
            mark: file.mark(),
            is_open: true,
            turn: self.turn,
        };
        self.entries.insert(key(file.identity), entry);
        self.forget_oldest();
        Ok(Admitted::Opened(Box::new(file)))
    }

    /// Notes how far an open file was read.
    pub(super) fn note(&mut self, file: &OpenFile) {
        if let Some(entry) = self.entries.get_mut(&key(file.identity)) {
            entry.mark = file.mark();
        }
    }

    /// Notes how far a store was read, and the requests that are open there.
    pub(super) fn note_store(&mut self, path: &Path, cursor: &Cursor, open: Vec<OpenRequest>) {
        self.stores.insert(path.to_owned(), StorePlace { cursor: cursor.to_string(), open });
    }

    /// Where to go on in a store, and the requests that are open there, if it was read before.
    ///
    /// # Errors
    ///
    /// The state file holds something that is no cursor.
    pub(super) fn store(&self, path: &Path) -> anyhow::Result<Option<(Cursor, Vec<OpenRequest>)>> {
        let Some(place) = self.stores.get(path) else { return Ok(None) };
        let cursor = place.cursor.parse();
        let cursor = cursor
            .with_context(|| format!("the state file has no cursor of {}", path.display()))?;
        Ok(Some((cursor, place.open.clone())))
    }

    /// What ids of alerts begin with: the same in all runs that go on from one another.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// What an earlier run did not deliver; once.
    pub(super) fn take_left(&mut self, receiver: &str) -> Vec<Message> {
        self.left.remove(receiver).unwrap_or_default()
    }

    /// The receivers of which nobody has taken that, and how many messages there are for each.
    pub(super) fn forget_left(&mut self) -> Vec<(String, u64)> {
        let left = std::mem::take(&mut self.left);
        left.into_iter().map(|(receiver, messages)| (receiver, messages.len() as u64)).collect()
    }

    /// From now on this is what was not delivered.
    pub(super) fn note_undelivered(&mut self, receiver: String, undelivered: Undelivered) {
        self.undelivered.push((receiver, undelivered));
    }

    /// The file is closed.
    pub(super) fn release(&mut self, file: &OpenFile) {
        if let Some(entry) = self.entries.get_mut(&key(file.identity)) {
            entry.is_open = false;
        }
    }

    /// Whether the file was read, or is being read.
    pub(super) fn knows(&self, identity: Identity) -> bool {
        self.entry(identity).is_some()
    }

    /// Whether the file is being read.
    pub(super) fn is_open(&self, identity: Identity) -> bool {
        self.entry(identity).is_some_and(|entry| entry.is_open)
    }

    /// Whether the file begins as one that was read: it is a copy.
    pub(super) fn has_original_of(&self, file: &File) -> bool {
        let marks = self.entries.values().map(|entry| &entry.mark);
        marks.filter(|mark| mark.is_telling()).any(|mark| mark.fits(file))
    }

    /// How much was read of what an archive holds, which begins with `head`: of the archive itself, or
    /// of the text that it was made of.
    pub(super) fn known_of_archive(&self, archive: Identity, head: &[u8]) -> u64 {
        let is_same = |entry: &&Entry| entry.identity == archive || entry.mark.is_telling();
        let entries = self.entries.values().chain(&self.former).filter(is_same);
        let known = entries.filter(|entry| entry.mark.fits_head(head));
        known.map(|entry| entry.mark.offset).max().unwrap_or(0)
    }

    /// Notes how much of what an archive holds was read.
    pub(super) fn note_archive(&mut self, path: &Path, identity: Identity, mark: Mark) {
        self.turn += 1;
        let entry =
            Entry { path: path.to_owned(), identity, mark, is_open: false, turn: self.turn };
        self.entries.insert(key(identity), entry);
        self.forget_oldest();
    }

    /// The file that a path led to when it was last opened, if it is not open.
    pub(super) fn last_of(&self, path: &Path) -> Option<Identity> {
        let entries = self.entries.values().filter(|entry| entry.path == path && !entry.is_open);
        entries.max_by_key(|entry| entry.turn).map(|entry| entry.identity)
    }

    fn entry(&self, identity: Identity) -> Option<&Entry> {
        self.entries.get(&key(identity)).filter(|entry| entry.identity == identity)
    }

    /// What has the place of this file belongs to another one.
    fn retire(&mut self, identity: Identity) {
        let before = self.entries.remove(&key(identity));
        self.former.extend(before.filter(|entry| entry.mark.is_telling()));
        if self.former.len() > FORMER_MAX {
            self.former.pop_front();
        }
    }

    fn forget_oldest(&mut self) {
        if self.entries.len() <= ENTRIES_MAX {
            return;
        }
        let closed = self.entries.iter().filter(|(_, entry)| !entry.is_open);
        let oldest = closed.min_by_key(|(_, entry)| entry.turn).map(|(key, _)| *key);
        oldest.map(|oldest| self.entries.remove(&oldest));
    }

    /// Reads a state file, and what a monitor knew when it was written; one that does not exist
    /// knows nothing.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no state file, or is one of a newer version.
    pub(super) fn load(path: &Path) -> anyhow::Result<(Self, Option<Saved>)> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the state file {}", path.display()));
            }
        };
        let is_none = || {
            let path = path.display();
            format!("{path} is no state file of logq monitor; name another or delete it")
        };
        let Versioned { version: found } = serde_json::from_slice(&text).with_context(is_none)?;
        if found != VERSION {
            let path = path.display();
            bail!("{path} is a state file of version {found}, this logq knows {VERSION}");
        }
        let state: State<Saved> = serde_json::from_slice(&text).with_context(is_none)?;
        let (identity, stores, left) = (state.id, state.stores, state.deliveries);
        let mut ledger = Self { identity, stores, left, ..Self::default() };
        for entry in state.files {
            ledger.turn += 1;
            let entry = Entry { turn: ledger.turn, ..entry };
            ledger.retire(entry.identity);
            ledger.entries.insert(key(entry.identity), entry);
        }
        Ok((ledger, Some(state.monitor)))
    }

    /// Writes a state file in the place of the old one, whole or not at all; `monitor` is what is
    /// known of all that was noted as read, and of nothing else.
    ///
    /// # Errors
    ///
    /// It cannot be written; the old one is as it was.
    pub(super) fn save(&self, path: &Path, monitor: &Saved) -> anyhow::Result<()> {
        let files = self.entries.values().chain(&self.former);
        let mut files: Vec<Entry> = files.cloned().collect();
        files.sort_by_key(|entry| entry.turn);
        let state = State {
            version: VERSION,
            id: self.identity.clone(),
            files,
            stores: self.stores.clone(),
            deliveries: self.deliveries(),
            monitor,
        };
        replace(path, &serde_json::to_vec(&state)?)
            .with_context(|| format!("cannot write the state file {}", path.display()))
    }

    /// Notes in a state file what is not delivered by now, and nothing else.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub(super) fn save_deliveries(&self, path: &Path) -> anyhow::Result<()> {
        if self.undelivered.is_empty() || !path.exists() {
            return Ok(());
        }
        let save = || -> anyhow::Result<()> {
            let mut state: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
            if let Some(members) = state.as_object_mut() {
                let deliveries = serde_json::to_value(self.deliveries())?;
                members.insert("deliveries".to_owned(), deliveries);
            }
            Ok(replace(path, &serde_json::to_vec(&state)?)?)
        };
        save().with_context(|| format!("cannot write the state file {}", path.display()))
    }

    fn deliveries(&self) -> BTreeMap<String, Vec<Message>> {
        let all = self.undelivered.iter().map(|(to, messages)| (to.clone(), messages.all()));
        all.filter(|(_, messages)| !messages.is_empty()).collect()
    }
}

/// What every version of a state file tells.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    // It holds commands and what alerts tell, which is nobody else's.
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_data()?;
    fs::rename(draft, path)
}

fn key(identity: Identity) -> (u64, u64) {
    (identity.device, identity.inode)
}

#[cfg(test)]
mod tests {
    use logq_monitor::{Monitor, Options};

    use super::*;

    fn opened(ledger: &mut Ledger, path: &Path) -> Option<OpenFile> {
        match ledger.admit(path).unwrap() {
            Admitted::Opened(file) => Some(*file),
            Admitted::IsOpen => None,
        }
    }

    #[test]
    fn a_file_is_read_once_whatever_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let [path, link] = ["log", "log.1"].map(|name| directory.path().join(name));
        fs::write(&path, "one\ntwo\n").unwrap();
        fs::hard_link(&path, &link).unwrap();
        let mut ledger = Ledger::default();
        let mut file = opened(&mut ledger, &path).unwrap();
        assert!(opened(&mut ledger, &link).is_none(), "it is open");
        file.read(&mut [0; 6]).unwrap();
        ledger.note(&file);
        ledger.release(&file);
        let mut again = opened(&mut ledger, &link).unwrap();
        assert_eq!(again.mark().offset, 4, "it goes on behind the last line");
        again.read(&mut [0; 100]).unwrap();
        ledger.note(&again);
        ledger.release(&again);

        let state = directory.path().join("state");
        let monitor = Monitor::new(Options::default()).save();
        ledger.save(&state, &monitor).unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&state).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "it is nobody else's");
        let (mut loaded, saved) = Ledger::load(&state).unwrap();
        assert!(saved.is_some());
        assert_eq!(opened(&mut loaded, &path).unwrap().mark().offset, 8);
        fs::write(&path, "other and longer\n").unwrap();
        let (mut loaded, _) = Ledger::load(&state).unwrap();
        assert_eq!(opened(&mut loaded, &path).unwrap().mark().offset, 0, "it is another log");
    }

    #[test]
    fn state_files_that_are_none_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let (ledger, saved) = Ledger::load(&path).unwrap();
        assert!(ledger.entries.is_empty() && saved.is_none());
        for (text, expected) in [
            ("", "is no state file"),
            ("[]", "is no state file"),
            (r#"{"version":2,"files":[]}"#, "is no state file"),
            (r#"{"version":1,"files":[]}"#, "version 1, this logq knows 2"),
            (r#"{"version":3}"#, "version 3, this logq knows 2"),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", Ledger::load(&path).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
