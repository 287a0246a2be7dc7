//! The layer for `tracing`: what becomes of events, spans, requests and levels.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on shall stop"
)]

mod common;
#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/tracing_spans.rs"]
mod tracing_spans;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{ManualClock, options, read};
use logq_writer::integrations::tracing::{LayerOptions, LogqLayer};
use logq_writer::{
    Failure, LoggerOptions, MasterLogger, RequestLogger, ResponseHead, WorkerId, WorkerLogger,
};
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

const NOON: &str = "2026-02-03T12:00:00.000000Z";

fn parsed(store: &Path) -> Vec<Value> {
    let store = read(store);
    assert_eq!(store.gaps, []);
    store.records.iter().map(|record| serde_json::from_str(&record.line).unwrap()).collect()
}

/// Lets `run` trace to a store and returns what it then holds.
fn traced(options_of_layer: LayerOptions, run: impl FnOnce(&WorkerLogger)) -> Vec<Value> {
    let store = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOON);
    let number = WorkerId::new(1).unwrap();
    let worker = WorkerLogger::open(store.path(), number, options(&clock)).unwrap();
    let layer = LogqLayer::new(&worker, options_of_layer);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || run(&worker));
    worker.close().unwrap();
    parsed(store.path())
}

fn traced_data(run: impl FnOnce(&WorkerLogger)) -> Vec<Value> {
    traced(LayerOptions::default(), run).into_iter().map(|line| line["data"].clone()).collect()
}

