//! Requests and responses as records: the same however they are cut into slices, and what a plain
//! look at all of them tells.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

use std::borrow::Cow;
use std::collections::HashMap;

use fastrand::Rng;
use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Compressor, Decompressor, Event, Heads, HttpVersion,
    Method, Origin, Record, Request, RequestId, Response, ResponseFinished, Spine, StoredBlock,
    SyncMarker, Timestamp, WorkerId, WriterId,
};
use logq_monitor::{
    Align, Exchange, ExchangeOptions, Leg, Lists, Monitor, OpenRequest, Options, Output, Report,
    Rule, Saved, Slice, Target, Told,
};

const START_US: i64 = 1_770_127_200_000_000;
const OPEN_S: u32 = 20;

/// A record: when, of which request, and what.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Request { section: u8 },
    Response { status: u16, bytes: Option<u64>, duration_us: Option<u64> },
    Finished { bytes: u64 },
}

type Fact = (i64, u64, Kind);

/// Requests of some minutes: slow ones, such that nobody answers, and responses that come alone.
fn facts(random: &mut Rng, requests: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    for id in 0..requests {
        let asked = START_US + random.i64(0..180_000_000);
        let took = match random.u8(..20) {
            0 => random.i64(4_000_000..19_000_000),
            1 => random.i64(21_000_000..40_000_000),
            _ => random.i64(100..900_000),
        };
        let kind = random.u8(..40);
        if kind != 0 {
            facts.push((asked, id, Kind::Request { section: random.u8(..5) }));
        }
        if kind == 1 {
            continue;
        }
        let bytes = random.bool().then(|| random.u64(1..5_000));
        let duration_us = random.bool().then_some(took.cast_unsigned());
        let status = random.choice([200, 200, 200, 304, 404, 500]).unwrap();
        facts.push((asked + took, id, Kind::Response { status, bytes, duration_us }));
        if bytes.is_none() && random.u8(..5) > 0 {
            let finished = asked + took + random.i64(0..500_000);
            facts.push((finished, id, Kind::Finished { bytes: random.u64(1..5_000) }));
        }
    }
    facts.sort_by_key(|(time, id, _)| (*time, *id));
    facts
}

fn leg(fact: &Fact) -> Leg<'static> {
    let (time, id, kind) = *fact;
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    let told = match kind {
        Kind::Request { section } => Told::Request {
            target: Target::Path(Cow::Owned(format!("/{section}/x?y").into_bytes())),
            client: Cow::Borrowed(b"192.0.2.1"),
        },
        Kind::Response { status, bytes, duration_us } => {
            Told::Response { status, bytes, duration_us }
        }
        Kind::Finished { bytes } => Told::Finished { bytes: Some(bytes) },
    };
    Leg { time: Timestamp::from_micros(time), id: RequestId::from_bytes(bytes), told }
}

