//! The steps of one block added to a slice: most requests begin and end in the same block, and are
//! counted there without a look at those that are open elsewhere.

use logq_format::{Heads, RecordType, RequestId, RequestStep, Timestamp, UrlSections};

use super::batch::Batch;
use super::heads::{NeededHeads, TEXT_BYTES, client_of};
use super::slice::{Open, Slice};
use super::{Leg, latency_us};
use crate::hit::{Ending, Hit};

/// Takes the steps of one block. Made by [`Slice::block`].
#[derive(Debug)]
pub struct BlockOfSteps<'s, 'h> {
    slice: &'s mut Slice,
    ids: &'h [RequestId],
    heads: NeededHeads<'h>,
    batch: Batch<'h>,
    /// For each of `ids`.
    near: Vec<Near>,
    /// The times of the first and the last step.
    span: Option<(Timestamp, Timestamp)>,
}

/// What is known of a request from the records of one block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Near {
    #[default]
    Nothing,
    Asked {
        time: Timestamp,
        /// Its number among the heads of the block.
        head: u32,
    },
    /// It is counted but for its bytes.
    Answered {
        second: i64,
    },
    Counted,
}

impl<'s, 'h> BlockOfSteps<'s, 'h> {
    pub(super) fn new(
        slice: &'s mut Slice,
        ids: &'h [RequestId],
        sections: Option<UrlSections<'h>>,
        heads: Option<&'h Heads<'h>>,
    ) -> Self {
        let needs = slice.needs;
        let sections = sections.filter(|_| needs.targets && !needs.urls);
        let mut near = std::mem::take(&mut slice.near);
        near.resize(ids.len(), Near::Nothing);
        Self {
            ids,
            heads: NeededHeads { heads, sections, needs },
            batch: Batch::new(&slice.scheme, sections),
            near,
            span: None,
            slice,
        }
    }

    /// Takes a step. Steps must come in their order.
    #[inline]
    pub fn add(&mut self, step: &RequestStep) {
        let number = step.request as usize;
        let known = self.near.get(number).copied().zip(self.ids.get(number).copied());
        let Some((known, id)) = known else { return };
        self.span = Some((self.span.map_or(step.time, |(first, _)| first), step.time));
        let next = self.next(known, step).unwrap_or_else(|| {
            // It began in a block before, or more than once.
            self.part(id, known);
            let told = self.heads.told(step);
            self.slice.add(Leg { time: step.time, id, told });
            Near::Nothing
        });
        if let Some(known) = self.near.get_mut(number) {
            *known = next;
        }
    }

    /// What is known behind the next step of a request of which all so far is in the same block, as it
    /// is with nearly all of them; `None` if it is not so simple.
    #[inline]
    fn next(&mut self, known: Near, step: &RequestStep) -> Option<Near> {
        let time = step.time;
        Some(match (step.record_type, known) {
            (RecordType::Request, Near::Nothing | Near::Counted) => {
                Near::Asked { time, head: step.head }
            }
            (RecordType::Response, Near::Asked { time: asked, head })
                if time.micros_since(asked) <= self.slice.open_us =>
            {
                let second = self.answer(asked, head, step);
                if step.bytes.is_none() { Near::Answered { second } } else { Near::Counted }
            }
            (RecordType::ResponseFinished, Near::Answered { second }) => {
                self.slice.add_bytes(time, second, step.bytes.unwrap_or_default());
                Near::Counted
            }
            (RecordType::ResponseFinished, Near::Counted) => Near::Counted,
            _ => return None,
        })
    }

    /// Counts a request of the same block as its answer; answers the second it counts in.
    #[inline]
    fn answer(&mut self, asked: Timestamp, head: u32, answer: &RequestStep) -> i64 {
        let time = asked.min(answer.time);
        let ending = Ending {
            status: answer.status,
            bytes: answer.bytes.unwrap_or_default(),
            latency_us: latency_us(asked, answer.time, answer.duration_us),
        };
        let [asked_in, answered_in] = &mut self.batch.seconds;
        let (counted, answered) = (asked_in.of(time), answered_in.of(answer.time));
        let slice = &mut *self.slice;
        if self.batch.suffices && slice.adds_up(counted, answered) {
            self.batch.add(head, counted, &ending, &slice.scheme, &mut slice.tally);
            return counted;
        }
        let Ending { status, bytes, latency_us } = ending;
        let mut text = [0; TEXT_BYTES];
        let (target, client) = (self.heads.target(head), client_of(self.heads.ip(head), &mut text));
        slice.count(answer.time, &Hit { time, target, client, status, bytes, latency_us })
    }

    /// Keeps what is known of a request beyond its block.
    fn part(&mut self, id: RequestId, known: Near) {
        let (slice, heads) = (&mut *self.slice, &self.heads);
        let open = match known {
            Near::Nothing | Near::Counted => return,
            Near::Asked { time, head } => {
                let target = slice.keep_target(&heads.target(head));
                let client = slice.keep(&client_of(heads.ip(head), &mut [0; TEXT_BYTES]));
                Open::Asked { time, target, client }
            }
            Near::Answered { second } => Open::Answered { second },
        };
        slice.keep_open(id, open);
    }

    /// Behind the last step.
    pub fn end(mut self) {
        let near = std::mem::take(&mut self.near);
        for (id, known) in self.ids.iter().zip(&near) {
            if !matches!(known, Near::Nothing | Near::Counted) {
                self.part(*id, *known);
            }
        }
        let slice = self.slice;
        self.batch.pour(&slice.scheme, &mut slice.tally);
        if let Some((first, last)) = self.span {
            slice.extend(first);
            slice.extend(last);
        }
        slice.near = near;
        slice.near.clear();
        slice.forget_names();
    }
}
