//! Sections of requests: what blocks store of them is believed, and every answer is the one that their
//! urls would give.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use fastrand::Rng;
use logq_format::{
    BLOCK_HEADER_LEN, BlockBuilder, BlockContext, BlockFlags, Compressor, Event, FILE_HEADER_LEN,
    HttpVersion, Method, Origin, Record, RecordType, Request, Response, Timestamp, WorkerId,
    WriterId, url_section,
};
use logq_query::{FieldPath, FieldValue};

use super::cluster::{SegmentBuilder, Writer, request, time};
use super::equivalence::in_memory;
use super::expression::expression;
use crate::report::Statistics;
use crate::{Filter, Glimpse, Grouping, Query, Snapshot, VisitDepth};

const URLS: [&str; 9] =
    ["/a", "/a/1?x", "/b?y", "/b#z", "/", "http://h/c/d", "*", "no url", "/caf\u{e9}/"];
const METHODS: [&str; 4] = ["GET", "POST", "CONNECT", "BREW"];

/// Blocks with so many records have requests enough to store their sections.
const LARGE: usize = 130;

/// When, which request, and its method and url, or nothing for its response.
type Fact = (i64, u64, Option<(&'static str, &'static str)>);

/// Requests of a store, many of which have a response.
fn facts(rng: &mut Rng) -> Vec<Fact> {
    let few = rng.u8(..4) > 0;
    let mut facts = Vec::new();
    for id in 0..rng.u64(300..600) {
        let at = rng.i64(0..5_000);
        let url = rng.choice(if few { &URLS[..4] } else { &URLS[..] }).unwrap();
        let method = if rng.u8(..8) == 0 { rng.choice(METHODS).unwrap() } else { "GET" };
        facts.push((at, id, Some((method, *url))));
        if rng.bool() {
            facts.push((at + rng.i64(0..50), id, None));
        }
    }
    facts.sort_unstable_by_key(|(at, id, asked)| (*at, *id, asked.is_none()));
    facts
}

fn record(fact: &Fact) -> Record<'static> {
    let (at, id, asked) = *fact;
    let request = request(id);
    let event = match asked {
        Some((method, url)) => Event::Request(Request {
            request,
            ip: None,
            http_version: HttpVersion::HTTP_11,
            method: Method::new(method),
            url,
        }),
        None => Event::Response(Response {
            request,
            status: 200,
            error: None,
            expected: false,
            bytes: Some(1),
            duration_us: None,
        }),
    };
    Record { time: time(at), event }
}

/// A store of these records, each block with as many of them as `len` says.
fn store(facts: &[Fact], mut len: impl FnMut() -> usize) -> Vec<u8> {
    let mut segment = SegmentBuilder::new(1, 7, None);
    let origin = Origin { writer: WriterId(5), worker: WorkerId::new(1) };
    let mut writer = Writer { origin, sequence: 0, time: facts[0].0 };
    segment.join(&writer);
    let mut rest = facts;
    while !rest.is_empty() {
        let len = len();
        // A rest that is too small to store sections belongs to the last one of large blocks.
        let is_last = rest.len() < len + if len < LARGE { 0 } else { LARGE };
        let (part, more) = rest.split_at(if is_last { rest.len() } else { len });
        let records: Vec<_> = part.iter().map(record).collect();
        segment.block(&mut writer, BlockFlags::NONE, &records);
        writer.time = part[part.len() - 1].0;
        segment.ping(&writer, 0);
        rest = more;
    }
    segment.finish()
}

/// The same segment, said to be of the version before that which stores sections.
fn of_version_1_0(mut segment: Vec<u8>) -> Vec<u8> {
    segment[10] = 0;
    let crc = crc32c::crc32c(&segment[..FILE_HEADER_LEN - 4]);
    segment[FILE_HEADER_LEN - 4..FILE_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    segment
}

/// How many requests there are with which values of these fields, and what it cost to tell.
fn groups(
    snapshot: &Snapshot,
    by: &[&str],
    filter: Filter<'_>,
) -> (BTreeMap<String, u64>, Statistics) {
    let by: Vec<_> = by.iter().map(|name| FieldPath::parse(name).unwrap()).collect();
    let grouping = Grouping { by: &by, ..Grouping::default() };
    let query = Query { filter, ..Query::default() };
    let (groups, report) = snapshot.group(&query, &grouping).unwrap();
    assert!(report.gaps.is_empty());
    let name = |values: &[Option<FieldValue<'_>>]| {
        let shown: Vec<_> = values.iter().flatten().map(ToString::to_string).collect();
        shown.join(" ")
    };
    (groups.iter().map(|group| (name(&group.values), group.count)).collect(), report.statistics)
}

/// The time and section of each request that a visit shows.
fn visited(snapshot: &Snapshot) -> (Vec<(Timestamp, String)>, Statistics) {
    let mut all = Vec::new();
    let see = |slice: &mut Vec<_>, seen: &Glimpse<'_>| match seen {
        Glimpse::Record(record) => {
            if let Event::Request(head) = &record.event {
                let section = url_section(head.method.as_str(), head.url);
                slice.push((record.time, section.to_owned()));
            }
        }
        Glimpse::Steps(steps) => {
            let section = |head| match (steps.sections(), steps.heads()) {
                (Some(sections), None) => sections.name(head).unwrap().to_owned(),
                (None, Some(heads)) => {
                    let method = heads.method(head).unwrap();
                    url_section(method.as_str(), heads.url(head).unwrap()).to_owned()
                }
                both => panic!("{both:?}"),
            };
            steps.for_each(|step| {
                if step.record_type == RecordType::Request {
                    slice.push((step.time, section(step.head)));
                }
            });
        }
    };
    let query = Query::default();
    let report = snapshot.visit(&query, VisitDepth::Sections, Vec::new, see, |slice, _| {
        all.extend(slice);
        ControlFlow::Continue(())
    });
    all.sort();
    (all, report.unwrap().statistics)
}

