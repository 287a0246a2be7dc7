//! From records to the bytes of a block.
//!
//! Records are taken apart into columns as they arrive, so that finishing a block is a matter of
//! writing the columns one after the other and compressing them. `spine` and `body` hold the
//! mirror image.

use std::net::IpAddr;

use super::opaque;
use super::requests::Requests;
use super::size::Size;
use super::url_sections;
use crate::codec::Compressor;
use crate::column::{IntColumn, TextColumn};
use crate::cursor::zigzag;
use crate::error::PushError;
use crate::header::{
    BLOCK_HEADER_LEN, BlockFlags, BlockHeader, BlockKind, Origin, Section, SyncMarker,
};
use crate::level::Level;
use crate::limits::{
    BLOCK_DEBUG_MAX, BLOCK_RECORDS_MAX, BLOCK_REQUESTS_MAX, BLOCK_SPAN_US_MAX, SECTION_BYTES_MAX,
    SEQUENCE_MAX,
};
use crate::record::{
    ErrorInfo, ErrorKind, Event, LogSource, Method, Process, Record, Request, RequestId, Response,
    ResponseFinished,
};
use crate::shape::{self, summarize};
use crate::timestamp::Timestamp;

/// Everything about a block that its records do not tell.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext {
    /// The marker of the segment.
    pub marker: SyncMarker,
    /// Who writes.
    pub origin: Origin,
    /// The sequence number of the first record. All numbers of the block must be at most
    /// [`SEQUENCE_MAX`]; a larger one is lowered until they are.
    pub sequence: u64,
    /// Flags.
    pub flags: BlockFlags,
    /// Records dropped since the writer's block before.
    pub lost: u64,
}

/// Collects records and encodes them as one block.
///
/// Reuses its memory from block to block.
///
/// # Examples
///
/// ```
/// use logq_format::{
///     BlockBuilder, BlockContext, BlockFlags, Compressor, Event, Json, Level, LogSource, Origin,
///     Record, SyncMarker, Timestamp, WorkerId, WriterId,
/// };
///
/// let mut builder = BlockBuilder::new();
/// builder.push(&Record {
///     time: Timestamp::from_micros(1_770_127_506_789_000),
///     event: Event::Log {
///         source: LogSource::Worker,
///         level: Level::Info,
///         data: Json::new(r#"{"message":"ready"}"#).expect("no control characters"),
///     },
/// })?;
/// let context = BlockContext {
///     marker: SyncMarker::from_random([7; 8]),
///     origin: Origin { writer: WriterId(1), worker: WorkerId::new(1) },
///     sequence: 0,
///     flags: BlockFlags::NONE,
///     lost: 0,
/// };
/// let mut bytes = Vec::new();
/// let header = builder.finish(&context, &mut Compressor::new(1, None)?, &mut bytes);
/// assert_eq!(header.records, 1);
/// assert_eq!(header.block_len(), bytes.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct BlockBuilder {
    shapes: Vec<u8>,
    min: Timestamp,
    last: Timestamp,
    times: IntColumn,
    sequence_gaps: IntColumn,
    /// Sequence numbers left out before the next record.
    gap: u64,
    /// Sequence numbers left out before the records so far.
    gaps: u64,

    requests: Requests,
    request_refs: IntColumn,

    methods: Vec<u8>,
    statuses: IntColumn,
    response_durations: IntColumn,
    response_sizes: IntColumn,
    finished_durations: IntColumn,
    finished_sizes: IntColumn,

    request_kinds: Vec<u8>,
    addresses: Vec<u8>,
    error_kinds: Vec<u8>,
    debug_counts: IntColumn,
    debug_ages: IntColumn,
    other_methods: TextColumn,
    urls: TextColumn,
    metas: TextColumn,
    request_logs: TextColumn,
    worker_logs: TextColumn,
    master_logs: TextColumn,
    error_texts: TextColumn,
    error_properties: TextColumn,
    debug_data: TextColumn,
    opaque: TextColumn,

    /// Bytes of all texts so far.
    text_len: usize,
    scratch: Vec<u8>,
}

/// An estimate of the bytes a record takes beside its texts: shape, time, request, small numbers.
pub(super) const RECORD_OVERHEAD: usize = 8;

/// More than what a section has beside its records: ten directory entries of at most four bytes and
/// the widths of columns, and one record more.
pub(super) const BLOCK_OVERHEAD: usize = 128;

/// The sequence numbers a block may leave out, so that its records still have numbers.
const GAPS_MAX: u64 = SEQUENCE_MAX - BLOCK_RECORDS_MAX as u64;

