//! Slow readers beside a fast writer lose nothing, and cost neither the writer nor the memory anything.
//! The only test of its file: it looks at the memory of the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Writing, get};
use common::{MIB, Server, content, digest, digest_of_many, options};

const PATH: &str = "/v1/streams/s";

/// How much is written, in MiB.
const TOTAL: usize = 64;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Ten readers that take a mebibyte a second; the writer is many times faster. They stay far behind, then
/// stop being slow, and have everything.
#[test]
fn slow_readers_lose_nothing_and_hold_no_memory() {
    let server = Server::start(options());
    let bytes = content(MIB);
    let mut writer = Writing::put(server.put, PATH);
    server.wait_for_state("s", "open");
    let address = server.get;
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let wait = wait.clone();
            thread::spawn(move || read_slowly(address, &wait))
        })
        .collect();
    server.wait_for_readers("s", 10);
    // Buffers and arenas are there before the measurement.
    (0..4).for_each(|_| writer.write(&bytes));
    let before = resident();
    (4..TOTAL).for_each(|_| writer.write(&bytes));
    assert_eq!(writer.finish().status, 201, "the writer waited for nobody");
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes for ten slow readers");
    drop(go);
    let expected = digest_of_many(&bytes, TOTAL);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), expected);
    }
}

/// A mebibyte a second until the other end of the channel is gone, then as fast as it goes.
fn read_slowly(address: SocketAddr, go: &Mutex<Receiver<()>>) -> (usize, [u8; 32]) {
    let begun = Instant::now();
    digest(get(address, PATH, &[]), |len| {
        if go.lock().unwrap().try_recv() != Err(TryRecvError::Disconnected) {
            let due = Duration::from_micros(u64::try_from(len).unwrap());
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    })
}
