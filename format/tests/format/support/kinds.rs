//! One of every kind of record, with every field present and absent.
//!
//! The golden segments hold these records: what is here never changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use logq_format::{
    ClockStep, DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Level,
    Lifecycle, LogSource, Lost, Method, Process, Record, Request, RequestId, Response,
    ResponseFinished, Timestamp, WorkerExited, WorkerId,
};

/// 2026-02-03T14:05:06.789000Z and so many microseconds.
pub(crate) fn time(after_us: i64) -> Timestamp {
    Timestamp::from_micros(1_770_127_506_789_000 + after_us)
}

fn json(text: &str) -> Json<'_> {
    Json::new(text).expect("no control characters")
}

fn request_id(n: u8) -> RequestId {
    RequestId::from_bytes([0xA0 + n, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, n])
}

fn worker(number: u32) -> WorkerId {
    WorkerId::new(number).expect("a worker's number")
}

/// The events at intervals of 1.5 ms, the first one at `start_us`.
fn in_a_row(start_us: i64, events: Vec<Event<'static>>) -> Vec<Record<'static>> {
    let place = |(index, event): (i64, _)| Record { time: time(start_us + index * 1500), event };
    (0_i64..).zip(events).map(place).collect()
}

/// What a worker logs: requests, logs at all levels, its life, errors of all forms.
pub(crate) fn of_a_worker(start_us: i64) -> Vec<Record<'static>> {
    let mut events = vec![
        Event::Lifecycle(Lifecycle::WorkerStarted),
        Event::Lifecycle(Lifecycle::WorkerGoingOnline),
        Event::Lifecycle(Lifecycle::WorkerOnline),
    ];
    events.extend(requests());
    events.extend(responses(start_us));
    for level in Level::ALL {
        let source = LogSource::Request(request_id(1));
        events.push(Event::Log { source, level, data: json(r#"{"user":7,"cached":true}"#) });
        let data = json("\"plain \u{e9}\u{1f600}\"");
        events.push(Event::Log { source: LogSource::Worker, level, data });
    }
    let process = Process::Worker;
    events.push(Event::UncaughtException { process, error: full_error(start_us) });
    events.extend(
        [Lifecycle::WorkerGoingOffline, Lifecycle::WorkerOffline, Lifecycle::WorkerDone]
            .map(Event::Lifecycle),
    );
    in_a_row(start_us, events)
}

fn requests() -> Vec<Event<'static>> {
    let v4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let request = |n, ip, http_version, method, url| {
        Event::Request(Request { request: request_id(n), ip, http_version, method, url })
    };
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    let mut events = vec![
        request(1, Some(v4), HttpVersion::HTTP_11, Method::Get, "/items?page=2"),
        Event::RequestMeta { request: request_id(1), data: json(r#"{"session":"s-1"}"#) },
        request(2, Some(v6), HttpVersion::HTTP_2, Method::Other("BREW"), "/pot-\u{e9}"),
        request(3, None, HttpVersion::HTTP_10, Method::Other(""), ""),
    ];
    events.extend(known.map(|name| request(4, None, HttpVersion::HTTP_3, Method::new(name), "*")));
    events
}

/// More requests than a few, of sections of all sorts, and perhaps of one that is too long to be stored.
pub(crate) fn of_many_requests(excess: bool) -> Vec<Record<'static>> {
    const LONG: &str = "/a-section-of-forty-nine-bytes-is-a-byte-too-long/";
    let asked = [
        ("GET", "/items/7?page=2"),
        ("GET", "/caf\u{e9}/x"),
        ("POST", "/items"),
        ("GET", "//"),
        ("GET", "/?q=/a/b"),
        ("GET", "/#top"),
        ("GET", "https://shop.example/cart/1"),
        ("GET", "https://shop.example?q"),
        ("CONNECT", "shop.example:443"),
        ("connect", "/items"),
        ("OPTIONS", "*"),
        ("BREW", "/pot"),
        ("", ""),
        ("GET", "items/7"),
    ];
    let mut events: Vec<_> = (0..70)
        .map(|n| {
            let (method, url) = asked[usize::from(n) % asked.len()];
            let (request, method) = (request_id(n), Method::new(method));
            let http_version = HttpVersion::HTTP_11;
            Event::Request(Request { request, ip: None, http_version, method, url })
        })
        .collect();
    if let (true, Some(Event::Request(last))) = (excess, events.last_mut()) {
        last.url = LONG;
    }
    in_a_row(if excess { 1_000_000 } else { 0 }, events)
}

fn responses(start_us: i64) -> Vec<Event<'static>> {
    let response = |n, status, error, expected, bytes, duration_us| {
        let request = request_id(n);
        Event::Response(Response { request, status, error, expected, bytes, duration_us })
    };
    let finished = |n, error, bytes, duration_us| {
        let request = request_id(n);
        Event::ResponseFinished(ResponseFinished { request, error, bytes, duration_us })
    };
    vec![
        response(1, 200, None, false, Some(5), Some(1500)),
        response(2, 500, Some(full_error(start_us)), false, None, None),
        response(3, 404, Some(bare_error("no such item")), true, Some(0), Some(0)),
        response(9, 65_535, Some(bare_error("")), false, Some(1 << 40), Some(1 << 40)),
        finished(1, None, Some(5), Some(1_501_001)),
        finished(2, Some(bare_error("reset by peer")), None, None),
        finished(3, None, None, None),
    ]
}

fn full_error(start_us: i64) -> ErrorInfo<'static> {
    let entry = |after_us, data| DebugEntry { time: time(start_us + after_us), data: json(data) };
    ErrorInfo {
        kind: ErrorKind::Stack,
        text: "Error: no connection\n    at query (db.js:17:3)\n    at main",
        properties: Some(json(r#"{"code":"ECONNREFUSED"}"#)),
        // The last one was logged by another thread, later than the error.
        debug: vec![
            entry(-2_000_000, r#"{"attempt":1}"#),
            entry(-1, "null"),
            entry(3_600_000_000, "[1,2.5]"),
        ]
        .into(),
    }
}

fn bare_error(text: &'static str) -> ErrorInfo<'static> {
    ErrorInfo { kind: ErrorKind::Value, text, properties: None, debug: Vec::new().into() }
}

/// What the master logs: its life, its workers, and what the logger says of itself.
pub(crate) fn of_the_master(start_us: i64) -> Vec<Record<'static>> {
    let exited = |exit_code, signal| {
        Event::WorkerExited(WorkerExited { worker: worker(3), exit_code, signal })
    };
    let mut events = vec![
        Event::Lifecycle(Lifecycle::StartingUp),
        Event::WorkerSpawned { worker: worker(0) },
        Event::WorkerSpawned { worker: WorkerId::MAX },
        Event::Lifecycle(Lifecycle::StartingUpCompleted),
        exited(Some(0), None),
        exited(Some(-1), None),
        exited(None, Some("SIGTERM")),
        exited(None, Some("SIGKILL")),
        exited(None, None),
        Event::Lost(Lost {
            counts: [0, 0, 3, 400, 0, 7],
            first: time(-5_000_000),
            last: time(-1),
            reason: "no space left on device",
        }),
        Event::ClockStep(ClockStep { expected: time(0), found: time(-3_600_000_000) }),
        Event::IoError(IoError {
            operation: "write",
            code: 28,
            path: "/var/log/a \"b\"\0.logq",
            message: "no space left on device",
        }),
    ];
    for level in Level::ALL {
        let data = json(r#"{"workers":4}"#);
        events.push(Event::Log { source: LogSource::Master, level, data });
    }
    let process = Process::Master;
    events.push(Event::UncaughtException { process, error: bare_error("42") });
    events.push(Event::Lifecycle(Lifecycle::ShuttingDown));
    events.push(Event::Lifecycle(Lifecycle::ShuttingDownCompleted));
    in_a_row(start_us, events)
}