impl BlockBuilder {
    /// A builder without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of records so far.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The size of the block so far before compression, in bytes, roughly. Costs nothing.
    pub fn raw_len(&self) -> usize {
        self.text_len + self.shapes.len() * RECORD_OVERHEAD + self.requests.as_bytes().len()
    }

    /// The time of the latest record, if there is one.
    pub fn last_time(&self) -> Option<Timestamp> {
        (!self.is_empty()).then_some(self.last)
    }

    /// The time of the earliest record, if there is one.
    pub fn first_time(&self) -> Option<Timestamp> {
        (!self.is_empty()).then_some(self.min)
    }

    /// Leaves out `count` sequence numbers before the next record.
    ///
    /// For imports that keep the numbers of their source. Before the first record it has no
    /// meaning: that record's number is given to [`Self::finish`].
    pub fn skip_sequence(&mut self, count: u64) {
        if !self.is_empty() {
            self.gap = self.gap.saturating_add(count);
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// Nothing is added on an error. [`PushError::Full`] asks for [`Self::finish`] and another
    /// attempt; it never comes from a builder without records. [`PushError::OutOfOrder`] says that
    /// the record is older than the last one, [`PushError::Sequence`] that more numbers were
    /// skipped than there are, the rest that no block can hold the record.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), PushError> {
        let size = Size::of(&record.event)?;
        let delta = self.admit(record.time, size)?;
        if self.is_empty() {
            self.min = record.time;
        }
        self.last = record.time;
        self.times.push(delta);
        self.sequence_gaps.push(self.gap);
        self.gaps += self.gap;
        self.gap = 0;
        self.text_len += size.bytes;
        self.push_event(&record.event, record.time);
        Ok(())
    }

    /// The time since the last record, if a record of this time and size can be added.
    fn admit(&self, time: Timestamp, size: Size) -> Result<u64, PushError> {
        if self.is_empty() {
            return Ok(0);
        }
        if time < self.last {
            return Err(PushError::OutOfOrder);
        }
        if self.gaps.saturating_add(self.gap) > GAPS_MAX {
            return Err(PushError::Sequence);
        }
        let full = self.shapes.len() >= BLOCK_RECORDS_MAX
            || self.requests.len() >= BLOCK_REQUESTS_MAX
            || time.micros_since(self.min) > BLOCK_SPAN_US_MAX
            || self.debug_ages.len() + size.debug > BLOCK_DEBUG_MAX
            || self.section_len_max() + size.bytes > SECTION_BYTES_MAX;
        if full { Err(PushError::Full) } else { Ok(time.micros_since(self.last)) }
    }

    /// What neither section exceeds after one more record without texts. Twice the overhead leaves
    /// room for lengths and the widths of columns.
    fn section_len_max(&self) -> usize {
        self.raw_len() + self.shapes.len() * RECORD_OVERHEAD + BLOCK_OVERHEAD
    }

    fn push_event(&mut self, event: &Event<'_>, time: Timestamp) {
        match event {
            Event::Request(request) => self.push_request(request),
            Event::RequestMeta { request, data } => {
                self.push_shape_of(shape::REQUEST_META, *request);
                self.metas.push_json(data.as_str().as_bytes());
            }
            Event::Response(response) => self.push_response(response, time),
            Event::ResponseFinished(finished) => self.push_finished(finished, time),
            Event::Log { source, level, data } => {
                self.push_log(*source, *level, data.as_str().as_bytes());
            }
            Event::Lifecycle(step) => self.shapes.push(*step as u8),
            Event::UncaughtException { process, error } => {
                self.shapes.push(match process {
                    Process::Worker => shape::WORKER_EXCEPTION,
                    Process::Master => shape::MASTER_EXCEPTION,
                });
                self.push_error(error, time);
            }
            Event::WorkerSpawned { .. }
            | Event::WorkerExited(_)
            | Event::Lost(_)
            | Event::ClockStep(_)
            | Event::IoError(_)
            | Event::Unknown { .. } => self.push_opaque(event),
        }
    }

    fn push_request(&mut self, request: &Request<'_>) {
        self.push_shape_of(shape::REQUEST, request.request);
        self.methods.push(request.method.code());
        if let Method::Other(text) = request.method {
            self.other_methods.push(text.as_bytes());
        }
        let family = match request.ip {
            None => 0,
            Some(IpAddr::V4(ip)) => {
                self.addresses.extend_from_slice(&ip.octets());
                1
            }
            Some(IpAddr::V6(ip)) => {
                self.addresses.extend_from_slice(&ip.octets());
                2
            }
        };
        self.request_kinds.push(request.http_version.bits() | family << 6);
        self.urls.push(request.url.as_bytes());
    }

    fn push_response(&mut self, response: &Response<'_>, time: Timestamp) {
        let shape = match (&response.error, response.expected) {
            (None, _) => shape::RESPONSE,
            (Some(_), false) => shape::RESPONSE_FAILED,
            (Some(_), true) => shape::RESPONSE_EXPECTED_ERROR,
        };
        self.push_shape_of(shape, response.request);
        self.statuses.push(u64::from(response.status));
        self.response_durations.push(optional(response.duration_us));
        self.response_sizes.push(optional(response.bytes));
        if let Some(error) = &response.error {
            self.push_error(error, time);
        }
    }

    fn push_finished(&mut self, finished: &ResponseFinished<'_>, time: Timestamp) {
        let shape = match finished.error {
            None => shape::RESPONSE_FINISHED,
            Some(_) => shape::RESPONSE_FINISHED_FAILED,
        };
        self.push_shape_of(shape, finished.request);
        self.finished_durations.push(optional(finished.duration_us));
        self.finished_sizes.push(optional(finished.bytes));
        if let Some(error) = &finished.error {
            self.push_error(error, time);
        }
    }

    fn push_log(&mut self, source: LogSource, level: Level, data: &[u8]) {
        match source {
            LogSource::Request(request) => {
                self.push_shape_of(shape::log(shape::REQUEST_LOG, level), request);
                self.request_logs.push_json(data);
            }
            LogSource::Worker => {
                self.shapes.push(shape::log(shape::WORKER_LOG, level));
                self.worker_logs.push_json(data);
            }
            LogSource::Master => {
                self.shapes.push(shape::log(shape::MASTER_LOG, level));
                self.master_logs.push_json(data);
            }
        }
    }

    fn push_error(&mut self, error: &ErrorInfo<'_>, time: Timestamp) {
        let stack = u8::from(error.kind == ErrorKind::Stack);
        let properties = u8::from(error.properties.is_some());
        self.error_kinds.push(stack | properties << 1);
        self.error_texts.push(error.text.as_bytes());
        if let Some(properties) = error.properties {
            self.error_properties.push_json(properties.as_str().as_bytes());
        }
        self.debug_counts.push(error.debug.len() as u64);
        for entry in error.debug.iter() {
            self.debug_ages.push(zigzag(time.as_micros() - entry.time.as_micros()));
            self.debug_data.push_json(entry.data.as_str().as_bytes());
        }
    }

    fn push_opaque(&mut self, event: &Event<'_>) {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        self.shapes.push(opaque::encode(event, &mut payload));
        self.opaque.push(&payload);
        self.scratch = payload;
    }

    /// Adds the shape of a record that belongs to a request.
    fn push_shape_of(&mut self, shape: u8, request: RequestId) {
        self.shapes.push(shape);
        self.request_refs.push(self.requests.refer(request.as_bytes()));
    }

    /// Appends the block to `out`, returns its header and starts over with an empty builder.
    pub fn finish(
        &mut self,
        context: &BlockContext,
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) -> BlockHeader {
        let sequence = context.sequence.min(SEQUENCE_MAX - self.gaps - self.shapes.len() as u64);
        let mut header = BlockHeader::empty(BlockKind::Data, context.origin, self.min, sequence);
        header.max = self.last.max(self.min);
        header.flags = context.flags;
        if self.gaps > 0 {
            header.flags = header.flags.with(BlockFlags::SPARSE);
        }
        header.lost = u16::try_from(context.lost).unwrap_or(u16::MAX);
        // At most 2^18 records and 2^16 - 1 requests: `admit` has seen to it.
        header.records = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        header.requests = u16::try_from(self.requests.len()).unwrap_or(u16::MAX);
        // The builder itself made every shape, so all of them are defined.
        (header.levels, header.types) = summarize(&self.shapes).unwrap_or_default();

        let start = out.len();
        out.resize(start + BLOCK_HEADER_LEN, 0);
        out.extend_from_slice(self.requests.as_bytes());
        let mut raw = std::mem::take(&mut self.scratch);
        raw.clear();
        self.encode_spine(&mut raw);
        header.spine = append_section(&raw, compressor, out);
        header.front_crc = crc_from(out, start + BLOCK_HEADER_LEN);
        let body_start = out.len();
        raw.clear();
        self.encode_body(&mut raw);
        header.body = append_section(&raw, compressor, out);
        header.body_crc = crc_from(out, body_start);
        self.scratch = raw;
        put_header(&header, context.marker, start, out);
        self.clear();
        header
    }

    /// The raw spine and the raw body so far: samples to train a [`Dictionary`](crate::Dictionary).
    pub fn samples(&self) -> [Vec<u8>; 2] {
        let (mut spine, mut body) = (Vec::new(), Vec::new());
        self.encode_spine(&mut spine);
        self.encode_body(&mut body);
        [spine, body]
    }

    fn encode_spine(&self, out: &mut Vec<u8>) {
        let widths = [
            &self.times,
            &self.request_refs,
            &self.statuses,
            &self.response_durations,
            &self.response_sizes,
            &self.finished_durations,
            &self.finished_sizes,
            &self.sequence_gaps,
        ];
        let packed = widths.iter().rev().fold(0_u32, |all, c| all << 4 | u32::from(c.width()));
        out.extend_from_slice(&packed.to_le_bytes());
        out.extend_from_slice(&self.shapes);
        self.times.encode(out);
        self.request_refs.encode(out);
        out.extend_from_slice(&self.methods);
        self.statuses.encode(out);
        self.response_durations.encode(out);
        self.response_sizes.encode(out);
        self.finished_durations.encode(out);
        self.finished_sizes.encode(out);
        self.sequence_gaps.encode(out);
        url_sections::encode(&self.methods, &self.other_methods, &self.urls, out);
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request_kinds);
        out.extend_from_slice(&self.addresses);
        out.extend_from_slice(&self.error_kinds);
        if !self.error_kinds.is_empty() {
            out.push(self.debug_counts.width());
            self.debug_counts.encode(out);
            out.push(self.debug_ages.width());
            self.debug_ages.encode(out);
        }
        for column in self.text_columns() {
            column.encode_directory(out);
        }
        for column in self.text_columns() {
            column.encode(out);
        }
    }

