//! The front of the server against clients that are slow, greedy, confused or hostile, over real
//! sockets. What routes do with requests that are let in is tested elsewhere.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod auth;
mod cors;
mod documented;
mod ends;
mod forged;
mod frames;
mod h2;
mod http1;
mod names;
mod server;
mod slow;
mod threads;
mod tls;
