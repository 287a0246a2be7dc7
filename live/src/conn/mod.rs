//! From sockets to requests that were let in. What answers them is not known here.
//!
//! ```text
//!  accept: caps -> connection: TLS, timers -> guard -> hyper -> front: host, CORS, tokens -> Service
//!          home       socket: stall, linger     head                watched: bodies on their way back
//! ```

pub(crate) mod activity;
pub(crate) mod caps;
pub(crate) mod connection;
mod credential;
pub(crate) mod front;
mod guard;
mod head;
pub(crate) mod home;
pub(crate) mod socket;
mod streams;
mod watched;
