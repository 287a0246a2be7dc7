//! Records at random, of all kinds with all fields.
//!
//! [`Record`] borrows its texts, so the strategies make an owned mirror of it.

use std::net::IpAddr;

use logq_format::{
    ClockStep, DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Level,
    Lifecycle, LogSource, Lost, Method, Process, Record, Request, RequestId, Response,
    ResponseFinished, Timestamp, WorkerExited, WorkerId,
};
use proptest::option;
use proptest::prelude::*;

/// A record that owns its texts, and what lies between it and the one before.
#[derive(Clone, Debug)]
pub(crate) struct OwnRecord {
    /// Microseconds since the record before.
    pub(crate) delta: u64,
    /// Sequence numbers left out before it.
    pub(crate) gap: u64,
    pub(crate) event: OwnEvent,
}

#[derive(Clone, Debug)]
pub(crate) enum OwnEvent {
    Request {
        request: RequestId,
        ip: Option<IpAddr>,
        http_version: HttpVersion,
        method: String,
        url: String,
    },
    RequestMeta {
        request: RequestId,
        data: String,
    },
    Response {
        request: RequestId,
        status: u16,
        error: Option<OwnError>,
        expected: bool,
        bytes: Option<u64>,
        duration_us: Option<u64>,
    },
    ResponseFinished {
        request: RequestId,
        error: Option<OwnError>,
        bytes: Option<u64>,
        duration_us: Option<u64>,
    },
    Log {
        source: LogSource,
        level: Level,
        data: String,
    },
    Lifecycle(Lifecycle),
    Spawned(WorkerId),
    Exited {
        worker: WorkerId,
        exit_code: Option<i32>,
        signal: Option<String>,
    },
    Exception {
        process: Process,
        error: OwnError,
    },
    Lost {
        counts: [u64; 6],
        first: Timestamp,
        last: Timestamp,
        reason: String,
    },
    ClockStep(ClockStep),
    IoError {
        operation: String,
        code: i32,
        path: String,
        message: String,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct OwnError {
    kind: ErrorKind,
    text: String,
    properties: Option<String>,
    /// For each DEBUG entry how long before the record it was logged, and its data.
    debug: Vec<(i64, String)>,
}

/// The records with their times, the first one at `start`.
pub(crate) fn at_times(start: Timestamp, records: &[OwnRecord]) -> Vec<Record<'_>> {
    let mut time = start;
    let place = |record| borrow(record, &mut time);
    records.iter().map(place).collect()
}

fn borrow<'a>(record: &'a OwnRecord, time: &mut Timestamp) -> Record<'a> {
    *time = time.saturating_add_micros(record.delta.cast_signed());
    Record { time: *time, event: record.event.borrow(*time) }
}

impl OwnEvent {
    fn borrow(&self, time: Timestamp) -> Event<'_> {
        match self {
            Self::Request { request, ip, http_version, method, url } => Event::Request(Request {
                request: *request,
                ip: *ip,
                http_version: *http_version,
                method: Method::new(method),
                url,
            }),
            Self::RequestMeta { request, data } => {
                Event::RequestMeta { request: *request, data: json(data) }
            }
            Self::Response { request, status, error, expected, bytes, duration_us } => {
                Event::Response(Response {
                    request: *request,
                    status: *status,
                    error: error.as_ref().map(|error| error.borrow(time)),
                    // Without an error nothing can have been expected of it.
                    expected: *expected && error.is_some(),
                    bytes: *bytes,
                    duration_us: *duration_us,
                })
            }
            Self::ResponseFinished { request, error, bytes, duration_us } => {
                Event::ResponseFinished(ResponseFinished {
                    request: *request,
                    error: error.as_ref().map(|error| error.borrow(time)),
                    bytes: *bytes,
                    duration_us: *duration_us,
                })
            }
            Self::Log { source, level, data } => {
                Event::Log { source: *source, level: *level, data: json(data) }
            }
            Self::Lifecycle(step) => Event::Lifecycle(*step),
            Self::Exception { process, error } => {
                Event::UncaughtException { process: *process, error: error.borrow(time) }
            }
            _ => self.borrow_rare(),
        }
    }

    fn borrow_rare(&self) -> Event<'_> {
        match self {
            Self::Spawned(worker) => Event::WorkerSpawned { worker: *worker },
            Self::Exited { worker, exit_code, signal } => Event::WorkerExited(WorkerExited {
                worker: *worker,
                exit_code: *exit_code,
                signal: signal.as_deref(),
            }),
            Self::Lost { counts, first, last, reason } => {
                Event::Lost(Lost { counts: *counts, first: *first, last: *last, reason })
            }
            Self::ClockStep(step) => Event::ClockStep(*step),
            Self::IoError { operation, code, path, message } => {
                Event::IoError(IoError { operation, code: *code, path, message })
            }
            _ => unreachable!("has columns of its own"),
        }
    }
}

impl OwnError {
    fn borrow(&self, time: Timestamp) -> ErrorInfo<'_> {
        let debug = self.debug.iter().map(|(age, data)| DebugEntry {
            time: time.saturating_add_micros(-age),
            data: json(data),
        });
        ErrorInfo {
            kind: self.kind,
            text: &self.text,
            properties: self.properties.as_deref().map(json),
            debug: debug.collect(),
        }
    }
}

fn json(text: &str) -> Json<'_> {
    Json::new(text).expect("the strategies make no control characters")
}

/// Up to `max` records in a row.
pub(crate) fn records(max: usize) -> impl Strategy<Value = Vec<OwnRecord>> {
    prop::collection::vec(record(), 1..=max)
}