fn entry(data: Value) -> Value {
    json!({ "timestamp": NOON, "data": data })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot load the profile")]
struct Outer(#[source] std::num::ParseIntError);

fn outer_error() -> Outer {
    Outer("x".parse::<u8>().unwrap_err())
}

struct Refusing;

impl fmt::Debug for Refusing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

#[test]
fn fields_keep_their_types() {
    let found = traced_data(|_| {
        let error = outer_error();
        info!(
            target: "shop",
            n = -7,
            big = u64::MAX,
            f = 0.25,
            inf = f64::INFINITY,
            yes = true,
            text = "a\n\"b\"",
            shown = %"plain",
            debugged = ?Some(1),
            error = &error as &(dyn std::error::Error + 'static),
            refusing = ?Refusing,
            r#type = "raw",
            absent = None::<u32>,
            "{} items", 3
        );
    });
    let expected = json!({
        "message": "3 items", "n": -7, "big": u64::MAX, "f": 0.25, "inf": "inf", "yes": true,
        "text": "a\n\"b\"", "shown": "plain", "debugged": "Some(1)",
        "error": "cannot load the profile\n  caused by: invalid digit found in string",
        "refusing": "[refuses to be formatted]", "type": "raw", "target": "shop",
    });
    assert_eq!(found, [expected]);
}

#[test]
fn numbers_of_128_bits_keep_every_digit() {
    let store = tempfile::tempdir().unwrap();
    let master = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    let layer = LogqLayer::new(&master, LayerOptions::default());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        info!(least = i128::MIN, most = u128::MAX);
    });
    master.close().unwrap();
    let line = read(store.path()).records[0].line.clone();
    let expected = format!(r#""data":{{"least":{},"most":{},"target":"#, i128::MIN, u128::MAX);
    assert!(line.contains(&expected), "{line}");
    assert!(line.contains(r#""workerId":null"#), "{line}");
}

#[test]
fn fields_of_events_win_over_inner_spans_and_these_over_outer_ones() {
    let found = traced_data(|_| {
        let outer = info_span!("a", who = "outer", outer = 1, late = Empty, target = "of a span");
        let _outer = outer.enter();
        outer.record("late", 2);
        outer.record("outer", 3);
        let _inner =
            info_span!("b", who = "inner", error = &outer_error() as &dyn std::error::Error)
                .entered();
        info!(target: "t", "one");
        info!(target: "t", who = "event", span = "mine", "two");
        info!(target: "t", who = None::<&str>, "three");
    });
    let error = "cannot load the profile\n  caused by: invalid digit found in string";
    let one = json!({
        "message": "one", "target": "t", "span": "a:b", "who": "inner", "error": error,
        "outer": 3, "late": 2,
    });
    let mut two = one.clone();
    two["message"] = "two".into();
    two["who"] = "event".into();
    two["span"] = "mine".into();
    let mut three = one.clone();
    three["message"] = "three".into();
    assert_eq!(found, [one, two, three]);
}

#[test]
fn levels_are_mapped_and_debug_is_written_if_told_so() {
    let run = |_: &WorkerLogger| {
        trace!("t");
        debug!("d");
        info!("i");
        warn!("w");
        error!("e");
    };
    let levels = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["level"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(levels(&traced(LayerOptions::default(), run)), ["INFO", "WARN", "ERROR"]);
    let written = traced(LayerOptions { write_debug: true, location: true }, run);
    assert_eq!(levels(&written), ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]);
    assert!(written.iter().all(|line| line["type"] == "LOG" && line["workerId"] == 1));
    assert!(written[0]["data"]["file"].as_str().unwrap().ends_with("tracing.rs"));
    assert!(written[0]["data"]["line"].is_u64());
    assert_eq!(written[4]["data"].get("debug"), None, "nothing is kept, nothing comes along");
}

#[test]
fn kept_entries_come_with_the_next_error_of_their_outermost_span_only() {
    let found = traced_data(|worker| {
        debug!(target: "t", "of the process");
        let first = info_span!("first");
        let second = info_span!("second");
        second.in_scope(|| debug!(target: "t", "elsewhere"));
        let closed = info_span!("closed");
        closed.in_scope(|| debug!(target: "t", "forgotten"));
        drop(closed);
        first.in_scope(|| {
            info_span!("inner").in_scope(|| trace!(target: "t", "within"));
            warn!(target: "t", "no error yet");
            error!(target: "t", "now");
            error!(target: "t", debug = "mine", "again");
        });
        error!(target: "t", "outside");
        debug!(target: "t", "later");
        worker.uncaught_exception(&Failure::from_message("thrown"));
    });
    let within =
        json!({ "message": "within", "target": "t", "span": "first:inner", "level": "TRACE" });
    let expected = [
        json!({ "message": "no error yet", "target": "t", "span": "first" }),
        json!({ "message": "now", "target": "t", "span": "first", "debug": [entry(within)] }),
        json!({ "message": "again", "debug": "mine", "target": "t", "span": "first" }),
        json!({
            "message": "outside", "target": "t",
            "debug": [entry(json!({ "message": "of the process", "target": "t" }))],
        }),
        Value::Null,
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_name_that_is_taken_does_not_cost_the_entries() {
    let found = traced_data(|_| {
        debug!(target: "t", "kept");
        error!(target: "t", debug = "mine", "failed");
    });
    let kept = [entry(json!({ "message": "kept", "target": "t" }))];
    assert_eq!(
        found,
        [json!({ "message": "failed", "debug": "mine", "target": "t", "debug_entries": kept })]
    );
}

#[test]
fn events_in_a_span_with_a_request_belong_to_it() {
    let mut ids = Vec::new();
    let found = traced(LayerOptions::default(), |worker| {
        let (outer, inner) = (worker.new_request(), worker.new_request());
        ids = [&outer, &inner].map(|request| request.request_id().to_string()).to_vec();
        let span = info_span!("serve", user = 7);
        assert!(LogqLayer::attach(&span, outer.clone()));
        span.in_scope(|| {
            info_span!("query").in_scope(|| {
                info!(target: "t", "in a child");
                debug!(target: "t", "first");
            });
            let nested = info_span!("nested");
            assert!(LogqLayer::attach(&nested, outer.clone()));
            assert!(LogqLayer::attach(&nested, inner.clone()), "the later one counts");
            nested.in_scope(|| {
                debug!(target: "t", "of the inner one");
                info!(target: "t", "inner");
            });
            error!(target: "t", "caught");
            debug!(target: "t", "second");
        });
        outer.debug("third, by hand");
        debug!(target: "t", "outside");
        outer.response(ResponseHead::status(500).failure(Failure::from_message("failed")));
        inner.response(200);
    });
    let data = |n: usize| found[n]["data"].clone();
    let of = |n: usize| ids.iter().position(|id| found[n]["requestId"] == **id).unwrap();
    assert_eq!(found.iter().filter(|line| line["type"] == "LOG").count(), 3);
    assert_eq!([of(0), of(1), of(2), of(3), of(4)], [0, 1, 0, 0, 1]);
    let in_span =
        |text: &str, span: &str| json!({ "message": text, "target": "t", "span": span, "user": 7 });
    assert_eq!(data(0), in_span("in a child", "serve:query"));
    assert_eq!(data(1), in_span("inner", "serve:nested"));
    let mut caught = in_span("caught", "serve");
    caught["debug"] = json!([entry(in_span("first", "serve:query"))]);
    assert_eq!(data(2), caught);
    let rest = [entry(in_span("second", "serve")), entry(json!("third, by hand"))];
    assert_eq!(found[3]["error"], json!({ "value": "failed", "debug": rest }));
    assert_eq!(found[4].get("error"), None);
}

#[test]
fn attaching_says_when_it_cannot_work() {
    traced(LayerOptions::default(), |worker| {
        let request: RequestLogger = worker.new_request();
        assert!(!LogqLayer::attach(&tracing::Span::none(), request.clone()));
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            assert!(!LogqLayer::attach(&info_span!("nowhere"), request.clone()));
        });
    });
}

/// Runs in a process of its own: only a subscriber of the whole process is entered again by what
/// formatting a field logs, and a deadlock must not stop the other tests.
#[test]
fn fields_that_trace_while_they_are_formatted_do_no_harm() {
    const STORE: &str = "LOGQ_TEST_REENTRANT";
    const NAME: &str = "fields_that_trace_while_they_are_formatted_do_no_harm";
    if let Some(store) = std::env::var_os(STORE) {
        return trace_while_formatting(Path::new(&store));
    }
    let store = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(STORE, store.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("a lock is held while foreign code runs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success());
    let data: Vec<_> = parsed(store.path()).iter().map(|line| line["data"].clone()).collect();
    let messages: Vec<_> = data.iter().map(|data| data["message"].as_str().unwrap()).collect();
    let nested = "while formatting";
    assert_eq!(messages, [nested, nested, nested, "event"]);
    assert_eq!(data[0].get("span"), None, "the span is only being made");
    assert_eq!((&data[2]["span"], &data[2]["x"]), (&json!("around"), &json!("chatty")));
    assert_eq!(data[3]["x"], "chatty");
    assert_eq!(data[3]["late"], 1);
}

fn trace_while_formatting(store: &Path) {
    struct Chatty;
    impl fmt::Debug for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // All that takes locks of the span around.
            tracing::Span::current().record("late", 1);
            debug!("kept");
            error!("while formatting");
            let _entered = info_span!("made").entered();
            f.write_str("chatty")
        }
    }
    let worker = WorkerLogger::open(store, WorkerId::new(1).unwrap(), LoggerOptions::default());
    let worker = worker.unwrap();
    tracing_subscriber::registry().with(LogqLayer::new(&worker, LayerOptions::default())).init();
    let span = info_span!("around", x = ?Chatty, late = Empty);
    let _entered = span.enter();
    span.record("x", tracing::field::debug(Chatty));
    error!(x = ?Chatty, "event");
    worker.close().unwrap();
}

#[test]
fn a_panic_while_formatting_breaks_nothing_for_others() {
    struct Panicking;
    impl fmt::Debug for Panicking {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("by intent")
        }
    }
    let found = traced_data(|worker| {
        let span = info_span!("around", before = 1);
        LogqLayer::attach(&span, worker.new_request());
        let _entered = span.enter();
        let caught = std::panic::catch_unwind(|| error!(x = ?Panicking, "lost"));
        assert!(caught.is_err());
        span.record("before", 2);
        info!(target: "t", "goes on");
    });
    let expected = json!({ "message": "goes on", "target": "t", "span": "around", "before": 2 });
    assert_eq!(found, [expected]);
}

#[test]
fn many_threads_share_a_span() {
    const THREADS: usize = 4;
    const EVENTS: usize = 500;
    let found = traced(LayerOptions::default(), |worker| {
        let span = info_span!("shared", n = Empty);
        LogqLayer::attach(&span, worker.new_request());
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (span, dispatch) = (span.clone(), dispatch.clone());
                scope.spawn(move || {
                    let _subscriber = tracing::dispatcher::set_default(&dispatch);
                    let _entered = span.enter();
                    for n in 0..EVENTS {
                        span.record("n", n);
                        debug!(thread, "kept");
                        info!(thread, event = n);
                    }
                });
            }
        });
    });
    assert_eq!(found.len(), THREADS * EVENTS);
    let mut next = [0; THREADS];
    for line in &found {
        let thread = line["data"]["thread"].as_u64().unwrap() as usize;
        assert_eq!(line["data"]["event"], next[thread]);
        assert!(line["data"]["n"].is_u64() && line["requestId"].is_string());
        next[thread] += 1;
    }
}

