//! The spine: the small typed columns of a block, enough to answer questions of time, level, type,
//! status, duration and bytes.
//!
//! The mirror image of `BlockBuilder::encode_spine`.

use std::cell::OnceCell;

use super::steps::AnswerColumns;
use super::url_sections::{Places, UrlSections};
use crate::column::Ints;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::header::BlockHeader;
use crate::level::Level;
use crate::limits::SEQUENCE_MAX;
use crate::record::{Method, RequestId};
use crate::shape::{self, Family, RecordType, SHAPES, Shape, summarize};
use crate::timestamp::Timestamp;

/// The decoded spine of one block.
#[derive(Debug)]
pub struct Spine<'a> {
    shapes: &'a [u8],
    times: Vec<Timestamp>,
    ids: Vec<RequestId>,
    request_refs: Ints<'a>,
    methods: &'a [u8],
    statuses: Ints<'a>,
    response_durations: Ints<'a>,
    response_sizes: Ints<'a>,
    finished_durations: Ints<'a>,
    finished_sizes: Ints<'a>,
    sequence_gaps: Ints<'a>,
    sequence: u64,
    sparse: bool,
    /// What is behind the other columns: the sections of REQUESTs, unless the block leaves them out.
    url_sections: &'a [u8],
    /// The same, parsed when somebody asks.
    url_section_places: OnceCell<Result<Option<Places>, DecodeError>>,
    counts: Counts,
}

/// How many records of a block have which columns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    families: [usize; Family::COUNT],
    pub(crate) requests: usize,
    pub(crate) errors: usize,
}

impl Counts {
    pub(crate) fn of(&self, family: Family) -> usize {
        self.families.get(family as usize).copied().unwrap_or(0)
    }

    /// Counts all records of a block.
    ///
    /// A query trusts the header's sets of levels and types, so nothing outside them may be in the
    /// block. They may hold more: a later version adds the types of its own kinds of records.
    fn of_all(header: &BlockHeader, shapes: &[u8]) -> Result<Self, DecodeError> {
        let mut counts = Self::default();
        let (mut levels, mut types) = (header.levels, header.types);
        for (byte, count) in (0..=u8::MAX).zip(tally(shapes)).filter(|(_, count)| *count > 0) {
            let Some(shape) = shape::shape(byte) else {
                let undefined = shapes.iter().find(|byte| shape::shape(**byte).is_none());
                let found = u64::from(undefined.copied().unwrap_or(byte));
                return Err(DecodeError::Newer { what: "record shape", found });
            };
            if let Some(family) = counts.families.get_mut(shape.family as usize) {
                *family += count;
            }
            counts.requests += if shape.has_request { count } else { 0 };
            counts.errors += if shape.has_error { count } else { 0 };
            (levels, types) = (levels.with(shape.level), types.with(shape.record_type));
        }
        if (levels, types) == (header.levels, header.types) {
            return Ok(counts);
        }
        let found = summarize(shapes).map_or(0, |(_, types)| u64::from(types.bits()));
        Err(DecodeError::Invalid { what: "set of levels and types", found })
    }

    fn add(&mut self, shape: Shape) -> Place {
        let mut place = Place { request: u32::MAX, ..Place::default() };
        if let Some(count) = self.families.get_mut(shape.family as usize) {
            place.family = ordinal(*count);
            *count += 1;
        }
        if shape.has_request {
            self.requests += 1;
        }
        if shape.has_error {
            place.error = ordinal(self.errors);
            self.errors += 1;
        }
        place
    }
}

/// Where a record's fields are in the columns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Its request's number in the block; meaningless where the shape has no request.
    pub(crate) request: u32,
    /// Its number among the records of its family.
    pub(crate) family: u32,
    /// Its error's number in the block; meaningless where the shape has no error.
    pub(crate) error: u32,
}

