//! The catalogue kept: once nobody appends to a segment any more, readers are told between which
//! times its records lie. Nothing depends on it, see [`logq_directory::Catalogue`], so its file
//! operations are not those of the store's [`Storage`](logq_directory::Storage).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use logq_directory::{
    Catalogue, Directory, DirectoryError, Finished, SegmentFile, Stamp, present_writers,
};
use logq_format::{BlockKind, FILE_HEADER_LEN, FileHeader, Step, Timestamp};

use crate::blocks::{Blocks, Segment};
use crate::event::Event;
use crate::keeper::{Host, Site};
use crate::members::{Members, Watches};
use crate::survey::{Found, io_error, survey};

/// So many segments are looked through in one pass, some tens of milliseconds each: where a manager
/// takes over a large store, it takes several passes.
const SEGMENTS_AT_ONCE: usize = 16;

/// Bytes read at once where only the headers of blocks are wanted.
const WINDOW_LEN: u64 = 4 << 10;

/// Keeps the catalogue; remembers what it found out.
#[derive(Debug, Default)]
pub(crate) struct Cataloguer {
    /// Segments that were looked through, by their names.
    known: BTreeMap<String, Finished>,
    /// Those of which nothing is told because they are damaged, with their lengths.
    damaged: BTreeSet<(String, u64)>,
    watches: Watches,
    /// Whether a segment is not finished, or has not been looked through.
    is_pending: bool,
}

impl Cataloguer {
    /// Brings the catalogue up to date if segments have come or gone, or may be finished by now.
    pub(crate) fn run(&mut self, site: &Site, host: &impl Host) {
        if let Err(error) = self.try_run(site) {
            host.tell(Event::error(error));
        }
    }

    fn try_run(&mut self, site: &Site) -> Result<(), DirectoryError> {
        let directory = Directory::open(site.directory.path())?;
        let before = Catalogue::read(directory.path());
        let stamp = Stamp::of(directory.path()).unwrap_or_default();
        let is_current = before.as_ref().is_some_and(|before| before.is_of(stamp));
        // Right after a change, nobody can say that the list is complete.
        if stamp.is_none() || (is_current && !self.is_pending) {
            return Ok(());
        }
        let found = survey(&directory, &mut |_| {})?;
        self.forget(&found);
        let candidates = self.candidates(&directory, &found, before.as_ref())?;
        // Whoever holds it needs it more.
        let Some(lock) = directory.try_lock()? else {
            self.is_pending = true;
            return Ok(());
        };
        for (index, name, finished) in candidates {
            if self.is_left(&directory, &found, index, &finished)? {
                self.known.insert(name, finished);
            } else {
                self.is_pending = true;
            }
        }
        let written = directory.write_catalogue(&lock, &self.known);
        written.map_err(|source| DirectoryError::Io {
            operation: "write the catalogue of",
            path: directory.path().to_owned(),
            source,
        })
    }

    fn forget(&mut self, found: &[Found]) {
        let names: BTreeSet<_> = found.iter().map(|segment| name(&segment.file)).collect();
        self.known.retain(|name, _| names.contains(name));
        self.damaged.retain(|(name, _)| names.contains(name));
        self.watches.retain(found);
    }

    /// Segments that nobody seems to append to any more and that have not been looked through.
    fn candidates(
        &mut self,
        directory: &Directory,
        found: &[Found],
        before: Option<&Catalogue>,
    ) -> Result<Vec<(usize, String, Finished)>, DirectoryError> {
        self.is_pending = false;
        let mut candidates = Vec::new();
        let older = found.split_last().map_or(found, |(_, older)| older);
        for (index, segment) in older.iter().enumerate() {
            let name = name(&segment.file);
            let told = before.and_then(|before| before.finished(&name));
            let known = self.known.get(&name).or(told);
            let is_known = known.is_some_and(|k| k.is_of(&segment.file.path).unwrap_or(false));
            let damaged = (name, segment.bytes);
            let Some(header) = segment.header() else { continue };
            if is_known || self.damaged.contains(&damaged) {
                continue;
            }
            let mut members = Members { directory, found, watches: &mut self.watches };
            if candidates.len() >= SEGMENTS_AT_ONCE || members.has_living_writer(index)? {
                self.is_pending = true;
                continue;
            }
            match measure(directory, segment, header) {
                Ok(Some(finished)) if finished.len == segment.bytes => {
                    candidates.push((index, damaged.0, finished));
                }
                // Somebody has just appended to it.
                Ok(Some(_)) => self.is_pending = true,
                Ok(None) => drop(self.damaged.insert(damaged)),
                // It was deleted in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error("read", &segment.file, error)),
            }
        }
        Ok(candidates)
    }

    /// Whether nobody appends to a segment any more, to be asked while the directory lock is held:
    /// who joins does so under it, and takes the catalogue away first.
    fn is_left(
        &mut self,
        directory: &Directory,
        found: &[Found],
        index: usize,
        finished: &Finished,
    ) -> Result<bool, DirectoryError> {
        let Some(segment) = found.get(index) else { return Ok(false) };
        // Blocks since then may be those of a writer that has left since then.
        if !finished.is_of(&segment.file.path).unwrap_or(false) {
            return Ok(false);
        }
        let present = File::open(&segment.file.path).and_then(|file| present_writers(&file));
        let mut members = Members { directory, found, watches: &mut self.watches };
        Ok(present.is_ok_and(|present| present.is_empty()) && !members.has_living_writer(index)?)
    }
}

fn name(segment: &SegmentFile) -> String {
    segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Looks through the headers of a segment; `None` if anything in it is damaged or unknown.
fn measure(
    directory: &Directory,
    found: &Found,
    header: &FileHeader,
) -> io::Result<Option<Finished>> {
    let file = File::open(&found.file.path)?;
    let metadata = file.metadata()?;
    let (inode, len) = (metadata.ino(), metadata.len());
    let segment = Segment { directory, file: &file, marker: header.marker };
    let mut blocks = Blocks::new(segment, FILE_HEADER_LEN as u64..len).with_window(WINDOW_LEN);
    let mut times: Option<(Timestamp, Timestamp)> = None;
    while let Some(step) = blocks.next()? {
        let Step::Block { header, .. } = step else { return Ok(None) };
        match header.kind {
            BlockKind::Data if header.records > 0 => {
                let (from, to) = times.unwrap_or((header.min, header.max));
                times = Some((from.min(header.min), to.max(header.max)));
            }
            // What later versions put into segments may have times as well.
            BlockKind::Other(_) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(Finished { file: header.file, inode, len, times }))
}

#[cfg(test)]
mod tests;
