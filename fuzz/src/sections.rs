//! Targets over the raw sections of a block: what a hostile writer can put behind right checksums.

use logq_format::{
    Block, BlockBuilder, BlockContext, BlockFlags, BlockHeader, BlockKind, Compressor, DecodeError,
    Decompressor, Event, LevelSet, Origin, PushError, Record, RecordType, RequestId, Spine,
    SpineRow, StoredBlock, SyncMarker, Timestamp, TypeSet, WorkerId, WriterId, json, limits,
    url_section,
};

/// A header and raw sections made of any bytes.
struct Sections<'a> {
    header: BlockHeader,
    ids: Vec<RequestId>,
    spine: &'a [u8],
    body: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Bytes before the sections: record count u16, request count u8, span u32, sequence u64, min
    /// time i64, length of the spine u16, all little-endian.
    fn new(data: &'a [u8]) -> Option<Self> {
        let (records, rest) = data.split_first_chunk::<2>()?;
        let (requests, rest) = rest.split_first()?;
        let (span, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (min, rest) = rest.split_first_chunk::<8>()?;
        let (spine_len, rest) = rest.split_first_chunk::<2>()?;
        let spine_len = usize::from(u16::from_le_bytes(*spine_len));
        let (spine, body) = rest.split_at_checked(spine_len)?;

        let origin = Origin { writer: WriterId(1), worker: WorkerId::new(1) };
        let min = Timestamp::from_micros(i64::from_le_bytes(*min));
        let records = u32::from(u16::from_le_bytes(*records));
        // As the header's decoder guarantees it.
        let sequence_max = limits::SEQUENCE_MAX - u64::from(records);
        let sequence = u64::from_le_bytes(*sequence).min(sequence_max);
        let mut header = BlockHeader::empty(BlockKind::Data, origin, min, sequence);
        header.max = min.saturating_add_micros(i64::from(u32::from_le_bytes(*span)));
        header.records = records;
        header.requests = u16::from(*requests);
        (header.levels, header.types) = (LevelSet::ALL, TypeSet::ALL);
        let ids = (0..*requests).map(|id| RequestId::from_bytes([id; 16])).collect();
        Some(Self { header, ids, spine, body })
    }

    fn block(&self) -> Result<Block<'a>, DecodeError> {
        let spine = Spine::parse(&self.header, self.ids.clone(), self.spine)?;
        spine.kinds().zip(spine.sequences()).for_each(drop);
        spine.statuses().for_each(drop);
        let counted: usize = spine.tally().map(|(_, _, count)| count).sum();
        assert_eq!(counted, spine.len());
        Block::new(spine, self.body)
    }
}

/// Every record of a block that decodes is what its spine says and prints as one line.
pub fn records(data: &[u8]) {
    let Some(sections) = Sections::new(data) else { return };
    let Ok(block) = sections.block() else { return };
    let requests = block.spine().request_indices().expect("the block has checked them");
    // Whether they are right or not, nobody panics.
    drop(block.check_url_sections());
    let mut line = Vec::new();
    let spine = block.spine();
    let rows = spine.rows().expect("the block has checked them");
    let kinds = spine.kinds().zip(spine.times()).zip(spine.sequences()).zip(requests);
    for ((record, (((kind, time), sequence), request)), row) in block.records().zip(kinds).zip(rows)
    {
        assert!(sequence < limits::SEQUENCE_MAX);
        let Ok(record) = record else { continue };
        check_row(&row, &record, sequence);
        assert_eq!((record.level(), record.record_type()), kind);
        assert_eq!(record.time, *time);
        let request = request.and_then(|index| spine.request_ids().get(index as usize));
        assert_eq!(record.request_id().as_ref(), request);
        line.clear();
        json::write_line(&mut line, &record, sections.header.origin, sequence);
        let text = str::from_utf8(&line).expect("a line is UTF-8");
        let text = text.strip_suffix('\n').expect("a line ends");
        assert!(text.bytes().all(|byte| byte >= 0x20), "a line has no control character: {text:?}");
    }
}

