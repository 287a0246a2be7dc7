//! Logs live over HTTP: streams with one writer and many readers, stores, the monitor, a page.
//!
//! ```text
//!  sockets -> connections -> front ----------------> Router -> parts
//!             TLS, timers,   host, CORS, tokens,               streams, stores,
//!             caps           limits, request log               monitor, page
//! ```
//!
//! | from the outside in | |
//! |---|---|
//! | what answers, and which part answers which path | [`Service`], [`Router`] |
//! | what goes in and out | [`Request`], [`Response`], [`Body`], [`Problem`] |
//! | who may do what | [`Access`], [`Grant`] |
//! | the wish to end | [`Shutdown`], [`ShutdownTrigger`] |
//! | questions about stores and a monitor's series | [`Stores`], [`Monitor`] |
//! | what browsers show, and the description of it all | [`Page`] |
//! | numbers about the server, lines about it | [`Metrics`], [`Journal`] |
//! | sockets, threads, certificates, tokens, limits | [`Server`], [`ServerOptions`] |
//! | streams: one writes, many read, from any byte on | [`streams`], [`range`], [`model`] |
//!
//! # Slow, greedy, confused and hostile clients
//!
//! What they may do and what stops them. Tests are in `tests/`, those without a file in `tests/conn/`.
//!
//! | they | what stops them | test |
//! |---|---|---|
//! | send a head byte by byte, or nothing | [`Timers::head`] for each head, HTTP/2's preface included | `slow`: `heads_that_never_end_...`, `silence_between_requests_...` |
//! | begin a handshake and stop | [`Timers::tls_handshake`] | `slow`: `handshakes_that_never_end_...` |
//! | stop in the middle of an upload | keepalive; [`Timers::writer_idle`] if set, for a slow writer is no attack | `slow`: `a_writer_...` |
//! | read nothing, or a byte now and then | [`Timers::stall`] in the socket; for a stream of HTTP/2 a watch on its body | `slow`: `a_reader_that_takes_...`; `h2`: `a_stream_that_takes_nothing_...` |
//! | hide that they left behind a stray byte | heads reach hyper whole, so it sees the end; a patrol finds the rest | `slow`: `a_reader_that_hides_...` |
//! | send heads without end | [`Limits`]: 431, 414, and the connection ends | `http1`: `heads_have_limits`, `a_refused_head_...` |
//! | say the length twice, or so that a proxy reads it differently | heads are looked at before hyper forgives: 400, and the connection ends | `http1`: `requests_that_two_servers_...`, `chunks_...` |
//! | reset, or make the server reset; flood with continuations | HTTP/2's limits, set here and not left to defaults | `h2`: `rapid_resets_...`, `resets_that_...`, `headers_that_...` |
//! | flood with pings and settings | answers that are not taken stall as any others | `h2`: `floods_of_control_frames_...` |
//! | connect again and again | caps by address, by token, and on all: 503, or for an EventSource a 200 that asks it to wait | `http1`: `connections_are_limited_...`; `auth`: `requests_are_limited_...` |
//! | stop reading a hundred streams of one HTTP/2 connection | pieces of a frame's size, and a limit on what waits to be sent | `http2.rs`: `streams_that_nobody_takes_...`; `web/stores.rs`: `answers_that_nobody_takes_...` |
//! | read in such numbers that a writer would wait for them | threads that stand back while a writer is in a hurry | `threads`: `a_writer_has_...`; `streams::haste` |
//! | ask for ten thousand ranges | the second one ends the parsing: 416 | `names`: `ranges_that_ask_...`; `range` |
//! | ask for `..`, for links, for files of ours | names are looked up in a table, never joined to a path | `names`: `no_name_leads_...`; `streams::directory` |
//! | use TRACE, CONNECT, POST or words of their own | 405; OPTIONS has no body | `http1`: `only_known_methods_...` |
//! | make a browser resolve their name to this machine | on loopback addresses only local names are served: 421 | `http1`: `names_of_others_...` |
//! | look for themselves in error pages | errors are texts of this program | `http1`: `errors_say_nothing_...` |
//! | find a server without a token | it does not start where others could reach it | `auth`: `nothing_is_open_...` |
//! | try tokens | digests compared in constant time, one answer to all, a pause after ten | `auth`: `every_wrong_token_...`, `guessing_is_slow_...` |
//! | write with a token for reading; go on with one that was revoked | grants; a reload ends what revoked tokens started | `auth`: `reading_does_not_...`, `a_reload_ends_...` |
//! | read tokens in logs | lines, counters and errors never hold one | `auth`: `no_token_is_ever_told` |
//! | listen to a server whose key is missing | half of TLS is an error; a bad reload changes nothing | `tls` |
//! | read from a page of another origin | listed origins only, and any where the token is in the URL | `cors` |
//! | write text into a log that wants to be code | the page makes text nodes only, and its policy allows neither inline code nor other origins | `web/browser.rs`: `hostile_text_is_inert` |
//! | have a log opened directly | `text/plain`, `nosniff` and a sandbox | `web/stores.rs`: `records_come_in_...` |
//! | write text that looks like server-sent events | each event is one line of JSON | `web/follow.rs`: `what_looks_like_the_protocol_...` |
//! | see a token in an address | the page takes it from the fragment, which is never sent, and removes it | `web/browser.rs`: `a_token_comes_...` |
//! | ask and leave; ask for everything and read nothing | the work waits for whoever reads, and ends with the connection | `web/stores.rs`: `work_ends_when_...` |
//! | ask what cannot be understood | the column and what was expected, never the text | `web/stores.rs`: `mistakes_are_told_...` |
//! | damage a store, or fill it with what explodes | reading is bounded by the format's limits; what is skipped is told | `web/stores.rs`: `damage_is_told_...` |
//! | cut or delete files underneath | growing files are read, never mapped: an error for their readers only | `restart.rs`: `a_file_cut_...`, `a_file_deleted_...` |
//! | fill the disk, the table of streams, the state files | limits, expiry, the shorter length wins | `streams.rs`: `limits_cut_...`, `there_are_so_many_...`; `streams::recovery` |

mod auth;
mod body;
mod conn;
mod cors;
mod error;
mod failures;
mod hosts;
mod journal;
mod message;
mod metrics;
pub mod model;
mod options;
mod page;
mod problem;
pub mod range;
mod server;
mod service;
mod shutdown;
mod stores;
pub mod streams;
mod threads;
mod tls;
mod tokens;

pub use self::auth::{Access, Grant};
pub use self::body::{Body, BodyError};
pub use self::error::ServeError;
pub use self::journal::Journal;
pub use self::message::{Peer, Request, Response, Side};
pub use self::metrics::{Counter, Gauge, Held, Metrics};
pub use self::options::{Limits, Listen, ServerOptions, Timers};
pub use self::page::Page;
pub use self::problem::Problem;
pub use self::server::{Server, ServerHandle};
pub use self::service::{Answering, Router, Service};
pub use self::shutdown::{Shutdown, ShutdownTrigger};
pub use self::stores::{Monitor, Stores, StoresOptions, TextLine};
pub use self::tls::TlsFiles;
pub use self::tokens::TokenSource;
