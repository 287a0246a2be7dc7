//! A visit sees what a scan hands out, each record once, those of a writer in their order.

use std::ops::ControlFlow;

use fastrand::Rng;
use logq_format::{Event, Record, RecordType, RequestId, RequestStep, Timestamp, TypeSet};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::NaiveStore;

use super::cluster::{Troubles, cluster};
use super::equivalence::{in_memory, query};
use crate::{Cursor, Glimpse, Query, Snapshot, VisitDepth};

/// The fields that a visit shows.
type Seen =
    (Timestamp, &'static str, Option<RequestId>, Option<u16>, Option<u64>, Option<u64>, String);

/// What is shown of each record.
fn seen(glimpse: &Glimpse<'_>, with_heads: bool) -> Vec<Seen> {
    let steps = match glimpse {
        Glimpse::Record(record) => return vec![expected(record, with_heads)],
        Glimpse::Steps(steps) => steps,
    };
    let shown = |step: &RequestStep| {
        let heads = steps.heads().filter(|_| step.record_type == RecordType::Request);
        let head = heads.map_or(String::new(), |heads| {
            let (method, url) = (heads.method(step.head).unwrap(), heads.url(step.head).unwrap());
            format!("{method:?} {url} {:?}", heads.ip(step.head))
        });
        let is_response = step.record_type == RecordType::Response;
        (
            step.time,
            step.record_type.as_str(),
            steps.ids().get(step.request as usize).copied(),
            is_response.then_some(step.status),
            step.bytes,
            step.duration_us,
            head,
        )
    };
    let mut all = Vec::new();
    steps.for_each(|step| all.push(shown(step)));
    all
}

fn expected(record: &Record<'_>, with_heads: bool) -> Seen {
    let mut shown =
        (record.time, record.record_type().as_str(), None, None, None, None, String::new());
    match &record.event {
        Event::Request(request) => {
            shown.2 = Some(request.request);
            if with_heads {
                shown.6 = format!("{:?} {} {:?}", request.method, request.url, request.ip);
            }
        }
        Event::Response(response) => {
            (shown.2, shown.3) = (Some(response.request), Some(response.status));
            (shown.4, shown.5) = (response.bytes, response.duration_us);
        }
        Event::ResponseFinished(finished) => {
            (shown.2, shown.4) = (Some(finished.request), finished.bytes);
            shown.5 = finished.duration_us;
        }
        _ => {}
    }
    shown
}

fn visited(snapshot: &Snapshot, query: &Query<'_>, with_heads: bool) -> Vec<Seen> {
    let (mut all, mut last) = (Vec::new(), Timestamp::MIN);
    let depth = if with_heads { VisitDepth::Heads } else { VisitDepth::Steps };
    let report = snapshot.visit(
        query,
        depth,
        Vec::new,
        |slice: &mut Vec<Seen>, glimpse| slice.extend(seen(glimpse, with_heads)),
        |slice, until| {
            let times = slice.iter().map(|shown| shown.0);
            if let (Some(first), Some(end)) = (times.clone().min(), times.max()) {
                assert!(first >= last && end < until, "slices follow one another");
            }
            last = until;
            all.extend(slice);
            ControlFlow::Continue(())
        },
    );
    report.unwrap();
    all.sort();
    all
}

fn scanned(snapshot: &Snapshot, query: &Query<'_>, with_heads: bool) -> Vec<Seen> {
    let mut all = Vec::new();
    snapshot
        .scan(
            query,
            |rows| -> Vec<Seen> {
                rows.iter().map(|row| expected(&row.record().unwrap(), with_heads)).collect()
            },
            |rows| {
                all.extend(rows);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    all.sort();
    all
}

fn check(seed: u64, segments: &[(u64, Vec<u8>)]) {
    let (store, snapshot) = (NaiveStore::read(segments), in_memory(segments));
    let mut rng = Rng::with_seed(seed ^ 0x51);
    for round in 0..6 {
        let mut query = query(&mut rng, &store.records);
        query.limit = None;
        let types = query.filter.types.bits() & crate::visit::VISITED.bits();
        query.filter.types = TypeSet::from_bits(types);
        for with_heads in [false, true] {
            let found = visited(&snapshot, &query, with_heads);
            let expected = scanned(&snapshot, &query, with_heads);
            assert_eq!(found, expected, "seed {seed}, round {round}, {query:?}");
        }
    }
}

#[test]
fn a_visit_sees_what_a_scan_hands_out() {
    for seed in 0..60 {
        check(seed, &cluster(seed, Troubles::default()));
        let troubles = Troubles { twice: true, missing: true, sparse: true, ..Troubles::default() };
        check(seed, &cluster(1_000 + seed, troubles));
    }
    for seed in 0..10 {
        let options = ClusterOptions { seed, actions: 150, ..ClusterOptions::default() };
        check(seed, &Cluster::generate(&options).segments);
    }
}

/// A visit that is left behind any slice, and others that go on from there, see each record once.
#[test]
fn a_visit_goes_on_where_another_was_left() {
    for seed in 0..40 {
        let troubles = Troubles { twice: seed % 2 == 0, sparse: true, ..Troubles::default() };
        let snapshot = in_memory(&cluster(seed, troubles));
        let whole = visited(&snapshot, &Query::default(), true);
        let mut rng = Rng::with_seed(seed);
        let (mut all, mut place, mut rounds) = (Vec::new(), None::<Cursor>, 0);
        loop {
            let query = Query { after: place.as_ref(), ..Query::default() };
            let cursors = snapshot.cursors(&query).unwrap();
            let (mut left_at, mut left) = (None, rng.usize(1..4));
            let report = snapshot.visit(
                &query,
                VisitDepth::Heads,
                Vec::new,
                |slice: &mut Vec<Seen>, glimpse| slice.extend(seen(glimpse, true)),
                |slice, until| {
                    all.extend(slice);
                    (left_at, left) = (Some(until), left - 1);
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            );
            report.unwrap();
            let Some(until) = left_at else { break };
            place = Some(cursors.before(until));
            rounds += 1;
            assert!(rounds < 1_000, "seed {seed}");
        }
        all.sort();
        assert!(all == whole, "seed {seed}: {} of {}", all.len(), whole.len());
    }
}

#[test]
fn spines_are_enough_unless_heads_are_wanted() {
    let options = ClusterOptions { seed: 5, actions: 400, ..ClusterOptions::default() };
    let snapshot = in_memory(&Cluster::generate(&options).segments);
    let cost = |depth| {
        let visit = snapshot.visit(
            &Query::default(),
            depth,
            || (),
            |_, _| {},
            |(), _| ControlFlow::Continue(()),
        );
        visit.unwrap().statistics
    };
    let (without, with) = (cost(VisitDepth::Steps), cost(VisitDepth::Targets));
    assert_eq!(without.records, with.records);
    // Repeated blocks are compared record by record.
    assert!(without.bodies_decoded * 4 <= without.blocks, "{without:?}");
    assert!(with.bodies_decoded > without.bodies_decoded, "{with:?}");
}
