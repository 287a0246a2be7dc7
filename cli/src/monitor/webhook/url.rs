//! The URL of a webhook: `https`, or `http` to this machine itself.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use hyper::Uri;

/// A URL that may be posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) is_tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// As the header `Host` has it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    /// Whether the host is this machine by its very name.
    pub(super) is_loopback: bool,
}

impl Url {
    /// # Errors
    ///
    /// It is no URL, holds a password, or would send alerts over the network in the clear.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let uri: Uri = text.parse().context("no URL")?;
        let authority = uri.authority().context("expected https://HOST/PATH")?;
        if authority.as_str().contains('@') {
            bail!("a password in a URL is seen by everybody; sign requests with a secret instead");
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_loopback = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback => false,
            Some("http") => bail!("http is for this machine only; use https"),
            _ => bail!("expected https://HOST/PATH"),
        };
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            is_loopback,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_https_or_of_this_machine() {
        let url = Url::parse("https://hooks.example.org:8443/a/b?c=d").unwrap();
        let expected = Url {
            is_tls: true,
            host: "hooks.example.org".to_owned(),
            port: 8443,
            authority: "hooks.example.org:8443".to_owned(),
            path: "/a/b?c=d".to_owned(),
            is_loopback: false,
        };
        assert_eq!(url, expected);
        let check = |text, host: &str, port, is_loopback| {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (&*url.host, url.port, url.is_loopback),
                (host, port, is_loopback),
                "{text}"
            );
        };
        check("http://127.0.0.1:9/x", "127.0.0.1", 9, true);
        check("http://[::1]:9/x", "::1", 9, true);
        check("http://LocalHost", "LocalHost", 80, true);
        check("https://10.0.0.1", "10.0.0.1", 443, false);
        check("https://localhost.example.org/", "localhost.example.org", 443, false);
    }

    #[test]
    fn what_would_leak_is_refused() {
        for (text, expected) in [
            ("http://hooks.example.org/", "use https"),
            ("http://127.0.0.1.example.org/", "use https"),
            ("http://2130706433/", "use https"),
            ("https://user:word@example.org/", "a password in a URL"),
            ("ftp://example.org/", "expected https"),
            ("/path", "expected https"),
            ("example.org", "expected https"),
            ("https://", "no URL"),
            ("https://a b/", "no URL"),
            ("", "no URL"),
        ] {
            let error = format!("{:#}", Url::parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
