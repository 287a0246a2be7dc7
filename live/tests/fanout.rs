//! A hundred readers of one writer from its first byte on: all get everything.
//!
//! `LOGQ_TEST_FANOUT_MIB` sets how much is written; 256 is what the original livelog fails at.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::net::SocketAddr;
use std::thread;

use common::client::{Ended, Writing, get};
use common::{Server, content, options};
use sha2::{Digest as _, Sha256};

const PATH: &str = "/v1/streams/s";
const MIB: usize = 1 << 20;

fn len_mib(default: usize) -> usize {
    let set = std::env::var("LOGQ_TEST_FANOUT_MIB").ok();
    set.map_or(default, |text| text.parse().expect("a number of mebibytes"))
}

fn hash_of_stream(address: SocketAddr) -> (u64, [u8; 32]) {
    let mut answer = get(address, PATH, &[]);
    let (mut hash, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match answer.some(&mut buffer) {
            0 => break,
            count => {
                hash.update(&buffer[..count]);
                len += u64::try_from(count).unwrap();
            }
        }
    }
    assert_eq!(answer.rest().1, Ended::Complete);
    (len, hash.finalize().into())
}

#[test]
fn a_hundred_readers_from_the_start_get_everything() {
    let server = Server::start(options());
    let bytes = content(MIB);
    let mut writer = Writing::put(server.put, PATH);
    server.wait_for_state("s", "open");
    let address = server.get;
    let readers: Vec<_> =
        (0..100).map(|_| thread::spawn(move || hash_of_stream(address))).collect();
    server.wait_for_readers("s", 100);
    let mut hash = Sha256::new();
    for _ in 0..len_mib(8) {
        writer.write(&bytes);
        hash.update(&bytes);
    }
    assert_eq!(writer.finish().status, 201);
    let expected: [u8; 32] = hash.finalize().into();
    let len = u64::try_from(len_mib(8) * MIB).unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), (len, expected));
    }
}
