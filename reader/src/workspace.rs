//! What decoding needs and what is costly to make: decompressors, dictionaries, buffers. Kept from
//! slice to slice.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use logq_format::{Decompressor, Dictionary};

use crate::error::ReadError;
use crate::segment::Segment;

/// Dictionaries that are kept. Slices go through the segments in order, so few are in use at once;
/// a store may have thousands, of 64 KiB and more each.
const DICTIONARIES_MAX: usize = 16;

/// Buffers that one workspace keeps.
const BUFFERS_MAX: usize = 4;

/// The largest buffer that is kept.
const BUFFER_BYTES_MAX: usize = 2 << 20;

/// The workspaces of one snapshot, and the dictionaries of its segments.
#[derive(Default)]
pub(crate) struct Workspaces {
    idle: Mutex<Vec<Workspace>>,
    dictionaries: Mutex<VecDeque<(u32, Option<Dictionary>)>>,
}

/// What one thread needs to decode a slice.
pub(crate) struct Workspace {
    pub(crate) decompressor: Decompressor,
    /// The segment whose dictionary the decompressor uses.
    segment: Option<u32>,
    buffers: Vec<Vec<u8>>,
}

impl fmt::Debug for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspaces").finish_non_exhaustive()
    }
}

impl Workspaces {
    pub(crate) fn take(&self) -> Result<Workspace, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(workspace) => Ok(workspace),
            None => Ok(Workspace {
                decompressor: Decompressor::new().map_err(no_decompressor)?,
                segment: None,
                buffers: Vec::new(),
            }),
        }
    }

    pub(crate) fn give_back(&self, workspace: Workspace) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    fn dictionary(&self, segments: &[Segment], segment: u32) -> Option<Dictionary> {
        let mut kept = self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dictionary)) = kept.iter().find(|(owner, _)| *owner == segment) {
            return dictionary.clone();
        }
        let dictionary = find_dictionary(segments, segment);
        kept.truncate(DICTIONARIES_MAX - 1);
        kept.push_front((segment, dictionary.clone()));
        dictionary
    }
}

/// The dictionary of a segment. Where it is damaged, another segment may have the same one, as those of
/// one import do, or a copy, as the next one after a rotation does, or there is one in the segment
/// itself. Its identity is a checksum of its bytes.
pub(crate) fn find_dictionary(segments: &[Segment], segment: u32) -> Option<Dictionary> {
    let own = segments.get(segment as usize)?;
    own.read_dictionary().or_else(|| {
        let id = own.dictionary_id()?;
        let is_same = |other: &&Segment| other.may_have_dictionary(id);
        let same = segments.iter().filter(is_same).filter_map(Segment::read_dictionary);
        let mut same = same.filter(|dictionary| dictionary.id() == id);
        same.next()
            .or_else(|| segments.iter().find_map(|other| other.read_kept_dictionary(id)))
            .or_else(|| own.find_dictionary(id))
    })
}

impl Workspace {
    /// Prepares for blocks of another segment.
    pub(crate) fn turn_to(
        &mut self,
        segment: u32,
        segments: &[Segment],
        workspaces: &Workspaces,
    ) -> Result<(), ReadError> {
        if self.segment != Some(segment) {
            let dictionary = workspaces.dictionary(segments, segment);
            self.decompressor.set_dictionary(dictionary.as_ref()).map_err(no_decompressor)?;
            self.segment = Some(segment);
        }
        Ok(())
    }

    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            self.buffers.push(buffer);
        }
    }
}

fn no_decompressor(source: std::io::Error) -> ReadError {
    ReadError::Decompressor { source }
}
