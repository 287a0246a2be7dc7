//! Records as they were logged, one after the other, until someone takes them apart into columns.
//!
//! Adding a record to a [`BlockBuilder`] touches a dozen columns. Where many threads log, all of
//! these would wander from one processor's cache to the next with every record. Here a record is
//! one copy to the end of one buffer, and whoever has the time makes a block of them later. Threads
//! may even have a buffer each: every record has its rank among those of all of them.
//!
//! The bytes never leave the process; they are no part of the format.

use std::borrow::Cow;
use std::net::IpAddr;

use super::builder::{BLOCK_OVERHEAD, BlockBuilder, RECORD_OVERHEAD};
use super::opaque;
use super::size::{DEBUG_ENTRY_LEN, Size};
use crate::cursor::{Cursor, put_text, put_varint};
use crate::error::{DecodeError, PushError};
use crate::header::REQUEST_ID_LEN;
use crate::level::Level;
use crate::limits::{
    BLOCK_DEBUG_MAX, BLOCK_RECORDS_MAX, BLOCK_REQUESTS_MAX, BLOCK_SPAN_US_MAX, SECTION_BYTES_MAX,
};
use crate::record::{
    DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, Json, Lifecycle, LogSource, Method,
    Process, Record, Request, RequestId, Response, ResponseFinished,
};
use crate::timestamp::Timestamp;

/// The records of one block that is not a block yet.
///
/// Takes what a [`BlockBuilder`] takes, and never more than fits into one block. Reuses its memory.
///
/// # Examples
///
/// ```
/// use logq_format::{
///     BlockBuilder, Event, Json, Level, LogSource, Record, StagedRecords, Timestamp,
/// };
///
/// let mut staged = StagedRecords::new();
/// let data = Json::new(r#"{"message":"ready"}"#).expect("no control characters");
/// let event = Event::Log { source: LogSource::Worker, level: Level::Info, data };
/// staged.push(&Record { time: Timestamp::from_micros(1_770_127_506_789_000), event })?;
///
/// let mut builder = BlockBuilder::new();
/// staged.pour_into(&mut builder);
/// assert_eq!((staged.len(), builder.len()), (0, 1));
/// # Ok::<(), logq_format::PushError>(())
/// ```
#[derive(Debug, Default)]
pub struct StagedRecords {
    bytes: Vec<u8>,
    records: usize,
    first: Timestamp,
    last: Timestamp,
    /// What [`BlockBuilder`] counts as texts.
    text_len: usize,
    /// Records that open a request: about as many request ids as the block will have.
    requests: usize,
    debug_entries: usize,
}

/// What kind of event a staged record is. Each has its fields behind it, as `put` and `take` say.
mod tag {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const REQUEST_META: u8 = 2;
    pub(super) const RESPONSE: u8 = 3;
    pub(super) const RESPONSE_FINISHED: u8 = 4;
    pub(super) const REQUEST_LOG: u8 = 5;
    pub(super) const WORKER_LOG: u8 = 6;
    pub(super) const MASTER_LOG: u8 = 7;
    pub(super) const LIFECYCLE: u8 = 8;
    pub(super) const WORKER_EXCEPTION: u8 = 9;
    pub(super) const MASTER_EXCEPTION: u8 = 10;
    pub(super) const OPAQUE: u8 = 11;
}

/// The most bytes that records of several buffers may have together before compression, unless there
/// is one only. With so many no section gets too large, and no block has too many DEBUG entries.
const TOGETHER_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(TOGETHER_BYTES_MAX / DEBUG_ENTRY_LEN < BLOCK_DEBUG_MAX);
const _: () = assert!(
    TOGETHER_BYTES_MAX + BLOCK_REQUESTS_MAX * (REQUEST_ID_LEN + RECORD_OVERHEAD) + BLOCK_OVERHEAD
        < SECTION_BYTES_MAX
);