/// Blocks have at most 2^18 records.
fn ordinal(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl<'a> Spine<'a> {
    /// Parses the raw spine of a block with this header and these request ids.
    ///
    /// # Errors
    ///
    /// Fails where a column is cut off, a value is not allowed, or the columns contradict the
    /// header: what a query ruled out by the header must not be in the block.
    pub fn parse(
        header: &BlockHeader,
        ids: Vec<RequestId>,
        raw: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(raw);
        let count = header.records as usize;
        let widths = cursor.u32("column widths")?;
        let width = |column: u32| (widths >> (4 * column) & 0x0F) as u8;
        let shapes = cursor.bytes("shapes", count)?;
        let counts = Counts::of_all(header, shapes)?;

        let responses = counts.of(Family::Response);
        let finished = counts.of(Family::Finished);
        let cursor = &mut cursor;
        let deltas = Ints::take(cursor, "times", count, width(0))?;
        let request_refs = Ints::take(cursor, "request references", counts.requests, width(1))?;
        let methods = cursor.bytes("methods", counts.of(Family::Request))?;
        check_methods(methods)?;
        let statuses = Ints::take(cursor, "statuses", responses, status_width(width(2))?)?;
        let response_durations = Ints::take(cursor, "response durations", responses, width(3))?;
        let response_sizes = Ints::take(cursor, "response sizes", responses, width(4))?;
        let finished_durations = Ints::take(cursor, "finished durations", finished, width(5))?;
        let finished_sizes = Ints::take(cursor, "finished sizes", finished, width(6))?;
        let sequence_gaps = Ints::take(cursor, "sequence gaps", count, width(7))?;
        if width(7) > 0 {
            check_sequences(header, sequence_gaps)?;
        }
        Ok(Self {
            shapes,
            times: times(header, deltas)?,
            ids,
            request_refs,
            methods,
            statuses,
            response_durations,
            response_sizes,
            finished_durations,
            finished_sizes,
            sequence_gaps,
            sequence: header.sequence,
            sparse: width(7) > 0,
            url_sections: cursor.rest(),
            url_section_places: OnceCell::new(),
            counts,
        })
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The times of all records, never decreasing.
    pub fn times(&self) -> &[Timestamp] {
        &self.times
    }

    /// The time of the record at `index`.
    pub(crate) fn time(&self, index: usize) -> Timestamp {
        self.times.get(index).copied().unwrap_or_default()
    }

    /// The levels and types of all records, in order.
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = (Level, RecordType)> + use<'a> {
        self.shapes.iter().map(|byte| {
            // `parse` has refused undefined shapes.
            let shape = shape::shape(*byte);
            shape.map_or((Level::Info, RecordType::Unknown), |s| (s.level, s.record_type))
        })
    }

    /// How many records there are of each level and type; costs one pass over one byte a record.
    pub fn tally(&self) -> impl Iterator<Item = (Level, RecordType, usize)> {
        tally(self.shapes).into_iter().zip(&SHAPES).filter_map(|(count, shape)| {
            shape.filter(|_| count > 0).map(|shape| (shape.level, shape.record_type, count))
        })
    }

    /// The sequence numbers of all records.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        let mut next = self.sequence;
        (0..self.len()).map(move |index| {
            let gap = if self.sparse { self.sequence_gaps.get(index) } else { 0 };
            let sequence = next.saturating_add(gap);
            next = sequence.saturating_add(1);
            sequence
        })
    }

    /// The statuses of all responses, in order.
    pub fn statuses(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.statuses.iter().map(status)
    }

    /// Whether no REQUEST has its method written out in the body.
    pub fn has_all_methods(&self) -> bool {
        !self.methods.contains(&0)
    }

    /// The sections of all REQUESTs, if the block stores them; else only their urls tell.
    ///
    /// # Errors
    ///
    /// Fails where the column is cut off or holds what the format does not allow.
    pub fn url_sections(&self) -> Result<Option<UrlSections<'_>>, DecodeError> {
        let requests = self.counts.of(Family::Request);
        let parse = || Places::parse(self.url_sections, requests);
        let places = self.url_section_places.get_or_init(parse).as_ref().map_err(Clone::clone)?;
        Ok(places.as_ref().map(|places| UrlSections::new(self.url_sections, places)))
    }

    /// The section of a REQUEST, if the block stores it.
    pub(crate) fn url_section(&self, place: Place) -> Option<&str> {
        self.url_sections().ok().flatten()?.name(place.family)
    }

    /// The distinct request ids, in the order in which the block first mentions them.
    pub fn request_ids(&self) -> &[RequestId] {
        &self.ids
    }

    /// For each record the index of its request in [`Self::request_ids`], if it has one.
    ///
    /// # Errors
    ///
    /// Fails where a reference leads before the first request or the ids are too few or too many.
    pub fn request_indices(&self) -> Result<Vec<Option<u32>>, DecodeError> {
        let places = self.places()?;
        let indices = places.into_iter().zip(self.shapes).map(|(place, byte)| {
            shape::shape(*byte).filter(|shape| shape.has_request).map(|_| place.request)
        });
        Ok(indices.collect())
    }

    /// Where each record's fields are.
    pub(crate) fn places(&self) -> Result<Vec<Place>, DecodeError> {
        const WHAT: &str = "request reference";
        let mut counts = Counts::default();
        let mut introduced = 0_u64;
        let mut places = Vec::with_capacity(self.shapes.len());
        for byte in self.shapes {
            let Some(shape) = shape::shape(*byte) else { continue };
            let reference = self.request_refs.get(counts.requests);
            let mut place = counts.add(shape);
            if shape.has_request {
                let index = introduced
                    .checked_sub(reference)
                    .ok_or(DecodeError::Invalid { what: WHAT, found: reference })?;
                introduced += u64::from(reference == 0);
                place.request = u32::try_from(index).unwrap_or(u32::MAX);
            }
            places.push(place);
        }
        if introduced == self.ids.len() as u64 {
            Ok(places)
        } else {
            Err(DecodeError::Invalid { what: "number of request ids", found: introduced })
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The shapes of all records.
    pub(crate) fn shape_bytes(&self) -> &'a [u8] {
        self.shapes
    }

    /// The references of those records that have a request: 0 to a new one, else how far back it is.
    pub(crate) fn request_references(&self) -> Vec<u64> {
        self.request_refs.to_vec()
    }

    /// The columns of the RESPONSEs.
    pub(super) fn response_columns(&self) -> AnswerColumns {
        AnswerColumns {
            statuses: self.statuses.to_vec(),
            sizes: self.response_sizes.to_vec(),
            durations: self.response_durations.to_vec(),
        }
    }

    /// The columns of the RESPONSE_FINISHEDs.
    pub(super) fn finish_columns(&self) -> AnswerColumns {
        AnswerColumns {
            statuses: Vec::new(),
            sizes: self.finished_sizes.to_vec(),
            durations: self.finished_durations.to_vec(),
        }
    }

    pub(crate) fn shape_byte(&self, index: usize) -> u8 {
        self.shapes.get(index).copied().unwrap_or(0)
    }

    /// The request id a place refers to.
    pub(crate) fn request_id(&self, place: Place) -> RequestId {
        self.ids.get(place.request as usize).copied().unwrap_or_default()
    }

    /// The codes of all methods: 0 for those written out in the body.
    pub(crate) fn method_codes(&self) -> &'a [u8] {
        self.methods
    }

    /// The method of a REQUEST, unless it is written out in the body.
    pub(crate) fn method(&self, place: Place) -> Option<Method<'static>> {
        self.methods.get(place.family as usize).and_then(|code| Method::from_code(*code))
    }

    pub(crate) fn status(&self, place: Place) -> u16 {
        status(self.statuses.get(place.family as usize))
    }

    /// Bytes and duration of a RESPONSE.
    pub(crate) fn response_measures(&self, place: Place) -> (Option<u64>, Option<u64>) {
        measures(&self.response_sizes, &self.response_durations, place)
    }

    /// Bytes and duration of a RESPONSE_FINISHED.
    pub(crate) fn finished_measures(&self, place: Place) -> (Option<u64>, Option<u64>) {
        measures(&self.finished_sizes, &self.finished_durations, place)
    }
}