fn record() -> impl Strategy<Value = OwnRecord> {
    let delta = prop_oneof![Just(0), 0_u64..300, 0_u64..100_000_000];
    let gap = prop_oneof![20 => Just(0), 1 => 1_u64..70_000];
    (delta, gap, event()).prop_map(|(delta, gap, event)| OwnRecord { delta, gap, event })
}

fn event() -> impl Strategy<Value = OwnEvent> {
    prop_oneof![
        3 => request(),
        2 => (request_id(), data())
            .prop_map(|(request, data)| OwnEvent::RequestMeta { request, data }),
        4 => response(),
        3 => finished(),
        4 => log(),
        2 => lifecycle(),
        1 => (process(), error())
            .prop_map(|(process, error)| OwnEvent::Exception { process, error }),
        1 => rare(),
    ]
}

fn request() -> impl Strategy<Value = OwnEvent> {
    let version = (0_u8..8, 0_u8..8).prop_map(|(a, b)| HttpVersion::new(a, b).unwrap());
    let method = prop_oneof![
        Just("GET".to_owned()),
        Just("CONNECT".to_owned()),
        Just("TRACE".to_owned()),
        "[A-Za-z\0]{0,9}",
    ];
    let ip = option::of(any::<IpAddr>());
    (request_id(), ip, version, method, text()).prop_map(
        |(request, ip, http_version, method, url)| OwnEvent::Request {
            request,
            ip,
            http_version,
            method,
            url,
        },
    )
}

fn response() -> impl Strategy<Value = OwnEvent> {
    let fields =
        (request_id(), any::<u16>(), option::of(error()), any::<bool>(), number(), number());
    fields.prop_map(|(request, status, error, expected, bytes, duration_us)| OwnEvent::Response {
        request,
        status,
        error,
        expected,
        bytes,
        duration_us,
    })
}

fn finished() -> impl Strategy<Value = OwnEvent> {
    let fields = (request_id(), option::weighted(0.2, error()), number(), number());
    fields.prop_map(|(request, error, bytes, duration_us)| OwnEvent::ResponseFinished {
        request,
        error,
        bytes,
        duration_us,
    })
}

fn log() -> impl Strategy<Value = OwnEvent> {
    let source = prop_oneof![
        request_id().prop_map(LogSource::Request),
        Just(LogSource::Worker),
        Just(LogSource::Master),
    ];
    let level = prop::sample::select(Level::ALL.to_vec());
    (source, level, data()).prop_map(|(source, level, data)| OwnEvent::Log { source, level, data })
}

fn lifecycle() -> impl Strategy<Value = OwnEvent> {
    prop::sample::select(Lifecycle::ALL.to_vec()).prop_map(OwnEvent::Lifecycle)
}

fn rare() -> impl Strategy<Value = OwnEvent> {
    let signal = option::of(prop_oneof![Just("SIGTERM".to_owned()), text()]);
    let exit_code = option::of(prop_oneof![Just(0), any::<i32>()]);
    let exited = (worker(), exit_code, signal)
        .prop_map(|(worker, exit_code, signal)| OwnEvent::Exited { worker, exit_code, signal });
    let lost = (any::<[u64; 6]>(), time(), time(), text())
        .prop_map(|(counts, first, last, reason)| OwnEvent::Lost { counts, first, last, reason });
    let step = (time(), time())
        .prop_map(|(expected, found)| OwnEvent::ClockStep(ClockStep { expected, found }));
    let io = (text(), any::<i32>(), text(), text()).prop_map(|(operation, code, path, message)| {
        OwnEvent::IoError { operation, code, path, message }
    });
    prop_oneof![worker().prop_map(OwnEvent::Spawned), exited, lost, step, io]
}

fn error() -> impl Strategy<Value = OwnError> {
    let kind = prop_oneof![Just(ErrorKind::Value), Just(ErrorKind::Stack)];
    // A DEBUG entry of another thread can be later than the record; then its age is negative.
    let age = prop_oneof![0_i64..1000, -1000_i64..1000, -1_i64 << 50..1 << 50];
    let debug = prop::collection::vec((age, data()), 0..4);
    (kind, text(), option::of(data()), debug).prop_map(|(kind, text, properties, debug)| OwnError {
        kind,
        text,
        properties,
        debug,
    })
}

/// Few distinct ones, so that records refer to each other's.
fn request_id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        4 => (0_u8..5).prop_map(|n| RequestId::from_bytes([n; 16])),
        1 => any::<[u8; 16]>().prop_map(RequestId::from_bytes),
    ]
}

fn process() -> impl Strategy<Value = Process> {
    prop_oneof![Just(Process::Master), Just(Process::Worker)]
}

fn worker() -> impl Strategy<Value = WorkerId> {
    prop_oneof![0_u32..9, Just(WorkerId::MAX.get())].prop_map(|n| WorkerId::new(n).unwrap())
}

/// All but the largest number, which the format cannot tell.
fn number() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![Just(0), 0_u64..100_000, 0..u64::MAX])
}

/// The whole range of instants, its ends included.
pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    let (min, max) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
    prop_oneof![Just(min), Just(max), min..=max].prop_map(Timestamp::from_micros)
}

/// Texts with and without NUL, some empty.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,12}", 1 => "[\0-\u{1f}a\u{e9}\u{1f600}]{0,6}"]
}

/// One value of JSON on one line.
fn data() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[a-z \u{e9}\u{1f600}]{0,20}".prop_map(|text| format!("\"{text}\"")),
        "[a-z]{1,5}".prop_map(|name| format!("{{\"{name}\":[1,2.5,true]}}")),
    ]
}