    /// The text columns in the order in which the body stores them.
    fn text_columns(&self) -> [&TextColumn; 10] {
        [
            &self.other_methods,
            &self.urls,
            &self.metas,
            &self.request_logs,
            &self.worker_logs,
            &self.master_logs,
            &self.error_texts,
            &self.error_properties,
            &self.debug_data,
            &self.opaque,
        ]
    }

    fn clear(&mut self) {
        for column in [
            &mut self.times,
            &mut self.sequence_gaps,
            &mut self.request_refs,
            &mut self.statuses,
            &mut self.response_durations,
            &mut self.response_sizes,
            &mut self.finished_durations,
            &mut self.finished_sizes,
            &mut self.debug_counts,
            &mut self.debug_ages,
        ] {
            column.clear();
        }
        for column in [
            &mut self.other_methods,
            &mut self.urls,
            &mut self.metas,
            &mut self.request_logs,
            &mut self.worker_logs,
            &mut self.master_logs,
            &mut self.error_texts,
            &mut self.error_properties,
            &mut self.debug_data,
            &mut self.opaque,
        ] {
            column.clear();
        }
        for bytes in [
            &mut self.shapes,
            &mut self.methods,
            &mut self.request_kinds,
            &mut self.addresses,
            &mut self.error_kinds,
        ] {
            bytes.clear();
        }
        self.requests.clear();
        (self.gap, self.gaps, self.text_len) = (0, 0, 0);
        (self.min, self.last) = (Timestamp::default(), Timestamp::default());
    }
}

/// Optional numbers are stored plus one; 0 says that there is none.
fn optional(value: Option<u64>) -> u64 {
    value.map_or(0, |value| value.saturating_add(1))
}

fn append_section(raw: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) -> Section {
    let start = out.len();
    let codec = compressor.compress(raw, out);
    // Sections are below 2^24 bytes: `admit` and `text_len` have seen to it.
    let len = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Section { codec, stored_len: len(out.len() - start), raw_len: len(raw.len()) }
}

pub(crate) fn crc_from(bytes: &[u8], start: usize) -> u32 {
    crc32c::crc32c(bytes.get(start..).unwrap_or_default())
}

/// Writes the header into the room that was left for it at `start`.
pub(crate) fn put_header(header: &BlockHeader, marker: SyncMarker, start: usize, out: &mut [u8]) {
    if let Some(room) = out.get_mut(start..start + BLOCK_HEADER_LEN) {
        room.copy_from_slice(&header.encode(marker));
    }
}
