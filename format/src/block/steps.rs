//! The steps of requests, as far as the spine alone tells them, in one pass over its columns: for
//! readers that want every one of them and nothing else.

use super::spine::Spine;
use crate::error::DecodeError;
use crate::level::Level;
use crate::shape::{Family, RecordType, shape};
use crate::timestamp::Timestamp;

/// A REQUEST, RESPONSE or RESPONSE_FINISHED of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStep {
    /// When it happened.
    pub time: Timestamp,
    /// Its place among the records of the block.
    pub index: u32,
    /// The index of its request in [`Spine::request_ids`].
    pub request: u32,
    /// Of a REQUEST its number among those of the block, by which [`Heads`](crate::Heads) has it.
    pub head: u32,
    /// How severe it is.
    pub level: Level,
    /// Its type: one of these three.
    pub record_type: RecordType,
    /// The status of a RESPONSE, else 0.
    pub status: u16,
    /// Body bytes of a RESPONSE or RESPONSE_FINISHED, if known.
    pub bytes: Option<u64>,
    /// Microseconds since the request of a RESPONSE or RESPONSE_FINISHED, if measured.
    pub duration_us: Option<u64>,
}

/// The steps of requests of a block, taken out of its columns as they are looked at.
#[derive(Debug)]
pub struct RequestSteps<'s> {
    shapes: &'s [u8],
    times: &'s [Timestamp],
    references: Vec<u64>,
    responses: AnswerColumns,
    finishes: AnswerColumns,
    requests: usize,
    len: usize,
}

impl Spine<'_> {
    /// All steps of requests, in the order in which they were written.
    ///
    /// # Errors
    ///
    /// Fails where a reference leads before the first request or the ids are too few or too many.
    pub fn request_steps(&self) -> Result<RequestSteps<'_>, DecodeError> {
        let references = self.request_references();
        check_references(&references, self.request_ids().len())?;
        let families = [Family::Request, Family::Response, Family::Finished];
        Ok(RequestSteps {
            shapes: self.shape_bytes(),
            times: self.times(),
            references,
            responses: self.response_columns(),
            finishes: self.finish_columns(),
            requests: self.counts().of(Family::Request),
            len: families.into_iter().map(|family| self.counts().of(family)).sum(),
        })
    }
}

/// Each reference leads to a request that is introduced by then, and all of them are.
fn check_references(references: &[u64], ids: usize) -> Result<(), DecodeError> {
    let mut introduced = 0_u64;
    let astray = references.iter().copied().find(|reference| {
        let leads_astray = *reference > introduced;
        introduced += u64::from(*reference == 0);
        leads_astray
    });
    match astray {
        Some(found) => Err(DecodeError::Invalid { what: "request reference", found }),
        None if introduced == ids as u64 => Ok(()),
        None => Err(DecodeError::Invalid { what: "number of request ids", found: introduced }),
    }
}

impl RequestSteps<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them are REQUESTs.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Calls `see` with the steps, in the order in which they were written.
    ///
    /// Twice as fast as an iterator, which would hand each one on by copying it.
    #[inline]
    pub fn for_each(&self, mut see: impl FnMut(&RequestStep)) {
        let mut references = self.references.iter();
        let (mut answered, mut finished) = (0, 0);
        let (mut heads, mut introduced) = (0, 0_u64);
        // Blocks have at most 2^18 records.
        for ((byte, time), index) in self.shapes.iter().zip(self.times).zip(0_u32..) {
            // `Spine::parse` has refused undefined shapes.
            let Some(shape) = shape(*byte).filter(|shape| shape.has_request) else { continue };
            let reference = references.next().copied().unwrap_or_default();
            // `check_references` has seen to it that this is one of the block's.
            let request = introduced.saturating_sub(reference);
            introduced += u64::from(reference == 0);
            let mut step = RequestStep {
                time: *time,
                index,
                request: u32::try_from(request).unwrap_or(u32::MAX),
                head: 0,
                level: shape.level,
                record_type: shape.record_type,
                status: 0,
                bytes: None,
                duration_us: None,
            };
            match shape.family {
                Family::Request => {
                    step.head = heads;
                    heads += 1;
                }
                Family::Response => {
                    step.status = self.responses.status(answered);
                    (step.bytes, step.duration_us) = self.responses.measures(answered);
                    answered += 1;
                }
                Family::Finished => {
                    (step.bytes, step.duration_us) = self.finishes.measures(finished);
                    finished += 1;
                }
                _ => continue,
            }
            see(&step);
        }
    }
}

/// The columns of responses, or of the ends of requests, one number after the other.
#[derive(Debug)]
pub(super) struct AnswerColumns {
    /// Empty for the ends of requests.
    pub(super) statuses: Vec<u64>,
    pub(super) sizes: Vec<u64>,
    pub(super) durations: Vec<u64>,
}

impl AnswerColumns {
    #[inline]
    fn status(&self, index: usize) -> u16 {
        self.statuses.get(index).map_or(0, |status| super::spine::status(*status))
    }

    /// Bytes and duration. Numbers that may be absent are stored plus one.
    #[inline]
    fn measures(&self, index: usize) -> (Option<u64>, Option<u64>) {
        let of = |column: &[u64]| column.get(index).and_then(|value| value.checked_sub(1));
        (of(&self.sizes), of(&self.durations))
    }
}