impl StagedRecords {
    /// No records.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a record of this event adds to [`Self::raw_len`].
    ///
    /// # Errors
    ///
    /// As [`BlockBuilder::push`] where no block can hold it.
    pub fn raw_len_of(event: &Event<'_>) -> Result<usize, PushError> {
        let request = if matches!(event, Event::Request(_)) { REQUEST_ID_LEN } else { 0 };
        Ok(Size::of(event)?.bytes + RECORD_OVERHEAD + request)
    }

    /// Whether one block has room for a record of `raw_len` bytes beside so many others with so many
    /// bytes, whichever buffers they are in.
    pub fn fits_beside(records: u32, bytes: usize, raw_len: usize) -> bool {
        let is_one_of_few = usize::try_from(records).is_ok_and(|n| n < BLOCK_REQUESTS_MAX);
        records == 0 || (is_one_of_few && bytes.saturating_add(raw_len) <= TOGETHER_BYTES_MAX)
    }

    /// The bytes of memory that it has, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The size of the block before compression, in bytes, roughly. Costs nothing.
    pub fn raw_len(&self) -> usize {
        self.text_len + self.records * RECORD_OVERHEAD + self.requests * REQUEST_ID_LEN
    }

    /// The time of the earliest record, if there is one.
    pub fn first_time(&self) -> Option<Timestamp> {
        (!self.is_empty()).then_some(self.first)
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// As [`BlockBuilder::push`]; nothing is added on an error.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), PushError> {
        // There are never as many.
        self.push_ranked(u32::try_from(self.records).unwrap_or(u32::MAX), record)
    }

    /// Adds a record to one of several buffers that become one block. `rank` is its place among the
    /// records of all of them, and higher than those of the records here.
    ///
    /// # Errors
    ///
    /// As [`Self::push`], about this buffer alone; of all of them [`Self::fits_beside`] tells.
    pub fn push_ranked(&mut self, rank: u32, record: &Record<'_>) -> Result<(), PushError> {
        let size = Size::of(&record.event)?;
        self.admit(record.time, size)?;
        if self.is_empty() {
            self.first = record.time;
        }
        self.last = record.time;
        self.records += 1;
        self.text_len += size.bytes;
        self.debug_entries += size.debug;
        self.requests += usize::from(matches!(record.event, Event::Request(_)));
        self.bytes.reserve(size.bytes + RECORD_BYTES);
        self.bytes.extend_from_slice(&rank.to_le_bytes());
        self.bytes.extend_from_slice(&record.time.as_micros().to_le_bytes());
        put(&record.event, &mut self.bytes);
        Ok(())
    }

    /// As the builder admits, but with every record taken to be of a request of its own.
    fn admit(&self, time: Timestamp, size: Size) -> Result<(), PushError> {
        if self.is_empty() {
            return Ok(());
        }
        if time < self.last {
            return Err(PushError::OutOfOrder);
        }
        let ids = self.records * REQUEST_ID_LEN;
        let section = self.text_len + ids + 2 * self.records * RECORD_OVERHEAD + BLOCK_OVERHEAD;
        let full = self.records >= BLOCK_RECORDS_MAX.min(BLOCK_REQUESTS_MAX)
            || time.micros_since(self.first) > BLOCK_SPAN_US_MAX
            || self.debug_entries + size.debug > BLOCK_DEBUG_MAX
            || section + size.bytes > SECTION_BYTES_MAX;
        if full { Err(PushError::Full) } else { Ok(()) }
    }

