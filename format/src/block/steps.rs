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

impl Spine<'_> {
    /// All steps of requests, in the order in which they were written.
    ///
    /// # Errors
    ///
    /// Fails where a reference leads before the first request or the ids are too few or too many.
    pub fn request_steps(&self) -> Result<Vec<RequestStep>, DecodeError> {
        const WHAT: &str = "request reference";
        let mut references = self.request_references().into_iter();
        let (responses, finishes) = (self.response_columns(), self.finish_columns());
        let (mut answered, mut finished) = (0, 0);
        let (mut heads, mut introduced) = (0, 0_u64);
        let mut steps = Vec::with_capacity(self.len());
        // Blocks have at most 2^18 records.
        for ((byte, time), index) in self.shape_bytes().iter().zip(self.times()).zip(0_u32..) {
            // `parse` has refused undefined shapes.
            let Some(shape) = shape(*byte).filter(|shape| shape.has_request) else { continue };
            let reference = references.next().unwrap_or_default();
            let request = introduced
                .checked_sub(reference)
                .ok_or(DecodeError::Invalid { what: WHAT, found: reference })?;
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
                    step.status = responses.status(answered);
                    (step.bytes, step.duration_us) = responses.measures(answered);
                    answered += 1;
                }
                Family::Finished => {
                    (step.bytes, step.duration_us) = finishes.measures(finished);
                    finished += 1;
                }
                _ => continue,
            }
            steps.push(step);
        }
        if introduced == self.request_ids().len() as u64 {
            Ok(steps)
        } else {
            Err(DecodeError::Invalid { what: "number of request ids", found: introduced })
        }
    }
}

/// The columns of responses, or of the ends of requests, one number after the other.
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
