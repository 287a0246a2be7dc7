//! TLS: what is negotiated, and certificates that change while connections are served (E.2.7).

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use logq_live::{Metrics, ServeError, Server, ServerOptions, Side, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{TestServer, certificate, options, request};

/// A certificate and its key in files.
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.renew();
        files
    }

    /// Replaces both.
    pub(crate) fn renew(&self) {
        let (certificate, key) = certificate();
        std::fs::write(self.certificate(), certificate).unwrap();
        std::fs::write(self.key(), key).unwrap();
        std::fs::set_permissions(self.key(), PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// Encrypts the port for reading.
    pub(crate) fn set(&self, options: &mut ServerOptions) {
        options.tls = Some(TlsFiles { certificate: self.certificate(), key: self.key() });
        let get = options.listen.iter_mut().filter(|listen| listen.side == Side::Get);
        get.for_each(|listen| listen.tls = true);
    }

    /// A client that trusts only the certificate that is in the file now.
    fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The first that such a client says.
    pub(crate) fn client_hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(self.client(&["http/1.1"]), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    /// Connects.
    async fn connect(
        &self,
        server: &TestServer,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.client(protocols);
        let stream = TcpStream::connect(server.get).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(config).connect(name, stream).await
    }
}

async fn read_until(stream: &mut TlsStream<TcpStream>, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_cuts_nobody() {
    let files = Files::new();
    let server = TestServer::start(|options| files.set(options));
    let mut reader = files.connect(&server, &["http/1.1"]).await.unwrap();
    assert_eq!(reader.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    reader.write_all(request("GET", "/v1/streams/live", "").as_bytes()).await.unwrap();
    read_until(&mut reader, "line\n\r\n").await;

    files.renew();
    assert!(files.connect(&server, &[]).await.is_err(), "the old one is still in use");
    server.handle.reload();
    server.line("certificate: read again").await;
    let mut new = files.connect(&server, &[]).await.unwrap();
    new.write_all(request("GET", "/v1/streams/hello", "").as_bytes()).await.unwrap();
    assert!(read_until(&mut new, "hello\n").await.starts_with("HTTP/1.1 200 OK"));

    std::fs::write(files.key(), "no key").unwrap();
    server.handle.reload();
    let line = server.line("certificate: kept as it was: ").await;
    assert!(line.contains("server.key: no private key in PEM"), "{line}");
    files.connect(&server, &[]).await.unwrap();

    server.handle.shutdown();
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "the reader was served all the time, and gets no final chunk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_looked_at_over_tls_too() {
    let files = Files::new();
    let server = TestServer::start(|options| files.set(options));
    let mut client = files.connect(&server, &[]).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\nHost: localhost\n\n").await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    // Plain HTTP on an encrypted port is no request.
    assert!(!server.get("/healthz", "").await.contains("HTTP/1.1 200"));
}

/// E.2.7
#[tokio::test]
async fn half_of_tls_is_an_error_not_plain_text() {
    let path = || Some(PathBuf::from("/nonexistent"));
    for (certificate, key, missing) in
        [(path(), None, "SERVER_KEY_FILE"), (None, path(), "SERVER_CRT_FILE")]
    {
        let error = TlsFiles::from_pair(certificate, key).unwrap_err();
        assert_eq!(error.exit_code(), 68);
        assert!(error.to_string().contains(&format!("{missing} is not")), "{error}");
    }
    assert_eq!(TlsFiles::from_pair(None, None).unwrap(), None);
    let mut encrypted = options();
    encrypted.listen[0].tls = true;
    let error = Server::bind(encrypted, Metrics::new()).map(drop).unwrap_err();
    assert_eq!(error.exit_code(), 68);
}

/// E.2.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    let bind = || {
        let mut options = options();
        files.set(&mut options);
        Server::bind(options, Metrics::new()).map(drop)
    };
    let (certificate, _) = certificate();
    let key = std::fs::read_to_string(files.key()).unwrap();
    for (path, content) in [
        (files.certificate(), certificate.as_str()),
        (files.certificate(), key.as_str()),
        (files.certificate(), ""),
        (files.key(), ""),
        (files.key(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ] {
        files.renew();
        std::fs::write(&path, content).unwrap();
        let error = bind().unwrap_err();
        assert_eq!(error.exit_code(), 68);
        assert!(matches!(error, ServeError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("server."), "{error}");
        assert!(!error.to_string().contains("BEGIN"), "{error}");
    }
    std::fs::remove_file(files.key()).unwrap();
    assert_eq!(bind().unwrap_err().exit_code(), 68);

    files.renew();
    std::fs::set_permissions(files.key(), PermissionsExt::from_mode(0o644)).unwrap();
    let server = TestServer::start(|options| files.set(options));
    let line = server.line("warning: ").await;
    assert!(line.contains("server.key is readable by others"), "{line}");
}
