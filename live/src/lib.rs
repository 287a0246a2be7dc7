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
//! What they may do and what stops them. Tests are in `tests/`, those without a file in `tests/conn/`, those of
//! `cli` in `../cli/tests/`; each bears the number of its case.
//!
//! | | they | what stops them | test |
//! |---|---|---|---|
//! | E.1.1 | send a head byte by byte, or nothing | [`Timers::head`] for each head, HTTP/2's preface included | `slow`: `heads_that_never_end_...`, `silence_between_requests_...` |
//! | E.1.2 | begin a handshake and stop | [`Timers::tls_handshake`] | `slow`: `handshakes_that_never_end_...` |
//! | E.1.3 | stop in the middle of an upload | keepalive; [`Timers::writer_idle`] if set, for a slow writer is no attack | `slow`: `a_writer_may_be_...`, `a_writer_that_is_silent_...`; `conn::socket`: `dead_connections_are_...` |
//! | E.1.4 | read nothing, or a byte now and then | [`Timers::stall`] in the socket; for a stream of HTTP/2 a watch on its body | `slow`: `a_reader_that_takes_nothing_...`, `a_reader_that_takes_a_byte_...`; `h2`: `a_stream_that_takes_nothing_...` |
//! | E.1.5 | hide that they left behind a stray byte | heads reach hyper whole, so it sees the end; a patrol finds the rest | `slow`: `a_reader_that_hides_...` |
//! | E.1.6 | send heads without end | [`Limits`]: 431, 414, and the connection ends | `http1`: `heads_have_limits...`, `a_refused_head_...` |
//! | E.1.7 | say the length twice, or so that a proxy reads it differently | heads are looked at before hyper forgives: 400, and the connection ends | `http1`: `requests_that_two_servers_...`, `chunks_that_lie_...`, `chunks_are_the_last_...` |
//! | E.1.8 | reset, or make the server reset; flood with continuations | HTTP/2's limits, set here and not left to defaults | `h2`: `rapid_resets_...`, `resets_that_...`, `headers_that_go_on_...`, `headers_that_grow_...`, `streams_are_limited...` |
//! | E.1.8 | flood with pings and settings | answers that are not taken stall as any others | `h2`: `floods_of_control_frames_...` |
//! | E.1.8 | stop reading a hundred streams of one HTTP/2 connection | pieces of a frame's size, and a limit on what waits to be sent | `http2.rs`: `streams_that_nobody_takes_...`; `web/stores.rs`: `answers_that_nobody_takes_...` |
//! | E.1.9 | connect again and again | caps by address, by token, and on all: 503, or for an EventSource a 200 that asks it to wait | `http1`: `connections_are_limited_...`; `auth`: `requests_are_limited_...` |
//! | E.1.10 | ask for ten thousand ranges | the second one ends the parsing: 416 | `names`: `ranges_that_ask_...`; [`range`] |
//! | E.1.11 | ask for `..`, for links, for files of ours | names are looked up in a table, never joined to a path | `names`: `no_name_leads_...`; `streams::directory`: `planted_links_...` |
//! | E.1.12 | use TRACE, CONNECT, POST or words of their own | 405; OPTIONS has no body | `http1`: `only_known_methods_...` |
//! | E.1.13 | make a browser resolve their name to this machine | on loopback addresses only local names are served: 421 | `http1`: `names_of_others_...` |
//! | E.1.14 | look for themselves in error pages | errors are texts of this program | `http1`: `errors_say_nothing_...` |
//! | | read in such numbers that a writer would wait for them | threads that stand back while a writer is in a hurry | `threads`: `a_writer_has_...`; `streams::haste` |
//! | E.2.1 | find a server without a token | it does not start where others could reach it | `auth`: `nothing_is_open_...` |
//! | E.2.2 | measure how much of a token is right | SHA-256 of tokens, which are compared in constant time, all of them; the address holds one for livelog's route alone | `tokens`: `every_token_is_compared_...`; `auth`: `a_token_counts_as_bearer_...` |
//! | E.2.3 | try tokens | one answer to all that are wrong | `auth`: `every_wrong_token_...` |
//! | E.2.4 | write with a token for reading; go on with one that was revoked; look at the list of processes | grants; a reload ends what revoked tokens started; no flag takes one | `auth`: `reading_does_not_...`, `a_reload_ends_...`; `cli`: `tokens_come_from_files_...` |
//! | E.2.5 | read tokens in logs | lines, counters, errors and panics never hold one, and pages send no referrer | `auth`: `no_token_is_ever_told...`; `page`: `browsers_get_what_is_new_...` |
//! | E.2.6 | guess | a pause after ten wrong ones for their address, and for nobody else | `auth`: `guessing_is_slow_...` |
//! | E.2.7 | listen to a server whose key is missing | half of TLS is an error; a bad reload changes nothing | `tls`: `half_of_tls_...`, `files_that_cannot_be_used_...` |
//! | E.3.1 | read from a page of another origin | listed origins only, and any where the token is in the URL | `cors`: `only_listed_origins_...`, `pages_are_told_...` |
//! | E.3.2 | write text into a log that wants to be code | the page makes text nodes only, and its policy allows neither inline code nor other origins | `web/browser.rs`: `hostile_text_is_inert...`, `the_policy_of_the_page_...` |
//! | E.3.3 | have a log opened directly | `text/plain`, `nosniff` and a sandbox | `web/browser.rs`: `a_log_that_is_opened_directly_...` |
//! | E.3.4 | write text that looks like server-sent events | each event is one line of JSON | `web/follow.rs`: `what_looks_like_the_protocol_...`; `resume.rs`: `cut_at_random_points_and_resumed_by_events...` |
//! | E.3.5 | make somebody's browser write | nothing is changed by GET or POST; no cookies; a page of another origin may read at most | `forged`: `a_page_of_others_...` |
//! | | see a token in an address | the page takes it from the fragment, which is never sent, and removes it | `web/browser.rs`: `a_token_comes_...` |
//! | | ask and leave; ask for everything and read nothing | the work waits for whoever reads, and ends with the connection; one address has three quarters of the places at most, until it has taken what it asked for | `web/stores.rs`: `work_ends_when_...`, `who_takes_nothing_...` |
//! | | ask what cannot be understood | the column and what was expected, never the text | `web/stores.rs`: `mistakes_are_told_...` |
//! | | damage a store | what is skipped is told | `web/stores.rs`: `damage_is_told_...` |
//! | E.4.1 | fill the disk, make it read only | the stream ends there for readers and writer, and what came before is kept | `cli`: `on_a_full_disk_...`, `where_a_disk_may_only_be_read_...`, `a_full_disk_truncates_...`; `streams::writer`: `there_is_no_room_...` |
//! | E.4.1 | cut or delete files underneath | growing files are read, never mapped: an error for their readers only | `restart.rs`: `a_file_cut_...`, `a_file_deleted_...` |
//! | E.4.2 | look into files, plant links | 0700 and 0600 whatever the mask, created exclusively, opened without following | `cli`: `files_are_private_...`, `links_are_not_followed_...`; `streams::directory`: `everything_is_private_...` |
//! | E.4.3 | fill a store, or a body, with what explodes | reading is bounded by the format's limits; bodies come as they are: 415 | `cli`: `a_store_that_explodes_...`, `bodies_that_would_have_to_be_unpacked_...` |
//! | E.4.4 | make a hundred thousand streams | so many and no more: 507; those that ended long ago go | `http2.rs`: `streams_without_end_...`; `streams.rs`: `limits_cut_...`, `there_are_so_many_...` |
//! | E.4.5 | damage what is recorded of streams | the shorter length wins, the stream is interrupted, and that is said | `cli`: `damaged_records_...`; `streams::recovery`: `the_shorter_counts...` |

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