#[test]
fn answers_do_not_depend_on_whether_blocks_store_sections() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let facts = facts(&mut rng);
        let large = store(&facts, || rng.usize(LARGE..300));
        let mixed = store(&facts, || rng.usize(20..300));
        let small = store(&facts, || rng.usize(1..60));
        let (small_1_0, large_1_0) = (of_version_1_0(small.clone()), of_version_1_0(large.clone()));
        let stores = [large, large_1_0, mixed, small, small_1_0];
        let question = [
            "section = '/a'",
            "section != '/b' and level = INFO",
            "not section in ('/', '(*)', '(CONNECT)')",
            "section ~ 'caf' or section = '/c'",
            "exists(section)",
        ];
        let question = expression(question[rng.usize(..question.len())]);
        let filter = || Filter { expression: Some(&question), ..Filter::default() };

        let asked = facts.iter().filter_map(|fact| Some((fact, fact.2?)));
        let sections =
            asked.clone().map(|(f, (method, url))| (time(f.0), url_section(method, url)));
        let mut expected: Vec<_> = sections.map(|(at, name)| (at, name.to_owned())).collect();
        expected.sort();
        let mut by_name = BTreeMap::new();
        for (_, (method, url)) in asked.clone() {
            *by_name.entry(format!("{} {method}", url_section(method, url))).or_insert(0) += 1;
        }
        let origin = Origin { writer: WriterId(5), worker: WorkerId::new(1) };
        let matches = |fact: &&Fact| question.matches(&record(fact), origin, 0);
        let matching = facts.iter().filter(matches).count();
        let asking = asked.filter(|(fact, _)| matches(fact)).count();

        for (which, segment) in stores.into_iter().enumerate() {
            let snapshot = in_memory(&[(1, segment)]);
            let context = format!("seed {seed}, store {which}, {question}");
            let (seen, visit) = visited(&snapshot);
            assert!(seen == expected, "{context}");
            let (counted, _) = groups(&snapshot, &["section", "method"], Filter::default());
            assert_eq!(counted, by_name, "{context}");
            let (matched, _) = groups(&snapshot, &["section", "method"], filter());
            assert_eq!(matched.values().sum::<u64>(), asking as u64, "{context}");
            let query = Query { filter: filter(), ..Query::default() };
            let (count, report) = snapshot.count(&query).unwrap();
            assert_eq!(count, matching as u64, "{context}");
            let (_, by_section) = groups(&snapshot, &["section"], Filter::default());
            let bodies = [visit, report.statistics, by_section].map(|cost| cost.bodies_decoded);
            match which {
                0 | 1 => assert_eq!(bodies, [0; 3], "{context}"),
                2 => {}
                _ => assert!(bodies[0] > 1 && bodies[2] > 1, "{context}: {bodies:?}"),
            }
        }
    }
}

/// The column repeats what urls say: one that says something else is for `thorough` questions to find.
#[test]
fn a_section_that_contradicts_its_url_is_told_to_those_who_verify() {
    let facts: Vec<Fact> =
        (0..80_u8).map(|n| (n.into(), n.into(), Some(("GET", URLS[usize::from(n % 3)])))).collect();
    let mut segment = SegmentBuilder::new(1, 7, None);
    let origin = Origin { writer: WriterId(5), worker: WorkerId::new(1) };
    let mut builder = BlockBuilder::new();
    facts.iter().for_each(|fact| builder.push(&record(fact)).unwrap());
    let context = BlockContext {
        marker: segment.marker,
        origin,
        sequence: 0,
        flags: BlockFlags::NONE,
        lost: 0,
    };
    let mut block = Vec::new();
    let header = builder.finish(&context, &mut Compressor::raw(), &mut block);
    // The last of the bits that tell which section a request has.
    let end = BLOCK_HEADER_LEN + header.front_len();
    block[end - 1] ^= 0x80;
    let front = crc32c::crc32c(&block[BLOCK_HEADER_LEN..end]);
    block[60..64].copy_from_slice(&front.to_le_bytes());
    let own = crc32c::crc32c(&block[..BLOCK_HEADER_LEN - 4]);
    block[BLOCK_HEADER_LEN - 4..BLOCK_HEADER_LEN].copy_from_slice(&own.to_le_bytes());
    let start = segment.bytes.len() as u64;
    segment.append(&block, 0, 79);
    let snapshot = in_memory(&[(1, segment.finish())]);
    let gaps = |thorough| {
        let query = Query { thorough, ..Query::default() };
        let scan = snapshot.scan(&query, |rows| rows.len(), |_| ControlFlow::Continue(()));
        scan.unwrap().gaps
    };
    assert!(gaps(false).is_empty());
    let found = gaps(true);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].range.start, start);
    let cause = found[0].cause.to_string();
    assert!(cause.contains("section of a request, number 79 of the block"), "{cause}");
}
