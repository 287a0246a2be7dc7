//! Answers in pieces: with random growth, rotation and deletion between them, the pieces together
//! are the whole answer of the model.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use fastrand::Rng;
use logq_format::{FILE_HEADER_LEN, Level, LevelSet, Timestamp, WriterId, json};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::{NaiveQuery, NaiveRecord, NaiveStore};

use super::cluster::{Troubles, cluster};
use super::equivalence::in_memory;
use crate::report::Cause;
use crate::rows::Rank;
use crate::{Cursor, CursorError, Filter, Order, Query, ReadError, Report, Snapshot};

type Segments = Vec<(u64, Vec<u8>)>;

/// A record as it is printed, its rank, and the cursor behind it, as text.
type Printed = (String, Rank, String);

/// The answer to a query, the cursor at its end, and its report.
fn answer(snapshot: &Snapshot, query: &Query<'_>) -> (Vec<Printed>, String, Report) {
    let cursors = snapshot.cursors(query).unwrap();
    let mut printed = Vec::new();
    let report = snapshot.scan(
        query,
        |rows| {
            let print = |row: crate::Row<'_>| {
                let mut line = Vec::new();
                json::write_line(&mut line, &row.record().unwrap(), row.origin(), row.sequence());
                let cursor = cursors.after(&row).to_string();
                (String::from_utf8(line).unwrap(), row.rank(), cursor)
            };
            rows.iter().map(print).collect::<Vec<_>>()
        },
        |rows| {
            printed.extend(rows);
            ControlFlow::Continue(())
        },
    );
    (printed, cursors.end().to_string(), report.unwrap())
}

fn parse(text: &str) -> Cursor {
    text.parse().unwrap()
}

/// The store some time before it was complete: the first bytes of its segments.
fn grow(rng: &mut Rng, all: &Segments, lens: &mut Vec<usize>) -> Segments {
    let is_last = rng.u8(0..6) == 0;
    for _ in 0..rng.usize(0..2) {
        if let Some((_, bytes)) = all.get(lens.len()) {
            lens.push(FILE_HEADER_LEN.min(bytes.len()));
        }
    }
    for (len, (_, bytes)) in lens.iter_mut().zip(all) {
        *len = match rng.u8(0..4) {
            0 => bytes.len(),
            1 => *len,
            _ => rng.usize(*len..=bytes.len().min(*len + 3000)),
        };
    }
    if is_last {
        *lens = all.iter().map(|(_, bytes)| bytes.len()).collect();
    }
    lens.iter().zip(all).map(|(len, (number, bytes))| (*number, bytes[..*len].to_vec())).collect()
}

fn filter(rng: &mut Rng) -> (Filter<'static>, NaiveQuery) {
    let levels = match rng.bool() {
        true => LevelSet::ALL,
        false => LevelSet::at_least(rng.choice(Level::ALL).unwrap()),
    };
    let filter = Filter { levels, ..Filter::default() };
    (filter, NaiveQuery { levels, ..NaiveQuery::default() })
}

fn identity(record: &NaiveRecord) -> Rank {
    let (time, WriterId(writer), sequence) = record.identity();
    (time, writer, sequence)
}

/// Asks for pieces while the store grows, and compares them with the whole.
fn check_pieces(seed: u64, all: &Segments) {
    let mut rng = Rng::with_seed(seed ^ 0x5EED);
    let (filter, naive) = filter(&mut rng);
    let mut lens = vec![all.first().map_or(0, |(_, bytes)| bytes.len().min(FILE_HEADER_LEN))];
    let mut cursor: Option<String> = None;
    let mut handed_out: Vec<Rank> = Vec::new();
    let mut is_complete = false;
    for round in 0..400 {
        let context = format!("seed {seed}, round {round}");
        let segments = grow(&mut rng, all, &mut lens);
        let is_all =
            lens.len() == all.len() && lens.iter().zip(all).all(|(l, (_, b))| *l == b.len());
        let after = cursor.as_deref().map(parse);
        let limit = (rng.u8(0..3) > 0).then(|| rng.u64(0..30));
        let query =
            Query { after: after.as_ref(), limit, filter: filter.clone(), ..Query::default() };
        let snapshot = in_memory(&segments);
        let (printed, end, report) = answer(&snapshot, &query);
        assert!(printed.is_sorted_by(|a, b| a.1 < b.1), "{context}");
        assert!(report.gaps.iter().all(|gap| gap.cause != Cause::Vanished), "{context}");
        let whole = Query { limit: None, ..query.clone() };
        let count = snapshot.count(&whole).unwrap().0;
        let is_cut = limit.is_some_and(|limit| printed.len() as u64 == limit);
        assert!(is_cut || count == printed.len() as u64, "{context}: {count}");
        // Sometimes the reader dies in the middle of the answer.
        let taken = if rng.u8(0..3) == 0 { rng.usize(0..=printed.len()) } else { printed.len() };
        let is_whole = taken == printed.len() && !is_cut;
        let printed = &printed[..taken];
        cursor = match printed.last() {
            _ if is_whole && rng.bool() => Some(end),
            Some((_, _, after)) => Some(after.clone()),
            None => cursor,
        };
        handed_out.extend(printed.iter().map(|(_, rank, _)| *rank));
        if is_all && is_whole {
            is_complete = true;
            break;
        }
    }
    assert!(is_complete, "seed {seed}: the end is reached");
    let store = NaiveStore::read(all);
    let expected: BTreeSet<_> = store.select(&naive).into_iter().map(identity).collect();
    let found: BTreeSet<_> = handed_out.iter().copied().collect();
    assert_eq!(found.len(), handed_out.len(), "seed {seed}: something came twice");
    let lost: Vec<_> = expected.difference(&found).collect();
    assert!(lost.is_empty(), "seed {seed}: {} of {} are lost", lost.len(), expected.len());
    assert!(found.is_subset(&expected), "seed {seed}");
}

