//! One request as the monitor counts it, borrowed from the line that told of it.

use std::borrow::Cow;

use logq_format::{Asked, Timestamp};

/// The longest name of a section, an url or a client that is kept, in bytes; the rest is cut off.
/// Longer ones exist only where somebody wants to fill memory.
pub const NAME_BYTES_MAX: usize = 256;

/// One request: when, to what, from whom, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// When, in microseconds; counted in its whole second, UTC.
    pub time: Timestamp,
    /// What was asked for.
    pub target: Target<'a>,
    /// The client as logged, empty or `-` if unknown.
    pub client: Cow<'a, [u8]>,
    /// The status, 0 if unknown.
    pub status: u16,
    /// Bytes of the response, 0 if unknown.
    pub bytes: u64,
    /// How long it took, in microseconds, if the log tells.
    pub latency_us: Option<u64>,
}

impl Hit<'_> {
    /// The same hit on its own memory, long names cut to [`NAME_BYTES_MAX`].
    pub fn detach(&self) -> Hit<'static> {
        Hit {
            time: self.time,
            target: match &self.target {
                Target::Path(path) => Target::Path(Cow::Owned(cut(path).to_vec())),
                Target::Connect => Target::Connect,
                Target::Server => Target::Server,
                Target::Bad => Target::Bad,
                Target::Unknown => Target::Unknown,
            },
            client: Cow::Owned(cut(&self.client).to_vec()),
            status: self.status,
            bytes: self.bytes,
            latency_us: self.latency_us,
        }
    }

    /// The same hit on its own memory.
    pub(crate) fn into_owned(self) -> Hit<'static> {
        Hit {
            time: self.time,
            target: self.target.into_owned(),
            client: Cow::Owned(self.client.into_owned()),
            status: self.status,
            bytes: self.bytes,
            latency_us: self.latency_us,
        }
    }

    /// The second the hit is counted in, since the epoch.
    pub fn second(&self) -> i64 {
        self.time.as_micros().div_euclid(1_000_000)
    }

    /// How it ended.
    pub(crate) fn ending(&self) -> Ending {
        Ending { status: self.status, bytes: self.bytes, latency_us: self.latency_us }
    }
}

/// The numbers of a hit, without its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) latency_us: Option<u64>,
}

/// What a request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A path that begins with a slash, with query and fragment if there are any.
    Path(Cow<'a, [u8]>),
    /// A tunnel: the method CONNECT.
    Connect,
    /// The server as a whole: `OPTIONS *`.
    Server,
    /// What is no request: nothing, `-`, two words, the first bytes of a TLS handshake.
    ///
    /// Such lines are legal and common, so they count as hits.
    Bad,
    /// What nobody has told: the request of a response that came without.
    Unknown,
}

const UNKNOWN: &[u8] = b"(unknown)";

impl<'a> Target<'a> {
    /// The target of a request line: `GET /a HTTP/1.1`.
    ///
    /// The first space ends the method and the last one begins the protocol, so that literal spaces
    /// in a path survive. Without a protocol it is no request.
    pub fn of_request(request: &'a [u8]) -> Self {
        let Some(first) = memchr::memchr(b' ', request) else { return Self::Bad };
        let Some(last) = memchr::memrchr(b' ', request).filter(|last| *last > first) else {
            return Self::Bad;
        };
        let (Some(method), Some(path), Some(protocol)) =
            (request.get(..first), request.get(first + 1..last), request.get(last + 1..))
        else {
            return Self::Bad;
        };
        if is_protocol(protocol) { Self::of(method, path) } else { Self::Bad }
    }

    /// The target of a request whose log has its parts in fields of their own. An empty method is
    /// unknown, which is fine.
    pub fn of(method: &[u8], path: &'a [u8]) -> Self {
        Asked::of(method, path).into()
    }

    /// The target of a request of which only the section is known.
    pub fn of_section(section: &'a [u8]) -> Self {
        Asked::of_section(section).into()
    }

