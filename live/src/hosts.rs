//! Host names under which the server may be reached: the defence against DNS rebinding.
//!
//! A page of an attacker can make its own name resolve to 127.0.0.1 and then is, for the browser, of
//! the same origin as a server there. It cannot make the browser send another name than its own.

use http::request::Parts;
use http::uri::Authority;

/// The names that are served.
#[derive(Debug)]
pub(crate) struct Hosts {
    allowed: Vec<String>,
}

impl Hosts {
    pub(crate) fn new(allowed: &[String]) -> Self {
        let normal = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
        Self { allowed: allowed.iter().map(normal).collect() }
    }

    /// Whether a request to a loopback address names a host that belongs there.
    ///
    /// The target's authority counts if there is one, as well as the header.
    pub(crate) fn allow(&self, head: &Parts) -> bool {
        let mut headers = head.headers.get_all(http::header::HOST).iter();
        let header = headers.next().map(|value| value.to_str().unwrap_or_default());
        if headers.next().is_some() {
            return false;
        }
        let target = head.uri.authority().map(Authority::as_str);
        let named = header.is_some() || target.is_some();
        // HTTP/1.0 knows no host. Browsers do not speak it.
        let nameless = !named && head.version <= http::Version::HTTP_10;
        nameless || (named && header.into_iter().chain(target).all(|host| self.is_ours(host)))
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.ends_with(".localhost")
            || address.parse::<std::net::IpAddr>().is_ok()
            || self.allowed.contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, hosts: &[&str], expected: bool) {
        let mut request = http::Request::builder().uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let allowed = Hosts::new(&["Logs.Example".to_owned()]);
        assert_eq!(allowed.allow(&head), expected, "{target} {hosts:?}");
    }

    #[test]
    fn only_local_names_and_addresses() {
        for host in ["localhost", "LOCALHOST:60023", "a.localhost.", "127.0.0.1:1", "[::1]:60023"] {
            check("/", &[host], true);
        }
        for host in ["10.1.2.3", "logs.example", "logs.example.:80"] {
            check("/", &[host], true);
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example#localhost",
            "evillocalhost",
            "",
            " ",
        ] {
            check("/", &[host], false);
        }
    }

    #[test]
    fn targets_and_headers_must_both_be_ours() {
        check("http://evil.example/log", &["localhost"], false);
        check("http://localhost/log", &["evil.example"], false);
        check("http://localhost/log", &["localhost"], true);
        check("http://localhost/log", &[], true);
        check("/", &["localhost", "localhost"], false);
        check("/", &[], false);
    }
}
