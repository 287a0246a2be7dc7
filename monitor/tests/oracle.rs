//! The monitor says exactly what brute force says, on random traces with disorder, gaps, late lines,
//! lines of the future and of the past, jumps and lines that are none; however the bytes are cut and
//! in whatever order the sources are read.
//!
//! `LOGQ_MONITOR_TRACES=100000` checks so many traces instead of a few thousand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use common::{Feed, options, run, run_cut_off, shown, text_of};
use fastrand::Rng;
use logq_monitor::{Lists, Options};
use logq_testkit::monitor_oracle::{
    Line, Setup, answer, orderly_lines, random_lines, random_setup,
};

fn traces(usual: u64) -> u64 {
    std::env::var("LOGQ_MONITOR_TRACES").ok().map_or(usual, |count| count.parse().unwrap())
}

/// The monitor's words for each way of feeding equal the oracle's.
fn check(seed: u64, setup: &Setup, sources: &[Vec<Line>], feeds: &[Feed]) {
    let expected = answer(setup, sources);
    let texts: Vec<String> = sources.iter().map(|lines| text_of(lines)).collect();
    for feed in feeds {
        let mut random = Rng::with_seed(seed);
        let (outputs, report) = run(options(setup), &texts, *feed, &mut random);
        let found = shown(&outputs);
        if found != expected.said {
            let place = found.iter().zip(&expected.said).position(|(a, b)| a != b);
            let place = place.unwrap_or(found.len().min(expected.said.len()));
            panic!(
                "seed {seed}, {feed:?}, output {place}:\n  found    {:?}\n  expected {:?}\n{setup:?}",
                found.get(place),
                expected.said.get(place)
            );
        }
        assert_eq!(
            (report.too_late, report.quarantined),
            (expected.too_late, expected.quarantined),
            "seed {seed}, {feed:?}"
        );
        let bad = sources.iter().flatten().filter(|line| **line == Line::Bad).count();
        assert_eq!(report.bad_count(), bad as u64, "seed {seed}");
    }
}

#[test]
fn one_source_agrees_with_brute_force() {
    for seed in 0..traces(3_000) {
        let mut random = Rng::with_seed(seed);
        let setup = random_setup(&mut random);
        let count = random.usize(1..120);
        let lines = random_lines(&mut random, &setup, count);
        check(seed, &setup, &[lines], &[Feed::Pieces(random.usize(1..200))]);
    }
}

#[test]
fn several_sources_agree_with_brute_force_in_any_order() {
    for seed in 0..traces(3_000) / 3 {
        let mut random = Rng::with_seed(1_000_000 + seed);
        let setup = random_setup(&mut random);
        let sources: Vec<Vec<Line>> = (0..random.usize(2..4))
            .map(|_| {
                let count = random.usize(1..60);
                random_lines(&mut random, &setup, count)
            })
            .collect();
        check(seed, &setup, &sources, &[Feed::Behind(64), Feed::AnyOrder(200)]);
    }
}

/// The same lines in one piece, in pieces of one byte and 4 KiB, in tasks, or split over three
/// sources give the same bytes.
#[test]
fn the_output_does_not_depend_on_how_the_bytes_arrive() {
    for seed in 0..40 {
        let mut random = Rng::with_seed(2_000_000 + seed);
        let setup = random_setup(&mut random);
        let lines = random_lines(&mut random, &setup, 3_000);
        let whole = [text_of(&lines)];
        let text = |texts: &[String], feed, random: &mut Rng| {
            let (outputs, report) = run(options(&setup), texts, feed, random);
            format!("{outputs:#?}{report:#?}")
        };
        let expected = text(&whole, Feed::Pieces(usize::MAX), &mut random);
        for feed in [Feed::Pieces(1), Feed::Pieces(4096), Feed::Spread(4_000), Feed::Spread(50_000)]
        {
            assert!(text(&whole, feed, &mut random) == expected, "seed {seed}, {feed:?}");
        }

        // Of a third of the lines, gaps are longer.
        let setup = Setup { gap_s: 3_600, ..setup };
        let lines = orderly_lines(&mut random, &setup, 1_000);
        let whole = [text_of(&lines)];
        let mut parts = [vec![], vec![], vec![]];
        for line in lines {
            parts[random.usize(..3)].push(line);
        }
        let parts = parts.map(|lines| text_of(&lines));
        let (expected, _) = run(options(&setup), &whole, Feed::Pieces(4096), &mut random);
        for feed in [Feed::Behind(64), Feed::Behind(4096), Feed::AnyOrder(100)] {
            let (found, _) = run(options(&setup), &parts, feed, &mut random);
            assert!(found == expected, "seed {seed}, {feed:?}");
        }
    }
}

/// A monitor that is cut off anywhere and goes on by its saved state says what one says that was
/// never cut off: alerts, points and summaries with their lists.
#[test]
fn a_monitor_that_goes_on_where_another_was_cut_off_says_the_same() {
    for seed in 0..traces(1_000) {
        let mut random = Rng::with_seed(3_000_000 + seed);
        let setup = random_setup(&mut random);
        let sources: Vec<Vec<Line>> = (0..random.usize(1..3))
            .map(|_| {
                let count = random.usize(1..100);
                random_lines(&mut random, &setup, count)
            })
            .collect();
        let texts: Vec<String> = sources.iter().map(|lines| text_of(lines)).collect();
        let (expected, _) = run(options(&setup), &texts, Feed::Behind(1), &mut random);
        // At every line, or at some.
        let odds = random.choice([1, 1, 3, 20]).unwrap();
        let found = run_cut_off(options(&setup), &texts, odds, &mut random);
        let place = found.iter().zip(&expected).find(|(one, other)| one != other);
        assert_eq!(place, None, "seed {seed}, {setup:?}");
        assert!(found == expected, "seed {seed}, {setup:?}");
    }
}

/// Lists that are full, so that it matters which of equally frequent names goes first.
#[test]
fn full_lists_go_on_as_they_were() {
    let mut random = Rng::with_seed(7);
    let lists = Lists { count: 50, urls: true, clients: true, statuses: true };
    let options = Options { lists, ..Options::default() };
    let mut text = "date,request,status,bytes,remotehost\n".to_owned();
    for line in 0..20_000_i64 {
        let (second, name) = (1_770_127_200 + line / 1_500, 40_000 / random.u32(1..40_000));
        let client = random.u16(..);
        text += &format!("{second},GET /a/{name} HTTP/1.1,200,1,{client}\n");
    }
    let texts = [text];
    let (expected, _) = run(options.clone(), &texts, Feed::Pieces(4096), &mut random);
    assert!(run_cut_off(options, &texts, 1_000, &mut random) == expected);
}
