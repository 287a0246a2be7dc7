//! The model: decode everything, filter, sort. Slow, and too simple to be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use logq_format::{
    Block, BlockHeader, BlockKind, DecodeError, Decompressor, FILE_HEADER_LEN, FileHeader, Level,
    Origin, Record, RecordType, RequestId, Scan, Spine, Step, StoredBlock, Timestamp, Window,
    WorkerId, decode_dictionary, json,
};

use crate::{Field, Order, Query, Value};

/// A record as the model knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) time: Timestamp,
    pub(super) origin: Origin,
    pub(super) sequence: u64,
    pub(super) level: Level,
    pub(super) record_type: RecordType,
    pub(super) subject: Option<WorkerId>,
    pub(super) request: Option<RequestId>,
    pub(super) status: Option<u16>,
    pub(super) line: String,
}

impl Known {
    fn new(record: &Record<'_>, origin: Origin, sequence: u64) -> Self {
        let mut line = Vec::new();
        json::write_line(&mut line, record, origin, sequence);
        let status = match &record.event {
            logq_format::Event::Response(response) => Some(response.status),
            _ => None,
        };
        Self {
            time: record.time,
            origin,
            sequence,
            level: record.level(),
            record_type: record.record_type(),
            subject: record.subject(origin),
            request: record.request_id(),
            status,
            line: String::from_utf8(line).unwrap(),
        }
    }
}

/// All records of a store, in order, each once, and the number of damaged places.
pub(super) fn records(segments: &[Arc<[u8]>]) -> (Vec<Known>, usize) {
    let (mut records, mut gaps) = (Vec::new(), 0);
    for bytes in segments {
        let file = FileHeader::decode(bytes).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        let scan = Scan::new(file.marker, FILE_HEADER_LEN as u64..bytes.len() as u64);
        walk(scan, &file, bytes, &mut decompressor, &mut records, &mut gaps);
    }
    records.sort_by_key(|known| (known.time, known.origin.writer, known.sequence));
    records.dedup_by_key(|known| (known.time, known.origin.writer, known.sequence));
    (records, gaps)
}

fn walk(
    mut scan: Scan,
    file: &FileHeader,
    bytes: &[u8],
    decompressor: &mut Decompressor,
    records: &mut Vec<Known>,
    gaps: &mut usize,
) {
    loop {
        match scan.step(Window { offset: 0, bytes }) {
            Step::Block { offset, header } => {
                let rest = &bytes[usize::try_from(offset).unwrap()..];
                if let Err(error) = decode(&header, rest, decompressor, records) {
                    let inside = Scan::inside(file.marker, offset, header, error);
                    walk(inside, file, bytes, decompressor, records, gaps);
                }
            }
            Step::Gap(_) => *gaps += 1,
            Step::Need(range) => panic!("{range:?} of a whole segment"),
            Step::End => return,
        }
    }
}

fn decode(
    header: &BlockHeader,
    bytes: &[u8],
    decompressor: &mut Decompressor,
    records: &mut Vec<Known>,
) -> Result<(), DecodeError> {
    let stored = StoredBlock::new(header.clone(), bytes)?;
    stored.check_front()?;
    stored.check_body()?;
    if header.kind == BlockKind::Dictionary {
        decompressor.set_dictionary(Some(&decode_dictionary(&stored)?)).unwrap();
    }
    if header.kind != BlockKind::Data {
        return Ok(());
    }
    let spine = stored.spine(decompressor)?;
    let body = stored.body(decompressor)?;
    let spine = Spine::parse(header, stored.request_ids().collect(), &spine)?;
    let sequences: Vec<_> = spine.sequences().collect();
    let block = Block::new(spine, &body)?;
    for (record, sequence) in block.records().zip(sequences) {
        records.push(Known::new(&record?, header.origin, sequence));
    }
    Ok(())
}

/// What a query without a predicate should answer.
pub(super) fn answer<'k>(records: &'k [Known], query: &Query<'_>) -> Vec<&'k Known> {
    let filter = &query.filter;
    let mut found: Vec<_> = records
        .iter()
        .filter(|known| {
            query.since.is_none_or(|since| since <= known.time)
                && query.until.is_none_or(|until| known.time < until)
                && filter.levels.contains(known.level)
                && filter.types.contains(known.record_type)
                && filter.workers.as_ref().is_none_or(|workers| workers.contains(&known.subject))
                && filter.requests.as_ref().is_none_or(|requests| {
                    known.request.is_some_and(|request| requests.contains(&request))
                })
        })
        .collect();
    if query.order == Order::Descending {
        found.reverse();
    }
    found.truncate(query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
    found
}

/// How often each value of a field occurs.
pub(super) fn tally(records: &[&Known], by: Field) -> Vec<(Value, u64)> {
    let mut counts = BTreeMap::new();
    for known in records {
        let value = match by {
            Field::Level => Some(Value::Level(known.level)),
            Field::Type => Some(Value::Type(known.record_type)),
            Field::StatusCode => known.status.map(Value::StatusCode),
            Field::WorkerId => Some(Value::WorkerId(known.subject)),
        };
        if let Some(value) = value {
            *counts.entry(value).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}