/// Adds records as those of one block, which is encoded and decoded again. Answers whether it stores the
/// sections of its requests and these were used.
fn add_block(slice: &mut Slice, facts: &[Fact], by_sections: bool) -> bool {
    let mut builder = BlockBuilder::new();
    let urls: Vec<String> = (0..5).map(|section| format!("/{section}/x?y")).collect();
    for fact in facts {
        let Leg { time, id: request, .. } = leg(fact);
        let event = match fact.2 {
            Kind::Request { section } => Event::Request(Request {
                request,
                ip: Some("192.0.2.1".parse().unwrap()),
                http_version: HttpVersion::HTTP_11,
                method: Method::Get,
                url: &urls[usize::from(section)],
            }),
            Kind::Response { status, bytes, duration_us } => Event::Response(Response {
                request,
                status,
                error: None,
                expected: false,
                bytes,
                duration_us,
            }),
            Kind::Finished { bytes } => Event::ResponseFinished(ResponseFinished {
                request,
                error: None,
                bytes: Some(bytes),
                duration_us: None,
            }),
        };
        builder.push(&Record { time, event }).unwrap();
    }
    let context = BlockContext {
        marker: SyncMarker::from_random([7; 8]),
        origin: Origin { writer: WriterId(1), worker: WorkerId::new(1) },
        sequence: 0,
        flags: BlockFlags::NONE,
        lost: 0,
    };
    let mut bytes = Vec::new();
    let header = builder.finish(&context, &mut Compressor::raw(), &mut bytes);
    let stored = StoredBlock::new(header.clone(), &bytes).unwrap();
    let decompressor = &mut Decompressor::new().unwrap();
    let (front, body) = (stored.spine(decompressor).unwrap(), stored.body(decompressor).unwrap());
    let spine = Spine::parse(&header, stored.request_ids().collect(), &front).unwrap();
    let heads = Heads::new(&spine, &body, true).unwrap();
    let (ids, steps) = (spine.request_ids(), spine.request_steps().unwrap());
    let sections = spine.url_sections().unwrap().filter(|_| by_sections);
    let heads = sections.is_none().then_some(&heads);
    let mut block = slice.block(ids, sections, heads);
    steps.for_each(|step| block.add(step));
    block.end();
    sections.is_some()
}

fn options(variant: u8) -> Options {
    let rules = ["rate > 4 over 10s", "error_ratio > 25% over 20s", "p90 > 500ms over 20s"];
    let more = ["unanswered_rate > 0.05 over 60s", "orphan_rate > 0.02 over 60s"];
    let by_section = ["rate > 1 over 10s by section"];
    let chosen = rules.iter().chain(&more).chain(by_section.iter().filter(|_| variant == 1));
    let lists = Lists { count: 5, urls: true, clients: true, statuses: true };
    Options {
        rules: chosen.map(|rule| Rule::parse(rule, 60).unwrap()).collect(),
        lists,
        align: if variant == 2 { Align::First } else { Align::Epoch },
        ..Options::default()
    }
}

/// What is said of facts in slices of random lengths up to `most`.
fn run(facts: &[Fact], variant: u8, most: usize, random: &mut Rng) -> (Vec<Output>, Report) {
    let mut monitor = Monitor::new(options(variant));
    let source = monitor.open("store");
    let mut exchange =
        Exchange::new(source, ExchangeOptions { open_s: OPEN_S, ..ExchangeOptions::default() });
    let (mut rest, mut outputs) = (facts, Vec::new());
    let pattern = exchange.slice(&monitor);
    while !rest.is_empty() {
        let (part, more) = rest.split_at(random.usize(1..=most).min(rest.len()));
        let mut slice = pattern.fresh();
        let (one_by_one, in_blocks) = part.split_at(random.usize(..=part.len()));
        one_by_one.iter().for_each(|fact| slice.add(leg(fact)));
        for block in in_blocks.chunks(random.usize(1..50)) {
            add_block(&mut slice, block, false);
        }
        exchange.fold(slice, &mut monitor);
        outputs.extend(monitor.drain());
        rest = more;
    }
    exchange.finish(&mut monitor);
    monitor.end();
    outputs.extend(monitor.drain());
    (outputs, monitor.report().clone())
}

#[test]
fn what_is_said_does_not_depend_on_how_records_are_cut_into_slices() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let facts = facts(&mut random, 600);
        for variant in 0..3 {
            let expected = run(&facts, variant, 1, &mut random);
            for most in [7, 200, usize::MAX >> 1] {
                let found = run(&facts, variant, most, &mut random);
                let place = found.0.iter().zip(&expected.0).find(|(one, other)| one != other);
                assert_eq!(place, None, "seed {seed}, variant {variant}, slices of {most}");
                assert!(found == expected, "seed {seed}, variant {variant}, slices of {most}");
            }
        }
    }
}

