//! Everything about the server that can be set. What each value is for stands beside it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::journal::Journal;
use crate::message::Side;
use crate::tls::TlsFiles;
use crate::tokens::TokenSource;

/// How a server listens, whom it lets in, and what it bears.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// The certificate and its key, read again at every reload.
    pub tls: Option<TlsFiles>,
    /// Tokens that allow reading. Without any, whoever reaches the port may read.
    pub read_tokens: Option<TokenSource>,
    /// Tokens that allow writing, and reading. Without any, the port for writing is open and the port
    /// for reading refuses to write.
    pub write_tokens: Option<TokenSource>,
    /// Listens on addresses that others can reach even where no token protects them.
    pub insecure_no_auth: bool,
    /// Origins whose pages may read, such as `https://ci.example`; `*` for all.
    pub cors_origins: Vec<String>,
    /// Names under which a server on a loopback address may be reached, besides local ones.
    pub allow_hosts: Vec<String>,
    /// Answers as livelog where the two differ.
    pub compat_livelog: bool,
    /// What clients may send and hold.
    pub limits: Limits,
    /// How long clients may take.
    pub timers: Timers,
    /// Where lines about requests and the server itself go.
    pub journal: Journal,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls: None,
            read_tokens: None,
            write_tokens: None,
            insecure_no_auth: false,
            cors_origins: Vec::new(),
            allow_hosts: Vec::new(),
            compat_livelog: false,
            limits: Limits::default(),
            timers: Timers::default(),
            journal: Journal::none(),
        }
    }
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 takes any that is free.
    pub address: SocketAddr,
    /// What is served there.
    pub side: Side,
    /// Whether connections are encrypted, with the certificate of [`ServerOptions::tls`].
    pub tls: bool,
}

/// What clients may send and hold. Each value is enforced before memory is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more are answered 503. Each costs a file descriptor and some 20 KiB.
    pub connections_max: usize,
    /// Open connections from one address, or one /64 network of IPv6; more are answered 503.
    pub connections_per_address_max: usize,
    /// Connections beyond these caps that are told so; what comes on top is closed unheard.
    pub refusals_max: usize,
    /// Requests at a time with one token; more are answered 503.
    pub requests_per_token_max: usize,
    /// Headers of a request; more are answered 431.
    pub headers_max: usize,
    /// Bytes of a request's head; more are answered 431.
    pub head_bytes_max: usize,
    /// Bytes of a request's target; more are answered 414.
    pub target_bytes_max: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Wrong tokens from one address in a minute before it is slowed down.
    pub auth_failures_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 2_000,
            refusals_max: 64,
            requests_per_token_max: 4_000,
            headers_max: 100,
            head_bytes_max: 16 << 10,
            target_bytes_max: 8 << 10,
            h2_streams_max: 128,
            auth_failures_max: 10,
        }
    }
}

/// How long clients may take. Tests make all of them short.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// From the first byte of a handshake to its end.
    pub tls_handshake: Duration,
    /// For the whole head of a request, counted from the end of the one before or from the beginning of
    /// the connection.
    pub head: Duration,
    /// Without any request on an HTTP/2 connection.
    pub idle: Duration,
    /// For the next [`Self::stall_bytes_min`] bytes of an answer to be taken, once there is no room.
    pub stall: Duration,
    /// Fewer bytes than this in [`Self::stall`] are as good as none. 1 asks for any sign of life.
    pub stall_bytes_min: usize,
    /// For the next piece of a body that a client sends; `None` lets a writer be silent for ever.
    pub writer_idle: Option<Duration>,
    /// Between two looks at each connection: is it idle, has the other side hung up.
    pub patrol: Duration,
    /// For what remains of a request whose answer is already sent, so that the answer arrives.
    pub linger: Duration,
    /// Before each wrong token beyond [`Limits::auth_failures_max`] is answered.
    pub auth_failure_delay: Duration,
    /// From the wish to end until connections are cut.
    pub grace: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            tls_handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            stall_bytes_min: 1,
            writer_idle: None,
            patrol: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            auth_failure_delay: Duration::from_secs(1),
            grace: Duration::from_secs(10),
        }
    }
}
