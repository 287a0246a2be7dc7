//! One pass over the store: delete what is too much or too old, then create the next segment where
//! one is due. Called by the manager's thread; has no threads and timers of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logq_directory::{Directory, DirectoryError, ManagerLock, Storage};

use crate::catalogue::Cataloguer;
use crate::clock::Clock;
use crate::event::{Event, OpenError};
use crate::options::{Limits, ManagerOptions};
use crate::rotate::Rotation;
use crate::sweep::Sweep;

/// The store, its limits and the time.
pub(crate) struct Site {
    pub(crate) directory: Directory,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Site {
    /// The wall clock as files are stamped with it.
    fn system_time(&self) -> SystemTime {
        let micros = self.clock.now().wall.as_micros();
        let since = Duration::from_micros(micros.unsigned_abs());
        let time =
            if micros < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
        time.unwrap_or(UNIX_EPOCH)
    }
}

/// Who is told of events, and who says when it is over.
pub(crate) trait Host {
    /// Something happened.
    fn tell(&self, event: Event);

    /// Whether the manager was closed: nothing that takes long is begun then.
    fn is_closed(&self) -> bool;
}

/// The part of a manager that works on files.
pub(crate) struct Keeper {
    site: Site,
    /// Held as long as the manager lives.
    lock: ManagerLock,
    rotation: Rotation,
    sweep: Sweep,
    cataloguer: Cataloguer,
    /// A full segment that the last pass could not do anything about, such as on a full disk.
    stuck: Option<PathBuf>,
}

impl Keeper {
    /// Takes the store over: its lock, its limits, and a segment to write to.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        path: &Path,
        options: &ManagerOptions,
        host: &impl Host,
    ) -> Result<Self, OpenError> {
        options.validate()?;
        let directory = Directory::create_on(storage, path)?;
        let lock = directory.lock_manager()?;
        let (limits, clock) = (options.limits(), Arc::clone(&options.clock));
        let site = Site { directory, limits, clock };
        let mut keeper = Self {
            site,
            lock,
            rotation: Rotation::default(),
            sweep: Sweep::default(),
            cataloguer: Cataloguer::default(),
            stuck: None,
        };
        keeper.remove_abandoned_drafts(host);
        // A full disk has no room for a segment either.
        keeper.sweep.run(&keeper.site, host);
        keeper.rotation.settle(&keeper.site, host)?;
        Ok(keeper)
    }

    /// The segment that everyone should write to.
    pub(crate) fn current(&self) -> &Path {
        self.rotation.current()
    }

    /// Whether the newest segment has reached its size since the last pass, as a look at that file
    /// alone tells.
    pub(crate) fn is_full(&self) -> bool {
        self.stuck.as_deref() != Some(self.current()) && self.has_reached_its_size()
    }

    fn has_reached_its_size(&self) -> bool {
        let file = self.site.directory.storage().examine(self.current());
        file.is_ok_and(|file| file.len() >= self.site.limits.segment_bytes)
    }

    /// Looks at the store and does what is due. What fails is told, and tried again in the next
    /// pass.
    pub(crate) fn pass(&mut self, host: &impl Host) {
        if let Err(error) = self.renew_lock() {
            return host.tell(Event::error(error));
        }
        self.sweep.run(&self.site, host);
        if host.is_closed() {
            return;
        }
        let full = self.has_reached_its_size().then(|| self.current().to_owned());
        let ran = self.rotation.run(&self.site, host);
        self.stuck = full.filter(|full| full == self.current());
        match ran {
            Ok(None) => {}
            Ok(Some(path)) => {
                host.tell(Event::Rotate(path));
                self.remove_abandoned_drafts(host);
            }
            Err(error) => host.tell(Event::error(error)),
        }
        if !host.is_closed() {
            self.cataloguer.run(&self.site, host);
        }
    }

    /// Takes the lock anew if its file was deleted: another manager would not see the old one.
    fn renew_lock(&mut self) -> Result<(), DirectoryError> {
        if !self.lock.is_current() {
            self.lock = self.site.directory.lock_manager()?;
        }
        Ok(())
    }

    fn remove_abandoned_drafts(&self, host: &impl Host) {
        if let Err(error) = self.site.directory.remove_abandoned_drafts(self.site.system_time()) {
            host.tell(Event::error(error));
        }
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod deleting;
#[cfg(test)]
mod rotating;
