//! Context is exact: whatever is looked up and whatever is read in passing, the groups are those
//! that a few lines over all records find.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;

use common::Scratch;

/// A record of the model, in the order of the store.
struct Record {
    worker: u32,
    request: Option<u32>,
    is_match: bool,
}

/// A store of records with many ties, of which one in `rarity` matches.
fn store(scratch: &Scratch, records: u32, rarity: u32, seed: u64) -> Vec<Record> {
    const WORKERS: u32 = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut lines, mut model) = (String::new(), Vec::new());
    let mut sequences = [0; WORKERS as usize];
    let (mut second, mut tick) = (0, Vec::new());
    for _ in 0..records {
        // Within a tick, records are ordered by writer; a writer has at most one there.
        if tick.is_empty() {
            second += 1;
            tick = (1..=WORKERS).filter(|_| random.u32(..3) == 0).collect();
            tick.reverse();
            if tick.is_empty() {
                tick.push(1);
            }
        }
        let worker = tick.pop().unwrap();
        let is_match = random.u32(..rarity) == 0;
        // A quiet worker, so that some groups take long to be complete.
        if worker == WORKERS && random.u32(..20) > 0 && !is_match {
            continue;
        }
        let request = (random.u32(..2) == 0).then(|| random.u32(..40) + second / 50 * 100);
        let sequence = &mut sequences[(worker - 1) as usize];
        let time = format!(
            "2026-02-03T{:02}:{:02}:{:02}.000000Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        let id = request
            .map(|id| format!("\"requestId\":\"00000000-0000-4000-8000-{id:012x}\","))
            .unwrap_or_default();
        let word = if is_match { "match" } else { "other" };
        writeln!(
            lines,
            "{{\"timestamp\":\"{time}\",\"level\":\"INFO\",\"type\":\"LOG\",\"workerId\":{worker},\
             \"writer\":{worker},\"seq\":{sequence},{id}\"data\":{{\"message\":\"{word} {}\"}}}}",
            model.len()
        )
        .unwrap();
        *sequence += 1;
        model.push(Record { worker, request, is_match });
    }
    scratch.store("store", &lines);
    model
}

/// How to ask, in the words of the command.
#[derive(Clone, Copy)]
struct Asked {
    before: usize,
    after: usize,
    by: &'static str,
    reverse: bool,
    /// How many matches count, from the front of the output with `-m` or its back with `-n`.
    most: Option<(&'static str, usize)>,
}

/// The groups of record numbers, in the order they are printed.
fn expected(model: &[Record], asked: Asked) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..model.len()).collect();
    let mut matching: Vec<usize> = order.iter().copied().filter(|n| model[*n].is_match).collect();
    let (mut before, mut after) = (asked.before, asked.after);
    if asked.reverse {
        order.reverse();
        matching.reverse();
        (before, after) = (after, before);
    }
    match asked.most {
        Some(("-m", most)) => matching.truncate(most),
        Some(("-n", most)) if asked.reverse => matching.truncate(most),
        Some((_, most)) => drop(matching.drain(..matching.len() - most.min(matching.len()))),
        None => {}
    }
    let lane = |n: usize| match asked.by {
        "worker" => Some(model[n].worker),
        "request" => model[n].request,
        _ => Some(0),
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut lanes: Vec<u32> = order.iter().filter_map(|n| lane(*n)).collect();
    lanes.sort_unstable();
    lanes.dedup();
    for key in lanes {
        let stream: Vec<usize> = order.iter().copied().filter(|n| lane(*n) == Some(key)).collect();
        let mut printed = vec![false; stream.len()];
        for (place, n) in stream.iter().enumerate() {
            if matching.contains(n) {
                let end = (place + after + 1).min(stream.len());
                printed[place.saturating_sub(before)..end].fill(true);
            }
        }
        for (place, n) in stream.iter().enumerate().filter(|(place, _)| printed[*place]) {
            match groups.last_mut() {
                Some(group) if place > 0 && printed[place - 1] => group.push(*n),
                _ => groups.push(vec![*n]),
            }
        }
    }
    let place = |n: &usize| order.iter().position(|other| other == n);
    if asked.by == "request" {
        // Requests come in the order of their first matches.
        let is_match =
            |n: &usize, group: &[usize]| lane(*n) == lane(group[0]) && matching.contains(n);
        let first = |group: &Vec<usize>| order.iter().position(|n| is_match(n, group));
        groups.sort_by_key(|group| (first(group), place(&group[0])));
    } else {
        let first_match =
            |group: &Vec<usize>| group.iter().find(|n| matching.contains(n)).and_then(place);
        groups.sort_by_key(first_match);
    }
    groups
}

