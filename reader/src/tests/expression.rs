//! What expressions cost: as little as the header, the ids or the spine of a block tell enough.

use logq_format::Timestamp;
use logq_query::Expression;
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;

use super::equivalence::{in_memory, lines};
use crate::{Field, Filter, Query, Snapshot, Statistics, Value};

pub(super) fn expression(text: &str) -> Expression {
    let context = logq_query::when::Context {
        now: Timestamp::from_micros(1_770_000_000_000_000),
        zone: jiff::tz::TimeZone::UTC,
        since: None,
        marks: None,
    };
    Expression::parse(text, &context).unwrap()
}

pub(super) fn store() -> Snapshot {
    let traffic = TrafficOptions { records: 6_000, ..TrafficOptions::default() };
    let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() }).unwrap();
    in_memory(&[(1, segment.bytes)])
}

fn query(expression: &Expression) -> Query<'_> {
    let filter = Filter { expression: Some(expression), ..Filter::default() };
    Query { filter, ..Query::default() }
}

/// What it costs to count the records that match, and how many they are.
fn count(store: &Snapshot, text: &str) -> (u64, Statistics) {
    let expression = expression(text);
    let (records, report) = store.count(&query(&expression)).unwrap();
    let (found, _) = lines(store, &query(&expression));
    assert_eq!(found.len() as u64, records, "{text}");
    (records, report.statistics)
}

#[test]
fn what_the_spine_tells_is_counted_without_a_body() {
    let store = store();
    for text in [
        "status >= 500",
        "status >= 400 and ms > 1ms or bytes > 1KiB",
        "level >= warn and not worker = master",
        "exists(error) and status != 503",
        "event = WORKER_STARTED or type = LOG",
        "seq < 40 and not exists(requestId)",
        // No record has both.
        "status = 200 and url ~ '.'",
    ] {
        let (_, statistics) = count(&store, text);
        assert_eq!(statistics.bodies_decoded, 0, "{text}, {statistics:?}");
        assert!(statistics.blocks > 5, "{text}, {statistics:?}");
    }
}

#[test]
fn fields_are_tallied_without_a_body_where_the_spine_tells_what_matches() {
    let store = store();
    let expression = expression("ms >= 1 and status >= 300");
    let (tally, report) = store.tally(&query(&expression), Field::StatusCode).unwrap();
    assert_eq!(report.statistics.bodies_decoded, 0);
    assert!(tally.records > 0 && tally.counts.iter().all(|(v, _)| *v >= Value::StatusCode(300)));
    let sum: u64 = tally.counts.iter().map(|(_, count)| count).sum();
    assert_eq!(sum, tally.records);
}

#[test]
fn headers_rule_blocks_out_or_answer_for_all_of_their_records() {
    let store = store();
    let (all, whole) = count(&store, "exists(seq)");
    let plain = store.count(&Query::default()).unwrap().1.statistics;
    // Only those that a slice cuts are opened, as without any expression.
    assert_eq!((all, whole.pruned_by_expression), (6_000, 0));
    assert!(whole.spines_decoded <= plain.spines_decoded, "{whole:?}, {plain:?}");

    let (none, statistics) = count(&store, "writer = 4711 and status >= 500");
    assert_eq!((none, statistics.spines_decoded), (0, 0));
    assert_eq!(statistics.pruned_by_expression, whole.blocks);

    let (some, statistics) = count(&store, "worker = 1");
    let (others, _) = count(&store, "worker != 1");
    assert!(some > 0 && some + others == all);
    assert!(statistics.pruned_by_expression > 0, "{statistics:?}");
}

#[test]
fn only_blocks_with_such_records_are_opened_for_what_bodies_hold() {
    let store = store();
    let (requests, _) = count(&store, "type = REQUEST");
    let (found, statistics) = count(&store, "url ~ '^/'");
    assert!(found > 0 && found <= requests);
    assert!(statistics.bodies_decoded > 0);
    let (_, rare) = count(&store, "url ~ '^/' and worker = 4711");
    assert_eq!(rare.bodies_decoded, 0);
}

#[test]
fn requests_and_times_that_an_expression_implies_are_looked_for_as_such() {
    let store = store();
    let (all, _) = lines(&store, &Query::default());
    let line: Vec<_> = all.iter().filter(|line| line.contains("requestId")).collect();
    let id = line[line.len() / 2].split("\"requestId\":\"").nth(1).unwrap().get(..36).unwrap();
    let (found, statistics) = count(&store, &format!("requestId = {id} and level <= critical"));
    assert_eq!(
        found,
        all.iter().filter(|line| line.contains(&format!("\"requestId\":\"{id}"))).count() as u64
    );
    assert!(statistics.pruned_by_request > 0, "{statistics:?}");
    let (found, _) =
        count(&store, &format!("requestId = {id} and requestId in ('{}')", "0".repeat(32)));
    assert_eq!(found, 0);

    let time = |index: usize| all[index].get(14..41).unwrap();
    let (from, to) = (time(3000), time(3100));
    let (found, statistics) =
        count(&store, &format!("time >= {from} and time < {to} and status > 0"));
    assert!(found > 0 && found <= 100);
    let (_, whole) = count(&store, "status > 0");
    assert!(statistics.blocks < whole.blocks || statistics.pruned_by_time > 0, "{statistics:?}");
}
