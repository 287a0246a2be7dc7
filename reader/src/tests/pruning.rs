//! What is told by less than whole blocks: texts by bodies, requests by spines.

use std::ops::ControlFlow;

use fastrand::Rng;
use logq_format::{RequestId, Timestamp, WriterId};
use logq_query::FieldPath;
use logq_testkit::naive::NaiveStore;
use logq_testkit::question::Question;

use super::cluster::{Troubles, cluster};
use super::equivalence::{in_memory, lines, query};
use super::expression::{expression, store};
use crate::{Field, Filter, Grouping, Order, Query, Report, Row, Rows, Snapshot};

fn line_of(row: &Row<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    logq_format::json::write_line(&mut line, &row.record().unwrap(), row.origin(), row.sequence());
    line
}

#[test]
fn a_text_is_found_by_bodies_wherever_records_have_it() {
    let store = store();
    let contains = |bytes: &[u8], text: &str| {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let (all, whole) = lines(&store, &Query::default());
    // Frequent, rare, nowhere.
    let rare = all.iter().rev().find_map(|line| line.split_once("\"stack\":\"")).unwrap().1;
    let rare: String = rare.chars().take_while(|c| c.is_alphanumeric() || *c == ' ').collect();
    for text in ["/api/", rare.as_str(), "nowhere at all"] {
        let expected: Vec<_> = all.iter().filter(|line| line.contains(text)).collect();
        let predicate = |row: &Row<'_>| contains(&line_of(row), text);
        let body = |body: &[u8]| contains(body, text);
        for order in [Order::Ascending, Order::Descending] {
            let filter =
                Filter { body: Some(&body), predicate: Some(&predicate), ..Filter::default() };
            let (mut found, report) = lines(&store, &Query { filter, order, ..Query::default() });
            if order == Order::Descending {
                found.reverse();
            }
            assert!(found.iter().eq(expected.iter().copied()), "{text}, {order:?}");
            if expected.is_empty() {
                assert!(report.statistics.pruned_by_text >= whole.statistics.blocks);
            }
        }
        // A count, for which bodies are not needed otherwise, and another filter in front.
        let levels = logq_format::LevelSet::at_least(logq_format::Level::Warn);
        for levels in [logq_format::LevelSet::ALL, levels] {
            let plain = Filter { levels, predicate: Some(&predicate), ..Filter::default() };
            let pruned = Filter { body: Some(&body), ..plain.clone() };
            let count = |filter| store.count(&Query { filter, ..Query::default() }).unwrap().0;
            assert_eq!(count(pruned), count(plain), "{text}, {levels:?}");
        }
    }
}

/// The requests of records with what tells these apart, as a scan finds them.
fn scanned(store: &Snapshot, query: &Query<'_>) -> Vec<(RequestId, Timestamp, WriterId, u64)> {
    let mut found = Vec::new();
    let map = |rows: &Rows<'_>| {
        let of = |row: Row<'_>| {
            let request = row.record().ok()?.request_id()?;
            Some((request, row.time(), row.origin().writer, row.sequence()))
        };
        rows.iter().filter_map(of).collect::<Vec<_>>()
    };
    let fold = |some| {
        found.extend::<Vec<_>>(some);
        ControlFlow::Continue(())
    };
    store.scan(query, map, fold).unwrap();
    found
}

fn requested(
    store: &Snapshot,
    query: &Query<'_>,
) -> (Vec<(RequestId, Timestamp, WriterId, u64)>, Report) {
    let mut found = Vec::new();
    let report = store.requests(query, |records| {
        found.extend(records.iter().map(|r| (r.request, r.time, r.writer, r.sequence)));
        ControlFlow::Continue(())
    });
    (found, report.unwrap())
}

#[test]
fn requests_are_those_of_the_records_and_cost_no_bodies() {
    let store = store();
    for text in ["seq >= 0", "status >= 400", "url ~ 'cart' and not exists(error)", "status = 1"] {
        let expression = expression(text);
        for (order, limit) in [
            (Order::Ascending, None),
            (Order::Descending, None),
            (Order::Ascending, Some(40)),
            (Order::Descending, Some(7)),
        ] {
            let filter = Filter { expression: Some(&expression), ..Filter::default() };
            let query = Query { filter, order, limit, ..Query::default() };
            let (found, report) = requested(&store, &query);
            assert_eq!(found, scanned(&store, &query), "{text}, {order:?}, {limit:?}");
            if !text.contains("url") {
                assert_eq!(report.statistics.bodies_decoded, 0, "{text}");
            }
        }
    }
}