fn check_all(seeds: Range<u64>, troubles: Troubles) {
    for seed in seeds {
        check_pieces(seed, &cluster(seed, troubles));
    }
}

#[test]
fn pieces_of_a_growing_store_are_the_whole() {
    check_all(0..150, Troubles::default());
}

#[test]
fn pieces_are_the_whole_with_blocks_written_twice() {
    check_all(1000..1200, Troubles { twice: true, ..Troubles::default() });
    check_all(1200..1300, Troubles { twice: true, sparse: true, ..Troubles::default() });
}

#[test]
fn pieces_are_the_whole_with_torn_blocks() {
    check_all(2000..2100, Troubles { torn: true, missing: true, ..Troubles::default() });
}

#[test]
fn pieces_of_whole_histories_are_the_whole() {
    for seed in 0..40 {
        let actions = 40 + u32::try_from(seed).unwrap() * 5;
        let options = ClusterOptions { seed, actions, ..ClusterOptions::default() };
        check_pieces(seed, &Cluster::generate(&options).segments);
    }
}

/// Backwards, what was appended meanwhile only comes if it is earlier than what has come.
#[test]
fn pages_backwards_have_no_record_twice_and_miss_none_that_was_there() {
    for seed in 0..60 {
        let all = cluster(seed, Troubles { twice: true, ..Troubles::default() });
        let mut rng = Rng::with_seed(seed);
        let mut lens: Vec<_> =
            all.iter().map(|(_, b)| rng.usize(FILE_HEADER_LEN.min(b.len())..=b.len())).collect();
        let mut segments = grow(&mut rng, &all, &mut lens);
        let at_first = NaiveStore::read(&segments);
        let mut cursor: Option<Cursor> = None;
        let mut handed_out: Vec<Rank> = Vec::new();
        loop {
            let (order, limit) = (Order::Descending, Some(7));
            let query = Query { after: cursor.as_ref(), order, limit, ..Query::default() };
            let (printed, _, _) = answer(&in_memory(&segments), &query);
            let Some((_, _, last)) = printed.last() else { break };
            cursor = Some(parse(last));
            handed_out.extend(printed.iter().map(|(_, rank, _)| *rank));
            segments = grow(&mut rng, &all, &mut lens);
        }
        assert!(handed_out.is_sorted_by(|a, b| a > b), "seed {seed}");
        let found: BTreeSet<_> = handed_out.into_iter().collect();
        let was_there = at_first.select(&NaiveQuery::default());
        assert!(was_there.into_iter().all(|known| found.contains(&identity(known))), "seed {seed}");
    }
}