/// Where nothing but sections is counted of what requests ask for, blocks need not say more; with lists
/// of statuses and without, with an alert for each section and without.
#[test]
fn sections_that_blocks_store_are_counted_as_those_of_urls() {
    for seed in 0..40 {
        let mut random = Rng::with_seed(2_000 + seed);
        let facts = facts(&mut random, 900);
        for variant in 0..3 {
            let lists = Lists { count: 5, urls: false, clients: false, statuses: seed % 2 == 0 };
            let options = || Options { lists, ..options(variant) };
            let len = random.usize(200..400);
            let mut used = 0;
            let mut said = |by_sections| {
                let mut monitor = Monitor::new(options());
                let source = monitor.open("store");
                let mut exchange = Exchange::new(source, ExchangeOptions::default());
                let needs = Exchange::needs(&monitor);
                assert!(needs.targets && !needs.urls && !needs.clients);
                for blocks in facts.chunks(3 * len) {
                    let mut slice = exchange.slice(&monitor);
                    for block in blocks.chunks(len) {
                        used += u8::from(add_block(&mut slice, block, by_sections));
                    }
                    exchange.fold(slice, &mut monitor);
                }
                exchange.finish(&mut monitor);
                monitor.end();
                (monitor.drain().collect::<Vec<_>>(), monitor.report().clone())
            };
            let (by_urls, by_sections) = (said(false), said(true));
            assert!(by_urls == by_sections, "seed {seed}, variant {variant}");
            assert!(used > 0, "seed {seed}: blocks store sections");
        }
    }
}

#[test]
fn counts_are_those_of_a_plain_look_at_all_records() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(1_000 + seed);
        let facts = facts(&mut random, 600);
        let last = facts.last().unwrap().0;
        let open_us = i64::from(OPEN_S) * 1_000_000;
        let mut asked = HashMap::new();
        let mut answered: HashMap<u64, i64> = HashMap::new();
        let (mut hits, mut orphans, mut errors, mut late, mut bytes) = (0, 0, 0, 0, 0);
        for (time, id, kind) in &facts {
            match kind {
                Kind::Request { .. } => drop(asked.insert(*id, *time)),
                Kind::Response { status, bytes: told, duration_us } => {
                    let since = asked.get(id).copied().filter(|since| time - since <= open_us);
                    if since.is_some() {
                        asked.remove(id);
                    }
                    let before = time - duration_us.unwrap_or(0).cast_signed();
                    let counted = since.unwrap_or(before).div_euclid(1_000_000);
                    orphans += u64::from(since.is_none());
                    errors += u64::from(*status == 500);
                    late += u64::from(counted < time.div_euclid(1_000_000) - 5);
                    bytes += told.unwrap_or(0);
                    hits += 1;
                    answered.insert(*id, *time);
                }
                Kind::Finished { bytes: told } => bytes += told,
            }
        }
        let unanswered = asked.values().filter(|since| last - **since > open_us).count() as u64;
        let (_, report) = run(&facts, 0, 50, &mut random);
        let counts = report.counts;
        assert_eq!((counts.hits, counts.orphans), (hits, orphans), "seed {seed}");
        assert_eq!(counts.unanswered, unanswered, "seed {seed}");
        assert_eq!((counts.errors(), report.late), (errors, late), "seed {seed}");
        assert_eq!(counts.bytes, u128::from(bytes), "seed {seed}");
    }
}