fn found(scratch: &Scratch, asked: Asked) -> Vec<Vec<usize>> {
    let (before, after) = (asked.before.to_string(), asked.after.to_string());
    let mut arguments =
        vec!["-o", "cat", "-g", "match", "-B", &before, "-A", &after, "--context-by", asked.by];
    if asked.reverse {
        arguments.push("-r");
    }
    let most = asked.most.map(|(flag, most)| (flag, most.to_string()));
    if let Some((flag, most)) = &most {
        arguments.extend([*flag, most]);
    }
    arguments.push("store");
    let run = scratch.run(&arguments);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
    let number = |line: &str| line.split(' ').nth(1).unwrap().parse().unwrap();
    run.stdout.split("--\n").map(|group| group.lines().map(number).collect()).collect()
}

fn check(records: u32, rarity: u32, seed: u64) {
    let scratch = Scratch::new();
    let model = store(&scratch, records, rarity, seed);
    let plain = Asked { before: 1, after: 2, by: "worker", reverse: false, most: None };
    for asked in [
        plain,
        Asked { reverse: true, ..plain },
        Asked { before: 0, after: 3, ..plain },
        Asked { before: 3, after: 0, reverse: true, ..plain },
        Asked { by: "all", ..plain },
        Asked { by: "all", reverse: true, ..plain },
        Asked { by: "request", ..plain },
        Asked { by: "request", reverse: true, ..plain },
        Asked { most: Some(("-m", 7)), ..plain },
        Asked { most: Some(("-m", 7)), reverse: true, ..plain },
        Asked { most: Some(("-n", 7)), ..plain },
        Asked { most: Some(("-n", 7)), reverse: true, ..plain },
        Asked { most: Some(("-m", 7)), by: "request", ..plain },
        Asked { most: Some(("-n", 7)), by: "request", ..plain },
    ] {
        let (expected, found) = (expected(&model, asked), found(&scratch, asked));
        let place = expected.iter().zip(&found).position(|(one, other)| one != other);
        let around = |groups: &[Vec<usize>]| {
            let place = place.unwrap_or(0);
            groups.iter().skip(place.saturating_sub(1)).take(3).cloned().collect::<Vec<_>>()
        };
        assert!(
            expected == found,
            "seed {seed}, rarity {rarity}, by {}, -B {} -A {}, reverse {}, {:?}: group {place:?} \
             of {} is expected among {:?}, found among {:?}",
            asked.by,
            asked.before,
            asked.after,
            asked.reverse,
            asked.most,
            expected.len(),
            around(&expected),
            around(&found)
        );
    }
}

#[test]
fn rare_matches_are_looked_up_with_what_is_around_them() {
    check(900, 40, 1);
    check(300, 6, 2);
}

#[test]
fn frequent_matches_are_found_in_passing() {
    // More groups than are looked up, in a store where looking up goes over to passing.
    check(5_000, 5, 3);
}

#[test]
fn requests_are_printed_as_wholes_however_many_records_they_have() {
    let scratch = Scratch::new();
    let mut random = fastrand::Rng::with_seed(4);
    let (mut lines, mut requests) = (String::new(), Vec::<Vec<usize>>::new());
    for n in 0..40_000_usize {
        // The first request has half of all records, and goes on to the end.
        let request = if n % 2 == 0 { 0 } else { 1 + n / 64 + random.usize(..20) };
        requests.resize(requests.len().max(request + 1), Vec::new());
        requests[request].push(n);
        let (second, micros) = (n / 1000, n % 1000);
        writeln!(
            lines,
            "{{\"timestamp\":\"2026-02-03T14:00:{second:02}.{micros:06}Z\",\"level\":\"INFO\",\
             \"type\":\"LOG\",\"workerId\":1,\"writer\":1,\"seq\":{n},\
             \"requestId\":\"00000000-0000-4000-8000-{request:012x}\",\"data\":{{\"n\":{n}}}}}"
        )
        .unwrap();
    }
    scratch.store("store", &lines);
    let mut expected: Vec<Vec<usize>> = requests.into_iter().filter(|r| !r.is_empty()).collect();
    expected.sort_by_key(|request| request[0]);
    let found = |flags: &[&str]| -> Vec<Vec<usize>> {
        let fields = ["-o", "cat", "--fields", "data.n", "--request-where", "data.n >= 0"];
        let run = scratch.run(&[&fields, flags, &["store"]].concat());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{flags:?}");
        let numbers = |group: &str| group.lines().map(|line| line.parse().unwrap()).collect();
        run.stdout.split("--\n").map(numbers).collect()
    };
    assert!(found(&[]) == expected);
    // Only the giant, then only others.
    assert!(found(&["-m", "1"]) == expected[..1]);
    assert!(found(&["--request", "00000000-0000-4000-8000-000000000000"]) == expected[..1]);
    let mut turned: Vec<Vec<usize>> =
        expected.iter().map(|request| request.iter().rev().copied().collect()).collect();
    turned.sort_by_key(|request: &Vec<usize>| std::cmp::Reverse(request[0]));
    assert!(found(&["-r"]) == turned);
}
