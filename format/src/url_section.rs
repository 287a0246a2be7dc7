//! The section of a request: the first part of the path that it asked for, by which traffic is counted.
//!
//! Defined once, here and in FORMAT.md: the monitor counts by it, queries name it, and blocks store it
//! beside the statuses, so that neither has to look at urls.

const BAD_REQUEST: &[u8] = b"(bad request)";
const CONNECT: &[u8] = b"(CONNECT)";
const SERVER: &[u8] = b"(*)";

/// What a request asked for, by its method and its url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A path that begins with a slash, with query and fragment if there are any.
    Path(&'a [u8]),
    /// A tunnel: the method CONNECT.
    Connect,
    /// The server as a whole: `OPTIONS *`.
    Server,
    /// Nothing that is a url.
    Bad,
}

impl<'a> Asked<'a> {
    /// What a request with this method and url asked for. An empty method is unknown, which is fine.
    pub fn of(method: &[u8], url: &'a [u8]) -> Self {
        if method.eq_ignore_ascii_case(b"CONNECT") {
            return Self::Connect;
        }
        match url.first() {
            Some(b'/') => Self::Path(url),
            Some(b'*') if url.len() == 1 => Self::Server,
            _ => path_of_absolute(url).map_or(Self::Bad, Self::Path),
        }
    }

    /// What a request of this section may have asked for: of all such paths the shortest one.
    pub fn of_section(section: &'a [u8]) -> Self {
        match section {
            CONNECT => Self::Connect,
            SERVER => Self::Server,
            [b'/', ..] => Self::Path(section),
            _ => Self::Bad,
        }
    }

    /// The section: of a path the slash and what follows up to the next slash, query or fragment.
    pub fn section(self) -> &'a [u8] {
        match self {
            Self::Path(path) => {
                let inside = path.get(1..).unwrap_or_default();
                let end = memchr::memchr3(b'/', b'?', b'#', inside).unwrap_or(inside.len());
                path.get(..1 + end).unwrap_or(path)
            }
            Self::Connect => CONNECT,
            Self::Server => SERVER,
            Self::Bad => BAD_REQUEST,
        }
    }
}

/// The section of a request with this method and url.
pub fn url_section<'a>(method: &str, url: &'a str) -> &'a str {
    let section = Asked::of(method.as_bytes(), url.as_bytes()).section();
    // It ends with the url or in front of an ASCII character, so it is UTF-8 as the url is.
    std::str::from_utf8(section).unwrap_or_default()
}

/// The path of `http://host/path`; `/` if it has none.
fn path_of_absolute(url: &[u8]) -> Option<&[u8]> {
    let scheme = url.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let behind = url.get(scheme..)?.strip_prefix(b"://").filter(|_| scheme > 0)?;
    let host = memchr::memchr3(b'/', b'?', b'#', behind).unwrap_or(behind.len());
    let path = behind.get(host..)?;
    Some(if path.first() == Some(&b'/') { path } else { b"/" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_the_first_parts_of_paths() {
        for (method, url, section) in [
            ("GET", "/", "/"),
            ("GET", "/api", "/api"),
            ("", "/api/user", "/api"),
            ("GET", "/api?x=/a/b", "/api"),
            ("GET", "/api#x/", "/api"),
            ("GET", "/?q", "/"),
            ("GET", "//a", "/"),
            ("GET", "/a b/c", "/a b"),
            ("GET", "/caf\u{e9}\u{0}/c", "/caf\u{e9}\u{0}"),
            ("GET", "http://host/p/q", "/p"),
            ("GET", "http://host", "/"),
            ("GET", "h2://host?q", "/"),
            ("GET", "http://host#f/p", "/"),
            ("GET", "://host/p", "(bad request)"),
            ("GET", "a-b://host/p", "(bad request)"),
            ("CONNECT", "host:443", "(CONNECT)"),
            ("connect", "/a", "(CONNECT)"),
            ("OPTIONS", "*", "(*)"),
            ("GET", "*", "(*)"),
            ("GET", "**", "(bad request)"),
            ("GET", "", "(bad request)"),
            ("GET", "a/b", "(bad request)"),
        ] {
            assert_eq!(url_section(method, url), section, "{method} {url}");
            let asked = Asked::of_section(section.as_bytes());
            assert_eq!(asked.section(), section.as_bytes(), "{method} {url}");
        }
    }
}
