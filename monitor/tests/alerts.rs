//! The edges of alerts and summaries: exactly at the threshold, the first window, gaps, the end of
//! the input, idle sources, time that stands still or jumps.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

use logq_format::Timestamp;
use logq_monitor::render::{self, Style};
use logq_monitor::{
    Align, Hit, Input, InputOptions, Lists, Monitor, Options, Output, Rule, SourceId, Target,
};

fn options(rules: &[&str]) -> Options {
    let rules = rules.iter().map(|rule| Rule::parse(rule, 10).unwrap()).collect();
    Options { rules, ..Options::default() }
}

fn hits(monitor: &mut Monitor, source: SourceId, second: i64, count: u64, status: u16) {
    for _ in 0..count {
        let hit = Hit {
            time: Timestamp::from_micros(second * 1_000_000),
            target: Target::of_request(b"GET /a HTTP/1.1"),
            client: b"192.0.2.1".into(),
            status,
            bytes: 100,
            latency_us: Some(2_000),
        };
        monitor.hit(source, 1, &hit);
    }
}

/// The lines of what has been said, points left out, in the seed's words.
fn said(monitor: &mut Monitor) -> Vec<String> {
    let rules = monitor.options().rules.clone();
    let style = Style { is_epoch: true, ..Style::FULL };
    let outputs: Vec<Output> = monitor.drain().collect();
    outputs
        .iter()
        .filter_map(|output| render::output(output, &rules, style))
        .map(|line| line.to_string())
        .collect()
}

fn alerts(monitor: &mut Monitor) -> Vec<String> {
    said(monitor).into_iter().filter(|line| !line.starts_with("INFO")).collect()
}

/// The alerts of a replay of so many hits at each second.
fn replay(rules: &[&str], seconds: &[(i64, u64)]) -> Vec<String> {
    let mut monitor = Monitor::new(options(rules));
    let source = monitor.open("log");
    for (second, count) in seconds {
        hits(&mut monitor, source, *second, *count, 200);
    }
    monitor.end();
    alerts(&mut monitor)
}

#[test]
fn exactly_at_the_threshold_nothing_changes() {
    let at: Vec<(i64, u64)> = (1_000..1_030).map(|second| (second, 2)).collect();
    assert!(replay(&["rate > 2"], &at).is_empty());
    let above = [at.as_slice(), &[(1_030, 3), (1_031, 2)]].concat();
    assert_eq!(
        replay(&["rate > 2"], &above),
        [
            "ERROR High traffic generated an alert - hits = 2.10 requests per second, triggered at 1030\tn=21 window=10s"
        ]
    );
    // Back at the threshold when the busy second leaves: still firing. One below: recovered.
    let held: Vec<(i64, u64)> = (1_031..1_050).map(|second| (second, 2)).collect();
    let held = [at.as_slice(), &[(1_030, 3)], held.as_slice()].concat();
    assert_eq!(replay(&["rate > 2"], &held).len(), 1);
    let below = [held.as_slice(), &[(1_050, 1), (1_051, 2)]].concat();
    assert_eq!(
        replay(&["rate > 2"], &below).last().unwrap(),
        "SUCCESS Traffic has stabilized - hits = 1.90 requests per second, recovered at 1050\tn=19 window=10s"
    );
}

#[test]
fn the_first_window_is_divided_by_its_whole_length() {
    // Twenty hits in one second are two a second over ten, which is not above two.
    assert!(replay(&["rate > 2"], &[(1_000, 20), (1_001, 0), (1_020, 1)]).is_empty());
    assert_eq!(replay(&["rate > 2"], &[(1_000, 21), (1_020, 1)]).len(), 2);
    // Too little traffic cannot be told before the window has passed.
    let few: Vec<(i64, u64)> = (1_000..1_009).map(|second| (second, 1)).collect();
    assert!(replay(&["rate < 2"], &few).is_empty());
    let few: Vec<(i64, u64)> = (1_000..1_010).map(|second| (second, 1)).collect();
    assert_eq!(
        replay(&["rate < 2"], &few),
        ["ERROR Alert: rate < 2 - rate = 1.00, triggered at 1009\tn=10 window=10s"]
    );
}

#[test]
fn after_a_gap_the_recovery_has_the_second_in_which_the_average_fell() {
    for gap in [11, 100, 3_000] {
        assert_eq!(
            replay(&["rate > 2"], &[(1_000, 15), (1_003, 15), (1_003 + gap, 1)]),
            [
                "ERROR High traffic generated an alert - hits = 3.00 requests per second, triggered at 1003\tn=30 window=10s",
                "SUCCESS Traffic has stabilized - hits = 1.50 requests per second, recovered at 1010\tn=15 window=10s",
            ],
            "{gap}"
        );
    }
}