    /// The same target on its own memory.
    pub(crate) fn into_owned(self) -> Target<'static> {
        match self {
            Self::Path(path) => Target::Path(Cow::Owned(path.into_owned())),
            Self::Connect => Target::Connect,
            Self::Server => Target::Server,
            Self::Bad => Target::Bad,
            Self::Unknown => Target::Unknown,
        }
    }

    /// The section: a slash and the text up to the next slash. With `queries`, a query string in
    /// front of that slash belongs to it; without, the section ends at query and fragment.
    pub fn section(&self, queries: bool) -> &[u8] {
        let asked = match self {
            Self::Path(path) if queries => {
                let inside = path.get(1..).unwrap_or_default();
                let end = memchr::memchr(b'/', inside).unwrap_or(inside.len());
                return cut(path.get(..1 + end).unwrap_or(path));
            }
            Self::Path(path) => Asked::Path(path),
            Self::Connect => Asked::Connect,
            Self::Server => Asked::Server,
            Self::Bad => Asked::Bad,
            Self::Unknown => return UNKNOWN,
        };
        cut(asked.section())
    }

    /// The url: the path, with query and fragment only if `queries`.
    pub fn url(&self, queries: bool) -> &[u8] {
        let path: &[u8] = match self {
            Self::Path(path) => path,
            other => return other.section(queries),
        };
        let end = if queries { None } else { memchr::memchr2(b'?', b'#', path) };
        cut(path.get(..end.unwrap_or(path.len())).unwrap_or(path))
    }
}

impl<'a> From<Asked<'a>> for Target<'a> {
    fn from(asked: Asked<'a>) -> Self {
        match asked {
            Asked::Path(path) => Self::Path(Cow::Borrowed(path)),
            Asked::Connect => Self::Connect,
            Asked::Server => Self::Server,
            Asked::Bad => Self::Bad,
        }
    }
}

fn cut(name: &[u8]) -> &[u8] {
    name.get(..NAME_BYTES_MAX).unwrap_or(name)
}

/// `HTTP/1.1`, `HTTP/2`, `RTSP/1.0`: letters, a slash, a digit.
fn is_protocol(word: &[u8]) -> bool {
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let behind = word.get(letters..).unwrap_or_default();
    letters > 0 && matches!(behind, [b'/', digit, ..] if digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_as_the_original_counts_them() {
        for (request, section, with_query) in [
            ("GET / HTTP/1.0", "/", "/"),
            ("GET /api HTTP/1.0", "/api", "/api"),
            ("GET /api/user HTTP/1.0", "/api", "/api"),
            ("GET /api?x=1 HTTP/1.0", "/api", "/api?x=1"),
            ("GET /api?x=/a/b HTTP/1.0", "/api", "/api?x="),
            ("GET /?q HTTP/1.1", "/", "/?q"),
            ("GET /#top HTTP/1.1", "/", "/#top"),
            ("GET //a HTTP/1.1", "/", "/"),
            ("GET /a b/c HTTP/1.1", "/a b", "/a b"),
            ("GET http://host/p/q HTTP/1.1", "/p", "/p"),
            ("GET http://host HTTP/1.1", "/", "/"),
            ("GET http://host?q HTTP/1.1", "/", "/"),
            ("CONNECT host:443 HTTP/1.1", "(CONNECT)", "(CONNECT)"),
            ("OPTIONS * HTTP/1.1", "(*)", "(*)"),
            ("GET /a HTTP/2", "/a", "/a"),
            ("DESCRIBE /cam RTSP/1.0", "/cam", "/cam"),
            ("", "(bad request)", "(bad request)"),
            ("-", "(bad request)", "(bad request)"),
            ("GET /a", "(bad request)", "(bad request)"),
            ("GET  HTTP/1.1", "(bad request)", "(bad request)"),
            ("GET a HTTP/1.1", "(bad request)", "(bad request)"),
            ("GET /a b", "(bad request)", "(bad request)"),
            ("\\x16\\x03\\x01", "(bad request)", "(bad request)"),
            ("\u{16}\u{3}", "(bad request)", "(bad request)"),
        ] {
            let target = Target::of_request(request.as_bytes());
            assert_eq!(target.section(false), section.as_bytes(), "{request}");
            assert_eq!(target.section(true), with_query.as_bytes(), "{request}");
        }
    }

    #[test]
    fn urls_keep_their_path_and_lose_their_query() {
        let target = Target::of_request(b"GET /a/b?c#d HTTP/1.1");
        assert_eq!(target.url(false), b"/a/b");
        assert_eq!(target.url(true), b"/a/b?c#d");
        assert_eq!(Target::Bad.url(true), b"(bad request)");
    }

    #[test]
    fn long_names_are_cut() {
        let long = format!("GET /{} HTTP/1.1", "x".repeat(10_000));
        let target = Target::of_request(long.as_bytes());
        assert_eq!(target.section(false).len(), NAME_BYTES_MAX);
        assert_eq!(target.url(true).len(), NAME_BYTES_MAX);
    }
}