#[test]
fn filters_of_the_layer_hide_events_and_spans_from_it() {
    let store = tempfile::tempdir().unwrap();
    let master = MasterLogger::open(store.path(), LoggerOptions::default()).unwrap();
    let layer = LogqLayer::new(&master, LayerOptions::default()).with_filter(LevelFilter::INFO);
    let other = tracing_subscriber::layer::Identity::new();
    let subscriber = tracing_subscriber::registry().with(layer).with(other);
    tracing::subscriber::with_default(subscriber, || {
        let _hidden = tracing::debug_span!("hidden", secret = 1).entered();
        let _shown = info_span!("shown").entered();
        debug!("hidden");
        error!(target: "t", "told");
    });
    master.close().unwrap();
    let data: Vec<_> = parsed(store.path()).iter().map(|line| line["data"].clone()).collect();
    assert_eq!(data, [json!({ "message": "told", "target": "t", "span": "shown" })]);
}

/// The only test that installs the subscriber of the process.
#[test]
fn the_example_runs() {
    let store = tempfile::tempdir().unwrap();
    tracing_spans::run(store.path().to_str().unwrap()).unwrap();
    let found = parsed(store.path());
    let errors: Vec<_> = found.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["data"]["message"], "no stock");
    assert_eq!(errors[0]["data"]["debug"].as_array().unwrap().len(), 2);
    assert_eq!(errors[1]["statusCode"], 500);
    assert_eq!(errors[1]["error"]["debug"][0]["data"]["message"], "parsing");
}
