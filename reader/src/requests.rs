//! Which requests the wanted records belong to, told by spines: no body is decoded but of those
//! blocks where only that tells whether a record is wanted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use logq_format::{RequestId, Spine, Timestamp, WriterId};

use crate::rows::{Blocks, Key};
use crate::run::Sink;
use crate::select::Receiver;

/// A record of a request, as far as the spine tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The request.
    pub request: RequestId,
    /// When it happened.
    pub time: Timestamp,
    /// Who wrote it.
    pub writer: WriterId,
    /// Its number among the records of its writer.
    pub sequence: u64,
}

/// Hands out the records of a slice that belong to requests.
pub(crate) struct Finder<'k> {
    sink: Sink<'k, Vec<RequestRecord>>,
    /// For each block the requests that it mentions, and which of them each record belongs to.
    columns: BTreeMap<usize, (Vec<RequestId>, Vec<Option<u32>>)>,
}

impl<'k> Finder<'k> {
    pub(crate) fn new(sink: Sink<'k, Vec<RequestRecord>>) -> Self {
        Self { sink, columns: BTreeMap::new() }
    }

    fn request(&self, key: &Key) -> Option<RequestId> {
        let (requests, indices) = self.columns.get(&(key.block as usize))?;
        let index = indices.get(key.index as usize).copied().flatten()?;
        requests.get(index as usize).copied()
    }
}

impl Receiver for Finder<'_> {
    fn spine(&mut self, index: usize, spine: &Spine<'_>) {
        // Where the references are damaged, selecting records tells.
        if let Ok(indices) = spine.request_indices() {
            self.columns.insert(index, (spine.request_ids().to_vec(), indices));
        }
    }

    fn rows<'d>(&mut self, keys: &'d [Key], _blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        let record = |key: &Key| {
            let Key { time, sequence, .. } = *key;
            let writer = WriterId(key.writer);
            Some(RequestRecord { request: self.request(key)?, time, writer, sequence })
        };
        let records = keys.iter().filter_map(record).collect();
        self.columns.clear();
        (self.sink)(records, keys.len())
    }
}
