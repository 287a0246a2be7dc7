//! Where in a segment a range of time begins and ends.
//!
//! The times in headers lead to the place quickly, but prove nothing: writers run beside each
//! other and flush when they like. What proves is the claims of a ping, so from the place on the
//! pings around are asked.

use logq_format::{BLOCK_HEADER_LEN, BlockHeader, Claims, Timestamp, find_block};

use crate::hop::Hop;
use crate::scale::{PROBE_BYTES, SEARCH_BYTES, STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::segment::{Head, Segment};
use crate::view::View;

/// Finds places in one segment.
#[derive(Debug)]
pub(crate) struct Seek<'s> {
    view: View<'s>,
    head: &'s Head,
    bytes_read: u64,
}

impl<'s> Seek<'s> {
    pub(crate) fn new(segment: &'s Segment, head: &'s Head) -> Self {
        Self { view: View::new(segment), head, bytes_read: 0 }
    }

    /// An offset where a block starts and before which nothing is as late as `since`.
    pub(crate) fn start_of(&mut self, since: Timestamp) -> u64 {
        let mut end = self.approach(since);
        let mut stride = STRIDE_BYTES;
        while end > self.head.start && stride <= STRIDE_BYTES_MAX {
            let from = end.saturating_sub(stride).max(self.head.start);
            let claims = self.claims(from, end, |_| false);
            let starts = claims.iter().filter(|claims| claims.now < since).map(|c| c.covered);
            let start = starts.filter(|offset| self.header_at(*offset).is_some()).max();
            if let Some(start) = start {
                return start;
            }
            end = from;
            stride *= 2;
        }
        self.head.start
    }

    /// An offset from which on everything is at or after `until`.
    pub(crate) fn end_of(&mut self, until: Timestamp) -> u64 {
        let start = self.approach(until);
        let len = self.view.segment().len();
        let claims = self.claims(start, len, |claims| claims.watermark >= until);
        match claims.last() {
            Some(claims) if claims.watermark >= until => claims.covered,
            _ => len,
        }
    }

    /// About where headers start to show times as late as `time`.
    fn approach(&mut self, time: Timestamp) -> u64 {
        let (mut low, mut high) = (self.head.start, self.view.segment().len());
        while high.saturating_sub(low) > SEARCH_BYTES {
            let middle = low + (high - low) / 2;
            match self.find_block(middle, high) {
                Some((offset, header)) if header.max < time => low = offset,
                _ => high = middle,
            }
        }
        low
    }

    /// The claims met from the first block at or after `from` up to `to`, or up to the first that
    /// satisfy `enough`.
    fn claims(&mut self, from: u64, to: u64, enough: impl Fn(&Claims) -> bool) -> Vec<Claims> {
        let mut found = Vec::new();
        let Some(start) = self.first_block(from, to) else { return found };
        let mut hop = Hop::new(self.view.segment(), self.head, start);
        while let Some(claims) = hop.next_claims(to) {
            let is_enough = enough(&claims);
            found.push(claims);
            if is_enough {
                break;
            }
        }
        self.bytes_read += hop.take_bytes_read();
        found
    }

    /// The offset of the first block at or after `from`, if it lies before `to`.
    pub(crate) fn first_block(&mut self, from: u64, to: u64) -> Option<u64> {
        if from <= self.head.start {
            return Some(self.head.start);
        }
        self.find_block(from, to).map(|(offset, _)| offset)
    }

    /// The first header at or after `from`, if it starts before `to`.
    fn find_block(&mut self, from: u64, to: u64) -> Option<(u64, BlockHeader)> {
        let header_len = BLOCK_HEADER_LEN as u64;
        let len = self.view.segment().len();
        let mut from = from;
        while from < to {
            let end = from.saturating_add(PROBE_BYTES).min(len);
            let bytes = self.view.get(from..end).ok()?;
            if let Some(found) = find_block(bytes, 0, self.head.marker) {
                let header = BlockHeader::decode(bytes.get(found..)?, self.head.marker).ok()?;
                let offset = from + found as u64;
                return (offset < to).then_some((offset, header));
            }
            // A header may start in the last bytes of the window and end behind it.
            from = if end == len { len } else { end.saturating_sub(header_len - 1) };
        }
        None
    }

    fn header_at(&mut self, offset: u64) -> Option<BlockHeader> {
        if offset < self.head.start {
            return None;
        }
        let end = offset.saturating_add(BLOCK_HEADER_LEN as u64);
        if end > self.view.segment().len() {
            return None;
        }
        let bytes = self.view.get(offset..end).ok()?;
        BlockHeader::decode(bytes, self.head.marker).ok()
    }

    /// How many bytes were read or mapped since this was last asked.
    pub(crate) fn take_bytes_read(&mut self) -> u64 {
        std::mem::take(&mut self.bytes_read) + self.view.take_bytes_read()
    }
}