#[test]
fn a_cursor_resumes_with_another_filter_and_range() {
    for seed in 0..30 {
        let all = cluster(seed, Troubles::default());
        let store = NaiveStore::read(&all);
        let records = store.select(&NaiveQuery::default());
        let (printed, _, _) = answer(&in_memory(&all), &Query::default());
        let mut rng = Rng::with_seed(seed);
        let Some(at) = rng.choice(0..printed.len()) else { continue };
        let cursor = parse(&printed[at].2);
        let (filter, naive) = filter(&mut rng);
        let until = rng.choice(&records).map(|record| record.time);
        let query = Query { after: Some(&cursor), filter, until, ..Query::default() };
        let found = answer(&in_memory(&all), &query).0;
        let is_wanted = |record: &&&NaiveRecord| {
            naive.matches(record) && until.is_none_or(|until| record.time < until)
        };
        let expected: Vec<_> =
            records[at + 1..].iter().filter(is_wanted).map(|record| &record.line).collect();
        assert_eq!(found.iter().map(|row| &row.0).collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

#[test]
fn deleted_segments_are_told_if_they_may_have_held_something_to_come() {
    let all = (0..).map(|seed| cluster(seed, Troubles::default())).find(|all| all.len() == 4);
    let all = all.unwrap();
    let (printed, end, _) = answer(&in_memory(&all), &Query::default());
    let begin = in_memory(&all).cursors(&Query::default()).unwrap().start();
    let vanished = |cursor: &Cursor, from: usize| {
        let query = Query { after: Some(cursor), ..Query::default() };
        let (rows, _, report) = answer(&in_memory(&all[from..]), &query);
        let gaps = report.gaps.iter().filter(|gap| gap.cause == Cause::Vanished).count();
        (rows.len(), gaps)
    };
    assert_eq!(vanished(&begin, 0), (printed.len(), 0));
    assert_eq!(vanished(&begin, 2).1, 1, "nothing had been handed out");
    assert_eq!(vanished(&parse(&end), 0), (0, 0));
    // What is left begins after the last one handed out.
    let early = parse(&printed[0].2);
    let (rows, gaps) = vanished(&early, 3);
    assert_eq!(gaps, 1);
    assert!(rows < printed.len() - 1);
    // Of a segment in the middle nobody knows what it held.
    let query = Query { after: Some(&early), ..Query::default() };
    let pieces = vec![all[0].clone(), all[2].clone(), all[3].clone()];
    let (_, _, report) = answer(&in_memory(&pieces), &query);
    assert_eq!(report.gaps.iter().filter(|gap| gap.cause == Cause::Vanished).count(), 1);
    // A file that has become shorter.
    let mut shorter = all.clone();
    shorter[3].1.truncate(300);
    let (_, _, report) = answer(&in_memory(&shorter), &query);
    assert!(report.gaps.iter().any(|gap| gap.cause == Cause::Truncated), "{:?}", report.gaps);
}

#[test]
fn cursors_of_other_stores_and_orders_are_refused() {
    let all = cluster(5, Troubles::default());
    let mut other = all.clone();
    for (_, bytes) in &mut other {
        let mut header = logq_format::FileHeader::decode(bytes).unwrap();
        header.directory = logq_format::Id([9; 16]);
        bytes[..FILE_HEADER_LEN].copy_from_slice(&header.encode());
    }
    let (printed, _, _) = answer(&in_memory(&all), &Query::default());
    let cursor = parse(&printed[3].2);
    assert_eq!(cursor.time(), Some(printed[3].1.0));
    let error = |segments: &Segments, order| {
        let query = Query { after: Some(&cursor), order, ..Query::default() };
        match in_memory(segments).count(&query) {
            Err(ReadError::Cursor(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let text = error(&other, Order::Ascending).to_string();
    assert!(text.contains("another store") && text.contains("090909"), "{text}");
    assert!(matches!(error(&all, Order::Descending), CursorError::OtherOrder { .. }));

    // Two stores at once: all of them, in any order.
    let open = |stores: &[&Segments]| {
        let segments = stores.iter().enumerate().flat_map(|(store, segments)| {
            segments.iter().map(move |(_, bytes)| {
                let bytes: Arc<[u8]> = Arc::from(bytes.as_slice());
                crate::segment::Segment::new(std::path::Path::new(""), store, Box::new(bytes))
            })
        });
        Snapshot::of_segments(segments.collect())
    };
    let (both, _, _) = answer(&open(&[&all, &other]), &Query::default());
    let cursor = parse(&both[10].2);
    let query = Query { after: Some(&cursor), ..Query::default() };
    let (rest, _, _) = answer(&open(&[&other, &all]), &query);
    assert_eq!(rest.len(), both.len() - 11);
    let missing = open(&[&all]).count(&query).unwrap_err();
    assert!(matches!(missing, ReadError::Cursor(CursorError::MissingStore { .. })), "{missing}");
}

#[test]
fn the_time_of_a_cursor_bounds_what_is_to_come() {
    let all = cluster(8, Troubles::default());
    let snapshot = in_memory(&all);
    assert_eq!(snapshot.cursors(&Query::default()).unwrap().start().time(), None);
    let until = Some(Timestamp::from_micros(1_770_000_000_000_050));
    let end = snapshot.cursors(&Query { until, ..Query::default() }).unwrap().end();
    assert_eq!(end.time(), Some(Timestamp::from_micros(1_770_000_000_000_049)));
}