/// What the spine tells of a record is what the record says.
fn check_row(row: &SpineRow<'_, '_>, record: &Record<'_>, sequence: u64) {
    assert_eq!((row.level(), row.record_type()), (record.level(), record.record_type()));
    assert_eq!((row.time(), row.sequence()), (record.time, sequence));
    assert_eq!((row.request_id(), row.event_name()), (record.request_id(), record.event_name()));
    let measures = (row.status(), row.bytes(), row.duration_us(), row.has_error());
    let expected = match &record.event {
        Event::Response(r) => (Some(r.status), r.bytes, r.duration_us, r.error.is_some()),
        Event::ResponseFinished(r) => (None, r.bytes, r.duration_us, r.error.is_some()),
        Event::UncaughtException { .. } => (None, None, None, true),
        _ => (None, None, None, false),
    };
    assert_eq!(measures, expected);
    if let (Event::Request(request), Some(method)) = (&record.event, row.method()) {
        assert_eq!(method, request.method);
    }
    let section = row.url_section();
    assert!(section.is_none() || record.record_type() == RecordType::Request);
    assert!(section.is_none_or(|name| url_section("", name) == name || name.starts_with('(')));
}

/// What was decoded, encoded again, decodes to the same.
pub fn agreement(data: &[u8]) {
    let Some(sections) = Sections::new(data) else { return };
    let Ok(block) = sections.block() else { return };
    let numbers: Vec<u64> = block.spine().sequences().collect();
    let mut builder = BlockBuilder::new();
    let mut kept = Vec::new();
    let mut first = None;
    let mut next = 0;
    for (record, sequence) in block.records().zip(numbers) {
        let Ok(record) = record else { continue };
        if matches!(record.event, Event::Unknown { .. }) {
            assert!(matches!(builder.push(&record), Err(PushError::Kind { .. })));
            continue;
        }
        if first.is_some() {
            builder.skip_sequence(sequence - next);
        }
        builder.push(&record).expect("what fitted a small block fits again");
        first.get_or_insert(sequence);
        next = sequence + 1;
        kept.push((sequence, record));
    }
    let Some(first) = first else { return };
    for compressor in [Compressor::raw(), Compressor::new(1, None).expect("there is memory")] {
        let bytes = finish(&mut builder, &sections, first, compressor);
        assert_eq!(decode(&bytes), texts(&kept));
        // The builder is empty now; fill it again.
        refill(&mut builder, &kept);
    }
}

fn marker() -> SyncMarker {
    SyncMarker::from_random(*b"a marker")
}

fn finish(
    builder: &mut BlockBuilder,
    sections: &Sections<'_>,
    sequence: u64,
    mut compressor: Compressor,
) -> Vec<u8> {
    let (marker, origin) = (marker(), sections.header.origin);
    let context = BlockContext { marker, origin, sequence, flags: BlockFlags::NONE, lost: 0 };
    let mut bytes = Vec::new();
    builder.finish(&context, &mut compressor, &mut bytes);
    bytes
}

fn refill(builder: &mut BlockBuilder, kept: &[(u64, Record<'_>)]) {
    let mut next = kept.first().map_or(0, |(sequence, _)| *sequence);
    for (sequence, record) in kept {
        builder.skip_sequence(sequence - next);
        builder.push(record).expect("it fitted before");
        next = sequence + 1;
    }
}

/// The numbers and records of an encoded block, as text.
fn decode(bytes: &[u8]) -> Vec<String> {
    let header = BlockHeader::decode(bytes, marker()).expect("an encoder's header is right");
    let stored = StoredBlock::new(header, bytes).expect("an encoder's block is whole");
    let mut decompressor = Decompressor::new().expect("there is memory");
    let spine = stored.spine(&mut decompressor).expect("an encoder's spine is right");
    let body = stored.body(&mut decompressor).expect("an encoder's body is right");
    let ids = stored.request_ids().collect();
    let spine = Spine::parse(stored.header(), ids, &spine).expect("an encoder's spine parses");
    let block = Block::new(spine, &body).expect("an encoder's body parses");
    block.check_url_sections().expect("an encoder's sections are those of the urls");
    let records = block.records().map(|record| record.expect("an encoder's record decodes"));
    let numbered: Vec<_> = block.spine().sequences().zip(records).collect();
    texts(&numbered)
}

fn texts(records: &[(u64, Record<'_>)]) -> Vec<String> {
    records.iter().map(|(sequence, record)| format!("{sequence} {record:?}")).collect()
}