#[test]
fn an_alert_that_fires_at_the_end_of_the_input_stays() {
    let mut monitor = Monitor::new(options(&["rate > 2"]));
    let source = monitor.open("log");
    hits(&mut monitor, source, 1_000, 30, 200);
    assert_eq!(monitor.drain().count(), 0, "the second is not yet closed");
    monitor.end();
    assert_eq!(
        said(&mut monitor),
        [
            "ERROR High traffic generated an alert - hits = 3.00 requests per second, triggered at 1000\tn=30 window=10s",
            "INFO 1000\t100.00\t/a\tn=30 rps=30.00 2xx=30 3xx=0 4xx=0 5xx=0 p50=2.0ms p99=2.0ms late=0 bad=0 partial",
        ]
    );
    assert_eq!(monitor.firing(), [(0, None)]);
    assert_eq!(monitor.fired(), 1);
}

#[test]
fn when_traffic_stops_the_alert_recovers_without_a_line() {
    let mut monitor = Monitor::new(options(&["rate > 2"]));
    let source = monitor.open("log");
    hits(&mut monitor, source, 1_000, 30, 200);
    monitor.caught_up(source);
    let mut recovered_at = None;
    for tick in 0..40 {
        monitor.tick(Timestamp::from_micros((5_000 + tick) * 1_000_000));
        if alerts(&mut monitor).iter().any(|line| line.starts_with("SUCCESS")) {
            recovered_at = Some(tick);
        }
    }
    // The hits leave the window with second 1,010, which is closed when it and the lateness passed.
    assert_eq!(recovered_at, Some(16));
    assert!(monitor.firing().is_empty());
}

#[test]
fn an_idle_source_does_not_hold_back_another() {
    let mut monitor = Monitor::new(options(&["rate > 2"]));
    let (busy, idle) = (monitor.open("busy"), monitor.open("idle"));
    hits(&mut monitor, idle, 900, 1, 200);
    hits(&mut monitor, busy, 1_000, 30, 200);
    hits(&mut monitor, busy, 1_020, 1, 200);
    monitor.caught_up(idle);
    assert_eq!(monitor.behind(), Some(busy));
    monitor.tick(Timestamp::from_micros(2_000_000_000));
    assert!(alerts(&mut monitor).is_empty(), "it may still say something");
    monitor.tick(Timestamp::from_micros(2_005_000_000));
    assert_eq!(alerts(&mut monitor).len(), 2);
    // What it says then of long ago is late.
    hits(&mut monitor, idle, 1_012, 1, 200);
    assert_eq!(monitor.report().late, 1);
}

#[test]
fn errors_latency_and_sections_have_alerts_of_their_own() {
    let rules = ["error_ratio > 50% min 4", "p99 > 1ms", "rate > 0.5 by section"];
    let mut monitor = Monitor::new(options(&rules));
    let source = monitor.open("log");
    hits(&mut monitor, source, 1_000, 3, 500);
    hits(&mut monitor, source, 1_001, 3, 502);
    hits(&mut monitor, source, 1_030, 1, 200);
    monitor.end();
    assert_eq!(
        alerts(&mut monitor),
        [
            "ERROR Alert: p99 > 1ms - p99 = 2.0ms, triggered at 1000\tn=3 window=10s",
            "ERROR Alert: error_ratio > 50% min 4 - error_ratio = 100.00%, triggered at 1001\tn=6 window=10s",
            "ERROR Alert: rate > 0.5 by section in /a - rate = 0.60, triggered at 1001\tn=6 window=10s",
            "SUCCESS Recovered: error_ratio > 50% min 4 - error_ratio = -, recovered at 1010\tn=3 window=10s",
            "SUCCESS Recovered: rate > 0.5 by section in /a - rate = 0.30, recovered at 1010\tn=3 window=10s",
            "SUCCESS Recovered: p99 > 1ms - p99 = -, recovered at 1011\tn=0 window=10s",
            "ERROR Alert: p99 > 1ms - p99 = 2.0ms, triggered at 1030\tn=1 window=10s",
        ]
    );
}

#[test]
fn sections_beyond_the_limit_share_an_alert() {
    let mut monitor =
        Monitor::new(Options { sections_max: 2, ..options(&["rate > 0.3 by section"]) });
    let mut input = Input::new(monitor.open("log"), InputOptions::default());
    let mut text = "date,request\n".to_owned();
    for section in ["a", "b", "c", "d", "c", "d", "a"] {
        text += &format!("1000,GET /{section} HTTP/1.1\n");
    }
    text +=
        "1100,GET /e HTTP/1.1\n1100,GET /e HTTP/1.1\n1100,GET /e HTTP/1.1\n1100,GET /e HTTP/1.1\n";
    input.push(text.as_bytes(), &mut monitor).unwrap();
    input.finish(&mut monitor).unwrap();
    monitor.end();
    let alerts = alerts(&mut monitor);
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    assert!(alerts[0].contains("in (other) - rate = 0.40, triggered at 1000"));
    // Sections whose hits have left the window make room.
    assert!(alerts[2].contains("in /e - rate = 0.40, triggered at 1100"));
}

