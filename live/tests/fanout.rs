//! A hundred readers of one writer from its first byte on: all get everything.
//!
//! `LOGQ_TEST_FANOUT_MIB` sets how much is written; 256 is what the original livelog fails at.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::thread;

use common::client::{Writing, get};
use common::{MIB, Server, content, digest, digest_of_many, options};

const PATH: &str = "/v1/streams/s";

fn len_mib(default: usize) -> usize {
    let set = std::env::var("LOGQ_TEST_FANOUT_MIB").ok();
    set.map_or(default, |text| text.parse().expect("a number of mebibytes"))
}

#[test]
fn a_hundred_readers_from_the_start_get_everything() {
    let server = Server::start(options());
    let bytes = content(MIB);
    let mut writer = Writing::put(server.put, PATH);
    server.wait_for_state("s", "open");
    let address = server.get;
    let readers: Vec<_> =
        (0..100).map(|_| thread::spawn(move || digest(get(address, PATH, &[]), |_| ()))).collect();
    server.wait_for_readers("s", 100);
    let count = len_mib(8);
    (0..count).for_each(|_| writer.write(&bytes));
    assert_eq!(writer.finish().status, 201);
    let expected = digest_of_many(&bytes, count);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), expected);
    }
}
