//! The flags of `logq serve` that say what clients may hold, each by what a client meets that holds more.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::client::{Ended, Writing, connect, get, send};
use crate::common::Scratch;
use crate::served::Served;

/// What is far above the times set here, and below the defaults.
const SOON: Duration = Duration::from_secs(9);

const PATH: &str = "/v1/streams/log";

/// A server whose stream `log` is open, and its writer.
fn open(scratch: &Scratch, line: &[&str]) -> (Served, Writing) {
    let served = Served::start(scratch, line, &[]);
    let mut writer = Writing::put(served.put, PATH);
    writer.write(b"x");
    (served, writer)
}

#[test]
fn connections_are_as_many_as_there_may_be() {
    for flag in ["--max-connections", "--max-connections-per-address"] {
        let scratch = Scratch::new();
        let (served, _writer) = open(&scratch, &[flag, "3"]);
        let reader = || get(served.get, "/v1/streams/log?wait=5", &[]);
        let mut readers = [reader(), reader()];
        for reader in &mut readers {
            assert_eq!((reader.status, reader.exactly(1)), (200, b"x".to_vec()), "{flag}");
        }
        assert_eq!(get(served.get, "/healthz", &[]).status, 503, "{flag}");
        drop(readers);
        let begun = Instant::now();
        while get(served.get, "/healthz", &[]).status != 200 {
            assert!(begun.elapsed() < SOON, "{flag}: there is room again");
        }
    }
}

#[test]
fn requests_with_one_token_are_as_many_as_there_may_be() {
    let scratch = Scratch::new();
    scratch.write("readers", "first\nsecond\n");
    let line = ["--listen=127.0.0.1", "--token-file=readers", "--max-requests-per-token=1"];
    let served = Served::start(&scratch, &line, &[]);
    let mut writer = Writing::put(served.put, PATH);
    writer.write(b"x");
    let reader = |token| {
        get(served.get, "/v1/streams/log?wait=5", &[("Authorization", &format!("Bearer {token}"))])
    };
    let mut first = reader("first");
    assert_eq!(first.exactly(1), b"x");
    assert_eq!(reader("first").status, 503);
    assert_eq!(reader("second").status, 200, "another token has requests of its own");
}

#[test]
fn half_a_head_is_waited_for_so_long() {
    let scratch = Scratch::new();
    let served = Served::start(&scratch, &["--header-timeout", "200ms"], &[]);
    let mut connection = connect(served.get);
    connection.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let begun = Instant::now();
    let _ = connection.read_to_end(&mut Vec::new());
    assert!(begun.elapsed() < SOON);
}

#[test]
fn connections_of_http2_may_be_idle_so_long() {
    let scratch = Scratch::new();
    // The last is for the answer to the ping before the end, which this client does not give.
    let line = ["--header-timeout", "100ms", "--idle-timeout", "200ms", "--stall-timeout", "200ms"];
    let served = Served::start(&scratch, &line, &[]);
    let mut connection = connect(served.get);
    // The preface, empty settings, and GET /healthz as stream 1.
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let head = [&[0x82, 0x86, 0x01, 9][..], b"localhost", &[0x04, 8], b"/healthz"].concat();
    let len = u8::try_from(head.len()).unwrap();
    connection.write_all(&[&[0, 0, len, 1, 5, 0, 0, 0, 1][..], &head].concat()).unwrap();
    let (begun, mut answer) = (Instant::now(), Vec::new());
    let _ = connection.read_to_end(&mut answer);
    assert!(begun.elapsed() < SOON);
    assert!(answer.windows(3).any(|bytes| bytes == b"ok\n"), "it was answered before");
}

#[test]
fn readers_that_take_too_little_are_given_up() {
    const LEN: usize = 32 << 20;
    for (flags, what) in [
        (&["--stall-timeout=300ms"][..], "nothing"),
        (&["--stall-timeout=1s", "--stall-size=1G"], "too little"),
    ] {
        let scratch = Scratch::new();
        let served = Served::start(&scratch, flags, &[]);
        assert_eq!(send(served.put, "PUT", PATH, &[], &vec![b'x'; LEN]).status, 201);
        let mut reader = get(served.get, PATH, &[]);
        let mut taken = 0;
        let begun = Instant::now();
        while get(served.get, "/metrics", &[]).text().contains("\nlogq_stream_readers 1\n") {
            assert!(begun.elapsed() < SOON, "{what}");
            taken += if what == "nothing" { 0 } else { reader.some(&mut [0; 1_024]) };
            std::thread::sleep(Duration::from_millis(10));
        }
        let (rest, ended) = reader.rest();
        assert_eq!(ended, Ended::Cut, "{what}");
        assert!(taken + rest.len() < LEN, "{what}");
    }
}
