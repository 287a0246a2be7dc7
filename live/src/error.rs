//! Why a server does not start or does not take new files, with what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server cannot start, or a reload changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Others can reach the address and nothing protects it.
    #[error(
        "{address} can be reached by others and no {missing} token is set: \
        set one, listen on 127.0.0.1, or give --insecure-no-auth"
    )]
    OpenBind {
        /// The address.
        address: SocketAddr,
        /// What would be open to all: `read` or `write`.
        missing: &'static str,
    },
    /// Only one of certificate and key is given, or an address shall be encrypted without either.
    #[error("{given} is set and {missing} is not: TLS needs both")]
    HalfTls {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// The certificate or its key cannot be used.
    #[error("{path}: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of tokens cannot be used.
    #[error("{path}: {reason}")]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. No part of a token.
        reason: String,
    },
    /// The system gives this process no threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// A token in the environment cannot be used.
    #[error("{variable} is not a token: 1 to 1024 visible ASCII characters")]
    Token {
        /// The variable.
        variable: &'static str,
    },
}

impl ServeError {
    /// The exit code that says so: 68 for TLS, 69 for an address open to all, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::HalfTls { .. } | Self::Tls { .. } => 68,
            Self::OpenBind { .. } => 69,
            Self::Bind { .. } | Self::Threads(_) | Self::Tokens { .. } | Self::Token { .. } => 1,
        }
    }
}
