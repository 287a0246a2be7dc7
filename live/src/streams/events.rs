//! A stream as server-sent events. What was logged is JSON inside of `data:`, so nothing in a log, line
//! ends and `event:` included, can form an event of its own.
//!
//! ```text
//! id: G.17                          the place behind the event: what was seen is never sent again
//! data: {"o":17,"t":"hello\n"}      text; or "b64" for bytes that are not UTF-8
//!
//! event: reset                      the place that was asked for is in another content: all from here
//! event: end                        data: {"state":"complete","length":17,"sha256":"..."}
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use crate::body::{Body, BodyError};
use crate::metrics::{Counter, Held};
use crate::model::Place;

use super::reader::{Piece, Reader};
use super::record::hex;
use super::stream::byte_count;
use super::table::Numbers;

/// The most that one event tells, in bytes of the log.
const EVENT_LEN_MAX: usize = 16 << 10;

/// How often a silent stream says that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client comes back after the connection broke, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// Events from where `reader` is to the end of its stream. With `reset` the client is told to forget
/// what it has.
pub(super) fn body(reader: Reader, reset: bool, numbers: &Numbers) -> Body {
    let events = Events {
        offset: reader.offset(),
        reader,
        rest: Bytes::new(),
        phase: Phase::Begins { reset },
        read: numbers.read.clone(),
        _held: numbers.readers.hold(),
    };
    Body::stream(StreamBody::new(unfold(events, |mut events| async move {
        let frame = events.next().await?;
        Some((frame.map(Frame::data), events))
    })))
}

struct Events {
    reader: Reader,
    /// The place of what has not been sent: before `rest`.
    offset: u64,
    /// The beginning of a character whose end has yet to come.
    rest: Bytes,
    phase: Phase,
    read: Counter,
    _held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begins { reset: bool },
    Flows,
    Over,
}

impl Events {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        match self.phase {
            Phase::Begins { reset } => {
                self.phase = Phase::Flows;
                return Some(Ok(self.beginning(reset)));
            }
            Phase::Over => return None,
            Phase::Flows => {}
        }
        loop {
            let piece = tokio::select! {
                biased;
                piece = self.reader.next() => piece,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Ok(": \n\n".into())),
            };
            let text = match piece {
                Ok(Piece::Bytes(bytes)) => {
                    self.read.add(byte_count(&bytes));
                    self.tell(bytes, false)
                }
                Ok(Piece::End) | Err(BodyError::Aborted) => self.ending().await,
                Err(BodyError::ShuttingDown) => {
                    self.phase = Phase::Over;
                    format!("retry: {RETRY_MS}\n\n")
                }
                Err(error) => {
                    self.phase = Phase::Over;
                    return Some(Err(error));
                }
            };
            if !text.is_empty() {
                return Some(Ok(text.into()));
            }
        }
    }

    fn place(&self) -> Place {
        Place { generation: self.reader.stream().generation, offset: self.offset }
    }

    fn beginning(&self, reset: bool) -> Bytes {
        let retry = format!("retry: {RETRY_MS}\n\n");
        if !reset {
            return retry.into();
        }
        let place = self.place();
        format!("{retry}event: reset\nid: {place}\ndata: {{\"o\":{}}}\n\n", place.offset).into()
    }

    /// The events of these bytes; a character that is not complete waits for the rest of it, unless this
    /// is the last there is.
    fn tell(&mut self, bytes: Bytes, last: bool) -> String {
        let all = if self.rest.is_empty() { bytes } else { joined(&self.rest, &bytes) };
        let (mut text, mut rest) = (String::new(), &all[..]);
        while let Some(cut) = cut(rest, last) {
            self.offset = self.offset.saturating_add(byte_count(cut.bytes()));
            rest = rest.get(cut.bytes().len()..).unwrap_or_default();
            let data = match cut {
                Cut::Text(text) => json!({ "o": self.offset, "t": text }),
                Cut::Binary(bytes) => json!({ "o": self.offset, "b64": STANDARD.encode(bytes) }),
            };
            let _ = write!(text, "id: {}\ndata: {data}\n\n", self.place());
        }
        self.rest = all.slice_ref(rest);
        text
    }

    async fn ending(&mut self) -> String {
        self.phase = Phase::Over;
        let mut text = self.tell(Bytes::new(), true);
        let stream = self.reader.stream();
        let progress = stream.progress();
        let sha256 = stream.digest().reckoned(stream).await.map(|sha256| hex(&sha256));
        let data = json!({
            "state": progress.state.as_str(), "length": progress.len, "sha256": sha256,
        });
        let _ = write!(text, "event: end\nid: {}\ndata: {data}\n\n", self.place());
        text
    }
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(first.len() + second.len());
    bytes.extend_from_slice(first);
    bytes.extend_from_slice(second);
    bytes.freeze()
}