#[test]
fn empty_intervals_are_said_on_request_and_long_silence_in_one_line() {
    let summaries = |empty, to| {
        let mut monitor = Monitor::new(Options { empty, ..options(&["rate > 2"]) });
        let source = monitor.open("log");
        hits(&mut monitor, source, 1_005, 1, 200);
        (0..4).for_each(|_| hits(&mut monitor, source, to, 1, 200));
        monitor.end();
        said(&mut monitor)
    };
    assert_eq!(summaries(false, 1_055).len(), 2);
    let all = summaries(true, 1_055);
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(all[1].starts_with("INFO 1019\t0.00\t-\tn=0 rps=0.00"), "{all:?}");
    let all = summaries(true, 2_000_000_005);
    assert_eq!(all.last().unwrap().split('\t').next(), Some("INFO 2000000005"));
    assert!(all.len() < 1_020, "{}", all.len());
    let quiet: Vec<&String> = all.iter().filter(|line| line.contains("No requests")).collect();
    assert_eq!(quiet.len(), 1);
    assert!(quiet[0].ends_with("to 1999999999"), "{quiet:?}");
}

#[test]
fn intervals_begin_at_the_first_line_on_request() {
    let mut monitor = Monitor::new(Options { align: Align::First, ..options(&[]) });
    let source = monitor.open("log");
    for second in [1_003, 1_012, 1_013] {
        hits(&mut monitor, source, second, 1, 200);
    }
    monitor.end();
    let starts: Vec<(i64, u64)> = monitor
        .drain()
        .filter_map(|output| match output {
            Output::Summary(summary) => Some((summary.start, summary.counts.hits)),
            _ => None,
        })
        .collect();
    assert_eq!(starts, [(1_003, 2), (1_013, 1)]);
}

#[test]
fn a_jump_back_begins_another_time_and_recovers_nothing_silently() {
    let mut monitor = Monitor::new(options(&["rate > 2"]));
    let source = monitor.open("log");
    hits(&mut monitor, source, 100_000, 30, 200);
    hits(&mut monitor, source, 50_000, 99, 200);
    assert_eq!(said(&mut monitor).len(), 0);
    hits(&mut monitor, source, 50_000, 1, 200);
    let lines = said(&mut monitor);
    assert!(lines[0].starts_with("ERROR High traffic"), "{lines:?}");
    assert!(lines[1].ends_with("partial"));
    assert_eq!(lines[2], "WARNING Time jumped back from 100000 to 50000: counting anew");
    assert_eq!(monitor.firing(), [(0, None)]);
    assert_eq!(monitor.report().counts.hits, 130);
    monitor.end();
    // The time before its first line is empty.
    let alerts = alerts(&mut monitor);
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    assert!(alerts[0].contains("recovered at 49995"), "{alerts:?}");
    assert!(alerts[1].contains("hits = 10.00 requests per second, triggered at 50000"));
}

#[test]
fn lists_are_exact_while_keys_are_few() {
    let lists = Lists { count: 2, urls: true, clients: true, statuses: true };
    let mut monitor = Monitor::new(Options { lists, ..options(&[]) });
    let mut input = Input::new(monitor.open("log"), InputOptions::default());
    let mut text = "date,request,status,client\n".to_owned();
    for (index, url) in ["/a/1", "/a/2", "/b?x", "/a/1?y", "/b", "/c"].iter().enumerate() {
        text +=
            &format!("{},GET {url} HTTP/1.1,{},c{}\n", 1_000 + index, 200 + index % 2, index % 3);
    }
    input.push(text.as_bytes(), &mut monitor).unwrap();
    input.finish(&mut monitor).unwrap();
    monitor.end();
    let lists = monitor.lists();
    let shown = |list| render::list("x", list).join("|").replace('\t', " ");
    assert_eq!(shown(&lists.sections), "  x 3 50.0% /a|  x 2 33.3% /b|  x 1 16.7% (other)");
    assert_eq!(shown(&lists.urls), "  x 2 33.3% /a/1|  x 2 33.3% /b|  x 2 33.3% (other)");
    assert_eq!(shown(&lists.clients), "  x 2 33.3% c0|  x 2 33.3% c1|  x 2 33.3% (other)");
    assert_eq!(shown(&lists.statuses), "  x 3 50.0% 200|  x 3 50.0% 201");
}