/// The store of an access log without durations has a request and its response at the same second; that
/// is no latency of nothing.
#[test]
fn latencies_are_known_where_something_was_measured() {
    let second = START_US.div_euclid(1_000_000) * 1_000_000;
    let check = |asked: i64, took: i64, duration_us: Option<u64>, expected: u64| {
        let response = Kind::Response { status: 200, bytes: Some(7), duration_us };
        let facts = [(asked, 1, Kind::Request { section: 1 }), (asked + took, 1, response)];
        for in_block in [false, true] {
            for cut in [0, 1, 2] {
                let mut monitor = Monitor::new(options(0));
                let source = monitor.open("store");
                let mut exchange = Exchange::new(source, ExchangeOptions::default());
                let (one, other) = facts.split_at(cut);
                for part in [one, other].into_iter().filter(|part| !part.is_empty()) {
                    let mut slice = exchange.slice(&monitor);
                    if in_block {
                        add_block(&mut slice, part, false);
                    } else {
                        part.iter().for_each(|fact| slice.add(leg(fact)));
                    }
                    exchange.fold(slice, &mut monitor);
                }
                exchange.finish(&mut monitor);
                monitor.end();
                let known = |output: Output| match output {
                    Output::Summary(summary) => summary.latencies.total(),
                    _ => 0,
                };
                let found: u64 = monitor.drain().map(known).sum();
                assert_eq!(found, expected, "{asked} {took} {duration_us:?} {in_block} {cut}");
            }
        }
    };
    check(second, 0, None, 0);
    check(second, 0, Some(0), 1);
    check(second, 0, Some(1_500), 1);
    check(second, 1_000_000, None, 1);
    // Two times of a log of milliseconds.
    check(second + 789_000, 0, None, 1);
    check(second + 789_000, 4_000, None, 1);
}

#[test]
fn the_table_of_open_requests_is_bounded() {
    let mut monitor = Monitor::new(options(0));
    let source = monitor.open("store");
    let mut exchange = Exchange::new(source, ExchangeOptions { open_max: 100, open_s: 600 });
    let pattern = exchange.slice(&monitor);
    for round in 0..50_u64 {
        let mut slice = pattern.fresh();
        for id in 0..100 {
            let time = START_US + (round * 100 + id).cast_signed() * 1_000;
            slice.add(leg(&(time, round * 100 + id, Kind::Request { section: 1 })));
        }
        exchange.fold(slice, &mut monitor);
        assert_eq!(exchange.open(), 100);
    }
    assert_eq!(monitor.report().counts.unanswered, 4_900);
}

/// What is said of facts by runs each of which goes on where the one before it was cut off.
fn run_in_parts(facts: &[Fact], variant: u8, most: usize, random: &mut Rng) -> Vec<Output> {
    let exchange_options = ExchangeOptions { open_s: OPEN_S, ..ExchangeOptions::default() };
    let (mut monitor, mut outputs) = (Monitor::new(options(variant)), Vec::new());
    let mut exchange = Exchange::new(monitor.open("store"), exchange_options);
    let mut rest = facts;
    while !rest.is_empty() {
        let (part, more) = rest.split_at(random.usize(1..=most).min(rest.len()));
        let mut slice = exchange.slice(&monitor);
        part.iter().for_each(|fact| slice.add(leg(fact)));
        exchange.fold(slice, &mut monitor);
        outputs.extend(monitor.drain());
        rest = more;
        let state = serde_json::to_string(&(monitor.save(), exchange.save())).unwrap();
        let (saved, open): (Saved, Vec<OpenRequest>) = serde_json::from_str(&state).unwrap();
        monitor = Monitor::new(options(variant));
        monitor.restore(saved);
        exchange = Exchange::new(monitor.open("store"), exchange_options);
        exchange.restore(open);
    }
    exchange.finish(&mut monitor);
    monitor.end();
    outputs.extend(monitor.drain());
    outputs
}

#[test]
fn runs_that_go_on_where_others_were_cut_off_say_what_one_run_says() {
    for seed in 0..8 {
        let mut random = Rng::with_seed(2_000 + seed);
        let facts = facts(&mut random, 400);
        for variant in 0..3 {
            let (expected, _) = run(&facts, variant, 40, &mut random);
            for most in [1, 30] {
                let found = run_in_parts(&facts, variant, most, &mut random);
                let place = found.iter().zip(&expected).find(|(one, other)| one != other);
                assert_eq!(place, None, "seed {seed}, variant {variant}, parts of {most}");
                assert!(found == expected, "seed {seed}, variant {variant}, parts of {most}");
            }
        }
    }
}
