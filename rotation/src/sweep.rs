//! Retention carried out: which segments there are, who still writes to them, and their deletion.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::PathBuf;

use logq_directory::DirectoryError;
use logq_format::{Member, SyncMarker};

use crate::blocks::{Segment, open};
use crate::event::Event;
use crate::keeper::{Host, Site};
use crate::retention::{Hands, Reason, missing_bytes, retain};
use crate::survey::{Found, extents, io_error, survey};
use crate::watch::Watch;

/// Deletes segments; remembers what it had to find out about their writers.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    watches: HashMap<PathBuf, Watch>,
}

impl Sweep {
    /// Deletes what is beyond the limits.
    pub(crate) fn run(&mut self, site: &Site, host: &impl Host) {
        if let Err(error) = self.try_run(site, host) {
            host.tell(Event::error(error));
        }
    }

    fn try_run(&mut self, site: &Site, host: &impl Host) -> Result<(), DirectoryError> {
        let missing = match site.directory.space() {
            Ok(space) => missing_bytes(space, site.limits.free_bytes),
            Err(error) => {
                host.tell(Event::error(error));
                0
            }
        };
        let found = survey(&site.directory, &mut |error| host.tell(Event::error(error)))?;
        self.watches.retain(|path, _| found.iter().any(|segment| segment.file.path == *path));
        let extents = extents(&found, &site.clock.now());
        let watches = &mut self.watches;
        let mut hands = SweepHands { site, host, found: &found, watches, deleted: 0 };
        retain(&extents, missing, &site.limits, &mut hands);
        // Some file systems give the room back only then.
        if hands.deleted > 0 { site.directory.sync() } else { Ok(()) }
    }
}

struct SweepHands<'a, H> {
    site: &'a Site,
    host: &'a H,
    found: &'a [Found],
    watches: &'a mut HashMap<PathBuf, Watch>,
    deleted: u64,
}

impl<H: Host> Hands for SweepHands<'_, H> {
    fn is_written(&mut self, index: usize) -> bool {
        // Where nobody knows, it can wait until twice the limit.
        match self.has_living_writer(index) {
            Ok(has) => has || !self.found.get(index).is_some_and(Found::is_segment),
            Err(error) => {
                self.host.tell(Event::error(error));
                true
            }
        }
    }

    fn delete(&mut self, index: usize, reason: Reason) -> bool {
        let Some(segment) = self.found.get(index).filter(|segment| segment.is_segment()) else {
            return false;
        };
        if let Err(error) = self.site.directory.delete(&segment.file) {
            self.host.tell(Event::error(error));
            return false;
        }
        self.deleted += 1;
        let path = segment.file.path.clone();
        self.host.tell(Event::Delete { path, bytes: segment.bytes, reason });
        true
    }
}

impl<H: Host> SweepHands<'_, H> {
    /// Whether a process lives that has joined the segment and has not left it.
    ///
    /// Who holds a slot that a member had when it joined need not be that member: slots are handed
    /// on. Whoever holds it now is a member of the segment it writes to. So if a newer segment has a
    /// member with that slot, the old member is gone; if none has, it is the holder.
    fn has_living_writer(&mut self, index: usize) -> Result<bool, DirectoryError> {
        let mut suspects = Vec::new();
        for member in self.members(index)? {
            if member.slot > 0 && self.site.directory.is_slot_held(member.slot)? {
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
        let directory = &self.site.directory;
        let file = open(directory, &found.file)?;
        let segment = Segment { directory, file: &file, marker };
        let watch = match self.watches.entry(found.file.path.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Watch::from_last_claims(segment, found.bytes)?),
        };
        watch.advance(segment, found.bytes, u64::MAX)?;
        Ok(watch)
    }
}
