//! Certificate and key: reading them, and reading them again while connections are served.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::ServeError;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// A chain of certificates in PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its key in PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files that livelog's environment variables name; `None` without any.
    ///
    /// # Errors
    ///
    /// Only one of the two is there. Serving without encryption then would betray what was meant.
    pub fn from_pair(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, ServeError> {
        const NAMES: [&str; 2] = ["SERVER_CRT_FILE", "SERVER_KEY_FILE"];
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(ServeError::HalfTls { given: NAMES[0], missing: NAMES[1] }),
            (None, Some(_)) => Err(ServeError::HalfTls { given: NAMES[1], missing: NAMES[0] }),
        }
    }

    /// Reads both. New connections get them; what rustls makes of them checks that they belong together.
    fn load(&self) -> Result<Arc<ServerConfig>, ServeError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(&self.certificate, &error, "certificate"))?;
        if chain.is_empty() {
            return Err(unusable(&self.certificate, &pem::Error::NoItemsFound, "certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unusable(&self.key, &error, "private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key))
            .map_err(|error| ServeError::Tls {
                path: self.certificate.clone(),
                reason: format!("cannot be used with {}: {error}", self.key.display()),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// What should be told about the files although they can be used.
    fn warning(&self) -> Option<String> {
        readable_by_others(&self.key)
            .then(|| format!("warning: {} is readable by others: chmod 600 it", self.key.display()))
    }
}

fn unusable(path: &Path, error: &pem::Error, kind: &str) -> ServeError {
    let reason = match error {
        pem::Error::NoItemsFound => format!("no {kind} in PEM is in this file"),
        error => format!("cannot read the {kind}: {error}"),
    };
    ServeError::Tls { path: path.to_owned(), reason }
}

/// Whether group or others may read the file.
pub(crate) fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o044 != 0)
}

/// The certificate in use.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, ServeError> {
        let config = RwLock::new(files.load()?);
        Ok(Self { files, config })
    }

    /// Reads the files again. If they cannot be used, what was in use stays.
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        let config = self.files.load()?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn warning(&self) -> Option<String> {
        self.files.warning()
    }

    /// What the next handshake uses.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
