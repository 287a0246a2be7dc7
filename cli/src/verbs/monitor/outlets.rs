//! The flags that say where numbers and changes of alerts go besides standard output.

#[cfg(any(feature = "listen", feature = "webhook"))]
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(any(feature = "listen", feature = "webhook"))]
use anyhow::{Context as _, bail};
use clap::Args;

use crate::monitor::Outlets;
#[cfg(feature = "listen")]
use crate::monitor::{Listen, parse_address};

/// Secrets are read from files and variables: words of a command line are seen by everybody.
#[cfg(feature = "listen")]
const TOKEN: &str = "LOGQ_TOKEN";
#[cfg(feature = "webhook")]
const SECRET: &str = "LOGQ_WEBHOOK_SECRET";
/// More than any secret has, in bytes.
#[cfg(any(feature = "listen", feature = "webhook"))]
const SECRET_BYTES_MAX: u64 = 4_096;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where alerts and numbers go")]
pub(crate) struct OutletArguments {
    /// Run a command at each change of an alert, which it gets as JSON on standard input; it is
    /// split into words, and no shell sees it. May be repeated
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Vec<String>,

    /// End a command that takes longer, with all that it started
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = super::length)]
    pub(crate) exec_timeout: u32,

    /// Post each change of an alert to this URL as JSON: https, or http on this machine. May be
    /// repeated
    #[cfg(feature = "webhook")]
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Vec<String>,

    /// Sign what is posted with the secret in this file; else with LOGQ_WEBHOOK_SECRET, if set
    #[cfg(feature = "webhook")]
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub(crate) webhook_secret_file: Option<PathBuf>,

    /// Post also to addresses of private networks
    #[cfg(feature = "webhook")]
    #[arg(long, requires = "webhook")]
    pub(crate) webhook_allow_private: bool,

    /// Serve metrics for Prometheus on http://ADDRESS/metrics; a port alone is one of 127.0.0.1
    #[cfg(feature = "listen")]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// Serve metrics only to who sends `Authorization: Bearer` and the token in this file; else the
    /// one in LOGQ_TOKEN, if set
    #[cfg(feature = "listen")]
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) token_file: Option<PathBuf>,

    /// Serve metrics to anybody who can reach an address that is not of this machine alone
    #[cfg(feature = "listen")]
    #[arg(long, requires = "listen")]
    pub(crate) insecure_no_auth: bool,
}

impl OutletArguments {
    /// # Errors
    ///
    /// A secret cannot be read, or metrics would be open to the network.
    pub(super) fn outlets(&self) -> anyhow::Result<Outlets> {
        Ok(Outlets {
            exec: self.exec.clone(),
            exec_timeout: Duration::from_secs(self.exec_timeout.into()),
            #[cfg(feature = "webhook")]
            webhooks: self.webhook.clone(),
            #[cfg(feature = "webhook")]
            webhook_secret: match self.webhook.is_empty() {
                true => None,
                false => {
                    secret(self.webhook_secret_file.as_deref(), SECRET)?.map(String::into_bytes)
                }
            },
            #[cfg(feature = "webhook")]
            webhook_allows_private: self.webhook_allow_private,
            #[cfg(feature = "listen")]
            listen: self.listen()?,
        })
    }

    #[cfg(feature = "listen")]
    fn listen(&self) -> anyhow::Result<Option<Listen>> {
        let Some(address) = self.listen else { return Ok(None) };
        let token = secret(self.token_file.as_deref(), TOKEN)?;
        if token.is_none() && !address.ip().is_loopback() && !self.insecure_no_auth {
            bail!(
                "--listen {address} can be reached from other machines; give a token in \
                 --token-file or {TOKEN}, or say --insecure-no-auth"
            );
        }
        Ok(Some(Listen { address, token }))
    }
}

/// The secret in a file, or in a variable of the environment if no file is named.
#[cfg(any(feature = "listen", feature = "webhook"))]
fn secret(file: Option<&Path>, variable: &str) -> anyhow::Result<Option<String>> {
    let (text, place) = match file {
        Some(path) => (read(path)?, path.display().to_string()),
        None => match std::env::var(variable) {
            Ok(text) => (text, variable.to_owned()),
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{variable} is no text"),
        },
    };
    let text = text.trim();
    if text.is_empty() {
        bail!("{place} holds no secret");
    }
    Ok(Some(text.to_owned()))
}

#[cfg(any(feature = "listen", feature = "webhook"))]
fn read(path: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;

    let context = || format!("cannot read the secret in {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(context)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).with_context(context)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        bail!("{} is too long for a secret: more than {SECRET_BYTES_MAX} bytes", path.display());
    }
    Ok(text)
}
