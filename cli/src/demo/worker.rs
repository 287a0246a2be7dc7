//! A worker process of the demo: serves the shop until the master closes the pipe, SIGTERM comes or
//! it is killed. A service of one's own that uses axum looks much like this.

use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use logq_format::WorkerId;
use logq_writer::{LoggerOptions, WorkerLogger};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::shop;
use crate::exit::Exit;

/// The variable that tells a process which worker it is.
pub(super) const ROLE: &str = "LOGQ_DEMO_WORKER";

/// How long clients may take to end when the worker shall.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

/// Which worker this process is; `None` for the master.
///
/// # Errors
///
/// The variable is not a worker's number.
pub(super) fn role() -> anyhow::Result<Option<WorkerId>> {
    let Some(role) = std::env::var_os(ROLE) else { return Ok(None) };
    let id = role.to_str().and_then(|role| WorkerId::new(role.parse().ok()?));
    id.map(Some).with_context(|| format!("{ROLE} is not the number of a worker; unset it"))
}

/// Serves; standard output gets the address as the only line.
///
/// # Errors
///
/// The store cannot be written to, or there is no port to listen on.
pub(super) fn run(store: &Path, id: WorkerId) -> anyhow::Result<Exit> {
    let log = WorkerLogger::open(store, id, LoggerOptions::default())?;
    log.log_panics();
    log.worker_started();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;
    runtime.block_on(serve(&log))?;

    log.worker_done();
    log.close().context("the last records of the worker are lost")?;
    Ok(Exit::Success)
}

async fn serve(log: &WorkerLogger) -> anyhow::Result<()> {
    log.worker_going_online();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("cannot listen on a port of 127.0.0.1; are all in use?")?;
    let address = listener.local_addr().context("cannot tell the port")?;
    let ended = asked_to_end().context("cannot wait for the master")?;
    let (tell_ending, ending) = oneshot::channel::<()>();
    let leaving = log.clone();
    let stop = async move {
        ended.await;
        leaving.worker_going_offline();
        // Should nobody wait for it, the process is ending already.
        let _ = tell_ending.send(());
    };

    log.worker_online();
    log.info(json!({
        "message": "serving", "address": address.to_string(), "pid": std::process::id(),
    }));
    writeln!(io::stdout(), "{address}").context("cannot tell the master")?;

    let server = axum::serve(listener, shop::service(log)).with_graceful_shutdown(stop);
    let impatience = async {
        // Fails if the server is gone, which then ends the wait anyway.
        let _ = ending.await;
        tokio::time::sleep(CLIENT_PATIENCE).await;
    };
    tokio::select! {
        served = server => served.context("cannot serve")?,
        () = impatience => {}
    }
    log.worker_offline();
    Ok(())
}

/// Waits for SIGTERM or for the end of standard input, which comes however the master ends.
fn asked_to_end() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminated = signal(SignalKind::terminate())?;
    let (tell_alone, alone) = oneshot::channel::<()>();
    thread::Builder::new().name("demo-master".to_owned()).spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tell_alone.send(())
    })?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = alone => {}
        }
    })
}
