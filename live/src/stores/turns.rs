//! Who is answered when many ask: so many at a time, and not all of them one client.
//!
//! A place is held for as long as an answer takes memory, which is until the client has taken it. One that
//! takes nothing of many answers would otherwise keep everybody else from asking.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::channel::piece_bytes;
use crate::body::{Body, BodyError};
use crate::failures::network;
use crate::problem::Problem;

/// How long a question waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// Places, and how many of them each address may have.
#[derive(Debug)]
pub(super) struct Turns {
    places: Arc<Semaphore>,
    each_max: usize,
    /// The places of each address; gone with the last that holds one or waits.
    addresses: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _of_address: OwnedSemaphorePermit,
}

impl Turns {
    /// So many places, of which one address, or one /64 network of IPv6, has three quarters at most: behind a
    /// proxy all clients have the same.
    pub(super) fn new(count: usize) -> Self {
        let each_max = (count - count / 4).max(1);
        Self { places: Arc::new(Semaphore::new(count)), each_max, addresses: Mutex::default() }
    }

    /// Waits for a place, for a moment.
    pub(super) async fn take(&self, address: IpAddr) -> Result<Turn, Problem> {
        let busy = || {
            let text = "too many questions at once; try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
                .header(RETRY_AFTER, HeaderValue::from_static("1"))
        };
        let of_address = self.of(network(address));
        let turn = async {
            let of_address = of_address.acquire_owned().await.ok()?;
            let place = self.places.clone().acquire_owned().await.ok()?;
            Some(Turn { _place: place, _of_address: of_address })
        };
        timeout(WAIT, turn).await.ok().flatten().ok_or_else(busy)
    }

    fn of(&self, network: IpAddr) -> Arc<Semaphore> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = addresses.get(&network).and_then(Weak::upgrade) {
            return places;
        }
        addresses.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.each_max));
        addresses.insert(network, Arc::downgrade(&places));
        places
    }
}

/// A whole answer for a client that speaks `version`, which holds its turn until the last piece is taken.
pub(super) fn whole(text: impl Into<Bytes>, turn: Turn, version: Version) -> Body {
    let (bytes, piece_bytes) = (text.into(), piece_bytes(version));
    // What is less than a piece is the connection's at once.
    if bytes.len() <= piece_bytes {
        return Body::full(bytes);
    }
    Body::stream(Whole { bytes, piece_bytes, _turn: turn })
}

struct Whole {
    bytes: Bytes,
    piece_bytes: usize,
    _turn: Turn,
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let len = self.bytes.len().min(self.piece_bytes);
        let piece = self.bytes.split_to(len);
        Poll::Ready((len > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len().try_into().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Whether there is no place at the moment.
    async fn has_to_wait(turns: &Turns, address: IpAddr) -> bool {
        timeout(Duration::ZERO, turns.take(address)).await.is_err()
    }

    #[tokio::test]
    async fn one_address_leaves_places_to_others() {
        let turns = Turns::new(8);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(turns.take(A).await.unwrap());
        }
        assert!(has_to_wait(&turns, A).await);
        let others = [turns.take(B).await.unwrap(), turns.take(B).await.unwrap()];
        assert!(has_to_wait(&turns, B).await, "there are no more than eight");
        drop(held.pop());
        turns.take(B).await.unwrap();
        drop((held, others));
        let _another = turns.take([192, 0, 2, 3].into()).await.unwrap();
        assert_eq!(turns.addresses.lock().unwrap().len(), 1, "who has left is forgotten");
        let single = Turns::new(1);
        let _only = single.take(A).await.unwrap();
        assert!(has_to_wait(&single, B).await);
    }

    #[tokio::test]
    async fn a_turn_lasts_until_a_large_answer_is_taken() {
        let turns = Turns::new(1);
        for (len, is_held) in [(100, false), (100_000, true)] {
            let turn = turns.take(A).await.unwrap();
            let body = whole(vec![b'x'; len], turn, Version::HTTP_2);
            assert_eq!(has_to_wait(&turns, B).await, is_held, "{len}");
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(len as u64));
            assert_eq!(body.collect().await.unwrap().to_bytes().len(), len);
            turns.take(B).await.unwrap();
        }
    }
}