/// Numbers that may be absent are stored plus one; 0 says that there is none.
fn measures(sizes: &Ints<'_>, durations: &Ints<'_>, place: Place) -> (Option<u64>, Option<u64>) {
    let index = place.family as usize;
    (sizes.get(index).checked_sub(1), durations.get(index).checked_sub(1))
}

/// The width of the statuses: at most 2, as a status has 16 bits.
fn status_width(width: u8) -> Result<u8, DecodeError> {
    if width <= 2 {
        Ok(width)
    } else {
        Err(DecodeError::Limit { what: "width of statuses", found: u64::from(width), limit: 2 })
    }
}

#[inline]
pub(super) fn status(value: u64) -> u16 {
    // `status_width` has seen to it that the value fits.
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// A method of a later version must not turn into another request's text.
fn check_methods(codes: &[u8]) -> Result<(), DecodeError> {
    match codes.iter().copied().max() {
        Some(code @ 10..) => Err(DecodeError::Newer { what: "method", found: u64::from(code) }),
        _ => Ok(()),
    }
}

/// No number of the block is beyond the limit, so that none is told twice.
fn check_sequences(header: &BlockHeader, gaps: Ints<'_>) -> Result<(), DecodeError> {
    if gaps.get(0) != 0 {
        return Err(DecodeError::Invalid { what: "first sequence gap", found: gaps.get(0) });
    }
    // The decoder of the header has checked the sum without gaps.
    let end = header.sequence + u64::from(header.records);
    let found = gaps.iter().fold(end, u64::saturating_add);
    if found <= SEQUENCE_MAX {
        Ok(())
    } else {
        Err(DecodeError::Limit { what: "last sequence", found, limit: SEQUENCE_MAX })
    }
}

/// How often each shape occurs.
fn tally(shapes: &[u8]) -> [usize; 256] {
    let mut counts = [0; 256];
    for byte in shapes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    counts
}

/// A query trusts the header's times, so the records must fill exactly that span.
fn times(header: &BlockHeader, deltas: Ints<'_>) -> Result<Vec<Timestamp>, DecodeError> {
    let span = header.max.micros_since(header.min);
    if deltas.get(0) != 0 {
        return Err(DecodeError::Invalid { what: "record time", found: deltas.get(0) });
    }
    let (start, mut elapsed, mut union) = (header.min.as_micros(), 0_u64, 0);
    let times = deltas.map(|delta| {
        union |= delta;
        elapsed = elapsed.wrapping_add(delta);
        Timestamp::from_micros(start.wrapping_add(elapsed.cast_signed()))
    });
    // The sum is at least as large as all bits of its parts. If these are within the span, which fits 40
    // bits, it has not wrapped around, as a block has at most 2^18 records.
    match elapsed.max(union) {
        sum if sum == span => Ok(times),
        sum if sum > span => Err(DecodeError::Invalid { what: "record time", found: sum }),
        sum => Err(DecodeError::Invalid { what: "span of the records", found: sum }),
    }
}