/// Blocks that reach into several slices, and slices that are gone through several times, counted
/// more often than they were considered.
#[test]
fn a_block_is_counted_as_ruled_out_once() {
    let never = |_: &[u8]| false;
    let nothing = |_: &Row<'_>| false;
    let mut blocks = 0;
    for seed in 0..40 {
        let troubles = Troubles { twice: seed % 2 == 0, ..Troubles::default() };
        let store = in_memory(&cluster(seed, troubles));
        for order in [Order::Ascending, Order::Descending] {
            let request = Some(vec![RequestId::from_bytes([0xEE; 16])]);
            let filter = Filter { requests: request, ..Filter::default() };
            let found = lines(&store, &Query { filter, order, ..Query::default() }).1.statistics;
            assert_eq!(found.pruned_by_request, found.blocks, "seed {seed}, {order:?}");
            let filter =
                Filter { body: Some(&never), predicate: Some(&nothing), ..Filter::default() };
            let found = lines(&store, &Query { filter, order, ..Query::default() }).1.statistics;
            assert_eq!(found.pruned_by_text, found.blocks, "seed {seed}, {order:?}");
            assert_eq!(found.spines_decoded, 0);
            blocks += found.blocks;
        }
    }
    assert!(blocks > 100);
}

/// `--explain` accounts for every block that it says it has considered: each is ruled out for one
/// reason, told by its header, decoded, or damaged.
#[test]
fn blocks_that_were_considered_are_pruned_or_told_or_decoded_or_damaged() {
    let (mut seen, mut twice) = ([0_u64; 11], 0);
    for seed in 0..120 {
        let troubles = match seed % 3 {
            0 => Troubles::default(),
            1 => Troubles { twice: true, sparse: true, ..Troubles::default() },
            _ => Troubles { torn: true, missing: true, ..Troubles::default() },
        };
        let mut segments = cluster(seed, troubles);
        let mut rng = Rng::with_seed(seed ^ 0xB10C);
        // Bytes that are wrong wherever they are: headers are read, but not all that is behind them.
        for (_, bytes) in segments.iter_mut().filter(|_| seed % 4 == 3) {
            let at = rng.usize(bytes.len() / 2..bytes.len());
            bytes[at] ^= 0x55;
        }
        let store = in_memory(&segments);
        let known = NaiveStore::read(&segments).records;
        for round in 0..8 {
            let mut query = query(&mut rng, &known);
            query.limit = None;
            let samples: Vec<_> = (0..6).filter_map(|_| rng.choice(&known)).collect();
            let samples: Vec<&str> = samples.iter().map(|known| known.line.as_str()).collect();
            let question = Question::random(&mut rng, &samples).to_string();
            let question = rng.bool().then(|| expression(&question));
            query.filter.expression = question.as_ref();
            if rng.u8(..4) == 0 {
                let ids: Vec<_> = (0..3).map(|n| RequestId::from_bytes([n; 16])).collect();
                query.filter.requests = Some(ids);
            }
            let digit = rng.u8(b'0'..=b'9');
            let body = move |body: &[u8]| body.windows(2).any(|pair| pair == [digit, digit]);
            let has_pair = |row: &Row<'_>| body(&line_of(row));
            if rng.u8(..3) == 0 {
                query.filter.body = Some(&body);
                query.filter.predicate = Some(&has_pair);
            }
            let by = [FieldPath::parse("type").unwrap()];
            let grouping = Grouping { by: &by, ..Grouping::default() };
            // The numbers of some responses are told by their ends, for which all is read once more.
            let by_status = [FieldPath::parse("status").unwrap()];
            let bytes = FieldPath::parse("bytes").unwrap();
            let late = Grouping { by: &by_status, measure: Some(&bytes), ..Grouping::default() };
            let late = store.group(&query, &late).unwrap().1;
            let once = store.group(&query, &grouping).unwrap().1;
            twice += u64::from(late.statistics.blocks > once.statistics.blocks);
            let reports = [
                lines(&store, &query).1,
                store.count(&query).unwrap().1,
                store.tally(&query, Field::StatusCode).unwrap().1,
                once,
                late,
                store.requests(&query, |_| ControlFlow::Continue(())).unwrap(),
            ];
            for (which, report) in reports.into_iter().enumerate() {
                let s = report.statistics;
                let fates = [
                    s.pruned_by_time,
                    s.pruned_by_level,
                    s.pruned_by_type,
                    s.pruned_by_worker,
                    s.pruned_by_expression,
                    s.pruned_by_request,
                    s.pruned_by_text,
                    s.told_by_header,
                    s.blocks_decoded(),
                    s.blocks_damaged,
                ];
                let sum: u64 = fates.iter().sum();
                assert_eq!(sum, s.blocks, "seed {seed}, round {round}, {which}: {s:?}, {query:?}");
                assert!(s.segments_read <= s.segments, "{s:?}");
                let looked_into = s.segments - s.segments_read;
                let all = fates.into_iter().chain([looked_into]);
                seen.iter_mut().zip(all).for_each(|(seen, count)| *seen += count);
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    assert!(twice > 0, "both passes of a count are told");
}
