//! Literal bytes of every type of record, cut off at every place, and changed at every one.

use logq_testkit::node_logs::Row;

use super::*;

/// 1,700,000,000,123 ms.
const HEAD: [u8; 8] = [0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x7B, 0x12, 0x34];

const ID: [u8; 16] = [
    0x60, 0x7E, 0xF6, 0xCC, 0xE0, 0x59, 0x4D, 0xD3, 0x99, 0x5A, 0xFB, 0x4B, 0x9D, 0xB1, 0x27, 0x3B,
];

fn id() -> RequestId {
    RequestId::from_bytes(ID)
}

/// Checks what the bytes of a record become, and that no part of them is a record.
fn check(kind: u8, parts: &[&[u8]], event: Event<'_>) {
    let bytes = [&[kind], &HEAD[..], &parts.concat()].concat();
    let expected = Entry { time_ms: 1_700_000_000_123, nonce: 0x1234, event };
    let behind = [&*bytes, b"next"].concat();
    let mut rest = &*behind;
    assert_eq!(Entry::take(&mut rest), Ok(expected));
    assert_eq!(rest, b"next");
    for len in 0..bytes.len() {
        let mut cut = &bytes[..len];
        let error = Entry::take(&mut cut).unwrap_err();
        assert!(matches!(error, EntryError::Truncated { .. }), "type {kind}, {len} bytes: {error}");
        assert_eq!(cut.len(), len, "nothing is taken");
    }
}

#[test]
fn requests() {
    let request = |worker, version: (u8, u8), ip: &str, method, url| Event::Request {
        worker,
        request: id(),
        http_version: HttpVersion::new(version.0, version.1).unwrap(),
        ip: ip.parse().unwrap(),
        method,
        url,
    };
    check(
        1,
        &[&[7], &ID, &[0x09], &[192, 0, 2, 1], &[3], &[3], b"/a?"],
        request(7, (1, 1), "192.0.2.1", b"POST", b"/a?"),
    );
    let ip = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    check(
        1,
        &[&[0xFE, 1, 44], &ID, &[0xFF], &ip, &[5], b"PURGE", &[0]],
        request(300, (7, 7), "2001:db8::1", b"PURGE", b""),
    );
    for (code, name) in (1..).zip(METHODS) {
        let bytes =
            Row::new(1, 0, 0).int(1).raw(&ID).raw(&[0x10]).raw(&[1, 2, 3, 4, code]).text("/");
        let entry = Entry::take(&mut bytes.bytes()).unwrap();
        let Event::Request { method, http_version, .. } = entry.event else { panic!("{entry:?}") };
        assert_eq!((method, http_version), (name.as_bytes(), HttpVersion::HTTP_2));
    }
    for found in [0, 10, 255] {
        let row =
            Row::new(1, 0, 0).int(1).raw(&ID).raw(&[0x09]).raw(&[1, 2, 3, 4, found]).text("/");
        assert_eq!(Entry::take(&mut row.bytes()), Err(EntryError::Method { found }));
    }
}

#[test]
fn meta_and_responses() {
    let (worker, request) = (7, id());
    check(2, &[&[7], &ID, &[2], b"{}"], Event::RequestMeta { worker, request, data: b"{}" });
    let response = |error, is_expected, status| Event::Response {
        worker,
        request,
        error,
        is_expected,
        status,
    };
    check(3, &[&[7], &ID, &[0], &[0], &[200]], response(b"", false, 200));
    check(3, &[&[7], &ID, &[2], b"[]", &[0], &[0xFE, 1, 0xF4]], response(b"[]", false, 500));
    check(3, &[&[7], &ID, &[2], b"[]", &[1], &[0xFF, 0, 1, 0, 0]], response(b"[]", true, 65_536));
    let finished = |error| Event::ResponseFinished { worker, request, error };
    check(4, &[&[7], &ID, &[0]], finished(b""));
    check(4, &[&[7], &ID, &[2], b"[]"], finished(b"[]"));
}

#[test]
fn logs_of_every_source_and_level() {
    let levels = [(2, Level::Critical), (4, Level::Error), (5, Level::Warn), (6, Level::Info)];
    for (number, level) in levels {
        let source = Source::Request { worker: 9, request: id() };
        let log = |source| Event::Log { source, level, data: b"\"x\"" };
        check(10 + number, &[&[9], &ID, &[3], b"\"x\""], log(source));
        check(30 + number, &[&[9], &[3], b"\"x\""], log(Source::Worker(9)));
        check(50 + number, &[&[3], b"\"x\""], log(Source::Master));
    }
}

#[test]
fn lifecycles_exceptions_and_pings() {
    for (kind, step) in [
        (20, Lifecycle::WorkerStarted),
        (21, Lifecycle::WorkerGoingOnline),
        (22, Lifecycle::WorkerOnline),
        (23, Lifecycle::WorkerGoingOffline),
        (24, Lifecycle::WorkerOffline),
        (25, Lifecycle::WorkerDone),
    ] {
        check(kind, &[&[2]], Event::Lifecycle { worker: Some(2), step });
    }
    for (kind, step) in [
        (40, Lifecycle::StartingUp),
        (41, Lifecycle::StartingUpCompleted),
        (42, Lifecycle::ShuttingDown),
        (43, Lifecycle::ShuttingDownCompleted),
    ] {
        check(kind, &[], Event::Lifecycle { worker: None, step });
    }
    let exception = |worker| Event::UncaughtException { worker, error: b"[]" };
    check(26, &[&[2], &[2], b"[]"], exception(Some(2)));
    check(46, &[&[2], b"[]"], exception(None));
    check(27, &[&[2]], Event::Ping { worker: Some(2) });
    check(47, &[&[0]], Event::Ping { worker: None });
    check(47, &[&[3], &[1], &[0xFE, 1, 44], &[3]], Event::Ping { worker: None });
    check(44, &[&[2]], Event::WorkerSpawned { worker: 2 });
    let exited = |exit_code, signal| Event::WorkerExited { worker: 2, exit_code, signal };
    check(45, &[&[2], &[1], &[0], &[0]], exited(Some(0), b""));
    check(45, &[&[2], &[1], &[0xFF; 5], &[0]], exited(Some(u32::MAX), b""));
    check(45, &[&[2], &[0], &[7], b"SIGKILL"], exited(None, b"SIGKILL"));
    check(45, &[&[2], &[0], &[0]], exited(None, b""));
}

#[test]
fn no_other_type_is_known() {
    let known = [1..=4, 12..=12, 14..=16, 20..=27, 32..=32, 34..=36, 40..=47, 52..=52, 54..=56];
    for found in 0..=u8::MAX {
        let bytes = [&[found][..], &[0; 64]].concat();
        // A request of zeros has a method of number 0.
        let is_type = Entry::take(&mut &*bytes) != Err(EntryError::Type { found });
        assert_eq!(is_type, known.iter().any(|range| range.contains(&found)), "{found}");
    }
}

#[test]
fn a_hostile_count_of_workers_ends_with_the_bytes() {
    let row = Row::new(47, 0, 0).int(u32::MAX).raw(&[1; 100]);
    let error = Entry::take(&mut row.bytes()).unwrap_err();
    assert_eq!(error, EntryError::Truncated { what: "worker", expected: 1, found: 0 });
}
