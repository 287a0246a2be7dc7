//! Bytes of a stream as the body of a response, with an honest end: a response that ends as complete has
//! brought all that was asked for, in every version of HTTP.

use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::body::{Body, BodyError};
use crate::message::Response;
use crate::metrics::{Counter, Held};
use crate::range::End;

use super::headers::{DIGEST, digest, flows, number, tell_progress};
use super::reader::{Piece, Reader};
use super::stream::byte_count;
use super::table::Numbers;

/// Names of what trailers tell.
const TRAILER_NAMES: &str = "logq-state, logq-length, repr-digest";

/// Gives `response` the bytes from where `reader` is to `end`. A body whose bytes are all there says how
/// long it is. One that flows ends with trailers, for clients that take them.
pub(super) fn send(
    response: &mut Response,
    reader: Reader,
    end: End,
    trailers: bool,
    numbers: &Numbers,
) {
    let headers = response.headers_mut();
    let trailers = match end {
        End::Stored(end) => {
            headers.insert(CONTENT_LENGTH, number(end.saturating_sub(reader.offset())));
            false
        }
        End::Awaited(_) | End::Stream => {
            flows(headers);
            trailers
        }
    };
    if trailers {
        headers.insert(TRAILER, HeaderValue::from_static(TRAILER_NAMES));
    }
    let held = numbers.readers.hold();
    let sending =
        Sending { reader, trailers, over: false, read: numbers.read.clone(), _held: held };
    *response.body_mut() = sending.into_body();
}

struct Sending {
    reader: Reader,
    trailers: bool,
    over: bool,
    read: Counter,
    _held: Held,
}

impl Sending {
    fn into_body(self) -> Body {
        Body::stream(StreamBody::new(unfold(self, |mut sending| async move {
            let frame = sending.next().await?;
            Some((frame, sending))
        })))
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        if self.over {
            return None;
        }
        match self.reader.next().await {
            Ok(Piece::Bytes(bytes)) => {
                self.read.add(byte_count(&bytes));
                Some(Ok(Frame::data(bytes)))
            }
            Ok(Piece::End) => {
                self.over = true;
                if !self.trailers {
                    return None;
                }
                Some(Ok(Frame::trailers(self.trailers().await)))
            }
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }

    async fn trailers(&self) -> HeaderMap {
        let stream = self.reader.stream();
        let mut trailers = HeaderMap::new();
        tell_progress(&mut trailers, stream.progress());
        // A range may end before the stream does.
        if stream.ended().is_some()
            && let Some(sha256) = stream.digest().reckoned(stream).await
        {
            trailers.insert(DIGEST, digest(&sha256));
        }
        trailers
    }
}
