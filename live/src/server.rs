//! The server: what it listens on, how it ends, how it takes new certificates and tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::conn::caps::{Caps, Place};
use crate::conn::connection::{self, Builders, Shared};
use crate::conn::front::{Counters, Front, Origin};
use crate::conn::home::Home;
use crate::conn::socket;
use crate::cors::Cors;
use crate::error::ServeError;
use crate::failures::Failures;
use crate::hosts::Hosts;
use crate::journal::Journal;
use crate::message::{Peer, Side};
use crate::metrics::Metrics;
use crate::options::{Listen, ServerOptions};
use crate::service::Service;
use crate::shutdown::{Shutdown, ShutdownTrigger};
use crate::threads::{Rank, Ranks, ReaderThreads};
use crate::tls::Tls;
use crate::tokens::Tokens;

/// After the system had no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens and does not serve yet.
///
/// Connections that come before [`Self::run`] wait.
pub struct Server {
    listeners: Vec<(TcpListener, Listen)>,
    readers: ReaderThreads,
    options: ServerOptions,
    metrics: Metrics,
    control: Arc<Control>,
    shutdown: Shutdown,
}

/// Ends a server or makes it read its files again. Cheap to clone.
#[derive(Clone)]
pub struct ServerHandle(Arc<Control>);

struct Control {
    trigger: ShutdownTrigger,
    tokens: Arc<Tokens>,
    tls: Option<Arc<Tls>>,
    journal: Journal,
}

impl Server {
    /// Reads certificate and tokens and listens. Must be called within a tokio runtime: it serves writers
    /// and the addresses that are theirs ([`Side::Put`]), while readers are served by threads of their own,
    /// which stand back for it.
    ///
    /// # Errors
    ///
    /// An address cannot be bound or would be open to all, a file cannot be used, or there are no
    /// threads. Nothing listens then.
    pub fn bind(options: ServerOptions, metrics: Metrics) -> Result<Self, ServeError> {
        let tls = options.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let read = options.read_tokens.clone();
        let tokens = Arc::new(Tokens::load(read, options.write_tokens.clone())?);
        for listen in &options.listen {
            check_protection(listen, &options, &tokens)?;
        }
        let readers = ReaderThreads::start(Handle::current()).map_err(ServeError::Threads)?;
        let bound = options.listen.iter().map(|listen| {
            let _inside = readers.ranks().of(rank(listen.side)).enter();
            bind(listen)
        });
        let listeners = bound.collect::<Result<Vec<_>, _>>()?;
        let warnings = tokens.warnings().chain(tls.iter().filter_map(|tls| tls.warning()));
        warnings.for_each(|warning| options.journal.line(&warning));
        let (trigger, shutdown) = ShutdownTrigger::new();
        let journal = options.journal.clone();
        let control = Arc::new(Control { trigger, tokens, tls, journal });
        Ok(Self { listeners, readers, options, metrics, control, shutdown })
    }

    /// Where it listens, with the ports that were taken for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listen> {
        let actual = |(listener, listen): &(TcpListener, Listen)| {
            let address = listener.local_addr().unwrap_or(listen.address);
            Listen { address, ..*listen }
        };
        self.listeners.iter().map(actual).collect()
    }

    /// What ends it or makes it read its files again.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.control.clone())
    }

    /// What tells its routes that it ends.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves until [`ServerHandle::shutdown`] and all connections have ended, or for the grace after
    /// it; then what remains is cut.
    pub async fn run(self, service: impl Service) {
        let grace = self.options.timers.grace;
        let caps = Caps::new(self.options.limits);
        let (cut, cuts) = ShutdownTrigger::new();
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        let addresses = self.listeners;
        let builders = |side| Builders::new(&self.options.limits, &self.options.timers, side);
        let shared = Arc::new(Shared {
            writers: builders(Side::Put),
            readers: builders(Side::Get),
            tls: self.control.tls.clone(),
            front: front(
                self.options,
                &self.metrics,
                &self.control,
                self.shutdown.clone(),
                service,
            ),
        });
        for (listener, listen) in addresses {
            let accept = Accept {
                shared: shared.clone(),
                caps: caps.clone(),
                cut: cuts.clone(),
                open: open.clone(),
                ranks: self.readers.ranks().clone(),
                listen,
            };
            self.readers.ranks().of(rank(listen.side)).spawn(accept.run(listener));
        }
        drop((open, shared));
        self.shutdown.requested().await;
        if timeout(grace, all_closed.recv()).await.is_err() {
            cut.request();
            all_closed.recv().await;
        }
    }
}