    /// The records, in their order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut head = Head::of(&self.bytes);
        std::iter::from_fn(move || {
            let record = head.as_mut()?.take()?;
            head = head.take().and_then(Head::behind);
            Some(record)
        })
    }

    /// Moves all records into a builder that has none, and starts over.
    pub fn pour_into(&mut self, builder: &mut BlockBuilder) {
        Self::pour_together(std::slice::from_mut(self), Timestamp::MIN, builder);
    }

    /// Moves the records of all these buffers into a builder that has none, by their ranks, and
    /// starts over.
    ///
    /// Times never decrease: a record that has an earlier one than those before it, or than `floor`,
    /// gets theirs. Answers how many records the builder has refused: none, if each of them fitted
    /// beside those before it.
    pub fn pour_together(
        buffers: &mut [Self],
        floor: Timestamp,
        builder: &mut BlockBuilder,
    ) -> usize {
        let mut pour = Pour { builder, time: floor, refused: 0 };
        let mut heads: Vec<_> = buffers.iter().filter_map(|b| Head::of(&b.bytes)).collect();
        while let Some((first, until)) = lowest(&heads) {
            let head = heads.swap_remove(first);
            heads.extend(pour.run(head, until));
        }
        let refused = pour.refused;
        debug_assert_eq!(refused, 0);
        buffers.iter_mut().for_each(Self::clear);
        refused
    }

    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self { bytes, ..Self::default() };
    }
}

/// A builder that gets records of several buffers.
struct Pour<'b> {
    builder: &'b mut BlockBuilder,
    time: Timestamp,
    refused: usize,
}

impl Pour<'_> {
    /// Takes records of one buffer up to the rank `until`; threads are seldom interrupted between two.
    fn run<'a>(&mut self, mut head: Head<'a>, until: u32) -> Option<Head<'a>> {
        loop {
            let record = head.take()?;
            self.push(record);
            head = head.behind()?;
            if head.rank >= until {
                return Some(head);
            }
        }
    }

    fn push(&mut self, mut record: Record<'_>) {
        self.time = self.time.max(record.time);
        record.time = self.time;
        if self.builder.push(&record).is_err() {
            self.refused += 1;
        }
    }
}

/// The next record of a buffer, and those behind it.
struct Head<'a> {
    rank: u32,
    /// Behind the rank.
    rest: Cursor<'a>,
}

impl<'a> Head<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        Self::behind(Self { rank: 0, rest: Cursor::new(bytes) })
    }

    /// The head behind a record that was taken.
    fn behind(mut self) -> Option<Self> {
        if self.rest.remaining() == 0 {
            return None;
        }
        // What `push` has written, this reads: tests hold them together.
        self.rank = self.rest.u32(WHAT).ok()?;
        Some(self)
    }

    fn take(&mut self) -> Option<Record<'a>> {
        take(&mut self.rest).ok()
    }
}

