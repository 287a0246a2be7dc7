//! `logq serve` as a process of its own, and its clients.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

#[path = "../../../live/tests/common/client.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `live`")]
mod client;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod data;
mod flags;
mod phone;
mod process;
mod served;
#[path = "../../../live/tests/web/webdriver.rs"]
#[allow(dead_code, reason = "shared with the tests of `live`")]
mod webdriver;
