//! The target over questions: any text as an expression, asked of a record with any data.

use jiff::tz::TimeZone;
use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, BlockHeader, Compressor, Decompressor, Event, Json,
    Level, LogSource, Origin, Record, Spine, StoredBlock, SyncMarker, Timestamp, TypeSet, WorkerId,
    WriterId,
};
use logq_query::{BlockFacts, Expression, FieldPath, Verdict, when};

const TIME: Timestamp = Timestamp::from_micros(1_770_127_506_789_000);

/// A first line that is read as an expression is printed so that it is read back the same, and every
/// stage that decides on a record whose data is the rest agrees with the record itself. A line that
/// is read as a field is printed likewise, and its value is what it prints as JSON.
pub fn expression(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (question, json) = text.split_once('\n').unwrap_or((&text, "{}"));
    let json = Json::new(json).unwrap_or(Json::NULL);
    let origin = Origin { writer: WriterId(1), worker: WorkerId::new(1) };
    let log = Event::Log { source: LogSource::Worker, level: Level::Warn, data: json };
    let record = Record { time: TIME, event: log };
    if let Ok(field) = FieldPath::parse(question) {
        check_field(&field, &record, origin);
    }
    let context = when::Context { now: TIME, zone: TimeZone::UTC, since: None, marks: None };
    match Expression::parse(question, &context) {
        Ok(expression) => check_expression(&expression, &context, &record, origin),
        Err(error) => {
            assert!(error.column <= question.chars().count());
            assert!(error.to_string().len() < 4_000, "{error}");
        }
    }
}

fn check_field(field: &FieldPath, record: &Record<'_>, origin: Origin) {
    assert_eq!(FieldPath::parse(&field.to_string()).expect("it was printed"), *field);
    let Some(value) = field.value(record, origin, 5) else { return };
    let mut text = Vec::new();
    value.write_text(&mut text);
    assert_eq!(text, value.to_string().into_bytes());
    assert_eq!(value.clone().into_owned(), value);
}

fn check_expression(
    expression: &Expression,
    context: &when::Context<'_>,
    record: &Record<'_>,
    origin: Origin,
) {
    let printed = expression.to_string();
    // In full, an expression may be longer than any that is read.
    if printed.len() <= 1 << 16 {
        let again = Expression::parse(&printed, context).expect("it was printed");
        assert_eq!(again, *expression, "{printed}");
    }
    let expected = expression.matches(record, origin, 5);
    let agrees = |verdict| match verdict {
        Verdict::Unknown => true,
        verdict => (verdict == Verdict::Always) == expected,
    };
    let (header, bytes) = encode(record, origin);
    let facts = BlockFacts::from(&header);
    assert!(agrees(expression.judge_block(&facts)), "{printed}");
    assert!(
        agrees(expression.judge_kind(record.level(), record.record_type(), &facts)),
        "{printed}"
    );
    let stored = StoredBlock::new(header.clone(), &bytes).expect("it was encoded");
    let spine = stored.spine(&mut Decompressor::new().expect("there is memory"));
    let spine = spine.expect("an encoder's spine is right");
    let spine = Spine::parse(&header, Vec::new(), &spine).expect("an encoder's spine parses");
    let row = spine.rows().expect("an encoder's spine parses").next().expect("it has a record");
    let verdict = expression.judge_row(&row, origin);
    assert!(agrees(verdict), "{printed}");
    let needs_record = expression.needs_record(TypeSet::EMPTY.with(record.record_type()));
    assert!(needs_record || verdict != Verdict::Unknown, "{printed}");
    let (since, until) = expression.times();
    let is_within = since.is_none_or(|since| since <= TIME) && until.is_none_or(|end| TIME < end);
    assert!(!expected || is_within && expression.requests().is_none(), "{printed}");
}

fn encode(record: &Record<'_>, origin: Origin) -> (BlockHeader, Vec<u8>) {
    let mut builder = BlockBuilder::new();
    builder.push(record).expect("a small record fits");
    let marker = SyncMarker::from_random(*b"a marker");
    let context = BlockContext { marker, origin, sequence: 5, flags: BlockFlags::NONE, lost: 0 };
    let mut bytes = Vec::new();
    let header = builder.finish(&context, &mut Compressor::raw(), &mut bytes);
    (header, bytes)
}