/// The place of the head with the lowest rank, and the lowest rank of the others.
fn lowest(heads: &[Head<'_>]) -> Option<(usize, u32)> {
    let (mut found, mut until) = (None, u32::MAX);
    for (place, Head { rank, .. }) in heads.iter().enumerate() {
        match found {
            Some((_, lowest)) if lowest <= *rank => until = until.min(*rank),
            _ => {
                until = found.map_or(until, |(_, lowest)| lowest);
                found = Some((place, *rank));
            }
        }
    }
    found.map(|(place, _)| (place, until))
}

/// More than what a record without DEBUG entries takes here beside its texts: rank, time, tag, id, two
/// optional numbers, an address, and the lengths of texts.
const RECORD_BYTES: usize = 128;

/// Writes the tag and the fields of an event.
fn put(event: &Event<'_>, out: &mut Vec<u8>) {
    match event {
        Event::Request(request) => {
            put_id(tag::REQUEST, request.request, out);
            out.push(request.http_version.bits());
            out.push(request.method.code());
            if let Method::Other(text) = request.method {
                put_text(out, text);
            }
            put_address(request.ip, out);
            put_text(out, request.url);
        }
        Event::RequestMeta { request, data } => {
            put_id(tag::REQUEST_META, *request, out);
            put_text(out, data.as_str());
        }
        Event::Response(response) => {
            put_id(tag::RESPONSE, response.request, out);
            out.extend_from_slice(&response.status.to_le_bytes());
            out.push(u8::from(response.expected));
            put_number(response.bytes, out);
            put_number(response.duration_us, out);
            put_optional_error(response.error.as_ref(), out);
        }
        Event::ResponseFinished(finished) => {
            put_id(tag::RESPONSE_FINISHED, finished.request, out);
            put_number(finished.bytes, out);
            put_number(finished.duration_us, out);
            put_optional_error(finished.error.as_ref(), out);
        }
        Event::Log { source, level, data } => {
            match source {
                LogSource::Request(request) => put_id(tag::REQUEST_LOG, *request, out),
                LogSource::Worker => out.push(tag::WORKER_LOG),
                LogSource::Master => out.push(tag::MASTER_LOG),
            }
            out.push(*level as u8);
            put_text(out, data.as_str());
        }
        Event::Lifecycle(step) => out.extend_from_slice(&[tag::LIFECYCLE, *step as u8]),
        Event::UncaughtException { process, error } => {
            out.push(match process {
                Process::Worker => tag::WORKER_EXCEPTION,
                Process::Master => tag::MASTER_EXCEPTION,
            });
            put_error(error, out);
        }
        Event::WorkerSpawned { .. }
        | Event::WorkerExited(_)
        | Event::Lost(_)
        | Event::ClockStep(_)
        | Event::IoError(_)
        | Event::Unknown { .. } => put_opaque(event, out),
    }
}

/// Reads a record back, behind its rank.
fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Record<'a>, DecodeError> {
    let time = Timestamp::from_micros(cursor.i64(WHAT)?);
    let event = match cursor.u8(WHAT)? {
        tag::REQUEST => {
            let request = take_id(cursor)?;
            let http_version = HttpVersion::from_bits(cursor.u8(WHAT)?);
            let method = match Method::from_code(cursor.u8(WHAT)?) {
                Some(method) => method,
                None => Method::Other(cursor.text(WHAT)?),
            };
            let ip = take_address(cursor)?;
            let url = cursor.text(WHAT)?;
            Event::Request(Request { request, ip, http_version, method, url })
        }
        tag::REQUEST_META => {
            Event::RequestMeta { request: take_id(cursor)?, data: take_json(cursor)? }
        }
        tag::RESPONSE => Event::Response(Response {
            request: take_id(cursor)?,
            status: cursor.u16(WHAT)?,
            expected: cursor.u8(WHAT)? != 0,
            bytes: take_number(cursor)?,
            duration_us: take_number(cursor)?,
            error: take_optional_error(cursor)?,
        }),
        tag::RESPONSE_FINISHED => Event::ResponseFinished(ResponseFinished {
            request: take_id(cursor)?,
            bytes: take_number(cursor)?,
            duration_us: take_number(cursor)?,
            error: take_optional_error(cursor)?,
        }),
        tag::REQUEST_LOG => {
            let request = take_id(cursor)?;
            take_log(LogSource::Request(request), cursor)?
        }
        tag::WORKER_LOG => take_log(LogSource::Worker, cursor)?,
        tag::MASTER_LOG => take_log(LogSource::Master, cursor)?,
        tag::LIFECYCLE => {
            let step = cursor.u8(WHAT)?;
            let known = Lifecycle::ALL.into_iter().find(|known| *known as u8 == step);
            Event::Lifecycle(known.ok_or(invalid(step))?)
        }
        tag::WORKER_EXCEPTION => {
            Event::UncaughtException { process: Process::Worker, error: take_error(cursor)? }
        }
        tag::MASTER_EXCEPTION => {
            Event::UncaughtException { process: Process::Master, error: take_error(cursor)? }
        }
        tag::OPAQUE => {
            let shape = cursor.u8(WHAT)?;
            let len = cursor.length(WHAT, cursor.remaining())?;
            opaque::decode(shape, cursor.bytes(WHAT, len)?)?
        }
        tag => return Err(invalid(tag)),
    };
    Ok(Record { time, event })
}

