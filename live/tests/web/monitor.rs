//! A monitor's series: bars with gaps, alerts that began before, nothing made up.

use std::path::Path;

use logq_format::{Event, Json, Level, LogSource, Record, Timestamp};
use logq_writer::{BulkOptions, BulkWriter};
use serde_json::Value;

use crate::support::Serving;
use crate::webdriver::{Browser, Window};

/// 2026-02-03T14:00:00Z.
const START: i64 = 1_770_127_200;

/// A store with these entries, each at its second after the start.
fn write(store: &Path, entries: &[(i64, &str)]) {
    let mut writer =
        BulkWriter::create(store, BulkOptions::at(Timestamp::from_micros(START * 1_000_000)))
            .unwrap();
    for (second, data) in entries {
        let data = Json::new(data).unwrap();
        let time = Timestamp::from_micros((START + second) * 1_000_000);
        let event = Event::Log { level: Level::Info, source: LogSource::Master, data };
        writer.push(None, &Record { time, event }).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_graph_tells_none_from_unknown() {
    let scratch = tempfile::tempdir().unwrap();
    write(
        scratch.path(),
        &[
            (
                0,
                r#"{"monitor":"started","rules":[{"rule":"rate > 10","measure":"rate","threshold":10.0,"window_s":120}]}"#,
            ),
            (0, r#"{"monitor":"second","requests":4,"bytes":400,"status":{"2xx":3,"5xx":1}}"#),
            (2, r#"{"monitor":"second","requests":20,"bytes":9,"status":{"2xx":20}}"#),
            (
                3,
                r#"{"monitor":"alert","change":"fired","rule":"rate > 10","measure":"rate","value":12.5,"threshold":10.0}"#,
            ),
            (
                4,
                r#"{"monitor":"late","of":"2026-02-03T14:00:02Z","requests":1,"status":{"4xx":1}}"#,
            ),
            (6, r#"{"monitor":"ended","reason":"signal"}"#),
            (20, r#"{"monitor":"started","rules":[]}"#),
            (21, r#"{"monitor":"second","requests":2}"#),
            (25, r#"{"message":"something else"}"#),
        ],
    );
    let server = Serving { monitor: Some(scratch.path().into()), ..Serving::default() }.start();
    let answer =
        server.json("/v1/monitor/series?since=2026-02-03T14:00:00Z&until=2026-02-03T15:00:00Z");
    let points = answer["points"].as_array().unwrap();
    let requests: Vec<Option<u64>> = points.iter().map(|p| p["requests"].as_u64()).collect();
    let mut expected = vec![Some(4), Some(0), Some(21), Some(0), Some(0), Some(0), Some(0)];
    expected.extend([None; 13]);
    expected.extend([Some(0), Some(2)]);
    assert_eq!(requests, expected);
    assert_eq!(points[0]["status"]["5xx"], 1);
    assert_eq!(points[0]["time"], "2026-02-03T14:00:00.000000Z");

    let told =
        server.json("/v1/monitor/events?since=2026-02-03T14:00:00Z&until=2026-02-03T15:00:00Z");
    assert_eq!(told["rules"][0]["threshold"], 10.0);
    let alert = &told["alerts"][0];
    assert_eq!(alert["firedAt"], "2026-02-03T14:00:03.000000Z");
    assert_ne!(alert["recoveredAt"], Value::Null, "its run has ended: nobody saw it go on");
    assert_eq!(alert["value"], 12.5);
}

#[test]
fn what_began_before_the_time_is_known() {
    let scratch = tempfile::tempdir().unwrap();
    write(
        scratch.path(),
        &[
            (
                0,
                r#"{"monitor":"started","rules":[{"rule":"rate > 1","measure":"rate","threshold":1.0,"window_s":10}]}"#,
            ),
            (1, r#"{"monitor":"alert","change":"fired","rule":"rate > 1"}"#),
            (100, r#"{"monitor":"second","requests":3}"#),
            (102, r#"{"monitor":"second","requests":5}"#),
        ],
    );
    let server = Serving { monitor: Some(scratch.path().into()), ..Serving::default() }.start();
    let asked = "since=2026-02-03T14:01:38Z&until=2026-02-03T15:00:00Z";
    let answer = server.json(&format!("/v1/monitor/series?{asked}"));
    let points = answer["points"].as_array().unwrap();
    let requests: Vec<Option<u64>> = points.iter().map(|p| p["requests"].as_u64()).collect();
    assert_eq!(requests, [Some(0), Some(0), Some(3), Some(0), Some(5)], "a run was under way");
    let told = server.json(&format!("/v1/monitor/events?{asked}"));
    assert_eq!(told["alerts"][0]["recoveredAt"], Value::Null, "it fires");
    assert_eq!(told["alerts"][0]["firedAt"], "2026-02-03T14:00:01.000000Z");
}

#[test]
fn without_a_monitor_there_is_nothing() {
    let server = Serving::default().start();
    assert_eq!(server.get("/v1/monitor/series").status, 404);
    let scratch = tempfile::tempdir().unwrap();
    let server = Serving { monitor: Some(scratch.path().into()), ..Serving::default() }.start();
    assert_eq!(server.get("/v1/monitor/other").status, 404);
    let mut answer = server.get("/v1/monitor/series?step=x");
    assert!(answer.text().starts_with("step, column 1"));
    assert_eq!(server.json("/v1/monitor/series")["points"].as_array().unwrap().len(), 0);
}

/// Of a monitor that had ended more than ten minutes ago, the graph showed how many records its store
/// has, under the title of its rates.
#[test]
fn the_graph_of_a_monitor_that_has_ended_shows_its_last_minutes() {
    let Some(browser) = Browser::open(Window::Desk) else { return };
    let scratch = tempfile::tempdir().unwrap();
    write(
        scratch.path(),
        &[
            (
                0,
                r#"{"monitor":"started","rules":[{"rule":"rate > 1","measure":"rate","threshold":1.0,"window_s":10}]}"#,
            ),
            (100, r#"{"monitor":"second","requests":3}"#),
            (101, r#"{"monitor":"alert","change":"fired","rule":"rate > 1"}"#),
            (102, r#"{"monitor":"second","requests":500}"#),
            (103, r#"{"monitor":"second","requests":7}"#),
            (103, r#"{"monitor":"ended","reason":"signal"}"#),
        ],
    );
    let monitor = Some(scratch.path().into());
    let server = Serving { monitor, ..Serving::store("traffic", scratch.path()) }.start();
    browser.go(&format!("http://{}/", server.address));
    browser.wait("document.getElementById('graph-title').textContent.startsWith('Requests per second, as of')");
    let value = "document.getElementById('graph-value').textContent";
    browser.wait(&format!("{value}.includes('alert: rate > 1')"));
    let cells = "[...document.querySelectorAll('#graph-table tbody tr')].map((row) => row.children[1].textContent)";
    let counts = browser.run(&format!("return {cells}.slice(-4)"));
    assert_eq!(counts, serde_json::json!(["3", "0", "500", "7"]));
}
