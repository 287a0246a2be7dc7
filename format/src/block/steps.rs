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
        let (mut responses, mut finishes) = (self.responses(), self.finishes());
        let (mut heads, mut introduced) = (0, 0_u64);
        let mut steps = Vec::with_capacity(self.len());
        for (index, (byte, time)) in self.shape_bytes().iter().zip(self.times()).enumerate() {
            // `parse` has refused undefined shapes.
            let Some(shape) = shape(*byte).filter(|shape| shape.has_request) else { continue };
            let reference = references.next().unwrap_or_default();
            let request = introduced
                .checked_sub(reference)
                .ok_or(DecodeError::Invalid { what: WHAT, found: reference })?;
            introduced += u64::from(reference == 0);
            let (status, bytes, duration_us) = match shape.family {
                Family::Request => {
                    heads += 1;
                    (0, None, None)
                }
                Family::Response => responses.next().unwrap_or_default(),
                Family::Finished => {
                    let (bytes, duration_us) = finishes.next().unwrap_or_default();
                    (0, bytes, duration_us)
                }
                _ => continue,
            };
            steps.push(RequestStep {
                time: *time,
                // Blocks have at most 2^18 records.
                index: u32::try_from(index).unwrap_or(u32::MAX),
                request: u32::try_from(request).unwrap_or(u32::MAX),
                head: if shape.family == Family::Request { heads - 1 } else { 0 },
                level: shape.level,
                record_type: shape.record_type,
                status,
                bytes,
                duration_us,
            });
        }
        if introduced == self.request_ids().len() as u64 {
            Ok(steps)
        } else {
            Err(DecodeError::Invalid { what: "number of request ids", found: introduced })
        }
    }
}
