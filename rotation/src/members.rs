//! Who may still append to which segment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::PathBuf;

use logq_directory::{Directory, DirectoryError};
use logq_format::{Member, SyncMarker};

use crate::blocks::{Segment, open};
use crate::survey::{Found, io_error};
use crate::watch::Watch;

/// What was found out about the members of segments, so that it need not be found out again.
#[derive(Debug, Default)]
pub(crate) struct Watches(HashMap<PathBuf, Watch>);

impl Watches {
    /// Forgets segments that are no longer there.
    pub(crate) fn retain(&mut self, found: &[Found]) {
        self.0.retain(|path, _| found.iter().any(|segment| segment.file.path == *path));
    }
}

/// The members of the segments of a store.
pub(crate) struct Members<'a> {
    pub(crate) directory: &'a Directory,
    /// In the order of their numbers.
    pub(crate) found: &'a [Found],
    pub(crate) watches: &'a mut Watches,
}

impl Members<'_> {
    /// Whether a process lives that has joined the segment and has not left it.
    ///
    /// Who holds a slot that a member had when it joined need not be that member: slots are handed
    /// on. Whoever holds it now is a member of the segment it writes to. So if a newer segment has a
    /// member with that slot, the old member is gone; if none has, it is the holder.
    pub(crate) fn has_living_writer(&mut self, index: usize) -> Result<bool, DirectoryError> {
        let mut suspects = Vec::new();
        for member in self.members(index)? {
            if member.slot > 0 && self.directory.is_slot_held(member.slot)? {
                suspects.push(member);
            }
        }
        for newer in (index + 1..self.found.len()).rev() {
            if suspects.is_empty() {
                break;
            }
            for member in self.members(newer)? {
                suspects.retain(|suspect| suspect.slot != member.slot);
            }
        }
        Ok(!suspects.is_empty())
    }

    /// The members of a segment; none of one that is damaged or has vanished.
    fn members(&mut self, index: usize) -> Result<Vec<Member>, DirectoryError> {
        let Some(found) = self.found.get(index) else { return Ok(Vec::new()) };
        let Some(header) = found.header() else { return Ok(Vec::new()) };
        match self.watch(found, header.marker) {
            Ok(watch) => Ok(watch.members().copied().collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(io_error("read", &found.file, error)),
        }
    }

    fn watch(&mut self, found: &Found, marker: SyncMarker) -> io::Result<&Watch> {
        let file = open(self.directory, &found.file)?;
        let segment = Segment { directory: self.directory, file: &file, marker };
        let watch = match self.watches.0.entry(found.file.path.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Watch::from_last_claims(segment, found.bytes)?),
        };
        watch.advance(segment, found.bytes, u64::MAX)?;
        Ok(watch)
    }
}
