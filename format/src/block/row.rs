//! One record as far as the spine alone tells: every column of it, and none of the body.

use super::spine::{Place, Spine};
use crate::error::DecodeError;
use crate::level::Level;
use crate::record::{Lifecycle, Method, RequestId};
use crate::shape::{Family, RecordType, Shape, shape};
use crate::timestamp::Timestamp;

/// One record of a block whose body has not been touched.
///
/// Each method reads one column, in constant time.
#[derive(Clone, Copy, Debug)]
pub struct SpineRow<'s, 'a> {
    spine: &'s Spine<'a>,
    index: usize,
    sequence: u64,
    byte: u8,
    shape: Shape,
    place: Place,
}

impl<'a> Spine<'a> {
    /// All records in the order in which they were written.
    ///
    /// # Errors
    ///
    /// Fails where a reference leads before the first request or the ids are too few or too many.
    pub fn rows(&self) -> Result<impl Iterator<Item = SpineRow<'_, 'a>>, DecodeError> {
        let columns = self.places()?.into_iter().zip(self.sequences()).enumerate();
        Ok(columns.filter_map(|(index, (place, sequence))| {
            let byte = self.shape_byte(index);
            // `parse` has refused undefined shapes.
            let shape = shape(byte)?;
            Some(SpineRow { spine: self, index, sequence, byte, shape, place })
        }))
    }
}

impl<'s> SpineRow<'s, '_> {
    /// Its place among the records of the block.
    pub fn index(&self) -> usize {
        self.index
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        self.spine.time(self.index)
    }

    /// Its number among the records of its writer.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How severe it is.
    pub fn level(&self) -> Level {
        self.shape.level
    }

    /// Its type.
    pub fn record_type(&self) -> RecordType {
        self.shape.record_type
    }

    /// The request it belongs to, if any.
    pub fn request_id(&self) -> Option<RequestId> {
        self.shape.has_request.then(|| self.spine.request_id(self.place))
    }

    /// The status of a RESPONSE.
    pub fn status(&self) -> Option<u16> {
        (self.shape.family == Family::Response).then(|| self.spine.status(self.place))
    }

    /// Body bytes of a RESPONSE or RESPONSE_FINISHED, if known.
    pub fn bytes(&self) -> Option<u64> {
        self.measures().0
    }

    /// Microseconds since the request of a RESPONSE or RESPONSE_FINISHED, if measured.
    pub fn duration_us(&self) -> Option<u64> {
        self.measures().1
    }

    fn measures(&self) -> (Option<u64>, Option<u64>) {
        match self.shape.family {
            Family::Response => self.spine.response_measures(self.place),
            Family::Finished => self.spine.finished_measures(self.place),
            _ => (None, None),
        }
    }

    /// The method of a REQUEST, unless it is written out in the body.
    pub fn method(&self) -> Option<Method<'static>> {
        match self.shape.family {
            Family::Request => self.spine.method(self.place),
            _ => None,
        }
    }

    /// The section that a REQUEST asked for, if its block stores that.
    pub fn url_section(&self) -> Option<&'s str> {
        let is_request = self.shape.family == Family::Request;
        is_request.then(|| self.spine.url_section(self.place)).flatten()
    }

    /// The name of the lifecycle event, such as `WORKER_STARTED`, if it is one.
    pub fn event_name(&self) -> Option<&'static str> {
        match self.shape.record_type {
            RecordType::WorkerLifecycle | RecordType::MasterLifecycle => {
                let named = |step: &Lifecycle| *step as u8 == self.byte;
                Lifecycle::ALL.into_iter().find(named).map(Lifecycle::as_str)
            }
            RecordType::WorkerSpawned => Some("WORKER_SPAWNED"),
            RecordType::WorkerExited => Some("WORKER_EXITED"),
            RecordType::UncaughtException => Some("UNCAUGHT_EXCEPTION"),
            _ => None,
        }
    }

    /// Whether it carries an error or exception.
    pub fn has_error(&self) -> bool {
        self.shape.has_error
    }
}
