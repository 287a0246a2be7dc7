//! Retention carried out: which segments there are, who still writes to them, and their deletion.

use logq_directory::DirectoryError;

use crate::event::Event;
use crate::keeper::{Host, Site};
use crate::members::{Members, Watches};
use crate::retention::{Hands, Reason, missing_bytes, retain};
use crate::survey::{Found, extents, survey};

/// Deletes segments; remembers what it had to find out about their writers.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    watches: Watches,
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
        self.watches.retain(&found);
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
    watches: &'a mut Watches,
    deleted: u64,
}

impl<H: Host> Hands for SweepHands<'_, H> {
    fn is_written(&mut self, index: usize) -> bool {
        // Where nobody knows, it can wait until twice the limit.
        let Self { site, found, watches, .. } = self;
        let mut members = Members { directory: &site.directory, found, watches };
        match members.has_living_writer(index) {
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