/// Refuses an address that others reach and no token protects.
fn check_protection(
    listen: &Listen,
    options: &ServerOptions,
    tokens: &Tokens,
) -> Result<(), ServeError> {
    use crate::auth::Access;
    if listen.tls && options.tls.is_none() {
        return Err(ServeError::HalfTls {
            given: "an encrypted port",
            missing: "a certificate (SERVER_CRT_FILE, SERVER_KEY_FILE)",
        });
    }
    let (access, missing) = match listen.side {
        Side::Put => (Access::Write, "write"),
        Side::Get => (Access::Read, "read"),
    };
    let open = !listen.address.ip().to_canonical().is_loopback()
        && !tokens.are_needed_for(access)
        && !options.insecure_no_auth;
    if open { Err(ServeError::OpenBind { address: listen.address, missing }) } else { Ok(()) }
}

/// Whose threads accept the connections of a side.
const fn rank(side: Side) -> Rank {
    match side {
        Side::Put => Rank::Writers,
        Side::Get => Rank::Readers,
    }
}

fn bind(listen: &Listen) -> Result<(TcpListener, Listen), ServeError> {
    let listener = socket::listen(listen.address)
        .map_err(|source| ServeError::Bind { address: listen.address, source })?;
    Ok((listener, *listen))
}

fn front(
    options: ServerOptions,
    metrics: &Metrics,
    control: &Control,
    shutdown: Shutdown,
    service: impl Service,
) -> Front {
    Front {
        service: Box::new(service),
        tokens: control.tokens.clone(),
        failures: Failures::new(options.limits.auth_failures_max),
        hosts: Hosts::new(&options.allow_hosts),
        cors: Cors::new(&options.cors_origins),
        compat_livelog: options.compat_livelog,
        limits: options.limits,
        timers: options.timers,
        journal: options.journal,
        counters: Arc::new(Counters::new(metrics)),
        shutdown,
    }
}

impl ServerHandle {
    /// Asks the server to end: no new connections, running answers are told.
    pub fn shutdown(&self) {
        self.0.trigger.request();
    }

    /// Reads certificate, key and tokens again. What cannot be used changes nothing and is told in the
    /// journal. Answers to tokens that are gone end.
    pub fn reload(&self) {
        let control = &*self.0;
        match control.tokens.reload() {
            Ok(0) => control.journal.line(&"tokens: read again"),
            Ok(gone) => control.journal.line(&format_args!("tokens: read again, {gone} revoked")),
            Err(error) => control.journal.line(&format_args!("tokens: kept as they were: {error}")),
        }
        match control.tls.as_ref().map(|tls| tls.reload()) {
            None => {}
            Some(Ok(())) => control.journal.line(&"certificate: read again"),
            Some(Err(error)) => {
                control.journal.line(&format_args!("certificate: kept as it was: {error}"));
            }
        }
    }

    /// Obeys signals from now on, as long as the result is awaited: SIGTERM and SIGINT end the server,
    /// SIGHUP makes it read its files again. Until then they end the process at once, so this comes
    /// before anybody is told that the server is there. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The system does not let signals be waited for.
    pub fn obey_signals(&self) -> std::io::Result<impl Future<Output = ()> + use<>> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let server = self.clone();
        Ok(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => server.shutdown(),
                    _ = interrupt.recv() => server.shutdown(),
                    _ = hangup.recv() => server.reload(),
                }
            }
        })
    }
}

/// Accepts the connections of one address.
struct Accept {
    shared: Arc<Shared>,
    caps: Arc<Caps>,
    cut: Shutdown,
    /// Lives as long as anything that must end before the server does.
    open: mpsc::Sender<()>,
    ranks: Ranks,
    listen: Listen,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        let shutdown = self.shared.front.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                () = shutdown.requested() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.serve(stream, address),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.shared.front.journal.line(&format_args!("cannot accept: {error}"));
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let counters = self.shared.front.counters.clone();
        counters.connections.increment();
        let place = self.caps.take(address.ip());
        if !place.as_ref().is_some_and(Place::is_served) {
            counters.refused.increment();
        }
        let Some(place) = place else { return };
        let peer = Peer { address, tls: self.listen.tls, side: self.listen.side };
        let loopback = self.listen.address.ip().to_canonical().is_loopback();
        let origin = Origin { peer, loopback, served: place.is_served() };
        let (shared, cut, open) = (self.shared.clone(), self.cut.clone(), self.open.clone());
        Home::new(self.ranks.clone(), self.listen.side).run(async move {
            let _held = (place, open, counters.connections_open.hold());
            tokio::select! {
                () = connection::serve(shared, stream, origin) => {}
                () = cut.requested() => {}
            }
        });
    }
}

/// Whether an error of `accept` is about a connection that ended before it began.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
