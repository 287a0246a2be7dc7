//! The web face of stores: questions over real sockets, the description of the interface, and the page
//! in a browser.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod browser;
#[path = "../common/client.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
#[allow(unreachable_pub, reason = "other tests are crates of their own")]
mod client;
mod follow;
mod monitor;
mod openapi;
#[path = "../common/running.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
#[allow(unreachable_pub, reason = "other tests are crates of their own")]
mod running;
mod schema;
mod stores;
mod support;
mod webdriver;
