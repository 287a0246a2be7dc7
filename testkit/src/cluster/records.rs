//! Random records of every kind, small, most of them different from all others.

use std::borrow::Cow;
use std::net::IpAddr;

use fastrand::Rng;
use logq_format::{
    DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Level, Lifecycle,
    LogSource, Lost, Method, Origin, Process, Request, RequestId, Response, ResponseFinished,
    SyncMarker, Timestamp, WorkerExited, WorkerId,
};

/// Requests of one worker that are under way; the same ids come again and again, in many blocks.
const REQUESTS: u8 = 12;

/// Makes an event that a process of this origin may log, and passes it to `use_event`.
pub(super) fn with_random_event(
    random: &mut Rng,
    origin: Origin,
    sequence: u64,
    time: Timestamp,
    marker: SyncMarker,
    use_event: impl FnOnce(Event<'_>),
) {
    let request = request_id(random, origin);
    let text = text(random, origin, sequence, marker);
    let data = Json::new(&text).unwrap_or(Json::NULL);
    let level = random.choice(Level::ALL).unwrap_or(Level::Info);
    let entries: Vec<_> = (1..=random.i64(..4))
        .rev()
        .map(|age| DebugEntry { time: time.saturating_add_micros(-age * 700), data })
        .collect();
    let error = ErrorInfo {
        kind: random.choice([ErrorKind::Stack, ErrorKind::Value]).unwrap_or(ErrorKind::Stack),
        text: &text,
        properties: random.bool().then_some(data),
        debug: Cow::Borrowed(&entries),
    };
    let number = random.bool().then(|| random.u64(..1 << 40) >> random.u8(..40));
    let dice = random.u8(..32);
    use_event(match (origin.worker, dice) {
        (_, 0) => rare(random, &text),
        (None, 1..8) => master_event(random, error),
        (None, _) => Event::Log { source: LogSource::Master, level, data },
        (Some(_), 1) => Event::UncaughtException { process: Process::Worker, error },
        (Some(_), 2) => Event::Lifecycle(worker_step(random)),
        (Some(_), 3..7) => Event::Log { source: LogSource::Worker, level, data },
        (Some(_), 7..14) => Event::Log { source: LogSource::Request(request), level, data },
        (Some(_), 14..18) => Event::RequestMeta { request, data },
        (Some(_), 18..23) => Event::Request(Request {
            request,
            ip: address(random),
            http_version: HttpVersion::HTTP_11,
            method: Method::new(random.choice(["GET", "POST", "PURGE"]).unwrap_or("GET")),
            url: &text,
        }),
        (Some(_), 23..28) => Event::Response(Response {
            request,
            status: random.choice([200, 204, 302, 404, 500, 503]).unwrap_or(200),
            error: (dice < 25).then_some(error),
            expected: dice == 23,
            bytes: number,
            duration_us: random.bool().then(|| random.u64(..5_000_000)),
        }),
        (Some(_), _) => Event::ResponseFinished(ResponseFinished {
            request,
            error: (dice == 28).then_some(error),
            bytes: number,
            duration_us: number,
        }),
    });
}

/// One of the few requests of this worker.
fn request_id(random: &mut Rng, origin: Origin) -> RequestId {
    let worker = origin.worker.map_or(0, WorkerId::get);
    let seed = u64::from(worker) << 8 | u64::from(random.u8(..REQUESTS));
    RequestId::from_bytes(Rng::with_seed(seed).u128(..).to_be_bytes())
}

fn text(random: &mut Rng, origin: Origin, sequence: u64, marker: SyncMarker) -> String {
    let marker = std::str::from_utf8(marker.as_bytes()).unwrap_or("no text");
    let tail = match random.u8(..8) {
        0 => "x".repeat(random.usize(..900)),
        1 => marker.to_owned(),
        _ => format!("{:x}", random.u32(..)),
    };
    format!(r#"{{"writer":{},"n":{sequence},"tail":"{tail}"}}"#, origin.writer)
}

fn address(random: &mut Rng) -> Option<IpAddr> {
    match random.u8(..3) {
        0 => None,
        1 => Some(IpAddr::from(random.u32(..).to_be_bytes())),
        _ => Some(IpAddr::from(random.u128(..).to_be_bytes())),
    }
}

fn worker_step(random: &mut Rng) -> Lifecycle {
    random
        .choice([Lifecycle::WorkerStarted, Lifecycle::WorkerOnline])
        .unwrap_or(Lifecycle::WorkerDone)
}

fn master_event<'a>(random: &mut Rng, error: ErrorInfo<'a>) -> Event<'a> {
    let worker = WorkerId::new(random.u32(1..5)).unwrap_or(WorkerId::MAX);
    match random.u8(..5) {
        0 => Event::Lifecycle(Lifecycle::StartingUp),
        1 => Event::WorkerSpawned { worker },
        2 => Event::WorkerExited(WorkerExited { worker, exit_code: None, signal: Some("SIGKILL") }),
        3 => Event::WorkerExited(WorkerExited { worker, exit_code: Some(0), signal: None }),
        _ => Event::UncaughtException { process: Process::Master, error },
    }
}

fn rare<'a>(random: &mut Rng, text: &'a str) -> Event<'a> {
    let at = |micros: i64| Timestamp::from_micros(1_770_000_000_000_000 + micros);
    if random.bool() {
        let counts = std::array::from_fn(|_| random.u64(..3));
        Event::Lost(Lost { counts, first: at(1), last: at(2), reason: text })
    } else {
        Event::IoError(IoError { operation: "write", code: 28, path: "/var/log", message: text })
    }
}
