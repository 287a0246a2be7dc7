//! From segment to segment: as told by `rotate`, by finding a newer one, or because the present one is
//! gone.

use std::path::Path;
use std::time::Duration;

use logq_format::BlockFlags;

use super::Flusher;
use crate::error::OpenError;
use crate::queue::Reply;
use crate::segment::{Joining, Segment, Target};

/// How often a newer segment is looked for at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A segment to go on in.
pub(super) struct Next {
    pub(super) target: Target,
    pub(super) segment: Segment,
    /// Which of the switches in the queue leads there: others may have become pointless.
    pub(super) ticket: u64,
}

impl Flusher {
    /// Joins the segment at `path`.
    ///
    /// Records that are staged or queued already may be older than what the new segment's watermark
    /// allows. They still go into the segment before; a switch behind them marks where it is left.
    pub(super) fn rotate(&mut self, path: &Path, reply: Reply) {
        let target = Target::new(path);
        if let Ok(target) = &target
            && self.segment.is_at(target)
        {
            self.stay(target.clone());
            // The caller may have stopped waiting.
            return drop(reply.send(Ok(())));
        }
        if let (Ok(target), Some(next)) = (&target, &mut self.next)
            && next.segment.is_at(target)
        {
            // It has found that segment by itself and is about to go on there.
            next.target.clone_from(target);
            return self.shared.submit_switch(next.segment.last(), next.ticket, Some(reply));
        }
        match target.and_then(|target| self.join_next(target)) {
            Ok((target, joined)) => self.switch_later(target, joined, Some(reply)),
            // The caller may have stopped waiting.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Goes on in a segment that is joined already, once everything that was logged before is written.
    fn switch_later(&mut self, target: Target, segment: Segment, reply: Option<Reply>) {
        self.tickets += 1;
        let (floor, ticket) = (segment.last(), self.tickets);
        self.next = Some(Next { target, segment, ticket });
        self.shared.submit_switch(floor, ticket, reply);
    }

    /// Goes on where it is: to join the segment once more would end with leaving it for good.
    fn stay(&mut self, target: Target) {
        self.next = None;
        self.target = target;
    }

    fn join_next(&self, target: Target) -> Result<(Target, Segment), OpenError> {
        let (now, clock) = (self.segment.last(), Some(self.shared.options.clock.as_ref()));
        let (origin, sequence) = (self.segment.origin(), self.segment.next_sequence());
        let joined = Segment::join(&target, &Joining { origin, sequence, now, clock })?;
        Ok((target, joined))
    }

    /// Goes on in the store's newest segment, if there is a newer one, or if the present one was
    /// deleted. Costs two cheap system calls for each block.
    pub(super) fn follow(&mut self) {
        if self.segment.is_deleted() {
            self.replace_deleted();
        } else if self.next.is_none() && self.target.is_store() && self.may_have_rotated() {
            let newest = self.target.newest_number();
            newest.inspect(|newest| self.control.mend_segment(*newest));
            // A segment that cannot be joined now is tried again with the next look.
            if newest.is_some_and(|newest| newest > self.segment.number())
                && let Ok((target, joined)) = self.join_next(self.target.clone())
            {
                self.switch_later(target, joined, None);
            }
        }
    }

    /// Whether the control page, or, where it does not name the present segment, the directory has
    /// changed since the last look. A page can be an old one, and a directory's time of change is
    /// coarse, so a look is due now and then in any case.
    fn may_have_rotated(&mut self) -> bool {
        let current = self.control.current_segment();
        let is_news = current != Some(self.segment.number()) && {
            let signs = (current, self.target.changed());
            std::mem::replace(&mut self.signs, signs) != signs
        };
        if !is_news && self.since(self.last_look) < LOOK_EVERY {
            return false;
        }
        self.last_look = self.instant();
        true
    }

    /// Nothing must be appended to a deleted file, so what is queued goes into another segment, one
    /// that still takes times from the last written one on.
    fn replace_deleted(&mut self) {
        let now = self.segment.last();
        let (origin, sequence) = (self.segment.origin(), self.segment.next_sequence());
        let joining = Joining { origin, sequence, now, clock: None };
        let store = self.target.store();
        let joined = match &self.next {
            None => Segment::join(&store, &joining),
            // What is queued may be older than the floor with which that one was joined.
            Some(_) => Segment::join_new(&store, &joining),
        };
        if let Ok(joined) = joined {
            if let Some(next) = self.next.take_if(|next| next.segment.is_before(&joined)) {
                self.target = next.target;
            }
            self.go_on_in(joined);
            if self.shared.is_master {
                self.ping();
            }
        }
    }

    pub(super) fn switch(&mut self, ticket: u64) {
        // A step of the clock meanwhile has led into a segment of its own.
        let origin = self.segment.origin();
        // What lies before another switch may be older than what the next segment takes.
        let next = self.next.take_if(|next| next.ticket == ticket);
        let next = next.filter(|next| next.segment.origin() == origin);
        let Some(Next { target, segment: mut joined, .. }) = next else { return };
        joined.continue_from(&self.segment);
        // The old segment's lock is given back in any case, which says the same.
        let _ = self.show_life(self.segment.last(), BlockFlags::LEAVING);
        self.target = target;
        self.go_on_in(joined);
        if self.shared.is_master {
            self.ping();
        }
    }
}
