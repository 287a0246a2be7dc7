//! `--webhook URL`: changes of alerts, posted to a server.
//!
//! | | |
//! |---|---|
//! | request | `POST`, `Content-Type: application/json`, the object that `-o json` prints |
//! | `Logq-Delivery` | the `id` in it, which stays the same when it is tried again, also by a later run |
//! | `Logq-Signature` | `t=<seconds>,v1=<hex>`: HMAC-SHA-256 of `<seconds>.<body>` with the secret |
//! | delivered | any status 2xx |
//! | tried again | no connection, no answer in 5 s, 408, 425, 429, 5xx: after 1 to 60 s, at most ten times |
//! | given up | anything else; redirections are not followed |
//!
//! The address is judged after its name was resolved, and that address is connected to: a name
//! cannot lead into a private network, at first or later.

mod address;
mod url;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use hmac::{Hmac, Mac as _};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::url::Url;
use super::deliver::{Carry, Message, Until};

/// From the name's look-up to the head of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where and how changes of alerts are posted.
pub(super) struct Webhook {
    url: Url,
    allows_private: bool,
    secret: Option<Vec<u8>>,
    tls: Option<TlsConnector>,
    pace: Pace,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

/// How often and how soon a request is tried again.
#[derive(Clone, Copy, Debug)]
struct Pace {
    first: Duration,
    longest: Duration,
    attempts: u32,
    timeout: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        attempts: 10,
        timeout: TIMEOUT,
    };

    /// The time before an attempt is repeated: twice the last one, and up to half of it less, so that
    /// many who fail together do not come back together.
    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        doubled.min(self.longest).mul_f64(1.0 - fastrand::f64() / 2.0).max(self.first)
    }
}

/// Why a request was not taken.
enum Failure {
    /// It may be taken later, at the earliest after the time that the server asks for.
    Passing(anyhow::Error, Option<Duration>),
    Final(anyhow::Error),
}

impl Webhook {
    /// # Errors
    ///
    /// The URL is none, or one that is not secure; or there are no certificates to judge a server by.
    pub(super) fn new(
        text: &str,
        secret: Option<Vec<u8>>,
        allows_private: bool,
    ) -> anyhow::Result<Self> {
        let url = Url::parse(text).context("--webhook")?;
        let tls = if url.is_tls { Some(tls(system_roots().context("--webhook")?)?) } else { None };
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (pace, runtime) = (Pace::USUAL, Some(runtime));
        Ok(Self { url, allows_private, secret, tls, pace, runtime })
    }

    /// Whom it posts to, for messages.
    pub(super) fn authority(&self) -> &str {
        &self.url.authority
    }

    async fn attempt(&self, message: &Message) -> Result<(), Failure> {
        let exchanged = timeout(self.pace.timeout, self.exchange(message)).await;
        let response = exchanged.unwrap_or_else(|_| {
            let text = format!("no answer within {:?}", self.pace.timeout);
            Err(Failure::Passing(anyhow!(text), None))
        })?;
        judge(response.status(), retry_after(&response))
    }

    async fn exchange(
        &self,
        message: &Message,
    ) -> Result<Response<hyper::body::Incoming>, Failure> {
        let addresses = self.resolve().await?;
        let passing = |error: anyhow::Error| Failure::Passing(error, None);
        let connected = TcpStream::connect(&*addresses).await;
        let stream = connected.context("cannot connect").map_err(passing)?;
        let request = self.request(message).map_err(Failure::Final)?;
        let Some(tls) = &self.tls else {
            return post(stream, request).await.map_err(passing);
        };
        let name = ServerName::try_from(self.url.host.clone());
        let name = name.context("no name of a server").map_err(Failure::Final)?;
        let secured = tls.connect(name, stream).await.context("no secure connection");
        post(secured.map_err(passing)?, request).await.map_err(passing)
    }

    /// The addresses of the server that may be connected to.
    async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let found = lookup_host((self.url.host.as_str(), self.url.port)).await;
        let found = found.context("its name cannot be resolved");
        let found: Vec<_> = found.map_err(|error| Failure::Passing(error, None))?.collect();
        let is_allowed = |address: &SocketAddr| match () {
            () if self.url.is_loopback => address.ip().is_loopback(),
            () => self.allows_private || address::is_public(address.ip()),
        };
        let allowed: Vec<_> = found.iter().copied().filter(is_allowed).collect();
        match (allowed.is_empty(), found.first()) {
            (false, _) => Ok(allowed),
            (true, None) => Err(Failure::Passing(anyhow!("its name has no address"), None)),
            (true, Some(first)) => Err(Failure::Final(anyhow!(
                "leads to {}, which is not public; --webhook-allow-private permits it",
                first.ip()
            ))),
        }
    }

    fn request(&self, message: &Message) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(&*self.url.path)
            .header(HOST, &*self.url.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("logq/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header("logq-delivery", &*message.id);
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            request =
                request.header("logq-signature", signature(secret, now, message.json.as_bytes())?);
        }
        Ok(request.body(Full::new(Bytes::copy_from_slice(message.json.as_bytes())))?)
    }
}

impl Carry for Webhook {
    fn carry(&mut self, message: &Message, until: &Until) -> anyhow::Result<()> {
        let Some(runtime) = &self.runtime else { bail!("it was stopped") };
        let mut attempt = 1;
        loop {
            let (error, wanted) = match runtime.block_on(self.attempt(message)) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, wanted)) => (error, wanted),
            };
            let pause = self.pace.pause(attempt).max(wanted.unwrap_or_default());
            if attempt >= self.pace.attempts || !until.pause(pause.min(self.pace.longest)) {
                return Err(error.context(format!("given up after {attempt} attempts")));
            }
            attempt += 1;
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // The look-up of a name may hang in a thread, and nobody waits for it any more.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Sends the request and reads the head of the answer; nobody reads its body.
async fn post<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<hyper::body::Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("no answer");
    connection.abort();
    response
}

fn judge(status: StatusCode, wanted: Option<Duration>) -> Result<(), Failure> {
    let answer = anyhow!("the server answers {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Failure::Final(answer.context("redirections are not followed"))),
        408 | 425 | 429 | 500..=599 => Err(Failure::Passing(answer, wanted)),
        _ => Err(Failure::Final(answer)),
    }
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// The value of `Logq-Signature`. The time is part of what is signed, so that a request which
/// somebody has recorded is worth nothing later.
fn signature(secret: &[u8], seconds: u64, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// The certificates of the system, or those that `SSL_CERT_FILE` names.
fn system_roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!(
            "the system has no certificates to judge servers by; install its package \
             ca-certificates, or name a file in SSL_CERT_FILE"
        );
    }
    Ok(roots)
}

fn tls(roots: RootCertStore) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
