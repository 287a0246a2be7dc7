//! `logq serve`: puts the parts of `live` together, says where they are, and serves until a signal comes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use logq_live::streams::{LegacyRoutes, StreamRoutes, Streams, StreamsOptions};
use logq_live::{
    Journal, Listen, Metrics, Monitor, Page, Router, ServeError, Server, ServerOptions, Side,
    Stores, StoresOptions, Timers, TlsFiles, TokenSource,
};

use crate::output::plain_line;
use crate::question;
use crate::verbs::serve::{Compat, Environment, ServeArguments};

/// Why nothing is served.
#[derive(Debug)]
pub(crate) struct Failure {
    /// As livelog's scripts know it.
    pub(crate) exit_code: u8,
    pub(crate) reason: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit_code: u8, reason: String) -> Self {
        Self { exit_code, reason: anyhow::Error::msg(reason) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(reason: anyhow::Error) -> Self {
        Self { exit_code: 1, reason }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self { exit_code: error.exit_code(), reason: error.into() }
    }
}

/// Serves until a signal asks for the end.
pub(crate) fn run(arguments: &ServeArguments, environment: Environment) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    raise_descriptor_limit();
    runtime.block_on(serve(arguments, environment))
}

async fn serve(arguments: &ServeArguments, environment: Environment) -> Result<(), Failure> {
    let stores = StoresOptions::new(named(&arguments.stores)?, plain_line);
    let zone = question::zone(&arguments.zone)?;
    let journal = Journal::stderr();
    let metrics = Metrics::new();
    let streams_options = streams_options(arguments, &environment);
    let tls = environment.certificate.is_some();
    let has_token = environment.access_token.is_some() || arguments.token_file.is_some();
    let options = server_options(arguments, environment, &journal)?;
    // Streams are opened once the ports are ours: a second server by mistake must not touch them.
    let server = Server::bind(options, metrics.clone())?;
    let streams = Streams::open(streams_options, &metrics, journal.clone())
        .context("cannot open the streams")?;
    let signals = server.handle().obey_signals().context("cannot wait for signals")?;
    let _full_disks = survive_file_limits().context("cannot wait for signals")?;
    announce(&server, &streams, tls, has_token);
    for (name, path) in &stores.stores {
        tell!("logq: store: /v1/stores/{name}: {}", path.display());
    }
    let mut router = Router::new(metrics.clone())
        .legacy(LegacyRoutes::new(streams.clone()))
        .streams(StreamRoutes::new(streams))
        .stores(Stores::new(StoresOptions { zone: zone.clone(), ..stores }, &metrics))
        .page(Page);
    if let Some(store) = &arguments.monitor {
        router = router.monitor(Monitor::new(store.clone(), zone));
    }
    tokio::select! {
        () = server.run(router) => {}
        () = signals => {}
    }
    Ok(())
}

/// Stores by their names: `NAME=STORE`, or the name of the directory.
fn named(stores: &[OsString]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut named = BTreeMap::new();
    for store in stores {
        let text = store.to_str().and_then(|text| text.split_once('='));
        let (name, path) = match text {
            // A path that exists is meant, whatever it is called.
            Some((name, path)) if !Path::new(store).exists() => (name.to_owned(), path.into()),
            _ => (name_of(Path::new(store)), PathBuf::from(store)),
        };
        if !Stores::is_name(&name) {
            bail!(
                "{}: no name for addresses: give one of letters, digits, `.`, `_` and `-`, as in \
                 NAME=STORE",
                path.display()
            );
        }
        if named.insert(name, path.clone()).is_some() {
            bail!(
                "{}: a second store of that name: give it another one, as in NAME=STORE",
                path.display()
            );
        }
    }
    Ok(named)
}

/// The last part of a path, also of `.`; empty if there is none.
fn name_of(store: &Path) -> String {
    let whole = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Each connection and each stream takes a descriptor: as many as the system lets this process have.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it stays as it was, the caps on connections still hold.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Where the size of files is limited, a write beyond it shall fail as on a full disk: by itself the
/// signal that comes along ends the process.
fn survive_file_limits() -> std::io::Result<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32))
}

fn streams_options(arguments: &ServeArguments, environment: &Environment) -> StreamsOptions {
    let defaults = StreamsOptions::default();
    StreamsOptions {
        directory: arguments.dir.clone(),
        temporary_in: environment.temporary_in.clone().unwrap_or(defaults.temporary_in),
        stream_bytes_max: arguments.max_bytes.unwrap_or(u64::MAX),
        free_bytes_min: arguments.min_free,
        stream_count_max: arguments.max_streams,
        keep: arguments.keep,
        writer_grace: arguments.writer_grace,
        replace: arguments.replace,
        livelog_compatible: arguments.compat == Some(Compat::Livelog),
    }
}

fn server_options(
    arguments: &ServeArguments,
    environment: Environment,
    journal: &Journal,
) -> Result<ServerOptions, Failure> {
    let tls = TlsFiles::from_pair(environment.certificate, environment.key)?;
    let source = |file: &Option<PathBuf>, name, value: Option<String>| match file {
        Some(file) => Some(TokenSource::file(file)),
        None => value.map(|value| TokenSource::variable(name, value)),
    };
    let read_tokens = source(&arguments.token_file, "ACCESS_TOKEN", environment.access_token);
    let write_tokens =
        source(&arguments.write_token_file, "LOGQ_WRITE_TOKEN", environment.write_token);
    // With a token the reading side is for others, as livelog's is.
    let for_whom = if read_tokens.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let reading = arguments.listen.unwrap_or(IpAddr::V4(for_whom));
    let put = SocketAddr::new(arguments.put_listen, environment.put_port);
    let get = SocketAddr::new(reading, environment.get_port);
    Ok(ServerOptions {
        listen: vec![
            Listen { address: put, side: Side::Put, tls: false },
            Listen { address: get, side: Side::Get, tls: tls.is_some() },
        ],
        tls,
        read_tokens,
        write_tokens,
        insecure_no_auth: arguments.insecure_no_auth,
        cors_origins: arguments.cors_origins.clone(),
        allow_hosts: arguments.allow_hosts.clone(),
        compat_livelog: arguments.compat == Some(Compat::Livelog),
        limits: arguments.clients.limits(),
        timers: Timers {
            writer_idle: arguments.writer_idle,
            grace: arguments.grace,
            ..arguments.clients.timers()
        },
        journal: if arguments.quiet { Journal::none() } else { journal.clone() },
    })
}

/// Says where to write and where to read, with the ports that were free where 0 was asked for.
fn announce(server: &Server, streams: &Streams, tls: bool, has_token: bool) {
    for Listen { address, side, .. } in server.addresses() {
        match (side, has_token) {
            (Side::Put, _) => tell!("logq: writing: PUT http://{address}/log"),
            (Side::Get, token) => {
                let scheme = if tls { "https" } else { "http" };
                let token = if token { "<ACCESS_TOKEN>" } else { "" };
                tell!("logq: reading: {scheme}://{address}/log/{token}");
            }
        }
    }
    tell!("logq: streams: {}", streams.directory().display());
}