/// What one event tells.
#[derive(Debug, PartialEq, Eq)]
enum Cut<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Cut<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// The first event of these bytes: text as far as it is UTF-8; from what is not, bytes up to the end of
/// the line. `None` if there is nothing, or the beginning of a character only that may go on.
fn cut(bytes: &[u8], last: bool) -> Option<Cut<'_>> {
    let piece = bytes.get(..bytes.len().min(EVENT_LEN_MAX))?;
    if piece.is_empty() {
        return None;
    }
    let error = match std::str::from_utf8(piece) {
        Ok(text) => return Some(Cut::Text(text)),
        Err(error) => error,
    };
    let valid = piece.get(..error.valid_up_to())?;
    if !valid.is_empty() {
        return std::str::from_utf8(valid).ok().map(Cut::Text);
    }
    if error.error_len().is_none() && !last {
        return None;
    }
    let line_end = piece.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    piece.get(..line_end.unwrap_or(piece.len())).map(Cut::Binary)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_cuts(mut bytes: &[u8], last: bool) -> (Vec<Cut<'_>>, &[u8]) {
        let mut cuts = Vec::new();
        while let Some(cut) = cut(bytes, last) {
            bytes = &bytes[cut.bytes().len()..];
            cuts.push(cut);
        }
        (cuts, bytes)
    }

    #[test]
    fn text_and_bytes_are_told_apart() {
        use Cut::{Binary, Text};
        assert_eq!(all_cuts("grün\n".as_bytes(), false), (vec![Text("grün\n")], &b""[..]));
        assert_eq!(all_cuts(b"gr\xC3", false), (vec![Text("gr")], &b"\xC3"[..]));
        assert_eq!(all_cuts(b"gr\xC3", true), (vec![Text("gr"), Binary(b"\xC3")], &b""[..]));
        assert_eq!(
            all_cuts(b"a\xFFb\nc", false),
            (vec![Text("a"), Binary(b"\xFFb\n"), Text("c")], &b""[..])
        );
        assert_eq!(all_cuts(b"\xED\xA0\x80", false).0, vec![Binary(b"\xED\xA0\x80")]);
    }

    proptest! {
        /// However bytes come, the events hold all of them, in order, none over the limit.
        #[test]
        fn cuts_lose_nothing(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0xC3), Just(0xBC), Just(b'\n'), Just(b'a')], 0..200,
        )) {
            let (cuts, rest) = all_cuts(&bytes, false);
            prop_assert!(rest.len() < 4);
            let mut told: Vec<u8> = cuts.iter().flat_map(|cut| cut.bytes()).copied().collect();
            told.extend(rest);
            prop_assert_eq!(told, bytes.clone());
            prop_assert!(all_cuts(&bytes, true).1.is_empty());
        }
    }

    #[test]
    fn a_long_line_is_many_events() {
        let line = "ü".repeat(20_000);
        let (cuts, rest) = all_cuts(line.as_bytes(), false);
        assert!(rest.is_empty() && cuts.len() == 3);
        assert!(
            cuts.iter().all(|cut| matches!(cut, Cut::Text(text) if text.len() <= EVENT_LEN_MAX))
        );
    }
}