const WHAT: &str = "staged record";

fn invalid(found: u8) -> DecodeError {
    DecodeError::Invalid { what: WHAT, found: u64::from(found) }
}

fn put_id(tag: u8, request: RequestId, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(request.as_bytes());
}

fn take_id(cursor: &mut Cursor<'_>) -> Result<RequestId, DecodeError> {
    cursor.array(WHAT).map(RequestId::from_bytes)
}

fn take_json<'a>(cursor: &mut Cursor<'a>) -> Result<Json<'a>, DecodeError> {
    cursor.text(WHAT).map(Json::from_checked)
}

fn take_log<'a>(source: LogSource, cursor: &mut Cursor<'a>) -> Result<Event<'a>, DecodeError> {
    let level = cursor.u8(WHAT)?;
    let known = Level::ALL.get(usize::from(level)).copied();
    Ok(Event::Log { source, level: known.ok_or(invalid(level))?, data: take_json(cursor)? })
}

fn put_address(ip: Option<IpAddr>, out: &mut Vec<u8>) {
    match ip {
        None => out.push(0),
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
}

fn take_address(cursor: &mut Cursor<'_>) -> Result<Option<IpAddr>, DecodeError> {
    match cursor.u8(WHAT)? {
        0 => Ok(None),
        4 => cursor.array::<4>(WHAT).map(|octets| Some(octets.into())),
        6 => cursor.array::<16>(WHAT).map(|octets| Some(octets.into())),
        family => Err(invalid(family)),
    }
}

fn put_number(number: Option<u64>, out: &mut Vec<u8>) {
    match number {
        None => out.push(0),
        Some(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn take_number(cursor: &mut Cursor<'_>) -> Result<Option<u64>, DecodeError> {
    if cursor.u8(WHAT)? == 0 { Ok(None) } else { cursor.u64(WHAT).map(Some) }
}

fn put_optional_error(error: Option<&ErrorInfo<'_>>, out: &mut Vec<u8>) {
    out.push(u8::from(error.is_some()));
    if let Some(error) = error {
        put_error(error, out);
    }
}

fn take_optional_error<'a>(cursor: &mut Cursor<'a>) -> Result<Option<ErrorInfo<'a>>, DecodeError> {
    if cursor.u8(WHAT)? == 0 { Ok(None) } else { take_error(cursor).map(Some) }
}

fn put_error(error: &ErrorInfo<'_>, out: &mut Vec<u8>) {
    out.push(u8::from(error.kind == ErrorKind::Stack));
    put_text(out, error.text);
    out.push(u8::from(error.properties.is_some()));
    if let Some(properties) = error.properties {
        put_text(out, properties.as_str());
    }
    put_varint(out, error.debug.len() as u64);
    for entry in error.debug.iter() {
        out.extend_from_slice(&entry.time.as_micros().to_le_bytes());
        put_text(out, entry.data.as_str());
    }
}

fn take_error<'a>(cursor: &mut Cursor<'a>) -> Result<ErrorInfo<'a>, DecodeError> {
    let kind = if cursor.u8(WHAT)? == 0 { ErrorKind::Value } else { ErrorKind::Stack };
    let text = cursor.text(WHAT)?;
    let properties = if cursor.u8(WHAT)? == 0 { None } else { Some(take_json(cursor)?) };
    let mut debug = Vec::new();
    for _ in 0..cursor.varint(WHAT)? {
        let time = Timestamp::from_micros(cursor.i64(WHAT)?);
        debug.push(DebugEntry { time, data: take_json(cursor)? });
    }
    Ok(ErrorInfo { kind, text, properties, debug: Cow::Owned(debug) })
}

fn put_opaque(event: &Event<'_>, out: &mut Vec<u8>) {
    let mut payload = Vec::new();
    let shape = opaque::encode(event, &mut payload);
    out.extend_from_slice(&[tag::OPAQUE, shape]);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(&payload);
}
