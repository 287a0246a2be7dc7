//! The head of an HTTP/1.1 request, looked at before hyper does: where it ends, and whether two
//! servers in a row could disagree about where the request ends.
//!
//! hyper follows the RFC, which lets a server forgive much: a line that ends with LF alone, a length
//! besides chunks. Proxies forgive differently, and what one takes for a body another takes for a
//! request. Nobody needs this forgiveness, so here it is refused.

/// What begins an HTTP/2 connection, up to where an HTTP/1.1 head would end.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// How the body after a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// It is not HTTP/1.1 at all.
    Http2,
}

/// A head that could be understood in two ways, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// Where the head at the beginning of `bytes` ends, if it is complete.
///
/// `seen` bytes of it were looked at before.
///
/// # Errors
///
/// A line ends with LF alone.
pub(crate) fn end(bytes: &[u8], seen: usize) -> Result<Option<usize>, Ambiguous> {
    let from = seen.saturating_sub(3);
    for (index, _) in bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n') {
        let line = bytes.get(..index).unwrap_or_default();
        if !line.ends_with(b"\r") {
            return Err(Ambiguous);
        }
        if line.ends_with(b"\r\n\r") && index > 3 {
            return Ok(Some(index + 1));
        }
    }
    Ok(None)
}

/// What follows the complete head `bytes`.
///
/// # Errors
///
/// A header is folded, has a space before its colon, or the length is told twice.
pub(crate) fn framing(bytes: &[u8]) -> Result<Framing, Ambiguous> {
    if bytes == PREFACE {
        return Ok(Framing::Http2);
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').skip_while(|line| *line == b"\r").skip(1);
    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    for line in &mut lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let told = number(value).ok_or(Ambiguous)?;
            if length.replace(told).is_some() {
                return Err(Ambiguous);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        }
    }
    match (length, chunked) {
        _ if hosts > 1 => Err(Ambiguous),
        (Some(_), true) => Err(Ambiguous),
        (None, true) => Ok(Framing::Chunked),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// Name and value of a header line.
fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Ambiguous> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Ambiguous)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Ambiguous)?;
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
    let spaced = name.iter().any(|byte| byte.is_ascii_whitespace());
    if name.is_empty() || spaced || value.contains(&b'\r') {
        Err(Ambiguous)
    } else {
        Ok((name, value))
    }
}

/// A length: digits only, no sign, no list.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Result<Framing, Ambiguous>) {
        let head = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        assert_eq!(end(head.as_bytes(), 0), Ok(Some(head.len())), "{head:?}");
        for seen in 0..head.len() {
            assert_eq!(end(&head.as_bytes()[..seen], 0), Ok(None), "{head:?}");
            assert_eq!(end(head.as_bytes(), seen), Ok(Some(head.len())), "{head:?} from {seen}");
        }
        assert_eq!(framing(head.as_bytes()), expected, "{head:?}");
    }

    #[test]
    fn lengths_are_told_once() {
        let get = "GET / HTTP/1.1\nHost: a";
        check(get, Ok(Framing::Length(0)));
        check("PRI * HTTP/2.0", Ok(Framing::Http2));
        let put = |headers: &str| format!("PUT /log HTTP/1.1\nHost: a\n{headers}");
        check(&put("content-length:  17 "), Ok(Framing::Length(17)));
        check(&put("Transfer-Encoding: Chunked"), Ok(Framing::Chunked));
        check(&put(&format!("Content-Length: {}", u64::MAX)), Ok(Framing::Length(u64::MAX)));
        for headers in [
            "Content-Length: 1\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\nContent-Length: 1",
            "Content-Length: 1\nContent-Length: 2",
            "Content-Length: 1\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 18446744073709551616",
            "Content-Length: ",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding : chunked",
            "Content-Length : 1",
            "Host: b",
            " folded: line",
            "a: b\n folded",
            "no colon",
            ": no name",
        ] {
            check(&put(headers), Err(Ambiguous));
        }
    }

    #[test]
    fn lines_end_with_both_characters() {
        for head in ["GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "\n", "a\r\n\n"] {
            assert_eq!(end(head.as_bytes(), 0), Err(Ambiguous), "{head:?}");
        }
        assert_eq!(framing(b"GET / HTTP/1.1\r\nA: b\rc: d\r\n\r\n"), Err(Ambiguous));
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        let head = b"\r\nGET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(end(head, 0), Ok(Some(head.len())));
        assert_eq!(framing(head), Ok(Framing::Length(5)));
    }
}
